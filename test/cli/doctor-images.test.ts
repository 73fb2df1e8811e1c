import { expect } from 'chai';
import { imagesFor } from '../../dispatcher/cli/doctor/images.ts';
import type { Registration } from '../../dispatcher/model/registration.ts';
import { type Architecture, type Capabilities, MAX_IMAGES, type ShapeWish } from '../../providers/provider.ts';
import { closedPolicy, registration } from '../registration-fixture.ts';

const can = (architectures: readonly Architecture[]): Capabilities => ({
  architectures,
  spot: false,
  dockerInDocker: false,
  disk: false,
  bucket: false,
  subnet: false,
  securityGroup: false,
  logs: false,
  secretEnvironment: false,
});

function asked(changes: Partial<Registration>, sold: readonly Architecture[] = ['x64']) {
  const provider = {
    capabilities: can(sold),
    fit: (wish: ShapeWish) =>
      wish.image.startsWith('far/')
        ? ({ fits: false, reason: 'it is far' } as const)
        : ({ fits: true, shape: { ...wish, cpu: 1, memoryGiB: 1 } } as const),
  };
  const one = registration({ policy: closedPolicy, defaults: { image: 'a/default:1' }, ...changes });
  const { images, findings } = imagesFor(one, 'backend main', provider);
  return {
    images: images.map(({ reference, architectures }) => `${reference} ${architectures.join('|')}`),
    findings: findings.map(({ ok, message }) => `${ok} ${message}`),
  };
}

describe('the images that doctor asks for', () => {
  it('are the default one, those of shapes, named ones, and those that the policy names in full', () => {
    const { images } = asked({
      shapes: { large: { cpu: 8 }, gpu: { image: 'a/gpu:1' } },
      images: { node: 'a/node:1', again: 'a/default:1' },
      policy: { ...closedPolicy, images: ['ghcr.io/acme/*', 'ghcr.io/acme/one:1', 'a-tag'] },
    });
    expect(images).to.deep.equal(['a/default:1 x64', 'a/gpu:1 x64', 'a/node:1 x64', 'ghcr.io/acme/one:1 x64']);
  });

  it('are asked for the architecture that a job gets, and a named one for any that labels can choose', () => {
    const both = { ...closedPolicy, architectures: ['x64', 'arm64'] as const };
    const changes = { policy: both, images: { node: 'a/node:1' }, shapes: { arm: { architecture: 'arm64' } as const } };
    expect(asked(changes, ['x64', 'arm64']).images).to.deep.equal([
      'a/default:1 x64',
      'a/default:1 arm64',
      'a/node:1 x64|arm64',
    ]);
    expect(asked({ policy: both }, ['arm64']).images).to.deep.equal(['a/default:1 arm64']);
    expect(asked({}, ['arm64']).images).to.deep.equal([]);
  });

  it('are few, and what is left out is said', () => {
    const images = Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`n${index}`, `a/n:${index}`]));
    const { images: few, findings } = asked({ images });
    expect(few).to.have.length(MAX_IMAGES);
    expect(findings).to.deep.equal(['true 11 more are named, and were not checked: the limit is 20']);
  });

  it('are not those that the backend does not take: no fault where there is another backend', () => {
    const [backend] = registration().backends;
    if (backend === undefined) throw new Error('no backend');
    const changes = { images: { far: 'far/x:1' } };
    expect(asked(changes)).to.deep.equal({
      images: ['a/default:1 x64'],
      findings: ['false far/x:1 cannot run on this backend: it is far'],
    });
    expect(asked({ ...changes, backends: [backend, { ...backend, name: 'other' }] }).findings).to.deep.equal([
      'true far/x:1 cannot run on this backend: it is far',
    ]);
  });
});
