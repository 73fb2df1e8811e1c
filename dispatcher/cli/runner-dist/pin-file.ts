/** runner-image/runner.sha256: the release that the image is built with, as `sha256sum` writes and checks it. Pure. */
import type { RunnerDownload } from '../../github/runner-downloads.ts';

/** What the image is built for. */
const PLATFORMS = ['linux-arm64', 'linux-x64'];

const HEADER = [
  '# The release of actions/runner that the image is built with, as `sha256sum` writes it. `shr runner-dist pin` fills it from',
  '# what GitHub says; never write a checksum by hand.',
];

export type Pin =
  | { readonly ok: true; readonly version: string; readonly text: string }
  | { readonly ok: false; readonly problem: string };

/** Takes GitHub's checksums as they are, or nothing. */
export function pinOf(downloads: readonly RunnerDownload[]): Pin {
  const lines: string[] = [];
  const versions = new Set<string>();
  for (const platform of PLATFORMS) {
    const download = downloads.find((one) => one.platform === platform);
    if (download === undefined) return { ok: false, problem: `GitHub offers no runner for ${platform}` };
    const { filename, sha256 } = download;
    const version = new RegExp(`^actions-runner-${platform}-(\\d+\\.\\d+\\.\\d+)\\.tar\\.gz$`).exec(filename)?.[1];
    if (version === undefined) {
      return { ok: false, problem: `GitHub names the runner for ${platform} ${JSON.stringify(filename)}` };
    }
    if (sha256 === undefined) return { ok: false, problem: `GitHub gives no checksum for ${filename}` };
    if (!/^[0-9a-f]{64}$/i.test(sha256))
      return { ok: false, problem: `GitHub's checksum of ${filename} is not SHA-256` };
    versions.add(version);
    lines.push(`${sha256.toLowerCase()}  ${filename}`);
  }
  const [version = '', ...others] = versions;
  if (others.length > 0) return { ok: false, problem: `GitHub offers different versions: ${[...versions].join(', ')}` };
  return { ok: true, version, text: [...HEADER, ...lines, ''].join('\n') };
}
