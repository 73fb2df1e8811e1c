/** File access for the configuration: regular files only, bounded in size, confined to the folder they belong to. */
import * as fs from 'node:fs';
import { lstat, readdir, realpath } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative, sep } from 'node:path';
import { promisify } from 'node:util';

/** A folder that a path may not leave: it may itself not be a link that leads out of its parent, `around`. */
export interface Within {
  readonly around: string;
  readonly name: string;
}

export interface ReadBounds {
  readonly mostBytes: number;
  /** The real path must be inside this folder, and no link on the way to the file may leave it. Undefined: anywhere. */
  readonly within?: Within | undefined;
}

export interface FileContent {
  readonly text: string;
  /** The widest group of users that can read or change it. */
  readonly readableBy: 'everybody' | 'group' | 'owner';
}

export interface Files {
  /** Rejects as the file system does, and with FileRefused for a file that exists but may not be read. */
  read(path: string, bounds: ReadBounds): Promise<FileContent>;
  /** The names in a folder. */
  list(folder: string): Promise<readonly string[]>;
}

/** The message has no subject: it follows the name of the file. */
export class FileRefused extends Error {
  readonly kind: 'too-large' | 'not-a-file' | 'outside' | 'not-text' | 'leads-nowhere';
  readonly cure: string;
  constructor(kind: FileRefused['kind'], message: string, cure: string) {
    super(message);
    this.name = 'FileRefused';
    this.kind = kind;
    this.cure = cure;
  }
}

// Not node:fs/promises: its handles cost four times the CPU, and a start reads thousands of small files. What may wait
// for a network file system waits beside others; the rest is done at once, which is cheaper than a thread.
const open = promisify(fs.open);
const read = promisify(fs.read);

export const systemFiles: Files = {
  async read(path, bounds) {
    // First, and without a look at where it leads: that something is there, or not, is not told either.
    if (bounds.within !== undefined && leadsOut(path, bounds.within)) throw outside();
    // O_NONBLOCK: opening a named pipe that has no writer would block forever.
    const file = await open(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
    try {
      const stats = fs.fstatSync(file);
      if (stats.isDirectory()) throw Object.assign(new Error('EISDIR'), { code: 'EISDIR' });
      if (!stats.isFile()) {
        throw new FileRefused('not-a-file', 'it is a device, pipe or socket', 'Name a regular file.');
      }
      if (bounds.within !== undefined) await refuseOutside(path, stats, bounds.within);
      if (stats.size > bounds.mostBytes) throw tooLarge(`${stats.size}`, bounds.mostBytes);
      return { text: await readText(file, stats.size, bounds.mostBytes), readableBy: exposure(stats) };
    } finally {
      fs.closeSync(file);
    }
  },
  async list(folder) {
    try {
      return await readdir(folder);
    } catch (error) {
      const link = errorCode(error) === 'ENOENT' ? linkToNothing(folder) : undefined;
      throw link === undefined ? error : leadsNowhere(folder, link);
    }
  },
};

interface LinkToNothing {
  readonly link: string;
  readonly target: string;
}

/** The link at this path, or above it, that leads to what is not there. */
export function linkToNothing(path: string): LinkToNothing | undefined {
  const target = linkAt(path);
  if (target !== undefined && !fs.existsSync(path)) return { link: path, target };
  return dirname(path) === path ? undefined : linkToNothing(dirname(path));
}

export function linkWords(
  { link, target }: LinkToNothing,
  subject = link,
): { readonly message: string; readonly cure: string } {
  const from = isAbsolute(target) ? '' : `, seen from ${dirname(link)}`;
  return {
    message: `${subject} is a link to ${target}, and nothing is there${from}`,
    cure: 'Correct the link, or remove it.',
  };
}

/** It is missing all the same: those who look for no more than that find the code. */
function leadsNowhere(folder: string, link: LinkToNothing): FileRefused {
  const { message, cure } = linkWords(link, link.link === folder ? 'it' : link.link);
  return Object.assign(new FileRefused('leads-nowhere', message, cure), { code: 'ENOENT' });
}

function tooLarge(bytes: string, mostBytes: number): FileRefused {
  return new FileRefused(
    'too-large',
    `it has ${bytes} bytes, and ${mostBytes} is the limit`,
    'Check that it is the right file, and leave out what is not needed.',
  );
}

/** Not by its reported size alone: files in /proc report 0, and a file can grow while it is read. */
async function readText(file: number, size: number, mostBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for (;;) {
    // Thousands of small files are read at the start: a large buffer for each would stay with the process.
    const room = Math.min(65_536, mostBytes + 1, Math.max(1_024, size + 1));
    const { bytesRead, buffer } = await read(file, Buffer.alloc(room), 0, room, null);
    bytes += bytesRead;
    if (bytes > mostBytes) throw tooLarge(`more than ${mostBytes}`, mostBytes);
    chunks.push(buffer.subarray(0, bytesRead));
    // A read that returns less than there was room for, and all that was to come, has met the end.
    if (bytesRead === 0 || (bytes === size && bytesRead < room)) break;
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    throw new FileRefused('not-text', 'it is not text in UTF-8', 'Save it as UTF-8, or name the right file.');
  }
}

/**
 * The opened file is compared with the one at the real path, which detects a link that is replaced between the two
 * checks.
 */
async function refuseOutside(path: string, opened: fs.Stats, { around, name }: Within) {
  const home = join(await realpath(around), name);
  const real = await realpath(path);
  const found = await lstat(real);
  const inside = relative(home, real);
  if (inside !== '' && !leaves(inside) && found.dev === opened.dev && found.ino === opened.ino) return;
  throw outside();
}

function outside(): FileRefused {
  return new FileRefused('outside', 'a link leads out of its folder', 'Put the file itself there.');
}

/** As the system does. */
const MAX_LINKS = 40;

/** Whether a link on the way to the path leaves the folder. Nothing outside is looked at. */
export function leadsOut(path: string, { around, name }: Within): boolean {
  const root = realRoot(around);
  if (root === undefined) return false;
  const home = join(root, name);
  let left = relative(around, path).split(sep);
  let here = root;
  let links = 0;
  for (let part = left.shift(); part !== undefined; part = left.shift()) {
    if (part === '' || part === '.') continue;
    const next = part === '..' ? dirname(here) : join(here, part);
    if (leaves(relative(home, next))) return true;
    const target = part === '..' ? undefined : linkAt(next);
    if (target === undefined) {
      here = next;
      continue;
    }
    links += 1;
    // Reading it fails, and says why.
    if (links > MAX_LINKS) return false;
    const parts = target.split(sep);
    left = [...parts, ...left];
    if (!isAbsolute(target)) continue;
    if (parts.includes('..') || leaves(relative(home, target))) return true;
    here = root;
    left = [...relative(root, target).split(sep), ...left.slice(parts.length)];
  }
  return false;
}

function realRoot(folder: string): string | undefined {
  try {
    return fs.realpathSync(folder);
  } catch {
    return undefined;
  }
}

/** Undefined: it is no link, or not there. */
function linkAt(path: string): string | undefined {
  try {
    return fs.readlinkSync(path);
  } catch {
    return undefined;
  }
}

/** Kubernetes mounts secrets through folders named `..2026_11_28_…`. */
function leaves(inside: string): boolean {
  return inside === '..' || inside.startsWith(`..${sep}`);
}

/** If the file belongs to another user, we read it through its group, so group access is not counted against it. */
function exposure({ mode, uid }: fs.Stats): FileContent['readableBy'] {
  if ((mode & 0o006) !== 0) return 'everybody';
  const own = process.geteuid?.();
  return (mode & 0o060) !== 0 && own === uid ? 'group' : 'owner';
}

/** Why a file could not be read, and what to do. */
export function fileProblem(error: unknown): { readonly message: string; readonly cure: string } {
  if (error instanceof FileRefused) return { message: error.message, cure: error.cure };
  switch (errorCode(error)) {
    case 'ENOENT':
      return { message: 'there is no such file', cure: 'Create it, or correct the path.' };
    case 'EACCES':
    case 'EPERM':
      return { message: 'permission to read it is denied', cure: 'Let the user that runs the dispatcher read it.' };
    case 'EISDIR':
      return { message: 'it is a folder', cure: 'Name a file.' };
    case 'ENOTDIR':
      return { message: 'a part of the path is a file, not a folder', cure: 'Correct the path.' };
    case 'ELOOP':
      return { message: 'it is a link that leads back to itself', cure: 'Put the file itself there.' };
    case 'ENXIO':
      return { message: 'it is a device, pipe or socket', cure: 'Name a regular file.' };
    default:
      return { message: error instanceof Error ? error.message : String(error), cure: 'Check the file and its disk.' };
  }
}

export function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
