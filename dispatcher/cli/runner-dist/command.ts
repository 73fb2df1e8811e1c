/** `shr runner-dist`: the releases of the runner that images are built with. */
import { writeFile } from 'node:fs/promises';
import { relative, resolve } from 'node:path';
import { Command } from 'commander';
import { systemClock, systemRandom } from '../../../time/clock.ts';
import { BudgetPool } from '../../github/budget-pool.ts';
import { requestersFor } from '../../github/credential.ts';
import { GithubError } from '../../github/github.ts';
import { GithubTimes } from '../../github/github-time.ts';
import { type RunnerDownload, runnerDownloads } from '../../github/runner-downloads.ts';
import { type GithubScope, ownerOfScope } from '../../jobs/scope.ts';
import type { Registration } from '../../model/registration.ts';
import { askingScope } from '../asking-scope.ts';
import { githubCure, wordsOf } from '../doctor/finding.ts';
import { loadedRegistration } from '../loaded-configuration.ts';
import { printable } from '../output.ts';
import type { CommandModule, Terminal } from '../terminal.ts';
import { MirrorError } from './mirror.ts';
import { mirrorCommand } from './mirror-command.ts';
import { PIN_FILE, pinOf } from './pin-file.ts';
import { PUBLIC_API, publicRelease, secureUrl } from './release-checksums.ts';

interface PinOptions {
  readonly registration?: string;
  readonly repo?: string;
  readonly public?: boolean;
  readonly api: string;
  readonly config?: string;
  readonly into: string;
}

export const createCommand: CommandModule['createCommand'] = (terminal) => {
  const pin = new Command('pin')
    .description('ask GitHub for the newest release and its checksums, and pin the image to it')
    .argument('[folder]', 'the folder with dispatcher.yaml and registrations/', '.')
    .option('--registration <name>', 'the registration whose credentials to ask with')
    .option('--repo <owner/name>', 'ask at this repository, where the registration serves a user')
    .option('--public', 'ask for the public page of the release at github.com instead, without credentials')
    .option('--api <url>', 'where that is', PUBLIC_API)
    .option('--config <file>', 'a dispatcher.yaml outside that folder')
    .option('--into <file>', 'the pin file', PIN_FILE);
  pin.action(async (folder: string, options: PinOptions) => {
    const file = resolve(terminal.workingFolder, options.into);
    const { registration: name } = options;
    if ((name === undefined) !== (options.public === true)) {
      return pin.error(
        'error: name a registration whose credentials to ask with (--registration), or ask without (--public)',
      );
    }
    if (name === undefined) {
      const apiUrl = secureUrl(options.api);
      if (apiUrl === undefined) return pin.error('error: --api wants https://HOST/PATH');
      await write(() => publicDownloads(apiUrl), file, terminal);
      return;
    }
    const registration = await loadedRegistration(folder, { ...options, registration: name }, pin, terminal);
    if (registration === undefined) return;
    const scope = askingScope(registration, options.repo);
    if (scope === undefined) {
      return pin.error(
        `error: ${registration.name} serves a user: name one of the repositories with --repo OWNER/NAME`,
      );
    }
    await write(() => downloadsFor(registration, scope), file, terminal);
  });
  return new Command().addCommand(pin).addCommand(mirrorCommand(terminal));
};

async function downloadsFor(registration: Registration, scope: GithubScope): Promise<readonly RunnerDownload[]> {
  const clock = systemClock;
  const ways = { budgets: new BudgetPool(clock), times: new GithubTimes({ clock }), clock, random: systemRandom };
  return await runnerDownloads(requestersFor({ ...registration, ...ways })(ownerOfScope(scope)), scope);
}

async function publicDownloads(apiUrl: string): Promise<readonly RunnerDownload[]> {
  return await publicRelease(undefined, { clock: systemClock, apiUrl });
}

async function write(ask: () => Promise<readonly RunnerDownload[]>, file: string, terminal: Terminal): Promise<void> {
  const refuse = (words: string): void => {
    terminal.error(`shr: ${printable(words)}; nothing was written\n`);
    terminal.exit(1);
  };
  try {
    const pin = pinOf(await ask());
    if (!pin.ok) return refuse(pin.problem);
    const shown = relative(terminal.workingFolder, file) || file;
    try {
      await writeFile(file, pin.text);
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error);
      return refuse(`${shown} cannot be written (${words}): name another with --into`);
    }
    terminal.out(`runner ${pin.version} is pinned in ${shown}; build with: make image\n`);
    terminal.exit(0);
  } catch (error) {
    if (error instanceof MirrorError) return refuse(error.message);
    if (!(error instanceof GithubError)) throw error;
    refuse(`${wordsOf(error)}: ${githubCure(error)}`);
  }
}
