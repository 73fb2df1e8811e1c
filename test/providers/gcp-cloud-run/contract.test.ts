import { createRequire } from 'node:module';
import { setTimeout as delay } from 'node:timers/promises';
import { v2 } from '@google-cloud/run';
import { expect } from 'chai';
import { z } from 'zod';
import { type CloudRunOptions, cloudRunOptions } from '../../../providers/gcp-cloud-run/options.ts';
import { CloudRunProvider } from '../../../providers/gcp-cloud-run/provider.ts';
import { jobFor, overridesFor } from '../../../providers/gcp-cloud-run/request.ts';
import { callOptions, connect } from '../../../providers/google/connection.ts';
import { endpointOf } from '../../../providers/google/endpoint.ts';
import { encodeTags } from '../../../providers/kit/tags.ts';
import type { Instance, LaunchRequest, Shape, ShapeWish } from '../../../providers/provider.ts';
import {
  type CloudRunSimulator,
  demoOptions,
  startCloudRunSimulator,
} from '../../../simulators/gcp-cloud-run/index.ts';
import { systemClock } from '../../../time/clock.ts';
import type { Discovery } from '../google/discovery.ts';
import { misspellings } from '../google/misspellings.ts';
import { readDescription, rules } from './description.ts';
import { requestFor, shape, tagsFor } from './fixture.ts';

const SLEEPER = 'docker.io/acme/sleeper:1';
const FAILING = 'docker.io/acme/failing:1';

/** Messages that our calls and their replies are made of; the SDK has the same for services and worker pools. */
const messages: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    [
      'Job',
      'ExecutionTemplate',
      'TaskTemplate',
      'Execution',
      'Task',
      'TaskAttemptResult',
      'ExecutionReference',
      'Condition',
      'Container',
      'ResourceRequirements',
      'EnvVar',
      'EnvVarSource',
      'Volume',
      'VolumeMount',
      'GCSVolumeSource',
      'VpcAccess',
      'NodeSelector',
      'ListJobsResponse',
      'ListExecutionsResponse',
      'ListTasksResponse',
    ].map((name) => [name, name]),
  ),
  'VpcAccess.NetworkInterface': 'NetworkInterface',
  'RunJobRequest.Overrides': 'Overrides',
  'RunJobRequest.Overrides.ContainerOverride': 'ContainerOverride',
};

/**
 * The description is of revision 20260403; the protos of SDK 4.2.0 are older in this: what tool made an execution can
 * be said there. We do not say it.
 */
const differences = {
  'only in the SDK': [],
  'only in the description': [
    'ExecutionTemplate.client',
    'ExecutionTemplate.clientVersion',
    'Execution.client',
    'Execution.clientVersion',
  ],
};

/** Every option that shows in a definition, with a value that nothing else has. */
const everyOption = {
  serviceAccount: 'the-account@the-project.iam.gserviceaccount.com',
  command: ['/opt/run it.sh', '--first'],
  args: ['the-arg', "it's"],
  workFolder: '/the/work/folder',
  bucketMountOptions: ['the-flag', 'uid=4711'],
  network: 'the-network',
  subnetwork: 'the-subnetwork',
  networkTags: ['first-tag', 'second-tag'],
  egress: 'private' as const,
};
/** All others, and what shows that they are heeded. */
const otherOptions: Readonly<Record<Exclude<keyof CloudRunOptions, keyof typeof everyOption>, string>> = {
  project: 'the parent of every call, here',
  region: 'the parent of every call, here',
  credentials: 'the only key that is let in, here',
  endpoint: 'that a call arrives',
  loggingEndpoint: 'that a read of the log arrives, here',
  secretsEndpoint: 'test/deployers/gcp-cloud-run.test.ts, that a secret is made',
  connector: 'a definition, here: it excludes network and subnetwork',
  longestLifeHours: 'the timeout of a run without a wish, here',
  jobRunsPerMinute: 'cloud-run.test.ts, budgets',
  writesPerMinute: 'cloud-run.test.ts, budgets',
  logReadsPerMinute: 'cloud-run.test.ts, budgets',
  unusedJobHours: 'cloud-run.test.ts, definitions',
  timeoutMs: 'cloud-run.test.ts, a timeout of the log',
  readyTimeoutMs: 'cloud-run.test.ts, definitions',
  pollMs: 'cloud-run.test.ts, definitions',
};

const everyTags = tagsFor('d1-all', {
  registration: 'the-registration',
  charge: { 'cost-centre': 'the-centre', 'Owner (e-mail)': 'Jörg <j@x>' },
});

const everyShape = {
  cpu: 4,
  memoryGiB: 7.5,
  architecture: 'x64',
  image: SLEEPER,
  bucket: 'the-bucket',
  bucketPrefix: 'the/prefix',
  subnet: 'the-subnet',
  securityGroup: 'third-tag',
  spot: false,
  dockerInDocker: false,
  timeLimitMs: 3_661_001,
} as const satisfies Shape;
/** A wish that is neither above nor here does not compile. */
const otherWishes: Readonly<Record<Exclude<keyof ShapeWish, keyof typeof everyShape>, unknown>> = {
  diskGiB: 10,
  region: 'another-region1',
};

const everyWish: LaunchRequest = {
  name: 'd1-all',
  shape: everyShape,
  tags: everyTags,
  environment: { PLAIN: 'plain value' },
  secretEnvironment: { SECRET: 'secret value' },
};

const labels = { 'cost-centre': 'the-centre', 'shr-registration': 'the-registration', 'shr-dispatcher': 'd1' };

/** As the service must have decoded it: names of proto3 JSON, enums by name, 64 bits as text. */
const everyJob = {
  labels,
  template: {
    labels,
    parallelism: 1,
    taskCount: 1,
    template: {
      containers: [
        {
          name: 'runner',
          image: SLEEPER,
          command: ['/opt/run it.sh', '--first'],
          args: ['the-arg', "it's"],
          resources: { limits: { cpu: '4', memory: '7680Mi' } },
          volumeMounts: [{ name: 'work', mountPath: '/the/work/folder' }],
        },
      ],
      volumes: [
        {
          name: 'work',
          gcs: { bucket: 'the-bucket', readOnly: false, mountOptions: ['the-flag', 'uid=4711', 'only-dir=the/prefix'] },
        },
      ],
      maxRetries: 0,
      serviceAccount: 'the-account@the-project.iam.gserviceaccount.com',
      executionEnvironment: 'EXECUTION_ENVIRONMENT_GEN2',
      vpcAccess: {
        egress: 'PRIVATE_RANGES_ONLY',
        networkInterfaces: [
          { network: 'the-network', subnetwork: 'the-subnet', tags: ['first-tag', 'second-tag', 'third-tag'] },
        ],
      },
    },
  },
};

const everyOverride = {
  containerOverrides: [
    {
      name: 'runner',
      env: [
        { name: 'PLAIN', value: 'plain value' },
        { name: 'SECRET', value: 'secret value' },
        { name: 'SHR_INSTANCE', value: 'd1-all' },
        { name: 'SHR_INSTANCE_TAGS', value: JSON.stringify(encodeTags(everyTags)) },
      ],
    },
  ],
  taskCount: 1,
  timeout: { seconds: '3662' },
};

describe('gcp-cloud-run and the description of its API', () => {
  let description: Discovery;
  let simulator: CloudRunSimulator;
  const opened: CloudRunProvider[] = [];

  const open = (more: Partial<z.input<typeof cloudRunOptions>> = {}): CloudRunProvider => {
    const provider = new CloudRunProvider(
      cloudRunOptions.parse({ ...demoOptions(simulator), command: ['sleep', '600'], pollMs: 10, ...more }),
      { now: () => Date.now(), after: systemClock.after, sleep: (ms) => delay(ms), random: () => Math.random() },
    );
    opened.push(provider);
    return provider;
  };

  before(async function () {
    const found = readDescription();
    if (found === undefined) {
      console.log('      skipped: ../shared/specs is not here');
      this.skip();
    }
    description = found;
    simulator = await startCloudRunSimulator({
      images: { [SLEEPER]: ['sleep', '600'], [FAILING]: ['false'] },
      pageSize: 2,
      project: 'the-project',
      region: 'the-region1',
    });
  });
  afterEach(() => Promise.all(opened.splice(0).map((provider) => provider.close())));
  after(() => simulator?.close());

  const parent = 'projects/the-project/locations/the-region1';
  const lastOf = (method: string): unknown =>
    simulator.exchanges.findLast(({ call }) => call.endsWith(`/${method}`))?.request;

  it('finds nothing wrong with any call and any reply of a life with all its turns', async () => {
    const provider = open();
    const until = async (name: string, done: (seen: Instance | undefined) => boolean): Promise<void> => {
      const giveUpAt = Date.now() + 10_000;
      while (!done(await provider.inspect({ name }))) {
        if (Date.now() > giveUpAt) throw new Error(`${name} did not come to its end`);
        await delay(10);
      }
    };
    const names = ['d1-life-1', 'd1-life-2', 'd1-life-3'];
    for (const name of names) {
      await provider.launch(requestFor(name, { shape: { ...shape, image: SLEEPER }, secretEnvironment: { JIT: 'x' } }));
    }
    await provider.launch(requestFor('d1-life-1'));
    await open({ command: ['sh', '-c', 'exit 3'] }).launch(
      requestFor('d1-life-4', { shape: { ...shape, image: FAILING } }),
    );
    simulator.doom('no-capacity', 'image-gone', 'internal-error', 'out-of-memory');
    for (const name of ['d1-life-5', 'd1-life-6', 'd1-life-7', 'd1-life-8']) {
      await provider.launch(requestFor(name, { shape: { ...shape, image: SLEEPER } }));
      await until(name, (seen) => seen?.state === 'failed');
    }
    await until('d1-life-4', (seen) => seen?.state === 'failed');
    await until('d1-life-1', (seen) => seen?.state === 'running');
    await provider
      .launch(requestFor('d1-none', { shape: { ...shape, image: 'docker.io/acme/none' } }))
      .catch(() => undefined);
    expect(await provider.list({ dispatcher: 'd1' })).to.have.length(8);
    await provider.logs({ name: 'd1-life-4' });
    await provider.check();
    for (const { ref } of await provider.list({ dispatcher: 'd1' })) await provider.stop(ref);
    await provider.stop({ name: 'd1-never' });

    const calls = new Set(simulator.exchanges.map(({ call }) => call));
    expect([...calls].sort(), 'each call that is described here was made').to.deep.equal(
      Object.keys(rules.methods).sort(),
    );
    for (const exchange of simulator.exchanges) {
      expect(description.problemsOf(exchange), `${exchange.call} ${JSON.stringify(exchange)}`).to.deep.equal([]);
    }
  });

  it('would find a field that is not described, a wrong type, an unknown name, what may not be sent and what is missing', () => {
    const call = 'google.cloud.run.v2.Jobs/CreateJob';
    const good = { parent: 'projects/p/locations/r', jobId: 'j', job: everyJob };
    const judge = (change: object, job: object = {}): string[] =>
      description.problemsOf({ call, request: { ...good, ...change, job: { ...everyJob, ...job } } });
    expect(judge({})).to.deep.equal([]);
    expect(judge({ jobid: 'x' })).to.deep.equal([`jobid: no parameter of ${call}`]);
    expect(judge({ parent: 'projects/p' })[0]).to.match(/^parent: .* does not match/);
    expect(judge({}, { lables: {} })).to.deep.equal(['job.lables: is not described']);
    expect(judge({}, { uid: 'u' })).to.deep.equal(['job.uid: is read-only']);
    expect(judge({}, { launchStage: 'SOON' })[0]).to.match(/is none of/);
    expect(judge({}, { template: { taskCount: '1', template: {} } })).to.deep.equal([
      'job.template.taskCount: is no integer',
    ]);
    expect(judge({}, { template: { template: { timeout: '600s' } } })[0]).to.match(/is no google-duration/);
    const run = 'google.cloud.run.v2.Jobs/RunJob';
    const name = 'projects/p/locations/r/jobs/j';
    expect(description.problemsOf({ call: run, request: { name, overrides: everyOverride } })).to.deep.equal([]);
    expect(description.problemsOf({ call: run, request: { overrides: {} } })).to.deep.equal(['name: is required']);
    const reply = {
      metadata: { '@type': 'type.googleapis.com/google.cloud.run.v2.Execution', conditions: [{ state: 99 }] },
    };
    expect(description.problemsOf({ call: run, request: { name }, reply })[0]).to.match(/Execution\).*99 is none of/);
  });

  it('differs from the SDK in no field of these messages, but those named here', () => {
    const found = { 'only in the SDK': [] as string[], 'only in the description': [] as string[] };
    for (const [message, name] of Object.entries(messages)) {
      const fields = sdkFields(message);
      const described = Object.keys(description.schemas[`GoogleCloudRunV2${name}`]?.properties ?? {});
      expect([fields.length > 0, described.length > 0], message).to.deep.equal([true, true]);
      found['only in the SDK'].push(...fields.filter((one) => !described.includes(one)).map((one) => `${name}.${one}`));
      found['only in the description'].push(
        ...described.filter((one) => !fields.includes(one)).map((one) => `${name}.${one}`),
      );
    }
    expect(found).to.deep.equal(differences);
  });

  describe('the mapping', () => {
    const sent = () => {
      const options = cloudRunOptions.parse({ ...demoOptions(simulator), ...everyOption });
      return {
        definition: jobFor(everyWish.shape, everyWish.tags, options),
        overrides: overridesFor(everyWish, options),
      };
    };

    it('carries every option and every wish to the service, which finds them where they belong', async () => {
      const provider = open(everyOption);
      await provider.launch(everyWish);
      const { definition } = sent();
      expect(lastOf('CreateJob')).to.deep.equal({ parent, jobId: definition.id, job: everyJob });
      expect(lastOf('RunJob')).to.deep.equal({ name: `${parent}/jobs/${definition.id}`, overrides: everyOverride });
      await provider.stop({ name: everyWish.name });
    });

    it('carries a connector, all egress and no network where that is asked for', async () => {
      const networkOf = async (name: string, options: object): Promise<unknown> => {
        const provider = open(options);
        await provider.launch(requestFor(name, { shape: { ...shape, image: SLEEPER } }));
        await provider.stop({ name });
        const job = z.looseObject({ job: z.looseObject({ template: z.object({ template: z.looseObject({}) }) }) });
        return job.parse(lastOf('CreateJob')).job.template.template['vpcAccess'];
      };
      expect(await networkOf('d1-net-1', { connector: 'the-connector' })).to.deep.equal({
        connector: 'the-connector',
        egress: 'ALL_TRAFFIC',
      });
      expect(await networkOf('d1-net-2', { network: 'n' })).to.deep.equal({
        networkInterfaces: [{ network: 'n' }],
        egress: 'ALL_TRAFFIC',
      });
      expect(await networkOf('d1-net-4', { network: 'n', subnetwork: 'the-subnetwork' })).to.deep.equal({
        networkInterfaces: [{ network: 'n', subnetwork: 'the-subnetwork' }],
        egress: 'ALL_TRAFFIC',
      });
      expect(await networkOf('d1-net-3', { args: ['another'] })).to.equal(undefined);
    });

    it('leaves no option out: each one is known here, and those of a definition change it', () => {
      const known = [...Object.keys(everyOption), ...Object.keys(otherOptions)];
      expect(Object.keys(cloudRunOptions.shape).sort()).to.deep.equal(known.sort());
      // A wish for a subnet takes the place of the option.
      const { subnet: _subnet, ...wish } = everyShape;
      const jobWith = (options: object) =>
        JSON.stringify(jobFor(wish, everyTags, cloudRunOptions.parse({ ...demoOptions(simulator), ...options })).job);
      for (const name of Object.keys(everyOption)) {
        const others = Object.fromEntries(Object.entries(everyOption).filter(([other]) => other !== name));
        expect(jobWith(others), name).to.not.equal(jobWith(everyOption));
      }
    });

    it('leaves no wish out: what cannot be shown is refused', () => {
      const { diskGiB, region } = otherWishes;
      const refused: object[] = [{ spot: true }, { dockerInDocker: true }, { architecture: 'arm64' }, { diskGiB }];
      const fits = (wish: object): boolean => open().fit({ ...everyShape, ...wish }).fits;
      expect(refused.map(fits)).to.deep.equal([false, false, false, false]);
      // The dispatcher has chosen the backend by it.
      expect([fits({ region }), fits({})]).to.deep.equal([true, true]);
    });

    it('uses the credentials, the longest life and the log of the options', async () => {
      const email = 'the-dispatcher@the-project.iam.gserviceaccount.com';
      const credentials = simulator.identity.createKey(email, 'the-project');
      const provider = open({ credentials, longestLifeHours: 77 });
      const other = open();
      await provider.launch(requestFor('d1-life', { shape: { ...shape, image: SLEEPER } }));
      expect(lastOf('RunJob')).to.have.nested.property('overrides.timeout.seconds', String(77 * 3600));
      await provider.logs({ name: 'd1-life' });
      const read = simulator.requests.findLast(({ path }) => path === '/v2/entries:list')?.body ?? '';
      expect(read).to.include('"projects/the-project"').and.include('the-region1');
      await provider.stop({ name: 'd1-life' });
      simulator.identity.disable(email);
      const gone = await provider.list({ dispatcher: 'd1' }).catch((error: unknown) => error);
      expect(gone).to.have.property('kind', 'unauthorized');
      expect(await other.list({ dispatcher: 'd1' })).to.deep.equal([]);
    });

    it('would be caught with any field misspelt: protobuf drops it, and a schema of what arrived sees nothing', async () => {
      const { definition, overrides } = sent();
      const maps = ['labels', 'limits'];
      const mutants = [
        ...misspellings(definition.job, maps).map(([path, job]) => ({ path: `job${path}`, job, overrides })),
        ...misspellings(overrides, maps).map(([path, changed]) => ({
          path: `overrides${path}`,
          job: definition.job,
          overrides: changed,
        })),
      ];
      expect(mutants.length).to.be.greaterThan(40);
      const { client } = connect(v2.JobsClient, {
        endpoint: simulator.endpoint,
        credentials: simulator.serviceAccountKey,
      });
      const options = await callOptions(client.auth, endpointOf(simulator.endpoint), 5000);
      const blind: string[] = [];
      for (const { path, job, overrides: changed } of mutants) {
        const from = simulator.exchanges.length;
        // Neither takes effect: the one is only validated, the other is of no job.
        await client.createJob({ parent, jobId: 'mutant', job, validateOnly: true }, options).catch(() => undefined);
        await client.runJob({ name: `${parent}/jobs/none`, overrides: changed }, options).catch(() => undefined);
        const [created, ran] = simulator.exchanges.slice(from);
        const arrived = z
          .tuple([z.looseObject({ job: z.unknown() }), z.looseObject({ overrides: z.unknown() })])
          .parse([created?.request, ran?.request]);
        expect([arrived[0].job, arrived[1].overrides], path).to.not.deep.equal([everyJob, everyOverride]);
        const problems = [created, ran].flatMap((exchange) => {
          if (exchange === undefined) return ['nothing arrived'];
          return description.problemsOf({ call: exchange.call, request: exchange.request });
        });
        if (problems.length === 0) blind.push(path);
      }
      await client.close();
      expect(blind.length, 'a check of the schema alone does not see these').to.be.greaterThan(30);
    }).timeout(20_000);
  });
});

/** The fields of a message of the SDK's protos, in camel case. */
function sdkFields(message: string): string[] {
  const protos: unknown = createRequire(import.meta.url)('@google-cloud/run/build/protos/protos.json');
  const nested = z.object({ nested: z.record(z.string(), z.unknown()) });
  let at = protos;
  for (const part of ['google', 'cloud', 'run', 'v2', ...message.split('.')]) at = nested.parse(at).nested[part];
  const { fields } = z.object({ fields: z.record(z.string(), z.unknown()) }).parse(at);
  return Object.keys(fields).map((name) => name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()));
}
