/**
 * `make dispatcher-image`: builds the dispatcher's image with the engine that the docker command uses. `TAG`, `BASE` and
 * `PUSH` come through the environment, as they are.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import manifest from '../package.json' with { type: 'json' };
import { stage } from './stage.ts';

/** What is wrong, and what to do. */
class Refused extends Error {}

/** Registry, path and tag, in the form that engines take. */
const REFERENCE = /^[a-z0-9][\w.-]*(?::\d+)?(?:\/[a-z0-9][\w.-]*)*(?::\w[\w.-]{0,127})?$/;
/** Builders that do not see the engine's images pull the base again. */
const NOT_PULLED = /failed to resolve|pull access denied|manifest unknown|dial tcp/i;
const NO_ENGINE = /Cannot connect to the Docker daemon|docker\.sock/;
const MAX_SAID = 65_536;

let interrupted: NodeJS.Signals | undefined;
let child: ChildProcess | undefined;
// Ctrl-C reaches docker by itself; the folder is removed all the same.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    interrupted = signal;
    if (signal === 'SIGTERM') child?.kill(signal);
  });
}

let folder: string | undefined;
try {
  const { tag, base, push } = await wishIn(process.env);
  // First: it is the likeliest to fail, and what follows takes half a minute.
  if ((await outcomeOf(['image', 'inspect', base], 'quietly')).code !== 0) await docker('pull', base);
  folder = await mkdtemp(join(tmpdir(), 'shr-image-'));
  await stage(folder);
  const given = ['--build-arg', `BASE=${base}`, '--build-arg', `VERSION=${manifest.version}`];
  await docker('build', '--network', 'none', ...given, '--tag', tag, folder);
  if (push) await docker('push', tag);
  console.log(tag);
} catch (error) {
  if (interrupted !== undefined) console.error('make dispatcher-image: interrupted.');
  else if (error instanceof Refused) console.error(`make dispatcher-image: ${error.message}`);
  // Of npm or tar, with what they printed.
  else if (error instanceof Error && 'cmd' in error) console.error(`make dispatcher-image: ${error.message}`);
  else throw error;
  process.exitCode = interrupted === 'SIGINT' ? 130 : 1;
} finally {
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
}

interface Wish {
  readonly tag: string;
  readonly base: string;
  readonly push: boolean;
}

async function wishIn(environment: NodeJS.ProcessEnv): Promise<Wish> {
  const tag = environment['TAG'] || `serverless-hosted-runner:${manifest.version}`;
  if (!REFERENCE.test(tag)) {
    throw new Refused(
      `'${tag}' is not a name for an image. Write TAG=[REGISTRY/]NAME:TAG in lower case, such as registry.example/shr:${manifest.version}.`,
    );
  }
  const base = environment['BASE'] || (await usualBase());
  return { tag, base, push: (environment['PUSH'] ?? '') !== '' };
}

async function usualBase(): Promise<string> {
  const dockerfile = await readFile(new URL('../dispatcher-image/Dockerfile', import.meta.url), 'utf8');
  const [, base = ''] = /^ARG BASE=(.+)$/m.exec(dockerfile) ?? [];
  return base;
}

async function docker(verb: 'pull' | 'build' | 'push', ...words: readonly string[]): Promise<void> {
  if (interrupted !== undefined) throw new Refused('interrupted');
  const { code, said } = await outcomeOf([verb, ...words]);
  if (code !== 0 || interrupted !== undefined) throw new Refused(cureOf(verb, said));
}

/** Its words are shown as they come, unless `quietly`. */
function outcomeOf(words: readonly string[], how?: 'quietly'): Promise<{ code: number | null; said: string }> {
  return new Promise((resolve, reject) => {
    const out = how === 'quietly' ? 'ignore' : 'inherit';
    const started = spawn('docker', words, { stdio: ['ignore', out, 'pipe'] });
    child = started;
    let said = '';
    started.stderr.on('data', (chunk: Buffer) => {
      if (how === undefined) process.stderr.write(chunk);
      said = `${said}${chunk}`.slice(-MAX_SAID);
    });
    started.once('error', (error) => {
      reject(
        new Refused(`docker cannot be run (${error.message}). Install the docker command, or put it on the PATH.`),
      );
    });
    started.once('close', (code) => resolve({ code, said }));
  });
}

function cureOf(verb: 'pull' | 'build' | 'push', said: string): string {
  if (NO_ENGINE.test(said)) {
    return 'the engine does not answer. Start it, or name it in DOCKER_HOST; where permission is denied, add this user to the group docker, and log in again.';
  }
  if (verb === 'push') return 'the image was built, and not pushed: see above. `docker login` signs in to a registry.';
  if (verb === 'pull' || NOT_PULLED.test(said)) {
    return (
      'the base cannot be pulled. Name one that this engine has or can pull (BASE=…), or make one without a registry, of the Node of this clone:\n' +
      '  make dispatcher-image BASE=$(dispatcher-image/base.sh)'
    );
  }
  return 'no image was made: see above. The base needs Node 24.9 or later, and the C++ library that Node links to.';
}
