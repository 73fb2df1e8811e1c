import { stat } from 'node:fs/promises';

/** The size of the ledger's files, its write-ahead log included. A file that does not exist counts as empty. */
export async function ledgerBytes(path: string): Promise<number> {
  let bytes = 0;
  for (const file of [path, `${path}-wal`]) {
    const found = await stat(file).catch(() => undefined);
    bytes += found?.size ?? 0;
  }
  return bytes;
}
