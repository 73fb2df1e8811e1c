import { expect } from 'chai';
import fc from 'fast-check';
import type { LaneCounts } from '../../dispatcher/ledger/ledger.ts';
import { Board } from '../../dispatcher/lifecycle/board.ts';
import { type LaneFacts, planPool } from '../../dispatcher/lifecycle/planner.ts';
import { lane } from '../ledger/examples.ts';

const LABELS = [['a'], ['b'], ['a', 'b'], ['a', 'c'], ['a', 'b', 'c']];

function counts(key: string, labels: readonly string[], demand: number, supply: number): LaneCounts {
  return {
    ...{ lane: lane({ key, labels }), demand, held: 0, oldestQueuedSinceMs: null },
    ...{ creating: supply, starting: 0, online: 0, outdated: 0 },
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
          const board = new Board({ laneCounts: async (keys) => keys.flatMap((key) => lanes.get(key) ?? []) });
          for (const changes of passes) {
            for (const [index, demand, supply] of changes) {
              const key = `lane-${index}`;
              lanes.set(key, counts(key, LABELS[index % LABELS.length] ?? ['a'], demand, supply));
              board.mark(key);
            }
            await board.refresh(1);
            const facts = [...lanes.values()].map(
              ({ lane: { key, labels }, demand, creating }): LaneFacts => ({
                ...{ key, labels: new Set(labels), demand, warm: 0, supply: creating, supposed: 0 },
              }),
            );
            const plan = planPool(facts);
            const needs = [...board.hungry(lane().registration)].map(({ lane: { key }, need }) => [key, need] as const);
            const surplus = [...board.surplusSince(1)].map(({ laneKey, count }) => [laneKey, count] as const);
            expect(new Map(needs)).to.deep.equal(plan.needs);
            expect(new Map(surplus)).to.deep.equal(plan.surplus);
          }
        },
      ),
    );
  });

  it('gives a lane its need back when what it borrowed is gone', async () => {
    const lanes = new Map([
      ['small', counts('small', ['a'], 1, 0)],
      ['large', counts('large', ['a', 'b'], 0, 1)],
    ]);
    const board = new Board({ laneCounts: async (keys) => keys.flatMap((key) => lanes.get(key) ?? []) });
    const need = () => board.need({ key: 'small', registration: lane().registration });
    for (const key of lanes.keys()) board.mark(key);
    await board.refresh(1);
    expect(need()).to.equal(0);
    lanes.set('large', counts('large', ['a', 'b'], 1, 1));
    board.mark('large');
    await board.refresh(2);
    expect(need()).to.equal(1);
  });
});
