/** Runs the steps on one backend, using only the provider contract, and leaves nothing behind. */
import { isDeepStrictEqual } from 'node:util';
import {
  type Instance,
  type InstanceRef,
  type LaunchRequest,
  type Provider,
  ProviderError,
} from '../../../providers/provider.ts';
import type { Clock } from '../../../time/clock.ts';
import { pause, withDeadline } from '../../../time/deadline.ts';
import { scrub } from '../../failures/scrub.ts';
import { LIFE_MINUTES, type Probe, VERIFIER } from './probe.ts';
import { tryRunner } from './runner.ts';
import { type StepName, stepNames } from './steps.ts';

export interface Step {
  readonly name: StepName;
  readonly outcome: 'confirmed' | 'failed' | 'skipped';
  readonly ms: number;
  readonly message: string;
}

export interface Verified {
  readonly steps: readonly Step[];
  readonly interrupted: boolean;
  /** Describes what was left behind, and what to do; undefined: nothing. */
  readonly left: string | undefined;
}

export interface Patience {
  /** From the service's acceptance until the container runs. */
  readonly runMs: number;
  /** Log services lag behind. */
  readonly outputMs: number;
  readonly goneMs: number;
}

export interface Verification {
  readonly provider: Provider;
  readonly probe: Probe;
  /** The backend as configured, and what is launched there with its real command. */
  readonly runner: { readonly provider: Provider; readonly request: LaunchRequest };
  readonly clock: Clock;
  readonly patience: Patience;
  /** Ctrl-C: skips the remaining steps, but still cleans everything up. */
  readonly signal: AbortSignal;
  /** As each step ends. */
  readonly onStep: (step: Step) => void;
  /** What it waits for. */
  readonly onWait: (text: string) => void;
}

/** A provider bounds its own calls; this is for one that fails to. */
const CALL_MS = 180_000;
const LAUNCH_MS = 900_000;
const LAUNCH_TRIES = 3;
const STOP_TRIES = 4;
const FIRST_LOOK_MS = 200;
const LAST_LOOK_MS = 5_000;
const MESSAGE_CHARACTERS = 600;

/** Does not reject. */
export async function verify(verification: Verification): Promise<Verified> {
  return new Walk(verification).go();
}

/** Removes what an earlier check left past its deadline. Returns how many are gone now. Rejects with ProviderError. */
export async function clearEarlier(provider: Provider, clock: Clock): Promise<number> {
  const instances = await provider.list({ dispatcher: VERIFIER });
  const late = instances.filter(({ tags }) => tags !== undefined && tags.deadlineAtMs < clock.now());
  for (const { ref } of late) await provider.stop(ref);
  return late.length;
}

class Walk {
  readonly #verification: Verification;
  readonly #steps: Step[] = [];
  #launching: Promise<unknown> | undefined;
  #instance: Instance | undefined;
  /** So far every launch was definitely refused, which by the contract leaves nothing behind. */
  #refused = true;

  constructor(verification: Verification) {
    this.#verification = verification;
  }

  async go(): Promise<Verified> {
    const { signal } = this.#verification;
    let left: string | undefined;
    try {
      await this.#walk();
    } catch (error) {
      // Only our own abort arrives here: a step keeps its failure.
      if (!signal.aborted) throw error;
    } finally {
      left = await this.#clear();
    }
    return { steps: this.#steps, interrupted: signal.aborted, left };
  }

  async #walk(): Promise<void> {
    const { provider, probe } = this.#verification;
    const { name } = probe.request;
    if (!(await this.#step('launch', () => this.#launch()))) {
      this.#skipFrom('launch-again', 'nothing was launched');
      return;
    }
    const id = this.#instance?.ref.id ?? name;
    await this.#step('launch-again', async () => {
      const again = await this.#call(LAUNCH_MS, this.#remember(provider.launch(probe.request)));
      if (again.ref.id !== id)
        throw new Error(`a second launch of the same name made another instance, ${again.ref.id}`);
      return 'a second launch of the same name is the same instance';
    });
    await this.#step('list', async () => {
      // A list may lag behind, but not indefinitely.
      const found = await this.#until(
        () => 'it is in the list',
        this.#verification.patience.goneMs,
        async () =>
          (await this.#call(CALL_MS, provider.list({ dispatcher: VERIFIER }))).find(({ ref }) => ref.name === name),
      );
      const wanted = probe.request.tags;
      if (!isDeepStrictEqual({ ...found.tags }, { ...wanted })) {
        throw new Error(`its tags in the list are not those it was given: ${JSON.stringify(found.tags)}`);
      }
      return `it is in the list, with its ${Object.keys(wanted).length} tags exactly as given`;
    });
    await this.#step('inspect', async () => {
      const byName = await this.#call(CALL_MS, provider.inspect({ name }));
      const byId = await this.#call(CALL_MS, provider.inspect({ name, id }));
      if (byName?.ref.id !== id) throw new Error(`by name it is ${byName?.ref.id ?? 'not there'}, and not ${id}`);
      if (byId?.ref.id !== id) throw new Error(`by its id it is ${byId?.ref.id ?? 'not there'}, and not ${id}`);
      return `by name and by id it is the same, ${byId.state}`;
    });
    const ran = await this.#step('run', () => this.#run({ name, id }));
    if (!provider.capabilities.logs) this.#skip('output', 'this service keeps no output');
    else if (ran) await this.#step('output', () => this.#output({ name, id }));
    else this.#skip('output', 'it did not run');
    await this.#step('secrecy', async () => {
      const shown = [
        await this.#call(CALL_MS, provider.list({ dispatcher: VERIFIER })),
        await this.#call(CALL_MS, provider.inspect({ name, id })),
      ];
      if (JSON.stringify(shown).includes(probe.secret)) throw new Error('list or inspect shows the secret');
      return provider.capabilities.secretEnvironment
        ? 'the secret is in neither list nor inspect'
        : 'the secret is in neither list nor inspect, as far as the provider shows them; accounts that may inspect containers can read it';
    });
    const stopped = await this.#step('stop', async () => {
      await this.#call(CALL_MS, provider.stop({ name, id }));
      return 'the service accepted to stop it';
    });
    if (!stopped) {
      this.#skipFrom('gone', 'it was not stopped');
      return;
    }
    await this.#step('gone', async () => {
      await this.#until(
        () => 'it is gone',
        this.#verification.patience.goneMs,
        async () => ((await this.#present({ name, id })) ? undefined : true),
      );
      return 'it is in neither inspect nor list any more';
    });
    await this.#step('stop-again', async () => {
      await this.#call(CALL_MS, provider.stop({ name, id }));
      await this.#call(CALL_MS, provider.stop({ name }));
      return 'stopping what is absent succeeds';
    });
    if (!ran) {
      this.#skip('runner', 'no container ran');
      return;
    }
    await this.#step('runner', () => {
      const { runner, clock, patience, signal } = this.#verification;
      // Bounded, but not aborted: what was launched is removed in any case.
      const call = <T>(work: Promise<T>): Promise<T> => bounded(clock, work, LAUNCH_MS);
      return tryRunner({ ...runner, clock, patience, signal, call });
    });
  }

  /** As the dispatcher does: what may have been created is launched again under the same name. */
  async #launch(): Promise<string> {
    const { provider, probe, clock, signal } = this.#verification;
    for (let attempt = 1; ; attempt += 1) {
      try {
        const instance = await this.#call(LAUNCH_MS, this.#remember(provider.launch(probe.request)));
        this.#instance = instance;
        return `accepted as ${instance.ref.id}, ${instance.state}${attempt === 1 ? '' : ` (attempt ${attempt})`}`;
      } catch (error) {
        const again = error instanceof ProviderError && (error.kind === 'transient' || error.kind === 'throttled');
        if (!again || attempt === LAUNCH_TRIES) throw error;
        this.#verification.onWait(`again in a moment: ${error.message}`);
        await pause(clock, Math.min(error.retryAfterMs ?? 1_000 * attempt, 60_000), signal);
      }
    }
  }

  async #run(ref: InstanceRef): Promise<string> {
    const { provider, patience } = this.#verification;
    let soFar = '';
    const awaited = (): string => `it runs${soFar}`;
    const instance = await this.#until(awaited, patience.runMs, async () => {
      const found = await this.#call(CALL_MS, provider.inspect(ref));
      if (found === undefined) throw new Error('it is gone before it ran');
      soFar = found.reason === undefined ? '' : ` (so far ${found.reason.kind}: ${found.reason.message})`;
      return found.state === 'pending' || found.state === 'unknown' ? undefined : found;
    });
    if (instance.state === 'running') return 'it runs';
    const why = instance.reason === undefined ? '' : `: ${instance.reason.kind}, ${instance.reason.message}`;
    if (instance.state === 'failed') throw new Error(`it failed${why}`);
    return `it has ended${why}`;
  }

  async #output(ref: InstanceRef): Promise<string> {
    const { provider, probe, patience } = this.#verification;
    const { says } = probe;
    let last = '';
    try {
      await this.#until(
        () => 'its output',
        patience.outputMs,
        async () => {
          last = (await this.#call(CALL_MS, provider.logs(ref))) ?? '';
          return last.includes(says) ? true : undefined;
        },
      );
    } catch (error) {
      if (last === '') throw error;
      throw new Error(`what it printed is not in its output, which ends with: ${last.slice(-200)}`);
    }
    return 'what it printed; plain and secret environment arrived whole';
  }

  async #present(ref: InstanceRef & { readonly id: string }): Promise<boolean> {
    const { provider } = this.#verification;
    if ((await this.#call(CALL_MS, provider.inspect({ name: ref.name }))) !== undefined) return true;
    if ((await this.#call(CALL_MS, provider.inspect(ref))) !== undefined) return true;
    const listed = await this.#call(CALL_MS, provider.list({ dispatcher: VERIFIER }));
    return listed.some(({ ref: { name } }) => name === ref.name);
  }

  /**
   * By name, whatever the steps reported: a launch that timed out may have taken effect, and one that is still
   * in flight may take effect after the stop. Returns what is left.
   */
  async #clear(): Promise<string | undefined> {
    const { provider, probe, clock, patience, onWait } = this.#verification;
    const { name } = probe.request;
    if (this.#launching === undefined) return undefined;
    if (this.#steps.some(({ name: step, outcome }) => step === 'gone' && outcome === 'confirmed')) return undefined;
    onWait('takes away what is left');
    const never = new AbortController().signal;
    await withDeadline(
      clock,
      LAUNCH_MS,
      () => new Error('the launch does not come to an end'),
      never,
      () => Promise.allSettled([this.#launching]),
    ).catch(() => undefined);
    let last: unknown;
    const endsAtMs = clock.now() + patience.goneMs;
    for (let attempt = 1; attempt <= STOP_TRIES; attempt += 1) {
      try {
        await bounded(clock, provider.stop({ name }));
        for (let waitMs = FIRST_LOOK_MS; ; waitMs = Math.min(2 * waitMs, LAST_LOOK_MS)) {
          if ((await bounded(clock, provider.inspect({ name }))) === undefined) return undefined;
          if (clock.now() >= endsAtMs) throw new Error('it is still there after it was stopped');
          await pause(clock, waitMs, never);
        }
      } catch (error) {
        last = error;
        // Tried anyway, but without permission to launch or list nothing can be left behind.
        if (this.#refused && error instanceof ProviderError && error.kind === 'unauthorized') return undefined;
      }
      if (clock.now() >= endsAtMs) break;
      if (attempt < STOP_TRIES) await pause(clock, 1_000 * attempt, never);
    }
    const id = this.#instance?.ref.id;
    return `${name}${id === undefined || id === name ? '' : ` (${id})`} could not be taken away: ${wordsOf(last)}. Its program ends by itself after ${LIFE_MINUTES} minutes; look for that name in the account and delete it, or run shr verify-live again later, which takes away what an earlier one left`;
  }

  /** True if it is confirmed. Rethrows our own abort. */
  async #step(name: StepName, work: () => Promise<string>): Promise<boolean> {
    const { clock, signal } = this.#verification;
    signal.throwIfAborted();
    const startedAtMs = clock.now();
    try {
      const message = await work();
      this.#record({ name, outcome: 'confirmed', ms: clock.now() - startedAtMs, message });
      return true;
    } catch (error) {
      if (signal.aborted) throw error;
      this.#record({ name, outcome: 'failed', ms: clock.now() - startedAtMs, message: wordsOf(error) });
      return false;
    }
  }

  #skip(name: StepName, message: string): void {
    this.#record({ name, outcome: 'skipped', ms: 0, message });
  }

  #skipFrom(name: StepName, message: string): void {
    for (const step of stepNames.slice(stepNames.indexOf(name))) this.#skip(step, message);
  }

  #record(step: Step): void {
    this.#steps.push(step);
    this.#verification.onStep(step);
  }

  /** So that the end can wait for what the abort left in flight. */
  #remember<T>(launch: Promise<T>): Promise<T> {
    const refusedBefore = this.#refused;
    this.#refused = false;
    this.#launching = launch.catch((error: unknown) => {
      this.#refused = refusedBefore && error instanceof ProviderError && error.kind !== 'transient';
    });
    return launch;
  }

  #call<T>(ms: number, call: Promise<T>): Promise<T> {
    const { clock, signal } = this.#verification;
    return withDeadline(
      clock,
      ms,
      () => new Error(`no answer within ${ms / 1000} s`),
      signal,
      () => call,
    );
  }

  async #until<T>(what: () => string, withinMs: number, look: () => Promise<T | undefined>): Promise<T> {
    const { clock, signal, onWait } = this.#verification;
    const startedAtMs = clock.now();
    for (let waitMs = FIRST_LOOK_MS; ; waitMs = Math.min(2 * waitMs, LAST_LOOK_MS)) {
      const found = await look();
      if (found !== undefined) return found;
      const waitedMs = clock.now() - startedAtMs;
      if (waitedMs >= withinMs) throw new Error(`not within ${Math.round(withinMs / 1000)} s: ${what()}`);
      onWait(`${Math.round(waitedMs / 1000)} s: until ${what()}`);
      await pause(clock, waitMs, signal);
    }
  }
}

function bounded<T>(clock: Clock, call: Promise<T>, ms = CALL_MS): Promise<T> {
  return withDeadline(
    clock,
    ms,
    () => new Error(`no answer within ${ms / 1000} s`),
    undefined,
    () => call,
  );
}

function wordsOf(error: unknown): string {
  const text =
    error instanceof ProviderError
      ? `${error.kind}: ${error.message}`
      : error instanceof Error
        ? error.message
        : String(error);
  return scrub(text, MESSAGE_CHARACTERS);
}
