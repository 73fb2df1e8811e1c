import { expect } from 'chai';
import { createAdmit } from '../../dispatcher/admission/admit.ts';
import { tenantFile, tenantLimits, tenantPowers } from '../../dispatcher/config/schema.ts';
import type { Admission, JobSubject } from '../../dispatcher/jobs/lane.ts';
import type { Grant, Registration, TenantEntry } from '../../dispatcher/model/registration.ts';
import { grantOf, openPolicy, registration } from '../registration-fixture.ts';

const shared: Registration['backends'] = [
  { name: 'host', kind: 'docker', region: 'eu-west-1', options: {}, maxRunners: 5, shared: true },
];
const mine: Registration['backends'] = [
  { name: 'mine', kind: 'docker', region: 'eu-west-1', options: {}, maxRunners: 5 },
];

const privateJob: JobSubject = {
  host: 'github.com',
  owner: 'Acme',
  repository: 'Web',
  labels: ['acme-runner'],
  visibility: 'private',
};

function admit(
  from: readonly Registration[],
  job: Partial<JobSubject> = {},
  tenants?: readonly TenantEntry[],
): Admission {
  return createAdmit(from, { tenants })({ ...privateJob, ...job });
}

function refusal(admission: Admission): Extract<Admission, { outcome: 'refused' }> {
  if (admission.outcome !== 'refused') throw new Error(`not refused: ${JSON.stringify(admission)}`);
  return admission;
}

const full = grantOf('acme', {
  enterprises: ['corp'],
  limits: {
    maxRegistrations: 100,
    maxRunners: 10,
    maxCpu: 4,
    maxMemoryGiB: 8,
    maxDiskGiB: 50,
    maxTimeLimitMs: 3_600_000,
  },
  powers: {
    images: ['ghcr.io/acme/*'],
    buckets: ['build-*'],
    subnets: ['vsw-*'],
    securityGroups: ['sg-*'],
    regions: ['eu-*'],
    publicRepositories: true,
    dockerInDocker: true,
    spot: true,
  },
});

describe('a grant that takes only listed images for proof of the hook', () => {
  const listing = (images: readonly string[], labels = false) =>
    admit([registration({ backends: mine, grant: grantOf('acme', { requireHook: { labels, images } }) })]);

  it('refuses another image on every backend, with the line that would list it', () => {
    const { image = '' } = registration().defaults;
    const { code, reason, cure } = refusal(listing([]));
    expect(code).to.equal('not-granted');
    expect(reason).to.include(`may not use the image \`${image}\`, which is not listed as carrying the hooks`);
    expect(cure).to.equal(`To grant it, write \`tenants.acme.hookImages: [${image}]\` (dispatcher.yaml:hookImages).`);
  });

  it('takes a listed one, and leaves it to the launch where a label may be proof', () => {
    expect(listing(['*']).outcome).to.equal('lane');
    expect(listing([], true).outcome).to.equal('lane');
  });
});

const limits = (changes: Partial<Grant['limits']>): Partial<Grant> => ({ limits: { ...full.limits, ...changes } });
const powers = (changes: Partial<Grant['powers']>): Partial<Grant> => ({ powers: { ...full.powers, ...changes } });
const enterprise: Partial<Registration> = {
  claim: { kind: 'enterprise', enterprise: 'Corp', organizations: ['acme'] },
};

/** By field: the grant without it, and a job that needed it. */
const held: Readonly<
  Record<
    string,
    { readonly less: Partial<Grant>; readonly job: Partial<JobSubject>; readonly of?: Partial<Registration> }
  >
> = {
  hosts: { less: { hosts: ['ghes.example'] }, job: {} },
  owners: { less: { owners: [] }, job: {} },
  repositories: {
    less: { repositories: [] },
    job: { owner: 'other' },
    of: { claim: { kind: 'repositories', repositories: [{ owner: 'other', repository: 'web' }] } },
  },
  enterprises: { less: { enterprises: [] }, job: {}, of: enterprise },
  labels: { less: { labels: ['other'] }, job: {} },
  runnerGroups: { less: { runnerGroups: ['Big'] }, job: {} },
  presets: {
    less: { presets: ['small'] },
    job: { labels: ['acme-runner', 'shape-large'] },
    of: { presets: { shapes: { large: { cpu: 4 } }, images: {}, places: {} } },
  },
  hookImages: { less: { requireHook: { labels: false, images: ['ghcr.io/other/*'] } }, job: {} },
  'powers.images': { less: powers({ images: ['ghcr.io/other/*'] }), job: {} },
  'powers.buckets': { less: powers({ buckets: [] }), job: { labels: ['acme-runner', 'disk-build-cache'] } },
  'powers.subnets': { less: powers({ subnets: [] }), job: { labels: ['acme-runner', 'vsw-1'] } },
  'powers.securityGroups': { less: powers({ securityGroups: [] }), job: { labels: ['acme-runner', 'sg-1'] } },
  'powers.regions': { less: powers({ regions: [] }), job: { labels: ['acme-runner', 'region-EU-west-1'] } },
  'powers.publicRepositories': { less: powers({ publicRepositories: false }), job: { visibility: 'public' } },
  'powers.dockerInDocker': { less: powers({ dockerInDocker: false }), job: { labels: ['acme-runner', 'dind'] } },
  'powers.spot': { less: powers({ spot: false }), job: { labels: ['acme-runner', 'spot'] } },
  'limits.maxCpu': { less: limits({ maxCpu: 3 }), job: { labels: ['acme-runner', 'cpu-4'] } },
  'limits.maxMemoryGiB': { less: limits({ maxMemoryGiB: 7 }), job: { labels: ['acme-runner', 'memory-8'] } },
  'limits.maxDiskGiB': { less: limits({ maxDiskGiB: undefined }), job: { labels: ['acme-runner', 'disk-50'] } },
  'limits.workflows': { less: limits({ workflows: ['deploy'] }), job: { workflow: 'CI' } },
  'limits.branches': { less: limits({ branches: ['release/*'] }), job: { branch: 'main' } },
  'limits.events': { less: limits({ events: ['push'] }), job: { event: 'pull_request' } },
  'limits.actors': { less: limits({ actors: ['octocat'] }), job: { actors: ['octocat', 'mallory'] } },
  'limits.maxTimeout': { less: limits({ maxTimeLimitMs: undefined }), job: { labels: ['acme-runner', 'timeout-1h'] } },
};

/** What decides at the launch, or in the runner: test/lifecycle/hook-proofs.test.ts, test/admission/fork.test.ts. */
const launched = ['requireHook', 'powers.forks'];

/** What decides when runners are planned: test/lifecycle/shares.test.ts. */
const planned = ['reservedRunners', 'weight'];

/** What decides when the files are read, and not about a job. */
const onlyRead = [
  'trusted',
  'registrations',
  'priority',
  'credentials',
  'backends',
  'backendKinds',
  'secretStores',
  'bases',
  'limits.maxRegistrations',
  'limits.maxRunners',
  'limits.maxLaunchesPerMinute',
  'limits.maxRunnersPerRun',
];

// T2
describe('admission holds a registration to its tenant’s grant', () => {
  it('in every field', () => {
    const fields = [
      ...Object.keys(tenantFile.shape).filter((key) => key !== 'limits' && key !== 'powers'),
      ...Object.keys(tenantLimits.shape).map((key) => `limits.${key}`),
      ...Object.keys(tenantPowers.shape).map((key) => `powers.${key}`),
    ];
    expect([...Object.keys(held), ...onlyRead, ...launched, ...planned].sort()).to.deep.equal(fields.sort());
  });

  for (const [field, { less, job, of }] of Object.entries(held)) {
    const from = (grant: Grant) => registration({ backends: shared, policy: openPolicy, ...of, grant });

    it(`gives what \`${field}\` allows, and without it refuses with the line that would`, () => {
      const grant = { ...full, repositories: ['other/web'] };
      expect(admit([from(grant)], job)).to.have.property('outcome', 'lane');
      const answer = refusal(admit([from({ ...grant, ...less })], job));
      expect(answer.code).to.be.oneOf(['not-granted', 'over-limit']);
      const asked = field === 'owners' ? 'repositories' : field;
      expect(answer.place).to.equal(`dispatcher.yaml:${asked}`);
      expect(answer.cure).to.include(`tenants.acme.${asked}`).and.include(`(dispatcher.yaml:${asked})`);
    });

    it(`gives what \`${field}\` allows to the platform’s own registration without any grant`, () => {
      const own = registration({ backends: shared, policy: openPolicy, ...of });
      expect(admit([own], job)).to.have.property('outcome', 'lane');
    });

    if (field.startsWith('powers.')) {
      it(`asks for no \`${field}\` on a backend of the tenant’s own`, () => {
        const own = { ...from({ ...full, ...less }), backends: [...shared, ...mine] };
        const admission = admit([own], job);
        expect(admission.outcome === 'lane' && admission.lane.backends).to.deep.equal(['mine']);
      });
    }
  }

  for (const [field, several] of Object.entries({
    subnet: [
      'vsw-1,vsw-of-another',
      'vsw-1 vsw-2',
      'vsw-1/../../other',
      'vsw-1/./other',
      'vsw-1//other',
      'vsw-1%2fother',
    ],
    securityGroup: ['sg-1,sg-of-another', 'sg-1\nsg-2', 'sg-1;sg-2'],
    bucket: ['build-cache/../secrets', 'build-cache?x', 'build-cache\u200b'],
    image: ['ghcr.io/acme/../evil/runner:1', 'ghcr.io/acme//runner:1'],
  })) {
    it(`takes no ${field} for what a glob covers that is several, or leads elsewhere`, () => {
      for (const value of several) {
        const defaults = { cpu: 1, memoryGiB: 1, image: 'ghcr.io/acme/runner:1', [field]: value };
        const own = registration({ backends: shared, policy: openPolicy, defaults, grant: full });
        expect(refusal(admit([own], {})).code, value).to.equal('not-granted');
        const lists: Partial<Grant['powers']> = { [`${field}s`]: [value] };
        const exactly = { ...own, grant: { ...full, ...powers(lists) } };
        expect(admit([exactly], {}), value).to.have.property('outcome', 'lane');
      }
    });
  }

  for (const [limit, over] of [
    ['maxDiskGiB', 'disk-51'],
    ['maxTimeout', 'timeout-61m'],
  ] as const) {
    it(`holds \`limits.${limit}\` on the tenant’s own backends too`, () => {
      const own = registration({ backends: mine, policy: openPolicy, grant: full });
      const answer = refusal(admit([own], { labels: ['acme-runner', over] }));
      expect(answer).to.include({ code: 'over-limit', place: `dispatcher.yaml:limits.${limit}` });
    });
  }

  it('lets no service round up beyond a limit what a label asked for', () => {
    const own = registration({ backends: mine, policy: { ...openPolicy, maxCpu: undefined }, grant: full });
    const rounding = {
      fit: () => ({
        fits: true as const,
        shape: { cpu: 6, memoryGiB: 8, architecture: 'x64' as const, image: 'x', spot: false, dockerInDocker: false },
      }),
    };
    const admission = createAdmit([own], { backendFit: () => rounding })({
      ...privateJob,
      labels: ['acme-runner', 'memory-8'],
    });
    expect(refusal(admission).reason).to.include('it would round up to 6 cores, more than the 4');
  });

  it('lets no service round the memory up past a limit', () => {
    const own = registration({ backends: mine, policy: { ...openPolicy, maxMemoryGiB: undefined }, grant: full });
    const rounding = {
      fit: () => ({
        fits: true as const,
        shape: { cpu: 4, memoryGiB: 12, architecture: 'x64' as const, image: 'x', spot: false, dockerInDocker: false },
      }),
    };
    const admission = createAdmit([own], { backendFit: () => rounding })({
      ...privateJob,
      labels: ['acme-runner', 'cpu-4'],
    });
    expect(refusal(admission).reason).to.include('it would round up to 12 GiB, more than the 8');
  });

  it('takes a repository for public as long as GitHub has not said, and says so', () => {
    const own = registration({ backends: shared, grant: { ...full, ...powers({ publicRepositories: false }) } });
    const answer = refusal(admit([own], { visibility: undefined }));
    expect(answer.reason).to.include('jobs of public repositories (GitHub has not said yet whether this is one)');
    for (const visibility of ['private', 'internal'] as const) {
      expect(admit([own], { visibility })).to.have.property('outcome', 'lane');
    }
  });

  it('goes by GitHub’s word alone where a tenant calls its repository private', () => {
    const own = registration({ backends: shared, grant: { ...full, ...powers({ publicRepositories: false }) } });
    for (const visibility of ['private', 'internal'] as const) {
      const answer = refusal(admit([own], { visibility, isVisibilityUnproven: true }));
      expect(answer.reason).to.include('GitHub has not said yet whether this is one');
    }
    const told = refusal(admit([own], { visibility: 'public', isVisibilityUnproven: true }));
    expect(told.reason).to.include('jobs of public repositories on shared');
  });

  it('tells all that is missing at once', () => {
    const own = registration({
      backends: shared,
      policy: openPolicy,
      grant: { ...full, ...powers({ spot: false, dockerInDocker: false }) },
    });
    const { reason } = refusal(admit([own], { labels: ['acme-runner', 'spot', 'dind'] }));
    expect(reason).to.equal(
      'tenant `acme` was not granted spot capacity on shared backends (dispatcher.yaml:powers.spot); tenant `acme` was not granted Docker in Docker on shared backends (dispatcher.yaml:powers.dockerInDocker)',
    );
  });
});

// W5
describe('a job in a repository', () => {
  const entry = (grant: Grant): TenantEntry => ({ name: grant.tenant, registrations: [grant.tenant], grant });
  const web = { kind: 'repositories', repositories: [{ owner: 'acme', repository: 'web' }] } as const;
  const a = grantOf('a', { owners: [], repositories: ['acme/web'], labels: ['*'] });
  const b = grantOf('b', { labels: ['*'] });
  const greedy = registration({ name: 'b', grant: b, priority: 1000 });

  it('goes to no other tenant, even while its own has no registration', () => {
    const tenants = [entry(a), entry(b)];
    const admission = admit([greedy], {}, tenants);
    expect(admission).to.deep.include({
      outcome: 'not-ours',
      reason: 'Acme/Web belongs to tenant `a` (dispatcher.yaml:repositories)',
    });
    expect(admit([greedy], { repository: 'other' }, tenants)).to.have.property('outcome', 'lane');
  });

  it('goes to its own tenant, whatever others claim, list and say of their priority', () => {
    const claimed = registration({ name: 'b', grant: b, claim: web, priority: 1000 });
    const own = registration({ name: 'a', grant: a, claim: web });
    const admission = admit([claimed, greedy, own], {}, [entry(a), entry(b)]);
    expect(admission.outcome === 'lane' && admission.lane.registration).to.equal('a');
  });

  it('is not the platform’s either, where tenant and label have it', () => {
    const ops = registration({ name: 'ops', priority: 1000 });
    expect(admit([ops], {}, [entry(a)])).to.have.property('outcome', 'not-ours');
    expect(admit([ops], {}, [entry({ ...a, labels: ['a-*'] })])).to.have.property('outcome', 'lane');
  });

  it('is refused when its labels are of two tenants, whatever the priorities', () => {
    const one = registration({ name: 'a', labels: ['spot'], priority: 5, grant: grantOf('a', { labels: ['spot'] }) });
    const two = registration({ name: 'b', labels: ['dind'], grant: grantOf('b', { labels: ['dind'] }) });
    expect(refusal(admit([one, two], { labels: ['spot', 'dind'] })).code).to.equal('ambiguous-registration');
  });

  it('tells nothing of other tenants’ labels', () => {
    const own = registration({ name: 'a', grant: a, claim: web, labels: ['a-runner'] });
    const other = registration({ name: 'b', grant: b, labels: ['secret-project'] });
    const admission = admit([own, other], { labels: ['unheard'] }, [entry(a), entry(b)]);
    expect(JSON.stringify(admission)).to.include('a-runner').and.not.include('secret-project');
  });
});

// W6
describe('a bucket’s prefix', () => {
  const prefixOf = (host: string): string | undefined => {
    const from = registration({ host, defaults: { image: 'ghcr.io/acme/runner:1', bucket: 'build-cache' } });
    const admission = admit([from], { host });
    return admission.outcome === 'lane' ? admission.lane.wish.bucketPrefix : undefined;
  };

  it('begins with the host: the same names at two hosts share no folder', () => {
    expect(prefixOf('github.com')).to.equal('github.com/acme/web');
    expect(prefixOf('GHES.b.example')).to.equal('ghes.b.example/acme/web');
  });

  it('is a path of folders that every service takes, also with a port', () => {
    expect(prefixOf('ghes.b.example:8443')).to.equal('ghes.b.example_8443/acme/web');
  });
});
