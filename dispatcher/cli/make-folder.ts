import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errorCode } from '../config/files.ts';

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
