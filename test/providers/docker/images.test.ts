/** What `check` says of images, where the engine's answers are played on a socket. With a real engine: docker.test.ts. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import dockerModule from '../../../providers/docker/index.ts';
import type { Finding } from '../../../providers/provider.ts';
import { testHost } from '../../conformance/harness.ts';
import { type PlayedEngine, playEngine } from '../../docker/played-engine.ts';
import { RegistryServer } from '../../registry-server.ts';

const USER = { username: 'acme', password: 'p4ss-of-the-test' };

describe('docker: images', () => {
  let place: string;
  let engine: PlayedEngine;
  let registry: RegistryServer;

  before(async () => {
    place = await mkdtemp(join(tmpdir(), 'shr-images-'));
    engine = await playEngine(join(place, 'engine.sock'));
    registry = await RegistryServer.start({ user: USER });
    registry.addIndex('acme/runner', '1', ['amd64', 'arm64']);
    engine.images.set('acme/local:1', 'amd64');
    engine.images.set('acme/local:arm', 'arm64');
  });

  after(async () => {
    engine.close();
    await registry.close();
    await rm(place, { recursive: true });
  });

  const create = (options: Readonly<Record<string, unknown>> = {}) =>
    dockerModule.create(
      dockerModule.options.parse({ socketPath: join(place, 'engine.sock'), architecture: 'x64', ...options }),
      testHost(),
    );

  async function imageFinding(reference: string, options: Readonly<Record<string, unknown>> = {}): Promise<Finding> {
    const findings = await create(options).check({ images: [{ reference, architectures: ['x64'] }] });
    const [finding, ...more] = findings.filter(({ subject }) => subject === 'image');
    expect(more).to.deep.equal([]);
    if (finding === undefined) throw new Error('no finding');
    return finding;
  }

  it('that the engine has need no registry', async () => {
    const asked = registry.calls.length;
    expect(await imageFinding('acme/local:1')).to.deep.equal({
      subject: 'image',
      ok: true,
      message: 'acme/local:1 is at the engine, for x64',
    });
    expect(registry.calls.length).to.equal(asked);
  });

  for (const [words, command] of [
    ['runs /bin/bash by itself', ['/bin/bash']],
    ['has no command of its own', undefined],
  ] as const) {
    it(`are not well where their own command is to run, and one ${words}`, async () => {
      if (command === undefined) engine.commands.delete('acme/local:1');
      else engine.commands.set('acme/local:1', command);
      const finding = await imageFinding('acme/local:1', { command: 'image' });
      expect(finding.ok).to.equal(false);
      expect(finding.message).to.include(`acme/local:1 ${words}`);
      expect(finding.cure).to.match(/start script/);
      expect((await imageFinding('acme/local:1')).ok, 'with the default command').to.equal(true);
    });
  }

  it('are well where their own command is a program', async () => {
    engine.commands.set('acme/local:1', ['/entrypoint.sh']);
    expect((await imageFinding('acme/local:1', { command: 'image' })).ok).to.equal(true);
  });

  it('that the engine has for another architecture are said to be so', async () => {
    const finding = await imageFinding('acme/local:arm');
    expect(finding).to.include({ ok: false, message: 'acme/local:arm is at the engine for arm64, not for x64' });
  });

  it('that the engine lacks are looked up with the login of registryAuth', async () => {
    const reference = `${registry.server}/acme/runner:1`;
    const registryAuth = { server: registry.server, ...USER };
    expect(await imageFinding(reference, { registryAuth })).to.include({
      ok: true,
      message: `${reference} is there, for x64, arm64`,
    });
    const refused = await imageFinding(reference, { registryAuth: { ...registryAuth, password: 'wr0ng' } });
    expect(refused).to.include({ ok: false });
    expect(refused.cure).to.match(/^fix registryAuth/);
    const anonymous = await imageFinding(reference);
    expect(anonymous.ok).to.equal(false);
    expect(anonymous.cure).to.match(/give its login in registryAuth$/);
  });

  it('that the engine lacks and may not pull are not ok', async () => {
    const finding = await imageFinding(`${registry.server}/acme/runner:1`, { pull: 'never' });
    expect(finding.ok).to.equal(false);
    expect(finding.cure).to.match(/^docker pull .* or set the option pull to missing$/);
  });

  it('are pulled with the login of their own registry alone', async () => {
    const provider = create({ registryAuth: { server: 'ghcr.io', ...USER } });
    for (const image of ['ghcr.io/acme/runner:1', 'stranger.example/acme/runner:1']) {
      const shape = { cpu: 1, memoryGiB: 1, architecture: 'x64', image, spot: false, dockerInDocker: false } as const;
      const tags = {
        dispatcher: 'd1',
        registration: 'acme',
        lane: 'l1',
        scope: 'orgs/acme',
        runner: 'd1-a',
        createdAtMs: 1,
        deadlineAtMs: 2,
        charge: {},
      };
      const launch = provider.launch({ name: 'd1-a', shape, tags, environment: {}, secretEnvironment: {} });
      await launch.then(
        () => expect.fail('was launched'),
        () => {},
      );
    }
    expect(engine.pulls).to.deep.equal([
      { from: 'ghcr.io/acme/runner', withLogin: true },
      { from: 'stranger.example/acme/runner', withLogin: false },
    ]);
  });

  it('say what their labels are: those of the engine, else those of the registry, if it may pull', async () => {
    const labels = { 'serverless-hosted-runner.runner': '2.338.1' };
    const read = (image: string, options: Readonly<Record<string, unknown>> = {}) =>
      create(options).imageLabels?.(image, 'x64');
    expect(await read('acme/local:1')).to.deep.equal({ kind: 'read', labels: {} });
    engine.labels.set('acme/local:1', { ...labels, maintainer: 'acme' });
    expect(await read('acme/local:1')).to.deep.equal({ kind: 'read', labels });
    registry.addLabelled('acme/far', '1', { amd64: labels });
    const far = `${registry.server}/acme/far:1`;
    const registryAuth = { server: registry.server, ...USER };
    expect(await read(far, { registryAuth })).to.deep.equal({ kind: 'read', labels });
    expect((await read(far))?.kind, 'without the login').to.equal('unknown');
    expect(await read(far, { registryAuth, pull: 'never' })).to.deep.equal({
      kind: 'unknown',
      why: 'it is not at the engine, and the option pull is never',
    });
  });
});
