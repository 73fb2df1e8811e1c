/** Named values that outlive the process. */
import * as cursorQueries from '../queries/cursors.ts';
import * as rows from '../rows.ts';
import { type Context, firstOf, type Step } from './step.ts';

export function* cursor(context: Context, name: string): Step<string | undefined> {
  return firstOf(yield cursorQueries.cursorByName(context.builder, name), rows.cursorValue);
}

export function* putCursor(context: Context, name: string, value: string, nowMs: number): Step<void> {
  yield cursorQueries.putCursor(context.builder, { name, value, changedAtMs: nowMs });
}
