/**
 * Where containers that were started ahead of their jobs ask for their JIT configuration, and get it: once, from memory.
 * What is lost here (with the process, or on the way) is never made up for: the runner is taken down, and the next one
 * serves.
 */
import type { Clock } from '../../../time/clock.ts';
import { MINUTE, SECOND } from '../../../time/units.ts';

export type JitAnswer =
  | { readonly kind: 'jit'; readonly encodedJitConfig: string }
  | { readonly kind: 'not-yet' }
  /** It will never have one: its container ends. */
  | { readonly kind: 'never' };

/** Below the 30 s after which proxies give up, and the 40 s of the container itself. */
const LONGEST_ASK_MS = 25 * SECOND;
/** A container asks again this soon after an answer. */
const BETWEEN_ASKS_MS = 8 * SECOND;
/** One that lives has asked again by then, also after a restart of ours: it goes on for this long past several failed asks. */
const SILENT_MS = 2 * MINUTE;
/** How long a JIT configuration waits for its container. */
const KEPT_MS = 20 * SECOND;

interface Ask {
  readonly answer: (answer: JitAnswer) => void;
}

interface Gift {
  /** Undefined while GitHub is asked. */
  encodedJitConfig?: string;
  fetched: (isFetched: boolean) => void;
}

export class HandOver {
  readonly #clock: Clock;
  readonly #most: number;
  /** By runner. */
  readonly #asks = new Map<string, Ask>();
  /** When it was last heard of, and whether it closed the connection itself. */
  readonly #heard = new Map<string, { readonly atMs: number; readonly left: boolean }>();
  readonly #startedAtMs: number;
  readonly #gifts = new Map<string, Gift>();

  /** `most`: asks held open at once; the others are answered with `not-yet`. */
  constructor(clock: Clock, most: number) {
    this.#clock = clock;
    this.#most = most;
    this.#startedAtMs = clock.now();
  }

  /** Never rejects. A later ask of the same runner ends an earlier one, and so does `signal`. */
  ask(runner: string, signal?: AbortSignal): Promise<JitAnswer> {
    this.#asks.get(runner)?.answer({ kind: 'not-yet' });
    this.#remember(runner);
    const gift = this.#gifts.get(runner);
    if (gift?.encodedJitConfig !== undefined) return Promise.resolve(this.#hand(runner, gift, gift.encodedJitConfig));
    if (this.#asks.size >= this.#most || signal?.aborted === true) return Promise.resolve({ kind: 'not-yet' });
    return new Promise((resolve) => {
      const answer = (with_: JitAnswer): void => {
        if (this.#asks.get(runner) === ask) this.#asks.delete(runner);
        cancel();
        signal?.removeEventListener('abort', leave);
        this.#remember(runner);
        resolve(with_);
      };
      // Its connection is closed: it asks again if it lives.
      const leave = (): void => {
        answer({ kind: 'not-yet' });
        this.#remember(runner, true);
      };
      const cancel = this.#clock.after(LONGEST_ASK_MS, () => answer({ kind: 'not-yet' }));
      const ask: Ask = { answer };
      this.#asks.set(runner, ask);
      signal?.addEventListener('abort', leave);
    });
  }

  /** False: `isAsking` is false of each. */
  isAnyAsking(): boolean {
    return this.#asks.size > 0 || this.#heard.size > 0;
  }

  /** It asks now, or will in a moment. */
  isAsking(runner: string): boolean {
    if (this.#asks.has(runner)) return true;
    const heard = this.#heard.get(runner);
    return heard !== undefined && !heard.left && this.#clock.now() - heard.atMs <= BETWEEN_ASKS_MS;
  }

  /** It has not asked for so long that it may never do so again. */
  isSilent(runner: string): boolean {
    if (this.#asks.has(runner)) return false;
    return this.#clock.now() - (this.#heard.get(runner)?.atMs ?? this.#startedAtMs) > SILENT_MS;
  }

  /** It gets a job: from here on its asks wait for the JIT configuration that is made for it. */
  begin(runner: string): void {
    this.#gifts.set(runner, { fetched: () => {} });
  }

  /** In this process: one is being made for it, or waits for it. */
  isExpected(runner: string): boolean {
    return this.#gifts.has(runner);
  }

  /** Resolves when its container has fetched it, or with false if it did not come. */
  give(runner: string, encodedJitConfig: string): Promise<boolean> {
    const gift = this.#gifts.get(runner);
    if (gift === undefined) return Promise.resolve(false);
    return new Promise((resolve) => {
      const cancel = this.#clock.after(KEPT_MS, () => gift.fetched(false));
      gift.fetched = (isFetched) => {
        cancel();
        this.#gifts.delete(runner);
        resolve(isFetched);
      };
      gift.encodedJitConfig = encodedJitConfig;
      this.#asks.get(runner)?.answer(this.#hand(runner, gift, encodedJitConfig));
    });
  }

  /** It gets none any more. */
  end(runner: string): void {
    this.#gifts.get(runner)?.fetched(false);
    this.#gifts.delete(runner);
    this.#asks.get(runner)?.answer({ kind: 'never' });
    this.#heard.delete(runner);
  }

  /** Runners that have not asked for long are forgotten. */
  tidy(): void {
    const before = this.#clock.now() - SILENT_MS;
    for (const [runner, { atMs }] of this.#heard) if (atMs < before) this.#heard.delete(runner);
  }

  #hand(runner: string, gift: Gift, encodedJitConfig: string): JitAnswer {
    this.#gifts.delete(runner);
    gift.fetched(true);
    return { kind: 'jit', encodedJitConfig };
  }

  #remember(runner: string, left = false): void {
    this.#heard.set(runner, { atMs: this.#clock.now(), left });
  }
}
