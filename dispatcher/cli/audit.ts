/** `shr audit`: who did what with the admin API, when, and how it ended. */
import type { Command } from 'commander';
import { type Clock, systemClock } from '../../time/clock.ts';
import { type AuditEntryView, auditListSchema } from '../http/admin-shapes.ts';
import { adminCommand, answering, filters } from './admin-client.ts';
import { more } from './admin-text.ts';
import { printTable } from './output.ts';
import type { Terminal } from './terminal.ts';

export function createCommand(terminal: Terminal, clock: Clock = systemClock): Command {
  return adminCommand('audit', 'what was done with the admin API, newest first', terminal)
    .option('--actor <name>', 'only by the token of this name')
    .option('--action <action>', 'only this: runner.forget, backends.reset, token.create, token.revoke')
    .option('--limit <count>', 'how many to list (default 100, at most 500)')
    .action(async (_options: unknown, command: Command) =>
      answering(
        { command, terminal, clock },
        (client) => client.get(['audit'], filters(command, ['actor', 'action', 'limit']), auditListSchema),
        (answer) => {
          if (answer.entries.length === 0) terminal.out('Nothing was done with the API.\n');
          else {
            printTable(terminal, answer.entries, [
              { title: 'when', value: ({ at }) => at },
              { title: 'who', value: ({ actor }) => actor.name },
              { title: 'what', value: ({ action }) => action },
              { title: 'to', value: ({ subject }) => subject },
              { title: 'tenant', value: ({ tenant }) => tenant },
              { title: 'outcome', value: outcomeOf },
            ]);
          }
          terminal.out(more(answer.more, 'entries'));
        },
      ),
    );
}

function outcomeOf({ status, outcome }: AuditEntryView): string {
  const done = status === null ? 'not known: it never ended' : status < 400 ? 'done' : `refused (${status})`;
  return outcome === null ? done : `${done}: ${outcome}`;
}
