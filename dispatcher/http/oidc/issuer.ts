/** The issuer: what it is asked, and what of its answers is believed. */
import * as oauth from 'oauth4webapi';
import { z } from 'zod';
import type { Clock } from '../../../time/clock.ts';
import { withDeadline } from '../../../time/deadline.ts';
import type { OidcConfig } from '../../model/registration.ts';
import { isProtected, issuerFetch } from './issuer-fetch.ts';
import type { PendingLogin } from './pending-login.ts';
import type { Person } from './sessions.ts';

/** What went wrong with a login. `code` is for the log, and for who asks about it; the message has no secret in it. */
export class LoginFailure extends Error {
  readonly code: LoginFailureCode;
  constructor(code: LoginFailureCode, message: string) {
    super(message);
    this.name = 'LoginFailure';
    this.code = code;
  }
}

/** `issuer-failed`: it could not be asked, or did not answer as the protocol says. */
export type LoginFailureCode =
  | 'not-begun-here'
  | 'denied'
  | 'issuer-failed'
  | 'not-believed'
  | 'no-access'
  | 'too-many';

/** From the first call to the last. */
const LOGIN_MS = 15_000;
const DISCOVERY_KEPT_MS = 3_600_000;
/** An issuer that is down is not asked again by each who would log in. */
const FAILURE_KEPT_MS = 5_000;
/** Logins that wait for the issuer. */
const MAX_WAITING = 16;
/** Of its clock and ours. */
export const ID_TOKEN_SKEW_S = 60;
/** Not `none`, and nothing that is signed with what the verifier has too (HS256). */
export const ID_TOKEN_ALGORITHMS: readonly string[] = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
];

const MAX_GROUPS = 10_000;
/** A list, or a single one. */
const groupsSchema = z.union([z.array(z.string()).max(MAX_GROUPS), z.string().transform((group) => [group])]);

export class Issuer {
  readonly #config: OidcConfig;
  readonly #clock: Pick<Clock, 'now' | 'after'>;
  readonly #client: oauth.Client;
  #known: { readonly server: Promise<oauth.AuthorizationServer>; untilMs: number } | undefined;
  #waiting = 0;

  constructor(config: OidcConfig, clock: Pick<Clock, 'now' | 'after'>) {
    this.#config = config;
    this.#clock = clock;
    this.#client = { client_id: config.clientId, [oauth.clockTolerance]: ID_TOKEN_SKEW_S };
  }

  /** Where the browser asks for a code. Rejects with LoginFailure. */
  async askUrl({ state, nonce, verifier }: PendingLogin): Promise<string> {
    const server = await this.#within((signal) => this.#server(signal));
    const url = ownUrl(server.authorization_endpoint, 'authorization_endpoint');
    const parameters = {
      client_id: this.#config.clientId,
      response_type: 'code',
      redirect_uri: this.#redirectUri(),
      scope: this.#config.scopes.join(' '),
      ...{ state, nonce },
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    };
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
    return url.href;
  }

  /** `answer`: what the browser brought back. Rejects with LoginFailure. */
  async person(answer: URLSearchParams, login: PendingLogin): Promise<Person> {
    return this.#within(async (signal) => {
      const server = await this.#server(signal);
      const code = oauth.validateAuthResponse(server, this.#client, answer, login.state);
      const options = this.#options(signal);
      const response = await oauth.authorizationCodeGrantRequest(
        ...([server, this.#client, this.#authentication(server), code, this.#redirectUri(), login.verifier] as const),
        options,
      );
      const tokens = await oauth.processAuthorizationCodeResponse(server, this.#client, response, {
        expectedNonce: login.nonce,
        requireIdToken: true,
      });
      // Over TLS the standard asks for no signature (OpenID Connect Core 3.1.3.7, 6). A proxy that ends TLS is reason enough.
      await oauth.validateApplicationLevelSignature(server, response, options);
      const claims = oauth.getValidatedIdTokenClaims(tokens);
      if (claims === undefined) throw new LoginFailure('issuer-failed', 'the issuer sent no ID token');
      return this.#personOf(claims, () => this.#moreClaims(server, claims.sub, tokens.access_token, signal));
    });
  }

  /** Where the browser ends the session of the issuer too; undefined: it offers no such thing. Never rejects. */
  async endUrl(): Promise<string | undefined> {
    try {
      const server = await this.#within((signal) => this.#server(signal));
      if (server.end_session_endpoint === undefined) return undefined;
      const url = ownUrl(server.end_session_endpoint, 'end_session_endpoint');
      // Without an ID token as a hint: an address is no place for one, and the issuer asks the person instead.
      url.searchParams.set('client_id', this.#config.clientId);
      url.searchParams.set('post_logout_redirect_uri', `${this.#config.url}/`);
      return url.href;
    } catch (error) {
      if (error instanceof LoginFailure) return undefined;
      throw error;
    }
  }

  async #personOf(claims: oauth.IDToken, more: () => Promise<Readonly<Record<string, unknown>>>): Promise<Person> {
    const { clientId, groupsClaim } = this.#config;
    if (claims.azp !== undefined && claims.azp !== clientId) {
      throw new LoginFailure('not-believed', 'the ID token was made for another client (azp)');
    }
    const all = Object.hasOwn(claims, groupsClaim) ? claims : { ...(await more()), ...claims };
    const listed = Object.hasOwn(all, groupsClaim) ? groupsSchema.safeParse(all[groupsClaim]) : undefined;
    if (listed?.success === false) {
      throw new LoginFailure('issuer-failed', `the claim ${groupsClaim} is not a list of at most ${MAX_GROUPS} groups`);
    }
    const known = new Set(this.#config.access.map(({ group }) => group));
    return {
      subject: claims.sub,
      name: nameOf(all),
      // What no one asks about is not kept.
      groups: new Set((listed?.data ?? []).filter((group) => known.has(group))),
      expiresAtMs: claims.exp * 1000,
    };
  }

  /** Some issuers keep their tokens small, and list groups here only. */
  async #moreClaims(
    server: oauth.AuthorizationServer,
    subject: string,
    accessToken: string,
    signal: AbortSignal,
  ): Promise<Readonly<Record<string, unknown>>> {
    if (server.userinfo_endpoint === undefined) return {};
    const response = await oauth.userInfoRequest(server, this.#client, accessToken, this.#options(signal));
    return oauth.processUserInfoResponse(server, this.#client, subject, response);
  }

  /** Asked for once, however many wait for it. */
  #server(signal: AbortSignal): Promise<oauth.AuthorizationServer> {
    const nowMs = this.#clock.now();
    if (this.#known !== undefined && nowMs < this.#known.untilMs) return this.#known.server;
    const known = { server: this.#discover(signal), untilMs: nowMs + DISCOVERY_KEPT_MS };
    this.#known = known;
    known.server.catch(() => {
      known.untilMs = this.#clock.now() + FAILURE_KEPT_MS;
    });
    return known.server;
  }

  async #discover(signal: AbortSignal): Promise<oauth.AuthorizationServer> {
    const issuer = new URL(this.#config.issuer);
    const response = await oauth.discoveryRequest(issuer, { ...this.#options(signal), algorithm: 'oidc' });
    const server = await oauth.processDiscoveryResponse(issuer, response);
    const algorithms =
      server.id_token_signing_alg_values_supported?.filter((name) => ID_TOKEN_ALGORITHMS.includes(name)) ?? [];
    return { ...server, id_token_signing_alg_values_supported: algorithms.length === 0 ? ['RS256'] : algorithms };
  }

  #authentication({ token_endpoint_auth_methods_supported: methods }: oauth.AuthorizationServer): oauth.ClientAuth {
    const secret = this.#config.clientSecret.reveal();
    const isPostOnly = methods !== undefined && !methods.includes('client_secret_basic');
    return isPostOnly ? oauth.ClientSecretPost(secret) : oauth.ClientSecretBasic(secret);
  }

  #options(signal: AbortSignal) {
    return {
      signal,
      [oauth.customFetch]: issuerFetch,
      // Held by issuerFetch: plain http goes to this machine alone.
      [oauth.allowInsecureRequests]: true,
    };
  }

  #redirectUri(): string {
    return `${this.#config.url}/login/callback`;
  }

  async #within<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#waiting >= MAX_WAITING) throw new LoginFailure('too-many', 'too many logins are waiting for the issuer');
    this.#waiting += 1;
    try {
      const late = () => new LoginFailure('issuer-failed', `the issuer did not answer within ${LOGIN_MS / 1000} s`);
      return await withDeadline(this.#clock, LOGIN_MS, late, undefined, work);
    } catch (error) {
      throw loginFailure(error);
    } finally {
      this.#waiting -= 1;
    }
  }
}

/** The library's causes hold tokens and claims: its messages alone are kept. */
function loginFailure(error: unknown): LoginFailure {
  if (error instanceof LoginFailure) return error;
  if (error instanceof oauth.AuthorizationResponseError) {
    return new LoginFailure('denied', `the issuer let nobody in: ${wordOf(error.error)}`);
  }
  if (error instanceof oauth.ResponseBodyError) {
    return new LoginFailure('issuer-failed', `the issuer refused the code: ${wordOf(error.error)}`);
  }
  if (error instanceof oauth.OperationProcessingError || error instanceof oauth.UnsupportedOperationError) {
    return new LoginFailure('not-believed', error.message);
  }
  if (!(error instanceof Error)) return new LoginFailure('issuer-failed', 'the issuer could not be asked');
  const cause = error.cause instanceof Error ? `: ${error.cause.message}` : '';
  return new LoginFailure('issuer-failed', `${error.message}${cause}`);
}

/** An error code of OAuth is a word; anything else is somebody's text. */
function wordOf(code: string): string {
  return /^[a-z_]{1,64}$/.test(code) ? code : 'an unknown error';
}

function ownUrl(text: string | undefined, field: string): URL {
  const url = text === undefined ? null : URL.parse(text);
  if (url !== null && isProtected(url)) return url;
  throw new LoginFailure('issuer-failed', `the configuration of the issuer has no valid ${field}`);
}

const MAX_NAME = 100;

/** What people call themselves: nothing is decided by it. */
function nameOf(claims: Readonly<Record<string, unknown>>): string {
  const said = [claims['email'], claims['preferred_username'], claims['name'], claims['sub']];
  const name = said.find((text): text is string => typeof text === 'string' && text.trim() !== '') ?? '';
  return [...name]
    .filter((letter) => /[\p{L}\p{M}\p{N}\p{P}\p{S} ]/u.test(letter))
    .slice(0, MAX_NAME)
    .join('');
}
