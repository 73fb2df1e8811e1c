/**
 * Slows down senders that guess the admin token. The right one is always accepted at once, so a guesser cannot lock
 * out operators at the same address (a proxy's, or this machine's); wrong ones wait longer and longer, a few at a time.
 */
import type { Clock } from '../../time/clock.ts';
import { Episodes } from '../failures/episodes.ts';
import type { Log } from '../log.ts';
import { SlowAnswers } from './slow-answers.ts';

export class WrongTokens {
  readonly #episodes: Episodes;
  readonly #answers: SlowAnswers;

  constructor(clock: Clock, log: Pick<Log, 'info' | 'warn'>) {
    this.#episodes = new Episodes({ clock, log, event: 'admin.wrong-token' });
    this.#answers = new SlowAnswers(clock);
  }

  /** As SlowAnswers. */
  guessed(address: string): Promise<void> | undefined {
    this.#episodes.met('wrong-token', address);
    return this.#answers.wrong(address);
  }

  close(): void {
    this.#episodes.close();
  }
}
