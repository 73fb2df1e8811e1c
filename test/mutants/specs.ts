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

export function roomOf(file: string): string {
  return file.split('/')[1] ?? '';
}

/** Every spec file of the room. */
export async function specsOf(root: string, room: string): Promise<readonly string[]> {
  const specs = new Set<string>();
  for (const place of ROOMS.get(room) ?? []) {
    if (place.endsWith('.test.ts')) specs.add(place);
    else for await (const spec of glob(`${place}/**/*.test.ts`, { cwd: root })) specs.add(spec);
  }
  return [...specs].filter((spec) => existsSync(join(root, spec))).sort();
}

/** The spec files of the file's room: those that import the file itself, then the rest. */
export async function specsFor(root: string, file: string): Promise<readonly (readonly string[])[]> {
  const near: string[] = [];
  const far: string[] = [];
  for (const spec of await specsOf(root, roomOf(file))) {
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
