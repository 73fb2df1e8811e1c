/** What the configuration reads from the disk, bounded. */
import { open, readdir } from 'node:fs/promises';

export interface Files {
  /** The file's text; rejects as the file system does. */
  read(path: string): Promise<string>;
  /** The names in a folder. */
  list(folder: string): Promise<readonly string[]>;
}

/** A configuration file is a few KB: more than this is a mistake, such as a path to the ledger. */
const LARGEST_FILE = 1024 * 1024;

export const systemFiles: Files = {
  async read(path) {
    const file = await open(path, 'r');
    try {
      const { size } = await file.stat();
      if (size > LARGEST_FILE) throw new Error(`it has ${size} bytes, and ${LARGEST_FILE} are the most`);
      return await file.readFile('utf8');
    } finally {
      await file.close();
    }
  },
  list: (folder) => readdir(folder),
};

/** Why a file could not be read, and what to do. */
export function fileTrouble(error: unknown): { readonly message: string; readonly cure: string } {
  switch (errorCode(error)) {
    case 'ENOENT':
      return { message: 'there is no such file', cure: 'Create it, or correct the path.' };
    case 'EACCES':
    case 'EPERM':
      return { message: 'it may not be read', cure: 'Let the user that runs the dispatcher read it.' };
    case 'EISDIR':
      return { message: 'it is a folder', cure: 'Name a file.' };
    case 'ENOTDIR':
      return { message: 'it is no folder', cure: 'Name a folder.' };
    default:
      return { message: error instanceof Error ? error.message : String(error), cure: 'See to the file.' };
  }
}

export function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
