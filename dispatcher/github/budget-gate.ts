/** Admits the calls of one credential as its budget allows: most urgent first, and those as urgent tenant by tenant. */
import type { Clock } from '../../time/clock.ts';
import { type Budget, type BudgetLevel, type BudgetLimits, type Cost, type Ending, purposes } from './budget.ts';
import { FairQueue } from './fair-queue.ts';
import type { CallPurpose } from './github.ts';

/** The call was not made. */
export class BudgetRefusal extends Error {
  readonly retryAfterMs: number;
  constructor(message: string, retryAfterMs: number) {
    super(message);
    this.name = 'BudgetRefusal';
    this.retryAfterMs = retryAfterMs;
  }
}

/** Permission to make one call now. */
export interface Turn {
  /** Call once, when the call has ended. Returns how long GitHub wants us to pause, if it says so. */
  end(ending: Ending): number | undefined;
}

interface Waiter {
  readonly cost: Cost;
  readonly purpose: CallPurpose;
  readonly go: (turn: Turn) => void;
  readonly refuse: (reason: Error) => void;
}

/** Used when no better estimate exists. */
const RETRY_MS = 1_000;
const MAX_RETRY_MS = 3_600_000;

export class BudgetGate {
  readonly #budget: Budget;
  readonly #limits: BudgetLimits;
  readonly #clock: Clock;
  readonly #waiting: Readonly<Record<CallPurpose, FairQueue<Waiter>>> = {
    launch: new FairQueue(),
    drain: new FairQueue(),
    verify: new FairQueue(),
    sweep: new FairQueue(),
  };
  #cancelWake: () => void = () => {};

  constructor(budget: Budget, limits: BudgetLimits, clock: Clock) {
    this.#budget = budget;
    this.#limits = limits;
    this.#clock = clock;
  }

  /**
   * Rejects with BudgetRefusal when it would take longer than the limit, or with the signal's reason. `line`: of the
   * tenant that it is for. Tenants that share a credential take turns.
   */
  async turn(cost: Cost, purpose: CallPurpose, signal?: AbortSignal, line = ''): Promise<Turn> {
    signal?.throwIfAborted();
    const evicted = this.#makeRoom(purpose, line);
    if (evicted === 'full') throw new BudgetRefusal('too many calls wait for their turn', RETRY_MS);

    const { promise, resolve, reject } = Promise.withResolvers<Turn>();
    const waiter: Waiter = { cost, purpose, go: resolve, refuse: reject };
    const queue = this.#waiting[purpose];
    queue.add(waiter, line);
    this.#pump();
    if (!queue.includes(waiter)) return promise;

    const giveUp = () => {
      this.#leave(waiter);
      reject(this.#refusal(waiter, this.#earliest(waiter)));
    };
    const abandon = () => {
      this.#leave(waiter);
      reject(signal?.reason);
    };
    const cancel = this.#clock.after(this.#limits.longestWaitMs, giveUp);
    signal?.addEventListener('abort', abandon, { once: true });
    try {
      return await promise;
    } finally {
      cancel();
      signal?.removeEventListener('abort', abandon);
    }
  }

  get waiting(): number {
    return purposes.reduce((sum, purpose) => sum + this.#waiting[purpose].length, 0);
  }

  /** The scarcest of its limits: the share that is left, minus what already waits for it. */
  headroom(): number {
    const left = this.levels().map(({ remaining, limit }) => remaining / Math.max(1, limit));
    return Math.min(1, ...left) - this.waiting / this.#limits.waitingCalls;
  }

  levels(): readonly BudgetLevel[] {
    return this.#budget.levels(this.#clock.now());
  }

  /** Admits waiting calls. Strictly by urgency where the limit is shared: a cheap sweep does not overtake a launch. */
  #pump(): void {
    this.#cancelWake();
    this.#cancelWake = () => {};
    const nowMs = this.#clock.now();
    let wakeAtMs = Number.POSITIVE_INFINITY;
    everyone: for (const purpose of purposes) {
      const queue = this.#waiting[purpose];
      for (const waiter of queue.items()) {
        const verdict = this.#budget.verdict(nowMs, waiter.cost, purpose);
        if (verdict.go) {
          queue.serve(waiter);
          waiter.go(this.#begin(waiter, nowMs));
          continue;
        }
        const atMs = verdict.atMs ?? nowMs;
        if (atMs - nowMs > this.#limits.longestWaitMs) {
          // It would wait only to get the same answer.
          queue.leave(waiter);
          waiter.refuse(this.#refusal(waiter, atMs));
          continue;
        }
        wakeAtMs = Math.min(wakeAtMs, verdict.atMs ?? Number.POSITIVE_INFINITY);
        if (verdict.others === 'wait') break everyone;
      }
    }
    if (Number.isFinite(wakeAtMs)) {
      this.#cancelWake = this.#clock.after(Math.max(1, wakeAtMs - nowMs), () => this.#pump());
    }
  }

  #begin(waiter: Waiter, nowMs: number): Turn {
    const spending = this.#budget.spend(nowMs, waiter.cost, waiter.purpose);
    let ended = false;
    return {
      end: (ending) => {
        if (ended) return undefined;
        ended = true;
        const leaveAloneMs = this.#budget.end(this.#clock.now(), spending, ending);
        this.#pump();
        return leaveAloneMs;
      },
    };
  }

  /** When the queue is full, the least urgent waiter is dropped for a more urgent one, or for one whose turn is sooner. */
  #makeRoom(purpose: CallPurpose, line: string): 'room' | 'full' {
    if (this.waiting < this.#limits.waitingCalls) return 'room';
    for (const other of purposes.toReversed()) {
      const isOwn = other === purpose;
      const last = this.#waiting[other].giveWay(isOwn ? line : undefined);
      if (last === undefined && isOwn) return 'full';
      if (last !== undefined) {
        last.refuse(new BudgetRefusal('gave way to a more urgent call', RETRY_MS));
        return 'room';
      }
    }
    return 'full';
  }

  #earliest(waiter: Waiter): number | undefined {
    const verdict = this.#budget.verdict(this.#clock.now(), waiter.cost, waiter.purpose);
    return verdict.go ? undefined : verdict.atMs;
  }

  #leave(waiter: Waiter): void {
    this.#waiting[waiter.purpose].leave(waiter);
    // It may have blocked less urgent ones.
    this.#pump();
  }

  #refusal(waiter: Waiter, atMs: number | undefined): BudgetRefusal {
    const waitMs = atMs === undefined ? RETRY_MS : Math.max(1, atMs - this.#clock.now());
    return new BudgetRefusal(
      `our own budget for GitHub is used up for calls of the kind '${waiter.purpose}'`,
      Math.min(MAX_RETRY_MS, waitMs),
    );
  }
}
