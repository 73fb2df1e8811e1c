/** Ledgers of earlier versions, as those wrote them. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { expect } from 'chai';
import { migrations } from '../../dispatcher/ledger/migrations/migrations.ts';
import { createMigrations } from '../../dispatcher/ledger/queries/migrations.ts';
import { openSqliteLedger, sqliteBuilder } from '../../dispatcher/ledger/sqlite.ts';
import { fact } from './examples.ts';

/** `[failureKind, failure, backend]` as version 1 wrote them, and what they are now. */
const FAILURES = [
  ['capacity', 'no stock', 'eci', 'acme/eci', 'capacity'],
  ['github-unauthorized', 'POST /x: 401', 'eci', 'github', 'unauthorized'],
  ['no-stock', 'no stock', 'eci', 'acme/eci', 'no-stock'],
  ['launch-timeout', 'not online', 'eci', 'acme/eci', 'launch-timeout'],
  ['interrupted', 'the dispatcher stopped', null, 'dispatcher', 'interrupted'],
  ['full', 'it is at its cap', 'eci', 'dispatcher', 'no-place'],
  ['no-backend', '', null, 'dispatcher', 'no-place'],
  ['start', 'of another time', 'eci', 'acme/eci', 'unknown'],
] as const;

describe('a ledger of version 1', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ledger-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  function write(path: string): void {
    const database = new Sqlite(path);
    const first = migrations.find(({ version }) => version === 1);
    for (const { sql } of first?.statements(sqliteBuilder) ?? []) database.exec(sql);
    database.exec(
      'create table migrations (version bigint primary key, name text not null, "appliedAtMs" bigint not null)',
    );
    database.exec("insert into migrations values (1, 'first', 0)");
    const insert = database.prepare(`insert into runners (
      name, registration, host, scope, "runnerGroup", "laneKey", labels, "specHash", state, "stateSinceMs", "createdAtMs",
      incarnation, backend, "instanceDeadlineAtMs", "instanceState", misses, forced, attempts, version, live,
      "failureKind", failure)
      values (?, 'acme', 'github.com', 'orgs/acme', 'default', 'lane', '["x"]', 'spec', 'draining', 7, 5,
      'i', ?, 9, 'maybe', 0, 0, 0, 1, 1, ?, ?)`);
    for (const [index, [kind, words, backend]] of FAILURES.entries()) insert.run(`d-${index}`, backend, kind, words);
    insert.run('d-well', 'eci', null, null);
    database.exec(`insert into "runnerTimeline" values ('d-well', 1, 0, 6, 'busy', 'its job started', null)`);
    database.exec(`insert into breakers values ('acme/eci', 'quota', 'too many', 3, 99, 7)`);
    database.close();
  }

  it('opens with its runners, their failures in the form of today', async () => {
    const path = join(folder, 'ledger.db');
    write(path);
    const ledger = await openSqliteLedger({ path, now: () => 50_000 });
    try {
      for (const [index, [, message, , source, kind]] of FAILURES.entries()) {
        const row = await ledger.runner(`d-${index}`);
        expect(row?.failure, kind).to.deep.equal({ source, kind, code: null, requestId: null, message, atMs: 7 });
      }
      expect((await ledger.runner('d-well'))?.failure).to.equal(null);
      expect(await ledger.timeline('d-well')).to.deep.equal([
        { atMs: 6, state: 'busy', reason: 'its job started', details: null, failure: null },
      ]);
      expect(await ledger.breakers(), 'what closed then is tried again').to.deep.equal([]);
    } finally {
      await ledger.close();
    }
  });
});

describe('a ledger of any version that there has been', () => {
  /** As ledgers in use have them noted, each for ever: a number that changed would have its migration run twice. */
  const versions = [1, 2, 3, 4, 9, 10, 11];

  /** With the migrations up to this one, whatever number each has today. */
  function write(path: string, count: number): void {
    const database = new Sqlite(path);
    database.exec(createMigrations(sqliteBuilder).sql);
    for (const [index, migration] of migrations.slice(0, count).entries()) {
      for (const { sql, parameters } of migration.statements(sqliteBuilder)) database.prepare(sql).run(...parameters);
      database.prepare('insert into migrations values (?, ?, 1)').run(versions[index], migration.name);
    }
    database.close();
  }

  for (const [index, version] of versions.entries()) {
    it(`opens, and goes on from version ${version}`, async () => {
      const folder = await mkdtemp(join(tmpdir(), 'ledger-'));
      try {
        const path = join(folder, 'ledger.db');
        write(path, index + 1);
        const ledger = await openSqliteLedger({ path, now: () => 50_000 });
        expect(await ledger.recordFacts([fact({ jobId: 1 })])).to.equal(1);
        await ledger.close();
        const database = new Sqlite(path, { readonly: true });
        const noted = database.prepare('select version from migrations order by version').pluck().all();
        database.close();
        expect(noted.slice(0, versions.length)).to.deep.equal(versions);
      } finally {
        await rm(folder, { recursive: true });
      }
    });
  }
});
