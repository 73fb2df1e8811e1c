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

export interface Place {
  readonly line: number;
  readonly column: number;
  /** Where it is another file than the one that is read. */
  readonly file?: string;
  /** What the path is below in that file. */
  readonly above?: Path;
  /** Where it stands, for a file that is not to be shown. */
  readonly note?: string;
}

export interface YamlFile extends Places {
  readonly file: string;
  /** Undefined when the text is not YAML. */
  readonly value: unknown;
  readonly problems: readonly Problem[];
}

interface Places {
  /** Of the value at the path, or of the closest match: the key, or the map in which it is missing. */
  placeOf(path: Path): Place;
  /** Of a key in the map at the path. */
  placeOfKey(path: Path, key: string): Place;
  /** Of every key in the map at the path and in the maps below it, by its path from there: `acme.powers.spot`. */
  placesOfKeys(path: Path): ReadonlyMap<string, Place>;
  /** Gives the tree up, of which thousands would not fit into memory. A later look at a place reads the text again. */
  release(): void;
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
  const composed = compose(text, mostBytes);
  const { tree } = composed;
  const problems: Problem[] = [];
  const problem = (offset: number, message: string, cure: string): void => {
    problems.push({ file, ...tree.placeAt(offset), path: '', message, cure });
  };
  if (composed.beyond !== undefined) problem(composed.beyond.offset, composed.beyond.message, composed.beyond.cure);
  const { document } = tree;
  if (document !== undefined) {
    for (const { offset, message, cure } of mistakesIn(document, text, tree.lines)) problem(offset, message, cure);
  }
  const value = document === undefined || problems.length > 0 ? undefined : plainValue(document, problem);
  return { file, value, problems, ...places(text, mostBytes, tree) };
}

/** A file whose value is known from an earlier reading of the same text, which found no problem in it. */
export function knownYaml(file: string, text: string, mostBytes: number, value: unknown): YamlFile {
  return { file, value, problems: [], ...places(text, mostBytes) };
}

function places(text: string, mostBytes: number, tree?: Tree): Places {
  let held = tree;
  // Many places of one file are looked up in one go: a weak reference lives at least as long as that.
  let last = new WeakRef(tree ?? NO_TREE);
  const treeNow = (): Tree => {
    const known = held ?? last.deref();
    if (known !== undefined && known !== NO_TREE) return known;
    const again = compose(text, mostBytes).tree;
    last = new WeakRef(again);
    return again;
  };
  return {
    placeOf: (path) => treeNow().placeOf(path),
    placeOfKey: (path, key) => treeNow().placeOfKey(path, key),
    placesOfKeys: (path) => treeNow().placesOfKeys(path),
    release() {
      held = undefined;
    },
  };
}

/** What yaml makes of a text: an object for each token, in all fifty times its size. */
class Tree {
  /** Undefined when it could not be composed. */
  readonly document: Document.Parsed | undefined;
  readonly lines: LineCounter;

  constructor(document: Document.Parsed | undefined, lines: LineCounter) {
    this.document = document;
    this.lines = lines;
  }

  placeAt(offset: number): Place {
    const { line, col } = this.lines.linePos(offset);
    return { line, column: col };
  }

  placeOf(path: Path): Place {
    return this.#placeOfNode(closestNode(this.document, path));
  }

  placeOfKey(path: Path, key: string): Place {
    const map = closestNode(this.document, path);
    const pair = isMap(map)
      ? map.items.find((item) => isScalar(item.key) && String(item.key.value) === key)
      : undefined;
    return this.#placeOfNode(isNode(pair?.key) ? pair.key : map);
  }

  placesOfKeys(path: Path): ReadonlyMap<string, Place> {
    const found = new Map<string, Place>();
    const { document } = this;
    if (document === undefined) return found;
    const walk = (node: unknown, above: string): void => {
      const map = isAlias(node) ? node.resolve(document) : node;
      if (!isMap(map)) return;
      for (const { key, value } of map.items) {
        if (!isScalar(key)) continue;
        const name = `${above}${String(key.value)}`;
        found.set(name, this.#placeOfNode(key));
        walk(value, `${name}.`);
      }
    };
    walk(document.getIn(path, true), '');
    return found;
  }

  #placeOfNode(node: Node | undefined): Place {
    const offset = node?.range?.[0];
    return offset === undefined ? START : this.placeAt(offset);
  }
}

const NO_TREE = new Tree(undefined, new LineCounter());

interface Composed {
  readonly tree: Tree;
  /** Set when a limit was passed: then the tree has no document. */
  readonly beyond?: { readonly offset: number; readonly message: string; readonly cure: string };
}

/** `parseDocument` of yaml, which has no bounds, one token at a time. */
function compose(text: string, mostBytes: number): Composed {
  const mostWords = Math.max(WORDS_ALWAYS, Math.floor(mostBytes / MIN_BYTES_A_WORD));
  const lines = new LineCounter();
  lines.addNewLine(0);
  const parser = new Parser(lines.addNewLine);
  // Without uniqueKeys: yaml compares each key with all before it: a minute for 30,000 keys. `mistakesIn` uses a set.
  const composer = new Composer<ParsedNode, true>({ lineCounter: lines, prettyErrors: false, uniqueKeys: false });
  let beyond: Composed['beyond'];
  function* tokens(): Generator<CST.Token, void> {
    let words = 0;
    for (const word of new Lexer().lex(text)) {
      words += 1;
      yield* parser.next(word);
      if (words > mostWords) {
        const message = `the file has more than ${mostWords} words, brackets and line ends`;
        beyond = { offset: parser.offset, message, cure: 'Split it, or leave out what is not needed.' };
        return;
      }
      if (parser.stack.length > DEEPEST) {
        const message = 'nested too deeply';
        beyond = { offset: parser.offset, message, cure: 'Flatten it, or close the bracket that was left open.' };
        return;
      }
    }
    yield* parser.end();
  }
  let only: Document.Parsed | undefined;
  for (const document of composer.compose(tokens(), true, text.length)) {
    if (only !== undefined) {
      const message = 'a second document begins here (`---`)';
      beyond = { offset: document.range[0], message, cure: 'Keep one document in a file.' };
      break;
    }
    only = document;
  }
  return beyond === undefined ? { tree: new Tree(only, lines) } : { tree: new Tree(undefined, lines), beyond };
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
