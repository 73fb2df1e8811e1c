/** Registrations that the admin API was given: kept in the ledger, and read from there like files. The last of all sources. */
import { createHash } from 'node:crypto';
import type { KeptFile, RegistrationSource } from '../config/registration-source.ts';
import type {
  ApiRegistration,
  ApiRegistrationEntry,
  ApiRegistrationLedger,
  ExpectedVersion,
} from '../ledger/ledger.ts';

export const API_SOURCE = 'api';

export class Documents implements RegistrationSource {
  readonly name = API_SOURCE;
  readonly state = undefined;
  readonly isKnown = true;
  #ledger: ApiRegistrationLedger | undefined;
  #entries: ReadonlyMap<string, ApiRegistrationEntry> = new Map();
  #files: readonly KeptFile[] = [];

  get files(): readonly KeptFile[] {
    return this.#files;
  }

  /** The same ledger again changes nothing. Rejects with a LedgerError. */
  async open(ledger: ApiRegistrationLedger): Promise<void> {
    if (this.#ledger === ledger) return;
    this.#hold((await ledger.apiRegistrations()).map((one) => [one.name, one]));
    this.#ledger = ledger;
  }

  entry(name: string): ApiRegistrationEntry | undefined {
    return this.#entries.get(name);
  }

  /** Undefined: there is none. Rejects with a LedgerError. */
  async text(name: string): Promise<string | undefined> {
    return (await this.#ledger?.apiRegistration(name))?.document;
  }

  async read(file: string): Promise<string> {
    const text = await this.text(nameOf(file));
    if (text === undefined) throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' });
    return text;
  }

  /** Durable when it resolves. Rejects with a LedgerError. */
  async put(registration: Omit<ApiRegistration, 'hash'>, expected: ExpectedVersion): Promise<'put' | 'other'> {
    const row = { ...registration, hash: hashOf(registration.document) };
    const done = (await this.#ledger?.putApiRegistration(row, expected)) ?? 'other';
    const { document: _, ...entry } = row;
    if (done === 'put') this.#hold([...this.#entries, [entry.name, entry]]);
    return done;
  }

  async remove(name: string, expected: ExpectedVersion): Promise<'deleted' | 'other' | 'absent'> {
    const done = (await this.#ledger?.deleteApiRegistration(name, expected)) ?? 'absent';
    if (done === 'deleted') this.#hold([...this.#entries].filter(([one]) => one !== name));
    return done;
  }

  #hold(entries: Iterable<readonly [string, ApiRegistrationEntry]>): void {
    this.#entries = new Map(entries);
    this.#files = [...this.#entries.values()].map(({ hash, name, tenant }) => ({
      file: fileOf(name),
      entry: `${name}.yaml`,
      version: hash,
      // Where the name has come to another since, what it says was never meant for that one.
      tenants: tenant === null ? [] : [tenant],
      trusted: tenant === null,
    }));
  }
}

/** As problems name it. */
export function fileOf(registration: string): string {
  return `${API_SOURCE}:${registration}`;
}

function nameOf(file: string): string {
  return file.slice(API_SOURCE.length + 1);
}

function hashOf(document: string): string {
  return createHash('sha256').update(document).digest('base64url').slice(0, 27);
}
