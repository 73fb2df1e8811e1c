import { readFileSync } from 'node:fs';
import { arch, homedir } from 'node:os';
import type { PlatformOption, ProviderModule } from '../provider.ts';
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
  if (host !== undefined) return [];
  const why = 'it is the engine of the dispatcher’s own machine or environment, where its jobs could become root';
  return [{ option: socketPath === undefined ? 'host' : 'socketPath', why }];
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
