/**
 * One instance is one folder, which holds all of its state:
 *
 *   meta.json    id and tags; made before the folder gets its name, never changed
 *   supervise    the supervisor's script
 *   supervisor   symbolic link: the supervisor's lock and identity, or `stopped` to prevent any further start
 *   stopping     its end was requested
 *   exit         the command's exit code, once all its output has been read (until then exit.new)
 *   output, output.old    the end of its output
 *   work, tmp    the command's current folder (its HOME), and its TMPDIR
 */
import {
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { decodeTags, encodeTags } from '../kit/tags.ts';
import { tailText } from '../kit/tail.ts';
import type { Instance, InstanceReason, InstanceTags } from '../provider.ts';
import { LOG_BYTES } from '../provider.ts';
import { isAlive, type ProcessIdentity, parseIdentity, procProblem } from './proc.ts';
import { SUPERVISOR } from './supervisor.ts';

export interface Meta {
  /** The service's id: distinguishes two successive instances with the same name. */
  readonly id: string;
  readonly tags: InstanceTags;
}

const metaFile = z.object({ id: z.string().regex(/^[0-9a-f]{16}$/), labels: z.record(z.string(), z.string()) });

/** The contents of a folder of this name. */
export type Found =
  | { readonly kind: 'nothing' }
  /** No meta.json: not created by this provider. */
  | { readonly kind: 'foreign' }
  /** Ours by its files, but its meta.json is unreadable. */
  | { readonly kind: 'unreadable'; readonly message: string }
  | { readonly kind: 'instance'; readonly meta: Meta };

export async function findInstance(folder: string): Promise<Found> {
  let text: string;
  try {
    text = await readFile(join(folder, 'meta.json'), 'utf8');
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR'].includes(errorCode(error) ?? '')) throw error;
    if (await exists(folder)) return { kind: 'foreign' };
    // Without the root folder the answer is unknown: that is an error, not "nothing".
    await stat(dirname(folder));
    return { kind: 'nothing' };
  }
  const parsed = metaFile.safeParse(parseJson(text));
  const tags = parsed.success ? decodeTags(parsed.data.labels) : undefined;
  if (!parsed.success || tags === undefined) return { kind: 'unreadable', message: `${folder}/meta.json is damaged` };
  return { kind: 'instance', meta: { id: parsed.data.id, tags } };
}

/**
 * Creates the complete folder in one atomic step; false if the name is taken. Nothing in it is secret.
 * A crash before the last step leaves a folder whose name begins with a dot, which is never taken for an instance (see
 * `sweepScraps`).
 */
export async function makeFolder(root: string, name: string, meta: Meta): Promise<boolean> {
  const draft = await mkdtemp(join(root, `.new-${name}-`));
  await mkdir(join(draft, 'work'), { mode: 0o700 });
  await mkdir(join(draft, 'tmp'), { mode: 0o700 });
  await writeFile(join(draft, 'meta.json'), JSON.stringify({ id: meta.id, labels: encodeTags(meta.tags) }));
  await writeFile(join(draft, 'supervise'), SUPERVISOR, { mode: 0o700 });
  try {
    await rename(draft, join(root, name));
    return true;
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    if (['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(errorCode(error) ?? '')) return false;
    throw error;
  }
}

/** Moved away in one step, then removed: a crash in between leaves no partial instance. */
export async function removeFolder(root: string, name: string, id: string): Promise<void> {
  const scrap = join(root, `.old-${name}-${id}`);
  try {
    await rename(join(root, name), scrap);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
  await rm(scrap, { recursive: true, force: true, maxRetries: 3 });
}

/** Removes what crashes left behind: drafts and removed folders unchanged for an hour. */
export async function sweepScraps(root: string, now: number): Promise<void> {
  for (const entry of await readdir(root)) {
    if (!/^\.(new|old)-/.test(entry)) continue;
    const scrap = join(root, entry);
    const touchedAt = await stat(scrap).then(
      (found) => found.mtimeMs,
      () => now,
    );
    if (now - touchedAt > 3_600_000) await rm(scrap, { recursive: true, force: true });
  }
}

export type Supervisor =
  | { readonly kind: 'none' }
  | { readonly kind: 'forbidden' }
  | { readonly kind: 'started'; readonly identity: ProcessIdentity };

export async function readSupervisor(folder: string): Promise<Supervisor> {
  let target: string;
  try {
    target = await readlink(join(folder, 'supervisor'));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return { kind: 'none' };
    throw error;
  }
  const identity = parseIdentity(target);
  return identity === undefined ? { kind: 'forbidden' } : { kind: 'started', identity };
}

/** Takes the supervisor's lock, so that a start in progress has no effect. Returns the lock's holder. */
export async function forbidStart(folder: string): Promise<Supervisor> {
  try {
    await symlink('stopped', join(folder, 'supervisor'));
    return { kind: 'forbidden' };
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return readSupervisor(folder);
    if (errorCode(error) === 'ENOENT') return { kind: 'none' };
    throw error;
  }
}

export async function markStopping(folder: string): Promise<void> {
  await writeFile(join(folder, 'stopping'), '').catch((error: unknown) => {
    // The mark only explains the end after a crash: a full disk or a folder that has just gone must not prevent the
    // stop.
    if (!['ENOENT', 'ENOSPC', 'EDQUOT'].includes(errorCode(error) ?? '')) throw error;
  });
}

export async function readInstance(folder: string, name: string, meta: Meta): Promise<Instance> {
  const known = { ref: { name, id: meta.id }, tags: meta.tags };
  const ended = await readExit(folder);
  if (ended !== undefined) return { ...known, ...ended };
  const supervisor = await readSupervisor(folder);
  if (supervisor.kind === 'none') return { ...known, state: 'pending' };
  if (supervisor.kind === 'started') {
    const problem = await procProblem();
    if (problem !== undefined) return { ...known, state: 'unknown', reason: { kind: 'unknown', message: problem } };
    if (await isAlive(supervisor.identity)) return { ...known, state: 'running' };
  }
  // It may have ended between the two looks, or the supervisor was killed just before its last step.
  const endedMeanwhile = (await readExit(folder)) ?? (await readExit(folder, 'exit.new'));
  if (endedMeanwhile !== undefined) return { ...known, ...endedMeanwhile };
  const stopped = supervisor.kind === 'forbidden' || (await exists(join(folder, 'stopping')));
  const reason: InstanceReason = stopped
    ? { kind: 'stopped', message: 'stopped on request' }
    : {
        kind: 'unknown',
        message:
          'it was killed from outside and left no exit code (no memory left on this machine, a reboot, a signal)',
      };
  return { ...known, state: 'failed', reason };
}

/** The last `LOG_BYTES` of the output; undefined if nothing was ever printed. */
export async function readOutput(folder: string): Promise<string | undefined> {
  const wanted = LOG_BYTES + 1; // see `tailText`
  const newest = await readEnd(join(folder, 'output'), wanted);
  const missing = wanted - (newest?.length ?? 0);
  const older = missing > 0 ? await readEnd(join(folder, 'output.old'), missing) : undefined;
  if (newest === undefined && older === undefined) return undefined;
  return tailText(Buffer.concat([older ?? Buffer.alloc(0), newest ?? Buffer.alloc(0)]));
}

async function readExit(folder: string, file = 'exit'): Promise<Pick<Instance, 'state' | 'reason'> | undefined> {
  let text: string;
  try {
    text = (await readFile(join(folder, file), 'utf8')).trim();
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  if (!/^\d{1,3}$/.test(text)) {
    return { state: 'unknown', reason: { kind: 'unknown', message: `the exit file says ${JSON.stringify(text)}` } };
  }
  const exitCode = Number(text);
  const message = exitCode > 128 ? `ended by signal ${exitCode - 128}` : `exited with ${exitCode}`;
  return { state: exitCode === 0 ? 'succeeded' : 'failed', reason: { kind: 'exited', message, exitCode } };
}

async function readEnd(path: string, bytes: number): Promise<Buffer | undefined> {
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(path, 'r');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const { size } = await file.stat();
    const length = Math.min(size, bytes);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
