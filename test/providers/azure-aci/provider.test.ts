import { createPublicKey } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Finding, Instance, LaunchRequest, Provider } from '../../../providers/provider.ts';
import { demo, demoSubnet, makeClientCertificate } from '../../../simulators/azure-aci/index.ts';
import { foreignGroup, vendorClient } from '../../simulators/azure-aci/vendor.ts';
import { forgetMachine } from '../azure-machine.ts';
import { eventually, type Fixture, IMAGE, launchOf, openFixture, refusal } from './fixture.ts';

const shape = launchOf('x').shape;
const identities = `/subscriptions/${demo.subscriptionId}/resourceGroups/ids/providers/Microsoft.ManagedIdentity/userAssignedIdentities`;

describe('azure-aci', () => {
  let fixture: Fixture;

  afterEach(() => fixture.close());

  const until = (provider: Provider, name: string, state: Instance['state']): Promise<Instance | undefined> =>
    eventually(
      () => provider.inspect({ name }),
      (seen) => seen?.state === state,
    );
  const sent = (operation: string): number => fixture.calls.filter((call) => call.operation === operation).length;
  const finding = (findings: readonly Finding[], subject: Finding['subject']): Finding => {
    const found =
      findings.find((one) => one.subject === subject && !one.ok) ?? findings.find((one) => one.subject === subject);
    if (found === undefined) throw new Error(`nothing was found about ${subject}`);
    return found;
  };

  describe('launch', () => {
    it('resolves when the service has accepted, and does not ask how it goes', async () => {
      fixture = await openFixture({ timings: { pendingMs: 60_000 } });
      const instance = await fixture.backend().launch(launchOf('fixture-1'));
      expect(instance.state).to.equal('pending');
      expect(sent('operation')).to.equal(0);
      expect([sent('get'), sent('create')]).to.deep.equal([1, 1]);
    });

    it('of a new name is one call', async () => {
      fixture = await openFixture();
      await fixture.backend().launch(launchOf('fixture-1', { nameIsNew: true }));
      expect([sent('get'), sent('create')]).to.deep.equal([0, 1]);
    });

    it('adopts what another process has just begun, and starts nothing again', async () => {
      fixture = await openFixture({ timings: { pendingMs: 300 } });
      const request = launchOf('fixture-1');
      const first = await fixture.backend().launch(request);
      // The second has looked before the first was there, and comes while the service is still busy with it.
      const end = fixture.simulator.fault({
        kind: 'refusal',
        operation: 'get',
        times: 1,
        status: 404,
        code: 'ResourceNotFound',
        message: 'x',
      });
      const provider = fixture.backend();
      const second = await provider.launch(request);
      end();
      expect(second.ref).to.deep.equal(first.ref);
      expect(fixture.calls.filter(({ operation }) => operation === 'create').map(({ status }) => status)).to.deep.equal(
        [201, 409],
      );
      await until(provider, 'fixture-1', 'running');
      expect(fixture.simulator.named('fixture-1')?.restartCount).to.equal(0);
    });

    it('asks once when several of one name come at once', async () => {
      fixture = await openFixture();
      const provider = fixture.backend();
      const answers = await Promise.all(Array.from({ length: 5 }, () => provider.launch(launchOf('fixture-1'))));
      expect(new Set(answers.map(({ ref }) => ref.id)).size).to.equal(1);
      expect([sent('get'), sent('create')]).to.deep.equal([1, 1]);
    });

    it('adopts by the precondition too, where the service honours it', async () => {
      fixture = await openFixture({ heedsIfNoneMatch: true });
      const provider = fixture.backend();
      await provider.launch(launchOf('fixture-1'));
      await until(provider, 'fixture-1', 'running');
      // The look before the creation sees nothing: as if both had come at once.
      const end = fixture.simulator.fault({
        kind: 'refusal',
        operation: 'get',
        times: 1,
        status: 404,
        code: 'ResourceNotFound',
        message: 'x',
      });
      const again = await fixture.backend().launch(launchOf('fixture-1'));
      end();
      expect(fixture.calls.filter(({ status }) => status === 412)).to.have.length(1);
      expect(again.state).to.equal('running');
      expect(fixture.simulator.named('fixture-1')?.restartCount).to.equal(0);
    });

    it('blames a subnet that may not be joined on the job that chose it, and on the backend where that did', async () => {
      fixture = await openFixture({ subnets: [demoSubnet] });
      const message = `The client has no permission Microsoft.Network/virtualNetworks/subnets/join/action on ${demoSubnet}`;
      fixture.simulator.fault({
        kind: 'refusal',
        operation: 'create',
        status: 403,
        code: 'LinkedAuthorizationFailed',
        message,
      });
      const provider = fixture.backend({ subnetId: demoSubnet });
      const own = await refusal(provider.launch(launchOf('fixture-1', { shape: { ...shape, subnet: 'other' } })));
      expect([own.kind, own.message]).to.deep.equal(['invalid', `azure-aci create: ${message}`]);
      expect((await refusal(provider.launch(launchOf('fixture-2')))).kind).to.equal('unauthorized');
    });

    it('sends nothing that does not fit', async () => {
      fixture = await openFixture();
      const charge = Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`label-${index}`, 'x']));
      const request = launchOf('fixture-1');
      const error = await refusal(fixture.backend().launch({ ...request, tags: { ...request.tags, charge } }));
      expect(error.kind).to.equal('invalid');
      expect(fixture.calls).to.deep.equal([]);
    });

    const late = [
      ['no-stock', 'failed', 'no-stock'],
      ['quota', 'failed', 'no-stock'],
      ['timeout', 'failed', 'unknown'],
      ['image-pull', 'pending', 'image-pull-failed'],
    ] as const;
    for (const [how, state, kind] of late) {
      it(`is accepted, and fails later: ${how}`, async () => {
        fixture = await openFixture();
        const provider = fixture.backend();
        fixture.simulator.fault({ kind: 'fails-later', how, times: 1 });
        await provider.launch(launchOf('fixture-1'));
        const seen = await eventually(
          () => provider.inspect({ name: 'fixture-1' }),
          (instance) => instance?.reason !== undefined,
        );
        expect([seen?.state, seen?.reason?.kind]).to.deep.equal([state, kind]);
        // A list tells no events: of one that is still being made it asks for no more.
        const [listed] = await provider.list({ dispatcher: 'fixture' });
        expect([listed?.state, listed?.reason?.kind]).to.deep.equal([state, state === 'failed' ? kind : undefined]);
        await provider.stop({ name: 'fixture-1' });
        expect(fixture.simulator.groups).to.deep.equal([]);
      });
    }

    const refused = [
      [{ kind: 'no-stock' }, 'capacity'],
      [{ kind: 'quota' }, 'quota'],
      [{ kind: 'throttling', operation: 'create', retryAfterS: 7 }, 'throttled'],
      [{ kind: 'server-error', operation: 'create' }, 'transient'],
      [{ kind: 'no-permission', operation: 'create' }, 'unauthorized'],
    ] as const;
    for (const [fault, kind] of refused) {
      it(`is refused at once, and leaves nothing: ${fault.kind}`, async () => {
        fixture = await openFixture();
        fixture.simulator.fault(fault);
        const error = await refusal(fixture.backend().launch(launchOf('fixture-1')));
        expect(error.kind).to.equal(kind);
        if (fault.kind === 'throttling') expect(error.retryAfterMs).to.equal(7000);
        expect(sent('create'), 'no repetition of the SDK’s own').to.equal(1);
        expect(fixture.simulator.groups).to.deep.equal([]);
      });
    }

    it('that is throttled holds the next creations back, and no reads', async () => {
      fixture = await openFixture();
      fixture.simulator.fault({ kind: 'throttling', operation: 'create', retryAfterS: 300 });
      const provider = fixture.backend();
      expect((await refusal(provider.launch(launchOf('fixture-1')))).code).to.not.equal('own-budget');
      const next = await refusal(provider.launch(launchOf('fixture-2')));
      expect([next.kind, next.code]).to.deep.equal(['throttled', 'own-budget']);
      expect(next.retryAfterMs).to.be.within(290_000, 300_000);
      expect(sent('create')).to.equal(1);
      expect(await provider.list({ dispatcher: 'fixture' })).to.deep.equal([]);
    });

    it('says the quota of the subscription with its numbers', async () => {
      fixture = await openFixture({ quota: { cores: 3 } });
      const provider = fixture.backend();
      await provider.launch(launchOf('fixture-1', { shape: { ...shape, cpu: 2 } }));
      const error = await refusal(provider.launch(launchOf('fixture-2', { shape: { ...shape, cpu: 2 } })));
      expect(error.kind).to.equal('quota');
      expect(error.message).to.include("Limit: '3', Usage: '2' Requested: '2'");
    });

    it('may have been accepted when no answer comes', async () => {
      fixture = await openFixture();
      const provider = fixture.backend({ timeoutMs: 300 });
      fixture.simulator.fault({ kind: 'lost-answer', operation: 'create', times: 1, how: 'hang' });
      const request = launchOf('fixture-1');
      const error = await refusal(provider.launch(request));
      expect([error.kind, error.code]).to.deep.equal(['transient', 'timeout']);
      expect((await provider.launch(request)).ref.name).to.equal('fixture-1');
      expect(sent('create')).to.equal(1);
    });

    it('has no secret in a refusal that repeats what it was sent', async () => {
      fixture = await openFixture();
      const request = launchOf('fixture-1');
      const [secret = ''] = Object.values(request.secretEnvironment);
      fixture.simulator.fault({
        kind: 'refusal',
        operation: 'create',
        status: 400,
        code: 'InvalidRequestContent',
        message: `bad value '${secret}'`,
      });
      const error = await refusal(fixture.backend().launch(request));
      expect(error.kind).to.equal('invalid');
      expect(`${error.stack} ${String(error.cause)} ${JSON.stringify(error.cause)}`).to.not.include(secret);
    });
  });

  describe('dind, spot and disks', () => {
    const reason = (provider: Provider, changes: object): string => {
      const fit = provider.fit({ ...shape, ...changes });
      return fit.fits ? 'fits' : fit.reason;
    };

    it('are refused where Azure has them not, saying where it has them', async () => {
      fixture = await openFixture();
      const standard = fixture.backend();
      expect(reason(standard, { dockerInDocker: true })).to.include('Confidential');
      expect(reason(standard, { diskGiB: 100 })).to.include('50 GB');
      expect(reason(standard, { bucket: 'share' })).to.include('files');
      expect(reason(standard, { subnet: 'other' })).to.include('subnetId');
      expect(reason(standard, { architecture: 'arm64' })).to.include('x64');
      expect(reason(standard, { spot: true })).to.equal('fits');
      expect(reason(fixture.backend({ subnetId: demoSubnet }), { spot: true })).to.include('subnet');
      expect(reason(fixture.backend({ sku: 'Confidential' }), { spot: true })).to.include('Confidential');
      expect(reason(fixture.backend({ zone: '1' }), { spot: true })).to.include('zone');
      expect(reason(fixture.backend({ spotLocations: ['westus'] }), { spot: true })).to.include('westus');
      expect(reason(fixture.backend({ sku: 'Confidential' }), { dockerInDocker: true })).to.include('privileged');
    });

    it('a Confidential container group runs privileged, for the jobs that ask for it', async () => {
      fixture = await openFixture();
      const provider = fixture.backend({ sku: 'Confidential', privileged: true });
      await provider.launch(launchOf('fixture-1', { shape: { ...shape, dockerInDocker: true } }));
      await provider.launch(launchOf('fixture-2'));
      const contexts = ['fixture-1', 'fixture-2'].map(
        (name) => fixture.simulator.named(name)?.decoded.properties.containers[0]?.properties.securityContext,
      );
      expect(contexts).to.deep.equal([{ privileged: true }, undefined]);
    });

    describe('a share', () => {
      let place: string;

      beforeEach(async () => {
        place = await mkdtemp(join(tmpdir(), 'shr-azure-work-'));
      });
      afterEach(() => rm(place, { recursive: true, force: true }));

      const writing = (): Provider =>
        fixture.backend({
          files: { storageAccount: 'acmebuilds', storageAccountKey: 'storage key' },
          workFolder: join(place, 'home', '_work'),
          command: ['sh', '-c', `echo cached > ${join(place, 'home', '_work', 'file')}; ls -d /tmp`],
        });
      const caching = (name: string): LaunchRequest =>
        launchOf(name, { shape: { ...shape, bucket: 'cache', bucketPrefix: 'acme/web' } });
      const link = () => readlink(join(place, 'home', '_work'));

      it('has its folder of the repository where the runner works', async () => {
        fixture = await openFixture();
        const provider = writing();
        await provider.launch(caching('fixture-1'));
        await until(provider, 'fixture-1', 'succeeded');
        expect(await link()).to.match(/\/acmebuilds\/cache\/acme\/web$/);
        expect(await readFile(join(await link(), 'file'), 'utf8')).to.equal('cached\n');
        expect(await readdir(join(place, 'home'))).to.deep.equal(['_work']);
        const decoded = fixture.simulator.named('fixture-1')?.decoded;
        expect(decoded?.properties.containers[0]?.properties.command).to.include('/mnt/shr-bucket/acme/web');
      });

      it('stands there too when the image has an empty folder of that name', async () => {
        await mkdir(join(place, 'home', '_work'), { recursive: true });
        fixture = await openFixture();
        const provider = writing();
        await provider.launch(caching('fixture-1'));
        await until(provider, 'fixture-1', 'succeeded');
        expect(await readdir(await link())).to.deep.equal(['file']);
      });

      it('is not left aside in silence when the image has files there', async () => {
        await mkdir(join(place, 'home', '_work', 'tools'), { recursive: true });
        fixture = await openFixture();
        const provider = writing();
        await provider.launch(caching('fixture-1'));
        expect((await until(provider, 'fixture-1', 'failed'))?.reason?.kind).to.equal('exited');
        expect(await provider.logs({ name: 'fixture-1' })).to.match(/_work.*not empty/i);
      });
    });
  });

  describe('ends', () => {
    it('out of memory is told apart', async () => {
      fixture = await openFixture();
      const provider = fixture.backend();
      await provider.launch(launchOf('fixture-1'));
      await until(provider, 'fixture-1', 'running');
      await fixture.simulator.runOutOfMemory('fixture-1');
      const seen = await until(provider, 'fixture-1', 'failed');
      expect(seen?.reason).to.include({ kind: 'out-of-memory', exitCode: 137 });
    });

    it('a spot container group that was taken away says so, although the service starts it again', async () => {
      fixture = await openFixture();
      const provider = fixture.backend();
      await provider.launch(launchOf('fixture-1', { shape: { ...shape, spot: true } }));
      await until(provider, 'fixture-1', 'running');
      await fixture.simulator.reclaim('fixture-1');
      const seen = await eventually(
        () => provider.inspect({ name: 'fixture-1' }),
        (instance) => instance?.reason !== undefined,
      );
      expect(seen?.reason?.kind).to.equal('spot-reclaimed');
    });

    it('the end of a long log is kept, as far as the service keeps it', async () => {
      fixture = await openFixture();
      const provider = fixture.backend({
        command: ['sh', '-c', 'seq -f "line %08.0f" 1 9000; echo the very last line'],
      });
      await provider.launch(launchOf('fixture-1'));
      await until(provider, 'fixture-1', 'succeeded');
      const text = (await provider.logs({ name: 'fixture-1' })) ?? '';
      expect(text.endsWith('the very last line\n')).to.equal(true);
      expect(Buffer.byteLength(text)).to.be.within(8 * 1024, 16 * 1024);
      await provider.stop({ name: 'fixture-1' });
      expect(await provider.logs({ name: 'fixture-1' })).to.equal(undefined);
    });

    it('what has not started yet has no log', async () => {
      fixture = await openFixture({ timings: { pendingMs: 60_000 } });
      const provider = fixture.backend();
      await provider.launch(launchOf('fixture-1'));
      expect(await provider.logs({ name: 'fixture-1' })).to.equal(undefined);
    });

    it('what has only just begun is stopped as soon as the service takes it', async () => {
      fixture = await openFixture({ timings: { pendingMs: 400 } });
      const provider = fixture.backend();
      await provider.launch(launchOf('fixture-1'));
      await provider.stop({ name: 'fixture-1' });
      expect(fixture.calls.some((call) => call.operation === 'delete' && call.status === 409)).to.equal(true);
      expect(fixture.simulator.groups).to.deep.equal([]);
    });

    it('is asked to go twice, not again and again: refused deletions count too', async () => {
      fixture = await openFixture({ timings: { pendingMs: 800 } });
      const provider = fixture.backend();
      await provider.launch(launchOf('fixture-1'));
      await provider.stop({ name: 'fixture-1' });
      expect(fixture.simulator.groups).to.deep.equal([]);
      expect(sent('delete')).to.equal(2);
    });

    it('what stays in transition is told, and not forgotten', async () => {
      fixture = await openFixture({ timings: { pendingMs: 60_000 } });
      const provider = fixture.backend({ timeoutMs: 500 });
      await provider.launch(launchOf('fixture-1'));
      const error = await refusal(provider.stop({ name: 'fixture-1' }));
      expect([error.kind, error.code]).to.deep.equal(['transient', 'ContainerGroupTransitioning']);
      expect(await provider.list({ dispatcher: 'fixture' })).to.have.length(1);
    });
  });

  describe('list', () => {
    it('follows all pages, asks for what the list does not tell, and for nothing else', async () => {
      fixture = await openFixture({ pageSize: 2 });
      const provider = fixture.backend();
      const names = ['fixture-1', 'fixture-2', 'fixture-3', 'fixture-4', 'fixture-5'];
      for (const name of names) await provider.launch(launchOf(name));
      for (const name of names) await until(provider, name, 'running');
      await vendorClient(fixture.simulator).containerGroups.beginCreateOrUpdate(
        fixture.simulator.resourceGroup,
        'foreign',
        foreignGroup(fixture.simulator, IMAGE),
      );
      const before = sent('get');
      const listed = await provider.list({ dispatcher: 'fixture' });
      expect(listed.map(({ ref, state }) => [ref.name, state])).to.deep.equal(names.map((name) => [name, 'running']));
      expect(sent('get') - before).to.equal(5);
      expect(sent('list')).to.equal(3);
    });

    it('is an error when a page is refused, never a part', async () => {
      fixture = await openFixture({ pageSize: 1 });
      const provider = fixture.backend();
      for (const name of ['fixture-1', 'fixture-2']) await provider.launch(launchOf(name));
      for (const kind of ['no-permission', 'server-error'] as const) {
        const end = fixture.simulator.fault({ kind, operation: 'list' });
        const error = await refusal(provider.list({ dispatcher: 'fixture' }));
        expect(error.kind).to.equal(kind === 'no-permission' ? 'unauthorized' : 'transient');
        end();
      }
    });

    it('says unknown of one whose view cannot be had', async () => {
      fixture = await openFixture();
      const provider = fixture.backend();
      await provider.launch(launchOf('fixture-1'));
      await until(provider, 'fixture-1', 'running');
      const end = fixture.simulator.fault({ kind: 'server-error', operation: 'get' });
      const [listed] = await provider.list({ dispatcher: 'fixture' });
      end();
      expect([listed?.ref.name, listed?.state]).to.deep.equal(['fixture-1', 'unknown']);
    });

    it('does not take a resource group that is gone for an empty one', async () => {
      fixture = await openFixture();
      const provider = fixture.backend({ resourceGroup: 'deleted' });
      for (const call of [
        provider.list({ dispatcher: 'fixture' }),
        provider.inspect({ name: 'fixture-1' }),
        provider.stop({ name: 'fixture-1' }),
      ]) {
        expect((await refusal(call)).kind).to.equal('unauthorized');
      }
    });
  });

  describe('signing in', () => {
    const { tenantId, clientId } = demo;
    const list = (provider: Provider) => provider.list({ dispatcher: 'fixture' });

    it('works with a certificate, and not with another one', async () => {
      const own = makeClientCertificate('shr');
      const other = makeClientCertificate('shr');
      expect(createPublicKey(own.certificate).asymmetricKeyType).to.equal('rsa');
      fixture = await openFixture({ clients: [{ id: clientId, certificate: own.certificate }] });
      const using = ({ certificate, privateKey }: typeof own) =>
        fixture.backend({
          credentials: { kind: 'certificate', tenantId, clientId, certificate: privateKey + certificate },
        });
      expect(await list(using(own))).to.deep.equal([]);
      expect((await refusal(list(using(other)))).kind).to.equal('unauthorized');
    });

    describe('by what the machine has', () => {
      const names = ['AZURE_POD_IDENTITY_AUTHORITY_HOST', 'AZURE_FEDERATED_TOKEN_FILE'] as const;
      const before = Object.fromEntries(names.map((name) => [name, process.env[name]]));
      let place: string;

      beforeEach(async () => {
        place = await mkdtemp(join(tmpdir(), 'shr-azure-token-'));
      });
      afterEach(async () => {
        for (const name of names) {
          if (before[name] === undefined) delete process.env[name];
          else process.env[name] = before[name];
        }
        await rm(place, { recursive: true });
      });

      // One case: the SDK keeps the machine's tokens and address for the life of the process.
      it('works with a managed identity, not with one that the machine has not, and tells when jobs have it too', async () => {
        const own = { kind: 'managed-identity', clientId: demo.managedIdentity } as const;
        fixture = await openFixture({ identities: { [`${identities}/own`]: demo.managedIdentity } });
        process.env['AZURE_POD_IDENTITY_AUTHORITY_HOST'] = fixture.simulator.metadataUrl;
        await forgetMachine();
        expect(await list(fixture.ownBackend({ kind: 'managed-identity' }))).to.deep.equal([]);
        const error = await refusal(list(fixture.ownBackend({ kind: 'managed-identity', clientId })));
        expect(error.kind).to.equal('unauthorized');
        const provider = fixture.ownBackend(own, { runnerIdentities: [`${identities}/own`] });
        await provider.launch(launchOf('fixture-1'));
        const found = finding(await provider.check(), 'permissions');
        expect([found.ok, found.message]).to.deep.equal([false, "jobs have the dispatcher's own identity, own"]);
      });

      it('works with a workload identity, whose file names it, and not with another token', async () => {
        fixture = await openFixture({ clients: [{ id: clientId, federatedToken: 'signed-by-the-cluster' }] });
        const file = join(place, 'token');
        process.env['AZURE_FEDERATED_TOKEN_FILE'] = file;
        const credentials = { kind: 'workload-identity', tenantId, clientId } as const;
        await writeFile(file, 'signed-by-the-cluster\n');
        expect(await list(fixture.ownBackend(credentials))).to.deep.equal([]);
        await writeFile(file, 'signed-by-somebody\n');
        expect((await refusal(list(fixture.ownBackend(credentials)))).kind).to.equal('unauthorized');
      });
    });

    it('asks for a token once for many calls', async () => {
      fixture = await openFixture();
      const provider = fixture.backend();
      for (let index = 0; index < 3; index += 1) await list(provider);
      expect(
        fixture.calls.filter(({ operation, method }) => operation === 'token' && method === 'POST'),
      ).to.have.length(1);
    });

    it('is transient when Entra ID does not answer, and says so', async () => {
      fixture = await openFixture();
      fixture.simulator.fault({
        kind: 'refusal',
        operation: 'token',
        status: 503,
        code: 'temporarily_unavailable',
        message: 'x',
      });
      expect((await refusal(list(fixture.backend()))).kind).to.equal('transient');
    });

    it('does not trust an address whose certificate is not signed by a known authority', async () => {
      fixture = await openFixture();
      const error = await refusal(list(fixture.backend({ ca: makeClientCertificate('other').certificate })));
      // The SDK does not say why it could not sign in.
      expect(error.kind).to.equal('transient');
      expect(fixture.calls).to.deep.equal([]);
    });
  });

  describe('check', () => {
    it('finds wrong credentials, and says which', async () => {
      fixture = await openFixture({ clients: [{ id: demo.clientId, secret: 'another' }] });
      const found = finding(await fixture.backend().check(), 'credentials');
      expect(found.ok).to.equal(false);
      expect(found.message).to.include('AADSTS7000215').and.not.include(demo.clientSecret);
      expect(found.cure).to.include('clientSecret');
    });

    it('finds a missing role, resource group and region', async () => {
      fixture = await openFixture();
      const end = fixture.simulator.fault({ kind: 'no-permission', operation: 'list' });
      expect(finding(await fixture.backend().check(), 'permissions'))
        .to.include({ ok: false })
        .and.property('cure')
        .includes('role');
      end();
      expect(finding(await fixture.backend({ resourceGroup: 'nobodys' }).check(), 'permissions').cure).to.include(
        'az group create',
      );
      expect(finding(await fixture.backend({ location: 'northpole' }).check(), 'region').ok).to.equal(false);
    });

    it('finds a namespace that is not registered, by each of its codes', async () => {
      fixture = await openFixture();
      for (const code of [
        'MissingSubscriptionRegistration',
        'SubscriptionNotRegistered',
        'InvalidSubscriptionRegistrationState',
      ]) {
        const end = fixture.simulator.fault({ kind: 'refusal', operation: 'list', status: 409, code, message: 'x' });
        expect(finding(await fixture.backend().check(), 'permissions').cure, code).to.include('az provider register');
        end();
      }
    });

    describe('of a subnet', () => {
      const plain = demoSubnet.replace(/runners$/, 'plain');

      it('says that it is delegated, and whether there is a way out', async () => {
        fixture = await openFixture();
        const found = finding(await fixture.backend({ subnetId: demoSubnet }).check(), 'network');
        expect(found).to.include({
          ok: true,
          message:
            'the subnet runners is delegated to container groups and has no NAT gateway: runners reach GitHub by routes of yours, or not',
        });
      });

      it('finds one that is not delegated, and one that is not there', async () => {
        fixture = await openFixture({ plainSubnets: [plain] });
        const found = finding(await fixture.backend({ subnetId: plain }).check(), 'network');
        expect(found.ok).to.equal(false);
        expect(found.cure).to.equal(
          `az network vnet subnet update --ids ${plain} --delegations Microsoft.ContainerInstance/containerGroups`,
        );
        const absent = finding(await fixture.backend({ subnetId: `${demoSubnet}x` }).check(), 'network');
        expect(absent.ok).to.equal(false);
        expect(absent.cure).to.include(`az network vnet subnet show --ids ${demoSubnet}x`);
      });

      it('passes where reading it is not permitted, and fails where the service does not answer', async () => {
        fixture = await openFixture();
        const provider = fixture.backend({ subnetId: demoSubnet });
        const end = fixture.simulator.fault({ kind: 'no-permission', operation: 'subnet' });
        const hidden = finding(await provider.check(), 'network');
        expect(hidden.ok).to.equal(true);
        expect(hidden.message).to.include('Microsoft.Network/virtualNetworks/subnets/read');
        end();
        fixture.simulator.fault({ kind: 'server-error', operation: 'subnet' });
        expect(finding(await provider.check(), 'network').ok).to.equal(false);
      });
    });

    it('finds a quota that is used up', async () => {
      fixture = await openFixture({ quota: { groups: 1 } });
      const provider = fixture.backend();
      expect(finding(await provider.check(), 'quota').ok).to.equal(true);
      await provider.launch(launchOf('fixture-1'));
      const found = finding(await provider.check(), 'quota');
      expect([found.ok, found.message]).to.deep.equal([
        false,
        'ContainerGroups 1 of 1, StandardCores 1 of 100, StandardSpotCores 0 of 10',
      ]);
    });

    it('tells the quota of spot cores where there is spot capacity, and lets the rest pass without it', async () => {
      fixture = await openFixture({ quota: { spotCores: 0 } });
      const spot = finding(await fixture.backend().check(), 'quota');
      expect([spot.ok, spot.message]).to.deep.equal([
        true,
        'ContainerGroups 0 of 100, StandardCores 0 of 100, StandardSpotCores 0 of 0',
      ]);
      expect(finding(await fixture.backend({ zone: '1' }).check(), 'quota').message).to.not.include('Spot');
      const error = await refusal(fixture.backend().launch(launchOf('fixture-1', { shape: { ...shape, spot: true } })));
      expect([error.kind, error.message.includes("'StandardSpotCores'")]).to.deep.equal(['quota', true]);
    });

    it('fails on an identity that does not exist', async () => {
      fixture = await openFixture();
      const provider = fixture.backend();
      await provider.launch(launchOf('fixture-1'));
      await until(provider, 'fixture-1', 'running');
      const group = fixture.simulator.named('fixture-1');
      if (group === undefined) throw new Error('fixture-1 is not there');
      // As a policy of the subscription does.
      group.decoded = { ...group.decoded, identity: { type: 'SystemAssigned' } };
      const found = finding(await provider.check(), 'permissions');
      expect(found.ok).to.equal(false);
      expect(found.message).to.include('fixture-1').and.include('system-assigned');
    });
  });

  it('keeps to the budget of creations, and says when the next may leave', async () => {
    fixture = await openFixture();
    const provider = fixture.backend({ limits: { per5Minutes: 2, perHour: 300 } });
    await provider.launch(launchOf('fixture-1'));
    await provider.launch(launchOf('fixture-2'));
    const error = await refusal(provider.launch(launchOf('fixture-3')));
    expect([error.kind, error.code]).to.deep.equal(['throttled', 'own-budget']);
    expect(error.retryAfterMs).to.be.within(290_000, 300_000);
    expect(sent('create')).to.equal(2);
    expect(await provider.list({ dispatcher: 'fixture' }), 'reading goes on').to.have.length(2);
  });
});
