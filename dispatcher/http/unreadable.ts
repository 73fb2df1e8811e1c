/** Rows of the ledger that cannot be read, and what the API says of them. */
import { type UnreadableRow, UnreadableRowError } from '../ledger/ledger.ts';
import { AdminProblem } from './admin-problem.ts';

/** What was asked for may be one of these: that it does not exist would be wrong. */
export function refuseUnreadable(rows: readonly UnreadableRow[]): void {
  const [row] = rows;
  if (row === undefined) return;
  const keys = rows.map(({ key, fault }) => `${key} (${fault})`).join(', ');
  throw new AdminProblem(
    500,
    `the ledger cannot read ${keys}`,
    `Stop the dispatcher and correct or delete the ${rows.length === 1 ? 'row' : 'rows'}: a queued job is found again by polling.`,
  );
}

/** Names the row that could not be read: the ledger's own message says only what is wrong with it. */
export async function readable<Found>(what: string, looked: Promise<Found>): Promise<Found> {
  try {
    return await looked;
  } catch (error) {
    if (!(error instanceof UnreadableRowError)) throw error;
    throw new AdminProblem(500, `the ledger cannot read ${what}`, error.message);
  }
}
