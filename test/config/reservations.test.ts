import { expect } from 'chai';
import { stringify } from 'yaml';
import { configured, dispatcherYaml, problemsOf } from './files.ts';

const tenant = (name: string, some: object = {}) => ({
  ...{
    hosts: ['github.com'],
    owners: [name],
    labels: [name],
    backends: ['host'],
    credentials: ['platform'],
    runnerGroups: ['Default'],
    powers: { images: ['*'] },
  },
  ...some,
});
const file = (name: string, some: object = {}) => ({
  ...{ organization: name, credentials: { use: 'platform' }, labels: [name] },
  ...{ defaults: { image: 'ghcr.io/acme/runner:1', cpu: 1, memoryGiB: 1 }, backends: [{ use: 'host' }] },
  ...some,
});

const shared = {
  backends: { host: { kind: 'docker' } },
  credentials: { platform: { host: 'github.com', token: '${env:GITHUB_TOKEN}' } },
};

function files(platform: object, registrations: Readonly<Record<string, object>>): Readonly<Record<string, string>> {
  return {
    'dispatcher.yaml': dispatcherYaml + stringify({ ...shared, ...platform }),
    ...Object.fromEntries(
      Object.entries(registrations).map(([name, some]) => [`registrations/${name}.yaml`, stringify(file(name, some))]),
    ),
  };
}

describe('reserved runners and weights', () => {
  it('are in the configuration as they were written', async () => {
    const tenants = { acme: tenant('acme', { reservedRunners: 5, weight: 3 }), ops: { trusted: true } };
    const { registrations } = await configured(
      files({ tenants }, { acme: { reservedRunners: 2 }, ops: { reservedRunners: 7, weight: 2 } }),
    );
    const [acme, ops] = registrations;
    expect(acme).to.include({ reservedRunners: 2 }).and.not.have.property('weight');
    expect(acme?.grant).to.include({ reservedRunners: 5, weight: 3 });
    expect(ops).to.include({ reservedRunners: 7, weight: 2 });
  });

  for (const [what, platform, registrations, words] of [
    [
      'more than the dispatcher has, of tenants',
      {
        limits: { maxRunners: 10 },
        tenants: { acme: tenant('acme', { reservedRunners: 6 }), b: tenant('b', { reservedRunners: 5 }) },
      },
      {},
      /tenants\.b\.reservedRunners: with this the tenants have 11 runners reserved, and the dispatcher has 10/,
    ],
    [
      'more than the dispatcher has, of tenants and the platform’s own',
      { limits: { maxRunners: 10 }, tenants: { acme: tenant('acme', { reservedRunners: 6 }), ops: { trusted: true } } },
      { ops: { reservedRunners: 5 } },
      /ops\.yaml.*: reservedRunners: with this 11 runners are reserved, and the dispatcher has 10/,
    ],
    [
      'more than the tenant may have',
      { tenants: { acme: tenant('acme', { reservedRunners: 6, limits: { maxRunners: 5 } }) } },
      {},
      /tenants\.acme\.reservedRunners: 6 runners are reserved, and the tenant may have 5/,
    ],
    [
      'more than the registration may have',
      { tenants: { ops: { trusted: true } } },
      { ops: { reservedRunners: 6, maxRunners: 5 } },
      /ops\.yaml.*: reservedRunners: 6 runners are reserved, and the registration may have 5/,
    ],
    [
      'more in a tenant’s file than are reserved for the tenant',
      { tenants: { acme: tenant('acme', { reservedRunners: 2 }) } },
      { acme: { reservedRunners: 3 } },
      /acme\.yaml.*reserve 3 runners, and 2 are reserved for it.*`tenants\.acme\.reservedRunners: 3` \(dispatcher\.yaml:\d+:\d+\)/,
    ],
    [
      'a weight in a tenant’s file',
      { tenants: { acme: tenant('acme') } },
      { acme: { weight: 3 } },
      /acme\.yaml.*weight: the platform gives weights to tenants.*`tenants\.acme\.weight: 3`/,
    ],
    [
      'a reservation of a trusted tenant, whose registrations have their own',
      { tenants: { ops: { trusted: true, reservedRunners: 3 } } },
      {},
      /tenants\.ops\.reservedRunners: the registrations of a trusted tenant are the platform's own/,
    ],
  ] as const) {
    it(`are refused: ${what}`, async () => {
      const problems = await problemsOf(files(platform, registrations));
      expect(problems.join('\n')).to.match(words);
    });
  }
});
