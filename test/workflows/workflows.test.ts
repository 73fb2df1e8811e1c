/** Our own workflows: what each must keep to, and the steps of the one that rebuilds the runner image, run with stand-ins. */
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { parse } from 'yaml';
import { z } from 'zod';

const FOLDER = join(import.meta.dirname, '..', '..', '.github', 'workflows');

/** It fetches what another workflow's run left. */
const REPORT_READER = 'comment-registrations.yml';

const permissions = z.record(z.string(), z.enum(['read', 'write', 'none']));
const step = z.object({
  id: z.string().optional(),
  name: z.string().optional(),
  uses: z.string().optional(),
  run: z.string().optional(),
  with: z.record(z.string(), z.unknown()).optional(),
});
const workflow = z.object({
  on: z.record(z.string(), z.unknown()),
  permissions,
  jobs: z.record(
    z.string(),
    z.object({
      permissions: permissions.optional(),
      'timeout-minutes': z.number().optional(),
      uses: z.string().optional(),
      steps: z.array(step).default([]),
    }),
  ),
});

const names = (await readdir(FOLDER)).filter((name) => name.endsWith('.yml'));
const read = async (name: string) => workflow.parse(parse(await readFile(join(FOLDER, name), 'utf8')));

for (const name of names) {
  describe(`the workflow ${name}`, () => {
    it('starts from no more than reading, and gives a job no more than it needs', async () => {
      const { permissions: all, jobs } = await read(name);
      expect(Object.entries(all).filter(([, level]) => level === 'write')).to.deep.equal([]);
      for (const job of Object.values(jobs)) {
        expect(Object.keys(job.permissions ?? {})).to.not.include('administration');
        expect(job.permissions?.['actions'] ?? 'none').to.equal(name === REPORT_READER ? 'read' : 'none');
      }
    });

    it('runs no code of strangers with rights', async () => {
      expect(Object.keys((await read(name)).on)).to.not.include('pull_request_target');
    });

    it('pins each action to a commit, and says which version that is', async () => {
      const text = await readFile(join(FOLDER, name), 'utf8');
      for (const [, used = ''] of text.matchAll(/\buses: (.*)/g)) {
        expect(used).to.match(/^\.\/|^[\w.-]+\/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
      }
    });

    it('leaves no credentials in the checkout', async () => {
      for (const { steps } of Object.values((await read(name)).jobs)) {
        for (const { uses, with: given } of steps) {
          if (uses?.startsWith('actions/checkout@')) expect(given?.['persist-credentials']).to.equal(false);
        }
      }
    });

    it('ends each job in time', async () => {
      for (const job of Object.values((await read(name)).jobs)) {
        if (job.uses === undefined) expect(job['timeout-minutes']).to.be.within(1, 60);
      }
    });

    it('puts no value into a script but by the environment, and each script is one', async () => {
      for (const { steps } of Object.values((await read(name)).jobs)) {
        for (const { run } of steps) {
          if (run === undefined) continue;
          expect(run).not.to.include('${{');
          await promisify(execFile)('bash', ['-n', '-c', run]);
        }
      }
    });
  });
}

describe('the workflow that rebuilds the runner image', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-workflow-'));
    for (const name of ['bin', 'runner-image', 'node_modules/.bin'])
      await mkdir(join(folder, name), { recursive: true });
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function program(path: string, script: string): Promise<void> {
    await writeFile(join(folder, path), `#!/bin/sh\n${script}\n`);
    await chmod(join(folder, path), 0o755);
  }

  /** As a step runs on GitHub: https://docs.github.com/actions/reference/workflow-syntax-for-github-actions#jobsjob_idstepsshell */
  async function run(job: string, find: string, environment: Readonly<Record<string, string>> = {}) {
    const { jobs } = await read('runner-image.yml');
    const found = jobs[job]?.steps.find(({ id, name }) => id === find || name === find);
    await program('bin/docker', `echo "$*" >>${folder}/calls\n${environment['DOCKER'] ?? ''}`);
    await program('bin/make', `echo "make $* TAG=$TAG PUSH=$PUSH BASE=$BASE TARGET=$TARGET" >>${folder}/calls`);
    const env = {
      PATH: `${join(folder, 'bin')}:${process.env['PATH'] ?? ''}`,
      GITHUB_OUTPUT: join(folder, 'output'),
      GITHUB_STEP_SUMMARY: join(folder, 'summary'),
      IMAGE: 'ghcr.io/acme/runner',
      TARGET: 'slim',
      BASE: '',
      VERSION: '2.339.0',
      ...environment,
    };
    const script = found?.run ?? 'exit 99';
    const ended = await promisify(execFile)('bash', ['--noprofile', '--norc', '-eo', 'pipefail', '-c', script], {
      cwd: folder,
      env,
    }).then(
      () => 0,
      (error: { code: number }) => error.code,
    );
    const text = (name: string) => readFile(join(folder, name), 'utf8').catch(() => '');
    return { code: ended, output: await text('output'), calls: await text('calls') };
  }

  const pin = ['x64', 'arm64']
    .map((platform) => `${'a'.repeat(64)}  actions-runner-linux-${platform}-2.339.0.tar.gz\n`)
    .join('');
  const pinned = () =>
    program('node_modules/.bin/node', `echo "$*" >>${folder}/calls\nprintf '%s' '${pin}' >runner-image/runner.sha256`);

  it('builds where the image of the newest release is missing', async () => {
    await pinned();
    const DOCKER = 'echo "no such manifest: ghcr.io/acme/runner:2.339.0-slim" >&2; exit 1';
    const { code, output, calls } = await run('release', 'release', { DOCKER });
    expect(code).to.equal(0);
    expect(output).to.equal(`version=2.339.0\npin=${Buffer.from(pin).toString('base64')}\nmissing=true\n`);
    expect(calls).to.include('shr.mjs runner-dist pin --public\nmanifest inspect ghcr.io/acme/runner:2.339.0-slim\n');
  });

  it('builds nothing where it is there', async () => {
    await pinned();
    expect((await run('release', 'release', { DOCKER: 'echo "{}"' })).output).to.include('missing=false');
  });

  it('fails where the registry does not say, or the release cannot be pinned', async () => {
    await pinned();
    const { code, output } = await run('release', 'release', { DOCKER: 'echo "unauthorized" >&2; exit 1' });
    expect(code).to.equal(1);
    expect(output).to.not.include('missing');
    await program('node_modules/.bin/node', 'exit 1');
    expect((await run('release', 'release')).code).to.equal(1);
  });

  it('builds what was pinned, on each architecture under a name of its own, and joins them', async () => {
    const { code, calls } = await run('build', "Build for this machine's architecture, and push", {
      PIN: Buffer.from(pin).toString('base64'),
      BASE: 'ubuntu:24.04',
    });
    expect(code).to.equal(0);
    expect(await readFile(join(folder, 'runner-image/runner.sha256'), 'utf8')).to.equal(pin);
    expect(calls).to.match(
      /^make image TAG=ghcr\.io\/acme\/runner:2\.339\.0-slim-(x86_64|aarch64) PUSH=1 BASE=ubuntu:24\.04 TARGET=slim\n$/,
    );
    await rm(join(folder, 'calls'));
    const without = (words: string) => ({
      DOCKER: `case "$*" in *-aarch64) [ "$1" != manifest ] || { echo "${words}" >&2; exit 1; } ;; esac`,
    });
    const unanswered = await run('index', 'One name for all architectures', without('503 Service Unavailable'));
    expect(unanswered.code).to.equal(1);
    expect(unanswered.calls).to.not.include('imagetools');
    const joined = await run('index', 'One name for all architectures', without('no such manifest: x'));
    expect(joined.calls.split('\n').at(-2)).to.equal(
      'buildx imagetools create --tag ghcr.io/acme/runner:2.339.0-slim ghcr.io/acme/runner:2.339.0-slim-x86_64',
    );
  });

  it('logs in with a password that is in no argument', async () => {
    const { calls } = await run('release', 'Log in to the registry', { USERNAME: 'acme', PASSWORD: 'p4ssw0rd' });
    expect(calls).to.equal('login --username acme --password-stdin ghcr.io\n');
  });

  it('gives the right to push to the jobs that push alone', async () => {
    const { jobs } = await read('runner-image.yml');
    const writing = Object.entries(jobs).filter(([, job]) => job.permissions?.['packages'] === 'write');
    expect(writing.map(([name]) => name)).to.deep.equal(['build', 'index']);
  });

  it('is called with what docs/runner-image.md says', async () => {
    const page = await readFile(join(FOLDER, '..', '..', 'docs', 'runner-image.md'), 'utf8');
    const example = [...page.matchAll(/^```yaml\n([\s\S]*?)^```/gm)]
      .map(([, block = '']) => block)
      .find((block) => block.includes('runner-image.yml'));
    const caller = z
      .object({ jobs: z.record(z.string(), z.object({ permissions, with: z.record(z.string(), z.unknown()) })) })
      .parse(parse(example ?? ''));
    const { on } = await read('runner-image.yml');
    const { inputs } = z
      .object({ inputs: z.record(z.string(), z.object({ required: z.boolean().default(false) })) })
      .parse(on['workflow_call']);
    for (const job of Object.values(caller.jobs)) {
      expect(Object.keys(inputs)).to.include.members(Object.keys(job.with));
      for (const [name, { required }] of Object.entries(inputs)) if (required) expect(job.with).to.have.property(name);
      expect(job.permissions).to.deep.equal({ contents: 'read', packages: 'write' });
    }
  });
});
