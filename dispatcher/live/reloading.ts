/** Reads the configuration again when its files change, or when it is asked to, and puts it in force. */
import type { Clock } from '../../time/clock.ts';
import { fingerprint } from '../config/fingerprint.ts';
import type { Loaded } from '../config/load.ts';
import type { Stamps } from '../config/stamps.ts';
import type { Log } from '../log.ts';
import { formatProblem, type Problem } from '../model/problem.ts';
import type { Configuration, Quarantined } from '../model/registration.ts';
import { logKept, logSetAside } from '../observability/configuration-log.ts';
import { differenceOf } from './difference.ts';
import { withFixedSettings } from './fixed-settings.ts';
import type { VersionKeeping } from './version-keeping.ts';

/** A change is in force two looks after it was written: within two seconds. */
const EVERY_MS = 500;
const MAX_EVERY_MS = 900;
/** Looking at ten thousand files must not take more than a tenth of the time. */
const LOOK_SHARE = 10;
/** To the second look at what has changed. */
const AGAIN_MS = 200;
const MAX_NAMED = 20;

export interface ReloadingOptions {
  readonly clock: Pick<Clock, 'after' | 'now'>;
  readonly log: Pick<Log, 'error' | 'info' | 'warn'>;
  readonly stamps: Pick<Stamps, 'look'>;
  /** Reads what has changed; `all`: everything. */
  readonly read: (what: 'changed' | 'all') => Promise<Loaded>;
  readonly started: Configuration;
  readonly apply: (configuration: Configuration) => void;
  /** What to fall back on if a file has problems later. Absent: nothing outlives the process. */
  readonly versions?: Pick<VersionKeeping, 'keep'>;
  readonly dispatcherFile: string;
  readonly registrationsFolder: string;
}

export class Reloading {
  readonly #options: ReloadingOptions;
  #current: Configuration;
  #version = 1;
  #cancel: () => void = () => {};
  #stopped = false;
  #work: Promise<void> = Promise.resolve();
  /** Asked for, and not begun. */
  #asked: Promise<void> | undefined;

  constructor(options: ReloadingOptions) {
    this.#options = options;
    this.#current = options.started;
  }

  start(): void {
    this.#lookIn(EVERY_MS);
  }

  /** An operator asks for it: everything is read again, and what is there counts. One that has not begun is enough for all. */
  now(): Promise<void> {
    if (this.#stopped) return this.#work;
    this.#cancel();
    this.#asked ??= this.#work.then(async () => {
      this.#asked = undefined;
      if (this.#stopped) return;
      await this.#contained(async () => {
        await this.#options.stamps.look(true);
        await this.#reload('all');
      });
      this.#lookIn(EVERY_MS);
    });
    this.#work = this.#asked;
    return this.#asked;
  }

  /** What has changed is put in force without waiting for the next look. */
  soon(): Promise<void> {
    this.#cancel();
    this.#work = this.#work.then(() => this.#look());
    return this.#work;
  }

  /** Nothing is put in force from now on. Resolves when nothing is being read any more, which can take long. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel();
    await this.#work;
  }

  #lookIn(ms: number): void {
    if (this.#stopped) return;
    this.#cancel();
    this.#cancel = this.#options.clock.after(ms, () => {
      this.#work = this.#work.then(() => this.#look());
    });
  }

  async #look(): Promise<void> {
    if (this.#stopped) return;
    const { clock, stamps } = this.#options;
    const startedMs = clock.now();
    let isPending = false;
    await this.#contained(async () => {
      const look = await stamps.look();
      isPending = look.isPending;
      if (look.isChanged) await this.#reload('changed');
    });
    const tookMs = Math.max(0, clock.now() - startedMs);
    this.#lookIn(isPending ? AGAIN_MS : Math.min(MAX_EVERY_MS, Math.max(EVERY_MS, LOOK_SHARE * tookMs)));
  }

  /** A defect must not end the watching. */
  async #contained(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#options.log.error('reload-broken', { error });
    }
  }

  async #reload(what: 'changed' | 'all'): Promise<void> {
    const loaded = await this.#options.read(what);
    if (this.#stopped) return;
    const next = this.#next(loaded, what);
    if (loaded.ok) await this.#options.versions?.keep(loaded, next);
    if (this.#stopped) return;
    const told = this.#current;
    const { registrations } = told;
    const { changed, ended, moved } = differenceOf(told, next);
    // What was read again can say the same.
    if (changed.length + ended.length + moved.length === 0 && !isOther(told, next)) return;
    this.#current = next;
    this.#version += 1;
    this.#options.apply(next);
    const known = new Set(registrations.map(({ name }) => name));
    this.#tell(told, next, {
      added: changed.filter(({ name }) => !known.has(name)).map(({ name }) => name),
      changed: changed.filter(({ name }) => known.has(name)).map(({ name }) => name),
      ended: ended.map(({ name }) => name),
    });
  }

  #next(loaded: Loaded, what: 'changed' | 'all'): Configuration {
    const { dispatcherFile, registrationsFolder, started } = this.#options;
    if (!loaded.ok) return { ...this.#current, platformProblems: loaded.problems };
    const { dispatcher, changed } = withFixedSettings(started.dispatcher, loaded.configuration.dispatcher);
    const restart = changed.map((key) =>
      problemOf(
        dispatcherFile,
        `\`${key}\` has changed`,
        'Restart the dispatcher: until then it works with the value before.',
      ),
    );
    const { quarantined, registrations, platformProblems = [] } = loaded.configuration;
    const vanished = registrations.length + quarantined.length === 0 && this.#current.registrations.length > 1;
    if (vanished && what === 'changed') {
      const message = `all ${this.#current.registrations.length} registrations are gone at once: those that were there stay in force`;
      const cure = 'Put them back; or, if they are to end, send SIGHUP to the dispatcher.';
      return { ...this.#current, dispatcher, platformProblems: [problemOf(registrationsFolder, message, cure)] };
    }
    return { ...loaded.configuration, dispatcher, platformProblems: [...platformProblems, ...restart] };
  }

  #tell(
    before: Configuration,
    now: Configuration,
    names: Readonly<Record<'added' | 'changed' | 'ended', readonly string[]>>,
  ): void {
    const { log } = this.#options;
    const told = Object.entries(names).filter(([, list]) => list.length > 0);
    log.info('configuration', {
      version: this.#version,
      ...Object.fromEntries(told.map(([how, list]) => [how, list.slice(0, MAX_NAMED)])),
      registrations: now.registrations.length,
      setAside: now.quarantined.length,
      ...((now.kept ?? []).length === 0 ? {} : { kept: now.kept?.length }),
    });
    const commits = new Map((before.sources ?? []).map(({ commit, name }) => [name, commit?.sha]));
    for (const { commit, name } of now.sources ?? []) {
      if (commit === null || commits.get(name) === commit.sha) continue;
      log.info('commit-in-force', { source: name, commit: commit.sha, subject: commit.subject });
    }
    const doublesBefore = new Set((before.doubles ?? []).map(({ problem }) => formatProblem(problem)));
    for (const { name, problem } of now.doubles ?? []) {
      const text = formatProblem(problem);
      if (!doublesBefore.has(text)) log.warn('registration-double', { registration: name, problem: text });
    }
    const keptBefore = new Set((before.kept ?? []).map(textOf));
    logKept(
      (now.kept ?? []).filter((one) => !keptBefore.has(textOf(one))),
      log,
    );
    const known = new Set(before.quarantined.map(textOf));
    const quarantined = now.quarantined.filter((one) => !known.has(textOf(one)));
    const knownConflicts = new Set(before.conflicts.map(({ problem }) => formatProblem(problem)));
    const conflicts = now.conflicts.filter(({ problem }) => !knownConflicts.has(formatProblem(problem)));
    logSetAside({ ...now, quarantined, conflicts }, log);
    const knownProblems = new Set((before.platformProblems ?? []).map(formatProblem));
    for (const problem of now.platformProblems ?? []) {
      const text = formatProblem(problem);
      if (!knownProblems.has(text)) log.error('configuration-problem', { problem: text });
    }
  }
}

function problemOf(file: string, message: string, cure: string): Problem {
  return { file, line: 0, column: 0, path: '', message, cure };
}

function textOf({ name, problems }: Pick<Quarantined, 'name' | 'problems'>): string {
  return [name, ...problems.map(formatProblem)].join('\n');
}

/** In what is beside the registrations in force. */
function isOther(one: Configuration, other: Configuration): boolean {
  const ofPlatform = ({ dispatcher }: Configuration) => {
    const { maxLaunches, maxRunners, oidc, sources = [], tenants, webhooks } = dispatcher;
    return fingerprint([maxLaunches, maxRunners, oidc?.access, sources, tenants, webhooks], 'with places');
  };
  const words = ({ quarantined, conflicts, kept = [], platformProblems = [], ...more }: Configuration) =>
    [
      ...(more.sources ?? []).map(({ name, commit }) => `source ${name} ${commit?.sha ?? ''}`),
      ...(more.doubles ?? []).map(({ problem }) => formatProblem(problem)),
      ...kept.map((one) => `kept ${textOf(one)}`),
      ...quarantined.map(textOf),
      ...conflicts.map(({ problem }) => formatProblem(problem)),
      ...platformProblems.map(formatProblem),
    ].join('\n');
  return words(one) !== words(other) || ofPlatform(one) !== ofPlatform(other);
}
