/**
 * The checksums of a release as its public page has them: `digest` of each file
 * (https://docs.github.com/rest/releases/releases#get-a-release-by-tag-name). For those who have no registration to ask with.
 */
import { z } from 'zod';
import { readBounded } from '../../../providers/kit/bounded-body.ts';
import { isLoopbackName } from '../../../providers/registry/address-kind.ts';
import type { Clock } from '../../../time/clock.ts';
import { withDeadline } from '../../../time/deadline.ts';
import { SECOND } from '../../../time/units.ts';
import { MirrorError } from './mirror.ts';
import { type PinnedRelease, pinnedReleases } from './pin-file.ts';

const WITHIN_MS = 30 * SECOND;
const MAX_BYTES = 4 * 1024 ** 2;

export const PUBLIC_API = 'https://api.github.com';

const releaseAnswer = z.object({
  tag_name: z.string().max(64),
  assets: z.array(z.object({ name: z.string().max(256), digest: z.string().max(256).nullish() })).max(1000),
});

/** `version`: undefined for the newest release. Rejects with MirrorError. */
export async function publicRelease(
  version: string | undefined,
  { clock, apiUrl }: { readonly clock: Pick<Clock, 'after'>; readonly apiUrl: string },
): Promise<readonly PinnedRelease[]> {
  const url = `${apiUrl}/repos/actions/runner/releases/${version === undefined ? 'latest' : `tags/v${version}`}`;
  const late = () => new Error(`no answer within ${WITHIN_MS / SECOND} s`);
  let text: string;
  try {
    text = await withDeadline(clock, WITHIN_MS, late, undefined, async (signal) => {
      const response = await fetch(url, { headers: { accept: 'application/vnd.github+json' }, signal });
      const body = await readBounded(response.body, MAX_BYTES);
      if (response.status === 404) throw new Error('there is no such release');
      if (!response.ok) throw new Error(`it answers ${response.status}`);
      return body.toString('utf8');
    });
  } catch (error) {
    throw new MirrorError(`${url}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  const { assets, tag_name: tag } = read(text, url);
  const lines = assets.map(({ name, digest }) => `${/^sha256:(.+)$/.exec(digest ?? '')?.[1]}  ${name}`);
  return pinnedReleases(lines.join('\n')).filter((release) => tag === `v${release.version}`);
}

function read(text: string, url: string): z.output<typeof releaseAnswer> {
  try {
    return releaseAnswer.parse(JSON.parse(text));
  } catch (error) {
    throw new MirrorError(`${url} does not answer with a release`, { cause: error });
  }
}

/** Without a slash at its end. Plain http only on this machine. */
export function secureUrl(text: string): string | undefined {
  const url = URL.parse(text);
  if (url === null || url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    return undefined;
  const isPlain = url.protocol === 'http:' && isLoopbackName(url.hostname);
  return url.protocol === 'https:' || isPlain ? url.href.replace(/\/+$/, '') : undefined;
}
