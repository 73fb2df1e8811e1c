import { expect } from 'chai';
import { readJob, readTaskEvents, taskGroupOf, toInstance } from '../../../providers/gcp-batch/state.ts';
import { toLabels } from '../../../providers/gcp-batch/tags.ts';
import { type Instance, ProviderError } from '../../../providers/provider.ts';
import { plainTags } from './requests.ts';

const CREATED_S = 1_790_000_000;
const NAME = 'projects/acme-ci/locations/europe-west4/jobs/fixture-0001';

const jobOf = (state: string | number | undefined, events: readonly string[] = [], more: object = {}): object => ({
  name: NAME,
  uid: 'j-1',
  labels: toLabels(plainTags),
  createTime: { seconds: String(CREATED_S), nanos: 0 },
  status: { state, statusEvents: events.map((description) => ({ description })) },
  ...more,
});

function instance(job: object, waitedS = 5, tasks: readonly object[] = []): Instance | undefined {
  return toInstance(readJob('gcp-batch GetJob', job), {
    nowMs: (CREATED_S + waitedS) * 1000,
    queueTimeoutMs: 540_000,
    stockoutGraceMs: 60_000,
    taskEvents: readTaskEvents(tasks),
  });
}

function said(found: Instance | undefined): string {
  const { state, reason } = found ?? {};
  return [state, reason?.kind, reason?.exitCode].filter((part) => part !== undefined).join(' ');
}

const task = (exitCode: number, description = ''): object => ({
  status: { state: 'FAILED', statusEvents: [{ description, taskExecution: { exitCode } }] },
});

/** As the service words them; collected from public reports of users. */
const STOCK =
  "VM in Managed Instance Group meets error: Batch Error: code - CODE_GCE_ZONE_RESOURCE_POOL_EXHAUSTED, description - error count is 1, latest message example: Instance 'x' creation failed: The zone 'y' does not have enough resources available to fulfill the request.";
const QUOTA =
  "VM in Managed Instance Group meets error: Batch Error: code - CODE_GCE_QUOTA_EXCEEDED, description - error count is 4, latest message example: Instance 'x' creation failed: Quota 'GPUS_PER_GPU_FAMILY' exceeded.  Limit: 0.0 in region y.";
const INVALID =
  "Job gets non-retryable information Batch Error: code - CODE_GCE_INVALID_FIELD_VALUE, description - Invalid value for field 'operation': ''.";
const FAILED = (code: number): string =>
  `Job state is set from RUNNING to FAILED for job ${NAME}.Job failed due to task failure. Specifically, task with index 0 failed due to the following task event: "Task state is updated from RUNNING to FAILED on zones/us-central1-b/instances/8098872438472929780 with exit code ${code}."`;

describe('gcp-batch states', () => {
  const table: readonly [string, object, number, string][] = [
    ['a job without a state', jobOf(undefined), 5, 'pending'],
    ['a queued job', jobOf('QUEUED'), 5, 'pending'],
    ['a scheduled job', jobOf('SCHEDULED'), 500, 'pending'],
    ['a job queued for longer than the queue timeout', jobOf('QUEUED'), 541, 'failed no-stock'],
    ['a job scheduled for longer than the queue timeout', jobOf('SCHEDULED'), 541, 'failed no-stock'],
    ['a zone that was just found exhausted', jobOf('SCHEDULED', [STOCK]), 59, 'pending no-stock'],
    ['a zone that stays exhausted', jobOf('SCHEDULED', [STOCK]), 61, 'failed no-stock'],
    ['a quota that is reached', jobOf('QUEUED', [QUOTA]), 59, 'pending no-stock'],
    ['a quota that stays reached', jobOf('QUEUED', [QUOTA]), 61, 'failed no-stock'],
    ['a running job', jobOf('RUNNING', [STOCK]), 10_000, 'running'],
    ['a job that ended well', jobOf('SUCCEEDED'), 5, 'succeeded exited 0'],
    ['a cancelled job', jobOf('CANCELLED'), 5, 'failed stopped'],
    ['a job that is being cancelled', jobOf('CANCELLATION_IN_PROGRESS'), 5, 'failed stopped'],
    ['a job that is being deleted', jobOf('DELETION_IN_PROGRESS'), 5, 'failed stopped'],
    ['a state of a later version', jobOf(99), 5, 'unknown'],
    ['a state with a new name', jobOf('DREAMING'), 5, 'unknown'],
    ['a failure of the container', jobOf('FAILED', [FAILED(3)]), 5, 'failed exited 3'],
    ['a program that is not in the image', jobOf('FAILED', [FAILED(127)]), 5, 'failed exited 127'],
    ['a container ended by SIGTERM', jobOf('FAILED', [FAILED(143)]), 5, 'failed exited 143'],
    ['an image that cannot be pulled', jobOf('FAILED', [FAILED(125)]), 5, 'failed image-pull-failed 125'],
    ['a container that was killed', jobOf('FAILED', [FAILED(137)]), 5, 'failed out-of-memory 137'],
    ['an unexplained failure of Batch', jobOf('FAILED', [FAILED(50_000)]), 5, 'failed unknown'],
    ['a spot machine reclaimed', jobOf('FAILED', [FAILED(50_001)]), 5, 'failed spot-reclaimed'],
    ['a machine that went silent', jobOf('FAILED', [FAILED(50_002)]), 5, 'failed unknown'],
    ['a machine that was rebooted', jobOf('FAILED', [FAILED(50_003)]), 5, 'failed unknown'],
    ['a machine that hangs', jobOf('FAILED', [FAILED(50_004)]), 5, 'failed unknown'],
    ['a task beyond its time', jobOf('FAILED', [FAILED(50_005)]), 5, 'failed time-limit'],
    ['a machine that was made anew', jobOf('FAILED', [FAILED(50_006)]), 5, 'failed unknown'],
    ['a failure before there was a machine', jobOf('FAILED', [INVALID]), 5, 'failed unknown'],
    ['two days in the queue', jobOf('FAILED', [STOCK, 'Job state is set from QUEUED to FAILED']), 5, 'failed no-stock'],
    ['a failure without a word', jobOf('FAILED'), 5, 'failed unknown'],
  ];
  for (const [what, job, waitedS, expected] of table) {
    it(`reads ${what} as ${expected}`, () => {
      expect(said(instance(job, waitedS))).to.equal(expected);
    });
  }

  it('keeps the words of the service', () => {
    expect(instance(jobOf('SCHEDULED', [QUOTA, 'later']), 61)?.reason?.message).to.equal(`${QUOTA} (after 61 s)`);
    const changed = `Job state is set from SCHEDULED to FAILED for job ${NAME}.`;
    expect(instance(jobOf('FAILED', [INVALID, changed]))?.reason?.message).to.equal(INVALID);
    expect(instance(jobOf('FAILED', [changed]))?.reason?.message).to.equal(changed);
  });

  it('counts the grace from the first time that Batch said so, and not from the creation', () => {
    const saidAfter = (...seconds: number[]): object =>
      jobOf('SCHEDULED', [], {
        status: {
          state: 'SCHEDULED',
          statusEvents: seconds.map((after) => ({
            description: STOCK,
            eventTime: { seconds: String(CREATED_S + after), nanos: 0 },
          })),
        },
      });
    expect(said(instance(saidAfter(200), 259))).to.equal('pending no-stock');
    expect(said(instance(saidAfter(200), 261))).to.equal('failed no-stock');
    expect(said(instance(saidAfter(200, 250), 261)), 'said again').to.equal('failed no-stock');
    expect(said(instance(saidAfter(500), 541)), 'the queue timeout holds as well').to.equal('failed no-stock');
    expect(instance(saidAfter(200), 261)?.reason?.message).to.match(/\(after 261 s\)$/);
  });

  it('does not take what failed while it ran for a lack of stock, though there was one before', () => {
    const ran = `Job state is set from SCHEDULED to RUNNING for job ${NAME}.`;
    const failed = `Job state is set from RUNNING to FAILED for job ${NAME}.`;
    expect(said(instance(jobOf('FAILED', [STOCK, ran, failed])))).to.equal('failed unknown');
    expect(said(instance(jobOf('FAILED', [STOCK])))).to.equal('failed no-stock');
  });

  it('takes the exit code of the task where there is one', () => {
    expect(said(instance(jobOf('FAILED', ['Job failed due to task failure.']), 5, [task(3)]))).to.equal(
      'failed exited 3',
    );
    expect(said(instance(jobOf('FAILED', []), 5, [task(50_001, 'preempted')]))).to.equal('failed spot-reclaimed');
  });

  it('reads no task that it does not understand, and still tells what the job says', () => {
    expect(said(instance(jobOf('FAILED', [FAILED(3)]), 5, [{ status: 'odd' }, {}]))).to.equal('failed exited 3');
  });

  it('finds the tasks by the name that the service gave the group', () => {
    const group = `${NAME}/taskGroups/one`;
    expect(taskGroupOf(readJob('x', jobOf('FAILED', [], { taskGroups: [{ name: group }] })))).to.equal(group);
    expect(taskGroupOf(readJob('x', jobOf('FAILED')))).to.equal(`${NAME}/taskGroups/group0`);
  });

  it('is silent about a job that is not ours, or has the labels of another', () => {
    expect(instance(jobOf('RUNNING', [], { labels: {} }))).to.equal(undefined);
    expect(instance(jobOf('RUNNING', [], { labels: null }))).to.equal(undefined);
    expect(instance(jobOf('RUNNING', [], { name: `${NAME}x` }))).to.equal(undefined);
  });

  it('knows a runner by its name when the name begins with a digit', () => {
    const labels = toLabels({ ...plainTags, runner: '4711-0001' });
    const job = jobOf('RUNNING', [], { labels, name: NAME.replace('fixture-0001', 'r-4711-0001') });
    expect(instance(job)?.ref).to.deep.equal({ name: '4711-0001', id: 'j-1' });
  });

  it('never takes what it cannot read for an answer', () => {
    for (const odd of [undefined, null, 'job', {}, { name: NAME }, jobOf('RUNNING', [], { uid: '' })]) {
      expect(() => readJob('gcp-batch GetJob', odd))
        .to.throw(ProviderError, /cannot be read/)
        .with.property('kind', 'transient');
    }
  });
});
