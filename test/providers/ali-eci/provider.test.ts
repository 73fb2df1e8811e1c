import { createServer } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import { z } from 'zod';
import { createImageCache } from '../../../providers/ali-eci/index.ts';
import { type Finding, ProviderError } from '../../../providers/provider.ts';
import { testHost } from '../../conformance/harness.ts';
import { eventually, type Fixture, IMAGE, openFixture, rejection, requestFor, SECRET } from './fixture.ts';

describe('ali-eci, over the wire', () => {
  let fixture: Fixture;
  let count = 0;
  const nextName = (): string => {
    count += 1;
    return `fixture-${count}`;
  };

  before(async () => {
    fixture = await openFixture({
      timings: { secondMs: 20 },
      ramRoles: ['jobs'],
      vSwitches: [
        { id: 'vsw-simulated-a', zone: 'cn-hangzhou-a', addresses: 100 },
        { id: 'vsw-simulated-b', zone: 'cn-hangzhou-b', addresses: 0 },
      ],
      accessKeys: [
        { id: 'LTAI-simulated', secret: 'simulated-secret' },
        { id: 'STS.simulated', secret: 'temporary', securityToken: 'the+token/=' },
      ],
    });
  });
  afterEach(async () => {
    fixture.simulator.clearFaults();
    const provider = fixture.provider();
    await Promise.all(fixture.simulator.groups.map((group) => provider.stop({ name: group.decoded.name })));
    expect(fixture.simulator.groups).to.deep.equal([]);
  });
  after(() => fixture.close());

  const launched = async (options: object = {}, wish: object = {}) => {
    const provider = fixture.provider({ ...options });
    const name = nextName();
    await provider.launch(requestFor(provider, name, wish));
    await eventually(
      () => provider.inspect({ name }),
      (seen) => seen?.state === 'running',
    );
    return { provider, name };
  };
  const kindOf = (error: unknown): string => {
    if (!(error instanceof ProviderError)) throw error;
    return error.kind;
  };
  const bad = (findings: readonly Finding[]): readonly Finding[] => findings.filter(({ ok }) => !ok);

  describe('a launch', () => {
    it('whose answer never comes is transient in time, and is found by its name', async () => {
      const provider = fixture.provider({ timeoutMs: 400 });
      const request = requestFor(provider, nextName());
      fixture.simulator.fault({ kind: 'lost-answer', action: 'CreateContainerGroup', times: 1, how: 'hang' });
      const startedAt = Date.now();
      const error = await rejection(provider.launch(request));
      expect(error).to.be.instanceOf(ProviderError).and.include({ kind: 'transient', code: 'timeout' });
      expect(Date.now() - startedAt).to.be.within(300, 3000);
      const again = await provider.launch(request);
      expect(fixture.simulator.groups.map(({ id }) => id)).to.deep.equal([again.ref.id]);
    });

    it('of a new name is one call, and is found when it is repeated', async () => {
      const provider = fixture.provider();
      const request = requestFor(provider, nextName());
      const before = fixture.calls.length;
      const instance = await provider.launch({ ...request, nameIsNew: true });
      expect(fixture.calls.slice(before).map(({ action }) => action)).to.deep.equal(['CreateContainerGroup']);
      expect((await fixture.provider().launch(request)).ref).to.deep.equal(instance.ref);
    });

    it('survives a connection that had been closed meanwhile, with one instance', async () => {
      const provider = fixture.provider();
      const request = requestFor(provider, nextName());
      // The look before it has left a connection that is kept.
      fixture.simulator.fault({ kind: 'lost-answer', action: 'CreateContainerGroup', times: 1, how: 'reset' });
      const instance = await provider.launch(request);
      expect(fixture.simulator.groups.map(({ id }) => id)).to.deep.equal([instance.ref.id]);
    });

    it('of a name that is just being deleted makes a new instance, and inspect shows that one', async () => {
      const slow = await openFixture({ timings: { cleanUpMs: 6000 } });
      const provider = slow.provider();
      const request = requestFor(provider, 'fixture-again');
      const first = await provider.launch(request);
      await provider.stop({ name: request.name });
      expect(slow.simulator.groups[0]?.status).to.equal('Terminating');
      const second = await provider.launch(request);
      expect(second.ref.id).to.not.equal(first.ref.id);
      expect((await provider.inspect({ name: request.name }))?.ref).to.deep.equal(second.ref);
      await slow.close();
    });

    it('waits longer than the SDK would by itself', async () => {
      const provider = fixture.provider();
      fixture.simulator.fault({ kind: 'latency', action: 'CreateContainerGroup', ms: 3300 });
      const instance = await provider.launch(requestFor(provider, nextName()));
      expect(instance.state).to.equal('pending');
    });

    for (const [fault, kind] of [
      ['no-stock', 'capacity'],
      ['quota', 'quota'],
      ['throttling', 'throttled'],
      ['server-error', 'transient'],
      ['no-permission', 'unauthorized'],
    ] as const) {
      it(`that meets ${fault} is ${kind}, and leaves nothing`, async () => {
        const provider = fixture.provider();
        fixture.simulator.fault({ kind: fault, action: 'CreateContainerGroup' });
        expect(kindOf(await rejection(provider.launch(requestFor(provider, nextName()))))).to.equal(kind);
        expect(fixture.simulator.groups).to.deep.equal([]);
      });
    }

    it('that is throttled says for how long', async () => {
      const provider = fixture.provider();
      fixture.simulator.fault({ kind: 'throttling', action: 'CreateContainerGroup', retryAfterMs: 1700 });
      const error = await rejection(provider.launch(requestFor(provider, nextName())));
      expect(error).to.include({ kind: 'throttled', retryAfterMs: 1700 });
    });

    it('that is throttled holds the next creations back, and no reads', async () => {
      const provider = fixture.provider();
      fixture.simulator.fault({ kind: 'throttling', action: 'CreateContainerGroup', retryAfterMs: 300_000 });
      await rejection(provider.launch(requestFor(provider, nextName())));
      const next = await rejection(provider.launch(requestFor(provider, nextName())));
      expect(next).to.include({ kind: 'throttled', code: 'own-budget' });
      expect(await provider.list({ dispatcher: 'nobody' })).to.deep.equal([]);
    });

    it('that is accepted and then finds no stock is a failed instance with that reason', async () => {
      const provider = fixture.provider();
      const name = nextName();
      fixture.simulator.fault({ kind: 'fails-later', times: 1 });
      expect((await provider.launch(requestFor(provider, name))).state).to.equal('pending');
      const seen = await eventually(
        () => provider.inspect({ name }),
        (found) => found?.state === 'failed',
      );
      expect(seen?.reason?.kind).to.equal('no-stock');
      expect(seen?.reason?.message).to.include('out of stock');
      const [listed] = await provider.list({ dispatcher: 'fixture' });
      expect(listed?.reason?.kind, 'list says it too').to.equal('no-stock');
    });

    it('goes on to the next vSwitch where one has no address left, and is capacity where none has', async () => {
      const next = fixture.provider({ vSwitchIds: ['vsw-simulated-b', 'vsw-simulated-a'] });
      const name = nextName();
      await next.launch(requestFor(next, name));
      expect(fixture.simulator.named(name)?.vSwitch.id).to.equal('vsw-simulated-a');
      const full = fixture.provider({ vSwitchIds: ['vsw-simulated-b'] });
      const error = await rejection(full.launch(requestFor(full, nextName())));
      expect(error).to.include({ kind: 'capacity', code: 'InvalidVSwitchId.IpNotEnough' });
    });

    it('as spot is of a size that is sold as such', async () => {
      const provider = fixture.provider();
      const refused = { ...requestFor(provider, nextName()) };
      expect(
        kindOf(await rejection(provider.launch({ ...refused, shape: { ...refused.shape, spot: true } }))),
        'not rounded by fit',
      ).to.equal('invalid');
      const name = nextName();
      await provider.launch(requestFor(provider, name, { spot: true }));
      expect(fixture.simulator.named(name)?.decoded).to.include({ cpu: 2, spotStrategy: 'SpotAsPriceGo' });
    });

    it('works with temporary credentials, and not with half of them', async () => {
      const sts = { accessKeyId: 'STS.simulated', accessKeySecret: 'temporary' };
      const provider = fixture.provider({ ...sts, securityToken: 'the+token/=' });
      await provider.launch(requestFor(provider, nextName()));
      const without = fixture.provider(sts);
      expect(kindOf(await rejection(without.launch(requestFor(without, nextName()))))).to.equal('unauthorized');
    });

    for (const secretsBy of ['config-file', 'hidden-environment'] as const) {
      it(`hands secrets over to the last byte by ${secretsBy}`, async () => {
        const provider = fixture.provider({
          secretsBy,
          command: [
            'sh',
            '-c',
            'printf %s "$ODD" | base64 -w0; printf " "; printf %s "$LONG" | base64 -w0; env | grep -c ^SHR_',
          ],
        });
        const ODD = `\n"quoted" 'single' \\ $HOME \`id\` €${'ü𝄞'.repeat(300)}\n\n`;
        const LONG = 'x'.repeat(1000);
        const name = nextName();
        await provider.launch({
          ...requestFor(provider, name),
          environment: { LONG },
          secretEnvironment: { ODD },
        });
        await eventually(
          () => provider.inspect({ name }),
          (seen) => seen?.reason?.kind === 'exited',
        );
        const [odd, long] = ((await provider.logs({ name })) ?? '').split(/\s/);
        expect(Buffer.from(odd ?? '', 'base64').toString()).to.equal(ODD);
        expect(Buffer.from((long ?? '').replace(/\d+$/, ''), 'base64').toString()).to.include('x'.repeat(990));
      });
    }
  });

  it('repeats no secret that the service repeats, in no form that it was sent in', async () => {
    for (const secretsBy of ['config-file', 'hidden-environment'] as const) {
      const provider = fixture.provider({ secretsBy });
      const sent = [SECRET, Buffer.from(SECRET).toString('base64'), SECRET.slice(256, 512)];
      fixture.simulator.fault({
        kind: 'refusal',
        action: 'CreateContainerGroup',
        times: 1,
        status: 400,
        code: 'InvalidParameter',
        message: `Values ${sent.join(' and ')} are invalid`,
      });
      const error = await rejection(provider.launch(requestFor(provider, nextName())));
      expect(kindOf(error)).to.equal('invalid');
      expect(String(error)).to.include('are invalid');
      for (const text of sent) expect(String(error)).to.not.include(text.slice(0, 40));
    }
  });

  it('repeats no credential that the service repeats, such as the token in what it signed itself', async () => {
    const provider = fixture.provider({
      accessKeyId: 'STS.simulated',
      accessKeySecret: 'temporary',
      securityToken: 'the+token/=',
    });
    const message = 'server canonical request is: x-acs-security-token:the+token/= temporary';
    fixture.simulator.fault({ kind: 'refusal', times: 1, status: 400, code: 'SignatureDoesNotMatch', message });
    const error = await rejection(provider.list({ dispatcher: 'fixture' }));
    expect(String(error)).to.include('x-acs-security-token:[secret] [secret]');
  });

  it('does not take a proxy’s answer for the service’s', async () => {
    for (const status of [200, 302]) {
      const proxy = createServer((_, response) => response.writeHead(status).end('{}'));
      await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
      const address = z.object({ port: z.number() }).parse(proxy.address());
      const provider = fixture.provider({ endpoint: `http://127.0.0.1:${address.port}` });
      expect(kindOf(await rejection(provider.inspect({ name: 'fixture-proxy' }))), `${status}`).to.equal('transient');
      expect(kindOf(await rejection(provider.list({ dispatcher: 'fixture' }))), `${status}`).to.equal('transient');
      proxy.closeAllConnections();
      proxy.close();
    }
  });

  it('keeps to its share of the rate', async () => {
    const looks = (rateShare: number) => {
      const provider = fixture.provider({ rateShare, timeoutMs: 1000 });
      return Promise.allSettled(Array.from({ length: 5 }, () => provider.inspect({ name: 'fixture-never' })));
    };
    const refused = (await looks(0.01)).flatMap((look) => (look.status === 'rejected' ? [look.reason] : []));
    expect(refused).to.not.deep.equal([]);
    for (const error of refused) expect(error).to.include({ kind: 'throttled', code: 'own-budget' });
    expect((await looks(0.8)).every(({ status }) => status === 'fulfilled')).to.equal(true);
  });

  it('ends the calls that are on their way when it is closed, and sends none anew', async () => {
    const provider = fixture.provider();
    await provider.list({ dispatcher: 'fixture' });
    const before = fixture.calls.length;
    fixture.simulator.fault({ kind: 'latency', action: 'DescribeContainerGroups', ms: 600, times: 1 });
    const listing = rejection(provider.list({ dispatcher: 'fixture' }));
    await delay(100);
    await provider.close();
    expect(kindOf(await listing)).to.equal('transient');
    await delay(700);
    expect(fixture.calls.length - before, 'calls that arrived').to.equal(1);
  });

  describe('without its permissions', () => {
    it('never takes the empty list for an empty account', async () => {
      const { provider, name } = await launched();
      const [ref] = (await provider.list({ dispatcher: 'fixture' })).map((instance) => instance.ref);
      fixture.simulator.fault({ kind: 'no-permission', action: 'DescribeContainerGroups' });
      for (const [what, call] of [
        ['list', () => provider.list({ dispatcher: 'fixture' })],
        ['inspect by name', () => provider.inspect({ name })],
        ['inspect by id', () => provider.inspect(ref ?? { name })],
        ['stop', () => provider.stop({ name })],
        ['logs', () => provider.logs({ name })],
      ] as const) {
        const error = await rejection(call());
        expect(kindOf(error), what).to.equal('transient');
        expect(String(error), what).to.include('eci:DescribeContainerGroups');
      }
      expect(fixture.simulator.named(name)?.status).to.equal('Running');
    });

    it('does not take a refused stop for done when the list turns empty too', async () => {
      const name = 'fixture-refused-stop';
      const refusing = await openFixture({
        onCall: ({ action, status }) => {
          if (action === 'DeleteContainerGroup' && status === 403) {
            refusing.simulator.fault({ kind: 'no-permission', action: 'DescribeContainerGroups' });
          }
        },
      });
      const provider = refusing.provider();
      const instance = await provider.launch(requestFor(provider, name));
      refusing.simulator.fault({ kind: 'no-permission', action: 'DeleteContainerGroup' });
      expect(await rejection(provider.stop(instance.ref))).to.be.instanceOf(ProviderError);
      await refusing.close();
    });

    it('looks at all pages of the call that bears an empty list out', async () => {
      const short = await openFixture({ shortPages: true });
      const provider = short.provider();
      await provider.launch(requestFor(provider, 'fixture-pages'));
      short.simulator.fault({ kind: 'no-permission', action: 'DescribeContainerGroups' });
      expect(kindOf(await rejection(provider.list({ dispatcher: 'fixture' })))).to.equal('transient');
      expect(
        bad(await provider.check())
          .map(({ message }) => message)
          .join(),
      ).to.include('hidden');
      await short.close();
    });

    it('says unauthorized where every call is refused', async () => {
      const { provider, name } = await launched();
      fixture.simulator.fault({ kind: 'no-permission' });
      expect(kindOf(await rejection(provider.list({ dispatcher: 'fixture' })))).to.equal('unauthorized');
      expect(kindOf(await rejection(provider.inspect({ name })))).to.equal('unauthorized');
    });

    it('does not trust an empty list while ListUsage is refused', async () => {
      const provider = fixture.provider();
      expect(await provider.inspect({ name: 'fixture-never' })).to.equal(undefined);
      fixture.simulator.fault({ kind: 'no-permission', action: 'DescribeContainerGroups' });
      fixture.simulator.fault({ kind: 'no-permission', action: 'ListUsage' });
      expect(kindOf(await rejection(provider.inspect({ name: 'fixture-never' })))).to.equal('unauthorized');
      expect(kindOf(await rejection(provider.list({ dispatcher: 'fixture' })))).to.equal('unauthorized');
    });

    it('is found by check', async () => {
      await launched();
      const provider = fixture.provider({ vSwitchIds: ['vsw-simulated-a'] });
      const end = fixture.simulator.fault({ kind: 'no-permission', action: 'DescribeContainerGroups' });
      const findings = bad(await provider.check());
      expect(findings.map(({ subject }) => subject)).to.deep.equal(['permissions']);
      expect(findings[0]?.message).to.include('hidden');
      expect(findings[0]?.cure).to.include('eci:DescribeContainerGroups');
      end();
      expect(bad(await provider.check())).to.deep.equal([]);
    });
  });

  describe('an instance', () => {
    it('that is reclaimed says so', async () => {
      const { provider, name } = await launched({}, { spot: true });
      await fixture.simulator.reclaim(name);
      expect(await provider.inspect({ name }))
        .to.deep.include({ state: 'failed' })
        .and.have.nested.property('reason.kind', 'spot-reclaimed');
    });

    it('that takes too much memory says so', async () => {
      const { provider, name } = await launched();
      await fixture.simulator.runOutOfMemory(name);
      const seen = await eventually(
        () => provider.inspect({ name }),
        (found) => found?.state === 'failed',
      );
      expect(seen?.reason).to.include({ kind: 'out-of-memory', exitCode: 137 });
    });

    it('is ended by the service at its time limit', async () => {
      const { provider, name } = await launched({}, { timeLimitMs: 10_000 });
      const seen = await eventually(
        () => provider.inspect({ name }),
        (found) => found?.state === 'failed',
      );
      expect(seen?.reason?.kind).to.equal('time-limit');
    });
  });

  describe('check', () => {
    const findings = async (options: object = {}): Promise<string[]> => {
      const found = await fixture.provider({ vSwitchIds: ['vsw-simulated-a'], ...options }).check();
      for (const finding of bad(found)) expect(finding.cure, finding.message).to.match(/\w{3,}/);
      return bad(found).map(({ subject, message }) => `${subject}: ${message}`);
    };

    it('finds nothing on a good backend, and says what it looked at', async () => {
      const provider = fixture.provider({ vSwitchIds: ['vsw-simulated-a'] });
      const found = await provider.check();
      expect(bad(found)).to.deep.equal([]);
      expect(found.map(({ message }) => message).join('\n'))
        .to.include('100 free addresses')
        .and.include('no identity')
        .and.include('dry run');
      expect(fixture.simulator.groups, 'a dry run leaves nothing').to.deep.equal([]);
    });

    it('tells how many addresses are free, and no number where it may not ask', async () => {
      const provider = fixture.provider({ vSwitchIds: ['vsw-simulated-a'] });
      expect(await provider.freeAddresses?.()).to.deep.equal([{ network: 'vsw-simulated-a', free: 100 }]);
      const none = fixture.provider({ vSwitchIds: ['vsw-of-nobody'] });
      expect(await none.freeAddresses?.().catch(() => [])).to.deep.equal([]);
    });

    it('names a key that is not accepted, without showing the secret', async () => {
      const [finding, ...others] = await findings({ accessKeySecret: 'wr0ng-secret' });
      expect(finding).to.include('credentials: ').and.include('SignatureDoesNotMatch').and.not.include('wr0ng-secret');
      expect(others).to.deep.equal([]);
    });

    it('names a vSwitch that is full, and one that does not exist', async () => {
      expect((await findings({ vSwitchIds: ['vsw-simulated-b'] })).join('\n')).to.include('no free address');
      expect((await findings({ vSwitchIds: ['vsw-nowhere'] })).join('\n')).to.include('vsw-nowhere');
    });

    it('names a security group that does not exist', async () => {
      expect((await findings({ securityGroupId: 'sg-nowhere' })).join('\n'))
        .to.include('network: ')
        .and.include('sg-nowhere');
    });

    it('names a role that is not there, and warns of the dispatcher’s own', async () => {
      expect(await findings({ ramRoleName: 'jobs' })).to.deep.equal([]);
      expect((await findings({ ramRoleName: 'no-such-role' })).join('\n')).to.include('permissions: ');
    });

    it('tells a lack of stock or an answer that does not come from a lack of permission', async () => {
      for (const kind of ['no-stock', 'server-error', 'throttling'] as const) {
        const end = fixture.simulator.fault({ kind, action: 'CreateContainerGroup' });
        expect((await findings()).join('\n'), kind).to.match(/^region: /);
        end();
      }
    });

    it('names creations that are not permitted', async () => {
      fixture.simulator.fault({ kind: 'no-permission', action: 'CreateContainerGroup' });
      expect((await findings()).join('\n'))
        .to.include('permissions: ')
        .and.include('Forbidden.RAM');
    });
  });

  describe('an image cache', () => {
    it('is made once for an image, and shows how far it is', async () => {
      const make = () => createImageCache(fixture.options(), testHost(), IMAGE);
      const first = await make();
      expect(first.status).to.equal('Preparing');
      const ready = await eventually(make, (cache) => cache.status === 'Ready');
      expect(ready).to.deep.include({ id: first.id, name: first.name, progress: '100%' });
      const other = await createImageCache(fixture.options(), testHost(), 'another:1');
      expect(other.id).to.not.equal(first.id);
    });

    it('is refused in the service’s words', async () => {
      fixture.simulator.fault({ kind: 'no-permission', action: 'CreateImageCache' });
      expect(kindOf(await rejection(createImageCache(fixture.options(), testHost(), 'third:1')))).to.equal(
        'unauthorized',
      );
      expect(kindOf(await rejection(createImageCache(fixture.options(), testHost(), ' ')))).to.equal('invalid');
    });
  });
});
