/**
 * The ledger in one SQLite file: no server required.
 *
 * Kysely builds the queries; they run on better-sqlite3 itself, synchronously and as cached prepared statements, each
 * step to its end before another can begin. So a step is atomic for other callers in this process without any
 * lock, and the exclusive file lock keeps other processes out.
 *
 * Concurrent writes share a transaction, and do not wait for the disk on the event loop: a commit appends to the
 * write-ahead log (`synchronous = NORMAL`), and what must survive a power loss resolves after an fdatasync of the log
 * on a libuv thread (see wal-sync.ts). Checkpoints are the exception: SQLite writes the log into the file, and syncs both,
 * within the commit that fills the log, about once for each 4 MB.
 */
import { chmodSync, closeSync, openSync, readSync, renameSync, statSync } from 'node:fs';
import Sqlite from 'better-sqlite3';
import { DummyDriver, Kysely, SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler } from 'kysely';
import { z } from 'zod';
import { type Clock, systemClock } from '../../time/clock.ts';
import { type AreStrangers, neverStrangers } from '../jobs/facts.ts';
import { type Ledger, LedgerError, MAX_OPEN_JOBS, UnreadableRowError, type WriteTrouble } from './ledger.ts';
import { migrate, SCHEMA_VERSION } from './migrations/migrations.ts';
import type { Query } from './queries/fixed.ts';
import {
  closedError,
  diskErrorFrom,
  foreignMessage,
  ledgerErrorFrom,
  movedError,
  newerMessage,
  unavailable,
} from './sqlite-errors.ts';
import type { Context, QueryResult, Step } from './steps/step.ts';
import { refuseUnstorable } from './storable.ts';
import { ledgerOn, type Store } from './store.ts';
import type { Tables } from './tables.ts';
import { LogSync, type LogSyncOptions } from './wal-sync.ts';
import { LastingTrouble } from './write-trouble.ts';

export interface SqliteOptions {
  /** The file; its folder must exist. `:memory:` for a ledger that is discarded with the process. */
  readonly path: string;
  now(): number;
  /** Default: none, as without tenants. */
  readonly areStrangers?: AreStrangers;
  /** Per share. Default `MAX_OPEN_JOBS`. */
  readonly mostOpenJobs?: number;
  /** The maximum size of the file: a step that would need more is refused as `full`. Default: the disk's size. */
  readonly maxBytes?: number;
  /** How long to wait at the start for another process to release the file. Default 2 s. */
  readonly patienceMs?: number;
  /**
   * Runs the action once concurrent writes are collected. Default: `queueMicrotask`. `setImmediate` collects those
   * of one turn of the event loop.
   */
  readonly gather?: (action: () => void) => void;
  /** Default: the system's. */
  readonly after?: Clock['after'];
  /** See `LogSyncOptions`. */
  readonly sync?: LogSyncOptions['sync'];
}

/** Rejects with a LedgerError that says what to do. */
export async function openSqliteLedger(options: SqliteOptions): Promise<Ledger> {
  return ledgerOn(openStore(options));
}

const PAGE_BYTES = 4096;
/** A file up to this size is checked at the start (about 10 ms); damage in a larger one is reported when it is met. */
const CHECKED_BYTES = 16 * 1024 * 1024;
/** The write-ahead log is truncated to this after a checkpoint, however large a burst has made it. */
const WAL_BYTES = 64 * 1024 * 1024;
const CACHE_KIB = 32 * 1024;
/** Logs of files that are gone which are kept beside the ledger. */
const MAX_ORPHANS = 10;
/** `user_version` of the file's header: ours to set, SQLite does not use it. */
const MAX_MARK = 2 ** 31 - 1;
/** Filters produce a few dozen texts; more than this means a list that should have been a parameter. */
const MAX_STATEMENTS = 500;

/** Compiles queries without running any. */
export const sqliteBuilder = new Kysely<Tables>({
  dialect: {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  },
});

function openStore(options: SqliteOptions): Store {
  const { path } = options;
  let database: Sqlite.Database | undefined;
  try {
    database = openFile(path, options.patienceMs ?? 2000);
    configure(database, options);
    const store = new SqliteStore(database, options);
    const found = store.runStep(migrate);
    if (found > SCHEMA_VERSION) throw new LedgerError('newer', newerMessage(path, found, SCHEMA_VERSION));
    store.opened();
    return store;
  } catch (error) {
    database?.close();
    throw ledgerErrorFrom(error, path);
  }
}

function openFile(path: string, timeout: number): Sqlite.Database {
  if (path !== ':memory:') {
    makePrivate(path);
    keepPrivate(path);
    // Left by a process that was killed.
    keepPrivate(`${path}-wal`);
  }
  try {
    return new Sqlite(path, { timeout });
  } catch (error) {
    // better-sqlite3 checks for the folder itself, and throws a TypeError if it is missing.
    if (error instanceof TypeError) throw unavailable(path, error.message, error);
    throw error;
  }
}

/**
 * Creates the file for its owner only, or removes the access that an older version gave others. SQLite gives its write-
 * ahead log the same mode. A file with another owner is left as it is.
 *
 * By its path: closing a descriptor of a file releases every lock that this process holds on it (fcntl(2)).
 */
function keepPrivate(path: string): void {
  try {
    const { mode, uid } = statSync(path);
    if ((mode & 0o077) !== 0 && uid === process.getuid?.()) chmodSync(path, mode & 0o7700);
  } catch {
    // Missing, or a problem that SQLite will meet too and report.
  }
}

function makePrivate(path: string): void {
  try {
    closeSync(openSync(path, 'ax', 0o600));
  } catch {
    // It exists, or cannot be created: SQLite finds out.
  }
}

function configure(database: Sqlite.Database, { path, maxBytes }: SqliteOptions): void {
  // Before the first access, so that the lock is exclusive from the start and no shared-memory file is created.
  database.pragma('locking_mode = EXCLUSIVE');
  if (isForeign(database)) throw new LedgerError('foreign', foreignMessage(path));
  database.pragma(`page_size = ${PAGE_BYTES}`);
  const mode = database.pragma('journal_mode = WAL', { simple: true });
  if (mode !== 'wal' && mode !== 'memory') {
    throw new LedgerError(
      'unavailable',
      `The ledger ${path} is on a file system that does not support write-ahead logging (journal mode ${String(mode)}). Put it on a local disk.`,
    );
  }
  database.pragma('synchronous = FULL');
  database.pragma('foreign_keys = ON');
  database.pragma(`journal_size_limit = ${WAL_BYTES}`);
  database.pragma(`cache_size = -${CACHE_KIB}`);
  if (maxBytes !== undefined) database.pragma(`max_page_count = ${Math.max(1, Math.floor(maxBytes / PAGE_BYTES))}`);
  if (mode === 'wal' && statSync(path).size <= CHECKED_BYTES) {
    const verdict = database.pragma('quick_check(1)', { simple: true });
    if (verdict !== 'ok') throw new Sqlite.SqliteError(String(verdict), 'SQLITE_CORRUPT');
  }
}

/** A database that has tables, and not the history of our schema. Reads only: `journal_mode` would change the file. */
function isForeign(database: Sqlite.Database): boolean {
  const tables = database.prepare('select count(*) from sqlite_schema').pluck().get();
  if (tables === 0) return false;
  const history =
    "select count(*) from pragma_table_info('migrations') where name in ('version', 'name', 'appliedAtMs')";
  return database.prepare(history).pluck().get() !== 3;
}

/** A write waiting for its group. */
interface Write {
  /** Runs the step, inside the transaction of the group or, if that failed, in its own. */
  run(): void;
  /** The transaction has committed. */
  committed(): void;
  failed(error: unknown): void;
}

class SqliteStore implements Store {
  readonly #database: Sqlite.Database;
  readonly #path: string;
  readonly #now: () => number;
  readonly #areStrangers: AreStrangers;
  readonly #mostOpenJobs: number;
  readonly #gather: (action: () => void) => void;
  readonly #logOptions: Pick<LogSyncOptions, 'after' | 'sync'>;
  readonly #statements = new Map<string, Sqlite.Statement<unknown[], unknown>>();
  readonly #transaction: Sqlite.Transaction<(work: () => void) => void>;
  #group: Write[] = [];
  #log: LogSync | undefined;
  /** Of the file and its write-ahead log, when they were opened. */
  readonly #files = new Map<string, string>();
  /** Of the file, when it was last looked at: it never shrinks. */
  #seenBytes = 0;
  #isMoved = false;
  /** Of the file, for its mark. Closed after the database: closing it releases the locks of the whole process. */
  #descriptor: number | undefined;
  #mark: number | undefined;
  readonly #notCommitted: LastingTrouble;
  /** Of bringing commits to the disk. */
  readonly #notSynced: LastingTrouble;
  #running = false;
  #closed: Promise<void> | undefined;

  constructor(database: Sqlite.Database, options: SqliteOptions) {
    this.#database = database;
    this.#path = options.path;
    this.#now = () => options.now();
    this.#areStrangers = options.areStrangers ?? neverStrangers;
    this.#mostOpenJobs = options.mostOpenJobs ?? MAX_OPEN_JOBS;
    this.#gather = options.gather ?? queueMicrotask;
    this.#logOptions = {
      after: options.after ?? systemClock.after,
      ...(options.sync === undefined ? {} : { sync: options.sync }),
    };
    this.#transaction = database.transaction((work) => work());
    this.#notCommitted = new LastingTrouble(this.#now);
    this.#notSynced = new LastingTrouble(this.#now);
  }

  /** From here on commits do not wait for the disk: the writes of the start are on it. Records which files are open. */
  opened(): void {
    if (this.#path !== ':memory:') this.#markFile();
    this.#database.pragma('synchronous = NORMAL');
    if (this.#path === ':memory:') return;
    this.#log = new LogSync({
      ...this.#logOptions,
      path: `${this.#path}-wal`,
      repair: () => this.#checkpoint(),
    });
    for (const path of [this.#path, `${this.#path}-wal`]) {
      const identity = identityOf(path);
      if (identity !== undefined && identity !== 'out of sight') this.#files.set(path, identity);
    }
    this.#verifySize();
  }

  /** Each opening gives the file another mark, so that a copy from before is told from it. */
  #markFile(): void {
    const before = z.number().parse(this.#database.pragma('user_version', { simple: true }));
    const mark = (Math.abs(before) + 1 + Math.floor(this.#now())) % MAX_MARK;
    this.#database.pragma(`user_version = ${mark}`);
    this.#checkpoint();
    this.#descriptor = openSync(this.#path, 'r');
    // Otherwise the mark is still in the log, and comes into the file at a time that is not known.
    if (markOf(this.#descriptor) === mark) this.#mark = mark;
  }

  async read<Result>(step: (context: Context) => Step<Result>): Promise<Result> {
    return this.#guarded(() => this.#drive(step));
  }

  write<Result>(step: (context: Context) => Step<Result>): Promise<Result> {
    return this.#write(
      step,
      () => false,
      () => {},
    );
  }

  writeDurably<Result>(
    step: (context: Context) => Step<Result>,
    mustLast: (result: Result) => boolean = () => true,
    committed: (result: Result) => void = () => {},
  ): Promise<Result> {
    return this.#write(step, mustLast, committed);
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  /** Commits what waits; from its first `await` on nothing more is taken. */
  async #close(): Promise<void> {
    this.#commitGroup();
    try {
      await this.#log?.close();
    } finally {
      this.#closeDatabase();
    }
  }

  #closeDatabase(): void {
    this.#statements.clear();
    const showAgain = this.#isOverwritten() ? this.#hide() : () => {};
    try {
      this.#database.close();
    } catch (error) {
      throw ledgerErrorFrom(error, this.#path);
    } finally {
      this.#setLogAside();
      showAgain();
      if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    }
  }

  /** SQLite writes its log into a file that is at its name: not into a copy that was written over it. */
  #hide(): () => void {
    const hidden = `${this.#path}.restored`;
    // Another file that the operator called so is not ours to replace.
    if (identityOf(this.#path) !== this.#files.get(this.#path) || identityOf(hidden) !== undefined) return () => {};
    try {
      renameSync(this.#path, hidden);
    } catch {
      return () => {};
    }
    return () => renameSync(hidden, this.#path);
  }

  /**
   * SQLite keeps the log of a file that is no longer at its name (SQLITE_FCNTL_HAS_MOVED), and would merge it into the
   * next file of that name: the backup. Of a file that is there, it has written the log into it, and deleted the log.
   */
  #setLogAside(): void {
    const log = `${this.#path}-wal`;
    const database = this.#files.get(this.#path);
    const found = identityOf(this.#path);
    if (database === undefined || found === database || found === 'out of sight') return;
    // The log of another file is not ours to move.
    if (identityOf(log) !== this.#files.get(log)) return;
    try {
      renameSync(log, freeNameOf(`${log}.orphaned`));
    } catch {
      // Deleted meanwhile, or the folder is read-only: the message of `moved` says to remove it.
    }
  }

  async verify(): Promise<void> {
    this.#guarded(() => this.#verifyFiles());
  }

  /** One transaction of its own. */
  runStep<Result>(step: (context: Context) => Step<Result>): Result {
    let outcome: { readonly result: Result } | undefined;
    this.#transaction.immediate(() => {
      outcome = { result: this.#drive(step) };
    });
    if (outcome === undefined) throw new Error('the transaction ended without running its step');
    return outcome.result;
  }

  async #write<Result>(
    step: (context: Context) => Step<Result>,
    mustLast: (result: Result) => boolean,
    committed: (result: Result) => void,
  ): Promise<Result> {
    this.#refuseUse();
    return await new Promise<Result>((resolve, reject) => {
      let outcome: { readonly result: Result } | undefined;
      this.#group.push({
        run: () => {
          outcome = { result: this.#drive(step) };
        },
        // Asks for the sync right after the commit, so that `close`, which commits first, waits for it.
        committed: () => {
          if (outcome === undefined) {
            reject(new Error('the transaction ended without running its step'));
            return;
          }
          const { result } = outcome;
          if (mustLast(result)) this.persist().then(() => resolve(result), reject);
          else {
            this.#log?.soon();
            resolve(result);
          }
          committed(result);
        },
        failed: (error) => reject(ledgerErrorFrom(error, this.#path)),
      });
      if (this.#group.length === 1) this.#gather(() => this.#commitGroup());
    });
  }

  /**
   * All waiting writes in one transaction; if that fails, each in its own, so that one cannot fail the others. What then
   * fails for the file's or the disk's sake fails for all that are left: a full disk is not asked a thousand times.
   */
  #commitGroup(): void {
    const group = this.#group;
    this.#group = [];
    if (group.length === 0) return;
    try {
      this.#commit(group);
    } catch (error) {
      const [only, ...others] = group;
      if (only !== undefined && others.length === 0) only.failed(error);
      else this.#commitOneByOne(group);
      return;
    }
    for (const write of group) write.committed();
  }

  #commitOneByOne(group: readonly Write[]): void {
    for (const [index, write] of group.entries()) {
      try {
        this.#commit([write]);
      } catch (error) {
        if (failsAll(error)) {
          for (const left of group.slice(index)) left.failed(error);
          return;
        }
        write.failed(error);
        continue;
      }
      write.committed();
    }
  }

  #commit(group: readonly Write[]): void {
    try {
      this.#guarded(() => {
        if (this.#isMoved) this.#verifyFiles();
        else this.#verifyMark();
        this.#transaction.immediate(() => {
          for (const write of group) write.run();
        });
      });
    } catch (error) {
      this.#notCommitted.failed(error);
      throw error;
    }
    this.#notCommitted.succeeded();
  }

  writeTrouble(): WriteTrouble | undefined {
    return this.#notCommitted.now ?? this.#notSynced.now;
  }

  /** SQLite keeps using the files that it holds, whatever their names now refer to. */
  #verifyFiles(): void {
    for (const [path, identity] of this.#files) {
      const found = identityOf(path);
      if (found === identity || found === 'out of sight') continue;
      this.#isMoved = true;
      throw movedError(this.#path, path, found === undefined ? 'deleted' : 'replaced');
    }
    this.#verifySize();
    this.#verifyMark();
    this.#isMoved = false;
  }

  #verifyMark(): void {
    if (!this.#isOverwritten()) return;
    this.#isMoved = true;
    throw movedError(this.#path, this.#path, 'overwritten');
  }

  /** SQLite does not look, and would write its pages into whatever was put into the file. */
  #isOverwritten(): boolean {
    return this.#mark !== undefined && this.#descriptor !== undefined && markOf(this.#descriptor) !== this.#mark;
  }

  #verifySize(): void {
    const bytes = bytesOf(this.#path);
    if (!this.#files.has(this.#path) || bytes === undefined) return;
    if (bytes < this.#seenBytes) {
      this.#isMoved = true;
      throw movedError(this.#path, this.#path, 'truncated');
    }
    // What lies behind the last page, SQLite may cut off itself.
    const pages = z.number().parse(this.#database.pragma('page_count', { simple: true }));
    this.#seenBytes = Math.min(bytes, pages * PAGE_BYTES);
  }

  async persist(): Promise<void> {
    try {
      await this.#log?.now();
    } catch (error) {
      const failure = diskErrorFrom(error, this.#path);
      this.#notSynced.failed(failure);
      throw failure;
    }
    this.#notSynced.succeeded();
  }

  /** Writes all of the log into the file, and syncs both. Blocks: for cases where there is no alternative. */
  #checkpoint(): void {
    this.#database.pragma('wal_checkpoint(TRUNCATE)');
  }

  #refuseUse(): void {
    if (this.#closed !== undefined || !this.#database.open) throw closedError(this.#path);
    // A decision that calls the ledger would write into the transaction that runs it.
    if (this.#running) throw new Error('a decision called the ledger: decisions are pure');
  }

  #guarded<Result>(work: () => Result): Result {
    this.#refuseUse();
    this.#running = true;
    try {
      return work();
    } catch (error) {
      throw ledgerErrorFrom(error, this.#path);
    } finally {
      this.#running = false;
    }
  }

  #drive<Result>(step: (context: Context) => Step<Result>): Result {
    const running = step({
      builder: sqliteBuilder,
      nowMs: this.#now(),
      areStrangers: this.#areStrangers,
      mostOpenJobs: this.#mostOpenJobs,
    });
    let turn = running.next();
    while (!turn.done) turn = running.next(this.#ask(turn.value));
    return turn.value;
  }

  #ask({ sql, parameters }: Query): QueryResult {
    for (const parameter of parameters) refuseUnstorable(parameter);
    const statement = this.#prepared(sql);
    if (statement.reader) return { rows: statement.all(...parameters), changed: 0 };
    return { rows: [], changed: statement.run(...parameters).changes };
  }

  #prepared(text: string): Sqlite.Statement<unknown[], unknown> {
    const known = this.#statements.get(text);
    if (known) return known;
    if (this.#statements.size >= MAX_STATEMENTS) this.#statements.clear();
    const statement = this.#database.prepare<unknown[], unknown>(text);
    this.#statements.set(text, statement);
    return statement;
  }
}

/** `unavailable` may be the fault of a single write, and a row that cannot be read is that of the writes that read it. */
function failsAll(error: unknown): boolean {
  return error instanceof LedgerError && error.kind !== 'unavailable' && !(error instanceof UnreadableRowError);
}

/** The first one may be all that is left of a file: it is kept, and only the last name is used again. */
function freeNameOf(name: string): string {
  const names = Array.from({ length: MAX_ORPHANS }, (_, index) => (index === 0 ? name : `${name}-${index + 1}`));
  return names.find((one) => identityOf(one) === undefined) ?? `${name}-${MAX_ORPHANS}`;
}

/** Undefined if the file does not exist; `out of sight` if a folder may not be entered, so its existence is unknown. */
function identityOf(path: string): string | undefined {
  try {
    const found = statSync(path, { bigint: true, throwIfNoEntry: false });
    return found === undefined ? undefined : `${found.dev}:${found.ino}`;
  } catch {
    return 'out of sight';
  }
}

/** The mark in the file's first page: sqlite.org/fileformat2.html, "user version number". */
function markOf(descriptor: number): number {
  const bytes = Buffer.alloc(4);
  readSync(descriptor, bytes, 0, bytes.length, 60);
  return bytes.readInt32BE();
}

/** Undefined if it cannot be told. */
function bytesOf(path: string): number | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })?.size;
  } catch {
    return undefined;
  }
}
