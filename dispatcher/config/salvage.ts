/**
 * What is left of a value after removing everything that a schema rejects, so that checks on the rest can still run
 * and one mistake does not hide another. Only for finding problems: it is never used to serve.
 */
import type { z } from 'zod';
import type { Path } from '../model/problem.ts';

export interface Salvaged<T> {
  /** Undefined if nothing useful is left. */
  readonly data: T | undefined;
  /** Each with its path in the original value. */
  readonly issues: readonly z.core.$ZodIssue[];
  /** By `keyOf`, for lists that lost entries: the original indexes of the remaining entries. */
  readonly kept: ReadonlyMap<string, readonly number[]>;
}

/** Each pass removes at least one thing, or something larger than before. */
const MAX_PASSES = 12;

export function salvage<T>(value: unknown, schema: z.ZodType<T>): Salvaged<T> {
  const issues: z.core.$ZodIssue[] = [];
  /** By `keyOf`. */
  const removed = new Map<string, Path>();
  /** Not including unknown keys: removing those cannot make anything else valid or invalid. */
  const faulty = new Faulty();
  for (let pass = 0; pass < MAX_PASSES; pass += 1) {
    const kept = new Map<string, readonly number[]>();
    const parsed = schema.safeParse(pruned(value, [], removed, kept), { reportInput: false });
    if (parsed.success) return { data: parsed.data, issues, kept };
    const found: Path[] = [];
    const all = parsed.error.issues.map((issue) => ({ ...issue, path: [...originalPath(issue.path.map(part), kept)] }));
    issues.push(...all.filter(({ path }) => !faulty.touch(path)));
    for (const issue of all) {
      const { path } = issue;
      if (issue.code === 'unrecognized_keys') {
        for (const key of issue.keys) removed.set(keyOf([...path, key]), [...path, key]);
        continue;
      }
      const whole = valueAt(value, path);
      if (issue.code === 'too_big' && Array.isArray(whole)) {
        for (const index of whole.keys()) {
          if (index >= issue.maximum) removed.set(keyOf([...path, index]), [...path, index]);
        }
        continue;
      }
      // A missing key cannot be removed: its parent is.
      const target = removed.has(keyOf(path)) || whole === undefined ? path.slice(0, -1) : path;
      if (target.length === 0) return { data: undefined, issues, kept: new Map() };
      removed.set(keyOf(target), target);
      found.push(target);
    }
    for (const path of found) faulty.add(path);
  }
  return { data: undefined, issues, kept: new Map() };
}

/** Unlike `formatPath` it distinguishes a key that contains a dot from two keys. */
export function keyOf(path: Path): string {
  return JSON.stringify(path);
}

/** Maps a path in the remaining value to the path in the original. */
export function originalPath(path: Path, kept: ReadonlyMap<string, readonly number[]>): Path {
  if (kept.size === 0) return path;
  const original: (string | number)[] = [];
  for (const step of path) {
    const entries = typeof step === 'number' ? kept.get(keyOf(original)) : undefined;
    original.push(typeof step === 'number' ? (entries?.[step] ?? step) : step);
  }
  return original;
}

export function valueAt(root: unknown, path: Path): unknown {
  let value = root;
  for (const step of path) {
    if (Array.isArray(value) && typeof step === 'number') value = value[step];
    else if (isRecord(value) && typeof step === 'string' && Object.hasOwn(value, step)) value = value[step];
    else return undefined;
  }
  return value;
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function part(step: PropertyKey): string | number {
  return typeof step === 'number' ? step : String(step);
}

/** A set of paths with queries for ancestors and descendants; a hostile file has tens of thousands. */
class Faulty {
  readonly #paths = new Set<string>();
  /** Every path above one of them. */
  readonly #above = new Set<string>();

  add(path: Path): void {
    this.#paths.add(keyOf(path));
    for (let length = 0; length < path.length; length += 1) this.#above.add(keyOf(path.slice(0, length)));
  }

  /** Whether the set contains the path, an ancestor or a descendant. */
  touch(path: Path): boolean {
    if (this.#above.has(keyOf(path))) return true;
    for (let length = 0; length <= path.length; length += 1) {
      if (this.#paths.has(keyOf(path.slice(0, length)))) return true;
    }
    return false;
  }
}

function pruned(
  value: unknown,
  path: Path,
  removed: ReadonlyMap<string, Path>,
  kept: Map<string, readonly number[]>,
): unknown {
  if (removed.size === 0) return value;
  if (Array.isArray(value)) {
    const entries = [...value.entries()].filter(([index]) => !removed.has(keyOf([...path, index])));
    if (entries.length < value.length) {
      kept.set(
        keyOf(path),
        entries.map(([index]) => index),
      );
    }
    return entries.map(([index, item]) => pruned(item, [...path, index], removed, kept));
  }
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, item]) => {
      const at = [...path, key];
      return removed.has(keyOf(at)) ? [] : [[key, pruned(item, at, removed, kept)]];
    }),
  );
}
