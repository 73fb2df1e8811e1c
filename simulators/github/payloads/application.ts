/** What `…/actions/runners/downloads` lists: the newest release of the runner, for each platform. */
export interface RunnerRelease {
  readonly version: string;
  /** By platform, `linux-x64`. GitHub may leave a checksum out, and so does the simulator where none is given. */
  readonly sha256?: Readonly<Record<string, string>>;
  /** When older versions are given no more jobs, by version, in ISO 8601. GitHub says nothing of those left out. */
  readonly ends?: Readonly<Record<string, string>>;
}

const platforms = [
  ['linux', 'x64'],
  ['linux', 'arm64'],
  ['osx', 'arm64'],
  ['win', 'x64'],
] as const;

export function runnerApplications({ version, sha256 = {} }: RunnerRelease): readonly object[] {
  return platforms.map(([os, architecture]) => {
    const platform = `${os}-${architecture}`;
    const filename = `actions-runner-${platform}-${version}.${os === 'win' ? 'zip' : 'tar.gz'}`;
    const checksum = sha256[platform];
    return {
      os,
      architecture,
      download_url: `https://github.com/actions/runner/releases/download/v${version}/${filename}`,
      filename,
      ...(checksum === undefined ? {} : { sha256_checksum: checksum }),
    };
  });
}
