/**
 * Releases of the runner in a folder, laid out as GitHub's downloads are: `v2.338.1/actions-runner-linux-x64-2.338.1.tar.gz`.
 * A file has its name only once its checksum was right and it is on disk. What was interrupted is continued.
 */
import { createHash, type Hash, randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { backoffMs } from '../../../time/backoff.ts';
import { type Clock, sleep } from '../../../time/clock.ts';
import { MINUTE, SECOND } from '../../../time/units.ts';
import type { PinnedRelease } from './pin-file.ts';

export interface MirrorOptions {
  readonly clock: Clock;
  readonly to: string;
  /** Without a slash at its end. */
  readonly from: string;
  readonly progress: (filename: string, bytes: number, total: number | undefined) => void;
}

export type Mirrored = 'downloaded' | 'there';

/** What could not be mirrored, in words for the user. */
export class MirrorError extends Error {}

/** A release has about 200 MB. */
export const MAX_RELEASE_BYTES = 1024 ** 3;
const STALL_MS = 30 * SECOND;
const TRIES = 4;
/** A part that was not written to for so long belongs to no running process: one that stalls gives up sooner. */
const ORPHAN_MS = 2 * MINUTE;

/** Rejects with MirrorError. */
export async function mirrorRelease(release: PinnedRelease, options: MirrorOptions): Promise<Mirrored> {
  const { clock, to } = options;
  const file = join(to, `v${release.version}`, release.filename);
  await mkdir(dirname(file), { recursive: true });
  if ((await checksumOf(file)) === release.sha256) return 'there';
  const part = await takePart(file, clock);
  try {
    for (let attempt = 0; ; attempt += 1) {
      try {
        await fetchInto(part, release, options);
        break;
      } catch (error) {
        // What another attempt cannot mend.
        if (error instanceof MirrorError || attempt + 1 >= TRIES) throw error;
        await sleep(clock, backoffMs(SECOND, 10 * SECOND, attempt));
      }
    }
    if ((await checksumOf(part)) !== release.sha256) {
      await rm(part, { force: true });
      throw new MirrorError(
        `${release.filename} from ${options.from} is not the release with the checksum ${release.sha256}`,
      );
    }
    await rename(part, file);
    await sync(dirname(file));
    return 'downloaded';
  } catch (error) {
    // Free for the next process, at once.
    await utimes(part, 0, 0).catch(() => {});
    if (error instanceof MirrorError) throw error;
    throw new MirrorError(`${release.filename} could not be mirrored from ${options.from}: ${wordsOf(error)}`, {
      cause: error,
    });
  }
}

/**
 * A name of our own for the unfinished file: two processes must never write to one. What an earlier process left is taken
 * over, by a rename that only one of several can do.
 */
async function takePart(file: string, clock: Pick<Clock, 'now'>): Promise<string> {
  const prefix = `.${basename(file)}.`;
  const own = join(dirname(file), `${prefix}${randomBytes(6).toString('hex')}.part`);
  let isTaken = false;
  for (const name of await readdir(dirname(file))) {
    if (!name.startsWith(prefix) || !name.endsWith('.part')) continue;
    const left = join(dirname(file), name);
    const { mtimeMs } = await stat(left).catch(() => ({ mtimeMs: clock.now() }));
    if (clock.now() - mtimeMs < ORPHAN_MS) continue;
    if (isTaken) await rm(left, { force: true });
    else isTaken = await isRenamed(left, own);
  }
  return own;
}

async function isRenamed(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch {
    return false;
  }
}

async function fetchInto(part: string, { filename, version }: PinnedRelease, options: MirrorOptions): Promise<void> {
  const { clock, from } = options;
  const handle = await openPart(part);
  const stalled = new AbortController();
  const watch = (): (() => void) =>
    clock.after(STALL_MS, () => stalled.abort(new Error(`nothing came for ${STALL_MS / SECOND} s`)));
  let cancel = watch();
  try {
    const { size } = await handle.stat();
    const response = await fetch(`${from}/v${version}/${filename}`, {
      ...(size === 0 ? {} : { headers: { range: `bytes=${size}-` } }),
      signal: stalled.signal,
    });
    const start = startOf(response, size);
    if (start === undefined) {
      await response.body?.cancel();
      // 416: there is no more of it, as after an interruption just before the end. Its checksum decides.
      if (response.status === 416) return;
      if (response.status >= 500 || response.status === 429) throw new Error(`it answers ${response.status}`);
      throw new MirrorError(`${from}/v${version}/${filename} answers ${response.status}`);
    }
    await handle.truncate(start);
    const length = Number(response.headers.get('content-length') ?? Number.NaN);
    const total = Number.isFinite(length) ? start + length : undefined;
    if (total !== undefined && total > MAX_RELEASE_BYTES) throw tooLarge(filename);
    let position = start;
    for await (const chunk of response.body ?? []) {
      cancel();
      cancel = watch();
      if (position + chunk.length > MAX_RELEASE_BYTES) throw tooLarge(filename);
      position += await writeAll(handle, chunk, position);
      options.progress(filename, position, total);
    }
    await handle.sync();
  } finally {
    cancel();
    // What is left of an answer that was not read to its end.
    stalled.abort();
    await handle.close();
  }
}

/** Where the body belongs; undefined: it is not what was asked for. */
function startOf({ status, headers }: Response, asked: number): number | undefined {
  if (status === 200) return 0;
  if (status !== 206) return undefined;
  const start = /^bytes (\d{1,15})-/.exec(headers.get('content-range') ?? '')?.[1];
  return start !== undefined && Number(start) === asked ? asked : undefined;
}

function tooLarge(filename: string): MirrorError {
  return new MirrorError(
    `${filename} is larger than ${MAX_RELEASE_BYTES / 1024 ** 2} MiB: it is not a release of the runner`,
  );
}

/** Creates it if it is not there, and keeps what is in it. */
async function openPart(part: string): Promise<FileHandle> {
  return await open(part, 'r+').catch(() => open(part, 'wx+'));
}

async function writeAll(handle: FileHandle, chunk: Uint8Array, at: number): Promise<number> {
  let written = 0;
  while (written < chunk.length) {
    written += (await handle.write(chunk, written, chunk.length - written, at + written)).bytesWritten;
  }
  return written;
}

/** Undefined: there is no such file. */
async function checksumOf(file: string): Promise<string | undefined> {
  const handle = await open(file, 'r').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (handle === undefined) return undefined;
  const hash: Hash = createHash('sha256');
  for await (const chunk of handle.createReadStream()) hash.update(chunk);
  return hash.digest('hex');
}

async function sync(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  await handle.sync().finally(() => handle.close());
}

function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error && error.cause.message !== '' ? error.cause.message : error.message;
}
