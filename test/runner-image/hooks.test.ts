import { rejects } from 'node:assert/strict';
import { once } from 'node:events';
import { access, chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import { makeCertificate } from '../../simulators/azure-aci/certificate.ts';
import { type CallbackServer, startCallbacks } from './callback-server.ts';
import { Container, type Ended } from './container.ts';

const JOB = {
  GITHUB_REPOSITORY: 'acme/web',
  GITHUB_RUN_ID: '17',
  GITHUB_RUN_ATTEMPT: '2',
  GITHUB_EVENT_NAME: 'push',
  GITHUB_ACTOR: 'dependabot[bot]',
  GITHUB_JOB: 'build',
  GITHUB_REF: 'refs/heads/a&b=c',
};

describe('the runner image’s hooks', function () {
  this.timeout(20_000);
  let callbacks: CallbackServer;
  let container: Container;

  beforeEach(async () => {
    callbacks = await startCallbacks();
    container = await Container.create('exit 100');
    await mkdir(join(container.root, 'state'));
    await writeFile(join(container.root, 'state/callback-header'), 'Authorization: Bearer t\n');
  });
  afterEach(async () => {
    await container.close();
    await callbacks.close();
  });

  const run = (script: string, environment: Readonly<Record<string, string>> = {}): Promise<Ended> =>
    container.start(
      { ...JOB, SHR_STATE: join(container.root, 'state'), SHR_CALLBACK_URL: callbacks.url, ...environment },
      script,
    ).ended;
  const started = (environment: Readonly<Record<string, string>> = {}) => run('job-started.sh', environment);

  describe('job started', () => {
    it('tells the dispatcher which job it is, and lets it run where the dispatcher agrees', async () => {
      callbacks.answer = () => ({ status: 200, text: 'acme/web may run here\n' });
      const ended = await started();
      expect(ended).to.deep.equal({ code: 0, output: 'acme/web may run here\n' });
      expect(callbacks.calls).to.deep.equal([
        {
          event: 'job-started',
          authorization: 'Bearer t',
          fields: {
            repository: 'acme/web',
            run: '17',
            attempt: '2',
            event: 'push',
            actor: 'dependabot[bot]',
            fork: 'false',
            job: 'build',
            ref: 'refs/heads/a&b=c',
          },
        },
      ]);
    });

    it('fails the job where the dispatcher says no, with its words', async () => {
      callbacks.answer = () => ({ status: 403, text: 'forks may not run here' });
      expect(await started()).to.deep.equal({ code: 1, output: 'forks may not run here' });
    });

    it('asks again where the answer is none, until there is one', async () => {
      const answers = [undefined, { status: 503 }, { status: 200, text: 'yes' }];
      callbacks.answer = () => answers.shift();
      const ended = await started();
      expect(ended.code).to.equal(0);
      expect(ended.output).to.match(/yes$/);
      expect(callbacks.calls).to.have.length(3);
    });

    it('says what it waits for, and why the calls fail, each reason once', async () => {
      const answers = [undefined, undefined, { status: 503 }, { status: 200, text: 'yes' }];
      callbacks.answer = () => answers.shift();
      const { output } = await started();
      const lines = output.split('\n');
      expect(lines[0]).to.include(`shr: no answer yet from ${callbacks.url} (Empty reply from server)`);
      expect(lines[0]).to.include('asks again for up to 15 s');
      expect(lines[1]).to.include('(503)').and.include('asks again for up to 300 s');
      expect(lines.slice(2)).to.deep.equal(['yes']);
    });

    it('says where the certificate is not trusted, and what the image needs', async () => {
      const { certificate, privateKey } = makeCertificate();
      const server = createServer({ cert: certificate, key: privateKey }).listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const ended = await started({ SHR_CALLBACK_URL: `https://127.0.0.1:${port}/r`, SHR_HOOK_SECONDS: '1' });
      server.close();
      expect(ended.output)
        .to.match(/certificate/i)
        .and.include('SHR_CA_CERTIFICATES');
      expect(ended.output).to.include('the job runs without its answer');
    });

    it('lets the job run without an answer, unless it was told not to', async () => {
      callbacks.answer = () => ({ status: 503 });
      const quick = { SHR_HOOK_SECONDS: '1' };
      expect(await started(quick)).to.include({ code: 0 });
      const denied = await started({ ...quick, SHR_HOOK_SILENCE: 'deny' });
      expect(denied.output).to.include('gave no answer for 1 s (last: 503)').and.include('may not run');
      expect(denied.code).to.equal(1);
    });

    it('waits for a dispatcher that has answered this container before, and hardly for one that never has', async () => {
      await callbacks.close();
      const environment = { SHR_HOOK_SECONDS: '3' };
      expect((await started(environment)).output).to.include('gave no answer for 0 s');
      expect((await started({ ...environment, SHR_HOOK_SILENCE: 'deny' })).output).to.include('gave no answer for 3 s');
      await writeFile(join(container.root, 'state/reached'), '');
      expect((await started(environment)).output).to.include('gave no answer for 3 s');
      callbacks = await startCallbacks();
      callbacks.answer = () => ({ status: 200 });
      await rm(join(container.root, 'state/reached'));
      await started(environment);
      await access(join(container.root, 'state/reached'));
    });

    for (const status of [200, 404, 502]) {
      it(`does not take a ${status} of a proxy or another website for the dispatcher`, async () => {
        callbacks.isDispatcher = false;
        callbacks.answer = () => ({ status, text: 'shr-dispatcher: 1' });
        expect(await started({ SHR_HOOK_SECONDS: '3' })).to.include({ code: 0 });
        await rejects(access(join(container.root, 'state/reached')));
        callbacks.isDispatcher = true;
        callbacks.answer = () => ({ status });
        await started({ SHR_HOOK_SECONDS: '1' });
        await access(join(container.root, 'state/reached'));
      });
    }

    it('takes no yes and no no of something else that answers, and fails where policy asks for an answer', async () => {
      callbacks.isDispatcher = false;
      for (const status of [200, 403]) {
        callbacks.answer = () => ({ status, text: '<html>' });
        const denied = await started({ SHR_HOOK_SECONDS: '1', SHR_HOOK_SILENCE: 'deny' });
        expect(denied.code).to.equal(1);
        expect(denied.output).to.include(`(last: ${status}, not of a dispatcher)`).and.include('may not run');
        expect((await started({ SHR_HOOK_SECONDS: '1' })).code).to.equal(0);
      }
    });

    it('hardly waits where something else answers', async () => {
      callbacks.isDispatcher = false;
      callbacks.answer = () => ({ status: 404, text: '<html>' });
      const { code, output } = await started({ SHR_HOOK_SECONDS: '20' });
      expect(output).to.include('gave no answer for 1 s (last: 404, not of a dispatcher)');
      expect(code).to.equal(0);
    });

    it('asks nobody where no dispatcher is named', async () => {
      expect(await started({ SHR_CALLBACK_URL: '' })).to.include({ code: 0 });
      expect(await started({ SHR_CALLBACK_URL: '', SHR_HOOK_SILENCE: 'deny' })).to.include({ code: 1 });
    });

    it('passes when the words are empty, whichever shell runs it', async () => {
      callbacks.answer = () => ({ status: 200 });
      await writeFile(container.script('as-runner'), `#!/bin/sh\nexec sh -e ${container.script('job-started.sh')}\n`);
      await chmod(container.script('as-runner'), 0o755);
      expect(await run('as-runner')).to.deep.equal({ code: 0, output: '' });
    });

    const web = { full_name: 'acme/web' };
    for (const [what, event, fork] of [
      ['a pull request of the repository itself', { pull_request: { head: { repo: web } } }, 'false'],
      ['a pull request from a fork', { pull_request: { head: { repo: { full_name: 'eve/web' } } } }, 'true'],
      ['a pull request from a fork that was deleted', { pull_request: { head: { repo: null } } }, 'true'],
      ['a run after the workflow of a fork', { workflow_run: { head_repository: { full_name: 'eve/web' } } }, 'true'],
      ['an event that does not say', {}, ''],
    ] as const) {
      it(`recognizes ${what}`, async () => {
        callbacks.answer = () => ({ status: 200 });
        const file = join(container.root, 'event.json');
        await writeFile(file, JSON.stringify({ repository: web, ...event }));
        const name = 'workflow_run' in event ? 'workflow_run' : 'pull_request_target';
        await started({ GITHUB_EVENT_NAME: name, GITHUB_EVENT_PATH: file });
        expect(callbacks.calls[0]?.fields).to.include({ fork });
      });
    }

    it('runs the image’s own hook after it', async () => {
      callbacks.answer = () => ({ status: 200, text: 'yes\n' });
      const own = join(container.root, 'own.sh');
      await writeFile(own, '#!/bin/sh\necho own\nexit 3\n');
      await chmod(own, 0o755);
      expect(await started({ SHR_NEXT_JOB_STARTED: own })).to.deep.equal({ code: 3, output: 'yes\nown\n' });
    });
  });

  describe('job completed', () => {
    /** A machine's files as the kernel writes them. */
    async function groups(files: Readonly<Record<string, string>>): Promise<string> {
      const root = join(container.root, 'cgroup');
      for (const [path, text] of Object.entries(files)) {
        await mkdir(join(root, path, '..'), { recursive: true });
        await writeFile(join(root, path), text);
      }
      return root;
    }
    const v2 = {
      'cgroup.controllers': 'cpu memory\n',
      'memory.peak': '123456789\n',
      'memory.max': '2147483648\n',
      'cpu.stat': 'usage_usec 12345678\nuser_usec 1\n',
      'memory.events': 'low 0\noom 2\noom_kill 1\n',
    };

    it('sends what the container used, as cgroup v2 counts, and prints the dispatcher’s words', async () => {
      callbacks.answer = () => ({ status: 200, text: 'cores 12 % used\n' });
      await mkdir(join(container.home, '_work'));
      await writeFile(join(container.home, '_work/file'), 'x'.repeat(100_000));
      const ended = await run('job-completed.sh', { SHR_CGROUPS: await groups(v2) });
      expect(ended).to.deep.equal({ code: 0, output: 'cores 12 % used\n' });
      const { diskBytes, ...fields } = callbacks.calls[0]?.fields ?? {};
      expect(fields).to.deep.equal({
        result: '',
        memoryPeakBytes: '123456789',
        cpuSeconds: '12',
        memoryLimitBytes: '2147483648',
        oomKills: '1',
      });
      expect(Number(diskBytes)).to.be.within(100_000, 200_000);
    });

    it('reads cgroup v1', async () => {
      const root = await groups({
        'memory/memory.max_usage_in_bytes': '500\n',
        'memory/memory.limit_in_bytes': '9223372036854771712\n',
        'memory/memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 3\n',
        'cpuacct/cpuacct.usage': '7900000000\n',
      });
      await run('job-completed.sh', { SHR_CGROUPS: root });
      expect(callbacks.calls[0]?.fields).to.include({
        memoryPeakBytes: '500',
        cpuSeconds: '7',
        memoryLimitBytes: '',
        oomKills: '3',
      });
    });

    it('leaves empty what the machine does not say', async () => {
      await run('job-completed.sh', { SHR_CGROUPS: '/nowhere' });
      expect(callbacks.calls[0]?.fields).to.deep.equal({
        result: '',
        memoryPeakBytes: '',
        cpuSeconds: '',
        diskBytes: '',
        memoryLimitBytes: '',
        oomKills: '',
      });
    });

    it('fails no job, and prints the numbers itself where the dispatcher says nothing', async () => {
      callbacks.answer = () => undefined;
      const ended = await run('job-completed.sh', { SHR_CGROUPS: await groups(v2) });
      expect(ended.code).to.equal(0);
      expect(ended.output).to.include('  memoryPeakBytes=123456789\n').and.include('  oomKills=1\n');
    });

    it('prints no words of something else that answers, but the numbers', async () => {
      callbacks.isDispatcher = false;
      callbacks.answer = () => ({ status: 200, text: '<html>welcome' });
      const ended = await run('job-completed.sh', { SHR_CGROUPS: await groups(v2) });
      expect(ended.code).to.equal(0);
      expect(ended.output).to.include('  memoryPeakBytes=123456789\n').and.not.include('<html>');
    });
  });
});
