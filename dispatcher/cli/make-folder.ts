import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errorCode, linkToNothing, linkWords } from '../config/files.ts';

/**
 * Creates missing parents too. Node's `recursive` loops forever in a folder that exists and answers ENOENT to every
 * mkdir, as /proc does.
 */
export async function makeFolder(path: string, mode = 0o777): Promise<void> {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    if (errorCode(error) === 'EEXIST' && (await stat(path)).isDirectory()) return;
    const above = dirname(path);
    if (errorCode(error) !== 'ENOENT' || above === path) throw error;
    await makeFolder(above, mode);
    await mkdir(path, { mode }).catch(async (again) => {
      if (errorCode(again) !== 'EEXIST' || !(await stat(path)).isDirectory()) throw again;
    });
  }
}

/** Why a folder cannot be made or written, without a subject; undefined if the error is none of the file system. */
export async function folderProblem(
  folder: string,
  error: unknown,
): Promise<{ readonly message: string; readonly cure: string } | undefined> {
  const code = errorCode(error);
  switch (code) {
    case undefined:
      return undefined;
    case 'ENOENT': {
      const path = error instanceof Error && 'path' in error ? String(error.path) : folder;
      const link = linkToNothing(path);
      return link === undefined ? unmade(folder, code) : linkWords(link);
    }
    case 'EEXIST':
    case 'ENOTDIR': {
      const file = (await fileAbove(error)) ?? folder;
      return {
        message: `${file} is a file, and a folder is needed there`,
        cure: 'Name another folder, or move the file.',
      };
    }
    case 'EACCES':
    case 'EPERM':
      return { message: `permission to write to ${folder} is denied`, cure: 'Name a folder that you may write to.' };
    case 'EROFS':
      return { message: `${folder} is on a read-only file system`, cure: 'Name a folder that you may write to.' };
    case 'ENOSPC':
    case 'EDQUOT':
      return { message: `there is no space left for ${folder}`, cure: 'Free some space, or name another folder.' };
    default:
      return unmade(folder, code);
  }
}

function unmade(folder: string, code: string): { readonly message: string; readonly cure: string } {
  return { message: `${folder} cannot be made or written (${code})`, cure: 'Name another folder.' };
}

/** The file that is in the way: on the path that the system's error names, or above it. */
async function fileAbove(error: unknown): Promise<string | undefined> {
  let path = error instanceof Error && 'path' in error ? String(error.path) : undefined;
  while (path !== undefined) {
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined) return found.isDirectory() ? undefined : path;
    path = dirname(path) === path ? undefined : dirname(path);
  }
  return undefined;
}
