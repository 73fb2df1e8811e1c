/** What PostgreSQL, and the way to it, can do to the ledger. */
import { expect } from 'chai';
import pg from 'pg';
import type { Ledger } from '../../dispatcher/ledger/ledger.ts';
import { Connections } from '../../dispatcher/ledger/postgres/connections.ts';
import { openPostgresLedger, type PostgresOptions } from '../../dispatcher/ledger/postgres/store.ts';
import { settled, VirtualClock } from '../github/virtual-clock.ts';
import { CuttingProxy } from './cutting-proxy.ts';
import { delivery, fact, keyOf, runner } from './examples.ts';
import { rejection } from './opened-ledger.ts';
import { PostgresPlaces } from './postgres-place.ts';
import { postgresProblem } from './postgres-server.ts';

const problem = postgresProblem();

describe(problem === undefined ? 'the ledger on PostgreSQL' : `the ledger on PostgreSQL (${problem})`, () => {
  const places = new PostgresPlaces();
  before(async function () {
    if (problem !== undefined) this.skip();
    await places.start();
  });
  after(() => places.stop());

  let database: string;
  let proxy: CuttingProxy;
  const opened: Ledger[] = [];
  beforeEach(async () => {
    database = await places.newDatabase();
    proxy = new CuttingProxy(`${places.server.folder}/.s.PGSQL.5432`);
    await proxy.listen();
  });
  afterEach(async () => {
    proxy.freeze(false);
    await Promise.all(opened.splice(0).map((ledger) => ledger.close()));
    await proxy.close();
    await places.server.dropDatabase(database);
  });

  async function open(some: Partial<PostgresOptions> = {}): Promise<Ledger> {
    const address = { ...places.server.address(database), host: '127.0.0.1', port: proxy.port };
    const ledger = await openPostgresLedger({ address, schema: 'shr', now: () => 50_000, ...some });
    opened.push(ledger);
    return ledger;
  }

  const sql = (text: string) => places.server.sql(database, text);

  async function other(): Promise<pg.Client> {
    const { host, port, user } = places.server.address();
    const client = new pg.Client({ host, port, user, database });
    await client.connect();
    return client;
  }

  const launches = async (ledger: Ledger) => (await ledger.job(keyOf(1)))?.launches;

  /** A job, and its runner that is about to be launched. */
  async function launching(ledger: Ledger): Promise<() => Promise<unknown>> {
    await ledger.recordFacts([fact({ jobId: 1 })]);
    await ledger.createRunner(runner({ name: 'd-1', forJobKey: keyOf(1) }), 'launch');
    return () => ledger.stepRunner('d-1', () => ({ patch: {}, entries: [], launch: 'called' }));
  }

  describe('values', () => {
    it('are numbers up to 2^53, and one beyond makes its row unreadable and no other', async () => {
      const ledger = await open();
      const runnerId = Number.MAX_SAFE_INTEGER;
      await ledger.recordFacts([fact({ jobId: 1, runnerId }), fact({ jobId: 2 })]);
      expect(await ledger.job(keyOf(1))).to.deep.include({ runnerId, runId: 7_000_000_001 });
      await sql(`update shr.jobs set "runnerId" = 9007199254740993 where key = '${keyOf(1)}'`);
      const unreadable: string[] = [];
      const found = await ledger.jobs({}, ({ key, fault }) => unreadable.push(`${key}: ${fault}`));
      expect(found.map(({ key }) => key)).to.deep.equal([keyOf(2)]);
      expect(unreadable.join()).to.include(keyOf(1)).and.include('runnerId');
    });

    it('are kept as they are, whatever characters they have, and are ordered by their bytes', async () => {
      const ledger = await open();
      const names = ['ü', 'z', 'Z', '😀', "'; drop table jobs; --", '\\', '%_', '\u200b'];
      for (const [index, name] of names.entries()) await ledger.putCursor(name, name, index);
      for (const name of names) expect(await ledger.cursor(name)).to.equal(name);
      const rows = await sql('select name from shr.cursors order by name');
      const byBytes = names.toSorted((one, two) => Buffer.compare(Buffer.from(one), Buffer.from(two)));
      expect(rows.map(({ name }) => name)).to.deep.equal(byBytes);
    });
  });

  describe('a group of writes', () => {
    it('loses only those that fail by themselves', async () => {
      const ledger = await open();
      await ledger.createRunner(runner({ name: 'd-1' }), 'launch');
      const deliver = (guid: string, jobName = 'build') =>
        ledger.recordDeliveries([{ delivery: delivery(guid), fact: fact({ jobId: Number(guid), jobName }) }]);
      const [first, nul, doubled, last] = await Promise.allSettled([
        deliver('1'),
        deliver('2', 'nul\0'),
        // The database itself refuses it.
        ledger.createRunner(runner({ name: 'd-1' }), 'launch'),
        deliver('3'),
      ]);
      expect([first?.status, nul?.status, doubled?.status, last?.status]).to.deep.equal([
        ...['fulfilled', 'rejected', 'rejected', 'fulfilled'],
      ]);
      expect((await ledger.jobs({}, 'reject')).map(({ key }) => key)).to.have.members([keyOf(1), keyOf(3)]);
      expect(ledger.writeTrouble()).to.equal(undefined);
    });

    it('is committed again when another transaction changed what it read', async () => {
      const ledger = await open();
      const call = await launching(ledger);
      const client = await other();
      try {
        await client.query(`begin; update shr.jobs set launches = launches + 10 where key = '${keyOf(1)}'`);
        const called = call();
        await waitFor(() => isBlocked(client));
        await client.query('commit');
        await called;
      } finally {
        await client.end();
      }
      expect(await launches(ledger)).to.equal(11);
    });

    it('waits five seconds for a lock that is not released, and then fails for the time being', async () => {
      const ledger = await open();
      const call = await launching(ledger);
      const client = await other();
      try {
        await client.query('begin; lock table shr.jobs');
        const failure = await rejection(call());
        expect(failure).to.include({ name: 'LedgerError', kind: 'unavailable' });
        expect(failure).to.have.property('message').that.includes('55P03');
        await client.query('rollback');
      } finally {
        await client.end();
      }
      await call();
      expect(await launches(ledger)).to.equal(1);
    });

    it('that the server refuses when it begins leaves a session that writes again', async () => {
      const ledger = await open();
      await sql('alter table shr.leases rename to away');
      expect(await rejection(ledger.putCursor('c', 'v', 1))).to.include({ name: 'LedgerError', kind: 'moved' });
      await sql('alter table shr.away rename to leases');
      await ledger.putCursor('c', 'v', 2);
      const client = await other();
      try {
        await client.query('begin; lock table shr.leases');
        const failures = await Promise.all(
          [ledger.putCursor('c', 'v', 3), ledger.putCursor('d', 'v', 3)].map(rejection),
        );
        for (const failure of failures) expect(failure).to.include({ name: 'LedgerError', kind: 'unavailable' });
        await client.query('rollback');
      } finally {
        await client.end();
      }
      await ledger.putCursor('c', 'v', 4);
      await sql('alter table shr.leases rename column holder to other');
      expect(await rejection(ledger.putCursor('c', 'v', 5))).to.include({ name: 'LedgerError', kind: 'unavailable' });
      expect(ledger.writeTrouble()?.error.kind).to.equal('unavailable');
      await sql('alter table shr.leases rename column other to holder');
      await ledger.putCursor('c', 'v', 6);
      expect(ledger.writeTrouble()).to.equal(undefined);
    });

    it('is committed again when it was chosen to end a deadlock', async () => {
      const ledger = await open();
      const call = await launching(ledger);
      const client = await other();
      try {
        // The one that looks for it first is ended.
        await client.query(`set deadlock_timeout = '1min'; begin; update shr.jobs set planned = planned + 10`);
        const called = call();
        await waitFor(() => isBlocked(client));
        await client.query('update shr.runners set attempts = 0');
        await client.query('commit');
        await called;
      } finally {
        await client.end();
      }
      expect(await ledger.job(keyOf(1))).to.include({ launches: 1, planned: 11 });
    });
  });

  describe('a commit', () => {
    const OFF = 'set local synchronous_commit = off; commit';
    const deliver = (ledger: Ledger, guid: string) =>
      ledger.recordDeliveries([{ delivery: delivery(guid), fact: null }]);

    async function sentBy(work: () => Promise<unknown>): Promise<string> {
      proxy.sent = '';
      await work();
      return proxy.sent;
    }

    it('waits for the disk of the server if one of its writes must last, and otherwise not', async () => {
      const ledger = await open();
      const recoverable = await sentBy(() => ledger.putCursor('c', 'v', 1));
      expect(recoverable).to.include(OFF);
      const durable = await sentBy(() => deliver(ledger, 'a'));
      expect(durable).to.include('commit').and.not.include('synchronous_commit');
      const both = await sentBy(() => Promise.all([ledger.putCursor('c', 'v', 2), deliver(ledger, 'b')]));
      expect(both).to.include('commit').and.not.include('synchronous_commit');
    });

    it('that must last follows one that need not, when what has committed is asked to be on the disk', async () => {
      const ledger = await open();
      await ledger.putCursor('c', 'v', 1);
      expect(await sentBy(() => ledger.persist()))
        .to.include('update')
        .and.not.include('synchronous_commit');
      expect(await sentBy(() => ledger.persist()), 'nothing is left').to.equal('');
    });

    it('waits for the disk also in a database that is set not to', async () => {
      await sql(`alter database ${database} set synchronous_commit = off`);
      const ledger = await open();
      expect(await sentBy(() => deliver(ledger, 'a'))).to.include('set local synchronous_commit = on; commit');
    });
  });

  describe('a connection that breaks', () => {
    for (const [when, what] of [
      ['before', 'did not arrive: it is done once more'],
      ['after', 'arrived: it is not done again'],
    ] as const) {
      it(`during a commit that ${what}`, async () => {
        const ledger = await open();
        const call = await launching(ledger);
        proxy.cutAt('commit', when);
        await call();
        expect(await launches(ledger), 'counted once').to.equal(1);
        expect(await ledger.timeline('d-1')).to.have.length(1);
      });
    }

    it('during a commit, to a network that drops all packets, has its outcome asked for three seconds', async () => {
      const ledger = await open({ answerMs: 1_500 });
      const call = await launching(ledger);
      proxy.cutAt('commit', 'frozen');
      const startedAt = performance.now();
      expect(await rejection(call()))
        .to.have.property('message')
        .that.includes('broke during a commit');
      expect(performance.now() - startedAt).to.be.within(4_000, 6_500);
    });

    it('during a commit leaves one session that does not answer, and another says what became of it', async () => {
      const ledger = await open();
      const call = await launching(ledger);
      // A session that reads, and from now on is silent.
      await ledger.job(keyOf(1));
      proxy.cutAt('commit', 'after');
      proxy.cutAt('pg_xact_status', 'silent');
      const startedAt = performance.now();
      await call();
      expect(performance.now() - startedAt).to.be.lessThan(4_000);
      expect(await launches(ledger)).to.equal(1);
    });

    it('in the middle of a transaction has it done again', async () => {
      const ledger = await open();
      const call = await launching(ledger);
      proxy.cutAt('set "launches"', 'after');
      await call();
      expect(await launches(ledger)).to.equal(1);
    });

    it('while it reads has it read again', async () => {
      const ledger = await open();
      await launching(ledger);
      proxy.cutAt('select', 'after');
      expect(await ledger.job(keyOf(1))).to.include({ key: keyOf(1) });
      proxy.cutAll();
      expect(await ledger.job(keyOf(1))).to.include({ key: keyOf(1) });
    });
  });

  describe('a server', () => {
    it('that does not answer fails what waits for it, in time, and works again by itself', async () => {
      const ledger = await open({ connectMs: 200, answerMs: 300 });
      const call = await launching(ledger);
      proxy.freeze(true);
      const startedAt = performance.now();
      const failures = await Promise.all([rejection(call()), rejection(ledger.job(keyOf(1)))]);
      for (const failure of failures) expect(failure).to.include({ name: 'LedgerError', kind: 'unavailable' });
      expect(performance.now() - startedAt).to.be.lessThan(9_000);
      expect(ledger.writeTrouble()?.error.kind).to.equal('unavailable');
      proxy.freeze(false);
      await waitFor(async () => (await call().catch(() => undefined)) !== undefined);
      expect(await launches(ledger)).to.equal(1);
      expect(ledger.writeTrouble()).to.equal(undefined);
    });

    it('that is away for a minute is tried now and then, by one caller, and the others fail at once', async () => {
      const clock = new VirtualClock();
      const address = { ...places.server.address(), port: 1 };
      const connections = new Connections({
        ...{ address, most: 5, random: () => 0.5 },
        after: (ms, action) => clock.after(ms, action),
      });
      let attempts = 0;
      let refusals = 0;
      for (let second = 0; second < 60; second += 1) {
        const calls = Array.from({ length: 20 }, () => connections.use(async () => {}).catch((error: Error) => error));
        for (const error of await Promise.all(calls)) {
          expect(error).to.be.an('error').with.property('name', 'NoConnection');
          refusals += 1;
        }
        attempts = connections.attempts;
        await clock.advance(1_000);
        await settled();
      }
      expect(refusals).to.equal(1_200);
      // At first the five that may be open at once.
      expect(attempts).to.be.within(10, 25);
      await connections.close();
    });

    it('that crashed and started again has everything that was answered as durable', async () => {
      const ledger = await open();
      const guids = Array.from({ length: 20 }, (_, index) => String(index));
      const deliver = (guid: string) =>
        ledger.recordDeliveries([{ delivery: delivery(guid), fact: fact({ jobId: Number(guid) }) }]);
      await Promise.all(guids.map(deliver));
      await places.server.stop('SIGQUIT');
      expect(await rejection(deliver('99'))).to.include({ kind: 'unavailable' });
      await places.server.start();
      await waitFor(async () => (await deliver('99').catch(() => undefined)) !== undefined);
      for (const guid of guids) expect(await deliver(guid)).to.deep.equal(['duplicate']);
    });
  });

  describe('a schema', () => {
    it('belongs to the dispatcher that opened it last: the one before it writes nothing more', async () => {
      const one = await open();
      await one.putCursor('c', 'one', 1);
      const two = await open();
      expect(await rejection(one.putCursor('c', 'late', 2))).to.include({ kind: 'locked' });
      expect(await rejection(one.verifyStorage())).to.include({ kind: 'locked' });
      await two.verifyStorage();
      expect(await two.cursor('c')).to.equal('one');
    });

    it('goes back to the dispatcher before where the one that opened it ends before it has written', async () => {
      const one = await open();
      await one.putCursor('c', 'one', 1);
      const two = await open();
      expect(await rejection(one.putCursor('c', 'meanwhile', 2))).to.include({ kind: 'locked' });
      expect(await two.cursor('c')).to.equal('one');
      await two.close();
      await one.verifyStorage();
      await one.putCursor('c', 'again', 3);
      const three = await open();
      await three.putCursor('c', 'three', 4);
      await three.close();
      expect(await rejection(one.putCursor('c', 'late', 5))).to.include({ kind: 'locked' });
    });

    it('is opened by another when what the one before it is writing has ended, and not before', async () => {
      const one = await open();
      const call = await launching(one);
      const client = await other();
      let two: Ledger | undefined;
      let calling: Promise<unknown>;
      let opening: Promise<unknown>;
      try {
        await client.query('begin; lock table shr.jobs in share mode');
        calling = call();
        await waitFor(() => isBlocked(client));
        opening = open().then((ledger) => {
          two = ledger;
        });
        await waitFor(async () => two !== undefined || (await blocked(client)) === 2);
        expect(two, 'it waits').to.equal(undefined);
        const late = rejection(one.putCursor('c', 'late', 1));
        await client.query('commit');
        await Promise.all([calling, opening]);
        expect(await late).to.include({ kind: 'locked' });
      } finally {
        await client.end();
      }
      if (two === undefined) throw new Error('it was opened');
      expect(await launches(two), 'it reads what was written').to.equal(1);
      expect(await two.cursor('c')).to.equal(undefined);
    });

    it('that another is opening is not written by the one before it', async () => {
      const one = await open();
      const client = await other();
      try {
        await client.query(`begin; lock table shr.leases in exclusive mode;
          update shr.leases set holder = 'another' where name = 'ledger'`);
        const late = rejection(one.putCursor('c', 'late', 1));
        await waitFor(() => isBlocked(client));
        await client.query('commit');
        expect(await late).to.include({ kind: 'locked' });
      } finally {
        await client.end();
      }
      expect(await one.cursor('c')).to.equal(undefined);
    });

    it('that takes long to make, behind another that is made, is waited for, and said', async () => {
      await sql(`create function slow() returns event_trigger language plpgsql as $$ begin
          if exists (select from pg_event_trigger_ddl_commands() where object_identity = 'slow.cursors') then
            perform pg_sleep(1);
          end if;
        end $$;
        create event trigger slow on ddl_command_end when tag in ('CREATE TABLE') execute function slow()`);
      const client = await other();
      const waits: string[] = [];
      try {
        await client.query(`select pg_advisory_lock(${0x5348}, hashtext('"slow"'))`);
        const opening = open({ schema: 'slow', answerMs: 400, onWait: (reason) => waits.push(reason) });
        await waitFor(async () => waits.length > 0 && (await isBlocked(client)));
        await client.query('select pg_advisory_unlock_all()');
        const ledger = await opening;
        await ledger.putCursor('c', 'v', 1);
      } finally {
        await client.end();
      }
      expect(waits).to.have.lengthOf.at.least(3);
      expect(waits[0]).to.include('migration').and.include('schema slow');
    });

    it('of another program is refused, and left as it is', async () => {
      await sql('create schema theirs; create table theirs.things (id int)');
      expect(await rejection(open({ schema: 'theirs' }))).to.include({ kind: 'foreign' });
      expect(await sql(`select tablename from pg_tables where schemaname = 'theirs'`)).to.have.length(1);
    });

    it('of a newer version is refused, at the start and afterwards', async () => {
      const ledger = await open();
      await sql(`insert into shr.migrations values (9999, 'of tomorrow', 1)`);
      expect(await rejection(ledger.verifyStorage())).to.include({ kind: 'newer' });
      expect(await rejection(open())).to.include({ kind: 'newer' });
    });

    it('that was dropped is missed by writes, reads and the check', async () => {
      const ledger = await open();
      await sql('drop schema shr cascade');
      const calls = [ledger.putCursor('c', 'v', 1), ledger.cursor('c'), ledger.verifyStorage()];
      for (const failure of await Promise.all(calls.map(rejection))) expect(failure).to.include({ kind: 'moved' });
    });

    it('may have any name, and two may be in one database', async () => {
      const one = await open({ schema: 'a "quoted" Name' });
      const two = await open();
      await one.putCursor('c', 'one', 1);
      await two.putCursor('c', 'two', 1);
      expect([await one.cursor('c'), await two.cursor('c')]).to.deep.equal(['one', 'two']);
    });

    it('is made once by two that start at the same time', async () => {
      const ledgers = await Promise.all([open({ schema: 'new' }), open({ schema: 'new' })]);
      const writes = await Promise.allSettled(ledgers.map((ledger) => ledger.putCursor('c', 'v', 1)));
      expect(writes.map(({ status }) => status)).to.have.members(['fulfilled', 'rejected']);
    });
  });

  const isBlocked = async (client: pg.Client) => (await blocked(client)) > 0;

  /** How many sessions wait for a lock. */
  async function blocked(client: pg.Client): Promise<number> {
    // Within a transaction it would see what it saw first.
    await client.query('select pg_stat_clear_snapshot()');
    const { rows } = await client.query(
      `select 1 from pg_stat_activity where datname = $1 and wait_event_type = 'Lock'`,
      [database],
    );
    return rows.length;
  }
});

async function waitFor(isSo: () => Promise<boolean>): Promise<void> {
  for (let look = 0; look < 400; look += 1) {
    if (await isSo()) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error('it did not happen');
}
