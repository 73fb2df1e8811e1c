/**
 * Deliveries that never arrived are found in GitHub's own logs and asked for again. What counts is whether a delivery was
 * recorded here: that GitHub got a 2xx proves nothing, as a gateway before us may have sent it.
 *
 * Each attempt is counted in the ledger before GitHub is asked, so that a process that dies in between asks no more often.
 * A log is read from its end back to where it was read before; what is missing in it is kept in the ledger with its
 * attempts, so that the log need not be read again for it.
 */
import { type Clock, jitter, type Random } from '../../../time/clock.ts';
import { RateWindow } from '../../../time/rate-window.ts';
import { mapLimited } from '../../../time/workers.ts';
import { defectFailure, githubFailure, ledgerFailure } from '../../failures/failure.ts';
import { StateLog } from '../../failures/state-log.ts';
import { deliveryLogCure, findHooks, isNotAllowed, readLog, redeliver } from '../../github/delivery-log.ts';
import { GithubError } from '../../github/github.ts';
import type { Caller } from '../../github/requester.ts';
import { type DueDelivery, type Ledger, LedgerError, type MissedDeliveryLedger } from '../../ledger/ledger.ts';
import type { Log } from '../../log.ts';
import type { EndpointIndex } from '../endpoints.ts';
import { Holders, type LogState, type NewStatus, type RedeliveryStatus } from './holders.ts';
import { type LogPosition, MOST_ATTEMPTS, readOn, readPosition } from './log-reading.ts';
import { type OwnHook, ownHook, type WatchedLog, type WatchedRegistration, watchedLogs } from './watched-logs.ts';

export interface RedeliveryMetrics {
  /** What became of deliveries of GitHub's logs that were not recorded when these were read. */
  missedDeliveries(outcome: 'found' | 'asked' | 'arrived' | 'given-up' | 'dropped', count: number): void;
}

export interface RedeliveryOptions {
  /** The same array as long as nothing changed. */
  readonly registrations: () => readonly WatchedRegistration[];
  readonly endpoints: () => Pick<EndpointIndex, 'shared'>;
  /** By the credentials of this registration. Undefined: they cannot be used there. */
  readonly caller: (registration: WatchedRegistration, place: WatchedLog['place']) => Caller | undefined;
  readonly ledger: Pick<Ledger, 'cursor'> & MissedDeliveryLedger;
  /** Where GitHub reaches this dispatcher, without a slash at its end, if that is known. */
  readonly publicUrl: string | undefined;
  /** By the clock of the GitHub of this registration. */
  readonly githubNow: (registration: WatchedRegistration) => number;
  /** What GitHub sends there now is turned away: it is asked for later. */
  readonly isHeld: (endpoint: string) => boolean;
  /** A delivery that was answered for good, though it is not recorded. */
  readonly isAnswered: (endpoint: string, guid: string) => boolean;
  readonly metrics: RedeliveryMetrics;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

interface State {
  dueMs: number;
  lookedAtMs: number | undefined;
  looking: boolean;
  readonly holders: Holders;
  /** It has been told that no credentials may. */
  isToldNotAllowed: boolean;
  hook: { readonly found: OwnHook; readonly holder: WatchedRegistration; readonly foundAtMs: number } | undefined;
  /** Whether a webhook there leads here, as far as is known: also while it is looked up again. */
  leadsHere: boolean | undefined;
  position: LogPosition | undefined;
  /** Of the log, whoever reads it; what becomes of one's credentials is with the holders. */
  status: RedeliveryStatus | undefined;
  readonly asked: RateWindow;
}

const TICK_MS = 15_000;
const EVERY_MS = 120_000;
/** While something is open, or a long log is not read to its end. */
const SOON_MS = 30_000;
/** A loss is followed by others. */
const AFTER_LOSS_MS = 20_000;
const NO_HOOK_EVERY_MS = 600_000;
const NOT_ALLOWED_EVERY_MS = 3_600_000;
const HOOK_KNOWN_MS = 3_600_000;

/** Logs at a time: of all tenants, and of each. */
const AT_ONCE = 8;
const AT_ONCE_EACH = 2;
const MINUTE_MS = 60_000;
/** A tenant may have a webhook at each of ten thousand repositories: they take turns. */
const LOOKS_A_MINUTE_EACH = 20;
/** Each is a write at GitHub, and five of the 900 points that a credential has a minute. */
const ASKED_A_MINUTE = 50;
const ASKED_A_MINUTE_EACH = 100;
const BATCH = 10;
/** After each attempt; after the last one, until it counts as lost. */
const WAITS_MS = [60_000, 300_000, 1_200_000, 7_200_000, 600_000] as const;

export class Redelivery {
  readonly #options: RedeliveryOptions;
  readonly #states = new Map<string, State>();
  readonly #looks = new Map<string, RateWindow>();
  readonly #askedByLine = new Map<string, RateWindow>();
  readonly #running = new Map<Promise<void>, string>();
  readonly #stopping = new AbortController();
  readonly #failures: StateLog;
  #watched: readonly WatchedLog[] = [];
  /** By registration. */
  #logsOf: ReadonlyMap<string, readonly WatchedLog[]> = new Map();
  /** Those of Apps, by endpoint. */
  #apps: ReadonlyMap<string, readonly WatchedLog[]> = new Map();
  /** Endpoints: as many as the configuration has. */
  readonly #lost = new Set<string>();
  #of: readonly unknown[] = [];
  #cancel: (() => void) | undefined;

  constructor(options: RedeliveryOptions) {
    this.#options = options;
    this.#failures = new StateLog(options.log, options.clock);
  }

  start(): void {
    this.#schedule(jitter(TICK_MS / 3, this.#options.random));
  }

  /** Looks at all logs soon: something may have been sent that was not taken. */
  all(): void {
    for (const state of this.#states.values()) this.#hasten(state);
  }

  /** A delivery was lost that was, or may have been, to these endpoints. There may be thousands a second. */
  lost(endpoints: readonly string[]): void {
    for (const endpoint of endpoints) this.#lost.add(endpoint);
  }

  /** Undefined: it has no webhook secret, or nothing was asked yet. */
  statusOf(registration: string): RedeliveryStatus | undefined {
    const all = (this.#logsOf.get(registration) ?? []).flatMap((watched) => {
      if (this.#isServedByApp(watched)) return [];
      const state = this.#states.get(watched.log);
      return state?.status ?? state?.holders.statusOf(registration) ?? [];
    });
    return ORDER.map((state) => all.find((one) => one.state === state)).find((one) => one !== undefined);
  }

  /** Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    this.#cancel?.();
    this.#stopping.abort(new Error('the dispatcher is stopping'));
    await Promise.all(this.#running.keys());
  }

  #schedule(ms: number): void {
    if (this.#stopping.signal.aborted) return;
    this.#cancel = this.#options.clock.after(ms, () => {
      this.#begin();
      this.#schedule(jitter(TICK_MS, this.#options.random));
    });
  }

  #hasten(state: State): void {
    const nowMs = this.#nowMs();
    // Not more often than it would be read while something is open: anyone can cause losses.
    const earliestMs = Math.max(nowMs + AFTER_LOSS_MS, (state.lookedAtMs ?? 0) + SOON_MS);
    state.dueMs = Math.min(state.dueMs, earliestMs);
  }

  #nowMs(): number {
    return this.#options.clock.now();
  }

  /** As the configuration is now. */
  #follow(): readonly WatchedLog[] {
    const { registrations, endpoints } = this.#options;
    const of = [registrations(), endpoints()] as const;
    if (of.every((part, index) => part === this.#of[index])) return this.#watched;
    this.#of = of;
    this.#watched = watchedLogs(...of);
    const names = new Set(this.#watched.map(({ log }) => log));
    const lines = new Set(this.#watched.map(({ line }) => line));
    for (const windows of [this.#looks, this.#askedByLine]) {
      for (const line of windows.keys()) if (!lines.has(line)) windows.delete(line);
    }
    this.#apps = Map.groupBy(
      this.#watched.filter(({ place }) => place.kind === 'app'),
      ({ endpoint }) => endpoint,
    );
    const pairs = this.#watched.flatMap((watched) => watched.holders.map(({ name }) => ({ watched, name })));
    this.#logsOf = new Map(
      [...Map.groupBy(pairs, ({ name }) => name)].map(([name, those]) => [name, those.map(({ watched }) => watched)]),
    );
    for (const log of this.#states.keys()) if (!names.has(log)) this.#states.delete(log);
    for (const { log, holders } of this.#watched) {
      const known = this.#states.get(log);
      const state = known ?? newState(this.#nowMs());
      const areOthers = state.holders.follow(holders);
      // Which webhook it is, and whether it leads here, is as before.
      if (state.hook !== undefined && !holders.includes(state.hook.holder)) state.hook = undefined;
      if (areOthers && state.leadsHere !== true) state.dueMs = Math.min(state.dueMs, this.#nowMs());
      if (known === undefined) this.#states.set(log, state);
    }
    return this.#watched;
  }

  #begin(): void {
    const nowMs = this.#nowMs();
    const watchedNow = this.#follow();
    for (const { endpoint, log } of this.#lost.size === 0 ? [] : watchedNow) {
      const state = this.#lost.has(endpoint) ? this.#states.get(log) : undefined;
      if (state !== undefined) this.#hasten(state);
    }
    this.#lost.clear();
    const due = watchedNow
      .flatMap((watched) => {
        const state = this.#states.get(watched.log);
        if (state === undefined || state.looking || state.dueMs > nowMs || this.#isAppUnknown(watched)) return [];
        if (this.#isServedByApp(watched)) {
          // That is no look: with a thousand repositories none would be left for the App's own log.
          state.hook = undefined;
          state.status = undefined;
          state.dueMs = nowMs + jitter(NO_HOOK_EVERY_MS, this.#options.random);
          return [];
        }
        return [{ watched, state }];
      })
      .sort((a, b) => a.state.dueMs - b.state.dueMs);
    for (const { watched, state } of due) {
      if (this.#running.size >= AT_ONCE) return;
      const { line } = watched;
      const ofLine = [...this.#running.values()].filter((other) => other === line).length;
      const looks = this.#windowOf(this.#looks, line, LOOKS_A_MINUTE_EACH);
      if (ofLine >= AT_ONCE_EACH || looks.fitsAt(nowMs) > nowMs) continue;
      looks.spend(nowMs);
      state.looking = true;
      state.lookedAtMs = nowMs;
      const work: Promise<void> = this.#look(watched, state).finally(() => {
        state.looking = false;
        this.#running.delete(work);
        if (!this.#stopping.signal.aborted) this.#begin();
      });
      this.#running.set(work, line);
    }
  }

  #windowOf(windows: Map<string, RateWindow>, line: string, most: number): RateWindow {
    const window = windows.get(line) ?? new RateWindow(MINUTE_MS, most);
    windows.set(line, window);
    return window;
  }

  /** Never rejects. */
  async #look(watched: WatchedLog, state: State): Promise<void> {
    const { log, random } = { log: watched.log, random: this.#options.random };
    try {
      state.dueMs = this.#nowMs() + jitter(await this.#pass(watched, state), random);
      this.#failures.well('redelivery-failed', { deliveries: log });
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      state.dueMs = this.#nowMs() + jitter(this.#failed(watched, state, error), random);
    }
  }

  /** When to look again. */
  #failed(watched: WatchedLog, state: State, error: unknown): number {
    const { log } = watched;
    const nowMs = this.#nowMs();
    if (error instanceof GithubError && state.hook !== undefined) {
      if (error.kind === 'not-found' && state.hook.foundAtMs < (state.lookedAtMs ?? 0)) {
        // It may have been deleted and made anew since.
        state.hook = undefined;
        return SOON_MS;
      }
      this.#rest(watched, state, state.hook.holder, error);
      return this.#withoutHook(watched, state);
    }
    const failure = error instanceof LedgerError ? ledgerFailure(error, nowMs) : defectFailure(error, nowMs);
    this.#failures.failed(
      'redelivery-failed',
      { deliveries: log },
      failure,
      error instanceof LedgerError ? {} : { error },
    );
    return EVERY_MS;
  }

  #rest({ place }: WatchedLog, state: State, holder: WatchedRegistration, error: GithubError): void {
    const nowMs = this.#nowMs();
    const isRefused: boolean = isNotAllowed(error);
    const status: NewStatus = isRefused
      ? { state: 'not-allowed', message: error.words, cure: deliveryLogCure(place, error) }
      : { state: 'failing', message: error.words };
    const ms = isRefused ? NOT_ALLOWED_EVERY_MS : Math.max(EVERY_MS, error.retryAfterMs ?? 0);
    state.holders.rest(holder, { nowMs, ms, error, status });
  }

  /** When to look again: soon where credentials are left that were not tried; the others rest. */
  #withoutHook({ log, place }: WatchedLog, state: State): number {
    const nowMs = this.#nowMs();
    state.hook = undefined;
    state.status = undefined;
    // That it could not be asked now says nothing new.
    if (state.holders.troubles().some(({ status }) => status?.state !== 'failing')) state.leadsHere = false;
    state.leadsHere ??= false;
    if (state.holders.next(nowMs) !== undefined) return SOON_MS;
    const troubles = state.holders.troubles();
    const refusals = troubles.filter(({ error }) => error !== undefined);
    // Where one of them sees the webhooks, it is known how it is.
    if (!troubles.some(({ status }) => status?.state === 'none' || status?.state === 'several')) {
      // One that is broken tells less than one that lacks a permission.
      const [told] = refusals.toSorted((a, b) => tells(b.error) - tells(a.error));
      if (told?.error !== undefined && !isNotAllowed(told.error)) {
        this.#failures.failed('redelivery-failed', { deliveries: log }, githubFailure(told.error, nowMs));
      } else if (told?.error !== undefined && !state.isToldNotAllowed) {
        // Once: it is how the credentials are, and their owner may want them so.
        state.isToldNotAllowed = true;
        const cure = deliveryLogCure(place, told.error);
        const { holder, error } = told;
        const fields = { deliveries: log, registration: holder.name, reason: error.words, cure };
        this.#options.log.info('redelivery-not-possible', fields);
      }
    }
    return Math.max(SOON_MS, state.holders.nextAtMs() - nowMs);
  }

  async #pass(watched: WatchedLog, state: State): Promise<number> {
    const hook = await this.#hookOf(watched, state);
    const caller = hook === undefined ? undefined : this.#callerOf(hook.holder, watched);
    if (hook === undefined || caller === undefined) return this.#withoutHook(watched, state);
    const isRead = await this.#read(watched, state, hook, caller);
    const { isCertain } = hook.found;
    const isProven = isCertain || state.position?.proven === true;
    if (!isProven) {
      this.#note(state, {
        state: 'unproven',
        message: `of the deliveries to ${printedUrl(watched, hook.found.url)} none has arrived here yet`,
        cure: "set `listen.public.url` in dispatcher.yaml to the address of GitHub's webhook",
      });
      return EVERY_MS;
    }
    const isOpen = await this.#askAgain(watched, state, hook.found, caller);
    this.#note(state, { state: 'watched', message: 'deliveries that are missing are asked for again' });
    state.isToldNotAllowed = false;
    state.holders.well(hook.holder);
    return isOpen || !isRead ? SOON_MS : EVERY_MS;
  }

  #note(state: State, status: NewStatus): void {
    const sinceMs = state.status?.state === status.state ? state.status.sinceMs : this.#nowMs();
    state.status = { ...status, sinceMs };
  }

  #callerOf(holder: WatchedRegistration, { place }: WatchedLog): Caller | undefined {
    const caller = this.#options.caller(holder, place);
    const { signal } = this.#stopping;
    return caller === undefined ? undefined : { call: (call) => caller.call({ ...call, signal }) };
  }

  /** By the first credentials that may: those of one registration, broken, do not hold up the others. */
  async #hookOf(watched: WatchedLog, state: State): Promise<State['hook']> {
    const nowMs = this.#nowMs();
    if (state.hook !== undefined && nowMs - state.hook.foundAtMs < HOOK_KNOWN_MS) return state.hook;
    state.hook = undefined;
    for (let tried = 0; tried < MOST_HOLDERS; tried += 1) {
      const holder = state.holders.next(this.#nowMs());
      if (holder === undefined) return undefined;
      const caller = this.#callerOf(holder, watched);
      if (caller === undefined) {
        state.holders.rest(holder, { nowMs, ms: NO_HOOK_EVERY_MS });
        continue;
      }
      try {
        const found = ownHook(await findHooks(caller, watched.place), watched.path, this.#options.publicUrl);
        if (found !== 'none' && found !== 'several') {
          state.hook = { found, holder, foundAtMs: nowMs };
          state.leadsHere = true;
          state.holders.serves(holder);
          return state.hook;
        }
        const status = { state: found, message: missingWords(found, watched) };
        state.holders.rest(holder, { nowMs: this.#nowMs(), ms: NO_HOOK_EVERY_MS, status });
      } catch (error) {
        if (!(error instanceof GithubError) || this.#stopping.signal.aborted) throw error;
        this.#rest(watched, state, holder, error);
      }
    }
    return undefined;
  }

  /** The webhook of an App leads to the same endpoint: no other is expected. */
  #isServedByApp(watched: WatchedLog): boolean {
    return this.#appsOf(watched).some(({ log }) => this.#states.get(log)?.leadsHere === true);
  }

  /** It is asked first, so that nothing is said of permissions that are not needed. */
  #isAppUnknown(watched: WatchedLog): boolean {
    return this.#appsOf(watched).some(({ log }) => this.#states.get(log)?.leadsHere === undefined);
  }

  #appsOf({ place, endpoint, holders }: WatchedLog): readonly WatchedLog[] {
    if (place.kind === 'app') return [];
    return (this.#apps.get(endpoint) ?? []).filter((app) => holders.every((holder) => app.holders.includes(holder)));
  }

  /** Whether it was read to where it was read before. */
  async #read(
    watched: WatchedLog,
    state: State,
    { found: hook, holder }: NonNullable<State['hook']>,
    caller: Caller,
  ): Promise<boolean> {
    const { ledger, isAnswered, log, metrics } = this.#options;
    const { place, endpoint, line } = watched;
    const cursorName = `deliveries/${watched.log}`;
    const githubNowMs = this.#options.githubNow(holder);
    state.position ??= readPosition(await ledger.cursor(cursorName), githubNowMs);
    const { position, atEnd, ...read } = await readOn({
      ...{ log: watched.log, line, endpoint, cursorName, ledger, position: state.position },
      isCertain: hook.isCertain,
      page: (cursor) => readLog(caller, { place, hook: hook.id, ...(cursor === undefined ? {} : { cursor }) }),
      isAnswered: (guid) => isAnswered(endpoint, guid),
      nowMs: () => this.#nowMs(),
      githubNowMs,
    });
    state.position = position;
    log.debug('delivery-log', { deliveries: watched.log, atEnd, ...read });
    metrics.missedDeliveries('arrived', read.answered);
    const lost = read.missed + read.dropped;
    if (lost > 0) {
      metrics.missedDeliveries('found', read.missed);
      metrics.missedDeliveries('dropped', read.dropped);
      log.warn('deliveries-missed', {
        ...{ deliveries: watched.log, missed: read.missed, dropped: read.dropped },
        reason: `GitHub sent them, and they were not recorded here: ${whatBecomesOf(read)}`,
      });
    }
    return atEnd;
  }

  /** Whether some are open. */
  async #askAgain(watched: WatchedLog, state: State, hook: OwnHook, caller: Caller): Promise<boolean> {
    const { ledger, isHeld, metrics } = this.#options;
    const { log, endpoint, line } = watched;
    const ofLine = this.#windowOf(this.#askedByLine, line, ASKED_A_MINUTE_EACH);
    for (;;) {
      const nowMs = this.#nowMs();
      const room = Math.min(
        BATCH,
        ASKED_A_MINUTE - state.asked.used(nowMs),
        ASKED_A_MINUTE_EACH - ofLine.used(nowMs),
        isHeld(endpoint) ? 0 : BATCH,
      );
      const { arrived, givenUp, due } = await ledger.beginRedeliveries({
        ...{ log, endpoint, nowMs, mostAttempts: MOST_ATTEMPTS, limit: Math.max(0, room) },
        nextDueAtMs: (attempts) => nowMs + (WAITS_MS[attempts - 1] ?? 0),
      });
      metrics.missedDeliveries('arrived', arrived);
      metrics.missedDeliveries('given-up', givenUp);
      if (givenUp > 0) {
        this.#options.log.warn('deliveries-given-up', {
          ...{ deliveries: log, givenUp },
          reason: `asked for ${MOST_ATTEMPTS} times, and not recorded: polling and GitHub's own page of the webhook have the jobs`,
        });
      }
      if (due.length === 0) return (await ledger.openMissed()).has(log);
      state.asked.spend(nowMs, due.length);
      ofLine.spend(nowMs, due.length);
      await this.#ask(watched, hook, caller, due);
      if (this.#stopping.signal.aborted) return true;
    }
  }

  /** Rejects with why GitHub does not do it for any of them; those that were not asked for are as before. */
  async #ask({ log, place }: WatchedLog, hook: OwnHook, caller: Caller, due: readonly DueDelivery[]): Promise<void> {
    const { ledger, metrics } = this.#options;
    let refusal: GithubError | undefined;
    let asked = 0;
    let gone = 0;
    const untouched: DueDelivery[] = [];
    await mapLimited(due, ASKS_AT_ONCE, async (delivery) => {
      if (refusal !== undefined || this.#stopping.signal.aborted) {
        untouched.push(delivery);
        return;
      }
      try {
        const answer = await redeliver(caller, { place, hook: hook.id, delivery: delivery.deliveryId });
        if (answer === 'gone') {
          await ledger.giveUpRedelivery(log, delivery.guid, this.#nowMs());
          gone += 1;
        } else if (answer === 'asked') asked += 1;
      } catch (error) {
        if (!(error instanceof GithubError)) throw error;
        // It may have been done: the attempt counts.
        if (error.kind === 'transient') return;
        refusal ??= error;
        untouched.push(delivery);
      }
    });
    metrics.missedDeliveries('asked', asked);
    metrics.missedDeliveries('given-up', gone);
    if (gone > 0) {
      this.#options.log.warn('deliveries-given-up', {
        ...{ deliveries: log, givenUp: gone },
        reason: 'GitHub does not have them any more: polling has the jobs that still wait',
      });
    }
    if (untouched.length > 0) {
      const nowMs = this.#nowMs();
      await ledger.takeBackRedeliveries(log, untouched, { dueAtMs: nowMs, nowMs });
    }
    if (asked > 0) this.#options.log.info('redelivery', { deliveries: log, asked });
    if (refusal !== undefined) throw refusal;
  }
}

const ASKS_AT_ONCE = 4;
const MOST_HOLDERS = 5;

/** The first of these that a log of the registration has is what is said of it. */
const ORDER = [
  'not-allowed',
  'failing',
  'watched',
  'unproven',
  'several',
  'none',
] as const satisfies readonly LogState[];

function newState(dueMs: number): State {
  return {
    ...{
      dueMs,
      isToldNotAllowed: false,
      lookedAtMs: undefined,
      looking: false,
      hook: undefined,
      leadsHere: undefined,
      position: undefined,
      status: undefined,
    },
    holders: new Holders(),
    asked: new RateWindow(MINUTE_MS, ASKED_A_MINUTE),
  };
}

function tells(error: GithubError | undefined): number {
  if (!isNotAllowed(error)) return 2;
  return error.kind === 'unauthorized' ? 0 : 1;
}

function whatBecomesOf({ missed, dropped }: { readonly missed: number; readonly dropped: number }): string {
  if (dropped === 0) return 'they are asked for again';
  const left = `${missed === 0 ? '' : `${missed} to be asked for again; `}for ${dropped} there is no room beside the others that are open`;
  return `${left}: polling finds their jobs, and GitHub's own page of the webhook can send them again`;
}

function missingWords(found: 'none' | 'several', { path }: WatchedLog): string {
  return found === 'none' ? `no webhook leads to ${path}` : `several webhooks lead to an address that ends in ${path}`;
}

/** Without what may be secret in it, and nothing of it where it was seen with the credentials of another tenant. */
function printedUrl({ isShared }: WatchedLog, url: string): string {
  const parsed = isShared ? null : URL.parse(url);
  return parsed === null ? 'its address' : `${parsed.host}${parsed.pathname}`;
}
