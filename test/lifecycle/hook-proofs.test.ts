/** Which images count as proven to carry the hook, where a grant demands it. */
import { expect } from 'chai';
import { HookProofs } from '../../dispatcher/lifecycle/hook-proofs.ts';
import type { Tenant } from '../../dispatcher/lifecycle/ports.ts';
import type { Backend, Grant } from '../../dispatcher/model/registration.ts';
import { RUNNER_COMMAND } from '../../providers/kit/runner-command.ts';
import { type Architecture, type ImageLabels, type Provider, ProviderError } from '../../providers/provider.ts';
import { MINUTE } from '../../time/units.ts';
import { grantOf, registration } from '../registration-fixture.ts';
import { honestProvider } from './small-fixture.ts';

const CONTRACT = 'serverless-hosted-runner.contract';
const OURS: ImageLabels = { kind: 'read', labels: { [CONTRACT]: '1' } };
const DIGEST = `ghcr.io/acme/runner@sha256:${'a'.repeat(64)}`;

describe('whether an image is proven to carry the hook', () => {
  let nowMs: number;
  let asked: string[];
  let answer: () => Promise<ImageLabels>;
  let proofs: HookProofs;
  beforeEach(() => {
    nowMs = 0;
    asked = [];
    answer = async () => OURS;
    proofs = new HookProofs(() => nowMs);
  });

  const demanding: Grant['requireHook'] = { labels: true, images: [] };
  const main: Backend = { name: 'main', kind: 'docker', region: undefined, options: {}, maxRunners: 5 };

  interface Case {
    readonly image?: string;
    readonly requireHook?: Grant['requireHook'];
    readonly backend?: Partial<Backend>;
    readonly provider?: Partial<Provider>;
    readonly architecture?: Architecture;
  }

  function why({
    image = 'ghcr.io/acme/runner:1',
    requireHook = demanding,
    backend = {},
    provider = {},
    architecture = 'x64',
  }: Case = {}) {
    const grant = grantOf('acme', requireHook === undefined ? {} : { requireHook });
    const read: Provider['imageLabels'] = (reference, wanted) => {
      asked.push(`${reference} ${wanted}`);
      return answer();
    };
    const tenant = {
      registration: registration({ grant, backends: [{ ...main, ...backend }] }),
      provider: async () => honestProvider({ imageLabels: read, ...provider }),
    } as Pick<Tenant, 'registration' | 'provider'> as Tenant;
    return proofs.whyUnproven(tenant, 'main', { image, architecture, spot: false, dockerInDocker: false });
  }

  it('is of no interest where no grant demands it', async () => {
    const tenant = { registration: registration({ grant: grantOf('acme') }) } as Pick<Tenant, 'registration'> as Tenant;
    const wish = { image: 'any:1', architecture: 'x64', spot: false, dockerInDocker: false } as const;
    expect(await proofs.whyUnproven(tenant, 'main', wish)).to.equal(undefined);
  });

  it('is so by its label, which is read once for a while, for the architecture of the job', async () => {
    expect(await Promise.all([why(), why()])).to.deep.equal([undefined, undefined]);
    expect(await why()).to.equal(undefined);
    expect(asked).to.deep.equal(['ghcr.io/acme/runner:1 x64']);
    await why({ architecture: 'arm64' });
    expect(asked.at(-1)).to.equal('ghcr.io/acme/runner:1 arm64');
  });

  it('is read again of a tag, which may lead to another image, and not of a digest', async () => {
    await why();
    await why({ image: DIGEST });
    nowMs += 10 * MINUTE;
    answer = async () => ({ kind: 'read', labels: {} });
    expect(await why()).to.include(`it has no label ${CONTRACT} that is known here`);
    expect(await why({ image: DIGEST })).to.equal(undefined);
  });

  for (const [what, labels] of [
    ['no label', {}],
    ['a contract that is not known here', { [CONTRACT]: '99' }],
    ['an empty one', { [CONTRACT]: '' }],
    ['another label of ours alone', { 'serverless-hosted-runner.runner': '2.338.1' }],
  ] as const) {
    it(`is not so with ${what}, and its owner is told what to do`, async () => {
      answer = async () => ({ kind: 'read', labels: { ...labels } });
      expect(await why()).to.equal(
        'the grant of tenant `acme` demands the job-started hook (dispatcher.yaml:requireHook), and image ghcr.io/acme/runner:1 is not proven ' +
          `to carry it: it has no label ${CONTRACT} that is known here. Use an image made of ours (docs/runner-image.md), ` +
          'or have it listed in tenants.acme.hookImages of dispatcher.yaml',
      );
    });
  }

  it('is not so while the registry does not say, and is asked again', async () => {
    answer = async () => ({ kind: 'unknown', why: 'ghcr.io: no answer within 10 s' });
    expect(await why()).to.include('its labels cannot be read (ghcr.io: no answer within 10 s)');
    answer = async () => OURS;
    expect(await why()).to.equal(undefined);
  });

  it('is not so on a kind without images, or on a backend that cannot be made', async () => {
    answer = () => Promise.reject(new ProviderError('unauthorized', 'docker load', 'closed'));
    expect(await why()).to.include('its labels cannot be read (docker load: closed)');
    const none: Partial<Provider> = {};
    const { imageLabels: _, ...without } = honestProvider({ imageLabels: async () => OURS });
    Object.assign(none, without, { imageLabels: undefined });
    expect(await why({ provider: none })).to.include('its kind of backend reads none');
  });

  it('is so where the platform lists it, which asks no registry', async () => {
    for (const images of [[DIGEST], ['ghcr.io/acme/*'], ['*']]) {
      expect(await why({ image: DIGEST, requireHook: { labels: false, images } })).to.equal(undefined);
    }
    expect(asked).to.deep.equal([]);
  });

  it('is not so by a label where only a list counts, nor by a glob that was meant for another name', async () => {
    for (const images of [[], ['ghcr.io/other/*'], ['ghcr.io/acme/runner@sha256:*'], ['ghcr.io/acme']]) {
      expect(await why({ requireHook: { labels: false, images } })).to.include('it is not listed');
    }
    const climbing = 'ghcr.io/acme/../evil/runner:1';
    expect(await why({ image: climbing, requireHook: { labels: false, images: ['ghcr.io/acme/*'] } })).to.include(
      'it is not listed',
    );
    expect(asked).to.deep.equal([]);
  });

  describe('on a backend whose containers run something else', () => {
    const listed = { labels: true, images: ['*'] };
    const withCommand = (command: unknown, more: Partial<Backend> = {}) =>
      why({ requireHook: listed, backend: { options: { command }, ...more } });

    it('is not so, whatever the image carries', async () => {
      for (const command of [['/home/runner/run.sh'], ['sh', '-c', 'x'], 'image', [...RUNNER_COMMAND, 'x'], null]) {
        expect(await withCommand(command)).to.include('the option command of its backend replaces the start script');
      }
    });

    it('is so with the start script, or our entrypoint itself', async () => {
      expect(await withCommand([...RUNNER_COMMAND])).to.equal(undefined);
      expect(await withCommand(['/opt/shr/entrypoint'])).to.equal(undefined);
      expect(await withCommand(undefined)).to.equal(undefined);
    });

    it('is not so where the kind of a package does not say what it runs', async () => {
      const from = { name: 'other', version: '1.0.0', folder: '/x' } as unknown as NonNullable<Backend['from']>;
      expect(await withCommand(undefined, { from })).to.include('does not say what its containers run');
    });
  });
});
