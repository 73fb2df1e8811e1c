/** Each registration that the filter names; undefined, for all of them, if it names none. */
export function each(registrations: readonly string[] | undefined): readonly (string | undefined)[] {
  return registrations === undefined ? [undefined] : [...new Set(registrations)];
}

export function bounded(wished: number | undefined, usual: number, most: number): number {
  return Math.max(0, Math.min(wished ?? usual, most));
}
