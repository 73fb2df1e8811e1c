/** Azure Key Vault: GET of one secret, with the sign-in of the adapter. */
import { createHttpHeaders, type HttpClient, type PipelineRequest } from '@azure/core-rest-pipeline';
import { z } from 'zod';
import { ask, codeOf, unexpectedAnswer, unreachable, usualFailure } from '../kit/secret-answer.ts';
import {
  type SecretAddress,
  SecretFailure,
  type SecretReader,
  type SecretStore,
  type SecretStoreHost,
  type StoreKey,
} from '../secret-store.ts';
import { type CloudName, cloudNames } from './clouds.ts';
import { azureCredentials } from './options.ts';

const STORE = 'Azure Key Vault';
const VERSION = '7.4';
/** [vendor's page "Azure Key Vault security worlds", DNS suffixes]. A host is one of these, whatever a file says. */
const suffixes: Readonly<Record<CloudName, string>> = {
  public: 'vault.azure.net',
  'us-government': 'vault.usgovcloudapi.net',
  china: 'vault.azure.cn',
};
const HOSTS = Object.values(suffixes).join('|').replaceAll('.', '\\.');
/** [vendor's page "About keys, secrets, and certificates"]. None of them tells upper from lower case. */
const NAME = new RegExp(
  `^([a-z](?![a-z0-9-]{0,22}--)[a-z0-9-]{1,22}[a-z0-9])(?:\\.(${HOSTS}))?/([0-9a-z-]{1,127})(?:/([0-9a-f]{32}))?$`,
);

const secretAnswer = z.object({ value: z.string() });
const refusal = z.object({
  error: z.object({ code: z.unknown(), innererror: z.object({ code: z.unknown() }).nullish() }),
});
const backend = z.object({ cloud: z.enum(cloudNames).default('public'), credentials: azureCredentials });
const key = backend.required();

export const keyVault: SecretStore = {
  scheme: 'azure-key-vault',
  form: '${azure-key-vault:VAULT/SECRET} or ${azure-key-vault:VAULT/SECRET/VERSION}',
  parse(text) {
    const [, vault, suffix = suffixes.public, name, version = ''] = NAME.exec(text.toLowerCase()) ?? [];
    if (vault === undefined || name === undefined) return undefined;
    const shown = suffix === suffixes.public ? vault : `${vault}.${suffix}`;
    return { secret: `azure-key-vault:${shown}/${name}`, version, place: `${vault}.${suffix}/secrets/${name}` };
  },
  keyOf(options, address) {
    const parsed = backend.safeParse(options);
    if (!parsed.success) return undefined;
    const { cloud, credentials } = parsed.data;
    // The other kinds are the identity of the dispatcher's machine.
    if (credentials.kind !== 'secret' && credentials.kind !== 'certificate') return undefined;
    return cloud === cloudOf(address) ? { cloud, credentials } : undefined;
  },
  open: (key, host) => new KeyVaultReader(key, host),
};

class KeyVaultReader implements SecretReader {
  readonly #key: z.infer<typeof key> | undefined;
  readonly #host: SecretStoreHost;
  /** By cloud: the machine may sign in to more than one. */
  readonly #tokens = new Map<CloudName, (signal: AbortSignal) => Promise<string>>();

  constructor(given: StoreKey | undefined, host: SecretStoreHost) {
    this.#key = given === undefined ? undefined : key.parse(given);
    this.#host = host;
  }

  async read(address: SecretAddress, signal: AbortSignal): Promise<string> {
    const url = `https://${address.place}${address.version === '' ? '' : `/${address.version}`}?api-version=${VERSION}`;
    const token = await this.#token(cloudOf(address), signal);
    const headers = { accept: 'application/json', authorization: `Bearer ${token}` };
    const answer = await ask(this.#host, STORE, url, { method: 'GET', headers, signal });
    if (answer.status === 200) {
      const found = secretAnswer.safeParse(answer.body);
      if (found.success) return found.data.value;
      throw new SecretFailure('away', `${STORE} gave an answer that cannot be read`, 'It is asked again.');
    }
    const said = refusal.safeParse(answer.body);
    const inner = said.success ? codeOf(said.data.error.innererror?.code) : '';
    const outer = said.success ? codeOf(said.data.error.code) : '';
    throw refused(answer.status, inner === '' ? outer : inner, address) ?? unexpected(answer, inner, outer);
  }

  async #token(cloud: CloudName, signal: AbortSignal): Promise<string> {
    let get = this.#tokens.get(cloud);
    if (get === undefined) {
      // The vendor's library is loaded when something is read.
      const { credentialOf } = await import('./credential.ts');
      const credentials = this.#key?.credentials ?? machineCredentials(this.#host.environment);
      const credential = credentialOf({ cloud, credentials }, clientOver(this.#host));
      const scope = `https://${suffixes[cloud]}/.default`;
      get = async (abortSignal) => (await credential.getToken(scope, { abortSignal }))?.token ?? '';
      this.#tokens.set(cloud, get);
    }
    try {
      return await get(signal);
    } catch (error) {
      throw signInFailure(error);
    }
  }
}

function cloudOf({ place }: SecretAddress): CloudName {
  return cloudNames.find((name) => place.includes(`.${suffixes[name]}/`)) ?? 'public';
}

function refused(status: number, code: string, { secret }: SecretAddress): SecretFailure | undefined {
  const said = `${status}${code === '' ? '' : ` ${code}`}`;
  if (status === 404) {
    return new SecretFailure(
      'absent',
      `${secret} does not exist, or not in this version (${said})`,
      'Correct its name.',
    );
  }
  if (code === 'SecretDisabled') {
    return new SecretFailure('unusable', `${secret} is disabled (${said})`, 'Enable it, or name another version.');
  }
  if (status !== 401 && status !== 403) return undefined;
  return new SecretFailure(
    'denied',
    `${secret} may not be read (${said})`,
    'Give the identity the role `Key Vault Secrets User` on the vault or secret (or `get` in its access policy), and let the vault’s firewall admit the dispatcher.',
  );
}

function unexpected(answer: Parameters<typeof usualFailure>[1], inner: string, outer: string): SecretFailure {
  const code = inner === '' ? outer : inner;
  return usualFailure(STORE, answer, code) ?? unexpectedAnswer(STORE, answer.status, code);
}

/** `AADSTS…` says that Entra answered: otherwise nobody did. */
function signInFailure(error: unknown): SecretFailure {
  const [code] = /AADSTS\d+/.exec(error instanceof Error ? error.message : '') ?? [];
  const isUnavailable = error instanceof Error && error.name === 'CredentialUnavailableError';
  if (code === undefined && !isUnavailable) return unreachable('Entra ID', error);
  return new SecretFailure(
    isUnavailable ? 'away' : 'denied',
    isUnavailable ? 'the machine gives no identity of Azure' : `Entra ID refuses the sign-in (${code})`,
    isUnavailable
      ? 'Give it a managed identity, or set AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET.'
      : 'Check the client id, its secret and the tenant.',
  );
}

/** As Azure's own libraries name them. */
function machineCredentials(environment: SecretStoreHost['environment']): z.infer<typeof azureCredentials> {
  const clientId = environment['AZURE_CLIENT_ID'] ?? '';
  const tenantId = environment['AZURE_TENANT_ID'] ?? '';
  const clientSecret = environment['AZURE_CLIENT_SECRET'] ?? '';
  const isNamed = clientId !== '' && tenantId !== '';
  if (isNamed && (environment['AZURE_FEDERATED_TOKEN_FILE'] ?? '') !== '') {
    return { kind: 'workload-identity', tenantId, clientId };
  }
  if (isNamed && clientSecret !== '') return { kind: 'secret', tenantId, clientId, clientSecret };
  return { kind: 'managed-identity', ...(clientId === '' ? {} : { clientId }) };
}

/** The vendor's sign-in over our own fetch. */
function clientOver(host: SecretStoreHost): HttpClient {
  return {
    async sendRequest(request: PipelineRequest) {
      const controller = new AbortController();
      if (request.abortSignal?.aborted === true) controller.abort();
      request.abortSignal?.addEventListener('abort', () => controller.abort());
      const response = await host.fetch(request.url, {
        method: request.method,
        headers: request.headers.toJSON(),
        ...(typeof request.body === 'string' ? { body: request.body } : {}),
        signal: controller.signal,
      });
      const headers = createHttpHeaders(Object.fromEntries(response.headers));
      return { request, status: response.status, headers, bodyAsText: await response.text() };
    },
  };
}
