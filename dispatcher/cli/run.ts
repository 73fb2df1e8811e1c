/** Finds the command, passes it its arguments, and returns the exit code. */
import { Command, CommanderError } from 'commander';
import { nearest } from '../labels/nearest.ts';
import { type CommandEntry, commands } from './commands.ts';
import type { ExitCode, Terminal } from './terminal.ts';

const EXIT_CODES = `
Exit codes: 0 success, 1 something is not ok or was refused, 2 wrong usage.
Every command has --help; those that print results have --json.
`;

/** Commander's own complaints: an unknown option, a missing argument, a value that an option does not take. */
const WRONG_CALL = /^commander\.(?:unknown|missing|optionMissing|excess|invalid|conflicting)/;

/** `args` without the program's own name. Rejects only on a defect of the program. */
export async function runCommandLine(
  args: readonly string[],
  terminal: Omit<Terminal, 'exit'>,
  version: string,
  entries: readonly CommandEntry[] = commands,
): Promise<ExitCode> {
  let code: ExitCode = 0;
  let asked = 'shr';
  const own: Terminal = {
    ...terminal,
    exit: (value) => {
      code = value;
    },
  };
  try {
    const [first, ...rest] = args;
    const entry = entries.find(({ name }) => name === first);
    if (entry === undefined) {
      await overview(own, version, entries).parseAsync(args, { from: 'user' });
      return code;
    }
    const module = await entry.load();
    const command = module.createCommand(own).name(`shr ${entry.name}`).description(entry.summary);
    const sub = command.commands.find((one) => one.name() === rest[0]);
    asked = sub === undefined ? command.name() : `${command.name()} ${sub.name()}`;
    await silence(command, own).parseAsync(rest, { from: 'user' });
    return code;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return 0;
    // An error of a command's own says what to do by itself.
    if (WRONG_CALL.test(error.code)) terminal.error(`See \`${asked} --help\`.\n`);
    return 2;
  }
}

function overview(terminal: Terminal, version: string, entries: readonly CommandEntry[]): Command {
  const program = new Command('shr')
    .description('Turns a waiting GitHub Actions job into a fresh container that runs it.')
    .usage('COMMAND [options]')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'display help for command')
    .helpCommand(false)
    .argument('[command]')
    .allowExcessArguments()
    .addHelpText('after', `\nCommands:\n${listed(entries)}\n${EXIT_CODES}`);
  program.configureHelp({ visibleArguments: () => [] });
  return silence(program, terminal).action((name: string | undefined) => {
    if (name === undefined) {
      program.outputHelp({ error: true });
      throw new CommanderError(2, 'shr.noCommand', 'no command');
    }
    const guess = nearest(
      name,
      entries.map((entry) => entry.name),
    );
    program.error(
      `there is no command '${name}'${guess === undefined ? '; see shr --help' : `; did you mean '${guess}'?`}`,
    );
  });
}

/** With what is below it: commander passes its settings on only to what it creates itself. */
function silence(command: Command, terminal: Terminal): Command {
  for (const below of command.commands) silence(below, terminal);
  return command.exitOverride().configureOutput({
    writeOut: (text) => terminal.out(text),
    writeErr: (text) => terminal.error(text),
  });
}

function listed(entries: readonly CommandEntry[]): string {
  const width = Math.max(...entries.map(({ name }) => name.length));
  return entries.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`).join('\n');
}
