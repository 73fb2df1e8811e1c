import { expect } from 'chai';
import fc from 'fast-check';
import { createAdmit } from '../../dispatcher/admission/admit.ts';
import { narrowedBy } from '../../dispatcher/admission/organization.ts';
import { dependsOnRun } from '../../dispatcher/admission/origin.ts';
import { poolLane } from '../../dispatcher/admission/standby.ts';
import type { JobSubject } from '../../dispatcher/jobs/lane.ts';
import type {
  OrganizationFile,
  OrganizationPolicy,
  OrganizationShape,
  Policy,
  Registration,
} from '../../dispatcher/model/registration.ts';
import { closedPolicy, grantOf, openPolicy, registration } from '../registration-fixture.ts';

const FILE = 'acme/.github-private/shr.yaml';

function file(policy: OrganizationPolicy, more: Partial<OrganizationFile> = {}): OrganizationFile {
  const fields = [...Object.keys(policy), 'maxTimeout'].map((key) => `policy.${key}`);
  const places = Object.fromEntries(
    [...fields, 'maxRunnersPerRun'].map((key, index) => [key, `${FILE}:${index + 1}:3`]),
  );
  return { file: FILE, blob: 'b10b', policy, defaults: {}, places, ...more };
}

const job: JobSubject = {
  ...{ host: 'github.com', owner: 'acme', repository: 'web', labels: ['acme-runner'] },
  ...{ visibility: 'private', isFork: false, workflow: 'CI', branch: 'main', event: 'push', actors: ['octocat'] },
};

const admit = (one: Registration, labels: readonly string[] = [], changes: Partial<JobSubject> = {}) =>
  createAdmit([one])({ ...job, labels: ['acme-runner', ...labels], ...changes });

const forced = (policy: OrganizationPolicy, more: Partial<Registration> = {}, rest: Partial<OrganizationFile> = {}) =>
  narrowedBy(registration({ organizationDefaults: 'forced', ...more }), file(policy, rest)).registration;
const byDefault = (
  policy: OrganizationPolicy,
  more: Partial<Registration> = {},
  rest: Partial<OrganizationFile> = {},
) => narrowedBy(registration({ organizationDefaults: 'default', ...more }), file(policy, rest)).registration;

describe('the defaults of an organization', () => {
  it('do not matter to a registration that does not ask for them', () => {
    const own = registration();
    expect(narrowedBy(own, file({ maxCpu: 1 })).registration).to.equal(own);
    const asking = registration({ organizationDefaults: 'forced' });
    expect(narrowedBy(asking, undefined).registration, 'no file').to.equal(asking);
  });

  it('refuse what exceeds them where they are forced, with the line that decided', () => {
    const one = forced({ maxCpu: 4, images: ['ghcr.io/acme/*'], spot: false, subnets: ['vsw-1'] });
    expect(admit(one, ['cpu-4'])).to.include({ outcome: 'lane' });
    const refused = admit(one, ['cpu-8']);
    expect(refused).to.include({ outcome: 'refused', code: 'over-limit', place: `${FILE}:1:3` });
    expect(refused).to.have.property('reason').that.includes(`do not allow 8 cores (${FILE}:1:3)`);
    expect(refused).to.have.property('cure').that.includes('`policy.maxCpu`');
    expect(admit(one, ['spot'])).to.include({ code: 'not-allowed', place: `${FILE}:3:3` });
    expect(admit(one, ['vsw-2'])).to.include({ code: 'not-allowed', place: `${FILE}:4:3` });
    expect(admit(one, ['vsw-1'])).to.include({ outcome: 'lane' });
  });

  it('let no service round up past them what a label asked for', () => {
    const backendFit = () => ({
      fit: () => ({
        fits: true as const,
        ...{
          shape: {
            cpu: 8,
            memoryGiB: 16,
            architecture: 'x64' as const,
            image: 'x',
            spot: false,
            dockerInDocker: false,
          },
        },
      }),
    });
    const rounded = (one: Registration, label: string) =>
      createAdmit([one], { backendFit })({ ...job, labels: ['acme-runner', label] });
    expect(rounded(registration({ policy: { ...openPolicy, maxCpu: 4 } }), 'memory-16'), 'its own').to.include({
      code: 'no-backend',
    });
    const cpu = rounded(forced({ maxCpu: 4 }), 'memory-16');
    expect(cpu).to.include({ outcome: 'refused', code: 'no-backend' });
    expect(cpu)
      .to.have.property('reason')
      .that.includes(`round up to 8 cores, more than the 4 that the defaults of the organization allow (${FILE}:1:3)`);
    expect(rounded(forced({ maxMemoryGiB: 8 }), 'cpu-2'))
      .to.have.property('reason')
      .that.includes(`round up to 16 GiB, more than the 8 that the defaults of the organization allow (${FILE}:1:3)`);
    expect(rounded(forced({ maxCpu: 8, maxMemoryGiB: 16 }), 'memory-16')).to.include({ outcome: 'lane' });
  });

  it('also limit what the registration gives by itself, where they are forced', () => {
    expect(admit(forced({ maxCpu: 1 }))).to.include({ code: 'over-limit' });
    expect(admit(forced({ images: ['registry.example/*'] }))).to.include({ code: 'not-allowed' });
    expect(admit(byDefault({ maxCpu: 1 })), 'the registration speaks').to.include({ outcome: 'lane' });
  });

  it('leave out a candidate image that they do not allow', () => {
    const canary = { image: 'ghcr.io/acme/runner:2', percent: 10 };
    expect(forced({ images: ['ghcr.io/acme/*'] }, { canary }).canary).to.deep.equal(canary);
    expect(forced({}, { canary }).canary).to.deep.equal(canary);
    const own = registration({ organizationDefaults: 'forced', canary });
    const narrowed = narrowedBy(own, file({ images: ['ghcr.io/acme/runner:1'] }));
    expect(narrowed.registration).to.not.have.property('canary');
    expect(narrowed.unused).to.deep.equal(['canary']);
  });

  it('are held beside policy and grant: the strictest wins', () => {
    const grant = grantOf('acme', { limits: { ...grantOf('acme').limits, maxCpu: 2, branches: ['main'] } });
    const one = forced({ maxCpu: 4, branches: ['*'] }, { grant });
    expect(admit(one, ['cpu-4'])).to.include({ code: 'over-limit', place: 'dispatcher.yaml:limits.maxCpu' });
    expect(admit(one, [], { branch: 'x' })).to.include({ place: 'dispatcher.yaml:limits.branches' });
    const open = forced({ branches: ['main'] }, { policy: { ...openPolicy, branches: ['*'] } });
    expect(admit(open, [], { branch: 'x' })).to.include({ code: 'origin-not-allowed', place: `${FILE}:1:3` });
    expect(admit(forced({ branches: ['main'] }), [], { branch: null })).to.include({
      code: 'unknown-origin',
      place: `${FILE}:1:3`,
    });
    expect(admit(forced({}, { policy: { ...openPolicy, maxCpu: 2 } }), ['cpu-4'])).to.include({
      field: 'policy.maxCpu',
    });
  });

  it('narrow events and actors, so that GitHub is asked for the run', () => {
    const one = forced({ actors: ['octocat'] });
    expect(dependsOnRun(registration())).to.equal(false);
    expect(dependsOnRun(one)).to.equal(true);
    expect(admit(one, [], { actors: ['mallory'] })).to.include({ code: 'origin-not-allowed' });
    expect(admit(one, [], { actors: ['OctoCat'] })).to.include({ outcome: 'lane' });
  });

  it('turn public repositories and forks off, with the line that decided', () => {
    const one = forced({ publicRepositories: false, forks: false });
    const refused = admit(one, [], { visibility: 'public' });
    expect(refused).to.include({ code: 'public-repository', place: `${FILE}:1:3` });
    expect(refused).to.have.property('cure').that.includes(`take \`publicRepositories\` out (${FILE}:1:3)`);
    const forks = forced({ forks: false }, { policy: { ...openPolicy, forks: true } });
    expect(admit(forks, [], { isFork: true })).to.include({ code: 'fork', place: `${FILE}:1:3` });
    const offAlready = forced({ forks: false }, { policy: { ...closedPolicy, forks: false } });
    expect(offAlready.organization?.decided, 'the registration said so').to.deep.equal({});
  });

  it('fill only what the registration does not say, where they are not forced', () => {
    const policy: Policy = { ...closedPolicy, branches: ['release'] };
    const one = byDefault({ branches: ['main'], events: ['push'] }, { policy });
    expect(admit(one, [], { branch: 'main' })).to.include({ field: 'policy.branches' });
    expect(admit(one, [], { branch: 'release' })).to.include({ outcome: 'lane' });
    expect(admit(one, [], { branch: 'release', event: 'schedule' })).to.include({ place: `${FILE}:2:3` });
    const rest = { maxRunnersPerRun: 5 };
    expect(byDefault({}, { maxRunnersPerRun: 20 }, rest).maxRunnersPerRun).to.equal(20);
    expect(byDefault({}, {}, rest).maxRunnersPerRun).to.equal(5);
    expect(forced({}, { maxRunnersPerRun: 20 }, rest).maxRunnersPerRun).to.equal(5);
    expect(forced({}, { maxRunnersPerRun: 2 }, rest).maxRunnersPerRun).to.equal(2);
  });

  it('give a default only as far as a label may ask for the same', () => {
    const silent = { image: 'ghcr.io/acme/runner:1' };
    const shape: OrganizationShape = { cpu: 8, memoryGiB: 128, architecture: 'arm64', timeLimitMs: 3_600_000 };
    const asking = registration({ organizationDefaults: 'default', defaults: silent });
    const { registration: one, unused } = narrowedBy(asking, file({}, { defaults: shape }));
    expect(one.defaults).to.deep.equal({ ...silent, cpu: 8, architecture: 'arm64', timeLimitMs: 3_600_000 });
    expect(unused).to.deep.equal(['defaults.memoryGiB']);
    const closed = narrowedBy({ ...asking, policy: closedPolicy }, file({}, { defaults: { ...shape, cpu: 1 } }));
    expect(closed.registration.defaults).to.deep.equal(silent);
    const imageless = { ...asking, defaults: {} };
    const of = (image: string) => narrowedBy(imageless, file({}, { defaults: { image } })).registration.defaults.image;
    expect(of('ghcr.io/acme/runner:9')).to.equal('ghcr.io/acme/runner:9');
    expect(of('ghcr.io/mallory/runner:9'), 'no label may name it').to.equal(undefined);
    const own = narrowedBy(registration({ organizationDefaults: 'forced' }), file({}, { defaults: { cpu: 1 } }));
    expect(own.registration.defaults.cpu, 'the registration speaks').to.equal(2);
  });

  it('hold for standby containers too', () => {
    const repositories = [{ owner: 'acme', repository: 'web' }];
    const one = forced({ maxCpu: 1 }, { claim: { kind: 'repositories', repositories } });
    expect(poolLane(one, { labels: [] })).to.include({ kind: 'refused' });
    expect(poolLane(one, { labels: ['cpu-1'] })).to.include({ kind: 'lane' });
    expect(poolLane({ ...one, organizationUnknown: 'x' }, { labels: ['cpu-1'] })).to.include({ kind: 'refused' });
  });

  it('let no job in before they were read, where they are forced', () => {
    const refused = admit(registration({ organizationUnknown: 'they were not read yet' }));
    expect(refused).to.include({ outcome: 'refused', code: 'organization-unknown' });
    expect(refused).to.have.property('reason').that.includes('they were not read yet');
  });

  const some = (...globs: readonly string[]) => fc.option(fc.subarray([...globs]), { nil: undefined });
  const most = (...values: readonly number[]) => fc.option(fc.constantFrom(...values), { nil: undefined });
  const off = fc.constantFrom(false as const, undefined);
  const anyOrganization = fc.record({
    ...{
      maxCpu: most(1, 4, 64),
      maxMemoryGiB: most(2, 16, 512),
      maxDiskGiB: most(1, 100),
      maxTimeLimitMs: most(60_000, 1e9),
    },
    ...{
      images: some('*', 'ghcr.io/acme/*', 'evil/*'),
      subnets: some('*', 'vsw-*'),
      securityGroups: some('*', 'sg-*'),
    },
    ...{
      workflows: some('*', 'CI'),
      branches: some('*', 'main'),
      events: some('*', 'push'),
      actors: some('*', 'octocat'),
    },
    ...{ spot: off, dockerInDocker: off, publicRepositories: off, forks: off },
  });
  const anyShape = fc.record({
    ...{ cpu: most(1, 4, 64), memoryGiB: most(2, 512), timeLimitMs: most(60_000, 1e9) },
    architecture: fc.constantFrom('x64' as const, 'arm64' as const, undefined),
    image: fc.constantFrom('ghcr.io/acme/runner:2', 'evil/image:1', undefined),
  });
  const present = <T extends object>(fields: T) =>
    JSON.parse(JSON.stringify(fields)) as { [K in keyof T]?: Exclude<T[K], undefined> };
  const anyRegistration = fc.record({
    policy: fc.constantFrom<Policy>(openPolicy, closedPolicy, { ...openPolicy, branches: ['main'], images: [] }),
    defaults: fc.constantFrom(
      { image: 'ghcr.io/acme/runner:1' },
      { image: 'ghcr.io/acme/runner:1', cpu: 2, spot: true },
      {},
    ),
    organizationDefaults: fc.constantFrom('forced' as const, 'default' as const),
  });
  const anyJob = fc.record({
    labels: fc.subarray([
      'cpu-4',
      'memory-16',
      'spot',
      'dind',
      'timeout-30m',
      'vsw-1',
      'sg-1',
      'disk-40',
      'arch-arm64',
    ]),
    visibility: fc.constantFrom('private' as const, 'public' as const),
    isFork: fc.boolean(),
    ...{ branch: fc.constantFrom('main', 'x'), event: fc.constantFrom('push', 'schedule') },
  });

  it('never let a job in that would not be without them, or with labels that say the same', () => {
    fc.assert(
      fc.property(anyRegistration, anyOrganization, anyShape, anyJob, (own, policy, shape, { labels, ...changes }) => {
        const bare = registration(own);
        const narrowed = narrowedBy(bare, file(present(policy), { defaults: present(shape) })).registration;
        const found = admit(narrowed, labels, changes);
        if (found.outcome !== 'lane') return;
        const { architecture, cpu, image, memoryGiB, timeLimitMs } = found.lane.wish;
        const has = (word: string) => labels.some((label) => label.startsWith(word));
        const same = [
          ...(own.defaults.image === undefined ? [`img-${image}`] : []),
          ...(cpu === undefined || has('cpu-') ? [] : [`cpu-${cpu}`]),
          ...(memoryGiB === undefined || has('memory-') ? [] : [`memory-${memoryGiB}`]),
          ...(timeLimitMs === undefined || has('timeout-') ? [] : [`timeout-${timeLimitMs / 60_000}m`]),
          ...(has('arch-') ? [] : [`arch-${architecture}`]),
        ];
        const without = admit(bare, [...labels, ...same], changes);
        expect(without, JSON.stringify(without)).to.include({ outcome: 'lane' });
        if (without.outcome === 'lane') expect(without.lane.wish).to.deep.equal(found.lane.wish);
      }),
      { numRuns: 500 },
    );
  });
});
