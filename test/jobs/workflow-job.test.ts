import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Ajv } from 'ajv';
import formats from 'ajv-formats';
import { expect } from 'chai';
import fc from 'fast-check';
import { z } from 'zod';
import {
  factFromEvent,
  factFromRestJob,
  restJobSchema,
  workflowJobEventSchema,
} from '../../dispatcher/jobs/workflow-job.ts';
import { workflowJobExamples } from '../intake/examples.ts';

const specification = new URL('../../../shared/specs/github-rest-actions-runners.openapi.json', import.meta.url);

const openApi = z.object({
  components: z.object({ schemas: z.record(z.string(), z.record(z.string(), z.unknown())) }),
});

/** OpenAPI 3.0 says `nullable` where JSON Schema has a list of types; `int64` and the like say nothing to Ajv. */
function toJsonSchema(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(toJsonSchema);
  if (typeof schema !== 'object' || schema === null) return schema;
  const { nullable, example: _, ...rest } = z.looseObject({ nullable: z.boolean().optional() }).parse(schema);
  const turned = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, toJsonSchema(value)]));
  if (nullable !== true) return turned;
  return { anyOf: [{ type: 'null' }, turned] };
}

function ajv() {
  const validator = new Ajv({ strict: false });
  formats.default(validator);
  return validator;
}

const context = {
  host: 'github.com',
  owner: 'acme',
  repository: 'web',
  repositoryId: 31,
  visibility: 'private',
  source: 'poll',
  toldBy: 'acme',
  observedAtMs: 1_700_000_000_000,
} as const;

/** Any job that the two schemas allow, and our limits do not forbid. */
const time = fc
  .date({ min: new Date('2015-01-01'), max: new Date('2100-01-01'), noInvalidDate: true })
  .map((date) => `${date.toISOString().slice(0, 19)}Z`);
const word = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }).filter((text) => !text.includes('\0'));
const positive = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const anyJob = fc.record({
  id: positive,
  run_id: positive,
  run_url: fc.constant('https://api.github.com/repos/acme/web/actions/runs/5'),
  run_attempt: fc.integer({ min: 1, max: 100 }),
  node_id: word,
  head_sha: fc.constant('009b8a3a9ccbb128af87f9b1c0f4c62e8a304f6d'),
  url: fc.constant('https://api.github.com/repos/acme/web/actions/jobs/21'),
  html_url: fc.constant('https://github.com/acme/web/runs/4'),
  status: fc.constantFrom('queued', 'in_progress', 'completed', 'waiting'),
  conclusion: fc.constantFrom('success', 'failure', 'cancelled', 'skipped', null),
  created_at: time,
  started_at: time,
  completed_at: fc.option(time),
  name: word,
  steps: fc.constant([]),
  check_run_url: fc.constant('https://api.github.com/repos/acme/web/check-runs/4'),
  labels: fc.array(word, { maxLength: 20 }),
  runner_id: fc.option(positive),
  runner_name: fc.option(word),
  runner_group_id: fc.option(positive),
  runner_group_name: fc.option(word),
  workflow_name: fc.option(word),
  head_branch: fc.option(word),
});

describe('a workflow job', () => {
  it('of the REST API is taken in every form that GitHub’s own description allows', function () {
    if (!existsSync(specification)) {
      if (process.env['REQUIRE_DESCRIPTIONS'] === '1')
        throw new Error('../shared/specs is needed where REQUIRE_DESCRIPTIONS=1');
      console.error('      ../shared/specs is not there: not compared with GitHub’s description');
      this.skip();
    }
    const { components } = openApi.parse(JSON.parse(readFileSync(specification, 'utf8')));
    const schema = toJsonSchema(components.schemas['job']);
    if (typeof schema !== 'object' || schema === null) throw new Error('the description has no job');
    const isJob = ajv().compile(schema);
    fc.assert(
      fc.property(anyJob, (job) => {
        // First that the generator keeps to GitHub's description, then that we take it.
        if (!isJob(job)) throw new Error(JSON.stringify(isJob.errors));
        const fact = factFromRestJob(restJobSchema.parse(job), context);
        expect(fact).to.include({
          ...{ host: 'github.com', owner: 'acme', repository: 'web', visibility: 'private', source: 'poll' },
          jobId: job.id,
          runId: job.run_id,
          runAttempt: job.run_attempt,
          status: job.status,
          runnerId: job.runner_id,
          runnerName: job.runner_name,
          runnerGroup: job.runner_group_name,
          createdAtMs: new Date(job.created_at).getTime(),
          observedAtMs: context.observedAtMs,
        });
        expect(fact.labels).to.deep.equal(job.labels);
      }),
      { numRuns: 300 },
    );
  });

  it('of the REST API carries everything that a fact needs by GitHub’s list of required fields', function () {
    if (!existsSync(specification)) {
      if (process.env['REQUIRE_DESCRIPTIONS'] === '1')
        throw new Error('../shared/specs is needed where REQUIRE_DESCRIPTIONS=1');
      this.skip();
    }
    const { components } = openApi.parse(JSON.parse(readFileSync(specification, 'utf8')));
    const required = z.object({ required: z.array(z.string()) }).parse(components.schemas['job']).required;
    // The API promises all but run_attempt, which is 1 where it is missing.
    const needed = Object.keys(restJobSchema.shape).filter((field) => field !== 'run_attempt');
    expect(required).to.include.members(needed);
  });

  it('of a webhook is taken in every form that GitHub’s webhook schemas allow', () => {
    const path = createRequire(import.meta.url).resolve('@octokit/webhooks-schemas/schema.json');
    const validator = ajv();
    validator.addSchema(JSON.parse(readFileSync(path, 'utf8')), 'webhooks');
    const isJob = validator.getSchema('webhooks#/definitions/workflow-job');
    if (isJob === undefined) throw new Error('the schemas hold no workflow-job');
    const [example] = workflowJobExamples().slice(5);
    fc.assert(
      fc.property(anyJob, (job) => {
        if (!isJob(job)) throw new Error(JSON.stringify(isJob.errors));
        const event = workflowJobEventSchema.parse({ ...example, workflow_job: job });
        const fact = factFromEvent(event, { host: 'github.com', toldBy: null, observedAtMs: 1 });
        expect(fact).to.include({ jobId: job.id, status: job.status, conclusion: job.conclusion, source: 'webhook' });
      }),
      { numRuns: 300 },
    );
  });

  it('reads the example of GitHub’s webhook schemas that each event’s own schema accepts', () => {
    const path = createRequire(import.meta.url).resolve('@octokit/webhooks-schemas/schema.json');
    const validator = ajv();
    validator.addSchema(JSON.parse(readFileSync(path, 'utf8')), 'webhooks');
    const isEvent = validator.getSchema('webhooks#/definitions/workflow_job_event');
    if (isEvent === undefined) throw new Error('the schemas hold no workflow_job_event');
    const accepted = workflowJobExamples().filter((example) => isEvent(example));
    // Some of the examples are older than the schema, or carry a deployment that it does not describe.
    expect(accepted.length).to.be.greaterThan(0);
    for (const example of workflowJobExamples()) {
      expect(workflowJobEventSchema.safeParse(example).success).to.equal(true);
    }
  });

  it('has the runner that GitHub gave it, and none for 0 and an empty name', () => {
    const [job] = fc.sample(anyJob, 1);
    const none = restJobSchema.parse({ ...job, runner_id: 0, runner_name: '' });
    expect(factFromRestJob(none, context)).to.include({ runnerId: null, runnerName: null });
    const some = restJobSchema.parse({ ...job, runner_id: 7, runner_name: 'shr-01' });
    expect(factFromRestJob(some, { ...context, source: 'read' })).to.include({
      runnerId: 7,
      runnerName: 'shr-01',
      source: 'read',
    });
  });

  it('has times with any offset', () => {
    const [job] = fc.sample(anyJob, 1);
    const parsed = restJobSchema.parse({ ...job, created_at: '2019-08-08T08:00:00-07:00' });
    expect(factFromRestJob(parsed, context).createdAtMs).to.equal(Date.UTC(2019, 7, 8, 15));
  });

  // J4: polls and reads as well as deliveries.
  it('is refused for its identity, status or labels alone, whatever its other fields hold', () => {
    const shown = [
      ...(['run_attempt', 'name', 'workflow_name', 'head_sha', 'html_url', 'conclusion', 'runner_id'] as const),
      ...(['runner_name', 'created_at', 'started_at', 'completed_at', 'steps', 'node_id', 'unheard_of'] as const),
    ];
    const [sample] = fc.sample(anyJob, 1);
    const odd = fc.dictionary(fc.constantFrom(...shown), fc.oneof(fc.anything(), fc.string({ unit: 'binary' })));
    fc.assert(
      fc.property(odd, (fields) => {
        const parsed = restJobSchema.safeParse({ ...sample, ...fields });
        if (!parsed.success) throw parsed.error;
        const fact = factFromRestJob(parsed.data, context);
        expect(fact).to.include({ jobId: sample?.id, runId: sample?.run_id, status: sample?.status });
        expect(fact.jobName.length).to.be.at.most(250);
        expect(JSON.stringify(fact)).not.to.match(/\\u0000|\\ud[89a-f]/);
        for (const time of [fact.createdAtMs, fact.startedAtMs, fact.completedAtMs]) {
          expect(time === null || Number.isSafeInteger(time)).to.equal(true);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it('has labels of 8,192 characters together at most, where a null counts as none', () => {
    const labels = Array.from({ length: 16 }, (_, index) => `${index}-`.padEnd(512, 'x'));
    const job = (given: readonly unknown[]) =>
      restJobSchema.safeParse({ id: 1, run_id: 1, status: 'queued', labels: given }).success;
    expect(job([...labels, null, null])).to.equal(true);
    expect(job([...labels, 'x'])).to.equal(false);
  });

  it('of the REST API has a status that we know, or is left out by its reader', () => {
    const [job] = fc.sample(anyJob, 1);
    expect(restJobSchema.safeParse({ ...job, status: 'hibernating' }).success).to.equal(false);
  });
});
