import type { Random } from '../../../time/clock.ts';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
/** Of 6 bits: 258 in all. Also the shortest that PKCE allows for its verifier (RFC 7636, 4.1). */
const CHARACTERS = 43;

/** Cannot be guessed. */
export function secretText(random: Random): string {
  return Array.from({ length: CHARACTERS }, () => ALPHABET.charAt(Math.floor(random() * ALPHABET.length))).join('');
}
