import { expect } from 'chai';
import { stringify } from 'yaml';
import type { z } from 'zod';
import { tenantFile, tenantLimits, tenantPowers } from '../../dispatcher/config/schema.ts';
import { dispatcherYaml, load, problemsOf } from './files.ts';

type Grant = z.infer<typeof tenantFile>;

/** Everything that the registrations below ask for, and no more. */
const grant: Required<Omit<Grant, 'trusted' | 'limits' | 'powers' | 'requireHook' | 'hookImages' | 'weight'>> & {
  readonly limits: Required<NonNullable<Grant['limits']>>;
  readonly powers: Required<NonNullable<Grant['powers']>>;
} = {
  registrations: ['acme-*'],
  hosts: ['ghes.acme.example'],
  owners: ['acme'],
  enterprises: ['corp'],
  repositories: ['other/web-*'],
  labels: ['a-*'],
  priority: 3,
  runnerGroups: ['Big'],
  credentials: ['platform'],
  backends: ['ho*'],
  backendKinds: ['eci'],
  secretStores: ['gcp-secret:projects/acme-ci/secrets/acme-*'],
  bases: ['com*'],
  reservedRunners: 4,
  presets: ['large'],
  limits: {
    maxRegistrations: 3,
    maxRunners: 30,
    maxLaunchesPerMinute: 60,
    maxRunnersPerRun: 20,
    maxCpu: 8,
    maxMemoryGiB: 16,
    maxDiskGiB: 100,
    maxTimeout: '2h',
    workflows: ['CI'],
    branches: ['main'],
    events: ['push'],
    actors: ['octocat'],
  },
  powers: {
    images: ['ghcr.io/acme/*'],
    buckets: ['build-*'],
    subnets: ['vsw-*'],
    securityGroups: ['sg-*'],
    regions: ['eu-*'],
    publicRepositories: true,
    forks: true,
    dockerInDocker: true,
    spot: true,
  },
};

/** What a grant asks for, without which a tenant may do more; and what no registration asks for. */
const demands = ['requireHook', 'hookImages', 'weight'];

const shape = { image: 'ghcr.io/acme/runner:1', cpu: 8, memoryGiB: 16, timeLimit: '2h' };
const usual = {
  host: 'ghes.acme.example',
  credentials: { use: 'platform' },
  labels: ['A-runner'],
  defaults: shape,
  backends: [{ use: 'host' }],
};

const registrations = {
  'acme-greedy': {
    ...usual,
    organization: 'Acme',
    runnerGroup: 'Big',
    priority: 3,
    webhook: { secrets: ['${gcp-secret:projects/acme-ci/secrets/acme-webhook}'] },
    reservedRunners: 4,
    defaults: {
      ...shape,
      diskGiB: 100,
      bucket: 'build-cache',
      subnet: 'vsw-1',
      securityGroup: 'sg-1',
      spot: true,
      dockerInDocker: true,
    },
    policy: {
      maxCpu: 8,
      maxMemoryGiB: 16,
      maxDiskGiB: 100,
      maxTimeout: '2h',
      images: ['ghcr.io/acme/*'],
      buckets: ['build-*'],
      subnets: ['vsw-1*'],
      securityGroups: ['sg-?'],
      regions: ['EU-west'],
      publicRepositories: true,
      forks: true,
      dockerInDocker: true,
      spot: true,
    },
  },
  'acme-enterprise': { ...usual, enterprise: 'Corp', organizations: ['acme'], labels: ['a-corp'], runnerGroup: 'Big' },
  'acme-repository': { ...usual, extends: 'common', repositories: ['other/web-shop'], backends: [{ kind: 'eci' }] },
};

function files(tenants: unknown): Readonly<Record<string, string>> {
  const shared = {
    credentials: { platform: { host: 'ghes.acme.example', token: '${env:GITHUB_TOKEN}' } },
    backends: { host: { kind: 'docker' } },
    bases: { common: { chargeLabels: { team: 'acme' } } },
    tenants,
  };
  return {
    'dispatcher.yaml': dispatcherYaml + stringify(shared),
    ...Object.fromEntries(
      Object.entries(registrations).map(([name, file]) => [`registrations/${name}.yaml`, stringify(file)]),
    ),
  };
}

const without = (record: object, key: string): object =>
  Object.fromEntries(Object.entries(record).filter(([name]) => name !== key));

/** A case a field; `limits` and `powers` go by their own fields. */
const fields = [
  ...Object.keys(tenantFile.shape).filter((key) => key !== 'limits' && key !== 'powers' && key !== 'trusted'),
  ...Object.keys(tenantPowers.shape).map((key) => `powers.${key}`),
  ...Object.keys(tenantLimits.shape).map((key) => `limits.${key}`),
];

function lacking(field: string): object {
  const [section, key] = field.split('.');
  if (section === 'powers' && key !== undefined) return { ...grant, powers: without(grant.powers, key) };
  if (section === 'limits' && key !== undefined) return { ...grant, limits: without(grant.limits, key) };
  return without(grant, field);
}

// T2
describe('a tenant’s grant', () => {
  it('is enough when it holds all that its registrations ask for', async () => {
    expect(await problemsOf(files({ acme: grant }))).to.deep.equal([]);
  });

  it('knows no field that is not tried here', () => {
    expect(Object.keys(grant).sort()).to.deep.equal(
      Object.keys(tenantFile.shape)
        .filter((key) => key !== 'trusted' && !demands.includes(key))
        .sort(),
    );
    expect(Object.keys(grant.limits)).to.deep.equal(Object.keys(tenantLimits.shape));
    expect(Object.keys(grant.powers)).to.deep.equal(Object.keys(tenantPowers.shape));
  });

  it('is not asked for when the tenant is trusted', async () => {
    expect(await problemsOf(files({ acme: { trusted: true, registrations: ['acme-*'] } }))).to.deep.equal([]);
    expect(await problemsOf(files({ acme: { registrations: ['acme-*'] } }))).to.not.be.empty;
  });

  /** Without a limit of these there is none, or a default. */
  const unlimited = [
    'presets',
    'limits.maxRegistrations',
    'limits.maxRunners',
    'limits.maxLaunchesPerMinute',
    'limits.maxRunnersPerRun',
    'limits.maxCpu',
    'limits.maxMemoryGiB',
    'limits.workflows',
    'limits.branches',
    'limits.events',
    'limits.actors',
  ];
  for (const field of fields) {
    if (unlimited.includes(field) || demands.includes(field)) continue;
    it(`does not allow without \`${field}\` what that would`, async () => {
      const problems = await problemsOf(files({ acme: lacking(field) }));
      expect(problems).to.not.be.empty;
      for (const problem of problems) {
        expect(problem).to.match(/^registrations\/acme-\w+\.yaml/);
        if (field === 'registrations') expect(problem).to.include('to the `registrations` of a tenant');
        else
          expect(problem).to.match(new RegExp(`\`tenants\\.acme\\.${field}[:\`].*\\(dispatcher\\.yaml:\\d+:\\d+\\)`));
      }
    });
  }

  const smaller: Readonly<Record<keyof typeof grant.limits, readonly [unknown, readonly string[]]>> = {
    // Of no single file: tried below.
    maxRegistrations: [3, []],
    maxRunners: [9, ['maxRunners']],
    // Of a moment, not of a file.
    maxLaunchesPerMinute: [9, []],
    maxRunnersPerRun: [9, []],
    maxCpu: [7, ['defaults.cpu', 'policy.maxCpu']],
    maxMemoryGiB: [15, ['defaults.memoryGiB', 'policy.maxMemoryGiB']],
    maxDiskGiB: [99, ['defaults.diskGiB', 'policy.maxDiskGiB']],
    maxTimeout: ['119m', ['defaults.timeLimit', 'policy.maxTimeout']],
    // Of each job.
    workflows: [['CD'], []],
    branches: [['release/*'], []],
    events: [['push'], []],
    actors: [['octo*'], []],
  };
  for (const [limit, [value, places]] of Object.entries(smaller)) {
    it(`holds defaults and policy to \`limits.${limit}\``, async () => {
      const problems = await problemsOf(files({ acme: { ...grant, limits: { ...grant.limits, [limit]: value } } }));
      for (const place of places) {
        const told = problems.filter((problem) => problem.includes(`: ${place}: `));
        expect(told, problems.join('\n')).to.not.be.empty;
        expect(told[0]).to.include(`tenants.acme.limits.${limit}`);
      }
    });
  }

  it('sets aside the registrations that are more than `limits.maxRegistrations`, and says the line that would allow them', async () => {
    const problems = await problemsOf(files({ acme: { ...grant, limits: { ...grant.limits, maxRegistrations: 2 } } }));
    expect(problems).to.have.length(1);
    expect(problems[0]).to.match(
      /^registrations\/acme-repository\.yaml.*tenant `acme` has 3 registrations, and the limit is 2.*`tenants\.acme\.limits\.maxRegistrations: 3` \(dispatcher\.yaml:\d+:\d+\)/,
    );
  });

  it('allows 100 registrations where it says no number, and does not read the files of more', async () => {
    const many = Object.fromEntries(
      Array.from({ length: 103 }, (_, index) => [`registrations/b-${100 + index}.yaml`, 'not: a registration']),
    );
    const b = { ...grant, registrations: ['b-*'], repositories: [], owners: ['b'], enterprises: [], labels: ['b'] };
    const tenants = { acme: grant, b: { ...b, limits: without(grant.limits, 'maxRegistrations') } };
    const problems = await problemsOf({ ...files(tenants), ...many });
    const beyond = problems.filter((problem) => problem.includes('the limit is 100'));
    expect(beyond.map((problem) => /b-\d+/.exec(problem)?.[0])).to.deep.equal(['b-200', 'b-201', 'b-202']);
    expect(problems.filter((problem) => /b-20[0-2]/.test(problem))).to.deep.equal(beyond);
    expect(problems.filter((problem) => problem.includes('acme'))).to.deep.equal([]);
  });

  it('counts the runners of all registrations of a tenant together', async () => {
    const problems = await problemsOf(files({ acme: { ...grant, limits: { ...grant.limits, maxRunners: 29 } } }));
    expect(problems).to.have.length(1);
    expect(problems[0]).to.include(
      'acme-repository.yaml:1:1: maxRunners: the registrations of tenant `acme` together have 30 runners, and the limit is 29',
    );
  });

  for (const limit of ['maxCpu', 'maxMemoryGiB', 'maxTimeout'] as const) {
    it(`wants a default where \`limits.${limit}\` leaves the service to choose`, async () => {
      const key = { maxCpu: 'cpu', maxMemoryGiB: 'memoryGiB', maxTimeout: 'timeLimit' }[limit];
      const open = { ...registrations['acme-repository'], defaults: without(shape, key) };
      const all = { ...files({ acme: grant }), 'registrations/acme-repository.yaml': stringify(open) };
      const problems = await problemsOf(all);
      expect(problems).to.have.length(1);
      expect(problems[0]).to.include(`Add \`defaults.${key}\``);
    });
  }

  it('is in the configuration as it was written, and on its registrations', async () => {
    const loaded = await load(files({ acme: grant, ops: { trusted: true } }));
    if (!loaded.ok) throw new Error('not loaded');
    const { dispatcher, registrations: read } = loaded.configuration;
    const [acme, ops] = dispatcher.tenants ?? [];
    expect(ops).to.deep.equal({ name: 'ops', registrations: ['ops'], grant: undefined });
    const { places, ...granted } = acme?.grant ?? { places: {} };
    expect(granted).to.deep.equal({
      tenant: 'acme',
      hosts: ['ghes.acme.example'],
      owners: ['acme'],
      enterprises: ['corp'],
      repositories: ['other/web-*'],
      labels: ['a-*'],
      maxPriority: 3,
      runnerGroups: ['Big'],
      credentials: ['platform'],
      backends: ['ho*'],
      backendKinds: ['eci'],
      secretStores: ['gcp-secret:projects/acme-ci/secrets/acme-*'],
      bases: ['com*'],
      reservedRunners: 4,
      presets: ['large'],
      limits: {
        maxRegistrations: 3,
        maxRunners: 30,
        maxLaunchesPerMinute: 60,
        maxRunnersPerRun: 20,
        maxCpu: 8,
        maxMemoryGiB: 16,
        maxDiskGiB: 100,
        maxTimeLimitMs: 7_200_000,
        workflows: ['CI'],
        branches: ['main'],
        events: ['push'],
        actors: ['octocat'],
      },
      powers: grant.powers,
    });
    expect(places)
      .to.have.property('powers.spot')
      .that.matches(/^dispatcher\.yaml:\d+:7$/);
    for (const registration of read) expect(registration.grant).to.equal(acme?.grant);
  });
});
