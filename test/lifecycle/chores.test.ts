import { expect } from 'chai';
import { Chores } from '../../dispatcher/lifecycle/chores.ts';
import { type EngineParts, laneOf, openEngineParts } from './engine-parts.ts';
import { jobRow, runnerRow } from './runner-fixture.ts';

const MINUTE = 60_000;

describe('the chores of each minute', () => {
  let parts: EngineParts;
  let chores: Chores;
  /** Calls to the ledger with their arguments, times as they differ from now. */
  let calls: string[];

  beforeEach(async () => {
    calls = [];
    const agoMs = (beforeMs: number) => beforeMs - parts.clock.now();
    parts = await openEngineParts({
      through: () => ({
        verifyStorage: async () => void calls.push('verify storage'),
        disputedJobs: async (limit) => {
          calls.push(`disputed ${limit}`);
          return [jobRow({ key: 'disputed', registration: 'acme' })];
        },
        unconfirmedJobs: async (limit) => {
          calls.push(`unconfirmed ${limit}`);
          return [jobRow({ key: 'unconfirmed', registration: 'acme' })];
        },
        expireJobs: async (beforeMs, limit) => {
          calls.push(`expire ${agoMs(beforeMs)} ${limit}`);
          return ['lane-of-expired'];
        },
        staleJobs: async (beforeMs, limit) => {
          calls.push(`stale ${agoMs(beforeMs)} ${limit}`);
          return [{ key: 'stale', registration: 'acme' }];
        },
        deleteEmptyLanes: async () => {
          calls.push('delete empty lanes');
          return 0;
        },
      }),
    });
    chores = new Chores(parts);
  });
  afterEach(() => parts.close());

  it('are done at once and then once a minute', async () => {
    const startMs = parts.clock.now();
    expect(chores.nextMs).to.be.at.most(startMs);
    await chores.run();
    expect(chores.nextMs).to.equal(startMs + MINUTE);
    const once = calls.length;
    await parts.clock.advance(MINUTE - 1);
    await chores.run();
    expect(calls).to.have.length(once);
    await parts.clock.advance(1);
    await chores.run();
    expect(calls).to.have.length(2 * once);
  });

  it('bound what they read: GitHub’s budget is for the launches', async () => {
    await chores.run();
    const day = 24 * 60 * MINUTE;
    expect(calls).to.have.members([
      'verify storage',
      'disputed 50',
      'unconfirmed 100',
      `expire ${-day} 1000`,
      `stale ${-10 * MINUTE} 100`,
      'delete empty lanes',
    ]);
  });

  it('ask GitHub for what is in doubt and for what has waited long', async () => {
    await chores.run();
    expect(parts.asked).to.deep.equal(['disputed of acme for verify', 'stale of acme for verify']);
    expect(parts.confirmed).to.deep.equal(['unconfirmed']);
  });

  it('have the lanes of expired jobs counted again', async () => {
    const read: string[] = [];
    parts.board.mark = (laneKey) => void read.push(laneKey);
    await chores.run();
    expect(read).to.deep.equal(['lane-of-expired']);
  });

  it('have registrations swept often whose runners are all busy', async () => {
    await parts.ledger.createRunner(runnerRow({ name: 'd1-busy', state: 'busy' }), 'launch');
    const active: string[] = [];
    parts.sweeps.markActive = (name) => void active.push(name);
    await chores.run();
    expect(active).to.deep.equal(['acme']);
  });

  it('keep the memory of the backends, tidy the waits for GitHub, and have what is in use swept often', async () => {
    const done: string[] = [];
    parts.backends.keepMemory = async () => void done.push('memory');
    parts.holds.tidy = () => void done.push('holds');
    parts.sweeps.markActive = (name) => void done.push(`sweep ${name}`);
    await parts.queue(laneOf(), 1);
    await chores.run();
    expect(done).to.deep.equal(['memory', 'sweep acme', 'holds']);
  });
});
