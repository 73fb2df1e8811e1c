/** Lists in pages. A cursor is the place of the last item in the list's order: it holds where items come and go. */
import { z } from 'zod';
import { AdminProblem } from './admin-problem.ts';

export type Place = readonly (string | number)[];

const placeSchema = z
  .array(z.union([z.string(), z.number()]))
  .min(1)
  .max(4);

export function cursorOf(place: Place): string {
  return Buffer.from(JSON.stringify(place)).toString('base64url');
}

/** Undefined at the beginning. */
export function placeOf<Schema extends z.ZodType>(
  cursor: string | undefined,
  schema: Schema,
): z.output<Schema> | undefined {
  if (cursor === undefined) return undefined;
  const parsed = schema.safeParse(parsedJson(Buffer.from(cursor, 'base64url').toString()));
  if (parsed.success) return parsed.data;
  throw new AdminProblem(400, 'the parameter cursor is not valid', 'Send the `next` of the page before, as it is.');
}

/** `rows` are in the order of their places. */
export function pageOf<Row>(
  rows: readonly Row[],
  placeOfRow: (row: Row) => Place,
  { cursor, limit }: { readonly cursor?: string | undefined; readonly limit: number },
): { readonly rows: readonly Row[]; readonly next: string | null } {
  const after = placeOf(cursor, placeSchema);
  const left = after === undefined ? rows : rows.filter((row) => comparePlaces(placeOfRow(row), after) > 0);
  const page = left.slice(0, limit);
  const last = page.at(-1);
  return { rows: page, next: left.length > limit && last !== undefined ? cursorOf(placeOfRow(last)) : null };
}

export function comparePlaces(one: Place, other: Place): number {
  for (const [index, value] of one.entries()) {
    const against = other[index];
    if (against === undefined) return 1;
    if (value === against) continue;
    if (typeof value === 'number' && typeof against === 'number') return value - against;
    return String(value) < String(against) ? -1 : 1;
  }
  return one.length - other.length;
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
