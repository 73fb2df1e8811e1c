/** Which tests are asked about a mutated file, the closest first. */
import { existsSync } from 'node:fs';
import { glob, readFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';

/** The rooms that are sampled, and the tests that speak of each beyond its own folder. */
const ROOMS: ReadonlyMap<string, readonly string[]> = new Map([
  ['lifecycle', ['test/lifecycle']],
  ['admission', ['test/admission', 'test/config']],
  ['labels', ['test/labels', 'test/admission']],
  ['intake', ['test/intake', 'test/http']],
  ['ledger', ['test/ledger']],
  ['github', ['test/github', 'test/intake']],
  ['config', ['test/config', 'test/cli/verify.test.ts']],
]);

export const rooms: readonly string[] = [...ROOMS.keys()];

export async function sourcesOf(root: string, room: string): Promise<readonly string[]> {
  const files: string[] = [];
  for await (const file of glob(`dispatcher/${room}/**/*.ts`, { cwd: root })) files.push(file);
  return files.sort();
}

/** Spec files in the order in which they are tried: those that import the file itself, then the rest of its room's. */
export async function specsFor(root: string, file: string): Promise<readonly (readonly string[])[]> {
  const room = file.split('/')[1] ?? '';
  const specs: string[] = [];
  for (const place of ROOMS.get(room) ?? []) {
    if (place.endsWith('.test.ts')) specs.push(place);
    else for await (const spec of glob(`${place}/**/*.test.ts`, { cwd: root })) specs.push(spec);
  }
  const near: string[] = [];
  const far: string[] = [];
  for (const spec of [...new Set(specs)].sort()) {
    if (!existsSync(join(root, spec))) continue;
    const direct = (await importsOf(root, spec)).includes(file);
    (direct ? near : far).push(spec);
  }
  return [near, far].filter((stage) => stage.length > 0);
}

async function importsOf(root: string, file: string): Promise<readonly string[]> {
  const source = await readFile(join(root, file), 'utf8');
  const found: string[] = [];
  for (const [, path] of source.matchAll(/\bfrom '(\.[^']+)'/g)) {
    if (path !== undefined) found.push(relative(root, join(root, dirname(file), path)));
  }
  return found;
}
