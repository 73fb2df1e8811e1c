import { expect } from 'chai';
import { type GithubSimulator, type SimulatorOptions, startGithubSimulator } from '../../../simulators/github/index.ts';
import { asPerson } from './client.ts';
import { ManualClock } from './manual-clock.ts';
import { register, WireRunner } from './wire-runner.ts';

const minute = 60_000;
const hour = 60 * minute;

describe('GitHub simulator: assignment', () => {
  let simulator: GithubSimulator;
  let clock: ManualClock;

  async function start(options: SimulatorOptions = {}): Promise<void> {
    clock = new ManualClock();
    simulator = await startGithubSimulator({
      clock,
      owners: [
        {
          login: 'acme',
          repositories: [{ name: 'web' }, { name: 'api' }, { name: 'site', visibility: 'public' }],
          runnerGroups: [{ name: 'build', visibility: 'selected', repositories: ['api'] }],
        },
        { login: 'globex', repositories: [{ name: 'core' }] },
      ],
      enterprises: [{ slug: 'acme-inc', organizations: ['acme'] }],
      tokens: [{ login: 'root', owners: ['*'], access: 'admin' }],
      ...options,
    });
  }
  beforeEach(() => start());
  afterEach(() => simulator.close());

  const push = (runsOn: string, repository = 'web', owner = 'acme') => {
    const yaml = `jobs: { only: { runs-on: ${runsOn}, steps: [{ run: "true" }] } }`;
    const [job] = simulator.pushWorkflow({ owner, repository, yaml }).jobs;
    if (!job) throw new Error('no job');
    return job.id;
  };
  const job = (id: number) => simulator.jobs().find((each) => each.id === id);

  it('gives a job to any runner that has its labels and more, without looking at case', async () => {
    const runner = await WireRunner.connect(simulator, { name: 'r', labels: ['Self-Hosted', 'CPU-2', 'extra'] });
    const id = push('[self-hosted, cpu-2]');
    expect(await runner.take()).to.equal(id);
    expect(job(id)).to.include({ status: 'in_progress', runnerName: 'r' });
  });

  it('leaves a job alone whose labels the runner lacks', async () => {
    const runner = await WireRunner.connect(simulator, { name: 'r', labels: ['self-hosted'] });
    const id = push('[self-hosted, gpu]');
    expect(await runner.poll()).to.equal('none');
    expect(job(id)?.status).to.equal('queued');
  });

  it('binds nothing: the runner made for one job takes an older one that fits', async () => {
    const older = push('[a]');
    const newer = push('[a, b]');
    const meantForNewer = await WireRunner.connect(simulator, { name: 'r', labels: ['a', 'b'] });
    expect(await meantForNewer.take()).to.equal(older);
    expect(job(newer)?.status).to.equal('queued');
  });

  it('keeps jobs and runners of different scopes apart', async () => {
    const web = await WireRunner.connect(simulator, {
      name: 'w',
      labels: ['a'],
      scope: { owner: 'acme', repo: 'web' },
    });
    const elsewhere = push('[a]', 'core', 'globex');
    const api = push('[a]', 'api');
    expect(await web.poll()).to.equal('none');
    const enterprise = await WireRunner.connect(simulator, {
      name: 'e',
      labels: ['a'],
      scope: { enterprise: 'acme-inc' },
    });
    expect(await enterprise.take()).to.equal(api);
    expect(job(elsewhere)?.status).to.equal('queued');
  });

  it('lets only the repositories of a group use its runners, and only those that ask for the group if they name one', async () => {
    const { data } = await asPerson(simulator).request('GET /orgs/{org}/actions/runner-groups', { org: 'acme' });
    const group = data.runner_groups.find(({ name }) => name === 'build')?.id ?? 0;
    const forbidden = push('[a]', 'web');
    const runner = await WireRunner.connect(simulator, { name: 'r', labels: ['a'], group });
    expect(await runner.poll()).to.equal('none');
    const other = push('{ group: Default, labels: a }', 'api');
    expect(await runner.poll()).to.equal('none');
    const mine = push('{ group: build }', 'api');
    expect(await runner.take()).to.equal(mine);
    expect([job(forbidden)?.status, job(other)?.status]).to.deep.equal(['queued', 'queued']);
  });

  it('requeues an assignment that nobody picks up for 60 s, and gives it to another runner', async () => {
    const hung = await WireRunner.connect(simulator, { name: 'hung', labels: ['a'] });
    const id = push('[a]');
    const spare = await WireRunner.connect(simulator, { name: 'spare', labels: ['a'] });
    clock.advance(59_000);
    expect(await spare.poll()).to.equal('none');
    clock.advance(1_000);
    expect(await spare.take()).to.equal(id);
    expect(await hung.say('take', { job: id })).to.equal('lost');
    expect(simulator.executions()).to.have.length(1);
  });

  it('requeues in a fraction of the time when simulated time runs faster', async () => {
    await simulator.close();
    await start({ timeScale: 60 });
    await WireRunner.connect(simulator, { name: 'hung', labels: ['a'] });
    push('[a]');
    clock.advance(999);
    expect(simulator.runners()[0]?.jobId).to.be.a('number');
    clock.advance(1);
    expect(simulator.runners()[0]?.jobId).to.equal(null);
  });

  it('gives an assigned job back to the queue when its runner is deleted before the pick-up', async () => {
    await WireRunner.connect(simulator, { name: 'doomed', labels: ['a'] });
    const id = push('[a]');
    const runner_id = simulator.runners()[0]?.id ?? 0;
    await asPerson(simulator).actions.deleteSelfHostedRunnerFromOrg({ org: 'acme', runner_id });
    const next = await WireRunner.connect(simulator, { name: 'next', labels: ['a'] });
    expect(await next.take()).to.equal(id);
  });

  it('never gives one runner two jobs, nor one job two runners', async () => {
    const ids = [push('[a]'), push('[a]'), push('[a]')];
    const runners: WireRunner[] = [];
    for (let index = 0; index < 4; index += 1) {
      runners.push(await WireRunner.connect(simulator, { name: `r-${index}`, labels: ['a'] }));
    }
    const taken = await Promise.all(runners.map((runner) => runner.take()));
    expect(taken.filter((id) => id !== undefined).sort()).to.deep.equal(ids.sort());
    expect(await runners[0]?.take(), 'a second poll shows the same job').to.equal(taken[0]);
    expect(simulator.executions()).to.have.length(3);
  });

  it('deregisters an ephemeral runner after its job', async () => {
    const runner = await WireRunner.connect(simulator, { name: 'once', labels: ['a'] });
    push('[a]');
    push('[a]');
    await runner.take();
    expect(await runner.finish()).to.equal('end success');
    expect(simulator.runners()).to.deep.equal([]);
    expect(await runner.poll()).to.equal('gone');
    expect(simulator.executions()).to.have.length(1);
  });

  it('removes an ephemeral runner that has been offline for a day', async () => {
    await register(simulator, { name: 'never', labels: ['a'] });
    clock.advance(24 * hour - 1);
    expect(simulator.runners()).to.have.length(1);
    clock.advance(1);
    expect(simulator.runners()).to.have.length(0);
  });

  it('reads a silent runner as offline, and gives it no job', async () => {
    await WireRunner.connect(simulator, { name: 'silent', labels: ['a'] });
    clock.advance(2 * minute);
    push('[a]');
    expect(simulator.runners()[0]).to.include({ online: false, jobId: null });
  });

  it('cancels a job that has waited for 24 h', () => {
    const id = push('[a]');
    clock.advance(24 * hour - 1);
    expect(job(id)?.status).to.equal('queued');
    clock.advance(1);
    expect(job(id)).to.include({ status: 'completed', conclusion: 'cancelled', runnerId: null });
  });

  it('fails a job whose runner died in the middle, and says so in the executions', async () => {
    const runner = await WireRunner.connect(simulator, { name: 'mortal', labels: ['a'] });
    const id = push('[a]');
    await runner.take();
    clock.advance(9 * minute);
    expect(await runner.say('beat')).to.equal('ok');
    clock.advance(9 * minute);
    expect(job(id)?.status).to.equal('in_progress');
    clock.advance(minute);
    expect(job(id)?.conclusion).to.equal('failure');
    expect(simulator.executions()[0]?.conclusion).to.equal('abandoned');
    expect(await runner.say('beat')).to.equal('gone');
    expect(simulator.runners()[0], 'its registration stays behind').to.include({ online: false, busy: false });
  });

  it('allows one session a runner', async () => {
    const blob = await register(simulator, { name: 'r', labels: ['a'] });
    const first = new WireRunner(blob);
    expect(await first.hello()).to.equal('session');
    expect(await new WireRunner(blob).hello()).to.equal('conflict');
    await first.say('bye');
    expect(await new WireRunner(blob).hello()).to.equal('session');
  });

  it('hands a job to a runner whose poll is open, without a wait', async () => {
    const runner = await WireRunner.connect(simulator, { name: 'r', labels: ['a'] });
    const answer = runner.poll(20);
    await simulator.waitFor(() => simulator.runners()[0]?.online);
    const id = push('[a]');
    expect(await answer).to.equal(`job ${id}`);
  });

  it('chooses between fitting runners by its seed', async () => {
    const choices = async (seed: number): Promise<(string | null | undefined)[]> => {
      await simulator.close();
      await start({ seed });
      for (let index = 0; index < 8; index += 1)
        await WireRunner.connect(simulator, { name: `r-${index}`, labels: ['a'] });
      for (let index = 0; index < 4; index += 1) push('[a]');
      return simulator.runners().map(({ jobId }) => (jobId === null ? '-' : 'job'));
    };
    const one = await choices(1);
    expect(await choices(1)).to.deep.equal(one);
    const others = [await choices(2), await choices(3), await choices(4)];
    expect(others.some((other) => other.join() !== one.join())).to.equal(true);
  });

  it('lets a hosted label be served by GitHub itself', async () => {
    const id = push('ubuntu-latest');
    clock.advance(500);
    expect(job(id)).to.include({ status: 'in_progress', runnerName: 'GitHub Actions 1' });
    clock.advance(500);
    expect(job(id)?.conclusion).to.equal('success');
  });
});
