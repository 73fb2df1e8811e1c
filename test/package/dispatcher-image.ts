/** The dispatcher's image on a base of this machine's Node, for every test of a process: a build takes half a minute. */
import { execFile, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ENGINE_SOCKET } from '../docker/engine.ts';
import { path } from './unpacked.ts';

const ROOT = join(import.meta.dirname, '..', '..');

/** For docker and make of the tests: this machine's engine, and the builder that needs no further program. */
export const DOCKER_ENVIRONMENT: NodeJS.ProcessEnv = {
  ...process.env,
  PATH: path,
  DOCKER_HOST: `unix://${ENGINE_SOCKET}`,
  DOCKER_BUILDKIT: '0',
};

let image: Promise<string> | undefined;

/** Its name. `DISPATCHER_IMAGE` names one that is there already; one that was built here goes with the process. */
export function dispatcherImage(): Promise<string> {
  image ??= named(process.env['DISPATCHER_IMAGE']) ?? build();
  return image;
}

function named(name: string | undefined): Promise<string> | undefined {
  return name === undefined || name === '' ? undefined : Promise.resolve(name);
}

async function build(): Promise<string> {
  const tag = `shr-dispatcher:test-${randomBytes(4).toString('hex')}`;
  const run = promisify(execFile);
  const options = { env: DOCKER_ENVIRONMENT, maxBuffer: 64 * 1024 * 1024 };
  process.once('exit', () => {
    try {
      execFileSync('docker', ['image', 'rm', '--force', tag], { env: DOCKER_ENVIRONMENT, stdio: 'ignore' });
    } catch {
      // The engine has gone before, and is not waited for.
    }
  });
  // Node and its libraries from this machine, and no network: nothing is downloaded.
  const base = await run(join(ROOT, 'dispatcher-image', 'base.sh'), [], options);
  await run('make', ['--directory', ROOT, 'dispatcher-image', `TAG=${tag}`, `BASE=${base.stdout.trim()}`], options);
  return tag;
}
