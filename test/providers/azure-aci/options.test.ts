/**
 * Each option and each wish, set to one value and then to another: both times that value is found again in what the
 * simulator understood, or in what the provider does. What stays the same, whatever was given, fails here.
 */
import { AzureAuthorityHosts } from '@azure/identity';
import { expect } from 'chai';
import { z } from 'zod';
import { clouds } from '../../../providers/azure-aci/clouds.ts';
import { azureAciOptions } from '../../../providers/azure-aci/options.ts';
import { type Provider, ProviderError, type Shape, type ShapeWish } from '../../../providers/provider.ts';
import {
  type AzureAciSimulatorOptions,
  type Decoded,
  demo,
  demoSubnet,
  makeClientCertificate,
} from '../../../simulators/azure-aci/index.ts';
import { type Fixture, IMAGE, launchOf, openFixture, SLEEPS } from './fixture.ts';

type Options = Readonly<Record<string, unknown>>;
type World = Partial<AzureAciSimulatorOptions>;
/** A value that was given, and where it is seen. */
type Sighting = { readonly given: unknown; readonly seen: () => Promise<unknown> };
type Row = readonly [Sighting, Sighting];

interface Launched {
  readonly decoded: Decoded;
  readonly provider: Provider;
  /** Of the creation. */
  readonly url: string;
}

const { shape } = launchOf('x');
const otherSubnet = demoSubnet.replace(/runners$/, 'others');
const identity = (name: string): string =>
  `/subscriptions/${demo.subscriptionId}/resourceGroups/ids/providers/Microsoft.ManagedIdentity/userAssignedIdentities/${name}`;
const files = { storageAccount: 'acmefiles', storageAccountKey: 'a storage key' };
const workspace = { workspaceId: '99999999-9999-4999-8999-999999999999', workspaceKey: 'a workspace key' };

async function inFixture<T>(world: World, use: (fixture: Fixture) => Promise<T>): Promise<T> {
  const fixture = await openFixture({ subnets: [demoSubnet, otherSubnet], ...world });
  try {
    return await use(fixture);
  } finally {
    await fixture.close();
  }
}

function row<const T>([one, other]: readonly [T, T], see: (value: T) => Promise<unknown>): Row {
  return [
    { given: one, seen: () => see(one) },
    { given: other, seen: () => see(other) },
  ];
}

/** Launches with it, and looks at what the simulator understood. */
function sent<const T>(
  values: readonly [T, T],
  options: (value: T) => Options,
  found: (launched: Launched) => unknown,
  more: { readonly world?: (value: T) => World; readonly shape?: (value: T) => Partial<Shape> } = {},
): Row {
  return row(values, (value) =>
    inFixture(more.world?.(value) ?? {}, async (fixture) => {
      const provider = fixture.backend(options(value));
      await provider.launch(launchOf('fixture-1', { shape: { ...shape, ...more.shape?.(value) } }));
      const decoded = fixture.simulator.named('fixture-1')?.decoded;
      const url = fixture.calls.find(({ operation }) => operation === 'create')?.url;
      if (decoded === undefined || url === undefined) throw new Error('nothing was created');
      return found({ decoded, provider, url });
    }),
  );
}

/** Two worlds, each with a door for one value: that one is let in, and not the other. */
function door<const T>(
  values: readonly [T, T],
  world: (value: T) => World,
  options: (value: T, fixture: Fixture) => Options,
): Row {
  return row(values, (value) =>
    inFixture(world(value), async (fixture) => {
      const entered: T[] = [];
      for (const candidate of values) {
        const isIn = await fixture
          .backend(options(candidate, fixture))
          .list({ dispatcher: 'fixture' })
          .then(() => true, refused);
        if (isIn) entered.push(candidate);
      }
      return entered.length === 1 ? entered[0] : entered;
    }),
  );
}

/** Launches until its own budget is used up. */
function counted(
  values: readonly [number, number],
  options: (value: number) => Options,
  most: (value: number) => number,
) {
  return row(values, (value) =>
    inFixture({}, async (fixture) => {
      const provider = fixture.backend(options(value));
      let launches = 0;
      while (await provider.launch(launchOf(`fixture-${launches}`)).then(() => true, refused)) launches += 1;
      return launches === most(value) ? value : `${launches} launches`;
    }),
  );
}

/** Of two simulators: which one is asked. */
function asked(options: (url: string) => Options, isAsked: (fixture: Fixture) => boolean): Row {
  return row([0, 1], (which) =>
    inFixture({}, (one) =>
      inFixture({}, async (other) => {
        const fixtures = [one, other];
        const ca = fixtures.map(({ simulator }) => simulator.ca).join('');
        const url = fixtures[which]?.simulator.url ?? '';
        await one
          .backend({ ca, ...options(url) })
          .list({ dispatcher: 'fixture' })
          .catch(refused);
        return fixtures.findIndex(isAsked);
      }),
    ),
  );
}

function refused(error: unknown): false {
  if (error instanceof ProviderError) return false;
  throw error;
}

const container = ({ decoded }: Launched) => decoded.properties.containers[0]?.properties;
const registry = ({ decoded }: Launched) => decoded.properties.imageRegistryCredentials?.[0];
const share = ({ decoded }: Launched) => decoded.properties.volumes?.[0]?.azureFile;
const analytics = ({ decoded }: Launched) => decoded.properties.diagnostics?.logAnalytics;
const largest = (provider: Provider, what: 'cpu' | 'memoryGiB'): number | undefined =>
  [4, 3, 2, 1].find((size) => provider.fit({ ...shape, [what]: size }).fits);

const guids = ['00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002'] as const;
const secret = { kind: 'secret', tenantId: demo.tenantId, clientId: demo.clientId, clientSecret: demo.clientSecret };
const [oneKey, otherKey] = [makeClientCertificate('one'), makeClientCertificate('other')];
const pemOf = ({ certificate, privateKey }: typeof oneKey): string => privateKey + certificate;
const byCertificate = {
  kind: 'certificate',
  tenantId: demo.tenantId,
  clientId: demo.clientId,
  certificate: pemOf(oneKey),
};
const clientOf = (id: string): World => ({
  clients: [{ id, secret: demo.clientSecret, certificate: oneKey.certificate }],
});

/** In place of a row: why there is none. This one is read from the environment and kept by the SDK for the life of the process, so it has cases of its own. */
const byEnvironment = 'azure-aci.test.ts, "by what the machine has"';

const rows: Readonly<Record<string, Row | string>> = {
  cloud: door(
    ['us-government', 'china'],
    (cloud) => ({ audience: clouds[cloud].endpoint }),
    (cloud) => ({ cloud }),
  ),
  subscriptionId: sent(
    guids,
    (subscriptionId) => ({ subscriptionId }),
    ({ url }) => url.split('/')[2],
    {
      world: (subscriptionId) => ({ subscriptionId }),
    },
  ),
  resourceGroup: sent(
    ['one', 'other'],
    (resourceGroup) => ({ resourceGroup }),
    ({ url }) => url.split('/')[4],
    {
      world: (resourceGroup) => ({ resourceGroup }),
    },
  ),
  location: sent(
    ['westus', 'uksouth'],
    (location) => ({ location }),
    ({ decoded }) => decoded.location,
    {
      world: (location) => ({ location }),
    },
  ),

  'credentials(secret).tenantId': door(
    guids,
    (tenantId) => ({ tenantId }),
    (tenantId) => ({ credentials: { ...secret, tenantId } }),
  ),
  'credentials(secret).clientId': door(guids, clientOf, (clientId) => ({ credentials: { ...secret, clientId } })),
  'credentials(secret).clientSecret': door(
    ['one secret', 'other secret'],
    (clientSecret) => ({ clients: [{ id: demo.clientId, secret: clientSecret }] }),
    (clientSecret) => ({ credentials: { ...secret, clientSecret } }),
  ),
  'credentials(certificate).tenantId': door(
    guids,
    (tenantId) => ({ tenantId, ...clientOf(demo.clientId) }),
    (tenantId) => ({ credentials: { ...byCertificate, tenantId } }),
  ),
  'credentials(certificate).clientId': door(guids, clientOf, (clientId) => ({
    credentials: { ...byCertificate, clientId },
  })),
  'credentials(certificate).certificate': door(
    [oneKey, otherKey],
    ({ certificate }) => ({ clients: [{ id: demo.clientId, certificate }] }),
    (key) => ({ credentials: { ...byCertificate, certificate: pemOf(key) } }),
  ),
  'credentials(managed-identity).clientId': byEnvironment,
  'credentials(workload-identity).tenantId': byEnvironment,
  'credentials(workload-identity).clientId': byEnvironment,

  endpoint: asked(
    (endpoint) => ({ endpoint }),
    ({ calls }) => calls.some(({ url }) => url.startsWith('/subscriptions/')),
  ),
  authorityHost: asked(
    (authorityHost) => ({ authorityHost }),
    ({ calls }) => calls.some(({ operation }) => operation === 'token'),
  ),
  ca: row(['its own', 'another'], (whose) =>
    inFixture({}, async (fixture) => {
      const ca = whose === 'its own' ? fixture.simulator.ca : oneKey.certificate;
      const list = fixture.backend({ ca }).list({ dispatcher: 'fixture' });
      return (await list.then(() => true, refused)) ? 'its own' : 'another';
    }),
  ),

  sku: sent(
    ['Standard', 'Confidential'],
    (sku) => ({ sku }),
    ({ decoded }) => decoded.properties.sku,
  ),
  ccePolicy: sent(
    ['b25l', 'b3RoZXI='],
    (ccePolicy) => ({ sku: 'Confidential', ccePolicy }),
    ({ decoded }) => decoded.properties.confidentialComputeProperties?.ccePolicy,
  ),
  privileged: sent(
    [true, false],
    (privileged) => ({ sku: 'Confidential', privileged }),
    (launched) => container(launched)?.securityContext?.privileged ?? false,
    { shape: (privileged) => ({ dockerInDocker: privileged }) },
  ),
  'spotLocations[]': row(['westus', 'uksouth'], (location) =>
    inFixture({}, async (fixture) => {
      const spot = ['westus', 'uksouth'].filter(
        (here) => fixture.backend({ spotLocations: [location], location: here }).capabilities.spot,
      );
      return spot.join();
    }),
  ),
  mostCpu: sent(
    [2, 3],
    (mostCpu) => ({ mostCpu }),
    ({ provider }) => largest(provider, 'cpu'),
  ),
  mostMemoryGiB: sent(
    [2, 3],
    (mostMemoryGiB) => ({ mostMemoryGiB }),
    ({ provider }) => largest(provider, 'memoryGiB'),
  ),
  subnetId: sent(
    [demoSubnet, otherSubnet],
    (subnetId) => ({ subnetId }),
    ({ decoded }) => decoded.properties.subnetIds?.[0]?.id,
  ),
  'dns.nameServers[]': sent(
    ['10.0.0.4', '10.0.0.5'],
    (server) => ({ subnetId: demoSubnet, dns: { nameServers: [server] } }),
    ({ decoded }) => decoded.properties.dnsConfig?.nameServers.join(),
  ),
  'dns.searchDomains': sent(
    ['one.internal', 'other.internal'],
    (searchDomains) => ({ subnetId: demoSubnet, dns: { nameServers: ['10.0.0.4'], searchDomains } }),
    ({ decoded }) => decoded.properties.dnsConfig?.searchDomains,
  ),
  'dns.options': sent(
    ['ndots:2', 'ndots:3'],
    (options) => ({ subnetId: demoSubnet, dns: { nameServers: ['10.0.0.4'], options } }),
    ({ decoded }) => decoded.properties.dnsConfig?.options,
  ),
  zone: sent(
    ['1', '3'],
    (zone) => ({ zone }),
    ({ decoded }) => decoded.zones?.join(),
  ),
  'runnerIdentities[]': sent(
    [identity('one'), identity('other')],
    (id) => ({ runnerIdentities: [id] }),
    ({ decoded }) => Object.keys(decoded.identity?.userAssignedIdentities ?? {}).join(),
  ),
  'registries[].server': sent(
    ['one.example', 'other.example'],
    (server) => ({ registries: [{ server, username: 'bot', password: 'a password' }] }),
    (launched) => registry(launched)?.server,
  ),
  'registries[].username': sent(
    ['one', 'other'],
    (username) => ({ registries: [{ server: 'one.example', username, password: 'a password' }] }),
    (launched) => registry(launched)?.username,
  ),
  'registries[].password': sent(
    ['one password', 'other password'],
    (password) => ({ registries: [{ server: 'one.example', username: 'bot', password }] }),
    (launched) => registry(launched)?.password,
  ),
  'registries[].identity': sent(
    [identity('one'), identity('other')],
    (id) => ({ registries: [{ server: 'one.example', identity: id }] }),
    (launched) => registry(launched)?.identity,
  ),
  'files.storageAccount': sent(
    ['one1', 'other1'],
    (storageAccount) => ({ files: { ...files, storageAccount } }),
    (launched) => share(launched)?.storageAccountName,
    { shape: () => ({ bucket: 'cache' }) },
  ),
  'files.storageAccountKey': sent(
    ['one key', 'other key'],
    (storageAccountKey) => ({ files: { ...files, storageAccountKey } }),
    (launched) => share(launched)?.storageAccountKey,
    { shape: () => ({ bucket: 'cache' }) },
  ),
  'logAnalytics.workspaceId': sent(
    guids,
    (workspaceId) => ({ logAnalytics: { ...workspace, workspaceId } }),
    (launched) => analytics(launched)?.workspaceId,
  ),
  'logAnalytics.workspaceKey': sent(
    ['one key', 'other key'],
    (workspaceKey) => ({ logAnalytics: { ...workspace, workspaceKey } }),
    (launched) => analytics(launched)?.workspaceKey,
  ),
  'logAnalytics.logType': sent(
    ['ContainerInsights', 'ContainerInstanceLogs'],
    (logType) => ({ logAnalytics: { ...workspace, logType } }),
    (launched) => analytics(launched)?.logType,
  ),
  tags: sent(
    ['one', 'other'],
    (value) => ({ tags: { 'Cost centre': value } }),
    ({ decoded }) => decoded.tags['Cost centre'],
  ),
  'command[]': sent(
    ['sleep 601', 'sleep 602'],
    (words) => ({ command: ['sh', '-c', words] }),
    (launched) => container(launched)?.command.at(-1),
  ),
  workFolder: sent(
    ['/mnt/shr-bucket/one', '/mnt/shr-bucket/other'],
    (workFolder) => ({ files, workFolder }),
    (launched) => container(launched)?.command.at(-1 - SLEEPS.length),
    { shape: () => ({ bucket: 'cache' }) },
  ),
  'limits.per5Minutes': counted(
    [1, 2],
    (per5Minutes) => ({ limits: { per5Minutes } }),
    (value) => value,
  ),
  'limits.perHour': counted(
    [1, 2],
    (perHour) => ({ limits: { perHour } }),
    (value) => value,
  ),
  rateShare: counted(
    [0.1, 0.2],
    (rateShare) => ({ rateShare, limits: { per5Minutes: 10 } }),
    (value) => value * 10,
  ),
  timeoutMs: row([300, 500], (timeoutMs) =>
    inFixture({}, async (fixture) => {
      fixture.simulator.fault({ kind: 'lost-answer', operation: 'list' });
      const error: unknown = await fixture
        .backend({ timeoutMs })
        .list({ dispatcher: 'fixture' })
        .catch((reason: unknown) => reason);
      return Number(/within (\d+) ms/.exec(String(error))?.[1]);
    }),
  ),
};

/** A wish that cannot be had here is refused, and not left out. */
function neverFits(wishes: readonly [Partial<ShapeWish>, Partial<ShapeWish>]): Row {
  return row(wishes, (wish) =>
    inFixture({}, async (fixture) => {
      const provider = fixture.backend({ files, subnetId: demoSubnet });
      return provider.fit({ ...shape, ...wish }).fits ? 'it fits' : wish;
    }),
  );
}

const wishes = {
  cpu: sent(
    [2, 3],
    () => ({}),
    (launched) => container(launched)?.resources.requests.cpu,
    {
      shape: (cpu) => ({ cpu }),
    },
  ),
  memoryGiB: sent(
    [3, 5],
    () => ({}),
    (launched) => container(launched)?.resources.requests.memoryInGB,
    {
      shape: (memoryGiB) => ({ memoryGiB }),
    },
  ),
  image: sent(
    [IMAGE, 'ghcr.io/acme/other:1'],
    () => ({}),
    (launched) => container(launched)?.image,
    {
      world: (image) => ({ images: { [image]: [...SLEEPS] } }),
      shape: (image) => ({ image }),
    },
  ),
  bucket: sent(
    ['one', 'other'],
    () => ({ files }),
    (launched) => share(launched)?.shareName,
    {
      shape: (bucket) => ({ bucket }),
    },
  ),
  bucketPrefix: sent(
    ['acme/one', 'acme/other'],
    () => ({ files, workFolder: '/mnt/shr-bucket/work' }),
    (launched) =>
      container(launched)
        ?.command.at(-2 - SLEEPS.length)
        ?.replace('/mnt/shr-bucket/', ''),
    { shape: (bucketPrefix) => ({ bucket: 'cache', bucketPrefix }) },
  ),
  subnet: sent(
    ['runners', 'others'],
    () => ({ subnetId: demoSubnet }),
    ({ decoded }) => decoded.properties.subnetIds?.[0]?.id.split('/').at(-1),
    { shape: (subnet) => ({ subnet }) },
  ),
  spot: sent(
    [true, false],
    () => ({}),
    ({ decoded }) => decoded.properties.priority === 'Spot',
    {
      shape: (spot) => ({ spot }),
    },
  ),
  dockerInDocker: sent(
    [true, false],
    () => ({ sku: 'Confidential', privileged: true }),
    (launched) => container(launched)?.securityContext?.privileged ?? false,
    { shape: (dockerInDocker) => ({ dockerInDocker }) },
  ),
  architecture: neverFits([{ architecture: 'arm64' }, { architecture: 'arm64', cpu: 2 }]),
  diskGiB: neverFits([{ diskGiB: 50 }, { diskGiB: 100 }]),
  securityGroup: neverFits([{ securityGroup: 'one' }, { securityGroup: 'other' }]),
  region: 'the dispatcher has honoured it by its choice of the backend',
  timeLimitMs: 'the service enforces none, the dispatcher does',
} satisfies Readonly<Record<keyof ShapeWish, Row | string>>;

interface JsonSchema {
  readonly const?: unknown;
  readonly properties?: Readonly<Record<string, JsonSchema>> | undefined;
  readonly items?: JsonSchema | undefined;
  readonly anyOf?: readonly JsonSchema[] | undefined;
  readonly oneOf?: readonly JsonSchema[] | undefined;
}
const jsonSchema: z.ZodType<JsonSchema> = z.object({
  const: z.unknown().optional(),
  get properties() {
    return z.record(z.string(), jsonSchema).optional();
  },
  get items() {
    return jsonSchema.optional();
  },
  get anyOf() {
    return z.array(jsonSchema).optional();
  },
  get oneOf() {
    return z.array(jsonSchema).optional();
  },
});

/** Every place in the options where a value can be given. */
function placesOf(schema: JsonSchema, path = ''): readonly string[] {
  const variants = schema.oneOf ?? schema.anyOf;
  if (variants !== undefined) {
    return variants.flatMap((variant) => {
      const kind = variant.properties?.['kind']?.const;
      return placesOf(variant, kind === undefined ? path : `${path}(${kind})`);
    });
  }
  if (schema.items !== undefined) return placesOf(schema.items, `${path}[]`);
  if (schema.properties !== undefined) {
    return Object.entries(schema.properties).flatMap(([name, child]) =>
      placesOf(child, path === '' ? name : `${path}.${name}`),
    );
  }
  return schema.const === undefined ? [path] : [];
}

describe('each option of azure-aci', () => {
  it('is looked for below, and no other', () => {
    const places = new Set(placesOf(jsonSchema.parse(z.toJSONSchema(azureAciOptions, { io: 'input' }))));
    expect(places.size).to.be.greaterThan(40);
    expect(Object.keys(rows).sort()).to.deep.equal([...places].sort());
  });

  find(rows);

  it('has by its cloud the addresses that the vendor’s SDK knows', () => {
    expect(Object.values(clouds).map(({ authorityHost }) => authorityHost)).to.deep.equal([
      AzureAuthorityHosts.AzurePublicCloud,
      AzureAuthorityHosts.AzureGovernment,
      AzureAuthorityHosts.AzureChina,
    ]);
  });
});

describe('each wish at azure-aci', () => {
  find(wishes);
});

function find(all: Readonly<Record<string, Row | string>>): void {
  for (const [name, sightings] of Object.entries(all)) {
    if (typeof sightings === 'string') continue;
    it(`${name} is found again, whatever it is`, async () => {
      expect(sightings[0].given).to.not.deep.equal(sightings[1].given);
      for (const { given, seen } of sightings) expect(await seen()).to.deep.equal(given);
    });
  }
}
