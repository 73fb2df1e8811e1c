import { expect } from 'chai';
import { checkHooks } from '../../dispatcher/cli/doctor/hook.ts';
import type { Registration } from '../../dispatcher/model/registration.ts';
import type { ImageLabels, ImageUse } from '../../providers/provider.ts';
import { grantOf, registration } from '../registration-fixture.ts';

const OURS: ImageLabels = { kind: 'read', labels: { 'serverless-hosted-runner.contract': '1' } };
const OTHER: ImageLabels = { kind: 'read', labels: { 'serverless-hosted-runner.contract': '99' } };
const UNKNOWN: ImageLabels = { kind: 'unknown', why: 'ghcr.io: no answer within 10 s' };

describe('what doctor says of the hooks of images', () => {
  async function said(labels: ImageLabels, changes: Partial<Registration> = {}) {
    const asked: string[] = [];
    const images: readonly ImageUse[] = [{ reference: 'acme/runner:1', architectures: ['arm64'] }];
    const provider = {
      imageLabels: async (reference: string, architecture: string) => {
        asked.push(`${reference} ${architecture}`);
        return labels;
      },
    };
    const [finding, ...more] = await checkHooks(registration(changes), 'backend main', provider, images);
    expect(more).to.deep.equal([]);
    return { ...finding, asked };
  }

  it('is well where the label says that it carries them, for the architecture of its jobs', async () => {
    const { ok, note, message, asked } = await said(OURS);
    expect({ ok, note }).to.deep.equal({ ok: true, note: undefined });
    expect(message).to.equal('acme/runner:1 carries the hooks, says its label');
    expect(asked).to.deep.equal(['acme/runner:1 arm64']);
  });

  it('is a note where it does not, and a fault where the registration or the grant demands it', async () => {
    expect(await said(OTHER)).to.include({ ok: true, note: true });
    expect(await said(OTHER, { requireHook: true })).to.include({ ok: false });
    const grant = grantOf('acme', { requireHook: { labels: true, images: [] } });
    const { ok, cure } = await said(OTHER, { grant });
    expect(ok).to.equal(false);
    expect(cure).to.equal('build the image from ours: docs/runner-image.md');
  });

  it('is well where the platform lists the image, whose registry is not asked', async () => {
    const grant = grantOf('acme', { requireHook: { labels: false, images: ['acme/*'] } });
    expect(await said(OTHER, { grant })).to.deep.include({ ok: true, asked: [] });
  });

  it('is a note where it cannot be told', async () => {
    const { message, note } = await said(UNKNOWN, { requireHook: true });
    expect(note).to.equal(true);
    expect(message).to.include('is not known: ghcr.io: no answer within 10 s');
  });

  it('is nothing on a kind without images', async () => {
    expect(
      await checkHooks(registration(), 'backend main', {}, [{ reference: 'a:1', architectures: ['x64'] }]),
    ).to.deep.equal([]);
  });
});
