import { expect } from 'chai';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { exportPlatform } from '../../dispatcher/config/export-platform.ts';
import { type Inspection, inspectConfiguration } from '../../dispatcher/config/load.ts';
import { newKeyPair, publicKeyText, seal } from '../../dispatcher/config/sealing.ts';
import { sourcesOf } from './files.ts';

const { key } = newKeyPair();
const sealed = (registration: string) =>
  `\${sealed:${seal('ghp_x', { registration, field: ['credentials', 'token'] }, key)}}`;

const some = <T>(...items: readonly T[]) => fc.constantFrom(...items);
/** Mostly what is right, else few files would be served. */
const mostly = <T, U>(usual: T, other: fc.Arbitrary<U>) =>
  fc.oneof({ weight: 4, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: other });
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const list = (...items: readonly string[]) => maybe(fc.subarray([...items]));

const tenant = fc.record({
  trusted: maybe(some(true, false)),
  registrations: maybe(fc.subarray(['a', 'b', 'c', '?'], { minLength: 1 })),
  hosts: list('github.com', 'GHES.example'),
  owners: list('acme', 'Bee', '*'),
  enterprises: list('corp'),
  repositories: list('acme/web', 'bee/*'),
  labels: list('gpu', 'serverless-*', '*'),
  priority: maybe(some(-1, 5)),
  runnerGroups: list('Default', 'Big'),
  credentials: list('token', 'app', 'ghes'),
  backends: list('engine', 'cloud', 'c*'),
  backendKinds: list('docker', 'eci', 'packaged'),
  presets: mostly(undefined, list('large', 'b*', 'no*')),
  requireHook: mostly(undefined, some(true, false)),
  limits: maybe(
    fc.record({
      maxRegistrations: maybe(some(1, 2)),
      maxRunners: maybe(some(1, 20)),
      maxCpu: maybe(some(2, 64)),
      maxMemoryGiB: maybe(some(1, 64)),
      maxDiskGiB: maybe(some(10)),
      maxTimeout: maybe(some('1h')),
    }),
  ),
  powers: maybe(
    fc.record({
      images: list('ghcr.io/acme/*', '*'),
      buckets: list('cache-*'),
      subnets: list('net-1'),
      regions: list('EU-1'),
      spot: maybe(fc.boolean()),
      dockerInDocker: maybe(fc.boolean()),
      publicRepositories: maybe(fc.boolean()),
    }),
  ),
});

const platform = fc.record({
  id: some('shr'),
  adminToken: some('${env:ADMIN}'),
  listen: maybe(some({ public: { url: 'https://shr.example' } })),
  credentials: maybe(
    some(
      { token: { token: '${env:TOKEN}' }, app: { app: { id: 7, privateKey: '${file:secrets/app.pem}' } } },
      { token: { token: '${env:TOKEN}' }, ghes: { host: 'ghes.example', token: '${env:GHES}' } },
    ),
  ),
  backends: maybe(
    some(
      { engine: { kind: 'docker', maxRunners: 5 } },
      {
        engine: { kind: 'process' },
        cloud: { kind: 'eci', region: 'eu-1', options: { accessKeySecret: '${env:KEY}' } },
      },
    ),
  ),
  shapes: maybe(some({ large: { cpu: 8, spot: true } }, { large: { image: 'other/image:1', timeLimit: '2h' } })),
  presets: maybe(
    some(
      { images: { node: 'ghcr.io/acme/node:1' } },
      { shapes: { big: { cpu: 64 } }, images: { node: 'other/node:1' } },
    ),
  ),
  webhooks: maybe(
    some(
      [{ secrets: ['${env:HOOK}'], owners: ['acme'] }],
      [{ host: 'ghes.example', appId: 3, secrets: ['${env:HOOK}'], owners: ['*'], tenants: ['*'] }],
    ),
  ),
  tenants: maybe(fc.record({ a: maybe(tenant), b: maybe(tenant), platform: maybe(some({ trusted: true })) })),
  sealing: maybe(fc.constant({ keys: [{ publicKey: publicKeyText(key), privateKey: '${file:secrets/sealing.pem}' }] })),
  unsafeProcessBackend: maybe(fc.boolean()),
});

const registration = fc
  .record({
    claim: some(
      { organization: 'acme' },
      { organization: 'bee' },
      { user: 'octo' },
      { repositories: ['acme/web', 'bee/api'] },
      { enterprise: 'corp', organizations: ['acme'] },
    ),
    host: mostly(undefined, some('github.com', 'ghes.example', 'other.example')),
    apiUrl: mostly(undefined, some('https://x.example')),
    labels: mostly(['gpu'], list('self-hosted', 'serverless-hosted-runner')),
    priority: maybe(some(3, 9)),
    runnerGroup: mostly(undefined, some('Default', 'Big')),
    requireHook: mostly(undefined, fc.boolean()),
    standby: mostly(undefined, some([{ size: 1 }], [{ size: 99, labels: ['cpu-99'] }])),
    credentials: mostly(
      { token: '${env:TENANT_A_TOKEN}' },
      some(
        { use: 'token' },
        { use: 'app' },
        { use: 'ghes' },
        { token: '${env:TENANT_A_TOKEN}' },
        { token: 'plain' },
        { token: sealed('a') },
        { token: '${sealed:1.cut}' },
      ),
    ),
    defaults: maybe(
      some(
        { image: 'ghcr.io/acme/r:1', cpu: 1, memoryGiB: 1 },
        { cpu: 99 },
        { image: 'x/y:1', spot: true, bucket: 'cache-1' },
      ),
    ),
    policy: mostly(
      undefined,
      some(
        { maxCpu: 64 },
        { shapes: ['large'] },
        { shapes: ['b?g'], imagePresets: ['node'] },
        { images: ['*'], spot: true },
        { regions: ['eu-1'] },
      ),
    ),
    images: maybe(some({ node: 'ghcr.io/acme/node:1' }, { node: 'other/node:1' })),
    backends: mostly(
      [{ use: 'engine' }],
      some(
        [{ use: 'engine' }],
        [{ use: 'engine', maxRunners: 9 }, { use: 'cloud' }],
        [{ use: 'nothing' }],
        [{ kind: 'docker' }],
        [{ kind: 'eci', options: { endpoint: 'no url' } }, { use: 'cloud' }],
      ),
    ),
    maxRunners: maybe(some(3, 30)),
    poll: mostly(undefined, some({ interval: 'off' }, { interval: '1m' })),
    webhook: maybe(some({ secrets: ['${env:TENANT_A_HOOK}'] })),
  })
  .map(({ claim, ...rest }) => stringify(JSON.parse(JSON.stringify({ ...claim, ...rest }))));

const file = '/etc/shr/platform.json';

/** What is told of the registrations; where the platform's own secrets and addresses are does not matter. */
function told({ registrations, quarantined, conflicts, problems, notes }: Inspection): unknown {
  const ofRegistrations = (one: { readonly file: string }): boolean => one.file.includes('/registrations/');
  return JSON.parse(
    JSON.stringify({
      problems: problems.filter(ofRegistrations),
      notes: notes.filter(ofRegistrations),
      quarantined,
      conflicts,
      registrations: registrations.map(({ credentials, backends, ...rest }) => ({
        ...rest,
        credentials: [credentials.kind, credentials.host],
        backends: backends.map(({ options, ...backend }) =>
          backend.shared === true ? backend : { ...backend, options },
        ),
      })),
    }),
  );
}

describe('platform.json', () => {
  it('gives every registration the same answers as dispatcher.yaml', async () => {
    let compared = 0;
    let served = 0;
    const kinds = new Set<string>();
    await fc.assert(
      fc.asyncProperty(platform, registration, registration, registration, async (document, a, b, c) => {
        const files = {
          'dispatcher.yaml': stringify(JSON.parse(JSON.stringify(document))),
          'registrations/a.yaml': a,
          'registrations/b.yaml': b,
          'registrations/c.yaml': c,
        };
        const sources = sourcesOf(files, { environment: {}, secrets: 'optional' });
        const whole = await inspectConfiguration(sources, 'required');
        const answer = await exportPlatform(sources);
        expect(answer.ok).to.equal(whole.platformProblems.length === 0);
        if (!answer.ok) return;
        const text = JSON.stringify(answer.exported);
        const { 'dispatcher.yaml': _, ...own } = files;
        const tenants = sourcesOf({ ...own, 'platform.json': text }, { environment: {}, secrets: 'optional' });
        const alone = await inspectConfiguration({ ...tenants, exportedPlatform: file }, 'optional');
        expect(alone.platformProblems).to.deep.equal([]);
        expect(told(alone)).to.deep.equal(told(whole));
        compared += 1;
        const aside = new Set(alone.quarantined.map(({ name }) => name));
        served += alone.registrations.filter(({ name }) => !aside.has(name)).length;
        for (const { message } of alone.problems) kinds.add(message.replaceAll(/`[^`]*`|\d+/g, '…'));
      }),
      { numRuns: 300 },
    );
    expect(compared).to.be.at.least(60);
    expect(served).to.be.at.least(10);
    expect(kinds.size).to.be.at.least(20);
  }).timeout(60_000);

  const document = {
    id: 'shr',
    adminToken: '${env:ADMIN}',
    credentials: { bot: { token: '${env:TOKEN}' }, app: { app: { id: 4711, privateKey: '${env:PEM}' } } },
    backends: { cloud: { kind: 'eci', options: { endpoint: 'https://inner.example', accessKeySecret: '${env:KEY}' } } },
    webhooks: [{ secrets: ['${env:HOOK}'], owners: ['acme'] }],
    tenants: {
      acme: { hosts: ['github.com'], owners: ['acme'], labels: ['*'], credentials: ['bot'], backends: ['cloud'] },
    },
  };

  it('holds no secret, and no address of the platform', async () => {
    const environment = {
      ADMIN: 'the-admin-token-is-secret',
      TOKEN: 'ghp_secret-of-the-bot',
      KEY: 'the-access-key-is-secret',
      HOOK: 'the-webhook-secret-is-secret',
    };
    const answer = await exportPlatform(sourcesOf({ 'dispatcher.yaml': stringify(document) }, { environment }));
    // The name of a field that a grant has.
    const text = JSON.stringify(answer).replaceAll('secretStores', '');
    for (const hidden of ['secret', 'inner.example', '4711', '${env']) expect(text).to.not.include(hidden);
    expect(answer.ok && answer.exported.backends).to.deep.equal({
      cloud: { kind: 'eci', region: undefined, maxRunners: undefined },
    });
  });

  it('is refused where a grant is a reference, whose value all tenants would see', async () => {
    const tenants = { acme: { hosts: ['github.com'], owners: ['${env:OWNER}'] } };
    const sources = sourcesOf(
      { 'dispatcher.yaml': stringify({ ...document, tenants }) },
      { environment: { OWNER: 'acme' } },
    );
    const answer = await exportPlatform(sources);
    expect(!answer.ok && answer.problems.map(({ path }) => path)).to.deep.equal(['tenants.acme.owners[0]']);
  });

  for (const [what, text, message] of [
    ['no JSON', '{', 'it is not JSON'],
    ['another version', '{"version":2}', 'this is not version 1 of the format'],
    ['a list', '[]', ''],
    ['deeply nested', `{"version":1,"tenants":${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}}`, ''],
    ['with an unknown key', '{"version":1,"adminToken":"x"}', 'unknown key `adminToken`'],
  ] as const) {
    it(`is a problem that is told once it is ${what}`, async () => {
      const sources = sourcesOf({ 'registrations/a.yaml': 'organization: acme\n', 'platform.json': text });
      const { platformProblems } = await inspectConfiguration({ ...sources, exportedPlatform: file }, 'optional');
      expect(platformProblems).to.have.length.at.least(1);
      expect(platformProblems.every((problem) => problem.file === file)).to.equal(true);
      expect(platformProblems.map((problem) => problem.message).join()).to.include(message);
    });
  }

  it('resolves nothing that looks like a reference', async () => {
    const text = JSON.stringify({
      version: 1,
      tenants: { a: { owners: ['${env:ADMIN_TOKEN}', '${file:/etc/passwd}'] } },
      places: {},
      credentials: {},
      backends: {},
      webhooks: [],
      sealing: [],
      callbacks: false,
      unsafeProcessBackend: false,
    });
    const read: string[] = [];
    const sources = sourcesOf({ 'registrations/a.yaml': 'organization: acme\n', 'platform.json': text });
    const files = {
      ...sources.files,
      read: (path: string) => {
        read.push(path);
        return sources.files.read(path, { mostBytes: 1e6 });
      },
    };
    const { platformProblems } = await inspectConfiguration({ ...sources, files, exportedPlatform: file }, 'optional');
    expect(platformProblems).to.have.length(2);
    expect(read.filter((path) => path.includes('passwd'))).to.deep.equal([]);
  });
});
