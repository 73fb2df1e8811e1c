/** What must hold in every world, whatever goes wrong in it. Looked at with the world's own eyes, not with the ledger's. */

import type { Registration } from '../../dispatcher/model/registration.ts';
import type { History, Line } from './trace.ts';
import type { GithubWitness } from './world/github.ts';
import { JIT_MARKER } from './world/github.ts';
import type { WorldJob } from './world/jobs.ts';
import { isLive, type ProviderWitness, type WorldInstance } from './world/provider.ts';

export type Rule =
  | 'a job that stays queued runs'
  | 'no instance is stopped while its job runs'
  | 'nothing is left'
  | 'no cap is exceeded'
  | 'no name is used twice'
  | 'a name that is said to be new is new'
  | 'secrets stay secret'
  | 'a job that is refused or not ours gets no runner'
  | 'a job runs once'
  | 'launches are bounded'
  | 'a foreign runner is left alone'
  | 'a job that GitHub would give out starts soon'
  | 'a job that GitHub gives to no runner gets few'
  | 'a job is given up only after proof'
  | 'GitHub is asked with measure'
  | 'a runner is looked at with measure'
  | 'a registration that only observes calls no service'
  | 'a time limit is enforced and said'
  | 'no fact moves what its source cannot speak of'
  | 'a delivery that was answered is kept'
  | 'a container that we stopped is marked'
  | 'a parked container gets one job of its own registration'
  | 'the engine keeps its own contract';

export interface Violation {
  readonly rule: Rule;
  readonly atMs: number;
  readonly what: string;
  readonly story: readonly Line[];
}

export interface Cap {
  /**
   * `registration`, `registration/backend`, or empty for the whole dispatcher; `!registration` for all others, which leave it
   * what is reserved for it.
   */
  readonly of: string;
  readonly max: number;
  /** Another backend of the registration lists the same account: nothing tells afterwards which one launched what. */
  readonly sharesAccount: boolean;
}

export interface InvariantsOptions {
  readonly now: () => number;
  readonly history: History;
  readonly caps: readonly Cap[];
  /** The runner that the JIT configuration is of, as GitHub has it. */
  readonly registeredFor: (jit: string) => { readonly name: string; readonly labels: readonly string[] } | undefined;
  /** Label sets that must never be registered: of refused jobs and of those that are not ours. */
  readonly forbiddenLabels: readonly (readonly string[])[];
}

/** More of them tell nothing new, and a broken engine makes thousands. */
const MAX_VIOLATIONS = 20;
const ASKED_WITHIN_MS = 60_000;
/** As many launches as are under way when it begins, and then one second doubled to a minute. */
const MAX_ASKED = 30;
/** All lives of a minute are one: what visits a runner without a pause makes thousands. */
const MAX_LOOKS = 30;
/** After a lost ledger: a start, and listings that fail for a while. */
const UNLISTED_MS = 30 * 60_000;
/** From the call of a stop to its effect. */
const MAX_STOP_MS = 60_000;
/** What was written for so long is on the disk. */
const UNSYNCED_MS = 1_000;
/** From the moment that a container gets its job, from which its limit counts, to the one at which it has it. */
const HAND_OVER_MS = 90_000;
const PROOF_MISSES = 3;
const PROOF_SPAN_MS = 180_000;

export function labelKey(labels: readonly string[]): string {
  return [...new Set(labels.map((label) => label.toLowerCase()))].sort().join(',');
}

export class Invariants implements GithubWitness, ProviderWitness {
  readonly violations: Violation[] = [];
  readonly instances: WorldInstance[] = [];
  readonly #options: InvariantsOptions;
  readonly #forbidden: ReadonlySet<string>;
  readonly #registered = new Set<string>();
  readonly #created = new Set<string>();
  readonly #handedOver = new Set<string>();
  readonly #waited = new Map<WorldJob, number>();
  readonly #asked = new Map<string, readonly number[]>();
  readonly #looks = new Map<string, readonly number[]>();
  #ledgerLostAtMs: number | undefined;
  /** Backends that this life of the process has listed. */
  readonly #listed = new Set<string>();
  readonly #powerLostAtMs: number[] = [];
  readonly #overdue = new Set<WorldInstance>();
  /** Of containers that were started ahead: what the labels of their registration say, by name. */
  readonly #limitsAhead = new Map<string, number>();
  /** The same of runners that were registered ahead. */
  readonly #limitsRegistered = new Map<string, number>();
  /** That were alive when a stop reached them. */
  readonly #stopped = new Set<string>();
  readonly #missing = new Map<string, { readonly count: number; readonly firstMs: number }>();
  /** Jobs that ran on a runner with other labels than their own. */
  steals = 0;
  mostLooks = 0;
  registrations = 0;
  /** The runners that were registered, by label set. */
  readonly registrationsFor = new Map<string, readonly string[]>();
  /** When a job last started or completed. */
  lastProgressAtMs: number;

  constructor(options: InvariantsOptions) {
    this.#options = options;
    this.#forbidden = new Set(options.forbiddenLabels.map(labelKey));
    this.lastProgressAtMs = options.now();
  }

  get nowMs(): number {
    return this.#options.now();
  }

  /** So much is wrong that going on tells nothing new. */
  get tooMany(): boolean {
    return this.violations.length >= MAX_VIOLATIONS;
  }

  violate(rule: Rule, what: string, subjects: readonly string[] = []): void {
    this.#options.history.record('world', subjects, `VIOLATION: ${rule}: ${what}`);
    if (this.violations.length >= MAX_VIOLATIONS) return;
    this.violations.push({
      rule,
      atMs: this.#options.now(),
      what,
      story: this.#options.history.storyOf(subjects),
    });
  }

  runnerRegistered(name: string, labels: readonly string[]): void {
    this.registrations += 1;
    const wanted = labelKey(labels);
    this.registrationsFor.set(wanted, [...(this.registrationsFor.get(wanted) ?? []), name]);
    if (this.#registered.has(name)) this.violate('no name is used twice', `${name} registered again`, [name]);
    this.#registered.add(name);
    const minutes = minutesIn(labels);
    if (minutes !== undefined) this.#limitsRegistered.set(name, minutes * 60_000);
    if (this.#forbidden.has(labelKey(labels))) {
      this.violate('a job that is refused or not ours gets no runner', `${name} for ${labels.join(',')}`, [name]);
    }
  }

  foreignRunnerDeleted(name: string): void {
    this.violate('a foreign runner is left alone', `${name} was deleted`, [name]);
  }

  jobStarted(job: WorldJob, runner: { readonly name: string; readonly labels: readonly string[] }): void {
    this.lastProgressAtMs = this.#options.now();
    if (labelKey(job.plan.labels) !== labelKey(runner.labels)) this.steals += 1;
    if (job.starts > 1 + job.requeues) {
      this.violate('a job runs once', `${job.name} started ${job.starts} times`, [job.name]);
    }
  }

  jobCompleted(_job: WorldJob): void {
    this.lastProgressAtMs = this.#options.now();
  }

  /**
   * Jobs that GitHub would give to the next runner. Time in which their registration has room for one counts: somebody
   * should have launched it.
   */
  waitsFor(registration: Registration, givable: readonly WorldJob[], ms: number, limitMs: number): void {
    const expected = givable.filter((job) => job.plan.expectation === 'runs');
    if (expected.length === 0 || !this.#hasRoom(registration)) return;
    for (const job of expected) {
      const waitedMs = (this.#waited.get(job) ?? 0) + ms;
      this.#waited.set(job, waitedMs);
      if (waitedMs < limitMs || waitedMs - ms >= limitMs) continue;
      const what = `${job.name} has waited for ${Math.round(waitedMs / 60_000)} min beside free places`;
      this.violate('a job that GitHub would give out starts soon', what, [job.name]);
    }
  }

  #hasRoom({ backends, maxRunners, name }: Registration): boolean {
    // What waits for no job makes room.
    const live = this.instances.filter(
      (instance) => isLive(instance) && !instance.behindOurBack && !isParked(instance) && !isIdleAhead(instance),
    );
    const of = (what: string) => live.filter((instance) => isWithin(instance, what)).length;
    const most = this.#options.caps.find((cap) => cap.of === '')?.max ?? 0;
    if (live.length >= most || of(name) >= maxRunners) return false;
    // What is reserved for another one may be kept from it, unless it takes what is reserved for itself.
    const others = this.#options.caps.filter((cap) => cap.of.startsWith('!') && cap.of !== `!${name}`);
    const kept = others.reduce((sum, cap) => sum + Math.max(0, most - cap.max - of(cap.of.slice(1))), 0);
    if (most - live.length - kept <= 0) return false;
    return backends.some((backend) => of(`${name}/${backend.name}`) < backend.maxRunners);
  }

  /** GitHub is asked for a runner in the middle of an outage. */
  askedInOutage(registration: string): void {
    const now = this.#options.now();
    const calls = [...(this.#asked.get(registration) ?? []).filter((atMs) => atMs > now - ASKED_WITHIN_MS), now];
    this.#asked.set(registration, calls);
    if (calls.length !== MAX_ASKED + 1) return;
    const what = `${registration} asked for ${calls.length} runners within a minute of an outage`;
    this.violate('GitHub is asked with measure', what, [registration]);
  }

  /**
   * A service is called at all. A process whose ledger remembers nothing lists the backends of each registration until it has
   * listed all of them: what ran before is looked after to its end.
   */
  called({ backends, name, observe }: Registration, backend: string, call: string): void {
    if (observe !== true) return;
    const areListed = backends.every((one) => this.#listed.has(`${name}/${one.name}`));
    if (call === 'list' && !areListed) return;
    this.violate('a registration that only observes calls no service', `${call} at ${name}/${backend}`, [name]);
  }

  /** What it answered was not an error. */
  answered({ name }: Registration, backend: string, call: string): void {
    if (call === 'list') this.#listed.add(`${name}/${backend}`);
  }

  lifeBegan(): void {
    this.#listed.clear();
  }

  /** A service is called about one runner or instance. */
  lookedAt(subject: string): void {
    const now = this.#options.now();
    const looks = [...(this.#looks.get(subject) ?? []).filter((atMs) => atMs > now - ASKED_WITHIN_MS), now];
    this.#looks.set(subject, looks);
    this.mostLooks = Math.max(this.mostLooks, looks.length);
    if (looks.length !== MAX_LOOKS + 1) return;
    this.violate('a runner is looked at with measure', `${subject}: ${looks.length} calls within a minute`, [subject]);
  }

  /** Containers whose job goes on after its limit and this long, counted from `sinceMs` where that is later. */
  watchTimeLimits(sinceMs: number, slackMs: number): void {
    for (const instance of this.instances) {
      const limitMs = instance.job?.plan.timeLimitMs;
      if (limitMs === undefined || !isLive(instance) || this.#overdue.has(instance)) continue;
      const startedAtMs = instance.isWarm ? (instance.job?.startedAtMs ?? undefined) : undefined;
      const fromMs = instance.handedOverAtMs ?? startedAtMs ?? instance.createdAtMs;
      const overdueMs = this.nowMs - Math.max(fromMs + limitMs, sinceMs);
      if (overdueMs <= slackMs) continue;
      this.#overdue.add(instance);
      const what = `${instance.name} runs ${instance.job?.name} ${Math.round(overdueMs / 60_000)} min after its limit`;
      this.violate('a time limit is enforced and said', what, [instance.name]);
    }
  }

  /** What the dispatcher knew of an outage died with its process, and so did its pauses. */
  started(): void {
    this.#asked.clear();
    this.#looks.clear();
  }

  jobMissing(job: string): void {
    const now = this.#options.now();
    const before = this.#missing.get(job);
    this.#missing.set(job, { count: (before?.count ?? 0) + 1, firstMs: before?.firstMs ?? now });
  }

  /** The engine takes the job for gone. */
  jobDropped(key: string): void {
    const [, ...place] = key.split('/');
    const name = `job-${place.at(-1)}`;
    const seen = this.#missing.get(place.join('/'));
    const spanMs = seen === undefined ? 0 : this.#options.now() - seen.firstMs;
    if (seen !== undefined && seen.count >= PROOF_MISSES && spanMs >= PROOF_SPAN_MS) return;
    const what = `${name} after ${seen?.count ?? 0} answers of 404 in ${Math.round(spanMs / 1000)} s`;
    this.violate('a job is given up only after proof', what, [name]);
  }

  instanceCreated(instance: WorldInstance): void {
    this.instances.push(instance);
    // What a lost request makes of a name minutes later is beyond anybody's care; it must be found and taken down.
    if (this.#created.has(instance.name) && !instance.behindOurBack) {
      this.violate('no name is used twice', `a second instance ${instance.name}`, [instance.name]);
    }
    this.#created.add(instance.name);
    if (JSON.stringify([instance.name, instance.tags]).includes(JIT_MARKER)) {
      this.violate('secrets stay secret', `${instance.name} carries its JIT configuration in its tags`, [
        instance.name,
      ]);
    }
    for (const cap of this.#options.caps) {
      const live = this.instances.filter(
        (other) =>
          isLive(other) && !other.behindOurBack && isWithin(other, cap.of) && !this.#isUnknown(other, instance, cap),
      );
      if (live.length > cap.max && isWithin(instance, cap.of) && !instance.behindOurBack) {
        const whose = cap.of === '' ? 'the dispatcher' : cap.of.replace('!', 'others than ');
        this.violate('no cap is exceeded', `${live.length} instances of ${whose}, at most ${cap.max}`, [instance.name]);
      }
    }
  }

  ledgerLost(): void {
    this.#ledgerLostAtMs = this.nowMs;
    this.#stopped.clear();
  }

  powerLost(): void {
    this.#powerLostAtMs.push(this.nowMs);
  }

  /**
   * With a new ledger a registration launches once its own backends are listed, and does not wait for the others': what
   * these had before counts against the dispatcher's cap only when it has been listed. And what a listing left out, since
   * the ledger was lost, is known to no one. Of two backends of one account either may be taken for an instance's own.
   */
  #isUnknown(other: WorldInstance, instance: WorldInstance, cap: Cap): boolean {
    if (this.#powerLostAtMs.some((atMs) => this.#wasForgotten(other, atMs))) return true;
    const lostAtMs = this.#ledgerLostAtMs;
    if (lostAtMs === undefined || this.nowMs - lostAtMs > UNLISTED_MS || other.createdAtMs > lostAtMs) return false;
    if (other.leftOutAtMs !== undefined && other.leftOutAtMs > lostAtMs) return true;
    if (cap.sharesAccount) return true;
    const [whose] = instance.backend.split('/');
    return (cap.of === '' || cap.of.startsWith('!')) && !isWithin(other, whose ?? '');
  }

  /**
   * Its row was lost with the power, or what the row said of the call that was about to leave: it counts once a listing
   * has shown it. The call left before it was created, which may be after the power was lost.
   */
  #wasForgotten({ createdAtMs, tags }: WorldInstance, powerLostAtMs: number): boolean {
    const unsynced = tags.createdAtMs <= powerLostAtMs && powerLostAtMs - createdAtMs <= UNSYNCED_MS;
    return unsynced && this.nowMs - powerLostAtMs <= UNLISTED_MS;
  }

  /** Names of containers that were alive when our stop reached them. A stop that was sent before the ledger was lost is not one. */
  get stoppedByUs(): ReadonlySet<string> {
    return this.#stopped;
  }

  stopUnmarked(name: string): void {
    this.#stopped.delete(name);
    this.violate('a container that we stopped is marked', `the row of ${name} does not say that we stopped it`, [name]);
  }

  instanceStopped(instance: WorldInstance): void {
    const { job } = instance;
    const lostAtMs = this.#ledgerLostAtMs ?? Number.NEGATIVE_INFINITY;
    if (this.nowMs - lostAtMs > MAX_STOP_MS) this.#stopped.add(instance.name);
    if (job === undefined) return;
    const nowMs = this.#options.now();
    const { handedOverAtMs } = instance;
    // Of one that was started ahead its tags do not tell: it holds for whichever job it got.
    const registered = instance.isWarm ? this.#limitsRegistered.get(instance.name) : undefined;
    const limitMs = job.plan.timeLimitMs ?? this.#limitsAhead.get(instance.name) ?? registered;
    const limitSinceMs = handedOverAtMs === undefined ? job.startedAtMs : handedOverAtMs - HAND_OVER_MS;
    const overLimit = limitMs !== undefined && limitSinceMs !== null && nowMs - limitSinceMs >= limitMs;
    if (overLimit || nowMs >= instance.tags.deadlineAtMs) return;
    this.violate('no instance is stopped while its job runs', `${instance.name} ran ${job.name}`, [
      instance.name,
      job.name,
    ]);
  }

  handedOver(instance: WorldInstance, jit: string): void {
    const rule = 'a parked container gets one job of its own registration';
    const { name } = instance;
    if (this.#handedOver.has(name)) this.violate(rule, `${name} was handed a second JIT configuration`, [name]);
    this.#handedOver.add(name);
    const registered = this.#options.registeredFor(jit);
    const minutes = minutesIn(registered?.labels ?? []);
    if (minutes !== undefined) this.#limitsAhead.set(name, minutes * 60_000);
    const [whose] = instance.backend.split('/');
    if (registered?.name === name && registered.labels.some((label) => label.toLowerCase() === `${whose}-runner`))
      return;
    this.violate(rule, `${name} of ${whose} was handed that of ${registered?.name} for ${registered?.labels}`, [name]);
  }

  nameWasNotNew(name: string): void {
    this.violate('a name that is said to be new is new', `${name} was launched before`, [name]);
  }

  looksSecret(where: string, values: unknown): void {
    if (mentions(values, 0)) this.violate('secrets stay secret', `the JIT configuration in ${where}`);
  }
}

function minutesIn(labels: readonly string[]): number | undefined {
  const found = labels.map((label) => /^timeout-(\d+)m$/i.exec(label)?.[1]).find((text) => text !== undefined);
  return found === undefined ? undefined : Number(found);
}

/** Started ahead of a job that has not come. */
export function isParked({ handedOverAtMs, isAhead }: WorldInstance): boolean {
  return isAhead && handedOverAtMs === undefined;
}

/** Registered ahead of a job that has not come. */
export function isIdleAhead({ hasHadJob, isWarm }: WorldInstance): boolean {
  return isWarm && !hasHadJob;
}

function isWithin(instance: WorldInstance, of: string): boolean {
  if (of.startsWith('!')) return !isWithin(instance, of.slice(1));
  return of === '' || instance.backend === of || instance.backend.startsWith(`${of}/`);
}

/** Arguments are shallow; what is nested deeper than this is no row of ours. */
function mentions(value: unknown, depth: number): boolean {
  if (typeof value === 'string') return value.includes(JIT_MARKER);
  if (value === null || typeof value !== 'object' || depth > 5) return false;
  if (value instanceof Error && value.message.includes(JIT_MARKER)) return true;
  return Object.values(value).some((part) => mentions(part, depth + 1));
}
