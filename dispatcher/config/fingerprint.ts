/** Whether two parts of a configuration say the same. Secrets are compared by their values, which nothing else shows. */
import { createHash } from 'node:crypto';
import { Secret } from '../model/registration.ts';

/**
 * Usually of everything but where it is written: a line that is added to dispatcher.yaml moves the grants below it, and
 * changes none. Not to be stored: it depends on secrets.
 */
export function fingerprint(value: unknown, how: 'without places' | 'with places' = 'without places'): string {
  return createHash('sha256')
    .update(JSON.stringify(plain(value, how === 'with places')) ?? 'undefined')
    .digest('base64url');
}

/** With secrets as their values, and keys in order. */
function plain(value: unknown, places: boolean): unknown {
  if (value instanceof Secret) return ['secret', value.reveal()];
  if (Array.isArray(value)) return value.map((item) => plain(item, places));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([key]) => places || key !== 'places');
  return Object.fromEntries(
    entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, inner]) => [key, plain(inner, places)]),
  );
}
