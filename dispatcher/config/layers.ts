/**
 * Registrations that share a file, and parts that registrations share. Pure: what stands under a name is asked for, and
 * where it comes from is not known here.
 */
import type { Path, Problem } from '../model/problem.ts';
import type { Place, YamlFile } from './document.ts';
import { isRecord, valueAt } from './salvage.ts';
import { NAME } from './schema.ts';

/** The key of a file that holds several registrations by name. */
export const SEVERAL = 'registrations';
const EXTENDS = 'extends';

/** A base may extend another one. */
const MAX_DEPTH = 4;
/** Of one registration, however it comes to them. */
const MAX_BASES = 10;
/** That one file names. */
const MAX_NAMED = 5;

/** One registration of a file that holds several. */
export function memberYaml(yaml: YamlFile, name: string): YamlFile {
  const above = [SEVERAL, name];
  return {
    file: yaml.file,
    value: valueAt(yaml.value, above),
    problems: [],
    placeOf: (path) => ({ ...yaml.placeOf([...above, ...path]), above }),
    placeOfKey: (path, key) => ({ ...yaml.placeOfKey([...above, ...path], key), above }),
    placesOfKeys: (path) => yaml.placesOfKeys([...above, ...path]),
    // The others of the file need it too: whoever read the file gives it up.
    release: () => {},
  };
}

/** Something to extend. */
export interface Base {
  readonly yaml: YamlFile;
  readonly bytes: number;
}

export interface Bases {
  /** What the registration may extend under that name. */
  find(name: string): Promise<Base | { readonly message: string; readonly cure: string }>;
  readonly mostBytes: number;
  /** Of a registration and its bases, before they are merged: what aliases repeat counts wherever it stands. */
  readonly mostValues: number;
}

/** The same object if it extends nothing. */
export async function extendedYaml(yaml: YamlFile, ownBytes: number, bases: Bases): Promise<YamlFile> {
  if (!isRecord(yaml.value) || yaml.value[EXTENDS] === undefined) return yaml;
  const layers: YamlFile[] = [];
  const problems: Problem[] = [...yaml.problems];
  const known = new Map<YamlFile, true>();
  let bytes = ownBytes;
  let valuesLeft = bases.mostValues;

  async function add(layer: YamlFile, chain: readonly YamlFile[]): Promise<void> {
    if (known.has(layer)) return;
    known.set(layer, true);
    layers.push(layer);
    if (!isRecord(layer.value) && layer.problems.length === 0) {
      problems.push(problemAt(layer, [], 'a base must be a mapping of keys to values', 'Write `KEY: VALUE` lines.'));
    }
    // The last one that a file names comes first: it goes before those that are named earlier.
    for (const { name, path } of namedIn(layer).reverse()) {
      const tell = (message: string, cure: string): void => void problems.push(problemAt(layer, path, message, cure));
      const found = await bases.find(name);
      if ('message' in found) tell(found.message, found.cure);
      else if ([...chain, layer].includes(found.yaml)) {
        tell(`\`${name}\` extends itself`, 'Remove one of the names from the circle.');
      } else if (chain.length >= MAX_DEPTH) {
        tell(`bases extend each other more than ${MAX_DEPTH} deep`, 'Extend fewer, or join some of them.');
      } else if (!known.has(found.yaml) && layers.length > MAX_BASES) {
        tell(`it comes to more than ${MAX_BASES} bases`, 'Extend fewer, or join some of them.');
      } else {
        if (!known.has(found.yaml)) bytes += found.bytes;
        if (bytes > bases.mostBytes) {
          tell(`with its bases it has ${bytes} bytes, and ${bases.mostBytes} is the limit`, 'Extend smaller ones.');
          return;
        }
        if (!known.has(found.yaml)) valuesLeft -= valuesIn(found.yaml.value);
        if (valuesLeft < 0) {
          const message = `with \`${name}\` it has more than ${bases.mostValues} values, aliases followed`;
          tell(message, 'Write out what is needed in that base, without aliases.');
          return;
        }
        problems.push(...(known.has(found.yaml) ? [] : found.yaml.problems));
        await add(found.yaml, [...chain, layer]);
      }
    }
  }

  function namedIn(layer: YamlFile): { readonly name: string; readonly path: Path }[] {
    const written = isRecord(layer.value) ? layer.value[EXTENDS] : undefined;
    if (written === undefined || written === null) return [];
    const named = typeof written === 'string' ? [{ name: written, path: [EXTENDS] }] : entriesOf(written);
    if (named !== undefined && named.length <= MAX_NAMED && named.every(({ name }) => NAME.test(name))) return named;
    const cure = `Write the name of a base, or a list of at most ${MAX_NAMED}.`;
    problems.push(problemAt(layer, [EXTENDS], 'it does not name bases', cure));
    return [];
  }

  const passing = Object.entries(yaml.value).find(([, value]) => {
    valuesLeft -= valuesIn(value);
    return valuesLeft < 0;
  });
  if (passing === undefined) await add(yaml, []);
  else {
    const message = `from here on it has more than ${bases.mostValues} values, aliases followed`;
    const [key] = passing;
    // Of the key: the place of an alias is that of what it stands for.
    const place = yaml.placeOfKey([], key);
    problems.push(problemOf(yaml, place, [key], message, 'Write out what is needed, without aliases.'));
  }
  const merge = (): unknown =>
    problems.length > 0 ? undefined : withoutExtends(mergedOf(layers.map(({ value }) => value)));
  let isReleased = false;
  let merged = merge();
  return {
    file: yaml.file,
    get value() {
      return isReleased ? merge() : merged;
    },
    problems,
    placeOf: (path) => placeIn(layerOf(layers, path), yaml, path),
    placeOfKey: (path, key) => {
      const layer = layerOf(layers, [...path, key]);
      return inFile(layer.placeOfKey(path, key), layer, yaml);
    },
    placesOfKeys: (path) => yaml.placesOfKeys(path),
    release() {
      isReleased = true;
      // A hundred registrations of one file can each have most of a large base as a copy.
      merged = undefined;
      yaml.release();
    },
  };
}

function entriesOf(written: unknown): { readonly name: string; readonly path: Path }[] | undefined {
  if (!Array.isArray(written)) return undefined;
  return written.map((name: unknown, index) => ({
    name: typeof name === 'string' ? name : '',
    path: [EXTENDS, index],
  }));
}

function problemAt(layer: YamlFile, path: Path, message: string, cure: string): Problem {
  return problemOf(layer, layer.placeOf(path), path, message, cure);
}

function problemOf(layer: YamlFile, found: Place, path: Path, message: string, cure: string): Problem {
  const { above = [], file = layer.file, ...place } = found;
  return { file, line: place.line, column: place.column, path: [...above, ...path].join('.'), message, cure };
}

/**
 * The first goes before all others: mappings are merged key by key; a list or a single value replaces what stands there
 * before, and null removes it.
 */
function mergedOf(values: readonly unknown[]): unknown {
  const [first, ...others] = values;
  if (others.length === 0 || !isRecord(first)) return withoutNulls(first);
  const maps: Readonly<Record<string, unknown>>[] = [first];
  for (const other of others) {
    // What stands behind a value that is not a mapping is replaced by it.
    if (!isRecord(other)) break;
    maps.push(other);
  }
  const keys = new Set(maps.flatMap((map) => Object.keys(map)));
  return Object.fromEntries(
    [...keys].flatMap((key) => {
      const present = maps.filter((map) => Object.hasOwn(map, key)).map((map) => map[key]);
      return present[0] === null ? [] : [[key, mergedOf(present)]];
    }),
  );
}

/** By what they were made from, which nobody changes: what aliases or registrations share stays one object. */
const WITHOUT_NULLS = new WeakMap<object, unknown>();

/** In mappings: an item of a list that is null is a mistake. The same object where there is none. */
function withoutNulls(value: unknown): unknown {
  if (!isRecord(value)) return value;
  const known = WITHOUT_NULLS.get(value);
  if (known !== undefined) return known;
  const entries = Object.entries(value);
  const kept = entries.filter(([, item]) => item !== null).map(([key, item]) => [key, withoutNulls(item)] as const);
  const isSame = kept.length === entries.length && kept.every(([key, item]) => item === value[key]);
  const made = isSame ? value : Object.fromEntries(kept);
  WITHOUT_NULLS.set(value, made);
  return made;
}

/** By the mapping or list that has them: a base is counted once, however many extend it. */
const VALUES = new WeakMap<object, number>();

/** With those in it. What aliases share is looked at once, and counts wherever it stands. */
function valuesIn(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1;
  const known = VALUES.get(value);
  if (known !== undefined) return known;
  let count = 1;
  for (const item of Object.values(value)) count += valuesIn(item);
  VALUES.set(value, count);
  return count;
}

function withoutExtends(value: unknown): unknown {
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).filter(([key]) => key !== EXTENDS));
}

/** The one in which the value at the path is written, or that of what is nearest above it. */
function layerOf(layers: readonly YamlFile[], path: Path): YamlFile {
  let among = layers;
  for (const length of path.keys()) {
    const at = path.slice(0, length + 1);
    const having = among.filter(({ value }) => valueAt(value, at) !== undefined);
    if (having.length === 0) break;
    // As they are merged: what is not a mapping hides all behind it.
    const hiding = having.findIndex(({ value }) => !isRecord(valueAt(value, at)));
    among = hiding < 0 ? having : having.slice(0, Math.max(1, hiding));
  }
  return among[0] ?? layers[0] ?? NOWHERE;
}

const NOWHERE: YamlFile = {
  file: '',
  value: undefined,
  problems: [],
  placeOf: () => ({ line: 0, column: 0 }),
  placeOfKey: () => ({ line: 0, column: 0 }),
  placesOfKeys: () => new Map(),
  release: () => {},
};

function placeIn(layer: YamlFile, own: YamlFile, path: Path): Place {
  return inFile(layer.placeOf(path), layer, own);
}

/** A base of dispatcher.yaml is not a tenant's to change: what is wrong with it is told where it is named. */
function inFile(place: Place, layer: YamlFile, own: YamlFile): Place {
  if (layer === own) return place;
  if (place.note === undefined) return { ...place, file: place.file ?? layer.file };
  return { ...own.placeOf([EXTENDS]), note: place.note };
}
