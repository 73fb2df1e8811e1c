/**
 * The subset of Cloud Logging's query language that clients of batch services use: comparisons of fields with strings,
 * `log_id("…")`, AND, OR, NOT and parentheses (https://cloud.google.com/logging/docs/view/logging-query-language).
 */
import { GoogleRefusal } from './status.ts';

export type Condition = (entry: object) => boolean;

interface Token {
  readonly kind: 'text' | 'word' | 'sign';
  readonly value: string;
}

/** Throws INVALID_ARGUMENT for unsupported syntax. */
export function parseFilter(filter: string): Condition {
  const tokens = tokenize(filter);
  let at = 0;
  const peek = (): Token | undefined => tokens[at];
  const take = (): Token => {
    const token = tokens[at];
    if (token === undefined) throw unparseable(filter, 'it ends too early');
    at += 1;
    return token;
  };
  const isWord = (value: string): boolean => peek()?.kind === 'word' && peek()?.value === value;
  const expect = (sign: string): void => {
    const token = take();
    if (token.kind !== 'sign' || token.value !== sign) throw unparseable(filter, `${sign} expected`);
  };

  const alternatives = (): Condition => {
    const all = [conjunction()];
    while (isWord('OR')) {
      take();
      all.push(conjunction());
    }
    return (entry) => all.some((one) => one(entry));
  };
  // Two adjacent comparisons, also on separate lines, are joined by AND too.
  const conjunction = (): Condition => {
    const all = [single()];
    while (peek() !== undefined && !isWord('OR') && !(peek()?.kind === 'sign' && peek()?.value === ')')) {
      if (isWord('AND')) take();
      all.push(single());
    }
    return (entry) => all.every((one) => one(entry));
  };
  const single = (): Condition => {
    if (isWord('NOT')) {
      take();
      const inner = single();
      return (entry) => !inner(entry);
    }
    if (peek()?.kind === 'sign' && peek()?.value === '(') {
      take();
      const inner = alternatives();
      expect(')');
      return inner;
    }
    return comparison();
  };
  const comparison = (): Condition => {
    const path = [take().value];
    if (path[0] === 'log_id' && peek()?.value === '(') {
      take();
      const id = take().value;
      expect(')');
      return (entry) => field(entry, ['logName'])?.endsWith(`/logs/${encodeURIComponent(id)}`) === true;
    }
    while (peek()?.kind === 'sign' && peek()?.value === '.') {
      take();
      path.push(take().value);
    }
    const sign = take();
    const wanted = take().value;
    const compare = comparisons[sign.kind === 'sign' ? sign.value : ''];
    if (compare === undefined) throw unparseable(filter, `${sign.value} is not a comparison`);
    return (entry) => {
      const value = field(entry, path);
      return value !== undefined && compare(value, wanted);
    };
  };

  if (tokens.length === 0) return () => true;
  const condition = alternatives();
  if (at < tokens.length) throw unparseable(filter, `${peek()?.value} is too much`);
  return condition;
}

const comparisons: Readonly<Record<string, (value: string, wanted: string) => boolean>> = {
  '=': (value, wanted) => value === wanted,
  '!=': (value, wanted) => value !== wanted,
  ':': (value, wanted) => value.includes(wanted),
  '>=': (value, wanted) => value >= wanted,
  '<=': (value, wanted) => value <= wanted,
  '>': (value, wanted) => value > wanted,
  '<': (value, wanted) => value < wanted,
};

function tokenize(filter: string): Token[] {
  const pattern = /\s+|"((?:[^"\\]|\\.)*)"|([A-Za-z_][\w-]*)|(!=|>=|<=|[=:<>().])/gy;
  const tokens: Token[] = [];
  let end = 0;
  for (const match of filter.matchAll(pattern)) {
    end = match.index + match[0].length;
    const [, text, word, sign] = match;
    if (text !== undefined) tokens.push({ kind: 'text', value: text.replaceAll(/\\(.)/g, '$1') });
    else if (word !== undefined) tokens.push({ kind: 'word', value: word });
    else if (sign !== undefined) tokens.push({ kind: 'sign', value: sign });
  }
  if (end < filter.length) throw unparseable(filter, `${filter.slice(end, end + 10)} is not understood`);
  return tokens;
}

function field(entry: object, path: readonly string[]): string | undefined {
  let value: unknown = entry;
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = Reflect.get(value, name);
  }
  return typeof value === 'string' ? value : undefined;
}

function unparseable(filter: string, why: string): GoogleRefusal {
  return new GoogleRefusal('INVALID_ARGUMENT', `Unparseable filter: ${why}: ${filter}`);
}
