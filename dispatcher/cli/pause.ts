/** `shr pause`, `shr resume`: launches stop and go on; jobs are taken in all the same. */
import type { Command } from 'commander';
import { type Clock, systemClock } from '../../time/clock.ts';
import { type PauseView, pausedSchema, pauseListSchema } from '../http/admin-shapes.ts';
import { AdminClientError, adminCommand, answering, filters } from './admin-client.ts';
import { printable, printTable } from './output.ts';
import type { Terminal } from './terminal.ts';

interface Options {
  readonly all?: boolean;
}

export function createCommand(terminal: Terminal, clock: Clock = systemClock): Command {
  return adminCommand('pause', 'launch nothing for a registration; without a name: show what is paused', terminal)
    .argument('[registration]', 'the name, as `shr registrations` shows it')
    .option('--all', 'launch nothing for any registration')
    .option('--reason <text>', 'why, for those whose jobs wait')
    .action(async (registration: string | undefined, options: Options, command: Command) => {
      if (registration === undefined && options.all !== true) {
        await answering(
          { command, terminal, clock },
          (client) => client.get(['pauses'], {}, pauseListSchema),
          ({ pauses }) => printPauses(terminal, pauses),
        );
        return;
      }
      await answering(
        { command, terminal, clock },
        (client) =>
          client.post([...placeOf(registration, options), 'pause'], pausedSchema, filters(command, ['reason'])),
        ({ pause }) => {
          const what = registration ?? 'All registrations';
          terminal.out(
            printable(`${what}: paused${pause === null ? '' : pausedWords(pause)}. Jobs are taken in, and wait.`),
          );
          terminal.out('\n');
        },
      );
    });
}

export function createResume(terminal: Terminal, clock: Clock): Command {
  return adminCommand('resume', 'end a pause', terminal)
    .argument('[registration]', 'the name, as `shr pause` shows it')
    .option('--all', 'end the pause of all registrations; those of single ones stay')
    .action(async (registration: string | undefined, options: Options, command: Command) =>
      answering(
        { command, terminal, clock },
        (client) => client.post([...placeOf(registration, options), 'resume'], pausedSchema),
        ({ pause, resumed }) => {
          const what = registration ?? 'All registrations';
          const now = resumed === null ? 'nothing was paused' : resumedWords(resumed, pause);
          terminal.out(printable(`${what}: ${now}.`));
          terminal.out('\n');
        },
      ),
    );
}

function pausedWords({ by, byPlatform, own, since }: PauseView): string {
  if (!byPlatform || own === null) return ` since ${since} by ${by}`;
  return ` since ${since} by the platform, and since ${own.since} by ${own.by}: both hold, and each has to end`;
}

/** `left`: what holds on. The platform ends its own first: where that is what is left, a tenant has asked, who cannot end it. */
function resumedWords(ended: PauseView, left: PauseView | null): string {
  if (left === null) return 'launches go on';
  if (left.byPlatform && !ended.byPlatform) {
    return `the pause of ${ended.by} has ended; the platform's pause still holds, and the platform ends it`;
  }
  return `the pause of ${left.by} holds again; a second resume ends it`;
}

function placeOf(registration: string | undefined, { all }: Options): readonly string[] {
  if (registration !== undefined && all !== true) return ['registrations', registration];
  if (registration === undefined && all === true) return [];
  throw new AdminClientError(2, 'name one registration, or --all', '`shr registrations` lists them.');
}

function printPauses(terminal: Terminal, pauses: readonly PauseView[]): void {
  if (pauses.length === 0) {
    terminal.out('Nothing is paused.\n');
    return;
  }
  printTable(terminal, pauses, [
    { title: 'registration', value: ({ registration }) => registration ?? 'all' },
    { title: 'since', value: ({ since }) => since },
    { title: 'by', value: ({ by, own }) => (own === null ? by : `${by}, ${own.by}`) },
    { title: 'reason', value: ({ own, reason }) => [reason, own?.reason].filter(Boolean).join('; ') || null },
  ]);
}
