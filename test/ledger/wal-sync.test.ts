import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { LedgerError, type RunnerPatch } from '../../dispatcher/ledger/ledger.ts';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import { LogSync } from '../../dispatcher/ledger/wal-sync.ts';
import { settled, VirtualClock } from '../github/virtual-clock.ts';
import { fact, runner } from './examples.ts';

/** An fdatasync that ends when the test says so. */
class HeldSync {
  readonly started: { end(): void; fail(error: Error): void }[] = [];

  readonly sync = (): Promise<void> =>
    new Promise((resolve, reject) => {
      this.started.push({ end: resolve, fail: reject });
    });
}

describe('bringing the write-ahead log to the disk', () => {
  let folder: string;
  let clock: VirtualClock;
  let held: HeldSync;
  let repairs: number;
  let log: LogSync;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'wal-'));
    await writeFile(join(folder, 'wal'), '');
    clock = new VirtualClock();
    held = new HeldSync();
    repairs = 0;
    log = new LogSync({
      path: join(folder, 'wal'),
      after: (ms, action) => clock.after(ms, action),
      sync: held.sync,
      repair: () => {
        repairs += 1;
      },
    });
  });

  afterEach(async () => {
    await log.close();
    await rm(folder, { recursive: true });
  });

  it('answers after a sync that began when the caller had committed: one under way says nothing about it', async () => {
    const done: string[] = [];
    void log.now().then(() => done.push('first'));
    void log.now().then(() => done.push('second'));
    void log.now().then(() => done.push('third'));
    expect(held.started).to.have.length(1);
    held.started[0]?.end();
    await settled();
    expect(done).to.deep.equal(['first']);
    expect(held.started).to.have.length(2);
    held.started[1]?.end();
    await settled();
    expect(done).to.deep.equal(['first', 'second', 'third']);
  });

  it('trusts no sync after one that failed, until what the log holds was written anew', async () => {
    const first = log.now().catch((error: unknown) => error);
    held.started[0]?.fail(new Error('EIO'));
    expect(await first).to.be.an('error');
    await log.now();
    expect(held.started).to.have.length(1);
    expect(repairs).to.equal(1);
    void log.now();
    expect(held.started).to.have.length(2);
    held.started[1]?.end();
  });

  it('closes the log when the sync that is under way, and the one after it, have ended', async () => {
    const done: string[] = [];
    void log.now();
    void log.now();
    const closed = log.close().then(() => done.push('closed'));
    await settled();
    expect(done).to.deep.equal([]);
    held.started[0]?.end();
    await settled();
    expect(done).to.deep.equal([]);
    held.started[1]?.end();
    await closed;
    log = new LogSync({ path: join(folder, 'wal'), after: () => () => {}, repair: () => {} });
  });

  it('never has two syncs under way: what one lost, the other would call safe', async () => {
    const first = log.now().catch(() => 'failed');
    held.started[0]?.fail(new Error('EIO'));
    expect(await first).to.equal('failed');
    // The repair ends at once; those that come a few microtasks later must not overtake the one that waits for it.
    const asked = [log.now(), log.now()];
    for (let turn = 0; turn < 6; turn += 1) {
      await Promise.resolve();
      asked.push(log.now());
    }
    await settled();
    expect(held.started).to.have.length(2);
    for (let round = 0; round < 10; round += 1) {
      for (const sync of held.started) sync.end();
      await settled();
    }
    await Promise.all(asked);
  });

  it('syncs nothing once it is closed', async () => {
    await log.close();
    log.soon();
    const outcome = await log.now().catch((error: unknown) => error);
    expect(outcome).to.be.an('error');
    expect(held.started).to.have.length(0);
    expect(clock.timers).to.equal(0);
  });

  it('syncs writes that no caller waits for half a second later, all at once', async () => {
    log.soon();
    log.soon();
    await clock.advance(499);
    expect(held.started).to.have.length(0);
    await clock.advance(1);
    expect(held.started).to.have.length(1);
    held.started[0]?.end();
    await clock.advance(5_000);
    expect(held.started).to.have.length(1);
  });
});

describe('the two kinds of writes', () => {
  let folder: string;
  let held: HeldSync;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ledger-'));
    held = new HeldSync();
  });

  afterEach(() => rm(folder, { recursive: true }));

  const open = (sync: (descriptor: number) => Promise<void>) =>
    openSqliteLedger({ path: join(folder, 'ledger.db'), now: () => 1, after: () => () => {}, sync });
  const delivery = { endpoint: 'e', guid: 'g', event: 'workflow_job', action: 'queued', receivedAtMs: 1 };

  it('answers a delivery when it is on the disk, and what the world can be asked again when it has committed', async () => {
    const ledger = await open(held.sync);
    let answered = false;
    let committed = false;
    const saysSo = () => {
      committed = true;
    };
    const recorded = ledger.recordDeliveries([{ delivery, fact: fact({ jobId: 1 }) }], saysSo).then(() => {
      answered = true;
    });
    await settled();
    expect(committed, 'what follows from it need not wait').to.equal(true);
    expect(answered).to.equal(false);
    expect(await ledger.recordFacts([fact({ jobId: 2 })])).to.equal(1);
    expect(held.started).to.have.length(1);
    held.started[0]?.end();
    await recorded;
    await ledger.close();
  });

  it('answers a command, and the stop of a container, when it is on the disk', async () => {
    const ledger = await open(held.sync);
    await ledger.createRunner(runner({ name: 'd-1' }), 'launch');
    const answered: string[] = [];
    const tell = async (what: string, patch: RunnerPatch) => {
      await ledger.stepRunner('d-1', () => ({ patch, entries: [] }));
      answered.push(what);
    };
    await tell('step', { attempts: 1 });
    const stopped = tell('stop', { stopAskedAtMs: 5 });
    const command = ledger.persist().then(() => answered.push('command'));
    await settled();
    expect(answered).to.deep.equal(['step']);
    for (const sync of held.started) sync.end();
    await settled();
    for (const sync of held.started) sync.end();
    await Promise.all([stopped, command]);
    await ledger.close();
  });

  it('waits for the disk with no step of a runner but the one that stops its container', async () => {
    const ledger = await open(held.sync);
    await ledger.createRunner(runner({ name: 'd-1' }), 'launch');
    const step = (patch: RunnerPatch) => ledger.stepRunner('d-1', () => ({ patch, entries: [] }));
    await step({ state: 'draining' });
    expect(await ledger.stepRunner('nobody', () => ({ patch: {}, entries: [] }))).to.equal(undefined);
    expect(held.started).to.have.length(0);
    let answered = false;
    const stopped = step({ stopAskedAtMs: 1 }).then(() => {
      answered = true;
    });
    await settled();
    expect([answered, held.started.length]).to.deep.equal([false, 1]);
    held.started[0]?.end();
    await stopped;
    await step({ state: 'gone' });
    expect(held.started).to.have.length(1);
    await ledger.close();
  });

  it('has written to disk after half a second what no caller waited for', async () => {
    const clock = new VirtualClock();
    const ledger = await openSqliteLedger({
      path: join(folder, 'ledger.db'),
      now: () => 1,
      after: (ms, action) => clock.after(ms, action),
      sync: held.sync,
    });
    await ledger.putCursor('name', 'value', 1);
    await clock.advance(499);
    expect(held.started).to.have.length(0);
    await clock.advance(1);
    expect(held.started).to.have.length(1);
    held.started[0]?.end();
    await ledger.close();
  });

  it('refuses a delivery whose sync failed, as a ledger that cannot be written', async () => {
    let fails = true;
    const ledger = await open(async () => {
      if (fails) throw Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' });
    });
    const refused = await ledger.recordDeliveries([{ delivery, fact: null }]).catch((error: unknown) => error);
    expect(refused).to.be.instanceOf(LedgerError).with.property('kind', 'unavailable');
    fails = false;
    expect(await ledger.recordDeliveries([{ delivery, fact: null }])).to.deep.equal(['duplicate']);
    await ledger.close();
  });

  it('takes down with a write that fails none of those that shared its transaction', async () => {
    const ledger = await open(async () => {});
    const [bad, good] = await Promise.allSettled([
      ledger.putCursor('name', 'a\0b', 1),
      ledger.putCursor('other', 'value', 1),
    ]);
    expect([bad?.status, good?.status]).to.deep.equal(['rejected', 'fulfilled']);
    expect(await ledger.cursor('other')).to.equal('value');
    await ledger.close();
  });

  it('closes after what it still had to bring to the disk is there, and answered', async () => {
    const ledger = await open(held.sync);
    const done: string[] = [];
    const recorded = ledger.recordDeliveries([{ delivery, fact: null }]).then(() => done.push('answered'));
    const closed = ledger.close().then(() => done.push('closed'));
    await settled();
    expect(done).to.deep.equal([]);
    held.started[0]?.end();
    await Promise.all([recorded, closed]);
    expect(done).to.deep.equal(['answered', 'closed']);
  });

  it('leaves no timer behind for a write that came just before it closed', async () => {
    const clock = new VirtualClock();
    const ledger = await openSqliteLedger({
      path: join(folder, 'ledger.db'),
      now: () => clock.now(),
      after: (ms, action) => clock.after(ms, action),
    });
    const written = ledger.putCursor('name', 'value', 1);
    await ledger.close();
    await written;
    await settled();
    expect(clock.timers).to.equal(0);
  });

  it('takes nothing more from the moment it closes, and closes once', async () => {
    const ledger = await open(async () => {});
    const closed = Promise.all([ledger.close(), ledger.close()]);
    const late = await ledger.putCursor('late', 'value', 1).catch((error: unknown) => error);
    expect(late).to.be.instanceOf(LedgerError).with.property('kind', 'unavailable');
    await closed;
  });

  it('writes what still waits before it closes', async () => {
    const ledger = await open(async () => {});
    const written = ledger.putCursor('name', 'value', 1);
    await ledger.close();
    await written;
    const again = await open(async () => {});
    expect(await again.cursor('name')).to.equal('value');
    await again.close();
  });
});
