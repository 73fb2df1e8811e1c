import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import { z } from 'zod';
import { runCommandLine } from '../../dispatcher/cli/run.ts';
import { linesOf, stepNames } from '../../dispatcher/cli/verify-live/steps.ts';
import { providerKinds as kinds, loadProvider } from '../../providers/index.ts';
import {
  demoOptions as batchOptions,
  type GcpBatchSimulator,
  startGcpBatchSimulator,
} from '../../simulators/gcp-batch/index.ts';
import { type Installation, startInstallation } from './installation.ts';
import { entryOf, type LiveBackend, liveBackends, NotHere, onlooker } from './live-backends.ts';
import { shr } from './process.ts';

const VERIFIER = 'shr-verify-live';
const reportSchema = z.object({
  ok: z.boolean(),
  backends: z.array(
    z.object({
      backend: z.string(),
      kind: z.string(),
      name: z.string(),
      interrupted: z.boolean(),
      left: z.string().nullable(),
      steps: z.array(
        z.object({
          name: z.enum(stepNames),
          outcome: z.string(),
          ms: z.number(),
          message: z.string(),
          confirms: z.array(z.string()),
        }),
      ),
    }),
  ),
});

const PROGRAM = new URL('../../dispatcher/cli/shr.mjs', import.meta.url).pathname;

describe('shr verify-live', () => {
  let fixture: Installation;

  before(async () => {
    fixture = await startInstallation();
  });

  after(() => fixture.close());

  let environment: Readonly<Record<string, string>> = {};

  async function use(backend: LiveBackend, more: Readonly<Record<string, unknown>> = {}): Promise<void> {
    const it = entryOf(backend, 'it');
    environment = { ...fixture.environment, ...it.environment };
    await fixture.register('acme', { defaults: { image: backend.image }, backends: [it.entry], ...more });
  }

  const verifyLive = (...args: string[]) =>
    shr(['verify-live', '--registration', 'acme', ...args], fixture.folder, environment);

  it('is tried on every kind of backend that there is', () => {
    expect(Object.keys(liveBackends).sort()).to.deep.equal([...kinds].sort());
  });

  for (const [kind, start] of Object.entries(liveBackends)) {
    it(`confirms every step on ${kind}, and leaves nothing`, async function () {
      this.timeout(60_000);
      let backend: LiveBackend;
      try {
        backend = await start();
      } catch (error) {
        if (!(error instanceof NotHere)) throw error;
        console.log(`      skipped: ${error.message}`);
        return this.skip();
      }
      try {
        await use(backend, { chargeLabels: { 'cost-centre': '4711', team: 'Bäume & Söhne' } });
        const { code, out, error } = await verifyLive('--yes', '--json');
        expect(error).to.match(new RegExp(`^it \\(${kind}\\): one container of [\\d.]+ cores? and [\\d.]+ GiB, x64, `));
        const [report] = reportSchema.parse(JSON.parse(out)).backends;
        const failed = report?.steps.filter(({ outcome }) => outcome !== 'confirmed');
        expect(failed).to.deep.equal([]);
        expect(report?.steps.map(({ name }) => name)).to.deep.equal([...stepNames]);
        expect(report).to.include({ kind, left: null, interrupted: false });
        expect(code).to.equal(0);
        const provider = await onlooker(backend);
        expect(await provider.list({ dispatcher: VERIFIER })).to.deep.equal([]);
        await provider.close();
      } finally {
        await backend.close();
      }
    });
  }

  it('confirms the assumptions of docs/assumptions.md that name it as their check, and no others', async () => {
    const text = await readFile(new URL('../../docs/assumptions.md', import.meta.url), 'utf8');
    // `**ID.** Assumption.`, followed by a list with the item `- Check: …`
    const rows = [...text.matchAll(/^\*\*(\w+)\.\*\* .*?^- Check: ([^\n]*)$/gms)].flatMap(([, id, check = '']) => {
      const steps = /^(?:`shr verify-live`, )?steps? /.test(check)
        ? stepNames.filter((step) => check.includes(`\`${step}\``))
        : [];
      return steps.length === 0 ? [] : [`${id}: ${steps.join(', ')}`];
    });
    const modules = await Promise.all(kinds.map((kind) => loadProvider(kind)));
    const named = new Map<string, Set<string>>();
    for (const step of stepNames) {
      for (const line of modules.flatMap((module) => linesOf(step, module))) {
        named.set(line, (named.get(line) ?? new Set()).add(step));
      }
    }
    const printed = [...named].map(([id, steps]) => `${id}: ${[...steps].join(', ')}`);
    expect(rows.sort()).to.deep.equal(printed.sort());
  });

  describe('on the machine itself', () => {
    let backend: LiveBackend;

    beforeEach(async () => {
      const start = liveBackends['process'];
      if (start === undefined) throw new Error('there is no row for process');
      backend = await start();
      await use(backend);
    });

    afterEach(() => backend.close());

    const left = async (): Promise<readonly string[]> => {
      const provider = await onlooker(backend);
      return (await provider.list({ dispatcher: VERIFIER })).map(({ ref }) => ref.name);
    };

    it('prints a line a step, with mark, time and the line that it confirms', async () => {
      const { code, out } = await verifyLive('--yes');
      expect(code).to.equal(0);
      const lines = out.trimEnd().split('\n');
      expect(lines[0]).to.match(/^it \(process\): shr-verify-live-[0-9a-z]{26}$/);
      expect(lines).to.have.length(stepNames.length + 2);
      for (const [index, step] of stepNames.entries()) {
        expect(lines[index + 1]).to.match(new RegExp(`^✓ +\\d+\\.\\d s {2}${step} +\\S.* \\[V${index + 1}\\]$`));
      }
      expect(lines.at(-1)).to.equal('1 backend: 11 confirmed, 0 failed, 0 skipped; nothing left behind');
    });

    it('launches nothing without a terminal to ask at, and says why', async () => {
      const { code, out, error } = await verifyLive();
      expect({ code, out }).to.deep.equal({ code: 2, out: '' });
      expect(error).to.include('there is no terminal to ask at: say --yes');
      expect(await left()).to.deep.equal([]);
    });

    it('asks first, and takes nothing but yes for yes', async () => {
      for (const [answer, code] of [
        ['', 1],
        ['no', 1],
        ['yesterday', 1],
        ['Y', 0],
        ['yes', 0],
      ] as const) {
        let out = '';
        let error = '';
        const ended = await runCommandLine(
          ['verify-live', '--registration', 'acme'],
          {
            out: (text) => {
              out += text;
            },
            error: (text) => {
              error += text;
            },
            ask: async (question) => {
              expect(question).to.equal('Launch? [y/N] ');
              expect(error).to.include('one container of 0.25 cores and 0.25 GiB');
              return answer;
            },
            environment,
            workingFolder: fixture.folder,
            width: undefined,
          },
          '1.2.3',
        );
        expect(ended, `the answer ${JSON.stringify(answer)}`).to.equal(code);
        expect(out.includes('11 confirmed')).to.equal(code === 0);
      }
    });

    it('is called wrongly with names that are not there', async () => {
      const registration = await shr(
        ['verify-live', '--registration', 'acne', '--yes'],
        fixture.folder,
        fixture.environment,
      );
      expect(registration.code).to.equal(2);
      expect(registration.error).to.include("did you mean 'acme'?");
      const other = await verifyLive('--backend', 'that', '--yes');
      expect(other.code).to.equal(2);
      expect(other.error).to.include("acme has no backend 'that'; there are it");
    });

    it('tries only the backends it is asked for', async () => {
      await use(backend, {
        backends: ['one', 'two', 'three'].map((name) => ({ name, kind: 'process', options: backend.options })),
      });
      const { code, out } = await verifyLive('--backend', 'three', '--backend', 'one', '--yes', '--json');
      expect(code).to.equal(0);
      expect(reportSchema.parse(JSON.parse(out)).backends.map((one) => one.backend)).to.deep.equal(['one', 'three']);
    });

    it('takes another image by --image', async () => {
      const { code, error } = await verifyLive('--yes', '--image', 'ghcr.io/acme/other:2');
      expect(code).to.equal(0);
      expect(error).to.include('x64, image ghcr.io/acme/other:2, for about a minute');
    });

    it('takes away what an earlier check has left, once its deadline is past', async () => {
      const provider = await onlooker(backend);
      const make = (name: string, deadlineAtMs: number) =>
        provider.launch({
          name,
          shape: { cpu: 1, memoryGiB: 1, architecture: 'x64', image: 'unused:1', spot: false, dockerInDocker: false },
          tags: {
            dispatcher: VERIFIER,
            registration: 'acme',
            lane: 'a',
            scope: 'orgs/acme',
            runner: name,
            createdAtMs: 0,
            deadlineAtMs,
            charge: {},
          },
          environment: {},
          secretEnvironment: {},
        });
      await make('late', 1);
      await make('young', Date.now() + 3_600_000);
      const { code, error } = await verifyLive('--yes');
      expect(code).to.equal(0);
      expect(error).to.include('Took away 1 that an earlier check had left.');
      expect(await left()).to.deep.equal(['young']);
      await provider.stop({ name: 'young' });
    });
  });

  describe('on a service that has its moods', () => {
    const image = 'docker.io/acme/runner:1';
    let simulator: GcpBatchSimulator;
    let backend: LiveBackend;

    beforeEach(async () => {
      simulator = await startGcpBatchSimulator({ images: { [image]: ['false'] } });
      const options = { ...batchOptions(simulator), command: ['sh', '-c', 'echo Not configured; exit 1'] };
      backend = { kind: 'gcp-batch', image, options, close: () => simulator.close() };
      await use(backend);
    });

    afterEach(() => backend.close());

    async function left(): Promise<number> {
      const provider = await onlooker(backend);
      const instances = await provider.list({ dispatcher: VERIFIER });
      await provider.close();
      return instances.length;
    }

    it('says why a launch is refused, skips what follows from it, and exits with 1', async () => {
      simulator.faults.set({ refusals: [{ call: 'CreateJob', code: 'PERMISSION_DENIED', message: 'not for you' }] });
      const { code, out } = await verifyLive('--yes');
      expect(code).to.equal(1);
      expect(out).to.match(/^✗ +\d+\.\d s {2}launch +unauthorized: .*not for you.* \[V1/m);
      expect(out).to.match(/^– +gone +nothing was launched \[V9/m);
      expect(out).to.match(/\n1 backend: 0 confirmed, 1 failed, 10 skipped; nothing left behind\n$/);
    });

    it('launches again what may have been created, and finds it', async function () {
      this.timeout(60_000);
      simulator.faults.set({
        refusals: [{ call: 'CreateJob', code: 'UNAVAILABLE', times: 1 }],
      });
      const { code, out } = await verifyLive('--yes');
      expect(code).to.equal(0);
      expect(out).to.match(/^✓ +\d+\.\d s {2}launch +accepted as .*\(attempt 2\)/m);
    });

    it('goes on after a step that failed, and takes the container away', async () => {
      simulator.setConditions({ failScheduling: 'no machine for you' });
      const { code, out } = await verifyLive('--yes', '--json');
      expect(code).to.equal(1);
      const [report] = reportSchema.parse(JSON.parse(out)).backends;
      expect(report?.steps.find(({ name }) => name === 'run')).to.include({ outcome: 'failed' });
      expect(report?.steps.find(({ name }) => name === 'run')?.message).to.match(/^it failed: /);
      expect(report?.steps.find(({ name }) => name === 'output')).to.include({ outcome: 'skipped' });
      expect(report?.steps.find(({ name }) => name === 'gone')).to.include({ outcome: 'confirmed' });
      expect(report?.left).to.equal(null);
      expect(await left()).to.equal(0);
    });

    it('says exactly what is left where it cannot take it away', async function () {
      this.timeout(60_000);
      simulator.faults.set({ refusals: [{ call: 'DeleteJob', code: 'PERMISSION_DENIED', message: 'it stays' }] });
      const { code, out } = await verifyLive('--yes');
      expect(code).to.equal(1);
      const name = /shr-verify-live-[0-9a-z]{26}/.exec(out)?.[0] ?? 'no name';
      expect(out).to.match(
        new RegExp(`^LEFT BEHIND on it: ${name} .*could not be taken away: unauthorized: .*it stays`, 'm'),
      );
      expect(out).to.match(/; 1 left behind\n$/);
      simulator.faults.clear();
      const provider = await onlooker(backend);
      await provider.stop({ name });
      await provider.close();
    });

    it('takes the container away when it is interrupted while that waits for a machine', async () => {
      simulator.setConditions({ stall: 'QUEUED' });
      const child = spawn(process.execPath, [PROGRAM, 'verify-live', '--registration', 'acme', '--yes'], {
        cwd: fixture.folder,
        env: { PATH: process.env['PATH'], ...environment },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let out = '';
      let error = '';
      const waits = new Promise<void>((resolve) => {
        child.stdout.setEncoding('utf8').on('data', (text: string) => {
          out += text;
          // The next step waits for it to run, which it never will.
          if (/ inspect /.test(out)) resolve();
        });
      });
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        error += text;
      });
      const closed = once(child, 'close');
      await Promise.race([waits, closed]);
      expect(await left()).to.equal(1);
      child.kill('SIGINT');
      await closed;
      expect(child.exitCode).to.equal(1);
      expect(error).to.match(/Interrupted: removing shr-verify-live-\w+\./);
      expect(out).to.match(/4 confirmed, 0 failed, 0 skipped; nothing left behind\n$/);
      expect(await left()).to.equal(0);
    });
  });
});
