/** Files that `shr init` writes where there are none. */
import { writeFile } from 'node:fs/promises';
import { dirname, relative } from 'node:path';
import { errorCode } from '../../config/files.ts';
import { jsonSchemaOf } from '../../config/schema.ts';
import { ignoredByGit } from '../git-ignore.ts';
import { makeFolder } from '../make-folder.ts';

export interface NewFile {
  readonly path: string;
  readonly text: string;
  readonly mode: number;
  /** What git must ignore, and what it must not. */
  readonly git: 'never' | 'always';
}

/** A clone may ignore what should be shared, or be told to track what should not. Empty without git. */
export async function gitWarnings(
  root: string,
  files: readonly Pick<NewFile, 'path' | 'git'>[],
): Promise<readonly string[]> {
  const ignored = await ignoredByGit(
    root,
    files.map(({ path }) => path),
  );
  if (ignored === undefined) return [];
  return files.flatMap(({ path, git }) => {
    const rule = ignored.get(path);
    if (git === 'never' && rule === undefined) {
      return [
        `git would commit ${relative(root, path)}, which is secret: put \`secrets/\` and \`data/\` into .gitignore`,
      ];
    }
    if (git === 'always' && rule !== undefined) {
      return [`git does not see ${relative(root, path)}, because of ${rule}: remove that line to share the file`];
    }
    return [];
  });
}

/** Editors validate against it; the registration's first line refers to it. */
export function schemaText(file: 'registration' | 'dispatcher'): string {
  return `${JSON.stringify(jsonSchemaOf(file), null, 2)}\n`;
}

/** False if it already exists, in any form: `wx` neither follows nor replaces it. */
export async function writeNew(file: NewFile): Promise<boolean> {
  await makeFolder(dirname(file.path));
  try {
    await writeFile(file.path, file.text, { flag: 'wx', mode: file.mode });
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
}
