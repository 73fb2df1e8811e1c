/**
 * What the files of registrations hold, kept from one start to the next: parsing a YAML file costs fifty times as much
 * as reading its value back. By the hash of the text, so that nothing in it can be out of date. Sealed with a key made
 * of the admin token: a file may hold what only its owner knows to be a secret, and a user who can write into the
 * ledger's folder must not be able to change what a registration says. Anything that is wrong with it: parse again.
 */
import { createCipheriv, createDecipheriv, hash, hkdfSync, randomBytes } from 'node:crypto';
import { lstat, open, readFile, rename, rm } from 'node:fs/promises';
import yaml from 'yaml/package.json' with { type: 'json' };
import type { DispatcherConfig } from '../model/registration.ts';

/** Values that `readYaml` found in a text without any problem. */
export interface KnownValues {
  find(text: string): { readonly value: unknown } | undefined;
  keep(text: string, value: unknown): void;
}

/** To change with what readYaml makes of a text, or with this format. Another version of yaml may read it otherwise. */
const VERSION = `serverless-hosted-runner values 1, yaml ${yaml.version}`;
const CIPHER = 'aes-256-gcm';
const KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG_BYTES = 16;
/** Of a SHA-256 in base64url. */
const HASH_LENGTH = 43;
/** 20,000 registrations of 3 KB. Those beyond it are parsed at each start. */
const MAX_BYTES = 64 * 1024 * 1024;

export class KeptValues implements KnownValues {
  readonly #path: string;
  readonly #key: Buffer;
  /** By hash, as JSON. */
  readonly #earlier: ReadonlyMap<string, string>;
  readonly #used = new Map<string, string>();
  #bytes = 0;
  #isNew = false;

  private constructor(path: string, key: Buffer, earlier: ReadonlyMap<string, string>) {
    this.#path = path;
    this.#key = key;
    this.#earlier = earlier;
  }

  /** Those of the ledger; undefined when it is in memory, and has no folder. */
  static async beside({
    ledgerPath,
    adminToken,
  }: Pick<DispatcherConfig, 'ledgerPath' | 'adminToken'>): Promise<KeptValues | undefined> {
    if (ledgerPath === ':memory:') return undefined;
    const path = `${ledgerPath}-registrations`;
    const key = Buffer.from(hkdfSync('sha256', adminToken.reveal(), '', VERSION, KEY_BYTES));
    return new KeptValues(path, key, await valuesIn(path, key));
  }

  find(text: string): { readonly value: unknown } | undefined {
    const name = hash('sha256', text, 'base64url');
    const json = this.#earlier.get(name);
    if (json === undefined) return undefined;
    this.#use(name, json);
    return { value: JSON.parse(json) };
  }

  keep(text: string, value: unknown): void {
    if (!isJson(value)) return;
    if (this.#use(hash('sha256', text, 'base64url'), JSON.stringify(value))) this.#isNew = true;
  }

  /** Keeps what was found or added since the start, and nothing else. Rejects as the file system does. */
  async write(): Promise<void> {
    if (!this.#isNew && this.#used.size === this.#earlier.size) return;
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv(CIPHER, this.#key, iv).setAAD(Buffer.from(VERSION));
    const lines = [...this.#used].map(([name, json]) => `${name}${json}`).join('\n');
    const sealed = Buffer.concat([cipher.update(lines, 'utf8'), cipher.final()]);
    const draft = `${this.#path}.new`;
    await rm(draft, { force: true });
    const file = await open(draft, 'wx', 0o600);
    try {
      await file.writeFile(Buffer.concat([iv, cipher.getAuthTag(), sealed]));
    } finally {
      await file.close();
    }
    await rename(draft, this.#path);
  }

  #use(name: string, json: string): boolean {
    if (this.#used.has(name) || this.#bytes + json.length > MAX_BYTES) return false;
    this.#bytes += json.length + HASH_LENGTH;
    this.#used.set(name, json);
    return true;
  }
}

/** Empty when there is no such file, or anything about it is not as we wrote it. */
async function valuesIn(path: string, key: Buffer): Promise<ReadonlyMap<string, string>> {
  try {
    const stats = await lstat(path);
    if (!stats.isFile() || stats.size > 2 * MAX_BYTES) return new Map();
    const lines = unsealed(await readFile(path), key).split('\n');
    return new Map(lines.map((line) => [line.slice(0, HASH_LENGTH), line.slice(HASH_LENGTH)]));
  } catch {
    return new Map();
  }
}

function unsealed(file: Buffer, key: Buffer): string {
  const [tagAt, textAt] = [IV_BYTES, IV_BYTES + TAG_BYTES];
  const decipher = createDecipheriv(CIPHER, key, file.subarray(0, tagAt), { authTagLength: TAG_BYTES })
    .setAAD(Buffer.from(VERSION))
    .setAuthTag(file.subarray(tagAt, textAt));
  return Buffer.concat([decipher.update(file.subarray(textAt)), decipher.final()]).toString('utf8');
}

/** Whether JSON gives the same value back. It has no NaN and no infinity, and repeats what aliases share. */
function isJson(value: unknown, seen = new Set<object>()): boolean {
  switch (typeof value) {
    case 'string':
      return value.isWellFormed();
    case 'boolean':
      return true;
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0);
    case 'object': {
      if (value === null) return true;
      if (seen.has(value)) return false;
      seen.add(value);
      const items = Array.isArray(value) ? value : isPlain(value) ? Object.entries(value).flat() : undefined;
      return items?.every((item) => isJson(item, seen)) ?? false;
    }
    default:
      return false;
  }
}

function isPlain(value: object): boolean {
  return Object.getPrototypeOf(value) === Object.prototype;
}
