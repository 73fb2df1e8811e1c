import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import { describeAccess } from './describe-access.ts';
import { describeHeldJobs } from './describe-held-jobs.ts';
import { describeLedger } from './describe-ledger.ts';
import { describeObservedJobs } from './describe-observed-jobs.ts';
import { newSqlitePlace } from './sqlite-place.ts';

describeLedger('SQLite', newSqlitePlace);
describeAccess('SQLite', newSqlitePlace);

describeObservedJobs('SQLite', () =>
  openSqliteLedger({ path: ':memory:', now: () => 400_000, areStrangers: (_one, other) => other === 'mallory' }),
);

// folders 05 and 07
describe('the ledger on SQLite', () =>
  describeHeldJobs(() =>
    openSqliteLedger({ path: ':memory:', now: () => 400_000, areStrangers: (_one, other) => other === 'mallory' }),
  ));
