import { execFile } from 'node:child_process';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { type CallbackServer, startCallbacks } from './callback-server.ts';
import { Container, JIT, ONLINE, WORKER } from './container.ts';

const TOKEN = 'canary-token-of-the-call-back';

async function waitFor(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 20));
}

describe('the runner image’s entrypoint', function () {
  this.timeout(40_000);
  let callbacks: CallbackServer;
  const open: Container[] = [];

  beforeEach(async () => {
    callbacks = await startCallbacks();
  });
  afterEach(async () => {
    for (const container of open.splice(0)) await container.close();
    await callbacks.close();
  });

  async function container(listener: string): Promise<Container> {
    const made = await Container.create(listener);
    open.push(made);
    return made;
  }
  const run = async (listener: string, environment: Readonly<Record<string, string>> = {}) =>
    (await container(listener)).start({ ACTIONS_RUNNER_INPUT_JITCONFIG: JIT, ...environment }).ended;

  for (const [code, ends, words] of [
    [100, 0, 'listener exited with 100: the job succeeded'],
    [102, 0, 'listener exited with 102: the job failed'],
    [103, 0, 'listener exited with 103: the job was cancelled'],
    [105, 0, 'listener exited with 105: the job was abandoned'],
    [0, 0, 'listener exited with 0: it ended without a job'],
    [1, 1, 'listener exited with 1: it could not run'],
    [5, 5, 'listener exited with 5: another runner uses the same registration'],
    [7, 7, 'listener exited with 7: GitHub accepts this version of the runner no longer'],
    [42, 42, 'listener exited with 42: the runner does not document this code'],
  ] as const) {
    it(`ends with ${ends} where the listener ended with ${code}, and says so last`, async () => {
      const ended = await run(`exit ${code}`);
      expect(ended.code).to.equal(ends);
      expect(ended.output.trimEnd().split('\n').at(-1)).to.include(`shr: ${words}`);
    });
  }

  it('says that there is no listener', async () => {
    const made = await container('exit 0');
    await rm(join(made.home, 'bin/Runner.Listener'));
    const ended = await made.start({ ACTIONS_RUNNER_INPUT_JITCONFIG: JIT }).ended;
    expect(ended.output).to.include('this image has no listener that can be started');
    expect(ended.code).to.equal(127);
  });

  it('asks the listener for the job’s result and for its own code of an outdated version', async () => {
    const asked = [
      'ACTIONS_RUNNER_RETURN_JOB_RESULT_FOR_HOSTED=true',
      'ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE=1',
    ];
    const { output } = await run('env; echo "args $*"; exit 100');
    for (const line of asked) expect(output).to.include(line);
    expect(output).to.match(/ACTIONS_RUNNER_HOOK_JOB_STARTED=\S+\/job-started\.sh/);
    expect(output).to.match(/ACTIONS_RUNNER_HOOK_JOB_COMPLETED=\S+\/job-completed\.sh/);
    expect(output).to.include('args run');
  });

  it('hands the JIT configuration over as files, and no secret in any environment or argument list', async () => {
    const made = await container(
      'cat "$home/.credentials"; echo; ls -l "$home/.credentials_rsaparams"; echo ready; sleep 3; exit 100',
    );
    const started = made.start({
      ACTIONS_RUNNER_INPUT_JITCONFIG: JIT,
      SHR_CALLBACK_TOKEN: TOKEN,
      SHR_CALLBACK_URL: callbacks.url,
    });
    await started.said('ready');
    const environments: string[] = [];
    for (const name of await readdir('/proc')) {
      if (!/^\d+$/.test(name)) continue;
      // Of this container; the shell that started it is this test, whose own environment has none.
      const text = await readFile(`/proc/${name}/environ`, 'utf8').catch(() => '');
      if (text.includes(made.root)) environments.push(text);
    }
    const listing = (await promisify(execFile)('ps', ['-eo', 'args', '-ww'])).stdout;
    const { output } = await started.ended;
    expect(environments.length).to.be.at.least(3);
    for (const text of [...environments, listing]) expect(text).to.not.include(JIT).and.not.include(TOKEN);
    expect(output).to.include('{"of":".credentials","with":"+/="}');
    expect(output).to.match(/^-rw------- .*\.credentials_rsaparams$/m);
    expect(output).to.not.include(TOKEN).and.not.include(JIT);
    expect(callbacks.calls[0]?.authorization).to.equal(`Bearer ${TOKEN}`);
  });

  it('reads what a writer of JSON has escaped', async () => {
    const escaped = Buffer.from(
      Buffer.from(JIT, 'base64').toString().replaceAll('=', '\\u003d').replaceAll('/', '\\/'),
    ).toString('base64');
    const { output } = await run('cat "$home/.runner"; exit 100', { ACTIONS_RUNNER_INPUT_JITCONFIG: escaped });
    expect(output).to.include('{"of":".runner","with":"+/="}');
  });

  it('gives a JIT configuration of an unknown form to the listener as it came', async () => {
    const { output } = await run('echo "got $ACTIONS_RUNNER_INPUT_JITCONFIG"; exit 1', {
      ACTIONS_RUNNER_INPUT_JITCONFIG: 'bm90IEpTT04=',
    });
    expect(output).to.include('got bm90IEpTT04=').and.include('unknown form');
  });

  it('writes no file outside the runner’s folder, whatever the JIT configuration names', async () => {
    const files = { '.runner': 'YQ==', '.credentials': 'YQ==', '.credentials_rsaparams': 'YQ==', '../escaped': 'YQ==' };
    const made = await container('exit 1');
    await made.start({ ACTIONS_RUNNER_INPUT_JITCONFIG: Buffer.from(JSON.stringify(files)).toString('base64') }).ended;
    expect(await readdir(made.root)).to.not.include('escaped');
  });

  it('takes the JIT configuration from a file', async () => {
    const made = await container('cat "$home/.runner"; exit 100');
    const file = join(made.root, 'jit');
    await writeFile(file, `${JIT}\n`);
    const { output } = await made.start({ SHR_JITCONFIG_FILE: file }).ended;
    expect(output).to.include('{"of":".runner"');
  });

  for (const [what, environment, words] of [
    ['without any', {}, 'there is no JIT configuration: set ACTIONS_RUNNER_INPUT_JITCONFIG'],
    ['from a file that is not there', { SHR_JITCONFIG_FILE: '/nowhere/jit' }, 'cannot be read: /nowhere/jit'],
  ] as const) {
    it(`ends with 78 ${what}`, async () => {
      const ended = await (await container('exit 0')).start(environment).ended;
      expect(ended.code).to.equal(78);
      expect(ended.output).to.include(words);
    });
  }

  it('waits for a JIT configuration that comes over the call-back, once', async () => {
    let asked = 0;
    callbacks.answer = (event) => {
      if (event !== 'jit') return { status: 204 };
      asked += 1;
      return asked < 2 ? { status: 204 } : { status: 200, text: JIT };
    };
    const made = await container('cat "$home/.runner"; exit 100');
    const ended = await made.start({ SHR_CALLBACK_URL: callbacks.url, SHR_CALLBACK_TOKEN: TOKEN }).ended;
    expect(ended.output).to.include('{"of":".runner"');
    expect(ended.code).to.equal(0);
    expect(asked).to.equal(2);
  });

  it('loads the runner while it waits for its job, and never after', async () => {
    let ready = false;
    callbacks.answer = (event) => {
      if (event !== 'jit') return { status: 204 };
      return ready ? { status: 200, text: JIT } : { status: 204 };
    };
    const made = await container('echo "$1" >>"$home/calls"; [ "$1" = run ] || exec sleep 61.25; exit 100');
    const started = made.start({ SHR_CALLBACK_URL: callbacks.url });
    const calls = () => readFile(join(made.home, 'calls'), 'utf8').catch(() => '');
    while ((await calls()) === '') await new Promise((resolve) => setTimeout(resolve, 20));
    expect(await calls()).to.equal('warmup\n');
    ready = true;
    const ended = await started.ended;
    expect(await calls()).to.equal('warmup\nrun\n');
    expect(ended.output).to.include('the job succeeded');
    const left = await promisify(execFile)('ps', ['-eo', 'args', '-ww']);
    expect(left.stdout).not.to.include(`${made.root}/shr/warm-up`).and.not.include('sleep 61.25');
  });

  it('says how long loading took, and goes on where the listener cannot do it', async () => {
    callbacks.answer = (event) => (event === 'jit' ? 'hang' : { status: 204 });
    const started = (await container('[ "$1" = run ] || exit 1; exit 100')).start({ SHR_CALLBACK_URL: callbacks.url });
    await started.said('the runner was loaded ahead of its job');
    started.child.kill('SIGTERM');
    expect((await started.ended).code).to.equal(143);
  });

  it('loads nothing ahead where the JIT configuration came with the container', async () => {
    const { output } = await run('echo "called $1"; exit 100');
    expect(output.match(/called \w+/g)).to.deep.equal(['called run']);
    expect(output).not.to.include('loaded ahead');
  });

  it('ends without a listener where the dispatcher will never have one', async () => {
    callbacks.answer = (event) => ({ status: event === 'jit' ? 410 : 204 });
    const made = await container('echo began; exit 100');
    const ended = await made.start({ SHR_CALLBACK_URL: callbacks.url }).ended;
    expect(ended.output).to.include('the dispatcher has no job for this container').and.not.include('began');
    expect(ended.code).to.equal(79);
  });

  it('waits no longer than a runner may idle for a dispatcher that does not know it, or is gone', async () => {
    callbacks.answer = () => ({ status: 404 });
    const made = await container('echo began; exit 100');
    const ended = await made.start({ SHR_CALLBACK_URL: callbacks.url, SHR_IDLE_SECONDS: '2' }).ended;
    expect(ended.output).to.include('no dispatcher has answered for 2 s (last: 404)').and.not.include('began');
    expect(ended.code).to.equal(76);
  });

  for (const status of [200, 204, 410]) {
    it(`takes a ${status} of another website for no answer about its JIT configuration, and names the address`, async () => {
      callbacks.isDispatcher = false;
      callbacks.answer = () => ({ status, text: '<html>' });
      const made = await container('echo began; exit 100');
      const ended = await made.start({ SHR_CALLBACK_URL: callbacks.url, SHR_IDLE_SECONDS: '2' }).ended;
      const reason = `${status}, not of a dispatcher`;
      expect(ended.output)
        .to.include(`no answer yet from ${callbacks.url} (${reason})`)
        .and.include(`no dispatcher has answered for 2 s (last: ${reason})`)
        .and.include(`${callbacks.url} leads to something else than a dispatcher`)
        .and.include('correct listen.public.url in dispatcher.yaml')
        .and.not.include('began');
      expect(ended.code).to.equal(76);
    });
  }

  it('takes its JIT configuration of the dispatcher once that is there again, whatever a proxy answered before', async () => {
    let asked = 0;
    callbacks.answer = (event) => {
      if (event !== 'jit') return { status: 204 };
      asked += 1;
      callbacks.isDispatcher = asked > 1;
      return { status: 200, text: asked > 1 ? JIT : '<html>' };
    };
    const made = await container('cat "$home/.runner"; exit 100');
    const ended = await made.start({ SHR_CALLBACK_URL: callbacks.url }).ended;
    expect(ended.output).to.include('{"of":".runner"');
    expect(ended.code).to.equal(0);
  });

  it('says why the dispatcher is not reached: at the start, and where it waits for a JIT configuration', async () => {
    const made = await container('exit 100');
    const nowhere = 'http://127.0.0.1:1/runners/shr-1';
    const ended = await made.start({ SHR_CALLBACK_URL: nowhere, SHR_IDLE_SECONDS: '2' }).ended;
    expect(ended.output).to.match(/shr: the dispatcher at http:\/\/127\.0\.0\.1:1\S+ was not told .*onnect/);
    expect(ended.output).to.match(
      /shr: no answer yet from http:\/\/127\.0\.0\.1:1\S+ \(.*onnect.*asks again for up to 2 s/,
    );
    expect(ended.output).to.match(/no dispatcher has answered for 2 s \(last: .*onnect/);
  });

  it('can be stopped while it waits for a JIT configuration', async () => {
    callbacks.answer = (event) => (event === 'jit' ? 'hang' : { status: 204 });
    const made = await container('echo began; exit 100');
    const started = made.start({ SHR_CALLBACK_URL: callbacks.url });
    await started.said('waiting for a JIT configuration');
    await waitFor(() => callbacks.calls.some(({ event }) => event === 'jit'));
    const stoppedAt = Date.now();
    started.child.kill('SIGTERM');
    const ended = await started.ended;
    expect(Date.now() - stoppedAt).to.be.below(10_000);
    expect(ended.output).to.include('it was stopped before it began').and.not.include('began;');
    expect(ended.code).to.equal(143);
  });

  it('tells the dispatcher that it booted, that it listens and how it ends', async () => {
    const made = await container(`${ONLINE}; sleep 2.5; exit 102`);
    await made.start({ ACTIONS_RUNNER_INPUT_JITCONFIG: JIT, SHR_CALLBACK_URL: callbacks.url }).ended;
    expect(callbacks.calls.map(({ event }) => event)).to.deep.equal(['booted', 'listening', 'exiting']);
    expect(callbacks.calls[0]?.fields).to.include({ image: '1' });
    expect(callbacks.calls[2]?.fields).to.deep.equal({ code: '102' });
  });

  it('stops telling a dispatcher that does not know it', async () => {
    callbacks.answer = () => ({ status: 404 });
    const made = await container('sleep 1; exit 100');
    await made.start({ ACTIONS_RUNNER_INPUT_JITCONFIG: JIT, SHR_CALLBACK_URL: callbacks.url }).ended;
    expect(callbacks.calls.map(({ event }) => event)).to.deep.equal(['booted']);
  });

  for (const status of [401, 404]) {
    it(`goes on telling where a ${status} was not of a dispatcher`, async () => {
      callbacks.answer = (event) => {
        callbacks.isDispatcher = event !== 'booted';
        return { status: callbacks.isDispatcher ? 204 : status };
      };
      const made = await container('sleep 1; exit 100');
      const { output } = await made.start({ ACTIONS_RUNNER_INPUT_JITCONFIG: JIT, SHR_CALLBACK_URL: callbacks.url })
        .ended;
      expect(callbacks.calls.map(({ event }) => event)).to.deep.equal(['booted', 'booted', 'exiting']);
      expect(output).to.include(`was not told that the container has started (${status}, not of a dispatcher)`);
    });
  }

  it('has told nobody where something else says yes', async () => {
    callbacks.isDispatcher = false;
    callbacks.answer = () => ({ status: 200, text: '<html>' });
    const made = await container('sleep 1; exit 100');
    const { code, output } = await made.start({
      ACTIONS_RUNNER_INPUT_JITCONFIG: JIT,
      SHR_CALLBACK_URL: callbacks.url,
    }).ended;
    expect(output).to.include('was not told that the container has started (200, not of a dispatcher)');
    expect(callbacks.calls.map(({ event }) => event)).to.deep.equal(['booted', 'booted', 'exiting', 'exiting']);
    expect(code).to.equal(0);
  });

  it('runs a job just the same where no dispatcher answers', async () => {
    await callbacks.close();
    const ended = await run('exit 100', { SHR_CALLBACK_URL: callbacks.url });
    expect(ended.code).to.equal(0);
    callbacks = await startCallbacks();
  });

  it('sends the listener an INT for a TERM, and waits for it as long as it takes', async () => {
    const made = await container(
      'trap "echo interrupted; sleep 1; exit 103" INT; echo ready; while :; do sleep 0.1; done',
    );
    const started = made.start({ ACTIONS_RUNNER_INPUT_JITCONFIG: JIT });
    await started.said('ready');
    started.child.kill('SIGTERM');
    const ended = await started.ended;
    expect(ended.output).to.include('interrupted').and.include('listener exited with 103: the job was cancelled');
    expect(ended.code).to.equal(0);
  });

  it('starts the listener again after an update, five times at most', async () => {
    const made = await container('echo began; : >"$home/update.finished"; exit 4');
    const ended = await made.start({ ACTIONS_RUNNER_INPUT_JITCONFIG: JIT }).ended;
    expect(ended.output.match(/^began$/gm)).to.have.length(6);
    expect(ended.code).to.equal(4);
  });

  it('starts the listener again after a temporary error', async () => {
    const ended = await run('[ -e "$home/once" ] && exit 100; : >"$home/once"; exit 2');
    expect(ended.output).to.include('starts again in 5 s').and.include('the job succeeded');
    expect(ended.code).to.equal(0);
  });

  describe('limits, without any dispatcher', () => {
    const quick = { SHR_CANCEL_SECONDS: '2' };
    const loop = 'trap "exit 0" INT; while :; do sleep 0.1; done';

    it('ends with 75 where the runner does not come online', async () => {
      const ended = await run(loop, { ...quick, SHR_ONLINE_SECONDS: '2' });
      expect(ended.output).to.include('not online within 2 s');
      expect(ended.code).to.equal(75);
    });

    it('ends with 76 where no job comes, and says that the registration stays', async () => {
      const ended = await run(`${ONLINE}; ${loop}`, { ...quick, SHR_ONLINE_SECONDS: '2', SHR_IDLE_SECONDS: '3' });
      expect(ended.output).to.include('no job for 3 s; its registration stays at GitHub');
      expect(ended.code).to.equal(76);
    });

    it('ends with 77 at the end of its life, with the job cancelled in order', async () => {
      const ended = await run(`${ONLINE}; trap "echo cleaning; exit 103" INT; while :; do sleep 0.1; done`, {
        ...quick,
        SHR_LIFE_SECONDS: '3',
      });
      expect(ended.output).to.include('cleaning').and.include('reached its 3 s of life');
      expect(ended.output.trimEnd().split('\n').at(-1)).to.include('exited with 103: the job was cancelled');
      expect(ended.code).to.equal(77);
    });

    it('kills a listener that ignores every word', async () => {
      const ended = await run('trap "" INT TERM; while :; do sleep 0.1; done', { ...quick, SHR_LIFE_SECONDS: '4' });
      expect(ended.output).to.include('the listener goes on, and is killed');
      expect(ended.code).to.equal(77);
    });

    it('lets a worker work, however long the idle limit is over', async () => {
      const ended = await run(`${WORKER}; "$home/Runner.Worker" 8 & sleep 0.5; ${ONLINE}; wait; exit 100`, {
        ...quick,
        SHR_IDLE_SECONDS: '2',
      });
      expect(ended.output).to.include('the job succeeded');
      expect(ended.code).to.equal(0);
    });

    it('ends with 77 where the listener goes on after its job', async () => {
      const ended = await run(`${WORKER}; "$home/Runner.Worker" 2 & sleep 0.5; ${ONLINE}; ${loop}`, quick);
      expect(ended.output).to.include('went on for 2 s after its job');
      expect(ended.code).to.equal(77);
    });

    it('ends with 77 where the listener goes on after a cancel, though its worker still runs', async () => {
      const cancel = 'echo "Job cancellation request x received" >>"$home/_diag/Runner_1-utc.log"';
      const ended = await run(`${WORKER}; "$home/Runner.Worker" 30 & sleep 0.5; ${ONLINE}; ${cancel}; ${loop}`, quick);
      expect(ended.output).to.include('went on for 2 s after it was told to stop');
      expect(ended.code).to.equal(77);
    });

    it('says which limits hold, and takes the default for one that is not a number', async () => {
      const { output } = await run('sleep 1; exit 100', { SHR_IDLE_SECONDS: 'soon', SHR_LIFE_SECONDS: '3600' });
      expect(output).to.include('SHR_IDLE_SECONDS is not a whole number of seconds, so 4200 applies: soon');
      expect(output).to.include('limits in seconds: 3600 of life, 600 to come online, 4200 idle, 600 after a cancel');
    });
  });

  describe('surroundings', () => {
    it('gives proxies in both spellings', async () => {
      const { output } = await run('env; exit 100', { https_proxy: 'http://proxy:1', NO_PROXY: 'intern' });
      for (const line of [
        'HTTPS_PROXY=http://proxy:1',
        'https_proxy=http://proxy:1',
        'no_proxy=intern',
        'NO_PROXY=intern',
      ])
        expect(output).to.include(`\n${line}\n`);
      expect(output).to.not.match(/^http_proxy=/im);
    });

    const pem = '-----BEGIN CERTIFICATE-----\nMORE\n-----END CERTIFICATE-----';
    const show = 'cat "$SSL_CERT_FILE"; echo "node $NODE_EXTRA_CA_CERTS"; exit 100';

    it('trusts further authorities, from a text, a file or a folder', async () => {
      const made = await container(show);
      const file = join(made.root, 'more.crt');
      await writeFile(file, pem);
      for (const given of [pem, file, made.root]) {
        const { output } = await made.start({ ACTIONS_RUNNER_INPUT_JITCONFIG: JIT, SHR_CA_CERTIFICATES: given }).ended;
        expect(output, given)
          .to.include('\nMORE\n')
          .and.match(/node \S+ca-more\.pem/);
      }
    });

    it('ends with 78 where there is no certificate', async () => {
      const ended = await run(show, { SHR_CA_CERTIFICATES: '/nowhere' });
      expect(ended.output).to.include('SHR_CA_CERTIFICATES holds no certificate');
      expect(ended.code).to.equal(78);
    });

    it('ends with 78 where the work folder is none', async () => {
      const made = await container('exit 100');
      await writeFile(join(made.home, '_work'), 'a file');
      const ended = await made.start({ ACTIONS_RUNNER_INPUT_JITCONFIG: JIT }).ended;
      expect(ended.output).to.match(/_work cannot be written by \S+ \(uid \d+\)/);
      expect(ended.code).to.equal(78);
    });
  });
});
