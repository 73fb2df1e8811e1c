/** `shr runner-dist mirror`: the releases that images are built with, in a folder of one's own. */
import { readFile } from 'node:fs/promises';
import { relative, resolve } from 'node:path';
import { Command } from 'commander';
import { systemClock } from '../../../time/clock.ts';
import { printable } from '../output.ts';
import { showProgress } from '../progress.ts';
import type { Terminal } from '../terminal.ts';
import { MirrorError, mirrorRelease } from './mirror.ts';
import { PIN_FILE, type PinnedRelease, PLATFORMS, pinnedReleases, pinnedVersion } from './pin-file.ts';
import { PUBLIC_API, publicRelease, secureUrl } from './release-checksums.ts';

interface MirrorFlags {
  readonly to: string;
  readonly version?: string;
  readonly pinFile: string;
  readonly from: string;
  readonly api: string;
}

const DOWNLOADS = 'https://github.com/actions/runner/releases/download';
const MIB = 1024 ** 2;

export function mirrorCommand(terminal: Terminal): Command {
  const mirror = new Command('mirror')
    .description('download the pinned releases for x64 and arm64 into a folder, with their checksums verified')
    .requiredOption('--to <folder>', 'where they go, such as a folder that a web server serves, or a mounted bucket')
    .option('--version <version>', 'another release than the pinned one, with the checksums that GitHub shows for it')
    .option('--pin-file <file>', 'the pin file', PIN_FILE)
    .option('--from <url>', 'where they come from', DOWNLOADS)
    .option('--api <url>', "GitHub's API, which is asked for the checksums of a release that is not pinned", PUBLIC_API)
    .addHelpText(
      'after',
      '\nRepeat it after an interruption: it goes on where it was. What is there already is verified, and left.\n',
    );
  return mirror.action(async (flags: MirrorFlags) => {
    const from = secureUrl(flags.from);
    const api = secureUrl(flags.api);
    if (from === undefined || api === undefined) {
      return mirror.error(`error: ${from === undefined ? '--from' : '--api'} wants https://HOST/PATH`);
    }
    if (flags.version !== undefined && !/^\d{1,4}\.\d{1,4}\.\d{1,4}$/.test(flags.version)) {
      return mirror.error('error: --version wants three numbers, such as 2.338.1');
    }
    const progress = showProgress(terminal);
    try {
      const to = resolve(terminal.workingFolder, flags.to);
      const shown = relative(terminal.workingFolder, to) || to;
      for (const release of await chosen({ ...flags, api }, terminal)) {
        const { filename } = release;
        const outcome = await mirrorRelease(release, {
          ...{ to, from },
          clock: systemClock,
          progress: (_, bytes, total) =>
            progress.show(
              `${filename}: ${Math.floor(bytes / MIB)}${total === undefined ? '' : ` of ${Math.ceil(total / MIB)}`} MiB`,
            ),
        });
        progress.end();
        terminal.out(
          `${printable(`${shown}/v${release.version}/${filename}`)}: ${outcome === 'there' ? 'there already' : 'downloaded'}, checksum verified\n`,
        );
      }
      terminal.out(`build with it: MIRROR=${printable(shown)} make image\n`);
      terminal.exit(0);
    } catch (error) {
      progress.end();
      const words = wordsOf(error);
      if (words === undefined) throw error;
      terminal.error(`shr: ${printable(words)}\n`);
      terminal.exit(1);
    }
  });
}

/** For both architectures, or none. */
async function chosen(
  { version, pinFile, api }: Pick<MirrorFlags, 'version' | 'pinFile' | 'api'>,
  terminal: Terminal,
): Promise<readonly PinnedRelease[]> {
  const file = resolve(terminal.workingFolder, pinFile);
  const text = await readFile(file, 'utf8').catch(() => '');
  const pinned = pinnedVersion(text);
  const wanted = version ?? pinned;
  if (wanted === undefined) {
    throw new MirrorError(
      `${relative(terminal.workingFolder, file) || file} pins no release: run \`shr runner-dist pin\`, or name one with --version`,
    );
  }
  const releases =
    wanted === pinned ? pinnedReleases(text) : await publicRelease(wanted, { clock: systemClock, apiUrl: api });
  return PLATFORMS.map((platform) => {
    const [one, ...others] = releases.filter((release) => release.platform === platform);
    if (one === undefined || others.length > 0) {
      throw new MirrorError(
        `there is not one checksum of runner ${wanted} for ${platform}, but ${others.length + (one === undefined ? 0 : 1)}`,
      );
    }
    return one;
  });
}

/** Undefined: a defect. */
function wordsOf(error: unknown): string | undefined {
  if (error instanceof MirrorError) return error.message;
  // The folder cannot be made, read or written.
  return error instanceof Error && 'syscall' in error ? error.message : undefined;
}
