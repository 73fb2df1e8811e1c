import { expect } from 'chai';
import { createAdmit } from '../../dispatcher/admission/admit.ts';
import type { LaneSpec } from '../../dispatcher/jobs/lane.ts';
import type { Registration } from '../../dispatcher/model/registration.ts';
import type { ShapeWish } from '../../providers/provider.ts';
import { registration } from '../registration-fixture.ts';

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
  const backends = ['eu-west-1', 'cn-hangzhou'].map((region) => ({
    name: region,
    kind: 'docker',
    region,
    options: {},
    maxRunners: 10,
  }));
  const admission = createAdmit([registration({ backends, ...changes })])({
    host: 'github.com',
    owner: 'acme',
    repository,
    labels: ['acme-runner', ...(label === undefined ? [] : [label])],
    visibility: 'private',
  });
  if (admission.outcome !== 'lane') throw new Error(JSON.stringify(admission));
  return admission.lane;
}
