import { expect } from 'chai';
import { z } from 'zod';
import { gcpBatchOptions } from '../../../providers/gcp-batch/options.ts';
import { requestIdOf } from '../../../providers/gcp-batch/request.ts';
import type { LaunchRequest, Shape, ShapeWish } from '../../../providers/provider.ts';
import { type Fixture, openFixture } from './fixture.ts';
import { launchOf, plainShape } from './requests.ts';

/** What one more option or wish changes in the request that the service decoded, by the place of each field. */
interface Turn {
  readonly options?: object;
  readonly shape?: Partial<Shape>;
  /** What must be there already for the option to show. */
  readonly among?: Partial<Shape>;
  readonly changes: Readonly<Record<string, unknown>>;
}

const POLICY = 'job.allocationPolicy';
const MACHINE = `${POLICY}.instances.0.policy`;
const TASK = 'job.taskGroups.0.taskSpec';
/** Wherever it stands among the runnables: their order is a matter of contract.test.ts. */
const CONTAINER = `${TASK}.container`;
const NETWORK = `${POLICY}.network.networkInterfaces.0`;
const KEY = 'projects/acme-ci/locations/europe-west4/keyRings/shr/cryptoKeys/runners';
const BOUND = { [`${CONTAINER}.volumes.0`]: '/mnt/disks/work:/home/runner/_work:rw' };
const BUCKET = {
  ...BOUND,
  [`${TASK}.volumes.0.mountPath`]: '/mnt/disks/work',
  [`${TASK}.volumes.0.mountOptions.0`]: '-o rw,allow_other',
  [`${TASK}.volumes.0.mountOptions.1`]: '--implicit-dirs',
  [`${TASK}.volumes.0.mountOptions.2`]: '--dir-mode=777',
  [`${TASK}.volumes.0.mountOptions.3`]: '--file-mode=777',
};

const ofOptions: Readonly<Record<string, Turn>> = {
  project: { options: { project: 'acme-two' }, changes: { parent: 'projects/acme-two/locations/europe-west4' } },
  region: {
    options: { region: 'us-central1' },
    changes: {
      parent: 'projects/acme-ci/locations/us-central1',
      [`${POLICY}.location.allowedLocations.0`]: 'regions/us-central1',
      [`${NETWORK}.subnetwork`]: 'regions/us-central1/subnetworks/default',
    },
  },
  zones: {
    options: { zones: ['europe-west4-b'] },
    changes: { [`${POLICY}.location.allowedLocations.0`]: 'zones/europe-west4-b' },
  },
  serviceAccount: {
    options: { serviceAccount: 'other@acme-ci.iam.gserviceaccount.com' },
    changes: { [`${POLICY}.serviceAccount.email`]: 'other@acme-ci.iam.gserviceaccount.com' },
  },
  machineSeries: {
    options: { machineSeries: 'n2-highmem' },
    changes: { [`${MACHINE}.machineType`]: 'n2-highmem-2', [`${TASK}.computeResource.memoryMib`]: '16384' },
  },
  armMachineSeries: {
    options: { armMachineSeries: 't2a-standard' },
    shape: { architecture: 'arm64' },
    changes: { [`${MACHINE}.machineType`]: 't2a-standard-2' },
  },
  machineType: {
    options: { machineType: { name: 'z9-custom-6-12544', cpu: 6, memoryGiB: 12.25, architecture: 'arm64' } },
    shape: { architecture: 'arm64' },
    changes: {
      [`${MACHINE}.machineType`]: 'z9-custom-6-12544',
      [`${TASK}.computeResource.cpuMilli`]: '6000',
      [`${TASK}.computeResource.memoryMib`]: '12544',
    },
  },
  minCpuPlatform: {
    options: { minCpuPlatform: 'Intel Ice Lake' },
    changes: { [`${MACHINE}.minCpuPlatform`]: 'Intel Ice Lake' },
  },
  bootDiskGiB: { options: { bootDiskGiB: 73 }, changes: { [`${MACHINE}.bootDisk.sizeGb`]: '73' } },
  diskType: {
    options: { diskType: 'pd-ssd' },
    among: { diskGiB: 10 },
    changes: { [`${MACHINE}.bootDisk.type`]: 'pd-ssd', [`${MACHINE}.disks.0.newDisk.type`]: 'pd-ssd' },
  },
  bootImage: { options: { bootImage: 'batch-cos' }, changes: { [`${MACHINE}.bootDisk.image`]: 'batch-cos' } },
  network: { options: { network: 'own-net' }, changes: { [`${NETWORK}.network`]: 'global/networks/own-net' } },
  subnetwork: {
    options: { subnetwork: 'own-sub' },
    changes: { [`${NETWORK}.subnetwork`]: 'regions/europe-west4/subnetworks/own-sub' },
  },
  externalIp: { options: { externalIp: true }, changes: { [`${NETWORK}.noExternalIpAddress`]: false } },
  networkTags: { options: { networkTags: ['first-tag'] }, changes: { [`${POLICY}.tags.0`]: 'first-tag' } },
  command: {
    options: { command: ['/opt/run it.sh', '--once'] },
    changes: {
      [`${CONTAINER}.entrypoint`]: '/opt/run it.sh',
      [`${CONTAINER}.commands.0`]: '--once',
    },
  },
  workFolder: {
    options: { workFolder: '/work/folder' },
    among: { bucket: 'cache-1' },
    changes: { [`${CONTAINER}.volumes.0`]: '/mnt/disks/work:/work/folder:rw' },
  },
  registryAuth: {
    options: {
      registryAuth: {
        server: 'ghcr.io',
        username: 'the-user',
        passwordSecret: 'projects/acme-ci/secrets/registry/versions/7',
      },
    },
    changes: {
      [`${CONTAINER}.username`]: 'the-user',
      [`${CONTAINER}.password`]: 'projects/acme-ci/secrets/registry/versions/7',
    },
  },
  // What is encrypted is another text each time: it is compared as the machine reads it.
  encryptionKey: {
    options: { encryptionKey: KEY },
    changes: {
      requestId: 'another',
      [`${TASK}.environment.variables.SECRET`]: 'is gone',
      [`${TASK}.environment.encryptedVariables.keyName`]: KEY,
      [`${TASK}.environment.encryptedVariables.cipherText`]: '{"SECRET":"the secret"}',
    },
  },
  logs: { options: { logs: false }, changes: { 'job.logsPolicy.destination': 'DESTINATION_UNSPECIFIED' } },
};

/** No part of a job. `privileged` decides what `fit` grants; the rest is of the connection and of our patience. */
const ofNoRequest: Readonly<Record<string, unknown>> = {
  privileged: false,
  queueTimeoutMs: 11_111,
  stockoutGraceMs: 12,
  stopWaitMs: 13,
  timeoutMs: 14_000,
  mutationsPerMinute: 15,
  readsPerMinute: 16,
  logReadsPerMinute: 17,
  // These are what the simulator is reached by: test/providers/google has them, and every test on the wire.
  credentials: undefined,
  endpoint: undefined,
  loggingEndpoint: undefined,
  computeEndpoint: undefined,
  kmsEndpoint: undefined,
};

const ofWishes = {
  cpu: {
    shape: { cpu: 3 },
    changes: {
      [`${MACHINE}.machineType`]: 'e2-standard-4',
      [`${TASK}.computeResource.cpuMilli`]: '4000',
      [`${TASK}.computeResource.memoryMib`]: '16384',
    },
  },
  memoryGiB: {
    shape: { memoryGiB: 17 },
    changes: {
      [`${MACHINE}.machineType`]: 'e2-standard-8',
      [`${TASK}.computeResource.cpuMilli`]: '8000',
      [`${TASK}.computeResource.memoryMib`]: '32768',
    },
  },
  architecture: {
    options: { armMachineSeries: 't2a-standard' },
    shape: { architecture: 'arm64' },
    changes: { [`${MACHINE}.machineType`]: 't2a-standard-2' },
  },
  image: {
    shape: { image: 'ghcr.io/acme/special:9' },
    changes: { [`${CONTAINER}.imageUri`]: 'ghcr.io/acme/special:9' },
  },
  diskGiB: {
    shape: { diskGiB: 5 },
    changes: {
      [`${TASK}.script.text`]: 'chmod 0777 /mnt/disks/work',
      ...BOUND,
      [`${TASK}.volumes.0.deviceName`]: 'work',
      [`${TASK}.volumes.0.mountPath`]: '/mnt/disks/work',
      [`${TASK}.volumes.0.mountOptions.0`]: 'rw',
      [`${TASK}.volumes.0.mountOptions.1`]: 'async',
      [`${MACHINE}.disks.0.deviceName`]: 'work',
      [`${MACHINE}.disks.0.newDisk.type`]: 'pd-balanced',
      // The smallest that is sold.
      [`${MACHINE}.disks.0.newDisk.sizeGb`]: '10',
    },
  },
  bucket: {
    shape: { bucket: 'cache-1' },
    changes: { ...BUCKET, [`${TASK}.volumes.0.gcs.remotePath`]: 'cache-1' },
  },
  bucketPrefix: {
    among: { bucket: 'cache-1' },
    shape: { bucketPrefix: '/acme/.github/' },
    changes: { [`${TASK}.volumes.0.gcs.remotePath`]: 'cache-1/acme/.github/' },
  },
  subnet: {
    shape: { subnet: 'other-sub' },
    changes: { [`${NETWORK}.subnetwork`]: 'regions/europe-west4/subnetworks/other-sub' },
  },
  securityGroup: { shape: { securityGroup: 'sg-third' }, changes: { [`${POLICY}.tags.0`]: 'sg-third' } },
  // The dispatcher has chosen the backend by it.
  region: { shape: { region: 'europe-west4' }, changes: {} },
  spot: { shape: { spot: true }, changes: { [`${MACHINE}.provisioningModel`]: 'SPOT' } },
  dockerInDocker: { shape: { dockerInDocker: true }, changes: { [`${CONTAINER}.options`]: '--privileged' } },
  timeLimitMs: { shape: { timeLimitMs: 3_661_001 }, changes: { [`${TASK}.maxRunDuration.seconds`]: '3662' } },
} as const satisfies Readonly<Record<keyof ShapeWish, Turn>>;

describe('each option and each wish of gcp-batch', () => {
  let fixture: Fixture;

  before(async () => {
    fixture = await openFixture();
  });
  after(async () => {
    await fixture.close();
  });

  /** Also of a launch that the service refused, such as one in a project that it does not have. */
  const decoded = async (options: object, shape: Partial<Shape>): Promise<Map<string, unknown>> => {
    const from = fixture.simulator.exchanges.length;
    const provider = fixture.open(options);
    const request: LaunchRequest = launchOf('fixture-1', {
      shape: { ...plainShape, ...shape },
      secretEnvironment: { SECRET: 'the secret' },
    });
    await provider.launch(request).catch(() => undefined);
    const sent = fixture.simulator.exchanges.slice(from).find(({ call }) => call.endsWith('/CreateJob'))?.request;
    await fixture.simulator.service.forget('fixture-1');
    const all = leaves(z.looseObject({}).parse(sent), '');
    return new Map(
      all.map(([path, value]) => {
        if (path.endsWith('.cipherText'))
          return [path, JSON.stringify(fixture.simulator.kms.variables(KEY, String(value)))];
        if (path === 'requestId') return [path, value === requestIdOf('fixture', 'fixture-1') ? 'usual' : 'another'];
        return [path.replace(/runnables\.\d\./, ''), value];
      }),
    );
  };

  const differences = async ({
    options = {},
    shape = {},
    among = {},
  }: Omit<Turn, 'changes'>): Promise<Record<string, unknown>> => {
    const plain = await decoded({}, among);
    const turned = await decoded(options, { ...among, ...shape });
    const changed = [...turned].filter(([path, value]) => plain.get(path) !== value);
    const gone = [...plain.keys()].filter((path) => !turned.has(path)).map((path) => [path, 'is gone']);
    return Object.fromEntries([...changed, ...gone]);
  };

  for (const [option, turn] of Object.entries(ofOptions)) {
    it(`has the option ${option} where the service looks for it, and nowhere else`, async () => {
      expect(Object.keys(turn.options ?? {})).to.deep.equal([option]);
      expect(turn.changes).to.not.deep.equal({});
      expect(await differences(turn)).to.deep.equal(turn.changes);
    });
  }

  it('hands the login of registryAuth to no other registry', async () => {
    for (const image of ['quay.io/acme/runner:1', 'ghcr.io.example/acme/runner:1', 'ubuntu']) {
      expect(await differences({ ...ofOptions.registryAuth, among: { image } }), image).to.deep.equal({});
    }
  });

  for (const [wish, turn] of Object.entries<Turn>(ofWishes)) {
    it(`has the wish for ${wish} where the service looks for it, and nowhere else`, async () => {
      expect(Object.keys(turn.shape ?? {})).to.deep.equal([wish]);
      expect(await differences(turn)).to.deep.equal(turn.changes);
    });
  }

  it('has an option in a request or is named here as one that has no place there', async () => {
    expect([...Object.keys(ofOptions), ...Object.keys(ofNoRequest)].sort()).to.deep.equal(
      Object.keys(gcpBatchOptions.shape).sort(),
    );
    const set = Object.fromEntries(Object.entries(ofNoRequest).filter(([, value]) => value !== undefined));
    expect(await differences({ options: set })).to.deep.equal({});
  });
});

/** Each value with its place: `job.labels.a`, `job.taskGroups.0.taskCount`. */
function leaves(value: unknown, path: string): [string, unknown][] {
  if (typeof value !== 'object' || value === null) return [[path, value]];
  return Object.entries(value).flatMap(([key, one]) => leaves(one, path === '' ? key : `${path}.${key}`));
}
