/** GitHub's expressions, parsed and evaluated by GitHub's own library. Pure. */
import { data, Evaluator, Lexer, Parser } from '@actions/expressions';

export type Value = string | number | boolean | null | readonly Value[] | { readonly [key: string]: Value };

/**
 * `github`, `matrix`, `strategy`, `needs`, `env`, and the state that `success()` and the other status functions check.
 */
export interface ExpressionContext {
  readonly names: Readonly<Record<string, Value>>;
  readonly outcome: 'success' | 'failure' | 'cancelled';
}

export class ExpressionError extends Error {}

/** https://docs.github.com/en/actions/reference/workflows-and-actions/contexts; without a value, a name is null here. */
const NAMES = [
  'github',
  'env',
  'vars',
  'job',
  'jobs',
  'steps',
  'runner',
  'secrets',
  'strategy',
  'matrix',
  'needs',
  'inputs',
];

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
  const result = evaluate(`!!(${text})`, context) === true;
  // Without a status function, a condition is only evaluated if everything has succeeded.
  return /\b(always|failure|cancelled|success)\s*\(/.test(text) ? result : result && context.outcome === 'success';
}

export function evaluate(expression: string, context: ExpressionContext): Value {
  // The library has no tree for it.
  if (expression.trim() === '') throw new ExpressionError('an expression is empty');
  const functions = statusFunctions(context.outcome);
  const names = Object.fromEntries(NAMES.map((name) => [name, null]));
  try {
    const tree = new Parser(new Lexer(expression).lex().tokens, NAMES, [...functions.values()]).parse();
    const known = new data.Dictionary(
      ...Object.entries({ ...names, ...context.names }).map(([key, value]) => ({ key, value: toData(value) })),
    );
    return fromData(new Evaluator(tree, known, functions).evaluate());
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    throw new ExpressionError(`${words} in \${{${expression}}}`, { cause: error });
  }
}

/** Those that depend on what has happened so far; the library has all others but `hashFiles`. */
function statusFunctions(outcome: ExpressionContext['outcome']) {
  const answers = {
    always: true,
    success: outcome === 'success',
    failure: outcome === 'failure',
    cancelled: outcome === 'cancelled',
  };
  return new Map(
    Object.entries(answers).map(([name, answer]) => [
      name,
      { name, minArgs: 0, maxArgs: Number.MAX_SAFE_INTEGER, call: () => new data.BooleanData(answer) },
    ]),
  );
}

function toData(value: Value): data.ExpressionData {
  return JSON.parse(JSON.stringify(value), data.reviver);
}

function fromData(result: data.ExpressionData): Value {
  return toValue(JSON.parse(JSON.stringify(result, data.replacer)));
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

export function toText(value: Value): string {
  return toData(value).coerceString();
}
