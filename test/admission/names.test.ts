/** What a refusal lists where a label names something that the registration does not have. */
import { expect } from 'chai';
import { createAdmit } from '../../dispatcher/admission/admit.ts';
import type { Registration } from '../../dispatcher/model/registration.ts';
import { openPolicy, registration } from '../registration-fixture.ts';

const many = Array.from({ length: 12 }, (_, index) => `name-${String.fromCharCode(97 + index)}`);

function refusal(from: Registration, label: string): { readonly reason: string; readonly cure: string | undefined } {
  const admission = createAdmit([from])({
    ...{ host: 'github.com', owner: 'Acme', repository: 'Web', visibility: 'private' },
    labels: ['acme-runner', label],
  });
  if (admission.outcome !== 'refused') throw new Error(`not refused: ${JSON.stringify(admission)}`);
  return { reason: admission.reason, cure: admission.cure };
}

const listed = (reason: string) => many.filter((name) => reason.includes(`\`${name}\``));

describe('a refusal of an unknown name', () => {
  it('lists ten shapes of twelve', () => {
    const shapes = Object.fromEntries(many.map((name) => [name, { cpu: 1, memoryGiB: 1 }]));
    const { reason } = refusal(registration({ shapes }), 'shape-zzzzzzzzzzzz');
    expect(listed(reason)).to.deep.equal(many.slice(0, 10));
  });

  it('says that there is no shape, and to remove the label', () => {
    const { reason, cure } = refusal(registration({ shapes: {} }), 'shape-large');
    expect(reason).to.match(/it has none$/);
    expect(cure).to.equal('Remove `shape-large`, or ask the owner of registration `acme` for a shape of that name.');
  });

  it('lists ten images of twelve', () => {
    const images = Object.fromEntries(many.map((name) => [name, `ghcr.io/acme/${name}:1`]));
    const { reason } = refusal(registration({ images, imageRepository: undefined }), 'img-zzzzzzzzzzzz');
    expect(listed(reason)).to.deep.equal(many.slice(0, 10));
  });

  it('says that there is no named image', () => {
    const { reason } = refusal(registration({ images: {}, imageRepository: undefined }), 'img-node');
    expect(reason).to.include('(named images: none)');
  });

  it('lists ten allowed images of twelve', () => {
    const policy = { ...openPolicy, images: many };
    const { reason } = refusal(registration({ policy }), 'img-ghcr.io/other/image:1');
    expect(listed(reason)).to.deep.equal(many.slice(0, 10));
  });

  it('lists the regions that there are, each once, or says that there are none', () => {
    const policy = { ...openPolicy, regions: ['*'] };
    const [backend] = registration().backends;
    if (backend === undefined) throw new Error('no backend');
    const inRegion = (name: string, region: string | undefined) => ({ ...backend, name, region });
    const backends = [inRegion('a', 'eu-1'), inRegion('b', 'eu-1'), inRegion('c', 'us-1')];
    expect(refusal(registration({ policy, backends }), 'region-asia-1').reason).to.include('there is `eu-1`, `us-1`');
    const without = registration({ policy, backends: [inRegion('a', undefined)] });
    expect(refusal(without, 'region-asia-1').reason).to.include('none has a region');
  });
});
