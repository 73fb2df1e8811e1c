/** The releases of the runner, as GitHub offers and ends them at a scope. */
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

const VERSIONED = /^actions-runner-[a-z0-9]+-[a-z0-9]+-(\d{1,4}\.\d{1,4}\.\d{1,4})\.(?:tar\.gz|zip)$/;

/** Of its file's name; undefined: it is named otherwise. */
export function releasedVersion({ filename }: RunnerDownload): string | undefined {
  return VERSIONED.exec(filename)?.[1];
}

const endAnswer = z.object({
  runtime_deprecates_at: z.string().max(64).nullish(),
  registration_deprecates_at: z.string().max(64).nullish(),
});

/**
 * When runners of this version are given no more jobs, or can no longer register, whichever is first. Undefined: GitHub has
 * not decided, or offers no such answer (documented for Enterprise Cloud alone). Rejects with GithubError.
 */
export async function versionEndMs(caller: Caller, scope: GithubScope, version: string): Promise<number | undefined> {
  const { route, parameters } = placeOf(scope);
  const answer = await caller.call({
    method: 'GET',
    route: `${route}/deprecations/{version}`,
    parameters: { ...parameters, version },
    purpose: 'verify',
    accept: [403, 404],
    answer: endAnswer,
  });
  if (answer.accepted) return undefined;
  const ends = [answer.data.runtime_deprecates_at, answer.data.registration_deprecates_at].flatMap((text) => {
    const ms = text === null || text === undefined ? Number.NaN : Date.parse(text);
    return Number.isNaN(ms) ? [] : [ms];
  });
  return ends.length === 0 ? undefined : Math.min(...ends);
}
