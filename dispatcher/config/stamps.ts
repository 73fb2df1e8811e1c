/**
 * Which version of each file of the configuration is in force: by size, times and inode, so that thousands of files cost a
 * look and no reading. A new version counts once two looks have found it the same: who writes a file in pieces is waited for.
 */
import { lstatSync, type Stats, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { eventLoopTurn } from '../../time/clock.ts';
import { type Files, leadsOut, type Within } from './files.ts';

const ABSENT = 'absent';
/** A look at a file in the cache of the system takes a few microseconds; between so many, others have their turn. */
const FILES_A_TURN = 200;
/**
 * Some file systems count in two seconds. What was written so shortly before it was read can be written once more without
 * another time.
 */
const COARSE_MS = 2_500;

export interface StampsOptions {
  readonly registrationsFolder: string;
  readonly files: Pick<Files, 'list'>;
  readonly now: () => number;
  /** Of what is watched and is no file. Default: there is no such thing. */
  readonly stampOf?: (path: string) => Stamp | undefined;
  /**
   * What a file looks like now; undefined if there is none. Behind a link that leads out of `within` nothing is looked at.
   * Default: asks the system.
   */
  readonly stampNow?: (path: string, within?: Within) => Stamp | undefined;
  /**
   * Versions of what is kept elsewhere than in files, by names that are no paths. Each is there as a whole, or not at all. Asked
   * for each of them: the same map as long as nothing has changed.
   */
  readonly elsewhere?: () => ReadonlyMap<string, string>;
}

export interface Stamp {
  readonly text: string;
  readonly changedAtMs: number;
}

export interface Look {
  /** Something has another version now. */
  readonly isChanged: boolean;
  /** Something may have: another look will tell. */
  readonly isPending: boolean;
}

interface Known {
  accepted: string;
  /** Of looks that had to be taken as a change although nothing looked different. */
  again: number;
  /** Another version, found once. */
  candidate: string | undefined;
  /** It can have been written again since it was accepted, and still look the same. */
  youngUntilMs: number | undefined;
}

export class Stamps {
  readonly #options: StampsOptions;
  readonly #stampNow: NonNullable<StampsOptions['stampNow']>;
  readonly #files = new Map<string, Known>();
  /** Whose paths may lead where: null is anywhere. In the folder of registrations, and nowhere else, the rule is its folder. */
  readonly #within = new Map<string, Within | null>();
  #folder: 'unknown' | 'listed' | 'not-listed' = 'unknown';

  constructor(options: StampsOptions) {
    this.#options = options;
    const { stampNow = systemStamp, stampOf } = options;
    this.#stampNow = stampOf === undefined ? stampNow : (path, within) => stampOf(path) ?? stampNow(path, within);
  }

  /**
   * The version of the file that is in force. One that is looked at for the first time is taken as it is, and watched from
   * now on.
   */
  of(path: string): string {
    let known = this.#files.get(path);
    if (known === undefined) {
      const now = this.#stampOf(path);
      known = { accepted: now?.text ?? ABSENT, again: 0, candidate: undefined, youngUntilMs: this.#youngUntil(now) };
      this.#files.set(path, known);
    }
    return `${known.accepted} ${known.again}`;
  }

  /**
   * A tenant's file may not lead out of the folder: what is elsewhere is not told by its times, nor by being there. Of a file
   * that the platform refers to as well, the platform decides (null).
   */
  confine(path: string, within: Within | null): void {
    if (this.#within.get(path) === null || this.#within.get(path) === within) return;
    const known = this.#files.get(path);
    const isSame = known !== undefined && known.accepted === (this.#stampOf(path)?.text ?? ABSENT);
    this.#within.set(path, within);
    // The same file, looked at otherwise, is no change of it.
    if (isSame) known.accepted = this.#stampOf(path)?.text ?? ABSENT;
  }

  watches(path: string): boolean {
    return this.#files.has(path);
  }

  /** Others are not watched any more, but for what is in the folder of registrations. */
  keepOnly(paths: ReadonlySet<string>): void {
    for (const path of this.#files.keys()) {
      if (!paths.has(path) && !this.#isListed(path)) this.#files.delete(path);
    }
    for (const path of this.#within.keys()) if (!this.#files.has(path)) this.#within.delete(path);
  }

  /** Names in the folder of registrations whose versions in force are files. */
  async names(): Promise<readonly string[]> {
    const folder = this.#options.registrationsFolder;
    const names = new Set(await this.#options.files.list(folder));
    const listed = new Set<string>();
    for (const name of names) {
      const known = this.#files.get(join(folder, name));
      // Unknown: the first look, or it came after it.
      if (known === undefined ? this.#folder === 'unknown' : known.accepted !== ABSENT) listed.add(name);
    }
    for (const [path, { accepted }] of this.#files) {
      if (dirname(path) === folder && !names.has(basename(path)) && accepted !== ABSENT) listed.add(basename(path));
    }
    return [...listed];
  }

  /** `hurry`: what is there counts, without a second look. */
  async look(hurry = false): Promise<Look> {
    const { registrationsFolder } = this.#options;
    let isChanged = false;
    let isPending = false;
    // Asynchronous, and first: where a network file system does not answer, nothing but this waits.
    const names = await this.#options.files.list(registrationsFolder).catch(() => undefined);
    const folder = names === undefined ? 'not-listed' : 'listed';
    if (folder !== this.#folder && this.#folder !== 'unknown') isChanged = true;
    this.#folder = folder;
    const elsewhere = this.#options.elsewhere?.() ?? new Map<string, string>();
    const inFolder = (names ?? []).map((name) => join(registrationsFolder, name));
    const paths = new Set([...this.#files.keys(), ...inFolder, ...elsewhere.keys()]);
    let looked = 0;
    for (const path of paths) {
      looked += 1;
      if (looked % FILES_A_TURN === 0) await eventLoopTurn();
      const found = this.#lookAt(path, hurry || isElsewhere(path));
      isChanged ||= found === 'changed';
      isPending ||= found === 'pending';
    }
    return { isChanged, isPending };
  }

  #lookAt(path: string, hurry: boolean): 'changed' | 'pending' | 'same' {
    const now = this.#stampOf(path);
    const text = now?.text ?? ABSENT;
    const known = this.#files.get(path) ?? {
      accepted: ABSENT,
      again: 0,
      candidate: undefined,
      youngUntilMs: undefined,
    };
    this.#files.set(path, known);
    if (text === known.accepted) {
      known.candidate = undefined;
      if (text === ABSENT && this.#isListed(path)) this.#files.delete(path);
      if (known.youngUntilMs === undefined || this.#options.now() < known.youngUntilMs) return 'same';
      // Read once more, now that every later version looks different.
      known.youngUntilMs = undefined;
      known.again += 1;
      return 'changed';
    }
    if (text !== known.candidate && !hurry) {
      known.candidate = text;
      return 'pending';
    }
    known.candidate = undefined;
    known.accepted = text;
    known.youngUntilMs = this.#youngUntil(now);
    return 'changed';
  }

  #stampOf(path: string): Stamp | undefined {
    if (!isElsewhere(path)) return this.#stampNow(path, this.#withinOf(path) ?? undefined);
    const version = this.#options.elsewhere?.().get(path);
    return version === undefined ? undefined : { text: version, changedAtMs: Number.NEGATIVE_INFINITY };
  }

  #withinOf(path: string): Within | null | undefined {
    const within = this.#within.get(path);
    if (within !== undefined) return within;
    const { registrationsFolder } = this.#options;
    return dirname(path) === registrationsFolder ? { around: registrationsFolder, name: '' } : undefined;
  }

  /** It is found again without being watched. */
  #isListed(path: string): boolean {
    return isElsewhere(path) || dirname(path) === this.#options.registrationsFolder;
  }

  #youngUntil(stamp: Stamp | undefined): number | undefined {
    if (stamp === undefined) return undefined;
    const ageMs = this.#options.now() - stamp.changedAtMs;
    return Math.abs(ageMs) < COARSE_MS ? this.#options.now() + COARSE_MS : undefined;
  }
}

/** `git:tenants/registrations/acme.yaml`. Paths of files are absolute wherever something is kept elsewhere. */
function isElsewhere(path: string): boolean {
  return /^[a-z]+:/.test(path);
}

function systemStamp(path: string, within?: Within): Stamp | undefined {
  try {
    // The link itself, where that is the last of the path: a link that is put right is a change.
    const isOut = within !== undefined && leadsOut(path, within);
    const stats = isOut ? ownStats(path, within) : statSync(path, { throwIfNoEntry: false });
    if (stats === undefined) return isOut ? { text: 'leads out', changedAtMs: 0 } : undefined;
    const { ctimeMs, dev, ino, mtimeMs, size } = stats;
    return { text: [dev, ino, size, mtimeMs, ctimeMs].join(' '), changedAtMs: Math.max(mtimeMs, ctimeMs) };
  } catch {
    // It is there, and what is wrong with it is said by who reads it.
    return { text: 'unreadable', changedAtMs: 0 };
  }
}

/** Undefined: the folder that it is in is behind a link that leads out. */
function ownStats(path: string, within: Within): Stats | undefined {
  return leadsOut(dirname(path), within) ? undefined : lstatSync(path, { throwIfNoEntry: false });
}
