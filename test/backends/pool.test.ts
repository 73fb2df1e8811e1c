import { expect } from 'chai';
import { createProviderPool } from '../../dispatcher/backends/pool.ts';
import { systemClock } from '../../time/clock.ts';

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
});
