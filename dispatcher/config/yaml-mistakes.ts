/**
 * Rephrases YAML parser errors for the author of the file: one mistake, its place, one cure. A parser reports
 * follow-up errors after its first, so only the first is reported, except for tabs: each of those is certain. Never
 * quotes values, which may be secrets.
 */
import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  type LineCounter,
  type Node,
  visit,
  type YAMLMap,
} from 'yaml';
import { noColonBefore, quoted, syntaxMistake, tab, type YamlMistake } from './yaml-syntax.ts';

/** More of the same kind add no information. */
const MAX_TOLD = 20;
const MAX_ALIASES = 100;

/** Empty if the document is usable as it is. */
export function mistakesIn(document: Document.Parsed, text: string, lines: LineCounter): readonly YamlMistake[] {
  const tabs = document.errors.filter(({ code }) => code === 'TAB_AS_INDENT');
  if (tabs.length > 0) return tabs.slice(0, MAX_TOLD).map(({ pos }) => tab(pos[0]));
  const [first] = document.errors;
  const syntax = first === undefined ? undefined : syntaxMistake(first, document, text);
  // Everything before the parser's first error was parsed correctly.
  const until = first === undefined ? Number.POSITIVE_INFINITY : Math.min(first.pos[0], syntax?.offset ?? 0);
  const others = structureMistakes(document, lines).filter(({ offset }) => offset < until);
  return [...others, ...(syntax === undefined ? [] : [syntax])].slice(0, MAX_TOLD);
}

/** Valid syntax, and still a mistake. */
function structureMistakes(document: Document.Parsed, lines: LineCounter): readonly YamlMistake[] {
  const mistakes: YamlMistake[] = [];
  const anchors = new Set<string>();
  let aliases = 0;
  visit(document, {
    Node(_, node, ancestors) {
      if (isAlias(node)) {
        aliases += 1;
        if (aliases === MAX_ALIASES + 1) mistakes.push(tooManyAliases(offsetOf(node)));
        if (ancestors.some((around) => isNode(around) && !isAlias(around) && around.anchor === node.source)) {
          mistakes.push(aliasOfItself(offsetOf(node)));
        } else if (!anchors.has(node.source)) {
          mistakes.push(quoted(offsetOf(node), '`*` is read as the start of a YAML alias'));
        }
        return;
      }
      if (node.anchor !== undefined) anchors.add(node.anchor);
      if (isMap(node)) mistakes.push(...keyMistakes(node, lines));
    },
  });
  for (const { code, pos } of document.warnings) {
    if (code !== 'TAG_RESOLVE_FAILED') continue;
    mistakes.push(quoted(pos[0], '`!` is read as the start of a YAML tag'));
  }
  return mistakes.sort((a, b) => a.offset - b.offset);
}

function keyMistakes(map: YAMLMap<unknown, unknown>, lines: LineCounter): readonly YamlMistake[] {
  const mistakes: YamlMistake[] = [];
  const seen = new Map<string, number>();
  for (const { key } of map.items) {
    if (!isScalar(key)) {
      if (isNode(key)) mistakes.push(noKey(offsetOf(key)));
      continue;
    }
    const name = String(key.value);
    const bracket = key.type === 'PLAIN' ? /^[\w-]+\s+([{[])/.exec(name) : null;
    if (bracket !== null) {
      mistakes.push(noColonBefore(offsetOf(key) + bracket[0].length - 1, bracket[1] ?? ''));
      continue;
    }
    const earlier = seen.get(name);
    if (earlier === undefined) seen.set(name, offsetOf(key));
    else {
      mistakes.push({
        offset: offsetOf(key),
        message: `the key \`${shortened(name)}\` appears twice, first on line ${lines.linePos(earlier).line}`,
        cure: 'Keep one of the two.',
      });
    }
  }
  return mistakes;
}

function offsetOf(node: Node): number {
  return node.range?.[0] ?? 0;
}

const tooManyAliases = (offset: number): YamlMistake => ({
  offset,
  message: `the file has more than ${MAX_ALIASES} aliases`,
  cure: 'Write the values out.',
});

const aliasOfItself = (offset: number): YamlMistake => ({
  offset,
  message: 'the alias refers to a value that contains it',
  cure: 'Write the value out.',
});

const noKey = (offset: number): YamlMistake => ({
  offset,
  message: 'a list or a mapping is used as a key',
  cure: 'Write `KEY: VALUE`, and put a text with `{` or `[` in quotes.',
});

const MAX_SHOWN = 60;

function shortened(text: string): string {
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}
