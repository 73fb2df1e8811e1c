/** PostgreSQL cannot store a NUL, and SQLite would convert fractions: both refuse them, before anything is written. */
export function refuseUnstorable(parameter: unknown): void {
  if (parameter === null) return;
  if (typeof parameter === 'number' && Number.isSafeInteger(parameter)) return;
  if (typeof parameter === 'string' && !parameter.includes('\0')) return;
  throw new TypeError(
    typeof parameter === 'string' ? 'a text with a NUL character is refused' : `not storable: ${String(parameter)}`,
  );
}
