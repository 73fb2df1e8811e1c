import { protos } from '@google-cloud/run';
import { expect } from 'chai';
import fc from 'fast-check';
import { classify, jobFailure, jobReasons } from '../../../providers/gcp-cloud-run/errors.ts';
import { cloudRunOptions } from '../../../providers/gcp-cloud-run/options.ts';
import {
  jobFor,
  NAME_VARIABLE,
  overridesFor,
  refuseForCloudRun,
  TAGS_VARIABLE,
} from '../../../providers/gcp-cloud-run/request.ts';
import { sizeFor } from '../../../providers/gcp-cloud-run/sizes.ts';
import {
  before,
  executionSchema,
  instanceOf,
  isGone,
  sighting,
  taskSchema,
} from '../../../providers/gcp-cloud-run/state.ts';
import { encodeTags } from '../../../providers/kit/tags.ts';
import { type EndKind, ProviderError, type ProviderErrorKind, type ShapeWish } from '../../../providers/provider.ts';
import { optionsWith, requestFor, shape, tagsFor } from './fixture.ts';

describe('gcp-cloud-run: sizes', () => {
  const table: [{ cpu?: number; memoryGiB?: number }, string][] = [
    [{}, '1/2'],
    [{ cpu: 0.5, memoryGiB: 0.1 }, '1/0.5'],
    [{ cpu: 1, memoryGiB: 4 }, '1/4'],
    [{ cpu: 1, memoryGiB: 4.001 }, '2/4.001953125'],
    [{ cpu: 3 }, '4/8'],
    [{ cpu: 4, memoryGiB: 1 }, '4/2'],
    [{ cpu: 5, memoryGiB: 2 }, '6/4'],
    [{ cpu: 8, memoryGiB: 1 }, '8/4'],
    [{ cpu: 8 }, '8/16'],
    [{ memoryGiB: 9 }, '4/9'],
    [{ memoryGiB: 17 }, '6/17'],
    [{ memoryGiB: 32 }, '8/32'],
    [{ cpu: 8, memoryGiB: 33 }, 'none'],
    [{ cpu: 8.1 }, 'none'],
  ];
  for (const [wish, expected] of table) {
    it(`makes ${expected} of ${JSON.stringify(wish)}`, () => {
      const sized = sizeFor(wish);
      expect('size' in sized ? `${sized.size.cpu}/${sized.size.memoryGiB}` : 'none').to.equal(expected);
    });
  }

  it('says what becomes more, since it is billed', () => {
    expect(sizeFor({ cpu: 3, memoryGiB: 1 })).to.have.property('note', '3 cores become 4; 1 GiB becomes 2');
    expect(sizeFor({ memoryGiB: 9 })).to.have.property('note', '9 GiB are sold with 4 cores');
    expect(sizeFor({ cpu: 2, memoryGiB: 4 })).to.not.have.property('note');
  });

  it('names the largest where nothing fits', () => {
    expect(sizeFor({ cpu: 16 }))
      .to.have.property('reason')
      .that.matches(/16 cores.*cpu-8, memory-32/);
  });
});

describe('gcp-cloud-run: what it refuses', () => {
  const refusal = (wish: Partial<ShapeWish>, options = optionsWith()) =>
    refuseForCloudRun({ ...shape, ...wish }, options);

  it('points to Batch for Docker in Docker', () => {
    expect(refusal({ dockerInDocker: true })).to.match(/gcp-batch/);
  });

  it('knows from where the service pulls', () => {
    for (const image of [
      'runner',
      'acme/runner:1',
      'docker.io/acme/runner',
      'gcr.io/p/i',
      'eu.gcr.io/p/i',
      'europe-west1-docker.pkg.dev/p/r/i@sha256:00',
    ]) {
      expect(refusal({ image }), image).to.equal(undefined);
    }
    for (const image of [
      'ghcr.io/actions/actions-runner:2',
      'localhost/i',
      'host:5000/i',
      'evilgcr.io/i',
      'x.docker.pkg.dev/i',
    ]) {
      expect(refusal({ image }), image).to.match(/Artifact Registry/);
    }
  });

  it('lets no bucket or prefix say more than a name', () => {
    expect(refusal({ bucket: 'build-cache', bucketPrefix: 'acme/web' })).to.equal(undefined);
    for (const bucket of ['', 'Up', 'a,b', '-x', 'a b']) expect(refusal({ bucket }), bucket).to.match(/bucket/);
    for (const bucketPrefix of ['../up', '/top', 'a//b', 'a/..', 'a,b=c', 'a b', '']) {
      expect(refusal({ bucket: 'cache', bucketPrefix }), bucketPrefix).to.match(/folder|leaves/);
    }
  });

  it('wants a network for a network tag', () => {
    expect(refusal({ securityGroup: 'fw-runners' })).to.match(/needs a network/);
    expect(refusal({ securityGroup: 'fw-runners', subnet: 's' })).to.equal(undefined);
    expect(refusal({ securityGroup: 'fw-runners' }, optionsWith({ network: 'n' }))).to.equal(undefined);
    expect(refusal({ securityGroup: 'Not a tag', subnet: 's' })).to.match(/network tag/);
  });
});

describe('gcp-cloud-run: the definition of a shape', () => {
  const idOf = (more: object = {}, tags: object = {}, options: object = {}): string =>
    jobFor({ ...shape, ...more }, tagsFor('r', tags), optionsWith(options)).id;

  it('has the same name for the same shape, whatever the runner', () => {
    expect(idOf()).to.equal(idOf({}, { runner: 'other', lane: 'other', createdAtMs: 5 }));
    expect(idOf({ timeLimitMs: 1000 }), 'the time limit is of the execution').to.equal(idOf());
    expect(idOf()).to.match(/^shr-d1-[0-9a-f]{16}$/);
  });

  it('has another name for everything that makes another container', () => {
    const ids = [
      idOf(),
      idOf({ cpu: 2 }),
      idOf({ memoryGiB: 1 }),
      idOf({ image: 'other' }),
      idOf({ bucket: 'cache' }),
      idOf({ bucket: 'cache', bucketPrefix: 'a' }),
      idOf({ subnet: 's' }),
      idOf({ subnet: 's', securityGroup: 'g' }),
      idOf({}, { dispatcher: 'd2' }),
      idOf({}, { registration: 'other' }),
      idOf({}, { charge: { team: 'web' } }),
      idOf({}, {}, { command: ['x'] }),
      idOf({}, {}, { args: ['x'] }),
      idOf({}, {}, { serviceAccount: 'other@acme-runners.iam.gserviceaccount.com' }),
      idOf({}, {}, { network: 'n' }),
      idOf({}, {}, { network: 'n', egress: 'private' }),
      idOf({}, {}, { connector: 'c' }),
    ];
    expect(new Set(ids).size).to.equal(ids.length);
  });

  it('fits with a suffix of the service into 63 characters, for the longest dispatcher', () => {
    expect(idOf({}, { dispatcher: 'd'.repeat(31) }).length).to.be.at.most(63 - 6);
  });

  it('shows on the bill what fits into a label, and nothing else', () => {
    const charge = { team: 'web', 'Cost Centre': '1', kosten: 'Ä', 'shr-dispatcher': 'x', empty: '' };
    const { job } = jobFor(shape, tagsFor('r', { charge }), optionsWith());
    const labels = { team: 'web', empty: '', 'shr-registration': 'acme', 'shr-dispatcher': 'd1' };
    expect(job.labels).to.deep.equal(labels);
    expect(job.template?.labels, "an execution's labels are those of the template").to.deep.equal(labels);
  });

  it('never tries a runner twice, and always names its identity', () => {
    const task = jobFor(shape, tagsFor('r'), optionsWith()).job.template?.template;
    expect(task?.maxRetries).to.equal(0);
    expect(task?.serviceAccount).to.equal('runner@acme-runners.iam.gserviceaccount.com');
  });
});

describe('gcp-cloud-run: the overrides of an execution', () => {
  it('limit its life by the wish, else by the most that the backend allows', () => {
    const secondsOf = (timeLimitMs: number | undefined, options: object = {}) =>
      overridesFor(
        requestFor('r', { shape: { ...shape, ...(timeLimitMs === undefined ? {} : { timeLimitMs }) } }),
        optionsWith(options),
      ).timeout?.seconds;
    expect(secondsOf(90_500)).to.equal(91);
    expect(secondsOf(undefined)).to.equal(604_800);
    expect(secondsOf(undefined, { longestLifeHours: 24 })).to.equal(86_400);
    expect(secondsOf(90_000_000, { longestLifeHours: 24 })).to.equal(86_400);
  });

  it('let no variable of the request stand in for those that name the runner', () => {
    const overrides = overridesFor(
      requestFor('r', { environment: { [NAME_VARIABLE]: 'other' }, secretEnvironment: { [TAGS_VARIABLE]: '{}' } }),
      optionsWith(),
    );
    const env = overrides.containerOverrides?.[0]?.env ?? [];
    expect(env.filter((one) => one.name === NAME_VARIABLE)).to.deep.equal([{ name: NAME_VARIABLE, value: 'r' }]);
    expect(env.find((one) => one.name === TAGS_VARIABLE)?.value).to.include('orgs/acme');
  });

  it('refuse what the service would not take, before anything is made', () => {
    const long = 'x'.repeat(32_769);
    const attempt = (more: object) => () => overridesFor(requestFor('r', more), optionsWith());
    expect(attempt({ secretEnvironment: { JIT: long } })).to.throw(ProviderError, /JIT has more than 32768 bytes/);
    expect(attempt({ tags: tagsFor('r', { charge: { long } }) })).to.throw(ProviderError, /shorten the charge labels/);
  });
});

describe('gcp-cloud-run: what an execution is', () => {
  const env = (name: string, tags: unknown) => [
    { name: NAME_VARIABLE, value: name },
    { name: TAGS_VARIABLE, value: typeof tags === 'string' ? tags : JSON.stringify(tags) },
  ];
  const executionWith = (more: object = {}) =>
    executionSchema.parse({
      name: 'projects/p/locations/r/jobs/shr-d1-0/executions/shr-d1-0-abcde',
      labels: { 'shr-dispatcher': 'd1' },
      createTime: { seconds: '1790000000', nanos: 5 },
      template: { containers: [{ env: env('d1-x', encodeTags(tagsFor('d1-x'))) }] },
      ...more,
    });

  it('is ours by label and tags', () => {
    expect(sighting(executionWith())).to.deep.equal({
      id: 'shr-d1-0/shr-d1-0-abcde',
      name: 'd1-x',
      tags: tagsFor('d1-x'),
      createdAt: '001790000000.000000005',
    });
  });

  const foreign: [string, object][] = [
    ['another label', { labels: { 'shr-dispatcher': 'd2' } }],
    ['no label', { labels: null }],
    ['tags of another runner', { template: { containers: [{ env: env('d1-x', encodeTags(tagsFor('d1-y'))) }] } }],
    ['unreadable tags', { template: { containers: [{ env: env('d1-x', '{') }] } }],
    ['no tags', { template: { containers: [{ env: [{ name: NAME_VARIABLE, value: 'd1-x' }] }] } }],
  ];
  for (const [what, more] of foreign) {
    it(`has the name but is not ours with ${what}`, () => {
      const seen = sighting(executionWith(more));
      expect(seen?.name).to.equal('d1-x');
      expect(seen?.tags).to.equal(undefined);
    });
  }

  it('has nothing to do with runners without their variable', () => {
    expect(sighting(executionWith({ template: { containers: [{ env: [{ name: 'A', value: 'b' }] }] } }))).to.equal(
      undefined,
    );
    expect(sighting(executionWith({ template: null }))).to.equal(undefined);
  });

  const done = { seconds: 1, nanos: 0 };
  const completed = (state: unknown, more: object = {}) => ({ conditions: [{ type: 'Completed', state, ...more }] });
  const table: [string, object, object | undefined, { state: string; kind?: EndKind; exitCode?: number }][] = [
    ['no conditions yet', {}, undefined, { state: 'pending' }],
    ['accepted', completed('CONDITION_PENDING'), undefined, { state: 'pending' }],
    ['being placed', completed('CONDITION_RECONCILING'), undefined, { state: 'pending' }],
    ['being placed, by number', completed(2), undefined, { state: 'pending' }],
    ['running', { ...completed('CONDITION_RECONCILING'), runningCount: 1 }, undefined, { state: 'running' }],
    ['done', completed('CONDITION_SUCCEEDED'), undefined, { state: 'succeeded', kind: 'exited', exitCode: 0 }],
    ['a state of the future', completed(99), undefined, { state: 'unknown' }],
    ['no state', completed('STATE_UNSPECIFIED'), undefined, { state: 'unknown' }],
    [
      'stuck for want of machines',
      {
        conditions: [
          { type: 'Completed', state: 'CONDITION_RECONCILING' },
          { type: 'ResourcesAvailable', state: 'CONDITION_FAILED', message: 'no available capacity' },
        ],
      },
      undefined,
      { state: 'pending', kind: 'no-stock' },
    ],
    [
      'exit 3, from the task',
      completed('CONDITION_FAILED', { executionReason: 'NON_ZERO_EXIT_CODE' }),
      { lastAttemptResult: { exitCode: 3 } },
      { state: 'failed', kind: 'exited', exitCode: 3 },
    ],
    [
      'exit 4, from the words',
      completed('CONDITION_FAILED', { message: 'Task x failed with exit code: 4 and message: The container exited.' }),
      undefined,
      { state: 'failed', kind: 'exited', exitCode: 4 },
    ],
    [
      'a crash',
      completed('CONDITION_FAILED', { executionReason: 'NON_ZERO_EXIT_CODE' }),
      { lastAttemptResult: { termSignal: 11 } },
      { state: 'failed', kind: 'exited', exitCode: 139 },
    ],
    [
      'killed',
      completed('CONDITION_FAILED', { message: 'The container exited with an error.' }),
      { lastAttemptResult: { termSignal: 9 } },
      { state: 'failed', kind: 'out-of-memory', exitCode: 137 },
    ],
    [
      'too much memory, in words',
      completed('CONDITION_FAILED'),
      { lastAttemptResult: { status: { message: 'Memory limit of 512 MiB exceeded with 516 MiB used.' } } },
      { state: 'failed', kind: 'out-of-memory' },
    ],
    [
      'its time is over',
      completed('CONDITION_FAILED', {
        message: 'Task x failed with exit code: 0 and message: The configured timeout was reached.',
      }),
      { lastAttemptResult: { exitCode: 0 } },
      { state: 'failed', kind: 'time-limit' },
    ],
    [
      'cancelled',
      completed('CONDITION_FAILED', { executionReason: 'CANCELLED', message: 'Cancelled by user.' }),
      { lastAttemptResult: { termSignal: 9 } },
      { state: 'failed', kind: 'stopped' },
    ],
    [
      'cancelled, by count',
      { ...completed('CONDITION_FAILED'), cancelledCount: 1 },
      undefined,
      { state: 'failed', kind: 'stopped' },
    ],
    [
      'no image',
      completed('CONDITION_FAILED', { reason: 'CONTAINER_MISSING', message: 'x' }),
      undefined,
      { state: 'failed', kind: 'image-pull-failed' },
    ],
    [
      'no image, in words',
      completed('CONDITION_FAILED', { message: "Image 'acme/runner:9' not found." }),
      undefined,
      { state: 'failed', kind: 'image-pull-failed' },
    ],
    [
      'a quota, found late',
      completed('CONDITION_FAILED', { message: 'Quota violated: CpuAllocPerProjectRegion requested: 2 allowed: 1' }),
      undefined,
      { state: 'failed', kind: 'no-stock' },
    ],
    [
      'no machines, found late',
      completed('CONDITION_FAILED', { message: 'there is no available capacity in the region' }),
      undefined,
      { state: 'failed', kind: 'no-stock' },
    ],
    [
      'deleted by somebody',
      completed('CONDITION_FAILED', { executionReason: 'DELETED', message: 'x' }),
      undefined,
      { state: 'failed', kind: 'stopped' },
    ],
    [
      'a lack of permissions',
      completed('CONDITION_FAILED', { message: 'The service agent has insufficient permissions on the network' }),
      undefined,
      { state: 'failed', kind: 'unknown' },
    ],
    [
      'something else',
      completed('CONDITION_FAILED', { reason: 'INTERNAL', message: 'Internal error' }),
      undefined,
      { state: 'failed', kind: 'unknown' },
    ],
  ];
  for (const [what, more, task, expected] of table) {
    it(`reads "${what}" as ${expected.state}${expected.kind === undefined ? '' : `, ${expected.kind}`}`, () => {
      const execution = executionWith({ completionTime: done, ...more });
      const seen = sighting(execution);
      if (seen === undefined) throw new Error('unseen');
      const instance = instanceOf(execution, seen, task === undefined ? undefined : taskSchema.parse(task));
      expect({
        state: instance.state,
        ...(instance.reason === undefined ? {} : { kind: instance.reason.kind }),
        ...(instance.reason?.exitCode === undefined ? {} : { exitCode: instance.reason.exitCode }),
      }).to.deep.equal(expected);
    });
  }

  it('is gone only when it was deleted and has ended', () => {
    expect(isGone(executionWith({ deleteTime: done, completionTime: done }))).to.equal(true);
    expect(isGone(executionWith({ deleteTime: done }))).to.equal(false);
    expect(isGone(executionWith({ completionTime: done }))).to.equal(false);
    expect(isGone(executionWith({ deleteTime: { seconds: '0', nanos: 0 }, completionTime: done }))).to.equal(false);
  });

  it('was made at a time that compares as a text', () => {
    const time = fc.record({
      seconds: fc.integer({ min: 100, max: 4_000_000_000 }),
      nanos: fc.integer({ min: 0, max: 999_999_999 }),
    });
    fc.assert(
      fc.property(time, time, (a, b) => {
        const [one, other] = [a, b].map((createTime) => sighting(executionWith({ createTime }))?.createdAt ?? '');
        const earlier = a.seconds < b.seconds || (a.seconds === b.seconds && a.nanos < b.nanos);
        expect((one ?? '') < (other ?? '')).to.equal(earlier);
        expect(before(one ?? '', 2) < (one ?? '')).to.equal(true);
      }),
    );
  });
});

describe('gcp-cloud-run: errors', () => {
  const grpc = (code: number, details: string) => Object.assign(new Error(details), { code, details });
  const table: [number, string, ProviderErrorKind][] = [
    [3, 'Quota violated:\nCpuAllocPerProjectRegion requested: 60000 allowed: 20000', 'quota'],
    [3, 'MemAllocPerProjectRegion requested: 257698037760 allowed: 42949672960', 'quota'],
    [8, 'The maximum number of jobs (1000) in the region is reached.', 'quota'],
    [
      8,
      "Quota exceeded for quota metric 'Write requests' and limit 'Write requests per minute per region'",
      'throttled',
    ],
    [
      8,
      "Quota exceeded for quota metric 'Job run requests' and limit 'Job run requests per minute per region'",
      'throttled',
    ],
    [8, 'there is no available capacity in the region', 'capacity'],
    [14, 'resources are currently unavailable', 'capacity'],
    [3, 'Expected an image path like [host/]repo-path[:tag and/or @digest]', 'invalid'],
    [3, 'VPC network default was not found', 'invalid'],
    [5, 'Job x does not exist', 'invalid'],
    [3, 'Service account runner@p.iam.gserviceaccount.com does not exist.', 'unauthorized'],
    [7, "Permission 'iam.serviceaccounts.actAs' denied on service account x", 'unauthorized'],
    [7, 'Cloud Run Admin API has not been used in project 1 before or it is disabled.', 'unauthorized'],
    [9, 'This API method requires billing to be enabled.', 'unauthorized'],
    [9, 'Constraint constraints/run.allowedVPCEgress violated for projects/p.', 'unauthorized'],
    [9, 'Job x is not ready to be run.', 'transient'],
    [13, 'Internal error', 'transient'],
    [4, 'Deadline exceeded', 'transient'],
  ];
  for (const [code, details, kind] of table) {
    it(`${code} ${JSON.stringify(details)} is ${kind}`, () => {
      expect(classify('RunJob', grpc(code, details)).kind).to.equal(kind);
    });
  }

  const failures: [string | undefined, string, ProviderErrorKind][] = [
    ['CONTAINER_MISSING', "Image 'x' not found.", 'invalid'],
    ['CONTAINER_PERMISSION_DENIED', 'x', 'invalid'],
    ['CONTAINER_IMAGE_UNAUTHORIZED', 'x', 'invalid'],
    ['VPC_NETWORK_NOT_FOUND', 'x', 'invalid'],
    ['SECRETS_ACCESS_CHECK_FAILED', 'x', 'unauthorized'],
    ['ENCRYPTION_KEY_PERMISSION_DENIED', 'x', 'unauthorized'],
    ['INTERNAL', 'x', 'transient'],
    ['PROGRESS_DEADLINE_EXCEEDED', 'x', 'transient'],
    [undefined, 'Quota violated', 'quota'],
    ['UNKNOWN', 'x', 'transient'],
    ['INTERNAL', 'there is no available capacity in the region', 'capacity'],
    ['A_REASON_OF_THE_FUTURE', 'x', 'transient'],
    [undefined, "Image 'x' not found.", 'invalid'],
    [undefined, 'something else', 'transient'],
  ];
  for (const [reason, message, kind] of failures) {
    it(`a definition that fails with ${reason ?? `"${message}"`} is ${kind}`, () => {
      expect(jobFailure(reason, message).kind).to.equal(kind);
    });
  }

  it('know every reason that the API has for a definition', () => {
    const { UNKNOWN, ...reasons } = protos.google.cloud.run.v2.Condition.CommonReason;
    expect(UNKNOWN).to.equal(1);
    const names = Object.keys(reasons).filter((name) => name !== 'COMMON_REASON_UNDEFINED');
    expect(Object.keys(jobReasons).sort()).to.deep.equal([...names, 'UNKNOWN'].sort());
  });
});

describe('gcp-cloud-run: options', () => {
  const problems = (options: object): string => {
    const parsed = cloudRunOptions.safeParse({
      project: 'acme-runners',
      region: 'europe-west1',
      serviceAccount: 'r@p.iam.gserviceaccount.com',
      ...options,
    });
    return parsed.success
      ? ''
      : parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('\n');
  };

  it('are few', () => {
    expect(problems({})).to.equal('');
  });

  const refused: [string, object, RegExp][] = [
    ['an unknown key', { serviceAcount: 'x' }, /serviceAcount/],
    [
      'no identity for the runner',
      { serviceAccount: undefined },
      /serviceAccount: is missing: give the runner an account without roles/,
    ],
    ['a path in place of an account', { serviceAccount: 'runner' }, /e-mail/],
    ['a zone in place of a region', { region: 'europe-west1-b' }, /region/],
    ['an endpoint of somebody', { endpoint: 'https://evil.example' }, /googleapis/],
    [
      "the dispatcher's own token to this machine",
      { endpoint: 'http://127.0.0.1:1' },
      /credentials: application-default may only be sent to Google/,
    ],
    [
      'a network and a connector',
      { network: 'n', connector: 'c' },
      /connector: cannot be combined with network: give one of them, not both/,
    ],
    ['tags without a network', { networkTags: ['a'] }, /networkTags: requires a network/],
    ['a life beyond the service', { longestLifeHours: 169 }, /longestLifeHours/],
    ['a flag with its dashes', { bucketMountOptions: ['--uid=1'] }, /without its dashes/],
  ];
  for (const [what, options, message] of refused) {
    it(`refuse ${what}`, () => {
      expect(problems(options)).to.match(message);
    });
  }
});
