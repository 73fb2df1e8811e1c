/** Maps PostgreSQL's error codes to ledger errors, with messages for the operator. */
import pg from 'pg';
import { ZodError } from 'zod';
import { LedgerError, type LedgerErrorKind, UnreadableRowError } from '../ledger.ts';
import { rowFault } from '../rows.ts';
import { ConnectionLost } from './connection.ts';
import { NoConnection } from './connections.ts';

/** `ledger`: how messages call it. Errors that neither the server nor the way to it causes are a bug, and are not mapped. */
export function ledgerErrorFrom(error: unknown, ledger: string): unknown {
  if (error instanceof ZodError) return new UnreadableRowError(unreadableMessage(ledger, rowFault(error)), error);
  if (error instanceof NoConnection || error instanceof ConnectionLost) {
    const { cause } = error;
    return unavailable(ledger, cause instanceof pg.DatabaseError ? said(cause) : error.message, error);
  }
  if (!(error instanceof pg.DatabaseError)) return error;
  const kind = kindOf(error.code ?? '');
  return kind === undefined ? error : translated(kind, ledger, error);
}

/** Of what begins a transaction: whatever the server has against it, no step is the cause. */
export function refusedBegin(error: unknown, ledger: string): unknown {
  if (!(error instanceof pg.DatabaseError) || kindOf(error.code ?? '') !== undefined) return error;
  return unavailable(ledger, said(error), error);
}

/** The same again may succeed: another transaction was in the way (40001 and 40P01 of the manual's appendix A). */
export function isConflict(error: unknown): boolean {
  return error instanceof pg.DatabaseError && ['40001', '40P01'].includes(error.code ?? '');
}

/** Nothing has been committed: the session ended before it was asked to. */
export function isLoss(error: unknown): boolean {
  if (error instanceof ConnectionLost) return true;
  return error instanceof pg.DatabaseError && (error.severity === 'FATAL' || error.severity === 'PANIC');
}

/** Of the code (appendix A): the classes that are not the fault of what was asked. */
function kindOf(code: string): LedgerErrorKind | undefined {
  if (code === '53100') return 'full';
  // The table, or its schema.
  if (code === '42P01' || code === '3F000') return 'moved';
  if (/^(58P01|XX001|XX002)$/.test(code)) return 'corrupt';
  // Connection, authorization, name of a database, a transaction that may not write, resources, intervention, system.
  if (/^(08|28|25|3D|40|42501|53|55|57|58|XX)/.test(code)) return 'unavailable';
  return undefined;
}

function translated(kind: LedgerErrorKind, ledger: string, error: pg.DatabaseError): LedgerError {
  switch (kind) {
    case 'full':
      return new LedgerError(
        kind,
        `No room for ${ledger} (${said(error)}). Nothing of the last step was written. Free space on the server's disk; the dispatcher goes on by itself.`,
        error,
      );
    case 'corrupt':
      return new LedgerError(
        kind,
        `${upperFirst(ledger)} is damaged (${said(error)}). Restore it from a backup, or set \`schema\` to another name: the dispatcher then starts with an empty ledger, adopts the instances that run, and finds the queued jobs again by polling.`,
        error,
      );
    case 'moved':
      return movedError(ledger);
    case 'locked':
    case 'newer':
    case 'foreign':
    case 'unavailable':
      return unavailable(ledger, said(error), error);
  }
}

function said({ code, message }: pg.DatabaseError): string {
  return code === undefined ? message : `${code}: ${message}`;
}

function upperFirst(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function unavailable(ledger: string, why: string, cause?: unknown): LedgerError {
  return new LedgerError(
    'unavailable',
    `${upperFirst(ledger)} cannot be read or written (${why}). Its server must run and be reachable, and the user of \`ledger.postgres.url\` must be allowed to use the schema; the dispatcher goes on by itself.`,
    cause,
  );
}

/** The session broke while it was committing, and the server did not say since whether it had. */
export function unknownOutcome(ledger: string, cause: unknown): LedgerError {
  const words = cause instanceof Error ? cause.message : String(cause);
  return new LedgerError(
    'unavailable',
    `The connection to ${ledger} broke during a commit (${words}), and the server could not be asked whether it was done. What depends on it is looked at again.`,
    cause,
  );
}

function unreadableMessage(ledger: string, fault: string): string {
  return (
    `A row of ${ledger} cannot be read (${fault}). What it is about rests; everything else goes on. ` +
    'Stop the dispatcher and correct or delete the row: an instance without a row is adopted, and a queued job is found again by polling.'
  );
}

export function oldError(ledger: string, found: number, oldest: number): LedgerError {
  return new LedgerError(
    'unavailable',
    `${upperFirst(ledger)} is on PostgreSQL ${found}. Use version ${oldest} or later; nothing was changed.`,
  );
}

export function newerError(ledger: string, found: number, known: number): LedgerError {
  return new LedgerError(
    'newer',
    `${upperFirst(ledger)} was written by a newer version of the dispatcher (schema ${found}, this one knows ${known}). Run that version or a later one; nothing was changed.`,
  );
}

export function foreignError(ledger: string): LedgerError {
  return new LedgerError(
    'foreign',
    `${upperFirst(ledger)} is of another program: the schema has tables, and none of them is the ledger's. Set \`ledger.postgres.schema\` to another name, or to one that does not exist yet; nothing was changed.`,
  );
}

export function movedError(ledger: string): LedgerError {
  return new LedgerError(
    'moved',
    `The tables of ${ledger} were dropped or replaced while the dispatcher works with them. Restore them, or stop the dispatcher and start it: with none it starts with an empty ledger, adopts the instances that run, and finds the queued jobs again by polling.`,
  );
}

export function takenError(ledger: string): LedgerError {
  return new LedgerError(
    'locked',
    `Another dispatcher has opened ${ledger}, and this one writes nothing any more. One dispatcher works with one schema: where the other one serves, stop this one, or give it a schema of its own. Where it ends before it has written anything, this one goes on.`,
  );
}

export function closedError(ledger: string): LedgerError {
  return new LedgerError('unavailable', `${upperFirst(ledger)} is closed: the dispatcher is stopping.`);
}
