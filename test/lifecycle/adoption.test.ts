import { expect } from 'chai';
import type { Instance } from '../../providers/provider.ts';
import { ulid } from '../../time/clock.ts';
import { DISPATCHER, type EngineFixture, openEngineFixture, registration } from './engine-fixture.ts';

describe('after its ledger was lost, a dispatcher', () => {
  let fixture: EngineFixture;
  afterEach(() => fixture.close());

  it('adopts each instance once, although two backends of one account both list it', async () => {
    const backend = { kind: 'simulated', region: undefined, options: {}, maxRunners: 50 };
    fixture = await openEngineFixture({
      registrations: [
        registration('acme', {
          backends: [
            { ...backend, name: 'here' },
            { ...backend, name: 'there' },
          ],
        }),
      ],
    });
    const createdAtMs = fixture.clock.now() - 60_000;
    const names = [0.1, 0.5, 0.9].map((luck) => `${DISPATCHER}-${ulid(createdAtMs, () => luck)}`);
    for (const name of names) {
      const instance: Instance = {
        ref: { name, id: `i-${name}` },
        state: 'running',
        tags: {
          dispatcher: DISPATCHER,
          registration: 'acme',
          lane: 'lane000000000001',
          scope: 'orgs/acme',
          runner: name,
          createdAtMs,
          deadlineAtMs: createdAtMs + 3_600_000,
          charge: {},
        },
      };
      fixture.instances.set(name, instance);
    }
    await fixture.engine.start();
    await fixture.advance(5_000);
    const adopted = await fixture.ledger.runners({}, 'reject');
    expect(adopted.map(({ name }) => name)).to.have.members(names);
    expect(fixture.logged.filter((line) => line.includes('sweep-broken'))).to.deep.equal([]);
    expect(fixture.engine.unlisted().size).to.equal(0);
  });
});
