import fc from 'fast-check';
import { compare, histories, tell, type World } from './model.ts';
import type { Place } from './opened-ledger.ts';
import { Oracle } from './oracle.ts';

/** Against the oracle. Slow, so it has a file of its own: whatever a plain example shows is shown before. */
export function describeHistories(name: string, newPlace: () => Promise<Place>, numRuns = 30): void {
  describe(`any history of the ledger on ${name}`, () => {
    it('does what the simplest ledger would do', async function () {
      this.timeout(60_000);
      // A failing history is printed with its seed; run it again with `{ seed, path }`.
      await fc.assert(
        fc.asyncProperty(histories, async (history) => {
          const home = await newPlace();
          const clock = { nowMs: 1_000_000 };
          const now = () => clock.nowMs;
          const world: World = {
            clock,
            oracle: new Oracle(),
            ledger: await home.open(now),
            restart: async () => {
              await world.ledger.close();
              world.ledger = await home.open(now);
            },
          };
          try {
            for (const event of history) {
              await tell(world, event);
              await compare(world);
            }
          } finally {
            await world.ledger.close();
            await home.discard();
          }
        }),
        // In time to say what failed, whatever is left to be made smaller.
        { numRuns, interruptAfterTimeLimit: 40_000 },
      );
    });
  });
}
