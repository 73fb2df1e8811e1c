/**
 * Where the engine is. Options take precedence; otherwise resolved as by the docker command: DOCKER_HOST with its TLS
 * variables, DOCKER_CONTEXT, the current context, and finally the default socket. Pure except for the files that it
 * reads.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import type { DockerOptions } from './options.ts';

export type EngineAddress =
  | { readonly socketPath: string }
  | {
      readonly host: string;
      readonly port: number;
      readonly protocol: 'http' | 'https';
      readonly ca?: string;
      readonly cert?: string;
      readonly key?: string;
    };

export type EnginePlace =
  | { readonly found: true; readonly address: EngineAddress; readonly words: string }
  /** The environment's settings cannot be used. */
  | { readonly found: false; readonly problem: string; readonly cure: string };

export interface DockerEnvironment {
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  /** Undefined if there is no such file, or it is not readable. */
  read(path: string): string | undefined;
}

type Written = Pick<DockerOptions, 'socketPath' | 'host' | 'port' | 'protocol' | 'ca' | 'cert' | 'key'>;

const USUAL_SOCKET = '/var/run/docker.sock';
const contextFile = z.object({
  Endpoints: z.object({ docker: z.object({ Host: z.string().min(1), SkipTLSVerify: z.boolean().optional() }) }),
});
const configFile = z.object({ currentContext: z.string().optional() });

export function engineOf(options: Written, environment: DockerEnvironment): EnginePlace {
  const { socketPath, host, port, ca, cert, key } = options;
  if (socketPath !== undefined) return at({ socketPath }, 'the option socketPath');
  if (host !== undefined) {
    const protocol = options.protocol ?? (ca === undefined && cert === undefined ? 'http' : 'https');
    const tls = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
    return at({ host, port: port ?? (protocol === 'https' ? 2376 : 2375), protocol, ...tls }, 'the option host');
  }
  const { variables } = environment;
  const ofHost = variables['DOCKER_HOST'] ?? '';
  if (ofHost !== '') {
    const verify = (variables['DOCKER_TLS_VERIFY'] ?? '') !== '';
    const folder = variables['DOCKER_CERT_PATH'] ?? configFolder(environment);
    return addressed(ofHost, 'DOCKER_HOST', verify ? tlsIn(folder, environment) : undefined);
  }
  const context = variables['DOCKER_CONTEXT'] || currentContext(environment);
  if (context === undefined || context === 'default') return at({ socketPath: USUAL_SOCKET }, 'the usual socket');
  return ofContext(context, environment);
}

/** `unix:///var/run/docker.sock` */
export function addressWords(address: EngineAddress): string {
  if ('socketPath' in address) return `unix://${address.socketPath}`;
  const { protocol, host, port } = address;
  return `${protocol === 'https' ? 'https' : 'tcp'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function at(address: EngineAddress, from: string): EnginePlace {
  return { found: true, address, words: `${addressWords(address)} (${from})` };
}

interface Tls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

function addressed(text: string, from: string, tls: Tls | undefined): EnginePlace {
  const [, scheme = 'tcp', rest = text] = /^([a-z]+):\/\/(.*)$/i.exec(text) ?? [];
  if (scheme === 'unix') return at({ socketPath: rest === '' ? USUAL_SOCKET : rest }, from);
  if (scheme !== 'tcp' && scheme !== 'http' && scheme !== 'https') {
    return {
      found: false,
      problem: `${from} says ${scheme}://…, but this provider only supports sockets and TCP`,
      cure:
        scheme === 'ssh'
          ? `forward the engine's socket (ssh -NL /tmp/docker.sock:${USUAL_SOCKET} ${rest}), and set DOCKER_HOST to unix:///tmp/docker.sock`
          : 'set DOCKER_HOST to unix:///PATH or tcp://HOST:PORT, or write the options socketPath or host',
    };
  }
  const url = URL.parse(`http://${rest}`);
  if (url === null || url.hostname === '') {
    return { found: false, problem: `${from} is not an address`, cure: 'write it as unix:///PATH or tcp://HOST:PORT' };
  }
  const secure = tls !== undefined || scheme === 'https';
  const port = url.port === '' ? (secure ? 2376 : 2375) : Number(url.port);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return at({ host, port, protocol: secure ? 'https' : 'http', ...tls }, from);
}

function ofContext(name: string, environment: DockerEnvironment): EnginePlace {
  const id = createHash('sha256').update(name).digest('hex');
  const contexts = join(configFolder(environment), 'contexts');
  const described = contextFile.safeParse(parseJson(environment.read(join(contexts, 'meta', id, 'meta.json'))));
  if (!described.success) {
    return {
      found: false,
      problem: `the docker context ${JSON.stringify(name)} cannot be read`,
      cure: 'list the contexts with: docker context ls; or set DOCKER_HOST, or the options socketPath or host',
    };
  }
  const { Host } = described.data.Endpoints.docker;
  const tls = tlsIn(join(contexts, 'tls', id, 'docker'), environment);
  return addressed(Host, `docker context ${name}`, Object.keys(tls).length === 0 ? undefined : tls);
}

function tlsIn(folder: string, environment: DockerEnvironment): Tls {
  const entries = (['ca', 'cert', 'key'] as const).flatMap((name) => {
    const text = environment.read(join(folder, `${name}.pem`));
    return text === undefined ? [] : [[name, text] as const];
  });
  return Object.fromEntries(entries);
}

function currentContext(environment: DockerEnvironment): string | undefined {
  const parsed = configFile.safeParse(parseJson(environment.read(join(configFolder(environment), 'config.json'))));
  const name = parsed.success ? parsed.data.currentContext : undefined;
  return name === '' ? undefined : name;
}

function configFolder({ variables, home }: DockerEnvironment): string {
  return variables['DOCKER_CONFIG'] || join(home, '.docker');
}

function parseJson(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
