/**
 * The subset of GitHub's expression language that workflows for a dispatcher use: literals, property paths,
 * comparisons, `&& || !`, and the functions of `functions` below. Pure.
 */
export type Value = string | number | boolean | null | readonly Value[] | { readonly [key: string]: Value };

/**
 * `github`, `matrix`, `strategy`, `needs`, `env`, and the state that `success()` and the other status functions check.
 */
export interface ExpressionContext {
  readonly names: Readonly<Record<string, Value>>;
  readonly outcome: 'success' | 'failure' | 'cancelled';
}

export class ExpressionError extends Error {}

/** Replaces every `${{ … }}` in a text. */
export function expandText(text: string, context: ExpressionContext): string {
  return text.replaceAll(/\$\{\{(.*?)\}\}/gs, (_whole, expression: string) => toText(evaluate(expression, context)));
}

/** Like `expandText`, but a text that is one expression keeps the type of its value (`fromJSON` gives arrays). */
export function expandValue(text: string, context: ExpressionContext): Value {
  const whole = /^\s*\$\{\{((?:(?!\}\}).)*)\}\}\s*$/s.exec(text)?.[1];
  return whole === undefined ? expandText(text, context) : evaluate(whole, context);
}

/** An `if:` may omit the `${{ }}`. */
export function holds(condition: string, context: ExpressionContext): boolean {
  const text = /^\s*\$\{\{(.*)\}\}\s*$/s.exec(condition)?.[1] ?? condition;
  const result = truthy(evaluate(text, context));
  // Without a status function, a condition is only evaluated if everything has succeeded.
  return /\b(always|failure|cancelled|success)\s*\(/.test(text) ? result : result && context.outcome === 'success';
}

type Token = { readonly kind: 'text' | 'number' | 'name' | 'sign'; readonly text: string };

function tokenize(expression: string): Token[] {
  const tokens: Token[] = [];
  const pattern = /\s*(?:'((?:[^']|'')*)'|(-?\d+(?:\.\d+)?)|([A-Za-z_][\w-]*)|(==|!=|<=|>=|&&|\|\||[!<>()[\].,*]))/gy;
  let end = 0;
  while (end < expression.trimEnd().length) {
    pattern.lastIndex = end;
    const match = pattern.exec(expression);
    if (!match) throw new ExpressionError(`unexpected "${expression.slice(end).trim()}" in \${{${expression}}}`);
    end = pattern.lastIndex;
    const [, text, number, name, sign] = match;
    if (text !== undefined) tokens.push({ kind: 'text', text: text.replaceAll("''", "'") });
    else if (number !== undefined) tokens.push({ kind: 'number', text: number });
    else if (name !== undefined) tokens.push({ kind: 'name', text: name });
    else if (sign !== undefined) tokens.push({ kind: 'sign', text: sign });
  }
  return tokens;
}

export function evaluate(expression: string, context: ExpressionContext): Value {
  const tokens = tokenize(expression);
  let position = 0;
  const peek = (): string | undefined => {
    const token = tokens[position];
    return token?.kind === 'sign' ? token.text : undefined;
  };
  const take = (sign: string): boolean => {
    if (peek() !== sign) return false;
    position += 1;
    return true;
  };
  const expect = (sign: string): void => {
    if (!take(sign)) throw new ExpressionError(`"${sign}" expected in \${{${expression}}}`);
  };

  function or(): Value {
    let left = and();
    while (take('||')) {
      const right = and();
      left = truthy(left) ? left : right;
    }
    return left;
  }
  function and(): Value {
    let left = comparison();
    while (take('&&')) {
      const right = comparison();
      left = truthy(left) ? right : left;
    }
    return left;
  }
  function comparison(): Value {
    let left = unary();
    for (let sign = peek(); sign && ['==', '!=', '<', '>', '<=', '>='].includes(sign); sign = peek()) {
      position += 1;
      left = compare(left, sign, unary());
    }
    return left;
  }
  function unary(): Value {
    if (take('!')) return !truthy(unary());
    return path(primary());
  }
  function path(value: Value): Value {
    let current = value;
    for (;;) {
      if (take('.')) {
        const token = tokens[position];
        position += 1;
        current = property(current, token?.text ?? '');
      } else if (take('[')) {
        current = property(current, toText(or()));
        expect(']');
      } else return current;
    }
  }
  function primary(): Value {
    const token = tokens[position];
    position += 1;
    if (!token) throw new ExpressionError(`\${{${expression}}} ends too early`);
    if (token.kind === 'text') return token.text;
    if (token.kind === 'number') return Number(token.text);
    if (token.text === '(') {
      const inner = or();
      expect(')');
      return inner;
    }
    if (token.kind === 'sign') throw new ExpressionError(`unexpected "${token.text}" in \${{${expression}}}`);
    if (peek() === '(') return call(token.text);
    if (token.text === 'true') return true;
    if (token.text === 'false') return false;
    if (token.text === 'null') return null;
    return context.names[token.text] ?? null;
  }
  function call(name: string): Value {
    expect('(');
    const values: Value[] = [];
    while (peek() !== ')') {
      values.push(or());
      if (!take(',')) break;
    }
    expect(')');
    return apply(name, values, context);
  }

  const result = or();
  if (position < tokens.length) throw new ExpressionError(`more than one expression in \${{${expression}}}`);
  return result;
}

function apply(name: string, values: readonly Value[], context: ExpressionContext): Value {
  const [first = null, second = null] = values;
  switch (name.toLowerCase()) {
    case 'always':
      return true;
    case 'success':
      return context.outcome === 'success';
    case 'failure':
      return context.outcome === 'failure';
    case 'cancelled':
      return context.outcome === 'cancelled';
    case 'contains':
      return Array.isArray(first)
        ? first.some((item) => compare(item, '==', second) === true)
        : toText(first).toLowerCase().includes(toText(second).toLowerCase());
    case 'startswith':
      return toText(first).toLowerCase().startsWith(toText(second).toLowerCase());
    case 'endswith':
      return toText(first).toLowerCase().endsWith(toText(second).toLowerCase());
    case 'format':
      return toText(first).replaceAll(/\{(\d+)\}/g, (_whole, index: string) =>
        toText(values[Number(index) + 1] ?? null),
      );
    case 'join':
      return Array.isArray(first) ? first.map(toText).join(second === null ? ',' : toText(second)) : toText(first);
    case 'tojson':
      return JSON.stringify(first, null, 2);
    case 'fromjson':
      return toValue(JSON.parse(toText(first)));
    default:
      throw new ExpressionError(`the simulator does not know the function ${name}()`);
  }
}

/** JSON in, Value out; anything else (functions, undefined) becomes null. */
export function toValue(input: unknown): Value {
  if (input === null || typeof input === 'string' || typeof input === 'number' || typeof input === 'boolean') {
    return input;
  }
  if (Array.isArray(input)) return input.map(toValue);
  if (typeof input === 'object') {
    return Object.fromEntries(Object.entries(input).map(([key, value]) => [key, toValue(value)]));
  }
  return null;
}

function property(value: Value, key: string): Value {
  if (value === null || typeof value !== 'object') return null;
  for (const [name, item] of Object.entries(value)) if (name.toLowerCase() === key.toLowerCase()) return item;
  return null;
}

function compare(left: Value, sign: string, right: Value): boolean {
  const [a, b] =
    typeof left === 'string' && typeof right === 'string'
      ? [left.toLowerCase(), right.toLowerCase()]
      : left === right
        ? [0, 0]
        : [toNumber(left), toNumber(right)];
  switch (sign) {
    case '==':
      return a === b;
    case '!=':
      return a !== b;
    case '<':
      return a < b;
    case '>':
      return a > b;
    case '<=':
      return a <= b;
    default:
      return a >= b;
  }
}

function toNumber(value: Value): number {
  if (value === null) return 0;
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (typeof value === 'string') return value === '' ? 0 : Number(value);
  return typeof value === 'number' ? value : Number.NaN;
}

function truthy(value: Value): boolean {
  return !(value === null || value === false || value === '' || value === 0 || Number.isNaN(value));
}

export function toText(value: Value): string {
  if (value === null) return '';
  if (typeof value === 'object') return Array.isArray(value) ? 'Array' : 'Object';
  return String(value);
}
