import * as Sdk from '@alicloud/eci20180808';
import { expect } from 'chai';
import { eciEndpoint, regions, vpcEndpoint } from '../../../providers/ali-eci/endpoints.ts';
import { codes } from '../../../providers/ali-eci/errors.ts';
import { createImageCache } from '../../../providers/ali-eci/image-cache.ts';
import { createParameters } from '../../../providers/ali-eci/request.ts';
import type { LaunchRequest } from '../../../providers/provider.ts';
import { type Decoded, decodeCreate } from '../../../simulators/ali-eci/parameters.ts';
import { testHost } from '../../conformance/harness.ts';
import { problemsOf } from './described-calls.ts';
import { type Description, readDescription } from './description.ts';
import { eventually, type House, IMAGE, openHouse, rejection, requestFor } from './house.ts';

/** Fields of CreateContainerGroup that only one of the two knows: the SDK 2.0.3 is older than the description. */
const sdkDifferences = {
  'only in the description': ['ComputeCategory', 'GpuDriverVersion', 'MaxPendingMinute'],
  'only in the SDK': [
    'OverheadReservationOption',
    'OwnerAccount',
    'OwnerId',
    'ResourceOwnerAccount',
    'ResourceOwnerId',
  ],
};

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

const expected: Omit<Decoded, 'tags' | 'clientToken' | 'container'> & {
  readonly container: Omit<Decoded['container'], 'Arg'>;
} = {
  name: 'house-everything',
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
  let house: House;

  before(async function () {
    const read = [readDescription('2018-08-08'), readDescription('2016-04-28')];
    if (read[0] === undefined || read[1] === undefined) {
      console.log('      skipped: ../shared/specs is not there');
      this.skip();
    }
    [eci, vpc] = [read[0], read[1]];
    house = await openHouse(network);
  });
  after(() => house?.close());

  const everythingRequest = (): LaunchRequest => ({
    ...requestFor(house.provider(everything), 'house-everything', everyWish),
    environment: { PLAIN: 'plain text' },
    secretEnvironment: { TOKEN: 'the secret' },
  });
  const everythingParameters = () => createParameters(everythingRequest(), house.options(everything), 'the-token');

  it('finds every option that was set in what the service understood, over the wire', async () => {
    const provider = house.provider({ ...everything, command: ['sleep', '600'] });
    await provider.launch(everythingRequest());
    const decoded = house.simulator.named('house-everything')?.decoded;
    await provider.stop({ name: 'house-everything' });
    if (decoded === undefined) throw new Error('nothing arrived');
    const { tags, clientToken, container, ...rest } = decoded;
    const { Arg, ...restOfContainer } = container;
    expect({ ...rest, container: restOfContainer }).to.deep.equal(expected);
    expect(clientToken).to.match(/^shr-[0-9a-f]{56}$/);
    expect(Arg).to.have.length(1);
    expect(tags).to.deep.include({ Key: 'shr.dispatcher', Value: 'house' });
    expect(tags).to.deep.include({ Key: 'shr.charge.cost-centre', Value: '4711' });
    expect(tags).to.deep.include({ Key: 'k8s.aliyun.com/eci-docker-build-enable', Value: 'true' });
  });

  it('lets labels of a job override the network', () => {
    const request = requestFor(house.provider(), 'house-network', { subnet: 'vsw-mine', securityGroup: 'sg-mine' });
    const decoded = decodeCreate(createParameters(request, house.options(everything), 'the-token'));
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
    const provider = house.provider({ ...everything, command: ['sh', '-c', 'echo hello'] });
    const plain = house.provider({ vSwitchIds: ['vsw-first'], securityGroupId: 'sg-first' });
    const request = everythingRequest();
    await provider.launch({ ...request, name: 'house-one', tags: { ...request.tags, runner: 'house-one' } });
    await plain.launch(requestFor(plain, 'house-two', { image: 'no-such:1' }));
    await eventually(
      () => provider.inspect({ name: 'house-one' }),
      (seen) => seen?.state === 'succeeded',
    );
    await provider.logs({ name: 'house-one' });
    await provider.list({ dispatcher: 'house' });
    await provider.list({ dispatcher: 'nobody' });
    await provider.check();
    await createImageCache(house.options(everything), testHost(), IMAGE);
    await createImageCache(house.options(everything), testHost(), IMAGE);
    house.simulator.fault({ kind: 'no-stock', times: 1 });
    await rejection(plain.launch(requestFor(plain, 'house-three')));
    house.simulator.fault({ kind: 'fails-later', times: 1 });
    await plain.launch(requestFor(plain, 'house-four'));
    await eventually(
      () => plain.inspect({ name: 'house-four' }),
      (seen) => seen?.state === 'failed',
    );
    for (const name of ['house-one', 'house-two', 'house-four', 'house-absent']) await provider.stop({ name });

    const seen = new Set(house.calls.map((call) => call.action));
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
    expect(problemsOf(house.calls, [eci, vpc])).to.deep.equal([]);
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

  it('names what the SDK and the description do not share', () => {
    const sdk = new Set(Object.values(Sdk.CreateContainerGroupRequest.names()));
    const described = new Set(eci.parameterNames('CreateContainerGroup').map((name) => name.replace(/\..*/, '')));
    expect({
      'only in the description': [...described].filter((name) => !sdk.has(name)).sort(),
      'only in the SDK': [...sdk].filter((name) => !described.has(name)).sort(),
    }).to.deep.equal(sdkDifferences);
  });
});
