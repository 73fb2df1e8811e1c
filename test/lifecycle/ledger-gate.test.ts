import { mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { type Ledger, LedgerError } from '../../dispatcher/ledger/ledger.ts';
import { LedgerGate } from '../../dispatcher/lifecycle/ledger-gate.ts';
import { delivery } from '../ledger/examples.ts';
import { rejection } from '../ledger/opened-ledger.ts';
import { type EngineFixture, MINUTE, openEngineFixture, registration, told } from './engine-fixture.ts';
import { manualClock } from './manual-clock.ts';

const WRITES = new Set([
  'recordFacts',
  'settleJobs',
  'createRunner',
  'stepRunner',
  'keepOutput',
  'putBreaker',
  'deleteBreaker',
  'putCursor',
  'dropJob',
  'expireJobs',
  'deleteEmptyLanes',
  'probeHeld',
  'hastenHeld',
  'hastenLaunchesOf',
  'putOff',
  'putUnsettledLast',
]);

/** A ledger on a disk that can be filled. */
function fillable(): { full: boolean; refused: number; through(ledger: Ledger): Ledger } {
  const disk = {
    full: false,
    refused: 0,
    through: (ledger: Ledger): Ledger =>
      new Proxy(ledger, {
        get(target, name, receiver) {
          const method: unknown = Reflect.get(target, name, receiver);
          if (typeof method !== 'function') return method;
          return (...parameters: readonly unknown[]) => {
            if (!disk.full || !WRITES.has(String(name))) return Reflect.apply(method, target, parameters);
            disk.refused += 1;
            return Promise.reject(new LedgerError('full', 'No room for the ledger'));
          };
        },
      }),
  };
  return disk;
}

// X4
describe('an engine whose ledger has no room', () => {
  const RUNNERS = 15;
  let fixture: EngineFixture;
  afterEach(() => fixture.close());

  it('calls no service more often than once a runner in ten seconds, says so once, and goes on by itself', async () => {
    const disk = fillable();
    fixture = await openEngineFixture({ registrations: [registration('acme')], through: disk.through });
    await fixture.engine.start();
    await fixture.advance(1_000);
    const jobs = Array.from({ length: RUNNERS }, (_, index) => told(fixture, { jobId: index + 1 }));
    await fixture.tell(...jobs);
    await fixture.advance(2_000);
    expect(await fixture.ledger.runners({ states: ['starting'] }, 'reject')).to.have.length(RUNNERS);

    disk.full = true;
    const before = fixture.serviceCalls();
    const linesBefore = fixture.logged.length;
    await fixture.advance(40_000);
    expect(disk.refused).to.be.greaterThan(0);
    // Looks that were due when the disk filled up, then one round in ten seconds.
    expect(fixture.serviceCalls() - before).to.be.at.most(RUNNERS * 4);
    const errors = fixture.logged.slice(linesBefore).filter((line) => line.startsWith('error'));
    expect(errors).to.have.length(1);
    expect(errors[0]).to.match(/^error ledger-closed kind=full reason=No room for the ledger/);

    disk.full = false;
    for (const runner of fixture.runners.values()) runner.online = true;
    await fixture.advance(20_000);
    expect(fixture.logged.filter((line) => line.startsWith('info ledger-open'))).to.have.length(1);
    expect(await fixture.ledger.runners({ states: ['online'] }, 'reject')).to.have.length(RUNNERS);
  });

  it('says that nothing can be written from the first write that fails, whoever made it, to the next that succeeds', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'shr-gate-'));
    try {
      const path = join(folder, 'ledger.db');
      fixture = await openEngineFixture({ registrations: [registration('acme')], ledgerPath: path });
      await fixture.engine.start();
      await fixture.advance(1_000);
      await fixture.tell(told(fixture, { jobId: 1, status: 'waiting' }));
      expect(fixture.engine.ledgerClosed()).to.equal(undefined);
      await rename(path, `${path}.away`);
      await rejection(fixture.ledger.verifyStorage());
      const entry = { delivery: delivery('guid-1'), fact: null };
      await rejection(fixture.ledger.recordDeliveries([entry]));
      expect(fixture.engine.ledgerClosed()).to.deep.include({ sinceMs: fixture.clock.now() });
      expect(fixture.engine.ledgerClosed()?.failure).to.include({ code: 'moved' });
      const job = await fixture.ledger.job('github.com/acme/web/1');
      if (job === undefined) throw new Error('no job');
      expect(await fixture.engine.jobReason(job)).to.include('nothing can be written down');
      await rename(`${path}.away`, path);
      await fixture.ledger.recordDeliveries([entry]);
      expect(fixture.engine.ledgerClosed()).to.equal(undefined);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('starts nothing once its file was deleted, says so once and wherever a job waits, and goes on when it is back', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'shr-gate-'));
    try {
      const path = join(folder, 'ledger.db');
      fixture = await openEngineFixture({ registrations: [registration('acme')], ledgerPath: path });
      await fixture.engine.start();
      await fixture.advance(1_000);
      await fixture.tell(told(fixture, { jobId: 1, status: 'waiting' }));
      await rename(path, `${path}.away`);
      await fixture.advance(90_000);
      const errors = fixture.logged.filter((line) => line.startsWith('error'));
      expect(errors).to.have.length(1);
      expect(errors[0]).to.match(/^error ledger-closed kind=moved reason=The ledger file .* was deleted while/);
      expect(fixture.engine.ledgerClosed()?.failure).to.include({ code: 'moved' });
      const job = await fixture.ledger.job('github.com/acme/web/1');
      if (job === undefined) throw new Error('no job');
      expect(await fixture.engine.jobReason(job)).to.match(
        /^nothing can be written down: The ledger file .* was deleted/,
      );

      await rename(`${path}.away`, path);
      await fixture.advance(20_000);
      expect(fixture.engine.ledgerClosed()).to.equal(undefined);
      expect(await fixture.engine.jobReason(job)).to.match(/^GitHub calls it waiting/);
      await fixture.tell(told(fixture, { jobId: 2 }));
      await fixture.advance(1_000);
      expect(fixture.calls.filter((call) => call.startsWith('launch'))).to.have.length(1);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('says why a lane with a job waits while its disk is full', async () => {
    const disk = fillable();
    fixture = await openEngineFixture({
      registrations: [registration('acme', { maxRunners: 1 })],
      through: disk.through,
    });
    await fixture.engine.start();
    await fixture.advance(1_000);
    await fixture.tell(told(fixture, { jobId: 1 }), told(fixture, { jobId: 2 }));
    const laneKey = (await fixture.ledger.job('github.com/acme/web/2'))?.laneKey ?? '';
    expect(await fixture.engine.laneReason(laneKey)).to.include('at its cap of 1 runner');
    disk.full = true;
    await fixture.advance(2 * MINUTE);
    expect(await fixture.engine.laneReason(laneKey)).to.equal('nothing can be written down: No room for the ledger');
  });

  it('starts nothing while it cannot be written down', async () => {
    const disk = fillable();
    fixture = await openEngineFixture({ registrations: [registration('acme')], through: disk.through });
    await fixture.engine.start();
    await fixture.advance(1_000);
    await fixture.ledger.recordFacts([told(fixture, { jobId: 1 })]);
    disk.full = true;
    fixture.engine.wake();
    await fixture.advance(5 * MINUTE);
    expect(fixture.calls).to.deep.equal([]);
    disk.full = false;
    await fixture.advance(30_000);
    expect(fixture.calls.filter((call) => call.startsWith('launch'))).to.have.length(1);
  });

  it('waits ten seconds between two tries to write, and tells afterwards how often and how long nothing could be', async () => {
    const lines: string[] = [];
    const clock = manualClock();
    let full = true;
    let writes = 0;
    const say = (event: string, fields?: object) => void lines.push(`${event} ${JSON.stringify(fields)}`);
    const gate = new LedgerGate({
      ledger: {
        async putCursor() {
          writes += 1;
          if (full) throw new LedgerError('full', 'No room');
        },
      },
      clock,
      log: { debug: say, info: say, warn: say, error: say },
    });
    expect(await gate.tryOpen()).to.equal(true);
    expect([writes, gate.retryAtMs]).to.deep.equal([0, undefined]);
    expect(gate.closeFor(new Error('another trouble'))).to.equal(false);
    expect(gate.isClosed).to.equal(false);

    const startMs = clock.now();
    expect(gate.closeFor(new LedgerError('full', 'No room'))).to.equal(true);
    clock.move(9_999);
    expect([await gate.tryOpen(), writes]).to.deep.equal([false, 0]);
    clock.move(1);
    expect([await gate.tryOpen(), writes]).to.deep.equal([false, 1]);
    expect([gate.isClosed, gate.retryAtMs]).to.deep.equal([true, startMs + 20_000]);
    full = false;
    clock.move(10_000);
    expect([await gate.tryOpen(), gate.isClosed]).to.deep.equal([true, false]);
    expect(lines).to.deep.equal([
      'ledger-closed {"kind":"full","reason":"No room"}',
      'ledger-open {"failures":2,"closedMs":20000}',
    ]);
  });
});
