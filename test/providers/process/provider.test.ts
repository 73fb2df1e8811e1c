import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  unlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import processModule from '../../../providers/process/index.ts';
import {
  type Instance,
  type LaunchRequest,
  type Provider,
  ProviderError,
  type ShapeWish,
} from '../../../providers/provider.ts';
import { isProcessAlive, testHost } from '../../conformance/harness.ts';

describe('provider process', () => {
  let root: string;
  let provider: Provider;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'shr-process-'));
    provider = create(['sh', '-c', 'sleep 600']);
  });

  afterEach(async () => {
    const left = await create(['true']).list({ dispatcher: 'd1' });
    await Promise.all(left.map((instance) => provider.stop(instance.ref)));
    await rm(root, { recursive: true });
  });

  function create(command: string[], more: Record<string, unknown> = {}): Provider {
    return processModule.create(processModule.options.parse({ command, root, stopGraceMs: 300, ...more }), testHost());
  }

  function request(name: string): LaunchRequest {
    return {
      name,
      shape: { cpu: 1, memoryGiB: 1, architecture: 'x64', image: 'unused:1', spot: false, dockerInDocker: false },
      tags: {
        dispatcher: 'd1',
        registration: 'acme',
        lane: 'l1',
        scope: 'orgs/acme',
        runner: name,
        createdAtMs: 1,
        deadlineAtMs: 2,
        charge: {},
      },
      environment: {},
      secretEnvironment: {},
    };
  }

  describe('each field of a wish', () => {
    const other = process.arch === 'arm64' ? 'x64' : 'arm64';
    /** Refused, or dropped for this reason: a process is started with nothing of its shape. */
    const rows: Readonly<Record<keyof ShapeWish, { readonly refused: Partial<ShapeWish> } | string>> = {
      cpu: 'nothing is reserved on this machine, as the note of `fit` says',
      memoryGiB: 'nothing is reserved on this machine, as the note of `fit` says',
      architecture: { refused: { architecture: other } },
      image: 'a process has none: the option `command` names the program',
      diskGiB: { refused: { diskGiB: 10 } },
      bucket: { refused: { bucket: 'cache' } },
      bucketPrefix: 'it goes with the bucket',
      subnet: { refused: { subnet: 'net-1' } },
      securityGroup: { refused: { securityGroup: 'sg-1' } },
      region: 'it has chosen the backend',
      spot: { refused: { spot: true } },
      dockerInDocker: { refused: { dockerInDocker: true } },
      timeLimitMs: 'the dispatcher enforces it',
    };
    for (const [field, row] of Object.entries(rows)) {
      if (typeof row === 'string') continue;
      it(`is refused, and not dropped: ${field}`, () => {
        const { shape } = request('d1-a');
        const here = { ...shape, architecture: other === 'x64' ? 'arm64' : 'x64' } as const;
        expect(provider.fit(here)).to.include({ fits: true });
        expect(provider.fit({ ...here, ...row.refused })).to.include({ fits: false });
      });
    }

    it('beyond these is promised by no capability', () => {
      expect(
        Object.entries(provider.capabilities).flatMap(([name, can]) => (can === true ? [name] : [])),
      ).to.deep.equal(['logs', 'secretEnvironment']);
    });
  });

  async function until<T>(read: () => Promise<T>, done: (value: T) => boolean): Promise<T> {
    const giveUpAt = Date.now() + 10_000;
    for (;;) {
      const value = await read();
      if (done(value)) return value;
      if (Date.now() > giveUpAt) throw new Error(`did not come to pass: ${JSON.stringify(value)}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  const ended = (name: string): Promise<Instance | undefined> =>
    until(
      () => provider.inspect({ name }),
      (seen) => seen?.state === 'succeeded' || seen?.state === 'failed',
    );

  const supervisorPid = async (name: string): Promise<number> =>
    Number((await readlink(join(root, name, 'supervisor'))).split('-')[0]);

  it('outlives the dispatcher that is killed with -9, and is found and ended by the next one', async () => {
    const dispatcher = spawn(
      process.execPath,
      [
        '--input-type=module',
        '--eval',
        `import processModule from ${JSON.stringify(new URL('../../../providers/process/index.ts', import.meta.url).href)};
         const after = (ms, action) => { const timer = setTimeout(action, ms); return () => clearTimeout(timer); };
         const host = { now: Date.now, after, random: Math.random, sleep: (ms) => new Promise((wake) => setTimeout(wake, ms)) };
         const options = processModule.options.parse(${JSON.stringify({ command: ['sh', '-c', 'echo alive; sleep 600'], root })});
         await processModule.create(options, host).launch(${JSON.stringify(request('d1-a'))});
         console.log('launched');
         setInterval(() => {}, 1000);`,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    await once(dispatcher.stdout, 'data');
    await killed(dispatcher);
    const [found] = await provider.list({ dispatcher: 'd1' });
    expect(found).to.deep.include({ state: 'running' });
    await until(
      () => provider.logs({ name: 'd1-a' }),
      (text) => text === 'alive\n',
    );
    const pid = await supervisorPid('d1-a');
    await provider.stop({ name: 'd1-a' });
    expect(isProcessAlive(pid)).to.equal(false);
  });

  it('does not take a process that got the same pid later for its own, and does not kill it', async () => {
    await provider.launch(request('d1-a'));
    const bystander = spawn('sleep', ['600'], { detached: true, stdio: 'ignore' });
    try {
      const link = join(root, 'd1-a', 'supervisor');
      const [pid, ticks, ...boot] = (await readlink(link)).split('-');
      process.kill(-Number(pid), 'SIGKILL');
      await unlink(link);
      await symlink([bystander.pid, ticks, ...boot].join('-'), link);
      const seen = await provider.inspect({ name: 'd1-a' });
      expect(seen?.state).to.equal('failed');
      await provider.stop({ name: 'd1-a' });
      expect(isProcessAlive(bystander.pid ?? 0), 'the bystander').to.equal(true);
    } finally {
      await killed(bystander);
    }
  });

  it('does not take a pid of before a reboot for its own', async () => {
    await provider.launch(request('d1-a'));
    const link = join(root, 'd1-a', 'supervisor');
    const [pid, ticks] = (await readlink(link)).split('-');
    await unlink(link);
    await symlink(`${pid}-${ticks}-00000000-0000-4000-8000-000000000000`, link);
    expect((await provider.inspect({ name: 'd1-a' }))?.state).to.equal('failed');
  });

  it('tells an instance that was killed from outside as failed, without an exit code', async () => {
    await provider.launch(request('d1-a'));
    process.kill(-(await supervisorPid('d1-a')), 'SIGKILL');
    const seen = await ended('d1-a');
    expect(seen?.state).to.equal('failed');
    expect(seen?.reason).to.include({ kind: 'unknown' }).and.not.have.key('exitCode');
    expect(seen?.reason?.message).to.include('killed from outside');
  });

  it('says stopped where a stop was begun by a dispatcher that died before it could clean up', async () => {
    await provider.launch(request('d1-a'));
    await writeFile(join(root, 'd1-a', 'stopping'), '');
    process.kill(-(await supervisorPid('d1-a')), 'SIGKILL');
    expect((await ended('d1-a'))?.reason?.kind).to.equal('stopped');
  });

  it('never starts a name whose stop has begun, though the launch was under way', async () => {
    const proof = join(root, '.proof');
    provider = create(['sh', '-c', `echo ran >> ${proof}`]);
    await provider.launch(request('d1-a'));
    await ended('d1-a');
    const folder = join(root, 'd1-a');
    await unlink(join(folder, 'supervisor'));
    await unlink(join(folder, 'exit'));
    await symlink('stopped', join(folder, 'supervisor'));
    const late = spawn('sh', [join(folder, 'supervise'), folder, 'sh', '-c', `echo ran >> ${proof}`]);
    await once(late, 'exit');
    expect(await readFile(proof, 'utf8')).to.equal('ran\n');
  });

  it('runs the command once, though twenty supervisors were started for one name', async () => {
    const proof = join(root, '.proof');
    provider = create(['sh', '-c', `echo ran >> ${proof}`]);
    const many = Array.from({ length: 20 }, () => create(['sh', '-c', `echo ran >> ${proof}`]));
    await Promise.all(many.map((one) => one.launch(request('d1-a'))));
    await ended('d1-a');
    expect(await readFile(proof, 'utf8')).to.equal('ran\n');
  });

  it('passes nothing of its own environment on but PATH and LANG', async () => {
    process.env['SHR_TEST_DISPATCHER_SECRET'] = 'from the dispatcher';
    try {
      provider = create(['env'], { environment: { FROM_OPTIONS: 'yes' } });
      await provider.launch({ ...request('d1-a'), environment: { FROM_REQUEST: 'yes' } });
      await ended('d1-a');
      const names = ((await provider.logs({ name: 'd1-a' })) ?? '').split('\n').map((line) => line.split('=')[0]);
      expect(names).to.include.members(['FROM_OPTIONS', 'FROM_REQUEST', 'HOME', 'TMPDIR', 'PATH', 'SHR_INSTANCE']);
      expect(names).to.not.include('SHR_TEST_DISPATCHER_SECRET');
    } finally {
      delete process.env['SHR_TEST_DISPATCHER_SECRET'];
    }
  });

  it('keeps at most a few megabytes of an output without end', async () => {
    provider = create(['sh', '-c', 'head -c 20000000 /dev/zero | tr "\\0" x; echo; echo the end']);
    await provider.launch(request('d1-a'));
    await ended('d1-a');
    const text = await until(
      () => provider.logs({ name: 'd1-a' }),
      (seen) => seen?.endsWith('the end\n') === true,
    );
    expect(Buffer.byteLength(text ?? '')).to.be.at.most(256 * 1024);
    const folder = join(root, 'd1-a');
    const files = (await readdir(folder)).filter((name) => name.startsWith('output'));
    const sizes = await Promise.all(files.map(async (name) => (await stat(join(folder, name))).size));
    expect(sizes.reduce((sum, size) => sum + size, 0)).to.be.at.most(4.2 * 2 ** 20);
  });

  it('has the last line of the output wherever the end is seen', async () => {
    provider = create(['sh', '-c', 'seq 1 20000; echo the very last']);
    for (const name of ['d1-a', 'd1-b', 'd1-c', 'd1-d']) {
      await provider.launch(request(name));
      await ended(name);
      expect(await provider.logs({ name })).to.match(/the very last\n$/);
    }
  });

  it('leaves no helper process behind after an end by itself', async () => {
    provider = create(['sh', '-c', 'echo done']);
    await provider.launch(request('d1-a'));
    const pid = await supervisorPid('d1-a');
    await ended('d1-a');
    await until(
      async () => membersOfGroup(pid),
      (members) => members.length === 0,
    );
  });

  it('keeps its folders from other users', async () => {
    const own = join(root, 'own');
    provider = create(['true'], { root: own });
    await provider.launch(request('d1-a'));
    await provider.stop({ name: 'd1-a' });
    expect((await stat(own)).mode & 0o077).to.equal(0);
  });

  it('shows an instance with damaged tags as unknown to the dispatcher in whose name it is, and can stop it', async () => {
    await provider.launch(request('d1-a'));
    const meta = join(root, 'd1-a', 'meta.json');
    await writeFile(meta, '{"id":');
    expect((await provider.inspect({ name: 'd1-a' }))?.state).to.equal('unknown');
    expect(await provider.list({ dispatcher: 'd1' })).to.have.length(1);
    expect(await provider.list({ dispatcher: 'd2' })).to.have.length(0);
    const pid = await supervisorPid('d1-a');
    await provider.stop({ name: 'd1-a' });
    expect(isProcessAlive(pid)).to.equal(false);
    expect(await provider.inspect({ name: 'd1-a' })).to.equal(undefined);
  });

  it('takes a root that went away for an error, not for "no instances"', async () => {
    await provider.list({ dispatcher: 'd1' });
    await rm(root, { recursive: true });
    try {
      for (const look of [() => provider.list({ dispatcher: 'd1' }), () => provider.inspect({ name: 'd1-a' })]) {
        const error = await look().catch((reason: unknown) => reason);
        expect(error).to.have.property('kind', 'transient');
      }
    } finally {
      await mkdir(root);
    }
  });

  it('clears away what crashes left, once it is an hour old', async () => {
    for (const name of ['.new-d1-a-old', '.old-d1-b-old', '.new-d1-c-young']) await mkdir(join(root, name));
    for (const name of ['.new-d1-a-old', '.old-d1-b-old']) await utimes(join(root, name), 1000, 1000);
    expect(await provider.list({ dispatcher: 'd1' })).to.deep.equal([]);
    expect(await readdir(root)).to.deep.equal(['.new-d1-c-young']);
  });

  it('ends at the end of its first process, with what that left behind', async () => {
    const marker = `6${String(process.pid).padStart(6, '0')}`;
    provider = create(['sh', '-c', `sleep ${marker} & exit 0`]);
    await provider.launch(request('d1-a'));
    const group = await supervisorPid('d1-a');
    await ended('d1-a');
    await until(
      async () => membersOfGroup(group),
      (members) => members.length === 0,
    );
  });

  it('refuses options that it does not know, and a command that is none', () => {
    const refuse = (options: unknown): string => processModule.options.safeParse(options).error?.message ?? '';
    expect(refuse({ command: ['a'], comand: ['b'] })).to.include('comand');
    expect(refuse({})).to.include('command');
    expect(refuse({ command: [] })).to.include('name the program to run');
    expect(refuse({ command: ['a'], root: 'relative' })).to.include('absolute');
    expect(refuse({ command: ['a'], environment: { 'A=B': 'x' } })).to.include('environment');
  });

  it('states the size of the machine in the same words in its check and where a wish exceeds it', async () => {
    const here = await create(['sh']);
    const wish = {
      architecture: process.arch === 'arm64' ? 'arm64' : 'x64',
      image: 'x',
      spot: false,
      dockerInDocker: false,
    } as const;
    const fit = here.fit({ ...wish, cpu: 4096, memoryGiB: 1 });
    const [, size] = /, (\S+ cores? and \d+ GiB) there$/.exec(fit.fits ? (fit.note ?? '') : '') ?? [];
    const engine = (await here.check()).find(({ subject }) => subject === 'engine');
    expect(engine?.message).to.equal(`Linux with /proc, ${size?.replace(' and', ',')}`);
  });

  for (const [code, kind, refuse] of [
    ['ELOOP', 'transient', async () => await symlink(root, root)],
    ['ENOTDIR', 'unauthorized', async () => await writeFile(root, '')],
  ] as const) {
    it(`takes no folder that the system refuses with ${code} for an empty one`, async () => {
      provider = create(['sh', '-c', 'echo up; sleep 600']);
      await provider.launch(request('d1-a'));
      // What starts it writes into its folder until then.
      await until(
        () => provider.logs({ name: 'd1-a' }),
        (seen) => seen?.includes('up') === true,
      );
      const away = `${root}-away`;
      await rename(root, away);
      await refuse();
      const ref = { name: 'd1-a' };
      const calls = {
        inspect: () => provider.inspect(ref),
        logs: () => provider.logs(ref),
        stop: () => provider.stop(ref),
        list: () => provider.list({ dispatcher: 'd1' }),
        launch: () => provider.launch(request('d1-b')),
      };
      const outcomes: Record<string, string> = {};
      for (const [what, call] of Object.entries(calls)) {
        outcomes[what] = await call().then(
          (answer) => `answered ${JSON.stringify(answer)}`,
          (error: unknown) => (error instanceof ProviderError ? error.kind : String(error)),
        );
      }
      await rm(root, { recursive: true, force: true });
      await rename(away, root);
      expect(outcomes).to.deep.equal({ inspect: kind, logs: kind, stop: kind, list: kind, launch: kind });
      expect(await provider.inspect(ref)).to.include({ state: 'running' });
    });
  }

  it('says in check what is wrong with the command and the folder', async () => {
    const bad = (await create(['no-such-program-at-all']).check()).filter((finding) => !finding.ok);
    expect(bad.map((finding) => finding.subject)).to.deep.equal(['image']);
    expect(bad[0]?.message).to.include('no-such-program-at-all');
  });
});

async function killed(child: ChildProcess): Promise<void> {
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}

/** Without the dead that PID 1 has not looked after yet. */
async function membersOfGroup(group: number): Promise<string[]> {
  const members: string[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const line = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
    if (fields[2] === String(group) && fields[0] !== 'Z') members.push(line);
  }
  return members;
}
