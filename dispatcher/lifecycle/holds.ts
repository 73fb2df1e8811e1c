/**
 * While GitHub refuses to register runners, none is registered: for the lane, scope, owner or registration
 * that the refusal concerns, and no other. After the wait one launch tries, and the others follow it.
 */

import { backoffMs } from '../../time/backoff.ts';
import type { Clock } from '../../time/clock.ts';
import { timeOfDay } from '../../time/time-of-day.ts';
import { MINUTE, SECOND } from '../../time/units.ts';
import { type Failure, failureWords, githubFailure } from '../failures/failure.ts';
import type { GithubError } from '../github/github.ts';
import type { LaneSpec } from '../jobs/lane.ts';
import { type GithubScope, ownerOfScope, scopePath } from '../jobs/scope.ts';
import { SharedMemory } from './shared-memory.ts';

const OUTAGE_FIRST_MS = SECOND;
const MAX_OUTAGE_MS = MINUTE;
const RATE_LIMITED_MS = MINUTE;
/** For what only a person can fix: retried once soon, as GitHub may have been wrong, and then rarely. */
const REFUSED_FIRST_MS = MINUTE;
const REFUSED_MS = 5 * MINUTE;
/** Where so many lanes of a scope are refused at once, the next ones of the scope try one after the other. */
const MANY_LANES = 5;
const ONE_BY_ONE_MS = 10 * SECOND;

/**
 * Of one registration: a webhook secret can name any number of repositories, each of which is refused by itself. Beyond
 * this the oldest is forgotten.
 */
export const MAX_HOLDS = 1_000;

/** `outage`: 5xx, or no answer. `limit`: of requests, GitHub's or our own budget. `refusal`: a person has to fix it. */
type Cause = 'outage' | 'limit' | 'refusal';

interface Hold {
  readonly registration: string;
  readonly cause: Cause;
  readonly host: string;
  readonly scope: string;
  /** What is held, for display. */
  readonly subject: string;
  readonly failure: Failure;
  readonly sinceMs: number;
  readonly atMs: number;
  readonly untilMs: number;
  readonly tries: number;
  /** Another registration's success has ended its wait once: from now on only its own does. */
  readonly pardoned: boolean;
  /** When another call with the same credentials last ended its wait. */
  readonly reopenedAtMs: number | undefined;
}

export type Admittance =
  | { readonly kind: 'free' }
  /** One launch may try for all that share the keys; the others wait for the outcome. */
  | { readonly kind: 'trial'; readonly keys: readonly string[] }
  | { readonly kind: 'held'; readonly untilMs: number; readonly reason: string };

/** What is held, and why. */
interface Held {
  readonly key: string;
  readonly cause: Cause;
  readonly subject: string;
}

export class Holds {
  readonly #clock: Clock;
  /** By key. */
  readonly #holds = new SharedMemory<Hold>(MAX_HOLDS);
  /** Registration calls under way whose lanes are on trial, by key. */
  readonly #trials = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  admittance(lane: LaneSpec): Admittance {
    const now = this.#clock.now();
    const trialKeys: string[] = [];
    let held: Extract<Admittance, { kind: 'held' }> | undefined;
    for (const key of keysOf(lane)) {
      const hold = this.#holds.get(key);
      if (hold === undefined) continue;
      if (isOn(hold, now)) {
        if (held === undefined || hold.untilMs > held.untilMs) {
          held = {
            kind: 'held',
            untilMs: hold.untilMs,
            reason: `${words(hold)}; the next at ${timeOfDay(hold.untilMs)}`,
          };
        }
        continue;
      }
      trialKeys.push(key);
      if (held === undefined && (this.#trials.get(key) ?? 0) > 0) {
        held = { kind: 'held', untilMs: now, reason: `${words(hold)}; one launch tries again` };
      }
    }
    if (held !== undefined) return held;
    return trialKeys.length === 0 ? { kind: 'free' } : { kind: 'trial', keys: trialKeys };
  }

  /** A registration call begins; the answer is called when it has ended. */
  begin(lane: LaneSpec): () => void {
    const keys = keysOf(lane).filter((key) => this.#holds.has(key));
    for (const key of keys) this.#trials.set(key, (this.#trials.get(key) ?? 0) + 1);
    return () => {
      for (const key of keys) {
        const left = (this.#trials.get(key) ?? 1) - 1;
        if (left > 0) this.#trials.set(key, left);
        else this.#trials.delete(key);
      }
    };
  }

  recordRefusal(lane: LaneSpec, error: GithubError): void {
    const { key, cause, subject } = aboutWhat(lane, error);
    this.#hold(lane, { key, cause, subject }, error);
    if (error.kind !== 'invalid') return;
    const scope = scopePath(lane.scope);
    const now = this.#clock.now();
    let refused = 0;
    for (const [of, hold] of this.#holds.entries()) {
      if (of.startsWith(LANE) && hold.host === lane.host && hold.scope === scope && isOn(hold, now)) refused += 1;
    }
    if (refused >= MANY_LANES) {
      this.#hold(lane, { key: scopeKey(lane), cause: 'refusal', subject: placeOf(lane.scope) }, error, ONE_BY_ONE_MS);
    }
  }

  /** One success ends the wait for everything affected by the same outage, in other registrations of the host too. */
  recordSuccess(lane: LaneSpec): void {
    for (const key of keysOf(lane)) this.#holds.delete(key);
    const now = this.#clock.now();
    for (const [key, hold] of [...this.#holds.entries()]) {
      if (hold.cause !== 'outage' || hold.host !== lane.host || hold.pardoned) continue;
      this.#holds.set(hold.registration, key, { ...hold, untilMs: now, pardoned: true });
    }
  }

  /**
   * A call for the owner with the registration's credentials succeeded: if launches wait because these were refused
   * before it began, they may try again. Once a minute, in case that GitHub refuses nothing but the launches. Returns
   * whether a wait has ended.
   */
  recordAuthorized(registration: string, owner: string, startedAtMs: number): boolean {
    const key = ownerKeyOf(registration, owner);
    const hold = this.#holds.get(key);
    const now = this.#clock.now();
    if (hold === undefined || !isOn(hold, now) || startedAtMs < hold.atMs) return false;
    if (hold.reopenedAtMs !== undefined && Math.abs(now - hold.reopenedAtMs) < REFUSED_FIRST_MS) return false;
    this.#holds.set(registration, key, { ...hold, untilMs: now, reopenedAtMs: now });
    return true;
  }

  /** The registration is configured otherwise: what GitHub refused says nothing about it as it is now. */
  forget(registration: string): void {
    for (const [key, hold] of [...this.#holds.entries()]) {
      if (hold.registration === registration) this.#holds.delete(key);
    }
  }

  /** When the next wait is over. */
  nextReleaseMs(): number | undefined {
    const now = this.#clock.now();
    let earliest: number | undefined;
    for (const [, hold] of this.#holds.entries()) {
      if (isOn(hold, now) && (earliest === undefined || hold.untilMs < earliest)) earliest = hold.untilMs;
    }
    return earliest;
  }

  /** Deletes what nothing has tried for an hour, such as lanes and repositories that are gone. */
  tidy(): void {
    const now = this.#clock.now();
    for (const [key, hold] of this.#holds.entries()) {
      const isOfMany = key.startsWith(LANE) || key.includes(SCOPE);
      if (isOfMany && now - hold.untilMs > 12 * REFUSED_MS) this.#holds.delete(key);
    }
  }

  #hold(lane: LaneSpec, { key, cause, subject }: Held, error: GithubError, pauseMs?: number): void {
    const now = this.#clock.now();
    const before = this.#holds.get(key);
    // Calls that were in flight when the hold began fail for the same cause.
    if (before !== undefined && isOn(before, now)) return;
    const same = before?.cause === cause ? before : undefined;
    const tries = (same?.tries ?? 0) + 1;
    this.#holds.set(lane.registration, key, {
      registration: lane.registration,
      cause,
      host: lane.host,
      scope: scopePath(lane.scope),
      subject,
      failure: githubFailure(error, now),
      sinceMs: same?.sinceMs ?? now,
      atMs: now,
      untilMs: now + (pauseMs ?? pauseOf(cause, error, tries)),
      tries,
      pardoned: same?.pardoned ?? false,
      reopenedAtMs: same?.reopenedAtMs,
    });
  }
}

/** A clock that was set back makes no wait longer than it was meant. */
function isOn(hold: Hold, nowMs: number): boolean {
  return hold.atMs <= nowMs && nowMs < hold.untilMs;
}

function pauseOf(cause: Cause, error: GithubError, tries: number): number {
  switch (cause) {
    case 'outage':
      return backoffMs(OUTAGE_FIRST_MS, MAX_OUTAGE_MS, tries - 1);
    case 'limit':
      return error.retryAfterMs ?? RATE_LIMITED_MS;
    case 'refusal':
      return tries === 1 ? REFUSED_FIRST_MS : REFUSED_MS;
  }
}

const LANE = 'lane ';
/** Neither a registration nor an owner has a space in its name. */
const SCOPE = ' scope ';

function keysOf(lane: LaneSpec): readonly string[] {
  return [registrationKey(lane), ownerKey(lane), scopeKey(lane), groupKey(lane), `${LANE}${lane.key}`];
}

function registrationKey({ registration }: Pick<LaneSpec, 'registration'>): string {
  return `registration ${registration}`;
}

function ownerKey(lane: LaneSpec): string {
  return ownerKeyOf(lane.registration, ownerOfScope(lane.scope));
}

function ownerKeyOf(registration: string, owner: string): string {
  return `${registrationKey({ registration })} owner ${owner.toLowerCase()}`;
}

function scopeKey(lane: LaneSpec): string {
  return `${registrationKey(lane)}${SCOPE}${scopePath(lane.scope)}`;
}

function groupKey(lane: LaneSpec): string {
  return `${scopeKey(lane)} group ${lane.runnerGroup}`;
}

function aboutWhat(lane: LaneSpec, error: GithubError): { key: string; cause: Cause; subject: string } {
  const place = placeOf(lane.scope);
  switch (error.kind) {
    case 'transient':
    case 'conflict':
      return { key: registrationKey(lane), cause: 'outage', subject: place };
    case 'rate-limited':
      return { key: registrationKey(lane), cause: 'limit', subject: place };
    case 'unauthorized':
      return { key: ownerKey(lane), cause: 'refusal', subject: `the credentials for ${ownerOfScope(lane.scope)}` };
    case 'forbidden':
      return { key: scopeKey(lane), cause: 'refusal', subject: `runners in ${place}` };
    case 'not-found':
      return {
        key: groupKey(lane),
        cause: 'refusal',
        subject: `runners in ${place}${lane.scope.kind === 'repository' ? '' : `, runner group '${lane.runnerGroup}'`}`,
      };
    case 'invalid':
      return {
        key: `${LANE}${lane.key}`,
        cause: 'refusal',
        subject: `a runner with the labels ${shorten(lane.labels.join(', '))} in ${place}`,
      };
  }
}

function words({ cause, failure, sinceMs, subject, tries }: Hold): string {
  const since = `since ${timeOfDay(sinceMs)}, ${tries} ${tries === 1 ? 'try' : 'tries'}`;
  const said = failureWords(failure);
  switch (cause) {
    case 'outage':
      return failure.code === null
        ? `GitHub does not answer (${said}) ${since}`
        : `GitHub answers ${failure.code} ${since}`;
    case 'limit':
      return `GitHub's limit is reached (${said}) ${since}`;
    case 'refusal':
      return `GitHub refuses ${subject} ${since}: ${said}`;
  }
}

export function placeOf(scope: GithubScope): string {
  switch (scope.kind) {
    case 'enterprise':
      return `the enterprise ${scope.enterprise}`;
    case 'organization':
      return `the organization ${scope.organization}`;
    case 'repository':
      return `the repository ${scope.owner}/${scope.repository}`;
  }
}

function shorten(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
