/** The newest release of the runner, as GitHub offers it to a scope. */
import { z } from 'zod';
import type { GithubScope } from '../jobs/scope.ts';
import type { Caller } from './requester.ts';
import { placeOf } from './runners.ts';

const downloadsAnswer = z
  .array(
    z.object({
      os: z.string().max(64),
      architecture: z.string().max(64),
      filename: z.string().max(256),
      /** GitHub documents it as optional. */
      sha256_checksum: z.string().max(256).optional(),
    }),
  )
  .max(200);

export interface RunnerDownload {
  /** `linux-x64` */
  readonly platform: string;
  readonly filename: string;
  readonly sha256: string | undefined;
}

/** Rejects with GithubError. */
export async function runnerDownloads(caller: Caller, scope: GithubScope): Promise<readonly RunnerDownload[]> {
  const { route, parameters } = placeOf(scope);
  const answer = await caller.call({
    method: 'GET',
    route: `${route}/downloads`,
    parameters,
    purpose: 'verify',
    answer: downloadsAnswer,
  });
  if (answer.accepted) throw new Error('no status was to be accepted');
  return answer.data.map(({ os, architecture, filename, sha256_checksum }) => ({
    platform: `${os}-${architecture}`,
    filename,
    sha256: sha256_checksum,
  }));
}
