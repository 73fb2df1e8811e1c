/** Whether the disk of the ledger has room for what comes in. */
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { bad, type DoctorFinding, good, note, wordsOf } from './finding.ts';

/** What the file system says: blocks that its users may still fill. */
export type DiskOf = (folder: string) => Promise<{ readonly bavail: number; readonly bsize: number }>;

const MIB = 1024 * 1024;
/**
 * Below this it is full soon: the write-ahead log alone keeps up to 64 MiB after a burst, and has to be written into the
 * file beside it; 100,000 jobs of history take about 100 MiB.
 */
const MIN_FREE_MIB = 256;

export async function checkLedgerDisk(ledgerPath: string, diskOf: DiskOf = statfs): Promise<readonly DoctorFinding[]> {
  let freeMiB: number;
  try {
    const { bavail, bsize } = await diskUnder(dirname(ledgerPath), diskOf);
    freeMiB = Math.floor((bavail * bsize) / MIB);
  } catch (error) {
    return [note('ledger', 'disk', `the disk of ${ledgerPath} was not checked: ${wordsOf(error)}`)];
  }
  const said = `${freeMiB} MiB free for ${ledgerPath}`;
  if (freeMiB >= MIN_FREE_MIB) return [good('ledger', 'disk', said)];
  const cure =
    'free space there, let `ledger` name a file on a larger disk (stop the dispatcher and move the file along), ' +
    'or keep less with `retention`: when it is full, deliveries are answered with 503 and nothing is launched';
  return [bad('ledger', 'disk', `${said}: less than ${MIN_FREE_MIB} MiB`, cure)];
}

/** `shr serve` creates the folders that are missing. */
async function diskUnder(folder: string, diskOf: DiskOf): ReturnType<DiskOf> {
  try {
    return await diskOf(folder);
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    if (!isMissing || dirname(folder) === folder) throw error;
    return await diskUnder(dirname(folder), diskOf);
  }
}
