/**
 * Syncs the write-ahead log to disk without blocking the event loop. SQLite itself could only do it inside a commit.
 * A caller that commits first and then awaits `now` has its commit on disk: an fdatasync covers everything that
 * was written to the file before it, through any descriptor, and checksums tie the frames of the log together.
 *
 * The log is one file for as long as the database is open: a checkpoint restarts it, and syncs both files before it
 * does (sqlite.org/wal.html, "synchronous=NORMAL"). It carries no lock that closing a second descriptor could release:
 * those are on the database (fcntl(2), sqlite.org/howtocorrupt.html).
 */
import { close, fdatasync, openSync } from 'node:fs';
import { promisify } from 'node:util';
import type { Clock } from '../../time/clock.ts';

/** Commits that are not waited for are on disk after this time. */
const SOON_MS = 500;

const closeFile = promisify(close);

export interface LogSyncOptions {
  /** The path of the log, which exists. */
  readonly path: string;
  readonly after: Clock['after'];
  /** Syncs what was written to the file. Default: fdatasync(2), on a libuv thread. */
  readonly sync?: (descriptor: number) => Promise<void>;
  /** Writes and syncs the contents of the log again, in another file; throws on failure. */
  readonly repair: () => void;
}

export class LogSync {
  readonly #options: LogSyncOptions;
  readonly #sync: (descriptor: number) => Promise<void>;
  readonly #descriptor: number;
  /** The sync in progress, and the next one: for commits made during the first. */
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  /** After a failed fdatasync, the next one may succeed although the pages are lost (the kernel marks them clean). */
  #broken = false;
  #cancelSoon: (() => void) | undefined;
  #closed = false;

  constructor(options: LogSyncOptions) {
    this.#options = options;
    this.#sync = options.sync ?? promisify(fdatasync);
    this.#descriptor = openSync(options.path, 'r');
  }

  /** Resolves when everything that was committed before the call is on disk. */
  now(): Promise<void> {
    if (this.#closed) return Promise.reject(new Error('the log is closed'));
    this.#cancelSoon?.();
    this.#cancelSoon = undefined;
    // It has not begun. Never two at a time: one could succeed over pages that the other has lost.
    if (this.#next !== undefined) return this.#next;
    if (this.#running === undefined) return this.#start();
    this.#next = this.#running
      .catch(() => {})
      .then(() => {
        this.#next = undefined;
        return this.#start();
      });
    return this.#next;
  }

  /** For what may be lost in a power failure, though not for long. The next caller that waits meets a failure again. */
  soon(): void {
    if (this.#closed) return;
    this.#cancelSoon ??= this.#options.after(SOON_MS, () => {
      this.#cancelSoon = undefined;
      this.now().catch(() => {});
    });
  }

  /** Once. Waits for the syncs that were asked for. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
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
