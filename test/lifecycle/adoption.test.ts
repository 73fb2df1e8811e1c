import { expect } from 'chai';
import { ulid } from '../../dispatcher/clock.ts';
import type { Instance } from '../../providers/provider.ts';
import { DISPATCHER, type EngineHouse, openEngineHouse, registration } from './engine-house.ts';

describe('after its ledger was lost, a dispatcher', () => {
  let house: EngineHouse;
  afterEach(() => house.close());

  it('adopts each instance once, although two backends of one account both list it', async () => {
    const backend = { kind: 'simulated', region: undefined, options: {}, maxRunners: 50 };
    house = await openEngineHouse({
      registrations: [
        registration('acme', {
          backends: [
            { ...backend, name: 'here' },
            { ...backend, name: 'there' },
          ],
        }),
      ],
    });
    const createdAtMs = house.clock.now() - 60_000;
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
      house.instances.set(name, instance);
    }
    await house.engine.start();
    await house.advance(5_000);
    const adopted = await house.ledger.runners({});
    expect(adopted.map(({ name }) => name)).to.have.members(names);
    expect(house.logged.filter((line) => line.includes('sweep-broken'))).to.deep.equal([]);
    expect(house.engine.unlisted().size).to.equal(0);
  });
});
