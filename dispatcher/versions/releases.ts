/** What GitHub says of the runner's releases, asked with a registration's credentials. */
import type { Caller } from '../github/requester.ts';
import { type RunnerDownload, releasedVersion, runnerDownloads, versionEndMs } from '../github/runner-downloads.ts';
import type { GithubScope } from '../jobs/scope.ts';

export interface Releases {
  /** Of the newest release; undefined: GitHub offers none that is known here. Rejects with GithubError. */
  newest(): Promise<string | undefined>;
  /**
   * When jobs are no longer given to runners of this version. Undefined: GitHub does not say, or has not decided.
   * Rejects with GithubError.
   */
  endOfMs(version: string): Promise<number | undefined>;
}

export function releasesAt(caller: Caller, scope: GithubScope): Releases {
  return {
    newest: async () => newestOf(await runnerDownloads(caller, scope)),
    endOfMs: (version) => versionEndMs(caller, scope, version),
  };
}

function newestOf(downloads: readonly RunnerDownload[]): string | undefined {
  const versions = downloads.map(releasedVersion).filter((version) => version !== undefined);
  return versions.sort(compareVersions).at(-1);
}

/** By number, part by part: 2.9.0 is before 2.10.0. */
export function compareVersions(left: string, right: string): number {
  const [a, b] = [left, right].map((version) => version.split('.').map(Number));
  for (let index = 0; index < Math.max(a?.length ?? 0, b?.length ?? 0); index += 1) {
    const difference = (a?.[index] ?? 0) - (b?.[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
