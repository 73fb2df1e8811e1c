/**
 * The disk that a ledger lies on, as a machine without power leaves it: what was brought to it by an fdatasync is there,
 * and nothing that was committed since.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Ledger } from '../../dispatcher/ledger/ledger.ts';
import { openSqliteLedger, type SqliteOptions } from '../../dispatcher/ledger/sqlite.ts';
import type { Clock } from '../../time/clock.ts';

interface Image {
  readonly database: Buffer;
  readonly log: Buffer;
}

export interface DiskOptions extends Pick<SqliteOptions, 'areStrangers'> {
  readonly clock: Clock;
}

/** With salts that change when the log begins anew: https://sqlite.org/fileformat2.html#walformat */
const WAL_HEADER_BYTES = 32;

export class Disk {
  readonly #options: DiskOptions;
  readonly #folder = mkdtempSync(join(tmpdir(), 'simulated-disk-'));
  #boots = 0;
  #image: Image | undefined;

  constructor(options: DiskOptions) {
    this.#options = options;
  }

  /** The ledger as the disk has it. */
  async open(): Promise<Ledger> {
    const { clock, ...options } = this.#options;
    this.#boots += 1;
    const path = join(this.#folder, `${this.#boots}.sqlite`);
    if (this.#image !== undefined) {
      writeFileSync(path, this.#image.database);
      writeFileSync(`${path}-wal`, this.#image.log);
    }
    const boot = this.#boots;
    let image: Image | undefined;
    const sync = async (): Promise<void> => {
      // Of a machine that is off nothing reaches the disk.
      if (boot !== this.#boots) return;
      const log = readFileSync(`${path}-wal`);
      // Until a log begins anew, it has all that was brought from it into the file.
      const isSameLog =
        log.length > 0 && image?.log.subarray(0, WAL_HEADER_BYTES).equals(log.subarray(0, WAL_HEADER_BYTES));
      image = { database: isSameLog && image ? image.database : readFileSync(path), log };
      this.#image = image;
    };
    const ledger = await openSqliteLedger({
      ...options,
      path,
      now: () => clock.now(),
      after: (ms, action) => clock.after(ms, action),
      sync,
    });
    // SQLite has synced what it wrote when it opened the file.
    await sync();
    return ledger;
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true });
  }
}
