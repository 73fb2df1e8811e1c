import { expect } from 'chai';
import fc from 'fast-check';
import type { LaneSpec } from '../../dispatcher/jobs/lane.ts';
import type { LaneCounts, Ledger } from '../../dispatcher/ledger/ledger.ts';
import { Board } from '../../dispatcher/lifecycle/board.ts';
import { type LaneFacts, planPool } from '../../dispatcher/lifecycle/planner.ts';
import { lane } from '../ledger/examples.ts';
import { openResting } from './runner-context-fixture.ts';

const LABELS = [['a'], ['b'], ['a', 'b'], ['a', 'c'], ['a', 'b', 'c']];

const MINUTE = 60_000;

function counts(key: string, labels: readonly string[], demand: number, supply: number): LaneCounts {
  return countsOf({ key, labels }, { demand, creating: supply });
}

function countsOf(spec: Partial<LaneSpec>, some: Partial<LaneCounts> = {}): LaneCounts {
  return {
    ...{ lane: lane(spec), demand: 0, held: 0, oldestQueuedSinceMs: null },
    ...{ creating: 0, starting: 0, online: 0, outdated: 0 },
    ...some,
  };
}

interface Shown {
  readonly board: Board;
  /** Lanes a read, in the order of the reads. */
  readonly reads: (readonly string[])[];
  /** What the ledger counts from now on, read and planned at once; undefined: the lane has nothing any more. */
  show(nowMs: number, ...changes: readonly LaneCounts[]): Promise<void>;
  /** The ledger counts nothing for these any more. */
  end(nowMs: number, ...keys: readonly string[]): Promise<void>;
  need(key: string): number;
  surplus(beforeMs: number): Readonly<Record<string, number>>;
}

function openBoard(): Shown {
  const lanes = new Map<string, LaneCounts>();
  const reads: (readonly string[])[] = [];
  const ledger = {
    laneCounts: async (keys: readonly string[]) => {
      reads.push(keys);
      return keys.flatMap((key) => lanes.get(key) ?? []);
    },
  };
  const board = new Board(ledger, openResting());
  async function read(nowMs: number, keys: readonly string[]): Promise<void> {
    for (const key of keys) board.mark(key);
    await board.refresh(nowMs);
  }
  return {
    board,
    reads,
    async show(nowMs, ...changes) {
      for (const change of changes) lanes.set(change.lane.key, change);
      await read(
        nowMs,
        changes.map((change) => change.lane.key),
      );
    },
    async end(nowMs, ...keys) {
      for (const key of keys) lanes.delete(key);
      await read(nowMs, keys);
    },
    need: (key) => board.need({ key, registration: 'acme' }),
    surplus: (beforeMs) =>
      Object.fromEntries([...board.surplusSince(beforeMs)].map(({ laneKey, count }) => [laneKey, count])),
  };
}

/** Lane, demand, supply. */
const anyChange = fc.tuple(
  fc.integer({ min: 0, max: 7 }),
  fc.integer({ min: 0, max: 3 }),
  fc.integer({ min: 0, max: 3 }),
);

describe('the board of lanes', () => {
  it('plans what changed as it would plan everything anew', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(anyChange, { minLength: 1, maxLength: 3 }), { maxLength: 20 }),
        async (passes) => {
          const lanes = new Map<string, LaneCounts>();
          const laneCounts = async (keys: readonly string[]) => keys.flatMap((key) => lanes.get(key) ?? []);
          const board = new Board({ laneCounts }, openResting());
          for (const changes of passes) {
            for (const [index, demand, supply] of changes) {
              const key = `lane-${index}`;
              lanes.set(key, counts(key, LABELS[index % LABELS.length] ?? ['a'], demand, supply));
              board.mark(key);
            }
            await board.refresh(1);
            const facts = [...lanes.values()].map(
              ({ lane: { key, labels }, demand, creating }): LaneFacts => ({
                ...{ key, labels: new Set(labels), demand, supply: creating, supposed: 0 },
              }),
            );
            const plan = planPool(facts);
            const needs = [...board.lanesInNeed(lane().registration)].map(
              ({ lane: { key }, need }) => [key, need] as const,
            );
            const surplus = [...board.surplusSince(1)].map(({ laneKey, count }) => [laneKey, count] as const);
            expect(new Map(needs)).to.deep.equal(plan.needs);
            expect(new Map(surplus)).to.deep.equal(plan.surplus);
          }
        },
      ),
    );
  });

  it('gives a lane its need back when what it borrowed is gone', async () => {
    const { need, show } = openBoard();
    await show(1, counts('small', ['a'], 1, 0), counts('large', ['a', 'b'], 0, 1));
    expect(need('small')).to.equal(0);
    await show(2, counts('large', ['a', 'b'], 1, 1));
    expect(need('small')).to.equal(1);
  });

  it('counts on a runner that is being made, starts, or is online', async () => {
    const { need, show } = openBoard();
    await show(1, countsOf({ key: 'x' }, { demand: 10, creating: 1, starting: 2, online: 4 }));
    expect(need('x')).to.equal(3);
  });

  it('borrows at the same host, scope and runner group alone, whatever the case of the labels', async () => {
    const elsewhere: readonly Partial<LaneSpec>[] = [
      { host: 'ghe.example' },
      { scope: { kind: 'organization', organization: 'emca' } },
      { runnerGroup: 'Large' },
    ];
    const short = countsOf({ key: 'short', labels: ['A'] }, { demand: 1 });
    const spare = (some: Partial<LaneSpec>) => countsOf({ key: 'spare', labels: ['a', 'B'], ...some }, { online: 1 });
    for (const some of elsewhere) {
      const { need, show } = openBoard();
      await show(1, short, spare(some));
      expect(need('short'), JSON.stringify(some)).to.equal(1);
    }
    const { need, show } = openBoard();
    await show(1, short, spare({}));
    expect(need('short')).to.equal(0);
  });

  it('plans a lane in the pool that it has moved to, and no longer in the one that it was in', async () => {
    const { need, show, surplus } = openBoard();
    const large = (runnerGroup: string) =>
      countsOf({ key: 'large', labels: ['a', 'b'], runnerGroup }, { online: 1, outdated: 1 });
    const small = (runnerGroup: string) => countsOf({ key: 'small', labels: ['a'], runnerGroup }, { demand: 1 });
    await show(1, small('Default'), large('Default'));
    expect(need('small')).to.equal(0);
    await show(2, large('Large'));
    await show(3, small('Default'));
    expect(need('small')).to.equal(1);
    expect(surplus(3)).to.deep.equal({ large: 1 });
    await show(4, small('Large'));
    expect(need('small')).to.equal(0);
  });

  it('forgets a lane that the ledger counts nothing for', async () => {
    const { board, end, need, show, surplus } = openBoard();
    const names = (): readonly unknown[] => [
      [...board.registrationsInUse()],
      board.registrationsInNeed(),
      [...board.outdatedLanes()],
      [...board.lanesInNeed('acme')].length,
      surplus(9),
    ];
    await show(1, countsOf({ key: 'short' }, { demand: 1 }), countsOf({ key: 'spare', labels: ['z'] }, { online: 1 }));
    await show(1, countsOf({ key: 'old', labels: ['y'] }, { outdated: 1 }));
    expect(names()).to.deep.equal([['acme'], ['acme'], ['old'], 1, { spare: 1 }]);
    await end(2, 'short', 'spare', 'old', 'never-known');
    expect(names()).to.deep.equal([[], [], [], 0, {}]);
    expect(board.counts('short')).to.equal(undefined);
    // What is left of them in their pool would lend or need.
    await show(3, countsOf({ key: 'new', labels: ['acme-runner'] }, { demand: 1 }));
    expect(need('new')).to.equal(1);
  });

  it('plans the others of a pool anew when the lane that lent to one of them is gone', async () => {
    const { end, need, show } = openBoard();
    await show(1, counts('small', ['a'], 1, 0), counts('large', ['a', 'b'], 0, 1));
    await end(2, 'large');
    expect(need('small')).to.equal(1);
  });

  it('forgets a lane whose demand and runners are read as none, and keeps one with outdated runners alone', async () => {
    const { board, show } = openBoard();
    await show(1, countsOf({ key: 'x' }, { demand: 1 }), countsOf({ key: 'y' }, { online: 1, outdated: 1 }));
    await show(2, countsOf({ key: 'x' }), countsOf({ key: 'y' }, { outdated: 1 }));
    expect([board.counts('x'), board.counts('y')?.outdated]).to.deep.equal([undefined, 1]);
    expect([...board.outdatedLanes()]).to.deep.equal(['y']);
    await show(3, countsOf({ key: 'y' }, { online: 1 }));
    expect([...board.outdatedLanes()]).to.deep.equal([]);
  });

  it('names registrations and their lanes in need in the order in which they began to need runners', async () => {
    const { board, show } = openBoard();
    const lanesInNeed = (name: string) =>
      [...board.lanesInNeed(name)].map(({ lane: { key }, need }) => `${key} ${need}`);
    const of = (registration: string, key: string, demand: number) =>
      countsOf({ registration, key, labels: [key] }, { demand });
    await show(1, of('emca', 'e', 1));
    await show(2, of('acme', 'a1', 1));
    await show(3, of('acme', 'a2', 2), of('acme', 'a1', 3));
    expect(board.registrationsInNeed()).to.deep.equal(['emca', 'acme']);
    expect(lanesInNeed('acme')).to.deep.equal(['a1 3', 'a2 2']);
    await show(4, of('acme', 'a1', 0));
    expect(lanesInNeed('acme')).to.deep.equal(['a2 2']);
    await show(5, of('emca', 'e', 0));
    expect(board.registrationsInNeed()).to.deep.equal(['acme']);
    expect(lanesInNeed('emca')).to.deep.equal([]);
  });

  it('tells the lanes and scopes of a registration, and of no other', async () => {
    const { board, show } = openBoard();
    const repository = { kind: 'repository', owner: 'emca', repository: 'web' } as const;
    await show(
      1,
      countsOf({ registration: 'acme', key: 'a' }, { demand: 1 }),
      countsOf({ registration: 'emca', key: 'e', scope: repository }, { demand: 1 }),
    );
    expect([...board.lanesOf('acme')].map(({ key }) => key)).to.deep.equal(['a']);
    expect([...board.scopes('acme')]).to.deep.equal(['orgs/acme']);
    expect([...board.scopes('emca')]).to.deep.equal(['repos/emca/web']);
  });

  it('remembers since when a lane has had runners too many, however their number changes', async () => {
    const { board, show, surplus } = openBoard();
    const of = (key: string, online: number) => countsOf({ key, labels: [key] }, { online });
    expect(board.firstSurplusMs()).to.equal(undefined);
    await show(10, of('x', 1));
    await show(20, of('y', 1), of('x', 2));
    expect(board.firstSurplusMs()).to.equal(10);
    expect([surplus(9), surplus(10), surplus(20)]).to.deep.equal([{}, { x: 2 }, { x: 2, y: 1 }]);
    await show(30, of('x', 0));
    await show(40, of('x', 1));
    expect(board.firstSurplusMs()).to.equal(20);
    expect(surplus(39)).to.deep.equal({ y: 1 });
  });

  it('reads no more than 500 lanes at once', async () => {
    const { board, reads } = openBoard();
    for (let index = 0; index < 501; index += 1) board.mark(`lane-${index}`);
    await board.refresh(1);
    await board.refresh(2);
    expect(reads.map(({ length }) => length)).to.deep.equal([500, 1]);
  });

  it('reads again what the ledger did not answer', async () => {
    let broken = true;
    const ledger = {
      laneCounts: async (keys: readonly string[]) => {
        if (broken) throw new Error('the disk is full');
        return keys.map((key) => countsOf({ key }, { demand: 1 }));
      },
    };
    const board = new Board(ledger, openResting());
    board.mark('x');
    const error = await board.refresh(1).catch((reason: unknown) => reason);
    expect(error).to.be.an('error').with.property('message', 'the disk is full');
    broken = false;
    await board.refresh(2);
    expect(board.need({ key: 'x', registration: 'acme' })).to.equal(1);
  });

  describe('where the row of a lane cannot be read', () => {
    const need = (board: Board, key: string) => board.need({ key, registration: 'acme' });

    async function open(isBad: () => boolean) {
      let nowMs = 1_000;
      const resting = openResting(() => nowMs);
      const reads: string[] = [];
      const ledger: Pick<Ledger, 'laneCounts'> = {
        laneCounts: async (keys, unreadable) => {
          reads.push(keys.join(' '));
          const bad = keys.includes('bad') && isBad();
          if (bad && unreadable !== 'reject')
            unreadable({ key: 'bad', registration: 'acme', fault: 'column spec: Invalid input' });
          return keys.filter((key) => key !== 'bad' || !bad).map((key) => countsOf({ key }, { demand: 1 }));
        },
      };
      const board = new Board(ledger, resting);
      for (const key of ['bad', 'good']) board.mark(key);
      await board.refresh(nowMs);
      const at = async (ms: number) => {
        nowMs = ms;
        await board.refresh(ms);
      };
      return { at, board, reads, resting };
    }

    it('plans the others, and lets that one rest', async () => {
      const { board, resting } = await open(() => true);
      expect([need(board, 'good'), need(board, 'bad')]).to.deep.equal([1, 0]);
      const [rest] = resting.of('acme');
      expect(rest).to.include({ about: 'lane bad', untilMs: 6_000 });
      expect(rest?.failure.message).to.include('its row in the ledger cannot be read (column spec: Invalid input)');
    });

    it('reads it again after its rest, and each time after a longer one', async () => {
      const { at, reads, resting } = await open(() => true);
      await at(5_999);
      await at(6_000);
      await at(15_999);
      expect(reads).to.deep.equal(['bad good', 'bad']);
      expect(resting.get('bad')).to.include({ times: 2, untilMs: 16_000 });
    });

    it('reads it at once where something of it changed, and plans it as soon as it can', async () => {
      let bad = true;
      const { at, board, resting } = await open(() => bad);
      bad = false;
      board.mark('bad');
      await at(2_000);
      expect(need(board, 'bad')).to.equal(1);
      expect(resting.of('acme')).to.deep.equal([]);
    });
  });

  describe('where a runner is busy and no job names it', () => {
    const START = 1_000;

    it('launches nothing for the job that it most likely has, for two minutes', async () => {
      const { board, need, show } = openBoard();
      board.supposeBusy({ name: 'r1', laneKey: 'x', registration: 'acme' }, START);
      await show(START, countsOf({ key: 'x' }, { demand: 1 }), countsOf({ key: 'y', labels: ['y'] }, { demand: 1 }));
      expect([need('x'), need('y')]).to.deep.equal([0, 1]);
      expect(board.nextSupposedEndMs()).to.equal(START + 2 * MINUTE);
      await board.refresh(START + 2 * MINUTE - 1);
      expect(need('x')).to.equal(0);
      await board.refresh(START + 2 * MINUTE);
      expect(need('x')).to.equal(1);
      expect(board.nextSupposedEndMs()).to.equal(undefined);
    });

    it('counts each such runner once, from the first time', async () => {
      const { board, need, show } = openBoard();
      board.supposeBusy({ name: 'r1', laneKey: 'x', registration: 'acme' }, START);
      board.supposeBusy({ name: 'r1', laneKey: 'x', registration: 'acme' }, START + MINUTE);
      board.supposeBusy({ name: 'r2', laneKey: 'x', registration: 'acme' }, START + MINUTE);
      await show(START + MINUTE, countsOf({ key: 'x' }, { demand: 3 }));
      expect(need('x')).to.equal(1);
      expect(board.nextSupposedEndMs()).to.equal(START + 2 * MINUTE);
      await board.refresh(START + 2 * MINUTE);
      expect(need('x')).to.equal(2);
      expect(board.nextSupposedEndMs()).to.equal(START + 3 * MINUTE);
    });

    it('launches for a job of another registration, whose lane such a runner may name in its tags', async () => {
      const { board, need, show } = openBoard();
      board.supposeBusy({ name: 'r1', laneKey: 'x', registration: 'evil' }, START);
      await show(START, countsOf({ key: 'x' }, { demand: 1 }));
      expect(need('x')).to.equal(1);
    });

    it('launches for the job after all once the runner has another', async () => {
      const { board, need, show } = openBoard();
      board.supposeBusy({ name: 'r1', laneKey: 'x', registration: 'acme' }, START);
      board.supposeNoMore('r1');
      expect(board.nextSupposedEndMs()).to.equal(undefined);
      await show(START, countsOf({ key: 'x' }, { demand: 1 }));
      expect(need('x')).to.equal(1);
    });
  });
});
