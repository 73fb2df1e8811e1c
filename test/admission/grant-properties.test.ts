import { expect } from 'chai';
import fc from 'fast-check';
import { createAdmit } from '../../dispatcher/admission/admit.ts';
import { Territory } from '../../dispatcher/admission/territory.ts';
import type { JobSubject } from '../../dispatcher/jobs/lane.ts';
import { matchesAny } from '../../dispatcher/labels/glob.ts';
import { SPOT_MODES, type SpotModes } from '../../dispatcher/labels/spot-mode.ts';
import type { Backend, Claim, Grant, Policy, Registration, TenantEntry } from '../../dispatcher/model/registration.ts';
import { closedPolicy, grantOf, openPolicy, registration } from '../registration-fixture.ts';

const hosts = ['github.com', 'ghes.example'];
const owners = ['acme', 'bee'];
const names = ['web', 'web-shop', 'api'];
const repositories = owners.flatMap((owner) => names.map((name) => ({ owner, repository: name })));
const labels = ['a-one', 'a-two', 'b-one', 'serverless-hosted-runner'];
const overrides = [
  'cpu-2',
  'cpu-8',
  'spot',
  'spot-never',
  'spot-prefer',
  'dind',
  'disk-40',
  'disk-build-cache',
  'vsw-1',
  'timeout-30m',
  'region-eu',
];

const mostlyGithub = fc.oneof({ weight: 4, arbitrary: fc.constant('github.com') }, fc.constantFrom(...hosts));
const some = <T>(items: readonly T[]) => fc.subarray([...items]);
const atLeastOne = <T>(items: readonly T[]) => fc.subarray([...items], { minLength: 1 });
const most = (...values: readonly number[]) => fc.option(fc.constantFrom(...values), { nil: undefined });

/** What the platform may grant, sensibly or not. */
const anyGrant = (tenant: string): fc.Arbitrary<Grant> =>
  fc
    .record({
      hosts: atLeastOne(hosts),
      owners: some(['acme', 'bee', '*']),
      enterprises: some(['corp']),
      repositories: some(['acme/web', 'acme/web-*', 'bee/web', 'bee/*']),
      labels: atLeastOne(['a-*', 'a-one', 'b-*', '*', 'serverless-hosted-runner']),
      maxPriority: fc.integer({ min: 0, max: 9 }),
      runnerGroups: atLeastOne(['Default', 'Big']),
      limits: fc.record({
        maxRegistrations: fc.constant(100),
        maxRunners: fc.constant(undefined),
        maxCpu: most(1, 4, 16),
        maxMemoryGiB: most(2, 16),
        maxDiskGiB: most(10, 100),
        maxTimeLimitMs: most(60_000, 3_600_000),
      }),
      powers: fc.record({
        images: some(['ghcr.io/acme/*', '*']),
        buckets: some(['build-*']),
        subnets: some(['vsw-*']),
        securityGroups: some(['sg-*']),
        regions: some(['eu']),
        publicRepositories: fc.boolean(),
        dockerInDocker: fc.boolean(),
        spot: fc.oneof(fc.boolean(), fc.subarray([...SPOT_MODES], { minLength: 1 })),
      }),
    })
    .map((changes) => grantOf(tenant, changes));

/** What allows no mode that `spot` does not; without a list on-demand capacity is always granted. */
function lessSpot(spot: SpotModes): fc.Arbitrary<SpotModes> {
  if (typeof spot !== 'boolean') return fc.subarray([...spot], { minLength: 1 });
  const least = ['never'] as const;
  return spot ? fc.constantFrom<SpotModes>(true, false, least, ['only']) : fc.constantFrom<SpotModes>(false, least);
}

const anyClaim: fc.Arbitrary<Claim> = fc.oneof(
  fc.constantFrom(...owners).map((organization): Claim => ({ kind: 'organization', organization })),
  fc.constantFrom(...owners).map((user): Claim => ({ kind: 'user', user })),
  atLeastOne(owners).map((organizations): Claim => ({ kind: 'enterprise', enterprise: 'corp', organizations })),
  atLeastOne(repositories).map((claimed): Claim => ({ kind: 'repositories', repositories: claimed })),
);

const policies: readonly Policy[] = [closedPolicy, openPolicy, { ...openPolicy, regions: ['*'], maxCpu: undefined }];
const backends: readonly Backend[] = [
  { name: 'host', kind: 'docker', region: 'eu', options: {}, maxRunners: 5, shared: true },
  { name: 'mine', kind: 'docker', region: 'eu', options: {}, maxRunners: 5 },
];

/** Whatever the file says, as if nothing had been refused when it was read. */
const anyRegistration = (name: string): fc.Arbitrary<Registration> =>
  fc
    .record({
      host: mostlyGithub,
      claim: anyClaim,
      labels: atLeastOne([...labels, 'spot', 'cpu-8']),
      priority: fc.integer({ min: -1000, max: 1000 }),
      runnerGroup: fc.constantFrom('Default', 'Big'),
      policy: fc.constantFrom(...policies),
      backends: atLeastOne(backends),
      defaults: fc.constantFrom(
        { image: 'ghcr.io/acme/runner:1' },
        { image: 'evil/image', cpu: 8 },
        { image: 'ghcr.io/acme/runner:1', bucket: 'build-cache', spot: true, dockerInDocker: true },
      ),
    })
    .map((changes) => registration({ name, ...changes }));

const anyJob: fc.Arbitrary<JobSubject> = fc
  .record({
    host: mostlyGithub,
    place: fc.constantFrom(...repositories),
    own: fc.subarray(labels, { minLength: 1, maxLength: 2 }),
    more: fc.subarray(overrides, { maxLength: 2 }),
    visibility: fc.constantFrom('public', 'private', 'internal', undefined),
  })
  .map(({ host, place, own, more, visibility }) => ({
    host,
    ...place,
    labels: [...own, ...more],
    visibility,
  }));

const entryOf = (grant: Grant): TenantEntry => ({ name: grant.tenant, registrations: [grant.tenant], grant });

const two = fc.record({
  a: anyGrant('a'),
  b: anyGrant('b'),
  ofA: fc.array(anyRegistration('a'), { maxLength: 3 }),
  ofB: fc.array(anyRegistration('b'), { minLength: 1, maxLength: 3 }),
  job: anyJob,
});

function named(registrations: readonly Registration[], grant: Grant): readonly Registration[] {
  return registrations.map((one, index) => ({ ...one, name: `${grant.tenant}-${index}`, grant }));
}

describe('grants, whatever two tenants write', () => {
  it('admit no job in a repository granted to one to a registration of the other', () => {
    let whole = 0;
    let admitted = 0;
    fc.assert(
      fc.property(two, ({ a, b, ofA, ofB, job }) => {
        const tenants = [entryOf(a), entryOf(b)];
        const registrations = [...named(ofA, a), ...named(ofB, b)];
        const holding = new Territory(tenants, registrations).whose(job.host, job.owner, job.repository);
        const admission = createAdmit(registrations, { tenants })(job);
        if (admission.outcome !== 'lane') return;
        admitted += 1;
        const [tenant] = admission.lane.registration.split('-');
        const holders = holding?.grants.map((grant) => grant.tenant) ?? [];
        expect(holders).to.include(tenant);
        if (holders.length === 1) whole += 1;
        // The same place for both: then by their labels.
        const others = holding?.grants.filter((grant) => grant.tenant !== tenant) ?? [];
        const own = holding?.grants.find((grant) => grant.tenant === tenant);
        const plain = job.labels.filter((label) => labels.includes(label));
        expect(plain.every((label) => matchesAny(own?.labels ?? [], label))).to.equal(true);
        for (const other of others) {
          const theirs = plain.filter((label) => matchesAny(other.labels, label));
          // Only where the platform granted the label to both, which is refused when dispatcher.yaml is read.
          expect(theirs.every((label) => matchesAny(own?.labels ?? [], label))).to.equal(true);
        }
      }),
      { numRuns: 6000 },
    );
    expect(admitted, 'jobs admitted').to.be.at.least(100);
    expect(whole, 'jobs of one tenant admitted').to.be.at.least(50);
  });

  it('admit nothing that the grant does not cover', () => {
    let admitted = 0;
    fc.assert(
      fc.property(two, ({ b, ofB, job }) => {
        const registrations = named(ofB, b);
        const admission = createAdmit(registrations, { tenants: [entryOf(b)] })(job);
        if (admission.outcome !== 'lane') return;
        admitted += 1;
        const { wish, backends: chosen, scope, runnerGroup } = admission.lane;
        const name = `${job.owner}/${job.repository}`;
        expect(b.hosts).to.include(job.host);
        expect(b.owners.includes('*') || b.owners.includes(job.owner) || matchesAny(b.repositories, name)).to.equal(
          true,
        );
        if (scope.kind !== 'repository') expect(b.runnerGroups).to.include(runnerGroup);
        expect(wish.cpu ?? 0).to.be.at.most(b.limits.maxCpu ?? Number.POSITIVE_INFINITY);
        expect(wish.memoryGiB ?? 0).to.be.at.most(b.limits.maxMemoryGiB ?? Number.POSITIVE_INFINITY);
        expect(wish.timeLimitMs ?? 0).to.be.at.most(b.limits.maxTimeLimitMs ?? Number.POSITIVE_INFINITY);
        if (!chosen.includes('host')) return;
        expect(matchesAny(b.powers.images, wish.image)).to.equal(true);
        expect(wish.diskGiB ?? 0).to.be.at.most(b.limits.maxDiskGiB ?? 0);
        expect(wish.timeLimitMs ?? 0).to.be.at.most(b.limits.maxTimeLimitMs ?? 0);
        const mode = wish.spot ? 'only' : 'never';
        const { spot } = b.powers;
        expect(typeof spot === 'boolean' ? spot || mode === 'never' : spot.includes(mode)).to.equal(true);
        expect(wish.dockerInDocker && !b.powers.dockerInDocker).to.equal(false);
        expect(job.visibility === 'private' || job.visibility === 'internal' || b.powers.publicRepositories).to.equal(
          true,
        );
        for (const [value, allowed] of [
          [wish.bucket, b.powers.buckets],
          [wish.subnet, b.powers.subnets],
          [wish.securityGroup, b.powers.securityGroups],
          [wish.region, b.powers.regions],
        ] as const) {
          if (value !== undefined) expect(matchesAny(allowed, value)).to.equal(true);
        }
      }),
      { numRuns: 6000 },
    );
    expect(admitted).to.be.at.least(100);
  });

  it('never admit more when they are narrower', () => {
    const less = <T>(items: readonly T[]) =>
      fc.oneof({ weight: 4, arbitrary: fc.constant([...items]) }, fc.subarray([...items]));
    const narrowed = (grant: Grant): fc.Arbitrary<Grant> =>
      fc
        .record({
          hosts: less(grant.hosts),
          owners: less(grant.owners),
          enterprises: less(grant.enterprises),
          repositories: less(grant.repositories),
          labels: less(grant.labels),
          runnerGroups: less(grant.runnerGroups),
          publicRepositories: fc.constantFrom(false, grant.powers.publicRepositories),
          dockerInDocker: fc.constantFrom(false, grant.powers.dockerInDocker),
          spot: lessSpot(grant.powers.spot),
          images: less(grant.powers.images),
          buckets: less(grant.powers.buckets),
          subnets: less(grant.powers.subnets),
          regions: less(grant.powers.regions),
          maxCpu: fc.constantFrom(grant.limits.maxCpu, Math.min(grant.limits.maxCpu ?? 2, 2)),
          // Of disk and time absent is none on a shared backend, and no limit on the tenant's own.
          maxDiskGiB: fc.constantFrom(grant.limits.maxDiskGiB, Math.min(grant.limits.maxDiskGiB ?? 0, 20)),
        })
        .map(({ maxCpu, maxDiskGiB, ...rest }) => {
          const { publicRepositories, dockerInDocker, spot, images, buckets, subnets, regions, ...claims } = rest;
          const powers = { publicRepositories, dockerInDocker, spot, images, buckets, subnets, regions };
          return {
            ...grant,
            ...claims,
            limits: { ...grant.limits, maxCpu, maxDiskGiB },
            powers: { ...grant.powers, ...powers },
          };
        });
    let admitted = 0;
    const cases = two.chain(({ a, ofA, job }) =>
      fc.record({ a: fc.constant(a), less: narrowed(a), ofA: fc.constant(ofA), job: fc.constant(job) }),
    );
    fc.assert(
      fc.property(cases, ({ a, less, ofA, job }) => {
        const one = ofA.slice(0, 1);
        const narrow = createAdmit(named(one, less), { tenants: [entryOf(less)] })(job);
        if (narrow.outcome !== 'lane') return;
        admitted += 1;
        const wide = createAdmit(named(one, a), { tenants: [entryOf(a)] })(job);
        if (wide.outcome !== 'lane') throw new Error(`the wider grant refuses: ${JSON.stringify(wide)}`);
        expect(wide.lane.wish).to.deep.equal(narrow.lane.wish);
        expect(wide.lane.backends).to.include.members([...narrow.lane.backends]);
      }),
      { numRuns: 6000 },
    );
    expect(admitted).to.be.at.least(50);
  });
});
