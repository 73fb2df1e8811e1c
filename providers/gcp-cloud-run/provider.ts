/** Each instance is an execution of a Cloud Run Job. */
import { Deadlines } from '../kit/deadlines.ts';
import { withoutSecrets } from '../kit/redact.ts';
import { refuseWish } from '../kit/wish.ts';
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
import { checkImages } from '../registry/check-images.ts';
import { readImageLabels } from '../registry/image-labels.ts';
import { CloudRun } from './calls.ts';
import { check } from './check.ts';
import { Jobs } from './jobs.ts';
import type { CloudRunOptions } from './options.ts';
import { pullerOf } from './puller.ts';
import { jobFor, overridesFor, refuseForCloudRun } from './request.ts';
import { Sightings } from './sightings.ts';
import { sizeFor } from './sizes.ts';
import { type ExecutionAnswer, hasEnded, instanceOf, isGone, type Sighting, sighting } from './state.ts';

const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;
const DISPATCHER = /^[a-z0-9][a-z0-9-]{0,30}$/;

export class CloudRunProvider implements Provider {
  readonly capabilities: Capabilities;
  readonly #options: CloudRunOptions;
  readonly #host: ProviderHost;
  readonly #service: CloudRun;
  readonly #jobs: Jobs;
  readonly #sightings: Sightings;
  readonly #launches = new Map<string, Promise<Instance>>();
  readonly #removals = new Map<string, Promise<void>>();
  #tidying: Promise<void> = Promise.resolve();

  constructor(options: CloudRunOptions, host: ProviderHost) {
    this.#options = options;
    this.#host = host;
    this.#service = new CloudRun(options, host);
    this.#jobs = new Jobs(this.#service, options, host);
    this.#sightings = new Sightings(this.#service, host);
    this.capabilities = {
      architectures: ['x64'],
      spot: false,
      dockerInDocker: false,
      // The container's disk is its memory.
      disk: false,
      bucket: true,
      // A connector has its own subnet.
      subnet: options.connector === undefined,
      securityGroup: options.connector === undefined,
      logs: true,
      // Anyone allowed to read executions (run.executions.get) can read their environment.
      secretEnvironment: false,
      longestLifeMs: options.longestLifeHours * 3_600_000,
    };
  }

  fit(wish: ShapeWish): Fit {
    const refusal = refuseForCloudRun(wish, this.#options) ?? refuseWish(wish, this.capabilities);
    if (refusal !== undefined) return { fits: false, reason: refusal };
    const sized = sizeFor(wish);
    if ('reason' in sized) return { fits: false, reason: sized.reason };
    return {
      fits: true,
      shape: { ...wish, ...sized.size },
      ...(sized.note === undefined ? {} : { note: sized.note }),
    };
  }

  async launch(request: LaunchRequest): Promise<Instance> {
    requireName(request.name, 'gcp-cloud-run launch');
    if (!DISPATCHER.test(request.tags.dispatcher)) {
      throw new ProviderError('invalid', 'gcp-cloud-run launch', "the dispatcher's id does not fit into a label");
    }
    const refusal = refuseForCloudRun(request.shape, this.#options) ?? refuseWish(request.shape, this.capabilities);
    if (refusal !== undefined) throw new ProviderError('invalid', 'gcp-cloud-run launch', refusal);
    // Launches with the same name run one after the other, so that the second finds what the first has created.
    const earlier = this.#launches.get(request.name);
    const launch = (earlier === undefined ? Promise.resolve() : earlier.then(settled, settled)).then(() =>
      this.#launch(request),
    );
    this.#launches.set(request.name, launch);
    try {
      return await launch;
    } catch (error) {
      throw withoutSecrets(error, request);
    } finally {
      if (this.#launches.get(request.name) === launch) this.#launches.delete(request.name);
    }
  }

  /**
   * RunJob accepts neither a name nor a token, so if the name may already be in use: look; run; look again. Of several
   * executions with one name, the first by the service's own clock is the instance, for all processes alike; the
   * creator of a later one removes it. A run whose answer was lost and that takes effect even later also loses; it has
   * the same JIT configuration, which GitHub lets serve only one listener. `stop` and the sweep remove it.
   */
  async #launch(request: LaunchRequest): Promise<Instance> {
    const { name, shape, tags } = request;
    const definition = jobFor(shape, tags, this.#options);
    const overrides = overridesFor(request, this.#options);
    const isNew = request.nameIsNew === true;
    const existing = isNew ? undefined : await this.#first(name);
    if (existing !== undefined) return adopt(existing, request);
    const made = await this.#jobs.use(definition, () => this.#service.runJob(definition.id, overrides));
    const mine = this.#sightings.add(made);
    if (isNew && mine !== undefined) return instanceOf(made, mine);
    try {
      const first = await this.#first(name);
      if (first === undefined) {
        throw new ProviderError('transient', 'gcp-cloud-run RunJob', 'it was accepted, but then could not be found');
      }
      if (mine !== undefined && first.seen.id !== mine.id) await this.#remove(mine.id);
      return adopt(first, request);
    } catch (error) {
      if (!(error instanceof ProviderError) || error.kind === 'conflict') throw error;
      // It has started: a refusal of a later step does not undo that.
      throw new ProviderError('transient', error.operation, error.message, { cause: error });
    }
  }

  async inspect(ref: InstanceRef): Promise<Instance | undefined> {
    requireName(ref.name, 'gcp-cloud-run inspect');
    const found = await this.#find(ref);
    if (found === undefined) return undefined;
    const task = hasEnded(found.execution) ? await this.#service.taskOf(found.seen.id) : undefined;
    return instanceOf(found.execution, found.seen, task);
  }

  async list(owner: { readonly dispatcher: string }): Promise<readonly Instance[]> {
    const executions = await this.#service.listExecutions();
    this.#sightings.addAll(executions);
    const firsts = new Map<string, Found>();
    for (const execution of executions) {
      const seen = sighting(execution);
      if (seen?.tags?.dispatcher !== owner.dispatcher || isGone(execution)) continue;
      const other = firsts.get(seen.name);
      if (other === undefined || isEarlier(seen, other.seen)) firsts.set(seen.name, { execution, seen });
    }
    // Sweeps are based on lists, so this is a good time for our own cleanup. Its failure does not affect the list.
    this.#tidying = this.#tidying.then(() => this.#jobs.tidy(owner.dispatcher, executions)).catch(() => undefined);
    return [...firsts.values()].map(({ execution, seen }) => instanceOf(execution, seen));
  }

  async stop(ref: InstanceRef): Promise<void> {
    requireName(ref.name, 'gcp-cloud-run stop');
    const all = (await this.#allOf(ref.name)).filter(({ seen }) => seen.tags !== undefined);
    if (ref.id !== undefined && !all.some(({ seen }) => seen.id === ref.id)) return;
    await Promise.all(all.map(({ seen }) => this.#remove(seen.id)));
    for (const { seen } of all) this.#sightings.forget(seen);
  }

  async logs(ref: InstanceRef): Promise<string | undefined> {
    requireName(ref.name, 'gcp-cloud-run logs');
    const found = await this.#find(ref);
    if (found === undefined) return undefined;
    const text = await this.#service.logs(found.seen.id);
    return text === '' ? undefined : text;
  }

  async check(use?: CheckedUse): Promise<readonly Finding[]> {
    const { timeoutMs } = this.#options;
    const images = checkImages(
      use?.images ?? [],
      pullerOf(() => this.#service.token()),
      new Deadlines(this.#host),
      timeoutMs,
    );
    const [findings, ofImages] = await Promise.all([check(this.#service, this.#options), images]);
    return [...findings, ...ofImages];
  }

  imageLabels(reference: string, architecture: Architecture): Promise<ImageLabels> {
    const within = { deadlines: new Deadlines(this.#host), timeoutMs: this.#options.timeoutMs };
    return readImageLabels(
      reference,
      architecture,
      pullerOf(() => this.#service.token()),
      within,
    );
  }

  async close(): Promise<void> {
    await this.#tidying;
    await this.#service.close();
  }

  /** Only if it is ours. */
  async #find(ref: InstanceRef): Promise<Found | undefined> {
    if (ref.id === undefined) {
      const first = await this.#first(ref.name);
      return first?.seen.tags === undefined ? undefined : first;
    }
    if (!/^[a-z0-9-]+\/[a-z0-9-]+$/.test(ref.id)) return undefined;
    const execution = await this.#service.getExecution(ref.id);
    const seen = execution === undefined ? undefined : sighting(execution);
    if (execution === undefined || seen?.tags === undefined || seen.name !== ref.name || isGone(execution)) {
      return undefined;
    }
    return { execution, seen };
  }

  /** Missing tags show that the name is held by a foreign execution. */
  async #first(name: string): Promise<Found | undefined> {
    for (const seen of await this.#sightings.of(name)) {
      const found = await this.#still(seen);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  async #allOf(name: string): Promise<Found[]> {
    const seen = await this.#sightings.of(name);
    const found = await Promise.all(seen.map((one) => this.#still(one)));
    return found.flatMap((one) => one ?? []);
  }

  async #still(seen: Sighting): Promise<Found | undefined> {
    const execution = await this.#service.getExecution(seen.id);
    if (execution !== undefined && !isGone(execution)) return { execution, seen };
    this.#sightings.forget(seen);
    return undefined;
  }

  /** Once, however many callers ask for it. */
  #remove(id: string): Promise<void> {
    const running = this.#removals.get(id);
    if (running !== undefined) return running;
    const removal = this.#cancelAndDelete(id).finally(() => this.#removals.delete(id));
    this.#removals.set(id, removal);
    return removal;
  }

  /**
   * Cancelling ends the container with ten seconds of grace; deletion alone is not documented to. Both are writes, so
   * an execution that has already ended is only deleted.
   */
  async #cancelAndDelete(id: string): Promise<void> {
    const execution = await this.#service.getExecution(id);
    if (execution === undefined || isGone(execution)) return;
    if (!hasEnded(execution)) {
      await this.#service.cancelExecution(id);
      await this.#until(id, 'ended', (seen) => seen === undefined || hasEnded(seen));
    }
    await this.#service.deleteExecution(id);
    await this.#until(id, 'gone', (seen) => seen === undefined || isGone(seen));
  }

  async #until(id: string, what: string, done: (seen: ExecutionAnswer | undefined) => boolean): Promise<void> {
    const giveUpAtMs = this.#host.now() + this.#options.readyTimeoutMs;
    for (;;) {
      if (done(await this.#service.getExecution(id))) return;
      if (this.#host.now() >= giveUpAtMs) {
        throw new ProviderError(
          'transient',
          'gcp-cloud-run stop',
          `${id} was not ${what} within ${this.#options.readyTimeoutMs} ms`,
          { code: 'timeout' },
        );
      }
      await this.#host.sleep(this.#options.pollMs);
    }
  }
}

interface Found {
  readonly execution: ExecutionAnswer;
  readonly seen: Sighting;
}

function adopt({ execution, seen }: Found, request: LaunchRequest): Instance {
  if (seen.tags?.dispatcher !== request.tags.dispatcher) {
    throw new ProviderError('conflict', 'gcp-cloud-run RunJob', `${seen.id} has the name ${seen.name} and is not ours`);
  }
  return instanceOf(execution, seen);
}

function isEarlier(one: Sighting, other: Sighting): boolean {
  return `${one.createdAt} ${one.id}` < `${other.createdAt} ${other.id}`;
}

function settled(): void {
  // However the earlier launch ended, the next one looks for itself.
}

function requireName(name: string, operation: string): void {
  if (NAME.test(name)) return;
  throw new ProviderError('invalid', operation, `${JSON.stringify(name)} is not a valid name: [a-z0-9-], at most 63`);
}
