/**
 * The last version of each registration that had no problem, in the ledger, so that it outlives the process. Sealed with a
 * key made of the admin token: it holds references and no secrets that we know of, but its owner may know better.
 */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { RegistrationLedger } from '../ledger/ledger.ts';
import type { DispatcherConfig } from '../model/registration.ts';

export interface GoodVersion {
  readonly name: string;
  readonly text: string;
  /** Whose it was. Undefined: the platform's own. */
  readonly tenant?: string | undefined;
}

const VERSION = 'serverless-hosted-runner registrations 1';
const CIPHER = 'aes-256-gcm';
const KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG_BYTES = 16;
/** In one write: deliveries wait for it. */
const AT_ONCE = 200;
/** As many as 20,000 registrations of 3 KB. Those beyond it have no last version after a restart. */
const MAX_CHARACTERS = 64 * 1024 * 1024;
/** While it is not known which registrations there are: one tenant can give any number of names, one after the other. */
const MAX_GONE = 500;
/** Not names of registrations: what is said of all of them has rows of its own. */
const ASIDE = '*aside';
const SEVERAL = '*several';
const OF_ALL: ReadonlySet<string> = new Set([ASIDE, SEVERAL]);
const namesByFile = z.record(z.string(), z.array(z.string()));

export class LastGoodVersions {
  readonly #ledger: RegistrationLedger;
  readonly #key: Buffer;
  #hashes: Promise<Map<string, string>> | undefined;
  /** What is said of all, by row. Empty: nothing. */
  readonly #ofAll = new Map<string, Promise<string>>();
  /** Files of several that an earlier process told of. */
  #filesBefore: ReadonlySet<string> | undefined;
  /** Those that no earlier process kept. */
  readonly #added = new Set<string>();

  constructor(ledger: RegistrationLedger, { adminToken }: Pick<DispatcherConfig, 'adminToken'>) {
    this.#ledger = ledger;
    this.#key = Buffer.from(hkdfSync('sha256', adminToken.reveal(), '', VERSION, KEY_BYTES));
  }

  /** Undefined also where it was kept with another admin token or for another tenant, or cannot be read. */
  async of(name: string, tenant?: string): Promise<string | undefined> {
    try {
      const found = await this.#ledger.registrationVersion(name);
      return found === undefined ? undefined : this.#open(found.sealed, boundTo({ name, tenant }));
    } catch {
      return undefined;
    }
  }

  /** Names of those that were not in force when the configuration was read last, also by an earlier process. */
  async aside(): Promise<ReadonlySet<string>> {
    return namesOf(await this.#said(ASIDE).catch(() => ''));
  }

  /**
   * Of those that have a last version: it gives them no precedence. `there`: all names that were read; of others, where there
   * may be some, what was said before stays. Rejects with a LedgerError.
   */
  async keepAside(names: ReadonlySet<string>, there: ReadonlySet<string>, isComplete: boolean): Promise<void> {
    const known = await this.#known();
    const before = namesOf(await this.#said(ASIDE));
    const others = isComplete ? [] : [...before].filter((name) => !there.has(name));
    const aside = new Set([...names, ...others].filter((name) => known.has(name)));
    await this.#say(ASIDE, [...aside].toSorted().join(' '));
  }

  /** Which registrations each file of several held when it was read last, also by an earlier process. */
  async several(): Promise<ReadonlyMap<string, readonly string[]>> {
    return filesOf(await this.#said(SEVERAL).catch(() => ''));
  }

  /**
   * `files`: all that were read, without names where one holds no several. Where there may be others, what earlier processes
   * said of those stays, and of what this one did the first that are gone. Rejects with a LedgerError.
   */
  async keepSeveral(files: ReadonlyMap<string, readonly string[]>, isComplete: boolean): Promise<void> {
    const before = filesOf(await this.#said(SEVERAL));
    this.#filesBefore ??= new Set(before.keys());
    const earlier = this.#filesBefore;
    const gone = isComplete ? [] : [...before].filter(([file]) => !files.has(file));
    const all = [
      ...gone.filter(([file]) => earlier.has(file)),
      ...gone.filter(([file]) => !earlier.has(file)).slice(0, MAX_GONE),
      ...[...files].filter(([, names]) => names.length > 0),
    ];
    const inOrder = all.toSorted(([one], [other]) => (one < other ? -1 : 1));
    await this.#say(SEVERAL, all.length === 0 ? '' : JSON.stringify(Object.fromEntries(inOrder)));
  }

  /** Writes those that are others than before. Rejects with a LedgerError. */
  async keep(versions: readonly GoodVersion[]): Promise<void> {
    const known = await this.#known();
    const fresh: (GoodVersion & { readonly hash: string })[] = [];
    let room = MAX_CHARACTERS;
    for (const { name, tenant, text } of versions) {
      room -= text.length;
      const bound = boundTo({ name, tenant });
      const hash = createHmac('sha256', this.#key).update(`${bound} ${text}`).digest('base64url');
      if (room >= 0 && known.get(name) !== hash) fresh.push({ name, tenant, text, hash });
    }
    for (let from = 0; from < fresh.length; from += AT_ONCE) {
      const some = fresh.slice(from, from + AT_ONCE);
      await this.#ledger.putRegistrationVersions(
        some.map(({ hash, name, tenant, text }) => ({
          ...{ name, hash },
          sealed: this.#seal(text, boundTo({ name, tenant })),
        })),
      );
      for (const { hash, name } of some) {
        if (!known.has(name)) this.#added.add(name);
        known.set(name, hash);
      }
    }
  }

  /**
   * Deletes those of registrations that are no longer there. Where there may be others than these, what earlier processes kept
   * stays, and of what this one did the first that are gone. Rejects with a LedgerError.
   */
  async keepOnly(names: ReadonlySet<string>, isComplete: boolean): Promise<void> {
    const known = await this.#known();
    const gone = isComplete
      ? [...known.keys()].filter((name) => !names.has(name) && !OF_ALL.has(name))
      : [...this.#added].filter((name) => !names.has(name) && !OF_ALL.has(name)).slice(MAX_GONE);
    if (gone.length > 0) await this.#delete(gone);
  }

  async #delete(gone: readonly string[]): Promise<void> {
    const known = await this.#known();
    await this.#ledger.deleteRegistrationVersions(gone);
    for (const name of gone) {
      known.delete(name);
      this.#added.delete(name);
    }
  }

  #said(row: string): Promise<string> {
    const said = this.#ofAll.get(row) ?? this.#readSaid(row);
    this.#ofAll.set(row, said);
    return said;
  }

  async #readSaid(row: string): Promise<string> {
    try {
      // What cannot be opened says nothing; what cannot be read may say something a little later.
      return (await this.#ledger.registrationVersion(row)) === undefined ? '' : ((await this.of(row)) ?? '');
    } catch (error) {
      this.#ofAll.delete(row);
      throw error;
    }
  }

  async #say(row: string, text: string): Promise<void> {
    if (text !== '') await this.keep([{ name: row, text }]);
    else if ((await this.#known()).has(row)) await this.#delete([row]);
    this.#ofAll.set(row, Promise.resolve(text));
  }

  #known(): Promise<Map<string, string>> {
    this.#hashes ??= this.#ledger.registrationHashes().then(
      (hashes) => new Map(hashes),
      (error: unknown) => {
        this.#hashes = undefined;
        throw error;
      },
    );
    return this.#hashes;
  }

  #seal(text: string, bound: string): string {
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv(CIPHER, this.#key, iv).setAAD(Buffer.from(bound));
    const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
    return Buffer.concat([iv, cipher.getAuthTag(), sealed]).toString('base64');
  }

  #open(sealed: string, bound: string): string {
    const bytes = Buffer.from(sealed, 'base64');
    const [tagAt, textAt] = [IV_BYTES, IV_BYTES + TAG_BYTES];
    const decipher = createDecipheriv(CIPHER, this.#key, bytes.subarray(0, tagAt), { authTagLength: TAG_BYTES })
      .setAAD(Buffer.from(bound))
      .setAuthTag(bytes.subarray(tagAt, textAt));
    return Buffer.concat([decipher.update(bytes.subarray(textAt)), decipher.final()]).toString('utf8');
  }
}

function namesOf(text: string): ReadonlySet<string> {
  return new Set(text === '' ? [] : text.split(' '));
}

function filesOf(text: string): ReadonlyMap<string, readonly string[]> {
  return new Map(text === '' ? [] : Object.entries(namesByFile.parse(JSON.parse(text))));
}

/** It opens for that alone: a name that comes to another tenant does not bring what the one before wrote. */
function boundTo({ name, tenant }: Pick<GoodVersion, 'name' | 'tenant'>): string {
  return tenant === undefined ? name : `${name} of ${tenant}`;
}
