import { expect } from 'chai';
import { allExamples, workflowJobExamples } from './examples.ts';
import { exampleBody, type Fixture, openFixture } from './intake-fixture.ts';

/** What each of the eight must leave behind, written down by hand. */
const outcomes = [
  {
    action: 'in_progress',
    fact: {
      jobId: 2832853555,
      runId: 940463255,
      runAttempt: 1,
      owner: 'octo-org',
      repository: 'example-workflow',
      repositoryId: 376034443,
      visibility: 'private',
      jobName: 'Test workflow',
      workflowName: null,
      headBranch: null,
      headSha: 'e3103f8eb03e1ad7f2331c5446b23c070fc54055',
      htmlUrl: 'https://github.com/octo-org/example-workflow/runs/2832853555',
      labels: ['gpu', 'db-app', 'dc-03'],
      status: 'in_progress',
      conclusion: null,
      runnerId: 1,
      runnerName: 'my runner',
      runnerGroup: 'my runner group',
      createdAtMs: null,
      startedAtMs: Date.UTC(2021, 5, 15, 19, 22, 27),
      completedAtMs: null,
    },
  },
  { action: 'completed', fact: { ...codeQl(), status: 'completed', conclusion: 'failure', ...ranInAugust() } },
  { action: 'completed', fact: { ...codeQl(), status: 'completed', conclusion: 'success', ...ranInAugust() } },
  { action: 'in_progress', fact: { ...codeQl(), status: 'in_progress', jobName: 'Analyze (javascript)' } },
  {
    action: 'in_progress',
    fact: {
      jobId: 14541957942,
      runId: 5373506832,
      runAttempt: 1,
      owner: 'wolfy1339',
      repository: 'github-events-schemas',
      repositoryId: 445650657,
      visibility: 'public',
      jobName: 'Do examples need to be regenerated?',
      workflowName: 'Test',
      headBranch: 'renovate/got-13.x',
      headSha: 'eeeb91cc89453bff9ce51f450d8badd4eb41ae8b',
      htmlUrl: 'https://github.com/wolfy1339/github-events-schemas/actions/runs/5373506832/jobs/9747952373',
      labels: ['ubuntu-latest'],
      status: 'in_progress',
      conclusion: null,
      runnerId: 6,
      runnerName: 'GitHub Actions 6',
      runnerGroup: 'GitHub Actions',
      createdAtMs: Date.UTC(2023, 5, 26, 3, 31, 29),
      startedAtMs: Date.UTC(2023, 5, 26, 3, 31, 36),
      completedAtMs: null,
    },
  },
  { action: 'queued', fact: { ...codeQl(), status: 'queued', jobName: 'update' } },
  // The action says queued, the job waits for an environment's gate: it is no demand.
  { action: 'queued', fact: { ...gated(), status: 'waiting' } },
  { action: 'waiting', fact: { ...gated(), status: 'waiting' } },
] as const;

function codeQl() {
  return {
    jobId: 289782451,
    runId: 2202229078,
    runAttempt: 1,
    owner: 'Codertocat',
    repository: 'Hello-World',
    repositoryId: 186853002,
    visibility: 'public',
    jobName: 'linters',
    workflowName: 'CodeQL',
    headBranch: 'main',
    headSha: '3484a3fb816e0859fd6e1cea078d76385ff50625',
    htmlUrl: 'https://github.com/octo-org/octo-repo/runs/1291536064',
    labels: ['ubuntu-latest'],
    conclusion: null,
    runnerId: 5,
    runnerName: 'GitHub Actions 5',
    runnerGroup: 'GitHub Actions',
    createdAtMs: Date.UTC(2021, 8, 13, 2, 21, 13),
    startedAtMs: Date.UTC(2021, 8, 13, 2, 21, 13),
    completedAtMs: null,
  } as const;
}

function ranInAugust() {
  return {
    createdAtMs: Date.UTC(2021, 7, 5, 10, 33, 58),
    startedAtMs: Date.UTC(2021, 7, 5, 10, 34, 58),
    completedAtMs: Date.UTC(2021, 7, 5, 10, 38, 16),
  } as const;
}

function gated() {
  return {
    jobId: 12877621891,
    runId: 4747967848,
    runAttempt: 1,
    owner: 'lineville',
    repository: 'elastic-machines-testing',
    repositoryId: 591427149,
    visibility: 'public',
    jobName: 'test',
    workflowName: 'Env Test',
    headBranch: 'main',
    headSha: '16c5286e8d9a0629956a28938386b36608707a71',
    htmlUrl: 'https://github.com/lineville/elastic-machines-testing/actions/runs/4747967848/jobs/8433573014',
    labels: ['self-hosted', 'k8s'],
    conclusion: null,
    runnerId: null,
    runnerName: null,
    runnerGroup: null,
    createdAtMs: Date.UTC(2023, 3, 19, 21, 12, 12),
    startedAtMs: Date.UTC(2023, 3, 19, 21, 12, 12),
    completedAtMs: null,
  } as const;
}

/** The queued example, with changes by path (`workflow_job.name`); undefined removes. */
function changed(changes: Readonly<Record<string, unknown>>): string {
  const body: unknown = JSON.parse(exampleBody(5));
  for (const [path, value] of Object.entries(changes)) {
    const steps = path.split('.');
    const last = steps.pop() ?? '';
    let place: unknown = body;
    for (const step of steps) place = typeof place === 'object' && place ? Reflect.get(place, step) : undefined;
    if (typeof place !== 'object' || place === null) throw new Error(`no such place: ${path}`);
    if (value === undefined) Reflect.deleteProperty(place, last);
    else Reflect.set(place, last, value);
  }
  return JSON.stringify(body);
}

describe('the payload of a webhook', () => {
  let fixture: Fixture;

  beforeEach(async () => {
    fixture = await openFixture();
  });
  afterEach(() => fixture.close());

  const fact = () => fixture.recorder.recorded[0]?.fact;

  it('has eight examples of workflow_job, no more and no fewer', () => {
    expect(workflowJobExamples()).to.have.length(outcomes.length).and.to.have.length(8);
  });

  for (const [index, expected] of outcomes.entries()) {
    it(`becomes a fact: example ${index + 1} of 8, ${expected.action} with status ${expected.fact.status}`, async () => {
      const before = Date.now();
      const reply = await fixture.send({ body: exampleBody(index) });
      expect([reply.status, reply.outcome]).to.deep.equal([202, 'recorded']);
      const [written, ...others] = fixture.recorder.recorded;
      expect(others).to.deep.equal([]);
      expect(written?.delivery.action).to.equal(expected.action);
      expect(written?.delivery.event).to.equal('workflow_job');
      expect(written?.fact).to.deep.equal({
        ...expected.fact,
        host: 'github.com',
        source: 'webhook',
        toldBy: null,
        observedAtMs: written?.delivery.receivedAtMs,
      });
      expect(written?.delivery.receivedAtMs).to.be.within(before, Date.now());
    });
  }

  it('is of no interest for every other event that GitHub has: 2xx, a word why, nothing written', async () => {
    const others = allExamples().filter((event) => event.name !== 'workflow_job' && event.name !== 'ping');
    expect(others.length).to.be.greaterThan(50);
    for (const event of others) {
      const reply = await fixture.send({
        body: JSON.stringify(event.examples[0]),
        headers: { 'x-github-event': event.name },
      });
      expect([event.name, reply.status, reply.outcome]).to.deep.equal([event.name, 200, 'not-ours']);
      expect(reply.message).to.contain(event.name);
    }
    expect(fixture.recorder.batches).to.deep.equal([]);
  });

  it('of ping is answered: the secret is right', async () => {
    const ping = allExamples().find((event) => event.name === 'ping');
    const reply = await fixture.send({
      body: JSON.stringify(ping?.examples[0]),
      headers: { 'x-github-event': 'ping' },
    });
    expect([reply.status, reply.outcome]).to.deep.equal([200, 'ping']);
    expect(fixture.recorder.batches).to.deep.equal([]);
  });

  it('is recorded once, however often it comes', async () => {
    const headers = { 'x-github-delivery': 'd0c3a1f0-0000-11ee-8000-000000000001' };
    const replies = await Promise.all([0, 1, 2, 3].map(() => fixture.send({ headers })));
    expect(replies.map((reply) => reply.status).sort()).to.deep.equal([200, 200, 200, 202]);
    expect(replies.map((reply) => reply.outcome).sort()).to.deep.equal([
      'duplicate',
      'duplicate',
      'duplicate',
      'recorded',
    ]);
    expect(fixture.recorder.recorded).to.have.length(1);
  });

  it('wakes the engine after something was recorded, and not for a double', async () => {
    const headers = { 'x-github-delivery': 'd0c3a1f0-0000-11ee-8000-000000000002' };
    await fixture.send({ headers });
    expect(fixture.wakes()).to.equal(1);
    await fixture.send({ headers });
    expect(fixture.wakes()).to.equal(1);
  });

  for (const status of ['pending', 'requested']) {
    it(`may say ${status}`, async () => {
      await fixture.send({ body: changed({ 'workflow_job.status': status }) });
      expect(fact()?.status).to.equal(status);
    });
  }

  it('with a status of the future is answered 2xx, logged, and not written', async () => {
    const reply = await fixture.send({ body: changed({ 'workflow_job.status': 'hibernating' }) });
    expect([reply.status, reply.outcome]).to.deep.equal([200, 'unknown-status']);
    expect(fixture.recorder.batches).to.deep.equal([]);
    expect(fixture.log.lines.some((line) => line.event === 'intake.unknown-status')).to.equal(true);
  });

  it('of a job that was cancelled without a runner has 0 and an empty name, which mean none', async () => {
    await fixture.send({
      body: changed({
        'workflow_job.status': 'completed',
        'workflow_job.conclusion': 'cancelled',
        'workflow_job.runner_id': 0,
        'workflow_job.runner_name': '',
      }),
    });
    expect(fact()).to.include({ status: 'completed', conclusion: 'cancelled', runnerId: null, runnerName: null });
  });

  for (const [changes, visibility] of [
    [{ 'repository.visibility': 'internal' }, 'internal'],
    [{ 'repository.visibility': undefined, 'repository.private': true }, 'private'],
    [{ 'repository.visibility': undefined, 'repository.private': false }, 'public'],
    [{ 'repository.visibility': 'galactic', 'repository.private': true }, 'private'],
    [{ 'repository.visibility': undefined, 'repository.private': undefined }, undefined],
  ] as const) {
    it(`is of a repository that is ${visibility}: ${JSON.stringify(changes)}`, async () => {
      await fixture.send({ body: changed(changes) });
      expect(fact()?.visibility).to.equal(visibility);
    });
  }

  for (const [path, value] of [
    ['workflow_job', undefined],
    ['workflow_job.id', '289782451'],
    ['workflow_job.id', 0],
    ['workflow_job.id', 2 ** 60],
    ['workflow_job.id', 1.5],
    ['workflow_job.run_id', null],
    ['workflow_job.labels', 'ubuntu-latest'],
    ['workflow_job.labels', Array.from({ length: 201 }, (_, label) => `l${label}`)],
    ['workflow_job.status', null],
    ['workflow_job.status', ''],
    ['repository', []],
    ['repository.full_name', 'Codertocat'],
    ['repository.full_name', 'Codertocat/..'],
    ['repository.full_name', 'a/b/c'],
  ] as const) {
    const shown = JSON.stringify(value)?.slice(0, 30) ?? 'missing';
    it(`is refused with the field's path when ${path} is ${shown}`, async () => {
      const reply = await fixture.send({ body: changed({ [path]: value }) });
      expect([reply.status, reply.outcome]).to.deep.equal([400, 'malformed']);
      expect(reply.message).to.match(new RegExp(`^${path.replace('.', '\\.')}(\\.|: )`));
      expect(fixture.recorder.batches).to.deep.equal([]);
      const [line, ...more] = fixture.log.lines.filter(({ event }) => event === 'intake.malformed');
      expect(line?.fields).to.include({ reason: reply.message });
      expect(more).to.deep.equal([]);
    });
  }

  it('fills no log, however many of them come', async () => {
    for (let count = 1; count <= 20; count += 1) await fixture.send({ body: changed({ repository: [] }) });
    expect(fixture.log.lines.filter(({ level }) => level === 'warn')).to.have.length(1);
  });

  // J4
  for (const [path, value, kept] of [
    ['workflow_job.run_attempt', null, { runAttempt: 1 }],
    ['workflow_job.run_attempt', 0, { runAttempt: 1 }],
    ['workflow_job.name', undefined, { jobName: '' }],
    ['workflow_job.name', ['a'], { jobName: '' }],
    ['workflow_job.name', 'a\0b', { jobName: 'a\ufffdb' }],
    ['workflow_job.name', 'x'.repeat(250), { jobName: 'x'.repeat(250) }],
    // 11b
    ['workflow_job.name', `build (${'x'.repeat(3_000)})`, { jobName: `build (${'x'.repeat(243)}` }],
    ['workflow_job.name', `${'x'.repeat(249)}🦀 and more`, { jobName: 'x'.repeat(249) }],
    ['workflow_job.name', `${'x'.repeat(248)}🦀 and more`, { jobName: `${'x'.repeat(248)}🦀` }],
    ['workflow_job.name', 'half \ud83e', { jobName: 'half \ufffd' }],
    ['workflow_job.workflow_name', 'x'.repeat(3_000), { workflowName: 'x'.repeat(250) }],
    ['workflow_job.head_branch', 'main', { headBranch: 'main' }],
    ['workflow_job.head_branch', 'x'.repeat(256), { headBranch: null }],
    ['workflow_job.head_sha', '', { headSha: '' }],
    ['workflow_job.head_sha', null, { headSha: '' }],
    ['workflow_job.html_url', '', { htmlUrl: null }],
    ['workflow_job.html_url', 'javascript:alert(1)', { htmlUrl: null }],
    ['workflow_job.html_url', `https://github.com/${'x'.repeat(2_000)}`, { htmlUrl: null }],
    ['workflow_job.conclusion', 7, { conclusion: null }],
    ['workflow_job.runner_id', -1, { runnerId: null }],
    ['workflow_job.runner_id', '5', { runnerId: null }],
    ['workflow_job.runner_name', 7, { runnerName: null }],
    ['workflow_job.runner_name', 'x'.repeat(257), { runnerName: null }],
    ['workflow_job.created_at', '', { createdAtMs: null }],
    ['workflow_job.created_at', 'yesterday', { createdAtMs: null }],
    ['workflow_job.created_at', '2021-13-45T00:00:00Z', { createdAtMs: null }],
    // The zero of Go's time, which would be older than any limit.
    ['workflow_job.created_at', '0001-01-01T00:00:00Z', { createdAtMs: null }],
    ['workflow_job.completed_at', 1_628_159_896, { completedAtMs: null }],
    ['repository.private', 'yes', { visibility: 'public' }],
    ['repository.visibility', 7, { visibility: 'public' }],
    ['action', 1, {}],
  ] as const) {
    const shown = JSON.stringify(value)?.slice(0, 30) ?? 'missing';
    it(`is recorded, whatever is only shown: ${path} is ${shown}`, async () => {
      const reply = await fixture.send({ body: changed({ [path]: value }) });
      expect([reply.status, reply.outcome]).to.deep.equal([202, 'recorded']);
      expect(fact()).to.include({ status: 'queued', jobId: 289782451, runId: 2202229078, ...kept });
    });
  }

  it('counts each field that was cut or left out, and none that is as GitHub describes it', async () => {
    await fixture.send({});
    expect([...fixture.counts.mendings]).to.deep.equal([]);
    await fixture.send({
      body: changed({ 'workflow_job.name': 'x'.repeat(251), 'workflow_job.runner_id': -1, action: 1 }),
    });
    expect(Object.fromEntries(fixture.counts.mendings)).to.deep.equal({ name: 1, runner_id: 1, action: 1 });
  });

  // J4: a redelivery would bring the same null, for days.
  it('that carries null for a job is answered 2xx, logged, and not written', async () => {
    const reply = await fixture.send({ body: changed({ workflow_job: null }) });
    expect([reply.status, reply.outcome]).to.deep.equal([200, 'no-job']);
    expect(fixture.recorder.batches).to.deep.equal([]);
    expect(fixture.log.lines.filter((line) => line.event === 'intake.no-job')).to.have.length(1);
  });

  // T10
  it('has labels up to 512 characters, 200 of them, and 8,192 characters together, and not one more', async () => {
    const many = Array.from({ length: 200 }, (_, index) => `${index}-`.padEnd(40, 'x'));
    const long = Array.from({ length: 16 }, (_, index) => `${index}-`.padEnd(512, 'x'));
    for (const [index, labels] of [many, long].entries()) {
      const headers = { 'x-github-delivery': `labels-${index}` };
      expect((await fixture.send({ body: changed({ 'workflow_job.labels': labels }), headers })).status).to.equal(202);
      expect(fixture.recorder.recorded.at(-1)?.fact?.labels).to.deep.equal(labels);
    }
    for (const labels of [[...many, 'more'], ['x'.repeat(513)], [...long, 'x']]) {
      expect((await fixture.send({ body: changed({ 'workflow_job.labels': labels }) })).status).to.equal(400);
    }
  });

  it('is refused with the place of a label that holds NUL', async () => {
    const reply = await fixture.send({ body: changed({ 'workflow_job.labels': ['a', 'b\0'] }) });
    expect(reply.status).to.equal(400);
    expect(reply.message).to.equal('workflow_job.labels.1: must have 0 to 512 characters, none NUL');
  });

  for (const [what, body] of [
    ['empty', ''],
    ['cut', exampleBody().slice(0, -1)],
    ['null', 'null'],
    ['a list', '[]'],
    ['a text', '"workflow_job"'],
    ['nested a hundred thousand deep', '['.repeat(100_000)],
    ['no UTF-8', Buffer.from(exampleBody().replace('update', 'caf\u00e9'), 'latin1')],
    ['a form that calls itself JSON', `payload=${encodeURIComponent(exampleBody())}`],
  ] as const) {
    it(`is refused when it is ${what}`, async () => {
      const reply = await fixture.send({ body });
      expect([reply.status, reply.outcome]).to.deep.equal([400, 'malformed']);
      expect(reply.text).not.to.contain('Codertocat');
    });
  }

  for (const [what, headers] of [
    ['event is missing', { 'x-github-event': undefined }],
    ['event is no name', { 'x-github-event': 'Workflow Job' }],
    ['GUID is missing', { 'x-github-delivery': undefined }],
    ['GUID is a path', { 'x-github-delivery': '../../etc/passwd' }],
    ['GUID is endless', { 'x-github-delivery': 'a'.repeat(100) }],
  ] as const) {
    it(`is refused when the ${what}`, async () => {
      const reply = await fixture.send({ headers });
      expect([reply.status, reply.outcome]).to.deep.equal([400, 'malformed']);
      expect(fixture.recorder.batches).to.deep.equal([]);
    });
  }

  it('must be JSON by its content type, with or without a charset', async () => {
    expect((await fixture.send({ headers: { 'content-type': 'Application/JSON; charset=utf-8' } })).status).to.equal(
      202,
    );
    for (const type of [undefined, 'text/plain', 'application/jsonp']) {
      expect((await fixture.send({ headers: { 'content-type': type } })).status).to.equal(415);
    }
  });

  // T11
  it('says the cure to a webhook that sends forms', async () => {
    const reply = await fixture.send({
      body: `payload=${encodeURIComponent(exampleBody())}`,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });
    expect([reply.status, reply.outcome]).to.deep.equal([415, 'content-type']);
    expect(reply.message).to.equal(
      "the webhook sends forms: set its content type to application/json in GitHub's settings",
    );
  });

  it('must not be compressed', async () => {
    expect((await fixture.send({ headers: { 'content-encoding': 'gzip' } })).status).to.equal(415);
  });
});
