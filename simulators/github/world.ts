import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import type { Clock, Random } from '../../time/clock.ts';
import type {
  Account,
  App,
  CheckRun,
  Enterprise,
  Execution,
  Hook,
  Installation,
  Job,
  Repository,
  Run,
  Runner,
  RunnerGroup,
  RunnerScope,
} from './model.ts';
import { scopeKey } from './model.ts';
import type {
  AppOptions,
  EnterpriseOptions,
  InstallationOptions,
  OwnerOptions,
  RunnerGroupOptions,
  SimulatedTimes,
  SimulatorOptions,
  TokenOptions,
} from './options.ts';

/** Runners that no longer exist, but are still told so when they ask. */
const removedKept = 1_000;

export interface PersonalToken {
  readonly token: string;
  readonly account: Account;
  /** Lower case; `*` for all. */
  readonly owners: ReadonlySet<string>;
  readonly access: 'read' | 'admin';
}

const defaultOwners: readonly OwnerOptions[] = [
  { login: 'acme', repositories: [{ name: 'web' }, { name: 'api' }, { name: 'site', visibility: 'public' }] },
  { login: 'octocat', type: 'User', repositories: [{ name: 'dotfiles' }] },
];
const defaultEnterprises: readonly EnterpriseOptions[] = [{ slug: 'acme-inc', organizations: ['acme'] }];

/** The permissions of a dispatcher's App: read jobs and runs, register runners, list hooks. */
const dispatcherPermissions = {
  actions: 'read',
  administration: 'write',
  checks: 'write',
  metadata: 'read',
  organization_self_hosted_runners: 'write',
  organization_hooks: 'write',
  repository_hooks: 'write',
} as const;

/** The whole state of the simulated GitHub, and its change listeners. */
export class World {
  readonly clock: Clock;
  readonly random: Random;
  readonly times: SimulatedTimes;
  readonly timeScale: number;
  readonly accounts = new Map<string, Account>();
  readonly enterprises = new Map<string, Enterprise>();
  readonly repositories = new Map<string, Repository>();
  readonly repositoriesById = new Map<number, Repository>();
  readonly groups: RunnerGroup[] = [];
  readonly runners = new Map<number, Runner>();
  readonly runnersByToken = new Map<string, Runner>();
  /** `<scope key>/<runner name, lower case>`: names are unique within a scope. */
  readonly runnersByName = new Map<string, Runner>();
  readonly runs = new Map<number, Run>();
  readonly jobs = new Map<number, Job>();
  readonly executions: Execution[] = [];
  readonly apps = new Map<number, App>();
  readonly installations = new Map<number, Installation>();
  readonly personalTokens = new Map<string, PersonalToken>();
  readonly hooks = new Map<number, Hook>();
  readonly checkRuns = new Map<number, CheckRun>();
  readonly #watchers = new Set<() => void>();
  readonly #removed: Runner[] = [];
  #lastId = 0;

  constructor(options: SimulatorOptions, clock: Clock, random: Random, times: SimulatedTimes) {
    this.clock = clock;
    this.random = random;
    this.times = times;
    this.timeScale = options.timeScale ?? 1;
    const owners = options.owners ?? defaultOwners;
    for (const owner of owners) this.#addOwner(owner);
    const known = (enterprise: EnterpriseOptions): EnterpriseOptions => ({
      slug: enterprise.slug,
      organizations: enterprise.organizations.filter((login) => this.accounts.has(login.toLowerCase())),
    });
    const enterprises = options.enterprises ?? (options.owners ? [] : defaultEnterprises);
    for (const enterprise of enterprises.map(known)) this.#addEnterprise(enterprise);
    for (const token of options.tokens ?? []) this.addToken(token);
    for (const app of options.apps ?? [{}]) this.#addApp(app);
  }

  now(): number {
    return this.clock.now();
  }

  /** A timer in simulated milliseconds. */
  after(simulatedMs: number, action: () => void): () => void {
    return this.clock.after(Math.max(1, simulatedMs / this.timeScale), action);
  }

  id(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  /** Ids of runs, jobs and deliveries exceed 32 bits on GitHub; this exposes clients that truncate them. */
  bigId(): number {
    return 16_000_000_000 + this.id();
  }

  /** `ghs_` and 36 characters, or another prefix. */
  secret(prefix: string, length = 36): string {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
    let text = prefix;
    for (let index = 0; index < length; index += 1)
      text += alphabet.charAt(Math.floor(this.random() * alphabet.length));
    return text;
  }

  hex(length: number): string {
    let text = '';
    for (let index = 0; index < length; index += 1) text += Math.floor(this.random() * 16).toString(16);
    return text;
  }

  uuid(): string {
    return `${this.hex(8)}-${this.hex(4)}-4${this.hex(3)}-8${this.hex(3)}-${this.hex(12)}`;
  }

  watch(watcher: () => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  changed(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }

  account(login: string): Account | undefined {
    return this.accounts.get(login.toLowerCase());
  }

  repository(owner: string, name: string): Repository | undefined {
    return this.repositories.get(`${owner}/${name}`.toLowerCase());
  }

  repositoriesOf(account: Account): Repository[] {
    return [...this.repositories.values()].filter((repository) => repository.owner === account);
  }

  groupsOf(scope: RunnerScope): RunnerGroup[] {
    const key = scopeKey(scope);
    return this.groups.filter((group) => scopeKey(group.scope) === key);
  }

  runnersOf(scope: RunnerScope): Runner[] {
    const key = scopeKey(scope);
    return [...this.runners.values()].filter((runner) => scopeKey(runner.scope) === key);
  }

  runnerNamed(scope: RunnerScope, name: string): Runner | undefined {
    return this.runnersByName.get(`${scopeKey(scope)}/${name.toLowerCase()}`);
  }

  addRunner(runner: Runner): void {
    this.runners.set(runner.id, runner);
    this.runnersByToken.set(runner.token, runner);
    this.runnersByName.set(`${scopeKey(runner.scope)}/${runner.name.toLowerCase()}`, runner);
  }

  /** Its token stays valid for the job that it still runs, and to be told that it no longer exists. */
  removeRunner(runner: Runner): void {
    runner.registered = false;
    this.runners.delete(runner.id);
    this.runnersByName.delete(`${scopeKey(runner.scope)}/${runner.name.toLowerCase()}`);
    this.#removed.push(runner);
    if (this.#removed.length <= removedKept) return;
    const oldest = this.#removed.shift();
    // Still running a job after a DELETE that should not have succeeded: it keeps its record.
    if (oldest?.assignment) this.#removed.push(oldest);
    else if (oldest) this.runnersByToken.delete(oldest.token);
  }

  addRepository(
    owner: Account,
    options: { name: string; visibility?: Repository['visibility']; openEnvironments?: readonly string[] },
  ): Repository {
    const repository: Repository = {
      id: 700_000_000 + this.id(),
      owner,
      name: options.name,
      visibility: options.visibility ?? 'private',
      openEnvironments: new Set(options.openEnvironments ?? []),
      createdAtMs: this.now(),
      files: new Map(),
      runCount: 0,
    };
    this.repositories.set(`${owner.login}/${repository.name}`.toLowerCase(), repository);
    this.repositoriesById.set(repository.id, repository);
    return repository;
  }

  addGroup(scope: RunnerScope, options: RunnerGroupOptions, isDefault = false): RunnerGroup {
    const repositoryIds = new Set<number>();
    for (const name of options.repositories ?? []) {
      const repository = scope.kind === 'organization' ? this.repository(scope.account.login, name) : undefined;
      if (!repository) throw new Error(`runner group ${options.name}: no repository ${name}`);
      repositoryIds.add(repository.id);
    }
    const group: RunnerGroup = {
      id: isDefault ? 1 : 1 + this.id(),
      scope,
      name: options.name,
      isDefault,
      visibility: options.visibility ?? 'all',
      repositoryIds,
      allowsPublicRepositories: options.allowsPublicRepositories ?? isDefault,
    };
    this.groups.push(group);
    return group;
  }

  addToken(options: TokenOptions): PersonalToken {
    const account = this.account(options.login) ?? this.#addAccount(options.login, 'User');
    const token: PersonalToken = {
      token: options.token ?? this.secret('ghp_'),
      account,
      owners: new Set(options.owners.map((owner) => owner.toLowerCase())),
      access: options.access,
    };
    this.personalTokens.set(token.token, token);
    return token;
  }

  #addAccount(login: string, type: Account['type']): Account {
    const account: Account = { id: 33_000_000 + this.id(), login, type, createdAtMs: this.now() };
    this.accounts.set(login.toLowerCase(), account);
    return account;
  }

  #addOwner(options: OwnerOptions): void {
    const account = this.#addAccount(options.login, options.type ?? 'Organization');
    for (const repository of options.repositories ?? []) this.addRepository(account, repository);
    if (account.type !== 'Organization') return;
    const scope: RunnerScope = { kind: 'organization', account };
    this.addGroup(scope, { name: 'Default' }, true);
    for (const group of options.runnerGroups ?? []) this.addGroup(scope, group);
  }

  #addEnterprise(options: EnterpriseOptions): void {
    const enterprise: Enterprise = {
      id: this.id(),
      slug: options.slug,
      organizations: new Set(options.organizations.map((login) => login.toLowerCase())),
      createdAtMs: this.now(),
    };
    this.enterprises.set(options.slug.toLowerCase(), enterprise);
    this.addGroup({ kind: 'enterprise', enterprise }, { name: 'Default' }, true);
  }

  #addApp(options: AppOptions): void {
    const owner = [...this.accounts.values()][0];
    if (!owner) throw new Error('an App needs an owner: give `owners` at least one entry');
    const name = options.name ?? 'dispatcher';
    const app: App = {
      id: options.id ?? 1_000 + this.id(),
      slug: name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-'),
      name,
      owner,
      keys: keysOf(options.privateKey),
      createdAtMs: this.now(),
    };
    this.apps.set(app.id, app);
    const installations: readonly InstallationOptions[] =
      options.installations ?? [...this.accounts.values()].map(({ login }) => ({ account: login }));
    for (const wanted of installations) {
      const account = this.account(wanted.account);
      if (!account) throw new Error(`App ${name}: no account ${wanted.account}`);
      const names = wanted.repositories;
      const repositoryIds = names
        ? new Set(
            this.repositoriesOf(account)
              .filter((repository) => names.includes(repository.name))
              .map((repository) => repository.id),
          )
        : undefined;
      const id = 50_000_000 + this.id();
      const permissions = wanted.permissions ?? dispatcherPermissions;
      this.installations.set(id, { id, app, account, repositoryIds, permissions, createdAtMs: this.now() });
    }
    if (options.webhook) {
      const { url, secret, events } = options.webhook;
      const id = 400_000_000 + this.id();
      this.hooks.set(id, {
        id,
        owner: { kind: 'app', app },
        url,
        contentType: 'json',
        secret,
        events: events ?? ['workflow_job'],
        active: true,
        createdAtMs: this.now(),
      });
    }
  }
}

/** Generating an RSA key takes a while, so an App only gets one on demand. */
function keysOf(given: string | undefined): App['keys'] {
  let made: ReturnType<App['keys']> | undefined;
  return () => {
    if (made) return made;
    const privateKey =
      given ??
      generateKeyPairSync('rsa', {
        modulusLength: 2048,
        privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
        publicKeyEncoding: { type: 'spki', format: 'pem' },
      }).privateKey;
    made = { privateKey, publicKey: createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }).toString() };
    return made;
  };
}

/** A small seedable generator (mulberry32): the same seed gives the same world. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
