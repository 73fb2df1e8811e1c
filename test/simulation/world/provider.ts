/**
 * A container service in memory. `Account` is what the customer has there, with all its instances; several backends
 * can share one. What a backend sees of it goes through provider-port.ts.
 */

import type { JitAnswer } from '../../../dispatcher/lifecycle/standby/hand-over.ts';
import type {
  Instance,
  InstanceReason,
  InstanceRef,
  InstanceState,
  InstanceTags,
  LaunchRequest,
} from '../../../providers/provider.ts';
import type { Clock } from '../../../time/clock.ts';
import type { Dice } from '../faults.ts';
import type { Stream } from '../random.ts';
import type { History } from '../trace.ts';
import type { GithubWorld, RunnerProcess } from './github.ts';
import type { WorldJob } from './jobs.ts';

/** What the invariants want to hear of. */
export interface ProviderWitness {
  instanceCreated(instance: WorldInstance): void;
  /** An instance that has not ended is told to stop. */
  instanceStopped(instance: WorldInstance): void;
  /** A container that was started ahead of its job was handed a JIT configuration. */
  handedOver(instance: WorldInstance, jit: string): void;
  /** A launch was said to be the first of its name, and is not. */
  nameWasNotNew(name: string): void;
}

/** Of a runner that was launched for a job: five minutes, and the ten by which its container waits longer. */
const USUAL_IDLE_SECONDS = 900;

export interface WorldInstance {
  readonly name: string;
  readonly id: string;
  /** `registration/backend`, whose credentials asked for it. */
  readonly backend: string;
  readonly tags: InstanceTags;
  readonly image: string;
  readonly createdAtMs: number;
  /** The service made it after the caller had been told that the call had failed. */
  readonly behindOurBack: boolean;
  state: InstanceState;
  reason: InstanceReason | undefined;
  job: WorldJob | undefined;
  hasHadJob: boolean;
  /** Started ahead of its job: when it got one. */
  readonly isAhead: boolean;
  /** Registered ahead of its job: it may wait for one for longer than others. */
  readonly isWarm: boolean;
  handedOverAtMs: number | undefined;
  /** Not shown before this time: the service's own index lags. */
  readonly visibleAtMs: number;
  /** When a listing left it out, which no listing has shown since. */
  leftOutAtMs: number | undefined;
  removed: boolean;
}

export function isLive(instance: WorldInstance): boolean {
  return instance.state === 'pending' || instance.state === 'running';
}

/** As the limits of the scenario's registrations say. */
const FORGOTTEN_MS = 15 * 60_000;

export interface AccountOptions {
  readonly name: string;
  readonly clock: Clock;
  readonly dice: Dice;
  readonly history: History;
  readonly witness: ProviderWitness;
  /** Whose runners run here: found by the JIT configuration's host. */
  readonly githubOf: (jit: string) => GithubWorld;
  /** Where containers that were started ahead of their jobs ask for one. Undefined: nobody answers. */
  readonly jitFor: (runner: string) => Promise<JitAnswer | undefined>;
  /** An image that this service cannot pull. */
  readonly brokenImage: string;
}

export class Account {
  readonly instances: WorldInstance[] = [];
  readonly #options: AccountOptions;
  readonly #luck: Stream;
  /** Of launches that were accepted or may have been. */
  readonly #launchedNames = new Set<string>();
  #nextId = 1;

  constructor(options: AccountOptions) {
    this.#options = options;
    this.#luck = options.dice.stream(`account ${options.name}`);
  }

  find(ref: InstanceRef): WorldInstance | undefined {
    return this.instances.find(
      (instance) => !instance.removed && instance.name === ref.name && (ref.id === undefined || ref.id === instance.id),
    );
  }

  get present(): readonly WorldInstance[] {
    return this.instances.filter((instance) => !instance.removed);
  }

  /** A launch is on its way. The returned function tells that it was a definite refusal. */
  launching(request: LaunchRequest): () => void {
    const { name, nameIsNew } = request;
    if (!this.#launchedNames.has(name)) {
      this.#launchedNames.add(name);
      return () => this.#launchedNames.delete(name);
    }
    if (nameIsNew === true) this.#options.witness.nameWasNotNew(name);
    return () => {};
  }

  /** Idempotent by name. */
  create(request: LaunchRequest, backend: string, behindOurBack: boolean): WorldInstance {
    const known = this.find({ name: request.name });
    if (known !== undefined) return known;
    const { clock, dice, history } = this.#options;
    const nowMs = clock.now();
    const jit = request.secretEnvironment['ACTIONS_RUNNER_INPUT_JITCONFIG'];
    const instance: WorldInstance = {
      name: request.name,
      id: `${this.#options.name}-${this.#nextId}`,
      backend,
      tags: request.tags,
      image: request.shape.image,
      createdAtMs: nowMs,
      behindOurBack,
      state: 'pending',
      reason: undefined,
      job: undefined,
      hasHadJob: false,
      isAhead: jit === undefined,
      isWarm: jit !== undefined && Number(request.environment['SHR_IDLE_SECONDS']) > USUAL_IDLE_SECONDS,
      handedOverAtMs: undefined,
      visibleAtMs: nowMs + (dice.hits('providerListGap') ? this.#luck.between(1_000, 20_000) : 0),
      leftOutAtMs: undefined,
      removed: false,
    };
    this.#nextId += 1;
    this.instances.push(instance);
    history.record(
      'provider',
      [instance.name],
      `created ${instance.id} on ${backend}${behindOurBack ? ' BEHIND OUR BACK' : ''}`,
    );
    this.#options.witness.instanceCreated(instance);
    this.#boot(instance, jit);
    return instance;
  }

  /** Ends it, whatever it does, and removes it soon after. */
  stop(instance: WorldInstance): void {
    if (isLive(instance)) {
      this.#options.witness.instanceStopped(instance);
      this.#end(instance, 'failed', { kind: 'stopped', message: 'stopped on request' });
      this.#options.clock.after(this.#luck.between(0, 20_000), () => this.#remove(instance));
      return;
    }
    this.#remove(instance);
  }

  #remove(instance: WorldInstance): void {
    if (instance.removed) return;
    instance.removed = true;
    this.#options.history.record('provider', [instance.name], 'removed');
  }

  readonly #processes = new Map<WorldInstance, { readonly process: RunnerProcess; readonly github: GithubWorld }>();

  #end(instance: WorldInstance, state: 'succeeded' | 'failed', reason: InstanceReason): void {
    if (!isLive(instance)) return;
    instance.state = state;
    instance.reason = reason;
    const subjects = instance.job === undefined ? [instance.name] : [instance.name, instance.job.name];
    this.#options.history.record('provider', subjects, `ended: ${reason.kind}, ${reason.message}`);
    instance.job = undefined;
    const running = this.#processes.get(instance);
    this.#processes.delete(instance);
    running?.github.disconnect(running.process);
  }

  #boot(instance: WorldInstance, jit: string | undefined): void {
    const { clock, dice } = this.#options;
    const slow = dice.hits('bootSlow');
    const never = dice.hits('bootNever');
    const fails = dice.hits('bootFails');
    const bootMs = slow ? this.#luck.between(600_000, 1_500_000) : this.#luck.magnitude(1_500, 90_000);
    if (instance.image === this.#options.brokenImage || fails) {
      const kind = fails && this.#luck.chance(0.5) ? 'no-stock' : 'image-pull-failed';
      clock.after(this.#luck.between(1_000, 30_000), () =>
        this.#end(instance, 'failed', { kind, message: `the service gave up: ${kind}` }),
      );
      return;
    }
    if (never) {
      this.#options.history.record('provider', [instance.name], 'will never boot');
      return;
    }
    if (dice.hits('spotKill')) {
      const lifeMs = this.#luck.magnitude(5_000, 1_800_000);
      clock.after(lifeMs, () => this.#end(instance, 'failed', { kind: 'spot-reclaimed', message: 'reclaimed' }));
    }
    clock.after(bootMs, () => {
      if (!isLive(instance)) return;
      instance.state = 'running';
      this.#options.history.record('provider', [instance.name], 'running');
      if (dice.hits('exitsEarly')) {
        clock.after(1_000, () => this.#exit(instance, 1));
        return;
      }
      if (jit !== undefined) {
        clock.after(this.#luck.between(500, 3_000), () => this.#listen(instance, jit));
        return;
      }
      if (dice.hits('neverAsks')) return;
      clock.after(this.#luck.between(500, 3_000), () => void this.#ask(instance, clock.now()));
    });
  }

  /** As `fetch-jit` of the image does: it gives up when no dispatcher has known it for long. */
  async #ask(instance: WorldInstance, heardAtMs: number): Promise<void> {
    const { clock, dice, jitFor, witness } = this.#options;
    if (!isLive(instance)) return;
    const answer = await jitFor(instance.name);
    if (!isLive(instance)) return;
    const again = (ms: number, atMs: number): void => void clock.after(ms, () => void this.#ask(instance, atMs));
    switch (answer?.kind) {
      case 'jit':
        witness.handedOver(instance, answer.encodedJitConfig);
        instance.handedOverAtMs ??= clock.now();
        if (dice.hits('jitLost')) again(5_000, clock.now());
        else clock.after(this.#luck.between(500, 3_000), () => this.#listen(instance, answer.encodedJitConfig));
        return;
      case 'not-yet':
        return again(1_000, clock.now());
      case 'never':
        return this.#exit(instance, 79);
      case undefined:
        if (clock.now() - heardAtMs >= FORGOTTEN_MS) this.#exit(instance, 76);
        else again(5_000, heardAtMs);
    }
  }

  #listen(instance: WorldInstance, jit: string): void {
    if (!isLive(instance)) return;
    const { clock, dice } = this.#options;
    const github = this.#options.githubOf(jit);
    let inJob = false;
    const process: RunnerProcess = {
      name: instance.name,
      jobStarted: (job) => {
        inJob = true;
        instance.job = job;
        instance.hasHadJob = true;
        clock.after(job.plan.durationMs, () => {
          if (!isLive(instance) || instance.job !== job) return;
          github.finish(process);
        });
      },
      jobFinished: () => {
        inJob = false;
        instance.job = undefined;
        this.#leave(instance);
      },
      registrationGone: () => {
        if (!inJob) clock.after(this.#luck.between(5_000, 60_000), () => this.#leave(instance));
      },
    };
    this.#processes.set(instance, { process, github });
    if (!github.connect(jit, process)) {
      this.#processes.delete(instance);
      const hangs = dice.hits('hangs');
      if (!hangs) clock.after(1_000, () => this.#exit(instance, 1));
      return;
    }
    if (dice.hits('fallsSilent')) {
      clock.after(this.#luck.magnitude(500, 600_000), () => {
        if (inJob || !isLive(instance) || this.#processes.get(instance)?.process !== process) return;
        this.#options.history.record('provider', [instance.name], 'falls silent: its connection is lost for good');
        this.#processes.delete(instance);
        github.disconnect(process);
      });
    }
  }

  /** The runner program has nothing left to do: it exits, or it hangs. */
  #leave(instance: WorldInstance): void {
    if (this.#options.dice.hits('hangs')) {
      this.#options.history.record('provider', [instance.name], 'hangs: its process does not end');
      return;
    }
    this.#options.clock.after(this.#luck.between(500, 8_000), () => this.#exit(instance, 0));
  }

  #exit(instance: WorldInstance, exitCode: number): void {
    this.#end(instance, exitCode === 0 ? 'succeeded' : 'failed', {
      kind: 'exited',
      message: `exit code ${exitCode}`,
      exitCode,
    });
  }
}

export function seenBy(instance: WorldInstance, state: InstanceState = instance.state): Instance {
  return {
    ref: { name: instance.name, id: instance.id },
    state,
    ...(instance.reason === undefined || state === 'unknown' ? {} : { reason: instance.reason }),
    tags: instance.tags,
  };
}
