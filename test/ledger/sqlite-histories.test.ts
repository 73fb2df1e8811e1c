import { describeHistories } from './describe-histories.ts';
import { newSqlitePlace } from './sqlite-place.ts';

describeHistories('SQLite', newSqlitePlace);
