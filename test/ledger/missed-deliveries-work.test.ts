/** How much one page of a log of deliveries makes the ledger do, which holds up everything else meanwhile. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { expect } from 'chai';
import { neverStrangers } from '../../dispatcher/jobs/facts.ts';
import { type ListedDelivery, MAX_MISSED_OF_LINE } from '../../dispatcher/ledger/ledger.ts';
import { openSqliteLedger, sqliteBuilder } from '../../dispatcher/ledger/sqlite.ts';
import { noteListed } from '../../dispatcher/ledger/steps/missed-deliveries.ts';
import type { Step } from '../../dispatcher/ledger/steps/step.ts';

const PAGE = 100;

describe('a page of a log of deliveries', () => {
  let folder: string;
  let database: Sqlite.Database;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ledger-'));
    const path = join(folder, 'ledger.db');
    await (await openSqliteLedger({ path, now: () => 1 })).close();
    database = new Sqlite(path);
  });

  afterEach(async () => {
    database.close();
    await rm(folder, { recursive: true });
  });

  /** What the step asks of the store, and how much of it has to be decoded. */
  function run<Result>(step: Step<Result>) {
    let statements = 0;
    let rows = 0;
    let turn = step.next();
    while (turn.done !== true) {
      const { sql, parameters } = turn.value;
      const statement = database.prepare(sql);
      statements += 1;
      const found = statement.reader ? statement.all(...parameters) : [];
      const changed = statement.reader ? 0 : statement.run(...parameters).changes;
      rows += found.length;
      turn = step.next({ rows: found, changed });
    }
    return { result: turn.value, statements, rows };
  }

  const listed = (name: string, of: Partial<ListedDelivery>): ListedDelivery => ({
    ...{ guid: name, deliveryId: '1', share: name, installation: 'one', rank: 0, deliveredAtMs: 1_000, attempts: 0 },
    ...of,
  });
  const note = (deliveries: readonly ListedDelivery[]) => {
    const context = { builder: sqliteBuilder, nowMs: 1, areStrangers: neverStrangers, mostOpenJobs: 10 };
    const where = { log: 'log', line: 'tenant acme', endpoint: 'registration/acme' };
    return run(noteListed(context, { ...where, deliveries, isOurs: true, nowMs: 1 }));
  };
  const full = (of: (n: number) => Partial<ListedDelivery>) => {
    database.exec('begin');
    const all = Array.from({ length: MAX_MISSED_OF_LINE }, (_, n) => listed(`f-${n}`, of(n)));
    for (let from = 0; from < all.length; from += PAGE) note(all.slice(from, from + PAGE));
    database.exec('commit');
  };
  const page = (of: (n: number) => Partial<ListedDelivery> = () => ({})) =>
    Array.from({ length: PAGE }, (_, n) => listed(`new-${n}`, of(n)));

  for (const [what, of] of [
    ['ten thousand repositories', () => ({})],
    ['five thousand repositories', (n: number) => ({ share: `s-${n % 5_000}` })],
    ['ten thousand owners', (n: number) => ({ installation: `i-${n}` })],
    ['five thousand owners', (n: number) => ({ installation: `i-${n % 5_000}` })],
  ] as const) {
    it(`makes no more work where the table is full, of ${what}`, () => {
      full(of);
      const { result, statements, rows } = note(page((n) => ({ installation: `new-${n % 2}` })));
      expect(result.missed + result.dropped).to.equal(PAGE);
      // For each a row is dropped, for which the longest of that owner may be looked for, and one is written.
      expect(statements).to.be.at.most(10 + 3 * PAGE);
      expect(rows).to.be.at.most(10 + 100 * PAGE);
      const again = note(page((n) => ({ guid: `more-${n}` })));
      expect(again.statements).to.be.at.most(10 + 3 * PAGE);
      expect(again.rows).to.be.at.most(10 + 4 * PAGE);
    });
  }

  it('reads no more than its own where there is room', () => {
    const { statements, rows } = note(page());
    expect(statements).to.be.at.most(6 + PAGE);
    expect(rows).to.be.at.most(3 + PAGE);
  });
});
