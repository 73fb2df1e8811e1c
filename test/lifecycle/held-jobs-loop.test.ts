import { expect } from 'chai';
import { HeldJobsLoop } from '../../dispatcher/lifecycle/held-jobs-loop.ts';
import { type EngineParts, openEngineParts } from './engine-parts.ts';

const SECOND = 1000;

describe('the loop of held jobs', () => {
  let parts: EngineParts;
  let loop: HeldJobsLoop;
  let dueAtMs: number | null;
  let afterMs: number | null;
  let probes: string[];
  let marked: string[];

  beforeEach(async () => {
    probes = [];
    marked = [];
    afterMs = null;
    parts = await openEngineParts({
      through: () => ({
        nextProbeAt: async () => dueAtMs,
        probeHeld: async (nowMs, limit) => {
          probes.push(`due ${limit} at ${nowMs - parts.clock.now()}`);
          dueAtMs = afterMs;
          return ['lane-1', 'lane-2'];
        },
        unseenJobs: async (nowMs, limit) => {
          probes.push(`unseen ${limit} at ${nowMs - parts.clock.now()}`);
          return [{ key: 'unseen', registration: 'acme' }];
        },
      }),
    });
    parts.board.mark = (laneKey) => void marked.push(laneKey);
    loop = new HeldJobsLoop(parts);
  });
  afterEach(() => parts.close());

  it('does nothing where none is held', async () => {
    dueAtMs = null;
    await loop.run();
    expect(probes).to.deep.equal([]);
    expect(loop.nextMs).to.equal(undefined);
  });

  it('waits for the time of the first', async () => {
    dueAtMs = parts.clock.now() + 5 * SECOND;
    await loop.run();
    expect(probes).to.deep.equal([]);
    expect(loop.nextMs).to.equal(dueAtMs);
  });

  it('lets those whose time has come try, at most 200 of them, and asks GitHub for those that it did not show', async () => {
    dueAtMs = parts.clock.now();
    afterMs = dueAtMs + 60 * SECOND;
    await loop.run();
    expect(probes).to.deep.equal(['due 200 at 0', 'unseen 200 at 0']);
    expect(marked).to.deep.equal(['lane-1', 'lane-2']);
    expect(parts.asked).to.deep.equal(['unseen of acme for verify']);
    expect(loop.nextMs).to.equal(afterMs);
  });

  it('goes on in a second where more are due than it looks at in one pass', async () => {
    dueAtMs = parts.clock.now();
    afterMs = dueAtMs;
    await loop.run();
    expect(loop.nextMs).to.equal(parts.clock.now() + SECOND);
  });
});
