/**
 * A job's informational fields: its name, its link, its times. GitHub's own documentation of these fields has changed
 * over the years, and they do not affect whether a job is served: a value that is not as documented is cut or left out,
 * and counted, but never a reason to refuse the job.
 */

/** Longer names are cut. GitHub's page shows about a hundred characters. */
const MAX_NAME_LENGTH = 250;
const MAX_URL_LENGTH = 2_000;
/** A Git hash: 40 or 64 hexadecimal digits. */
const MAX_HASH_LENGTH = 64;
const MAX_WORD_LENGTH = 64;
/** Git's own limit is that of a file's name. A truncated one could name another branch. */
const MAX_BRANCH_LENGTH = 255;
/** A runner is looked up by its full name: a truncated one could name another runner. */
const MAX_RUNNER_NAME_LENGTH = 256;

/** With an offset, as GitHub sends it: `2023-06-26T03:31:29Z`, `2019-08-08T08:00:00-07:00`. */
const isoTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;
/** GitHub opened in 2008: an earlier time is some language's zero value, and would make a job too old. */
const firstTimeMs = Date.UTC(2008, 0, 1);

/** Reads the informational fields of one object. No method throws. */
export class Shown {
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #onMended: (field: string) => void;

  /** `onMended` receives the name of each field that was cut or left out. Absent and null are valid. */
  constructor(fields: Readonly<Record<string, unknown>>, onMended: (field: string) => void) {
    this.#fields = fields;
    this.#onMended = onMended;
  }

  /** A text for display, cut at 250 characters (UTF-16 units), in well-formed Unicode and without NUL. */
  name(field: string): string | null {
    const value = this.#read(field);
    if (value === null) return null;
    if (typeof value !== 'string') return this.#leaveOut(field);
    // PostgreSQL does not store NUL in text.
    const clean = cut(value, MAX_NAME_LENGTH).replaceAll('\0', '\ufffd');
    if (clean !== value) this.#onMended(field);
    return clean;
  }

  /** A truncated link would lead elsewhere, so it is kept whole or not at all. */
  url(field: string): string | null {
    return this.#whole(field, MAX_URL_LENGTH, (text) => /^https?:\/\/\S+$/.test(text));
  }

  /** Empty: missing. */
  hash(field: string): string {
    return this.#whole(field, MAX_HASH_LENGTH) ?? '';
  }

  /** A short text; null if it is missing, or longer than 64 characters. */
  word(field: string): string | null {
    return this.#whole(field, MAX_WORD_LENGTH);
  }

  branch(field: string): string | null {
    return this.#whole(field, MAX_BRANCH_LENGTH);
  }

  /** A job that ends without a runner has '' here. */
  runnerName(field: string): string | null {
    return this.#fields[field] === '' ? null : this.#whole(field, MAX_RUNNER_NAME_LENGTH);
  }

  /** Likewise. */
  groupName(field: string): string | null {
    return this.#fields[field] === '' ? null : this.name(field);
  }

  /** A job that ends without a runner has 0 here. */
  runnerId(field: string): number | null {
    return this.#fields[field] === 0 ? null : this.count(field);
  }

  /** 1 or more. */
  count(field: string): number | null {
    const value = this.#read(field);
    if (value === null) return null;
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 1) return value;
    return this.#leaveOut(field);
  }

  /** Milliseconds since the epoch. */
  time(field: string): number | null {
    const value = this.#read(field);
    if (value === null) return null;
    const ms = typeof value === 'string' && isoTime.test(value) ? Date.parse(value) : Number.NaN;
    return ms >= firstTimeMs ? ms : this.#leaveOut(field);
  }

  #whole(field: string, most: number, fits: (text: string) => boolean = () => true): string | null {
    const value = this.#read(field);
    if (value === null) return null;
    const taken =
      typeof value === 'string' &&
      value !== '' &&
      value.length <= most &&
      !value.includes('\0') &&
      value.isWellFormed() &&
      fits(value);
    return taken ? value : this.#leaveOut(field);
  }

  #read(field: string): unknown {
    return this.#fields[field] ?? null;
  }

  #leaveOut(field: string): null {
    this.#onMended(field);
    return null;
  }
}

/** Never splits a surrogate pair: the result would be invalid Unicode, which databases and browsers mangle. */
function cut(text: string, most: number): string {
  if (text.length <= most) return text.toWellFormed();
  const last = text.charCodeAt(most - 1);
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? most - 1 : most).toWellFormed();
}
