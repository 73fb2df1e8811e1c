import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmod,
  copyFile,
  mkdtemp,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import Sqlite from 'better-sqlite3';
import { expect } from 'chai';
import { z } from 'zod';
import { jobKey } from '../../dispatcher/jobs/facts.ts';
import { type Ledger, LedgerError, type UnreadableRow, UnreadableRowError } from '../../dispatcher/ledger/ledger.ts';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import { breaker } from '../failures/examples.ts';
import { admitted, delivery, fact, keyOf, lane, runner } from './examples.ts';
import { rejection } from './opened-ledger.ts';

const PROGRAM = new URL('other-process.ts', import.meta.url).pathname;
const NOBODY = 65534;

const lineSchema = z.object({
  opened: z.boolean().optional(),
  acknowledged: z.number().optional(),
  failed: z.string().optional(),
  message: z.string().optional(),
  trouble: z.string().optional(),
  sinceMs: z.number().optional(),
});
type Line = z.output<typeof lineSchema>;

describe('when SQLite fails', () => {
  let folder: string;
  let path: string;
  const children: ChildProcess[] = [];
  const opened: Ledger[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ledger-'));
    path = join(folder, 'ledger.db');
  });

  afterEach(async () => {
    for (const ledger of opened.splice(0)) await ledger.close();
    for (const child of children.splice(0)) await kill(child);
    await rm(folder, { recursive: true });
  });

  async function openHere(options: { maxBytes?: number; now?: () => number } = {}): Promise<Ledger> {
    const ledger = await openSqliteLedger({ path, now: () => 50_000, patienceMs: 0, ...options });
    opened.push(ledger);
    return ledger;
  }

  async function failureOf(promise: Promise<unknown>): Promise<LedgerError> {
    const error = await rejection(promise);
    if (!(error instanceof LedgerError)) throw error;
    return error;
  }

  function start(command: readonly string[], options: { uid?: number } = {}): ChildProcess {
    const [program = process.execPath, ...args] = command;
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'], ...options });
    children.push(child);
    return child;
  }

  async function* linesOf(child: ChildProcess): AsyncGenerator<Line> {
    if (child.stdout === null) throw new Error('the process has no output');
    for await (const line of createInterface({ input: child.stdout })) yield lineSchema.parse(JSON.parse(line));
  }

  async function firstLine(child: ChildProcess): Promise<Line> {
    for await (const line of linesOf(child)) return line;
    throw new Error('the process ended without a word');
  }

  async function kill(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  describe('and its file is no longer there', () => {
    it('refuses what it would write to a file that was deleted, and says what to do', async () => {
      const ledger = await openHere();
      await ledger.putCursor('before', '1', 1);
      await ledger.verifyStorage();
      await rm(path);
      const error = await failureOf(ledger.verifyStorage());
      expect(error.kind).to.equal('moved');
      expect(error.message).to.include(`${path} was deleted while`).and.include('stop the dispatcher');
      expect(error.message).to.include(`remove ${path}-wal and ${path}-shm`);
      expect((await failureOf(ledger.putCursor('after', '1', 1))).kind).to.equal('moved');
      expect(await ledger.cursor('before')).to.equal('1');
    });

    it('notices another file in its place, and a write-ahead log that was deleted', async () => {
      const ledger = await openHere();
      await ledger.putCursor('before', '1', 1);
      await copyFile(path, `${path}.copy`);
      await rename(`${path}.copy`, path);
      expect((await failureOf(ledger.verifyStorage())).message).to.include(`${path} was replaced while`);
      await ledger.close();
      const other = await openHere();
      await other.putCursor('again', '1', 1);
      await rm(`${path}-wal`);
      expect((await failureOf(other.verifyStorage())).message).to.include(`${path}-wal was deleted while`);
    });

    it('goes on where it was moved back', async () => {
      const ledger = await openHere();
      await rename(path, `${path}.away`);
      await failureOf(ledger.verifyStorage());
      await rename(`${path}.away`, path);
      await ledger.putCursor('after', '1', 1);
      await ledger.verifyStorage();
      await ledger.close();
      expect(await (await openHere()).cursor('after')).to.equal('1');
    });

    for (const how of ['deleted', 'replaced by a backup'] as const) {
      it(`keeps the log of a file that was ${how} away from the backup that is put in its place`, async () => {
        const before = await openHere();
        await before.putCursor('backup', '1', 1);
        await before.close();
        await copyFile(path, `${path}.backup`);
        const ledger = await openHere();
        await ledger.recordDeliveries(batch(Array.from({ length: 300 }, (_, index) => index)));
        if (how === 'deleted') await rm(path);
        else await rename(`${path}.backup`, path);
        await ledger.close();
        expect((await readdir(folder)).filter((name) => name.includes('-wal'))).to.deep.equal([
          'ledger.db-wal.orphaned',
        ]);
        if (how === 'deleted') await rename(`${path}.backup`, path);
        const restored = await openHere();
        expect(await restored.cursor('backup')).to.equal('1');
        expect(await restored.job(keyOf(1))).to.equal(undefined);
      });
    }

    it('keeps the first log that it set aside, numbers the next, and replaces the last of ten', async () => {
      const orphans = async () => (await readdir(folder)).filter((name) => name.includes('.orphaned')).toSorted();
      async function loseTheFile(cursor: string): Promise<void> {
        const ledger = await openHere();
        await ledger.putCursor(cursor, '1', 1);
        await rm(path);
        await ledger.close();
      }
      await loseTheFile('first');
      const first = await readFile(`${path}-wal.orphaned`);
      await loseTheFile('second');
      expect(await orphans()).to.deep.equal(['ledger.db-wal.orphaned', 'ledger.db-wal.orphaned-2']);
      for (let time = 3; time <= 12; time += 1) await loseTheFile(`number ${time}`);
      expect(await orphans())
        .to.have.length(10)
        .and.include('ledger.db-wal.orphaned-10');
      expect((await readFile(`${path}-wal.orphaned`)).equals(first)).to.equal(true);
      expect((await readFile(`${path}-wal.orphaned-2`)).includes('second')).to.equal(true);
      expect((await readFile(`${path}-wal.orphaned-10`)).includes('number 12')).to.equal(true);
    });

    it('has what its log holds where the file is put back after the stop, with the log', async () => {
      const ledger = await openHere();
      await rename(path, `${path}.away`);
      await ledger.putCursor('late', '1', 1);
      await ledger.close();
      await rename(`${path}.away`, path);
      await rename(`${path}-wal.orphaned`, `${path}-wal`);
      expect(await (await openHere()).cursor('late')).to.equal('1');
    });

    it('leaves the log of another file alone, and writes its own into the file where only the log was replaced', async () => {
      const ledger = await openHere();
      await rm(path);
      await rm(`${path}-wal`);
      await writeFile(`${path}-wal`, 'of another');
      await ledger.close();
      expect(await readFile(`${path}-wal`, 'utf8')).to.equal('of another');
      await rm(`${path}-wal`);
      const other = await openHere();
      await other.putCursor('kept', '1', 1);
      await rm(`${path}-wal`);
      await other.close();
      expect(await (await openHere()).cursor('kept')).to.equal('1');
      expect((await readdir(folder)).filter((name) => name.includes('orphaned'))).to.deep.equal([]);
    });

    it('notices that the file was truncated in place, and goes on where all of it is back', async () => {
      const before = await openHere();
      await before.recordDeliveries(batch(Array.from({ length: 300 }, (_, index) => index)));
      await before.close();
      const ledger = await openHere();
      const whole = await readFile(path);
      await truncate(path, 4096);
      const error = await failureOf(ledger.verifyStorage());
      expect(error.kind).to.equal('moved');
      expect(error.message).to.include(`${path} was truncated while`);
      expect((await failureOf(ledger.putCursor('after', '1', 1))).kind).to.equal('moved');
      await writeFile(path, whole);
      await ledger.putCursor('after', '1', 1);
      await ledger.close();
      expect(await (await openHere()).cursor('after')).to.equal('1');
    });

    it('notices at the next write that a copy was written over it, and leaves the copy as it is', async () => {
      const before = await openHere();
      await before.putCursor('backup', '1', 1);
      await before.close();
      const copy = await readFile(path);
      const ledger = await openHere();
      const whole = await readFile(path);
      await ledger.recordDeliveries(batch(Array.from({ length: 300 }, (_, index) => index)));
      expect((await stat(path)).size, 'the sizes do not tell').to.equal(copy.length);
      await writeFile(path, copy);
      const error = await failureOf(ledger.putCursor('after', '1', 1));
      expect(error.kind).to.equal('moved');
      expect(error.message).to.include(`${path} was overwritten while`).and.include('stop the dispatcher');
      expect((await failureOf(ledger.verifyStorage())).message).to.include('was overwritten');
      await writeFile(path, whole);
      await ledger.putCursor('after', '1', 1);
      await writeFile(path, copy);
      await ledger.close();
      expect((await readFile(path)).equals(copy)).to.equal(true);
      expect((await readdir(folder)).toSorted()).to.deep.equal(['ledger.db', 'ledger.db-wal.orphaned']);
      const restored = await openHere();
      expect(await restored.cursor('backup')).to.equal('1');
      expect(await restored.job(keyOf(1))).to.equal(undefined);
    });

    it('takes pages that were added while it runs as seen', async () => {
      const ledger = await openHere();
      await ledger.recordDeliveries(batch(Array.from({ length: 5000 }, (_, index) => index)));
      await ledger.verifyStorage();
      const { size } = await stat(path);
      await truncate(path, size - 4096);
      expect((await failureOf(ledger.verifyStorage())).message).to.include('was truncated');
    });

    it('has nothing to look for in memory', async () => {
      const ledger = await openSqliteLedger({ path: ':memory:', now: () => 1 });
      opened.push(ledger);
      await ledger.verifyStorage();
    });
  });

  function batch(ids: readonly number[]) {
    return ids.map((jobId) => ({
      delivery: delivery(`guid-${jobId}`),
      fact: fact({ jobId, jobName: 'x'.repeat(500) }),
    }));
  }

  async function overwrite(start: number, bytes: number): Promise<void> {
    const file = await open(path, 'r+');
    await file.write(Buffer.alloc(bytes, 0xa5), 0, bytes, start);
    await file.close();
  }

  describe('because another process holds the file', () => {
    it('does not start, and tells which process', async () => {
      const other = start([process.execPath, PROGRAM, 'open', path]);
      expect(await firstLine(other)).to.include({ opened: true });
      const failure = await failureOf(openHere());
      expect(failure.kind).to.equal('locked');
      expect(failure.message).to.include(path).and.to.include('stop the other one');
      if (process.platform === 'linux') expect(failure.message).to.include(`process ${other.pid}.`);
    });

    it('tells which, where other processes hold files of their own', async () => {
      const paths = ['one.db', 'two.db', 'three.db'].map((name) => join(folder, name));
      const others = paths.map((file) => start([process.execPath, PROGRAM, 'open', file]));
      for (const other of others) expect(await firstLine(other)).to.include({ opened: true });
      for (const [index, file] of paths.entries()) {
        path = file;
        const { message } = await failureOf(openHere());
        if (process.platform === 'linux') expect(message).to.include(`is held by process ${others[index]?.pid}.`);
      }
    });

    it('starts once that process has ended', async () => {
      const other = start([process.execPath, PROGRAM, 'open', path]);
      await firstLine(other);
      await kill(other);
      expect(await (await openHere()).lanesInUse()).to.deep.equal([]);
    });

    it('does not open one file twice', async () => {
      await openHere();
      const failure = await failureOf(openHere());
      expect(failure.kind).to.equal('locked');
      if (process.platform === 'linux') expect(failure.message).to.include('this very process');
    });
  });

  describe('because the file is damaged', () => {
    it('does not start when the file is not a database', async () => {
      await (await openHere()).close();
      await overwrite(0, 4096);
      const failure = await failureOf(openHere());
      expect(failure.kind).to.equal('corrupt');
      expect(failure.message).to.include(path).and.to.include('move the file away').and.to.include('.recover');
      expect(failure.message).to.include('With the dispatcher stopped');
    });

    it('does not start when a page within is damaged', async () => {
      const ledger = await openHere();
      await ledger.recordDeliveries(batch(Array.from({ length: 300 }, (_, index) => index)));
      await ledger.close();
      const { size } = await stat(path);
      await overwrite(Math.floor(size / 2 / 4096) * 4096, 4096);
      expect((await failureOf(openHere())).kind).to.equal('corrupt');
    });

    it('says so when it meets the damage in a file too large to be checked at the start', async () => {
      const ledger = await openHere();
      for (let index = 0; index < 80; index += 1) {
        await ledger.createRunner(runner({ name: `d-${index}` }), 'launch');
        await ledger.keepOutput(`d-${index}`, `${index} `.repeat(100_000), 1);
      }
      await ledger.close();
      const { size } = await stat(path);
      expect(size).to.be.greaterThan(16 * 1024 * 1024);
      await overwrite(size - 4 * 1024 * 1024, 4 * 1024 * 1024);
      const damaged = await openHere();
      expect((await failureOf(readAllOutputs(damaged))).kind).to.equal('corrupt');
    });

    async function readAllOutputs(ledger: Ledger): Promise<void> {
      for (let index = 0; index < 80; index += 1) await ledger.output(`d-${index}`);
    }

    it('names the column that holds an invalid value', async () => {
      const ledger = await openHere();
      await ledger.recordFacts([fact({ jobId: 1 })]);
      await ledger.close();
      change("update jobs set status = 'dancing'");
      const failure = await failureOf((await openHere()).job(keyOf(1)));
      expect(failure.kind).to.equal('corrupt');
      expect(failure.message).to.include('column status').and.not.to.include('dancing');
    });

    it('returns the readable rows to a caller that passes a callback for the others', async () => {
      const ledger = await openHere();
      await ledger.recordFacts([fact({ jobId: 1 }), fact({ jobId: 2 })]);
      await ledger.createRunner(runner({ name: 'd-1', registration: 'acme', nextCheckAtMs: 5 }), 'launch');
      await ledger.createRunner(runner({ name: 'd-2', registration: 'acme', nextCheckAtMs: 5 }), 'launch');
      await ledger.close();
      change("update jobs set status = 'dancing' where jobId = 1; update runners set labels = '{' where name = 'd-1'");
      const damaged = await openHere();
      const unreadable: UnreadableRow[] = [];
      const note = (row: UnreadableRow) => void unreadable.push(row);
      expect((await damaged.unsettledJobs(9, note)).map(({ key }) => key)).to.deep.equal([keyOf(2)]);
      expect((await damaged.runnersDue(9, 9, note)).map(({ name }) => name)).to.deep.equal(['d-2']);
      expect(unreadable.map(({ key, registration }) => [key, registration])).to.deep.equal([
        [keyOf(1), null],
        ['d-1', 'acme'],
      ]);
      expect(unreadable[0]?.fault).to.include('column status').and.not.to.include('dancing');
      expect(await failureOf(damaged.unsettledJobs(9, 'reject'))).to.be.instanceOf(UnreadableRowError);
      await damaged.cutToNow();
      await damaged.putOff('d-1', 10);
      await damaged.putUnsettledLast(keyOf(1), 10);
      unreadable.length = 0;
      await damaged.runnersDue(9, 9, note);
      expect(unreadable, 'it was put off without being read').to.deep.equal([]);
      await damaged.unsettledJobs(1, note);
      expect(unreadable, 'it is the last one').to.deep.equal([]);
    });

    it('records the facts of all other jobs, and names the one whose row it cannot read', async () => {
      const ledger = await openHere();
      await ledger.recordFacts([fact({ jobId: 1 }), fact({ jobId: 2 })]);
      await ledger.close();
      change("update jobs set labels = '{' where jobId = 1");
      const damaged = await openHere();
      const unreadable: UnreadableRow[] = [];
      const ended = { status: 'completed', conclusion: 'success', observedAtMs: 30_000 } as const;
      const told = [fact({ jobId: 1, ...ended }), fact({ jobId: 2, ...ended }), fact({ jobId: 3 })];
      expect(await damaged.recordFacts(told, (row) => void unreadable.push(row))).to.equal(2);
      expect((await damaged.job(keyOf(2)))?.status).to.equal('completed');
      expect((await damaged.job(keyOf(3)))?.status).to.equal('queued');
      expect(unreadable.map(({ key }) => key)).to.deep.equal([keyOf(1)]);
      expect(unreadable[0]?.fault).to.include('column labels');
      expect(await failureOf(damaged.recordFacts(told))).to.be.instanceOf(UnreadableRowError);
    });

    it('knows a job by its new name although the row under the old one cannot be read, and moves its runner', async () => {
      const ledger = await openHere();
      const [old, present] = [fact({ jobId: 1 }), fact({ jobId: 1, repository: 'site', observedAtMs: 30_000 })];
      for (const told of [old, present]) await ledger.recordFacts([told]);
      await ledger.settleJobs((await ledger.unsettledJobs(9, 'reject')).map((job) => admitted(job)));
      await ledger.createRunner(runner({ name: 'd-1', forJobKey: jobKey(old), jobKey: jobKey(old) }), 'launch');
      await ledger.close();
      change("update jobs set labels = '{' where repository = 'web'");
      const damaged = await openHere();
      const unreadable: UnreadableRow[] = [];
      const read = { ...present, source: 'read' } as const;
      expect(await damaged.recordFacts([read], (row) => void unreadable.push(row))).to.equal(1);
      expect((await damaged.job(jobKey(present)))?.verifiedAtMs).to.be.a('number');
      expect(await damaged.runner('d-1')).to.include({ forJobKey: jobKey(present), jobKey: jobKey(present) });
      expect(unreadable.map(({ key }) => key)).to.deep.equal([jobKey(old)]);
      const [counts] = await damaged.laneCounts([lane().key], 'reject');
      expect(counts?.demand, 'the old name asks for no runner').to.equal(1);
    });

    it('returns the breakers that can be read', async () => {
      const ledger = await openHere();
      for (const key of ['acme/main', 'other/main']) {
        await ledger.putBreaker(breaker({ key, registration: key.slice(0, -5) }));
      }
      await ledger.close();
      change("update breakers set rule = 'of tomorrow' where key = 'acme/main'");
      const damaged = await openHere();
      const unreadable: UnreadableRow[] = [];
      const left = await damaged.breakers((row) => void unreadable.push(row));
      expect(left.map(({ key }) => key)).to.deep.equal(['other/main']);
      expect(unreadable.map(({ key, registration }) => [key, registration])).to.deep.equal([['acme/main', 'acme']]);
      expect(await failureOf(damaged.breakers())).to.be.instanceOf(UnreadableRowError);
    });

    it('fails only the write that meets the row, of those that share a transaction', async () => {
      const ledger = await openHere();
      await ledger.recordFacts([fact({ jobId: 1 })]);
      await ledger.close();
      change("update jobs set labels = '{'");
      const damaged = await openHere();
      const [dropped, put, recorded] = await Promise.allSettled([
        damaged.dropJob(keyOf(1), 'gone', 1),
        damaged.putCursor('beside', '1', 1),
        damaged.recordDeliveries(batch([2])),
      ]);
      expect(dropped).to.have.property('reason').that.is.instanceOf(UnreadableRowError);
      expect([put.status, recorded.status]).to.deep.equal(['fulfilled', 'fulfilled']);
    });

    it('counts the lanes and the waiting jobs whose rows can be read', async () => {
      const ledger = await openHere();
      await ledger.recordFacts([fact({ jobId: 1 }), fact({ jobId: 2 }), fact({ jobId: 3, labels: ['other'] })]);
      const [bad, good] = [lane({ key: 'bad' }), lane({ key: 'good', labels: ['other'] })];
      await ledger.settleJobs(
        (await ledger.unsettledJobs(9, 'reject')).map((job) =>
          admitted(job, job.labels.includes('other') ? good : bad),
        ),
      );
      await ledger.close();
      change("update lanes set spec = '{' where key = 'bad'; update jobs set planned = 'many' where jobId = 1");
      const damaged = await openHere();
      const unreadable: UnreadableRow[] = [];
      const note = (row: UnreadableRow) => void unreadable.push(row);
      expect((await damaged.laneCounts(['bad', 'good'], note)).map((counts) => counts.lane.key)).to.deep.equal([
        'good',
      ]);
      expect((await damaged.waitingJobs('bad', 9, note)).map(({ key }) => key)).to.deep.equal([keyOf(2)]);
      expect(unreadable.map(({ key, registration }) => [key, registration])).to.deep.equal([
        ['bad', 'acme'],
        [keyOf(1), null],
      ]);
      expect(unreadable.map(({ fault }) => fault.split(':')[0])).to.deep.equal(['column spec', 'column planned']);
      expect(await failureOf(damaged.laneCounts(['bad'], 'reject'))).to.be.instanceOf(UnreadableRowError);
      expect(await failureOf(damaged.waitingJobs('bad', 9, 'reject'))).to.be.instanceOf(UnreadableRowError);
    });
  });

  function change(sql: string): void {
    const database = new Sqlite(path);
    database.exec(sql);
    database.close();
  }

  it('does not start on a newer schema, and leaves the file as it was', async () => {
    await (await openHere()).close();
    change("insert into migrations (version, name, appliedAtMs) values (99, 'from the future', 1)");
    const before = await readFile(path);
    const failure = await failureOf(openHere());
    expect(failure.kind).to.equal('newer');
    expect(failure.message).to.include('schema 99').and.to.include('Run that version');
    expect((await readFile(path)).equals(before)).to.equal(true);
  });

  for (const [name, tables] of [
    ['another program', 'create table x (a)'],
    ['another program that has migrations too', 'create table migrations (id integer, name text)'],
  ] as const) {
    it(`does not start on a database of ${name}, and leaves it as it was`, async () => {
      change(tables);
      const before = await readFile(path);
      const failure = await failureOf(openHere());
      expect(failure.kind).to.equal('foreign');
      expect(failure.message).to.include(path).and.to.include('`ledger`');
      expect((await readFile(path)).equals(before)).to.equal(true);
      expect(await readdir(folder)).to.deep.equal(['ledger.db']);
    });
  }

  it('starts on a database without tables', async () => {
    change('create table x (a); drop table x');
    expect(await (await openHere()).lanesInUse()).to.deep.equal([]);
  });

  describe('because it may not or cannot write there', () => {
    it('does not start without the folder', async () => {
      path = join(folder, 'absent', 'ledger.db');
      const failure = await failureOf(openHere());
      expect(failure.kind).to.equal('unavailable');
      expect(failure.message).to.include('Its folder must exist');
    });

    it('does not start in a folder where it may not write', async () => {
      await chmod(folder, 0o555);
      // Root may write anywhere: then somebody else tries.
      const child = start([process.execPath, PROGRAM, 'open', path], process.getuid?.() === 0 ? { uid: NOBODY } : {});
      const line = await firstLine(child);
      await chmod(folder, 0o755);
      expect(line.failed).to.equal('unavailable');
      expect(line.message).to.include('with leave to write').and.to.include(`${folder} is read-only`);
    });

    it('does not start on a file that it may only read', async () => {
      await (await openHere()).close();
      await chmod(path, 0o444);
      await chmod(folder, 0o555);
      const child = start([process.execPath, PROGRAM, 'open', path], process.getuid?.() === 0 ? { uid: NOBODY } : {});
      const line = await firstLine(child);
      await chmod(folder, 0o755);
      expect(line.failed).to.equal('unavailable');
      expect(line.message).to.include(`${path} is read-only`);
    });

    it('refuses the batch at the limit that the system sets for files, and keeps what it acknowledged', async () => {
      const limited = ['/bin/sh', '-c', 'ulimit -f 512; exec "$@"', 'sh', process.execPath, PROGRAM, 'write', path];
      const { acknowledged, last } = await acknowledgedBy(start(limited), () => false);
      expect(last.failed).to.equal('unavailable');
      await expectAllOf(acknowledged);
    });
  });

  describe('because there is no room', () => {
    it('refuses the step at the limit that the operator sets, whole, and goes on once there is room', async () => {
      const ledger = await openHere({ maxBytes: 1024 * 1024 });
      let acknowledged = 0;
      let failure: unknown;
      while (failure === undefined) {
        const ids = Array.from({ length: 50 }, (_, index) => acknowledged + index);
        try {
          await ledger.recordDeliveries(batch(ids));
          acknowledged += 50;
        } catch (error) {
          failure = error;
        }
      }
      expect(failure).to.include({ name: 'LedgerError', kind: 'full' });
      expect(failure).to.have.property('message').that.includes('Free space');
      expect(failure)
        .to.have.property('message')
        .that.includes('A dispatcher that runs goes on by itself')
        .and.includes('start it again');
      expect(acknowledged).to.be.greaterThan(50);
      expect(await ledger.job(keyOf(acknowledged - 1))).to.not.equal(undefined);
      expect(await ledger.job(keyOf(acknowledged)), 'of the batch that was refused').to.equal(undefined);
      expect((await stat(path)).size).to.be.at.most(1024 * 1024);

      const keepNothing = { deliveriesMs: 0, jobsMs: 0, runnersMs: 0, maxDeliveries: 0, maxJobs: 0, maxRunners: 0 };
      while ((await ledger.prune(1_000_000, keepNothing, 10)) > 0);
      expect(await ledger.recordDeliveries(batch([acknowledged]))).to.deep.equal(['recorded']);
    });

    it('tells that it has no room from the first write that failed until one has succeeded and none failed for 10 s', async () => {
      let nowMs = 50_000;
      const ledger = await openHere({ maxBytes: 1024 * 1024, now: () => nowMs });
      expect(ledger.writeTrouble()).to.equal(undefined);
      const grow = async (): Promise<LedgerError> => {
        for (let next = 0; next < 100_000; next += 50) {
          const ids = Array.from({ length: 50 }, (_, index) => next + index);
          const failure = await ledger.recordDeliveries(batch(ids)).then(
            () => undefined,
            (error: unknown) => error,
          );
          if (failure instanceof LedgerError) return failure;
        }
        throw new Error('it is not full');
      };
      const first = await grow();
      expect(ledger.writeTrouble()).to.deep.equal({ error: first, sinceMs: 50_000 });
      for (let time = 1; time <= 3; time += 1) {
        nowMs += 9_999;
        await ledger.putCursor('small', '1', 1);
        expect(ledger.writeTrouble(), 'a small write finds room').to.deep.include({ sinceMs: 50_000 });
        await grow();
      }
      nowMs += 60_000;
      expect(ledger.writeTrouble(), 'none has succeeded').to.deep.include({ sinceMs: 50_000 });
      await ledger.putCursor('small', '1', 1);
      expect(ledger.writeTrouble()).to.equal(undefined);
      const next = await grow();
      expect(ledger.writeTrouble(), 'another time').to.deep.equal({ error: next, sinceMs: nowMs });
    });

    it('does not call a row that cannot be read, or a step that throws, a ledger that takes no writes', async () => {
      const ledger = await openHere();
      await ledger.recordFacts([fact({ jobId: 1 })]);
      await ledger.close();
      change("update jobs set labels = '{'");
      const damaged = await openHere();
      expect(await failureOf(damaged.dropJob(keyOf(1), 'gone', 1))).to.be.instanceOf(UnreadableRowError);
      expect(damaged.writeTrouble()).to.equal(undefined);
      await rejection(damaged.putCursor('nul', 'a\0b', 1));
      expect(damaged.writeTrouble()).to.equal(undefined);
    });

    // Where a process may have a mount namespace of its own, it gets a real disk, of 1 MB.
    const [unshare, ...inNamespace] = ['unshare', '--user', '--map-root-user', '--mount', '--kill-child'] as const;
    const script = 'mount -t tmpfs -o size=1m none "$0" && "$@"; cp "$0"/* "$0.kept"/';
    if (spawnSync(unshare, [...inNamespace, 'mount', '-t', 'tmpfs', 'none', tmpdir()]).status === 0) {
      it('tells that it takes no writes while its disk is full, until one succeeds', async () => {
        const disk = await mkdtemp(join(folder, 'disk-'));
        spawnSync('mkdir', [`${disk}.kept`]);
        const command = ['/bin/sh', '-c', script, disk, process.execPath, PROGRAM, 'fill', join(disk, 'ledger.db')];
        const lines: Line[] = [];
        for await (const line of linesOf(start([unshare, ...inNamespace, ...command]))) lines.push(line);
        expect(lines.slice(1)).to.deep.equal([
          { trouble: 'none' },
          { trouble: 'full', sinceMs: 50_000 },
          { trouble: 'none' },
        ]);
      });

      it('refuses the step on a disk that is full, and keeps what it acknowledged', async () => {
        const disk = await mkdtemp(join(folder, 'disk-'));
        const kept = `${disk}.kept`;
        spawnSync('mkdir', [kept]);
        const command = ['/bin/sh', '-c', script, disk, process.execPath, PROGRAM, 'write', join(disk, 'ledger.db')];
        const child = start([unshare, ...inNamespace, ...command]);
        const exited = once(child, 'exit');
        const { acknowledged, last } = await acknowledgedBy(child, () => false);
        await exited;
        expect(last.failed).to.equal('full');
        expect(acknowledged).to.be.greaterThan(0);
        for (const file of await readdir(kept)) await copyFile(join(kept, file), join(folder, file));
        await expectAllOf(acknowledged);
      });
    }
  });

  /** How many deliveries the writer was promised; it is killed when `enough`, or ends by itself. */
  async function acknowledgedBy(
    child: ChildProcess,
    enough: (acknowledged: number) => boolean,
  ): Promise<{ acknowledged: number; last: Line }> {
    let acknowledged = 0;
    let last: Line = {};
    for await (const line of linesOf(child)) {
      last = line;
      acknowledged = line.acknowledged ?? acknowledged;
      if (enough(acknowledged)) child.kill('SIGKILL');
    }
    return { acknowledged, last };
  }

  async function expectAllOf(acknowledged: number): Promise<void> {
    const ledger = await openHere();
    const ids = Array.from({ length: acknowledged }, (_, index) => index);
    const again = await ledger.recordDeliveries(ids.map((id) => ({ delivery: delivery(`guid-${id}`), fact: null })));
    expect(again.filter((answer) => answer !== 'duplicate')).to.deep.equal([]);
    for (const id of ids) expect(await ledger.job(keyOf(id)), `job ${id}`).to.not.equal(undefined);
  }

  for (const enough of [20, 400, 1700]) {
    it(`has everything that it acknowledged after kill -9 behind ${enough} deliveries`, async () => {
      const child = start([process.execPath, PROGRAM, 'write', path]);
      const { acknowledged } = await acknowledgedBy(child, (count) => count >= enough);
      await kill(child);
      expect(acknowledged).to.be.at.least(enough);
      await expectAllOf(acknowledged);
    });
  }

  it('keeps a ledger in memory for tests', async () => {
    path = ':memory:';
    const ledger = await openHere();
    expect(await ledger.recordDeliveries(batch([1]))).to.deep.equal(['recorded']);
    expect(await ledger.job(keyOf(1))).to.include({ jobId: 1 });
  });
});
