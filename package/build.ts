/**
 * `npm run build`: the published form in `dist/`, compiled JavaScript with its declarations, because Node strips no
 * types below `node_modules/`. The folders stay as they are, so that every path from one file to another still holds.
 * `npm pack` calls it.
 */
import { spawnSync } from 'node:child_process';
import { cp, glob, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import manifest from '../package.json' with { type: 'json' };

const ROOT = join(import.meta.dirname, '..');
const TARGET = join(ROOT, 'dist');
/**
 * What is read at run time besides JavaScript: templates, the demo's runner, its image and workflow. Named one by one, because a clone
 * that serves has its owner's registrations and keys beside them.
 */
const BESIDES_SOURCES = [
  'dispatcher.example.yaml',
  'dispatcher/cli/shr.mjs',
  'simulators/github/runner.{mjs,sh}',
  'simulators/github/runner-release/{*.sh,*.template,bin/Runner.Listener}',
  'demo/{*.sh,workflow.yaml}',
  'runner-image/{Dockerfile,build.sh,runner.sha256,build/*,scripts/*}',
  'registrations/{*.example.yaml,*.schema.json}',
];
const ENTRY = 'dispatcher/cli/shr.mjs';

await rm(TARGET, { recursive: true, force: true });
const compiler = join(ROOT, 'node_modules', '.bin', 'tsc');
const { status } = spawnSync(compiler, ['-p', 'tsconfig.build.json'], { cwd: ROOT, stdio: 'inherit' });
if (status !== 0) process.exit(status ?? 1);
for await (const path of glob(BESIDES_SOURCES, { cwd: ROOT })) await cp(join(ROOT, path), join(TARGET, path));
await pointAtCompiled(ENTRY);
// tsc copies package.json because shr.ts reads its version. The nearest one to a module decides how Node reads it.
const { name, version, type } = manifest;
await writeFile(join(TARGET, 'package.json'), `${JSON.stringify({ name, version, type })}\n`);

/** tsc compiles TypeScript only: this one is JavaScript, and names a source. */
async function pointAtCompiled(path: string): Promise<void> {
  const text = await readFile(join(TARGET, path), 'utf8');
  const compiled = text.replace("import('./shr.ts')", "import('./shr.js')");
  if (compiled === text) throw new Error(`${path} does not import ./shr.ts: package/build.ts must follow it`);
  await writeFile(join(TARGET, path), compiled);
}
