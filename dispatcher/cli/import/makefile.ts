/**
 * The assignments of a makefile, expanded as make does it: nothing is run, no file is included, and functions are not
 * evaluated. Bounded, as a value may double with each line.
 */

/** By name; `${env:NAME}` marks a variable that only the environment has. */
export type Variables = ReadonlyMap<string, string>;

export interface Makefile {
  readonly variables: Variables;
  /** Lines that were not taken, and why. */
  readonly left: readonly string[];
}

const MAX_VALUE_CHARACTERS = 262_144;
const MAX_LINES = 20_000;
/** Stands for what was not evaluated. */
export const UNREAD = '${unread}';

export function readMakefile(text: string, before: Variables = new Map()): Makefile {
  const variables = new Map(before);
  const left: string[] = [];
  const lines = text.replaceAll(/\\\r?\n[ \t]*/g, ' ').split(/\r?\n/);
  if (lines.length > MAX_LINES) left.push(`only the first ${MAX_LINES} lines were read`);
  for (const line of lines.slice(0, MAX_LINES)) {
    const code = /^((?:[^#\\]|\\.)*)/.exec(line)?.[1]?.trimEnd() ?? '';
    const assignment = /^ *(?:export +)?([A-Za-z_][\w.-]*)\s*(:{0,3}=|\?=|\+=|!=)\s*(.*)$/.exec(code);
    if (assignment === null) {
      if (/^ *(?:-?include|define|ifn?eq|ifn?def|else|endif)\b/.test(code)) left.push(`not followed: ${code.trim()}`);
      continue;
    }
    const [, name = '', operator = '', value = ''] = assignment;
    if (operator === '?=' && variables.has(name)) continue;
    const expanded = operator === '!=' ? UNREAD : expand(value, variables);
    if (operator === '!=' || expanded.includes(UNREAD)) left.push(`not evaluated: ${code.trim()}`);
    const whole = operator === '+=' ? `${variables.get(name) ?? ''} ${expanded}` : expanded;
    if (whole.length <= MAX_VALUE_CHARACTERS) variables.set(name, whole);
    else left.push(`longer than ${MAX_VALUE_CHARACTERS} characters: ${name}`);
  }
  return { variables, left };
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
