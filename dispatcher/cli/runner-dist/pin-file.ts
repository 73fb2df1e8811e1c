/** runner-image/runner.sha256: the release that the image is built with, as `sha256sum` writes and checks it. Pure. */
import { join } from 'node:path';
import type { RunnerDownload } from '../../github/runner-downloads.ts';

/** Where it is in a clone. */
export const PIN_FILE = join(import.meta.dirname, '..', '..', '..', 'runner-image', 'runner.sha256');

/** What the image is built for. */
export const PLATFORMS = ['linux-arm64', 'linux-x64'];

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

/** A line of the file, as the image's build reads it. */
export interface PinnedRelease {
  readonly platform: string;
  readonly filename: string;
  readonly sha256: string;
  readonly version: string;
}

const LINE = /^([0-9a-f]{64}) [ *](actions-runner-(linux-(?:x64|arm64))-(\d{1,4}\.\d{1,4}\.\d{1,4})\.tar\.gz)$/;

export function pinnedReleases(text: string): readonly PinnedRelease[] {
  return text.split('\n').flatMap((line) => {
    const [, sha256, filename, platform, version] = LINE.exec(line.trimEnd()) ?? [];
    if (sha256 === undefined || filename === undefined || platform === undefined || version === undefined) return [];
    return [{ platform, filename, sha256, version }];
  });
}

/** Undefined: it pins none, or more than one. */
export function pinnedVersion(text: string): string | undefined {
  const [version, ...others] = new Set(pinnedReleases(text).map((release) => release.version));
  return others.length > 0 ? undefined : version;
}
