/** What a container authenticates its call-backs with. Only its hash is kept: it dies with its runner. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Random } from '../../time/clock.ts';

export interface CallbackToken {
  /** 32 characters of 5 bits each: 160 bits. */
  readonly token: string;
  readonly hash: string;
}

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';
const LENGTH = 32;

export function newCallbackToken(random: Random): CallbackToken {
  const letter = () => ALPHABET.charAt(Math.floor(random() * ALPHABET.length));
  const token = Array.from({ length: LENGTH }, letter).join('');
  return { token, hash: hashOf(token).toString('hex') };
}

/** In constant time. A row without a hash has no token. */
export function isTokenOf(hash: string | null, token: string): boolean {
  if (hash === null) return false;
  const known = Buffer.from(hash, 'hex');
  const given = hashOf(token);
  return known.length === given.length && timingSafeEqual(known, given);
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
