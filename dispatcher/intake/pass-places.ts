/**
 * Which registrations are polled now. Thousands that poll in addition to webhooks must put no more than a trickle of
 * load on the machine and their shared App; the few that depend on polling are not delayed by them.
 */
import type { Clock } from '../../time/clock.ts';

/** `alone`: its jobs are found only by polling. `beside`: a webhook reports them, and the poll finds missed ones. */
export type PollRole = 'alone' | 'beside';

export interface PassLimits {
  /** Concurrent passes of each role: over all tenants excluding slow ones, and per tenant. */
  readonly atOnce: number;
  /** Passes beside webhooks that may start at once, and how many more per second. */
  readonly burst: number;
  readonly perSecond: number;
}

/**
 * A pass that takes longer is waiting for a slow GitHub, possibly for hours: a page in 29 seconds, and hundreds
 * of pages. It gives its slot to other tenants, and counts only towards its own.
 */
const SLOW_MS = 30_000;

export const passLimits: PassLimits = { atOnce: 8, burst: 100, perSecond: 5 };

/** The handle of a running pass. */
export interface PassPlace {
  /** Releases the slot to another pass during the pause: GitHub's limits may ask for an hour. */
  rest(pause: () => Promise<void>): Promise<void>;
}

/** One pass on its way through the slots. */
export class PassTicket {
  role: PollRole;
  /** The tenant of the pass. */
  readonly line: string;
  /** Resumes it when a slot is free; undefined while the pass has one, or is not waiting. */
  begin: (() => void) | undefined;
  /** The role whose slot it has. */
  holds: PollRole | undefined;

  constructor(role: PollRole, line: string) {
    this.role = role;
    this.line = line;
  }
}

export class PassPlaces {
  readonly #clock: Clock;
  readonly #limits: PassLimits;
  /** Their start times, in that order. */
  readonly #running: Record<PollRole, Map<PassTicket, number>> = { alone: new Map(), beside: new Map() };
  readonly #waiting: Record<PollRole, Set<PassTicket>> = { alone: new Set(), beside: new Set() };
  #allowance: number;
  #allowanceAtMs: number;
  #cancelWake: (() => void) | undefined;
  readonly #cancelSlow: Partial<Record<PollRole, () => void>> = {};
  #closed = false;

  constructor(clock: Clock, limits: PassLimits = passLimits) {
    this.#clock = clock;
    this.#limits = limits;
    this.#allowance = limits.burst;
    this.#allowanceAtMs = clock.now();
  }

  /** Runs `pass` when it has a slot, first come, first served. After `close` it runs at once, to find out. */
  async run<T>(ticket: PassTicket, pass: (place: PassPlace) => Promise<T>): Promise<T> {
    await this.#enter(ticket);
    let resting = 0;
    const place: PassPlace = {
      rest: async (pause) => {
        resting += 1;
        if (resting === 1) this.#leave(ticket);
        try {
          await pause();
        } finally {
          resting -= 1;
          if (resting === 0) await this.#enter(ticket);
        }
      },
    };
    try {
      return await pass(place);
    } finally {
      this.#leave(ticket);
    }
  }

  /** Something was lost, and this pass will find it: it skips the trickle. */
  hurry(ticket: PassTicket): void {
    if (ticket.role === 'alone') return;
    const waits = this.#waiting.beside.delete(ticket);
    ticket.role = 'alone';
    if (!waits) return;
    this.#waiting.alone.add(ticket);
    this.#pump('alone');
  }

  /** Releases everything that waits: each pass first checks whether it may still work. */
  close(): void {
    this.#closed = true;
    this.#cancelWake?.();
    for (const cancel of Object.values(this.#cancelSlow)) cancel();
    for (const role of ['alone', 'beside'] as const) {
      for (const ticket of this.#waiting[role]) this.#begin(ticket);
    }
  }

  async #enter(ticket: PassTicket): Promise<void> {
    if (this.#closed) return;
    await new Promise<void>((begin) => {
      ticket.begin = begin;
      this.#waiting[ticket.role].add(ticket);
      this.#pump(ticket.role);
    });
  }

  #leave(ticket: PassTicket): void {
    const { holds } = ticket;
    if (holds === undefined) return;
    ticket.holds = undefined;
    this.#running[holds].delete(ticket);
    this.#pump(holds);
  }

  #pump(role: PollRole): void {
    this.#refill();
    const running = [...this.#running[role]];
    const quick = running.filter(([, sinceMs]) => this.#clock.now() - sinceMs < SLOW_MS);
    const ofLines = Map.groupBy(running, ([{ line }]) => line);
    const counts = new Map([...ofLines].map(([line, those]) => [line, those.length]));
    let free = this.#limits.atOnce - quick.length;
    for (const ticket of this.#waiting[role]) {
      if (free <= 0) {
        this.#wakeWhenSlow(role, quick[0]?.[1]);
        return;
      }
      const ofLine = counts.get(ticket.line) ?? 0;
      if (ofLine >= this.#limits.atOnce) continue;
      if (role === 'beside') {
        if (this.#allowance < 1) {
          this.#wakeForNext();
          return;
        }
        this.#allowance -= 1;
      }
      free -= 1;
      counts.set(ticket.line, ofLine + 1);
      this.#begin(ticket);
    }
  }

  #wakeWhenSlow(role: PollRole, sinceMs = this.#clock.now()): void {
    if (this.#cancelSlow[role] !== undefined || this.#closed) return;
    this.#cancelSlow[role] = this.#clock.after(Math.max(1, sinceMs + SLOW_MS - this.#clock.now()), () => {
      delete this.#cancelSlow[role];
      this.#pump(role);
    });
  }

  #begin(ticket: PassTicket): void {
    const { begin, role } = ticket;
    this.#waiting[role].delete(ticket);
    ticket.holds = role;
    this.#running[role].set(ticket, this.#clock.now());
    ticket.begin = undefined;
    begin?.();
  }

  #wakeForNext(): void {
    if (this.#cancelWake !== undefined) return;
    this.#cancelWake = this.#clock.after(Math.ceil(1_000 / this.#limits.perSecond), () => {
      this.#cancelWake = undefined;
      this.#pump('beside');
    });
  }

  #refill(): void {
    const now = this.#clock.now();
    const refilled = this.#allowance + (Math.max(0, now - this.#allowanceAtMs) * this.#limits.perSecond) / 1_000;
    this.#allowance = Math.min(this.#limits.burst, refilled);
    this.#allowanceAtMs = now;
  }
}
