/**
 * One file being read: its references resolved, its sections checked one by one, so that a mistake in one of them
 * hides none in another, and every finding with its place.
 */
import { basename } from 'node:path';
import { z } from 'zod';
import type { YamlFile } from './document.ts';
import { Secret } from './model.ts';
import { formatPath, type Path, type Problem } from './problem.ts';
import { type Reach, type ReferenceSources, resolveReference } from './reference.ts';
import { unknownKeyCure } from './schema.ts';

/** Stands where a reference has no value yet: `validate` runs on machines that do not have the secrets. */
const UNRESOLVED = 'unresolved-reference';
const DEEPEST = 32;

export class Reading {
  readonly problems: Problem[] = [];
  /** Worth saying, and no error. */
  readonly notes: Problem[] = [];
  readonly #yaml: YamlFile;
  readonly #value: unknown;
  /** Paths whose value came from a reference; false: it had none. */
  readonly #references: ReadonlyMap<string, boolean>;
  readonly #revealed: readonly string[];

  private constructor(
    yaml: YamlFile,
    resolved: {
      readonly value: unknown;
      readonly references: ReadonlyMap<string, boolean>;
      readonly revealed: readonly string[];
    },
  ) {
    this.#yaml = yaml;
    this.#value = resolved.value;
    this.#references = resolved.references;
    this.#revealed = resolved.revealed;
    this.problems.push(...yaml.problems);
  }

  static async start(
    yaml: YamlFile,
    reach: Reach,
    sources: ReferenceSources,
    secrets: 'required' | 'optional',
  ): Promise<Reading> {
    const references = new Map<string, boolean>();
    const revealed: string[] = [];
    const findings: {
      readonly path: Path;
      readonly kind: 'problem' | 'note';
      readonly message: string;
      readonly cure: string;
    }[] = [];
    const walk = async (value: unknown, path: Path): Promise<unknown> => {
      if (typeof value === 'string') {
        const resolution = await resolveReference(value, reach, sources);
        switch (resolution.outcome) {
          case 'none':
            return value;
          case 'value':
            references.set(formatPath(path), true);
            if (resolution.value.length >= 4) revealed.push(resolution.value);
            return resolution.value;
          case 'absent':
          case 'wrong': {
            references.set(formatPath(path), false);
            const kind = resolution.outcome === 'absent' && secrets === 'optional' ? 'note' : 'problem';
            findings.push({ path, kind, message: resolution.message, cure: resolution.cure });
            return UNRESOLVED;
          }
        }
      }
      if (typeof value !== 'object' || value === null) return value;
      if (path.length >= DEEPEST) {
        findings.push({ path, kind: 'problem', message: 'it is nested too deeply', cure: 'Flatten it.' });
        return undefined;
      }
      if (Array.isArray(value)) {
        const items: unknown[] = [];
        for (const [index, item] of value.entries()) items.push(await walk(item, [...path, index]));
        return items;
      }
      const entries: [string, unknown][] = [];
      for (const [key, item] of Object.entries(value)) entries.push([key, await walk(item, [...path, key])]);
      return Object.fromEntries(entries);
    };
    const value = await walk(yaml.value, []);
    const reading = new Reading(yaml, { value, references, revealed });
    for (const { kind, path, message, cure } of findings) {
      if (kind === 'problem') reading.problem(path, message, cure);
      else reading.note(path, message, cure);
    }
    return reading;
  }

  get file(): string {
    return this.#yaml.file;
  }

  get readable(): boolean {
    return this.#yaml.problems.length === 0;
  }

  problem(path: Path, message: string, cure: string): void {
    this.problems.push(this.#finding(path, message, cure, this.#yaml.placeOf(path)));
  }

  note(path: Path, message: string, cure: string): void {
    this.notes.push(this.#finding(path, message, cure, this.#yaml.placeOf(path)));
  }

  /** Where the keys below the path stand, as `dispatcher.yaml:12:3`, by their path from there. */
  placesOfKeys(path: Path): ReadonlyMap<string, string> {
    const file = basename(this.file);
    const places = [...this.#yaml.placesOfKeys(path)];
    return new Map(places.map(([key, { line, column }]) => [key, `${file}:${line}:${column}`]));
  }

  /** Whether the file says anything at the path. */
  has(path: Path): boolean {
    return this.#at(path) !== undefined;
  }

  /** True when the file is a map; its unknown and missing keys are found here, its sections by `section`. */
  topLevel(schema: z.ZodObject): boolean {
    if (!isRecord(this.#value)) {
      const message =
        this.#value === null || this.#value === undefined ? 'the file is empty' : 'the file is no map of keys';
      this.problem([], message, 'Start from the example, or run `shr init`.');
      return false;
    }
    const known = Object.keys(schema.shape);
    for (const key of Object.keys(this.#value)) {
      if (!known.includes(key)) this.#unknownKey([], key, unknownKeyCure(key, known));
    }
    return true;
  }

  /** The value at the path as the schema gives it, or undefined after its problems were noted. */
  section<T>(path: Path, schema: z.ZodType<T>): T | undefined {
    const parsed = schema.safeParse(this.#at(path), { reportInput: false });
    if (parsed.success) return parsed.data;
    for (const issue of parsed.error.issues) this.#issue(path, issue, schema);
    return undefined;
  }

  /** Whether a reference stands at the path that has no value yet: what follows from the value is not to be judged. */
  unresolved(path: Path): boolean {
    return this.#references.get(formatPath(path)) === false;
  }

  /** Like `unresolved`, for anything at or below the path. */
  unresolvedWithin(path: Path): boolean {
    const prefix = formatPath(path);
    for (const [reference, resolved] of this.#references) {
      if (
        !resolved &&
        (reference === prefix || reference.startsWith(`${prefix}.`) || reference.startsWith(`${prefix}[`))
      )
        return true;
    }
    return false;
  }

  /** A secret may come from a reference alone. */
  secret(path: Path, value: string): Secret {
    if (!this.#references.has(formatPath(path))) this.plainSecret(path);
    return new Secret(value);
  }

  plainSecret(path: Path): void {
    this.problem(
      path,
      'a secret stands here in plain text',
      'Move it into a variable or file, write ${env:NAME} or ${file:PATH} here, and replace the secret: it has been in a file that is copied and shared.',
    );
  }

  isReference(path: Path): boolean {
    return this.#references.has(formatPath(path));
  }

  #at(path: Path): unknown {
    let value = this.#value;
    for (const part of path) {
      if (Array.isArray(value) && typeof part === 'number') value = value[part];
      else if (isRecord(value) && typeof part === 'string' && Object.hasOwn(value, part)) value = value[part];
      else return undefined;
    }
    return value;
  }

  #issue(base: Path, issue: z.core.$ZodIssue, schema: z.ZodType): void {
    const path = [...base, ...issue.path.map((part) => (typeof part === 'number' ? part : String(part)))];
    if (this.unresolved(path)) return;
    if (issue.code === 'unrecognized_keys') {
      const cures = issue.message.split('\n');
      const known = issue.path.length === 0 ? knownKeys(schema) : [];
      for (const [index, key] of issue.keys.entries()) {
        const own = cures.length === issue.keys.length && /^(?:Did you mean|Known here)/.test(cures[index] ?? '');
        const cure = own ? cures[index] : known.length > 0 ? unknownKeyCure(key, known) : undefined;
        this.#unknownKey(path, key, cure ?? 'Correct or remove it.');
      }
      return;
    }
    if (issue.code === 'invalid_union') {
      // Of a union the member that came furthest says most.
      const member = [...issue.errors].sort((a, b) => (b[0]?.path.length ?? 0) - (a[0]?.path.length ?? 0))[0];
      const [first] = member ?? [];
      if (first !== undefined && first.code !== 'invalid_union') {
        this.#issue(path, this.#at(path) === undefined ? { ...first, path: [] } : first, schema);
        return;
      }
    }
    if (this.#at(path) === undefined) {
      this.problem(path, 'it is missing', 'Add it.');
      return;
    }
    if (issue.code === 'invalid_type') {
      const found = kindOf(this.#at(path));
      const cure =
        issue.expected === 'string' && (found === 'a number' || found === 'true or false')
          ? 'Put the value in quotes.'
          : 'Correct the value.';
      this.problem(path, `it is ${found}, and should be ${article(issue.expected)}`, cure);
      return;
    }
    this.problem(path, issue.message, 'Correct the value.');
  }

  #unknownKey(path: Path, key: string, cure: string): void {
    const place = this.#yaml.placeOfKey(path, key);
    this.problems.push(this.#finding([...path, key], `there is no key \`${key}\` here`, cure, place));
  }

  #finding(
    path: Path,
    message: string,
    cure: string,
    place: { readonly line: number; readonly column: number },
  ): Problem {
    return { file: this.file, ...place, path: formatPath(path), message: this.#censor(message), cure };
  }

  /** A schema of a provider may quote what it was given; what came from a reference must not show. */
  #censor(message: string): string {
    return this.#revealed.reduce((text, value) => text.replaceAll(value, '[secret]'), message);
  }
}

/** Of a provider's schema, which does not say "did you mean" itself. */
function knownKeys(schema: unknown): readonly string[] {
  if (schema instanceof z.ZodPrefault) return knownKeys(schema.unwrap());
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function kindOf(value: unknown): string {
  if (value === null) return 'empty';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'a map' : article(typeof value);
}

function article(type: string): string {
  const names: Readonly<Record<string, string>> = {
    object: 'a map',
    record: 'a map',
    array: 'a list',
    int: 'a whole number',
    boolean: 'true or false',
  };
  return names[type] ?? `a ${type}`;
}
