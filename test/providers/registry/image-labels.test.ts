/** What an image says of itself, read from a registry on the wire: some of which lie, or answer garbage. */
import { expect } from 'chai';
import { Deadlines } from '../../../providers/kit/deadlines.ts';
import type { Architecture, ImageLabels } from '../../../providers/provider.ts';
import { readImageLabels } from '../../../providers/registry/image-labels.ts';
import { testHost } from '../../conformance/harness.ts';
import { RegistryServer } from '../../registry-server.ts';

const OURS = { 'serverless-hosted-runner.contract': '1', 'serverless-hosted-runner.runner': '2.338.1' };

describe('the labels of an image', () => {
  let registry: RegistryServer;
  beforeEach(async () => {
    registry = await RegistryServer.start();
  });
  afterEach(() => registry.close());

  function read(image: string, architecture: Architecture = 'x64', timeoutMs = 5000): Promise<ImageLabels> {
    const puller = { logins: [], option: 'registries', whenPrivate: 'give its login in registries' };
    const within = { deadlines: new Deadlines(testHost()), timeoutMs };
    return readImageLabels(`${registry.server}/${image}`, architecture, puller, within);
  }

  async function why(...asked: Parameters<typeof read>): Promise<string> {
    const labels = await read(...asked);
    expect(labels.kind).to.equal('unknown');
    return labels.kind === 'unknown' ? labels.why.replace(registry.server, 'REGISTRY') : '';
  }

  it('are those of its configuration that mean something here', async () => {
    registry.addImage('acme/runner', '1', 'amd64', undefined, { ...OURS, maintainer: 'somebody' });
    expect(await read('acme/runner:1')).to.deep.equal({ kind: 'read', labels: OURS });
  });

  it('are those of the image for the architecture that a job gets', async () => {
    registry.addLabelled('acme/runner', '1', { amd64: OURS, arm64: { 'serverless-hosted-runner.runner': '2.1.0' } });
    expect(await read('acme/runner:1')).to.deep.equal({ kind: 'read', labels: OURS });
    expect(await read('acme/runner:1', 'arm64')).to.deep.equal({
      kind: 'read',
      labels: { 'serverless-hosted-runner.runner': '2.1.0' },
    });
  });

  it('are none where it has none, or has values that are no short text', async () => {
    registry.addImage('acme/plain', '1', 'amd64');
    registry.addImage('acme/odd', '1', 'amd64', undefined, {
      'serverless-hosted-runner.contract': 1,
      'serverless-hosted-runner.runner': 'x'.repeat(10_000),
    });
    expect(await read('acme/plain:1')).to.deep.equal({ kind: 'read', labels: {} });
    expect(await read('acme/odd:1')).to.deep.equal({ kind: 'read', labels: {} });
  });

  it('are read by digest, and are those of that digest', async () => {
    const digest = registry.addLabelled('acme/runner', '1', { amd64: OURS });
    expect(await read(`acme/runner@${digest}`)).to.deep.equal({ kind: 'read', labels: OURS });
  });

  it('are not known of an image for another architecture', async () => {
    registry.addLabelled('acme/index', '1', { amd64: OURS });
    registry.addImage('acme/single', '1', 'amd64', undefined, OURS);
    expect(await why('acme/index:1', 'arm64')).to.equal('REGISTRY: it has no image for arm64');
    expect(await why('acme/single:1', 'arm64')).to.equal('REGISTRY: it is not for arm64');
  });

  it('are not known of an image that is not there, of a bad reference, and of a registry that does not answer', async () => {
    expect(await why('acme/none:1')).to.equal('REGISTRY: it answers 404 MANIFEST_UNKNOWN');
    expect(await why('Acme/none:1')).to.equal('it is not a valid image reference');
    registry.instead = () => true;
    expect(await why('acme/none:1', 'x64', 100)).to.equal('REGISTRY: no answer within 0.1 s');
  });

  /** The registry's answer to requests for such a path is replaced. */
  function lie(path: RegExp, text: string): void {
    registry.instead = ({ url = '' }, response) => {
      if (!path.test(url)) return false;
      response.writeHead(200, { 'content-type': 'application/json' }).end(text);
      return true;
    };
  }

  it('are not taken from a registry that answers with something else than the digest that was asked for', async () => {
    const digest = registry.addLabelled('acme/runner', '1', { amd64: {} });
    lie(/blobs/, JSON.stringify({ architecture: 'amd64', config: { Labels: OURS } }));
    expect(await why('acme/runner:1')).to.include('does not have the digest');
    lie(/manifests\/sha256/, JSON.stringify({ config: { digest: `sha256:${'a'.repeat(64)}` } }));
    expect(await why('acme/runner:1')).to.include('does not have the digest');
    expect(await why(`acme/runner@${digest}`)).to.include('does not have the digest');
  });

  for (const [what, text] of [
    ['no JSON', '<html>'],
    ['nothing', ''],
    ['an array', '[]'],
    ['a digest that is a path', '{"config":{"digest":"../../../token"}}'],
    ['an algorithm that is not computed here', `{"config":{"digest":"md5:${'a'.repeat(32)}"}}`],
    [
      'more manifests than an index has',
      JSON.stringify({ manifests: Array(1001).fill({ digest: `sha256:${'a'.repeat(64)}` }) }),
    ],
    ['more than fits', `{"manifests":[],"x":"${'x'.repeat(5 * 2 ** 20)}"}`],
  ] as const) {
    it(`are not known where the manifest is ${what}`, async () => {
      lie(/manifests/, text);
      expect(await why('acme/runner:1')).to.match(/^REGISTRY: ./);
    });
  }

  it('are not looked for in an index that leads to an index, which may have no end', async () => {
    const inner = registry.addLabelled('acme/runner', 'inner', { amd64: OURS });
    registry.addManifest('acme/runner', '1', 'application/vnd.oci.image.index.v1+json', {
      manifests: [{ digest: inner, platform: { architecture: 'amd64', os: 'linux' } }],
    });
    expect(await why('acme/runner:1')).to.equal('REGISTRY: its index leads to another index');
  });
});
