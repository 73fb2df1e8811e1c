/**
 * One dispatcher with two tenants, whose registrations come in by a way that a test chooses: the folder, a git repository
 * with a folder for each tenant, or the admin API with a token of each tenant.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileRefused } from '../../dispatcher/config/files.ts';
import { type ConfigurationSources, loadConfiguration } from '../../dispatcher/config/load.ts';
import { newKeyPair, publicKeyText, type SealedPlace, seal } from '../../dispatcher/config/sealing.ts';
import { problemSchema } from '../../dispatcher/http/admin-shapes.ts';
import { LiveFiles } from '../../dispatcher/live/live-files.ts';
import { formatProblem } from '../../dispatcher/model/problem.ts';
import type { Configuration } from '../../dispatcher/model/registration.ts';
import { Documents, fileOf } from '../../dispatcher/sources/documents.ts';
import { GitRepository } from '../../dispatcher/sources/git-repository.ts';
import { GitSource } from '../../dispatcher/sources/git-source.ts';
import { loadProvider } from '../../providers/index.ts';
import { systemClock } from '../../time/clock.ts';
import { dispatcherYaml, sourcesOf } from '../config/files.ts';
import { type Fixture, openFixture, TOKEN } from '../http/admin-fixture.ts';
import { issue } from '../http/tenants-fixture.ts';
import { type Worktree, worktree } from '../sources/git-fixture.ts';

export const WAYS = ['folder', 'git', 'api'] as const;
export type Way = (typeof WAYS)[number];

/** `victim` and `hostile` have the same grant, each for its own names. */
const granted = (tenant: string) => `
  ${tenant}:
    registrations: ["${tenant}", "${tenant}-*"]
    hosts: [github.com, ghes.${tenant}.example]
    owners: [${tenant}]
    labels: ["*"]
    runnerGroups: [Default]
    backends: [shared]
    backendKinds: [docker, azure-aci]
    bases: [common]
    presets: [large]
    credentials: [app]
    limits: { maxRegistrations: 5, maxRunners: 20, maxCpu: 4 }
    powers: { images: ["ghcr.io/${tenant}/*"] }`;

const keys = newKeyPair();

const PLATFORM = `${dispatcherYaml}
sealing: { keys: [{ publicKey: "${publicKeyText(keys.key)}", privateKey: "\${file:secrets/now.pem}" }] }
credentials: { app: { token: "\${env:PLATFORM_TOKEN}" } }
backends: { shared: { kind: docker } }
bases: { common: { maxRunners: 500 }, kept: { priority: 9 } }
tenants:
  own: { trusted: true, registrations: ["own-*"] }${granted('victim')}${granted('hostile')}
`;

/** No answer, problem or file that the dispatcher writes may hold one of them. */
export const SECRETS = {
  PLATFORM_TOKEN: 'ghp_of-the-platform-and-secret',
  GITHUB_TOKEN: 'ghp_of-the-machine-and-secret',
  TENANT_VICTIM_TOKEN: 'ghp_of-the-victim-and-secret',
  TENANT_HOSTILE_TOKEN: 'ghp_of-the-hostile-and-secret',
} as const;
/** In a file of its own. */
export const VICTIMS_FILE = 'in-a-file-of-the-victim';

export interface Outcome {
  readonly isServed: boolean;
  /** What its writer is told, and everybody who may see its problems. */
  readonly words: string;
}

export interface World {
  readonly way: Way;
  readonly fixture: Fixture;
  readonly documents: Documents;
  readonly remote: Worktree;
  readonly source: GitSource;
  readonly tokens: Readonly<Record<'hostile' | 'own' | 'platform' | 'victim', string>>;
  current(): Configuration;
  /** What the tenant writes for a registration, by its way. `.base.yaml` of a name as `NAME.base`: not by the API. */
  write(tenant: 'hostile' | 'own' | 'victim', name: string, text: string): Promise<Outcome>;
  platform(change: (yaml: string) => string): Promise<void>;
  names(): readonly string[];
  close(): Promise<void>;
}

export const registrationOf = (tenant: string, more = '') => `organization: ${tenant}
labels: [${tenant}]
credentials: { token: "\${env:TENANT_${tenant.toUpperCase()}_TOKEN}" }
defaults: { image: ghcr.io/${tenant}/runner:1, cpu: 1 }
backends: [{ kind: docker, options: { host: engine.${tenant}.example, port: 2376 } }]
${more}`;

export const sealedFor = (value: string, place: SealedPlace): string => `\${sealed:${seal(value, place, keys.key)}}`;

export async function worldBy(way: Way): Promise<World> {
  const remote = await worktree();
  const folder = await mkdtemp(join(tmpdir(), 'shr-ways-'));
  const files = new Map<string, { readonly text: string; readonly version: number }>();
  let version = 0;
  const put = (name: string, text: string): void => {
    version += 1;
    files.set(name, { text, version });
  };
  put('dispatcher.yaml', PLATFORM);
  put('secrets/now.pem', keys.privateKeyPem);
  put('secrets/victim/token', VICTIMS_FILE);
  const texts = () => Object.fromEntries([...files].map(([name, { text }]) => [name, text]));
  const documents = new Documents();
  const config = {
    ...{ name: 'tenants', url: `file://${remote.folder}`, branch: 'main', intervalMs: 3_600_000, webhookSecrets: [] },
    folders: [{ path: 'teams/*', trusted: false }],
  };
  let now = 0;
  const source = new GitSource({
    config,
    repository: new GitRepository({
      ...{ config, folder, protocols: ['file'], clock: systemClock, environment: { PATH: process.env['PATH'] } },
    }),
    // Nobody waits between two fetches.
    clock: { after: systemClock.after, now: () => (now += 1_000_000) },
    log: () => ({ info: () => {}, warn: () => {} }),
  });
  await remote.write({ 'teams/README.md': 'one folder for each tenant' });
  await remote.commit('first');
  const elsewhere = [source, documents];
  const sources: ConfigurationSources = {
    ...sourcesOf({}),
    provider: (kind) => (kind === 'docker' || kind === 'azure-aci' ? loadProvider(kind) : sourcesOf({}).provider(kind)),
    environment: { ADMIN_TOKEN: TOKEN, ...SECRETS },
    files: {
      read: async (path, bounds) => {
        const found = await sourcesOf(texts()).files.read(path, bounds);
        // As those of a disk are.
        if (found.text.length <= bounds.mostBytes) return found;
        throw new FileRefused('too-large', `${bounds.mostBytes} is the limit`, 'Leave out what is not needed.');
      },
      list: (path) => sourcesOf(texts()).files.list(path),
    },
    elsewhere: async () => elsewhere,
  };
  const live = new LiveFiles(sources, {
    now: () => 1_000_000,
    elsewhere: () => elsewhere,
    keptValues: async () => undefined,
    stampNow: (path) => {
      const found = files.get(path.replace('/etc/shr/', ''));
      return found === undefined ? undefined : { text: `${found.version}`, changedAtMs: 0 };
    },
  });
  const started = await loadConfiguration({ ...sources, memory: live.memory });
  if (!started.ok) throw new Error(started.problems.map(formatProblem).join('\n'));
  let current = started.configuration;
  const apply = async () => {
    await live.stamps.look(true);
    const loaded = await live.read('changed');
    if (!loaded.ok) throw new Error(loaded.problems.map(formatProblem).join('\n'));
    current = loaded.configuration;
  };
  const fixture = await openFixture({
    ...{ tenants: () => current.dispatcher.tenants, registrations: () => current.registrations },
    ...{ quarantined: () => current.quarantined, kept: () => current.kept ?? [], doubles: () => current.doubles ?? [] },
    originOf: (name) => current.origins?.get(name),
    documents: {
      entry: (name) => documents.entry(name),
      text: (name) => documents.text(name),
      check: (name, text) => live.check({ name, file: fileOf(name), text }, current),
      put: (one, expected) => documents.put(one, expected),
      remove: (name, expected) => documents.remove(name, expected),
      apply,
    },
  });
  await documents.open(fixture.ledger);
  const tokenOf = (tenant: string) => issue(fixture.ledger, { role: 'admin', tenants: [tenant] });
  const tokens = {
    ...{ hostile: await tokenOf('hostile'), victim: await tokenOf('victim'), own: await tokenOf('own') },
    platform: TOKEN,
  };

  const told = (name: string): Outcome => {
    const mine = [...current.quarantined, ...(current.kept ?? [])].filter((one) => one.name.endsWith(name));
    const doubles = (current.doubles ?? []).filter((one) => one.name === name);
    const problems = [
      ...mine.flatMap(({ problems: found }) => found),
      ...doubles.map(({ problem }) => problem),
      ...(current.platformProblems ?? []).filter(({ file }) => file.endsWith(`/${name}.yaml`)),
    ];
    const isServed = problems.length === 0 && current.registrations.some((one) => one.name === name);
    return { isServed, words: problems.map(formatProblem).join('\n') };
  };

  async function write(tenant: keyof typeof tokens, name: string, text: string): Promise<Outcome> {
    if (way === 'folder') put(`registrations/${name}.yaml`, text);
    if (way === 'git') {
      await remote.write({ [`teams/${tenant}/${name}.yaml`]: text });
      await remote.commit(`Change ${name}`);
      await source.wake();
    }
    if (way === 'api') {
      const response = await fixture.ask(`/api/registrations/${name}`, {
        ...{ method: 'PUT', body: text },
        headers: { 'content-type': 'application/yaml', authorization: `Bearer ${tokens[tenant]}` },
      });
      const answer: unknown = await response.json();
      if (response.status < 300) return { isServed: true, words: '' };
      const { error, cure, problems = [] } = problemSchema.parse(answer);
      return { isServed: false, words: [`${error}. ${cure}`, ...problems.map(formatProblem)].join('\n') };
    }
    await apply();
    return told(name);
  }

  return {
    ...{ way, fixture, documents, remote, source, tokens, write },
    current: () => current,
    names: () => current.registrations.map(({ name }) => name).toSorted(),
    platform: async (change) => {
      put('dispatcher.yaml', change(files.get('dispatcher.yaml')?.text ?? ''));
      await apply();
    },
    async close() {
      source.stop();
      await fixture.close();
      await remote.remove();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
