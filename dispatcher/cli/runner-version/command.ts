/** `shr runner-version`: the versions of the runner in use, against GitHub's newest release and the day it ends old ones. */
import { readFile } from 'node:fs/promises';
import { relative, resolve } from 'node:path';
import { Command } from 'commander';
import { systemClock, systemRandom } from '../../../time/clock.ts';
import { createProviderPool } from '../../backends/pool.ts';
import { BudgetPool } from '../../github/budget-pool.ts';
import { requestersFor } from '../../github/credential.ts';
import { GithubError } from '../../github/github.ts';
import { GithubTimes } from '../../github/github-time.ts';
import { registrationListSchema } from '../../http/admin-shapes.ts';
import { ownerOfScope } from '../../jobs/scope.ts';
import { formatProblem } from '../../model/problem.ts';
import type { Registration } from '../../model/registration.ts';
import { type Releases, releasesAt } from '../../versions/releases.ts';
import { type Standing, standingOf } from '../../versions/standing.ts';
import { AdminClient, AdminClientError } from '../admin-client.ts';
import { adminTarget } from '../admin-target.ts';
import { askingScope } from '../asking-scope.ts';
import { wordsOf } from '../doctor/finding.ts';
import { loadedConfiguration, unknownRegistration } from '../loaded-configuration.ts';
import { printable, printJson, printTable } from '../output.ts';
import { showProgress } from '../progress.ts';
import { PIN_FILE, pinnedVersion } from '../runner-dist/pin-file.ts';
import { type CommandModule, collect, type Terminal } from '../terminal.ts';
import { labelledImages } from './images.ts';

interface VersionOptions {
  readonly registration?: readonly string[];
  readonly config?: string;
  readonly pinFile: string;
  readonly url?: string;
  readonly tokenFile?: string;
  readonly json?: boolean;
}

/** One version, where it was found, and for which host of GitHub. */
interface Found {
  /** An image, or the pin file. */
  readonly what: string;
  readonly says: 'containers' | 'label' | 'pin file';
  readonly registrations: readonly string[];
  readonly host: string;
  readonly version: string | undefined;
  readonly why?: string;
}

interface Line extends Found {
  readonly newest: string | undefined;
  readonly endsAtMs: number | undefined;
  readonly standing: Standing;
}

/** Registrations of one host say the same: a few are enough to find one whose credentials work. */
const MOST_ASKED = 5;
const PAGE = 500;

export const createCommand: CommandModule['createCommand'] = (terminal) => {
  const command = new Command()
    .argument('[folder]', 'the folder with dispatcher.yaml and registrations/', '.')
    .option('--registration <name>', 'only this one; may be repeated', collect)
    .option('--config <file>', 'a dispatcher.yaml outside that folder')
    .option('--pin-file <file>', 'what the image is built with next', PIN_FILE)
    .option('--url <url>', 'the admin listener of the dispatcher, which knows what containers report')
    .option('--token-file <path>', 'a file with the admin token')
    .option('--json', 'print { ok, versions, notes }')
    .addHelpText(
      'after',
      `
GitHub gives a runner no jobs from 30 days after a newer release on. The state of a version is
  newest   no newer release
  behind   a newer release; GitHub gives this version jobs for more than two weeks
  near     it stops within two weeks, or does not say when
  below    it gives this version no jobs
  unknown  nothing says which version it is, or GitHub was not reached
The exit code is 1 where a version is near or below, or GitHub was not reached.
`,
    );
  return command.action(async (folder: string, options: VersionOptions) => {
    const loaded = await loadedConfiguration(folder, options.config, terminal);
    if (!loaded.ok) {
      for (const problem of loaded.problems) terminal.error(`${printable(formatProblem(problem))}\n`);
      terminal.exit(1);
      return;
    }
    const { registrations, quarantined } = loaded.configuration;
    const unknown = options.registration?.find((name) => !registrations.some((one) => one.name === name));
    if (unknown !== undefined && !quarantined.some(({ name }) => name === unknown)) {
      return command.error(`error: ${unknownRegistration(unknown, registrations)}`);
    }
    const wanted = registrations.filter(({ name }) => options.registration?.includes(name) ?? true);
    const notes = quarantined
      .filter(({ name }) => options.registration?.includes(name) ?? true)
      .map(({ name }) => `${name}: set aside, so its images were not looked at: see \`shr validate\``);
    await report(wanted, notes, { ...options, folder }, terminal);
  });
};

async function report(
  registrations: readonly Registration[],
  before: readonly string[],
  options: VersionOptions & { readonly folder: string },
  terminal: Terminal,
): Promise<void> {
  const notes = [...before];
  const found = merged([
    ...(await reported(registrations, options, terminal, notes)),
    ...(await labelled(registrations, terminal, notes)),
    ...(await pinned(registrations, options.pinFile, terminal, notes)),
  ]);
  const unreached: string[] = [];
  const hosts = new Map<string, Asked>();
  for (const host of new Set(registrations.map((registration) => registration.host))) {
    const asked = await askHost(registrations.filter((registration) => registration.host === host));
    hosts.set(host, asked);
    if (asked.problem !== undefined) unreached.push(`${host}: ${asked.problem}`);
  }
  const lines: Line[] = [];
  for (const one of found) lines.push(await judged(one, hosts.get(one.host), notes));
  const ok = unreached.length === 0 && lines.every(({ standing }) => standing !== 'near' && standing !== 'below');
  if (options.json === true)
    printJson(terminal, { ok, versions: lines.map(shownLine), notes: [...unreached, ...notes] });
  else print(lines, [...unreached, ...notes], terminal);
  terminal.exit(ok ? 0 : 1);
}

/** What containers have told the dispatcher. Without one, that is not known. */
async function reported(
  registrations: readonly Registration[],
  { folder, url, tokenFile }: VersionOptions & { readonly folder: string },
  terminal: Terminal,
  notes: string[],
): Promise<readonly Found[]> {
  const workingFolder = resolve(terminal.workingFolder, folder);
  try {
    const flags = { url, tokenFile: tokenFile === undefined ? undefined : resolve(terminal.workingFolder, tokenFile) };
    const { base, token, tokenFrom } = await adminTarget(flags, { ...terminal, workingFolder });
    const client = new AdminClient(base, token, systemClock, tokenFrom);
    const answer = await client.get(['registrations'], { limit: String(PAGE) }, registrationListSchema);
    if (answer.more) notes.push(`what containers report was read for the first ${PAGE} registrations alone`);
    const wanted = new Set(registrations.map(({ name }) => name));
    return answer.registrations
      .filter(({ name }) => wanted.has(name))
      .flatMap(({ name, host, runnerVersions }) =>
        runnerVersions.map(({ image, version }) => ({
          ...{ host, version },
          what: image ?? '(an image that is not known any more)',
          says: 'containers' as const,
          registrations: [name],
        })),
      );
  } catch (error) {
    if (!(error instanceof AdminClientError)) throw error;
    notes.push(`what containers report is not known: ${error.message}. ${error.cure}`);
    return [];
  }
}

async function labelled(
  registrations: readonly Registration[],
  terminal: Terminal,
  notes: string[],
): Promise<readonly Found[]> {
  const backends = createProviderPool({ clock: systemClock, random: systemRandom });
  const progress = showProgress(terminal);
  try {
    const { images, notes: more } = await labelledImages(registrations, backends, (image) => progress.show(image));
    notes.push(...more);
    return images.map(({ image, registration, ...rest }) => ({
      ...rest,
      what: image,
      says: 'label' as const,
      registrations: [registration],
    }));
  } finally {
    progress.end();
    await backends.close();
  }
}

/** It is built for every host: GitHub Enterprise Server may lag behind. */
async function pinned(
  registrations: readonly Registration[],
  pinFile: string,
  terminal: Terminal,
  notes: string[],
): Promise<readonly Found[]> {
  const file = resolve(terminal.workingFolder, pinFile);
  const shown = relative(terminal.workingFolder, file) || file;
  const text = await readFile(file, 'utf8').catch(() => undefined);
  const version = text === undefined ? undefined : pinnedVersion(text);
  if (version === undefined) {
    notes.push(`${shown} pins no release: \`shr runner-dist pin\` writes it`);
    return [];
  }
  return [...new Set(registrations.map(({ host }) => host))].map((host) => ({
    ...{ what: shown, host, version },
    says: 'pin file' as const,
    registrations: [],
  }));
}

/** Registrations with the same image share its line. */
function merged(found: readonly Found[]): readonly Found[] {
  const byKey = new Map<string, Found>();
  for (const one of found) {
    const key = JSON.stringify([one.what, one.says, one.host, one.version]);
    const before = byKey.get(key);
    byKey.set(
      key,
      before === undefined ? one : { ...before, registrations: [...before.registrations, ...one.registrations] },
    );
  }
  return [...byKey.values()].sort((a, b) => (a.what < b.what ? -1 : a.what > b.what ? 1 : 0));
}

interface Asked {
  readonly releases?: Releases;
  readonly newest?: string;
  readonly problem?: string;
  readonly ends: Map<string, number | undefined>;
}

async function askHost(registrations: readonly Registration[]): Promise<Asked> {
  const ways = { budgets: new BudgetPool(systemClock), times: new GithubTimes({ clock: systemClock }) };
  let problem = 'its registrations serve users: ask with one that serves a repository or an organization';
  for (const registration of registrations.slice(0, MOST_ASKED)) {
    const scope = askingScope(registration, registration.poll.repositories[0]);
    if (scope === undefined) continue;
    const call = requestersFor({ ...registration, ...ways, clock: systemClock, random: systemRandom });
    const releases = releasesAt(call(ownerOfScope(scope)), scope);
    try {
      const newest = await releases.newest();
      if (newest !== undefined) return { releases, newest, ends: new Map() };
      problem = 'GitHub offers no release of the runner there';
    } catch (error) {
      if (!(error instanceof GithubError)) throw error;
      problem = `GitHub's newest release is not known: ${wordsOf(error)}`;
    }
  }
  return { problem, ends: new Map() };
}

async function judged(found: Found, asked: Asked | undefined, notes: string[]): Promise<Line> {
  const { newest } = asked ?? {};
  const endsAtMs = found.version === undefined ? undefined : await endOf(found.version, asked, notes);
  return { ...found, newest, endsAtMs, standing: standingOf(found.version, { newest, endsAtMs }, systemClock.now()) };
}

async function endOf(version: string, asked: Asked | undefined, notes: string[]): Promise<number | undefined> {
  if (asked?.releases === undefined || version === asked.newest) return undefined;
  if (asked.ends.has(version)) return asked.ends.get(version);
  let end: number | undefined;
  try {
    end = await asked.releases.endOfMs(version);
  } catch (error) {
    if (!(error instanceof GithubError)) throw error;
    notes.push(`when GitHub stops giving jobs to ${version} is not known: ${wordsOf(error)}`);
  }
  asked.ends.set(version, end);
  return end;
}

function shownLine({ what, says, registrations, host, version, why, newest, endsAtMs, standing }: Line) {
  return {
    ...{ what, says, registrations, host },
    version: version ?? null,
    newest: newest ?? null,
    endsAt: endsAtMs === undefined ? null : new Date(endsAtMs).toISOString(),
    state: standing,
    ...(why === undefined ? {} : { why }),
  };
}

function print(lines: readonly Line[], notes: readonly string[], terminal: Terminal): void {
  if (lines.length > 0) {
    printTable(terminal, lines, [
      { title: 'image', value: ({ what }) => what },
      { title: 'says', value: ({ says }) => says },
      { title: 'version', value: ({ version }) => version },
      { title: 'newest', value: ({ newest }) => newest },
      {
        title: 'jobs until',
        value: ({ endsAtMs }) => (endsAtMs === undefined ? null : new Date(endsAtMs).toISOString().slice(0, 10)),
      },
      { title: 'state', value: ({ standing }) => standing },
      { title: 'registrations', value: ({ registrations }) => registrations.join(', ') },
    ]);
  }
  for (const { what, why } of lines) {
    if (why !== undefined) terminal.out(`note: ${printable(`${what}: its version is not known: ${why}`)}\n`);
  }
  for (const note of notes) terminal.out(`note: ${printable(note)}\n`);
  if (lines.some(({ standing }) => standing === 'near' || standing === 'below')) {
    terminal.out('\nBuild the image with the newest release: shr runner-dist pin, make image. docs/runner-image.md\n');
  }
}
