import { expect } from 'chai';
import { z } from 'zod';
import { withFormer } from '../../dispatcher/backends/former-provider.ts';
import { createProviderPool } from '../../dispatcher/backends/pool.ts';
import dockerModule from '../../providers/docker/index.ts';
import { type Provider, ProviderError, type ProviderModule } from '../../providers/provider.ts';
import { systemClock } from '../../time/clock.ts';
import { VirtualClock } from '../simulation/virtual-clock.ts';

const NO_CAPABILITIES: Provider['capabilities'] = {
  architectures: ['x64'],
  spot: false,
  dockerInDocker: false,
  disk: false,
  bucket: false,
  subnet: false,
  securityGroup: false,
  logs: true,
  secretEnvironment: true,
};

describe('the providers behind the backends', () => {
  const backend = (name: string, options: unknown) => ({
    name,
    kind: 'docker',
    region: undefined,
    options,
    maxRunners: 1,
  });

  it('are one where kind and options are the same: a service counts its rate by account, not by registration', async () => {
    const backends = createProviderPool({ clock: systemClock, random: () => 0.5 });
    const acme = { name: 'acme', backends: [backend('shared', {}), backend('own', { pidsLimit: 100 })] };
    const other = { name: 'other', backends: [backend('renamed', {})] };
    const [first, second, own] = await Promise.all([
      backends.of(acme, 'shared'),
      backends.of(other, 'renamed'),
      backends.of(acme, 'own'),
    ]);
    expect(second).to.equal(first);
    expect(own).to.not.equal(first);
    expect(backends.loaded('other', 'renamed')).to.equal(first);
    expect(backends.loaded('other', 'shared')).to.equal(undefined);
    await backends.close();
  });

  it('keep what was launched before a change reachable, and nothing longer than it is needed', async () => {
    const clock = new VirtualClock(1_000);
    const load = async (): Promise<ProviderModule> => ({ ...dockerModule, options: z.any(), create: serviceOf });
    const backends = createProviderPool({ clock, random: () => 0.5, load });
    const acme = (options: unknown) => ({ name: 'acme', backends: [backend('main', options)] });
    await backends.of(acme({ account: 'old', has: ['r1'] }), 'main');
    await clock.advance(1_000);
    const now = acme({ account: 'new', has: ['r2'] });
    backends.reconfigure(now);

    const before = await backends.of(now, 'main', 1_500);
    expect(await before.inspect({ name: 'r1' }), 'launched before').to.include({ state: 'running' });
    expect(await before.inspect({ name: 'r2' })).to.include({ state: 'running' });
    expect(await before.inspect({ name: 'r3' })).to.equal(undefined);
    const after = await backends.of(now, 'main', 2_001);
    expect(await after.inspect({ name: 'r1' }), 'launched after').to.equal(undefined);
    const gone = { name: 'acme', backends: [] };
    backends.reconfigure(gone);
    const last = await backends.of(gone, 'main', 1_500);
    expect(await last.inspect({ name: 'r1' })).to.include({ state: 'running' });

    expect(closed).to.deep.equal([]);
    backends.forgetFormer('acme');
    await clock.advance(0);
    await new Promise(setImmediate);
    expect([...closed].sort()).to.deep.equal(['new', 'old']);
    expect(await backends.of(gone, 'main', 1_500).catch(({ message }) => message)).to.match(/has no backend main/);
  });

  it('keep every earlier configuration that may have runners, and after very many launch nothing until they are gone', async () => {
    const clock = new VirtualClock(1_000);
    const load = async (): Promise<ProviderModule> => ({ ...dockerModule, options: z.any(), create: serviceOf });
    const backends = createProviderPool({ clock, random: () => 0.5, load });
    const version = (number: number) => ({
      name: 'acme',
      backends: [backend('main', { account: `v${number}`, has: [`r${number}`] })],
    });
    for (let number = 0; number < 50; number += 1) {
      backends.reconfigure(version(number));
      await backends.of(version(number), 'main');
      await clock.advance(1_000);
    }
    for (const number of [50, 51]) {
      backends.reconfigure(version(number));
      const refused = await backends.of(version(number), 'main').catch((error: unknown) => error);
      expect(refused)
        .to.be.instanceOf(ProviderError)
        .and.have.property('message')
        .that.matches(/changed 50 times/);
    }
    const first = await backends.of(version(51), 'main', 1_500);
    for (const name of ['r0', 'r1', 'r49'])
      expect(await first.inspect({ name }), name).to.include({ state: 'running' });
    backends.forgetFormer('acme');
    const present = await backends.of(version(51), 'main');
    expect(await present.inspect({ name: 'r51' })).to.include({ state: 'running' });
    await backends.close();
  });

  it('believe the present credentials where the earlier ones are refused, and nothing where a service fails', async () => {
    const absent = serviceOf({ account: 'new', has: [] });
    const refused = serviceOf({ account: 'old', has: [], fails: 'unauthorized' });
    const failing = serviceOf({ account: 'old', has: [], fails: 'transient' });
    expect(await withFormer(absent, [refused]).inspect({ name: 'r1' })).to.equal(undefined);
    await withFormer(absent, [refused]).stop({ name: 'r1' });
    for (const ask of [
      () => withFormer(absent, [failing]).inspect({ name: 'r1' }),
      () => withFormer(absent, [failing]).stop({ name: 'r1' }),
      () => withFormer(undefined, [refused]).inspect({ name: 'r1' }),
      () => withFormer(refused, [refused]).logs({ name: 'r1' }),
    ]) {
      expect(await ask().catch((error: unknown) => error)).to.be.instanceOf(ProviderError);
    }
    const found = serviceOf({ account: 'old', has: ['r1'] });
    expect(await withFormer(failing, [found]).inspect({ name: 'r1' })).to.include({ state: 'running' });
  });

  const closed: string[] = [];
  function serviceOf(options: unknown): Provider {
    const { account, fails, has } = z
      .object({
        account: z.string(),
        has: z.array(z.string()),
        fails: z.enum(['unauthorized', 'transient']).optional(),
      })
      .parse(options);
    const answer = async () => {
      if (fails !== undefined) throw new ProviderError(fails, 'test', 'as the test says');
    };
    return {
      capabilities: { ...NO_CAPABILITIES },
      fit: () => ({ fits: false, reason: 'not in this test' }),
      launch: () => Promise.reject(new Error('not in this test')),
      list: async () => [],
      check: async () => [],
      inspect: async (ref) => {
        await answer();
        return has.includes(ref.name) ? { ref: { ...ref, id: `${account}/${ref.name}` }, state: 'running' } : undefined;
      },
      stop: answer,
      logs: async () => {
        await answer();
        return undefined;
      },
      close: async () => void closed.push(account),
    };
  }
});
