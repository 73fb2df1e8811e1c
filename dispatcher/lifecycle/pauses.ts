/** Registrations, or all of them, that an operator has paused: jobs are taken in, and nothing is launched until they resume. */
import { z } from 'zod';
import { type Ledger, LedgerError } from '../ledger/ledger.ts';

export interface Pause {
  /** Null: all of them. */
  readonly registration: string | null;
  readonly reason: string | null;
  /** The name of the token. */
  readonly by: string;
  /** The platform's word: a tenant cannot take it back. */
  readonly byPlatform: boolean;
  readonly sinceMs: number;
  /** The tenant's own beside the platform's: it holds when that ends. */
  readonly own?: Pause | undefined;
}

/** Of all registrations that there may be, and of those that were removed while they were paused. */
const MAX_PAUSES = 20_000;
const NAME = 'pauses';

const pauseSchema = z.object({
  registration: z.string().nullable(),
  reason: z.string().nullable(),
  by: z.string(),
  byPlatform: z.boolean(),
  sinceMs: z.int(),
});
const pausesSchema = z.array(pauseSchema.extend({ own: pauseSchema.optional() }));

export class Pauses {
  readonly #ledger: Pick<Ledger, 'cursor' | 'putCursor' | 'persist'>;
  #pauses = new Map<string | null, Pause>();

  constructor(ledger: Pick<Ledger, 'cursor' | 'putCursor' | 'persist'>) {
    this.#ledger = ledger;
  }

  /** Before anything is launched. */
  async load(): Promise<void> {
    const text = await this.#ledger.cursor(NAME);
    if (text === undefined) return;
    const parsed = pausesSchema.safeParse(jsonOf(text));
    // To launch what somebody has paused would be worse than not to start.
    if (!parsed.success)
      throw new LedgerError('corrupt', 'the row `pauses` of the table cursors cannot be read: delete it.');
    this.#pauses = new Map(parsed.data.map((pause) => [pause.registration, pause]));
  }

  /** What holds the registration; the pause of all comes first. */
  of(registration: string): Pause | undefined {
    return this.#pauses.get(null) ?? this.#pauses.get(registration);
  }

  all(): readonly Pause[] {
    return [...this.#pauses.values()];
  }

  /** Holds at once, and is on disk when it resolves. Returns the pause in force: the platform's comes before a tenant's. */
  async pause(pause: Pause): Promise<Pause> {
    const before = this.#pauses.get(pause.registration);
    if (before === undefined && this.#pauses.size >= MAX_PAUSES) throw new RangeError(`more than ${MAX_PAUSES} pauses`);
    const platforms = pause.byPlatform ? pause : before?.byPlatform === true ? before : undefined;
    const own = pause.byPlatform ? before && ownOf(before) : pause;
    const inForce = both(platforms, own) ?? pause;
    this.#pauses.set(pause.registration, inForce);
    await this.#write(pause.registration, before, pause.sinceMs);
    return inForce;
  }

  /**
   * Returns the pause that has ended; undefined: there was none. The platform ends its own first, and then a tenant's; a
   * tenant ends only its own.
   */
  async resume(
    registration: string | null,
    nowMs: number,
    { byPlatform }: Pick<Pause, 'byPlatform'> = { byPlatform: true },
  ): Promise<Pause | undefined> {
    const before = this.#pauses.get(registration);
    const ended = before === undefined || byPlatform ? before : ownOf(before);
    if (before === undefined || ended === undefined) return undefined;
    const left = ended === before ? before.own : both(before, undefined);
    if (left === undefined) this.#pauses.delete(registration);
    else this.#pauses.set(registration, left);
    await this.#write(registration, before, nowMs);
    return ended;
  }

  async #write(registration: string | null, before: Pause | undefined, nowMs: number): Promise<void> {
    try {
      await this.#ledger.putCursor(NAME, JSON.stringify(this.all()), nowMs);
      await this.#ledger.persist();
    } catch (error) {
      if (before === undefined) this.#pauses.delete(registration);
      else this.#pauses.set(registration, before);
      throw error;
    }
  }
}

function both(platforms: Pause | undefined, own: Pause | undefined): Pause | undefined {
  if (platforms === undefined) return own;
  const { own: _, ...pause } = platforms;
  return own === undefined ? pause : { ...pause, own };
}

function ownOf(pause: Pause): Pause | undefined {
  return pause.byPlatform ? pause.own : pause;
}

export function pauseWords({ by, reason, registration, sinceMs }: Pause): string {
  const since = new Date(sinceMs).toISOString().slice(0, 16).replace('T', ' ');
  const what = registration === null ? 'all registrations are' : 'its registration is';
  return `${what} paused since ${since} UTC by ${by}${reason === null ? '' : ` (${reason})`}: no runner is launched`;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
