import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import { z } from 'zod';
import { requestIdOf } from '../../../providers/gcp-batch/request.ts';
import type { Instance } from '../../../providers/provider.ts';
import { testHost } from '../../conformance/harness.ts';
import { eventually, type Fixture, openFixture, rejection } from './fixture.ts';
import { IMAGE, launchOf, plainShape } from './requests.ts';

const EXITS_THREE = ['sh', '-c', 'exit 3'];

describe('gcp-batch on the wire', () => {
  let fixture: Fixture;

  beforeEach(async () => {
    fixture = await openFixture();
  });
  afterEach(async () => {
    await fixture.close();
  });

  const until = (name: string, what: string, done: (seen: Instance | undefined) => boolean) => {
    const provider = fixture.open();
    return eventually(what, () => provider.inspect({ name }), done);
  };
  const calls = (): string[] =>
    fixture.simulator.exchanges.map(({ call }) => call.slice(call.indexOf('/') + 1)).filter((call) => call !== '');

  describe('capacity', () => {
    it('is out of stock while Batch says so, and failed when that goes on for too long', async () => {
      fixture.simulator.setConditions({ noStock: 'all' });
      await fixture.open().launch(launchOf('fixture-1'));
      const patient = await until('fixture-1', 'the word of the zone', (seen) => seen?.reason?.kind === 'no-stock');
      expect(patient?.state).to.equal('pending');
      expect(patient?.reason?.message).to.include('ZONE_RESOURCE_POOL_EXHAUSTED');
      const hasty = fixture.open({ stockoutGraceMs: 0 });
      expect((await hasty.inspect({ name: 'fixture-1' }))?.state).to.equal('failed');
      expect((await hasty.list({ dispatcher: 'fixture' }))[0]?.state).to.equal('failed');
    });

    it('runs after all when the zone has machines again', async () => {
      fixture.simulator.setConditions({ noStock: 'all' });
      await fixture.open().launch(launchOf('fixture-1'));
      await until('fixture-1', 'the word of the zone', (seen) => seen?.reason?.kind === 'no-stock');
      fixture.simulator.setConditions({});
      const running = await until('fixture-1', 'the start', (seen) => seen?.state === 'running');
      expect(running?.reason).to.equal(undefined);
    });

    it('tells of a quota in the words of the service', async () => {
      fixture.simulator.setConditions({ cpuQuota: 2 });
      await fixture.open().launch(launchOf('fixture-1'));
      await until('fixture-1', 'the start', (seen) => seen?.state === 'running');
      await fixture.open().launch(launchOf('fixture-2'));
      const waiting = await until('fixture-2', 'the word of the quota', (seen) => seen?.reason !== undefined);
      expect(waiting?.state).to.equal('pending');
      expect(waiting?.reason?.message).to.include('QUOTA_EXCEEDED').and.include("Quota 'CPUS' exceeded");
    });

    it('takes a silent queue for a lack of stock after the time that the options set', async () => {
      fixture.simulator.setConditions({ stall: 'QUEUED' });
      const host = testHost();
      let aheadMs = 0;
      const provider = fixture.open({ queueTimeoutMs: 60_000 }, { ...host, now: () => Date.now() + aheadMs });
      await provider.launch(launchOf('fixture-1'));
      aheadMs = 50_000;
      expect((await provider.inspect({ name: 'fixture-1' }))?.state).to.equal('pending');
      aheadMs = 70_000;
      expect(await provider.inspect({ name: 'fixture-1' })).to.deep.include({ state: 'failed' });
      expect((await provider.inspect({ name: 'fixture-1' }))?.reason?.kind).to.equal('no-stock');
    });

    it('tells a refusal for want of stock as capacity', async () => {
      fixture.simulator.faults.set({
        refusals: [{ call: 'CreateJob', code: 'RESOURCE_EXHAUSTED', message: 'ZONE_RESOURCE_POOL_EXHAUSTED' }],
      });
      expect((await rejection(fixture.open().launch(launchOf('fixture-1')))).kind).to.equal('capacity');
    });

    it('says why a job failed that never had a machine', async () => {
      fixture.simulator.setConditions({ failScheduling: 'Batch Error: code - CODE_GCE_INVALID_FIELD_VALUE' });
      await fixture.open().launch(launchOf('fixture-1'));
      const failed = await until('fixture-1', 'the failure', (seen) => seen?.state === 'failed');
      expect(failed?.reason).to.deep.include({ kind: 'unknown' });
      expect(failed?.reason?.message).to.include('CODE_GCE_INVALID_FIELD_VALUE');
    });
  });

  describe('ends', () => {
    it('knows a reclaimed spot machine', async () => {
      await fixture.open().launch(launchOf('fixture-1', { shape: { ...plainShape, spot: true } }));
      await until('fixture-1', 'the start', (seen) => seen?.state === 'running');
      await eventually(
        'the reclaim',
        async () => fixture.simulator.reclaim('fixture-1'),
        (done) => done,
      );
      const failed = await until('fixture-1', 'the end', (seen) => seen?.state === 'failed');
      expect(failed?.reason?.kind).to.equal('spot-reclaimed');
    });

    it('hands the time limit to the service, and knows its end', async () => {
      await fixture.open().launch(launchOf('fixture-1', { shape: { ...plainShape, timeLimitMs: 900 } }));
      const failed = await until('fixture-1', 'the end', (seen) => seen?.state === 'failed');
      expect(failed?.reason?.kind).to.equal('time-limit');
    });

    it('reads the exit code from the task where the job does not tell it, and only then', async () => {
      const provider = fixture.open({ command: EXITS_THREE });
      await provider.launch(launchOf('fixture-1'));
      expect((await until('fixture-1', 'the end', (seen) => seen?.state === 'failed'))?.reason?.exitCode).to.equal(3);
      expect(calls()).to.not.include('ListTasks');
      fixture.simulator.setConditions({ terseEvents: true });
      expect((await provider.inspect({ name: 'fixture-1' }))?.reason?.exitCode).to.equal(3);
      expect(calls()).to.include('ListTasks');
    });
  });

  describe('names and secrets', () => {
    it('repeats a create with the same request id, of which there is one per dispatcher and name', async () => {
      const id = requestIdOf('fixture', 'fixture-1');
      expect(id).to.match(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      expect(requestIdOf('fixture', 'fixture-2')).to.not.equal(id);
      expect(requestIdOf('mouse', 'fixture-1')).to.not.equal(id);
      await fixture.open().launch(launchOf('fixture-1'));
      await fixture.open().launch(launchOf('fixture-1'));
      const sent = fixture.simulator.exchanges.flatMap(({ request }) => {
        const parsed = z.object({ requestId: z.string() }).safeParse(request);
        return parsed.success ? [parsed.data.requestId] : [];
      });
      expect(sent).to.deep.equal([id, id]);
    });

    it('gives a runner whose name begins with a digit a job that begins with a letter', async () => {
      const provider = fixture.open();
      const launched = await provider.launch(launchOf('4711-1'));
      expect(launched.ref.name).to.equal('4711-1');
      expect(fixture.simulator.service.job('r-4711-1')).to.not.equal(undefined);
      expect((await provider.list({ dispatcher: 'fixture' })).map(({ ref }) => ref.name)).to.deep.equal(['4711-1']);
      await provider.stop(launched.ref);
      expect(await provider.inspect({ name: '4711-1' })).to.equal(undefined);
    });

    it('does not take the job of another name for one of that name, though both have one id', async () => {
      const provider = fixture.open();
      const { ref } = await provider.launch(launchOf('r-4711-1'));
      expect(await provider.inspect({ name: '4711-1' })).to.equal(undefined);
      expect(await provider.logs({ name: '4711-1' })).to.equal(undefined);
      await provider.stop({ name: '4711-1' });
      expect((await provider.inspect(ref))?.reason?.kind, 'it was left alone').to.not.equal('stopped');
      // The request id is another one, so this is a taken name and not the same launch.
      expect((await rejection(provider.launch(launchOf('4711-1')))).kind).to.equal('conflict');
    });

    it('has a secret in the environment of the task, and nowhere else', async () => {
      const SECRET = 'jit-blob-that-nobody-may-see';
      await fixture
        .open()
        .launch(launchOf('fixture-1', { secretEnvironment: { ACTIONS_RUNNER_INPUT_JITCONFIG: SECRET } }));
      await fixture.open().list({ dispatcher: 'fixture' });
      const text = JSON.stringify(fixture.simulator.exchanges);
      const where = new RegExp(
        `"environment":\\{"variables":\\{"ACTIONS_RUNNER_INPUT_JITCONFIG":"${SECRET}"\\}\\}`,
        'g',
      );
      expect(text).to.match(where);
      expect(text.replaceAll(where, '')).to.not.include(SECRET);
      expect(JSON.stringify(fixture.simulator.requests)).to.not.include(SECRET);
      const runnables = z.object({
        job: z.object({ taskGroups: z.array(z.object({ taskSpec: z.object({ runnables: z.unknown() }) })) }),
      });
      const [sent] = fixture.simulator.exchanges;
      // The agent logs what it starts.
      expect(JSON.stringify(runnables.parse(sent?.request).job.taskGroups[0]?.taskSpec.runnables)).to.not.include(
        SECRET,
      );
    });
  });

  describe('encryption', () => {
    const SECRET = 'jit-blob-that-nobody-may-see';
    const SHOWS = ['sh', '-c', 'echo "$PLAIN has ${#JIT} characters"'];
    const launch = launchOf('fixture-1', { environment: { PLAIN: 'it' }, secretEnvironment: { JIT: SECRET } });

    it('shows no secret in the description of a job, and hands it to the container', async () => {
      const provider = fixture.open({ encryptionKey: fixture.simulator.kms.key, command: SHOWS });
      expect(provider.capabilities.secretEnvironment).to.equal(true);
      expect(fixture.open().capabilities.secretEnvironment).to.equal(false);
      await provider.launch(launch);
      await until('fixture-1', 'the end', (seen) => seen?.state === 'succeeded');
      expect(await provider.logs({ name: 'fixture-1' })).to.equal(`it has ${SECRET.length} characters\n`);
      await provider.list({ dispatcher: 'fixture' });
      expect(JSON.stringify(fixture.simulator.exchanges)).to.not.include(SECRET);
      expect(JSON.stringify(fixture.simulator.requests.map(({ path }) => path))).to.not.include(SECRET);
    });

    it('is the same launch when it is repeated, though it is encrypted to another text', async () => {
      const provider = fixture.open({ encryptionKey: fixture.simulator.kms.key });
      const first = await provider.launch(launch);
      expect(await provider.launch(launch)).to.have.nested.property('ref.id', first.ref.id);
      expect(fixture.simulator.service.jobs).to.have.length(1);
    });

    it('launches nothing when the key does not encrypt, and says who has to mend it', async () => {
      const key = fixture.simulator.kms.key;
      const provider = fixture.open({ encryptionKey: key });
      const faulty: readonly [object, string][] = [
        [
          { code: 'PERMISSION_DENIED', message: "Permission 'cloudkms.cryptoKeyVersions.useToEncrypt' denied" },
          'unauthorized',
        ],
        [
          {
            code: 'FAILED_PRECONDITION',
            message: `${key}/cryptoKeyVersions/1 is not enabled, current state is: DISABLED.`,
          },
          'unauthorized',
        ],
        [
          {
            code: 'RESOURCE_EXHAUSTED',
            message:
              "Quota exceeded for quota metric 'Cryptographic requests' and limit 'Cryptographic requests per minute'",
          },
          'throttled',
        ],
        [{ code: 'UNAVAILABLE' }, 'transient'],
      ];
      for (const [refusal, kind] of faulty) {
        fixture.simulator.faults.set({ refusals: [{ call: ':encrypt', ...refusal }] });
        const error = await rejection(provider.launch(launch));
        expect(error.kind, error.message).to.equal(kind);
        expect(`${error.message} ${String(error.cause)}`).to.not.include(SECRET);
      }
      fixture.simulator.faults.clear();
      const none = fixture.open({ encryptionKey: key.replace(/runners$/, 'none') });
      expect((await rejection(none.launch(launch))).kind).to.equal('unauthorized');
      expect(calls()).to.deep.equal([]);
    });

    it('is looked at by a check, which names the role that is missing', async () => {
      const key = fixture.simulator.kms.key;
      const of = async (encryptionKey?: string) =>
        (await fixture.open(encryptionKey === undefined ? {} : { encryptionKey }).check()).filter(({ message, cure }) =>
          `${message} ${cure}`.match(/encrypt|cloudkms/),
        );
      const [limitation] = await of();
      expect(limitation).to.include({ ok: true, note: true });
      expect(limitation?.message).to.include('the option encryptionKey hides it');
      expect(await of(key)).to.deep.equal([
        { subject: 'permissions', ok: true, message: `the JIT configuration is encrypted under ${key}` },
      ]);
      const [bad] = await of(`${key}s`);
      expect(bad)
        .to.include({ ok: false })
        .and.to.have.property('cure')
        .that.includes('roles/cloudkms.cryptoKeyEncrypter');
    });
  });

  describe('stop', () => {
    it('does not wait for a deletion that takes its time, and shows the job until it is gone', async () => {
      fixture.simulator.setConditions({ stallDeletion: true });
      const provider = fixture.open({ stopWaitMs: 100 });
      const { ref } = await provider.launch(launchOf('fixture-1'));
      await provider.stop(ref);
      expect(await provider.inspect(ref)).to.deep.include({
        state: 'failed',
        reason: { kind: 'stopped', message: 'it is being deleted' },
      });
      expect(await provider.list({ dispatcher: 'fixture' })).to.have.length(1);
      await provider.stop(ref);
      expect(calls().filter((call) => call === 'DeleteJob')).to.have.length(1);
      fixture.simulator.setConditions({});
      await until('fixture-1', 'the end of the deletion', (seen) => seen === undefined);
    });

    it('is done when the service has accepted, though it can not be asked what became of it', async () => {
      const provider = fixture.open();
      const { ref } = await provider.launch(launchOf('fixture-1'));
      fixture.simulator.setConditions({ stallDeletion: true });
      const host = testHost();
      const impatient = fixture.open(
        {},
        {
          ...host,
          sleep: async (ms) => {
            if (calls().includes('DeleteJob')) {
              fixture.simulator.faults.set({ refusals: [{ call: 'GetJob', code: 'UNAVAILABLE' }] });
            }
            await host.sleep(ms);
          },
        },
      );
      await impatient.stop(ref);
      expect(fixture.simulator.exchanges.at(-1)?.refusal, 'the last look was refused').to.not.equal(undefined);
      fixture.simulator.faults.clear();
      expect((await provider.inspect(ref))?.reason?.kind).to.equal('stopped');
      fixture.simulator.setConditions({});
    });

    it('ends with the provider, and opens no connection anew', async () => {
      fixture.simulator.setConditions({ stallDeletion: true });
      const provider = fixture.open({ stopWaitMs: 60_000 });
      const { ref } = await provider.launch(launchOf('fixture-1'));
      const stopping = provider.stop(ref).then(() => 'stopped');
      await eventually(
        'the deletion',
        async () => calls(),
        (made) => made.lastIndexOf('GetJob') > made.indexOf('DeleteJob') && made.includes('DeleteJob'),
      );
      await delay(20);
      await provider.close();
      expect(await Promise.race([stopping, delay(2500, 'goes on')])).to.equal('stopped');
      fixture.simulator.setConditions({});
    });

    it('does not launch under a name whose job is still being deleted', async () => {
      fixture.simulator.setConditions({ stallDeletion: true });
      const provider = fixture.open({ stopWaitMs: 0 });
      const { ref } = await provider.launch(launchOf('fixture-1'));
      await provider.stop(ref);
      const error = await rejection(provider.launch(launchOf('fixture-1')));
      expect(error.kind).to.equal('transient');
      expect(error.message).to.include('still being deleted');
    });
  });

  describe('limits and permissions', () => {
    it('stays under its own budget of creations, and says when the next is free', async () => {
      const provider = fixture.open({ mutationsPerMinute: 2, timeoutMs: 1000 });
      await provider.launch(launchOf('fixture-1'));
      await provider.launch(launchOf('fixture-2'));
      const error = await rejection(provider.launch(launchOf('fixture-3')));
      expect(error.kind).to.equal('throttled');
      expect(error.retryAfterMs).to.be.within(50_000, 60_000);
      expect(calls().filter((call) => call === 'CreateJob')).to.have.length(2);
      expect(await provider.list({ dispatcher: 'fixture' }), 'reads have a budget of their own').to.have.length(2);
    });

    it('waits as long as the service says when it was too fast after all', async () => {
      fixture.simulator.setConditions({ mutationsPerMinute: 1 });
      const provider = fixture.open({ timeoutMs: 1000 });
      await provider.launch(launchOf('fixture-1'));
      const first = await rejection(provider.launch(launchOf('fixture-2')));
      expect(first).to.include({ kind: 'throttled', code: 'RESOURCE_EXHAUSTED' });
      const second = await rejection(provider.launch(launchOf('fixture-2')));
      expect(second).to.include({ kind: 'throttled', code: 'own-budget' });
      expect(calls().filter((call) => call === 'CreateJob')).to.have.length(2);
    });

    it('says unauthorized, never "nothing there", when a permission is lost', async () => {
      const provider = fixture.open();
      const { ref } = await provider.launch(launchOf('fixture-1'));
      fixture.simulator.faults.set({
        refusals: [{ code: 'PERMISSION_DENIED', message: "Permission 'batch.jobs.get' denied" }],
      });
      for (const call of [
        provider.inspect(ref),
        provider.list({ dispatcher: 'fixture' }),
        provider.stop(ref),
        provider.logs(ref),
      ]) {
        expect((await rejection(call)).kind).to.equal('unauthorized');
      }
    });

    it('does not take a list without all its locations for the whole', async () => {
      fixture.simulator.setConditions({ unreachable: ['projects/acme-ci/locations/europe-west4'] });
      const error = await rejection(fixture.open().list({ dispatcher: 'fixture' }));
      expect(error.kind).to.equal('transient');
      expect(error.message).to.include('could not reach');
    });

    it('is bounded in time where the service accepts and says nothing', async () => {
      fixture.simulator.faults.set({ silences: [{ effect: 'before' }] });
      const provider = fixture.open({ timeoutMs: 300 });
      const from = Date.now();
      expect(await rejection(provider.list({ dispatcher: 'fixture' }))).to.include({ kind: 'transient' });
      expect(Date.now() - from).to.be.below(3000);
    });

    it('repeats no call by itself', async () => {
      fixture.simulator.faults.set({ refusals: [{ code: 'UNAVAILABLE' }] });
      const provider = fixture.open();
      for (const call of [
        () => provider.launch(launchOf('fixture-1')),
        () => provider.inspect({ name: 'fixture-1' }),
        () => provider.list({ dispatcher: 'fixture' }),
      ]) {
        const before = fixture.simulator.exchanges.length;
        expect((await rejection(call())).kind).to.equal('transient');
        expect(fixture.simulator.exchanges.length - before).to.equal(1);
      }
    });

    it('refuses before it calls what no machine of the backend can do', async () => {
      const provider = fixture.open({ machineSeries: 'e2-highcpu' });
      for (const shape of [
        { ...plainShape, cpu: 64 },
        { ...plainShape, bucket: '..' },
        { ...plainShape, architecture: 'arm64' as const },
      ]) {
        expect((await rejection(provider.launch(launchOf('fixture-1', { shape })))).kind).to.equal('invalid');
      }
      expect(calls()).to.deep.equal([]);
    });
  });

  describe('check', () => {
    const bad = async (options: object): Promise<string> =>
      (await fixture.open(options).check())
        .filter((finding) => !finding.ok)
        .map(({ subject, message, cure }) => `${subject}: ${message} → ${cure}`)
        .join('\n');

    it('finds nothing wrong with a good backend, and says what it did not look at', async () => {
      const findings = await fixture.open().check();
      expect(findings.every(({ ok }) => ok)).to.equal(true);
      const text = findings.map(({ subject, message }) => `${subject}: ${message}`).join('\n');
      expect(text).to.include('GitHub needs Cloud NAT, which was not checked');
      expect(text).to.include('quota: 0 of 72 CPUS are in use in europe-west4');
    });

    it('finds a network from which machines cannot reach Batch, unless they have a public address', async () => {
      fixture.simulator.setConditions({ privateGoogleAccess: false });
      expect(await bad({})).to.match(/^network: .*would never run → .*--enable-private-ip-google-access/);
      expect(await bad({ externalIp: true })).to.equal('');
    });

    it('finds a subnetwork that is not there', async () => {
      expect(await bad({ subnetwork: 'none' })).to.match(/^network: .*not found.* → .*subnets list/);
    });

    it('finds a quota that is used up', async () => {
      fixture.simulator.setConditions({ cpuQuota: 0 });
      expect(await bad({})).to.match(/^quota: 0 of 0 CPUS are in use .*not enough quota for a runner → ask Google/);
      expect(await bad({ machineSeries: 'c3-standard' }), 'another family has a quota of its own').to.equal('');
    });

    it('looks at the quota of each architecture that it sells', async () => {
      fixture.simulator.setConditions({ cpuQuota: 0 });
      const both = (await fixture.open({ armMachineSeries: 't2a-standard' }).check()).filter(
        ({ subject }) => subject === 'quota',
      );
      expect(both.map(({ message }) => message)).to.deep.equal([
        '0 of 0 CPUS are in use in europe-west4: not enough quota for a runner',
        'europe-west4 counts no T2A_CPUS',
      ]);
    });

    it('does without the right to look into Compute Engine, and says so', async () => {
      fixture.simulator.faults.set({
        refusals: [
          { call: '/compute/', code: 'PERMISSION_DENIED', message: "Required 'compute.regions.get' permission" },
        ],
      });
      const findings = await fixture.open().check();
      expect(findings.every(({ ok }) => ok)).to.equal(true);
      const unchecked = findings.filter(({ message }) => message.startsWith('was not checked'));
      expect(unchecked.map(({ note }) => note)).to.deep.equal([true, true]);
    });

    it('fails on a default account, and says which roles one of their own needs', async () => {
      for (const serviceAccount of [
        '123456-compute@developer.gserviceaccount.com',
        'acme-ci@appspot.gserviceaccount.com',
      ]) {
        expect(await bad({ serviceAccount }))
          .to.include('default account')
          .and.include('roles/batch.agentReporter');
      }
    });

    it('names a region that has no Batch, a project that is not ours, and a key that was revoked', async () => {
      expect(await bad({ region: 'mars-east1' })).to.match(/Location mars-east1 is not found/);
      expect(await bad({ project: 'other-project' })).to.match(/^permissions: .*roles\/batch.jobsEditor/);
      fixture.simulator.identity.disable('dispatcher@acme-ci.iam.gserviceaccount.com');
      expect(await bad({})).to.match(/^credentials: .*fix the option credentials/);
    });

    it('names the role that is missing for the logs, and asks for none where they are off', async () => {
      fixture.simulator.faults.set({
        refusals: [
          { call: 'entries:list', code: 'PERMISSION_DENIED', message: "Permission 'logging.logEntries.list' denied" },
        ],
      });
      expect(await bad({})).to.match(/^permissions: .*roles\/logging.viewer/);
      expect(await bad({ logs: false })).to.equal('');
    });
  });

  it('has no logs where they are off, and then promises none', async () => {
    const provider = fixture.open({ logs: false, command: ['echo', 'hello'] });
    expect(provider.capabilities.logs).to.equal(false);
    await provider.launch(launchOf('fixture-1'));
    await until('fixture-1', 'the end', (seen) => seen?.state === 'succeeded');
    expect(await provider.logs({ name: 'fixture-1' })).to.equal(undefined);
  });

  it('can be used again after it was closed', async () => {
    const provider = fixture.open();
    await provider.launch(launchOf('fixture-1', { shape: { ...plainShape, image: IMAGE } }));
    await provider.close();
    expect(await provider.list({ dispatcher: 'fixture' })).to.have.length(1);
  });
});
