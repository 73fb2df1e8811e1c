/**
 * Several Apps on one owner share its calls: each has its own limits, so three carry three times the load. The one
 * with most of its budget left is tried first; one that GitHub refuses only costs its share.
 */
import type { Clock } from '../../time/clock.ts';
import { GithubError } from './github.ts';
import type { Caller, GithubAnswer, GithubCall } from './requester.ts';

/** One App's access to the owner. */
export interface LoadMember extends Caller {
  /** The share of its budget that is left, from 0 to 1; below 0 if calls are already queued. */
  headroom(): number;
}

/** A refused App is tried again after this, unless it is the only one. */
const REFUSED_MS = 60_000;

export class SharedLoad implements Caller {
  readonly #members: readonly LoadMember[];
  readonly #clock: Clock;
  readonly #refusedAtMs = new Map<LoadMember, number>();

  constructor(members: readonly LoadMember[], clock: Clock) {
    this.#members = members;
    this.#clock = clock;
  }

  /** Rejects with the GithubError of the last member tried, within the time limit of one call per member. */
  async call<T>(call: GithubCall<T>): Promise<GithubAnswer<T>> {
    let failure: GithubError | undefined;
    for (const member of this.#inOrder()) {
      try {
        const answer = await member.call(call);
        this.#refusedAtMs.delete(member);
        return answer;
      } catch (error) {
        if (!(error instanceof GithubError) || !isTheMembersOwn(error)) throw error;
        if (error.kind !== 'rate-limited') this.#refusedAtMs.set(member, this.#clock.now());
        failure = sooner(failure, error);
      }
    }
    throw failure ?? new Error('a shared load has members');
  }

  /** Recently refused ones come last: if all others fail, they may have recovered. */
  #inOrder(): readonly LoadMember[] {
    const now = this.#clock.now();
    return this.#members
      .map((member) => {
        const refusedAtMs = this.#refusedAtMs.get(member);
        const refused = refusedAtMs !== undefined && Math.abs(now - refusedAtMs) < REFUSED_MS;
        return { member, refused, headroom: member.headroom() };
      })
      .sort((a, b) => Number(a.refused) - Number(b.refused) || b.headroom - a.headroom)
      .map(({ member }) => member);
  }
}

/** Nothing was done, and another App may succeed. */
function isTheMembersOwn({ kind }: GithubError): boolean {
  return kind === 'unauthorized' || kind === 'forbidden' || kind === 'rate-limited';
}

/** Of several refusals the one that passes first; a limit passes by itself, so it wins over what needs a person. */
function sooner(one: GithubError | undefined, other: GithubError): GithubError {
  if (one === undefined) return other;
  const waitOf = (error: GithubError) =>
    error.kind === 'rate-limited' ? (error.retryAfterMs ?? 0) : Number.POSITIVE_INFINITY;
  return waitOf(other) < waitOf(one) ? other : one;
}
