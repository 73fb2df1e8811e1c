import * as Sdk from '@alicloud/eci20180808';
import { expect } from 'chai';
import { z } from 'zod';
import { eciEndpoint, regions, vpcEndpoint } from '../../../providers/ali-eci/endpoints.ts';
import { codes } from '../../../providers/ali-eci/errors.ts';
import { createImageCache } from '../../../providers/ali-eci/image-cache.ts';
import { type AliEciOptions, aliEciOptions } from '../../../providers/ali-eci/options.ts';
import { createParameters } from '../../../providers/ali-eci/request.ts';
import type { LaunchRequest, ShapeWish } from '../../../providers/provider.ts';
import { type Decoded, decodeCreate } from '../../../simulators/ali-eci/parameters.ts';
import { testHost } from '../../conformance/harness.ts';
import { problemsOf } from './described-calls.ts';
import { type Description, readDescription } from './description.ts';
import { eventually, type Fixture, IMAGE, openFixture, rejection, requestFor } from './fixture.ts';

/**
 * Fields of requests that only one of the two knows: the SDK 2.0.3 is older than the description. Of those that only the
 * description has this provider sends one, SecurityContextPrivileged, for Docker in Docker.
 */
const sdkDifferences: Readonly<Record<string, readonly string[]>> = {
  CreateContainerGroup: [
    '+ ComputeCategory',
    '+ Container.SecurityContextPrivileged',
    '+ GpuDriverVersion',
    '+ MaxPendingMinute',
    '- OverheadReservationOption.EnableOverheadReservation',
  ],
  DescribeContainerGroups: ['+ ComputeCategory', '+ SecurityGroupId'],
  DescribeContainerGroupStatus: [],
  DeleteContainerGroup: ['+ Force'],
  DescribeContainerLog: [],
  CreateImageCache: ['+ OsType'],
  DescribeImageCaches: [],
  DescribeRegions: [],
  ListUsage: [],
};
/** The SDK's alone, in nearly every request: of a time before RAM. */
const ownerFields = ['OwnerAccount', 'OwnerId', 'ResourceOwnerAccount', 'ResourceOwnerId'];

/** Every option that shows in a request, with a value that nothing else has. */
const everything = {
  vSwitchIds: ['vsw-first', 'vsw-second'],
  securityGroupId: 'sg-first',
  scheduleStrategy: 'VSwitchRandom',
  resourceGroupId: 'rg-one',
  publicAddress: { bandwidthMbit: 37, line: 'BGP_PRO' },
  ramRoleName: 'job-role',
  imageCache: 'auto',
  registries: [
    { server: 'one.example', username: 'user-one', password: 'pass-one' },
    { server: 'two.example', username: 'user-two', password: 'pass-two' },
  ],
  acrRegistry: { instanceId: 'cri-one', instanceName: 'acr-name', region: 'cn-acr', domains: ['acr.example'] },
  command: ['/opt/run it.sh', "it's"],
  workFolder: '/work/folder',
  spot: { strategy: 'SpotWithPriceLimit', priceLimit: 0.123, protectionHours: 0 },
  privileged: true,
  dns: { nameServers: ['10.9.9.9'], searches: ['corp.example'], options: [{ name: 'ndots', value: '7' }] },
  hostAliases: [{ ip: '10.1.2.3', hostnames: ['git.example', 'git'] }],
  ossEndpoint: 'oss.example',
  longestLifeS: 77_777,
  stopGraceS: 23,
} as const;

const everyWish = {
  cpu: 4,
  memoryGiB: 16,
  architecture: 'arm64',
  diskGiB: 61,
  bucket: 'the-bucket',
  bucketPrefix: 'acme/web',
  spot: true,
  dockerInDocker: true,
  timeLimitMs: 3_661_000,
} as const;

/** One wish at a time. The compiler sees to it that none is left out. */
const eachWish: { readonly [Name in keyof ShapeWish]-?: Partial<ShapeWish> } = {
  cpu: { cpu: 4 },
  memoryGiB: { memoryGiB: 16 },
  architecture: { architecture: 'arm64' },
  image: { image: 'registry.example/another:2' },
  diskGiB: { diskGiB: 61 },
  bucket: { bucket: 'the-bucket' },
  bucketPrefix: { bucket: 'the-bucket', bucketPrefix: 'acme/web' },
  subnet: { subnet: 'vsw-mine' },
  securityGroup: { securityGroup: 'sg-mine' },
  region: { region: 'cn-beijing' },
  spot: { spot: true },
  dockerInDocker: { dockerInDocker: true },
  timeLimitMs: { timeLimitMs: 3_661_000 },
};

/** Options that are not about the container group, and the test that fails without them. */
const notInARequest: Readonly<Record<string, string>> = {
  accessKeyId: 'the signature: every test over the wire',
  accessKeySecret: 'the signature: check names a key that is not accepted',
  securityToken: 'the signature: works with temporary credentials',
  ecsRamRole: 'comes from the metadata service of a machine at the vendor: nowhere',
  endpoint: 'where the calls go: every test over the wire',
  vpcEndpoint: 'where DescribeVSwitches goes: check names a vSwitch that is full',
  rateShare: 'keeps to its share of the rate',
  timeoutMs: 'whose answer never comes is transient in time',
};

const expected: Omit<Decoded, 'tags' | 'clientToken' | 'container'> & {
  readonly container: Omit<Decoded['container'], 'Arg'>;
} = {
  region: 'cn-hangzhou',
  name: 'fixture-everything',
  dryRun: false,
  cpu: 4,
  memory: 16,
  cpuArchitecture: 'ARM64',
  vSwitchIds: ['vsw-first', 'vsw-second'],
  securityGroupId: 'sg-first',
  scheduleStrategy: 'VSwitchRandom',
  resourceGroupId: 'rg-one',
  restartPolicy: 'Never',
  activeDeadlineSeconds: 3661,
  terminationGracePeriodSeconds: 23,
  ephemeralStorage: 61,
  ramRoleName: 'job-role',
  autoCreateEip: true,
  eipBandwidth: 37,
  eipIsp: 'BGP_PRO',
  autoMatchImageCache: true,
  spotStrategy: 'SpotWithPriceLimit',
  spotPriceLimit: 0.123,
  spotDuration: 0,
  dnsPolicy: 'None',
  nameServers: ['10.9.9.9'],
  searches: ['corp.example'],
  dnsOptions: [{ Name: 'ndots', Value: '7' }],
  hostAliases: [{ Ip: '10.1.2.3', Hostname: ['git.example', 'git'] }],
  registryCredentials: [
    { Server: 'one.example', UserName: 'user-one', Password: 'pass-one' },
    { Server: 'two.example', UserName: 'user-two', Password: 'pass-two' },
  ],
  acrRegistries: [{ InstanceId: 'cri-one', InstanceName: 'acr-name', RegionId: 'cn-acr', Domain: ['acr.example'] }],
  volumes: [
    {
      Name: 'secrets',
      Type: 'ConfigFileVolume',
      files: [{ Path: 'TOKEN', Content: Buffer.from('the secret').toString('base64') }],
    },
    {
      Name: 'work',
      Type: 'FlexVolume',
      Driver: 'alicloud/oss',
      Options: JSON.stringify({
        bucket: 'the-bucket',
        url: 'oss.example',
        path: '/acme/web',
        otherOpts: '-o allow_other -o mp_umask=000',
        ramRole: 'job-role',
      }),
      files: [],
    },
  ],
  container: {
    Name: 'runner',
    Image: IMAGE,
    ImagePullPolicy: 'IfNotPresent',
    Cpu: 4,
    Memory: 16,
    Command: ['/bin/sh', '-c'],
    EnvironmentVar: [{ Key: 'PLAIN', Value: 'plain text' }],
    EnvironmentVarHide: true,
    Privileged: true,
    VolumeMount: [
      { Name: 'secrets', MountPath: '/etc/shr', ReadOnly: true },
      { Name: 'work', MountPath: '/work/folder', ReadOnly: false },
    ],
  },
};

const network = {
  region: 'cn-hangzhou',
  vSwitches: [
    { id: 'vsw-first', zone: 'a', addresses: 10 },
    { id: 'vsw-second', zone: 'b', addresses: 10 },
  ],
  securityGroups: ['sg-first'],
  ramRoles: ['job-role'],
};

describe('ali-eci and the vendor’s description', () => {
  let eci: Description;
  let vpc: Description;
  let fixture: Fixture;

  before(async function () {
    const read = [readDescription('2018-08-08'), readDescription('2016-04-28')];
    if (read[0] === undefined || read[1] === undefined) {
      console.log('      skipped: ../shared/specs is not there');
      this.skip();
    }
    [eci, vpc] = [read[0], read[1]];
    fixture = await openFixture(network);
  });
  after(() => fixture?.close());

  const everythingRequest = (): LaunchRequest => ({
    ...requestFor(fixture.provider(everything), 'fixture-everything', everyWish),
    environment: { PLAIN: 'plain text' },
    secretEnvironment: { TOKEN: 'the secret' },
  });
  const everythingParameters = () => createParameters(everythingRequest(), fixture.options(everything), 'the-token');

  it('finds every option that was set in what the service understood, over the wire', async () => {
    const provider = fixture.provider({ ...everything, command: ['sleep', '600'] });
    await provider.launch(everythingRequest());
    const decoded = fixture.simulator.named('fixture-everything')?.decoded;
    await provider.stop({ name: 'fixture-everything' });
    if (decoded === undefined) throw new Error('nothing arrived');
    const { tags, clientToken, container, ...rest } = decoded;
    const { Arg, ...restOfContainer } = container;
    expect({ ...rest, container: restOfContainer }).to.deep.equal(expected);
    expect(clientToken).to.match(/^shr-[0-9a-f]{56}$/);
    expect(Arg).to.have.length(1);
    expect(tags).to.deep.include({ Key: 'shr.dispatcher', Value: 'fixture' });
    expect(tags).to.deep.include({ Key: 'shr.charge.cost-centre', Value: '4711' });
    expect(tags).to.deep.include({ Key: 'k8s.aliyun.com/eci-docker-build-enable', Value: 'true' });
  });

  it('shows every option of the schema in a request, each with a value of its own', () => {
    const whole = fixture.options({ ...everything, endpoint: fixture.simulator.url });
    const leaves = leavesOf(optionSchema.parse(z.toJSONSchema(aliEciOptions, { io: 'input', unrepresentable: 'any' })));
    expect(leaves.length).to.be.at.least(40);
    const shown = leaves.filter(({ path }) => !Object.hasOwn(notInARequest, path));
    expect(leaves.length - shown.length, 'each exception is an option').to.equal(Object.keys(notInARequest).length);
    // One with every wish, one with none: a job's time limit hides the option's, for example.
    const understood = (options: AliEciOptions): string =>
      JSON.stringify(
        [everythingRequest(), requestFor(fixture.provider(everything), 'fixture-everything')].map((request) =>
          decodeCreate(createParameters(request, options, 'the-token')),
        ),
      );
    const values = shown
      .filter(({ schema }) => schema.enum === undefined && schema.type !== 'boolean')
      .map(({ path }) => String(valueAt(whole, path)));
    expect([...new Set(values)], 'no two alike').to.deep.equal(values);
    const before = understood(whole);
    for (const leaf of shown) {
      const value = valueAt(whole, leaf.path);
      expect(value, `${leaf.path} is set`).to.not.equal(undefined);
      const changed = withAnother(whole, leaf);
      const after = understood(aliEciOptions.parse(changed));
      expect(after, `${leaf.path} makes a difference`).to.not.equal(before);
      const now = valueAt(changed, leaf.path);
      if (typeof now !== 'boolean' && leaf.schema.enum === undefined) {
        expect(after, `${leaf.path} is found again`).to.include(String(now));
      }
    }
  });

  it('shows every wish of a job in a request', () => {
    const options = fixture.options({ ...everything });
    const understood = (wishes: Partial<ShapeWish>): string =>
      JSON.stringify(
        decodeCreate(
          createParameters(requestFor(fixture.provider(everything), 'fixture-wish', wishes), options, 'the-token'),
        ),
      );
    const seen = Object.entries(eachWish).map(([name, wishes]) => [name, understood(wishes)] as const);
    const alike = seen.filter(
      ([, text]) => seen.filter(([, other]) => other === text).length > 1 || text === understood({}),
    );
    expect(
      alike.map(([name]) => name),
      'the backend was chosen for it',
    ).to.deep.equal(['region']);
    for (const [name, text] of seen) {
      const value: unknown = Reflect.get(Reflect.get(eachWish, name), name);
      if (typeof value === 'string' && !['architecture', 'region'].includes(name)) expect(text, name).to.include(value);
    }
  });

  it('lets labels of a job override the network', () => {
    const request = requestFor(fixture.provider(), 'fixture-network', { subnet: 'vsw-mine', securityGroup: 'sg-mine' });
    const decoded = decodeCreate(createParameters(request, fixture.options(everything), 'the-token'));
    expect(decoded).to.deep.include({ vSwitchIds: ['vsw-mine'], securityGroupId: 'sg-mine' });
    expect(decoded.scheduleStrategy, 'one vSwitch has no order').to.equal(undefined);
  });

  it('notices each parameter that gets lost', () => {
    const whole = everythingParameters();
    const before = JSON.stringify(decodeCreate(whole));
    const unnoticed = Object.keys(whole).filter((name) => {
      const { [name]: _, ...rest } = whole;
      try {
        return (
          JSON.stringify(decodeCreate(rest)) === before &&
          eci.refuseParameters('CreateContainerGroup', rest).length === 0
        );
      } catch {
        return false;
      }
    });
    expect(unnoticed).to.deep.equal([]);
  });

  it('notices each parameter that is misspelt', () => {
    const whole = everythingParameters();
    expect(eci.refuseParameters('CreateContainerGroup', whole)).to.deep.equal([]);
    for (const name of Object.keys(whole)) {
      const { [name]: value, ...rest } = whole;
      const wrong = { ...rest, [name.replace(/[A-Za-z]+$|\d+$/, (end) => `${end}x`)]: value ?? '' };
      expect(eci.refuseParameters('CreateContainerGroup', wrong), name).to.not.deep.equal([]);
    }
  });

  it('notices a value of another kind', () => {
    const whole = everythingParameters();
    for (const [name, value] of [
      ['Cpu', 'four'],
      ['ActiveDeadlineSeconds', '1.5'],
      ['AutoCreateEip', 'yes'],
      ['Tag.22.Key', 'one too many'],
      ['Container.0.Name', 'counted from 0'],
    ] as const) {
      expect(eci.refuseParameters('CreateContainerGroup', { ...whole, [name]: value }), name).to.have.length(1);
    }
  });

  it('asks only what is described, and is answered only what is described', async () => {
    const provider = fixture.provider({ ...everything, command: ['sh', '-c', 'echo hello'] });
    const plain = fixture.provider({ vSwitchIds: ['vsw-first'], securityGroupId: 'sg-first' });
    const request = everythingRequest();
    await provider.launch({ ...request, name: 'fixture-one', tags: { ...request.tags, runner: 'fixture-one' } });
    await plain.launch(requestFor(plain, 'fixture-two', { image: 'no-such:1' }));
    await eventually(
      () => provider.inspect({ name: 'fixture-one' }),
      (seen) => seen?.state === 'succeeded',
    );
    await provider.logs({ name: 'fixture-one' });
    await provider.list({ dispatcher: 'fixture' });
    await provider.list({ dispatcher: 'nobody' });
    await provider.check();
    await createImageCache(fixture.options(everything), testHost(), IMAGE);
    await createImageCache(fixture.options(everything), testHost(), IMAGE);
    fixture.simulator.fault({ kind: 'no-stock', times: 1 });
    await rejection(plain.launch(requestFor(plain, 'fixture-three')));
    fixture.simulator.fault({ kind: 'fails-later', times: 1 });
    await plain.launch(requestFor(plain, 'fixture-four'));
    await eventually(
      () => plain.inspect({ name: 'fixture-four' }),
      (seen) => seen?.state === 'failed',
    );
    for (const name of ['fixture-one', 'fixture-two', 'fixture-four', 'fixture-absent']) await provider.stop({ name });

    const seen = new Set(fixture.calls.map((call) => call.action));
    expect([...seen].sort(), 'calls that were made').to.deep.equal([
      'CreateContainerGroup',
      'CreateImageCache',
      'DeleteContainerGroup',
      'DescribeContainerGroupStatus',
      'DescribeContainerGroups',
      'DescribeContainerLog',
      'DescribeImageCaches',
      'DescribeRegions',
      'DescribeVSwitches',
      'ListUsage',
    ]);
    expect(problemsOf(fixture.calls, [eci, vpc])).to.deep.equal([]);
  });

  it('would notice an answer that is not as described', () => {
    const group = { ContainerGroupId: 'eci-1', Status: 'Running', Cpu: 1 };
    const answer = (changes: object) => ({ RequestId: 'r', ContainerGroups: [{ ...group, ...changes }] });
    expect(eci.refuseAnswer('DescribeContainerGroups', answer({}))).to.deep.equal([]);
    for (const changes of [
      { Statuss: 'x' },
      { Cpu: '1' },
      { Tags: {} },
      { Containers: [{ CurrentState: { ExitCode: '0' } }] },
    ]) {
      expect(eci.refuseAnswer('DescribeContainerGroups', answer(changes)), JSON.stringify(changes)).to.have.length(1);
    }
  });

  it('sorts every documented code by name', () => {
    const documented = [eci, vpc].flatMap((description) =>
      description.actions.flatMap((action) => description.errorCodes(action).map(({ code }) => code)),
    );
    expect(documented.length).to.be.greaterThan(80);
    expect([...new Set(documented)].filter((code) => !Object.hasOwn(codes, code))).to.deep.equal([]);
  });

  it('knows the address of every region', () => {
    const addresses = (description: Description) =>
      Object.fromEntries(description.endpoints.map(({ regionId, endpoint }) => [regionId, endpoint]));
    expect(Object.fromEntries(regions.map((region) => [region, eciEndpoint(region)]))).to.deep.equal(addresses(eci));
    const vpcs = addresses(vpc);
    for (const region of regions) expect(vpcEndpoint(region), region).to.equal(vpcs[region]);
  });

  it('names what the SDK and the description do not share, to the last field', () => {
    const differences = Object.keys(sdkDifferences).map((action) => {
      const sdk = sdkFields(action);
      const described = eci.parameterFields(action);
      const added = described.filter((name) => !sdk.includes(name)).map((name) => `+ ${name}`);
      const removed = sdk.filter((name) => !described.includes(name) && !ownerFields.includes(name));
      return [action, [...added, ...removed.map((name) => `- ${name}`)].sort()];
    });
    expect(Object.fromEntries(differences)).to.deep.equal(sdkDifferences);
  });
});

/** A model class of the SDK, as far as it tells its fields. */
const model = z.object({
  names: z.custom<() => unknown>((value) => typeof value === 'function'),
  types: z.custom<() => unknown>((value) => typeof value === 'function'),
});
const listOf = z.object({ itemType: z.unknown() });

/** Names on the wire, without the numbers of lists. */
function sdkFields(action: string): string[] {
  const fields = (type: unknown, path: string): string[] => {
    const { names, types } = z
      .looseObject({})
      .or(z.custom<object>((value) => typeof value === 'function'))
      .transform((value) => model.parse({ names: Reflect.get(value, 'names'), types: Reflect.get(value, 'types') }))
      .parse(type);
    const ofTypes = z.record(z.string(), z.unknown()).parse(types());
    return Object.entries(z.record(z.string(), z.string()).parse(names())).flatMap(([key, name]) => {
      const list = listOf.safeParse(ofTypes[key]);
      const inner = list.success ? list.data.itemType : ofTypes[key];
      return typeof inner === 'function' ? fields(inner, `${path}${name}.`) : [`${path}${name}`];
    });
  };
  return fields(Reflect.get(Sdk, `${action}Request`), '');
}

interface OptionSchema {
  readonly enum?: readonly string[] | undefined;
  readonly type?: string | undefined;
  readonly maximum?: number | undefined;
  readonly items?: OptionSchema | undefined;
  readonly properties?: Readonly<Record<string, OptionSchema>> | undefined;
}

const optionSchema: z.ZodType<OptionSchema> = z.object({
  enum: z.array(z.string()).optional(),
  type: z.string().optional(),
  maximum: z.number().optional(),
  get items() {
    return optionSchema.optional();
  },
  get properties() {
    return z.record(z.string(), optionSchema).optional();
  },
});

interface Leaf {
  readonly path: string;
  readonly schema: OptionSchema;
}

/** Every option down to its last field, from the schema itself; the first item stands for a list. */
function leavesOf(schema: OptionSchema, path = ''): readonly Leaf[] {
  if (schema.properties !== undefined) {
    return Object.entries(schema.properties).flatMap(([name, field]) =>
      leavesOf(field, path === '' ? name : `${path}.${name}`),
    );
  }
  return schema.items === undefined ? [{ path, schema }] : leavesOf(schema.items, `${path}.0`);
}

function valueAt(whole: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>(
      (part, name) => (typeof part === 'object' && part !== null ? Reflect.get(part, name) : undefined),
      whole,
    );
}

/** A copy of the whole with another value of the same kind in that place. */
function withAnother(whole: object, { path, schema }: Leaf): object {
  const copy = structuredClone(whole);
  const names = path.split('.');
  const place = names.length === 1 ? copy : valueAt(copy, names.slice(0, -1).join('.'));
  if (typeof place !== 'object' || place === null) throw new Error(`${path} is not set`);
  Reflect.set(place, names.at(-1) ?? '', another(schema, valueAt(whole, path)));
  return copy;
}

function another({ enum: words, maximum }: OptionSchema, value: unknown): unknown {
  if (words !== undefined) return words.find((word) => word !== value);
  if (typeof value === 'boolean') return !value;
  if (typeof value === 'number') return value === maximum ? value - 1 : value + 1;
  return `${String(value)}x`;
}
