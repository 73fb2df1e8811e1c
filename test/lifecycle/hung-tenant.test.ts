/** A tenant whose own GitHub Enterprise Server takes calls and answers none: what it keeps waiting is its own alone. */
import { expect } from 'chai';
import { type Github, GithubError } from '../../dispatcher/github/github.ts';
import { type JobFact, jobKey } from '../../dispatcher/jobs/facts.ts';
import type { Registration } from '../../dispatcher/model/registration.ts';
import { type EngineFixture, MINUTE, openEngineFixture, registration, told } from './engine-fixture.ts';

const victim = registration('acme', { maxRunners: 0 });
const twin = registration('twin', { maxRunners: 0 });
const evil = registration('evil', { maxRunners: 0, claim: { kind: 'organization', organization: 'evil' } });

describe('a tenant whose GitHub answers nothing', () => {
  let fixture: EngineFixture;

  afterEach(() => fixture.close());

  async function open(ofEvil: Partial<Registration> = {}): Promise<void> {
    fixture = await openEngineFixture({
      registrations: [victim, registration('evil', { ...evil, ...ofEvil }), twin],
      areStrangers: (one, other) => one !== other,
      github: (honest): Github => ({
        ...honest,
        // As dispatcher/github/requester.ts does it.
        async readJob(owner, ...rest) {
          if (owner !== 'evil') return await honest.readJob(owner, ...rest);
          await new Promise<void>((resolve) => void fixture.clock.after(30_000, resolve));
          throw new GithubError('transient', 'GET job', 'not done within 30 s');
        },
      }),
    });
    await fixture.engine.start();
    await fixture.advance(1000);
  }

  const lie = (some: Partial<JobFact> & { readonly jobId: number }): JobFact =>
    told(fixture, { owner: 'evil', labels: ['evil-runner'], toldBy: 'evil', ...some });

  const lies = (count: number, firstId: number): JobFact[] =>
    Array.from({ length: count }, (_, index) => index + firstId).flatMap((jobId) =>
      (['queued', 'waiting'] as const).map((status) =>
        told(fixture, { owner: 'evil', jobId, status, labels: ['evil-runner'], toldBy: 'evil' }),
      ),
    );

  function waits(jobId: number): JobFact {
    const fact = told(fixture, { owner: 'acme', jobId });
    fixture.jobs.set(jobKey(fact), fact);
    return fact;
  }

  const disputed = async (jobId: number) => (await fixture.ledger.job(`github.com/acme/web/${jobId}`))?.disputed;

  it('keeps no doubt of another from being settled, however many jobs of its own are in doubt', async () => {
    await open();
    await fixture.tell(...lies(500, 1));
    await fixture.advance(1000);
    const fact = waits(9000);
    await fixture.tell(fact);
    await fixture.tell({ ...fact, status: 'waiting' });
    expect(await disputed(9000)).to.equal(true);
    await fixture.advance(MINUTE);
    expect(fixture.calls).to.include('read github.com/acme/web/9000 by acme');
    expect(await disputed(9000)).to.equal(false);
  });

  it('keeps no doubt about a runner of another from being settled', async () => {
    await open({ maxRunners: 20 });
    // Its own runners, and its own webhook's word that each of them has another job every quarter of a minute.
    await fixture.tell(...Array.from({ length: 20 }, (_, id) => lie({ jobId: 1 + id, status: 'queued' })));
    await fixture.advance(5000);
    const own = await fixture.ledger.runners({ registrations: ['evil'] }, 'reject');
    expect(own.length).to.be.greaterThan(5);
    const start = (jobId: number, runnerName: string) =>
      lie({ jobId, runnerName, status: 'in_progress', startedAtMs: 1 });
    await fixture.tell(...own.map(({ name }, index) => start(100 + index, name)));
    for (let round = 1; round <= 20; round += 1) {
      await fixture.tell(...own.map(({ name }, index) => start(1000 * round + index, name)));
      await fixture.advance(16_000);
    }
    const real = waits(9000);
    await fixture.tell({ ...real, toldBy: 'twin' });
    await fixture.advance(10_000);
    expect(fixture.calls).to.include('read github.com/acme/web/9000 by acme');
  });
});
