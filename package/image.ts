/** `make dispatcher-image`: builds the dispatcher's image with the engine that the docker command uses. */
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import manifest from '../package.json' with { type: 'json' };
import { stage } from './stage.ts';

const { values } = parseArgs({
  options: { tag: { type: 'string' }, base: { type: 'string' }, push: { type: 'boolean' } },
});
const tag = values.tag ?? `serverless-hosted-runner:${manifest.version}`;
const folder = await mkdtemp(join(tmpdir(), 'shr-image-'));
try {
  await stage(folder);
  const base = values.base === undefined ? [] : ['--build-arg', `BASE=${values.base}`];
  docker('build', '--network', 'none', ...base, '--build-arg', `VERSION=${manifest.version}`, '--tag', tag, folder);
  if (values.push === true) docker('push', tag);
  console.log(tag);
} finally {
  await rm(folder, { recursive: true });
}

function docker(...words: readonly string[]): void {
  const { status, error } = spawnSync('docker', words, { stdio: ['ignore', 'inherit', 'inherit'] });
  if (status === 0) return;
  console.error(error === undefined ? `docker ${words[0]} failed` : `docker cannot be run: ${error.message}`);
  process.exitCode = 1;
  throw new Error(`docker ${words[0]} failed`);
}
