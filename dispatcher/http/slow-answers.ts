/** Answers to one sender that is wrong again and again: they take longer and longer, a few at a time. */
import { backoffMs } from '../../time/backoff.ts';
import type { Clock } from '../../time/clock.ts';

interface Sender {
  times: number;
  lastMs: number;
  waiting: number;
}

/** A mispasted token, or a scraper with an old one, is not slowed down. */
const FREE = 5;
const FIRST_DELAY_MS = 250;
const MAX_DELAY_MS = 5_000;
const FORGOTTEN_AFTER_MS = 600_000;
const MAX_WAITING = 8;
const MAX_ADDRESSES = 10_000;

export class SlowAnswers {
  readonly #clock: Pick<Clock, 'now' | 'after'>;
  readonly #senders = new Map<string, Sender>();

  constructor(clock: Pick<Clock, 'now' | 'after'>) {
    this.#clock = clock;
  }

  /**
   * Resolves when the wrong one may be answered: at once for the first five of an address, then after 250 ms, twice as
   * long each time, at most 5 s. Undefined: eight from this address are waiting already.
   */
  wrong(address: string): Promise<void> | undefined {
    const sender = this.#senderAt(address);
    sender.times += 1;
    if (sender.waiting >= MAX_WAITING) return undefined;
    const beyond = sender.times - FREE - 1;
    if (beyond < 0) return Promise.resolve();
    const ms = backoffMs(FIRST_DELAY_MS, MAX_DELAY_MS, beyond);
    sender.waiting += 1;
    return new Promise((resolve) => {
      this.#clock.after(ms, () => {
        sender.waiting -= 1;
        resolve();
      });
    });
  }

  #senderAt(address: string): Sender {
    const nowMs = this.#clock.now();
    const known = this.#senders.get(address);
    // Moved to the end: the first in the map is the least recently active.
    this.#senders.delete(address);
    const fresh = known === undefined || (known.waiting === 0 && nowMs - known.lastMs > FORGOTTEN_AFTER_MS);
    const sender = fresh ? { times: 0, lastMs: nowMs, waiting: 0 } : known;
    sender.lastMs = nowMs;
    this.#senders.set(address, sender);
    const [oldest] = this.#senders.keys();
    if (this.#senders.size > MAX_ADDRESSES && oldest !== undefined) this.#senders.delete(oldest);
    return sender;
  }
}
