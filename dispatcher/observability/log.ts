/**
 * The log: one line of JSON per event. Secrets cannot leak: only plain values are printed (an
 * object's contents are never walked), a `Secret` prints as a placeholder, and text is searched for secrets by shape.
 */
import { isNativeError } from 'node:util/types';
import { pino } from 'pino';
import type { Clock } from '../../time/clock.ts';
import { plainJson } from '../failures/plain-json.ts';
import { REDACTED, scrub } from '../failures/scrub.ts';
import type { Log } from '../log.ts';
import { Secret } from '../model/registration.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface LogOptions {
  readonly level: LogLevel;
  /** Receives one line with its line feed. Must not throw: code that logs does not expect it. */
  readonly write: (line: string) => void;
  readonly clock: Pick<Clock, 'now'>;
}

type Plain = string | number | boolean | null;
type Printed = Plain | readonly Plain[] | Readonly<Record<string, Plain>>;

const FIELDS = 32;
const ITEMS = 32;
const NAME_CHARACTERS = 64;
const TEXT_CHARACTERS = 2048;
/** All texts of one line together. */
const LINE_CHARACTERS = 12 * 1024;
const STACK_FRAMES = 5;
const UNREADABLE = '[unreadable]';

/** Set by the log itself; a field of that name gets an underscore. */
const RESERVED: ReadonlySet<string> = new Set(['time', 'level', 'event', 'dropped']);

/** A field whose name says that it is a secret is one, whatever its text looks like. */
const SECRET_NAME =
  /(?:authorization|cookie|passphrase|password|secret|token|private_?key|api_?key|access_?key|jit_?config)$/i;

/** Of an Error: what tells which request failed and why. Not `cause`, `request`, `response`: they carry headers. */
const ERROR_FIELDS = ['name', 'kind', 'operation', 'message', 'status', 'code', 'requestId'] as const;

export function createLog(options: LogOptions): Log {
  const logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: () => `,"time":"${new Date(options.clock.now()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line: string) => options.write(plainJson(line)) },
  );
  return {
    debug: (event, fields) => {
      if (logger.isLevelEnabled('debug')) logger.debug(line(event, fields));
    },
    info: (event, fields) => {
      if (logger.isLevelEnabled('info')) logger.info(line(event, fields));
    },
    warn: (event, fields) => {
      if (logger.isLevelEnabled('warn')) logger.warn(line(event, fields));
    },
    error: (event, fields) => logger.error(line(event, fields)),
  };
}

/** Never throws, whatever it is given: a line that cannot be written must not break what it reports on. */
function line(event: string, fields: Readonly<Record<string, unknown>> | undefined): Record<string, Printed> {
  const printer = new Printer();
  // Without a prototype, so that a field called `__proto__` is a field.
  const printed: Record<string, Printed> = Object.create(null);
  printed['event'] = printer.text(String(event));
  let names: readonly string[] = [];
  try {
    names = fields === undefined || fields === null ? [] : Object.keys(fields);
  } catch {
    printed['dropped'] = 'all';
  }
  for (const name of names.slice(0, FIELDS)) {
    const value = read(fields, name);
    if (value === undefined) continue;
    const label = scrub(name, NAME_CHARACTERS);
    printed[RESERVED.has(label) ? `${label}_` : label] =
      SECRET_NAME.test(name) && isTextual(value) ? REDACTED : printer.value(value);
  }
  if (names.length > FIELDS) printed['dropped'] = names.length - FIELDS;
  return printed;
}

class Printer {
  #room = LINE_CHARACTERS;

  text(text: string): string {
    const clean = scrub(text, Math.min(TEXT_CHARACTERS, this.#room));
    this.#room = Math.max(0, this.#room - clean.length);
    return clean;
  }

  plain(value: unknown): Plain {
    switch (typeof value) {
      case 'string':
        return this.text(value);
      case 'boolean':
        return value;
      case 'number':
        return Number.isFinite(value) ? value : String(value);
      case 'bigint':
        return this.text(String(value));
      default:
        if (value === null || value === undefined) return null;
        return value instanceof Secret ? REDACTED : `[${typeof value}]`;
    }
  }

  value(value: unknown): Printed {
    try {
      if (isNativeError(value) || value instanceof Error) return this.#error(value);
      return Array.isArray(value) ? this.#items(value) : this.plain(value);
    } catch {
      // A proxy may throw at every question.
      return UNREADABLE;
    }
  }

  #items(value: readonly unknown[]): readonly Plain[] {
    const items = Array.from({ length: Math.min(value.length, ITEMS) }, (_, index) =>
      this.plain(read(value, String(index))),
    );
    if (value.length > ITEMS) items.push(`… ${value.length - ITEMS} more`);
    return items;
  }

  #error(error: Error): Readonly<Record<string, Plain>> {
    const printed: Record<string, Plain> = {};
    for (const name of ERROR_FIELDS) {
      const value = read(error, name);
      if (value !== undefined) printed[name] = this.plain(value);
    }
    // A typed error says where it comes from by its operation; one without a kind is a bug, and the frames find it.
    if (printed['kind'] === undefined) {
      const stack = read(error, 'stack');
      const frames = typeof stack === 'string' ? stack.split('\n').filter((frame) => /^\s+at /.test(frame)) : [];
      if (frames.length > 0) {
        printed['at'] = this.text(
          frames
            .slice(0, STACK_FRAMES)
            .map((frame) => frame.trim())
            .join(' | '),
        );
      }
    }
    return printed;
  }
}

function isTextual(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'object' || typeof value === 'bigint';
}

/** A getter or proxy may throw. */
function read(holder: unknown, name: string): unknown {
  try {
    return typeof holder === 'object' && holder !== null ? Reflect.get(holder, name) : undefined;
  } catch {
    return UNREADABLE;
  }
}
