/** What a container authenticates its call-backs with. Only its hash is kept: it dies with its runner. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Random } from '../../time/clock.ts';

export interface CallbackToken {
  /** 32 characters of 5 bits each: 160 random bits, or 130 and the mark of a URL. */
  readonly token: string;
  readonly hash: string;
}

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';
const LENGTH = 32;
const MARK_LENGTH = 6;

/** `url`: where it is to be used. The token carries it as a mark, so that it is known over restarts with another one. */
export function newCallbackToken(random: Random, url?: string): CallbackToken {
  const letter = () => ALPHABET.charAt(Math.floor(random() * ALPHABET.length));
  const letters = (length: number) => Array.from({ length }, letter).join('');
  const secret = letters(url === undefined ? LENGTH : LENGTH - MARK_LENGTH);
  const token = url === undefined ? secret : `${secret}${markOf(secret, url)}`;
  return { token, hash: hashOf(token).toString('hex') };
}

/** In constant time. A row without a hash has no token. */
export function isTokenOf(hash: string | null, token: string): boolean {
  if (hash === null) return false;
  const known = Buffer.from(hash, 'hex');
  const given = hashOf(token);
  return known.length === given.length && timingSafeEqual(known, given);
}

/** Whether it was handed out with this URL. It says nothing of whether the token is one of ours: ask `isTokenOf` first. */
export function isTokenFor(url: string, token: string): boolean {
  const secret = token.slice(0, LENGTH - MARK_LENGTH);
  return token === `${secret}${markOf(secret, url)}`;
}

function markOf(secret: string, url: string): string {
  const bytes = hashOf(`${secret} ${url}`).subarray(0, MARK_LENGTH);
  return Array.from(bytes, (byte) => ALPHABET.charAt(byte % ALPHABET.length)).join('');
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
