import type { Command } from 'commander';
import type { Terminal } from '../../dispatcher/cli/terminal.ts';
import { type Clock, systemClock } from '../../time/clock.ts';
import { NOW, TOKEN } from '../http/admin-fixture.ts';

export interface Ran {
  readonly out: string;
  readonly err: string;
  readonly code: number;
}

/** Runs a command as `shr` would, with the fixture's token in the environment, at the fixture's time. */
export async function run(
  createCommand: (terminal: Terminal, clock: Clock) => Command,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  ask?: Terminal['ask'],
  workingFolder = '/',
): Promise<Ran> {
  let out = '';
  let err = '';
  let code = 0;
  const terminal: Terminal = {
    environment: { SHR_ADMIN_TOKEN: TOKEN, ...environment },
    workingFolder,
    width: undefined,
    ...(ask === undefined ? {} : { ask }),
    out: (text) => {
      out += text;
    },
    error: (text) => {
      err += text;
    },
    exit: (given) => {
      code = given;
    },
  };
  const clock = { now: () => NOW, after: systemClock.after };
  await createCommand(terminal, clock).parseAsync([...args], { from: 'user' });
  return { out, err, code };
}
