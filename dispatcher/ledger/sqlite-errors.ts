/** Maps SQLite's result codes to ledger errors, with messages for the operator. */
import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import Sqlite from 'better-sqlite3';
import { ZodError } from 'zod';
import { LedgerError, type LedgerErrorKind, UnreadableRowError } from './ledger.ts';
import { rowFault } from './rows.ts';

/** Codes that neither the file nor the disk causes are a bug in the program, and are not mapped. */
export function ledgerErrorFrom(error: unknown, path: string): unknown {
  if (error instanceof ZodError) return new UnreadableRowError(unreadableMessage(path, rowFault(error)), error);
  if (!(error instanceof Sqlite.SqliteError)) return error;
  const kind = kindOf(error.code);
  return kind === undefined ? error : translated(kind, path, `${error.code}: ${error.message}`, error);
}

/** Committed data could not be synced: the system's message, or SQLite's if its own attempt failed. */
export function diskErrorFrom(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || error instanceof Sqlite.SqliteError) return ledgerErrorFrom(error, path);
  const isFull = 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
  if (!isFull) return unavailable(path, error.message, error);
  const message = `No room to bring the ledger ${path} to the disk (${error.message}). Free space on its disk. ${AFTER_FULL}`;
  return new LedgerError('full', message, error);
}

/** The same where it was met: a start that fails ends the process. */
const AFTER_FULL = 'A dispatcher that runs goes on by itself; if this ended it, start it again.';

function kindOf(code: string): LedgerErrorKind | undefined {
  // Extended codes (SQLITE_IOERR_WRITE) begin with the primary one: sqlite.org/rescode.html.
  const primary = /^SQLITE_[A-Z]+/.exec(code)?.[0];
  switch (primary) {
    case 'SQLITE_FULL':
      return 'full';
    case 'SQLITE_BUSY':
    case 'SQLITE_LOCKED':
      return 'locked';
    case 'SQLITE_CORRUPT':
    case 'SQLITE_NOTADB':
      return 'corrupt';
    case 'SQLITE_IOERR':
    case 'SQLITE_CANTOPEN':
    case 'SQLITE_READONLY':
    case 'SQLITE_PERM':
    case 'SQLITE_AUTH':
    case 'SQLITE_NOLFS':
    case 'SQLITE_NOMEM':
    case 'SQLITE_PROTOCOL':
      return 'unavailable';
    default:
      return undefined;
  }
}

function translated(kind: LedgerErrorKind, path: string, said: string, cause: unknown): LedgerError {
  switch (kind) {
    case 'full':
      return new LedgerError(
        kind,
        `No room for the ledger ${path} (${said}). Nothing of the last step was written. Free space on its disk, or raise the limit set for it. ${AFTER_FULL}`,
        cause,
      );
    case 'locked':
      return new LedgerError(
        kind,
        `The ledger ${path} is held by ${holderOf(path)}. One dispatcher works on one file: stop the other one, or give this one a ledger of its own.`,
        cause,
      );
    case 'corrupt':
      return new LedgerError(kind, corruptMessage(path, said), cause);
    case 'moved':
    case 'newer':
    case 'foreign':
    case 'unavailable':
      return unavailable(path, said, cause);
  }
}

export function unavailable(path: string, said: string, cause?: unknown): LedgerError {
  const place = [path, dirname(path)].find(isReadOnly);
  const readOnly = place === undefined ? '' : ` because ${place} is read-only for the dispatcher`;
  return new LedgerError(
    'unavailable',
    `The ledger ${path} cannot be read or written${readOnly} (${said}). Its folder must exist on a local disk and, like the file, belong to the user that runs the dispatcher, with leave to write.`,
    cause,
  );
}

/** SQLite may call a file or file system that is read-only `SQLITE_IOERR_LOCK: disk I/O error`. */
function isReadOnly(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
  } catch {
    return false;
  }
  try {
    accessSync(path, constants.W_OK);
    return false;
  } catch {
    return true;
  }
}

function corruptMessage(path: string, said: string): string {
  return (
    `The ledger ${path} is damaged (${said}). With the dispatcher stopped, move the file away, with ${path}-wal and ${path}-shm where they exist: ` +
    `it then starts with an empty ledger, adopts the instances that run, and finds the queued jobs again by polling. ` +
    `To save the history first: sqlite3 ${path} .recover | sqlite3 recovered.db`
  );
}

function unreadableMessage(path: string, said: string): string {
  return (
    `A row of the ledger ${path} cannot be read (${said}). What it is about rests; everything else goes on. ` +
    'Stop the dispatcher and correct or delete the row: an instance without a row is adopted, and a queued job is found again by polling.'
  );
}

/** `file`: the ledger itself, or its write-ahead log. */
export function movedError(
  path: string,
  file: string,
  what: 'deleted' | 'replaced' | 'truncated' | 'overwritten',
): LedgerError {
  return new LedgerError(
    'moved',
    `The ledger file ${file} was ${what} while the dispatcher works on it: what it would write now is lost when it ends. ` +
      'If the file was moved, move it back, and work goes on by itself. Otherwise stop the dispatcher, ' +
      `remove ${path}-wal and ${path}-shm first (SQLite would merge them into any other file of that name), and start it: with a file from a backup, ` +
      'or with none it starts with an empty ledger, adopts the instances that run, and finds the queued jobs again by polling.',
  );
}

export function newerMessage(path: string, found: number, known: number): string {
  return `The ledger ${path} was written by a newer version of the dispatcher (schema ${found}, this one knows ${known}). Run that version or a later one; the file was left as it is.`;
}

export function foreignMessage(path: string): string {
  return `The file ${path} is a database of another program: it has tables, and none of them is the ledger's. Set \`ledger\` in dispatcher.yaml to another file, or to one that does not exist yet; the file was left as it is.`;
}

export function closedError(path: string): LedgerError {
  return new LedgerError('unavailable', `The ledger ${path} is closed: the dispatcher is stopping.`);
}

/** Linux shows who locks which file; elsewhere, and from inside another PID namespace, it remains unknown. */
function holderOf(path: string): string {
  try {
    const { ino, dev } = statSync(path, { bigint: true });
    const device = [(dev >> 8n) & 0xfffn, (dev & 0xffn) | ((dev >> 12n) & 0xfff00n)]
      .map((part) => part.toString(16).padStart(2, '0'))
      .join(':');
    const file = `${device}:${ino}`;
    for (const line of readFileSync('/proc/locks', 'utf8').split('\n')) {
      // 1: POSIX  ADVISORY  WRITE 4242 fe:01:131073 1073741824 1073742335
      const [, , , , pid, lockedFile] = line.split(/\s+/);
      if (lockedFile !== file || pid === undefined) continue;
      if (Number(pid) === process.pid) return `this very process (${pid})`;
      const name = readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
      // Node's own name for its main thread tells nothing.
      return name === 'MainThread' ? `process ${pid}` : `process ${pid} (${name})`;
    }
  } catch {
    // Not Linux, or the holder has just exited, or is in another PID namespace (0): the message has no name then.
  }
  return `another process (find it with: fuser ${resolve(path)})`;
}
