/** `shr backends`: which backends are in use, what is closed on them and why, and how to reopen it. */
import type { Command } from 'commander';
import { type Clock, systemClock } from '../../time/clock.ts';
import { failureWords } from '../failures/failure.ts';
import { type BackendView, backendListSchema, backendResetSchema, type ClosureView } from '../http/admin-shapes.ts';
import { AdminClientError, adminCommand, answering, filters } from './admin-client.ts';
import { age, more } from './admin-text.ts';
import { printable, printTable } from './output.ts';
import type { Terminal } from './terminal.ts';

export function createCommand(terminal: Terminal, clock: Clock = systemClock): Command {
  const backends = adminCommand('backends', 'each backend of each registration, and what is closed on it', terminal)
    .option('--registration <name>', 'only of this registration')
    .option('--limit <count>', 'how many to list (default 100, at most 500)')
    .action(async (_options: unknown, command: Command) =>
      answering(
        { command, terminal, clock },
        (client) => client.get(['backends'], filters(command, ['registration', 'limit']), backendListSchema),
        (answer) => {
          printBackends(terminal, answer.backends, {
            nowMs: clock.now(),
            isFiltered: command.opts()['registration'] !== undefined,
          });
          terminal.out(more(answer.more, 'backends'));
        },
      ),
    );
  backends.addCommand(
    adminCommand('reset', 'open closed backends, so that they are tried now', terminal)
      .argument('<name>', 'a registration, or one backend of it: acme, acme/main')
      .action(async (name: string, _options: unknown, command: Command) =>
        answering(
          { command, terminal, clock },
          (client) => client.post(['backends', ...placeIn(name), 'reset'], backendResetSchema),
          ({ reset }) => {
            terminal.out(reset.length === 0 ? `Nothing was closed on ${name}.\n` : `Open again on ${name}:\n`);
            for (const closure of reset) terminal.out(`  ${printable(`${aboutOf(closure)}: ${whyOf(closure)}`)}\n`);
          },
        ),
      ),
  );
  return backends;
}

function placeIn(name: string): readonly string[] {
  if (/^[^/]+(\/[^/]+)?$/.test(name)) return name.split('/');
  throw new AdminClientError(
    2,
    'not the name of a backend',
    'Write REGISTRATION or REGISTRATION/BACKEND, as `shr backends` shows them.',
  );
}

interface Line {
  readonly backend: string;
  readonly kind: string;
  readonly state: string;
  readonly since: string;
  readonly until: string;
  readonly launching: string;
  readonly runners: string;
  readonly success: string;
  readonly why: string;
}

const NONE =
  'No backends: they are shown with the registrations that use them, and none is in force. `shr registrations` shows why.\n';

function printBackends(
  terminal: Terminal,
  backends: readonly BackendView[],
  { nowMs, isFiltered }: { readonly nowMs: number; readonly isFiltered: boolean },
): void {
  if (backends.length === 0) {
    terminal.out(isFiltered ? 'No such backends.\n' : NONE);
    return;
  }
  printTable(
    terminal,
    backends.flatMap((backend) => linesOf(backend, nowMs)),
    [
      { title: 'backend', value: (line) => line.backend },
      { title: 'kind', value: (line) => line.kind },
      { title: 'state', value: (line) => line.state },
      { title: 'for', value: (line) => line.since },
      { title: 'until', value: (line) => line.until },
      { title: 'launching', value: (line) => line.launching, align: 'right' },
      { title: 'runners', value: (line) => line.runners, align: 'right' },
      { title: 'last success', value: (line) => line.success },
      { title: 'why', value: (line) => line.why },
    ],
  );
}

/** One row for the backend, and one below for each image and shape that is closed on it. */
function linesOf(backend: BackendView, nowMs: number): readonly Line[] {
  const whole = backend.closures.find(({ rule }) => rule === 'account');
  const first: Line = {
    backend: `${backend.registration}/${backend.name}`,
    kind: backend.kind,
    state: backend.state,
    since: whole === undefined ? '' : age(whole.since, nowMs),
    until: whole?.closedUntil ?? '',
    launching: `${backend.launching}/${backend.mostLaunching}`,
    runners: `${backend.liveRunners}/${backend.maxRunners}`,
    success: backend.lastSuccessAt === null ? '-' : `${age(backend.lastSuccessAt, nowMs)} ago`,
    why: whole === undefined ? unlistedWords(backend) : whyOf(whole),
  };
  const empty = { backend: '', kind: '', launching: '', runners: '', success: '' };
  const parts = backend.closures
    .filter((closure) => closure !== whole)
    .map((closure) => ({
      ...empty,
      state: closure.state,
      since: age(closure.since, nowMs),
      until: closure.closedUntil ?? 'its configuration changes',
      why: `${aboutOf(closure)}: ${whyOf(closure)}`,
    }));
  return [first, ...parts];
}

function unlistedWords({ notListed }: BackendView): string {
  return notListed === null ? '' : `${notListed.kind}: ${failureWords(notListed)}`;
}

function aboutOf({ about, rule }: ClosureView): string {
  return about ?? (rule === 'account' ? 'the whole backend' : 'an image and shape');
}

function whyOf({ failure, failures }: ClosureView): string {
  return `${failure.kind}${failures > 1 ? `, ${failures} times in a row` : ''}: ${failureWords(failure)}`;
}
