/** Each instance is a container on a Docker engine, local or remote. */
import { Deadlines } from '../kit/deadlines.ts';
import { withoutSecrets } from '../kit/redact.ts';
import { refuseWish, roundUp } from '../kit/wish.ts';
import {
  type Architecture,
  type Capabilities,
  type CheckedUse,
  type Finding,
  type Fit,
  type ImageLabels,
  type Instance,
  type InstanceRef,
  type LaunchRequest,
  type Provider,
  ProviderError,
  type ProviderHost,
  type ShapeWish,
} from '../provider.ts';
import { coresInWords, roundingInWords } from '../shape-words.ts';
import { Engine } from './calls.ts';
import { classify } from './errors.ts';
import { checkEngineImages, labelsAtEngine } from './images.ts';
import { containerBody, refuseBucket } from './request.ts';
import type { DockerSettings } from './settings.ts';
import { fromInspected, fromListed } from './state.ts';
import { unreachable } from './unreachable.ts';

const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;
/** The engine's own minimum. */
const MIN_MEMORY_GIB = 6 / 1024;

export class DockerProvider implements Provider {
  readonly capabilities: Capabilities;
  readonly #options: DockerSettings;
  readonly #deadlines: Deadlines;
  readonly #engine: Engine;
  /** When many jobs wait for the same new image, they share one pull. */
  readonly #pulls = new Map<string, Promise<void>>();

  constructor(options: DockerSettings, host: ProviderHost) {
    this.#options = options;
    this.#deadlines = new Deadlines(host);
    this.#engine = new Engine(options, options.place, this.#deadlines);
    this.capabilities = {
      architectures: [options.architecture],
      spot: false,
      dockerInDocker: options.privileged,
      // `--storage-opt size` requires a special file system under the engine.
      disk: false,
      bucket: options.bucketRoot !== undefined && options.workFolder !== undefined,
      subnet: false,
      securityGroup: false,
      logs: true,
      // Not in the list of containers, but anyone allowed to inspect one on this engine can read its environment.
      secretEnvironment: false,
    };
  }

  fit(wish: ShapeWish): Fit {
    const refusal =
      refuseWish(wish, this.capabilities) ??
      (wish.bucket === undefined ? undefined : refuseBucket(wish.bucket, wish.bucketPrefix));
    if (refusal !== undefined) return { fits: false, reason: refusal };
    // The engine divides a core into hundredths (1 ms of every 100 ms).
    const cpu = roundUp(wish.cpu ?? 1, 100);
    const memoryGiB = roundUp(Math.max(wish.memoryGiB ?? 2 * cpu, MIN_MEMORY_GIB), 1024);
    const changes = roundingInWords(wish, { cpu, memoryGiB });
    return {
      fits: true,
      shape: { ...wish, cpu, memoryGiB },
      ...(changes.length === 0 ? {} : { note: changes.join('; ') }),
    };
  }

  async launch(request: LaunchRequest): Promise<Instance> {
    const { name } = request;
    requireName(name, 'docker launch');
    const refusal = refuseWish(request.shape, this.capabilities);
    if (refusal !== undefined) throw new ProviderError('invalid', 'docker launch', refusal);
    let instance: Instance;
    try {
      instance = await this.#create(request);
    } catch (error) {
      const said = classify('create', error);
      if (said.kind !== 'conflict') throw withoutSecrets(said, request);
      instance = await this.#adopt(request, said);
    }
    if (instance.state !== 'pending') return instance;
    // New, or left by a dispatcher that died between the two calls.
    try {
      await this.#engine.start(instance.ref.id);
    } catch (error) {
      const said = classify('start', error);
      // A definite refusal must leave nothing behind. If the cleanup fails, the refusal is no longer definite.
      if (said.kind !== 'transient') await this.#engine.remove(instance.ref.id);
      throw withoutSecrets(said, request);
    }
    return { ...instance, state: 'running' };
  }

  async inspect(ref: InstanceRef): Promise<Instance | undefined> {
    requireName(ref.name, 'docker inspect');
    const container = await this.#engine.inspect(ref.id ?? ref.name);
    // The engine also matches prefixes of an id.
    if (container === undefined || (ref.id !== undefined && container.Id !== ref.id)) return undefined;
    return fromInspected(container, ref.name);
  }

  async list(owner: { readonly dispatcher: string }): Promise<readonly Instance[]> {
    const containers = await this.#engine.list(owner.dispatcher);
    return containers.flatMap((container) => fromListed(container) ?? []);
  }

  async stop(ref: InstanceRef): Promise<void> {
    // By name the engine would stop any container, so check the labels first.
    const instance = await this.inspect(ref);
    if (instance === undefined) return;
    if (instance.state === 'running' || instance.state === 'unknown') await this.#engine.stop(instance.ref.id);
    await this.#engine.remove(instance.ref.id);
  }

  async logs(ref: InstanceRef): Promise<string | undefined> {
    const instance = await this.inspect(ref);
    return instance === undefined ? undefined : this.#engine.logs(instance.ref.id);
  }

  async check(use?: CheckedUse): Promise<readonly Finding[]> {
    const findings: Finding[] = [];
    try {
      const engine = await this.#engine.version();
      const lacks = [
        ...(engine.MemoryLimit === false ? ['memory limits'] : []),
        ...(engine.PidsLimit === false ? ['pids limits'] : []),
        ...(engine.CpuCfsQuota === false ? ['cpu quotas'] : []),
      ];
      const size = `${coresInWords(engine.NCPU)}, ${Math.floor(engine.MemTotal / 2 ** 30)} GiB`;
      findings.push(
        lacks.length === 0
          ? {
              subject: 'engine',
              ok: true,
              message: `Docker ${engine.Version} (API ${engine.ApiVersion}), ${size}${this.#at()}`,
            }
          : {
              subject: 'engine',
              ok: false,
              message: `Docker ${engine.Version} does not enforce ${lacks.join(', ')}`,
              cure: 'enable these control groups in the kernel of the engine (docker info prints what is missing)',
            },
      );
      const architecture = { amd64: 'x64', arm64: 'arm64' }[engine.Arch] ?? engine.Arch;
      if (!this.capabilities.architectures.some((known) => known === architecture)) {
        findings.push({
          subject: 'engine',
          ok: false,
          message: `the engine runs on ${architecture}, the backend says ${this.capabilities.architectures.join(', ')}`,
          cure: `set the option architecture to ${architecture}`,
        });
      }
    } catch (error) {
      findings.push(unreachable(classify('version', error), this.#options.place));
      return findings;
    }
    const { network, registryAuth } = this.#options;
    if (network !== undefined) {
      findings.push(
        await this.#engine.requireNetwork(network).then(
          (): Finding => ({ subject: 'network', ok: true, message: `network ${network} is there` }),
          (error: unknown): Finding => ({
            subject: 'network',
            ok: false,
            message: classify('network', error).message,
            cure: `docker network create ${network}`,
          }),
        ),
      );
    }
    if (registryAuth !== undefined) {
      findings.push(
        await this.#engine.requireLogin(registryAuth).then(
          (): Finding => ({ subject: 'credentials', ok: true, message: `login at ${registryAuth.server}` }),
          (error: unknown): Finding => ({
            subject: 'credentials',
            ok: false,
            message: classify('auth', error).message,
            cure: `fix registryAuth; try it with: docker login ${registryAuth.server}`,
          }),
        ),
      );
    }
    findings.push(...(await checkEngineImages(use?.images ?? [], this.#engine, this.#options, this.#deadlines)));
    return findings;
  }

  imageLabels(reference: string, architecture: Architecture): Promise<ImageLabels> {
    return labelsAtEngine(reference, architecture, this.#engine, this.#options, this.#deadlines);
  }

  async close(): Promise<void> {
    // Idle connections belong to Node's own agent: it drops them after seconds, and they do not keep the process alive.
  }

  async #create(request: LaunchRequest): Promise<Instance> {
    const body = containerBody(request, this.#options);
    const instance = (id: string): Instance => ({
      ref: { name: request.name, id },
      state: 'pending',
      tags: request.tags,
    });
    try {
      return instance(await this.#engine.create(request.name, body));
    } catch (error) {
      const missing = error instanceof ProviderError && error.code === '404' && error.kind === 'invalid';
      if (!missing || this.#options.pull === 'never') throw error;
    }
    await this.#pull(request.shape.image);
    return instance(await this.#engine.create(request.name, body));
  }

  async #adopt(request: LaunchRequest, conflict: ProviderError): Promise<Instance> {
    const container = await this.#engine.inspect(request.name);
    if (container === undefined) {
      // Removed in the meantime. The name is free again, but this launch has had its answer.
      throw new ProviderError('transient', conflict.operation, conflict.message, { cause: conflict });
    }
    const instance = fromInspected(container, request.name);
    if (instance?.tags?.dispatcher !== request.tags.dispatcher) throw conflict;
    return instance;
  }

  #pull(image: string): Promise<void> {
    const running = this.#pulls.get(image);
    if (running !== undefined) return running;
    const pull = this.#engine.pull(image).finally(() => this.#pulls.delete(image));
    this.#pulls.set(image, pull);
    return pull;
  }

  #at(): string {
    const { place } = this.#options;
    return place.found ? `, at ${place.words}` : '';
  }
}

function requireName(name: string, operation: string): void {
  if (NAME.test(name)) return;
  throw new ProviderError('invalid', operation, `${JSON.stringify(name)} is not a valid name: [a-z0-9-], at most 63`);
}
