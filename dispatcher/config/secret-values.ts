/**
 * What secrets in the clouds' own stores hold: in memory alone, read when a file refers to one and again every few minutes.
 * A change is one of the files that refer to it, as that of a file of a secret is.
 */
import { createHmac, randomBytes } from 'node:crypto';
import {
  type SecretAddress,
  SecretFailure,
  type SecretReader,
  type SecretStore,
  type SecretStoreHost,
  type StoreKey,
} from '../../providers/secret-store.ts';
import type { Clock, Random } from '../../time/clock.ts';
import { withDeadline } from '../../time/deadline.ts';
import { RatedLog } from '../failures/rated-log.ts';
import type { Log } from '../log.ts';
import type { Resolution } from './reach.ts';
import type { Stamp } from './stamps.ts';

/** As for a file of a secret. */
const MAX_VALUE_BYTES = 65_536;
const REFRESH_MS = 5 * 60_000;
/** After a failure: doubled with each one that follows, up to the refresh. */
const RETRY_MS = 5_000;
const TICK_MS = 1_000;
const READ_MS = 10_000;
const FORGET_MS = 60_000;
/** Reads at once: of one tenant, and of all. */
const OWNER_READS = 4;
const ALL_READS = 64;
/** Of one tenant, in all of its files: they are in memory. */
const OWNER_SECRETS = 1_000;
const OWNER_CHARACTERS = 4 * 1024 * 1024;
/** Of one tenant, about what could not be read. */
const LINES = 5;
const LINES_MS = 60_000;

export interface SoughtSecret {
  readonly store: SecretStore;
  readonly address: SecretAddress;
  /** Undefined: by the identity of the dispatcher's machine. */
  readonly key: StoreKey | undefined;
  /** Whose file refers to it: what one waits for, another does not. */
  readonly owner: string;
}

export interface SecretValuesOptions {
  readonly clock: Pick<Clock, 'after' | 'now'>;
  readonly random: Random;
  readonly fetch: SecretStoreHost['fetch'];
  readonly environment: SecretStoreHost['environment'];
}

export interface KeptValue {
  /** Its name in the store. */
  readonly secret: string;
  readonly reason: string;
  readonly cure: string;
  readonly sinceMs: number;
}

interface Entry {
  readonly path: string;
  readonly sought: SoughtSecret;
  readonly reader: SecretReader;
  value: string | undefined;
  /** Of the last read. */
  failure: SecretFailure | undefined;
  version: number;
  changedAtMs: number;
  /** By a file that is read, or checked. */
  askedAtMs: number;
  readAtMs: number | undefined;
  failures: number;
  /** The first failure since the value was read. */
  failedAtMs: number | undefined;
  dueMs: number;
  /** Until the read that is asked for has ended. */
  reading: PromiseWithResolvers<void> | undefined;
}

export class SecretValues {
  readonly #options: SecretValuesOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #ofOwner = new Map<string, Set<Entry>>();
  /** A token serves all secrets that one key opens. By scheme and key, as a hash. */
  readonly #readers = new Map<string, SecretReader>();
  /** By owner, who take turns. */
  readonly #queues = new Map<string, Entry[]>();
  readonly #running = new Map<string, number>();
  #all = 0;
  #isWatched: (path: string) => boolean = () => true;
  /** Of this process: keys are compared, and not to be found by their hash. */
  readonly #salt = randomBytes(32);
  #failures: RatedLog | undefined;
  #recoveries: RatedLog | undefined;
  #cancel: () => void = () => {};

  constructor(options: SecretValuesOptions) {
    this.#options = options;
  }

  /** Until when a reading waits that begins now: so long for all of its values together. */
  until(ms: number): number {
    return this.#options.clock.now() + ms;
  }

  /** `path`: to be watched like a file. */
  pathOf(sought: SoughtSecret): string {
    const { address, key, owner } = sought;
    return `secret ${this.#hash([address.secret, address.version, key ?? null, owner])}`;
  }

  async resolve(sought: SoughtSecret, untilMs: number): Promise<Resolution> {
    const path = this.pathOf(sought);
    let entry = this.#entries.get(path);
    if (entry === undefined) {
      if (sought.owner !== '' && (this.#ofOwner.get(sought.owner)?.size ?? 0) >= OWNER_SECRETS) return TOO_MANY;
      const { clock } = this.#options;
      entry = {
        ...{ path, sought, reader: this.#readerOf(sought) },
        ...{ value: undefined, failure: undefined, version: 0, changedAtMs: clock.now(), askedAtMs: clock.now() },
        ...{ readAtMs: undefined, failures: 0, failedAtMs: undefined, dueMs: clock.now(), reading: undefined },
      };
      this.#entries.set(path, entry);
      this.#ofOwner.set(sought.owner, (this.#ofOwner.get(sought.owner) ?? new Set()).add(entry));
      this.#ask(entry);
    }
    entry.askedAtMs = this.#options.clock.now();
    if (entry.value === undefined && entry.failure === undefined) await this.#waited(entry, untilMs);
    return resolutionOf(entry);
  }

  /** As `systemStamp` of a file; undefined: it is no path of a secret. */
  stampOf(path: string): Stamp | undefined {
    const entry = this.#entries.get(path);
    return entry === undefined ? undefined : { text: `${entry.version}`, changedAtMs: entry.changedAtMs };
  }

  /** Why the value at this path is one from before, which is in force while its store is away. Undefined: it is not. */
  keptAt(path: string, owner: string): KeptValue | undefined {
    const entry = this.#entries.get(path);
    if (entry?.value === undefined || entry.failure === undefined || entry.sought.owner !== owner) return undefined;
    const { message, cure } = entry.failure;
    const sinceMs = entry.failedAtMs ?? entry.changedAtMs;
    return { secret: entry.sought.address.secret, reason: message, cure, sinceMs };
  }

  /** What nothing refers to is forgotten, unless it was just asked for: a reading may be under way. */
  keepOnly(isWatched: (path: string) => boolean): void {
    this.#isWatched = isWatched;
    this.#clear();
  }

  #clear(): void {
    const beforeMs = this.#options.clock.now() - FORGET_MS;
    let isLess = false;
    for (const [path, entry] of this.#entries) {
      if (entry.askedAtMs > beforeMs || this.#isWatched(path)) continue;
      this.#forget(path, entry);
      isLess = true;
    }
    if (!isLess) return;
    const used = new Set([...this.#entries.values()].map(({ reader }) => reader));
    for (const [key, reader] of this.#readers) if (!used.has(reader)) this.#readers.delete(key);
  }

  /** Reads all of them now. */
  refresh(): void {
    for (const entry of this.#entries.values()) this.#ask(entry);
  }

  /** From now on they are read again and again, and what goes wrong is logged. */
  start(log: Pick<Log, 'info' | 'warn'>): void {
    const rate = { clock: this.#options.clock, lines: LINES, spanMs: LINES_MS };
    this.#failures = new RatedLog({ ...rate, log });
    this.#recoveries = new RatedLog({ ...rate, log: { warn: (event, fields) => log.info(event, fields) } });
    const tick = (): void => {
      this.#clear();
      const nowMs = this.#options.clock.now();
      for (const entry of this.#entries.values()) if (entry.dueMs <= nowMs) this.#ask(entry);
      this.#cancel = this.#options.clock.after(TICK_MS, tick);
    };
    this.#cancel();
    tick();
  }

  stop(): void {
    this.#cancel();
  }

  async #waited({ reading }: Entry, untilMs: number): Promise<void> {
    const { clock } = this.#options;
    const leftMs = untilMs - clock.now();
    if (reading === undefined || leftMs <= 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = clock.after(leftMs, resolve);
    await Promise.race([reading.promise, promise]);
    cancel();
  }

  #ask(entry: Entry): void {
    if (entry.reading !== undefined) return;
    entry.reading = Promise.withResolvers();
    const { owner } = entry.sought;
    const queue = this.#queues.get(owner);
    if (queue === undefined) this.#queues.set(owner, [entry]);
    else queue.push(entry);
    this.#pump();
  }

  #pump(): void {
    for (const [owner, queue] of this.#queues) {
      if (this.#all >= ALL_READS) return;
      const running = this.#running.get(owner) ?? 0;
      const entry = running < OWNER_READS ? queue.shift() : undefined;
      if (entry === undefined) continue;
      // To the end of the line.
      this.#queues.delete(owner);
      if (queue.length > 0) this.#queues.set(owner, queue);
      this.#all += 1;
      this.#running.set(owner, running + 1);
      void this.#read(entry).finally(() => {
        this.#all -= 1;
        const left = (this.#running.get(owner) ?? 1) - 1;
        if (left === 0) this.#running.delete(owner);
        else this.#running.set(owner, left);
        entry.reading?.resolve();
        entry.reading = undefined;
        this.#pump();
      });
    }
  }

  /** Never rejects. */
  async #read(entry: Entry): Promise<void> {
    // Nothing refers to it any more.
    if (this.#entries.get(entry.path) !== entry) return;
    const { clock, random } = this.#options;
    const { address } = entry.sought;
    const late = () => new SecretFailure('away', `no answer for ${address.secret} in time`, 'It is asked again.');
    try {
      const text = await withDeadline(clock, READ_MS, late, undefined, (signal) => entry.reader.read(address, signal));
      const value = valueIn(text, address);
      this.#refuseTooMuch(entry, value);
      this.#found(entry, value);
      entry.dueMs = clock.now() + REFRESH_MS * (0.9 + 0.2 * random());
    } catch (error) {
      // Not its message, which may repeat a secret.
      const kind = error instanceof Error ? error.name : typeof error;
      const defect = () => new SecretFailure('away', `a bug in the program (${kind}) prevents reading`, 'Report it.');
      const failure = error instanceof SecretFailure ? error : defect();
      this.#failed(entry, failure);
      const pauseMs = Math.min(REFRESH_MS, RETRY_MS * 2 ** Math.min(10, entry.failures - 1)) * (0.9 + 0.2 * random());
      entry.dueMs = clock.now() + Math.max(pauseMs, failure.retryAfterMs ?? 0);
    }
  }

  #refuseTooMuch(entry: Entry, value: string): void {
    const { address, owner } = entry.sought;
    if (owner === '') return;
    let characters = value.length;
    for (const one of this.#ofOwner.get(owner) ?? []) if (one !== entry) characters += one.value?.length ?? 0;
    if (characters <= OWNER_CHARACTERS) return;
    const message = `${address.secret} and the other secrets of the tenant are larger than ${OWNER_CHARACTERS} characters together`;
    throw new SecretFailure('unusable', message, 'Refer to the values themselves, such as tokens and PEM keys.');
  }

  #forget(path: string, entry: Entry): void {
    this.#entries.delete(path);
    const { owner } = entry.sought;
    const others = this.#ofOwner.get(owner);
    others?.delete(entry);
    if (others?.size === 0) this.#ofOwner.delete(owner);
  }

  #found(entry: Entry, value: string): void {
    const { failure } = entry;
    const isOther = value !== entry.value || failure !== undefined;
    entry.value = value;
    entry.failure = undefined;
    entry.failures = 0;
    entry.failedAtMs = undefined;
    entry.readAtMs = this.#options.clock.now();
    if (isOther) this.#changed(entry);
    if (failure !== undefined)
      this.#recoveries?.warn('secret-back', aboutOf(entry), { secret: entry.sought.address.secret });
  }

  #failed(entry: Entry, failure: SecretFailure): void {
    const isOther = entry.failure?.message !== failure.message;
    entry.failure = failure;
    entry.failures += 1;
    entry.failedAtMs ??= this.#options.clock.now();
    // What the store itself says of the secret holds: its former value is not used for anything new.
    if (!isPassing(failure)) entry.value = undefined;
    if (!isOther) return;
    this.#changed(entry);
    const { message: reason, cure } = failure;
    this.#failures?.warn('secret-not-read', aboutOf(entry), { secret: entry.sought.address.secret, reason, cure });
  }

  #changed(entry: Entry): void {
    entry.version += 1;
    entry.changedAtMs = this.#options.clock.now();
  }

  #readerOf({ store, key }: SoughtSecret): SecretReader {
    const name = this.#hash([store.scheme, key ?? null]);
    let reader = this.#readers.get(name);
    if (reader === undefined) {
      const { clock, environment, fetch } = this.#options;
      reader = store.open(key, { after: (ms, action) => clock.after(ms, action), environment, fetch });
      this.#readers.set(name, reader);
    }
    return reader;
  }

  #hash(parts: readonly unknown[]): string {
    return createHmac('sha256', this.#salt).update(JSON.stringify(parts)).digest('base64url');
  }
}

function aboutOf({ sought: { owner } }: Entry): Readonly<Record<string, string>> {
  return owner === '' ? {} : { tenant: owner };
}

const TOO_MANY: Resolution = {
  outcome: 'wrong',
  message: `the tenant’s files refer to more than ${OWNER_SECRETS} secrets in stores`,
  cure: 'Name only what they need.',
};

/** It says nothing about the secret. */
function isPassing({ kind }: SecretFailure): boolean {
  return kind === 'away' || kind === 'throttled';
}

function valueIn(text: string, { secret }: SecretAddress): string {
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_VALUE_BYTES) {
    const message = `${secret} has ${bytes} bytes, and ${MAX_VALUE_BYTES} is the limit`;
    throw new SecretFailure('unusable', message, 'Refer to the value itself, such as a token or a PEM key.');
  }
  // As of a file: editors and `echo` end it with a newline that is not part of the token.
  const value = text.replace(/\r?\n$/, '');
  if (value.trim() === '') throw new SecretFailure('absent', `${secret} is empty`, 'Put the value into it.');
  return value;
}

function resolutionOf({ value, failure, sought }: Entry): Resolution {
  if (value !== undefined) {
    if (failure === undefined) return { outcome: 'value', value };
    return {
      outcome: 'value',
      value,
      stale: {
        message: `its value from before stays in force: ${failure.message}`,
        cure: failure.cure,
      },
    };
  }
  if (failure !== undefined) return { outcome: 'absent', message: failure.message, cure: failure.cure };
  return {
    outcome: 'absent',
    message: `${sought.address.secret} is being read`,
    cure: 'Wait a moment: it is in force when it is there.',
  };
}
