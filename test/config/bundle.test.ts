import { expect } from 'chai';
import {
  type Bundle,
  bundleFiles,
  canonical,
  decodeBundle,
  encodeBundle,
  recordSources,
} from '../../dispatcher/config/bundle.ts';

const bundle: Bundle = {
  version: 1,
  files: {
    '/var/lib/shr/dispatcher.yaml': 'id: shr\n',
    '/var/lib/shr/registrations/acme.yaml': 'organization: acme\n',
    '/var/lib/shr/secrets/acme/token': 'the-token',
    '/run/secrets/app.pem': 'the-key',
  },
  environment: { WEBHOOK_SECRET: 'hush' },
};

async function refusal(read: Promise<unknown>): Promise<unknown> {
  return read.then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe('a bundle', () => {
  it('is one text that gives back what went in, whatever the order', () => {
    const text = encodeBundle(bundle);
    expect(text).to.match(/^[\w+/=]+$/);
    expect(decodeBundle(text)).to.deep.equal(bundle);
    const turned = { ...bundle, files: Object.fromEntries(Object.entries(bundle.files).reverse()) };
    expect(encodeBundle(turned)).to.equal(text);
    expect(canonical(turned)).to.equal(canonical(bundle));
  });

  it('is undefined where it is damaged, of a newer version, or something else', () => {
    expect(decodeBundle('')).to.equal(undefined);
    expect(decodeBundle('id: shr')).to.equal(undefined);
    expect(decodeBundle(encodeBundle(bundle).slice(0, -20))).to.equal(undefined);
    const newer: object = { ...bundle, version: 2 };
    expect(decodeBundle(encodeBundle(newer as Bundle))).to.equal(undefined);
  });

  it('is read as files of their owner alone', async () => {
    const files = bundleFiles(bundle);
    const content = await files.read('/run/secrets/app.pem', { mostBytes: 10 });
    expect(content).to.deep.equal({ text: 'the-key', readableBy: 'owner' });
    expect(await files.list('/var/lib/shr/registrations')).to.deep.equal(['acme.yaml']);
    expect(await files.list('/var/lib/shr')).to.deep.equal(['dispatcher.yaml', 'registrations', 'secrets']);
  });

  it('has the limits that files of a folder have', async () => {
    const files = bundleFiles(bundle);
    const within = { around: '/var/lib/shr/secrets', name: 'acme' };
    expect(await files.read('/var/lib/shr/secrets/acme/token', { mostBytes: 100, within })).to.include({
      text: 'the-token',
    });
    expect(await refusal(files.read('/run/secrets/app.pem', { mostBytes: 100, within }))).to.include({
      kind: 'outside',
    });
    const other = { around: '/var/lib/shr/secrets', name: 'acm' };
    expect(await refusal(files.read('/var/lib/shr/secrets/acme/token', { mostBytes: 100, within: other }))).to.include({
      kind: 'outside',
    });
    expect(await refusal(files.read('/run/secrets/app.pem', { mostBytes: 6 }))).to.include({ kind: 'too-large' });
    expect(await refusal(files.read('/run/secrets/absent', { mostBytes: 6 }))).to.include({ code: 'ENOENT' });
    expect(await refusal(files.list('/nowhere'))).to.include({ code: 'ENOENT' });
  });

  it('holds what was read, and nothing else', async () => {
    const environment = { USED: 'yes', UNUSED: 'no' };
    const recorded = recordSources({ files: bundleFiles(bundle), environment }, (path) =>
      path.startsWith('/var/lib/shr/') ? path.replace('/var/lib/shr', '/elsewhere') : undefined,
    );
    await recorded.files.read('/var/lib/shr/dispatcher.yaml', { mostBytes: 100 });
    await recorded.files.read('/run/secrets/app.pem', { mostBytes: 100 });
    await refusal(recorded.files.read('/run/secrets/absent', { mostBytes: 100 }));
    expect(recorded.environment['USED']).to.equal('yes');
    expect(recorded.environment['ABSENT']).to.equal(undefined);
    expect(recorded.bundle()).to.deep.equal({
      version: 1,
      files: { '/elsewhere/dispatcher.yaml': 'id: shr\n', '/run/secrets/app.pem': 'the-key' },
      environment: { USED: 'yes' },
    });
  });
});
