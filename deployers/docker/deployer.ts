/** The dispatcher as a container on a Docker engine, with its ledger in a volume. */
import { basename, dirname } from 'node:path';
import { Engine } from '../../providers/docker/calls.ts';
import type { DockerOptions } from '../../providers/docker/options.ts';
import type { EnginePlace } from '../../providers/docker/place.ts';
import { unreachable } from '../../providers/docker/unreachable.ts';
import { Deadlines } from '../../providers/kit/deadlines.ts';
import { ProviderError, type ProviderHost } from '../../providers/provider.ts';
import {
  type Deployed,
  type Deployer,
  type Deployment,
  DeploymentRefused,
  type DeploymentStatus,
  type PlannedStep,
  type Role,
  type Tell,
} from '../deployer.ts';
import {
  BUNDLE_FILE,
  CERTIFICATE_NOTE,
  DEPLOYMENT_TAG,
  DISPATCHER_USER,
  deploymentHash,
  HASH_TAG,
  lastLines,
  PROGRAM,
  ROLE_TAG,
  schemeOf,
} from '../tags.ts';
import { DeploymentEngine, type DispatcherContainer } from './calls.ts';
import { type ContainerPlan, containerName, dispatcherBody, volumeName } from './request.ts';
import { archive } from './tar.ts';

/** From the start to the first good health check. */
const HEALTHY_WITHIN_MS = 180_000;
const LOOK_MS = 500;
const DEFAULT_GRACE_S = 30;
const IMAGE_CURE = 'build it with `make dispatcher-image`, or name another one with --image (make: IMAGE=)';

export interface DockerDeployerOptions {
  /** Of the engine. */
  readonly engine: DockerOptions;
  readonly place: EnginePlace;
  /** `host`, or a network of the engine. Default: the engine's bridge. */
  readonly network?: string;
  /** The group that may use the engine's socket, where the dispatcher needs it. */
  readonly socketGroup: () => Promise<number>;
  /** This machine's name, as others reach it. */
  readonly hostName: string;
  /** The engine is that of the machine which runs the workflow, and is discarded with it unless the caller says otherwise. */
  readonly endsWithWorkflow?: boolean;
}

interface Found {
  readonly plan: ContainerPlan;
  readonly wanted: DispatcherContainer | undefined;
  readonly others: readonly DispatcherContainer[];
}

export class DockerDeployer implements Deployer {
  readonly #options: DockerDeployerOptions;
  readonly #host: ProviderHost;
  readonly #engine: DeploymentEngine;
  readonly #runnerEngine: Engine;

  constructor(options: DockerDeployerOptions, host: ProviderHost) {
    this.#options = options;
    this.#host = host;
    this.#engine = new DeploymentEngine(options.place, options.engine.timeoutMs, host);
    this.#runnerEngine = new Engine(options.engine, options.place, new Deadlines(host));
  }

  async plan(deployment: Deployment, role: Role): Promise<readonly PlannedStep[]> {
    this.#requireLasting(role);
    const { plan, wanted, others } = await this.#find(deployment, role);
    const volume = volumeName(deployment.id);
    const volumes = await this.#engine.volumes(deployment.id);
    const container = `container ${containerName(plan)}`;
    const first = others[0];
    const hasImage = (await this.#engine.imageId(deployment.image)) !== undefined;
    return [
      ...(hasImage
        ? []
        : [{ action: 'pull' as const, what: `image ${deployment.image}`, why: `this engine has none; ${IMAGE_CURE}` }]),
      { action: volumes.includes(volume) ? 'keep' : 'create', what: `volume ${volume}`, why: 'it holds the ledger' },
      wanted !== undefined && isUp(wanted)
        ? { action: 'keep', what: container }
        : first === undefined
          ? { action: 'create', what: container }
          : { action: 'replace', what: container, why: `${first.Name} is another image, size or configuration` },
      ...others.map(({ Name }) => ({ action: 'remove' as const, what: `container ${Name}` })),
    ];
  }

  async apply(deployment: Deployment, role: Role, tell: Tell): Promise<Deployed> {
    this.#requireLasting(role);
    await this.#requireImage(deployment.image, tell);
    const { plan, wanted, others } = await this.#find(deployment, role);
    const name = containerName(plan);
    if (wanted !== undefined && others.length === 0 && (isHealthy(wanted) || isDrained(wanted))) {
      tell(`${name} runs as it should`);
      return { changed: false, ...this.#address(deployment) };
    }
    await this.#engine.createVolume(volumeName(deployment.id), { [DEPLOYMENT_TAG]: deployment.id });
    const id = await this.#prepare(plan, wanted, tell);
    await this.#change(plan, id, others, tell);
    for (const other of others) {
      tell(`removing ${other.Name}`);
      await this.#engine.remove(other.Id);
    }
    return { changed: true, ...this.#address(deployment) };
  }

  async status(id: string): Promise<DeploymentStatus | undefined> {
    const containers = await this.#engine.containers(id);
    const container = containers.find(isUp) ?? containers[0];
    if (container === undefined) return undefined;
    const said = healthWords(container) || container.State.Error;
    return {
      role: container.Config.Labels?.[ROLE_TAG] === 'drain' ? 'drain' : 'serve',
      state: stateOf(container),
      image: container.Config.Image,
      hash: container.Config.Labels?.[HASH_TAG] ?? '',
      ...(said === '' ? {} : { message: said }),
      ...(isUp(container) ? { askWith: ['docker exec', container.Name, ...PROGRAM].join(' ') } : {}),
    };
  }

  async ask(id: string, words: readonly string[]): Promise<string | undefined> {
    const container = (await this.#engine.containers(id)).find(isUp);
    if (container === undefined) return undefined;
    try {
      return await this.#engine.execute(container.Id, [...PROGRAM, ...words]);
    } catch (error) {
      // It restarts, or the engine lets no command in.
      if (!(error instanceof ProviderError)) throw error;
      return undefined;
    }
  }

  async logs(id: string): Promise<string | undefined> {
    const containers = await this.#engine.containers(id);
    const container = containers.find(isUp) ?? containers[0];
    return container === undefined ? undefined : this.#runnerEngine.logs(container.Id);
  }

  async remove(id: string, tell: Tell): Promise<void> {
    for (const container of await this.#engine.containers(id)) {
      tell(`removing ${container.Name}`);
      if (isUp(container)) await this.#engine.stop(container.Id, DEFAULT_GRACE_S);
      await this.#engine.remove(container.Id);
    }
    for (const volume of await this.#engine.volumes(id)) {
      tell(`removing the volume ${volume}`);
      await this.#engine.removeVolume(volume);
    }
  }

  async left(id: string): Promise<readonly string[]> {
    const [containers, volumes] = await Promise.all([this.#engine.containers(id), this.#engine.volumes(id)]);
    return [...containers.map(({ Name }) => `container ${Name}`), ...volumes.map((name) => `volume ${name}`)];
  }

  cure(error: ProviderError): string | undefined {
    // Whatever has a status comes from an engine that answers; what was stopped in time has no code.
    const isAnswered = error.code === undefined || /^(?:http-)?\d+$/.test(error.code);
    if (isAnswered || error.code === 'no-engine' || !error.operation.startsWith('docker ')) return undefined;
    const { cure } = unreachable(error, this.#options.place);
    return cure === undefined ? undefined : `${cure[0]?.toUpperCase()}${cure.slice(1)}. Then run it again.`;
  }

  async close(): Promise<void> {}

  async #find(deployment: Deployment, role: Role): Promise<Found> {
    const image = await this.#engine.imageId(deployment.image);
    const containers = await this.#engine.containers(deployment.id);
    // The one that drains stands where the other one stood.
    const before = role === 'drain' ? containers[0]?.HostConfig.NetworkMode : undefined;
    const network = this.#options.network ?? (before === 'default' ? undefined : before);
    const hash = deploymentHash(deployment, role, `${image} ${network ?? ''}`);
    const socketGroup = deployment.engineSocket === undefined ? undefined : await this.#options.socketGroup();
    const plan = { deployment, role, hash, network, socketGroup };
    const name = containerName(plan);
    return {
      plan,
      wanted: containers.find(({ Name }) => Name === name),
      others: containers.filter(({ Name }) => Name !== name),
    };
  }

  #requireLasting(role: Role): void {
    if (role === 'drain' || this.#options.endsWithWorkflow !== true) return;
    throw new DeploymentRefused(
      'the engine is that of the machine which runs this workflow, and a dispatcher there would end with the machine',
      'Give the backend the `host` of an engine that stays, or, on a machine of your own that stays, name the network with --network (`bridge` is the usual one).',
    );
  }

  async #requireImage(image: string, tell: Tell): Promise<void> {
    if ((await this.#engine.imageId(image)) !== undefined) return;
    tell(`pulling ${image}`);
    try {
      await this.#runnerEngine.pull(image);
    } catch (error) {
      if (!(error instanceof ProviderError)) throw error;
      const why = error.kind === 'transient' ? 'its registry cannot be reached' : 'it cannot be pulled';
      throw new DeploymentRefused(
        `the engine has no image ${image}, and ${why} (${error.message})`,
        `${IMAGE_CURE[0]?.toUpperCase()}${IMAGE_CURE.slice(1)}.`,
      );
    }
  }

  /** A container with its configuration, not started. One that never ran may lack the file: it is made anew. */
  async #prepare(plan: ContainerPlan, wanted: DispatcherContainer | undefined, tell: Tell): Promise<string> {
    if (wanted !== undefined && wanted.State.Status !== 'created') return wanted.Id;
    if (wanted !== undefined) await this.#engine.remove(wanted.Id);
    const name = containerName(plan);
    tell(`creating ${name}`);
    const id = await this.#engine.create(name, dispatcherBody(plan));
    const file = { name: basename(BUNDLE_FILE), text: plan.deployment.bundle, owner: DISPATCHER_USER, mode: 0o600 };
    await this.#engine.put(id, dirname(BUNDLE_FILE), archive(file));
    return id;
  }

  /** One ledger has one dispatcher: the old one ends before the new one starts. */
  async #change(
    { deployment, role }: ContainerPlan,
    id: string,
    others: readonly DispatcherContainer[],
    tell: Tell,
  ): Promise<void> {
    const up = others.filter(isUp);
    const before = up.length > 0 || role === 'drain' ? up : others.filter(isStopped).slice(-1);
    for (const other of up) {
      tell(`stopping ${other.Name} in order (SIGTERM, at most ${deployment.stopGraceS} s)`);
      await this.#engine.stop(other.Id, deployment.stopGraceS);
    }
    tell('starting it, and waiting until it is ready');
    try {
      await this.#engine.start(id);
      await this.#whenReady(id, role);
    } catch (error) {
      const output = await this.#lastOutput(id);
      await this.#stopFailed(id, deployment.stopGraceS, tell);
      // It must have ended before the one before opens the same ledger.
      await this.#engine.remove(id);
      for (const other of before) {
        tell(`starting ${other.Name} again`);
        await this.#engine.start(other.Id);
      }
      const words = wordsOf(error);
      const again = before.length > 0 ? '; the one before runs again' : '';
      throw new ProviderError('invalid', 'docker start', `${words}${again}. ${lastLines(output)}`, {
        cause: error,
      });
    }
  }

  /** One that does not stop in order is removed by force. */
  async #stopFailed(id: string, graceS: number, tell: Tell): Promise<void> {
    try {
      await this.#engine.stop(id, graceS);
    } catch (error) {
      if (!(error instanceof ProviderError)) throw error;
      tell(`it does not stop in order (${error.message}): removing it by force`);
    }
  }

  /** For people: that it cannot be read must not hide why it is wanted. */
  async #lastOutput(id: string): Promise<string> {
    try {
      return (await this.#runnerEngine.logs(id)) ?? '';
    } catch (error) {
      if (!(error instanceof ProviderError)) throw error;
      return `(they cannot be read: ${error.message})`;
    }
  }

  async #whenReady(id: string, role: Role): Promise<void> {
    const endsAtMs = this.#host.now() + HEALTHY_WITHIN_MS;
    for (;;) {
      const container = await this.#engine.container(id);
      if (container === undefined) throw new Error('somebody removed the container');
      if (isHealthy(container) || (role === 'drain' && isDrained(container))) return;
      if (['exited', 'dead', 'restarting'].includes(container.State.Status)) {
        throw new Error(`the dispatcher ended with ${container.State.ExitCode}`);
      }
      if (this.#host.now() >= endsAtMs) {
        throw new Error(
          `the dispatcher was not ready within ${HEALTHY_WITHIN_MS / 1000} s (${healthWords(container)})`,
        );
      }
      await this.#host.sleep(LOOK_MS);
    }
  }

  #address({ id, listenPort, publicPort, speaksTls }: Deployment): Omit<Deployed, 'changed'> {
    const { hostName, network } = this.#options;
    return {
      url: `${schemeOf(speaksTls)}://${hostName}:${network === 'host' ? listenPort : publicPort}`,
      urlNote:
        speaksTls === true
          ? CERTIFICATE_NOTE
          : 'GitHub needs an address that the internet reaches, with TLS: put a proxy in front of this port.',
      ledgerNote: `The ledger is in the volume ${volumeName(id)} of this engine, and outlives updates. If the volume is lost, history is lost and no job is.`,
    };
  }
}

/** Without the operation, which the error that quotes it has as well. */
function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const prefix = error instanceof ProviderError ? `${error.operation}: ` : '';
  return error.message.startsWith(prefix) ? error.message.slice(prefix.length) : error.message;
}

function isUp({ State }: DispatcherContainer): boolean {
  return State.Status === 'running' || State.Status === 'restarting' || State.Status === 'paused';
}

/**
 * Where none is up, an update was interrupted after it had stopped the one before. That is the oldest one, which engines list
 * last: each that became ready has replaced all others.
 */
function isStopped({ Config, State }: DispatcherContainer): boolean {
  return State.Status === 'exited' && Config.Labels?.[ROLE_TAG] === 'serve';
}

function isHealthy({ State }: DispatcherContainer): boolean {
  return State.Status === 'running' && State.Health?.Status === 'healthy';
}

function isDrained({ Config, State }: DispatcherContainer): boolean {
  return Config.Labels?.[ROLE_TAG] === 'drain' && State.Status === 'exited' && State.ExitCode === 0;
}

function stateOf(container: DispatcherContainer): DeploymentStatus['state'] {
  if (isDrained(container)) return 'ended';
  if (!isUp(container)) return 'stopped';
  if (isHealthy(container)) return 'healthy';
  return container.State.Health?.Status === 'unhealthy' ? 'unhealthy' : 'starting';
}

function healthWords({ State }: DispatcherContainer): string {
  return (State.Health?.Log?.at(-1)?.Output ?? '').trim();
}
