/** `shr registrations`: each registration, its status, and its problems. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { type Clock, systemClock } from '../../time/clock.ts';
import { SECOND } from '../../time/units.ts';
import { fileProblem, systemFiles } from '../config/files.ts';
import { REGISTRATION_BOUNDS } from '../config/load.ts';
import { problemLine } from '../failures/problem-line.ts';
import {
  deletedSchema,
  type ProblemView,
  type PublicAddressView,
  type QuarantinedView,
  type RegistrationDetail,
  type RegistrationView,
  registrationDetailSchema,
  registrationListSchema,
  type SourceView,
} from '../http/admin-shapes.ts';
import { formatDuration } from '../labels/duration.ts';
import { canaryWords } from '../lifecycle/canaries.ts';
import { formatProblem } from '../model/problem.ts';
import type { ProblemKind } from '../observability/problems.ts';
import { AdminClientError, adminCommand, answering, filters } from './admin-client.ts';
import { absentLine, age, more, told } from './admin-text.ts';
import { organizationText } from './organization-text.ts';
import { printable, printFields, printTable } from './output.ts';
import type { Terminal } from './terminal.ts';

const SHOWN_OF_COMMIT = 12;

export function createCommand(terminal: Terminal, clock: Clock = systemClock): Command {
  const registrations = adminCommand('registrations', 'each registration, and what is wrong with it', terminal)
    .option('--limit <count>', 'how many to list (default 100, at most 500)')
    .action(async (_options: unknown, command: Command) =>
      answering(
        { command, terminal, clock },
        (client) => client.get(['registrations'], filters(command, ['limit']), registrationListSchema),
        (answer) => {
          if (answer.registrations.length > 0 || answer.quarantined.length === 0) {
            printRegistrations(terminal, answer.registrations, clock.now());
          }
          printSetAside(terminal, answer.quarantined);
          printSources(terminal, answer.sources);
          printPlatformProblems(terminal, answer.platformProblems);
          printWebhookProblems(terminal, answer.webhookProblems, clock.now());
          printPublicAddress(terminal, answer.publicAddress);
          for (const absent of answer.absent) terminal.out(absentLine(absent));
          terminal.out(more(answer.more, 'registrations'));
        },
      ),
    );
  registrations.addCommand(
    adminCommand('show', 'one registration with all of its problems', terminal)
      .argument('<name>', 'the name, as `shr registrations` shows it')
      .action(async (name: string, _options: unknown, command: Command) =>
        answering(
          { command, terminal, clock },
          async (client) => {
            const {
              registrations: found,
              quarantined,
              absent,
            } = await client.get(['registrations'], { registration: name }, registrationListSchema);
            const [registration] = found;
            if (registration === undefined && quarantined.length + absent.length > 0) return { quarantined, absent };
            if (registration === undefined) {
              throw new AdminClientError(
                1,
                `no registration ${name}`,
                '`shr registrations` lists those that the dispatcher runs with',
              );
            }
            return { registration, quarantined: [], absent: [] };
          },
          (answer) => {
            if (answer.registration !== undefined) printRegistration(terminal, answer.registration, clock.now());
            printSetAside(terminal, answer.quarantined);
            for (const absent of answer.absent) terminal.out(absentLine(absent));
          },
        ),
      ),
  );
  registrations.addCommand(
    adminCommand('put', 'keep a registration in the ledger of the dispatcher, and put it in force', terminal)
      .argument('<name>', 'its name')
      .argument('<file>', 'what it says, as in a file of registrations/')
      .option('--if-match <etag>', 'only if it is still what this ETag was of; `*`: only if it is there')
      .action(async (name: string, file: string, { ifMatch }: { readonly ifMatch?: string }, command: Command) =>
        answering(
          { command, terminal, clock },
          async (client) => {
            const { text } = await documentIn(resolve(terminal.workingFolder, file));
            return client.put(['registrations', name], registrationDetailSchema, {
              text,
              type: 'application/yaml',
              ifMatch,
            });
          },
          (answer) => {
            for (const note of answer.notes) terminal.out(`note: ${printable(formatProblem(note))}\n`);
            terminal.out(`${printable(`${answer.name}: ${STATES[answer.state]}`)}\n`);
            for (const problem of answer.problems) terminal.out(`  ${printable(formatProblem(problem))}\n`);
            const organization = organizationText(answer.organizationDefaults, clock.now());
            if (organization !== null) terminal.out(`defaults of its organization: ${printable(organization)}\n`);
            terminal.out(`ETag: ${printable(answer.document?.etag ?? '')}\n`);
          },
        ),
      ),
  );
  registrations.addCommand(
    adminCommand('delete', 'remove a registration that was put: its jobs run to their end', terminal)
      .argument('<name>', 'its name')
      .option('--if-match <etag>', 'only if it is still what this ETag was of')
      .action(async (name: string, { ifMatch }: { readonly ifMatch?: string }, command: Command) =>
        answering(
          { command, terminal, clock },
          (client) => client.delete(['registrations', name], deletedSchema, ifMatch),
          (answer) =>
            terminal.out(
              answer.elsewhere
                ? `what the API was given of ${printable(answer.name)} is removed; the registration that is kept elsewhere stays\n`
                : `${printable(answer.name)} is removed: it launches nothing more, and its jobs run to their end\n`,
            ),
        ),
      ),
  );
  return registrations;
}

const STATES: Readonly<Record<RegistrationDetail['state'], string>> = {
  'in-force': 'in force',
  kept: 'its last version without problems is in force',
  'set-aside': 'set aside',
  overridden: 'not in force: one of the same name that is kept elsewhere comes first',
  refused: 'not in force: its name is of another tenant now',
};

async function documentIn(file: string) {
  try {
    return await systemFiles.read(file, { mostBytes: REGISTRATION_BOUNDS.bytes });
  } catch (error) {
    const { cure, message } = fileProblem(error);
    throw new AdminClientError(1, `${file}: ${message}`, cure, error);
  }
}

function printRegistrations(terminal: Terminal, registrations: readonly RegistrationView[], nowMs: number): void {
  if (registrations.length === 0) {
    terminal.out('No registrations: put one into the folder registrations/; `shr init` writes a first one.\n');
    return;
  }
  printTable(terminal, registrations, [
    { title: 'registration', value: (one) => one.name },
    { title: 'claim', value: (one) => one.claim },
    { title: 'backends', value: (one) => one.backends.map(({ name }) => name).join(', ') },
    { title: 'runners', value: runnersText, align: 'right' },
    { title: 'poll', value: (one) => pollText(one, nowMs) },
    { title: 'problems', value: (one) => problemsText(one.problems) },
  ]);
}

/** In full, each problem on its own line: a click in an editor leads to its place. */
function printSetAside(terminal: Terminal, quarantined: readonly QuarantinedView[]): void {
  for (const { name, problems } of quarantined) {
    const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`;
    terminal.out(`\n${printable(`set aside: ${name}, its configuration has ${count}`)}\n`);
    for (const problem of problems) terminal.out(`  ${printable(formatProblem(problem))}\n`);
  }
}

/** Git repositories, with the commits that are in force. */
function printSources(terminal: Terminal, sources: readonly SourceView[]): void {
  if (sources.length === 0) return;
  terminal.out('\n');
  printTable(terminal, sources, [
    { title: 'source', value: (one) => one.name },
    { title: 'branch', value: (one) => one.branch },
    { title: 'commit', value: (one) => one.commit?.sha.slice(0, SHOWN_OF_COMMIT) ?? 'nothing read yet' },
    { title: 'of', value: (one) => one.commit?.authoredAt ?? '' },
    { title: 'subject', value: (one) => one.commit?.subject ?? '' },
    { title: 'state', value: (one) => (one.problem === null ? 'read' : 'cannot be read: see below') },
  ]);
}

function originText({ origin }: RegistrationView): string | null {
  if (origin === null) return null;
  const commit = origin.commit === null ? '' : ` at ${origin.commit.slice(0, SHOWN_OF_COMMIT)} of ${origin.authoredAt}`;
  return `${origin.file}${commit}`;
}

function printPlatformProblems(terminal: Terminal, problems: QuarantinedView['problems']): void {
  if (problems.length === 0) return;
  terminal.out('\nthe platform: what was read before stays in force\n');
  for (const problem of problems) terminal.out(`  ${printable(formatProblem(problem))}\n`);
}

/** Of the shared endpoint. */
function printWebhookProblems(terminal: Terminal, problems: readonly ProblemView[], nowMs: number): void {
  if (problems.length === 0) return;
  terminal.out('\nthe platform\n');
  printInFull(terminal, problems, nowMs);
}

/** Nothing where all is well. */
function printPublicAddress(terminal: Terminal, address: PublicAddressView | null): void {
  if (address === null || (!address.amiss && address.state !== 'unreached')) return;
  terminal.out(`\n${address.amiss ? 'problem' : 'note'} listen.public.url: ${printable(address.message)}\n`);
}

function runnersText({ launchesHeld, liveRunners, maxRunners, observes }: RegistrationView): string {
  const held = launchesHeld.some(({ cause }) => cause === 'pause') ? 'paused' : launchesHeld[0]?.cause;
  const state = observes ? 'observes, ' : held === undefined ? '' : `${held}, `;
  return `${state}${liveRunners}/${maxRunners}`;
}

/** `held by the pause of ops-a since 2026-03-04T12:00:00.000Z, until it is resumed (the registry moves)`. */
function heldText({ launchesHeld }: RegistrationView): string | null {
  if (launchesHeld.length === 0) return null;
  const words = launchesHeld.map(({ by, cause, reason, since, until }) => {
    const why = reason === null ? '' : ` (${reason})`;
    if (cause === 'maintenance') return `a maintenance window until ${until}`;
    return `the pause of ${by} since ${since}, until it is resumed${why}`;
  });
  return `held by ${words.join('; and by ')}`;
}

function pollText({ poll }: RegistrationView, nowMs: number): string {
  const how = poll.intervalSeconds === null ? 'off' : `every ${formatDuration(poll.intervalSeconds * SECOND)}`;
  const last = poll.lastAt === null ? '' : `, last ${age(poll.lastAt, nowMs)} ago`;
  const waitMs = poll.waitsUntil === null ? 0 : Date.parse(poll.waitsUntil) - nowMs;
  return `${how}${last}${waitMs > 0 ? `, waits ${formatDuration(Math.ceil(waitMs / SECOND) * SECOND)} for the limits of GitHub's API` : ''}`;
}

function canaryText({ canary }: RegistrationView): string | null {
  if (canary === null) return null;
  if (canary.stopped !== null) return canaryWords(canary, true);
  return `${canaryWords(canary, false)}, ${canary.failed} of its last ${canary.starts} starts failed`;
}

/** What holds jobs up comes first, and what only may, or harms none, last. */
const URGENCY: readonly string[] = [
  'ledger',
  'dispatcher',
  'backend',
  'configuration',
  'poll',
  'sweep',
  'work',
  'clock',
  // Anyone can cause it.
  'webhook',
  'canary',
  'runner',
] satisfies readonly ProblemKind[];

function urgency({ kind }: ProblemView): number {
  const place = URGENCY.indexOf(kind);
  return place < 0 ? URGENCY.length : place;
}

function problemsText(problems: readonly ProblemView[]): string {
  const [first, ...others] = problems.toSorted((one, other) => urgency(one) - urgency(other));
  if (first === undefined) return '';
  const line = `${first.kind}: ${problemLine(first)}`;
  return others.length === 0 ? line : `${line} (and ${others.length} more)`;
}

function printRegistration(terminal: Terminal, registration: RegistrationView, nowMs: number): void {
  const { poll, backends, notes, problems } = registration;
  printFields(
    terminal,
    told([
      ['registration', registration.name],
      ['kept in', originText(registration)],
      ['organization', organizationText(registration.organizationDefaults, nowMs)],
      ['host', registration.host],
      ['claim', registration.claim],
      ['credentials', registration.credentials],
      ['labels', registration.labels.join(', ')],
      ['runner group', registration.runnerGroup],
      ['priority', String(registration.priority)],
      ['observes', registration.observes ? 'yes: nothing is launched (`shr observe` reports)' : null],
      ['launches', heldText(registration)],
      ['runners', `${registration.liveRunners} of ${registration.maxRunners}`],
      ['canary', canaryText(registration)],
      ['poll', pollText(registration, nowMs)],
      ['repositories', poll.repositories === null ? null : String(poll.repositories)],
      ['next poll', poll.nextAt],
      ['waits until', poll.waitsUntil],
    ]),
  );
  terminal.out('\n');
  printTable(terminal, backends, [
    { title: 'backend', value: (backend) => backend.name },
    { title: 'kind', value: (backend) => backend.kind },
    { title: 'region', value: (backend) => backend.region },
    { title: 'runners', value: (backend) => `${backend.liveRunners}/${backend.maxRunners}`, align: 'right' },
  ]);
  terminal.out(problems.length === 0 ? '\nNo problems.\n' : '\n');
  printInFull(terminal, problems, nowMs);
  if (notes.length === 0) return;
  terminal.out('\nWorth knowing, and no problem:\n');
  printInFull(terminal, notes, nowMs);
}

/** Each on its own lines: it ends with what to do. */
function printInFull(terminal: Terminal, found: readonly ProblemView[], nowMs: number): void {
  for (const one of found) {
    const since = one.since === null ? '' : ` (for ${age(one.since, nowMs)})`;
    printFields(terminal, [[`${one.kind}${since}`, problemLine(one)]]);
  }
}
