/** Google Secret Manager: `versions.access` of its REST interface. */
import { z } from 'zod';
import { ask, codeOf, textOf, unexpectedAnswer, unreachable, usualFailure } from '../kit/secret-answer.ts';
import {
  type SecretAddress,
  SecretFailure,
  type SecretReader,
  type SecretStore,
  type SecretStoreHost,
  type StoreKey,
} from '../secret-store.ts';
import { credentialsOf } from './credentials.ts';

const STORE = 'Secret Manager';
const SCOPE = 'https://www.googleapis.com/auth/cloud-platform';
/** A project's id or number; ids of secrets and aliases of versions as the vendor's page "Create and access a secret" says. */
const NAME =
  /^(projects\/(?:[a-z][a-z0-9-]{4,28}[a-z0-9]|\d{1,19})(?:\/locations\/([a-z]+-[a-z]+\d{1,2}))?\/secrets\/[\w-]{1,255})(?:\/versions\/(latest|\d{1,19}|[A-Za-z][\w-]{0,62}))?$/;

const accessed = z.object({ payload: z.object({ data: z.base64() }) });
const refusal = z.object({ error: z.object({ status: z.unknown() }) });
const backend = z.object({ credentials: z.string() });
const key = z.object({ email: z.string(), privateKey: z.string(), keyId: z.string().optional() });

export const secretManager: SecretStore = {
  scheme: 'gcp-secret',
  form: '${gcp-secret:projects/PROJECT/secrets/SECRET/versions/VERSION}',
  parse(text) {
    const [, name, location, version = 'latest'] = NAME.exec(text) ?? [];
    if (name === undefined) return undefined;
    const host = location === undefined ? '' : `.${location}.rep`;
    const place = `secretmanager${host}.googleapis.com/v1/${name}`;
    return { secret: `gcp-secret:${name}`, version, place };
  },
  keyOf(options) {
    const parsed = backend.safeParse(options);
    if (!parsed.success) return undefined;
    const found = serviceAccountOf(parsed.data.credentials);
    return found === undefined
      ? undefined
      : {
          email: found.client_email,
          privateKey: found.private_key,
          ...(found.private_key_id === undefined ? {} : { keyId: found.private_key_id }),
        };
  },
  open: (given, host) => new SecretManagerReader(given, host),
};

/** Undefined for what acts by the dispatcher's machine: a workload identity too, which sends a token or a file of it. */
function serviceAccountOf(text: string) {
  try {
    const found = credentialsOf(text);
    return found?.type === 'service_account' ? found : undefined;
  } catch {
    return undefined;
  }
}

class SecretManagerReader implements SecretReader {
  readonly #key: z.infer<typeof key> | undefined;
  readonly #host: SecretStoreHost;
  #headers: ((url: string) => Promise<Headers>) | undefined;

  constructor(given: StoreKey | undefined, host: SecretStoreHost) {
    this.#key = given === undefined ? undefined : key.parse(given);
    this.#host = host;
  }

  async read(address: SecretAddress, signal: AbortSignal): Promise<string> {
    const url = `https://${address.place}/versions/${address.version}:access`;
    const authorization = await this.#authorization(url);
    const headers = { accept: 'application/json', authorization };
    const answer = await ask(this.#host, STORE, url, { method: 'GET', headers, signal });
    if (answer.status === 200) {
      const found = accessed.safeParse(answer.body);
      if (found.success) return textOf(Buffer.from(found.data.payload.data, 'base64'), address);
      throw new SecretFailure('away', `${STORE} gave an answer that cannot be read`, 'It is asked again.');
    }
    const said = refusal.safeParse(answer.body);
    const code = said.success ? codeOf(said.data.error.status) : '';
    throw (
      refused(answer.status, code, address) ??
      usualFailure(STORE, answer, code) ??
      unexpectedAnswer(STORE, answer.status, code)
    );
  }

  async #authorization(url: string): Promise<string> {
    this.#headers ??= await this.#signIn();
    try {
      return (await this.#headers(url)).get('authorization') ?? '';
    } catch (error) {
      if (this.#key !== undefined) {
        throw new SecretFailure('denied', 'the key of the service account does not sign', 'Replace the key.');
      }
      // Application default credentials that were not found may be there later.
      this.#headers = undefined;
      throw unreachable('the machine’s own identity of Google', error);
    }
  }

  async #signIn(): Promise<(url: string) => Promise<Headers>> {
    // The vendor's library is loaded when something is read.
    const { GoogleAuth, JWT } = await import('google-auth-library');
    if (this.#key === undefined) {
      const auth = new GoogleAuth({ scopes: [SCOPE] });
      auth.useJWTAccessWithScope = true;
      return (url) => auth.getRequestHeaders(url);
    }
    const { email, privateKey, keyId } = this.#key;
    const jwt = new JWT({ email, key: privateKey, ...(keyId === undefined ? {} : { keyId }), scopes: [SCOPE] });
    // It signs its tokens itself: there is no token endpoint to be called.
    jwt.useJWTAccessWithScope = true;
    return (url) => jwt.getRequestHeaders(url);
  }
}

function refused(status: number, code: string, { secret, version }: SecretAddress): SecretFailure | undefined {
  const said = `${status}${code === '' ? '' : ` ${code}`}`;
  if (status === 404) {
    return new SecretFailure(
      'absent',
      `${secret} does not exist, or has no version ${version} (${said})`,
      'Correct its name.',
    );
  }
  if (code === 'FAILED_PRECONDITION') {
    const message = `version ${version} of ${secret} is disabled or destroyed (${said})`;
    return new SecretFailure('unusable', message, 'Enable it, or add a version.');
  }
  if (status !== 401 && status !== 403) return undefined;
  return new SecretFailure(
    'denied',
    `${secret} may not be read (${said})`,
    'Give the service account the role `roles/secretmanager.secretAccessor` on the secret, and enable the API in the project.',
  );
}
