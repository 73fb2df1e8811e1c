/** `shr login`: keeps the address and token of a dispatcher, so that the other commands ask it from any folder. */
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { type Clock, systemClock } from '../../time/clock.ts';
import { viewerSchema } from '../http/admin-shapes.ts';
import { AdminClient } from './admin-client.ts';
import { AdminClientError } from './admin-client-error.ts';
import { readTokenFile, sendable } from './admin-target.ts';
import { printable } from './output.ts';
import { DEFAULT_PROFILE, deleteProfile, profileNames, refuseShared, safeUrl, writeProfile } from './profiles.ts';
import type { Terminal } from './terminal.ts';

const MAX_TOKEN_BYTES = 4096;

interface LoginOptions {
  readonly url: string;
  readonly tokenFile?: string;
  readonly profile: string;
}

export function createCommand(terminal: Terminal, clock: Clock = systemClock): Command {
  return new Command('login')
    .requiredOption('--url <url>', 'the admin listener, as it is reached from here: https://… (required)')
    .option('--token-file <path>', 'a file with the token, which only you can read (default: standard input)')
    .option('--profile <name>', 'what to call it', DEFAULT_PROFILE)
    .addHelpText('after', '\nThe commands that ask a dispatcher take it with --profile, or SHR_PROFILE.\n')
    .action(async (options: LoginOptions) => telling(terminal, () => login(options, terminal, clock)));
}

async function login(options: LoginOptions, terminal: Terminal, clock: Clock): Promise<void> {
  const url = safeUrl(options.url);
  const token = sendable((await givenToken(options, terminal)).trim(), options.tokenFile ?? 'standard input');
  const client = new AdminClient(url, token, clock, options.tokenFile ?? 'standard input');
  const { name, role, tenants, expiresAt } = await client.get(['me'], {}, viewerSchema);
  const path = await writeProfile({ name: options.profile, url, token }, terminal);
  const scope = tenants === null ? 'the platform' : tenants.join(', ');
  const until = expiresAt === null ? '' : `, until ${expiresAt}`;
  terminal.out(printable(`Logged in to ${url.origin} as ${name}: ${role} of ${scope}${until}.`));
  terminal.out(`\nKept in ${path}.\n`);
}

async function givenToken({ tokenFile }: LoginOptions, terminal: Terminal): Promise<string> {
  if (tokenFile !== undefined) {
    const text = await readTokenFile(tokenFile, terminal);
    const path = resolve(terminal.workingFolder, tokenFile);
    refuseShared((await stat(path)).mode, path);
    return text;
  }
  // At a terminal it would be shown while it is typed.
  const text = terminal.ask === undefined ? ((await terminal.input?.(MAX_TOKEN_BYTES)) ?? '') : '';
  if (text.trim() !== '') return text;
  throw new AdminClientError(
    2,
    'no token',
    'Name its file with --token-file, or send it to standard input: `shr login --url … < token`. An argument could be read by others.',
  );
}

export function createLogout(terminal: Terminal): Command {
  return new Command('logout')
    .option('--profile <name>', 'which one', DEFAULT_PROFILE)
    .action(async ({ profile }: { readonly profile: string }) =>
      telling(terminal, async () => {
        if (await deleteProfile(profile, terminal)) {
          terminal.out(`Forgot ${profile}. Its token is in force until it expires or is revoked.\n`);
          return;
        }
        const names = await profileNames(terminal);
        const cure = names.length === 0 ? 'Nothing is logged in.' : `There are: ${names.join(', ')}.`;
        throw new AdminClientError(1, `there is no profile ${profile}`, cure);
      }),
    );
}

async function telling(terminal: Terminal, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!(error instanceof AdminClientError)) throw error;
    terminal.error(`shr: ${printable(error.message)}\n     ${printable(error.cure)}\n`);
    terminal.exit(error.exitCode);
  }
}
