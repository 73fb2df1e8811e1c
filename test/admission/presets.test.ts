import { expect } from 'chai';
import fc from 'fast-check';
import { createAdmit } from '../../dispatcher/admission/admit.ts';
import type { Admission } from '../../dispatcher/jobs/lane.ts';
import type { SpotModes } from '../../dispatcher/labels/spot-mode.ts';
import type { Policy, Presets, Registration, ShapeDefaults } from '../../dispatcher/model/registration.ts';
import type { ShapeWish } from '../../providers/provider.ts';
import { closedPolicy, grantOf, openPolicy, registration } from '../registration-fixture.ts';

const presets: Presets = {
  shapes: {
    large: { cpu: 8, memoryGiB: 32 },
    huge: { cpu: 64, memoryGiB: 512 },
    open: { spot: true, dockerInDocker: true, subnet: 'vsw-9', image: 'evil.example/image:1' },
    cached: { bucket: 'build-cache' },
  },
  images: { node24: 'ghcr.io/acme/node:24', python3: 'docker.io/library/python:3' },
  places: { 'shapes.large': 'dispatcher.yaml:4:5', 'images.node24': 'dispatcher.yaml:9:5' },
};

function admit(changes: Partial<Registration>, ...labels: readonly string[]): Admission {
  return createAdmit([registration({ presets, ...changes })])({
    ...{ host: 'github.com', owner: 'acme', repository: 'web', visibility: 'private' },
    labels: ['acme-runner', ...labels],
  });
}

function wishOf(changes: Partial<Registration>, ...labels: readonly string[]): ShapeWish {
  const admission = admit(changes, ...labels);
  if (admission.outcome !== 'lane') throw new Error(JSON.stringify(admission));
  return admission.lane.wish;
}

function refusalOf(changes: Partial<Registration>, ...labels: readonly string[]) {
  const admission = admit(changes, ...labels);
  if (admission.outcome !== 'refused') throw new Error(JSON.stringify(admission));
  return admission;
}

describe('a preset', () => {
  it('gives a job its shape, with other overrides on top', () => {
    expect(wishOf({}, 'shape-large')).to.include({ cpu: 8, memoryGiB: 32 });
    expect(wishOf({}, 'Shape-LARGE', 'memory-16')).to.include({ cpu: 8, memoryGiB: 16 });
    expect(wishOf({}, 'shr=1/shape=large/cpu=4')).to.include({ cpu: 4, memoryGiB: 32 });
    expect(wishOf({}, 'shape-cached', 'disk-20'))
      .to.include({ diskGiB: 20 })
      .and.not.have.property('bucket');
  });

  it('gives a job its image, by label and in the one-label form', () => {
    expect(wishOf({}, 'img-node24').image).to.equal('ghcr.io/acme/node:24');
    expect(wishOf({}, 'shr=1/img=Node24').image).to.equal('ghcr.io/acme/node:24');
  });

  it('that asks for more than the policy is refused as its parts would be, and says where it stands', () => {
    const { code, reason, cure, field } = refusalOf({ policy: { ...openPolicy, maxCpu: 4 } }, 'shape-large');
    expect([code, field]).to.deep.equal(['over-limit', 'policy.maxCpu']);
    expect(reason).to.equal(
      '`shape-large` asks for 8 cores, and registration `acme` allows at most 4 cores (by the preset `large`, dispatcher.yaml:4:5)',
    );
    expect(cure)
      .to.include('or ask the owner of registration `acme` to raise `policy.maxCpu` to 8.')
      .and.include('Or let the registration name `large` in `policy.shapes`');
    expect(refusalOf({ policy: closedPolicy }, 'shape-large').code).to.equal('not-allowed');
    expect(refusalOf({}, 'img-python3')).to.deep.include({ code: 'not-allowed', field: 'policy.images' });
    expect(refusalOf({}, 'img-python3').cure).to.include('name `python3` in `policy.imagePresets`');
  });

  it('does not let a label ask for what its shape has', () => {
    const policy = { ...openPolicy, maxCpu: 4 };
    expect(refusalOf({ policy }, 'shape-large', 'cpu-8').code).to.equal('over-limit');
    expect(refusalOf({}, 'shape-open', 'img-evil.example/image:1').field).to.equal('policy.images');
    expect(refusalOf({ policy: { ...openPolicy, spot: false } }, 'shape-open', 'spot').reason).to.include('spot');
  });

  it('is allowed as it is where the policy names it', () => {
    const policy = { ...closedPolicy, publicRepositories: false };
    expect(wishOf({ policy, shapes: { large: { cpu: 8 } } }, 'shape-large').cpu).to.equal(8);
    const presetImages = { python3: 'docker.io/library/python:3' };
    expect(wishOf({ policy, presetImages }, 'img-python3').image).to.equal('docker.io/library/python:3');
  });

  for (const [what, changes, image] of [
    ['an image of the registration', { images: { NODE24: 'ghcr.io/acme/own:1' } }, 'ghcr.io/acme/own:1'],
    ['a tag of its repository', { imageRepository: 'ghcr.io/acme/runner' }, 'ghcr.io/acme/runner:node24'],
  ] as const) {
    it(`never changes what a label means: ${what} comes first`, () => {
      expect(wishOf(changes, 'img-node24').image).to.equal(image);
    });
  }

  it('that the policy names comes before a tag, and after an image of the registration', () => {
    const presetImages = { node24: 'ghcr.io/acme/node:24' };
    const imageRepository = 'ghcr.io/acme/runner';
    expect(wishOf({ imageRepository, presetImages }, 'img-node24').image).to.equal('ghcr.io/acme/node:24');
    expect(wishOf({ imageRepository, presetImages }, 'img-2.335').image).to.equal('ghcr.io/acme/runner:2.335');
    const images = { node24: 'ghcr.io/acme/own:1' };
    expect(wishOf({ imageRepository, presetImages, images }, 'img-node24').image).to.equal('ghcr.io/acme/own:1');
  });

  it('is offered where a label is misspelt', () => {
    expect(refusalOf({}, 'shape-larg').cure).to.equal('Did you mean `shape-large`?');
    expect(refusalOf({}, 'img-nod24').cure).to.equal('Did you mean `img-node24`?');
    expect(refusalOf({}, 'shr=1/shape=lrage').cure).to.equal('Did you mean `shape=large`?');
  });

  describe('of a tenant', () => {
    const grant = grantOf('web', { presets: ['large', 'node*'] });

    it('has to be granted, if its grant says which', () => {
      expect(wishOf({ grant }, 'shape-large', 'img-node24').cpu).to.equal(8);
      const { code, reason, cure, place } = refusalOf({ grant }, 'shape-huge');
      expect(code).to.equal('not-granted');
      expect(reason).to.include('tenant `web` was not granted the preset `huge`');
      expect(cure).to.include('`tenants.web.presets: [large, "node*", huge]`');
      expect(place).to.equal('dispatcher.yaml:presets');
      expect(refusalOf({ grant }, 'img-python3').code).to.equal('not-granted');
    });

    it('is refused also where an earlier reading let the policy name it', () => {
      const shapes: Readonly<Record<string, ShapeDefaults>> = { huge: { cpu: 64 } };
      expect(refusalOf({ grant, shapes }, 'shape-huge').code).to.equal('not-granted');
      const presetImages = { python3: 'docker.io/library/python:3' };
      expect(refusalOf({ grant, presetImages }, 'img-python3').code).to.equal('not-granted');
    });

    it('is not offered without a grant', () => {
      expect(refusalOf({ grant }, 'shape-hug').cure).to.not.include('huge');
    });

    it('gives nothing that the grant does not', () => {
      const narrow = grantOf('web', { limits: { ...grant.limits, maxCpu: 4 } });
      expect(refusalOf({ grant: narrow }, 'shape-large')).to.include({ code: 'over-limit' });
      const backends = [
        { name: 'main', kind: 'docker', region: undefined, options: {}, maxRunners: 1, shared: true } as const,
      ];
      expect(refusalOf({ grant: narrow, backends }, 'img-node24').reason).to.include('was not granted');
    });
  });

  it('never grants what its parts as labels would not', () => {
    const parts: Readonly<Record<string, readonly string[]>> = {
      large: ['cpu-8', 'memory-32'],
      huge: ['cpu-64', 'memory-512'],
      open: ['spot', 'dind', 'vsw-9', 'img-evil.example/image:1'],
      cached: ['disk-build-cache'],
    };
    const policies: fc.Arbitrary<Policy> = fc.record({
      maxCpu: fc.constantFrom(undefined, 4, 8, 64),
      maxMemoryGiB: fc.constantFrom(undefined, 16, 32, 512),
      maxDiskGiB: fc.constantFrom(undefined, 10),
      maxTimeLimitMs: fc.constant(undefined),
      images: fc.subarray(['evil.example/*', 'ghcr.io/*']),
      subnets: fc.subarray(['vsw-*']),
      securityGroups: fc.constant([]),
      buckets: fc.subarray(['build-*']),
      regions: fc.constant([]),
      backends: fc.constant([]),
      architectures: fc.constant([]),
      spot: fc.constantFrom<SpotModes>(true, false, ['only'], ['never']),
      dockerInDocker: fc.boolean(),
      publicRepositories: fc.boolean(),
    });
    const others = fc.subarray(['cpu-2', 'cpu-8', 'memory-4', 'disk-5', 'spot-never', 'img-ghcr.io/a/b:1']);
    let granted = 0;
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(parts)), policies, others, (name, policy, more) => {
        const asPreset = admit({ policy }, `shape-${name}`, ...more);
        const overridden = new Set(more.map((label) => /^[a-z]+/.exec(label)?.[0]));
        const written = (parts[name] ?? []).filter((label) => !overridden.has(/^[a-z]+/.exec(label)?.[0]));
        const asLabels = admit({ policy }, ...written, ...more);
        expect(asPreset.outcome).to.equal(asLabels.outcome);
        if (asPreset.outcome !== 'lane' || asLabels.outcome !== 'lane') return;
        granted += 1;
        expect(asPreset.lane.wish).to.deep.equal(asLabels.lane.wish);
      }),
      { numRuns: 1000, seed: 20_261 },
    );
    expect(granted).to.be.at.least(50);
  });
});
