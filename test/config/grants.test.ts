import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import { stringify as withAliases } from 'yaml';
import { tenantFile, tenantLimits, tenantPowers } from '../../dispatcher/config/schema.ts';
import { appKey, load, problemsOf, provider } from './files.ts';

const environment = {
  ADMIN_TOKEN: 'an-admin-token-of-32-characters!',
  PLATFORM_TOKEN: 'ghp_of-the-platform',
  OTHER_TOKEN: 'ghp_of-the-platform-elsewhere',
  HOOK: 'whsec_of-a-tenant-and-long-enough',
  TENANT_A_TOKEN: 'ghp_of-a',
  TENANT_B_TOKEN: 'ghp_of-b',
  TENANT_A_HOOK: 'whsec_of-a-and-long-enough',
  TENANT_B_HOOK: 'whsec_of-b-and-long-enough',
};

/** Written out, so that each has a line of its own. */
const stringify = (value: unknown): string => withAliases(value, { aliasDuplicateObjects: false });

interface Files {
  readonly dispatcher?: object | undefined;
  readonly tenants?: Readonly<Record<string, object>> | undefined;
  readonly [registration: string]: object | undefined;
}

function problems(files: Files): Promise<readonly string[]> {
  return problemsOf(yamlOf(files), { environment });
}

function yamlOf({ dispatcher, tenants, ...registrations }: Files): Readonly<Record<string, string>> {
  const head = { id: 'acme-ci', adminToken: '${env:ADMIN_TOKEN}' };
  return {
    'dispatcher.yaml': stringify({ ...head, ...dispatcher, ...(tenants === undefined ? {} : { tenants }) }),
    ...Object.fromEntries(
      Object.entries(registrations).map(([name, file]) => [`registrations/${name}.yaml`, stringify(file)]),
    ),
  };
}

const grant = {
  hosts: ['github.com'],
  owners: ['acme'],
  runnerGroups: ['Default'],
  backends: ['host'],
  powers: { images: ['*'] },
};
const platform = {
  credentials: { app: { token: '${env:PLATFORM_TOKEN}' } },
  backends: { host: { kind: 'docker' } },
};

function registration(tenant: string, changes: object = {}): object {
  return {
    organization: 'acme',
    labels: [`${tenant}-runner`],
    credentials: { token: `\${env:TENANT_${tenant.toUpperCase()}_TOKEN}` },
    defaults: { image: 'ghcr.io/acme/runner:1' },
    backends: [{ use: 'host' }],
    ...changes,
  };
}

describe('a name that was not granted, and is almost one that was', () => {
  const cures = async (granted: object, changes: object): Promise<readonly string[]> => {
    const tenants = { a: { ...grant, labels: ['a-*'], ...granted } };
    const found = await problems({ dispatcher: platform, tenants, a: registration('a', changes) });
    return found.map((line) => line.replace(/^.*was not granted /, '').replace(/ \(dispatcher.*$/, ''));
  };

  it('is asked after, before the line that would grant it', async () => {
    expect(await cures({}, { backends: [{ use: 'hsot' }] })).to.deep.equal([
      'the backend `hsot`. Did you mean `host`? Otherwise, to grant it, write `tenants.a.backends: [host, hsot]`',
    ]);
    const labels = { labels: ['serverless-hosted-runer'] };
    expect(await cures({ labels: ['serverless-hosted-runner'] }, labels)).to.deep.equal([
      'the label `serverless-hosted-runer`. Did you mean `serverless-hosted-runner`? Otherwise, to grant it, write `tenants.a.labels: [serverless-hosted-runner, serverless-hosted-runer]`',
    ]);
    expect(await cures({}, { organization: 'amce' })).to.deep.equal([
      'the owner amce. Did you mean `acme`? Otherwise, to grant it, write `tenants.a.owners: [acme, amce]`',
    ]);
  });

  it('is asked after where a glob was granted, by what comes before its star', async () => {
    const image = { defaults: { image: 'ghcr.io/amce/runner:1' } };
    const asked = 'the image `ghcr.io/amce/runner:1` on shared backends. ';
    const [told] = await cures({ powers: { images: ['ghcr.io/acme/*'] } }, image);
    expect(told).to.equal(
      `${asked}Did you mean \`ghcr.io/acme/runner:1\`? Otherwise, to grant it, write \`tenants.a.powers.images: ["ghcr.io/acme/*", ghcr.io/amce/runner:1]\``,
    );
    const without = { defaults: { image: 'ghcr.io/acm/runner:1' } };
    const [shorter] = await cures({ powers: { images: ['ghcr.io/acme/*'] } }, without);
    expect(shorter).to.include('Did you mean `ghcr.io/acme/runner:1`? Otherwise, to grant it');
    const repositories = { organization: undefined, repositories: ['amce/web'] };
    for (const granted of [{}, { owners: [], repositories: ['acme/*'] }]) {
      const [repository] = await cures(granted, repositories);
      expect(repository).to.include('the repository amce/web. Did you mean `acme/web`? Otherwise, to grant it');
    }
  });

  it('is not asked after by another number, by what is far, or by what another tenant was granted', async () => {
    const [number] = await cures({ labels: ['gpu-1'] }, { labels: ['gpu-2'] });
    expect(number).to.match(/^the label `gpu-2`\. To grant it/);
    const [far] = await cures({}, { backends: [{ use: 'vault' }] });
    expect(far).to.match(/^the backend `vault`\. To grant it/);
    const others = await problems({
      dispatcher: { ...platform, backends: { ...platform.backends, vault: { kind: 'docker' } } },
      tenants: { a: { ...grant, labels: ['a-*'] }, b: { ...grant, labels: ['b-*'], backends: ['vault'] } },
      a: registration('a', { backends: [{ use: 'valut' }] }),
      b: registration('b', { backends: [{ use: 'vault' }] }),
    });
    expect(others).to.have.length(1);
    expect(others[0]).to.include('`valut`. To grant it, write');
  });
});

// W4
describe('credentials of the platform', () => {
  const both = { ...grant, hosts: ['github.com', 'ghes.a.example'], labels: ['*'], credentials: ['app'] };
  const use = { credentials: { use: 'app' } };

  it('go to no host but their own, github.com unless dispatcher.yaml says another', async () => {
    expect(
      await problems({
        dispatcher: platform,
        tenants: { a: both },
        a: registration('a', { host: 'ghes.a.example', ...use }),
      }),
    ).to.deep.equal([
      'registrations/a.yaml:5:8: credentials.use: the credentials `app` belong to github.com, and would be sent to ghes.a.example (dispatcher.yaml:4:3). Use credentials of ghes.a.example; if these are, write `credentials.app.host: ghes.a.example` in dispatcher.yaml.',
    ]);
    expect(await problems({ dispatcher: platform, tenants: { a: both }, a: registration('a', use) })).to.deep.equal([]);
  });

  it('go to the host that dispatcher.yaml names, and to that alone', async () => {
    const dispatcher = {
      ...platform,
      credentials: { app: { host: 'GHES.a.example', token: '${env:PLATFORM_TOKEN}' } },
    };
    const there = registration('a', { host: 'ghes.A.example', ...use });
    expect(await problems({ dispatcher, tenants: { a: both }, a: there })).to.deep.equal([]);
    const [problem] = await problems({ dispatcher, tenants: { a: both }, a: registration('a', use) });
    expect(problem).to.include('belong to ghes.a.example, and would be sent to github.com (dispatcher.yaml:5:5)');
  });

  it('are not mixed with Apps of the registration’s own', async () => {
    for (const more of [
      { furtherApps: [{ id: 7, privateKey: '${env:TENANT_A_TOKEN}' }] },
      { token: '${env:TENANT_A_TOKEN}' },
    ]) {
      const mixed = registration('a', { credentials: { use: 'app', ...more } });
      const [problem] = await problems({ dispatcher: platform, tenants: { a: both }, a: mixed });
      expect(problem).to.include('credentials: it has `use` and credentials of its own');
    }
  });

  it('are bound for trusted tenants too', async () => {
    const [problem] = await problems({
      dispatcher: platform,
      tenants: { a: { trusted: true } },
      a: registration('a', { host: 'ghes.a.example', ...use }),
    });
    expect(problem).to.include('would be sent to ghes.a.example');
  });

  it('have one host where there are no tenants: that of the registration that uses them', async () => {
    const here = { a: registration('a', { host: 'ghes.a.example', ...use }) };
    expect(await problems({ dispatcher: platform, ...here })).to.deep.equal([]);
    expect(await problems({ dispatcher: platform, ...here, b: registration('b', use) })).to.deep.equal([
      'registrations/b.yaml:5:8: credentials.use: the credentials would be sent to github.com, and registration `a` sends them to ghes.a.example. Give each host credentials of its own, and name it there: `host: HOST`.',
    ]);
  });

  it('are bound on the configuration that the service gets, also without tenants', async () => {
    const there = yamlOf({ dispatcher: platform, a: registration('a', { host: 'GHES.a.example', ...use }) });
    const own = await load(there, { environment });
    expect(own.ok && own.configuration.registrations[0]?.credentials.host).to.equal('ghes.a.example');

    const loaded = await load(yamlOf({ dispatcher: platform, tenants: { a: both }, a: registration('a', use) }), {
      environment,
    });
    expect(loaded.ok && loaded.configuration.registrations[0]?.credentials.host).to.equal('github.com');
  });
});

// W5
describe('two tenants', () => {
  const a = { ...grant, labels: ['a-*'] };
  const b = { ...grant, labels: ['b-*'] };

  it('share an organization, each with labels of its own', async () => {
    expect(
      await problems({ dispatcher: platform, tenants: { a, b }, a: registration('a'), b: registration('b') }),
    ).to.deep.equal([]);
  });

  it('cannot list each other’s labels, whatever the priority', async () => {
    const [label, priority, ...more] = await problems({
      dispatcher: platform,
      tenants: { a, b },
      a: registration('a'),
      b: registration('b', { labels: ['b-runner', 'A-runner'], priority: 5 }),
    });
    expect(label).to.equal(
      'registrations/b.yaml:4:5: labels[1]: tenant `b` was not granted the label `A-runner`. To grant it, write `tenants.b.labels: ["b-*", A-runner]` (dispatcher.yaml:36:5).',
    );
    expect(priority).to.equal(
      'registrations/b.yaml:11:11: priority: tenant `b` was not granted the priority 5. To grant it, write `tenants.b.priority: 5` (dispatcher.yaml:24:3).',
    );
    expect(more).to.deep.equal([]);
  });

  for (const [what, changes, expected] of [
    ['the same owner', {}, 'tenants.b.owners[0]: tenant `a` is granted the label `x` in acme too ('],
    ['every owner', { owners: ['*'] }, undefined],
    ['a repository of the owner', { owners: [], repositories: ['acme/web'] }, undefined],
    ['other labels', { labels: ['y'] }, undefined],
    ['another host', { hosts: ['ghes.b.example'] }, undefined],
    [
      'a glob that meets the label',
      { labels: ['?'] },
      'tenants.b.owners[0]: tenant `a` is granted the label `x` in acme too',
    ],
  ] as const) {
    it(`are ${expected === undefined ? 'not ' : ''}told to overlap when granted ${what}`, async () => {
      const told = await problems({
        dispatcher: platform,
        tenants: { a: { ...grant, labels: ['x'] }, b: { ...grant, labels: ['x'], ...changes } },
      });
      if (expected === undefined) expect(told).to.deep.equal([]);
      else {
        expect(told).to.have.length(1);
        expect(told[0])
          .to.match(/^dispatcher\.yaml:\d+:\d+: /)
          .and.include(expected)
          .and.include('(dispatcher.yaml:13:5)');
      }
    });
  }

  for (const [one, other, overlap] of [
    [['acme/web'], ['ACME/web'], true],
    [['acme/web-*'], ['acme/*-shop'], true],
    [['acme/web-*'], ['acme/api-*'], false],
    [['acme/web-*'], ['acme/web-shop'], false],
    [['acme/web'], ['other/web'], false],
  ] as const) {
    it(`are ${overlap ? '' : 'not '}told to overlap when granted ${one} and ${other}`, async () => {
      const of = (repositories: readonly string[]) => ({ ...grant, owners: [], repositories, labels: ['x'] });
      const told = await problems({ dispatcher: platform, tenants: { a: of(one), b: of(other) } });
      expect(told).to.have.length(overlap ? 1 : 0);
      if (overlap) expect(told[0]).to.include('tenants.b.repositories[0]: tenant `a` is granted the label `x`');
    });
  }

  it('are reported once for an overlap, however many hosts they share, and one tenant’s own entries never', async () => {
    const hosts = ['github.com', 'ghes.example', 'ghes.other.example'];
    const both = { a: { ...grant, hosts, labels: ['x'] }, b: { ...grant, hosts, labels: ['x'] } };
    expect(await problems({ dispatcher: platform, tenants: both })).to.have.length(1);
    const alone = { ...grant, labels: ['x'], owners: ['acme', 'ACME'], repositories: ['acme/web-*', 'acme/*-shop'] };
    expect(await problems({ dispatcher: platform, tenants: { a: alone } })).to.deep.equal([]);
  });

  it('write hosts and regions in any case', async () => {
    const spelt = { ...b, hosts: ['GitHub.com'], powers: { images: ['*'], regions: ['EU-*'] } };
    const there = registration('b', { policy: { regions: ['eu-West'] } });
    expect(await problems({ dispatcher: platform, tenants: { b: spelt }, b: there })).to.deep.equal([]);
  });

  it('cannot register runners at an enterprise that would be given the other’s jobs', async () => {
    const [problem, ...more] = await problems({
      dispatcher: platform,
      tenants: {
        a: { ...grant, owners: [], repositories: ['bee/web'], labels: ['x'] },
        b: { ...grant, owners: ['acme', 'bee'], enterprises: ['corp'], labels: ['x'] },
      },
      b: registration('b', {
        organization: undefined,
        enterprise: 'corp',
        organizations: ['acme', 'bee'],
        labels: ['x'],
      }),
    });
    expect(problem).to.include('organizations[1]: GitHub could give its runners jobs of bee/web with the label `x`');
    expect(more).to.deep.equal([]);
  });

  it('cannot claim a repository that was granted to the other, though they have its owner', async () => {
    const own = { ...a, owners: [], repositories: ['acme/web'] };
    expect(
      await problems({
        dispatcher: platform,
        tenants: { a: own, b },
        b: registration('b', { organization: undefined, repositories: ['acme/api', 'Acme/Web'] }),
      }),
    ).to.deep.equal([
      'registrations/b.yaml:11:5: repositories[1]: Acme/Web belongs to tenant `a` (dispatcher.yaml:23:5). Leave them to that tenant, or take them from `tenants.a` in dispatcher.yaml.',
    ]);
  });

  it('cannot register runners at an organization that would be given the other’s jobs', async () => {
    const [problem, ...more] = await problems({
      dispatcher: platform,
      tenants: {
        a: { ...grant, owners: [], repositories: ['acme/web'], labels: ['x'] },
        b: { ...grant, labels: ['x'] },
      },
      b: registration('b', { labels: ['x'] }),
    });
    expect(problem)
      .to.include(
        'registrations/b.yaml:1:15: organization: GitHub could give its runners jobs of acme/web with the label `x`',
      )
      .and.include('which belong to tenant `a` (dispatcher.yaml:21:5)');
    expect(more).to.deep.equal([]);
  });

  it('cannot claim through "*" what another tenant has', async () => {
    const all = { ...b, owners: ['*'] };
    const [problem] = await problems({ dispatcher: platform, tenants: { a, b: all }, b: registration('b') });
    expect(problem).to.include('organization: acme belongs to tenant `a` (dispatcher.yaml:13:5)');
    const free = registration('b', { organization: 'elsewhere' });
    expect(await problems({ dispatcher: platform, tenants: { a, b: all }, b: free })).to.deep.equal([]);
    // What the platform's own registrations claim is somebody's as well.
    const ops = registration('ops', { organization: 'elsewhere', credentials: { token: '${env:OTHER_TOKEN}' } });
    const trusted = { a, b: all, ops: { trusted: true } };
    const told = await problems({ dispatcher: platform, tenants: trusted, b: free, ops });
    expect(told).to.have.length(1);
    expect(told[0]).to.include(
      'registrations/b.yaml:1:15: organization: `"*"` does not cover elsewhere: the platform\'s own registration `ops` claims it',
    );
    // Also while the platform's file is broken, as far as it says what it claims.
    const broken = { ...ops, credentials: undefined };
    const still = await problems({ dispatcher: platform, tenants: trusted, b: free, ops: broken });
    expect(still.filter((line) => line.includes('b.yaml'))).to.deep.equal(told);
    // And it can be granted by its name.
    const byName = { ...trusted, b: { ...all, owners: ['*', 'elsewhere'] } };
    expect(await problems({ dispatcher: platform, tenants: byName, b: free, ops })).to.deep.equal([]);
  });

  it('have no webhook secret of their own where one could speak for the other’s jobs', async () => {
    const hook = { webhook: { secrets: ['${env:TENANT_B_HOOK}'] } };
    const [problem, ...more] = await problems({ dispatcher: platform, tenants: { a, b }, b: registration('b', hook) });
    expect(problem).to.include(
      'webhook: the secret could report jobs of tenant `a`, which was granted acme too. Remove it, and let a shared endpoint',
    );
    expect(more).to.deep.equal([]);
    const alone = { ...b, owners: ['other'] };
    const there = registration('b', { ...hook, organization: 'other' });
    expect(await problems({ dispatcher: platform, tenants: { a, b: alone }, b: there })).to.deep.equal([]);
  });

  it('cannot both have one registration, and one that is written out goes before a glob', async () => {
    const tenants = { a: { ...a, registrations: ['web-*'] }, b: { ...b, registrations: ['web-?'] } };
    expect(await problems({ dispatcher: platform, tenants, 'web-1': registration('a') })).to.deep.equal([
      'registrations/web-1.yaml: dispatcher.yaml gives this registration to two tenants, `a` and `b`. Name `web-1` in the `registrations` of one of them.',
    ]);
    // Two globs of one tenant are one tenant.
    const twice = { a: { ...a, registrations: ['web-*', 'web-?'] } };
    expect(await problems({ dispatcher: platform, tenants: twice, 'web-1': registration('a') })).to.deep.equal([]);
    const named = { a: { ...a, registrations: ['web-*'] }, b: { ...b, registrations: ['web-1'] } };
    expect(await problems({ dispatcher: platform, tenants: named, 'web-1': registration('b') })).to.deep.equal([]);
  });

  it('read variables and files of the tenant, whatever their registrations are called', async () => {
    const tenants = { a: { ...a, registrations: ['b'] } };
    const [problem] = await problems({ dispatcher: platform, tenants, b: registration('b', { labels: ['a-x'] }) });
    expect(problem).to.include('the variable TENANT_B_TOKEN is not this tenant').and.include('begins with TENANT_A_');
    expect(await problems({ dispatcher: platform, tenants, b: registration('a') })).to.deep.equal([]);
  });
});

describe('the platform’s own registrations beside tenants', () => {
  const tenants = { a: { ...grant, labels: ['a-*'] }, ops: { trusted: true } };
  const ops = (changes: object) =>
    registration('ops', { credentials: { token: '${env:OTHER_TOKEN}' }, labels: ['ops'], ...changes });

  it('serve what no tenant was granted', async () => {
    expect(await problems({ dispatcher: platform, tenants, a: registration('a'), ops: ops({}) })).to.deep.equal([]);
  });

  it('have their repositories kept from tenants’ runners at the whole owner', async () => {
    const everyone = { ...tenants, a: { ...grant, owners: ['*'], labels: ['*'] } };
    const tools = ops({ organization: undefined, repositories: ['Acme/tools'], labels: ['A-runner'] });
    const [problem, ...more] = await problems({
      dispatcher: platform,
      tenants: everyone,
      a: registration('a'),
      ops: tools,
    });
    expect(problem).to.include(
      "registrations/a.yaml:1:15: organization: GitHub could give its runners jobs of Acme/tools with the label `a-runner`, which the platform's own registration `ops`",
    );
    expect(more).to.deep.equal([]);
    const other = ops({ organization: undefined, repositories: ['acme/tools'], labels: ['ops'] });
    expect(await problems({ dispatcher: platform, tenants: everyone, a: registration('a'), ops: other })).to.deep.equal(
      [],
    );
  });

  it('leave a tenant’s labels in a tenant’s repositories alone', async () => {
    expect(await problems({ dispatcher: platform, tenants, ops: ops({ labels: ['ops', 'a-big'] }) })).to.deep.equal([
      'registrations/ops.yaml:1:15: organization: jobs of acme with the label `a-big` belong to tenant `a` (dispatcher.yaml:13:5). Leave them to that tenant, or take them from `tenants.a` in dispatcher.yaml.',
    ]);
  });
});

// W6
describe('a tenant on a shared backend', () => {
  const own = { ...grant, labels: ['b-*'], powers: { images: ['ghcr.io/acme/*'] } };
  const image = 'ghcr.io/acme/runner:1';

  for (const [what, changes, path, cure] of [
    ['a bucket by default', { defaults: { image, bucket: 'cache' } }, 'defaults.bucket', 'powers.buckets: [cache]'],
    [
      'Docker in Docker by default',
      { defaults: { image, dockerInDocker: true } },
      'defaults.dockerInDocker',
      'powers.dockerInDocker: true',
    ],
    ['spot by default', { defaults: { image, spot: true } }, 'defaults.spot', 'powers.spot: [never, only]'],
    ['a subnet by default', { defaults: { image, subnet: 'vsw-1' } }, 'defaults.subnet', 'powers.subnets: [vsw-1]'],
    [
      'a security group by default',
      { defaults: { image, securityGroup: 'sg-1' } },
      'defaults.securityGroup',
      'powers.securityGroups: [sg-1]',
    ],
    ['a disk by default', { defaults: { image, diskGiB: 5 } }, 'defaults.diskGiB', 'limits.maxDiskGiB: 5'],
    [
      'a time limit by default',
      { defaults: { image, timeLimit: '6h' } },
      'defaults.timeLimit',
      'limits.maxTimeout: 6h',
    ],
    [
      'another image by default',
      { defaults: { image: 'evil/image' } },
      'defaults.image',
      'powers.images: ["ghcr.io/acme/*", evil/image]',
    ],
    [
      'a named image',
      { images: { evil: 'evil/image' } },
      'images.evil',
      'powers.images: ["ghcr.io/acme/*", evil/image]',
    ],
    [
      'an image by label, of its repository',
      { imageRepository: 'evil/image' },
      'imageRepository',
      'powers.images: ["ghcr.io/acme/*", "evil/image:*"]',
    ],
    ['images by label', { policy: { images: ['*'] } }, 'policy.images[0]', 'powers.images: ["ghcr.io/acme/*", "*"]'],
    [
      'public repositories',
      { policy: { publicRepositories: true } },
      'policy.publicRepositories',
      'powers.publicRepositories: true',
    ],
    ['buckets by label', { policy: { buckets: ['*'] } }, 'policy.buckets[0]', 'powers.buckets: ["*"]'],
    ['regions by label', { policy: { regions: ['eu'] } }, 'policy.regions[0]', 'powers.regions: [eu]'],
    ['a shape with a bucket', { policy: { shapes: ['cached'] } }, 'policy.shapes[0]', 'powers.buckets: [cache]'],
  ] as const) {
    it(`cannot give itself ${what}`, async () => {
      const dispatcher = { ...platform, shapes: { cached: { bucket: 'cache' } } };
      const told = await problems({ dispatcher, tenants: { b: own }, b: registration('b', changes) });
      expect(told, told.join('\n')).to.have.length(1);
      expect(told[0]).to.include(`: ${path}: `).and.include(`write \`tenants.b.${cure}\` (dispatcher.yaml:`);
    });

    it(`may have ${what} on a backend of its own`, async () => {
      const dispatcher = { ...platform, shapes: { cached: { bucket: 'cache' } } };
      const tenants = { b: { ...own, backendKinds: ['docker'] } };
      const there = registration('b', { ...changes, backends: [{ kind: 'docker' }] });
      expect(await problems({ dispatcher, tenants, b: there })).to.deep.equal([]);
    });
  }

  it('loses a shape beyond its grant that a glob of its policy includes, with a note', async () => {
    const dispatcher = { ...platform, shapes: { cached: { bucket: 'cache' }, small: { cpu: 1 } } };
    const globs = registration('b', { policy: { shapes: ['*'] } });
    const loaded = await load(yamlOf({ dispatcher, tenants: { b: own }, b: globs }), { environment });
    expect(loaded.ok && Object.keys(loaded.configuration.registrations[0]?.shapes ?? {})).to.deep.equal(['small']);
    expect(loaded.notes.map(({ path, message }) => `${path}: ${message}`)).to.deep.equal([
      'policy.shapes: the shape `cached` has the bucket `cache`, which tenant `b` was not granted: it is left out',
    ]);
  });

  it('beside one of its own keeps to its grant on the shared one, with a note', async () => {
    const tenants = { b: { ...own, backendKinds: ['docker'] } };
    const mixed = registration('b', {
      backends: [{ use: 'host' }, { name: 'mine', kind: 'docker' }],
      policy: { dockerInDocker: true },
    });
    const loaded = await load(yamlOf({ dispatcher: platform, tenants, b: mixed }), { environment });
    expect(loaded.ok).to.equal(true);
    expect(loaded.notes.map(({ path, message }) => `${path}: ${message}`)).to.deep.equal([
      'policy.dockerInDocker: tenant `b` was not granted Docker in Docker on shared backends',
    ]);
  });
});

describe('a shared webhook endpoint for all owners', () => {
  const hook = (changes: object) => ({
    ...platform,
    webhooks: [{ secrets: ['${env:HOOK}'], owners: ['*'], ...changes }],
  });
  const tenants = { a: { ...grant, labels: ['a-*'] }, b: { ...grant, owners: ['bee'], labels: ['b-*'] } };

  it('says for which tenants it may speak', async () => {
    expect(await problems({ dispatcher: hook({}), tenants })).to.deep.equal([
      'dispatcher.yaml:13:7: webhooks[0].owners: `"*"` does not cover the owners that tenants were granted. List the tenants that it may report for: `tenants: [a, b]`, `tenants: ["*"]` for all, or `tenants: []`.',
    ]);
    for (const named of [[], ['a'], ['*']]) {
      expect(await problems({ dispatcher: hook({ tenants: named }), tenants })).to.deep.equal([]);
    }
    expect(await problems({ dispatcher: hook({}) })).to.deep.equal([]);
    const [unknown] = await problems({ dispatcher: hook({ tenants: ['c'] }), tenants });
    expect(unknown).to.include('webhooks[0].tenants[0]: there is no tenant `c`');
  });

  it('is a way in for those alone', async () => {
    const off = (tenant: string, changes: object = {}) =>
      registration(tenant, { poll: { interval: 'off' }, ...changes });
    const [problem, ...more] = await problems({
      dispatcher: hook({ tenants: ['a'] }),
      tenants,
      a: off('a'),
      b: off('b', { organization: 'bee' }),
    });
    expect(problem)
      .to.include('registrations/b.yaml')
      .and.include('without polling and without a webhook, no job is ever found');
    expect(more).to.deep.equal([]);
  });
});

describe('docs/configuration.md', () => {
  const page = async () => readFile(new URL('../../docs/configuration.md', import.meta.url), 'utf8');

  it('has an example of three tenants that loads with a registration of each', async () => {
    const example = (await page()).split('### An example')[1]?.split('```yaml\n')[1]?.split('```')[0] ?? '';
    expect(example).to.include('research:');
    const web = { ...registration('a', { credentials: { use: 'acme-app' }, labels: ['web-big'] }), runnerGroup: 'Web' };
    const told = await problemsOf(
      {
        'dispatcher.yaml': `id: shr\nadminToken: "\${env:ADMIN_TOKEN}"\n${example}`,
        'secrets/app.pem': appKey,
        'secrets/app-webhook-secret': environment.HOOK,
        'registrations/web-shop.yaml': stringify({
          ...web,
          defaults: { image: 'ghcr.io/acme/web:1', cpu: 2, memoryGiB: 4, timeLimit: '1h', bucket: 'web-cache' },
          backends: [{ use: 'build-host' }],
        }),
        'registrations/mobile.yaml': stringify({
          ...registration('a'),
          organization: undefined,
          repositories: ['acme/mobile-android'],
          labels: ['mobile'],
          credentials: { use: 'acme-app' },
          defaults: { image: 'ghcr.io/acme/android' },
          backends: [{ use: 'build-host' }],
        }),
        'registrations/research.yaml': stringify({
          ...registration('a'),
          host: 'ghes.research.example',
          organization: 'lab',
          credentials: { token: '${env:TENANT_RESEARCH_TOKEN}' },
          backends: [{ kind: 'gcp-batch' }],
        }),
      },
      {
        environment: { ...environment, TENANT_RESEARCH_TOKEN: 'ghp_of-research' },
        provider: (kind) => provider(kind === 'gcp-batch' ? 'docker' : kind),
      },
    );
    expect(told).to.deep.equal([]);
  });

  it('has each field of a grant in its tables', async () => {
    const tenants = (await page()).split('## Tenants')[1]?.split('### Whose a repository is')[0] ?? '';
    for (const schema of [tenantFile, tenantLimits, tenantPowers]) {
      for (const field of Object.keys(schema.shape)) expect(tenants).to.match(new RegExp(`\`${field}\\b`));
    }
  });
});

// W4
describe('backends that are granted by glob', () => {
  const backends = { 'build-1': { kind: 'docker' }, 'build-2': { kind: 'docker' }, vault: { kind: 'docker' } };
  const using = (...names: readonly string[]) => registration('a', { backends: names.map((use) => ({ use })) });
  const granted = (globs: readonly string[]) => ({ a: { ...grant, labels: ['a-*'], backends: globs } });

  it('are those that it matches, and no others', async () => {
    const dispatcher = { ...platform, backends };
    const tenants = granted(['build-?']);
    expect(await problems({ dispatcher, tenants, a: using('build-1', 'build-2') })).to.deep.equal([]);
    expect(await problems({ dispatcher, tenants, a: using('build-1', 'vault') })).to.have.length(1);
    const [refused] = await problems({ dispatcher, tenants, a: using('vault') });
    expect(refused).to.match(
      /backends\[0\]\.use: tenant `a` was not granted the backend `vault`\. To grant it, write `tenants\.a\.backends: \["build-\?", vault\]` \(dispatcher\.yaml:\d+:\d+\)/,
    );
  });

  it('cannot be a glob in the tenant’s own file', async () => {
    for (const use of ['build-?', '*', 'build-*']) {
      const [problem] = await problems({
        dispatcher: { ...platform, backends },
        tenants: granted(['*']),
        a: using(use),
      });
      expect(problem).to.include('backends[0].use: a name has 1 to 32');
    }
  });

  it('may be none yet, with a note; a backend with a problem counts', async () => {
    const load1 = async (file: object) =>
      await load(
        yamlOf({ dispatcher: { ...platform, backends: file }, tenants: granted(['build-*', 'gpu-*', '*d']) }),
        {
          environment,
        },
      );
    const { notes, ok } = await load1(backends);
    expect(ok).to.equal(true);
    const ofGrant = notes.filter(({ path }) => path !== '');
    expect(ofGrant.map(({ path, message, cure }) => `${path}: ${message}. ${cure}`)).to.deep.equal([
      'tenants.a.backends[1]: it matches no backend of this file, and grants nothing until one is added. This file has: build-1, build-2, vault. Correct it, or leave it for backends to come.',
      'tenants.a.backends[2]: it matches no backend of this file, and grants nothing until one is added. This file has: build-1, build-2, vault. Correct it, or leave it for backends to come.',
    ]);
    const broken = await load1({ ...backends, 'gpu-1': { kind: 'nonesuch' } });
    expect(broken.ok).to.equal(false);
    const paths = broken.notes.map(({ path }) => path).filter((path) => path !== '');
    expect(paths).to.deep.equal(['tenants.a.backends[2]']);
  });

  it('are guessed where a name is misspelt, as credentials are', async () => {
    const dispatcher = { ...platform, backends };
    expect(await problems({ dispatcher, tenants: granted(['bulid-1']) })).to.match(/Did you mean `build-1`\?/);
    const misspelt = { a: { ...grant, labels: ['a-*'], credentials: ['appp'] } };
    expect(await problems({ dispatcher: platform, tenants: misspelt })).to.match(/Did you mean `app`\?/);
  });

  it('do not make globs of credentials and kinds: one would grant the next secret', async () => {
    const credentials = { a: { ...grant, labels: ['a-*'], credentials: ['ap*'] } };
    const [problem] = await problems({ dispatcher: platform, tenants: credentials });
    expect(problem).to.include('tenants.a.credentials[0]: credentials are granted by name');
    const own = registration('a', { backends: [{ kind: 'docker' }] });
    const kinds = { a: { ...grant, labels: ['a-*'], backendKinds: ['*'] } };
    expect(await problems({ dispatcher: platform, tenants: kinds, a: own })).to.match(
      /tenant `a` was not granted backends of kind `docker`/,
    );
  });
});

// W8
describe('the globs of a policy', () => {
  it('have a bound together, so that no label costs the others their time', async () => {
    const images = Array.from({ length: 1000 }, (_, index) => `*${'a'.repeat(240)}${index}b`);
    const [problem, ...more] = await problems({
      dispatcher: { ...platform },
      a: registration('a', { credentials: { token: '${env:OTHER_TOKEN}' }, policy: { images } }),
    });
    expect(problem).to.match(/: policy: its globs have \d{6} characters together, and the limit is 4096\./);
    expect(more).to.deep.equal([]);
    const plain = Array.from({ length: 1000 }, (_, index) => `ghcr.io/acme/${'a'.repeat(50)}:${index}`);
    expect(
      await problems({
        dispatcher: platform,
        a: registration('a', { credentials: { token: '${env:OTHER_TOKEN}' }, policy: { images: plain } }),
      }),
    ).to.deep.equal([]);
  });
});
