/** The sources that dispatcher.yaml names now. One that it says the same of as before goes on as it is. */
import { createHash } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Clock } from '../../time/clock.ts';
import { SECOND } from '../../time/units.ts';
import { fingerprint } from '../config/fingerprint.ts';
import type { RegistrationSource } from '../config/registration-source.ts';
import type { Log } from '../log.ts';
import type { DispatcherConfig, GitSourceConfig } from '../model/registration.ts';
import { endAllGit } from './git-command.ts';
import { GitRepository, type RepositoryOptions } from './git-repository.ts';
import { GitSource } from './git-source.ts';

export interface SourcesOptions extends Pick<RepositoryOptions, 'environment' | 'protocols' | 'limits'> {
  readonly clock: Clock;
}

/** The start waits so long for what was never read before. */
const FIRST_MS = 30 * SECOND;

export class Sources {
  readonly #options: SourcesOptions;
  #git: readonly GitSource[] = [];
  #stopped = false;
  #isStarted = false;
  /** Known when the configuration is. */
  log: Pick<Log, 'info' | 'warn'> = { info: () => {}, warn: () => {} };

  constructor(options: SourcesOptions) {
    this.#options = options;
  }

  get all(): readonly RegistrationSource[] {
    return this.#git;
  }

  /** Makes them what dispatcher.yaml says. The first time, it waits for those of which nothing is known; never long. */
  async follow(dispatcher: Pick<DispatcherConfig, 'ledgerPath' | 'sources'>): Promise<readonly RegistrationSource[]> {
    const wanted = dispatcher.sources ?? [];
    const before = new Map(this.#git.map((one) => [fingerprint(one.config), one]));
    const next = wanted.map(
      (config) => before.get(fingerprint(config)) ?? this.#sourceOf(config, dispatcher.ledgerPath),
    );
    const fresh = next.filter((one) => !this.#git.includes(one));
    for (const one of this.#git) if (!next.includes(one)) one.stop();
    this.#git = next;
    await Promise.all(fresh.map((one) => one.open()));
    if (this.#stopped) this.stop();
    if (!this.#isStarted) {
      const unknown = fresh.filter(({ state }) => state.commit === null);
      await this.#within(Promise.all(unknown.map((one) => one.wake())));
      await forgetOthers(placeOf(dispatcher.ledgerPath), new Set(next.map(({ config }) => folderOf(config))));
    }
    this.#isStarted = true;
    return next;
  }

  /** Undefined: there is no such source, or it has no webhook. */
  pushed(name: string): GitSource | undefined {
    return this.#git.find((one) => one.name === name && one.config.webhookSecrets.length > 0);
  }

  stop(): void {
    this.#stopped = true;
    for (const one of this.#git) one.stop();
    endAllGit();
  }

  #sourceOf(config: GitSourceConfig, ledgerPath: string): GitSource {
    const { clock } = this.#options;
    const folder = join(placeOf(ledgerPath), folderOf(config));
    const repository = new GitRepository({ ...this.#options, config, folder });
    return new GitSource({ config, repository, clock, log: () => this.log });
  }

  #within(work: Promise<unknown>): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(FIRST_MS, resolve);
      void work.then(() => {
        cancel();
        resolve();
      });
    });
  }
}

/** Beside the ledger: what is left of it is there after a restart, when its host may be away. */
function placeOf(ledgerPath: string): string {
  return join(
    ledgerPath === ':memory:' ? join(tmpdir(), `shr-sources-${process.pid}`) : dirname(ledgerPath),
    'sources',
  );
}

/** Of another repository or branch, nothing may count as read. */
function folderOf({ branch, name, url }: GitSourceConfig): string {
  return `${name}-${createHash('sha256').update(`${url}\n${branch}`).digest('hex').slice(0, 16)}`;
}

async function forgetOthers(place: string, wanted: ReadonlySet<string>): Promise<void> {
  const names = await readdir(place).catch(() => []);
  for (const name of names) {
    if (!wanted.has(name)) await rm(join(place, name), { recursive: true, force: true }).catch(() => {});
  }
}
