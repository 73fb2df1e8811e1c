/** The published form as a user gets it: packed by npm, unpacked into an empty folder, away from the sources. */
import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';

const ROOT = join(import.meta.dirname, '..', '..');
const manifestSchema = z.object({
  name: z.string(),
  bin: z.record(z.string(), z.string()),
  dependencies: z.record(z.string(), z.string()),
  optionalDependencies: z.record(z.string(), z.string()),
  peerDependencies: z.record(z.string(), z.string()),
});

/** Node of the lock file before any other: programs of packages name their interpreter `node`. */
export const path = `${dirname(process.execPath)}${delimiter}${process.env['PATH'] ?? ''}`;

export interface Unpacked {
  /** Has a `node_modules` with the package, what it depends on, and nothing else. */
  readonly folder: string;
  /** Every file of the package, from its root. */
  readonly files: readonly string[];
  /** Adds packages that a user installs beside it. */
  link(names: readonly string[]): Promise<void>;
  remove(): Promise<void>;
}

let archive: Promise<string> | undefined;

/** Once for all tests of a process: a build takes ten seconds of two cores. */
async function pack(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'shr-packed-'));
  process.once('exit', () => rmSync(folder, { recursive: true }));
  const words = ['pack', '--offline', '--loglevel=error', '--pack-destination', folder];
  await promisify(execFile)('npm', words, { cwd: ROOT, env: { ...process.env, PATH: path } });
  const [packed, ...others] = await readdir(folder);
  if (packed === undefined || others.length > 0) throw new Error('npm pack did not leave one package');
  return join(folder, packed);
}

/**
 * npm builds and packs; the package's dependencies are links to those installed here, and a package of which ours does
 * not say that it needs it is not there. Not `npm install`: that needs a registry.
 */
export async function unpacked(): Promise<Unpacked> {
  const folder = await mkdtemp(join(tmpdir(), 'shr-package-'));
  const run = promisify(execFile);
  archive ??= pack();
  const modules = join(folder, 'node_modules');
  const { name } = manifestSchema.parse(JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')));
  const home = join(modules, name);
  await mkdir(home, { recursive: true });
  await run('tar', ['-xzf', await archive, '-C', home, '--strip-components=1']);
  const manifest = manifestSchema.parse(JSON.parse(await readFile(join(home, 'package.json'), 'utf8')));

  async function link(names: readonly string[]): Promise<void> {
    for (const dependency of names) {
      await mkdir(dirname(join(modules, dependency)), { recursive: true });
      await symlink(join(ROOT, 'node_modules', dependency), join(modules, dependency));
    }
  }
  await link(Object.keys(manifest.dependencies));

  // As npm does it with each program.
  await mkdir(join(modules, '.bin'));
  for (const [program, target] of Object.entries(manifest.bin)) {
    await chmod(join(home, target), 0o755);
    await symlink(join('..', name, target), join(modules, '.bin', program));
  }
  const entries = await readdir(home, { recursive: true, withFileTypes: true });
  return {
    folder,
    files: entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(home.length + 1)),
    link,
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
