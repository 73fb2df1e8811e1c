/**
 * An OpenID Connect issuer on a real socket: discovery, authorization code flow with PKCE, keys that rotate, user info.
 * It holds its client to the protocol, and breaks the protocol itself where it is told to.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type CryptoKey, exportJWK, exportSPKI, generateKeyPair, type JWK, SignJWT, UnsecuredJWT } from 'jose';
import type { Clock } from '../../time/clock.ts';
import { sleep } from '../../time/clock.ts';

/** The claims of whoever logs in next; `sub` is their account. */
export type SimulatedPerson = Readonly<Record<string, unknown>> & { readonly sub: string };

/** What it does wrong, until it is told otherwise. */
export interface IssuerFaults {
  /** Claims of the ID token in place of the right ones; undefined leaves one out. */
  readonly claims?: Readonly<Record<string, unknown>>;
  /** `HS256`: signed with the public key, which everyone has. */
  readonly algorithm?: 'none' | 'HS256';
  /** Signed with a key that it does not publish, under the kid of one that it does. */
  readonly foreignKey?: boolean;
  readonly kid?: string;
  readonly withoutIdToken?: boolean;
  /** The `iss` that comes with the code; null leaves it out. */
  readonly answerIssuer?: string | null;
  /** In place of the code. */
  readonly error?: string;
  /** Of its configuration, in place of the right fields. */
  readonly discovery?: Readonly<Record<string, unknown>>;
  readonly padding?: number;
  /** Paths that answer late, by how much. */
  readonly slow?: Readonly<Record<string, number>>;
  /** The account that user info speaks of. */
  readonly userInfoSubject?: string;
}

export interface IssuerOptions {
  readonly clientId: string;
  readonly clientSecret: string;
  readonly redirectUri: string;
  readonly clock: Clock;
  /** How long an ID token holds. Default: an hour. */
  readonly tokenS?: number;
  /** Groups are in the user info alone. */
  readonly smallTokens?: boolean;
  readonly authentication?: 'client_secret_basic' | 'client_secret_post';
}

interface Grant {
  readonly challenge: string;
  readonly nonce: string | undefined;
  readonly person: SimulatedPerson;
  isUsed: boolean;
}

interface Key {
  readonly privateKey: CryptoKey;
  readonly publicPem: string;
  readonly jwk: JWK & { readonly kid: string };
}

export interface SimulatedIssuer {
  readonly issuer: string;
  /** Requests so far, as `GET /jwks`. */
  readonly asked: readonly string[];
  /** Parameters of the last request for a code. */
  readonly lastQuestion: () => URLSearchParams;
  person: SimulatedPerson;
  faults: IssuerFaults;
  /** A new key signs from now on, and the old one is no longer published. */
  rotate(): Promise<void>;
  close(): Promise<void>;
}

export async function startIssuer(options: IssuerOptions, person: SimulatedPerson): Promise<SimulatedIssuer> {
  const asked: string[] = [];
  const grants = new Map<string, Grant>();
  const tokens = new Map<string, SimulatedPerson>();
  let key = await firstKey();
  let question = new URLSearchParams();
  const { promise: listening, resolve } = Promise.withResolvers<void>();

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      response.statusCode = 500;
      response.end(String(error));
    });
  });
  server.listen(0, '127.0.0.1', resolve);
  await listening;
  const address = server.address();
  const issuer = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;

  const simulated: SimulatedIssuer = {
    issuer,
    asked,
    lastQuestion: () => question,
    person,
    faults: {},
    async rotate() {
      key = await newKey();
    },
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
  return simulated;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', issuer);
    asked.push(`${request.method} ${url.pathname}`);
    const slowMs = simulated.faults.slow?.[url.pathname];
    if (slowMs !== undefined) await sleep(options.clock, slowMs);
    switch (url.pathname) {
      case '/.well-known/openid-configuration':
        return json(response, 200, configuration());
      case '/authorize':
        return authorize(response, url.searchParams);
      case '/token':
        return token(request, response, new URLSearchParams(await bodyOf(request)));
      case '/jwks':
        return json(response, 200, { keys: [key.jwk] });
      case '/userinfo':
        return userInfo(request, response);
      default:
        return json(response, 404, { error: 'not_found' });
    }
  }

  function configuration(): unknown {
    return {
      issuer,
      authorization_endpoint: `${issuer}/authorize`,
      token_endpoint: `${issuer}/token`,
      jwks_uri: `${issuer}/jwks`,
      userinfo_endpoint: `${issuer}/userinfo`,
      end_session_endpoint: `${issuer}/end`,
      response_types_supported: ['code'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256', 'HS256', 'none'],
      token_endpoint_auth_methods_supported: [options.authentication ?? 'client_secret_basic'],
      code_challenge_methods_supported: ['S256'],
      authorization_response_iss_parameter_supported: true,
      ...simulated.faults.discovery,
      ...(simulated.faults.padding === undefined ? {} : { padding: 'x'.repeat(simulated.faults.padding) }),
    };
  }

  function authorize(response: ServerResponse, asking: URLSearchParams): void {
    question = asking;
    const challenge = asking.get('code_challenge');
    const isRight =
      asking.get('client_id') === options.clientId &&
      asking.get('redirect_uri') === options.redirectUri &&
      asking.get('response_type') === 'code' &&
      asking.get('code_challenge_method') === 'S256' &&
      (asking.get('scope') ?? '').split(' ').includes('openid');
    if (!isRight || challenge === null) {
      json(response, 400, { error: 'invalid_request' });
      return;
    }
    const back = new URL(options.redirectUri);
    const { answerIssuer, error } = simulated.faults;
    if (error === undefined) {
      const code = randomBytes(16).toString('hex');
      const nonce = asking.get('nonce') ?? undefined;
      grants.set(code, { challenge, nonce, person: simulated.person, isUsed: false });
      back.searchParams.set('code', code);
    } else {
      back.searchParams.set('error', error);
    }
    back.searchParams.set('state', asking.get('state') ?? '');
    if (answerIssuer !== null) back.searchParams.set('iss', answerIssuer ?? issuer);
    response.writeHead(302, { location: back.href }).end();
  }

  async function token(request: IncomingMessage, response: ServerResponse, form: URLSearchParams): Promise<void> {
    if (!isAuthenticated(request, form)) return json(response, 401, { error: 'invalid_client' });
    const grant = grants.get(form.get('code') ?? '');
    const challenge = createHash('sha256')
      .update(form.get('code_verifier') ?? '')
      .digest('base64url');
    const isRight = form.get('grant_type') === 'authorization_code' && form.get('redirect_uri') === options.redirectUri;
    if (grant === undefined || grant.isUsed || grant.challenge !== challenge || !isRight) {
      return json(response, 400, { error: 'invalid_grant', error_description: 'the code is not valid' });
    }
    grant.isUsed = true;
    const accessToken = randomBytes(16).toString('hex');
    tokens.set(accessToken, grant.person);
    const idToken = simulated.faults.withoutIdToken === true ? {} : { id_token: await idTokenOf(grant) };
    return json(response, 200, { access_token: accessToken, token_type: 'Bearer', expires_in: 300, ...idToken });
  }

  function isAuthenticated(request: IncomingMessage, form: URLSearchParams): boolean {
    if (options.authentication === 'client_secret_post') {
      return form.get('client_id') === options.clientId && form.get('client_secret') === options.clientSecret;
    }
    const given = /^Basic (\S+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
    const [id, secret] = Buffer.from(given, 'base64').toString().split(':').map(formDecoded);
    return id === options.clientId && secret === options.clientSecret;
  }

  async function idTokenOf({ person: { groups, ...claims }, nonce }: Grant): Promise<string> {
    const { faults } = simulated;
    const nowS = Math.floor(options.clock.now() / 1000);
    const payload = {
      iss: issuer,
      aud: options.clientId,
      iat: nowS,
      exp: nowS + (options.tokenS ?? 3600),
      nonce,
      ...claims,
      ...(options.smallTokens === true ? {} : { groups }),
      ...faults.claims,
    };
    if (faults.algorithm === 'none') return new UnsecuredJWT(payload).encode();
    const alg = faults.algorithm ?? 'RS256';
    const signer = faults.foreignKey === true ? (await newKey()).privateKey : key.privateKey;
    return new SignJWT(payload)
      .setProtectedHeader({ alg, kid: faults.kid ?? key.jwk.kid })
      .sign(alg === 'HS256' ? Buffer.from(key.publicPem) : signer);
  }

  function userInfo(request: IncomingMessage, response: ServerResponse): void {
    const found = tokens.get(/^Bearer (\S+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? '');
    if (found === undefined) json(response, 401, { error: 'invalid_token' });
    else json(response, 200, { ...found, sub: simulated.faults.userInfoSubject ?? found.sub });
  }
}

/** As RFC 6749 has it for both parts of the header, 2.3.1. */
function formDecoded(text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '));
}

/** Making one takes a tenth of a second: all that are started begin with the same. */
let first: Promise<Key> | undefined;
function firstKey(): Promise<Key> {
  first ??= newKey();
  return first;
}

async function newKey(): Promise<Key> {
  const { privateKey, publicKey } = await generateKeyPair('RS256');
  const kid = randomBytes(8).toString('hex');
  const jwk = { ...(await exportJWK(publicKey)), kid, use: 'sig', alg: 'RS256' };
  return { privateKey, publicPem: await exportSPKI(publicKey), jwk };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text;
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
