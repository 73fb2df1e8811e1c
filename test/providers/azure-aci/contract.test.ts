import { expect } from 'chai';
import type { LaunchRequest, Provider } from '../../../providers/provider.ts';
import { type Call, demoSubnet } from '../../../simulators/azure-aci/index.ts';
import { foreignGroup, vendorClient } from '../../simulators/azure-aci/vendor.ts';
import { type Description, differences, problemsOf, readDescription } from './description.ts';
import { eventually, type Fixture, IMAGE, launchOf, openFixture } from './fixture.ts';

const ENDS = ['sh', '-c', 'exit 0'];
const { shape } = launchOf('x');
const identity = (name: string): string =>
  `/subscriptions/1/resourceGroups/ids/providers/Microsoft.ManagedIdentity/userAssignedIdentities/${name}`;

describe("azure-aci against Azure's description of the service", () => {
  let description: Description;
  let fixture: Fixture;

  before(function () {
    const read = readDescription();
    if (read === undefined) {
      console.log('      skipped: ../shared/specs is not there');
      this.skip();
    }
    description = read;
  });

  beforeEach(async () => {
    fixture = await openFixture({ pageSize: 2 });
  });

  afterEach(() => fixture?.close());

  const provider = (more: object = {}): Provider => fixture.backend({ command: ENDS, ...more });
  const untilRun = (one: Provider, name: string) =>
    eventually(
      () => one.inspect({ name }),
      (seen) => seen?.state !== 'pending',
    );

  const liveThrough = async (one: Provider, changes: Partial<LaunchRequest> = {}): Promise<void> => {
    const requests = ['a-1', 'a-2', 'a-3'].map((name) => launchOf(name, changes));
    await Promise.all(requests.map((each) => one.launch(each)));
    await Promise.all(requests.map(({ name }) => untilRun(one, name)));
    await one.list({ dispatcher: 'fixture' });
    await one.logs({ name: 'a-1' });
    await one.check();
    await Promise.all(requests.map(({ name }) => one.stop({ name })));
    await one.inspect({ name: 'a-1' });
  };

  it('asks and is answered as described, for a life from launch to stop', async () => {
    await liveThrough(provider());
    expect([...new Set(fixture.calls.map((call) => call.operation))]).to.include.members([
      'create',
      'get',
      'list',
      'delete',
      'logs',
      'usages',
      'capabilities',
    ]);
    expect([...new Set(problemsOf(fixture.calls, description))]).to.deep.equal([]);
  });

  it('asks and is answered as described with every option set', async () => {
    await liveThrough(provider(everything), {
      shape: { ...shape, bucket: 'work-share', bucketPrefix: 'acme/web', dockerInDocker: true },
      environment: { PLAIN: 'seen' },
      secretEnvironment: { SECRET: 'hidden-value' },
    });
    expect([...new Set(problemsOf(fixture.calls, description))]).to.deep.equal([]);
  });

  it('is refused as described', async () => {
    const refuse = (kind: 'no-stock' | 'quota' | 'throttling' | 'server-error') =>
      fixture.simulator.fault({ kind, times: 1 });
    const backend = provider();
    for (const kind of ['no-stock', 'quota', 'throttling', 'server-error'] as const) {
      const end = refuse(kind);
      await backend.launch(launchOf(`b-${kind}`)).then(
        () => expect.fail(`${kind} was not told`),
        () => undefined,
      );
      end();
    }
    expect(fixture.calls.filter((call) => call.status >= 400)).to.have.length.greaterThan(3);
    expect([...new Set(problemsOf(fixture.calls, description))]).to.deep.equal([]);
  });

  it('puts all options at once in their places, and nothing beside them', async () => {
    const one = provider(everything);
    await one.launch(
      launchOf('a-1', {
        shape: { ...shape, bucket: 'work-share', bucketPrefix: 'acme/web', dockerInDocker: true, cpu: 3, memoryGiB: 7 },
        environment: { PLAIN: 'seen' },
        secretEnvironment: { SECRET: 'hidden-value' },
      }),
    );
    const decoded = fixture.simulator.named('a-1')?.decoded;
    expect(decoded).to.deep.include({
      location: 'westeurope',
      zones: ['2'],
      identity: {
        type: 'UserAssigned',
        userAssignedIdentities: { [identity('job')]: {}, [identity('pull')]: {} },
      },
    });
    expect(decoded?.tags).to.include({ 'cost-centre': '4711', 'shr.dispatcher': 'fixture', 'shr.runner': 'a-1' });
    const { containers, ...rest } = decoded?.properties ?? { containers: [] };
    expect(rest).to.deep.equal({
      osType: 'Linux',
      restartPolicy: 'Never',
      sku: 'Confidential',
      imageRegistryCredentials: [
        { server: 'one.example', username: 'bot', password: 'registry-password' },
        { server: 'two.example', identity: identity('pull') },
      ],
      subnetIds: [{ id: demoSubnet }],
      dnsConfig: { nameServers: ['10.0.0.4'], searchDomains: 'acme.internal', options: 'ndots:2' },
      volumes: [
        {
          name: 'bucket',
          azureFile: {
            shareName: 'work-share',
            readOnly: false,
            storageAccountName: 'acmefiles',
            storageAccountKey: 'storage-key',
          },
        },
      ],
      diagnostics: {
        logAnalytics: {
          workspaceId: '99999999-9999-4999-8999-999999999999',
          workspaceKey: 'workspace-key',
          logType: 'ContainerInsights',
        },
      },
      confidentialComputeProperties: { ccePolicy: 'cG9saWN5' },
    });
    expect(containers).to.have.length(1);
    expect(containers[0]?.properties).to.deep.include({
      image: IMAGE,
      environmentVariables: [
        { name: 'PLAIN', value: 'seen' },
        { name: 'SECRET', secureValue: 'hidden-value' },
      ],
      resources: { requests: { cpu: 3, memoryInGB: 7 } },
      volumeMounts: [{ name: 'bucket', mountPath: '/mnt/shr-bucket', readOnly: false }],
      securityContext: { privileged: true },
    });
    expect(containers[0]?.properties.command.slice(-5)).to.deep.equal([
      '/mnt/shr-bucket/acme/web',
      everything.workFolder,
      ...everything.command,
    ]);
  });

  it('asks for the spot priority, and for nothing that was not given', async () => {
    const one = provider();
    await one.launch(launchOf('a-1', { shape: { ...shape, spot: true } }));
    const decoded = fixture.simulator.named('a-1')?.decoded;
    expect(decoded?.properties.priority).to.equal('Spot');
    expect(decoded?.identity, 'an identity').to.equal(undefined);
    expect(Object.keys(decoded?.properties ?? {}).sort()).to.deep.equal([
      'containers',
      'osType',
      'priority',
      'restartPolicy',
      'sku',
    ]);
  });

  it('notices each mutation of a request or an answer', async () => {
    const one = provider();
    await one.launch(launchOf('a-1', { environment: { PLAIN: 'seen' } }));
    await untilRun(one, 'a-1');
    const create = fixture.calls.find((call) => call.operation === 'create');
    const get = fixture.calls.findLast((call) => call.operation === 'get' && call.status === 200);
    if (create === undefined || get === undefined) throw new Error('the calls were not seen');
    const mutations: readonly Call[] = [
      { ...create, body: replaced(create.body, '"osType":"Linux"', '"osType":"Plan9"') },
      { ...create, body: replaced(create.body, '"restartPolicy"', '"restartPolice"') },
      { ...create, body: replaced(create.body, '"cpu":1', '"cpu":"1"') },
      { ...create, body: replaced(create.body, '"image"', '"picture"') },
      { ...create, body: replaced(create.body, '"osType":', '"provisioningState":"Succeeded","osType":') },
      { ...create, url: create.url.replace('containerGroups', 'containerBands') },
      { ...create, url: `${create.url}&force=true` },
      { ...create, url: create.url.replace('2023-05-01', '2024-05-01-preview') },
      { ...create, method: 'POST' },
      { ...create, status: 418, answer: { code: 'Flat', message: 'not inside of error' } },
      { ...create, status: 203 },
      { ...get, answer: replaced(get.answer, '"instanceView"', '"insideView"') },
      { ...get, answer: replaced(get.answer, '"currentState":{', '"currentState":{"mood":"good",') },
      { ...get, answer: replaced(get.answer, '"count":1', '"count":"1"') },
    ];
    const unnoticed = mutations.flatMap((call, index) => (problemsOf([call], description).length === 0 ? [index] : []));
    expect(unnoticed).to.deep.equal([]);
  });

  it('meets each difference that it looks over, so that none outlives its reason', async () => {
    await liveThrough(provider());
    await provider({ subnetId: demoSubnet }).check();
    await vendorClient(fixture.simulator).containerGroups.beginCreateOrUpdateAndWait(
      fixture.simulator.resourceGroup,
      'theirs',
      foreignGroup(fixture.simulator, IMAGE),
      { updateIntervalInMs: 10 },
    );
    const problems = fixture.calls.flatMap((call) => description.problems(call));
    const unmet = differences.filter(({ words }) => !problems.some((problem) => words.test(problem)));
    expect(unmet).to.deep.equal([]);
  });

  it('names a reason for each difference that it looks over', () => {
    for (const { words, why } of differences) expect(why, String(words)).to.match(/\w+ \w+ \w+/);
    expect(description.version).to.equal('2025-09-01');
  });
});

/** Each value is found nowhere else. The work folder is in none that there is: the command is really run. */
const everything = {
  sku: 'Confidential',
  privileged: true,
  ccePolicy: 'cG9saWN5',
  zone: '2',
  subnetId: demoSubnet,
  dns: { nameServers: ['10.0.0.4'], searchDomains: 'acme.internal', options: 'ndots:2' },
  runnerIdentities: [identity('job')],
  registries: [
    { server: 'one.example', username: 'bot', password: 'registry-password' },
    { server: 'two.example', identity: identity('pull') },
  ],
  files: { storageAccount: 'acmefiles', storageAccountKey: 'storage-key' },
  logAnalytics: {
    workspaceId: '99999999-9999-4999-8999-999999999999',
    workspaceKey: 'workspace-key',
    logType: 'ContainerInsights',
  },
  tags: { 'cost-centre': '4711' },
  command: ENDS,
  // A link in a share: gone with the simulator.
  workFolder: '/mnt/shr-bucket/work',
};

/** The same as JSON with one place changed; a mutation that changes nothing is a mistake of the test. */
function replaced(value: unknown, from: string, to: string): unknown {
  const text = JSON.stringify(value);
  if (!text.includes(from)) throw new Error(`${from} is not in ${text}`);
  return JSON.parse(text.replace(from, () => to));
}
