/** A tenant that writes what it likes into the tags of containers in an account of its own. */
import { expect } from 'chai';
import { jobKey } from '../../dispatcher/jobs/facts.ts';
import type { InstanceTags } from '../../providers/provider.ts';
import { ulid } from '../../time/clock.ts';
import { DISPATCHER, type EngineFixture, MINUTE, openEngineFixture, registration, told } from './engine-fixture.ts';

describe('tags of a tenant’s own container', () => {
  let fixture: EngineFixture;

  beforeEach(async () => {
    fixture = await openEngineFixture({
      registrations: [
        registration('acme'),
        registration('evil', { claim: { kind: 'organization', organization: 'evil' } }),
      ],
      areStrangers: (one, other) => one !== other,
    });
  });
  afterEach(() => fixture.close());

  function container(some: Partial<InstanceTags> = {}): string {
    const createdAtMs = fixture.clock.now() - MINUTE + fixture.instances.size;
    const name = `${DISPATCHER}-${ulid(createdAtMs, () => 0.5)}`;
    fixture.instances.set(name, {
      ref: { name, id: `i-${name}` },
      state: 'running',
      tags: {
        dispatcher: DISPATCHER,
        registration: 'evil',
        lane: 'lane000000000001',
        scope: 'orgs/evil',
        runner: name,
        createdAtMs,
        deadlineAtMs: createdAtMs + 60 * MINUTE,
        charge: {},
        ...some,
      },
    });
    return name;
  }

  async function isServed(jobId: number): Promise<void> {
    await fixture.tell(told(fixture, { owner: 'acme', jobId }));
    await fixture.advance(10_000);
    const [runner] = await fixture.ledger.runners({ registrations: ['acme'] }, 'reject');
    expect(runner?.state, fixture.logged.join('\n')).to.equal('starting');
  }

  for (const [what, times] of [
    ['no integers', { createdAtMs: 1e16, deadlineAtMs: 1e16 }],
    ['fractions', { createdAtMs: 1.5, deadlineAtMs: 2.5 }],
    ['beyond what a date can be', { createdAtMs: -9e15, deadlineAtMs: 9e15 }],
  ] as const) {
    it(`whose times are ${what} break nothing`, async () => {
      const name = container(times);
      await fixture.engine.start();
      await fixture.advance(5_000);
      await isServed(1);
      expect(fixture.logged.filter((line) => /broken|failed/.test(line))).to.deep.equal([]);
      const runners = await fixture.ledger.runners({ registrations: ['evil'] }, 'reject');
      for (const runner of runners) {
        expect(runner.name).to.equal(name);
        expect(new Date(runner.createdAtMs).toISOString()).to.match(/^\d{4}-/);
        expect(new Date(runner.instanceDeadlineAtMs).toISOString()).to.match(/^\d{4}-/);
      }
    });
  }

  it('that are more than its registration may have leave all others their places', async () => {
    for (let count = 1; count <= 150; count += 1) container();
    await fixture.engine.start();
    await fixture.advance(5_000);
    const adopted = await fixture.ledger.runners({ registrations: ['evil'] }, 'reject');
    expect(adopted).to.have.length(50);
    await isServed(1);
  });

  it('that name a lane of another’s tell nothing of its jobs', async () => {
    await fixture.engine.start();
    const waits = told(fixture, { owner: 'acme', jobId: 1 });
    fixture.jobs.set(jobKey(waits), waits);
    await fixture.tell(waits);
    await fixture.advance(5_000);
    const job = await fixture.ledger.job(jobKey(waits));
    const names = [1, 2, 3, 4].map(() => container({ lane: job?.laneKey ?? '' }));
    for (const [index, name] of names.entries()) {
      fixture.runners.set(name, { id: index + 1, name, scope: 'orgs/evil', online: true, busy: false });
    }
    await fixture.advance(40 * MINUTE);
    const adopted = await fixture.ledger.runners({ registrations: ['evil'] }, 'reject');
    expect(adopted.map(({ state }) => state)).to.deep.equal(['gone', 'gone', 'gone', 'gone']);
    expect(await fixture.ledger.job(jobKey(waits))).to.include({ status: 'queued', passedOver: 0, hold: null });
  });
});
