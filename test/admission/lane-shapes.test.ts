import { expect } from 'chai';
import { createAdmit } from '../../dispatcher/admission/admit.ts';
import type { Admission, LaneSpec } from '../../dispatcher/jobs/lane.ts';
import type { OverrideKey } from '../../dispatcher/labels/values.ts';
import type { Registration } from '../../dispatcher/model/registration.ts';
import type { ShapeWish } from '../../providers/provider.ts';
import { closedPolicy, registration } from '../registration-fixture.ts';

/** Two jobs that differ in this field alone. */
interface Pair {
  readonly changes?: readonly [Partial<Registration>, Partial<Registration>];
  readonly labels?: readonly [string, string];
  readonly repositories?: readonly [string, string];
}

const base = registration().defaults;
const defaults = (one: object, other: object): Pair => ({
  changes: [{ defaults: { ...base, ...one } }, { defaults: { ...base, ...other } }],
});

const pairs: { readonly [K in keyof ShapeWish]-?: Pair } = {
  cpu: defaults({ cpu: 1 }, { cpu: 2 }),
  memoryGiB: defaults({ memoryGiB: 1 }, { memoryGiB: 2 }),
  architecture: defaults({ architecture: 'x64' }, { architecture: 'arm64' }),
  image: defaults({ image: 'ghcr.io/acme/runner:1' }, { image: 'ghcr.io/acme/runner:2' }),
  diskGiB: defaults({}, { diskGiB: 10 }),
  bucket: defaults({ bucket: 'one-cache' }, { bucket: 'two-cache' }),
  bucketPrefix: { ...defaults({ bucket: 'one-cache' }, { bucket: 'one-cache' }), repositories: ['web', 'app'] },
  subnet: defaults({}, { subnet: 'vsw-1' }),
  securityGroup: defaults({ securityGroup: 'sg-1' }, { securityGroup: 'sg-2' }),
  region: { labels: ['region-eu-west-1', 'region-cn-hangzhou'] },
  spot: defaults({}, { spot: true }),
  dockerInDocker: defaults({}, { dockerInDocker: true }),
  timeLimitMs: defaults({}, { timeLimitMs: 60_000 }),
};

/** A label for each override, and what of the lane it changes. */
const labels: { readonly [K in OverrideKey]: readonly [label: string, changes: 'specHash' | 'key'] } = {
  cpu: ['cpu-3', 'specHash'],
  memory: ['memory-7', 'specHash'],
  image: ['img-ghcr.io/acme/other:1', 'specHash'],
  subnet: ['vsw-1', 'specHash'],
  securityGroup: ['sg-1', 'specHash'],
  disk: ['disk-9', 'specHash'],
  bucket: ['disk-build-cache', 'specHash'],
  shape: ['shape-large', 'specHash'],
  architecture: ['arch-arm64', 'specHash'],
  spot: ['spot', 'specHash'],
  dind: ['dind', 'specHash'],
  timeout: ['timeout-9m', 'specHash'],
  region: ['region-eu-west-1', 'specHash'],
  backend: ['backend-eu-west-1', 'specHash'],
  unique: ['sid-7', 'key'],
};

describe('an override that is granted', () => {
  for (const [override, [label, changes]] of Object.entries(labels)) {
    it(`is never without effect: ${override}`, () => {
      const shapes = { large: { cpu: 9 } };
      expect(laneOf({ shapes }, label)[changes]).not.to.equal(laneOf({ shapes })[changes]);
    });

    it(`needs the policy: ${override}`, () => {
      const admission = admissionOf({ policy: closedPolicy, shapes: { large: { cpu: 9 } } }, label);
      // A shape is granted where the registration has it; a unique label asks for nothing.
      expect(admission.outcome).to.equal(override === 'shape' || override === 'unique' ? 'lane' : 'refused');
    });
  }
});

describe('two jobs whose wishes differ', () => {
  for (const [field, { changes, labels, repositories }] of Object.entries(pairs)) {
    it(`never share a container: ${field}`, () => {
      const [one, other] = [0, 1].map((at) => laneOf(changes?.[at], labels?.[at], repositories?.[at]));
      expect(one?.wish).not.to.deep.equal(other?.wish);
      expect(one?.specHash).not.to.equal(other?.specHash);
    });
  }

  it('share one when nothing differs', () => {
    expect(laneOf()).to.deep.equal(laneOf());
  });
});

function laneOf(changes: Partial<Registration> = {}, label?: string, repository = 'web'): LaneSpec {
  const admission = admissionOf(changes, label, repository);
  if (admission.outcome !== 'lane') throw new Error(JSON.stringify(admission));
  return admission.lane;
}

function admissionOf(changes: Partial<Registration> = {}, label?: string, repository = 'web'): Admission {
  const backends = ['eu-west-1', 'cn-hangzhou'].map((region) => ({
    name: region,
    kind: 'docker',
    region,
    options: {},
    maxRunners: 10,
  }));
  return createAdmit([registration({ backends, ...changes })])({
    host: 'github.com',
    owner: 'acme',
    repository,
    labels: ['acme-runner', ...(label === undefined ? [] : [label])],
    visibility: 'private',
  });
}
