/** The tokens of the admin API: how they look, and what is kept of them. */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Random } from '../../time/clock.ts';

/**
 * `shr_`, 40 characters of 5 bits (200 bits), and a checksum of 7: a scanner for leaked secrets finds one by its shape,
 * and one that was cut or mistyped is told from one that is not known, without a look into the ledger.
 */
const PREFIX = 'shr_';
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';
const SECRET_CHARACTERS = 40;
const CHECKSUM_CHARACTERS = 7;
const SHAPE = new RegExp(`^${PREFIX}[a-z2-7]{${SECRET_CHARACTERS + CHECKSUM_CHARACTERS}}$`);

/** Names of tokens: shown in the log and the audit trail. */
export const TOKEN_NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/;

export function newToken(random: Random): string {
  const letter = () => ALPHABET.charAt(Math.floor(random() * ALPHABET.length));
  const secret = Array.from({ length: SECRET_CHARACTERS }, letter).join('');
  return `${PREFIX}${secret}${checksumOf(secret)}`;
}

/** Whether a text was meant to be one, whatever is wrong with it. */
export function looksLikeToken(text: string): boolean {
  return text.startsWith(PREFIX);
}

export function isWholeToken(text: string): boolean {
  if (!SHAPE.test(text)) return false;
  const secret = text.slice(PREFIX.length, PREFIX.length + SECRET_CHARACTERS);
  return text.endsWith(checksumOf(secret));
}

/** A token has 200 random bits, so that a plain hash cannot be reversed: a slow one would only delay each request. */
export function hashOfToken(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

function checksumOf(secret: string): string {
  let rest = crc32(secret);
  let text = '';
  for (let index = 0; index < CHECKSUM_CHARACTERS; index += 1) {
    text = ALPHABET.charAt(rest % 32) + text;
    rest = Math.floor(rest / 32);
  }
  return text;
}
