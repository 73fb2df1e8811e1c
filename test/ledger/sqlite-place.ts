import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import type { Place } from './opened-ledger.ts';

export async function newSqlitePlace(): Promise<Place> {
  const folder = await mkdtemp(join(tmpdir(), 'ledger-'));
  const path = join(folder, 'ledger.db');
  return {
    open: (now) => openSqliteLedger({ path, now }),
    discard: () => rm(folder, { recursive: true }),
  };
}
