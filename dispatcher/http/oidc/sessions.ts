/**
 * Who is logged in. In memory, not in the ledger: a restart ends all sessions, and a login is one redirect to an issuer
 * that remembers its people. So no request of a page waits for a disk, and no copy of the ledger holds a login.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Clock, Random } from '../../../time/clock.ts';
import { secretText } from './secret-text.ts';

/** Somebody whom the issuer knows. */
export interface Person {
  /** The issuer's own for the account, never given to another. */
  readonly subject: string;
  /** For people to read: others may have the same. */
  readonly name: string;
  readonly groups: ReadonlySet<string>;
  /** Of the ID token. */
  readonly expiresAtMs: number;
}

export interface Session {
  /** Names it, and opens nothing. */
  readonly id: string;
  readonly person: Person;
  /** A page of ours reads it and sends it along with each write; a page of another origin cannot read it. */
  readonly csrfToken: string;
  readonly beganAtMs: number;
  readonly endsAtMs: number;
}

const LONGEST_MS = 12 * 3_600_000;
/** Browsers of one person. With one more, the oldest is logged out. */
const MAX_EACH = 10;
const MAX_ALL = 10_000;

export class Sessions {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #random: Random;
  /** By the hash of what the browser holds, in the order in which they began. */
  readonly #sessions = new Map<string, Session>();

  constructor(clock: Pick<Clock, 'now'>, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** `secret`: what the browser shows from now on. Always a new one: what a browser had before is never raised. */
  begin(person: Person): { readonly secret: string; readonly session: Session } {
    const nowMs = this.#clock.now();
    this.#forgetEnded(nowMs);
    const own = [...this.#sessions].filter(([, session]) => session.person.subject === person.subject);
    for (const [hash] of own.slice(0, Math.max(0, own.length + 1 - MAX_EACH))) this.#sessions.delete(hash);
    const [oldest] = this.#sessions.keys();
    if (this.#sessions.size >= MAX_ALL && oldest !== undefined) this.#sessions.delete(oldest);
    const secret = secretText(this.#random);
    const hash = hashOf(secret);
    const session = {
      id: hash.slice(0, 16),
      person,
      csrfToken: secretText(this.#random),
      beganAtMs: nowMs,
      endsAtMs: Math.min(person.expiresAtMs, nowMs + LONGEST_MS),
    };
    this.#sessions.set(hash, session);
    return { secret, session };
  }

  find(secret: string): Session | undefined {
    const hash = hashOf(secret);
    const session = this.#sessions.get(hash);
    if (session === undefined || session.endsAtMs > this.#clock.now()) return session;
    this.#sessions.delete(hash);
    return undefined;
  }

  withId(id: string): Session | undefined {
    return this.all().find((session) => session.id === id);
  }

  end(secret: string): void {
    this.#sessions.delete(hashOf(secret));
  }

  /** Those in force, the oldest first. */
  all(): readonly Session[] {
    this.#forgetEnded(this.#clock.now());
    return [...this.#sessions.values()];
  }

  /** All of one account. Returns how many. */
  endAllOf(subject: string): number {
    const own = [...this.#sessions].filter(([, { person }]) => person.subject === subject);
    for (const [hash] of own) this.#sessions.delete(hash);
    return own.length;
  }

  #forgetEnded(nowMs: number): void {
    for (const [hash, { endsAtMs }] of this.#sessions) if (endsAtMs <= nowMs) this.#sessions.delete(hash);
  }
}

/** 258 random bits: a plain hash cannot be reversed. */
function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

/** Hashes have equal length, so that the comparison does not reveal how much of it is right. */
export function isSameSecret(one: string, other: string): boolean {
  return timingSafeEqual(Buffer.from(hashOf(one)), Buffer.from(hashOf(other)));
}
