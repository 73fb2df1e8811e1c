/**
 * Azure Key Vault, Google Secret Manager and the Secrets Manager of Alibaba Cloud's KMS on one port: which of them is asked
 * shows in the Host header, as at the services themselves.
 */
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse, request as sendRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Refusal as AlibabaRefusal } from '../ali-eci/refusal.ts';
import { type AccessKey, Signatures } from '../ali-eci/signature.ts';
import { type Client, Entra, SignInRefusal } from '../azure-aci/entra.ts';
import { Refusal as AzureRefusal } from '../azure-aci/refusal.ts';
import { Identity } from '../google/identity.ts';
import { GoogleRefusal, toHttp } from '../google/status.ts';
import { Switchboard } from '../switchboard.ts';
import { StoredSecrets } from './stored-secrets.ts';

export interface SecretStoresOptions {
  /** Of Entra ID's applications. */
  readonly clients?: readonly Client[];
  readonly accessKeys?: readonly AccessKey[];
  readonly now?: () => number;
}

/** `times`: of calls; without it until it is ended. */
export type StoreFault = {
  /** A part of the host that is called. Default: all. */
  readonly host?: string;
  readonly times?: number;
} & (
  | { readonly kind: 'refuse'; readonly status: number; readonly code: string; readonly retryAfterS?: number }
  /** Never answered. */
  | { readonly kind: 'silence' }
  /** The connection breaks. */
  | { readonly kind: 'reset' }
  /** An answer of this text, with status 200. */
  | { readonly kind: 'answer'; readonly text: string }
  /** Leads elsewhere. */
  | { readonly kind: 'redirect'; readonly location: string }
);

export const demo = {
  tenantId: '66666666-7777-4888-9999-aaaaaaaaaaaa',
  clientId: 'bbbbbbbb-cccc-4ddd-8eee-ffffffffffff',
  clientSecret: 'simulated~secret',
  managedIdentity: 'cccccccc-dddd-4eee-8fff-000000000000',
  accessKeyId: 'LTAI5tSimulated',
  accessKeySecret: 'simulated-access-key-secret',
} as const;

interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

interface Asked {
  readonly method: string;
  readonly host: string;
  readonly url: URL;
  readonly request: IncomingMessage;
  readonly body: Buffer;
}

const MAX_BODY = 64 * 1024;
const VAULT = /^([a-z0-9-]+\.vault\.(?:azure\.net|azure\.cn|usgovcloudapi\.net))$/;

export class SecretStoresSimulator {
  /** Names are `HOST/SECRET`, readers client ids. */
  readonly vaults = new StoredSecrets(() => randomBytes(16).toString('hex'));
  /** Names are `projects/P/secrets/S`, readers e-mails of service accounts. */
  readonly google = new StoredSecrets(String);
  /** Names are `REGION/NAME`, readers ids of access keys. */
  readonly alibaba = new StoredSecrets((count) => `v${count}`);
  /** Of Google. */
  readonly identity: Identity;
  /** `GET HOST/PATH` of each call, without what it was signed with. */
  readonly calls: string[] = [];
  readonly #faults = new Switchboard<StoreFault>();
  readonly #entra: Entra;
  readonly #signatures: Signatures;
  readonly #now: () => number;
  readonly #server = createServer((request, response) => void this.#serve(request, response));
  #port = 0;

  constructor({ clients, accessKeys, now = () => Date.now() }: SecretStoresOptions = {}) {
    this.#now = now;
    this.identity = new Identity(now);
    this.#entra = new Entra(
      demo.tenantId,
      'https://vault.azure.net',
      clients ?? [{ id: demo.clientId, secret: demo.clientSecret }],
      [demo.managedIdentity],
    );
    this.#signatures = new Signatures(accessKeys ?? [{ id: demo.accessKeyId, secret: demo.accessKeySecret }]);
  }

  async listen(): Promise<void> {
    await new Promise<void>((done) => this.#server.listen(0, '127.0.0.1', done));
    const address = this.#server.address();
    if (isAddress(address)) this.#port = address.port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** As the global one, but that every host is here. */
  readonly fetch = (
    url: string,
    {
      method,
      headers,
      body,
      signal,
    }: Pick<Asked, 'method'> & {
      readonly headers: Readonly<Record<string, string>>;
      readonly body?: string;
      readonly signal: AbortSignal;
    },
  ): Promise<Response> =>
    new Promise((resolve, reject) => {
      const { host, pathname, search } = new URL(url);
      const sent = sendRequest(
        {
          ...{ host: '127.0.0.1', port: this.#port, path: `${pathname}${search}`, method, signal },
          headers: { ...headers, host, ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }) },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () => {
            const { statusCode: status = 500, headers: got } = response;
            const flat = Object.entries(got).map(([name, value]): [string, string] => [name, String(value)]);
            resolve(new Response(Buffer.concat(chunks), { status, headers: flat }));
          });
        },
      );
      sent.on('error', reject);
      sent.end(body);
    });

  /** The returned function ends it. */
  fault(fault: StoreFault): () => void {
    return this.#faults.add(fault);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { host = '' } = request.headers;
    const url = new URL(request.url ?? '/', `https://${host}`);
    const method = request.method ?? 'GET';
    const body = await bodyOf(request);
    this.calls.push(`${method} ${host}${url.pathname}`);
    const concerns = (fault: StoreFault): boolean => host.includes(fault.host ?? '');
    if (this.#faults.take('silence', concerns) !== undefined) return;
    if (this.#faults.take('reset', concerns) !== undefined) {
      request.socket.destroy();
      return;
    }
    const redirect = this.#faults.take('redirect', concerns);
    if (redirect !== undefined) {
      response.writeHead(302, { location: redirect.location }).end();
      return;
    }
    const answer = this.#faults.take('answer', concerns);
    if (answer !== undefined) {
      response.writeHead(200, { 'content-type': 'application/json' }).end(answer.text);
      return;
    }
    const refuse = this.#faults.take('refuse', concerns);
    const { status, body: said, headers } = this.#answer({ method, host, url, request, body }, refuse);
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(said));
  }

  #answer(asked: Asked, refuse: Extract<StoreFault, { kind: 'refuse' }> | undefined): Answer {
    const { host } = asked;
    const retry = refuse?.retryAfterS === undefined ? {} : { 'retry-after': String(refuse.retryAfterS) };
    try {
      if (VAULT.test(host)) {
        if (refuse !== undefined) return { status: refuse.status, body: azureError(refuse.code), headers: retry };
        return this.#vault(asked);
      }
      if (/^secretmanager(\.[a-z0-9-]+\.rep)?\.googleapis\.com$/.test(host)) {
        if (refuse !== undefined) {
          const { status, code } = refuse;
          return { status, body: { error: { code: status, status: code, message: code } }, headers: retry };
        }
        return this.#secretManager(asked);
      }
      if (/^kms\.[a-z0-9-]+\.aliyuncs\.com$/.test(host)) {
        if (refuse !== undefined) return alibabaError(refuse.status, refuse.code, retry);
        return this.#kms(asked);
      }
      if (host === 'login.microsoftonline.com') return this.#signIn(asked);
      if (host === '169.254.169.254') {
        return { status: 200, body: this.#entra.managedToken(asked.url.searchParams, this.#now()) };
      }
    } catch (error) {
      if (error instanceof AzureRefusal) return { status: error.status, body: azureError(error.code) };
      if (error instanceof GoogleRefusal) return toHttp(error);
      if (error instanceof AlibabaRefusal) return alibabaError(error.status, error.code);
      if (error instanceof SignInRefusal) {
        return { status: error.status, body: { error: error.error, error_description: error.message } };
      }
      throw error;
    }
    return { status: 404, body: { error: `nothing is simulated at ${host}` } };
  }

  #signIn({ url, method, body }: Asked): Answer {
    const [, tenant = ''] = url.pathname.split('/');
    const origin = 'https://login.microsoftonline.com';
    if (method === 'POST') {
      return {
        status: 200,
        body: this.#entra.token(origin, tenant, new URLSearchParams(body.toString()), this.#now()),
      };
    }
    return { status: 200, body: this.#entra.configuration(origin, tenant) };
  }

  /** https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret/get-secret */
  #vault({ host, url, request }: Asked): Answer {
    const authorization = request.headers.authorization ?? '';
    this.#entra.verify(authorization, this.#now());
    const [, kind, name = '', id] = url.pathname.split('/');
    if (kind !== 'secrets' || url.searchParams.get('api-version') === null)
      throw new AzureRefusal(400, 'BadParameter', '');
    const secret = `${host}/${name.toLowerCase()}`;
    const readable = this.vaults.mayRead(secret, clientOf(authorization));
    // Who may not read it does not learn whether it is there.
    if (!readable) return { status: 403, body: azureError('Forbidden', 'ForbiddenByRbac') };
    const found = this.vaults.version(secret, id);
    if (found === undefined) return { status: 404, body: azureError('SecretNotFound') };
    if (found.state !== 'enabled') return { status: 403, body: azureError('Forbidden', 'SecretDisabled') };
    const value = found.value.toString();
    return { status: 200, body: { value, id: `https://${secret}/${found.id}`, attributes: { enabled: true } } };
  }

  /** https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access */
  #secretManager({ url, request }: Asked): Answer {
    const { email } = this.identity.caller(request.headers.authorization);
    const [, name = '', id = ''] = /^\/v1\/(projects\/.+)\/versions\/([^/]+):access$/.exec(url.pathname) ?? [];
    if (!this.google.mayRead(name, email)) {
      throw new GoogleRefusal('PERMISSION_DENIED', `Permission 'secretmanager.versions.access' denied for ${email}.`);
    }
    const version = this.google.version(name, id === 'latest' ? undefined : id);
    if (version === undefined) throw new GoogleRefusal('NOT_FOUND', `Secret Version [${name}] not found.`);
    if (version.state !== 'enabled') {
      throw new GoogleRefusal(
        'FAILED_PRECONDITION',
        `Secret Version [${name}] is in ${version.state.toUpperCase()} state.`,
      );
    }
    const data = version.value.toString('base64');
    return { status: 200, body: { name: `${name}/versions/${version.id}`, payload: { data } } };
  }

  /** https://www.alibabacloud.com/help/en/kms/key-management-service/developer-reference/api-getsecretvalue */
  #kms({ host, url, method, request, body }: Asked): Answer {
    const { headers } = request;
    const signed = { method, path: url.pathname, query: url.searchParams, headers, body };
    const { id: caller } = this.#signatures.verify(signed, this.#now());
    if (headers['x-acs-action'] !== 'GetSecretValue' || headers['x-acs-version'] !== '2016-01-20') {
      throw new AlibabaRefusal(404, 'InvalidAction.NotFound', 'The specified action is not found.');
    }
    const form = new URLSearchParams(body.toString());
    const name = `${host.split('.')[1]}/${form.get('SecretName') ?? ''}`;
    if (!this.alibaba.exists(name)) throw new AlibabaRefusal(404, 'Forbidden.ResourceNotFound', 'Resource not found.');
    if (!this.alibaba.mayRead(name, caller)) {
      throw new AlibabaRefusal(403, 'Forbidden.NoPermission', `This operation is forbidden to ${caller}.`);
    }
    const version = this.alibaba.version(name, form.get('VersionId') ?? undefined);
    if (version === undefined) throw new AlibabaRefusal(404, 'Forbidden.ResourceNotFound', 'Resource not found.');
    if (version.state !== 'enabled') throw new AlibabaRefusal(409, 'Rejected.PendingDeletion', 'It is to be deleted.');
    const isText = Buffer.from(version.value.toString()).equals(version.value);
    return {
      status: 200,
      body: {
        SecretName: form.get('SecretName'),
        SecretData: version.value.toString(isText ? 'utf8' : 'base64'),
        SecretDataType: isText ? 'text' : 'binary',
        VersionId: version.id,
        VersionStages: { VersionStage: ['ACSCurrent'] },
        RequestId: randomBytes(16).toString('hex'),
      },
    };
  }
}

export async function startSecretStores(options?: SecretStoresOptions): Promise<SecretStoresSimulator> {
  const simulator = new SecretStoresSimulator(options);
  await simulator.listen();
  return simulator;
}

function azureError(code: string, inner?: string): unknown {
  const message = `Caller: appid=${demo.clientId};oid=of-the-account`;
  return { error: { code, message, ...(inner === undefined ? {} : { innererror: { code: inner } }) } };
}

function alibabaError(status: number, code: string, headers: Readonly<Record<string, string>> = {}): Answer {
  const body = {
    Code: code,
    Message: `${code} for acs:ram::1234567890123456:user/simulated`,
    RequestId: 'r',
    HostId: '',
  };
  return { status, body, headers };
}

function clientOf(authorization: string): string {
  const [, body = ''] = authorization.replace('Bearer ', '').split('.');
  const claims: unknown = JSON.parse(Buffer.from(body, 'base64url').toString());
  return typeof claims === 'object' && claims !== null && 'appid' in claims ? String(claims.appid) : '';
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) continue;
    bytes += chunk.length;
    if (bytes <= MAX_BODY) chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function isAddress(address: AddressInfo | string | null): address is AddressInfo {
  return typeof address === 'object' && address !== null;
}
