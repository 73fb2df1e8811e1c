/** The last commit of a branch, in a bare repository of our own: fetched without its history, and read blob by blob. */
import { copyFile, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { getCACertificates } from 'node:tls';
import type { Clock } from '../../time/clock.ts';
import { scrub } from '../failures/scrub.ts';
import type { Commit, GitSourceConfig } from '../model/registration.ts';
import { type GitCommand, GitError, type GitPlace, isPassing, runGit } from './git-command.ts';

export interface RepositoryOptions {
  readonly config: Pick<GitSourceConfig, 'url' | 'branch' | 'credentials'>;
  /** Everything of it is ours. */
  readonly folder: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Pick<Clock, 'after'>;
  /** Default: https and ssh. For tests of what a repository holds. */
  readonly protocols?: readonly string[];
  readonly limits?: Partial<RepositoryLimits>;
}

export interface RepositoryLimits {
  /** Packed: of what is fetched at once. */
  readonly maxPackBytes: number;
  readonly fetchMs: number;
  readonly readMs: number;
  /** What `ls-tree` prints: about 100 bytes a file. */
  readonly maxListBytes: number;
}

const LIMITS: RepositoryLimits = {
  maxPackBytes: 64 * 1024 * 1024,
  fetchMs: 120_000,
  readMs: 60_000,
  maxListBytes: 16 * 1024 * 1024,
};

export interface TreeEntry {
  readonly path: string;
  readonly kind: 'file' | 'folder' | 'link' | 'submodule' | 'other';
  readonly blob: string;
  /** Infinite: so large that it was not fetched. */
  readonly bytes: number;
}

export interface Listing {
  readonly entries: readonly TreeEntry[];
  readonly unlisted: readonly string[];
}

const REF = 'refs/shr/head';
/** The last commit that counted as a whole: one that was fetched later may not. */
const READ = 'refs/shr/read';
/** A later one that counted in part: the rest is as it was in the one before. */
const PART = 'refs/shr/part';
/** Each takes a process of its own. */
const MAX_LISTED = 2_000;
/** Of a line of `ls-tree`, beside the path. */
const ENTRY_BYTES = 64;
/** Whoever may push into one folder must not keep the others from being read: what is much too large stays where it is. */
const LARGEST_BLOB = '1m';
const CONFIG = 'config';
/** Without it git does not take a folder for a repository. */
const HEAD = 'HEAD';
/** As it was made. */
const MADE = 'config.made';
const MAX_SUBJECT = 120;
/** Of the commits before, to tell whether one follows another. */
const HISTORY = 100;
/** So many packs make reading slow: then it is fetched anew. */
const MAX_PACKS = 200;
/** So often in a row a repository has to be unreadable to count as broken, and what was kept in it as lost. */
const MAX_UNREADABLE = 3;

export class GitRepository {
  readonly #options: RepositoryOptions;
  readonly #limits: RepositoryLimits;
  /** In a row: of fetching, of reading what is kept, of keeping. */
  #failures = 0;
  #unreadable = 0;
  #unkept = 0;
  /** So often was the caller given a commit that never counted. */
  #offered = 0;
  /** By commit: the repository before this one that has it. */
  readonly #before = new Map<string, string>();

  constructor(options: RepositoryOptions) {
    this.#options = options;
    this.#limits = { ...LIMITS, ...options.limits };
  }

  /**
   * What to begin with, also of earlier processes: the last commit that was kept as a whole, then a later one in part. Rejects
   * with a GitError where that cannot be told now.
   */
  async last(): Promise<readonly Commit[]> {
    try {
      const found = await this.#last();
      this.#unreadable = 0;
      return found;
    } catch (error) {
      // Whatever has killed git says nothing of the repository, however often.
      if (!isPassing(error)) this.#unreadable += 1;
      throw error;
    }
  }

  async #last(): Promise<readonly Commit[]> {
    const usual = this.#place('repository');
    await settle(usual.folder);
    const whole = await this.#keptIn(['repository', 'kept'], READ);
    // All others are of before it.
    const isHere = whole !== undefined && !this.#before.has(whole.sha);
    const part = await this.#keptIn(isHere ? ['repository'] : ['repository', 'part', 'kept'], PART);
    const found = [whole, part].filter((commit) => commit !== undefined);
    if (found.length > 0) return found;
    // An earlier version kept none beside what was fetched.
    const fetched = await this.#commitIfIn(usual);
    // Whoever wrote it may have made it so that git never ends well: what comes later has to be read all the same.
    if (fetched === undefined || this.#offered >= MAX_UNREADABLE) return [];
    this.#offered += 1;
    return [fetched];
  }

  async #keptIn(names: readonly string[], ref: string): Promise<Commit | undefined> {
    for (const name of names) {
      const commit = await this.#commitIfIn(this.#place(name), ref);
      if (commit === undefined) continue;
      if (name !== 'repository') this.#before.set(commit.sha, name);
      return commit;
    }
    return undefined;
  }

  /** It counts: `last` ends with this one, whatever is fetched later. */
  async keep(commit: string, read: 'part' | 'whole'): Promise<void> {
    const lines = read === 'part' ? [`update ${PART} ${commit}`] : [`update ${READ} ${commit}`, `delete ${PART}`];
    try {
      await this.#git(this.#place('repository'), ['update-ref', '--stdin'], { input: `${lines.join('\n')}\n` });
      this.#unkept = 0;
    } catch (error) {
      if (!isPassing(error)) this.#unkept += 1;
      throw error;
    }
    if (read === 'part') this.#before.delete(commit);
    else this.#before.clear();
    await this.#forget(read === 'part' ? ['part'] : ['part', 'kept']);
  }

  async #forget(names: readonly string[]): Promise<void> {
    for (const name of names) await rm(this.#place(name).folder, { recursive: true, force: true });
  }

  /** Rejects with GitError: what was fetched before is still there. */
  async fetch(): Promise<Commit> {
    try {
      const commit = await this.#fetch();
      this.#failures = 0;
      return commit;
    } catch (error) {
      this.#failures += 1;
      throw error;
    }
  }

  async #fetch(): Promise<Commit> {
    const usual = this.#place('repository');
    // One that was broken by whatever does not stay so.
    const isBroken = this.#failures >= 2 || this.#unkept >= 2;
    const isAnew = isBroken || !(await isThere(join(usual.folder, MADE))) || (await this.#isFull(usual));
    if (!isAnew) {
      await unlock(usual.folder);
      await this.#fetchInto(usual);
      await settle(usual.folder);
      return await this.#commitIn(usual);
    }
    const fresh = this.#place('fresh');
    await this.#make(fresh);
    await this.#fetchInto(fresh);
    await settle(fresh.folder);
    const commit = await this.#commitIn(fresh);
    await this.#setAside(usual);
    await rename(fresh.folder, usual.folder);
    return commit;
  }

  /** With what there is to begin with, until another counts. */
  async #setAside(usual: GitPlace): Promise<void> {
    const has = (ref: string) =>
      this.#isIn(usual, ref).catch((error: unknown) => {
        if (isPassing(error) || this.#failures + this.#unkept < MAX_UNREADABLE) throw error;
        return false;
      });
    const name = (await has(READ)) ? 'kept' : (await has(PART)) ? 'part' : undefined;
    if (name !== undefined) {
      await this.#forget(name === 'kept' ? ['part', 'kept'] : ['part']);
      await rename(usual.folder, this.#place(name).folder);
    }
    await rm(usual.folder, { recursive: true, force: true });
  }

  /** The branch's last commit at its host, which is asked without fetching anything. Undefined: it has no such branch. */
  async tip(): Promise<string | undefined> {
    const { branch, url } = this.#options.config;
    const place = this.#place('asked');
    await this.#make(place);
    const access = await this.#access();
    const words = ['ls-remote', '--quiet', '--', url, `refs/heads/${branch}`];
    const printed = await this.#git(place, words, access);
    return /^[0-9a-f]{40,64}/.exec(printed.toString('utf8'))?.[0];
  }

  /** Whether the later commit has the earlier one among the last before it. Undefined: it cannot be told. */
  async follows(earlier: string): Promise<boolean | undefined> {
    const place = this.#place('history');
    try {
      await this.#make(place);
      await this.#fetchInto(place, [`--depth=${HISTORY}`, '--filter=tree:0']);
      const printed = await this.#git(place, ['rev-list', `--max-count=${10 * HISTORY}`, REF]);
      return printed.includes(earlier);
    } catch {
      return undefined;
    } finally {
      await rm(place.folder, { recursive: true, force: true }).catch(() => {});
    }
  }

  /**
   * All below these folders; `a/*` stands for each folder directly below `a`. `unlisted`: those with too much directly in
   * them to be listed. `a/` with the slash: the folders below `a` are not known, whose names are too many.
   */
  async list(commit: string, folders: readonly string[]): Promise<Listing> {
    const paths = folders.map((path) => path.replace(/\/\*$/, ''));
    const all = await this.#listOf(
      commit,
      paths.map((path) => `${path}/`),
    );
    if (all !== undefined) return { entries: all, unlisted: [] };
    // One by one, and only what is directly in it: whoever may write into one must not keep the others from being read.
    const unlisted = new Set<string>();
    const named = new Set(folders.filter((path) => !path.endsWith('/*')));
    const below = new Set<string>();
    for (const parent of new Set(paths.filter((_, index) => folders[index]?.endsWith('/*')))) {
      const some = await this.#listOf(commit, [`${parent}/`], this.#limits.maxListBytes, []);
      if (some === undefined) unlisted.add(`${parent}/`);
      for (const { kind, path } of some ?? []) if (kind === 'folder' && !named.has(path)) below.add(path);
    }
    const entries: TreeEntry[] = [];
    let room = this.#limits.maxListBytes;
    for (const [index, folder] of [...named, ...below].entries()) {
      const most = index < MAX_LISTED ? Math.min(room, this.#limits.maxListBytes / 8) : 0;
      const some = most <= 0 ? undefined : await this.#listOf(commit, [`${folder}/`], most, []);
      if (some === undefined) unlisted.add(folder);
      else entries.push(...some);
      room -= (some ?? []).reduce((sum, { path }) => sum + path.length + ENTRY_BYTES, 0);
    }
    return { entries, unlisted: [...unlisted] };
  }

  /** Undefined: it is too much. */
  async #listOf(
    commit: string,
    folders: readonly string[],
    maxBytes = this.#limits.maxListBytes,
    how: readonly string[] = ['-r'],
  ): Promise<readonly TreeEntry[] | undefined> {
    const words = ['ls-tree', ...how, '-z', '-l', '--full-tree', commit, '--', ...folders];
    try {
      const printed = await this.#git(this.#placeOf(commit), words, { maxBytes });
      return printed.toString('utf8').split('\0').flatMap(entryOf);
    } catch (error) {
      if (error instanceof GitError && error.kind === 'too-large') return undefined;
      throw error;
    }
  }

  /** Of a commit, by their names; none may be larger than a file may be. */
  async blobs(commit: string, names: readonly string[], maxBytes: number): Promise<ReadonlyMap<string, Buffer>> {
    const found = new Map<string, Buffer>();
    if (names.length === 0) return found;
    const printed = await this.#git(this.#placeOf(commit), ['cat-file', '--batch'], {
      input: `${names.join('\n')}\n`,
      maxBytes,
    });
    let at = 0;
    while (at < printed.length) {
      const end = printed.indexOf('\n', at);
      const [name = '', kind, size] = printed.subarray(at, end).toString('utf8').split(' ');
      if (end === -1 || kind !== 'blob') throw new GitError('failed', `git does not have ${name.slice(0, 64)}`);
      const from = end + 1;
      found.set(name, printed.subarray(from, from + Number(size)));
      at = from + Number(size) + 1;
    }
    return found;
  }

  #placeOf(commit: string): GitPlace {
    return this.#place(this.#before.get(commit) ?? 'repository');
  }

  #place(name: string): GitPlace {
    const { clock, environment, folder } = this.#options;
    return { folder: join(folder, name), maxFileBytes: this.#limits.maxPackBytes, clock, environment };
  }

  async #make(place: GitPlace): Promise<void> {
    await rm(place.folder, { recursive: true, force: true });
    await mkdir(place.folder, { recursive: true, mode: 0o700 });
    await this.#git(place, ['init', '--quiet', '--bare', '--template=', place.folder]);
    await copyFile(join(place.folder, CONFIG), join(place.folder, MADE));
  }

  async #fetchInto(place: GitPlace, how = ['--depth=1', `--filter=blob:limit=${LARGEST_BLOB}`]): Promise<void> {
    const { branch, url } = this.#options.config;
    const words = [
      'fetch',
      '--quiet',
      '--no-tags',
      '--no-write-fetch-head',
      ...how,
      '--',
      url,
      `+refs/heads/${branch}:${REF}`,
    ];
    try {
      await this.#git(place, words, { withinMs: this.#limits.fetchMs, ...(await this.#access()) });
    } catch (error) {
      // Git itself only says that it could not read the pack.
      const isCut = (await packsIn(place.folder)).some(({ bytes }) => bytes >= place.maxFileBytes);
      await unlock(place.folder);
      if (isCut) throw new GitError('too-large', 'it is larger than a repository of registrations may be');
      throw error;
    }
  }

  /** Undefined: there is none, or it has been broken for a while. */
  async #commitIfIn(place: GitPlace, ref = REF): Promise<Commit | undefined> {
    try {
      return (await this.#isIn(place, ref)) ? await this.#commitIn(place, ref) : undefined;
    } catch (error) {
      if (isPassing(error) || this.#unreadable < MAX_UNREADABLE) throw error;
      return undefined;
    }
  }

  /** False by git's own answer alone: that it could not tell does not mean that there is none. */
  async #isIn(place: GitPlace, ref: string): Promise<boolean> {
    if (!(await isThere(join(place.folder, HEAD)))) return false;
    const words = ['for-each-ref', '--format=%(refname)', ref];
    const printed = await this.#git(place, words, { failsWith: /ignoring (?:broken|dangling)/ });
    return printed.toString('utf8').split('\n').includes(ref);
  }

  async #commitIn(place: GitPlace, ref = REF): Promise<Commit> {
    // A message can have any length.
    const format = `--format=%H%n%at%n%<(${2 * MAX_SUBJECT},trunc)%s`;
    const printed = await this.#git(place, ['log', '-1', '--no-show-signature', format, ref]);
    const [sha = '', seconds = '', ...words] = printed.toString('utf8').split('\n');
    if (!/^[0-9a-f]{40,64}$/.test(sha)) throw new GitError('failed', 'git names no commit');
    return { sha, authoredAtMs: timeOf(seconds), subject: scrub(words.join(' ').trim(), MAX_SUBJECT) };
  }

  async #access(): Promise<Pick<GitCommand, 'environment' | 'secretSettings' | 'settings'>> {
    const { config, environment, protocols } = this.#options;
    const allowed = protocols ?? [config.url.startsWith('ssh:') ? 'ssh' : 'https'];
    const shared = { GIT_ALLOW_PROTOCOL: allowed.join(':') };
    const { credentials } = config;
    if (credentials?.kind === 'ssh') {
      return { environment: { ...shared, GIT_SSH_COMMAND: sshCommand(credentials), GIT_SSH_VARIANT: 'ssh' } };
    }
    const extra = environment['NODE_EXTRA_CA_CERTS'];
    const settings = extra === undefined || extra === '' ? {} : { 'http.sslCAInfo': await this.#authorities() };
    if (credentials === undefined) return { environment: shared, settings };
    const basic = Buffer.from(`${credentials.user}:${credentials.token.reveal()}`).toString('base64');
    // For this host alone.
    const key = `http.${new URL(config.url).origin}/.extraHeader`;
    return { environment: shared, settings, secretSettings: { [key]: `Authorization: Basic ${basic}` } };
  }

  /** Those that this process trusts, as git knows nothing of NODE_EXTRA_CA_CERTS. */
  async #authorities(): Promise<string> {
    const file = join(this.#options.folder, 'authorities.pem');
    await mkdir(this.#options.folder, { recursive: true, mode: 0o700 });
    await writeFile(file, getCACertificates('default').join('\n'), { mode: 0o600 });
    return file;
  }

  async #isFull({ folder, maxFileBytes }: GitPlace): Promise<boolean> {
    const packs = await packsIn(folder);
    return packs.reduce((sum, { bytes }) => sum + bytes, 0) > 2 * maxFileBytes || packs.length > 3 * MAX_PACKS;
  }

  #git(place: GitPlace, words: readonly string[], more: Partial<GitCommand> = {}): Promise<Buffer> {
    const maxBytes = 1024 * 1024;
    return runGit({ arguments: words, withinMs: this.#limits.readMs, maxBytes, ...more }, place);
  }
}

/** No agent, no questions, no host that is not listed. */
function sshCommand({ key, knownHosts }: { readonly key: string; readonly knownHosts: string }): string {
  const options = {
    IdentitiesOnly: 'yes',
    IdentityAgent: 'none',
    UserKnownHostsFile: knownHosts,
    GlobalKnownHostsFile: '/dev/null',
    StrictHostKeyChecking: 'yes',
    UpdateHostKeys: 'no',
    BatchMode: 'yes',
    ClearAllForwardings: 'yes',
    PermitLocalCommand: 'no',
    ConnectTimeout: '15',
    ServerAliveInterval: '15',
  };
  const words = Object.entries(options).flatMap(([name, value]) => [
    '-o',
    `${name}=${name.endsWith('File') ? `"${value}"` : value}`,
  ]);
  return ['ssh', '-F', '/dev/null', '-i', key, ...words].map(quoted).join(' ');
}

/** For the shell that git runs it by. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/** Without what git notes of a partial fetch: it would try to fetch what is missing, and fail as a whole. */
async function settle(folder: string): Promise<void> {
  // One that an earlier version made has none, and was fetched whole.
  await copyFile(join(folder, MADE), join(folder, CONFIG)).catch(() => {});
}

/** Its author writes any number. */
function timeOf(seconds: string): number {
  const ms = Number(seconds) * 1000;
  return Math.abs(ms) <= LATEST_MS ? ms : 0;
}

/** Of a Date. */
const LATEST_MS = 8.64e15;

function entryOf(line: string): readonly TreeEntry[] {
  const found = /^(\d{6}) (\w+) ([0-9a-f]{40,64}) +(\d+|-|BAD)\t([\s\S]+)$/.exec(line);
  if (found === null) return [];
  const [, mode = '', , blob = '', size = '', path = ''] = found;
  return [{ path, kind: kindOf(mode), blob, bytes: bytesOf(size) }];
}

function bytesOf(size: string): number {
  if (size === '-') return 0;
  return size === 'BAD' ? Number.POSITIVE_INFINITY : Number(size);
}

function kindOf(mode: string): TreeEntry['kind'] {
  switch (mode) {
    case '100644':
    case '100755':
      return 'file';
    case '040000':
      return 'folder';
    case '120000':
      return 'link';
    case '160000':
      return 'submodule';
    default:
      return 'other';
  }
}

/** What a process that was killed has left. */
async function unlock(folder: string): Promise<void> {
  const packs = join(folder, 'objects', 'pack');
  const left = (await readdir(packs).catch(() => [])).filter((name) => name.startsWith('tmp_'));
  const locks = [
    'shallow.lock',
    'config.lock',
    'packed-refs.lock',
    'HEAD.lock',
    ...[REF, READ, PART].map((ref) => `${ref}.lock`),
  ];
  const paths = [...locks.map((name) => join(folder, name)), ...left.map((name) => join(packs, name))];
  await Promise.all(paths.map((path) => rm(path, { force: true })));
}

async function packsIn(folder: string): Promise<readonly { readonly bytes: number }[]> {
  const packs = join(folder, 'objects', 'pack');
  const names = await readdir(packs).catch(() => []);
  return await Promise.all(
    names.map(async (name) => ({ bytes: (await stat(join(packs, name)).catch(() => ({ size: 0 }))).size })),
  );
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'no reason';
    if (code === 'ENOENT' || code === 'ENOTDIR') return false;
    throw new GitError('interrupted', `its copy here cannot be read: ${code}`);
  }
}
