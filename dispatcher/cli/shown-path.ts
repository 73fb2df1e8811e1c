/** How commands name a file. */
import { relative } from 'node:path';

/** Relative below the working folder, as it would be typed there; else in full. `path`: absolute. */
export function shownPath(workingFolder: string, path: string): string {
  const near = relative(workingFolder, path);
  return near === '' ? '.' : near.startsWith('..') ? path : near;
}
