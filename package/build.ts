/**
 * `npm run build`: the published form in `dist/`, compiled JavaScript with its declarations, because Node strips no
 * types below `node_modules/`. The folders stay as they are, so that every path from one file to another still holds.
 * `npm pack` calls it.
 */
import { spawnSync } from 'node:child_process';
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import manifest from '../package.json' with { type: 'json' };

const ROOT = join(import.meta.dirname, '..');
const TARGET = join(ROOT, 'dist');
/** What the command reads at run time besides JavaScript is in these: templates, the demo's runner and workflow. */
const FOLDERS = ['time', 'dispatcher', 'providers', 'deployers', 'simulators', 'demo', 'registrations'];
const FILES = ['dispatcher.example.yaml'];
const ENTRY = 'dispatcher/cli/shr.mjs';

await rm(TARGET, { recursive: true, force: true });
const compiler = join(ROOT, 'node_modules', '.bin', 'tsc');
const { status } = spawnSync(compiler, ['-p', 'tsconfig.build.json'], { cwd: ROOT, stdio: 'inherit' });
if (status !== 0) process.exit(status ?? 1);
for (const path of [...FILES, ...(await filesBesidesSources())]) await cp(join(ROOT, path), join(TARGET, path));
await pointAtCompiled(ENTRY);
// tsc copies package.json because shr.ts reads its version. The nearest one to a module decides how Node reads it.
const { name, version, type } = manifest;
await writeFile(join(TARGET, 'package.json'), `${JSON.stringify({ name, version, type })}\n`);

async function filesBesidesSources(): Promise<readonly string[]> {
  const found: string[] = [];
  for (const folder of FOLDERS) {
    const entries = await readdir(join(ROOT, folder), { recursive: true, withFileTypes: true });
    for (const entry of entries) {
      const path = join(entry.parentPath, entry.name).slice(ROOT.length + 1);
      if (entry.isFile() && !/\.(?:ts|md)$/.test(entry.name)) found.push(path);
    }
  }
  return found;
}

/** tsc compiles TypeScript only: this one is JavaScript, and names a source. */
async function pointAtCompiled(path: string): Promise<void> {
  const text = await readFile(join(TARGET, path), 'utf8');
  const compiled = text.replace("import('./shr.ts')", "import('./shr.js')");
  if (compiled === text) throw new Error(`${path} does not import ./shr.ts: package/build.ts must follow it`);
  await writeFile(join(TARGET, path), compiled);
}
