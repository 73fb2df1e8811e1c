/**
 * Authentication: service account keys, with which clients sign their own tokens, and a token endpoint (STS) that
 * exchanges tokens of other clouds (workload identity federation).
 */
import { generateKeyPairSync, type KeyObject, randomBytes, verify } from 'node:crypto';
import { z } from 'zod';
import { GoogleRefusal } from './status.ts';

export interface Caller {
  readonly email: string;
}

const SCOPE = 'https://www.googleapis.com/auth/cloud-platform';
const TOKEN_LIFE_S = 3600;

const header = z.object({ alg: z.literal('RS256'), kid: z.string().optional() });
const claims = z.object({
  iss: z.string(),
  sub: z.string(),
  iat: z.number(),
  exp: z.number(),
  scope: z.string().optional(),
  aud: z.string().optional(),
});

const exchange = z.object({
  grant_type: z.literal('urn:ietf:params:oauth:grant-type:token-exchange'),
  audience: z.string(),
  scope: z.string().optional(),
  requested_token_type: z.literal('urn:ietf:params:oauth:token-type:access_token'),
  subject_token: z.string(),
  subject_token_type: z.string(),
});

export class Identity {
  readonly #nowMs: () => number;
  readonly #keys = new Map<string, { readonly email: string; readonly key: KeyObject; disabled: boolean }>();
  readonly #subjects = new Map<string, string>();
  readonly #tokens = new Map<string, { readonly email: string; readonly expiresAtMs: number }>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** The JSON that the console generates for a new service account key. */
  createKey(email: string, project: string): string {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const id = randomBytes(20).toString('hex');
    this.#keys.set(id, { email, key: publicKey, disabled: false });
    return JSON.stringify({
      type: 'service_account',
      project_id: project,
      private_key_id: id,
      private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
      client_email: email,
      client_id: '123456789012345678901',
      universe_domain: 'googleapis.com',
    });
  }

  /** From now on, tokens signed with any key of this account are refused. */
  disable(email: string): void {
    for (const key of this.#keys.values()) if (key.email === email) key.disabled = true;
  }

  /** Accepts a token of another cloud, for this pool provider, as this principal. */
  trust(audience: string, subjectToken: string, email: string): void {
    this.#subjects.set(`${audience} ${subjectToken}`, email);
  }

  /** Throws UNAUTHENTICATED as the services do. */
  caller(authorization: string | undefined): Caller {
    const token = /^Bearer (.+)$/.exec(authorization ?? '')?.[1];
    if (token === undefined) throw unauthenticated('Request is missing required authentication credential.');
    const issued = this.#tokens.get(token);
    if (issued !== undefined) {
      if (issued.expiresAtMs < this.#nowMs()) throw unauthenticated('Request had invalid authentication credentials.');
      return { email: issued.email };
    }
    return { email: this.#verifySelfSigned(token) };
  }

  /** The token endpoint. `form` as received; answers follow RFC 8693 and RFC 6749. */
  token(form: URLSearchParams): { status: number; body: object } {
    const parsed = exchange.safeParse(Object.fromEntries(form));
    if (!parsed.success) {
      return { status: 400, body: { error: 'invalid_request', error_description: 'a parameter is missing' } };
    }
    const { audience, subject_token } = parsed.data;
    const email = this.#subjects.get(`${audience} ${subject_token}`);
    if (email === undefined) {
      const description = 'The given credential is rejected by the attribute condition, or is not a valid credential.';
      return { status: 400, body: { error: 'invalid_grant', error_description: description } };
    }
    return {
      status: 200,
      body: {
        access_token: this.#issue(email),
        issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        token_type: 'Bearer',
        expires_in: TOKEN_LIFE_S,
      },
    };
  }

  /** `serviceAccounts.generateAccessToken` of IAM, for a federated caller who may act as `email`. */
  impersonate(email: string): { accessToken: string; expireTime: string } {
    const expireTime = new Date(this.#nowMs() + TOKEN_LIFE_S * 1000).toISOString();
    return { accessToken: this.#issue(email), expireTime };
  }

  #issue(email: string): string {
    const token = `ya29.${randomBytes(24).toString('base64url')}`;
    this.#tokens.set(token, { email, expiresAtMs: this.#nowMs() + TOKEN_LIFE_S * 1000 });
    return token;
  }

  #verifySelfSigned(token: string): string {
    const [head = '', body = '', signature = ''] = token.split('.');
    const parsedHead = header.safeParse(fromBase64Json(head));
    const parsedBody = claims.safeParse(fromBase64Json(body));
    if (!parsedHead.success || !parsedBody.success) {
      throw unauthenticated('Request had invalid authentication credentials.');
    }
    const { iss, iat, exp, scope, aud } = parsedBody.data;
    const key = this.#keys.get(parsedHead.data.kid ?? '');
    const genuine =
      key !== undefined &&
      !key.disabled &&
      key.email === iss &&
      verify('RSA-SHA256', Buffer.from(`${head}.${body}`), key.key, Buffer.from(signature, 'base64url'));
    const nowS = this.#nowMs() / 1000;
    const valid = exp > nowS && iat < nowS + 300 && exp - iat <= TOKEN_LIFE_S;
    const meant = scope?.split(' ').includes(SCOPE) === true || aud?.endsWith('.googleapis.com/') === true;
    if (!genuine || !valid || !meant) throw unauthenticated('Request had invalid authentication credentials.');
    return iss;
  }
}

function unauthenticated(message: string): GoogleRefusal {
  const more = 'Expected OAuth 2 access token, login cookie or other valid authentication credential.';
  return new GoogleRefusal('UNAUTHENTICATED', `${message} ${more}`, { reason: 'ACCESS_TOKEN_TYPE_UNSUPPORTED' });
}

function fromBase64Json(text: string): unknown {
  try {
    return JSON.parse(Buffer.from(text, 'base64url').toString());
  } catch {
    return undefined;
  }
}
