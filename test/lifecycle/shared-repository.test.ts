/** Two registrations of the platform report on one repository: what one's webhook tells is true of the other's runners. */
import { expect } from 'chai';
import { type JobFact, jobKey } from '../../dispatcher/jobs/facts.ts';
import { type EngineFixture, openEngineFixture, registration, told } from './engine-fixture.ts';

describe('a repository on which two registrations of the platform report', () => {
  let fixture: EngineFixture;
  afterEach(() => fixture.close());

  function truth(some: Partial<JobFact>): JobFact {
    const fact = told(fixture, { jobId: 1, labels: ['second-runner'], toldBy: 'first', ...some });
    fixture.jobs.set(jobKey(fact), fact);
    return fact;
  }

  it("ends a job on one's runner at once when the other's webhook says that it ended", async () => {
    fixture = await openEngineFixture({ registrations: [registration('first'), registration('second')] });
    await fixture.engine.start();
    await fixture.advance(1_000);
    await fixture.tell(truth({}));
    await fixture.advance(1_000);
    const [runner] = await fixture.ledger.runners({ registrations: ['second'] }, 'reject');
    if (runner === undefined) throw new Error('no runner');
    const { name: runnerName, githubRunnerId: runnerId } = runner;
    const startedAtMs = fixture.clock.now();
    await fixture.tell(truth({ status: 'in_progress', runnerName, runnerId, startedAtMs }));
    await fixture.advance(1_000);
    expect(await fixture.ledger.runner(runnerName)).to.include({ state: 'busy', jobKey: 'github.com/acme/web/1' });

    fixture.runners.delete(runnerName);
    const instance = fixture.instances.get(runnerName);
    if (instance !== undefined) fixture.instances.set(runnerName, { ...instance, state: 'succeeded' });
    const completedAtMs = fixture.clock.now();
    await fixture.tell(truth({ status: 'completed', conclusion: 'success', runnerName, runnerId, completedAtMs }));
    await fixture.advance(10_000);
    expect(await fixture.ledger.runner(runnerName)).to.include({ state: 'gone', failure: null });
  });
});
