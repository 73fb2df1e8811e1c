/**
 * Brings the write-ahead log to the disk without holding up the event loop. SQLite itself could only do it inside a
 * commit. Whoever commits first and then waits for `now` has what was committed on the disk: an fdatasync takes all that
 * was written to the file by then, through whichever descriptor, and the frames of the log hang together by checksums.
 *
 * The log is one file for as long as the database is open: a checkpoint starts it anew, and syncs both files before it
 * does (sqlite.org/wal.html, "synchronous=NORMAL"). It carries no lock that closing a second descriptor could release:
 * those are on the database (fcntl(2), sqlite.org/howtocorrupt.html).
 */
import { close, fdatasync, openSync } from 'node:fs';
import { promisify } from 'node:util';
import type { Clock } from '../../time/clock.ts';

/** What nobody waits for is on the disk this long after its commit. */
const SOON_MS = 500;

const closeFile = promisify(close);

export interface LogSyncOptions {
  /** Of the log, which exists. */
  readonly path: string;
  readonly after: Clock['after'];
  /** Brings to the disk what was written to the file. Default: fdatasync(2), on a thread of libuv. */
  readonly sync?: (descriptor: number) => Promise<void>;
  /** Writes and syncs what the log holds anew, in another file; throws when that fails. */
  readonly repair: () => void;
}

export class LogSync {
  readonly #options: LogSyncOptions;
  readonly #sync: (descriptor: number) => Promise<void>;
  readonly #descriptor: number;
  /** What is being brought to the disk now, and what comes after it: committed while it was under way. */
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  /** After an fdatasync that failed, the next one may succeed although the pages are lost (the kernel marks them clean). */
  #broken = false;
  #cancelSoon: (() => void) | undefined;

  constructor(options: LogSyncOptions) {
    this.#options = options;
    this.#sync = options.sync ?? promisify(fdatasync);
    this.#descriptor = openSync(options.path, 'r');
  }

  /** Resolves when everything that was committed before the call is on the disk. */
  now(): Promise<void> {
    this.#cancelSoon?.();
    this.#cancelSoon = undefined;
    if (this.#running === undefined) return this.#start();
    this.#next ??= this.#running
      .catch(() => {})
      .then(() => {
        this.#next = undefined;
        return this.#start();
      });
    return this.#next;
  }

  /** For what may be lost with the power, though not for long. A failure is met again by the next that waits. */
  soon(): void {
    this.#cancelSoon ??= this.#options.after(SOON_MS, () => {
      this.#cancelSoon = undefined;
      this.now().catch(() => {});
    });
  }

  async close(): Promise<void> {
    this.#cancelSoon?.();
    await Promise.allSettled([this.#running, this.#next]);
    await closeFile(this.#descriptor);
  }

  #start(): Promise<void> {
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #run(): Promise<void> {
    try {
      if (this.#broken) {
        this.#options.repair();
        this.#broken = false;
      } else {
        await this.#sync(this.#descriptor);
      }
    } catch (error) {
      this.#broken = true;
      throw error;
    }
  }
}
