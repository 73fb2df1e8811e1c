/**
 * Polls GitHub for open jobs: for registrations without a webhook, as a fallback for the webhook, and at the start.
 * Uses the same ledger call as every other source, so that order and duplicates do not matter.
 */
import { type Clock, jitter, type Random } from '../../time/clock.ts';
import type { GithubErrorKind } from '../failures/failure.ts';
import { problemLine } from '../failures/problem-line.ts';
import { GithubError } from '../github/github.ts';
import type { Patience, PolledRepository, PollFailure, PollSource, RepositoryList } from '../github/poll-source.ts';
import type { JobFact } from '../jobs/facts.ts';
import type { Ledger, UnreadableRow } from '../ledger/ledger.ts';
import { unreadableWords } from '../lifecycle/resting.ts';
import type { Registration } from '../model/registration.ts';
import { lineOf } from '../model/registration.ts';
import { type PassPlace, PassPlaces, PassTicket, type PollRole } from './pass-places.ts';
import { bounded, countRuns, cursorName, type OpenRuns, readOpenRuns, writeOpenRuns } from './poll-memory.ts';
import { patiently, pollPass, repositoryKey } from './poll-pass.ts';

export interface PolledTenant {
  readonly registration: Pick<Registration, 'name' | 'grant' | 'poll'>;
  readonly source: PollSource;
}

export interface PollerOptions {
  /** All registrations: those without an interval are polled only by `pollNow`. */
  readonly tenants: readonly PolledTenant[];
  readonly ledger: Pick<Ledger, 'recordFacts' | 'cursor' | 'putCursor'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: {
    debug(event: string, fields?: Readonly<Record<string, unknown>>): void;
    info(event: string, fields?: Readonly<Record<string, unknown>>): void;
    warn(event: string, fields?: Readonly<Record<string, unknown>>): void;
  };
  /** Called with how many jobs have changed. */
  readonly onRecorded: (changed: number) => void;
}

export interface PollTrouble {
  /** `acme/web`, or `acme` if it concerns all repositories of that owner. */
  readonly about: string;
  readonly kind: GithubErrorKind;
  readonly message: string;
  readonly sinceMs: number;
}

/** A job that GitHub reports, and that could not be recorded because of its row in the ledger. */
export interface NotRecorded {
  /** Its key. */
  readonly job: string;
  readonly message: string;
  readonly sinceMs: number;
}

/** The displayed polling status of one registration. */
export interface PollStatus {
  readonly registration: string;
  readonly intervalMs: number | null;
  readonly passing: boolean;
  readonly lastStartedAtMs: number | null;
  /** The end of the last pass. */
  readonly lastEndedAtMs: number | null;
  /** Why the last pass ended early; null if it was complete. */
  readonly failure: string | null;
  /** The end of the first of the consecutive passes that ended early. */
  readonly failingSinceMs: number | null;
  /** The current pass is waiting for GitHub's limits, or our budget, until then. */
  readonly waitingUntilMs: number | null;
  readonly nextPassAtMs: number | null;
  readonly repositories: number;
  readonly openRuns: number;
  /** Number read in the last pass. */
  readonly jobs: number;
  readonly unreadableJobs: number;
  readonly unreadableRuns: number;
  readonly troubles: readonly PollTrouble[];
  /** Number of problems beyond those listed. */
  readonly moreTroubles: number;
  readonly cut: readonly string[];
  readonly notRecorded: readonly NotRecorded[];
  /** Messages for all of the above problems. */
  readonly problems: readonly string[];
  /** The same, with the subject of each. */
  readonly details: readonly PollProblem[];
}

export interface PollProblem {
  /** `acme/web`, or `acme`; null if it concerns the whole registration. */
  readonly about: string | null;
  readonly message: string;
  readonly sinceMs: number | null;
}

/** `urgent`: deliveries for it were lost; it does not queue behind the polls of thousands that have a webhook. */
export type Haste = 'usual' | 'urgent';

export interface Poller {
  /** Begins the passes of all registrations with an interval. */
  start(): void;
  /** Runs a pass now, or joins the one in progress. Returns whether GitHub was listed completely; see `status`. */
  pollNow(registration: string, haste?: Haste): Promise<boolean>;
  status(): readonly PollStatus[];
  /** For one registration; undefined if it is unknown. */
  statusOf(registration: string): PollStatus | undefined;
  /**
   * The registration is new, or configured otherwise: it is polled by that from now on. Undefined: it is polled no more. A
   * pass of what it was is aborted.
   */
  follow(name: string, tenant: PolledTenant | undefined): void;
  /** Aborts requests in flight. Nothing is recorded after it resolves. */
  stop(): Promise<void>;
}

/** A new repository is found after this at the latest. */
const REPOSITORIES_KNOWN_MS = 300_000;
const MIN_REST_MS = 1_000;
/** From this interval on it is a fallback for a webhook; the default is 5 min, and 30 s without one. */
const SLOW_POLL_MS = 60_000;
const SHOWN_TROUBLES = 100;
const SHOWN_CUTS = 20;
const SHOWN_NOT_RECORDED = 20;
const FACTS_AT_ONCE = 500;

export function createPoller(options: PollerOptions): Poller {
  const stopping = new AbortController();
  const places = new PassPlaces(options.clock);
  const polls = new Map(
    options.tenants.map((tenant) => [
      tenant.registration.name,
      new TenantPoll(tenant, options, places, stopping.signal),
    ]),
  );
  /** Passes of registrations as they were, until they have ended. */
  const ending = new Set<Promise<void>>();
  let started = false;
  return {
    start: () => {
      started = true;
      for (const poll of polls.values()) poll.start();
    },
    follow: (name, tenant) => {
      const before = polls.get(name);
      if (before !== undefined) {
        const end: Promise<void> = before.end().finally(() => ending.delete(end));
        ending.add(end);
      }
      polls.delete(name);
      if (tenant === undefined || stopping.signal.aborted) return;
      const poll = new TenantPoll(tenant, options, places, stopping.signal);
      polls.set(name, poll);
      if (started) poll.start();
    },
    pollNow: async (registration, haste = 'usual') => {
      const poll = polls.get(registration);
      if (poll === undefined) throw new Error(`no registration '${registration}' to poll`);
      return poll.now(haste);
    },
    status: () => [...polls.values()].map((poll) => poll.status()),
    statusOf: (registration) => polls.get(registration)?.status(),
    stop: async () => {
      stopping.abort(new Error('the poller stops'));
      places.close();
      await Promise.all([...[...polls.values()].map((poll) => poll.rest()), ...ending]);
    },
  };
}

class TenantPoll {
  readonly #tenant: PolledTenant;
  readonly #options: PollerOptions;
  readonly #places: PassPlaces;
  readonly #line: string;
  readonly #role: PollRole;
  #ticket: PassTicket;
  readonly #signal: AbortSignal;
  readonly #ended = new AbortController();
  #cancel: () => void = () => {};
  #pass: Promise<boolean> | undefined;
  #repositories: RepositoryList | undefined;
  #repositoriesAtMs = 0;
  #open: OpenRuns | undefined;
  #stored: string | undefined;
  /** For the last pass, if it ended early: one log line when that begins, changes and ends. */
  #failureKind: GithubErrorKind | 'other' | undefined;
  #status: Facts;

  constructor(tenant: PolledTenant, options: PollerOptions, places: PassPlaces, signal: AbortSignal) {
    this.#tenant = tenant;
    this.#options = options;
    this.#places = places;
    this.#line = lineOf(tenant.registration);
    const { intervalMs } = tenant.registration.poll;
    this.#role = intervalMs !== null && intervalMs < SLOW_POLL_MS ? 'alone' : 'beside';
    this.#ticket = new PassTicket(this.#role, this.#line);
    this.#signal = AbortSignal.any([signal, this.#ended.signal]);
    this.#status = {
      registration: tenant.registration.name,
      intervalMs: tenant.registration.poll.intervalMs,
      passing: false,
      lastStartedAtMs: null,
      lastEndedAtMs: null,
      failure: null,
      failingSinceMs: null,
      waitingUntilMs: null,
      nextPassAtMs: null,
      repositories: 0,
      openRuns: 0,
      jobs: 0,
      unreadableJobs: 0,
      unreadableRuns: 0,
      troubles: [],
      moreTroubles: 0,
      cut: [],
      notRecorded: [],
    };
  }

  /** At a random time within the first interval, so that registrations do not poll in step. */
  start(): void {
    const { intervalMs } = this.#status;
    if (intervalMs !== null && this.#pass === undefined && this.#status.nextPassAtMs === null) {
      this.#schedule(Math.round(intervalMs * this.#options.random()));
    }
  }

  /** Never two at once: a request during a pass joins that one. */
  now(haste: Haste = 'usual'): Promise<boolean> {
    this.#cancel();
    if (this.#pass === undefined) this.#ticket = new PassTicket(this.#role, this.#line);
    if (haste === 'urgent') this.#places.hurry(this.#ticket);
    this.#pass ??= this.#places
      .run(this.#ticket, (place) => this.#run(place))
      .finally(() => {
        this.#pass = undefined;
        this.#reschedule();
      });
    return this.#pass;
  }

  status(): PollStatus {
    const { waitingUntilMs } = this.#status;
    const waits = waitingUntilMs !== null && waitingUntilMs > this.#options.clock.now();
    const details = problemsOf(this.#status);
    return {
      ...this.#status,
      waitingUntilMs: waits ? waitingUntilMs : null,
      problems: details.map(problemLine),
      details,
    };
  }

  async end(): Promise<void> {
    this.#ended.abort(new Error('the registration is configured otherwise now'));
    await this.rest();
  }

  async rest(): Promise<void> {
    this.#cancel();
    await this.#pass;
  }

  #reschedule(): void {
    const { intervalMs, lastStartedAtMs } = this.#status;
    if (intervalMs === null || lastStartedAtMs === null) return;
    const nextAtMs = lastStartedAtMs + jitter(intervalMs, this.#options.random);
    this.#schedule(Math.max(MIN_REST_MS, nextAtMs - this.#options.clock.now()));
  }

  #schedule(ms: number): void {
    if (this.#signal.aborted) return;
    const { clock } = this.#options;
    this.#change({ nextPassAtMs: clock.now() + ms });
    // `now` does not reject: failures are in the status.
    this.#cancel = clock.after(ms, () => void this.now());
  }

  async #run(place: PassPlace): Promise<boolean> {
    const { clock, log } = this.#options;
    const registration = this.#status.registration;
    this.#change({ passing: true, lastStartedAtMs: clock.now(), nextPassAtMs: null });
    let failure: string | null = null;
    try {
      await this.#look(place);
      const { repositories, openRuns, jobs } = this.#status;
      log.debug('poll.pass', { registration, repositories, openRuns, jobs });
    } catch (error) {
      failure = error instanceof Error ? error.message : String(error);
      const kind = error instanceof GithubError ? error.kind : 'other';
      if (!this.#signal.aborted && kind !== this.#failureKind) log.warn('poll.failed', { registration, error });
      this.#failureKind = kind;
    }
    if (failure === null && this.#failureKind !== undefined) {
      log.info('poll.mended', { registration, sinceMs: this.#status.failingSinceMs });
      this.#failureKind = undefined;
    }
    const failingSinceMs = failure === null ? null : (this.#status.failingSinceMs ?? clock.now());
    this.#change({ passing: false, waitingUntilMs: null, lastEndedAtMs: clock.now(), failure, failingSinceMs });
    return failure === null;
  }

  async #look(place: PassPlace): Promise<void> {
    const { clock, random, ledger } = this.#options;
    const signal = this.#signal;
    signal.throwIfAborted();
    const onWait = (untilMs: number) => this.#change({ waitingUntilMs: untilMs });
    const name = cursorName(this.#status.registration);
    if (this.#open === undefined) {
      this.#stored = await ledger.cursor(name);
      this.#open = readOpenRuns(this.#stored);
    }
    const { source } = this.#tenant;
    const list = await this.#listRepositories((work) =>
      patiently({ source, clock, random, signal, onWait, place }, work),
    );
    const unreadable = new Map<string, UnreadableRow>();
    const outcome = await pollPass({
      source,
      repositories: uniqueOf(list.repositories),
      open: this.#open,
      record: (facts) => this.#record(facts, (row) => unreadable.set(row.key, row)),
      clock,
      random,
      signal,
      onWait,
      place,
    });
    this.#open = bounded(outcome.open);
    const text = writeOpenRuns(this.#open);
    if (text !== this.#stored) {
      await ledger.putCursor(name, text, clock.now());
      this.#stored = text;
    }
    this.#change({
      ...this.#troublesOf([...list.failures, ...outcome.failures]),
      repositories: list.repositories.length,
      openRuns: countRuns(this.#open),
      jobs: outcome.jobs,
      unreadableJobs: outcome.unreadableJobs,
      unreadableRuns: outcome.unreadableRuns,
      cut: outcome.cut.slice(0, SHOWN_CUTS),
      notRecorded: this.#notRecordedOf([...unreadable.values()]),
    });
    if (outcome.failure !== undefined) throw outcome.failure;
  }

  async #listRepositories(patience: Patience): Promise<RepositoryList> {
    const nowMs = this.#options.clock.now();
    const known = this.#repositories;
    if (known !== undefined && nowMs - this.#repositoriesAtMs < REPOSITORIES_KNOWN_MS) return known;
    let list: RepositoryList;
    try {
      list = await this.#tenant.source.listRepositories(this.#signal, patience);
    } catch (error) {
      const passing = error instanceof GithubError && error.kind === 'transient' && !this.#signal.aborted;
      if (!passing || known === undefined) throw error;
      return known;
    }
    const unread = list.failures.filter(({ error }) => error.kind === 'transient' || error.kind === 'rate-limited');
    // What could not be polled keeps its state, and is polled again in the next pass.
    const kept = known?.repositories.filter((one) => unread.some(({ about }) => isAbout(about, one))) ?? [];
    this.#repositories = { ...list, repositories: [...list.repositories, ...kept] };
    this.#repositoriesAtMs = unread.length > 0 ? Number.NEGATIVE_INFINITY : nowMs;
    return this.#repositories;
  }

  async #record(facts: readonly JobFact[], unreadable: (row: UnreadableRow) => void): Promise<void> {
    for (let index = 0; index < facts.length; index += FACTS_AT_ONCE) {
      this.#signal.throwIfAborted();
      const some = facts.slice(index, index + FACTS_AT_ONCE);
      const changed = await this.#options.ledger.recordFacts(some, unreadable);
      if (changed > 0) this.#options.onRecorded(changed);
    }
  }

  /** One log line for each while it lasts. */
  #notRecordedOf(rows: readonly UnreadableRow[]): readonly NotRecorded[] {
    const { clock, log } = this.#options;
    const { notRecorded, registration } = this.#status;
    const before = new Map(notRecorded.map((one) => [one.job, one]));
    return rows.slice(0, SHOWN_NOT_RECORDED).map(({ key, fault }) => {
      const known = before.get(key);
      const message = unreadableWords(fault);
      if (known === undefined) log.warn('poll.not-recorded', { registration, job: key, reason: message });
      return { job: key, message, sinceMs: known?.sinceMs ?? clock.now() };
    });
  }

  /** One log line when a problem begins, changes its kind or ends, rather than one per pass. */
  #troublesOf(failures: readonly PollFailure[]): Pick<PollStatus, 'troubles' | 'moreTroubles'> {
    const { clock, log } = this.#options;
    const { registration } = this.#status;
    const before = new Map(this.#status.troubles.map((trouble) => [trouble.about, trouble]));
    // A name can fail in the list and in the pass: the first message is more specific.
    const byName = new Map(failures.toReversed().map((failure) => [failure.about, failure]));
    const troubles = [...byName.values()]
      .reverse()
      .slice(0, SHOWN_TROUBLES)
      .map(({ about, error }) => {
        const known = before.get(about);
        before.delete(about);
        const same = known !== undefined && known.kind === error.kind;
        if (!same) log.warn('poll.trouble', { registration, about, error });
        return { about, kind: error.kind, message: error.words, sinceMs: same ? known.sinceMs : clock.now() };
      });
    for (const { about, sinceMs } of before.values()) log.info('poll.trouble.over', { registration, about, sinceMs });
    return { troubles, moreTroubles: byName.size - troubles.length };
  }

  #change(change: Partial<Facts>): void {
    this.#status = { ...this.#status, ...change };
  }
}

type Facts = Omit<PollStatus, 'problems' | 'details'>;

function problemsOf(status: Facts): readonly PollProblem[] {
  const { failure, failingSinceMs, troubles, moreTroubles, cut, notRecorded, unreadableJobs, unreadableRuns } = status;
  const odd = 'that this version does not know';
  const whole = [
    ...(moreTroubles === 0 ? [] : [`${moreTroubles} more repositories or owners have problems`]),
    ...cut,
    ...(unreadableJobs === 0 ? [] : [`${unreadableJobs} jobs are in a shape or status ${odd}`]),
    ...(unreadableRuns === 0 ? [] : [`${unreadableRuns} runs are in a shape ${odd}`]),
  ];
  return [
    ...(failure === null ? [] : [{ about: null, message: failure, sinceMs: failingSinceMs }]),
    ...troubles.map(({ about, message, sinceMs }) => ({ about, message, sinceMs })),
    ...notRecorded.map(({ job, message, sinceMs }) => ({ about: job, message, sinceMs })),
    ...whole.map((message) => ({ about: null, message, sinceMs: null })),
  ];
}

/** `acme/web`, or `acme` for all of its repositories. */
function isAbout(about: string, { owner, repository }: PolledRepository): boolean {
  const name = about.toLowerCase();
  return name === owner.toLowerCase() || name === `${owner}/${repository}`.toLowerCase();
}

/** Two organizations of an enterprise cannot share a repository, but a registration can name one twice. */
function uniqueOf(repositories: readonly PolledRepository[]): readonly PolledRepository[] {
  return [...new Map(repositories.map((one) => [repositoryKey(one), one])).values()];
}
