/**
 * Recomputes ACS3-HMAC-SHA256 from the received request, by the vendor's page "Request syntax and signature method V3".
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { Refusal } from './refusal.ts';

export interface AccessKey {
  readonly id: string;
  readonly secret: string;
  /** For temporary credentials. */
  readonly securityToken?: string;
}

export interface SignedRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

const ALGORITHM = 'ACS3-HMAC-SHA256';
const MAX_NONCES = 100_000;
const SKEW_MS = 15 * 60_000;

export class Signatures {
  readonly #keys: ReadonlyMap<string, AccessKey>;
  readonly #nonces = new Set<string>();

  constructor(keys: readonly AccessKey[]) {
    this.#keys = new Map(keys.map((key) => [key.id, key]));
  }

  /** Throws the same Refusal as the service. */
  verify(request: SignedRequest, nowMs: number): AccessKey {
    const header = (name: string): string => {
      const value = request.headers[name];
      return typeof value === 'string' ? value : '';
    };
    const authorization = new RegExp(
      `^${ALGORITHM} Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$`,
    ).exec(header('authorization'));
    const [, id, signedHeaders, signature] = authorization ?? [];
    if (id === undefined || signedHeaders === undefined || signature === undefined) {
      throw new Refusal(400, 'IncompleteSignature', 'The request signature does not conform to Aliyun standards.');
    }
    const key = this.#keys.get(id);
    if (key === undefined) throw new Refusal(404, 'InvalidAccessKeyId.NotFound', 'Specified access key is not found.');
    if ((key.securityToken ?? '') !== header('x-acs-security-token')) {
      throw new Refusal(400, 'InvalidSecurityToken.Malformed', 'Specified SecurityToken is malformed.');
    }
    const hash = createHash('sha256').update(request.body).digest('hex');
    if (header('x-acs-content-sha256') !== hash) {
      throw new Refusal(400, 'SignatureDoesNotMatch', 'The hash of the body is not x-acs-content-sha256.');
    }
    const names = signedHeaders.split(';');
    for (const needed of [
      'host',
      'x-acs-action',
      'x-acs-version',
      'x-acs-date',
      'x-acs-signature-nonce',
      'x-acs-content-sha256',
    ]) {
      if (!names.includes(needed)) throw new Refusal(400, 'IncompleteSignature', `${needed} is not signed.`);
    }
    const canonical = [
      request.method,
      request.path,
      [...request.query]
        .map(([name, value]) => `${encode(name)}=${encode(value)}`)
        .sort()
        .join('&'),
      ...names.map((name) => `${name}:${header(name).trim()}`),
      '',
      signedHeaders,
      hash,
    ].join('\n');
    const text = `${ALGORITHM}\n${createHash('sha256').update(canonical).digest('hex')}`;
    const expected = createHmac('sha256', key.secret).update(text).digest();
    if (!timingSafeEqual(expected, Buffer.from(signature, 'hex'))) {
      throw new Refusal(
        400,
        'SignatureDoesNotMatch',
        `Specified signature does not match our calculation. server string to sign is:${text}`,
      );
    }
    const date = Date.parse(header('x-acs-date'));
    if (!(Math.abs(nowMs - date) <= SKEW_MS)) {
      throw new Refusal(400, 'InvalidTimeStamp.Expired', 'Specified time stamp or date value is expired.');
    }
    const nonce = header('x-acs-signature-nonce');
    if (nonce === '' || this.#nonces.has(nonce)) {
      throw new Refusal(400, 'SignatureNonceUsed', 'Specified signature nonce was used already.');
    }
    this.#nonces.add(nonce);
    const [oldest] = this.#nonces;
    if (this.#nonces.size > MAX_NONCES && oldest !== undefined) this.#nonces.delete(oldest);
    return key;
  }
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
