import { createRequire } from 'node:module';
import { expect } from 'chai';
import { z } from 'zod';
import gcpBatchModule from '../../../providers/gcp-batch/index.ts';
import { createJobRequest, requestIdOf } from '../../../providers/gcp-batch/request.ts';
import { toLabels } from '../../../providers/gcp-batch/tags.ts';
import type { LaunchRequest } from '../../../providers/provider.ts';
import { GoogleRefusal } from '../../../simulators/google/status.ts';
import type { Discovery } from '../google/discovery.ts';
import { misspellings } from '../google/misspellings.ts';
import { readDescription, rules, UNDESCRIBED } from './description.ts';
import { eventually, type Fixture, openFixture } from './fixture.ts';
import { account, IMAGE, launchOf, plainTags } from './requests.ts';

/**
 * Fields of what a job is made of that only one of the two knows. The SDK 2.5.0 is generated from the protos; the
 * description is of revision 20260320.
 */
const differences = {
  // By REST it is in the path.
  'only in the SDK': ['CancelJobRequest.name'],
  'only in the description': [],
};

/** All that a request can have at once, with values that nothing else has; one by one they are in mapping.test.ts. */
const everyOption = {
  project: 'acme-ci',
  region: 'europe-west4',
  zones: ['europe-west4-b', 'europe-west4-c'],
  serviceAccount: account,
  machineType: { name: 'n2-highmem-4' },
  minCpuPlatform: 'Intel Ice Lake',
  bootDiskGiB: 73,
  diskType: 'pd-ssd',
  bootImage: 'batch-debian',
  network: 'projects/net-host/global/networks/shared-one',
  subnetwork: 'not-this-one',
  networkTags: ['first-tag', 'second-tag'],
  command: ['/opt/run it.sh', '--once', "it's"],
  workFolder: '/work/folder',
  encryptionKey: 'projects/acme-ci/locations/europe-west4/keyRings/shr/cryptoKeys/runners',
  registryAuth: {
    server: 'ghcr.io',
    username: 'the-user',
    passwordSecret: 'projects/acme-ci/secrets/registry/versions/7',
  },
};

const tags = { ...plainTags, runner: 'fixture-all', charge: { 'cost-centre': '4711', 'Owner (e-mail)': 'Jörg <j@x>' } };

const everyWish: LaunchRequest = {
  name: 'fixture-all',
  shape: {
    cpu: 4,
    memoryGiB: 32,
    architecture: 'x64',
    image: 'ghcr.io/acme/special:9',
    diskGiB: 61.5,
    subnet: 'projects/net-host/regions/europe-west4/subnetworks/the-subnet',
    securityGroup: 'sg-third',
    spot: true,
    dockerInDocker: true,
    timeLimitMs: 3_661_001,
  },
  tags,
  environment: { PLAIN: 'plain value' },
  secretEnvironment: { SECRET: 'secret value' },
};

/** Another one at each encryption; the provider's own is looked at in mapping.test.ts. */
const CIPHER_TEXT = 'dGhlIGNpcGhlciB0ZXh0';

/** As the service must have decoded it: proto3 JSON names, enums by name, 64 bits as text. */
const everything = {
  parent: 'projects/acme-ci/locations/europe-west4',
  jobId: 'fixture-all',
  requestId: requestIdOf('fixture', 'fixture-all', CIPHER_TEXT),
  job: {
    labels: toLabels(tags),
    taskGroups: [
      {
        taskCount: '1',
        parallelism: '1',
        taskSpec: {
          runnables: [
            { script: { text: 'chmod 0777 /mnt/disks/work' } },
            {
              container: {
                imageUri: 'ghcr.io/acme/special:9',
                entrypoint: '/opt/run it.sh',
                commands: ['--once', "it's"],
                volumes: ['/mnt/disks/work:/work/folder:rw'],
                options: '--privileged',
                username: 'the-user',
                password: 'projects/acme-ci/secrets/registry/versions/7',
              },
            },
          ],
          environment: {
            variables: { PLAIN: 'plain value' },
            encryptedVariables: { keyName: everyOption.encryptionKey, cipherText: CIPHER_TEXT },
          },
          computeResource: { cpuMilli: '4000', memoryMib: '32768' },
          maxRetryCount: 0,
          maxRunDuration: { seconds: '3662' },
          volumes: [{ deviceName: 'work', mountPath: '/mnt/disks/work', mountOptions: ['rw', 'async'] }],
        },
      },
    ],
    allocationPolicy: {
      location: { allowedLocations: ['zones/europe-west4-b', 'zones/europe-west4-c'] },
      instances: [
        {
          policy: {
            machineType: 'n2-highmem-4',
            minCpuPlatform: 'Intel Ice Lake',
            provisioningModel: 'SPOT',
            bootDisk: { type: 'pd-ssd', sizeGb: '73', image: 'batch-debian' },
            disks: [{ deviceName: 'work', newDisk: { type: 'pd-ssd', sizeGb: '62' } }],
          },
          blockProjectSshKeys: true,
        },
      ],
      serviceAccount: { email: account },
      labels: { shr_registration: 'acme-web', 'cost-centre': '4711' },
      network: {
        networkInterfaces: [
          {
            network: 'projects/net-host/global/networks/shared-one',
            subnetwork: 'projects/net-host/regions/europe-west4/subnetworks/the-subnet',
            noExternalIpAddress: true,
          },
        ],
      },
      tags: ['first-tag', 'second-tag', 'sg-third'],
    },
    logsPolicy: { destination: 'CLOUD_LOGGING' },
  },
};

const message: z.ZodType<Message> = z.lazy(() =>
  z.object({ fields: z.record(z.string(), z.object({})).optional(), nested: z.record(z.string(), message).optional() }),
);
interface Message {
  readonly fields?: Readonly<Record<string, object>> | undefined;
  readonly nested?: Readonly<Record<string, Message>> | undefined;
}

/** Each message of the SDK's protos with its fields in camel case, by the last part of its name. */
function sdkMessages(): Map<string, string[]> {
  const protos: unknown = createRequire(import.meta.url)('@google-cloud/batch/build/protos/protos.json');
  const messages = new Map<string, string[]>();
  const walk = ({ nested = {} }: Message): void => {
    for (const [name, one] of Object.entries(nested)) {
      if (one.fields !== undefined) {
        messages.set(name, Object.keys(one.fields).map(camelCase));
      }
      walk(one);
    }
  };
  let root = message.parse(protos);
  for (const part of ['google', 'cloud', 'batch', 'v1']) root = root.nested?.[part] ?? {};
  walk(root);
  return messages;
}

function camelCase(name: string): string {
  return name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

describe('gcp-batch and the description of its API', () => {
  let description: Discovery;
  let fixture: Fixture;

  before(async function () {
    const found = readDescription();
    if (found === undefined) {
      console.log('      skipped: ../shared/specs is not here');
      this.skip();
    }
    description = found;
    fixture = await openFixture({
      images: { [IMAGE]: ['false'], 'ghcr.io/acme/special:9': ['sleep', '600'] },
      largestPage: 2,
    });
  });

  after(async () => {
    await fixture?.close();
  });

  /** What the service made of a create, or why it refused it. */
  const decoded = async (name: string): Promise<unknown> =>
    fixture.simulator.exchanges.findLast(({ call, request }) => {
      const parsed = z.object({ jobId: z.string() }).safeParse(request);
      return call.endsWith('/CreateJob') && parsed.success && parsed.data.jobId === name;
    })?.request;

  it('finds nothing wrong with any call and any reply of a life with all its turns', async () => {
    const { simulator, open } = fixture;
    const provider = open({ command: ['sh', '-c', 'exit 3'] });
    const sleeping = open();
    const names = ['life-1', 'life-2', 'life-3'];
    for (const name of names) await sleeping.launch(launchOf(name));
    await sleeping.launch(launchOf('life-1'));
    await provider.launch(launchOf('life-4'));
    simulator.setConditions({ terseEvents: true });
    await eventually(
      'the end',
      () => provider.inspect({ name: 'life-4' }),
      (seen) => seen?.state === 'failed',
    );
    simulator.setConditions({});
    await sleeping.launch(
      launchOf('life-5', {
        shape: { ...launchOf('x').shape, bucket: 'cache-1', bucketPrefix: 'acme/web', timeLimitMs: 60_000 },
      }),
    );
    expect(await sleeping.list({ dispatcher: 'fixture' })).to.have.length(5);
    await provider.logs({ name: 'life-4' });
    await provider.check();
    for (const name of [...names, 'life-4', 'life-5', 'never-launched']) await sleeping.stop({ name });

    const calls = new Set(simulator.exchanges.map(({ call }) => call));
    expect([...calls].sort(), 'each call that is described here was made').to.deep.equal(
      Object.keys(rules.methods).sort(),
    );
    expect(simulator.exchanges.length).to.be.greaterThan(20);
    for (const exchange of simulator.exchanges) {
      expect(description.problemsOf(exchange), `${exchange.call} ${JSON.stringify(exchange)}`).to.deep.equal([]);
    }
    const simulated = new Set(
      simulator.exchanges.flatMap(({ refusal }) => (refusal instanceof GoogleRefusal ? [refusal.code] : [])),
    );
    expect([...simulated], 'the only refusals are of absent jobs').to.deep.equal(['NOT_FOUND']);
  });

  it('would find a field that is not described, a wrong type, an unknown name, what may not be sent and what is missing', () => {
    const call = 'google.cloud.batch.v1.BatchService/CreateJob';
    const judge = (change: object, job: object = {}): string[] =>
      description.problemsOf({
        call,
        request: { ...everything, ...change, job: { ...everything.job, ...job } },
      });
    expect(judge({})).to.deep.equal([]);
    expect(judge({ jobid: 'x' })).to.deep.equal([`jobid: no parameter of ${call}`]);
    expect(judge({ parent: 'projects/acme-ci' })[0]).to.match(/^parent: .* does not match/);
    expect(judge({}, { lables: {} })).to.deep.equal(['job.lables: is not described']);
    expect(judge({}, { priority: 3 })).to.deep.equal(['job.priority: is no int64']);
    expect(judge({}, { uid: 'j-1' })).to.deep.equal(['job.uid: is read-only']);
    expect(judge({}, { taskGroups: [{}] })).to.deep.equal(['job.taskGroups.0.taskSpec: is required']);
    expect(judge({}, { logsPolicy: { destination: 'PAPER' } })[0]).to.match(/is none of/);
    const reply = { name: 'projects/p/locations/l/jobs/j', status: { state: 99 } };
    expect(description.problemsOf({ call, request: everything, reply })[0]).to.match(/99 is none of/);
  });

  it('differs from the SDK in no field of what a job is made of, but those named here', () => {
    const messages = sdkMessages();
    const found: Record<keyof typeof differences, string[]> = { 'only in the SDK': [], 'only in the description': [] };
    let compared = 0;
    for (const [name, { properties = {} }] of Object.entries(description.schemas)) {
      const fields = messages.get(name);
      if (fields === undefined) continue;
      compared += 1;
      const described = Object.keys(properties);
      const only = (these: string[], those: string[]): string[] =>
        these.filter((field) => !those.includes(field)).map((field) => `${name}.${field}`);
      found['only in the SDK'].push(...only(fields, described));
      found['only in the description'].push(...only(described, fields));
    }
    expect(compared, 'messages').to.be.greaterThan(30);
    expect(found).to.deep.equal(differences);
    expect(description.revision).to.equal('20260320');
    const name = UNDESCRIBED.slice(UNDESCRIBED.lastIndexOf('.') + 1);
    expect([messages.has(name), Object.hasOwn(description.schemas, name)], name).to.deep.equal([true, false]);
  });

  describe('the mapping', () => {
    const options = () => gcpBatchModule.options.parse({ ...everyOption });

    it('carries every option and every wish to the service, which finds them where they belong', async () => {
      const provider = fixture.open(everyOption);
      await provider.launch(everyWish);
      const text = JSON.stringify(await decoded('fixture-all'));
      const [, cipherText = ''] = /"cipherText":"([^"]+)"/.exec(text) ?? [];
      const usual = text
        .replace(cipherText, CIPHER_TEXT)
        .replace(requestIdOf('fixture', 'fixture-all', cipherText), everything.requestId);
      expect(JSON.parse(usual)).to.deep.equal(everything);
      await provider.stop({ name: 'fixture-all' });
    });

    it('would be caught with any field misspelt: protobuf drops it, and a schema of what arrived sees nothing', async () => {
      const sent = createJobRequest(everyWish, options(), CIPHER_TEXT);
      const client = fixture.open(everyOption);
      const mutants = misspellings(sent, ['labels', 'variables']);
      expect(mutants.length).to.be.greaterThan(45);
      const { BatchServiceClient } = await import('@google-cloud/batch');
      const { connect, callOptions } = await import('../../../providers/google/connection.ts');
      const { endpointOf } = await import('../../../providers/google/endpoint.ts');
      const { endpoint, credentials } = fixture.simulator;
      const { client: raw } = connect(BatchServiceClient, { endpoint, credentials });
      const blind: string[] = [];
      for (const [path, mutant] of mutants) {
        const from = fixture.simulator.exchanges.length;
        await raw
          .createJob(mutant, await callOptions(raw.auth, endpointOf(endpoint), 5000))
          .catch((error: unknown) => error);
        const arrived = fixture.simulator.exchanges.slice(from).find(({ call }) => call.endsWith('/CreateJob'));
        expect(arrived?.request, path).to.not.deep.equal(everything);
        if (arrived !== undefined && description.problemsOf(arrived).length === 0) blind.push(path);
        await client.stop({ name: 'fixture-all' });
        for (const job of fixture.simulator.service.jobs) {
          await fixture.simulator.service.forget(job.name.slice(job.name.lastIndexOf('/') + 1));
        }
      }
      await raw.close();
      expect(blind, 'a check of the schema alone does not see these').to.not.deep.equal([]);
    }).timeout(20_000);
  });
});
