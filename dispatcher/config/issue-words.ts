/** Turns schema issues into messages for the author of the file, with what to write instead. Pure. */
import { z } from 'zod';
import { nearest } from '../labels/nearest.ts';
import { exampleOf, inYaml, isDuration, isMap, placeholder, TRUTHS } from './schema-lookup.ts';

export interface Words {
  readonly message: string;
  readonly cure: string;
}

export interface Complaint {
  readonly issue: z.core.$ZodIssue;
  /** The value in the file; undefined: missing. */
  readonly value: unknown;
  /** False if it came from a reference: it may be a secret. */
  readonly quotable: boolean;
  /** Describes the value, if the section's schema does. */
  readonly schema: unknown;
  /** The last segment of the path. */
  readonly name: string | number | undefined;
}

export function wordsOfIssue(complaint: Complaint): Words {
  const { issue, value } = complaint;
  if (value === undefined) {
    // A message about the form of a value says little about one that is missing.
    const own = issue.code === 'custom' || issue.message.startsWith('is missing') ? ownMessage(issue) : undefined;
    const words = inTwo(own ?? 'it is missing', addIt(complaint));
    const example = exampleOf(complaint.schema) !== undefined && words.cure !== addIt(complaint);
    return example ? { ...words, cure: `${words.cure} ${addIt(complaint)}` } : words;
  }
  if (isDuration(complaint.schema)) {
    const words = durationWords(complaint);
    if (words !== undefined) return words;
  }
  switch (issue.code) {
    case 'invalid_type':
      return typeWords(complaint, issue.expected);
    case 'invalid_value':
      return choiceWords(complaint, issue.values.map(String));
    case 'too_big':
    case 'too_small':
      return sizeWords(complaint, issue);
    default:
      return formWords(complaint);
  }
}

/** The message of a schema itself, or what zod says without one. */
function formWords(complaint: Complaint): Words {
  const { issue } = complaint;
  const [first] = issue.code === 'invalid_key' ? issue.issues : [];
  return inTwo(ownMessage(first ?? issue) ?? 'it is not valid', correct(complaint));
}

/** A schema says what is wrong, or what to do (`write …`), or both: `requires a subnet: give subnetId too`. */
function inTwo(own: string, usualCure: string): Words {
  const [, wrong = own, cure] = /^(?:(.*?): )?((?:write|give|name) .*)$/s.exec(own) ?? [];
  const message = cure !== undefined && wrong === own ? 'it is not valid' : wrong;
  return {
    message: /^(?:is|has|must|may|requires|applies|cannot)\b/.test(message) ? `it ${message}` : message,
    cure: cure === undefined ? usualCure : `${cure.charAt(0).toUpperCase()}${cure.slice(1)}.`,
  };
}

function addIt({ schema, name }: Complaint): string {
  if (typeof name !== 'string') return 'Add it.';
  const example = exampleOf(schema);
  return `Add it, such as \`${name}: ${example === undefined ? placeholder(schema) : inYaml(example)}\`.`;
}

function correct({ schema }: Complaint): string {
  const example = exampleOf(schema);
  return example === undefined ? 'Correct the value.' : `Write it like \`${inYaml(example)}\`.`;
}

/** zod's own messages mention inputs and options; those of our schemas and of providers name the setting. */
function ownMessage(issue: z.core.$ZodIssue): string | undefined {
  return /^(?:Invalid|Too (?:big|small)|Unrecognized)\b/.test(issue.message) ? undefined : issue.message;
}

function typeWords(complaint: Complaint, expected: string): Words {
  const { issue, value } = complaint;
  if (ownMessage(issue) !== undefined) return formWords(complaint);
  const message = value === null ? 'it is empty' : `it must be ${article(expected)}, not ${kindOf(value)}`;
  switch (expected) {
    case 'string':
      return textWords(complaint, message);
    case 'boolean': {
      const truth = typeof value === 'string' ? TRUTHS.get(value.toLowerCase()) : undefined;
      return {
        message,
        cure: truth === undefined ? 'Write `true` or `false`.' : `Write \`${truth}\`, without quotes.`,
      };
    }
    case 'number':
    case 'int':
      return numberWords(complaint, expected, message);
    case 'array':
      return {
        message,
        cure:
          typeof value === 'string' && value.startsWith('-')
            ? 'Put a space after each `-`.'
            : `Write a list, such as \`${typeof complaint.name === 'string' ? complaint.name : 'KEY'}: [VALUE]\`.`,
      };
    case 'object':
    case 'record':
      return {
        message,
        cure:
          typeof value === 'string' && /^[\w-]+:\S/.test(value)
            ? 'Put a space after each colon.'
            : 'Write `KEY: VALUE` lines below it, indented.',
      };
    default:
      return { message, cure: correct(complaint) };
  }
}

function numberWords({ value, quotable, schema }: Complaint, expected: 'number' | 'int', message: string): Words {
  const what = article(expected);
  if (typeof value === 'number' && quotable) {
    return { message: `${value} is not ${what}`, cure: `Write ${what}, such as \`${Math.round(value)}\`.` };
  }
  const digits = typeof value === 'string' ? /^\s*(-?\d+(?:\.\d+)?)/.exec(value)?.[1] : undefined;
  if (digits === undefined || !quotable) return { message, cure: `Write ${what}, such as \`${numberFor(schema)}\`.` };
  return { message, cure: `Write the number alone, without quotes or unit: \`${digits}\`.` };
}

/** A number that the schema accepts. */
function numberFor(schema: unknown): number {
  const least = schema instanceof z.ZodNumber ? (schema.minValue ?? 1) : 1;
  return Math.max(1, least);
}

/** A number where text is expected needs quotes, unless it would be invalid even in quotes. */
function textWords(complaint: Complaint, message: string): Words {
  const { value, schema } = complaint;
  if (typeof value !== 'number' && typeof value !== 'boolean') return { message, cure: correct(complaint) };
  const quoted = schema instanceof z.ZodType ? schema.safeParse(String(value), { reportInput: false }) : undefined;
  const refusal = quoted?.success === false ? quoted.error.issues[0] : undefined;
  const own = refusal === undefined ? undefined : ownMessage(refusal);
  return own === undefined ? { message, cure: 'Put the value in quotes.' } : inTwo(own, correct(complaint));
}

function durationWords({ value, quotable }: Complaint): Words | undefined {
  const digits = typeof value === 'number' ? String(value) : typeof value === 'string' ? value.trim() : '';
  if (!quotable || !/^\d+(?:\.\d+)?$/.test(digits)) return undefined;
  const whole = digits.replace(/\..*/, '');
  return { message: `${digits} has no unit`, cure: `Write \`${whole}s\`, \`${whole}m\` or \`${whole}h\`.` };
}

function choiceWords(complaint: Complaint, choices: readonly string[]): Words {
  const { issue, value, quotable } = complaint;
  const own = ownMessage(issue);
  const list = choices.map((choice) => `\`${choice}\``).join(', ');
  const guess = typeof value === 'string' && quotable ? choiceMeant(value, choices) : undefined;
  const shown = isShort(value) && quotable ? `\`${value}\`` : 'it';
  return {
    message: own ?? `${shown} is not a valid value`,
    cure: guess === undefined ? `Write one of ${list}.` : `Did you mean \`${guess}\`? Valid are ${list}.`,
  };
}

/** Also an abbreviation or a longer form: `warning` for `warn`. */
function choiceMeant(written: string, choices: readonly string[]): string | undefined {
  const word = written.toLowerCase();
  const related = (choice: string) => word.length > 2 && (choice.startsWith(word) || word.startsWith(choice));
  return nearest(written, choices) ?? choices.find((choice) => choice.length > 2 && related(choice.toLowerCase()));
}

function isShort(value: unknown): value is string | number {
  return typeof value === 'number' || (typeof value === 'string' && value.length > 0 && value.length <= 40);
}

function sizeWords(complaint: Complaint, issue: z.core.$ZodIssueTooBig | z.core.$ZodIssueTooSmall): Words {
  const own = ownMessage(issue);
  const { value } = complaint;
  const big = issue.code === 'too_big';
  const limit = issue.code === 'too_big' ? issue.maximum : issue.minimum;
  if (Array.isArray(value) || isMap(value)) {
    const count = Array.isArray(value) ? value.length : Object.keys(value).length;
    if (count === 0) return { message: own ?? 'it is empty', cure: `Add at least ${entries(Number(limit))}.` };
    if (!big) {
      return { message: own ?? `it has only ${entries(count)}`, cure: `Write at least ${entries(Number(limit))}.` };
    }
    const message = own ?? `it has ${entries(count)}, and ${limit} is the limit`;
    return { message, cure: 'Leave out what is not needed, or split the registration.' };
  }
  if (typeof value === 'string') {
    if (value === '') return { message: own ?? 'it is empty', cure: addIt(complaint) };
    if (!big) {
      const message = own ?? `it has only ${value.length} characters`;
      return { message, cure: `Write at least ${limit} characters.` };
    }
    return { message: own ?? `it has ${value.length} characters, and ${limit} is the limit`, cure: 'Shorten it.' };
  }
  const shown = typeof value === 'number' && complaint.quotable ? value : 'it';
  const side = big ? 'less' : 'more';
  return {
    message: own ?? `${shown} is too ${big ? 'large' : 'small'}`,
    cure: issue.inclusive === false ? `Write ${side} than ${limit}.` : `Write ${limit} or ${side}.`,
  };
}

function entries(count: number): string {
  return count === 1 ? '1 entry' : `${count} entries`;
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  return article(typeof value);
}

function article(type: string): string {
  const names: Readonly<Record<string, string>> = {
    object: 'a mapping',
    record: 'a mapping',
    array: 'a list',
    int: 'a whole number',
    boolean: 'true or false',
    string: 'text',
  };
  return names[type] ?? `a ${type}`;
}
