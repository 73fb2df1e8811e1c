/**
 * How many writes may be asked for in a minute. Each has an entry in the audit trail, refused ones too: a program that loops
 * must not fill that, nor keep the ledger from its other work.
 */
import type { Clock } from '../../time/clock.ts';
import { RateWindow } from '../../time/rate-window.ts';
import { MINUTE, SECOND } from '../../time/units.ts';
import { RatedLog } from '../failures/rated-log.ts';
import type { Log } from '../log.ts';
import { AdminProblem } from './admin-problem.ts';
import type { Viewer } from './viewer.ts';

export const WRITES_OF_A_TOKEN = 120;
/** Of one tenant: its administrators can make tokens, each with writes of its own. */
export const WRITES_OF_A_TENANT = 300;

export class WriteRates {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #refused: RatedLog;
  /** Of those that have written in the last minute. */
  readonly #windows = new Map<string, RateWindow>();

  constructor(clock: Pick<Clock, 'now'>, log: Pick<Log, 'warn'>) {
    this.#clock = clock;
    this.#refused = new RatedLog({ clock, log, lines: 3, spanMs: MINUTE });
  }

  /** Counts one. Throws an AdminProblem with the time to wait, and then counts none. */
  spend({ id, name, tenants }: Pick<Viewer, 'id' | 'name' | 'tenants'>): void {
    const now = this.#clock.now();
    for (const [key, window] of this.#windows) if (window.used(now) === 0) this.#windows.delete(key);
    const token = this.#window(`token ${id}`, WRITES_OF_A_TOKEN);
    // As in the audit trail: one for several tenants counts for the first of them.
    const [tenant] = tenants?.toSorted() ?? [];
    const shared = tenant === undefined ? undefined : this.#window(`tenant ${tenant}`, WRITES_OF_A_TENANT);
    const fitsAt = Math.max(token.fitsAt(now), shared?.fitsAt(now) ?? now);
    if (fitsAt > now) {
      this.#refused.warn('admin.too-many-writes', {}, { by: name });
      const who = token.fitsAt(now) > now ? `${WRITES_OF_A_TOKEN} for ${name}` : `${WRITES_OF_A_TENANT} for ${tenant}`;
      throw new AdminProblem(
        429,
        `too many writes in a minute: the limit is ${who}`,
        `Try again in ${Math.ceil((fitsAt - now) / SECOND)} s, and find out which program sends them.`,
        { retryAfterMs: fitsAt - now },
      );
    }
    token.spend(now);
    shared?.spend(now);
  }

  #window(key: string, most: number): RateWindow {
    const known = this.#windows.get(key) ?? new RateWindow(MINUTE, most);
    this.#windows.set(key, known);
    return known;
  }
}
