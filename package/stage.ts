/**
 * The build context of the dispatcher's image: the published package and the packages that it depends on, from
 * `node_modules`, whose hashes npm checked against the lock file. Without what no running dispatcher reads.
 */
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';

const ROOT = join(import.meta.dirname, '..');
const lockSchema = z.object({ packages: z.record(z.string(), z.object({ dev: z.boolean().optional() })) });

/** Types, source maps, pages. */
const NOT_RUN = /\.(?:d\.[cm]?ts|map|md|markdown)$/;
/** Node comes with the base. Of better-sqlite3 there are sources, and binaries for systems that run no containers. */
const LEFT_OUT =
  /^node_modules\/(?:(?:.*\/)?@types\/|node-linux-|better-sqlite3\/(?:deps|src|prebuilds\/(?:darwin|win32)))/;

export async function stage(folder: string): Promise<void> {
  const app = join(folder, 'app');
  await mkdir(join(folder, 'state'), { recursive: true });
  await cp(join(ROOT, 'dispatcher-image', 'Dockerfile'), join(folder, 'Dockerfile'));
  await cp(join(ROOT, 'dispatcher-image', 'health.mjs'), join(app, 'health.mjs'));
  await unpack(join(app, 'node_modules', 'serverless-hosted-runner'));
  const lock = lockSchema.parse(JSON.parse(await readFile(join(ROOT, 'package-lock.json'), 'utf8')));
  const paths = Object.entries(lock.packages).flatMap(([path, { dev }]) => (path === '' || dev === true ? [] : [path]));
  // Packages within packages are in the lock file by themselves, and are copied with the outer one.
  for (const path of paths.filter((one) => one.lastIndexOf('node_modules/') === 0)) await copy(path, app);
  // A short name for the command.
  const command = './node_modules/serverless-hosted-runner/dist/dispatcher/cli/shr.mjs';
  await writeFile(join(app, 'shr.mjs'), `await import('${command}');\n`);
}

async function copy(path: string, app: string): Promise<void> {
  const wanted = (source: string) => {
    const inside = source.slice(ROOT.length + 1);
    return !NOT_RUN.test(inside) && !LEFT_OUT.test(`${inside}/`);
  };
  await cp(join(ROOT, path), join(app, path), { recursive: true, filter: wanted }).catch((error: unknown) => {
    // Of another platform.
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  });
}

async function unpack(home: string): Promise<void> {
  const packed = await mkdtemp(join(tmpdir(), 'shr-pack-'));
  try {
    const run = promisify(execFile);
    await run('npm', ['pack', '--offline', '--loglevel=error', '--pack-destination', packed], { cwd: ROOT });
    const [name = ''] = await readdir(packed);
    await mkdir(home, { recursive: true });
    await run('tar', ['-xzf', join(packed, name), '-C', home, '--strip-components=1', '--exclude=*.d.ts']);
  } finally {
    await rm(packed, { recursive: true });
  }
}
