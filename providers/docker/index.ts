import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { arch, homedir, hostname, networkInterfaces } from 'node:os';
import type { PlatformOption, ProviderModule } from '../provider.ts';
import { kindOfAddress } from '../registry/address-kind.ts';
import { dockerDemo } from './demo.ts';
import { type DockerOptions, dockerOptions } from './options.ts';
import { type DockerEnvironment, engineOf } from './place.ts';
import { DockerProvider } from './provider.ts';

const environment: DockerEnvironment = {
  variables: process.env,
  home: homedir(),
  read(path) {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      return undefined;
    }
  },
};

/** Anyone who may start containers on an engine is root on its machine. */
function platformOptions({ host, socketPath }: DockerOptions): readonly PlatformOption[] {
  if (host !== undefined && !isHere(host)) return [];
  const why = 'it is the engine of the dispatcher’s own machine or environment, where its jobs could become root';
  return [{ option: socketPath === undefined ? 'host' : 'socketPath', why }];
}

/**
 * Whether it names this machine, in whatever notation, or no machine at all. A name that only DNS leads here is not
 * recognized.
 */
function isHere(host: string): boolean {
  const url = URL.parse(`http://${isIP(host) === 6 ? `[${host}]` : host}`);
  if (url === null || url.host !== url.hostname || !/^[\w.:[\]-]+$/.test(host)) return true;
  const name = url.hostname.replace(/^\[|\]$|\.$/g, '');
  if (name === 'localhost' || name.endsWith('.localhost') || name === hostname().toLowerCase()) return true;
  if (isIP(name) === 0) return false;
  const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const kind = kindOfAddress(name);
  return kind === 'loopback' || kind === 'never' || own.some(({ address }) => address === name);
}

const module: ProviderModule<DockerOptions> = {
  kind: 'docker',
  options: dockerOptions,
  platformOptions,
  create: (options, host) =>
    new DockerProvider(
      {
        ...options,
        architecture: options.architecture ?? (arch() === 'arm64' ? 'arm64' : 'x64'),
        place: engineOf(options, environment),
      },
      host,
    ),
  withCommand: (options, command) => ({ ...options, command: [...command] }),
  demo: (stage) => dockerDemo(stage, engineOf(dockerOptions.parse({}), environment)),
  assumptions: { 'launch-again': ['D1'], output: ['D5'] },
};

export default module;
