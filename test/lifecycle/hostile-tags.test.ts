/** A tenant that writes what it likes into the tags of containers in an account of its own. */
import { expect } from 'chai';
import { ulid } from '../../dispatcher/clock.ts';
import { jobKey } from '../../dispatcher/ledger/facts.ts';
import type { InstanceTags } from '../../providers/provider.ts';
import { DISPATCHER, type EngineHouse, MINUTE, openEngineHouse, registration, told } from './engine-house.ts';

describe('tags of a tenant’s own container', () => {
  let house: EngineHouse;

  beforeEach(async () => {
    house = await openEngineHouse({
      registrations: [
        registration('acme'),
        registration('evil', { claim: { kind: 'organization', organization: 'evil' } }),
      ],
      areStrangers: (one, other) => one !== other,
    });
  });
  afterEach(() => house.close());

  function container(some: Partial<InstanceTags> = {}): string {
    const createdAtMs = house.clock.now() - MINUTE + house.instances.size;
    const name = `${DISPATCHER}-${ulid(createdAtMs, () => 0.5)}`;
    house.instances.set(name, {
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
    await house.tell(told(house, { owner: 'acme', jobId }));
    await house.advance(10_000);
    const [runner] = await house.ledger.runners({ registrations: ['acme'] });
    expect(runner?.state, house.logged.join('\n')).to.equal('starting');
  }

  for (const [what, times] of [
    ['no integers', { createdAtMs: 1e16, deadlineAtMs: 1e16 }],
    ['fractions', { createdAtMs: 1.5, deadlineAtMs: 2.5 }],
    ['beyond what a date can be', { createdAtMs: -9e15, deadlineAtMs: 9e15 }],
  ] as const) {
    it(`whose times are ${what} break nothing`, async () => {
      const name = container(times);
      await house.engine.start();
      await house.advance(5_000);
      await isServed(1);
      expect(house.logged.filter((line) => /broken|failed/.test(line))).to.deep.equal([]);
      const runners = await house.ledger.runners({ registrations: ['evil'] });
      for (const runner of runners) {
        expect(runner.name).to.equal(name);
        expect(new Date(runner.createdAtMs).toISOString()).to.match(/^\d{4}-/);
        expect(new Date(runner.instanceDeadlineAtMs).toISOString()).to.match(/^\d{4}-/);
      }
    });
  }

  it('that are more than its registration may have leave all others their places', async () => {
    for (let count = 1; count <= 150; count += 1) container();
    await house.engine.start();
    await house.advance(5_000);
    const adopted = await house.ledger.runners({ registrations: ['evil'] });
    expect(adopted).to.have.length(50);
    await isServed(1);
  });

  it('that name a lane of another’s tell nothing of its jobs', async () => {
    await house.engine.start();
    const waits = told(house, { owner: 'acme', jobId: 1 });
    house.jobs.set(jobKey(waits), waits);
    await house.tell(waits);
    await house.advance(5_000);
    const job = await house.ledger.job(jobKey(waits));
    const names = [1, 2, 3, 4].map(() => container({ lane: job?.laneKey ?? '' }));
    for (const [index, name] of names.entries()) {
      house.runners.set(name, { id: index + 1, name, scope: 'orgs/evil', online: true, busy: false });
    }
    await house.advance(40 * MINUTE);
    const adopted = await house.ledger.runners({ registrations: ['evil'] });
    expect(adopted.map(({ state }) => state)).to.deep.equal(['gone', 'gone', 'gone', 'gone']);
    expect(await house.ledger.job(jobKey(waits))).to.include({ status: 'queued', passedOver: 0, hold: null });
  });
});
