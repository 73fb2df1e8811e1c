/**
 * Registrations in a git repository: fetched on an interval, and when its webhook says that something was pushed. What was
 * read last stays in force as long as nothing newer can be read.
 */
import type { Clock } from '../../time/clock.ts';
import { SECOND } from '../../time/units.ts';
import { FileRefused } from '../config/files.ts';
import { REGISTRATION_BOUNDS } from '../config/load.ts';
import type { KeptFile, RegistrationSource } from '../config/registration-source.ts';
import { scrub } from '../failures/scrub.ts';
import type { Log } from '../log.ts';
import type { Problem } from '../model/problem.ts';
import type { Commit, GitSourceConfig, SourceFolder, SourceState } from '../model/registration.ts';
import { GitError, isPassing } from './git-command.ts';
import type { GitRepository, TreeEntry } from './git-repository.ts';

export interface GitSourceOptions {
  readonly config: GitSourceConfig;
  readonly repository: Pick<GitRepository, 'blobs' | 'fetch' | 'follows' | 'keep' | 'last' | 'list'>;
  readonly clock: Pick<Clock, 'after' | 'now'>;
  readonly log: () => Pick<Log, 'info' | 'warn'>;
  readonly limits?: SourceLimits;
}

export interface SourceLimits {
  readonly maxFiles: number;
  readonly maxBytes: number;
}

/** Who can push often must not make us fetch all the time. */
const MIN_GAP_MS = 2 * SECOND;
/** As many as 20,000 registrations of 3 KB. */
const LIMITS: SourceLimits = { maxFiles: 20_000, maxBytes: 64 * 1024 * 1024 };
const MAX_WORDS = 300;
const LFS = 'version https://git-lfs';

interface Content {
  readonly blob: string;
  readonly text: string | FileRefused;
}

interface Found {
  readonly file: KeptFile;
  readonly entry: TreeEntry;
}

export class GitSource implements RegistrationSource {
  readonly #options: GitSourceOptions;
  #files: readonly KeptFile[] = [];
  #contents: ReadonlyMap<string, Content> = new Map();
  #commit: Commit | null = null;
  /** The commit that a later process begins with. */
  #kept: string | undefined;
  #problem: Problem | null = null;
  /** Of the commit that was read: a part of it was not. */
  #beyond: Problem | null = null;
  /** One of its commits was read as a whole. */
  #wasWhole = false;
  #isKnown = false;
  #begun: Promise<void> | undefined;
  #cancel: () => void = () => {};
  #work: Promise<void> | undefined;
  #isAsked = false;
  #stopped = false;
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(options: GitSourceOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.config.name;
  }

  get config(): GitSourceConfig {
    return this.#options.config;
  }

  get state(): SourceState {
    const { branch, name, url } = this.#options.config;
    return { name, url, branch, commit: this.#commit, problem: this.#problem };
  }

  get isKnown(): boolean {
    return this.#isKnown;
  }

  get files(): readonly KeptFile[] {
    return this.#files;
  }

  async read(file: string): Promise<string> {
    const content = this.#contents.get(file);
    if (content === undefined) throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' });
    if (content.text instanceof FileRefused) throw content.text;
    return content.text;
  }

  /** What an earlier process read last, if it did. Then everything else happens beside. */
  async open(): Promise<void> {
    await this.#begin().catch(() => {});
    void this.wake();
  }

  /** Once. What comes later counts beside it, and a folder that is too large there is as it was here. */
  #begin(): Promise<void> {
    this.#begun ??= this.#takeLast().catch((error: unknown) => {
      this.#begun = undefined;
      throw error;
    });
    return this.#begun;
  }

  async #takeLast(): Promise<void> {
    for (const commit of await this.#options.repository.last()) {
      await this.#take(commit).catch((error: unknown) => {
        if (isPassing(error)) throw error;
      });
    }
  }

  /** Something may have been pushed. Resolves after a fetch that began later than this call. Never rejects. */
  wake(): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    if (this.#work !== undefined) {
      this.#isAsked = true;
      return this.#work.then(() => this.#work);
    }
    this.#cancel();
    const { clock, config } = this.#options;
    this.#work = this.#rest()
      .then(() => this.#fetch())
      .finally(() => {
        this.#work = undefined;
        if (this.#stopped) return;
        if (this.#isAsked) {
          this.#isAsked = false;
          void this.wake();
        } else this.#cancel = clock.after(config.intervalMs, () => void this.wake());
      });
    return this.#work;
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  #rest(): Promise<void> {
    const { clock } = this.#options;
    const ms = this.#lastMs + MIN_GAP_MS - clock.now();
    return ms <= 0 || ms > MIN_GAP_MS ? Promise.resolve() : new Promise((resolve) => void clock.after(ms, resolve));
  }

  async #fetch(): Promise<void> {
    if (this.#stopped) return;
    const { clock, config, log, repository } = this.#options;
    try {
      await this.#begin();
      const commit = await repository.fetch();
      const before = this.#commit;
      if (commit.sha !== before?.sha) {
        await this.#take(commit);
        const follows = before === null ? true : await repository.follows(before.sha);
        const { sha, subject } = commit;
        log().info('source-read', {
          source: config.name,
          commit: sha,
          subject,
          files: this.#files.length,
          ...(follows === false ? { reason: `it does not follow ${before?.sha}: the branch was rewritten` } : {}),
        });
      }
      if (this.#kept !== commit.sha) {
        await repository.keep(commit.sha, this.#beyond === null ? 'whole' : 'part');
        this.#kept = commit.sha;
      }
      if (this.#beyond !== null && this.#beyond.message !== this.#problem?.message)
        log().warn('source-not-read', { source: config.name, reason: this.#beyond.message });
      this.#problem = this.#beyond;
    } catch (error) {
      if (this.#stopped) return;
      const problem = this.#problemOf(error);
      if (problem.message !== this.#problem?.message)
        log().warn('source-not-read', { source: config.name, reason: problem.message });
      this.#problem = problem;
    } finally {
      this.#lastMs = clock.now();
    }
  }

  /** All of it, but for folders that are too large: those stay as they were. Or nothing. */
  async #take(commit: Commit): Promise<void> {
    const { config, limits = LIMITS, repository } = this.#options;
    const { entries: tree, unlisted } = await repository.list(
      commit.sha,
      config.folders.map(({ path }) => path),
    );
    const found: Found[] = [];
    for (const entry of tree) {
      const file = this.#fileOf(entry);
      if (file !== undefined) found.push({ file, entry });
    }
    if (tree.length === 0 && unlisted.length === 0 && this.#files.length > 0) {
      throw new Refused(
        `commit ${commit.sha.slice(0, 12)} has no folder ${config.folders.map(({ path }) => path).join(', ')}`,
      );
    }
    const within = withinLimits(found, limits);
    const { fitting } = within;
    const more = { files: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY };
    const tooLarge = [...within.tooLarge, ...unlisted.map((folder) => ({ folder, ...more }))];
    if (fitting.length === 0 && tooLarge.length > 0) {
      const { bytes, files } = sizeOf(found);
      throw new Refused(
        `commit ${commit.sha.slice(0, 12)} has ${files} files of ${bytes} bytes, and ${limits.maxFiles} of ${limits.maxBytes} are the limit`,
      );
    }
    // Texts alone: what is refused for what an entry is, such as a link, says nothing of another with the same blob.
    const before = new Map(
      [...this.#contents.values()].flatMap(({ blob, text }) => (typeof text === 'string' ? [[blob, text]] : [])),
    );
    const wanted = new Set(
      fitting
        .map(({ entry }) => entry)
        .filter((entry) => !before.has(entry.blob) && isReadable(entry))
        .map(({ blob }) => blob),
    );
    const blobs = await repository.blobs(commit.sha, [...wanted], limits.maxBytes + 128 * limits.maxFiles);
    const contents = new Map<string, Content>();
    for (const { entry, file } of fitting) {
      const text = refusalOf(entry) ?? before.get(entry.blob) ?? textOf(blobs.get(entry.blob));
      contents.set(file.file, { blob: entry.blob, text });
    }
    const stay = new Set(tooLarge.map(({ folder }) => `git:${this.name}/${folder}`));
    const named = new Set(config.folders.map(({ path }) => `git:${this.name}/${path}`));
    const known = new Set<string>();
    const staying = this.#files.filter(({ file }) => {
      const folder = folderOf(file);
      // Those that are named themselves were listed by themselves.
      const of = [folder, ...(named.has(folder) ? [] : [`${folderOf(folder)}/`])].filter((one) => stay.has(one));
      for (const one of of) known.add(one);
      return of.length > 0;
    });
    for (const { file } of staying) {
      const content = this.#contents.get(file);
      if (content !== undefined) contents.set(file, content);
    }
    this.#files = [...fitting.map(({ file }) => file), ...staying];
    this.#contents = contents;
    this.#commit = commit;
    this.#beyond = this.#beyondOf(tooLarge, known, limits);
    // What has been read as a whole once is as it was where a later one is read in part, but for what was not there then.
    this.#wasWhole ||= tooLarge.length === 0;
    this.#isKnown = this.#wasWhole && [...stay].every((folder) => known.has(folder));
  }

  /** `known`: those of which files stay. */
  #beyondOf(
    [first, ...others]: readonly FolderSize[],
    known: ReadonlySet<string>,
    { maxBytes, maxFiles }: SourceLimits,
  ): Problem | null {
    if (first === undefined) return null;
    const before = known.has(`git:${this.name}/${first.folder}`)
      ? 'what it said before is in force'
      : 'nothing of it is known yet';
    const more = others.length === 0 ? '' : `, and ${others.length} more are not read either`;
    return {
      ...{ file: `git:${this.name}`, line: 0, column: 0, path: '' },
      message: `the folder ${first.folder} has ${Number.isFinite(first.files) ? `${first.files} files of ${first.bytes} bytes` : 'too many files to be listed'}, and ${maxFiles} of ${maxBytes} are the limit of all: ${before}${more}`,
      cure: 'Remove files there.',
    };
  }

  /** The first folder that it is in says whose it may be. */
  #fileOf(entry: TreeEntry): KeptFile | undefined {
    const slash = entry.path.lastIndexOf('/');
    const [folder, name] = [entry.path.slice(0, slash), entry.path.slice(slash + 1)];
    if (entry.kind === 'folder' || !/\.ya?ml$/i.test(name)) return undefined;
    for (const one of this.#options.config.folders) {
      const tenants = tenantsIn(one, folder);
      if (tenants === undefined) continue;
      return {
        file: `git:${this.name}/${entry.path}`,
        entry: name,
        version: `${entry.kind} ${entry.blob}`,
        tenants: tenants.length === 0 ? undefined : tenants,
        trusted: one.trusted,
      };
    }
    return undefined;
  }

  #problemOf(error: unknown): Problem {
    const { config } = this.#options;
    const words =
      error instanceof GitError || error instanceof Refused
        ? scrub(error.message, MAX_WORDS)
        : 'a bug in the program prevented reading it';
    const commit =
      this.#commit === null
        ? 'nothing of it is known yet'
        : `what it said at commit ${this.#commit.sha.slice(0, 12)} is in force`;
    return {
      file: `git:${config.name}`,
      line: 0,
      column: 0,
      path: '',
      message: `the branch ${config.branch} of ${config.url} cannot be read: ${words}; ${commit}`,
      cure: cureOf(error),
    };
  }
}

/** For one of it that cannot be in force. */
class Refused extends Error {}

/** What to do about a branch that cannot be read. */
export function cureOf(error: unknown): string {
  if (error instanceof Refused) return 'Correct the branch, or `sources` in dispatcher.yaml.';
  if (error instanceof GitError && error.kind === 'absent')
    return 'Install git 2.31 or later where the dispatcher runs. Its image has git if it was built on a base that has: see docs/configuration.md, "Registrations in git".';
  if (error instanceof GitError && error.kind === 'interrupted')
    return 'It is tried again by itself. Check that the machine of the dispatcher has memory, processes and files left.';
  if (error instanceof GitError && error.kind === 'too-large')
    return 'Keep registrations in a repository of their own.';
  return 'Check `sources` in dispatcher.yaml, and that the host can be reached from here.';
}

interface FolderSize {
  readonly folder: string;
  readonly files: number;
  readonly bytes: number;
}

/** Whoever may write into one folder must not keep the others from being read: the smallest are read first. */
function withinLimits(
  found: readonly Found[],
  limits: SourceLimits,
): { readonly fitting: readonly Found[]; readonly tooLarge: readonly FolderSize[] } {
  const all = sizeOf(found);
  if (all.files <= limits.maxFiles && all.bytes <= limits.maxBytes) return { fitting: found, tooLarge: [] };
  const folders = Map.groupBy(found, ({ entry }) => folderOf(entry.path));
  const share = ({ bytes, files }: FolderSize) => Math.max(bytes / limits.maxBytes, files / limits.maxFiles);
  const sizes = [...folders].map(([folder, own]) => ({ folder, ...sizeOf(own) }));
  const tooLarge: FolderSize[] = [];
  const fitting: Found[] = [];
  let [files, bytes] = [0, 0];
  for (const size of sizes.toSorted((one, other) => share(one) - share(other))) {
    files += size.files;
    bytes += size.bytes;
    if (files > limits.maxFiles || bytes > limits.maxBytes) tooLarge.push(size);
    else fitting.push(...(folders.get(size.folder) ?? []));
  }
  return { fitting, tooLarge };
}

function sizeOf(found: readonly Found[]): Pick<FolderSize, 'bytes' | 'files'> {
  const bytes = found.reduce((sum, { entry }) => sum + Math.min(entry.bytes, REGISTRATION_BOUNDS.bytes), 0);
  return { bytes, files: found.length };
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}

/** Undefined: the file is not directly in it. Empty: of all tenants. */
function tenantsIn({ path, tenants = [] }: SourceFolder, folder: string): readonly string[] | undefined {
  if (!path.endsWith('/*')) return folder === path ? tenants : undefined;
  const parent = path.slice(0, -1);
  const name = folder.startsWith(parent) ? folder.slice(parent.length) : '';
  return name === '' || name.includes('/') ? undefined : [name];
}

function isReadable(entry: TreeEntry): boolean {
  return refusalOf(entry) === undefined;
}

function refusalOf({ bytes, kind }: TreeEntry): FileRefused | undefined {
  if (kind !== 'file') {
    const what = kind === 'link' ? 'a link' : kind === 'submodule' ? 'a submodule' : 'something else';
    return new FileRefused('not-a-file', `it is ${what}, not a file`, 'Put the file itself there.');
  }
  const { bytes: most } = REGISTRATION_BOUNDS;
  if (bytes <= most) return undefined;
  return new FileRefused(
    'too-large',
    `it has ${Number.isFinite(bytes) ? bytes : `more than ${most}`} bytes, and ${most} is the limit`,
    'Leave out what is not needed.',
  );
}

function textOf(blob: Buffer | undefined): string | FileRefused {
  if (blob === undefined) return new FileRefused('not-a-file', 'git does not have it', 'Push it again.');
  if (blob.subarray(0, LFS.length).toString('latin1') === LFS) {
    return new FileRefused('not-a-file', 'it is kept in Git LFS', 'Put the file itself there.');
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(blob);
  } catch {
    return new FileRefused('not-text', 'it is not text in UTF-8', 'Save it as UTF-8.');
  }
}
