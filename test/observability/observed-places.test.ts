import { expect } from 'chai';
import fc from 'fast-check';
import { type PlaceCaps, type PlacedJob, placesOf } from '../../dispatcher/observability/observed-places.ts';

const caps = (maxRunners: number, ...backends: PlaceCaps['backends']): PlaceCaps => ({ maxRunners, backends });
const job = (
  key: string,
  queuedAtMs: number,
  ranMs: number | undefined,
  backends: readonly string[] = ['a'],
): PlacedJob => ({
  ...{ key, queuedAtMs, ranMs, backends },
});
const told = (jobs: readonly PlacedJob[], by: PlaceCaps) =>
  Object.fromEntries([...placesOf(jobs, by).places].map(([key, { atMs, backend }]) => [key, `${backend} ${atMs}`]));

describe('the places that observed jobs would have had', () => {
  it('are at once where there is room, and where one ends where there is none', () => {
    const jobs = [job('1', 0, 100), job('2', 10, 100), job('3', 20, 100), job('4', 30, 5)];
    expect(told(jobs, caps(2, { name: 'a', maxRunners: 9 }))).to.deep.equal({
      ...{ '1': 'a 0', '2': 'a 10', '3': 'a 100', '4': 'a 110' },
    });
    expect(placesOf(jobs, caps(2, { name: 'a', maxRunners: 9 })).mostAtOnce).to.equal(2);
  });

  it('are on the first backend with room, and a full one keeps nobody behind it waiting', () => {
    const jobs = [job('1', 0, 100), job('2', 0, 100, ['a', 'b']), job('3', 1, 100), job('4', 2, 100, ['b'])];
    const both = caps(9, { name: 'a', maxRunners: 1 }, { name: 'b', maxRunners: 2 });
    expect(told(jobs, both)).to.deep.equal({ '1': 'a 0', '2': 'b 0', '3': 'a 100', '4': 'b 2' });
  });

  it('are spread by weight', () => {
    const jobs = Array.from({ length: 8 }, (_, index) => job(`${index}`, index, 100, ['a', 'b']));
    const weighed = caps(9, { name: 'a', maxRunners: 9, weight: 1 }, { name: 'b', maxRunners: 9, weight: 3 });
    const chosen = Object.values(told(jobs, weighed)).filter((words) => words.startsWith('b'));
    expect(chosen).to.have.length(6);
  });

  it('are kept by what has no end yet', () => {
    expect(told([job('1', 0, undefined), job('2', 5, 1)], caps(1, { name: 'a', maxRunners: 1 }))).to.deep.equal({
      '1': 'a 0',
    });
  });

  it('are none on backends that are not configured any more', () => {
    expect(told([job('1', 0, 5, ['gone'])], caps(9, { name: 'a', maxRunners: 9 }))).to.deep.equal({});
  });

  it('never exceed a cap, and come to everybody whose predecessors end', () => {
    const drawn = fc.array(
      fc.record({ at: fc.nat(200), ran: fc.nat(50), on: fc.constantFrom(['a'], ['b'], ['a', 'b'], ['b', 'a']) }),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(drawn, fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 3 }), (some, all, ofA) => {
        const jobs = some.map(({ at, on, ran }, index) => job(String(index), at, ran, on));
        const by = caps(all, { name: 'a', maxRunners: ofA }, { name: 'b', maxRunners: 2 });
        const { mostAtOnce, places } = placesOf(jobs, by);
        expect(places.size).to.equal(jobs.length);
        expect(mostAtOnce).to.be.at.most(all);
        for (const { atMs } of places.values()) {
          const running = jobs.filter(({ key, ranMs }) => {
            const place = places.get(key);
            return place !== undefined && place.atMs <= atMs && atMs < place.atMs + Math.max(1, ranMs ?? 0);
          });
          expect(running.length).to.be.at.most(all);
          expect(running.filter(({ key }) => places.get(key)?.backend === 'a').length).to.be.at.most(ofA);
        }
      }),
    );
  });
});
