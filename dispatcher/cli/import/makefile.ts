/**
 * The assignments of a makefile, expanded as make does it: nothing is run, no file is included, and functions are not
 * evaluated. Bounded, as a value may double with each line.
 */

/** By name; `${env:NAME}` marks a variable that only the environment has. */
export type Variables = ReadonlyMap<string, string>;

export interface Makefile {
  readonly variables: Variables;
  /** Lines that were not taken, and why: by name and number, as a secret may stand in them. */
  readonly left: readonly string[];
}

const MAX_VALUE_CHARACTERS = 262_144;
const MAX_CHARACTERS_IN_ALL = 4_194_304;
const MAX_LINES = 20_000;
/** Stands for what was not evaluated. */
export const UNREAD = '${unread}';

export function readMakefile(text: string, before: Variables = new Map()): Makefile {
  const variables = new Map(before);
  const left: string[] = [];
  const lines = linesOf(text);
  let total = [...variables.values()].reduce((sum, { length }) => sum + length, 0);
  if (lines.length > MAX_LINES) left.push(`only the first ${MAX_LINES} lines were read`);
  for (const line of lines.slice(0, MAX_LINES)) {
    const code = /^((?:[^#\\]|\\.)*)/.exec(line.text)?.[1]?.trimEnd() ?? '';
    const assignment = /^ *(?:export +)?([A-Za-z_][\w.-]*)\s*(:{0,3}=|\?=|\+=|!=)\s*(.*)$/.exec(code);
    if (assignment === null) {
      const directive = /^ *(-?include|define|ifn?eq|ifn?def|else|endif)\b/.exec(code)?.[1];
      if (directive !== undefined) left.push(`not followed: ${directive} (line ${line.number})`);
      continue;
    }
    const [, name = '', operator = '', value = ''] = assignment;
    if (operator === '?=' && variables.has(name)) continue;
    const expanded = operator === '!=' ? UNREAD : expand(value, variables);
    const where = `${name} (line ${line.number})`;
    if (operator === '!=' || expanded.includes(UNREAD)) left.push(`not evaluated: ${where}`);
    const former = variables.get(name) ?? '';
    const whole = operator === '+=' ? `${former} ${expanded}` : expanded;
    const totalThen = total + whole.length - former.length;
    if (whole.length > MAX_VALUE_CHARACTERS) left.push(`longer than ${MAX_VALUE_CHARACTERS} characters: ${where}`);
    else if (totalThen > MAX_CHARACTERS_IN_ALL) {
      left.push(`more than ${MAX_CHARACTERS_IN_ALL} characters in all: ${where}`);
    } else {
      variables.set(name, whole);
      total = totalThen;
    }
  }
  return { variables, left };
}

interface Line {
  /** Of its beginning: it may go on over several. */
  readonly number: number;
  readonly text: string;
}

function linesOf(text: string): readonly Line[] {
  const lines: Line[] = [];
  let number = 1;
  let begun: string[] = [];
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const piece = begun.length === 0 ? raw : raw.replace(/^[ \t]+/, '');
    if (piece.endsWith('\\')) {
      begun.push(piece.slice(0, -1));
      continue;
    }
    lines.push({ number, text: [...begun, piece].join(' ') });
    begun = [];
    number = index + 2;
  }
  return begun.length === 0 ? lines : [...lines, { number, text: begun.join(' ') }];
}

/** One pass: what a value expands to was expanded when it was assigned. */
function expand(value: string, variables: Variables): string {
  let length = 0;
  return value.replaceAll(
    /\$\$|\$\{([^{}()$]*)\}|\$\(([^{}()$]*)\)|\$\([^\n]*\)?|\$\{[^\n]*\}?/g,
    (whole, braced, round) => {
      if (whole === '$$') return '$';
      const name: unknown = braced ?? round;
      if (typeof name !== 'string' || !/^[\w.-]+$/.test(name)) return UNREAD;
      const known = variables.get(name) ?? `\${env:${name}}`;
      length += known.length;
      return length > MAX_VALUE_CHARACTERS ? UNREAD : known;
    },
  );
}

/** What the shell makes of a value in a recipe: quotes vanish, and a backslash keeps what follows it. */
export function unquoted(value: string): string {
  return value.replaceAll(/\\([\s\S])|"/g, (_, kept: string | undefined) => kept ?? '');
}
