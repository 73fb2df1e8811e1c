/** `shr token`: who may use the admin API. A token goes to standard output alone, once; everything said about it does not. */
import { Command, Option } from 'commander';
import { type Clock, systemClock } from '../../time/clock.ts';
import { type TokenView, tokenCreatedSchema, tokenListSchema, tokenRevokedSchema } from '../http/admin-shapes.ts';
import { type AdminClient, AdminClientError, adminCommand, answering, filters } from './admin-client.ts';
import { more } from './admin-text.ts';
import { printable, printTable } from './output.ts';
import { collect, type Terminal } from './terminal.ts';

interface CreateOptions {
  readonly tenant?: readonly string[];
}

export function createCommand(terminal: Terminal, clock: Clock = systemClock): Command {
  const token = new Command('token');
  token.addCommand(
    adminCommand('create', 'make a token, and print it once', terminal)
      .requiredOption('--name <name>', 'who uses it, for the log and the audit trail (required)')
      .addOption(
        new Option(
          '--role <role>',
          'viewer sees, operator also gives up runners and opens backends, admin also makes tokens',
        )
          .choices(['viewer', 'operator', 'admin'])
          .makeOptionMandatory(),
      )
      .option('--tenant <name>', 'for this tenant alone; may be repeated (default: the whole platform)', collect)
      .option('--expires <duration>', 'how long it is good for: 12h, 90d, never (default 90d)')
      .action(async (options: CreateOptions, command: Command) =>
        answering(
          { command, terminal, clock },
          (client) => {
            const query = { ...filters(command, ['name', 'role', 'expires']), tenants: options.tenant?.join(',') };
            return client.post(['tokens'], tokenCreatedSchema, query);
          },
          ({ token: text, of }) => {
            terminal.error(
              `${printable(describe(of))}. It is shown this once: keep it where only its user reads it.\n`,
            );
            terminal.out(`${text}\n`);
          },
        ),
      ),
  );
  token.addCommand(
    adminCommand('list', 'the tokens, and what each may do', terminal)
      .option('--limit <count>', 'how many to list (default 100, at most 500)')
      .action(async (_options: unknown, command: Command) =>
        answering(
          { command, terminal, clock },
          (client) => client.get(['tokens'], filters(command, ['limit']), tokenListSchema),
          (answer) => {
            if (answer.tokens.length === 0) terminal.out('No tokens.\n');
            else {
              printTable(terminal, answer.tokens, [
                { title: 'name', value: ({ name }) => name },
                { title: 'role', value: ({ role }) => role },
                { title: 'scope', value: ({ tenants }) => tenants?.join(', ') ?? 'the platform' },
                { title: 'state', value: stateOf },
                { title: 'made by', value: ({ createdBy }) => createdBy },
                { title: 'id', value: ({ id }) => id },
              ]);
            }
            terminal.out(more(answer.more, 'tokens'));
          },
        ),
      ),
  );
  token.addCommand(
    adminCommand('revoke', 'refuse a token from now on', terminal)
      .argument('<name>', 'its name, or its id, as `shr token list` shows them')
      .action(async (name: string, _options: unknown, command: Command) =>
        answering(
          { command, terminal, clock },
          async (client) => client.post(['tokens', await idOf(client, name), 'revoke'], tokenRevokedSchema),
          ({ of }) => terminal.out(`${printable(of.name)} is refused from now on.\n`),
        ),
      ),
  );
  return token;
}

async function idOf(client: AdminClient, name: string): Promise<string> {
  const called: string[] = [];
  for (let cursor: string | undefined; ; ) {
    const { tokens, next } = await client.get(['tokens'], { limit: '500', cursor }, tokenListSchema);
    // Before any name: a token that is called as another's id shields nothing.
    if (tokens.some(({ id }) => id === name)) return name;
    called.push(...tokens.filter((one) => one.name === name && one.state === 'in-force').map(({ id }) => id));
    if (next === null) break;
    cursor = next;
  }
  const [first, ...others] = called;
  if (others.length > 0) {
    throw new AdminClientError(
      1,
      `several tokens in force are called ${name}`,
      `Name one by its id: ${called.join(', ')}`,
    );
  }
  if (first !== undefined) return first;
  throw new AdminClientError(1, `no token in force is called ${name}`, '`shr token list` lists those that there are');
}

function describe({ name, role, tenants, expiresAt }: TokenView): string {
  const scope = tenants === null ? 'the platform' : tenants.join(', ');
  return `${name}: ${role} of ${scope}, ${expiresAt === null ? 'without an end' : `until ${expiresAt}`}`;
}

function stateOf({ state, expiresAt, revokedAt, revokedBy }: TokenView): string {
  switch (state) {
    case 'in-force':
      return expiresAt === null ? 'in force' : `until ${expiresAt}`;
    case 'expired':
      return `expired ${expiresAt ?? ''}`;
    case 'revoked':
      return `revoked ${revokedAt ?? ''} by ${revokedBy ?? ''}`;
  }
}
