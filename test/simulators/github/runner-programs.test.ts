import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { type GithubSimulator, startGithubSimulator } from '../../../simulators/github/index.ts';
import { asPerson } from './client.ts';
import { register, WireRunner } from './wire-runner.ts';

const folder = fileURLToPath(new URL('../../../simulators/github/', import.meta.url));

/** Where it is installed. Debian's `busybox-static` has all that the program needs. */
function findBusybox(): string | undefined {
  const paths = (process.env['PATH'] ?? '').split(':').map((folder) => path.join(folder, 'busybox'));
  return paths.find((file) => existsSync(file));
}
const busybox = findBusybox();

/** A folder with busybox's own tools and nothing else, as in a bare container. */
function bareTools(root: string): string {
  const folder = path.join(root, 'bin');
  mkdirSync(folder, { recursive: true });
  execFileSync(busybox ?? 'busybox', ['--install', '-s', folder]);
  return folder;
}

const programs = [
  { name: 'runner.mjs', command: process.execPath, arguments: [path.join(folder, 'runner.mjs')], there: true },
  {
    name: 'runner.sh',
    command: busybox ?? 'busybox',
    arguments: ['sh', path.join(folder, 'runner.sh')],
    there: busybox !== undefined,
  },
];

for (const program of programs) {
  describe(`GitHub simulator: ${program.name}`, function () {
    this.timeout(20_000);
    let simulator: GithubSimulator;
    let root: string;
    const children: ChildProcess[] = [];
    const target = { owner: 'acme', repository: 'web' };

    before(function () {
      if (program.there) return;
      if (process.env['CI']) throw new Error('CI requires busybox');
      console.warn('    busybox is not installed: its runner program is not tested');
      this.skip();
    });
    beforeEach(async () => {
      root = mkdtempSync(path.join(tmpdir(), 'runner-program-'));
      simulator = await startGithubSimulator({
        tokens: [{ login: 'root', owners: ['*'], access: 'admin' }],
        times: { silenceMs: 4_000, abandonMs: 4_000 },
      });
    });
    afterEach(async () => {
      for (const child of children.splice(0)) if (child.exitCode === null) child.kill('SIGKILL');
      await simulator.close();
      rmSync(root, { recursive: true, force: true });
    });

    interface Started {
      readonly child: ChildProcess;
      readonly blob: string;
      readonly ended: Promise<number | null>;
      output(): string;
    }

    function launch(blob: string, environment: Record<string, string> = {}): Started {
      const child = spawn(program.command, program.arguments, {
        cwd: root,
        env: {
          PATH: program.name === 'runner.sh' ? bareTools(root) : (process.env['PATH'] ?? ''),
          ACTIONS_RUNNER_INPUT_JITCONFIG: blob,
          ...environment,
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      children.push(child);
      let text = '';
      child.stdout.on('data', (part: Buffer) => {
        text += part.toString();
      });
      child.stderr.on('data', (part: Buffer) => {
        text += part.toString();
      });
      const ended = new Promise<number | null>((resolve) => {
        child.on('close', (code) => resolve(code));
      });
      return { child, blob, ended, output: () => text };
    }
    async function launchRegistered(environment: Record<string, string> = {}): Promise<Started> {
      return launch(await register(simulator, { name: `r-${simulator.runners().length}`, labels: ['a'] }), environment);
    }
    const push = (steps: string) =>
      simulator.pushWorkflow({ ...target, yaml: `jobs:\n  only:\n    runs-on: a\n    steps:\n${steps}` });
    const completed = () =>
      simulator.waitFor(() => simulator.jobs().every(({ status }) => status === 'completed'), 15_000);
    const running = (text: string) => simulator.waitFor(() => simulator.jobs()[0]?.log.includes(text), 15_000);

    it('runs the steps of a job in its own work folder, and exits 0', async () => {
      push(`
      - run: |
          echo "run $GITHUB_RUN_ID of $GITHUB_REPOSITORY by $RUNNER_NAME: $GREETING"
          echo data > file
        env: { GREETING: "it's me" }
      - run: cat file; pwd
      - run: exit 3
      - run: echo never
      - run: echo cleanup
        if: always()`);
      const runner = await launchRegistered();
      await completed();
      expect(await runner.ended).to.equal(0);
      const [job] = simulator.jobs();
      expect(job?.conclusion).to.equal('failure');
      expect(job?.steps.map(({ conclusion }) => conclusion)).to.deep.equal([
        'success',
        'success',
        'success',
        'failure',
        'skipped',
        'success',
        'success',
      ]);
      expect(job?.log).to.include(`run ${job?.runId} of acme/web by r-0: it's me`);
      expect(job?.log).to.include(`data\n${path.join(root, '_work/web/web')}`);
      expect(job?.log).to.include('cleanup').and.not.include('never');
      expect(simulator.runners()).to.deep.equal([]);
      expect(simulator.executions()).to.have.length(1);
    });

    it('waits for a job that comes later, and serves exactly one', async () => {
      const runner = await launchRegistered();
      await simulator.waitFor(() => simulator.runners()[0]?.online);
      push('      - run: echo one');
      push('      - run: echo two');
      expect(await runner.ended).to.equal(0);
      expect(simulator.jobs().map(({ conclusion }) => conclusion)).to.deep.equal(['success', null]);
    });

    it('keeps the JIT blob from the steps and from every argument list', async () => {
      push('      - run: env; echo ready; sleep 1');
      const runner = await launchRegistered();
      await simulator.waitFor(() => simulator.jobs()[0]?.status === 'in_progress');
      const listing = execFileSync('ps', ['-eo', 'args', '-ww'], { encoding: 'utf8' });
      await completed();
      await runner.ended;
      const token = /^token (.*)$/m.exec(simulatorFile(runner.blob))?.[1] ?? 'none';
      const { log } = simulator.jobs()[0] ?? { log: '' };
      for (const secret of [runner.blob, token]) {
        expect(log).to.not.include(secret);
        expect(listing).to.not.include(secret);
        expect(runner.output()).to.not.include(secret);
      }
      expect(log).to.include('ready').and.not.include('JITCONFIG');
    });

    it('cancels its job on SIGTERM', async () => {
      push('      - run: sleep 60\n      - run: echo never');
      const runner = await launchRegistered();
      await simulator.waitFor(() => simulator.jobs()[0]?.steps[1]?.status === 'in_progress');
      runner.child.kill('SIGTERM');
      await completed();
      expect(await runner.ended).to.equal(0);
      expect(simulator.jobs()[0]?.conclusion).to.equal('cancelled');
      expect(simulator.executions()[0]?.conclusion).to.equal('cancelled');
    });

    it('hears that its job was cancelled, ends the step, and still runs what always runs', async () => {
      const { id } = push(
        '      - run: sleep 60\n      - run: echo never\n      - run: echo tidy\n        if: always()',
      );
      const runner = await launchRegistered();
      await simulator.waitFor(() => simulator.jobs()[0]?.steps[1]?.status === 'in_progress');
      simulator.cancel({ runId: id });
      await running('tidy');
      await completed();
      expect(await runner.ended).to.equal(0);
      expect(simulator.jobs()[0]?.conclusion).to.equal('cancelled');
      expect(simulator.jobs()[0]?.log).to.not.include('never');
    });

    it('stops while idle with 0, and leaves its registration', async () => {
      const runner = await launchRegistered();
      await simulator.waitFor(() => simulator.runners()[0]?.online);
      runner.child.kill('SIGTERM');
      expect(await runner.ended).to.equal(0);
      expect(simulator.runners()[0]).to.include({ name: 'r-0', online: false });
    });

    it('exits 1 when its registration is deleted, or when it has none', async () => {
      const runner = await launchRegistered();
      await simulator.waitFor(() => simulator.runners()[0]?.online);
      const runner_id = simulator.runners()[0]?.id ?? 0;
      await asPerson(simulator).actions.deleteSelfHostedRunnerFromOrg({ org: 'acme', runner_id });
      expect(await runner.ended).to.equal(1);
      expect(runner.output()).to.include('deleted from the server');
      expect(await launch('nonsense').ended).to.equal(1);
      expect(await launch('').ended).to.equal(1);
    });

    it('finishes its job although the registration was deleted in the middle', async () => {
      simulator.faults.set({ staleBusy: true });
      push('      - run: echo begun; sleep 1\n      - run: echo done');
      const runner = await launchRegistered();
      await simulator.waitFor(() => simulator.jobs()[0]?.steps[1]?.status === 'in_progress');
      const runner_id = simulator.runners()[0]?.id ?? 0;
      await asPerson(simulator).actions.deleteSelfHostedRunnerFromOrg({ org: 'acme', runner_id });
      await completed();
      expect(await runner.ended).to.equal(0);
      expect(simulator.jobs()[0]?.conclusion).to.equal('success');
    });

    it("tells its host the job's result, if asked to", async () => {
      push('      - run: exit 1');
      const runner = await launchRegistered({ ACTIONS_RUNNER_RETURN_JOB_RESULT_FOR_HOSTED: 'true' });
      expect(await runner.ended).to.equal(102);
    });

    it('leaves a job abandoned when it is killed', async () => {
      push('      - run: sleep 3');
      const runner = await launchRegistered();
      await simulator.waitFor(() => simulator.jobs()[0]?.steps[1]?.status === 'in_progress');
      runner.child.kill('SIGKILL');
      await completed();
      expect(simulator.executions()[0]?.conclusion).to.equal('abandoned');
    });
  });
}

describe('GitHub simulator: a crowd of runners', () => {
  it('runs every job exactly once', async () => {
    const simulator = await startGithubSimulator({ tokens: [{ login: 'root', owners: ['*'], access: 'admin' }] });
    const yaml =
      'jobs: { m: { strategy: { matrix: { n: [1, 2, 3, 4, 5, 6, 7, 8] } }, runs-on: [a], steps: [{ run: "true" }] } }';
    for (let index = 0; index < 5; index += 1) simulator.pushWorkflow({ owner: 'acme', repository: 'web', yaml });
    const serve = async (index: number): Promise<void> => {
      const runner = await WireRunner.connect(simulator, { name: `r-${index}`, labels: ['a', `extra-${index}`] });
      await runner.take();
      await runner.finish();
    };
    await Promise.all(Array.from({ length: 40 }, (_, index) => serve(index)));
    const ran = simulator.executions().map(({ jobId }) => jobId);
    expect(new Set(ran).size).to.equal(40);
    expect(ran).to.have.length(40);
    expect(simulator.runs().every(({ conclusion }) => conclusion === 'success')).to.equal(true);
    expect(simulator.runners()).to.deep.equal([]);
    await simulator.close();
  });
});

function simulatorFile(blob: string): string {
  const files: unknown = JSON.parse(Buffer.from(blob, 'base64').toString());
  const file = typeof files === 'object' && files !== null && '.simulator' in files ? String(files['.simulator']) : '';
  return Buffer.from(file, 'base64').toString();
}
