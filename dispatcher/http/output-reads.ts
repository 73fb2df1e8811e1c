/**
 * How much live output tenants may read from shared backends. Each read is a call to the platform's account, whose rate the
 * launches of all need; a page that asks again and again, or a token that does, must not take it from others.
 */
import type { Clock } from '../../time/clock.ts';
import { TokenBucket } from '../../time/token-bucket.ts';
import { MINUTE, SECOND } from '../../time/units.ts';

/** Of one tenant. */
const AT_ONCE = 2;
const PER_MINUTE = 20;
/** Of a minute's reads, as many may come together. */
const BURST = 5;
/** Of all tenants: none of them can fill it alone. */
const AT_ONCE_IN_ALL = 16;

export class TooManyReads extends Error {
  constructor(retryAfterMs: number) {
    const seconds = Math.max(1, Math.ceil(retryAfterMs / SECOND));
    super(`output is read from the platform's backends too often: ask again in ${seconds} s`);
    this.name = 'TooManyReads';
  }
}

interface Line {
  reading: number;
  readonly rate: TokenBucket;
}

export class OutputReads {
  readonly #clock: Pick<Clock, 'now'>;
  /** By tenant: those that have read lately. */
  readonly #lines = new Map<string, Line>();
  /** By runner: who asks for the same meanwhile has the same answer, and it costs once. */
  readonly #underWay = new Map<string, Promise<string | undefined>>();

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  /** Rejects with TooManyReads, before anything is read, or as `read` does. */
  async of(tenant: string, runner: string, read: () => Promise<string | undefined>): Promise<string | undefined> {
    const known = this.#underWay.get(runner);
    if (known !== undefined) return await known;
    const nowMs = this.#clock.now();
    this.#tidy(nowMs);
    const line = this.#lines.get(tenant) ?? {
      reading: 0,
      rate: new TokenBucket(MINUTE / PER_MINUTE, (BURST - 1) * (MINUTE / PER_MINUTE)),
    };
    this.#lines.set(tenant, line);
    if (line.reading >= AT_ONCE || this.#underWay.size >= AT_ONCE_IN_ALL) throw new TooManyReads(SECOND);
    const fitsAtMs = line.rate.fitsAt(nowMs);
    if (fitsAtMs > nowMs) throw new TooManyReads(fitsAtMs - nowMs);
    line.rate.spend(nowMs);
    line.reading += 1;
    const reading = read().finally(() => {
      line.reading -= 1;
      this.#underWay.delete(runner);
    });
    this.#underWay.set(runner, reading);
    return await reading;
  }

  /** A full bucket is like a new one. */
  #tidy(nowMs: number): void {
    for (const [tenant, { rate, reading }] of this.#lines) {
      if (reading === 0 && rate.isFull(nowMs)) this.#lines.delete(tenant);
    }
  }
}
