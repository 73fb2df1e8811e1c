/** The dispatchers that a user has logged in to: one file for each, which only that user reads. */
import { open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { isLoopback } from '../http/admin-access.ts';
import { Secret } from '../model/registration.ts';
import { AdminClientError } from './admin-client-error.ts';
import { makeFolder } from './make-folder.ts';
import type { Terminal } from './terminal.ts';

export const DEFAULT_PROFILE = 'default';
const NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/;
const MAX_BYTES = 16 * 1024;

const fileSchema = z.object({ url: z.string(), token: z.string().min(1) });

export interface Profile {
  readonly name: string;
  readonly url: URL;
  readonly token: Secret;
}

type Place = Pick<Terminal, 'environment'>;

/** Undefined if there is none of this name. */
export async function readProfile(name: string, terminal: Place): Promise<Profile | undefined> {
  const path = pathOf(name, terminal);
  if (path === undefined) return undefined;
  const text = await readPrivate(path);
  if (text === undefined) return undefined;
  const parsed = fileSchema.safeParse(jsonOf(text));
  if (!parsed.success) {
    throw new AdminClientError(2, `the profile ${name} (${path}) is not readable`, 'Log in again with `shr login`.');
  }
  return { name, url: safeUrl(parsed.data.url), token: new Secret(parsed.data.token) };
}

export async function writeProfile({ name, url, token }: Profile, terminal: Place): Promise<string> {
  const path = pathOf(name, terminal);
  if (path === undefined) throw homeless();
  await makeFolder(dirname(path), 0o700);
  // Renamed into place: a reader never meets half a file, and the mode does not depend on one that was there before.
  const fresh = `${path}.new`;
  await rm(fresh, { force: true });
  const file = await open(fresh, 'wx', 0o600);
  try {
    await file.writeFile(`${JSON.stringify({ url: url.href, token: token.reveal() }, null, 2)}\n`);
  } finally {
    await file.close();
  }
  await rename(fresh, path);
  return path;
}

/** Returns whether there was one. */
export async function deleteProfile(name: string, terminal: Place): Promise<boolean> {
  const path = pathOf(name, terminal);
  if (path === undefined) throw homeless();
  try {
    await rm(path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

export async function profileNames(terminal: Place): Promise<readonly string[]> {
  const folder = folderOf(terminal);
  if (folder === undefined) return [];
  const names = await readdir(folder).catch(() => []);
  return names.flatMap((name) => (name.endsWith('.json') ? [name.slice(0, -'.json'.length)] : [])).toSorted();
}

/** A token goes over TLS, or not beyond this machine. */
export function safeUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new AdminClientError(2, 'invalid URL', 'Write https://HOST, or http://127.0.0.1:PORT on this machine.');
  }
  if (url.username !== '' || url.password !== '') {
    throw new AdminClientError(
      2,
      'the URL has a user or password in it',
      'Remove it: the token is all that is needed.',
    );
  }
  if (url.protocol === 'http:' && !isLoopback(url.hostname)) {
    throw new AdminClientError(
      2,
      `${url.origin} would get the token in the clear`,
      'Use https:// (a proxy with TLS in front of the admin listener), or a tunnel to 127.0.0.1.',
    );
  }
  return url;
}

function pathOf(name: string, terminal: Place): string | undefined {
  if (!NAME.test(name)) {
    throw new AdminClientError(
      2,
      'not the name of a profile',
      'Use at most 63 characters of a-z, 0-9, `.`, `_` and `-`.',
    );
  }
  const folder = folderOf(terminal);
  return folder === undefined ? undefined : join(folder, `${name}.json`);
}

/** As the XDG Base Directory Specification says; a relative path counts as none. */
function folderOf({ environment }: Place): string | undefined {
  const configured = environment['XDG_CONFIG_HOME'];
  if (configured?.startsWith('/')) return join(configured, 'shr', 'profiles');
  const home = environment['HOME'];
  return home ? join(home, '.config', 'shr', 'profiles') : undefined;
}

async function readPrivate(path: string): Promise<string | undefined> {
  const file = await open(path, 'r').catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
    throw new AdminClientError(
      2,
      `${path} cannot be read (${codeOf(error) ?? 'error'})`,
      'Check its permissions.',
      error,
    );
  });
  if (file === undefined) return undefined;
  try {
    refuseShared((await file.stat()).mode, path);
    const { bytesRead, buffer } = await file.read(Buffer.alloc(MAX_BYTES), 0, MAX_BYTES, 0);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}

/** A token that others have read is not a secret. */
export function refuseShared(mode: number, path: string): void {
  if ((mode & 0o077) === 0) return;
  throw new AdminClientError(2, `other users of this machine can read ${path}`, `chmod 600 ${path}`);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

function homeless(): AdminClientError {
  return new AdminClientError(2, 'there is no place for profiles', 'Set HOME, or XDG_CONFIG_HOME to an absolute path.');
}
