/** Runners of one workflow run: the real engine on the real ledger, under a virtual clock. */
import { expect } from 'chai';
import type { JobFact } from '../../dispatcher/jobs/facts.ts';
import type { Registration } from '../../dispatcher/model/registration.ts';
import { grantOf } from '../registration-fixture.ts';
import { type EngineFixture, MINUTE, openEngineFixture, registration, told } from './engine-fixture.ts';

describe('runners of one workflow run', () => {
  let fixture: EngineFixture;
  afterEach(() => fixture.close());

  async function open(...registrations: readonly Registration[]): Promise<void> {
    fixture = await openEngineFixture({ registrations, maxRunners: 500 });
    await fixture.engine.start();
    await fixture.advance(2_000);
  }

  async function queue(runId: number, jobIds: readonly number[], some: Partial<JobFact> = {}): Promise<void> {
    const jobs = jobIds.map((jobId) => told(fixture, { jobId, runId, ...some }));
    for (const job of jobs) fixture.jobs.set(`github.com/acme/web/${job.jobId}`, job);
    await fixture.tell(...jobs);
    await fixture.advance(5_000);
  }

  /** How many were launched for jobs of each run, by its id. */
  async function launchedByRun(): Promise<Readonly<Record<number, number>>> {
    const counts: Record<number, number> = {};
    for (const { forJobKey } of await fixture.ledger.runners({ limit: 1000 }, 'reject')) {
      const job = forJobKey === null ? undefined : await fixture.ledger.job(forJobKey);
      if (job !== undefined) counts[job.runId] = (counts[job.runId] ?? 0) + 1;
    }
    return counts;
  }

  async function reasonOf(jobId: number): Promise<string | undefined> {
    const job = await fixture.ledger.job(`github.com/acme/web/${jobId}`);
    if (job === undefined) throw new Error('no job');
    return await fixture.engine.jobReason(job);
  }

  const numbers = (from: number, count: number) => Array.from({ length: count }, (_, index) => from + index);

  /** The job starts on the runner that was launched for it, and ends. */
  async function runAll(jobId: number): Promise<void> {
    const key = `github.com/acme/web/${jobId}`;
    const runners = await fixture.ledger.runners({ limit: 1000 }, 'reject');
    const runner = runners.find(({ forJobKey }) => forJobKey === key);
    if (runner === undefined) throw new Error('it has no runner');
    const { runId = 0 } = fixture.jobs.get(key) ?? {};
    for (const status of ['in_progress', 'completed'] as const) {
      await fixture.tell(
        told(fixture, { jobId, runId, status, runnerName: runner.name, runnerId: runner.githubRunnerId }),
      );
      await fixture.advance(1_000);
    }
    fixture.runners.delete(runner.name);
    fixture.instances.delete(runner.name);
    await fixture.advance(2 * MINUTE);
  }

  it('are as many as the registration says; the others wait with that reason, and follow when one ends', async () => {
    await open(registration('acme', { maxRunnersPerRun: 2 }));
    await queue(71, numbers(1, 6));
    await queue(72, numbers(11, 1));
    expect(await launchedByRun()).to.deep.equal({ 71: 2, 72: 1 });
    expect(await reasonOf(6)).to.equal(
      'its workflow run has 2 runners, as many as the registration gives to one (`maxRunnersPerRun`)',
    );
    await fixture.advance(MINUTE);
    expect(await launchedByRun()).to.deep.equal({ 71: 2, 72: 1 });
    await runAll(1);
    expect(await launchedByRun()).to.deep.equal({ 71: 3, 72: 1 });
  });

  it('do not keep another run waiting behind three hundred jobs of one', async () => {
    await open(registration('acme', { maxRunnersPerRun: 3, maxRunners: 400 }));
    await queue(71, numbers(1, 300));
    await queue(72, numbers(1001, 2));
    expect(await launchedByRun()).to.deep.equal({ 71: 3, 72: 2 });
  });

  it('are counted in all lanes of the registration, and a place in one lane serves another', async () => {
    const acme = registration('acme', { maxRunnersPerRun: 2 });
    await open({ ...acme, policy: { ...acme.policy, maxCpu: 8 } });
    await queue(71, numbers(1, 2));
    await queue(71, numbers(3, 2), { labels: ['acme-runner', 'cpu-2'] });
    expect(await launchedByRun()).to.deep.equal({ 71: 2 });
    expect(await reasonOf(3)).to.include('its workflow run has 2 runners');
    await runAll(1);
    expect(await launchedByRun()).to.deep.equal({ 71: 3 });
  });

  it('are no more over all registrations of a tenant than its grant says, with the line', async () => {
    const limits = { ...grantOf('acme').limits, maxRunnersPerRun: 3 };
    const grant = grantOf('acme', { limits, labels: ['one', 'two'] });
    await open(
      registration('one', { labels: ['one'], grant, maxRunnersPerRun: 2 }),
      registration('two', { labels: ['two'], grant }),
      registration('other', { labels: ['other'] }),
    );
    await queue(71, numbers(1, 4), { labels: ['one'] });
    await queue(71, numbers(11, 4), { labels: ['two'] });
    await queue(71, numbers(21, 4), { labels: ['other'] });
    await queue(72, numbers(31, 4), { labels: ['two'] });
    expect(await launchedByRun(), 'two, one, four without a limit; three').to.deep.equal({ 71: 7, 72: 3 });
    expect(await reasonOf(4)).to.include('as the registration gives to one');
    expect(await reasonOf(14)).to.equal(
      'its workflow run has 3 runners, as many as the tenant may give to one (dispatcher.yaml:limits.maxRunnersPerRun)',
    );
  });

  it('count for the run whose job they came to: GitHub gives them to any job with their labels', async () => {
    await open(registration('acme', { maxRunnersPerRun: 1 }));
    await queue(71, numbers(1, 2));
    await queue(72, numbers(11, 1));
    const [forOther] = (await fixture.ledger.runners({ limit: 10 }, 'reject')).filter(
      ({ forJobKey }) => forJobKey === 'github.com/acme/web/11',
    );
    if (forOther === undefined) throw new Error('no runner');
    const taken = told(fixture, {
      ...{ jobId: 2, runId: 71, status: 'in_progress' },
      ...{ runnerName: forOther.name, runnerId: forOther.githubRunnerId },
    });
    fixture.jobs.set('github.com/acme/web/2', taken);
    await fixture.tell(taken);
    await fixture.advance(MINUTE);
    expect(await launchedByRun(), 'another follows for the job that it was launched for').to.deep.equal({
      71: 1,
      72: 2,
    });
  });
});
