/**
 * The token with which a GitHub App authenticates as itself: RS256, valid for at most 10 minutes. Not made by
 * @octokit/auth-app, because that one sets no `jti` (identical JWTs minted in the same second have been answered with
 * 404), reads the system clock, and keeps installation tokens until one minute before they expire.
 */
import { createPrivateKey, type KeyObject, sign } from 'node:crypto';
import type { Secret } from '../model/registration.ts';
import { GithubError } from './github.ts';

/** GitHub refuses an `iat` in its future, and clocks differ. */
const BACKDATED_SECONDS = 60;
const LIFETIME_SECONDS = 540;

/** PKCS#1 or PKCS#8 in PEM; line feeds may be written as `\n`, which is common in environment variables. */
export function readAppKey(privateKey: Secret): KeyObject {
  try {
    const key = createPrivateKey(privateKey.reveal().replaceAll('\\n', '\n'));
    if (key.asymmetricKeyType === 'rsa') return key;
  } catch {
    // The parser's error may quote the key.
  }
  throw new GithubError(
    'unauthorized',
    'App JWT',
    "the App's private key cannot be read; it must be the whole RSA key in PEM, as GitHub's App settings hand it out (-----BEGIN RSA PRIVATE KEY----- …)",
  );
}

export function appJwt(appId: string, key: KeyObject, nowMs: number, id: string): string {
  const issuedAt = Math.floor(nowMs / 1000) - BACKDATED_SECONDS;
  const content = `${encode({ alg: 'RS256', typ: 'JWT' })}.${encode({
    iat: issuedAt,
    exp: issuedAt + LIFETIME_SECONDS,
    iss: appId,
    jti: id,
  })}`;
  return `${content}.${sign('RSA-SHA256', Buffer.from(content), key).toString('base64url')}`;
}

function encode(part: Readonly<Record<string, string | number>>): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url');
}
