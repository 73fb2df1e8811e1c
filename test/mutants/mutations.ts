/** The small changes that a test should notice, found in a source file's syntax tree. */
import { parseSync, Visitor } from 'oxc-parser';

export interface Mutation {
  /** The kind of change: `comparison`, `condition` … */
  readonly operator: string;
  /** Where the replaced text stands, in UTF-16 code units. */
  readonly start: number;
  readonly end: number;
  readonly from: string;
  readonly to: string;
  /** Counted from 1. */
  readonly line: number;
  /** The whole line, trimmed: with `from` and `to` it names the mutation across edits elsewhere in the file. */
  readonly code: string;
}

const COMPARISONS: ReadonlyMap<string, string> = new Map([
  ['<', '<='],
  ['<=', '<'],
  ['>', '>='],
  ['>=', '>'],
  ['===', '!=='],
  ['!==', '==='],
]);
const ARITHMETIC: ReadonlyMap<string, string> = new Map([
  ['+', '-'],
  ['-', '+'],
  ['*', '/'],
  ['/', '*'],
]);
const METHODS: ReadonlyMap<string, string> = new Map([
  ['min', 'max'],
  ['max', 'min'],
  ['some', 'every'],
  ['every', 'some'],
  ['startsWith', 'endsWith'],
  ['has', 'get'],
  ['floor', 'ceil'],
]);
/** Calls that give a list back: without them the list stays as it was. */
const LIST_STEPS: ReadonlySet<string> = new Set(['filter', 'sort', 'slice', 'toSorted', 'reverse', 'trim']);

interface Span {
  readonly start: number;
  readonly end: number;
}

/** Every mutation of the file, in the order of its text. Throws when the source cannot be parsed. */
export function mutationsOf(path: string, source: string): readonly Mutation[] {
  const { program, errors } = parseSync(path, source);
  const [error] = errors;
  if (error !== undefined) throw new Error(`${path} cannot be parsed: ${error.message}`);
  const found: Mutation[] = [];
  const lines = lineStarts(source);

  function replace(operator: string, { start, end }: Span, to: string): void {
    const from = source.slice(start, end);
    if (from === to) return;
    const line = lineAt(lines, start);
    const code = source.slice(lines[line - 1] ?? 0, (lines[line] ?? source.length + 1) - 1).trim();
    found.push({ operator, start, end, from, to, line, code });
  }

  /** The operator stands between its operands, which may hold the same characters. */
  function replaceOperator(operator: string, node: Sides, from: string, to: string): void {
    const gap = source.slice(node.left.end, node.right.start);
    const at = gap.indexOf(from);
    if (at < 0) return;
    const start = node.left.end + at;
    replace(operator, { start, end: start + from.length }, to);
  }

  new Visitor({
    BinaryExpression(node) {
      const comparison = COMPARISONS.get(node.operator);
      if (comparison !== undefined) replaceOperator('comparison', node, node.operator, comparison);
      const arithmetic = ARITHMETIC.get(node.operator);
      if (arithmetic !== undefined) replaceOperator('arithmetic', node, node.operator, arithmetic);
    },
    LogicalExpression(node) {
      if (node.operator === '??') replace('fallback', node, source.slice(node.right.start, node.right.end));
      else replaceOperator('logic', node, node.operator, node.operator === '&&' ? '||' : '&&');
    },
    ConditionalExpression(node) {
      replace('condition', node.test, 'true');
      replace('condition', node.test, 'false');
    },
    IfStatement(node) {
      replace('condition', node.test, 'true');
      replace('condition', node.test, 'false');
    },
    WhileStatement(node) {
      replace('condition', node.test, 'false');
    },
    UnaryExpression(node) {
      if (node.operator === '!') replace('negation', node, source.slice(node.argument.start, node.argument.end));
    },
    Literal(node) {
      if (typeof node.value === 'boolean') replace('boolean', node, node.value ? 'false' : 'true');
      if (typeof node.value !== 'number') return;
      replace('number', node, String(node.value === 0 ? 1 : node.value * 10));
    },
    ExpressionStatement(node) {
      const { expression } = node;
      const call = expression.type === 'AwaitExpression' ? expression.argument : expression;
      if (call.type === 'CallExpression' && call.callee.type !== 'Super') replace('effect', node, ';');
    },
    AssignmentExpression(node) {
      const to = node.operator === '+=' ? '-=' : node.operator === '-=' ? '+=' : undefined;
      if (to !== undefined) replaceOperator('arithmetic', node, node.operator, to);
    },
    ReturnStatement(node) {
      // In the middle of a function it ends something early.
      if (node.argument === null) replace('jump', node, ';');
    },
    ContinueStatement(node) {
      replace('jump', node, ';');
    },
    BreakStatement(node) {
      replace('jump', node, ';');
    },
    CallExpression(node) {
      const { callee } = node;
      if (callee.type !== 'MemberExpression' || callee.computed || callee.property.type !== 'Identifier') return;
      const { name } = callee.property;
      const method = METHODS.get(name);
      if (method !== undefined) replace('method', callee.property, method);
      if (LIST_STEPS.has(name)) replace('list', node, source.slice(callee.object.start, callee.object.end));
    },
  }).visit(program);
  return found.sort((a, b) => a.start - b.start || a.end - b.end || (a.to < b.to ? -1 : 1));
}

interface Sides {
  readonly left: Span;
  readonly right: Span;
}

export function applied(source: string, { start, end, to }: Mutation): string {
  return source.slice(0, start) + to + source.slice(end);
}

function lineStarts(source: string): readonly number[] {
  const starts = [0];
  for (let at = source.indexOf('\n'); at >= 0; at = source.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
}

function lineAt(starts: readonly number[], offset: number): number {
  let line = 0;
  while (line < starts.length && (starts[line] ?? 0) <= offset) line += 1;
  return line;
}
