/**
 * Slows down senders that guess the admin token. The right one is always accepted at once, so a guesser cannot lock
 * out operators at the same address (a proxy's, or this machine's); wrong ones wait longer and longer, a few at a time.
 */

import { backoffMs } from '../../time/backoff.ts';
import type { Clock } from '../../time/clock.ts';
import { Episodes } from '../failures/episodes.ts';
import type { Log } from '../log.ts';

interface Guesser {
  guesses: number;
  lastMs: number;
  waiting: number;
}

/** A mispasted token, or a scraper with an old one, is not slowed down. */
const FREE_GUESSES = 5;
const FIRST_DELAY_MS = 250;
const MAX_DELAY_MS = 5_000;
const FORGOTTEN_AFTER_MS = 600_000;
const MAX_WAITING = 8;
const MAX_ADDRESSES = 10_000;

export class WrongTokens {
  readonly #clock: Clock;
  readonly #episodes: Episodes;
  readonly #guessers = new Map<string, Guesser>();

  constructor(clock: Clock, log: Pick<Log, 'info' | 'warn'>) {
    this.#clock = clock;
    this.#episodes = new Episodes({ clock, log, event: 'admin.wrong-token' });
  }

  /**
   * Resolves when the guess may be answered: at once for the first five of an address, then after 250 ms, twice as long
   * each time, at most 5 s. Undefined: eight from this address are waiting already.
   */
  guessed(address: string): Promise<void> | undefined {
    this.#episodes.met('wrong-token', address);
    const guesser = this.#guesserAt(address);
    guesser.guesses += 1;
    if (guesser.waiting >= MAX_WAITING) return undefined;
    const beyond = guesser.guesses - FREE_GUESSES - 1;
    if (beyond < 0) return Promise.resolve();
    const ms = backoffMs(FIRST_DELAY_MS, MAX_DELAY_MS, beyond);
    guesser.waiting += 1;
    return new Promise((resolve) => {
      this.#clock.after(ms, () => {
        guesser.waiting -= 1;
        resolve();
      });
    });
  }

  close(): void {
    this.#episodes.close();
  }

  #guesserAt(address: string): Guesser {
    const nowMs = this.#clock.now();
    const known = this.#guessers.get(address);
    // Moved to the end: the first in the map is the least recently active.
    this.#guessers.delete(address);
    const fresh = known === undefined || (known.waiting === 0 && nowMs - known.lastMs > FORGOTTEN_AFTER_MS);
    const guesser = fresh ? { guesses: 0, lastMs: nowMs, waiting: 0 } : known;
    guesser.lastMs = nowMs;
    this.#guessers.set(address, guesser);
    const [oldest] = this.#guessers.keys();
    if (this.#guessers.size > MAX_ADDRESSES && oldest !== undefined) this.#guessers.delete(oldest);
    return guesser;
  }
}
