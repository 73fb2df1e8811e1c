/**
 * The token with which a GitHub App authenticates as itself: RS256, valid for at most 10 minutes. Not made by
 * @octokit/auth-app, because that one sets no `jti` (identical JWTs minted in the same second have been answered with
 * 404), reads the system clock, and keeps installation tokens until one minute before they expire.
 */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import type { Secret } from '../model/registration.ts';
import { GithubError } from './github.ts';

/** GitHub refuses an `iat` in its future, and clocks differ. */
const BACKDATED_SECONDS = 60;
const LIFETIME_SECONDS = 540;
/** GitHub's keys have 2,048 bits. RS256 allows no fewer (RFC 7518, 3.3). */
const MIN_BITS = 2048;

/** PKCS#1 or PKCS#8 in PEM; line feeds may be written as `\n`, which is common in environment variables. */
export function readAppKey(privateKey: Secret): KeyObject {
  try {
    const key = createPrivateKey(privateKey.reveal().replaceAll('\\n', '\n'));
    if (key.asymmetricKeyType === 'rsa' && (key.asymmetricKeyDetails?.modulusLength ?? 0) >= MIN_BITS) return key;
  } catch {
    // The parser's error may quote the key.
  }
  throw new GithubError(
    'unauthorized',
    'App JWT',
    "the App's private key cannot be read; it must be the whole RSA key in PEM, as GitHub's App settings hand it out (-----BEGIN RSA PRIVATE KEY----- …)",
  );
}

/** `id` must be unique, and `nowMs` GitHub's time. */
export async function appJwt(appId: string, key: KeyObject, nowMs: number, id: string): Promise<string> {
  // Not at the start, which it would make longer where no registration has an App.
  const { SignJWT } = await import('jose');
  const iat = Math.floor(nowMs / 1000) - BACKDATED_SECONDS;
  return await new SignJWT({ iat, exp: iat + LIFETIME_SECONDS, iss: appId, jti: id })
    .setProtectedHeader({ alg: 'RS256', typ: 'JWT' })
    .sign(key);
}
