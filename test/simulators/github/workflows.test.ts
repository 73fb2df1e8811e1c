import { expect } from 'chai';
import {
  type ExpressionContext,
  ExpressionError,
  evaluate,
  expandValue,
  holds,
} from '../../../simulators/github/expressions.ts';
import { type GithubSimulator, startGithubSimulator } from '../../../simulators/github/index.ts';
import { parseWorkflow, planJobs, WorkflowError } from '../../../simulators/github/workflow.ts';
import { asPerson, bare, refusal } from './client.ts';
import { WireRunner } from './wire-runner.ts';

const context: ExpressionContext = {
  names: { github: { run_id: '42', ref: 'refs/heads/main' }, matrix: null },
  outcome: 'success',
};

function plans(yaml: string) {
  return parseWorkflow(yaml).jobs.flatMap((job) => planJobs(job, context));
}

describe('GitHub simulator: workflow language', () => {
  it('reads runs-on as text, list, and object', () => {
    const yaml = `
      jobs:
        text: { runs-on: one }
        list: { runs-on: [one, two] }
        object: { runs-on: { group: build, labels: [one] } }
        labels: { runs-on: { labels: one } }`;
    const read = plans(yaml).map(({ labels, group }) => [labels, group]);
    expect(read).to.deep.equal([
      [['one'], undefined],
      [['one', 'two'], undefined],
      [['one'], 'build'],
      [['one'], undefined],
    ]);
  });

  it('expands a matrix into jobs, in their names, labels and steps too', () => {
    const yaml = `
      jobs:
        build:
          strategy: { matrix: { os: [alpine, debian], node: [22, 24], exclude: [{ os: debian, node: 22 }], include: [{ os: alpine, fast: true }, { os: arch }] } }
          runs-on: [demo, "os-\${{ matrix.os }}", "sid-\${{ github.run_id }}-\${{ strategy.job-index }}"]
          steps: [{ run: "echo \${{ matrix.node }}" }]`;
    const jobs = plans(yaml);
    expect(jobs.map(({ name }) => name)).to.deep.equal([
      'build (alpine, 22, true)',
      'build (alpine, 24, true)',
      'build (debian, 24)',
      'build (arch)',
    ]);
    expect(jobs[2]?.labels).to.deep.equal(['demo', 'os-debian', 'sid-42-2']);
    expect(jobs[1]?.steps[0]?.script).to.equal('echo 24');
  });

  it('refuses what GitHub would refuse', () => {
    const refused = [
      'jobs: {}',
      'jobs: { a: { steps: [] } }',
      'jobs: { a: { runs-on: x, needs: b } }',
      'jobs: { a: { runs-on: x, needs: b }, b: { runs-on: x, needs: a } }',
      'jobs: { "1a": { runs-on: x } }',
      'jobs: [',
    ];
    for (const yaml of refused) expect(() => parseWorkflow(yaml), yaml).to.throw(WorkflowError);
    expect(() => plans('jobs: { a: { runs-on: "${{ matrix.nothing }}" } }')).to.throw(
      WorkflowError,
      'runs-on is empty',
    );
  });

  it('evaluates expressions as GitHub does', () => {
    const cases: [string, unknown][] = [
      ["github.ref == 'refs/heads/MAIN'", true],
      ["github['run_id'] == 42", true],
      ["startsWith(github.ref, 'refs/') && !false", true],
      ["contains(fromJSON('[1, 2]'), 2)", true],
      ["format('{0}-{1}', 'a', github.run_id)", 'a-42'],
      ["github.nothing || 'fallback'", 'fallback'],
      ['1 < 2 && 2 >= 2 && 3 != 4', true],
      ["'it''s'", "it's"],
      ['join(fromJSON(\'["a","b"]\'), \'+\')', 'a+b'],
    ];
    for (const [text, value] of cases) expect(evaluate(text, context), text).to.deep.equal(value);
    expect(expandValue('${{ fromJSON(\'["a","b"]\') }}', context)).to.deep.equal(['a', 'b']);
    expect(evaluate('join(fromJSON(\'[{"a":1},{"b":0},{"a":2}]\').*.a, \'+\')', context)).to.equal('1+2');
    expect(evaluate('!github.run_id == false && secrets.none == null', context)).to.equal(true);
    for (const [text, words] of [
      ['', 'empty'],
      ['(github.ref', 'Unexpected end of expression'],
      ['github.ref github.ref', "Unexpected symbol: 'github'"],
      ['unknown.name', "Unrecognized named-value: 'unknown'"],
      ['hashFiles(1)', "Unrecognized function: 'hashFiles'"],
      ['contains(1)', 'Too few parameters'],
      ["fromJSON('{')", 'JSON'],
    ] as const) {
      expect(() => evaluate(text, context), text).to.throw(ExpressionError, words);
    }
  });

  it('asks a condition without a status function only when all went well', () => {
    const failed: ExpressionContext = { ...context, outcome: 'failure' };
    expect(holds('true', failed)).to.equal(false);
    expect(holds('always()', failed)).to.equal(true);
    expect(holds('${{ failure() && true }}', failed)).to.equal(true);
    expect(holds('success()', failed)).to.equal(false);
  });
});

describe('GitHub simulator: runs', () => {
  let simulator: GithubSimulator;
  const target = { owner: 'acme', repository: 'web' };
  const repo = { owner: 'acme', repo: 'web' };

  beforeEach(async () => {
    simulator = await startGithubSimulator({ tokens: [{ login: 'root', owners: ['*'], access: 'admin' }] });
  });
  afterEach(() => simulator.close());

  let count = 0;
  async function serve(outcome: 'success' | 'failure' = 'success'): Promise<string> {
    count += 1;
    const runner = await WireRunner.connect(simulator, { name: `r-${count}`, labels: ['a'] });
    await runner.take();
    return runner.finish(outcome);
  }
  const conclusions = () => simulator.jobs().map(({ name, status, conclusion }) => `${name} ${conclusion ?? status}`);

  const chain = `
    name: Chain
    jobs:
      build: { runs-on: a, steps: [{ run: make }] }
      test: { runs-on: a, needs: build, steps: [{ run: make test }] }
      report: { runs-on: a, needs: [test], if: always(), steps: [{ run: make report }] }`;

  it('creates a job when what it needs has succeeded', async () => {
    const { id } = simulator.pushWorkflow({ ...target, yaml: chain });
    expect(conclusions()).to.deep.equal(['build queued']);
    await serve();
    expect(conclusions()).to.deep.equal(['build success', 'test queued']);
    expect(simulator.run(id)?.status, 'an in_progress run holds a queued job').to.equal('in_progress');
    await serve();
    await serve();
    expect(simulator.run(id)).to.include({ status: 'completed', conclusion: 'success' });
  });

  it('skips what needs a failed job, unless it says always()', async () => {
    const { id } = simulator.pushWorkflow({ ...target, yaml: chain });
    await serve('failure');
    expect(conclusions()).to.deep.equal(['build failure', 'test skipped', 'report queued']);
    await serve();
    expect(simulator.run(id)?.conclusion).to.equal('failure');
  });

  it('cancels the rest of a matrix when one of it fails', async () => {
    const yaml = 'jobs: { m: { strategy: { matrix: { n: [1, 2, 3] } }, runs-on: a, steps: [{ run: x }] } }';
    simulator.pushWorkflow({ ...target, yaml });
    await serve('failure');
    expect(conclusions()).to.deep.equal(['m (1) failure', 'm (2) cancelled', 'm (3) cancelled']);
  });

  it('runs steps by their conditions', async () => {
    const steps =
      '[{ run: first }, { run: second }, { run: cure, if: failure() }, { uses: actions/checkout@v4, if: always() }]';
    simulator.pushWorkflow({ ...target, yaml: `jobs: { only: { runs-on: a, steps: ${steps} } }` });
    expect(await serve('failure')).to.equal('end failure');
    const steps_ = simulator.jobs()[0]?.steps.map(({ conclusion }) => conclusion);
    expect(steps_).to.deep.equal(['success', 'failure', 'skipped', 'failure', 'success', 'success']);
  });

  it('goes on after a failed step that may fail', async () => {
    const steps = '[{ run: x, continue-on-error: true }]';
    simulator.pushWorkflow({ ...target, yaml: `jobs: { only: { runs-on: a, steps: ${steps} } }` });
    expect(await serve('failure')).to.equal('end success');
  });

  it('tells a running job that it was cancelled, and ends a waiting one at once', async () => {
    const yaml = 'jobs: { one: { runs-on: a, steps: [{ run: x }] }, two: { runs-on: a, steps: [{ run: x }] } }';
    const { id } = simulator.pushWorkflow({ ...target, yaml });
    const runner = await WireRunner.connect(simulator, { name: 'r', labels: ['a'] });
    await runner.take();
    await asPerson(simulator).actions.cancelWorkflowRun({ ...repo, run_id: id });
    expect(conclusions()).to.deep.equal(['one in_progress', 'two cancelled']);
    expect(await runner.say('beat')).to.equal('cancel');
    await runner.finish('terminated');
    expect(simulator.run(id)).to.include({ status: 'completed', conclusion: 'cancelled' });
    expect(await refusal(asPerson(simulator).actions.cancelWorkflowRun({ ...repo, run_id: id }))).to.equal(409);
  });

  it('makes new job ids for a re-run, and keeps what succeeded when only the failed run again', async () => {
    const octokit = asPerson(simulator);
    const { id } = simulator.pushWorkflow({ ...target, yaml: chain });
    expect(await refusal(octokit.actions.reRunWorkflow({ ...repo, run_id: id }))).to.equal(403);
    await serve();
    await serve('failure');
    await serve();
    await octokit.actions.reRunWorkflowFailedJobs({ ...repo, run_id: id });
    await serve();
    await serve();
    expect(simulator.run(id)).to.include({ status: 'completed', conclusion: 'success', attempt: 2 });
    const latest = await octokit.actions.listJobsForWorkflowRun({ ...repo, run_id: id, filter: 'latest' });
    expect(latest.data.jobs.map(({ name, run_attempt }) => [name, run_attempt])).to.deep.equal([
      ['build', 1],
      ['test', 2],
      ['report', 2],
    ]);
    const all = await octokit.actions.listJobsForWorkflowRun({ ...repo, run_id: id, filter: 'all' });
    expect(new Set(all.data.jobs.map((job) => job.id)).size).to.equal(5);
  });

  it('lists runs by status, and shows a run and a job by id', async () => {
    const octokit = asPerson(simulator);
    const first = simulator.pushWorkflow({ ...target, yaml: chain });
    await serve();
    const second = simulator.pushWorkflow({ ...target, yaml: chain });
    const list = async (status: 'queued' | 'in_progress' | 'completed') =>
      (await octokit.actions.listWorkflowRunsForRepo({ ...repo, status })).data.workflow_runs.map(({ id }) => id);
    expect(await list('queued')).to.deep.equal([second.id]);
    expect(await list('in_progress')).to.deep.equal([first.id]);
    expect(await list('completed')).to.deep.equal([]);
    const run = await octokit.actions.getWorkflowRun({ ...repo, run_id: first.id });
    expect(run.data).to.include({ name: 'Chain', status: 'in_progress', run_attempt: 1 });
    const job_id = second.jobs[0]?.id ?? 0;
    const job = await octokit.actions.getJobForWorkflowRun({ ...repo, job_id });
    expect(job.data).to.deep.include({ status: 'queued', labels: ['a'], runner_id: null, runner_name: null });
    expect(await refusal(octokit.actions.getJobForWorkflowRun({ ...repo, repo: 'api', job_id }))).to.equal(404);
    const again = octokit.actions.reRunJobForWorkflowRun({ ...repo, job_id });
    expect(await refusal(again)).to.equal(403);
  });

  it('takes a workflow over the wire, as YAML or JSON, and says what is wrong with it', async () => {
    const path = 'POST /_simulator/repos/acme/web/workflows';
    expect((await bare(simulator, path, { body: chain })).status).to.equal(201);
    expect((await bare(simulator, path, { body: { yaml: chain, event: 'pull_request' } })).status).to.equal(201);
    const bad = await bare(simulator, path, { body: 'jobs: {}' });
    expect(bad.status).to.equal(422);
    expect(bad.body).to.have.property('message').that.includes('at least one job');
    expect(simulator.runs()).to.have.length(2);
  });

  it('holds a job behind its environment until it is approved or rejected', async () => {
    const yaml = 'jobs: { deploy: { runs-on: a, environment: production, steps: [{ run: x }] } }';
    const { id } = simulator.pushWorkflow({ ...target, yaml });
    expect(simulator.run(id)?.status).to.equal('waiting');
    const wrong = await bare(simulator, 'POST /_simulator/repos/acme/web/approvals', {
      body: { environment: 'staging' },
    });
    expect(wrong.body).to.deep.equal({ jobs: [] });
    await bare(simulator, 'POST /_simulator/repos/acme/web/approvals', { body: { environment: 'production' } });
    expect(conclusions()).to.deep.equal(['deploy queued']);
    await serve();
    expect(simulator.run(id)?.conclusion).to.equal('success');
    simulator.pushWorkflow({ ...target, yaml });
    expect(simulator.reject(target)).to.equal(1);
    expect(conclusions()[1]).to.equal('deploy failure');
  });
});
