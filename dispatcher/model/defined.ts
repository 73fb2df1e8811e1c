/**
 * The fields whose value is not undefined. The argument must name every field of the result, so that the compiler names
 * each place that a new field was forgotten in.
 */
export function defined<T extends object>(
  fields: {
    readonly [K in keyof Required<T>]: T[K] | undefined;
  },
): Partial<T> {
  const present: Partial<T> = {};
  for (const key in fields) {
    const value = fields[key];
    if (value !== undefined) present[key] = value;
  }
  return present;
}
