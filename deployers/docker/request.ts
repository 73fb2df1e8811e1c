/** The dispatcher's container, as the engine is asked for it. Pure. */
import { dirname } from 'node:path';
import type { Deployment, Role } from '../deployer.ts';
import {
  BUNDLE_FILE,
  commandOf,
  DEPLOYMENT_TAG,
  DISPATCHER_USER,
  HASH_TAG,
  ROLE_TAG,
  readyUrl,
  STATE_FOLDER,
} from '../tags.ts';

export interface ContainerPlan {
  readonly deployment: Deployment;
  readonly role: Role;
  readonly hash: string;
  /** Undefined: the engine's own bridge. */
  readonly network: string | undefined;
  /** Of the engine's socket on its machine; present with `engineSocket`. */
  readonly socketGroup: number | undefined;
}

export function volumeName(id: string): string {
  return `shr-${id}-ledger`;
}

export function containerName({ deployment, hash }: Pick<ContainerPlan, 'deployment' | 'hash'>): string {
  return `shr-${deployment.id}-dispatcher-${hash}`;
}

export function tagsOf({ deployment, role, hash }: Pick<ContainerPlan, 'deployment' | 'role' | 'hash'>) {
  return { [DEPLOYMENT_TAG]: deployment.id, [HASH_TAG]: hash, [ROLE_TAG]: role };
}

export function dispatcherBody(plan: ContainerPlan): object {
  const { deployment, role, network, socketGroup } = plan;
  const { engineSocket, listenPort, publicPort } = deployment;
  const memory = Math.ceil(deployment.memoryGiB * 2 ** 30);
  // On the machine's own network there is nothing to publish.
  const published = network !== 'host';
  const port = `${listenPort}/tcp`;
  return {
    Image: deployment.image,
    Cmd: commandOf(role),
    User: `${DISPATCHER_USER}:${DISPATCHER_USER}`,
    Env: [`SHR_READY_URL=${readyUrl(deployment)}`],
    Labels: tagsOf(plan),
    StopTimeout: deployment.stopGraceS,
    ...(published ? { ExposedPorts: { [port]: {} } } : {}),
    // More often than the image's own: a deployment waits for it.
    Healthcheck: {
      Test: ['CMD', 'node', '/opt/shr/health.mjs'],
      Interval: 5e9,
      Timeout: 5e9,
      StartPeriod: 60e9,
      Retries: 6,
    },
    HostConfig: {
      NanoCpus: Math.round(deployment.cpu * 1e9),
      Memory: memory,
      MemorySwap: memory,
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      Tmpfs: { '/tmp': 'mode=1777' },
      Init: false,
      // One that drains ends by itself, and stays ended.
      RestartPolicy: { Name: role === 'drain' ? 'on-failure' : 'unless-stopped' },
      ...(network === undefined ? {} : { NetworkMode: network }),
      ...(published ? { PortBindings: { [port]: [{ HostPort: String(publicPort) }] } } : {}),
      ...(socketGroup === undefined ? {} : { GroupAdd: [String(socketGroup)] }),
      Mounts: [
        { Type: 'volume', Source: volumeName(deployment.id), Target: STATE_FOLDER },
        // Anonymous: it goes with the container, and with it the secrets. The engine copies nothing onto a read-only root.
        { Type: 'volume', Target: dirname(BUNDLE_FILE) },
        ...(engineSocket === undefined
          ? []
          : [{ Type: 'bind', Source: engineSocket.source, Target: engineSocket.target }]),
      ],
      LogConfig: { Type: 'json-file', Config: { 'max-size': '10m', 'max-file': '3' } },
    },
  };
}
