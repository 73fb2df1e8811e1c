import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { expect } from 'chai';
import { loadProvider } from '../../providers/index.ts';
import { SecretFailure, type SecretStore } from '../../providers/secret-store.ts';
import { demo, type SecretStoresSimulator, startSecretStores } from '../../simulators/secret-stores/index.ts';
import type { StoredSecrets } from '../../simulators/secret-stores/stored-secrets.ts';
import { forgetMachine } from './azure-machine.ts';

const VALUE = 'ghp_a-secret-value-of-the-store';
const EMAIL = 'reader@acme-ci.iam.gserviceaccount.com';

interface Cloud {
  readonly kind: string;
  readonly name: string;
  /** Without a version. */
  readonly reference: string;
  /** In the simulator. */
  readonly stored: string;
  readonly secret: string;
  readonly version: (id: string) => string;
  readonly secrets: (stores: SecretStoresSimulator) => StoredSecrets;
  readonly reader: string;
  readonly options: (stores: SecretStoresSimulator) => unknown;
  readonly host: string;
}

const clouds: readonly Cloud[] = [
  {
    kind: 'azure-aci',
    name: 'Azure Key Vault',
    reference: 'Acme/Token',
    stored: 'acme.vault.azure.net/token',
    secret: 'azure-key-vault:acme/token',
    version: (id) => `acme/token/${id}`,
    secrets: ({ vaults }) => vaults,
    reader: demo.clientId,
    options: () => ({
      subscriptionId: demo.tenantId,
      credentials: {
        kind: 'secret',
        ...{ tenantId: demo.tenantId, clientId: demo.clientId, clientSecret: demo.clientSecret },
      },
    }),
    host: 'vault.azure.net',
  },
  {
    kind: 'gcp-cloud-run',
    name: 'Google Secret Manager',
    reference: 'projects/acme-ci/secrets/token',
    stored: 'projects/acme-ci/secrets/token',
    secret: 'gcp-secret:projects/acme-ci/secrets/token',
    version: (id) => `projects/acme-ci/secrets/token/versions/${id}`,
    secrets: ({ google }) => google,
    reader: EMAIL,
    options: ({ identity }) => ({ project: 'acme-ci', credentials: identity.createKey(EMAIL, 'acme-ci') }),
    host: 'secretmanager.googleapis.com',
  },
  {
    kind: 'ali-eci',
    name: 'Secrets Manager of Alibaba Cloud',
    reference: 'cn-hangzhou/acme/token@ci',
    stored: 'cn-hangzhou/acme/token@ci',
    secret: 'alibaba-secret:cn-hangzhou/acme/token@ci',
    version: (id) => `cn-hangzhou/acme/token@ci#${id}`,
    secrets: ({ alibaba }) => alibaba,
    reader: demo.accessKeyId,
    options: () => ({ accessKeyId: demo.accessKeyId, accessKeySecret: demo.accessKeySecret, region: 'eu-central-1' }),
    host: 'kms.cn-hangzhou.aliyuncs.com',
  },
];

let stores: SecretStoresSimulator;

beforeEach(async () => {
  stores = await startSecretStores();
});
afterEach(() => stores.close());

async function storeOf(kind: string): Promise<SecretStore> {
  const { secretStore } = await loadProvider(kind);
  if (secretStore === undefined) throw new Error(`${kind} has no store`);
  return secretStore;
}

const host = (environment: Readonly<Record<string, string>> = {}) => ({
  after: () => () => {},
  fetch: stores.fetch,
  environment,
});

function addressOf(store: SecretStore, text: string) {
  const address = store.parse(text);
  if (address === undefined) throw new Error(`${text} is no address`);
  return address;
}

async function read(cloud: Cloud, reference = cloud.reference, signal = new AbortController().signal): Promise<string> {
  const store = await storeOf(cloud.kind);
  const address = addressOf(store, reference);
  const key = store.keyOf(cloud.options(stores), address);
  if (key === undefined) throw new Error('the options have no key');
  return await store.open(key, host()).read(address, signal);
}

async function failure(reading: Promise<string>): Promise<SecretFailure> {
  const found = await reading.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(found instanceof SecretFailure)) throw new Error(`no SecretFailure, but ${inspect(found)}`);
  // Neither a value, nor a key, nor what a service says of accounts.
  const all = inspect(found, { depth: 10 }) + found.message + found.cure;
  for (const secret of [VALUE, demo.clientSecret, demo.accessKeySecret, 'oid=', '1234567890123456', 'Bearer', 'eyJ']) {
    expect(all).not.to.include(secret);
  }
  return found;
}

for (const cloud of clouds) {
  describe(`a secret in ${cloud.name}`, () => {
    let first: string;

    beforeEach(() => {
      first = cloud.secrets(stores).put(cloud.stored, VALUE);
      cloud.secrets(stores).allow(cloud.stored, cloud.reader);
    });

    it('is read with the key of a backend, at the host of that cloud', async () => {
      expect(await read(cloud)).to.equal(VALUE);
      expect(stores.calls.at(-1)).to.include(cloud.host);
    });

    it('is the newest version, or the one that is named', async () => {
      cloud.secrets(stores).put(cloud.stored, 'another');
      expect(await read(cloud)).to.equal('another');
      expect(await read(cloud, cloud.version(first))).to.equal(VALUE);
    });

    it('has one name for grants, whatever the version', async () => {
      const store = await storeOf(cloud.kind);
      expect(addressOf(store, cloud.reference).secret).to.equal(cloud.secret);
      expect(addressOf(store, cloud.version(first)).secret).to.equal(cloud.secret);
    });

    it('is denied without the right to it', async () => {
      cloud.secrets(stores).forbid(cloud.stored, cloud.reader);
      const { kind, message, cure } = await failure(read(cloud));
      expect(kind).to.equal('denied');
      expect(message).to.match(/may not be read \(403 \w+/);
      expect(cure).to.match(/role|kms:GetSecretValue/);
    });

    it('is absent where a version is not there', async () => {
      const none = cloud.version(cloud.kind === 'azure-aci' ? '0'.repeat(32) : '77');
      const { kind, message } = await failure(read(cloud, none));
      expect(kind).to.equal('absent');
      expect(message).to.include(cloud.secret);
    });

    it('cannot be used where it is disabled', async () => {
      cloud.secrets(stores).setState(cloud.stored, 'disabled');
      const { kind, message } = await failure(read(cloud));
      expect(kind).to.equal('unusable');
      expect(message).to.include('disabled');
    });

    it('is asked for again where too much is asked', async () => {
      const code = cloud.kind === 'ali-eci' ? 'Rejected.Throttling' : 'TooManyRequests';
      stores.fault({ kind: 'refuse', host: cloud.host, status: 429, code, retryAfterS: 30 });
      expect((await failure(read(cloud))).kind).to.equal('throttled');
    });

    it('is away where the store breaks, leads elsewhere, or says nothing that can be read', async () => {
      const broken = [
        { kind: 'refuse', status: 503, code: 'Unavailable' },
        { kind: 'reset' },
        { kind: 'redirect', location: 'http://169.254.169.254/' },
        { kind: 'answer', text: '<html>' },
        { kind: 'answer', text: '{}' },
        { kind: 'answer', text: `"${'x'.repeat(300 * 1024)}"` },
      ] as const;
      for (const fault of broken) {
        stores.fault({ ...fault, host: cloud.host, times: 1 });
        expect((await failure(read(cloud))).kind, JSON.stringify(fault).slice(0, 100)).to.equal('away');
      }
      expect(stores.calls.filter((call) => call.includes('169.254'))).to.deep.equal([]);
    });

    it('is given up where the store never answers', async () => {
      stores.fault({ kind: 'silence', host: cloud.host });
      const controller = new AbortController();
      const reading = failure(read(cloud, cloud.reference, controller.signal));
      setTimeout(() => controller.abort(), 50);
      expect((await reading).kind).to.equal('away');
    });

    it('is at no host that a reference makes up', async () => {
      const store = await storeOf(cloud.kind);
      const wrong = [
        ...['', '/', 'x', '../x/y', 'evil.example/token', 'acme.vault.azure.net.evil.example/token'],
        ...['acme.evil.example/token', 'acme@evil.example/token', 'acme/../token', 'acme/token?x=1', 'acme/token#x/y'],
        ...[
          'https://acme.vault.azure.net/secrets/token',
          'acme:443/token',
          'a/token',
          'acme/token/latest',
          'acme/to ken',
        ],
        ...[
          'projects/acme-ci/secrets/token/versions/1:access',
          'projects/acme-ci/secrets/../x',
          'projects/x/secrets/y',
        ],
        ...['projects/acme-ci/locations/evil.example/secrets/token', 'projects/acme-ci/secrets/t/versions/1/../2'],
        ...['cn-hangzhou.evil/token', 'evil.example#/token', 'acs:kms:cn-hangzhou:1:secret/token', 'cn/token'],
      ];
      for (const text of wrong) {
        const { place } = store.parse(text) ?? {};
        if (place === undefined) continue;
        // `acme/token…` and the like are names at Alibaba Cloud alone, where they are a parameter.
        const { hostname } = new URL(`https://${place.split('/')[0]}`);
        expect(hostname, text).to.match(/^(kms\.[a-z]{2}-[a-z0-9-]+\.aliyuncs\.com|[a-z0-9-]+\.vault\.azure\.net)$/);
      }
      expect(wrong.map((text) => store.parse(text)).filter((found) => found !== undefined)).to.deep.equal([]);
    });
  });
}

describe('the key of a backend', () => {
  const ids = { tenantId: demo.tenantId, clientId: demo.clientId };

  it('is not what acts by the dispatcher’s machine', async () => {
    const external = {
      type: 'external_account',
      audience: '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k',
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      token_url: 'https://sts.googleapis.com/v1/token',
      credential_source: { file: '/var/run/token' },
    };
    const none: readonly (readonly [string, string, unknown])[] = [
      ['azure-aci', 'acme/token', { credentials: { kind: 'managed-identity' } }],
      ['azure-aci', 'acme/token', { credentials: { kind: 'workload-identity', ...ids } }],
      ['azure-aci', 'acme/token', {}],
      ['gcp-batch', 'projects/acme-ci/secrets/token', { credentials: 'application-default' }],
      ['gcp-batch', 'projects/acme-ci/secrets/token', { credentials: JSON.stringify(external) }],
      ['gcp-batch', 'projects/acme-ci/secrets/token', {}],
      ['ali-eci', 'cn-hangzhou/token', { ecsRamRole: 'dispatcher' }],
      ['ali-eci', 'cn-hangzhou/token', undefined],
    ];
    for (const [kind, reference, options] of none) {
      const store = await storeOf(kind);
      expect(store.keyOf(options, addressOf(store, reference)), JSON.stringify(options)).to.equal(undefined);
    }
  });

  it('is sent to no vault of another cloud of Azure', async () => {
    const store = await storeOf('azure-aci');
    const credentials = { kind: 'secret', ...ids, clientSecret: demo.clientSecret };
    const china = addressOf(store, 'acme.vault.azure.cn/token');
    expect(china.secret).to.equal('azure-key-vault:acme.vault.azure.cn/token');
    expect(store.keyOf({ credentials }, china)).to.equal(undefined);
    expect(store.keyOf({ cloud: 'china', credentials }, china)).to.not.equal(undefined);
    expect(store.keyOf({ cloud: 'china', credentials }, addressOf(store, 'acme/token'))).to.equal(undefined);
  });

  it('is refused with the reason where it is wrong', async () => {
    stores.vaults.put('acme.vault.azure.net/token', VALUE);
    const azure = await storeOf('azure-aci');
    const wrong = { credentials: { kind: 'secret', ...ids, clientSecret: 'wrong~secret' } };
    const address = addressOf(azure, 'acme/token');
    const refused = await failure(azure.open(azure.keyOf(wrong, address), host()).read(address, AbortSignal.any([])));
    expect(refused.kind, refused.message).to.equal('denied');
    expect(refused.message).to.include('AADSTS7000215');
    const alibaba = await storeOf('ali-eci');
    const place = addressOf(alibaba, 'cn-hangzhou/token');
    const key = alibaba.keyOf({ accessKeyId: demo.accessKeyId, accessKeySecret: 'wrong-secret' }, place);
    const said = await failure(alibaba.open(key, host()).read(place, AbortSignal.any([])));
    expect(said.kind).to.equal('denied');
    expect(said.message).to.include('SignatureDoesNotMatch');
  });
});

describe('the dispatcher’s own identity', () => {
  it('is the machine’s at Azure, or what the variables of Azure’s libraries say', async () => {
    stores.vaults.put('acme.vault.azure.net/token', VALUE);
    stores.vaults.allow('acme.vault.azure.net/token', demo.clientId);
    const store = await storeOf('azure-aci');
    const variables = { AZURE_TENANT_ID: demo.tenantId, AZURE_CLIENT_ID: demo.clientId };
    const own = store.open(undefined, host({ ...variables, AZURE_CLIENT_SECRET: demo.clientSecret }));
    const address = addressOf(store, 'acme/token');
    expect(await own.read(address, AbortSignal.any([]))).to.equal(VALUE);
    const asMachine = () => failure(store.open(undefined, host()).read(address, AbortSignal.any([])));
    await forgetMachine();
    expect((await asMachine()).kind).to.equal('denied');
    stores.vaults.allow('acme.vault.azure.net/token', demo.managedIdentity);
    expect(await store.open(undefined, host()).read(address, AbortSignal.any([]))).to.equal(VALUE);
  });

  it('is what the variables of Alibaba Cloud’s libraries say', async () => {
    stores.alibaba.put('cn-hangzhou/token', VALUE);
    stores.alibaba.allow('cn-hangzhou/token', demo.accessKeyId);
    const store = await storeOf('ali-eci');
    const environment = {
      ALIBABA_CLOUD_ACCESS_KEY_ID: demo.accessKeyId,
      ALIBABA_CLOUD_ACCESS_KEY_SECRET: demo.accessKeySecret,
    };
    const reader = store.open(undefined, host(environment));
    expect(await reader.read(addressOf(store, 'cn-hangzhou/token'), AbortSignal.any([]))).to.equal(VALUE);
  });

  it('is what application default credentials are at Google', async () => {
    stores.google.put('projects/acme-ci/secrets/token', VALUE);
    stores.google.allow('projects/acme-ci/secrets/token', EMAIL);
    const folder = await mkdtemp(join(tmpdir(), 'shr-secret-'));
    const before = process.env['GOOGLE_APPLICATION_CREDENTIALS'];
    try {
      const file = join(folder, 'key.json');
      await writeFile(file, stores.identity.createKey(EMAIL, 'acme-ci'));
      process.env['GOOGLE_APPLICATION_CREDENTIALS'] = file;
      const store = await storeOf('gcp-batch');
      const address = addressOf(store, 'projects/acme-ci/secrets/token');
      expect(await store.open(undefined, host()).read(address, AbortSignal.any([]))).to.equal(VALUE);
    } finally {
      if (before === undefined) delete process.env['GOOGLE_APPLICATION_CREDENTIALS'];
      else process.env['GOOGLE_APPLICATION_CREDENTIALS'] = before;
      await rm(folder, { recursive: true });
    }
  });
});

describe('a regional secret of Google', () => {
  it('is read at its own region', async () => {
    const name = 'projects/acme-ci/locations/europe-west4/secrets/token';
    stores.google.put(name, VALUE);
    stores.google.allow(name, EMAIL);
    const store = await storeOf('gcp-batch');
    const address = addressOf(store, name);
    const key = store.keyOf({ credentials: stores.identity.createKey(EMAIL, 'acme-ci') }, address);
    expect(await store.open(key, host()).read(address, AbortSignal.any([]))).to.equal(VALUE);
    expect(stores.calls.at(-1)).to.include('secretmanager.europe-west4.rep.googleapis.com');
  });
});
