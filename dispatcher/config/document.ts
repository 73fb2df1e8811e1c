/** A YAML file as a plain value, with the place of everything in it. */
import { type Document, isAlias, isMap, isNode, isScalar, LineCounter, type Node, parseDocument } from 'yaml';
import type { Path, Problem } from './problem.ts';

interface Place {
  readonly line: number;
  readonly column: number;
}

export interface YamlFile {
  readonly file: string;
  /** Undefined when the text is no YAML. */
  readonly value: unknown;
  readonly problems: readonly Problem[];
  /** Of the value at the path, or of what comes closest to it: the key, or the map in which it is missing. */
  placeOf(path: Path): Place;
  /** Of a key in the map at the path. */
  placeOfKey(path: Path, key: string): Place;
  /** Of every key in the map at the path and in the maps below it, by its path from there: `acme.powers.spot`. */
  placesOfKeys(path: Path): ReadonlyMap<string, Place>;
}

const START: Place = { line: 1, column: 1 };

export function readYaml(file: string, text: string): YamlFile {
  const lines = new LineCounter();
  // uniqueKeys is yaml's default: a key written twice is an error instead of the last one winning.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, strict: true });
  const problems = [...document.errors, ...document.warnings].map((error): Problem => {
    const place = lines.linePos(error.pos[0]);
    return {
      file,
      line: place.line,
      column: place.col,
      path: '',
      message: `not readable as YAML: ${error.message}`,
      cure: 'Correct the line; a value with `: `, `#` or a leading `*`, `&`, `{` or `[` needs quotes.',
    };
  });
  const value = problems.length === 0 ? plainValue(document, file, problems) : undefined;
  const placeOfNode = (node: Node | undefined): Place => {
    const offset = node?.range?.[0];
    if (offset === undefined) return START;
    const place = lines.linePos(offset);
    return { line: place.line, column: place.col };
  };
  return {
    file,
    value,
    problems,
    placeOf: (path) => placeOfNode(closestNode(document, path)),
    placeOfKey(path, key) {
      const map = closestNode(document, path);
      const pair = isMap(map)
        ? map.items.find((item) => isScalar(item.key) && String(item.key.value) === key)
        : undefined;
      return placeOfNode(isNode(pair?.key) ? pair.key : map);
    },
    placesOfKeys(path) {
      const places = new Map<string, Place>();
      const walk = (node: unknown, above: string): void => {
        const map = isAlias(node) ? node.resolve(document) : node;
        if (!isMap(map)) return;
        for (const { key, value } of map.items) {
          if (!isScalar(key)) continue;
          const name = `${above}${String(key.value)}`;
          places.set(name, placeOfNode(key));
          walk(value, `${name}.`);
        }
      };
      walk(document.getIn(path, true), '');
      return places;
    },
  };
}

function plainValue(document: Document.Parsed, file: string, problems: Problem[]): unknown {
  try {
    // Bounds what a few aliases of aliases can expand to.
    const value: unknown = document.toJS({ maxAliasCount: 100 });
    return value;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    problems.push({ file, ...START, path: '', message, cure: 'Write the values out instead of using aliases.' });
    return undefined;
  }
}

function closestNode(document: Document.Parsed, path: Path): Node | undefined {
  let closest: Node | undefined = isNode(document.contents) ? document.contents : undefined;
  for (let length = 1; length <= path.length; length += 1) {
    const found = document.getIn(path.slice(0, length), true);
    const node = isAlias(found) ? found.resolve(document) : found;
    if (!isNode(node)) return closest;
    closest = node;
  }
  return closest;
}
