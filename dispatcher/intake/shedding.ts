/** Why requests to the public listener are turned away: one condition is logged as it begins, lasts and ends. */
import type { Clock } from '../../time/clock.ts';
import { Episodes } from '../failures/episodes.ts';
import type { Log } from '../log.ts';
import type { Loss } from './losses.ts';

export class Shedding {
  readonly #episodes: Episodes;

  constructor(clock: Clock, log: Log) {
    this.#episodes = new Episodes({ clock, log, event: 'intake.shedding' });
  }

  /** A delivery was lost. One endpoint at its limit is a condition of its own. */
  lost({ cause, sources, from }: Loss): void {
    const [only, ...others] = sources;
    const ofOne = cause === 'rate' && only !== undefined && others.length === 0;
    this.#episodes.met(ofOne ? `${cause} ${only.endpoint}` : cause, from);
  }

  /** A connection that carried no request gave way. */
  yielded(from: string): void {
    this.#episodes.met('connections', from);
  }

  /** At present: a cause of `Loss`, or `rate ENDPOINT`, and how many requests it has cost so far. */
  current(): readonly { readonly name: string; readonly count: number }[] {
    return this.#episodes.current();
  }

  /** Signed deliveries to this endpoint, by what they themselves cause: senders whom nobody knows have no say in it. */
  turnsAway(endpoint: string): boolean {
    const names = this.#episodes.current().map(({ name }) => name);
    return ['queue', 'ledger', `rate ${endpoint}`].some((name) => names.includes(name));
  }

  close(): void {
    this.#episodes.close();
  }
}
