import type { Command } from 'commander';
import type { AdminTerminal } from '../../dispatcher/cli/admin-client.ts';
import { systemClock } from '../../dispatcher/clock.ts';
import { NOW, TOKEN } from '../http/admin-house.ts';

export interface Ran {
  readonly out: string;
  readonly err: string;
  readonly code: number;
}

/** Runs a command as `shr` would, with the house's token in the environment, at the house's time. */
export async function run(
  make: (terminal: AdminTerminal) => Command,
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Ran> {
  let out = '';
  let err = '';
  let code = 0;
  const command = make({
    env: { SHR_ADMIN_TOKEN: TOKEN, ...env },
    clock: { now: () => NOW, after: systemClock.after },
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    exit: (given) => {
      code = given;
    },
  });
  await command
    .exitOverride()
    .configureOutput({ writeErr() {} })
    .parseAsync([...argv], { from: 'user' });
  return { out, err, code };
}
