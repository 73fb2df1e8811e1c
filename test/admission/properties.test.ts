import { expect } from 'chai';
import fc from 'fast-check';
import { createAdmit } from '../../dispatcher/admission/admit.ts';
import type { JobSubject } from '../../dispatcher/jobs/lane.ts';
import { matchesAny } from '../../dispatcher/labels/glob.ts';
import type { Policy, Registration } from '../../dispatcher/model/registration.ts';
import { registration } from '../registration-fixture.ts';

const label = fc.oneof(
  fc.constantFrom('acme-runner', 'big', 'self-hosted', 'linux', 'x64', 'arm64', 'spot', 'dind', 'gpu', 'ubuntu-latest'),
  fc.integer({ min: 0, max: 40 }).map((cores) => `cpu-${cores}`),
  fc.integer({ min: 0, max: 200 }).map((gib) => `memory-${gib}`),
  fc.integer({ min: 0, max: 900 }).map((gib) => `disk-${gib}`),
  fc.integer({ min: 0, max: 600 }).map((minutes) => `timeout-${minutes}m`),
  fc.constantFrom('disk-build-cache', 'disk-other', 'vsw-1', 'sg-1', 'region-eu', 'backend-main', 'backend-spare'),
  fc.constantFrom(
    'img-1',
    'img-named',
    'img-ghcr.io/acme/x:1',
    'img-evil.example/x',
    'shape-large',
    'shape-tiny',
    'shape-none',
  ),
  fc.constantFrom('sid-1', 'sid-2', 'shr=1/cpu=8', 'shr=2/memory=16/spot', 'shr=/x', 'cpu-abc', 'memory-4GB'),
);
const labels = fc.array(label, { maxLength: 8 });

const most = (max: number) => fc.option(fc.integer({ min: 1, max }), { nil: undefined });
const globs = (...choices: string[]) => fc.subarray(choices);
const policy: fc.Arbitrary<Policy> = fc.record({
  maxCpu: most(32),
  maxMemoryGiB: most(128),
  maxDiskGiB: most(500),
  maxTimeLimitMs: most(400 * 60_000),
  images: globs('ghcr.io/acme/*', '*'),
  subnets: globs('vsw-*'),
  securityGroups: globs('sg-*'),
  buckets: globs('build-*'),
  regions: globs('eu', 'us'),
  backends: globs('main', '*'),
  architectures: fc.subarray(['x64', 'arm64'] as const),
  spot: fc.boolean(),
  dockerInDocker: fc.boolean(),
  publicRepositories: fc.boolean(),
});

const anyRegistration: fc.Arbitrary<Registration> = fc
  .record({
    policy,
    labels: fc.constantFrom(
      ['acme-runner'],
      ['acme-runner', 'big'],
      ['serverless-hosted-runner'],
      ['acme-runner', 'spot'],
    ),
    imageRepository: fc.constantFrom(undefined, 'ghcr.io/acme/runner'),
  })
  .map((changes) =>
    registration({
      ...changes,
      images: { named: 'named.example/image', other: 'other.example/image' },
      shapes: { large: { cpu: 20, memoryGiB: 80 }, tiny: { memoryGiB: 1, cpu: 1 } },
      backends: [
        { name: 'main', kind: 'docker', region: 'eu', options: {}, maxRunners: 5 },
        { name: 'spare', kind: 'docker', region: undefined, options: {}, maxRunners: 5 },
      ],
    }),
  );

/** Values keep their case: an image, a bucket or a network of another case is another one. */
const withNamedValue = /^(?:img|disk|subnet|vsw|sg|region)-/;

const visibility = fc.constantFrom('public', 'private', 'internal', undefined);

function job(jobLabels: readonly string[], seen: JobSubject['visibility']): JobSubject {
  return { host: 'github.com', owner: 'acme', repository: 'web', labels: jobLabels, visibility: seen };
}

/** The same, with the keys of its maps in the other order. */
function turnedAround(from: Registration): Registration {
  const turned = <T>(map: Readonly<Record<string, T>>): Record<string, T> =>
    Object.fromEntries(Object.entries(map).reverse());
  return { ...from, images: turned(from.images), shapes: turned(from.shapes), labels: [...from.labels] };
}

describe('admission, whatever the labels and the policy', () => {
  it('answers the same whatever it was asked before, and however the registration is written down', () => {
    const asked = fc.array(fc.tuple(labels, visibility), { maxLength: 6 });
    fc.assert(
      fc.property(anyRegistration, asked, labels, visibility, (from, before, jobLabels, seen) => {
        const used = createAdmit([from]);
        for (const [others, otherVisibility] of before) used(job(['acme-runner', ...others], otherVisibility));
        const subject = job(['acme-runner', ...jobLabels], seen);
        const fresh = createAdmit([from])(subject);
        expect(used(subject)).to.deep.equal(fresh);
        expect(used(subject), 'asked again').to.deep.equal(fresh);
        const turned = createAdmit([turnedAround(from)])(subject);
        // A refusal may name what there is in the order in which it is written.
        if (fresh.outcome === 'lane') expect(turned).to.deep.equal(fresh);
        else expect(turned).to.include(fresh.outcome === 'refused' ? { code: fresh.code } : { outcome: fresh.outcome });
      }),
      { numRuns: 500 },
    );
  });

  it('does not depend on the order, case or doubling of the labels', () => {
    const shuffled = labels.chain((jobLabels) =>
      fc.record({
        jobLabels: fc.constant(jobLabels),
        other: fc
          .shuffledSubarray(jobLabels, { minLength: jobLabels.length })
          .map((items) =>
            [...items, ...items.slice(0, 2)].map((text) => (withNamedValue.test(text) ? text : text.toUpperCase())),
          ),
      }),
    );
    fc.assert(
      fc.property(anyRegistration, shuffled, (from, { jobLabels, other }) => {
        const one = createAdmit([from])(job(jobLabels, 'private'));
        const two = createAdmit([from])(job(other, 'private'));
        expect(two.outcome).to.equal(one.outcome);
        if (one.outcome === 'lane' && two.outcome === 'lane') expect(two.lane.key).to.equal(one.lane.key);
        if (one.outcome === 'refused' && two.outcome === 'refused') expect(two.code).to.equal(one.code);
      }),
      { numRuns: 500 },
    );
  });

  it('never grants more than the policy and the registration’s own shapes', () => {
    let granted = 0;
    fc.assert(
      fc.property(anyRegistration, labels, visibility, (from, jobLabels, seen) => {
        const admission = createAdmit([from])(job(['acme-runner', ...jobLabels], seen));
        if (admission.outcome !== 'lane') return;
        granted += 1;
        const { wish, backends } = admission.lane;
        const limits = from.policy;
        expect(wish.cpu ?? 0).to.be.at.most(Math.max(limits.maxCpu ?? 0, jobLabels.includes('shape-large') ? 20 : 2));
        expect(wish.memoryGiB ?? 0).to.be.at.most(
          Math.max(limits.maxMemoryGiB ?? 0, jobLabels.includes('shape-large') ? 80 : 4),
        );
        expect(wish.diskGiB ?? 0).to.be.at.most(limits.maxDiskGiB ?? 0);
        expect(wish.timeLimitMs ?? 0).to.be.at.most(limits.maxTimeLimitMs ?? 0);
        expect(wish.spot && !limits.spot).to.equal(false);
        expect(wish.dockerInDocker && !limits.dockerInDocker).to.equal(false);
        expect(['x64', ...limits.architectures]).to.include(wish.architecture);
        for (const [value, allowed] of [
          [wish.subnet, limits.subnets],
          [wish.securityGroup, limits.securityGroups],
          [wish.bucket, limits.buckets],
          [wish.region, limits.regions],
        ] as const) {
          if (value !== undefined) expect(matchesAny(allowed, value)).to.equal(true);
        }
        const own = ['ghcr.io/acme/runner:1', 'named.example/image'];
        expect(own.includes(wish.image) || matchesAny(limits.images, wish.image)).to.equal(true);
        expect(seen === 'private' || seen === 'internal' || limits.publicRepositories).to.equal(true);
        expect(backends.length).to.be.at.least(1);
      }),
      { numRuns: 2000 },
    );
    expect(granted).to.be.at.least(50);
  });

  it('gives every refusal a reason and a cure, and every job that is not ours a reason', () => {
    fc.assert(
      fc.property(anyRegistration, labels, visibility, (from, jobLabels, seen) => {
        const admission = createAdmit([from])(job(jobLabels, seen));
        if (admission.outcome === 'lane') return;
        expect(admission.reason.length).to.be.within(10, 5000);
        if (admission.outcome === 'refused') expect(admission.cure).to.match(/^[A-Z`].*[.?`]$/s);
      }),
      { numRuns: 1000 },
    );
  });

  it('gives one lane to one label set, and different lanes to different ones', () => {
    fc.assert(
      fc.property(anyRegistration, labels, labels, (from, some, others) => {
        const one = createAdmit([from])(job(['acme-runner', ...some], 'private'));
        const two = createAdmit([from])(job(['acme-runner', ...others], 'private'));
        if (one.outcome !== 'lane' || two.outcome !== 'lane') return;
        const set = (texts: readonly string[]) =>
          [...new Set(texts.map((text) => text.toLowerCase()))].sort().join('\n');
        const sameScope = JSON.stringify(one.lane.scope) === JSON.stringify(two.lane.scope);
        const same = sameScope && set(one.lane.labels) === set(two.lane.labels);
        expect(one.lane.key === two.lane.key).to.equal(same);
      }),
      { numRuns: 1000 },
    );
  });
});
