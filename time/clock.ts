/**
 * Time, timers and randomness, passed in everywhere: the only file that touches the real ones,
 * so that a whole dispatcher runs under a virtual clock.
 */
import { randomFillSync } from 'node:crypto';
import { uptime } from 'node:os';

/** Where time comes from, and who wakes the sleeper. A test passes one that it moves by hand. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Runs `action` once after `ms`; the returned function cancels it. */
  after(ms: number, action: () => void): () => void;
  /** Elapsed milliseconds since some fixed moment: unlike `now`, setting the clock does not affect it. */
  elapsed?(): number;
}

/** Uniform in [0, 1). */
export type Random = () => number;

/** The machine's own. Only an entry point may use it; everything else is handed a clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, action) {
    const timer = setTimeout(action, ms);
    return () => clearTimeout(timer);
  },
  elapsed: () => performance.now() + sleptMs(),
};

/** `performance.now` stands still while the machine sleeps; its uptime, in whole seconds, does not (CLOCK_BOOTTIME). */
const MIN_SLEEP_MS = 3_000;
const uptimeAheadMs = uptime() * 1000 - performance.now();
let slept = 0;
let lookedAtMs = 0;

function sleptMs(): number {
  const nowMs = performance.now();
  if (nowMs - lookedAtMs < 1_000) return slept;
  lookedAtMs = nowMs;
  const aheadMs = uptime() * 1000 - nowMs - uptimeAheadMs;
  if (aheadMs - slept > MIN_SLEEP_MS) slept = aheadMs;
  return slept;
}

/**
 * From the system's cryptographic generator, whatever it is used for: names of runners must not be guessed, and
 * `Math.random` can be computed from a few of its results. 53 bits a draw; about 0.2 µs, because many are made at once.
 */
export const systemRandom: Random = () => {
  if (drawn === DRAWS.length) {
    randomFillSync(DRAWS);
    drawn = 0;
  }
  const bits = DRAWS[drawn] ?? 0n;
  drawn += 1;
  return Number(bits >> 11n) / 2 ** 53;
};

const DRAWS = new BigUint64Array(256);
let drawn = DRAWS.length;

/**
 * Resolves after `ms` on that clock. It cannot be cancelled: keep the return value of `clock.after` where it must be.
 */
export function sleep(clock: Pick<Clock, 'after'>, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(ms, resolve);
  });
}

/** Yields to everything else that is ready: sockets, timers, other loops. */
export function eventLoopTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** `ms` spread by ±`share`, so that many of a kind do not act at once. */
export function jitter(ms: number, random: Random, share = 0.1): number {
  return Math.round(ms * (1 - share + 2 * share * random()));
}

const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz';

/**
 * A ULID in lower case: 48 bits of time, 80 of randomness. A GitHub runner carries no timestamp, so its age is read
 * from its name (see `ulidTime`). Not made by the package ulid, which reads the system clock at time 0.
 */
export function ulid(now: number, random: Random): string {
  let time = '';
  let rest = now;
  for (let index = 0; index < 10; index += 1) {
    time = CROCKFORD.charAt(rest % 32) + time;
    rest = Math.floor(rest / 32);
  }
  let entropy = '';
  for (let index = 0; index < 16; index += 1) entropy += CROCKFORD.charAt(Math.floor(random() * 32));
  return time + entropy;
}

/** Undefined when the text is not a ULID. */
export function ulidTime(text: string): number | undefined {
  if (!/^[0-7][0-9a-hjkmnp-tv-z]{25}$/i.test(text)) return undefined;
  let time = 0;
  for (const character of text.slice(0, 10).toLowerCase()) time = time * 32 + CROCKFORD.indexOf(character);
  return time;
}
