import { expect } from 'chai';
import { type AdmitOptions, createAdmit } from '../../dispatcher/admission/admit.ts';
import type { BackendFit } from '../../dispatcher/admission/backend-choice.ts';
import type { Admission, JobSubject, LaneSpec } from '../../dispatcher/jobs/lane.ts';
import type { Registration } from '../../dispatcher/model/registration.ts';
import { type Fit, ProviderError, type ShapeWish } from '../../providers/provider.ts';
import { closedPolicy, grantOf, openPolicy, registration } from '../registration-fixture.ts';

const privateJob: JobSubject = {
  host: 'github.com',
  owner: 'Acme',
  repository: 'Web',
  labels: ['acme-runner'],
  visibility: 'private',
};

function admit(from: Registration, labels: readonly string[], job: Partial<JobSubject> = {}): Admission {
  return createAdmit([from])({ ...privateJob, labels: ['acme-runner', ...labels], ...job });
}

function laneOf(admission: Admission): LaneSpec {
  if (admission.outcome !== 'lane') throw new Error(`no lane: ${JSON.stringify(admission)}`);
  return admission.lane;
}

function refusalOf(admission: Admission): Extract<Admission, { outcome: 'refused' }> {
  if (admission.outcome !== 'refused') throw new Error(`not refused: ${JSON.stringify(admission)}`);
  return admission;
}

function wishOf(from: Registration, ...labels: string[]): ShapeWish {
  return laneOf(admit(from, labels)).wish;
}

describe('admission', () => {
  describe('the lane', () => {
    it('has the registration’s defaults when the labels ask for nothing', () => {
      const lane = laneOf(admit(registration(), ['self-hosted', 'linux', 'x64']));
      expect(lane.wish).to.deep.equal({
        cpu: 2,
        memoryGiB: 4,
        architecture: 'x64',
        image: 'ghcr.io/acme/runner:1',
        spot: false,
        dockerInDocker: false,
      });
      expect(lane).to.deep.include({
        registration: 'acme',
        host: 'github.com',
        scope: { kind: 'organization', organization: 'acme' },
        runnerGroup: 'Default',
        labels: ['acme-runner', 'self-hosted', 'linux', 'x64'],
        backends: ['main'],
      });
      expect(lane.key).to.match(/^[a-z0-9]{16}$/);
      expect(lane.specHash).to.match(/^[a-z0-9]{16}$/);
    });

    it('has the keys that earlier versions gave it: they are in ledgers and in the tags of running instances', () => {
      const keysOf = (...labels: string[]) => {
        const { key, specHash } = laneOf(admit(registration(), labels));
        return [key, specHash];
      };
      expect(keysOf()).to.deep.equal(['653zbgzqpgl5tjvw', 'u6cjdglqgsrnq2t4']);
      expect(keysOf('cpu-4', 'memory-8', 'spot')).to.deep.equal(['araz5scd4n22lyct', 'yq75b6soso423wkq']);
      expect(keysOf('arm64', 'sid-é')).to.deep.equal(['x5olfetz6gnovotw', 'v4cn2iujd23no6za']);
    });

    it('registers with the labels as the job wrote them, each once', () => {
      expect(laneOf(admit(registration(), ['CPU-4', 'cpu-4', 'Spot'])).labels).to.deep.equal([
        'acme-runner',
        'CPU-4',
        'Spot',
      ]);
    });

    it('is the same for the same labels in another order and case', () => {
      const one = laneOf(admit(registration(), ['cpu-4', 'spot']));
      const other = laneOf(createAdmit([registration()])({ ...privateJob, labels: ['SPOT', 'Acme-Runner', 'CPU-4'] }));
      expect(other.key).to.equal(one.key);
      expect(other.specHash).to.equal(one.specHash);
    });

    it('is another with one more label, at another repository of a user, or in another runner group', () => {
      const user = registration({ claim: { kind: 'user', user: 'acme' } });
      const keys = [
        laneOf(admit(registration(), [])).key,
        laneOf(admit(registration(), ['sid-1'])).key,
        laneOf(admit(registration({ runnerGroup: 'Big' }), [])).key,
        laneOf(admit(user, [])).key,
        laneOf(admit(user, [], { repository: 'api' })).key,
      ];
      expect(new Set(keys).size).to.equal(keys.length);
    });

    it('keeps its key and changes its spec when the registration’s image changes', () => {
      const before = laneOf(admit(registration(), []));
      const after = laneOf(
        admit(registration({ defaults: { image: 'ghcr.io/acme/runner:2', cpu: 2, memoryGiB: 4 } }), []),
      );
      expect(after.key).to.equal(before.key);
      expect(after.specHash).to.not.equal(before.specHash);
    });

    it('registers at the repository when a bucket is mounted, so that no other repository gets its runner', () => {
      const lane = laneOf(admit(registration({ runnerGroup: 'Big' }), ['disk-build-cache']));
      expect(lane.scope).to.deep.equal({ kind: 'repository', owner: 'acme', repository: 'web' });
      expect(lane.runnerGroup).to.equal('Default');
      expect(lane.wish).to.include({ bucket: 'build-cache', bucketPrefix: 'github.com/acme/web' });
    });
  });

  describe('overrides that the policy allows', () => {
    it('are granted together', () => {
      const labels = ['cpu-4', 'memory-8', 'vsw-bp1', 'sg-bp1', 'disk-100', 'arm64', 'spot', 'dind', 'timeout-90m'];
      expect(wishOf(registration(), ...labels)).to.deep.equal({
        cpu: 4,
        memoryGiB: 8,
        architecture: 'arm64',
        image: 'ghcr.io/acme/runner:1',
        diskGiB: 100,
        subnet: 'vsw-bp1',
        securityGroup: 'sg-bp1',
        spot: true,
        dockerInDocker: true,
        timeLimitMs: 5_400_000,
      });
    });

    it('each work alone', () => {
      expect(wishOf(registration(), 'cpu-4')).to.include({ cpu: 4, memoryGiB: 4 });
      expect(wishOf(registration(), 'memory-8')).to.include({ cpu: 2, memoryGiB: 8 });
    });

    it('read the same from the one-label form', () => {
      const usual = registration({ labels: ['serverless-hosted-runner'] });
      const one = laneOf(createAdmit([usual])({ ...privateJob, labels: ['shr=7/cpu=4/memory=8/spot'] }));
      expect(one.wish).to.include({ cpu: 4, memoryGiB: 8, spot: true });
      expect(one.labels).to.deep.equal(['shr=7/cpu=4/memory=8/spot']);
    });

    it('lie over a named shape, which itself needs no grant', () => {
      const shaped = registration({
        policy: { ...closedPolicy, maxMemoryGiB: 100 },
        shapes: { Large: { cpu: 32, memoryGiB: 64 } },
      });
      expect(wishOf(shaped, 'shape-large')).to.include({ cpu: 32, memoryGiB: 64, image: 'ghcr.io/acme/runner:1' });
      expect(wishOf(shaped, 'shape-large', 'memory-96')).to.include({ cpu: 32, memoryGiB: 96 });
    });

    it('may ask for what the job would get anyway', () => {
      const closed = registration({ policy: closedPolicy });
      expect(wishOf(closed, 'cpu-2', 'memory-4', 'x64', 'img-ghcr.io/acme/runner:1')).to.deep.equal(wishOf(closed));
    });

    it('replace a default disk by a bucket, and a default bucket by a disk', () => {
      const defaults = { image: 'i', diskGiB: 20 };
      expect(wishOf(registration({ defaults }), 'disk-build-cache')).to.not.have.property('diskGiB');
      expect(wishOf(registration({ defaults: { image: 'i', bucket: 'build-x' } }), 'disk-10')).to.not.have.property(
        'bucket',
      );
    });
  });

  describe('images', () => {
    const imaged = registration({
      imageRepository: 'ghcr.io/acme/runner',
      images: { Node: 'docker.io/library/node:24' },
    });

    it('come by name first, without an allow-list', () => {
      expect(wishOf(imaged, 'img-node').image).to.equal('docker.io/library/node:24');
    });

    it('come by tag of the registration’s repository', () => {
      expect(wishOf(imaged, 'img-2.335-Node').image).to.equal('ghcr.io/acme/runner:2.335-Node');
    });

    it('come by full reference from the allow-list', () => {
      expect(wishOf(imaged, 'img-ghcr.io/acme/other:1').image).to.equal('ghcr.io/acme/other:1');
    });

    it('are found by their exact name before another that differs in case', () => {
      const both = registration({ images: { Node: 'docker.io/library/node:24', node: 'docker.io/library/node:22' } });
      expect(wishOf(both, 'img-node').image).to.equal('docker.io/library/node:22');
      expect(wishOf(both, 'img-Node').image).to.equal('docker.io/library/node:24');
    });

    it('are refused from outside the allow-list', () => {
      const refusal = refusalOf(admit(imaged, ['img-docker.io/evil/miner:1']));
      expect(refusal.code).to.equal('not-allowed');
      expect(refusal.reason).to.include('docker.io/evil/miner:1').and.include('ghcr.io/acme/*');
    });

    it('are refused by a tag when the registration has no repository', () => {
      const refusal = refusalOf(admit(registration({ images: { node: 'x' } }), ['img-nod']));
      expect(refusal).to.include({ code: 'unknown-name', cure: 'Did you mean `img-node`?' });
    });

    it('that are not there are refused with a cure that can be followed', () => {
      const cureFor = (changes: object) => refusalOf(admit(registration(changes), ['img-xyz'])).cure;
      const owner = 'the owner of the registration to set `imageRepository` or `images`.';
      expect(cureFor({})).to.equal(`Remove \`img-xyz\`, or ask ${owner}`);
      expect(cureFor({ images: { node: 'x' } })).to.equal(`Name one of its images, or ask ${owner}`);
      expect(cureFor({ defaults: {} })).to.equal(`Ask ${owner}`);
    });

    it('are needed', () => {
      expect(refusalOf(admit(registration({ defaults: {} }), [])).code).to.equal('no-image');
    });
  });

  describe('refusals', () => {
    const closed = registration({ policy: closedPolicy });

    for (const [label, from, code, reason, cure] of [
      ['cpu-64', registration(), 'over-limit', 'at most 16 cores', 'policy.maxCpu'],
      [
        'cpu-3',
        registration({ policy: { ...closedPolicy, maxCpu: 1 } }),
        'over-limit',
        'at most 1 core',
        'Ask for 1 core or',
      ],
      ['cpu-4', closed, 'not-allowed', 'does not let labels set the cores', 'policy.maxCpu'],
      ['memory-128', registration(), 'over-limit', 'at most 64 GiB', 'policy.maxMemoryGiB'],
      ['memory-4096', registration(), 'over-limit', 'at most 64 GiB', '`memory-4`'],
      ['disk-501', registration(), 'over-limit', 'at most 500 GiB', 'policy.maxDiskGiB'],
      ['timeout-7h', registration(), 'over-limit', 'at most 6h', 'policy.maxTimeout'],
      ['timeout-1h', closed, 'not-allowed', 'does not let labels set the time limit', 'policy.maxTimeout'],
      ['subnet-secret', registration(), 'not-allowed', 'vsw-*', 'policy.subnets'],
      ['sg-1', closed, 'not-allowed', 'does not let labels choose one', 'policy.securityGroups'],
      ['disk-other-bucket', registration(), 'not-allowed', 'build-*', 'policy.buckets'],
      ['region-us-east-1', registration(), 'not-allowed', 'cn-*', 'policy.regions'],
      ['backend-main', closed, 'not-allowed', 'does not let labels choose one', 'policy.backends'],
      ['backend-mian', registration(), 'unknown-name', '`main`', 'Did you mean `backend-main`?'],
      ['shape-huge', registration(), 'unknown-name', 'it has none', 'Remove `shape-huge`, or ask the owner of'],
      ['arm64', closed, 'not-allowed', 'arm64', 'policy.architectures'],
      ['spot', closed, 'not-allowed', 'spot capacity', 'policy.spot'],
      ['spot-only', closed, 'not-allowed', 'spot capacity', 'policy.spot'],
      ['spot-prefer', registration(), 'not-supported', 'does not fall back', 'Write `spot-only` for spot capacity'],
      ['spot-wait', closed, 'not-supported', 'does not fall back', '`spot-never` for on-demand capacity'],
      ['dind', closed, 'not-allowed', 'Docker in Docker', 'policy.dockerInDocker'],
      ['cpu-abc', registration(), 'malformed-label', 'at character 5', '`cpu-2`'],
      [`sid-${'x'.repeat(300)}`, registration(), 'label-too-long', '304 characters', 'Shorten'],
    ] as const) {
      it(`refuses ${label.slice(0, 30)} with ${code}, the reason and the cure`, () => {
        const refusal = refusalOf(admit(from, [label]));
        expect(refusal).to.include({ code, registration: 'acme' });
        expect(refusal.reason).to.include(reason);
        expect(refusal.cure).to.include(cure);
      });
    }

    describe('of one part of a `shr=` label, which brings the job here, name the part to remove', () => {
      for (const [label, changes, cure] of [
        [
          'shr=77,cpu=4',
          { policy: closedPolicy },
          'Remove `cpu=4` from `shr=77,cpu=4`, or ask the owner of registration `acme` to set `policy.maxCpu` to 4.',
        ],
        [
          'shr=77/spot',
          { policy: closedPolicy },
          'Remove `spot` from `shr=77/spot`, or ask the owner of registration `acme` to set `policy.spot` to `[only]`.',
        ],
        ['shr=77/spot=wait', {}, 'Write `spot=only` for spot capacity'],
        [
          'shr=77/sg=sg-1',
          { policy: closedPolicy },
          'Remove `sg=sg-1` from `shr=77/sg=sg-1`, or ask the owner of registration `acme` to add `sg-1` to `policy.securityGroups`.',
        ],
        ['shr=77/backend=x', { policy: closedPolicy }, 'Remove `backend=x` from `shr=77/backend=x`, or ask the owner'],
        ['shr=77/shape=big', {}, 'Remove `shape=big` from `shr=77/shape=big`, or ask the owner'],
        ['shr=77/img=xyz', {}, 'Remove `img=xyz` from `shr=77/img=xyz`, or ask the owner'],
        ['shr=77/memory=4096', {}, 'Memory is in GiB: 4096 MiB are `memory=4`.'],
      ] as const) {
        it(label, () => {
          const usual = registration({ labels: ['serverless-hosted-runner'], ...changes });
          expect(refusalOf(createAdmit([usual])({ ...privateJob, labels: [label] })).cure).to.include(cure);
        });
      }
    });

    it('name everything that is wrong at once', () => {
      const refusal = refusalOf(admit(registration(), ['cpu-64', 'memory-1000', 'shape-no']));
      expect(refusal.reason).to.include('cpu-64').and.include('memory-1000').and.include('shape-no');
    });

    it('name a contradiction', () => {
      expect(refusalOf(admit(registration(), ['cpu-2', 'cpu-4']))).to.include({
        code: 'contradicting-labels',
        cure: 'Keep one of them.',
      });
    });

    it('meet a job with more labels than GitHub registers', () => {
      const many = Array.from({ length: 100 }, (_, index) => `sid-${index}`);
      expect(refusalOf(admit(registration(), many)).code).to.equal('too-many-labels');
    });

    it('name both registrations of a tie', () => {
      const tie = createAdmit([registration(), registration({ name: 'twin' })])(privateJob);
      expect(refusalOf(tie)).to.include({ code: 'ambiguous-registration', registration: 'acme' });
      expect(refusalOf(tie).reason).to.include('`acme` and `twin`');
    });
  });

  describe('public repositories', () => {
    const closed = registration({ policy: closedPolicy });

    it('are refused unless the policy allows them', () => {
      expect(refusalOf(admit(closed, [], { visibility: 'public' })).code).to.equal('public-repository');
      expect(admit(registration(), [], { visibility: 'public' }).outcome).to.equal('lane');
    });

    it('are what a repository of unknown visibility is taken for', () => {
      expect(refusalOf(admit(closed, [], { visibility: undefined })).code).to.equal('unknown-visibility');
      expect(admit(registration(), [], { visibility: undefined }).outcome).to.equal('lane');
    });

    it('are not what an internal one is', () => {
      expect(admit(closed, [], { visibility: 'internal' }).outcome).to.equal('lane');
    });
  });

  describe('a job that no registration takes', () => {
    const reasonOf = (job: Partial<JobSubject>, options: AdmitOptions): string => {
      const admission = createAdmit([registration()], options)({ ...privateJob, ...job });
      return admission.outcome === 'not-ours' ? admission.reason : admission.outcome;
    };

    it('is told of the registrations that are set aside and may ask for it, the first five by name', () => {
      const one = reasonOf({ labels: ['proc'] }, { unread: ['proc'] });
      expect(one).to.match(
        /^none of its labels \(`proc`\) is one that a registration of Acme\/Web .*; registration `proc`, /,
      );
      expect(one).to.include('set aside with problems, may ask for it: see `shr validate`');
      expect(reasonOf({ owner: 'globex' }, { unread: ['proc'] }))
        .to.include('no registration claims')
        .and.include('`proc`');
      const many = reasonOf({ labels: ['proc'] }, { unread: Array.from({ length: 40 }, (_, index) => `r-${index}`) });
      expect(many).to.include('registrations `r-0`').and.include('`r-4` and 35 more').and.not.include('r-5');
      expect(reasonOf({ labels: ['proc'] }, {})).to.not.include('set aside');
    });

    it('is told only of those of its own tenant and of the platform', () => {
      const tenants = [
        { name: 'acme', registrations: ['acme', 'acme-*'], grant: grantOf('acme', { owners: ['acme'] }) },
        { name: 'globex', registrations: ['globex-*', 'acme-lent'], grant: grantOf('globex', { owners: ['globex'] }) },
        { name: 'ops', registrations: ['ops'], grant: undefined },
      ];
      const unread = ['acme-web', 'acme-lent', 'globex-web', 'ops', 'unknown'];
      const named = (owner: string) => {
        const reason = reasonOf({ owner, labels: ['proc'] }, { tenants, unread });
        return unread.filter((name) => reason.includes(`\`${name}\``));
      };
      expect(named('acme')).to.deep.equal(['acme-web', 'ops']);
      expect(named('globex')).to.deep.equal(['acme-lent', 'globex-web', 'ops']);
      expect(named('stranger')).to.deep.equal(['ops']);
    });

    it('is not told so when a registration takes it', () => {
      expect(reasonOf({}, { unread: ['proc'] })).to.equal('lane');
    });
  });

  describe('backends', () => {
    /** Plain containers alone, of 2, 4 or 8 cores with twice as many GiB. */
    const steps: BackendFit = {
      fit(wish): Fit {
        const asked = [
          wish.spot ? 'spot' : undefined,
          wish.dockerInDocker ? 'Docker in Docker' : undefined,
          wish.architecture === 'x64' ? undefined : wish.architecture,
          wish.diskGiB === undefined ? undefined : 'a disk',
          wish.bucket === undefined ? undefined : 'a bucket',
          wish.subnet === undefined ? undefined : 'a subnet',
          wish.securityGroup === undefined ? undefined : 'a security group',
        ].filter((word) => word !== undefined);
        if (asked.length > 0) return { fits: false, reason: `${asked.join(', ')}: not in east, but in north and west` };
        const cpu = [2, 4, 8].find((size) => size >= (wish.cpu ?? 0) && size * 2 >= (wish.memoryGiB ?? 0));
        if (cpu === undefined) return { fits: false, reason: '8 cores and 16 GiB are the largest' };
        return { fits: true, shape: { ...wish, cpu, memoryGiB: cpu * 2 } };
      },
    };
    const everything: BackendFit = {
      fit: (wish) => ({ fits: true, shape: { ...wish, cpu: wish.cpu ?? 1, memoryGiB: wish.memoryGiB ?? 2 } }),
    };
    const two = registration({
      backends: [
        { name: 'steps', kind: 'a', region: 'cn-shanghai', options: {}, maxRunners: 1 },
        { name: 'Wide', kind: 'b', region: 'eu-west-1', options: {}, maxRunners: 1 },
      ],
    });
    const fits: Readonly<Record<string, BackendFit>> = { steps, Wide: everything };
    const admitWith = (from: Registration, labels: readonly string[], known = fits): Admission =>
      createAdmit([from], { backendFit: (_, backend) => known[backend] })({
        ...privateJob,
        labels: ['acme-runner', ...labels],
      });

    it('stay in the registration’s order', () => {
      expect(laneOf(admitWith(two, [])).backends).to.deep.equal(['steps', 'Wide']);
    });

    it('are chosen by name without case, and by region', () => {
      expect(laneOf(admitWith(two, ['backend-wide'])).backends).to.deep.equal(['Wide']);
      expect(laneOf(admitWith(two, ['region-CN-Shanghai'])).backends).to.deep.equal(['steps']);
      expect(refusalOf(admitWith(two, ['region-cn-beijing']))).to.include({ code: 'no-backend' });
      expect(refusalOf(admitWith(two, ['region-cn-beijing'])).reason).to.include('cn-shanghai');
    });

    for (const label of ['spot', 'dind', 'arm64', 'disk-10', 'disk-build-cache', 'vsw-1', 'sg-1', 'cpu-16']) {
      it(`that cannot do ${label} are left out`, () => {
        expect(laneOf(admitWith(two, [label])).backends).to.deep.equal(['Wide']);
      });
    }

    it('that all cannot are named with their reasons', () => {
      const refusal = refusalOf(admitWith(two, ['cpu-16'], { steps, Wide: steps }));
      expect(refusal.code).to.equal('no-backend');
      expect(refusal.reason)
        .to.include('16 cores')
        .and.include('`steps`: 8 cores and 16 GiB are the largest')
        .and.include('`Wide`');
    });

    // J10
    for (const [label, word] of [
      ['spot', 'spot'],
      ['dind', 'Docker in Docker'],
      ['arm64', 'arm64'],
      ['disk-10', 'a disk'],
      ['disk-build-cache', 'a bucket'],
      ['vsw-1', 'a subnet'],
      ['sg-1', 'a security group'],
    ] as const) {
      it(`that cannot do ${label} say so in their adapter's own words`, () => {
        const refusal = refusalOf(admitWith(two, [label], { steps, Wide: steps }));
        expect(refusal.code).to.equal('no-backend');
        expect(refusal.reason).to.include(`\`steps\`: ${word}: not in east, but in north and west`);
      });
    }

    // J12
    it('whose adapter breaks over the question stay in, and the launch finds out', () => {
      const broken: BackendFit = {
        fit() {
          throw new ProviderError('transient', 'a fit', 'a defect in the adapter: TypeError');
        },
      };
      expect(laneOf(admitWith(two, ['spot'], { steps, Wide: broken })).backends).to.deep.equal(['Wide']);
    });

    it('that would round up past the limit are left out', () => {
      const tight = { ...two, policy: { ...openPolicy, maxCpu: 4 } };
      expect(laneOf(admitWith(tight, ['memory-16'])).backends).to.deep.equal(['Wide']);
    });

    it('that give no more than the limit, or than the registration’s own default, stay in', () => {
      const limited = { ...two, policy: { ...openPolicy, maxCpu: 4, maxMemoryGiB: 8 } };
      const generous = { ...limited, defaults: { ...two.defaults, cpu: 6, memoryGiB: 12 } };
      const known = { steps: everything, Wide: everything };
      expect(laneOf(admitWith(generous, ['memory-8'], known)).backends).to.deep.equal(['steps', 'Wide']);
      expect(laneOf(admitWith(generous, ['cpu-4'], known)).backends).to.deep.equal(['steps', 'Wide']);
    });

    it('whose provider is not known yet stay in', () => {
      expect(laneOf(admitWith(two, ['cpu-16'], {})).backends).to.deep.equal(['steps', 'Wide']);
    });
  });
});
