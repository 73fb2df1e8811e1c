import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import { CloudRun } from '../../../providers/gcp-cloud-run/calls.ts';
import { type CloudRunOptions, cloudRunOptions } from '../../../providers/gcp-cloud-run/options.ts';
import { CloudRunProvider } from '../../../providers/gcp-cloud-run/provider.ts';
import { jobFor, NAME_VARIABLE } from '../../../providers/gcp-cloud-run/request.ts';
import { type Instance, ProviderError, type ProviderErrorKind } from '../../../providers/provider.ts';
import {
  type CloudRunSimulator,
  demoOptions,
  startCloudRunSimulator,
} from '../../../simulators/gcp-cloud-run/index.ts';
import type { CloudRunSimulatorOptions } from '../../../simulators/gcp-cloud-run/options.ts';
import { systemClock } from '../../../time/clock.ts';
import { IMAGE, requestFor, shape } from './fixture.ts';

const HOUR_MS = 3_600_000;

describe('gcp-cloud-run: against its simulator', () => {
  let simulator: CloudRunSimulator;
  const opened: CloudRunProvider[] = [];
  let skewMs = 0;

  const start = async (options: Partial<CloudRunSimulatorOptions> = {}): Promise<void> => {
    simulator = await startCloudRunSimulator({ images: { [IMAGE]: ['sleep', '600'] }, ...options });
  };
  const open = (more: Partial<Record<keyof CloudRunOptions, unknown>> = {}): CloudRunProvider => {
    const options = cloudRunOptions.parse({
      ...demoOptions(simulator),
      command: ['sleep', '600'],
      pollMs: 10,
      timeoutMs: 3000,
      ...more,
    });
    const provider = new CloudRunProvider(options, {
      now: () => Date.now() + skewMs,
      after: systemClock.after,
      sleep: (ms) => delay(ms),
      random: () => Math.random(),
    });
    opened.push(provider);
    return provider;
  };
  const nextName = (): string => `d1-${randomBytes(6).toString('hex')}`;
  const until = async (provider: CloudRunProvider, name: string, done: (seen: Instance | undefined) => boolean) => {
    const giveUpAt = Date.now() + 10_000;
    for (;;) {
      const seen = await provider.inspect({ name });
      if (done(seen)) return seen;
      if (Date.now() > giveUpAt) throw new Error(`last seen: ${JSON.stringify(seen)}`);
      await delay(10);
    }
  };
  const rejection = async (promise: Promise<unknown>): Promise<ProviderError> => {
    const reason = await promise.then(
      (value) => new Error(`gave ${JSON.stringify(value)}`),
      (error: unknown) => error,
    );
    if (!(reason instanceof ProviderError)) throw new Error('no ProviderError', { cause: reason });
    return reason;
  };
  const callsOf = (method: string): number =>
    simulator.exchanges.filter(({ call }) => call.endsWith(`/${method}`)).length;

  afterEach(async () => {
    skewMs = 0;
    await Promise.all(opened.splice(0).map((provider) => provider.close()));
    await simulator.close();
  });

  describe('definitions', () => {
    it('are one for all runners of a shape, so that a runner costs one run and one write', async () => {
      await start();
      const provider = open();
      const names = [nextName(), nextName(), nextName()];
      await Promise.all(names.map((name) => provider.launch(requestFor(name))));
      expect(simulator.jobs().length).to.equal(1);
      expect([callsOf('CreateJob'), callsOf('RunJob')]).to.deep.equal([1, 3]);
      await Promise.all(names.map((name) => until(provider, name, (seen) => seen?.state === 'running')));
    });

    it('are made again after they were deleted', async () => {
      await start();
      const provider = open();
      const first = nextName();
      await provider.launch(requestFor(first));
      await provider.stop({ name: first });
      const job = simulator.jobs()[0]?.split('/').at(-1) ?? '';
      await deleteJob(job);
      expect(simulator.jobs()).to.deep.equal([]);
      const second = nextName();
      expect((await provider.launch(requestFor(second))).state).to.be.oneOf(['pending', 'running']);
      expect(simulator.jobs().length).to.equal(1);
    });

    it('go away when no runner has used them for long, and not before', async () => {
      await start();
      const provider = open({ unusedJobHours: 24 });
      const name = nextName();
      await provider.launch(requestFor(name));
      await provider.stop({ name });
      skewMs = 23 * HOUR_MS;
      await provider.list({ dispatcher: 'd1' });
      await provider.close();
      expect(simulator.jobs().length, 'used within the day').to.equal(1);
      skewMs = 25 * HOUR_MS;
      await provider.list({ dispatcher: 'another' });
      await provider.close();
      expect(simulator.jobs().length, "another's").to.equal(1);
      skewMs = 27 * HOUR_MS;
      await provider.list({ dispatcher: 'd1' });
      await provider.close();
      expect(simulator.jobs()).to.deep.equal([]);
    });

    it('go away as fast as a thousand a day are made, a few at a time', async () => {
      await start();
      const provider = open({ unusedJobHours: 1 });
      for (let count = 0; count < 12; count += 1) {
        const name = nextName();
        await provider.launch(requestFor(name, { shape: { ...shape, memoryGiB: 0.5 + count / 8 } }));
        await provider.stop({ name });
      }
      const left: number[] = [];
      for (let minutes = 120; minutes < 150; minutes += 6) {
        skewMs = minutes * 60_000;
        for (let times = 0; times < 2; times += 1) {
          await provider.list({ dispatcher: 'd1' });
          await provider.close();
        }
        left.push(simulator.jobs().length);
      }
      expect(left).to.deep.equal([7, 2, 0, 0, 0]);
    });

    it('stay while an execution of theirs is left', async () => {
      await start();
      const provider = open({ unusedJobHours: 1 });
      await provider.launch(requestFor(nextName()));
      skewMs = 50 * HOUR_MS;
      await provider.list({ dispatcher: 'd1' });
      await provider.close();
      expect(simulator.jobs().length).to.equal(1);
    });

    it('that another process left behind as failed are made anew: the cause may be mended', async () => {
      const images: Record<string, readonly string[]> = {};
      await start({ images });
      const request = requestFor(nextName());
      const { id, job } = jobFor(request.shape, request.tags, cloudRunOptions.parse(demoOptions(simulator)));
      await control(async (service) => {
        await service.createJob({ id, job });
        while ((await service.getJob(id))?.terminalCondition?.state !== 'CONDITION_FAILED') await delay(5);
      });
      images[IMAGE] = ['sleep', '600'];
      const provider = open({ command: ['/home/runner/run.sh'] });
      expect((await provider.launch(request)).ref.name).to.equal(request.name);
      expect(simulator.executions()).to.have.length(1);
    });

    it('are waited for as long as the options say, and asked about as often', async () => {
      await start({ readyMs: 60_000 });
      let nowMs = Date.now();
      const slept: number[] = [];
      const host = {
        now: () => nowMs,
        after: systemClock.after,
        sleep: async (ms: number) => {
          if (ms === 777) {
            slept.push(ms);
            nowMs += ms;
          } else await delay(ms);
        },
        random: () => 0.5,
      };
      const options = cloudRunOptions.parse({ ...demoOptions(simulator), readyTimeoutMs: 5000, pollMs: 777 });
      const provider = new CloudRunProvider(options, host);
      opened.push(provider);
      const error = await rejection(provider.launch(requestFor(nextName())));
      expect(error).to.include({ kind: 'transient', code: 'timeout' });
      expect(slept.length).to.equal(Math.ceil(5000 / 777));
    });

    it('that cannot become ready are refused in the words of the service, and leave nothing', async () => {
      await start();
      const provider = open();
      const request = requestFor(nextName(), { shape: { ...shape, image: 'docker.io/acme/none:1' } });
      const error = await rejection(provider.launch(request));
      expect(error.kind).to.equal('invalid');
      expect(error.message).to.include("Image 'docker.io/acme/none:1' not found.");
      expect(simulator.jobs()).to.deep.equal([]);
    });
  });

  describe('an execution has no name of our choice', () => {
    it('so the earlier one is the instance when a lost run takes effect after its repeat', async () => {
      await start();
      const [first, second] = [open(), open()];
      const name = nextName();
      // The first run is accepted long after its caller gave up, when another process has run the same again.
      simulator.faults.set({ silences: [{ call: 'RunJob', effect: 'before', times: 1 }] });
      const lost = await rejection(open({ timeoutMs: 300 }).launch(requestFor(name)));
      expect(lost.kind).to.equal('transient');
      const instance = await first.launch(requestFor(name));
      const late = await runAgain(name);
      expect(late).to.not.equal(instance.ref.id);
      for (const provider of [first, second]) {
        expect((await provider.inspect({ name }))?.ref).to.deep.equal(instance.ref);
        expect((await provider.list({ dispatcher: 'd1' })).map((one) => one.ref)).to.deep.equal([instance.ref]);
        expect((await provider.launch(requestFor(name))).ref).to.deep.equal(instance.ref);
      }
      await second.stop({ name });
      expect(simulator.executions(), 'stop takes all that have the name').to.deep.equal([]);
    });

    it('so the one of two racing processes that came second takes its own away', async () => {
      await start();
      const name = nextName();
      // Both look before either runs.
      simulator.faults.set({ delays: [{ call: 'ListExecutions', ms: 150, times: 2 }] });
      const answers = await Promise.all([open(), open()].map((provider) => provider.launch(requestFor(name))));
      expect(callsOf('RunJob'), 'the race took place').to.equal(2);
      expect(answers[0]?.ref).to.deep.equal(answers[1]?.ref);
      const left = simulator.executions().map((execution) => execution.name.split('/').slice(-3).join('/'));
      expect(left).to.deep.equal([answers[0]?.ref.id.replace('/', '/executions/')]);
    });

    it('but a name that is new costs one call', async () => {
      await start();
      const provider = open();
      await provider.launch(requestFor(nextName(), { nameIsNew: true }));
      const calls = simulator.exchanges.length;
      const names = Array.from({ length: 12 }, nextName);
      for (const name of names) await provider.launch(requestFor(name, { nameIsNew: true }));
      expect(simulator.exchanges.slice(calls).map(({ call }) => call.split('/').at(-1))).to.deep.equal(
        names.map(() => 'RunJob'),
      );
      expect((await open().inspect({ name: names[3] ?? '' }))?.state).to.be.oneOf(['pending', 'running']);
    });

    it('so what another process made is found before the run, however many came between', async () => {
      await start({ pageSize: 5 });
      const [first, second] = [open(), open()];
      const name = nextName();
      await first.launch(requestFor(nextName()));
      const instance = await second.launch(requestFor(name));
      for (let count = 0; count < 12; count += 1) await second.launch(requestFor(nextName()));
      const runs = callsOf('RunJob');
      expect((await first.launch(requestFor(name))).ref).to.deep.equal(instance.ref);
      expect(callsOf('RunJob')).to.equal(runs);
      expect((await first.inspect({ name }))?.ref).to.deep.equal(instance.ref);
    });

    it('and many who ask for names at once share the looks', async () => {
      await start();
      const provider = open();
      const names = Array.from({ length: 20 }, nextName);
      for (const name of names) await provider.launch(requestFor(name, { nameIsNew: true }));
      const lists = callsOf('ListExecutions');
      const seen = await Promise.all(names.map((name) => provider.inspect({ name })));
      expect(seen.map((one) => one?.ref.name)).to.deep.equal(names);
      expect(callsOf('ListExecutions') - lists).to.be.within(1, 2);
    });

    it('and is looked for before a repeat, when an answer was lost', async () => {
      await start();
      const provider = open({ timeoutMs: 400 });
      await provider.launch(requestFor(nextName()));
      const name = nextName();
      simulator.faults.set({ silences: [{ call: 'RunJob', effect: 'after', times: 1 }] });
      const lost = await rejection(provider.launch(requestFor(name, { nameIsNew: true })));
      expect(lost.kind).to.equal('transient');
      const runs = callsOf('RunJob');
      await provider.launch(requestFor(name));
      expect(callsOf('RunJob'), 'not run again').to.equal(runs);
      expect(simulator.executions()).to.have.length(2);
    });

    it('is not found by a name that only a part of the tags has', async () => {
      await start();
      const provider = open();
      const name = nextName();
      await provider.launch(requestFor(name));
      expect(await provider.inspect({ name, id: 'nonsense' })).to.equal(undefined);
      expect(
        await provider.inspect({ name: 'd1-other', id: (await provider.inspect({ name }))?.ref.id ?? '' }),
      ).to.equal(undefined);
    });
  });

  describe('what goes wrong later', () => {
    const table = [
      ['no-capacity', 'no-stock'],
      ['quota', 'no-stock'],
      ['image-gone', 'image-pull-failed'],
      ['out-of-memory', 'out-of-memory'],
      ['internal-error', 'unknown'],
    ] as const;
    for (const [fate, kind] of table) {
      it(`is reported: ${fate}`, async () => {
        await start();
        simulator.doom(fate);
        const provider = open();
        const name = nextName();
        await provider.launch(requestFor(name));
        const seen = await until(provider, name, (one) => one?.state === 'failed');
        expect(seen?.reason?.kind).to.equal(kind);
        expect(seen?.reason?.message).to.match(/\w{3,}/);
      });
    }

    it('stays pending where the service gives no reason', async () => {
      await start();
      simulator.doom('stuck');
      const provider = open();
      const name = nextName();
      await provider.launch(requestFor(name));
      await delay(100);
      expect((await provider.inspect({ name }))?.state).to.equal('pending');
      await provider.stop({ name });
      expect(await provider.inspect({ name })).to.equal(undefined);
    });

    it('ends a life that is too long', async () => {
      await start({ timeScale: 100 });
      const provider = open();
      const name = nextName();
      await provider.launch(requestFor(name, { shape: { ...shape, timeLimitMs: 5000 } }));
      const seen = await until(provider, name, (one) => one?.state === 'failed');
      expect(seen?.reason?.kind).to.equal('time-limit');
    });
  });

  describe('what goes wrong at once', () => {
    const refusals: [string, object, ProviderErrorKind][] = [
      [
        'throttling',
        {
          code: 'RESOURCE_EXHAUSTED',
          message: "Quota exceeded for quota metric 'Job run requests'",
          retryAfterSeconds: 1,
        },
        'throttled',
      ],
      ['a lost permission', { code: 'PERMISSION_DENIED', message: "Permission 'run.jobs.run' denied" }, 'unauthorized'],
      ['no capacity', { code: 'UNAVAILABLE', message: 'not enough resources in the region' }, 'capacity'],
      ['a fault of the service', { code: 'INTERNAL', message: 'boom' }, 'transient'],
    ];
    for (const [what, refusal, kind] of refusals) {
      it(`is ${kind} for ${what}, and leaves no instance`, async () => {
        await start();
        const provider = open();
        simulator.faults.set({ refusals: [{ call: 'RunJob', ...refusal }] });
        const error = await rejection(provider.launch(requestFor(nextName())));
        expect(error.kind).to.equal(kind);
        if (kind === 'throttled') expect(error.retryAfterMs).to.equal(1000);
        simulator.faults.clear();
        expect(await provider.list({ dispatcher: 'd1' })).to.deep.equal([]);
      });
    }

    it('is no fault of the image when a definition is there for one call and not for the other', async () => {
      await start();
      simulator.faults.set({ refusals: [{ call: 'RunJob', code: 'NOT_FOUND', message: 'Job does not exist' }] });
      expect(await rejection(open().launch(requestFor(nextName())))).to.include({
        kind: 'transient',
        code: 'NOT_FOUND',
      });
    });

    for (const call of ['CreateJob', 'RunJob']) {
      it(`is refused when the answer to ${call} is an operation that has failed already`, async () => {
        await start();
        const message = 'Quota violated: CpuAllocPerProjectRegion requested: 2000 allowed: 1000';
        simulator.faults.set({ failedOperations: [{ call, code: 'INVALID_ARGUMENT', message }] });
        const error = await rejection(open().launch(requestFor(nextName())));
        expect(error).to.include({ kind: 'quota', code: 'INVALID_ARGUMENT' });
        expect(error.message).to.include('CpuAllocPerProjectRegion');
        expect(simulator.executions()).to.deep.equal([]);
      });
    }

    it('is a quota of the project, with any code', async () => {
      await start({ limits: { milliCpu: 1000 } });
      const provider = open();
      await provider.launch(requestFor(nextName()));
      const error = await rejection(provider.launch(requestFor(nextName())));
      expect(error).to.include({ kind: 'quota', code: 'INVALID_ARGUMENT' });
    });

    it('is transient once the run was accepted, even if the next call is refused', async () => {
      await start();
      const provider = open();
      const name = nextName();
      await provider.launch(requestFor(nextName()));
      // The look before the run is answered, the one after it is refused.
      simulator.faults.set({ delays: [{ call: 'RunJob', ms: 200 }] });
      const launch = rejection(provider.launch(requestFor(name)));
      while (callsOf('RunJob') < 1 || simulator.executions().length < 2) await delay(5);
      simulator.faults.set({ refusals: [{ call: 'ListExecutions', code: 'PERMISSION_DENIED', message: 'no' }] });
      expect((await launch).kind).to.equal('transient');
      simulator.faults.clear();
      expect((await provider.inspect({ name }))?.ref.name).to.equal(name);
    });

    it('says no secret, even where the service repeats it', async () => {
      await start();
      const secret = 's3cr3t-0123456789';
      simulator.faults.set({
        refusals: [{ call: 'RunJob', code: 'INVALID_ARGUMENT', message: `bad value ${secret} of JIT` }],
      });
      const error = await rejection(open().launch(requestFor(nextName(), { secretEnvironment: { JIT: secret } })));
      expect(error.kind).to.equal('invalid');
      expect(error.message).to.equal('gcp-cloud-run RunJob: bad value [secret] of JIT');
      expect(error.stack).to.not.include(secret);
    });
  });

  describe('budgets', () => {
    it('keep all runners of the backend under the runs of a minute', async () => {
      await start();
      const provider = open({ jobRunsPerMinute: 2, timeoutMs: 3000 });
      const answers = await Promise.allSettled(
        [nextName(), nextName(), nextName()].map((name) => provider.launch(requestFor(name))),
      );
      expect(answers.filter((answer) => answer.status === 'fulfilled').length).to.equal(2);
      const refused = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason] : []))[0];
      expect(refused).to.be.instanceOf(ProviderError).and.include({ kind: 'throttled', code: 'own-budget' });
      expect(callsOf('RunJob')).to.equal(2);
      expect(await provider.list({ dispatcher: 'd1' })).to.have.length(2);
    });

    it('keep writes and reads of the log under theirs', async () => {
      await start();
      const provider = open({ writesPerMinute: 2, logReadsPerMinute: 1, timeoutMs: 3000, command: ['true'] });
      const name = nextName();
      await provider.launch(requestFor(name));
      await until(provider, name, (seen) => seen?.state === 'succeeded');
      await provider.logs({ name });
      expect(await rejection(provider.logs({ name }))).to.include({ kind: 'throttled', code: 'own-budget' });
      await provider.stop({ name });
      const another = requestFor(nextName(), { shape: { ...shape, cpu: 2 } });
      expect(await rejection(provider.launch(another))).to.include({ kind: 'throttled', code: 'own-budget' });
      expect([callsOf('CreateJob'), callsOf('DeleteExecution')]).to.deep.equal([1, 1]);
    });

    it('stay within the real quotas of a new project at 30 runners a minute', async () => {
      await start({ limits: { jobRunsPerMinute: 60, writesPerMinute: 30 } });
      const provider = open({ jobRunsPerMinute: 60, writesPerMinute: 30, command: ['true'] });
      const names = Array.from({ length: 28 }, nextName);
      await Promise.all(names.map((name) => provider.launch(requestFor(name))));
      await Promise.all(names.map((name) => until(provider, name, (seen) => seen?.state === 'succeeded')));
      await Promise.all(names.map((name) => provider.stop({ name })));
      expect(simulator.executions()).to.deep.equal([]);
    });
  });

  describe('check', () => {
    const bad = async (provider: CloudRunProvider) => (await provider.check()).filter((finding) => !finding.ok);

    it('finds what is good, and makes nothing', async () => {
      await start({ networks: ['vpc'] });
      const findings = await open({ network: 'vpc' }).check();
      expect(findings.map((finding) => [finding.subject, finding.ok])).to.deep.equal([
        ['permissions', true],
        ['credentials', true],
        ['region', true],
        ['quota', true],
        ['network', true],
      ]);
      expect(simulator.jobs()).to.deep.equal([]);
    });

    for (const account of ['123456-compute@developer.gserviceaccount.com', 'acme@appspot.gserviceaccount.com']) {
      it(`fails on the default account ${account.replace(/^.*@/, '')}`, async () => {
        await start();
        const findings = await bad(open({ serviceAccount: account }));
        expect(findings.map((finding) => finding.subject)).to.deep.equal(['permissions']);
        expect(findings[0]?.cure).to.match(/service-accounts create/);
      });
    }

    it('reports a key that is no longer valid', async () => {
      await start();
      const provider = open();
      simulator.identity.disable(`dispatcher@${simulator.project}.iam.gserviceaccount.com`);
      const [finding] = await bad(provider);
      expect(finding?.message).to.match(/invalid authentication credentials/);
      expect(finding?.cure).to.match(/role/);
    });

    it('tells credentials that cannot be used at all', async () => {
      await start();
      const key = JSON.parse(simulator.serviceAccountKey);
      const broken = JSON.stringify({
        ...key,
        private_key: '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n',
      });
      const [finding] = await bad(open({ credentials: broken }));
      expect(finding).to.include({ subject: 'credentials' });
      expect(finding?.cure).to.match(/option credentials/);
    });

    it('does not blame the network for a service that has too much to do', async () => {
      await start();
      const provider = open();
      const refusal = { call: 'CreateJob', code: 'RESOURCE_EXHAUSTED', message: 'Too many requests' };
      simulator.faults.set({ refusals: [refusal] });
      const [finding] = await bad(provider);
      expect(finding).to.include({ subject: 'quota' });
      expect(finding?.cure).to.match(/again/);
    });

    it('tells a lost permission, a wrong region, a missing network and a service account that may not be used', async () => {
      await start({ networks: ['vpc'], serviceAccounts: ['runner@demo-project.iam.gserviceaccount.com'] });
      const subjects = async (options: object) => (await bad(open(options))).map((finding) => finding.subject);
      expect(await subjects({})).to.deep.equal([]);
      expect(await subjects({ region: 'mars-north1' })).to.deep.equal(['permissions']);
      expect(await subjects({ network: 'none' })).to.deep.equal(['network']);
      expect(await subjects({ serviceAccount: 'x@demo-project.iam.gserviceaccount.com' })).to.deep.equal([
        'permissions',
      ]);
      simulator.faults.set({
        refusals: [{ call: 'ListJobs', code: 'PERMISSION_DENIED', message: "Permission 'run.jobs.list' denied" }],
      });
      const [finding] = await bad(open());
      expect(finding?.message).to.include('run.jobs.list');
    });
  });

  it('reads the log of an execution, and only of that one', async () => {
    await start();
    const [loud, silent] = [open({ command: ['sh', '-c', 'echo hello; sleep 600'] }), open()];
    const [one, other] = [nextName(), nextName()];
    await Promise.all([loud.launch(requestFor(one)), silent.launch(requestFor(other))]);
    await until(silent, other, (seen) => seen?.state === 'running');
    let text: string | undefined;
    while (text === undefined) text = await loud.logs({ name: one });
    expect(text).to.equal('hello\n');
    expect(await silent.logs({ name: other })).to.equal(undefined);
  });

  it('counts a timeout of the log, and says which call it was', async () => {
    await start();
    const provider = open({ timeoutMs: 400 });
    const name = nextName();
    await provider.launch(requestFor(name));
    simulator.faults.set({ silences: [{ call: 'entries:list' }] });
    const error = await rejection(provider.logs({ name }));
    expect(error).to.include({ kind: 'transient', code: 'timeout', operation: 'gcp-cloud-run logs' });
  });

  it('stops only what it may: what has ended by itself costs no cancel', async () => {
    await start();
    const provider = open({ command: ['true'] });
    const name = nextName();
    await provider.launch(requestFor(name));
    await until(provider, name, (seen) => seen?.state === 'succeeded');
    await provider.stop({ name });
    expect([callsOf('CancelExecution'), callsOf('DeleteExecution')]).to.deep.equal([0, 1]);
  });

  it('can be used again after it was closed', async () => {
    await start();
    const provider = open();
    await provider.list({ dispatcher: 'd1' });
    await provider.close();
    expect(await provider.list({ dispatcher: 'd1' })).to.deep.equal([]);
  });

  const control = async <T>(use: (service: CloudRun) => Promise<T>): Promise<T> => {
    const options = cloudRunOptions.parse(demoOptions(simulator));
    const service = new CloudRun(options, {
      now: () => Date.now(),
      after: systemClock.after,
      sleep: (ms) => delay(ms),
      random: () => 0.5,
    });
    try {
      return await use(service);
    } finally {
      await service.close();
    }
  };
  const deleteJob = (id: string): Promise<void> => control((service) => service.deleteJob(id, ''));
  /** What a run that was lost on its way does when it arrives after all. */
  const runAgain = async (name: string): Promise<string> => {
    const job = simulator.jobs()[0]?.split('/').at(-1) ?? '';
    const env =
      simulator.executions().find((execution) => execution.environment[NAME_VARIABLE] === name)?.environment ?? {};
    const overrides = {
      containerOverrides: [{ name: 'runner', env: Object.entries(env).map(([key, value]) => ({ name: key, value })) }],
    };
    const made = await control((service) => service.runJob(job, overrides));
    return made.name.split('/').slice(-3).join('/').replace('/executions/', '/');
  };
});
