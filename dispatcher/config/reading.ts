/**
 * One file being read: resolves references and checks the sections one by one, so that a mistake in one does not
 * hide those in another, and every finding has its place.
 */
import { basename } from 'node:path';
import type { z } from 'zod';
import { formatPath, type Path, type Problem } from '../model/problem.ts';
import { Secret } from '../model/registration.ts';
import type { Place, YamlFile } from './document.ts';
import { wordsOfIssue } from './issue-words.ts';
import type { Reach } from './reach.ts';
import type { References } from './reference.ts';
import { type FileBounds, resolveReferences } from './references.ts';
import { isRecord, keyOf, originalPath, salvage, valueAt } from './salvage.ts';
import { keyMeant, unknownKeyCure } from './schema.ts';
import { keysAt, schemaAt, TRUTHS } from './schema-lookup.ts';

/** The maximum reported per file. */
const MAX_PROBLEMS = 100;
/** The number of characters shown of an unknown key. */
const MAX_KEY_LENGTH = 64;
/** Anything shorter can be brute-forced; 16 hexadecimal digits are 64 bits. */
export const MIN_SECRET_LENGTH = 16;

/** References as the shell and workflows write them. A name is in capital letters: else it may be a secret. */
const ELSEWHERE: readonly (readonly [form: RegExp, shown: string])[] = [
  [/^\$[A-Z_][A-Z0-9_]*$/, '$NAME'],
  [/^\$\{[A-Z_][A-Z0-9_]*\}$/, '${NAME}'],
  [/^\$\{\{[^{}]*\}\}$/, '${{ … }}'],
];

export class Reading {
  /** That it refers to, and what stands for secrets in stores. */
  readonly files: readonly string[];
  /** Worth reporting, but not an error. */
  readonly notes: Problem[] = [];
  readonly #problems: Problem[] = [];
  #problemCount = 0;
  readonly #wrongKeys = new Set<string>();
  /** By `keyOf`: the keys that unknown ones were probably meant to be. */
  readonly #misspelt = new Set<string>();
  /** By `keyOf`: see Salvaged. */
  readonly #kept = new Map<string, readonly number[]>();
  readonly #yaml: YamlFile;
  /** References resolved; given up with the file. */
  #value: unknown;
  #isReleased = false;
  /** Paths whose value came from a reference; false: the reference had no value. */
  readonly #references: ReadonlyMap<string, boolean>;
  readonly #revealed: readonly string[];
  /** A value can be sealed for this file. */
  readonly #sealable: boolean;

  private constructor(
    yaml: YamlFile,
    resolved: {
      readonly value: unknown;
      readonly references: ReadonlyMap<string, boolean>;
      readonly revealed: readonly string[];
      readonly files?: readonly string[];
    },
    sealable: boolean,
  ) {
    this.#yaml = yaml;
    this.#value = resolved.value;
    this.#references = resolved.references;
    this.#revealed = resolved.revealed;
    this.#sealable = sealable;
    this.files = resolved.files ?? [];
    for (const problem of yaml.problems) this.#add([], () => problem);
  }

  static async start(
    yaml: YamlFile,
    reach: Reach,
    references: References,
    secrets: 'required' | 'optional',
    bounds: FileBounds,
  ): Promise<Reading> {
    const resolved = await resolveReferences(yaml.value, reach, references, bounds);
    const reading = new Reading(yaml, resolved, reach.sealed !== undefined);
    for (const { kind, path, message, cure, asNote = { message, cure } } of resolved.findings) {
      const isNote = kind === 'exposed' || kind === 'stale' || kind === 'unread';
      if (isNote || (kind === 'absent' && secrets === 'optional')) reading.note(path, asNote.message, asNote.cure);
      else reading.problem(path, message, cure);
    }
    return reading;
  }

  /** All that is expected to be found has been found: see YamlFile. */
  release(): void {
    this.#isReleased = true;
    this.#value = undefined;
    this.#yaml.release();
  }

  get file(): string {
    return this.#yaml.file;
  }

  get readable(): boolean {
    return this.#yaml.problems.length === 0;
  }

  /** The first ones; the last says how many more were left out. */
  get problems(): readonly Problem[] {
    const more = this.#problemCount - this.#problems.length;
    if (more <= 0) return this.#problems;
    const message = `there ${more === 1 ? 'is 1 more problem' : `are ${more} more problems`} in this file`;
    const tail = { file: this.file, line: 0, column: 0, path: '', message, cure: 'Correct these first.' };
    return [...this.#problems, tail];
  }

  get problemCount(): number {
    return this.#problemCount;
  }

  problem(path: Path, message: string, cure: string): void {
    this.#add(path, () => this.finding(path, message, cure));
  }

  /** With its place, for a list kept elsewhere. */
  finding(path: Path, message: string, cure: string): Problem {
    const original = originalPath(path, this.#kept);
    return this.#finding(original, message, cure, this.#yaml.placeOf(original));
  }

  /** Whether a problem was found at the key of the top level or below it. */
  isWrong(key: string): boolean {
    return this.#wrongKeys.has(key);
  }

  note(path: Path, message: string, cure: string): void {
    if (this.notes.length >= MAX_PROBLEMS) return;
    this.notes.push(this.finding(path, message, cure));
  }

  /** Positions of the keys below the path, as `dispatcher.yaml:12:3`, by their path from there. */
  placesOfKeys(path: Path): ReadonlyMap<string, string> {
    const file = basename(this.file);
    const places = [...this.#yaml.placesOfKeys(path)];
    return new Map(places.map(([key, { line, column }]) => [key, `${file}:${line}:${column}`]));
  }

  /** Whether the file has any value at the path, valid or not. */
  has(path: Path): boolean {
    return this.#at(path) !== undefined;
  }

  /** As `has`, also where the key is misspelt, which is reported by itself. */
  mentions(path: Path): boolean {
    return this.has(path) || this.#misspelt.has(keyOf(originalPath(path, this.#kept)));
  }

  /** True when the file is a map; reports unknown and missing keys; `section` checks the sections. */
  topLevel(schema: z.ZodObject): boolean {
    if (!isRecord(this.#value)) {
      const message =
        this.#value === null || this.#value === undefined
          ? 'the file is empty'
          : 'the file must be a mapping of keys to values';
      const joined = typeof this.#value === 'string' && /^[\w-]+:\S/.test(this.#value);
      this.problem(
        [],
        message,
        joined ? 'Put a space after each colon.' : 'Write `KEY: VALUE` lines, as in the file that `shr init` writes.',
      );
      return false;
    }
    const known = Object.keys(schema.shape);
    for (const key of Object.keys(this.#value)) {
      if (!known.includes(key)) this.#unknownKey([], key, known);
    }
    return true;
  }

  /**
   * The value at the path, parsed by the schema. Reports each of its mistakes and leaves out what is invalid, so that
   * the rest can be checked; undefined if nothing useful is left.
   */
  section<T>(path: Path, schema: z.ZodType<T>): T | undefined {
    const base = originalPath(path, this.#kept);
    const value = this.#at(path);
    const { data, issues, kept } = salvage(value, schema);
    // Unknown keys first: what such a key was meant to be is not also reported as missing.
    for (const issue of issues) if (issue.code === 'unrecognized_keys') this.#unknownKeys(base, issue, schema);
    for (const issue of issues) if (issue.code !== 'unrecognized_keys') this.#issue(base, issue, schema);
    for (const [list, indexes] of kept) {
      const at: unknown = JSON.parse(list);
      if (Array.isArray(at)) this.#kept.set(keyOf([...base, ...at]), indexes);
    }
    // A check that depends on a missing secret cannot run as if the file did not mention it.
    return issues.some((issue) => this.#isUnresolved(below(base, issue))) ? undefined : data;
  }

  /** Whether the path holds a reference that has no value yet: then nothing that depends on the value is checked. */
  unresolved(path: Path): boolean {
    return this.#isUnresolved(originalPath(path, this.#kept));
  }

  /** A secret must come from a reference. */
  secret(path: Path, value: string): Secret {
    if (!this.isReference(path)) this.plainSecret(path, value);
    return new Secret(value);
  }

  /** A secret shared only with us, which an attacker can try to guess without limit: a short one is not safe. */
  chosenSecret(path: Path, value: string): Secret {
    if (this.isReference(path) && !this.unresolved(path) && value.length < MIN_SECRET_LENGTH) {
      this.problem(
        path,
        `the secret has fewer than ${MIN_SECRET_LENGTH} characters, and can be guessed`,
        'Make a new one with `openssl rand -hex 32`.',
      );
    }
    return this.secret(path, value);
  }

  /** `value` is not repeated, but for the kind of what is meant as a reference. */
  plainSecret(path: Path, value: string): void {
    const references = this.#sealable ? '${env:NAME}, ${file:PATH} or ${sealed:…}' : '${env:NAME} or ${file:PATH}';
    const kind = /^\$\{([a-z-]{1,20}):[^}]*\}$/i.exec(value)?.[1];
    if (kind !== undefined) {
      this.problem(path, `\`\${${kind}:…}\` is not a reference`, `Write ${references}.`);
      return;
    }
    const elsewhere = ELSEWHERE.find(([form]) => form.test(value));
    if (elsewhere !== undefined) {
      this.problem(path, `\`${elsewhere[1]}\` is not a reference here`, `Write ${references}.`);
      return;
    }
    this.problem(
      path,
      'it is a secret in plain text',
      `${this.#sealable ? 'Seal it with `shr seal`, or move' : 'Move'} it into a variable or file, write ${references} here, and replace the secret: it has been in a file that is copied and shared.`,
    );
  }

  /** The paths of all references in the section, as they are in the file. */
  referencesIn(section: string): readonly Path[] {
    const found: Path[] = [];
    const walk = (value: unknown, path: Path): void => {
      if (this.#references.has(formatPath(path))) found.push(path);
      if (typeof value !== 'object' || value === null) return;
      const entries = Array.isArray(value) ? value.entries() : Object.entries(value);
      for (const [key, item] of entries) walk(item, [...path, key]);
    };
    walk(valueAt(this.#value, [section]), [section]);
    return found;
  }

  isReference(path: Path): boolean {
    return this.#references.has(this.#format(path));
  }

  #format(path: Path): string {
    return formatPath(originalPath(path, this.#kept));
  }

  /** The path is in the file as it is. */
  #isUnresolved(path: Path): boolean {
    return this.#references.get(formatPath(path)) === false;
  }

  #at(path: Path): unknown {
    return valueAt(this.#isReleased ? this.#yaml.value : this.#value, originalPath(path, this.#kept));
  }

  /** The issue's path is in the file as it is, below the base. */
  #issue(base: Path, issue: z.core.$ZodIssue, schema: z.ZodType): void {
    const path = below(base, issue);
    if (this.#isUnresolved(path)) return;
    const value = valueAt(this.#value, path);
    if (value === undefined && this.#misspelt.has(keyOf(path))) return;
    if (issue.code === 'invalid_union' && value !== undefined) {
      const first = furthest(issue.errors, value);
      if (first !== undefined && first.code !== 'invalid_union') {
        this.#issue(base, { ...first, path: [...issue.path, ...first.path] }, schema);
        return;
      }
    }
    this.#add(path, () => {
      const { message, cure } = wordsOfIssue({
        issue,
        value,
        quotable: !this.#references.has(formatPath(path)),
        schema: schemaAt(schema, path.slice(base.length)),
        name: path.at(-1),
      });
      return this.#finding(path, message, cure, this.#yaml.placeOf(path));
    });
  }

  /** The issue's path is in the file as it is, below the base. */
  #unknownKeys(base: Path, issue: z.core.$ZodIssueUnrecognizedKeys, schema: z.ZodType): void {
    const path = below(base, issue);
    if (this.#isUnresolved(path)) return;
    const known = keysAt(schema, path.slice(base.length));
    for (const key of issue.keys) this.#unknownKey(path, key, known);
  }

  /** The path is in the file as it is. */
  #unknownKey(path: Path, key: string, known: readonly string[]): void {
    const meant = keyMeant(key, known);
    if (meant !== undefined) this.#misspelt.add(keyOf([...path, meant]));
    const cure = known.length > 0 && !known.includes(key) ? unknownKeyCure(key, known) : 'Correct or remove it.';
    this.#add([...path, key], () => {
      const place = this.#yaml.placeOfKey(path, key);
      const shown = key.slice(0, MAX_KEY_LENGTH);
      return this.#finding([...path, shown], `unknown key \`${shown}\``, cure, place);
    });
  }

  /** Findings beyond the limit are only counted, without looking up their place. */
  #add(path: Path, finding: () => Problem): void {
    this.#problemCount += 1;
    const [key] = path;
    if (typeof key === 'string') this.#wrongKeys.add(key);
    if (this.#problems.length < MAX_PROBLEMS) this.#problems.push(finding());
  }

  #finding(path: Path, message: string, cure: string, place: Place): Problem {
    const { above = [], file = this.file, line, column, note } = place;
    const told = note === undefined ? message : `${message} (${note})`;
    return { file, line, column, path: formatPath([...above, ...path]), message: this.#censor(told), cure };
  }

  /** A provider's schema may quote its input; values that came from references must not be shown. */
  #censor(message: string): string {
    return this.#revealed.reduce((text, value) => text.replaceAll(value, '[secret]'), message);
  }
}

function below(base: Path, issue: z.core.$ZodIssue): Path {
  return [...base, ...issue.path.map((part) => (typeof part === 'number' ? part : String(part)))];
}

/** For a union, report the member that got furthest; the literal members say the least, but of a word that is like one. */
function furthest(members: readonly (readonly z.core.$ZodIssue[])[], value: unknown): z.core.$ZodIssue | undefined {
  const isWord = typeof value === 'string' && !TRUTHS.has(value.toLowerCase());
  const mayBeChoice = isWord && members.some(([issue]) => issue?.code === 'invalid_value');
  const rank = ([issue]: readonly z.core.$ZodIssue[]): number => {
    const depth = (issue?.path.length ?? 0) * 3;
    if (issue?.code === 'invalid_value') return depth + 1;
    return depth + (mayBeChoice && issue?.code === 'invalid_type' ? 0 : 2);
  };
  return [...members].sort((a, b) => rank(b) - rank(a))[0]?.[0];
}
