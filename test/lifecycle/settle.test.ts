import { expect } from 'chai';
import { eventLoopTurn } from '../../dispatcher/clock.ts';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import { Backends } from '../../dispatcher/lifecycle/backends.ts';
import { Doubts } from '../../dispatcher/lifecycle/doubts.ts';
import { createFloor } from '../../dispatcher/lifecycle/floor.ts';
import { Ghosts } from '../../dispatcher/lifecycle/ghosts.ts';
import { settleJobs } from '../../dispatcher/lifecycle/settle.ts';
import { Verifier } from '../../dispatcher/lifecycle/verify.ts';
import { fact } from '../ledger/examples.ts';
import { manualClock } from './manual-clock.ts';

const nothing = () => undefined;

/** Settles jobs whose admission takes so long, and tells how often others had their turn meanwhile. */
async function turnsWhileSettling(jobs: number, admissionMs: number): Promise<number> {
  const clock = manualClock();
  const ledger = await openSqliteLedger({ path: ':memory:', now: () => clock.now() });
  await ledger.recordFacts(Array.from({ length: jobs }, (_, index) => fact({ jobId: index + 1 })));
  const log = { debug: nothing, info: nothing, warn: nothing, error: nothing };
  const floor = createFloor(
    {
      dispatcherId: 'd1',
      incarnation: 'here',
      ledger,
      clock,
      random: () => 0.5,
      log,
      metrics: {
        jobAdmitted: nothing,
        queueToStart: nothing,
        launched: nothing,
        launchFailed: nothing,
        tornDown: nothing,
      },
      admit: () => {
        clock.move(admissionMs);
        return { outcome: 'not-ours', reason: 'its labels are slow' };
      },
      tenants: new Map(),
      maxRunners: 1,
      maxLaunches: 1,
    },
    {
      working: () => true,
      laneChanged: nothing,
      unnamed: nothing,
      doubted: nothing,
      wake: nothing,
      ledgerFailed: () => false,
    },
  );
  let turns = 0;
  let settled = false;
  const others = (async () => {
    for (; !settled; turns += 1) await eventLoopTurn();
  })();
  try {
    const backends = new Backends({
      ledger,
      clock,
      log,
      maxLaunches: 1,
      registrations: new Map(),
      others: { obstacle: nothing },
    });
    await settleJobs({
      floor,
      backends,
      verifier: new Verifier(floor),
      doubts: new Doubts(floor),
      ghosts: new Ghosts(backends),
    });
  } finally {
    settled = true;
    await others;
  }
  expect(await ledger.unsettledJobs(1)).to.deep.equal([]);
  await ledger.close();
  return turns;
}

// W8
describe('settling jobs', () => {
  it('lets everything else have its turn between slow admissions', async () => {
    expect(await turnsWhileSettling(60, 20)).to.be.at.least(59);
  });

  it('lets it have one a few milliseconds, not one a job', async () => {
    expect(await turnsWhileSettling(60, 1)).to.be.within(10, 30);
  });

  it('does so also after the clock was set back', async () => {
    expect(await turnsWhileSettling(60, -20)).to.be.at.least(59);
  });
});
