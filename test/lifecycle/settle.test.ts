import { expect } from 'chai';
import type { Admission } from '../../dispatcher/admission/lane.ts';
import { eventLoopTurn } from '../../dispatcher/clock.ts';
import type { Ledger } from '../../dispatcher/ledger/ledger.ts';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import { Backends } from '../../dispatcher/lifecycle/backends.ts';
import { Doubts } from '../../dispatcher/lifecycle/doubts.ts';
import type { Floor } from '../../dispatcher/lifecycle/floor.ts';
import { Ghosts } from '../../dispatcher/lifecycle/ghosts.ts';
import { settleJobs } from '../../dispatcher/lifecycle/settle.ts';
import { Verifier } from '../../dispatcher/lifecycle/verify.ts';
import { fact, lane } from '../ledger/examples.ts';
import { openFloor, silent } from './floor-fixture.ts';
import { manualClock } from './manual-clock.ts';

const nothing = () => undefined;

async function settleAll(ledger: Ledger, floor: Floor): Promise<void> {
  const backends = new Backends({
    ledger,
    clock: floor.options.clock,
    log: silent,
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
}

/** Settles jobs whose admission takes so long, and tells how often others had their turn meanwhile. */
async function turnsWhileSettling(jobs: number, admissionMs: number): Promise<number> {
  const clock = manualClock();
  const ledger = await openSqliteLedger({ path: ':memory:', now: () => clock.now() });
  await ledger.recordFacts(Array.from({ length: jobs }, (_, index) => fact({ jobId: index + 1 })));
  const floor = openFloor(ledger, clock, {
    admit: () => {
      clock.move(admissionMs);
      return { outcome: 'not-ours', reason: 'its labels are slow' };
    },
  });
  let turns = 0;
  let settled = false;
  const others = (async () => {
    for (; !settled; turns += 1) await eventLoopTurn();
  })();
  try {
    await settleAll(ledger, floor);
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

  it('counts what became of each job by registration and outcome, once', async () => {
    const clock = manualClock();
    const ledger = await openSqliteLedger({ path: ':memory:', now: () => clock.now() });
    const counted: string[] = [];
    const outcomes: Readonly<Record<string, Admission>> = {
      ours: { outcome: 'lane', lane: lane() },
      large: { outcome: 'refused', registration: 'acme', code: 'cpu-above-maximum', reason: 'too many', cure: 'fewer' },
    };
    const floor = openFloor(ledger, clock, {
      admit: ({ labels: [label = ''] }) => outcomes[label] ?? { outcome: 'not-ours', reason: 'no one asks for it' },
      metrics: {
        jobAdmitted: (registration, outcome, code) => void counted.push(`${registration} ${outcome} ${code}`),
        queueToStart: nothing,
        launched: nothing,
        launchFailed: nothing,
        tornDown: nothing,
      },
    });
    const labels = ['ours', 'large', 'other'];
    await ledger.recordFacts(
      labels.map((label, index) => fact({ jobId: index + 1, labels: [label], createdAtMs: clock.now() })),
    );
    await settleAll(ledger, floor);
    await settleAll(ledger, floor);
    expect(counted).to.have.members(['acme lane null', 'acme refused cpu-above-maximum', 'null not-ours null']);
    await ledger.close();
  });
});
