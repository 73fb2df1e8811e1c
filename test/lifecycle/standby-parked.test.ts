import { expect } from 'chai';
import { ParkedContainers } from '../../dispatcher/lifecycle/standby/parked.ts';
import type { PooledRunner } from '../../dispatcher/lifecycle/standby/plan.ts';
import type { Pool } from '../../dispatcher/lifecycle/standby/pools.ts';
import { laneOf } from './engine-parts.ts';

function pool(some: Parameters<typeof laneOf>[0] = {}): Pool {
  const lane = laneOf({ registration: 'acme', ...some });
  return { lane, labels: [], isRegistered: false, maxAgeMs: 1, aim: async () => ({ size: 1, why: '' }) };
}
const parked = (backend: string | null, ...names: readonly string[]): PooledRunner[] =>
  names.map((name) => ({ name, backend }));
const namesOf = (runners: readonly PooledRunner[]) => runners.map(({ name }) => name);

describe('parked containers and the jobs that wait', () => {
  it('gives each to one lane, in their order, and to lanes that may have it', () => {
    const all = new ParkedContainers();
    all.add(pool(), [...parked('other', 'a'), ...parked('main', 'b', 'c'), ...parked(null, 'd')]);
    const both = laneOf({ registration: 'acme', backends: ['main', 'other'] });
    expect(namesOf(all.serving(both, 9))).to.deep.equal(['a', 'b', 'c']);
    const onMain = all.serving(laneOf({ registration: 'acme', backends: ['main'] }), 9);
    expect(namesOf(onMain)).to.deep.equal(['b', 'c']);
    all.give(onMain.slice(0, 1));
    expect(namesOf(all.serving(both, 2))).to.deep.equal(['a', 'c']);
    expect([...all.given]).to.deep.equal(['b']);
    const { wish } = both;
    expect(all.serving({ ...both, registration: 'globex' }, 9)).to.deep.equal([]);
    expect(all.serving({ ...both, host: 'github.example' }, 9)).to.deep.equal([]);
    expect(all.serving({ ...both, wish: { ...wish, image: 'registry.example/other:1' } }, 9)).to.deep.equal([]);
  });

  it('looks at each container no more often because many lanes wait', () => {
    let looks = 0;
    const watched = Array.from({ length: 500 }, (_, index) => ({
      name: `r${index}`,
      get backend() {
        looks += 1;
        return 'main';
      },
    }));
    const all = new ParkedContainers();
    all.add(pool(), watched);
    let given = 0;
    for (let lane = 0; lane < 1000; lane += 1) {
      const serving = all.serving(laneOf({ registration: 'acme', key: `lane${lane}` }), 1);
      given += serving.length;
      all.give(serving);
    }
    expect(given).to.equal(500);
    expect(looks).to.be.at.most(500);
  });
});
