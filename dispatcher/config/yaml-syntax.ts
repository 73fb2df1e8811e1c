/** What the YAML parser could not read: its error as one mistake, its place, one cure. Never quotes values. Pure. */
import { type Document, isMap, visit, type YAMLError } from 'yaml';

export interface YamlMistake {
  readonly offset: number;
  readonly message: string;
  readonly cure: string;
}

export const tab = (offset: number): YamlMistake => ({
  offset,
  message: 'tab in the indentation',
  cure: 'Indent with spaces.',
});

interface Line {
  readonly start: number;
  readonly text: string;
}

export function syntaxMistake(error: YAMLError, document: Document.Parsed, text: string): YamlMistake {
  const offset = error.pos[0];
  const line = lineAt(text, offset);
  const reference = bareReference(line);
  if (reference !== undefined) return reference;
  switch (error.code) {
    case 'BAD_INDENT':
      if (line.text.startsWith('\t')) return tab(line.start);
      // The map may begin with empty lines and comments; what is indented wrongly comes after them.
      return unclosed(document, text, offset) ?? wrongIndent(text, hasContent(line) ? line : nextLine(text, line));
    case 'BLOCK_AS_IMPLICIT_KEY':
      return (
        keyBeforeBracket(line) ??
        colonInValue(line, offset) ??
        wrongIndent(text, offset === line.start ? line : nextLine(text, line))
      );
    case 'MULTILINE_IMPLICIT_KEY':
    case 'MISSING_CHAR':
      return missing(error, line, document, text);
    case 'UNEXPECTED_TOKEN':
      return unexpected(error, line, text);
    case 'BAD_ALIAS':
      return error.message.startsWith('Anchor')
        ? quoted(offset, '`&` is read as the start of a YAML anchor')
        : quoted(offset, '`*` is read as the start of a YAML alias');
    case 'BAD_SCALAR_START':
      return quoted(offset, `a value cannot begin with \`${text.charAt(offset)}\``);
    case 'KEY_OVER_1024_CHARS':
      return { offset, message: 'a key has more than 1024 characters', cure: 'Put the colon after its key.' };
    case 'BAD_DQ_ESCAPE':
      return {
        offset,
        message: `\`${text.slice(offset, offset + 2)}\` is not an escape that double quotes know`,
        cure: 'Write single quotes, or `\\\\` for a backslash.',
      };
    case 'BLOCK_IN_FLOW':
      return {
        offset,
        message: 'between brackets, entries are separated by commas',
        cure: 'Put a comma between them, or a value with `: ` in quotes.',
      };
    default:
      return {
        offset,
        // The text after a colon is quoted from the file, and may be a secret.
        message: `not readable as YAML: ${error.message.replace(/:.*/s, '')}`,
        cure: 'Correct the line; a value with `: ` or ` #` in it, or with a sign such as `*`, `&`, `!`, `{`, `[`, `@` at its start, needs quotes.',
      };
  }
}

export function quoted(offset: number, message: string): YamlMistake {
  return { offset, message, cure: 'Put the value in quotes.' };
}

/** `[${env:A}]`: the braces of the reference are parsed as a map's. */
function bareReference(line: Line): YamlMistake | undefined {
  const found = /(?<=[[{,:-]\s*)\$\{[a-z-]{1,20}:[^}]*\}/.exec(line.text);
  const before = found === null ? '' : line.text.slice(0, found.index);
  if (found === null || !/[[{]/.test(before)) return undefined;
  return {
    offset: line.start + found.index,
    message: 'between brackets, a reference needs quotes',
    cure: `Write \`"${found[0]}"\`.`,
  };
}

/** The innermost unclosed `{` or `[` before the error. */
function unclosed(document: Document.Parsed, text: string, offset: number): YamlMistake | undefined {
  let open: { readonly at: number; readonly sign: string; readonly end: string } | undefined;
  visit(document, {
    Collection(_, node) {
      const [start, end] = node.range ?? [];
      if (node.flow !== true || start === undefined || end === undefined || start >= offset || end < offset - 1) return;
      const counterpart = isMap(node) ? '}' : ']';
      const sign = isMap(node) ? '{' : '[';
      if (text.charAt(start) === sign && !text.slice(start, end).trimEnd().endsWith(counterpart)) {
        open = { at: start, sign, end: counterpart };
      }
    },
  });
  if (open === undefined) return undefined;
  return { offset: open.at, message: `the \`${open.sign}\` is never closed`, cure: `Close it with \`${open.end}\`.` };
}

function wrongIndent(text: string, line: Line): YamlMistake {
  const spaces = indentOf(line);
  const indented = `the line is indented by ${inSpaces(spaces)}`;
  const at = { offset: line.start + spaces };
  const above = linesBefore(text, line);
  const last = above.at(-1);
  // Then it is the line between them that does not belong there, or has a value and something below it.
  if (last !== undefined && above.some((other) => indentOf(other) === spaces)) {
    return {
      ...at,
      message: `${indented}, and line ${last.number} above it by ${indentOf(last)}: one of the two is wrong`,
      cure: 'Indent both exactly like the lines they belong with.',
    };
  }
  return {
    ...at,
    message: `${indented}, which does not match any line above`,
    cure: 'Indent it exactly like the lines it belongs with.',
  };
}

function inSpaces(count: number): string {
  return count === 1 ? '1 space' : `${count} spaces`;
}

function indentOf({ text }: Line): number {
  return text.length - text.trimStart().length;
}

/** Those with content, and their numbers. */
function linesBefore(text: string, { start }: Line): readonly (Line & { readonly number: number })[] {
  const found: (Line & { readonly number: number })[] = [];
  let at = 0;
  for (let number = 1; at < start; number += 1) {
    const line = lineAt(text, at);
    if (hasContent(line)) found.push({ ...line, number });
    at = text.indexOf('\n', at) + 1;
  }
  return found;
}

function hasContent({ text }: Line): boolean {
  return /^\s*[^\s#]/.test(text);
}

/** `defaults { image: … }`. */
function keyBeforeBracket(line: Line): YamlMistake | undefined {
  const [, before, sign] = KEY_BEFORE_BRACKET.exec(line.text) ?? [];
  if (before === undefined || sign === undefined) return undefined;
  return noColonBefore(line.start + before.length, sign);
}

const KEY_BEFORE_BRACKET = /^([ \t]*(?:- )?[\w-]+[ \t]+)([{[])/;

export function noColonBefore(offset: number, sign: string): YamlMistake {
  const whole = sign === '{' ? '{ … }' : '[ … ]';
  return { offset, message: `there is no colon before the \`${sign}\``, cure: `Write \`KEY: ${whole}\`.` };
}

/** `description: a: b`. Undefined where the map begins on the next line. */
function colonInValue(line: Line, offset: number): YamlMistake | undefined {
  if (!/:(?:\s|$)/.test(line.text.slice(offset - line.start))) return undefined;
  return quoted(offset, 'the value has a colon followed by a space in it');
}

function missing(error: YAMLError, line: Line, document: Document.Parsed, text: string): YamlMistake {
  const offset = error.pos[0];
  if (error.message.includes('closing')) return unclosedQuote(document, text, offset);
  if (error.message.includes('Comments')) {
    return { offset, message: 'there is no space before `#`', cure: 'Put a space before the comment.' };
  }
  if (error.message.includes('Sequence item')) return wrongIndent(text, line);
  if (error.message.includes('must end with')) return unclosed(document, text, offset) ?? withoutColon(line);
  if (error.message.includes('Missing ,')) {
    // `[::]:8080`, not `[a] b`.
    if (/[\]}]\S/.test(text.slice(offset - 1, offset + 1))) return quoted(offset, 'a value goes on after its bracket');
    return { offset, message: 'a comma is missing here', cure: 'Separate the entries with commas.' };
  }
  return withoutColon(line);
}

function withoutColon(line: Line): YamlMistake {
  const bracket = keyBeforeBracket(line);
  if (bracket !== undefined) return bracket;
  const words = line.text.trim();
  const offset = line.start + line.text.length - line.text.trimStart().length;
  const joined = /^([\w-]+):\S/.exec(words);
  if (joined !== null) {
    return { offset, message: 'there is no space after the colon', cure: `Write \`${joined[1]}: VALUE\`.` };
  }
  if (/^-(?:\s|$)/.test(words)) {
    return {
      offset,
      message: 'list item among the keys of a mapping',
      cure: 'Put the list under a key of its own, or indent it below its key.',
    };
  }
  return {
    offset,
    message: 'the line has no key: there is no colon in it',
    cure: 'Write `KEY: VALUE`, or begin the item of a list with `- `.',
  };
}

function unclosedQuote(document: Document.Parsed, text: string, offset: number): YamlMistake {
  let at = offset;
  visit(document, {
    Scalar(_, node) {
      const [start, end] = node.range ?? [];
      if (start !== undefined && end !== undefined && start < offset && end >= offset - 1) at = start;
    },
  });
  const sign = text.charAt(at) === "'" ? "'" : '"';
  return { offset: at, message: 'the quote is never closed', cure: `Close it with \`${sign}\`.` };
}

function unexpected(error: YAMLError, line: Line, text: string): YamlMistake {
  const offset = error.pos[0];
  const sign = text.charAt(offset);
  if (sign === '}' || sign === ']') {
    return { offset, message: `the \`${sign}\` closes nothing`, cure: 'Remove it, or add the one that opens it.' };
  }
  if (sign === ',') return { offset, message: 'nothing comes before the comma', cure: 'Remove the comma.' };
  if (sign === '-') return withoutColon(line);
  const before = line.text.slice(0, offset - line.start).trimEnd();
  if (/["']$/.test(before)) {
    return {
      offset,
      message: 'text after the closing quote',
      cure: 'Put the whole value in one pair of quotes.',
    };
  }
  const value = /(?:^|\s)[[{]/.exec(before);
  if (value !== null) {
    const opened = value[0].trim();
    const kind = opened === '[' ? 'list' : 'map';
    return quoted(line.start + value.index + value[0].length - 1, `\`${opened}\` is read as the start of a ${kind}`);
  }
  return quoted(offset, 'this is not allowed here');
}

function lineAt(text: string, offset: number): Line {
  const start = offset === 0 ? 0 : text.lastIndexOf('\n', offset - 1) + 1;
  const end = text.indexOf('\n', start);
  return { start, text: text.slice(start, end === -1 ? text.length : end).replace(/\r$/, '') };
}

/** The next non-blank line; the line itself at the end of the file. */
function nextLine(text: string, { start, text: content }: Line): Line {
  let at = start + content.length;
  for (;;) {
    const newline = text.indexOf('\n', at);
    if (newline === -1) return { start, text: content };
    const line = lineAt(text, newline + 1);
    if (hasContent(line)) return line;
    at = newline + 1;
  }
}
