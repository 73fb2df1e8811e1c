/** What all three stores keep: secrets with versions, and who may read them. */

export type VersionState = 'enabled' | 'disabled' | 'destroyed';

export interface Version {
  readonly id: string;
  readonly value: Buffer;
  state: VersionState;
}

interface Secret {
  readonly versions: Version[];
  readonly readers: Set<string>;
}

export class StoredSecrets {
  readonly #all = new Map<string, Secret>();
  readonly #versionId: (count: number) => string;

  /** `versionId`: of the n-th version, from 1. */
  constructor(versionId: (count: number) => string) {
    this.#versionId = versionId;
  }

  /** A new version, which is the current one from now on. Returns its id. */
  put(name: string, value: string | Buffer): string {
    const secret = this.#all.get(name) ?? { versions: [], readers: new Set<string>() };
    this.#all.set(name, secret);
    const id = this.#versionId(secret.versions.length + 1);
    secret.versions.push({ id, value: Buffer.from(value), state: 'enabled' });
    return id;
  }

  allow(name: string, reader: string): void {
    this.#there(name).readers.add(reader);
  }

  forbid(name: string, reader: string): void {
    this.#there(name).readers.delete(reader);
  }

  delete(name: string): void {
    this.#all.delete(name);
  }

  /** Of all versions, or of one. */
  setState(name: string, state: VersionState, id?: string): void {
    for (const version of this.#there(name).versions) if (id === undefined || version.id === id) version.state = state;
  }

  mayRead(name: string, reader: string): boolean {
    return this.#all.get(name)?.readers.has(reader) ?? false;
  }

  exists(name: string): boolean {
    return this.#all.has(name);
  }

  /** The last one without an id. */
  version(name: string, id?: string): Version | undefined {
    const versions = this.#all.get(name)?.versions ?? [];
    return id === undefined ? versions.at(-1) : versions.find((version) => version.id === id);
  }

  #there(name: string): Secret {
    const secret = this.#all.get(name);
    if (secret === undefined) throw new Error(`there is no secret ${name}: put it first`);
    return secret;
  }
}
