import { expect } from 'chai';
import fc from 'fast-check';
import { Shares } from '../../dispatcher/lifecycle/shares.ts';
import { type PoolFacts, planStandby, type StandbyFacts } from '../../dispatcher/lifecycle/standby/plan.ts';

const runners = (...names: readonly string[]) => names.map((name) => ({ name, backend: 'main' }));

function pool(some: Partial<PoolFacts> = {}): PoolFacts {
  return { registration: 'acme', line: 'acme', key: 'p1', size: 2, backends: ['main'], runners: [], ...some };
}

function facts(some: Partial<StandbyFacts> = {}, most = 10): StandbyFacts {
  return {
    pools: [pool()],
    waiting: [],
    room: new Map([
      ['', most],
      ['acme', most],
      ['acme/main', most],
      ['acme/other', most],
    ]),
    ending: new Map(),
    launches: 10,
    launchesOf: new Map([['acme', 10]]),
    ...some,
  };
}

describe('the plan of standby pools', () => {
  it('makes room for a job only where what is kept for others lets it have the place', () => {
    const lineOf = (name: string) => name;
    const reserved = new Map([['globex', { line: 'globex', reserved: 3, registrations: new Map() }]]);
    const room = new Map([
      ['', 3],
      ...['acme', 'globex'].flatMap((name) => [[name, 9] as const, [`${name}/main`, 9] as const]),
    ]);
    const waiting = [{ registration: 'acme', backends: ['main'], count: 1 }];
    const plan = (whose: string, held: number) =>
      planStandby(
        facts({
          ...{ room, waiting, pools: [pool({ registration: whose, size: 1, runners: runners('a') })] },
          kept: { lineOf, shares: new Shares(reserved, 3, new Map([[whose, held]]), new Map([[whose, held]])) },
        }),
      ).drops.map(({ runner }) => runner);
    expect(plan('acme', 1), 'three are kept: only its own gives it a place').to.deep.equal(['a']);
    expect(plan('globex', 1), 'two are kept and one is free').to.deep.equal([]);
    const full = new Map([...room, ['', 0] as const]);
    const ofReserved = (held: number) =>
      planStandby(
        facts({
          ...{ room: full, waiting, pools: [pool({ registration: 'globex', size: 1, runners: runners('a') })] },
          kept: { lineOf, shares: new Shares(reserved, 0, new Map([['globex', held]]), new Map([['globex', held]])) },
        }),
      ).drops.map(({ runner }) => runner);
    expect(ofReserved(3), 'its place would be kept').to.deep.equal([]);
    expect(ofReserved(4), 'it is beyond what is reserved').to.deep.equal(['a']);
  });

  it('makes room for a job below its reservation, however many others are below theirs', () => {
    const names = ['acme', 'globex', 'initech'];
    const room = new Map([['', 0], ...names.flatMap((name) => [[name, 9] as const, [`${name}/main`, 9] as const])]);
    const share = (line: string) => [line, { line, reserved: 5, registrations: new Map() }] as const;
    const held = new Map([['globex', 10]]);
    const shares = new Shares(new Map([share('acme'), share('initech')]), 0, held, held);
    const idle = pool({ registration: 'globex', line: 'globex', size: 3, runners: runners('a', 'b', 'c') });
    const waiting = [{ registration: 'acme', backends: ['main'], count: 2 }];
    const kept = { lineOf: (name: string) => name, shares };
    const launchesOf = new Map([['globex', 10]]);
    const { drops, launches } = planStandby(facts({ room, waiting, pools: [idle], kept, launchesOf }));
    expect(drops.map(({ runner }) => runner)).to.deep.equal(['c', 'b']);
    expect(launches).to.deep.equal([]);
  });

  it('takes no container within a reservation for the job of another, also where a reservation is new', () => {
    const names = ['acme', 'globex', 'initech'];
    const room = new Map([['', 0], ...names.flatMap((name) => [[name, 9] as const, [`${name}/main`, 9] as const])]);
    const share = (line: string) => [line, { line, reserved: 3, registrations: new Map() }] as const;
    const held = new Map([
      ['globex', 3],
      ['initech', 7],
    ]);
    const shares = new Shares(new Map([share('acme'), share('globex')]), 0, held, held);
    const within = pool({ registration: 'globex', line: 'globex', size: 3, runners: runners('a', 'b', 'c') });
    const beyond = pool({ registration: 'initech', line: 'initech', key: 'p2', size: 1, runners: runners('d') });
    const kept = { lineOf: (name: string) => name, shares };
    const plan = (registration: string, ...pools: readonly PoolFacts[]) =>
      planStandby(facts({ room, pools, kept, waiting: [{ registration, backends: ['main'], count: 2 }] })).drops.map(
        ({ runner }) => runner,
      );
    expect(plan('acme', within)).to.deep.equal([]);
    expect(plan('acme', within, beyond)).to.deep.equal(['d']);
    expect(plan('globex', within), 'its own jobs may have them').to.deep.equal(['c', 'b']);
  });

  it('takes none within a reservation for a job of the same tenant’s other registration', () => {
    const names = ['web', 'app'];
    const room = new Map([['', 0], ...names.flatMap((name) => [[name, 9] as const, [`${name}/main`, 9] as const])]);
    const registrations = new Map(names.map((name) => [name, 2]));
    const held = (web: number) => new Map([['web', web]]);
    const plan = (web: number) => {
      const shares = new Shares(
        new Map([['acme', { line: 'acme', reserved: 4, registrations }]]),
        ...([0, new Map([['acme', web]]), held(web)] as const),
      );
      const pools = [pool({ registration: 'web', size: 1, runners: runners('a') })];
      const waiting = [{ registration: 'app', backends: ['main'], count: 1 }];
      return planStandby(facts({ room, pools, waiting, kept: { lineOf: () => 'acme', shares } })).drops.length;
    };
    expect(plan(2)).to.equal(0);
    expect(plan(3)).to.equal(1);
  });

  it('fills each pool to its size, those that are still starting included', () => {
    const { drops, launches } = planStandby(facts({ pools: [pool({ size: 3, runners: runners('a') })] }));
    expect(drops).to.deep.equal([]);
    expect(launches).to.deep.equal([
      { key: 'p1', backends: ['main'] },
      { key: 'p1', backends: ['main'] },
    ]);
  });

  it('drops what a pool has too many, the last ones first', () => {
    const { drops } = planStandby(facts({ pools: [pool({ size: 1, runners: runners('a', 'b', 'c') })] }));
    expect(drops.map(({ runner }) => runner)).to.deep.equal(['b', 'c']);
  });

  it('gives each pool its turn where there is not room for all', () => {
    const pools = [pool({ size: 5 }), pool({ key: 'p2', size: 1 })];
    expect(planStandby(facts({ pools }, 2)).launches.map(({ key }) => key)).to.deep.equal(['p1', 'p2']);
    expect(planStandby(facts({ pools, launches: 1 })).launches.map(({ key }) => key)).to.deep.equal(['p1']);
  });

  it('begins no more launches of one tenant than it may have under way', () => {
    const pools = [pool({ size: 5 }), pool({ key: 'p2', size: 5 }), pool({ key: 'p3', line: 'globex', size: 2 })];
    const launchesOf = new Map([
      ['acme', 1],
      ['globex', 9],
    ]);
    expect(planStandby(facts({ pools, launchesOf })).launches.map(({ key }) => key)).to.deep.equal(['p1', 'p3', 'p3']);
  });

  it('leaves the room that waiting jobs need', () => {
    const waiting = [{ registration: 'acme', backends: ['main'], count: 3 }];
    expect(planStandby(facts({ waiting }, 4)).launches).to.have.length(1);
    expect(planStandby(facts({ waiting }, 3)).launches).to.deep.equal([]);
  });

  it('makes room for a waiting job that a cap keeps waiting, once', () => {
    const some = {
      pools: [pool({ runners: runners('a', 'b') })],
      waiting: [{ registration: 'acme', backends: ['main'], count: 1 }],
    };
    expect(planStandby(facts(some, 0)).drops).to.deep.equal([{ runner: 'b', reason: 'a waiting job needs its place' }]);
    const ending = new Map([
      ['', 1],
      ['acme', 1],
      ['acme/main', 1],
    ]);
    expect(planStandby(facts({ ...some, ending }, 0)).drops, 'the place is on its way').to.deep.equal([]);
  });

  it('makes no room with a container that another waiting job gets', () => {
    const some = (...taken: readonly string[]) =>
      facts(
        {
          pools: [pool({ runners: runners('a', 'b') })],
          waiting: [{ registration: 'acme', backends: ['main'], count: 2 }],
          taken: new Set(taken),
        },
        0,
      );
    const drops = (...taken: readonly string[]) => planStandby(some(...taken)).drops.map(({ runner }) => runner);
    expect(drops('b')).to.deep.equal(['a']);
    expect(drops('a', 'b')).to.deep.equal([]);
  });

  it('looks at each container a few times, however many lanes wait without room', () => {
    let looks = 0;
    const all = Array.from({ length: 500 }, (_, index) => ({
      name: `r${index}`,
      get backend() {
        looks += 1;
        return 'main';
      },
    }));
    const registrations = Array.from({ length: 20 }, (_, index) => `globex-${index}`);
    const waiting = registrations.flatMap((registration) =>
      Array.from({ length: 500 }, () => ({ registration, backends: ['main'], count: 1 })),
    );
    // Each is at its own cap: the end of no other one's container helps.
    const room = new Map([['', 0], ...registrations.map((name) => [name, 0] as const)]);
    const plan = planStandby(facts({ pools: [pool({ size: 500, runners: all })], waiting, room }));
    expect(plan.drops).to.deep.equal([]);
    expect(looks).to.be.at.most(3 * all.length + registrations.length);
  });

  it('drops nothing whose end would help no waiting job', () => {
    const elsewhere = facts({
      pools: [pool({ registration: 'globex', key: 'p9', runners: runners('a', 'b') })],
      waiting: [{ registration: 'acme', backends: ['main'], count: 2 }],
      room: new Map([
        ['', 5],
        ['acme', 0],
        ['acme/main', 5],
        ['globex', 5],
        ['globex/main', 5],
      ]),
    });
    expect(planStandby(elsewhere).drops).to.deep.equal([]);
  });

  it('lets a job of one tenant have the place of another one’s container where the dispatcher is full', () => {
    const full = facts({
      pools: [pool({ registration: 'globex', key: 'p9', runners: runners('a', 'b') })],
      waiting: [{ registration: 'acme', backends: ['main'], count: 1 }],
      room: new Map([
        ['', 0],
        ['acme', 5],
        ['acme/main', 5],
        ['globex', 0],
        ['globex/main', 0],
      ]),
    });
    expect(planStandby(full).drops.map(({ runner }) => runner)).to.deep.equal(['b']);
  });

  it('drops all of them where nothing may be launched any more, as in a drain', () => {
    const drained = planStandby(facts({ pools: [pool({ runners: runners('a', 'b') })] }, -2));
    expect(drained.drops.map(({ runner }) => runner)).to.have.members(['a', 'b']);
    expect(drained.launches).to.deep.equal([]);
  });

  const count = fc.integer({ min: -2, max: 6 });
  const anyFacts: fc.Arbitrary<StandbyFacts> = fc
    .record({
      room: fc.record({ all: count, acme: count, main: count, other: count }),
      ending: fc.integer({ min: 0, max: 2 }),
      sizes: fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 3 }),
      has: fc.array(fc.constantFrom('main', 'other'), { maxLength: 6 }),
      waiting: fc.array(
        fc.record({
          backends: fc.constantFrom(['main'], ['other'], ['main', 'other']),
          count: fc.integer({ min: 1, max: 4 }),
        }),
        { maxLength: 3 },
      ),
      launches: fc.integer({ min: 0, max: 5 }),
      launchesOf: fc.integer({ min: 0, max: 5 }).map((most) => new Map([['acme', most]])),
    })
    .map(({ ending, has, launches, launchesOf, room, sizes, waiting }) => ({
      launchesOf,
      pools: sizes.map((size, index) =>
        pool({
          key: `p${index}`,
          size,
          backends: ['main', 'other'],
          runners: has.flatMap((backend, at) => (at % sizes.length === index ? [{ name: `r${at}`, backend }] : [])),
        }),
      ),
      waiting: waiting.map((one) => ({ registration: 'acme', ...one })),
      room: new Map([
        ['', room.all],
        ['acme', room.acme],
        ['acme/main', room.main],
        ['acme/other', room.other],
      ]),
      ending: new Map([
        ['', ending],
        ['acme', ending],
      ]),
      launches,
    }));

  it('never launches beyond a cap or a size, and drops each only once', () => {
    fc.assert(
      fc.property(anyFacts, (some) => {
        const { drops, launches } = planStandby(some);
        expect(new Set(drops.map(({ runner }) => runner)).size).to.equal(drops.length);
        expect(launches.length).to.be.at.most(
          Math.max(0, Math.min(some.launches, some.room.get('acme') ?? 0, some.launchesOf.get('acme') ?? 0)),
        );
        const onMain = launches.filter(({ backends }) => backends[0] === 'main').length;
        expect(onMain).to.be.at.most(Math.max(0, some.room.get('acme/main') ?? 0));
        for (const { key, size, runners: had } of some.pools) {
          const left = had.filter(({ name }) => !drops.some(({ runner }) => runner === name)).length;
          const launched = launches.filter((launch) => launch.key === key).length;
          expect(left + launched).to.be.at.most(size);
        }
      }),
    );
  });

  it('comes to rest: what it drops is not launched anew while the facts are the same', () => {
    fc.assert(
      fc.property(anyFacts, (some) => {
        const { drops, launches } = planStandby(some);
        const crowded = drops.filter(({ reason }) => reason !== 'its pool needs it no more');
        for (const { runner } of crowded) {
          const from = some.pools.find((one) => one.runners.some(({ name }) => name === runner));
          const backend = from?.runners.find(({ name }) => name === runner)?.backend;
          expect(launches.some(({ key, backends }) => key === from?.key && backends[0] === backend)).to.equal(false);
        }
      }),
    );
  });
});
