/** Converts the contract's request to the engine's. Pure. */
import { posix } from 'node:path';
import { encodeTags } from '../kit/tags.ts';
import type { LaunchRequest, Shape } from '../provider.ts';
import type { DockerOptions } from './options.ts';

/** The body of `POST /containers/create`, limited to the fields used here. */
export interface ContainerBody {
  readonly Image: string;
  readonly Hostname: string;
  readonly Cmd?: string[];
  readonly User?: string;
  readonly Env: string[];
  readonly Labels: Record<string, string>;
  readonly StopTimeout: number;
  readonly HostConfig: {
    readonly NanoCpus: number;
    readonly Memory: number;
    readonly MemorySwap: number;
    readonly PidsLimit: number;
    readonly NetworkMode?: string;
    readonly ExtraHosts: string[];
    readonly CapDrop: string[];
    readonly ReadonlyRootfs: boolean;
    readonly Tmpfs?: Record<string, string>;
    readonly Privileged: boolean;
    readonly Binds: string[];
    readonly LogConfig?: { readonly Type: string; readonly Config: Record<string, string> };
  };
}

export function containerBody(request: LaunchRequest, options: DockerOptions): ContainerBody {
  const { shape } = request;
  const memory = Math.ceil(shape.memoryGiB * 2 ** 30);
  return {
    Image: shape.image,
    Hostname: request.name,
    ...(options.command === 'image' ? {} : { Cmd: options.command }),
    ...(options.runtimeUser === undefined ? {} : { User: options.runtimeUser }),
    Env: Object.entries({ ...request.environment, ...request.secretEnvironment }).map(
      ([key, value]) => `${key}=${value}`,
    ),
    Labels: encodeTags(request.tags),
    StopTimeout: options.stopGraceS,
    HostConfig: {
      NanoCpus: Math.round(shape.cpu * 1e9),
      Memory: memory,
      // Equal to Memory means no swap: without it the engine grants the same amount again.
      MemorySwap: memory,
      PidsLimit: options.pidsLimit,
      ...(options.network === undefined ? {} : { NetworkMode: options.network }),
      ExtraHosts: options.extraHosts,
      CapDrop: options.capDrop,
      ReadonlyRootfs: options.readOnlyRootfs,
      ...(options.readOnlyRootfs ? { Tmpfs: { '/tmp': 'exec,mode=1777', '/run': '' } } : {}),
      Privileged: shape.dockerInDocker && options.privileged,
      Binds: binds(shape, options),
      // No AutoRemove: the logs must be readable after the end.
      ...(options.logging === 'bounded'
        ? { LogConfig: { Type: 'json-file', Config: { 'max-size': '1m', 'max-file': '2' } } }
        : {}),
    },
  };
}

/** Why the requested bucket cannot be mounted; undefined if it can. */
export function refuseBucket(bucket: string, prefix: string | undefined): string | undefined {
  const segments = [bucket, ...(prefix === undefined || prefix === '' ? [] : prefix.split('/'))];
  const odd = segments.find((segment) => !/^[A-Za-z0-9_][A-Za-z0-9._-]*$/.test(segment));
  return odd === undefined ? undefined : `${JSON.stringify(odd)} cannot be a folder of a bucket`;
}

/** The engine creates a missing folder, owned by root. */
function binds(shape: Shape, options: DockerOptions): string[] {
  if (shape.bucket === undefined || options.bucketRoot === undefined || options.workFolder === undefined) return [];
  return [`${posix.join(options.bucketRoot, shape.bucket, shape.bucketPrefix ?? '')}:${options.workFolder}`];
}
