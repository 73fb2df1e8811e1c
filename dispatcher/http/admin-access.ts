/** Who a request of the admin API comes from. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { isIPv4 } from 'node:net';
import type { Request } from 'express';
import type { Clock } from '../../time/clock.ts';
import type { Ledger, TokenRow } from '../ledger/ledger.ts';
import type { Secret } from '../model/registration.ts';
import { AdminProblem } from './admin-problem.ts';
import { hashOfToken, isWholeToken, looksLikeToken } from './api-token.ts';
import { LOCAL_ADMIN, PLATFORM_ADMIN, type Viewer, viewerOf } from './viewer.ts';

/** Without a token only local clients are allowed; an empty token counts as none. */
export function hasToken(token: Secret | undefined): token is Secret {
  return token !== undefined && token.reveal() !== '';
}

export function isLoopback(host: string): boolean {
  const name = host.toLowerCase();
  return name === 'localhost' || name === '::1' || name === '[::1]' || (isIPv4(name) && name.startsWith('127.'));
}

export interface Guesses {
  /** Resolves when a wrong token from the request's sender may be answered; undefined: too many are waiting. */
  guessed(request: Request): Promise<void> | undefined;
}

export interface AccessOptions {
  readonly ledger: Pick<Ledger, 'tokenByHash'>;
  readonly clock: Pick<Clock, 'now'>;
  /** `adminToken` of dispatcher.yaml. */
  readonly token: Secret | undefined;
  /** Undefined: people do not log in. */
  readonly people?: People | undefined;
}

export interface People {
  /** Of a request with a session; throws a refusal where that is over, or the request may be another page's. */
  viewer(request: Request): Viewer | undefined;
  /** Whether the session is in force, and its person an administrator of these tenants still. */
  stillAdmin(sessionId: string, tenants: readonly string[] | null): boolean;
}

export class AdminAccess {
  readonly #options: AccessOptions;
  readonly #guesses: Guesses;
  readonly #adminToken: Buffer | undefined;

  constructor(options: AccessOptions, guesses: Guesses) {
    this.#options = options;
    this.#guesses = guesses;
    this.#adminToken = hasToken(options.token) ? digest(options.token.reveal()) : undefined;
  }

  /** Rejects with a refusal where nobody is known to ask. */
  async viewer(request: Request): Promise<Viewer> {
    const given = givenToken(request);
    const known = given === undefined ? undefined : await this.#known(given, request);
    if (known !== undefined) return known;
    // Who sends a token means it, whatever the browser adds.
    const person = given === undefined ? this.#options.people?.viewer(request) : undefined;
    if (person !== undefined) return person;
    if (this.#adminToken === undefined) return localViewer(request);
    request.res?.set('WWW-Authenticate', 'Bearer realm="shr admin"');
    throw new AdminProblem(401, 'no token', "send 'Authorization: Bearer <token>' with a token of the dispatcher");
  }

  /**
   * For what anyone may read, but the holder of a token in more detail. A wrong token is refused as everywhere else,
   * because a less detailed answer would tell a guesser just as much.
   */
  async viewerIfAny(request: Request): Promise<Viewer | undefined> {
    if (this.#adminToken === undefined) {
      const given = givenToken(request);
      return (given === undefined ? undefined : await this.#known(given, request)) ?? LOCAL_ADMIN;
    }
    return givenToken(request) === undefined ? undefined : this.viewer(request);
  }

  /** Undefined: the token says nothing here. */
  async #known(given: string, request: Request): Promise<Viewer | undefined> {
    if (this.#adminToken !== undefined && timingSafeEqual(digest(given), this.#adminToken)) return PLATFORM_ADMIN;
    // Without a token of its own the listener trusts this machine, whatever a program sends along.
    if (this.#adminToken === undefined && !looksLikeToken(given)) return undefined;
    if (looksLikeToken(given) && !isWholeToken(given)) {
      return this.#refuse(
        request,
        'the token is not whole',
        'Copy it again, all 51 characters: `shr token create` printed it once.',
      );
    }
    const row = isWholeToken(given) ? await this.#row(given) : undefined;
    if (row === undefined) {
      return this.#refuse(
        request,
        'wrong token',
        "it must be one of `shr token list`, or the adminToken of the dispatcher's dispatcher.yaml",
      );
    }
    // Whoever holds the token may be told: nobody can guess their way here.
    if (row.revokedAtMs !== null) {
      const at = new Date(row.revokedAtMs).toISOString();
      throw refusal(request, `the token ${row.name} was revoked at ${at} by ${row.revokedBy ?? 'an administrator'}`);
    }
    if (row.expiresAtMs !== null && row.expiresAtMs <= this.#options.clock.now()) {
      throw refusal(request, `the token ${row.name} expired at ${new Date(row.expiresAtMs).toISOString()}`);
    }
    // A restart ends all sessions, and so does the end of logins.
    if (row.sessionId !== null && this.#options.people?.stillAdmin(row.sessionId, row.tenants) !== true) {
      throw refusal(request, `the token ${row.name} ended with the session that it was made with`);
    }
    return viewerOf(row);
  }

  /** Found by its hash, and compared once more in constant time: an index compares as far as it has to. */
  async #row(given: string): Promise<TokenRow | undefined> {
    const hash = hashOfToken(given);
    const row = await this.#options.ledger.tokenByHash(hash);
    if (row === undefined) return undefined;
    return timingSafeEqual(digest(row.hash), digest(hash)) ? row : undefined;
  }

  async #refuse(request: Request, error: string, cure: string): Promise<never> {
    request.res?.set('WWW-Authenticate', 'Bearer realm="shr admin", error="invalid_token"');
    const answerable = this.#guesses.guessed(request);
    if (answerable === undefined) {
      request.res?.set({ 'Retry-After': '5', Connection: 'close' });
      throw new AdminProblem(429, 'too many wrong tokens from this address', 'Find out which program sends them.');
    }
    await answerable;
    throw new AdminProblem(401, error, cure);
  }
}

function refusal(request: Request, error: string): AdminProblem {
  request.res?.set('WWW-Authenticate', 'Bearer realm="shr admin", error="invalid_token"');
  return new AdminProblem(401, error, 'Ask for another: an administrator makes it with `shr token create`.');
}

function givenToken(request: Request): string | undefined {
  return /^Bearer +(\S+)$/i.exec(request.get('authorization') ?? '')?.[1];
}

/**
 * A loopback listener without a token trusts the users of this machine, but not the web pages in their browsers:
 * a page may send to 127.0.0.1 (it carries an Origin), or rebind its own name to our address (sent as Host).
 */
function localViewer(request: Request): Viewer {
  const host = /^(\[[^\]]*\]|[^:]*)(?::[0-9]+)?$/.exec(request.get('host') ?? '')?.[1] ?? '';
  if (isLoopback(host) && request.get('origin') === undefined) return LOCAL_ADMIN;
  throw new AdminProblem(
    403,
    'without a token only programs on this machine may ask',
    "address it as 127.0.0.1 or localhost, or give the dispatcher an admin token and send 'Authorization: Bearer <token>'",
  );
}

/** Hashes have equal length, so that the comparison does not reveal the token's. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
