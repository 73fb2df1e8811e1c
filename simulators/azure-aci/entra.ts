/**
 * Entra ID: OpenID configuration, the token endpoint, managed identities of a machine, and the verification of tokens.
 */
import {
  constants,
  createHash,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomUUID,
  sign,
  verify,
  X509Certificate,
} from 'node:crypto';
import { z } from 'zod';
import { Refusal } from './refusal.ts';

/** An application that may sign in, in one or more ways. */
export interface Client {
  readonly id: string;
  readonly secret?: string;
  /** PEM, without its key. */
  readonly certificate?: string;
  /** A token that a Kubernetes cluster signed for a service account; accepted as it is. */
  readonly federatedToken?: string;
}

const TOKEN_S = 3600;
const ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

const jwtPart = z.record(z.string(), z.unknown());

/** A token endpoint's error: OAuth's own format, with Entra's number in the message. */
export class SignInRefusal extends Error {
  readonly status: number;
  readonly error: string;
  constructor(status: number, error: string, message: string) {
    super(message);
    this.status = status;
    this.error = error;
  }
}

export class Entra {
  readonly #tenant: string;
  readonly #audience: string;
  readonly #clients: readonly Client[];
  readonly #managed: readonly string[];
  readonly #key: KeyObject;

  constructor(
    tenant: string,
    audience: string,
    clients: readonly Client[],
    /** Client ids of the machine's identities; the first is the default. */
    managed: readonly string[],
  ) {
    this.#tenant = tenant;
    this.#audience = audience;
    this.#clients = clients;
    this.#managed = managed;
    this.#key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  }

  configuration(origin: string, tenant: string): unknown {
    this.#requireTenant(tenant);
    const base = `${origin}/${tenant}`;
    return {
      issuer: `${base}/v2.0`,
      authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
      token_endpoint: `${base}/oauth2/v2.0/token`,
      jwks_uri: `${base}/discovery/v2.0/keys`,
      token_endpoint_auth_methods_supported: ['client_secret_post', 'private_key_jwt'],
      response_types_supported: ['code'],
      subject_types_supported: ['pairwise'],
      id_token_signing_alg_values_supported: ['RS256'],
      tenant_region_scope: null,
    };
  }

  /** Of `POST /{tenant}/oauth2/v2.0/token`. */
  token(origin: string, tenant: string, form: URLSearchParams, nowMs: number): unknown {
    this.#requireTenant(tenant);
    if (form.get('grant_type') !== 'client_credentials') {
      throw new SignInRefusal(
        400,
        'unsupported_grant_type',
        'AADSTS70003: The app requested an unsupported grant type.',
      );
    }
    const client = this.#clients.find(({ id }) => id === form.get('client_id'));
    if (client === undefined) {
      throw new SignInRefusal(
        400,
        'unauthorized_client',
        `AADSTS700016: Application with identifier '${form.get('client_id')}' was not found in the directory.`,
      );
    }
    this.#requireProof(origin, client, form, nowMs);
    const scopes = (form.get('scope') ?? '').split(' ');
    if (!scopes.includes(`${this.#audience}/.default`)) {
      throw new SignInRefusal(
        400,
        'invalid_scope',
        `AADSTS70011: The provided value for scope ${form.get('scope')} is not valid.`,
      );
    }
    return this.#answer(client.id, nowMs);
  }

  /** The machine's own endpoint: `GET /metadata/identity/oauth2/token`. */
  managedToken(query: URLSearchParams, nowMs: number): unknown {
    const wished = query.get('client_id') ?? this.#managed[0];
    if (wished === undefined || !this.#managed.includes(wished)) {
      throw new SignInRefusal(400, 'invalid_request', 'Identity not found');
    }
    if ((query.get('resource') ?? '').replace(/\/$/, '') !== this.#audience) {
      throw new SignInRefusal(400, 'invalid_resource', 'AADSTS500011: The resource principal was not found.');
    }
    const { access_token, expires_in } = this.#answer(wished, nowMs);
    return {
      access_token,
      client_id: wished,
      expires_in: String(expires_in),
      expires_on: String(Math.floor(nowMs / 1000) + TOKEN_S),
      resource: query.get('resource'),
      token_type: 'Bearer',
    };
  }

  /** Rejects anything but a valid token of ours for Resource Manager. */
  verify(header: string, nowMs: number): void {
    const token = /^Bearer (\S+)$/.exec(header)?.[1];
    if (token === undefined) {
      throw new Refusal(401, 'AuthenticationFailed', 'Authentication failed. The Authorization header is missing.');
    }
    const [head = '', body = '', signature = ''] = token.split('.');
    const isSigned = verify(
      'sha256',
      Buffer.from(`${head}.${body}`),
      createPublicKey(this.#key),
      Buffer.from(signature, 'base64url'),
    );
    const claims = isSigned ? jwtPart.parse(JSON.parse(Buffer.from(body, 'base64url').toString())) : {};
    if (!isSigned || claims['aud'] !== this.#audience) {
      throw new Refusal(401, 'InvalidAuthenticationToken', 'The access token is invalid.');
    }
    if (typeof claims['exp'] !== 'number' || claims['exp'] * 1000 <= nowMs) {
      throw new Refusal(401, 'ExpiredAuthenticationToken', 'The access token expiry UTC time is earlier than now.');
    }
  }

  #answer(client: string, nowMs: number) {
    const nowS = Math.floor(nowMs / 1000);
    const head = part({ alg: 'RS256', typ: 'JWT' });
    const body = part({
      aud: this.#audience,
      iss: `https://sts.simulated/${this.#tenant}/`,
      iat: nowS,
      nbf: nowS,
      exp: nowS + TOKEN_S,
      appid: client,
      tid: this.#tenant,
      uti: randomUUID(),
    });
    const signature = sign('sha256', Buffer.from(`${head}.${body}`), this.#key).toString('base64url');
    return {
      token_type: 'Bearer',
      expires_in: TOKEN_S,
      ext_expires_in: TOKEN_S,
      access_token: `${head}.${body}.${signature}`,
    };
  }

  #requireTenant(tenant: string): void {
    if (tenant === this.#tenant) return;
    throw new SignInRefusal(400, 'invalid_tenant', `AADSTS90002: Tenant '${tenant}' not found.`);
  }

  #requireProof(origin: string, client: Client, form: URLSearchParams, nowMs: number): void {
    const secret = form.get('client_secret');
    if (secret !== null) {
      if (client.secret !== undefined && secret === client.secret) return;
      throw new SignInRefusal(
        401,
        'invalid_client',
        `AADSTS7000215: Invalid client secret provided for app '${client.id}'.`,
      );
    }
    const assertion = form.get('client_assertion');
    if (assertion === null || form.get('client_assertion_type') !== ASSERTION) {
      throw new SignInRefusal(
        401,
        'invalid_client',
        "AADSTS7000218: The request body must contain the parameter 'client_assertion' or 'client_secret'.",
      );
    }
    if (client.federatedToken !== undefined && assertion === client.federatedToken) return;
    if (client.certificate !== undefined && isSignedBy(client.certificate, assertion, client.id, origin, nowMs)) return;
    throw new SignInRefusal(401, 'invalid_client', 'AADSTS700027: Client assertion failed signature validation.');
  }
}

/** As Entra requires of an app's assertion: its own certificate, its own name, this token endpoint, not expired. */
function isSignedBy(certificate: string, assertion: string, client: string, origin: string, nowMs: number): boolean {
  const [head = '', body = '', signature = ''] = assertion.split('.');
  const header = jwtPart.parse(JSON.parse(Buffer.from(head, 'base64url').toString()));
  const claims = jwtPart.parse(JSON.parse(Buffer.from(body, 'base64url').toString()));
  const x509 = new X509Certificate(certificate);
  const thumbprints = {
    'x5t#S256': createHash('sha256').update(x509.raw).digest('base64url'),
    x5t: createHash('sha1').update(x509.raw).digest('base64url'),
  };
  if (header['x5t#S256'] !== thumbprints['x5t#S256'] && header['x5t'] !== thumbprints.x5t) return false;
  if (claims['iss'] !== client || claims['sub'] !== client) return false;
  if (typeof claims['aud'] !== 'string' || !claims['aud'].startsWith(`${origin}/`)) return false;
  if (typeof claims['exp'] !== 'number' || claims['exp'] * 1000 <= nowMs) return false;
  const key =
    header['alg'] === 'PS256'
      ? {
          key: x509.publicKey,
          padding: constants.RSA_PKCS1_PSS_PADDING,
          saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
        }
      : x509.publicKey;
  return verify('sha256', Buffer.from(`${head}.${body}`), key, Buffer.from(signature, 'base64url'));
}

function part(content: unknown): string {
  return Buffer.from(JSON.stringify(content)).toString('base64url');
}
