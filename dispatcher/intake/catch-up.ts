/**
 * Polls GitHub at once for what may have been missed: at the start, after the dispatcher was suspended, and after lost
 * deliveries. Includes registrations that are not polled otherwise. A few at a time, each until GitHub has answered.
 */
import { type Clock, jitter, type Random } from '../../time/clock.ts';
import type { Log } from '../log.ts';
import type { Claim, Registration } from '../model/registration.ts';
import { lineOf } from '../model/registration.ts';
import type { WebhookSource } from './endpoints.ts';
import type { Loss } from './losses.ts';
import type { Haste } from './poller.ts';

export interface CatchUpOptions {
  /** Whether GitHub was listed completely. */
  readonly poll: (registration: string, haste: Haste) => Promise<boolean>;
  readonly registrations: () => readonly Pick<Registration, 'name' | 'grant' | 'host' | 'claim'>[];
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>;
}

/**
 * For ordinary ones, and as many for those with lost deliveries. Their cost at GitHub is bounded elsewhere (see
 * pass-places.ts); a poll may wait an hour for its credential's limits, and a few of those must not hold up the rest.
 */
const AT_ONCE = 256;
/** For one tenant, whose GitHub may take hours for each. */
const AT_ONCE_EACH = 16;
/** One loss is followed by others: poll once for all of them, but no later than the maximum. */
const SETTLE_MS = 5_000;
const MAX_SETTLE_MS = 30_000;
/** Anyone can send half a request: unauthenticated senders must not make us poll GitHub more often than usual. */
const UNVERIFIED_EVERY_MS = 300_000;
const RETRIES_MS = [5_000, 15_000, 60_000, 300_000] as const;

interface Waiting {
  /** Failed attempts. */
  readonly failures: number;
  /** The tenant it belongs to. */
  readonly line: string;
}

interface Pending {
  readonly webhookSource: WebhookSource;
  readonly latestMs: number;
  dueMs: number;
}

export class CatchUp {
  readonly #options: CatchUpOptions;
  /** By registration. */
  readonly #waiting: Readonly<Record<Haste, Map<string, Waiting>>> = { urgent: new Map(), usual: new Map() };
  readonly #retries = new Map<string, () => void>();
  /** By endpoint; the configuration bounds their number. */
  readonly #pending = new Map<string, Pending>();
  readonly #lastUnverifiedMs = new Map<string, number>();
  readonly #workers: Readonly<Record<Haste, Map<Promise<void>, string>>> = { urgent: new Map(), usual: new Map() };
  #cancel: (() => void) | undefined;
  #stopped = false;

  constructor(options: CatchUpOptions) {
    this.#options = options;
  }

  /** Polls all registrations now. */
  all(reason: 'start' | 'gap'): void {
    this.#ask(reason, 'usual', this.#options.registrations());
  }

  /** These are new, or claim other jobs than before: some may be waiting already. */
  some(registrations: readonly Pick<Registration, 'name' | 'grant'>[]): void {
    if (registrations.length > 0) this.#ask('configuration', 'usual', registrations);
  }

  /** A delivery was lost: the registrations it may have been about are polled soon. */
  lost({ verified, sources }: Loss): void {
    if (this.#stopped) return;
    const nowMs = this.#nowMs();
    for (const webhookSource of sources) {
      if (!verified && !this.#mayAsk(webhookSource.endpoint, nowMs)) continue;
      const known = this.#pending.get(webhookSource.endpoint);
      const latestMs = known?.latestMs ?? nowMs + MAX_SETTLE_MS;
      const dueMs = Math.min(latestMs, nowMs + jitter(SETTLE_MS, this.#options.random));
      this.#pending.set(webhookSource.endpoint, { webhookSource, latestMs, dueMs });
    }
    if (this.#pending.size > 0) this.#cancel ??= this.#options.clock.after(1_000, () => this.#settle());
  }

  /** Resolves when no poll is left in progress. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel?.();
    for (const cancel of this.#retries.values()) cancel();
    for (const waiting of Object.values(this.#waiting)) waiting.clear();
    await Promise.all([...this.#workers.urgent.keys(), ...this.#workers.usual.keys()]);
  }

  #nowMs(): number {
    const { clock } = this.#options;
    return clock.elapsed?.() ?? clock.now();
  }

  #mayAsk(endpoint: string, nowMs: number): boolean {
    if (this.#pending.has(endpoint)) return true;
    const lastMs = this.#lastUnverifiedMs.get(endpoint);
    if (lastMs !== undefined && nowMs - lastMs < UNVERIFIED_EVERY_MS) return false;
    this.#lastUnverifiedMs.set(endpoint, nowMs);
    return true;
  }

  #settle(): void {
    const nowMs = this.#nowMs();
    const due = [...this.#pending.values()].filter(({ dueMs }) => dueMs <= nowMs);
    for (const { webhookSource } of due) this.#pending.delete(webhookSource.endpoint);
    const found = this.#options
      .registrations()
      .filter((registration) => due.some(({ webhookSource }) => speaksOf(webhookSource, registration)));
    if (found.length > 0) this.#ask('lost-deliveries', 'urgent', found);
    this.#cancel = this.#pending.size === 0 ? undefined : this.#options.clock.after(1_000, () => this.#settle());
  }

  #ask(reason: string, haste: Haste, registrations: readonly Pick<Registration, 'name' | 'grant'>[]): void {
    if (this.#stopped) return;
    this.#options.log.info('catch-up', { reason, registrations: registrations.length });
    for (const registration of registrations) {
      const { name } = registration;
      this.#retries.get(name)?.();
      this.#retries.delete(name);
      if (haste === 'urgent') this.#waiting.usual.delete(name);
      else if (this.#waiting.urgent.has(name)) continue;
      this.#waiting[haste].set(name, { failures: 0, line: lineOf(registration) });
    }
    this.#work(haste);
  }

  #work(haste: Haste): void {
    const [workers, waiting] = [this.#workers[haste], this.#waiting[haste]];
    const counts = new Map<string, number>();
    for (const line of workers.values()) counts.set(line, (counts.get(line) ?? 0) + 1);
    for (const [name, { failures, line }] of waiting) {
      if (workers.size >= AT_ONCE || this.#stopped) return;
      const ofLine = counts.get(line) ?? 0;
      if (ofLine >= AT_ONCE_EACH) continue;
      counts.set(line, ofLine + 1);
      waiting.delete(name);
      const work: Promise<void> = this.#poll(name, haste, { failures, line }).finally(() => {
        workers.delete(work);
        this.#work(haste);
      });
      workers.set(work, line);
    }
  }

  async #poll(name: string, haste: Haste, { failures, line }: Waiting): Promise<void> {
    const { poll, log } = this.#options;
    try {
      if ((await poll(name, haste)) || this.#stopped) return;
      if (failures === 0) log.warn('catch-up-incomplete', { registration: name });
      this.#again(name, haste, { failures: failures + 1, line });
    } catch (error) {
      log.error('catch-up-failed', { registration: name, error });
    }
  }

  #again(name: string, haste: Haste, waiting: Waiting): void {
    // Requested again in the meantime: try at once.
    if (this.#waiting.usual.has(name) || this.#waiting.urgent.has(name) || this.#stopped) return;
    const { clock, random } = this.#options;
    const ms = jitter(RETRIES_MS[Math.min(waiting.failures, RETRIES_MS.length) - 1] ?? 300_000, random);
    this.#retries.set(
      name,
      clock.after(ms, () => {
        this.#retries.delete(name);
        this.#waiting[haste].set(name, waiting);
        this.#work(haste);
      }),
    );
  }
}

/** Whether a delivery from this WebhookSource can be about the registration's repositories. */
function speaksOf(
  webhookSource: WebhookSource,
  { name, host, claim }: Pick<Registration, 'name' | 'host' | 'claim'>,
): boolean {
  if (webhookSource.registration !== null) return webhookSource.registration === name;
  if (webhookSource.host !== host.toLowerCase()) return false;
  return placesOf(claim).some(({ owner, repository }) => webhookSource.mayReport(owner, repository));
}

/** For a whole owner, any repository will do. */
function placesOf(claim: Claim): readonly { readonly owner: string; readonly repository: string }[] {
  switch (claim.kind) {
    case 'enterprise':
      return claim.organizations.map((owner) => ({ owner, repository: '' }));
    case 'organization':
      return [{ owner: claim.organization, repository: '' }];
    case 'user':
      return [{ owner: claim.user, repository: '' }];
    case 'repositories':
      return claim.repositories;
  }
}
