/** While GitHub refuses a registration's JIT calls, none is made for it. */
import type { Clock } from '../clock.ts';
import type { GithubError } from '../github/github.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const TRANSIENT_FIRST_MS = SECOND;
const TRANSIENT_MOST_MS = MINUTE;
const MISCONFIGURED_MS = 5 * MINUTE;
const RATE_LIMITED_MS = MINUTE;

interface Hold {
  readonly untilMs: number;
  readonly reason: string;
  readonly failures: number;
}

export class Holds {
  readonly #clock: Clock;
  readonly #holds = new Map<string, Hold>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  hold(registration: string, error: GithubError): void {
    const now = this.#clock.now();
    const before = this.#holds.get(registration);
    // Calls that were in flight when the hold began fail for the same cause.
    if (before !== undefined && before.untilMs > now) return;
    const failures = (before?.failures ?? 0) + 1;
    this.#holds.set(registration, {
      untilMs: now + pauseMs(error, failures),
      reason: `GitHub: ${error.message}`,
      failures,
    });
  }

  release(registration: string): void {
    this.#holds.delete(registration);
  }

  reason(registration: string): string | undefined {
    const hold = this.#holds.get(registration);
    return hold !== undefined && hold.untilMs > this.#clock.now() ? hold.reason : undefined;
  }

  nextReleaseMs(): number | undefined {
    const now = this.#clock.now();
    let earliest: number | undefined;
    for (const { untilMs } of this.#holds.values()) {
      if (untilMs > now && (earliest === undefined || untilMs < earliest)) earliest = untilMs;
    }
    return earliest;
  }
}

function pauseMs(error: GithubError, failures: number): number {
  switch (error.kind) {
    case 'rate-limited':
      return error.retryAfterMs ?? RATE_LIMITED_MS;
    case 'transient':
    case 'conflict':
      return Math.min(TRANSIENT_MOST_MS, TRANSIENT_FIRST_MS * 2 ** Math.min(failures - 1, 10));
    case 'unauthorized':
    case 'forbidden':
    case 'not-found':
    case 'invalid':
      return MISCONFIGURED_MS;
  }
}
