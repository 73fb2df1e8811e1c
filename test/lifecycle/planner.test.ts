import { expect } from 'chai';
import fc from 'fast-check';
import { allot, inTurn, type LaneFacts, planPool, type Request } from '../../dispatcher/lifecycle/planner.ts';

function lane(
  key: string,
  labels: string,
  counts: Partial<Pick<LaneFacts, 'demand' | 'supply' | 'supposed' | 'warm'>> = {},
): LaneFacts {
  return { key, labels: new Set(labels.split(' ')), demand: 0, supply: 0, supposed: 0, ...counts };
}

const LABELS = ['a', 'b', 'c', 'd'];
const anyPool: fc.Arbitrary<readonly LaneFacts[]> = fc
  .uniqueArray(fc.subarray(LABELS, { minLength: 1 }), { selector: (labels) => labels.join(), maxLength: 8 })
  .chain((sets) =>
    fc.tuple(
      ...sets.map((labels, index) =>
        fc.record({
          key: fc.constant(`lane${index}`),
          labels: fc.constant(new Set(labels)),
          demand: fc.nat(6),
          supply: fc.nat(6),
          supposed: fc.nat(4),
          warm: fc.nat(3),
        }),
      ),
    ),
  );

function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
}

describe('the planner', () => {
  it('launches what is missing', () => {
    expect([...planPool([lane('x', 'a', { demand: 3, supply: 1 })]).needs]).to.deep.equal([['x', 2]]);
  });

  it('calls what is above the demand surplus', () => {
    const plan = planPool([lane('x', 'a', { demand: 1, supply: 3 })]);
    expect([...plan.surplus]).to.deep.equal([['x', 2]]);
  });

  it('keeps runners that are to wait without a job, and says how many do', () => {
    const plan = planPool([
      lane('full', 'a', { supply: 2, warm: 2 }),
      lane('over', 'b', { supply: 5, demand: 1, warm: 2 }),
      lane('under', 'c', { supply: 2, demand: 1, warm: 3 }),
      lane('even', 'd', { supply: 1, demand: 1, warm: 1 }),
      lane('short', 'e', { demand: 2, warm: 1 }),
      lane('cold', 'f', { supply: 1 }),
    ]);
    expect(Object.fromEntries(plan.surplus)).to.deep.equal({ over: 2, cold: 1 });
    expect(plan.needs).to.deep.equal(new Map([['short', 2]]));
    expect(Object.fromEntries(plan.idle)).to.deep.equal({ full: 2, over: 4, under: 1, even: 0, short: 0 });
  });

  it('lends those that wait, because GitHub gives them these jobs', () => {
    const plan = planPool([lane('small', 'a', { demand: 1 }), lane('large', 'a b', { supply: 2, warm: 2 })]);
    expect([...plan.needs]).to.deep.equal([]);
    expect([...plan.idle]).to.deep.equal([['large', 1]]);
  });

  it('credits what a lane with more labels has left over, each runner once', () => {
    const plan = planPool([
      lane('small', 'a', { demand: 2 }),
      lane('middle', 'a b', { demand: 1 }),
      lane('large', 'a b c', { supply: 2, demand: 0 }),
    ]);
    expect([...plan.needs]).to.deep.equal([['small', 1]]);
    expect([...plan.surplus]).to.deep.equal([]);
  });

  it('does not credit a runner whose labels lack one of the job’s', () => {
    const plan = planPool([lane('x', 'a b', { demand: 1 }), lane('y', 'a', { supply: 1 })]);
    expect([...plan.needs]).to.deep.equal([['x', 1]]);
  });

  it('does not launch for a job that a busy runner most likely has already', () => {
    expect([...planPool([lane('x', 'a', { demand: 2, supply: 0, supposed: 1 })]).needs]).to.deep.equal([['x', 1]]);
  });

  it('lends no supposition to other lanes, and drains nothing because of one', () => {
    const plan = planPool([lane('x', 'a b', { supposed: 3, supply: 1, demand: 1 }), lane('y', 'a', { demand: 1 })]);
    expect([...plan.needs]).to.deep.equal([['y', 1]]);
    expect([...plan.surplus]).to.deep.equal([]);
  });

  it('balances: supply and launches together equal demand and surplus', () => {
    fc.assert(
      fc.property(anyPool, (lanes) => {
        const { idle, needs, surplus } = planPool(lanes);
        const wanted = sum(lanes.map(({ demand }) => demand));
        const free = sum(lanes.map(({ supply }) => supply));
        // A lane counts on no more of the supposed than it is short of.
        const supposed = sum(lanes.map((each) => Math.max(0, Math.min(each.supposed, each.demand - each.supply))));
        const kept = sum(lanes.map(({ key, warm = 0 }) => Math.min(warm, idle.get(key) ?? 0)));
        expect(free + supposed + sum(needs.values())).to.equal(wanted + kept + sum(surplus.values()));
      }),
    );
  });

  it('drains and lends by runners that are free alone: who is supposed to be busy changes the needs of one lane', () => {
    fc.assert(
      fc.property(anyPool, (lanes) => {
        for (const each of lanes) {
          const { idle, needs, surplus } = planPool([each]);
          const balance = each.supply - each.demand;
          const { warm = 0 } = each;
          expect(surplus.get(each.key) ?? 0).to.equal(Math.max(0, balance - warm));
          expect(idle.get(each.key)).to.equal(warm > 0 ? Math.max(0, balance) : undefined);
          expect(needs.get(each.key) ?? 0).to.equal(Math.max(0, -balance - each.supposed));
        }
      }),
    );
  });

  it('borrows from the lane with the fewest labels first: the others can help more lanes', () => {
    const [middle, large] = [lane('z', 'a b', { supply: 1 }), lane('b', 'a b c', { supply: 1 })];
    const plan = planPool([lane('small', 'a', { demand: 1 }), large, middle]);
    expect([...plan.surplus]).to.deep.equal([['b', 1]]);
  });

  it('plans the same in whatever order the lanes are read', () => {
    fc.assert(
      fc.property(
        anyPool.chain((lanes) =>
          fc.tuple(fc.constant(lanes), fc.shuffledSubarray([...lanes], { minLength: lanes.length })),
        ),
        ([lanes, shuffled]) => {
          const [plan, again] = [planPool(lanes), planPool(shuffled)];
          expect(again.needs).to.deep.equal(plan.needs);
          expect(again.surplus).to.deep.equal(plan.surplus);
          expect(again.idle).to.deep.equal(plan.idle);
        },
      ),
    );
  });

  it('leaves no lane short while a lane with more labels has a runner to spare', () => {
    fc.assert(
      fc.property(anyPool, (lanes) => {
        const { needs, surplus } = planPool(lanes);
        for (const short of lanes.filter(({ key }) => needs.has(key))) {
          const lenders = lanes.filter(({ key, labels }) => surplus.has(key) && short.labels.isSubsetOf(labels));
          expect(lenders.map(({ key }) => key)).to.deep.equal([]);
        }
      }),
    );
  });
});

describe('the turn of backends', () => {
  const backends = ['one', 'two', 'three'];

  it('is their order where they have no weights', () => {
    let draw = 1;
    const falling = () => {
      draw -= 0.1;
      return draw;
    };
    expect(inTurn(backends, new Map(), falling)).to.deep.equal(backends);
    expect(inTurn(backends, new Map([['one', 1]]), falling), 'one weight is enough for a draw').to.not.deep.equal(
      backends,
    );
  });

  it('puts each first in its share of the cases, and names all of them', () => {
    const weights = new Map([
      ['one', 6],
      ['two', 3],
      ['three', 1],
    ]);
    const first = new Map<string, number>();
    let state = 1;
    const random = () => {
      state = (state * 48_271) % 2_147_483_647;
      return state / 2_147_483_647;
    };
    for (let draw = 0; draw < 10_000; draw += 1) {
      const turn = inTurn(backends, weights, random);
      expect(turn).to.have.members(backends);
      const [head = ''] = turn;
      first.set(head, (first.get(head) ?? 0) + 1);
    }
    expect(first.get('one')).to.be.within(5_700, 6_300);
    expect(first.get('two')).to.be.within(2_700, 3_300);
    expect(first.get('three')).to.be.within(800, 1_200);
  });
});

const anyLines = fc.dictionary(
  fc.constantFrom('acme', 'globex', 'initech'),
  fc.array(fc.record({ need: fc.integer({ min: 1, max: 5 }), backends: fc.subarray(['one', 'two']) }), {
    maxLength: 4,
  }),
);
const anyRoom = fc.record({
  total: fc.nat(20),
  registration: fc.nat(8),
  one: fc.nat(6),
  two: fc.nat(6),
});

describe('the allotment', () => {
  const roomy = {
    total: 100,
    byRegistration: new Map([
      ['big', 100],
      ['small', 100],
    ]),
    byLine: new Map([
      ['big', 100],
      ['small', 100],
    ]),
    lineOf: (name: string) => name,
    byBackend: new Map([
      ['big/b', 100],
      ['small/b', 100],
    ]),
  };

  it('serves a single job of one registration between the thousand of another', () => {
    const lines = new Map<string, readonly Request[]>([
      ['big', [{ laneKey: 'l', need: 1000, backends: ['b'] }]],
      ['small', [{ laneKey: 's', need: 1, backends: ['b'] }]],
    ]);
    const served = allot(lines, { ...roomy, total: 3 }, new Map()).map(({ registration }) => registration);
    expect(served).to.deep.equal(['big', 'small', 'big']);
  });

  const request = [{ laneKey: 'l', need: 5, backends: ['b'] }];

  it('begins with the tenant that has been served least recently', () => {
    const lines = new Map<string, readonly Request[]>([
      ['big', request],
      ['small', request],
    ]);
    const next = (...served: string[]) =>
      allot(lines, { ...roomy, total: 1 }, new Map(served.map((name) => [name, name])))[0]?.registration;
    expect(next()).to.equal('big');
    expect(next('big')).to.equal('small');
    expect(next('small', 'big')).to.equal('small');
    expect(next('big', 'small')).to.equal('big');
    expect(next('big', 'small', 'gone')).to.equal('big');
  });

  describe('where one tenant has many registrations', () => {
    const many = Array.from({ length: 100 }, (_, index) => `many-${index}`);
    const lines = new Map<string, readonly Request[]>([...many, 'small'].map((name) => [name, request]));
    const room = {
      total: 4,
      byRegistration: new Map([...many, 'small'].map((name) => [name, 5])),
      byLine: new Map([
        ['many', 20],
        ['small', 20],
      ]),
      lineOf: (name: string) => (name === 'small' ? 'small' : 'many'),
      byBackend: new Map([...many, 'small'].map((name) => [`${name}/b`, 5])),
    };

    it('gives another as many turns as all of them together', () => {
      const served = allot(lines, room, new Map()).map(({ registration }) => registration);
      expect(served).to.deep.equal(['many-0', 'small', 'many-1', 'small']);
    });

    it('goes on behind the one of them that was served last', () => {
      const served = new Map([
        ['many', 'many-98'],
        ['small', 'small'],
      ]);
      const next = allot(lines, room, served).map(({ registration }) => registration);
      expect(next).to.deep.equal(['many-99', 'small', 'many-0', 'small']);
    });

    it('passes over those that have no room', () => {
      const full = { ...room, byRegistration: new Map([...room.byRegistration, ['many-0', 0], ['small', 1]]) };
      const served = allot(lines, full, new Map()).map(({ registration }) => registration);
      expect(served).to.deep.equal(['many-1', 'small', 'many-2', 'many-3']);
    });
  });

  it('gives all registrations of one tenant together what that tenant may launch at once', () => {
    const lines = new Map<string, readonly Request[]>([
      ['big', [{ laneKey: 'l', need: 1000, backends: ['b'] }]],
      ['small', [{ laneKey: 's', need: 1000, backends: ['b'] }]],
    ]);
    const room = { ...roomy, total: 100, byLine: new Map([['tenant', 4]]), lineOf: () => 'tenant' };
    const served = allot(lines, room, new Map()).map(({ registration }) => registration);
    expect(served).to.deep.equal(['big', 'small', 'big', 'small']);
  });

  it('never exceeds a cap, a need, or a negative room, and names only backends with room', () => {
    fc.assert(
      fc.property(anyLines, anyRoom, (wishes, room) => {
        const names = Object.keys(wishes);
        const lines = new Map(
          names.map((name) => [
            name,
            (wishes[name] ?? []).map((wish, index) => ({ laneKey: `${name}${index}`, ...wish })),
          ]),
        );
        const grants = allot(
          lines,
          {
            total: room.total - 5,
            byRegistration: new Map(names.map((name) => [name, room.registration - 2])),
            byLine: new Map([['all', 12]]),
            lineOf: () => 'all',
            byBackend: new Map(
              names.flatMap(
                (name) =>
                  [
                    [`${name}/one`, room.one],
                    [`${name}/two`, room.two],
                  ] as const,
              ),
            ),
          },
          new Map([['all', 'globex']]),
        );
        expect(grants.length).to.be.at.most(Math.max(0, room.total - 5));
        expect(grants.length).to.be.at.most(12);
        for (const name of names) {
          const own = grants.filter(({ registration }) => registration === name);
          expect(own.length).to.be.at.most(Math.max(0, room.registration - 2));
          for (const [backend, free] of [
            ['one', room.one],
            ['two', room.two],
          ] as const) {
            expect(own.filter(({ backends }) => backends[0] === backend).length).to.be.at.most(free);
          }
          for (const [index, wish] of (wishes[name] ?? []).entries()) {
            const granted = own.filter(({ laneKey }) => laneKey === `${name}${index}`);
            expect(granted.length).to.be.at.most(wish.need);
            for (const { backends } of granted) expect(wish.backends).to.include.members([...backends]);
          }
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('gives everything that fits when there is room', () => {
    fc.assert(
      fc.property(anyLines, (wishes) => {
        const names = Object.keys(wishes);
        const lines = new Map(
          names.map((name) => [
            name,
            (wishes[name] ?? []).map((wish, index) => ({ laneKey: `${name}${index}`, ...wish })),
          ]),
        );
        const room = {
          total: 1000,
          byRegistration: new Map(names.map((name) => [name, 1000])),
          byLine: new Map(names.map((name) => [name, 1000])),
          lineOf: (name: string) => name,
          byBackend: new Map(
            names.flatMap(
              (name) =>
                [
                  [`${name}/one`, 1000],
                  [`${name}/two`, 1000],
                ] as const,
            ),
          ),
        };
        const wanted = Object.values(wishes)
          .flat()
          .filter(({ backends }) => backends.length > 0);
        expect(allot(lines, room, new Map()).length).to.equal(sum(wanted.map(({ need }) => need)));
      }),
    );
  });
});
