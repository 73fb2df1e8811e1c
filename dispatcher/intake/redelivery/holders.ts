/** The registrations whose credentials may read one log: whose are used next, and which rest after they failed. */
import type { GithubError } from '../../github/github.ts';
import type { WatchedRegistration } from './watched-logs.ts';

/**
 * - `watched`: it is read. `unproven`: it is read, and nothing in it has arrived here yet.
 * - `none`, `several`: no webhook leads to this endpoint, or it cannot be told which.
 * - `not-allowed`: the credentials may not read it, or not send again.
 * - `failing`: GitHub could not be asked.
 */
export type LogState = 'watched' | 'unproven' | 'none' | 'several' | 'not-allowed' | 'failing';

/** Of one registration: how deliveries that it misses are found. */
export interface RedeliveryStatus {
  readonly state: LogState;
  readonly message: string;
  readonly cure?: string;
  readonly sinceMs: number;
}

/** Of one registration: it is told to no other. */
export interface Trouble {
  readonly holder: WatchedRegistration;
  readonly untilMs: number;
  /** Undefined: its credentials cannot be used there. */
  readonly status: RedeliveryStatus | undefined;
  readonly error: GithubError | undefined;
}

export class Holders {
  #all: readonly WatchedRegistration[] = [];
  /** By registration: as many as there are holders. */
  readonly #troubles = new Map<string, Trouble>();
  /** Whose credentials served last. */
  #last: string | undefined;

  /**
   * In the order in which they are tried. What is known of credentials that may be others now is forgotten. Whether some
   * may be: of a registration that did not change this is the same object.
   */
  follow(all: readonly WatchedRegistration[]): boolean {
    const [before, now] = [new Set(this.#all), new Set(all)];
    this.#all = all;
    for (const [name, { holder }] of this.#troubles) if (!now.has(holder)) this.#troubles.delete(name);
    return all.some((holder) => !before.has(holder));
  }

  /** Undefined: all rest. */
  next(nowMs: number): WatchedRegistration | undefined {
    const free = this.#all.filter(({ name }) => (this.#troubles.get(name)?.untilMs ?? 0) <= nowMs);
    return free.find(({ name }) => name === this.#last) ?? free[0];
  }

  /** When the first of them may be tried again. */
  nextAtMs(): number {
    return Math.min(...this.#all.map(({ name }) => this.#troubles.get(name)?.untilMs ?? 0));
  }

  serves({ name }: WatchedRegistration): void {
    this.#last = name;
  }

  /** All that was asked with its credentials was done. */
  well({ name }: WatchedRegistration): void {
    this.#troubles.delete(name);
  }

  /** It alone: the others are tried meanwhile. */
  rest(
    holder: WatchedRegistration,
    { nowMs, ms, error, status }: { nowMs: number; ms: number; error?: GithubError; status?: NewStatus },
  ): void {
    const before = this.#troubles.get(holder.name)?.status;
    const sinceMs = before !== undefined && before.state === status?.state ? before.sinceMs : nowMs;
    this.#troubles.set(holder.name, {
      ...{ holder, untilMs: nowMs + ms, error },
      status: status === undefined ? undefined : { ...status, sinceMs },
    });
  }

  statusOf(name: string): RedeliveryStatus | undefined {
    return this.#troubles.get(name)?.status;
  }

  troubles(): readonly Trouble[] {
    return [...this.#troubles.values()];
  }
}

export type NewStatus = Omit<RedeliveryStatus, 'sinceMs'>;
