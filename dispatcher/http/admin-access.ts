/** Access control of the admin API. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { isIPv4 } from 'node:net';
import type { Request, RequestHandler } from 'express';
import type { Secret } from '../model/registration.ts';
import { AdminProblem } from './admin-problem.ts';

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

/**
 * For what anyone may read, but the token's holder sees in more detail: returns whether it is the holder. A wrong token
 * is refused as everywhere else, because a less detailed answer would tell a guesser just as much.
 */
export function accessOf(token: Secret | undefined, guesses: Guesses): (request: Request) => Promise<boolean> {
  if (!hasToken(token)) return async () => true;
  const expected = digest(token.reveal());
  return async (request) => {
    const given = givenToken(request);
    if (given === undefined) return false;
    if (!isToken(given, expected)) await refuseGuess(request, guesses);
    return true;
  };
}

export function requireAccess(token: Secret | undefined, guesses: Guesses): RequestHandler {
  return hasToken(token) ? requireToken(token, guesses) : requireThisMachine;
}

function givenToken(request: Request): string | undefined {
  return /^Bearer +(\S+)$/i.exec(request.get('authorization') ?? '')?.[1];
}

/** Hashes have equal length, so that the comparison does not reveal the token's. */
function isToken(given: string, expected: Buffer): boolean {
  return timingSafeEqual(digest(given), expected);
}

function requireToken(token: Secret, guesses: Guesses): RequestHandler {
  const expected = digest(token.reveal());
  return async (request, response, next) => {
    const given = givenToken(request);
    if (given !== undefined && isToken(given, expected)) {
      next();
      return;
    }
    response.set('WWW-Authenticate', 'Bearer realm="shr admin"');
    if (given === undefined) {
      throw new AdminProblem(401, 'no token', "send 'Authorization: Bearer <token>' with the dispatcher's admin token");
    }
    await refuseGuess(request, guesses);
  };
}

async function refuseGuess(request: Request, guesses: Guesses): Promise<never> {
  const answerable = guesses.guessed(request);
  if (answerable === undefined) {
    request.res?.set({ 'Retry-After': '5', Connection: 'close' });
    throw new AdminProblem(429, 'too many wrong tokens from this address', 'Find out which program sends them.');
  }
  await answerable;
  throw new AdminProblem(401, 'wrong token', "it must be the adminToken of the dispatcher's dispatcher.yaml");
}

/**
 * A loopback listener without a token trusts the users of this machine, but not the web pages in their browsers:
 * a page may send to 127.0.0.1 (it carries an Origin), or rebind its own name to our address (sent as Host).
 */
const requireThisMachine: RequestHandler = (request, _response, next) => {
  const host = /^(\[[^\]]*\]|[^:]*)(?::[0-9]+)?$/.exec(request.get('host') ?? '')?.[1] ?? '';
  if (!isLoopback(host) || request.get('origin') !== undefined) {
    throw new AdminProblem(
      403,
      'without a token only programs on this machine may ask',
      "address it as 127.0.0.1 or localhost, or give the dispatcher an admin token and send 'Authorization: Bearer <token>'",
    );
  }
  next();
};

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
