import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import { describeHeldJobs } from './describe-held-jobs.ts';
import { describeLedger } from './describe-ledger.ts';

describeLedger('SQLite', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ledger-'));
  const path = join(folder, 'ledger.db');
  return {
    open: (now) => openSqliteLedger({ path, now }),
    discard: () => rm(folder, { recursive: true }),
  };
});

// folders 05 and 07
describe('the ledger on SQLite', () =>
  describeHeldJobs(() =>
    openSqliteLedger({ path: ':memory:', now: () => 400_000, areStrangers: (_one, other) => other === 'mallory' }),
  ));
