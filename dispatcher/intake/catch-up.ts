/**
 * Asks GitHub at once what may have been missed: at the start, after the dispatcher stood still, and after deliveries that
 * were not taken. Also of registrations that are not polled otherwise. A few at a time, and each until GitHub answered.
 */
import { type Clock, jitter, type Random } from '../clock.ts';
import type { Claim, Registration } from '../config/model.ts';
import type { Log } from '../lifecycle/ports.ts';
import type { Speaker } from './endpoints.ts';
import type { Loss } from './losses.ts';

export interface CatchUpOptions {
  /** Whether GitHub was listed to the end. */
  readonly poll: (registration: string) => Promise<boolean>;
  readonly registrations: () => readonly Pick<Registration, 'name' | 'host' | 'claim'>[];
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>;
}

const AT_ONCE = 4;
/** After a loss others follow: one look for all of them, but not later than the longest. */
const SETTLE_MS = 5_000;
const LONGEST_SETTLE_MS = 30_000;
/** Half a request can come from anywhere: strangers must not have us ask GitHub more often than we would anyway. */
const UNVERIFIED_EVERY_MS = 300_000;
const RETRIES_MS = [5_000, 15_000, 60_000, 300_000] as const;

interface Pending {
  readonly speaker: Speaker;
  readonly latestMs: number;
  dueMs: number;
}

export class CatchUp {
  readonly #options: CatchUpOptions;
  /** By registration: tries that failed. */
  readonly #waiting = new Map<string, number>();
  readonly #retries = new Map<string, () => void>();
  /** By endpoint, whose number is bounded by the configuration. */
  readonly #pending = new Map<string, Pending>();
  readonly #lastUnverifiedMs = new Map<string, number>();
  readonly #workers = new Set<Promise<void>>();
  #cancel: (() => void) | undefined;
  #stopped = false;

  constructor(options: CatchUpOptions) {
    this.#options = options;
  }

  /** All registrations, now. */
  all(reason: 'start' | 'gap'): void {
    this.#ask(
      reason,
      this.#options.registrations().map(({ name }) => name),
    );
  }

  /** A delivery was not taken: those that it may have been about are asked soon. */
  lost({ verified, speakers }: Loss): void {
    if (this.#stopped) return;
    const nowMs = this.#nowMs();
    for (const speaker of speakers) {
      if (!verified && !this.#mayAsk(speaker.endpoint, nowMs)) continue;
      const known = this.#pending.get(speaker.endpoint);
      const latestMs = known?.latestMs ?? nowMs + LONGEST_SETTLE_MS;
      const dueMs = Math.min(latestMs, nowMs + jitter(SETTLE_MS, this.#options.random));
      this.#pending.set(speaker.endpoint, { speaker, latestMs, dueMs });
    }
    if (this.#pending.size > 0) this.#cancel ??= this.#options.clock.after(1_000, () => this.#settle());
  }

  /** Resolves when nothing is asked any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel?.();
    for (const cancel of this.#retries.values()) cancel();
    this.#waiting.clear();
    await Promise.all(this.#workers);
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
    for (const { speaker } of due) this.#pending.delete(speaker.endpoint);
    const names = this.#options
      .registrations()
      .filter((registration) => due.some(({ speaker }) => speaksOf(speaker, registration)))
      .map(({ name }) => name);
    if (names.length > 0) this.#ask('lost-deliveries', names);
    this.#cancel = this.#pending.size === 0 ? undefined : this.#options.clock.after(1_000, () => this.#settle());
  }

  #ask(reason: string, names: readonly string[]): void {
    if (this.#stopped) return;
    this.#options.log.info('catch-up', { reason, registrations: names.length });
    for (const name of names) {
      this.#retries.get(name)?.();
      this.#retries.delete(name);
      this.#waiting.set(name, 0);
    }
    this.#work();
  }

  #work(): void {
    while (this.#workers.size < Math.min(AT_ONCE, this.#workers.size + this.#waiting.size)) {
      const [next] = this.#waiting;
      if (next === undefined || this.#stopped) return;
      const [name, failures] = next;
      this.#waiting.delete(name);
      const work: Promise<void> = this.#poll(name, failures).finally(() => {
        this.#workers.delete(work);
        this.#work();
      });
      this.#workers.add(work);
    }
  }

  async #poll(name: string, failures: number): Promise<void> {
    const { poll, log } = this.#options;
    try {
      if ((await poll(name)) || this.#stopped) return;
      if (failures === 0) log.warn('catch-up-incomplete', { registration: name });
      this.#again(name, failures + 1);
    } catch (error) {
      log.error('catch-up-failed', { registration: name, error });
    }
  }

  #again(name: string, failures: number): void {
    // Asked anew meanwhile: it is tried at once.
    if (this.#waiting.has(name) || this.#stopped) return;
    const { clock, random } = this.#options;
    const ms = jitter(RETRIES_MS[Math.min(failures, RETRIES_MS.length) - 1] ?? 300_000, random);
    this.#retries.set(
      name,
      clock.after(ms, () => {
        this.#retries.delete(name);
        this.#waiting.set(name, failures);
        this.#work();
      }),
    );
  }
}

/** Whether a delivery of this speaker can be about the registration's repositories. */
function speaksOf(speaker: Speaker, { name, host, claim }: Pick<Registration, 'name' | 'host' | 'claim'>): boolean {
  if (speaker.registration !== null) return speaker.registration === name;
  if (speaker.host !== host.toLowerCase()) return false;
  return placesOf(claim).some(({ owner, repository }) => speaker.speaksFor(owner, repository));
}

/** Of an owner any repository stands for all. */
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
