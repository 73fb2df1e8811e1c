import { expect } from 'chai';
import { neverStrangers } from '../../dispatcher/jobs/facts.ts';
import { sqliteBuilder } from '../../dispatcher/ledger/sqlite.ts';
import { prune } from '../../dispatcher/ledger/steps/pruning.ts';
import type { Context } from '../../dispatcher/ledger/steps/step.ts';

const LIMIT = 3;
const retention = {
  deliveriesMs: 10,
  jobsMs: 10,
  runnersMs: 10,
  maxDeliveries: 0,
  maxJobs: 0,
  maxRunners: 0,
};

describe('a step of pruning', () => {
  /** The tables that it counts from end to end, where it finds so many rows of each kind that are old. */
  function counted(old: Readonly<Record<string, number>>): readonly string[] {
    const context: Context = {
      builder: sqliteBuilder,
      nowMs: 1e12,
      areStrangers: neverStrangers,
      mostOpenJobs: 10,
    };
    const step = prune(context, context.nowMs, retention, LIMIT);
    const tables: string[] = [];
    let next = step.next();
    while (next.done !== true) {
      const { sql } = next.value;
      const table = /^(?:delete|select count\(\*\) as "count") from "(\w+)"/.exec(sql)?.[1] ?? '';
      if (sql.startsWith('select count(*)')) tables.push(table);
      const isForsaken = sql.includes(`"status" <> 'completed'`);
      const changed = sql.startsWith('delete') && !isForsaken ? (old[table] ?? 0) : 0;
      next = step.next({ rows: Array.from({ length: changed }, () => ({ share: 'acme' })), changed });
    }
    return tables;
  }

  it('counts what is kept where nothing is left that is old', () => {
    expect(counted({})).to.deep.equal(['deliveries', 'jobs', 'runners']);
    expect(counted({ deliveries: LIMIT - 1, jobs: LIMIT - 1, runners: LIMIT - 1 })).to.deep.equal([
      'deliveries',
      'jobs',
      'runners',
    ]);
  });

  for (const [table, others] of [
    ['deliveries', ['jobs', 'runners']],
    ['jobs', ['deliveries', 'runners']],
    ['runners', ['deliveries', 'jobs']],
  ] as const) {
    it(`counts no ${table} while there may be more that are old, as that takes long`, () => {
      expect(counted({ [table]: LIMIT })).to.deep.equal(others);
    });
  }
});
