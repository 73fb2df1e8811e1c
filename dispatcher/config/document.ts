/** A YAML file as a plain value, with the position of everything in it. Bounded in size, tokens, depth and aliases. */
import {
  Composer,
  type CST,
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  Lexer,
  LineCounter,
  type Node,
  type ParsedNode,
  Parser,
} from 'yaml';
import type { Path, Problem } from '../model/problem.ts';
import { mistakesIn } from './yaml-mistakes.ts';

interface Place {
  readonly line: number;
  readonly column: number;
}

export interface YamlFile {
  readonly file: string;
  /** Undefined when the text is not YAML. */
  readonly value: unknown;
  readonly problems: readonly Problem[];
  /** Of the value at the path, or of the closest match: the key, or the map in which it is missing. */
  placeOf(path: Path): Place;
  /** Of a key in the map at the path. */
  placeOfKey(path: Path, key: string): Place;
  /** Of every key in the map at the path and in the maps below it, by its path from there: `acme.powers.spot`. */
  placesOfKeys(path: Path): ReadonlyMap<string, Place>;
}

/** Deeper than any file of ours needs; the composer recurses, and takes minutes on endless nesting. */
const DEEPEST = 64;
/** Bytes of a file per YAML token (indents, dashes, keys, line ends): a registration of many short lines has 4. */
const MIN_BYTES_A_WORD = 3;
const WORDS_ALWAYS = 10_000;
const MAX_ALIASES = 100;
const START: Place = { line: 1, column: 1 };

/** `mostBytes`: the maximum size of such a file; the token limit follows from it. */
export function readYaml(file: string, text: string, mostBytes: number): YamlFile {
  const lines = new LineCounter();
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line, column: col };
  };
  const problems: Problem[] = [];
  const problem = (offset: number, message: string, cure: string): void => {
    problems.push({ file, ...placeAt(offset), path: '', message, cure });
  };
  const composed = compose(text, lines, Math.max(WORDS_ALWAYS, Math.floor(mostBytes / MIN_BYTES_A_WORD)));
  if (composed.outcome === 'beyond') problem(composed.offset, composed.message, composed.cure);
  const document = composed.outcome === 'document' ? composed.document : undefined;
  if (document !== undefined) {
    for (const { offset, message, cure } of mistakesIn(document, text, lines)) problem(offset, message, cure);
  }
  const value = document === undefined || problems.length > 0 ? undefined : plainValue(document, problem);
  const placeOfNode = (node: Node | undefined): Place => {
    const offset = node?.range?.[0];
    return offset === undefined ? START : placeAt(offset);
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
      if (document === undefined) return places;
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

type Composed =
  | { readonly outcome: 'document'; readonly document: Document.Parsed | undefined }
  | { readonly outcome: 'beyond'; readonly offset: number; readonly message: string; readonly cure: string };

/** `parseDocument` of yaml, which has no bounds, one token at a time. */
function compose(text: string, lines: LineCounter, mostWords: number): Composed {
  lines.addNewLine(0);
  const parser = new Parser(lines.addNewLine);
  // Without uniqueKeys: yaml compares each key with all before it: a minute for 30,000 keys. `mistakesIn` uses a set.
  const composer = new Composer<ParsedNode, true>({ lineCounter: lines, prettyErrors: false, uniqueKeys: false });
  let beyond: Composed | undefined;
  function* tokens(): Generator<CST.Token, void> {
    let words = 0;
    for (const word of new Lexer().lex(text)) {
      words += 1;
      yield* parser.next(word);
      if (words > mostWords) {
        const message = `the file has more than ${mostWords} words, brackets and line ends`;
        beyond = {
          outcome: 'beyond',
          offset: parser.offset,
          message,
          cure: 'Split it, or leave out what is not needed.',
        };
        return;
      }
      if (parser.stack.length > DEEPEST) {
        const message = 'nested too deeply';
        beyond = {
          outcome: 'beyond',
          offset: parser.offset,
          message,
          cure: 'Flatten it, or close the bracket that was left open.',
        };
        return;
      }
    }
    yield* parser.end();
  }
  let only: Document.Parsed | undefined;
  for (const document of composer.compose(tokens(), true, text.length)) {
    if (only !== undefined) {
      const message = 'a second document begins here (`---`)';
      return { outcome: 'beyond', offset: document.range[0], message, cure: 'Keep one document in a file.' };
    }
    only = document;
  }
  return beyond ?? { outcome: 'document', document: only };
}

function plainValue(
  document: Document.Parsed,
  problem: (offset: number, message: string, cure: string) => void,
): unknown {
  try {
    // Bounds what a few nested aliases can expand to.
    const value: unknown = document.toJS({ maxAliasCount: MAX_ALIASES });
    return value;
  } catch {
    problem(0, 'its aliases expand to too much', 'Write the values out instead of using aliases.');
    return undefined;
  }
}

function closestNode(document: Document.Parsed | undefined, path: Path): Node | undefined {
  if (document === undefined) return undefined;
  let closest: Node | undefined = isNode(document.contents) ? document.contents : undefined;
  for (let length = 1; length <= path.length; length += 1) {
    const found = document.getIn(path.slice(0, length), true);
    const node = isAlias(found) ? found.resolve(document) : found;
    if (!isNode(node)) return closest;
    closest = node;
  }
  return closest;
}
