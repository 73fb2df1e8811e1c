/** The real command against a simulated GitHub, a registry, and the admin listener of a dispatcher. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import type { SeenVersion } from '../../dispatcher/versions/runner-versions.ts';
import type { SimulatorOptions } from '../../simulators/github/index.ts';
import { systemClock } from '../../time/clock.ts';
import { DAY } from '../../time/units.ts';
import { type Fixture, NOW, openFixture, registration, TOKEN } from '../http/admin-fixture.ts';
import { RegistryServer } from '../registry-server.ts';
import { type Installation, startInstallation } from './installation.ts';
import { shr } from './process.ts';

const NEWEST = '2.338.1';
const labels = (version: string) => ({
  'serverless-hosted-runner.contract': '1',
  'serverless-hosted-runner.runner': version,
});

describe('shr runner-version', () => {
  let registry: RegistryServer;
  let installation: Installation | undefined;
  let dispatcher: Fixture | undefined;
  beforeEach(async () => {
    registry = await RegistryServer.start();
  });
  afterEach(async () => {
    await registry.close();
    await installation?.close();
    await dispatcher?.close();
    installation = undefined;
    dispatcher = undefined;
  });

  const image = (name: string) => `${registry.server}/acme/${name}`;

  /** A backend whose images are looked up in the registry; its service is not asked. */
  const backend = {
    name: 'cloud',
    kind: 'ali-eci',
    options: {
      region: 'cn-hangzhou',
      endpoint: 'http://127.0.0.1:1',
      vpcEndpoint: 'http://127.0.0.1:1',
      accessKeyId: 'LTAI',
      accessKeySecret: '${env:ECI_SECRET}',
      vSwitchIds: ['vsw-a'],
      securityGroupId: 'sg-a',
    },
  };

  interface World {
    readonly seen?: readonly SeenVersion[];
    readonly pin?: string;
    readonly github?: SimulatorOptions;
    readonly images?: Readonly<Record<string, string>>;
    readonly more?: readonly string[];
  }

  async function run({ seen, pin = NEWEST, github = {}, images = {}, more = [] }: World = {}) {
    installation = await startInstallation({ runnerRelease: { version: NEWEST }, ...github });
    await installation.register('acme', { defaults: { image: image('runner:1') }, images, backends: [backend] });
    const line = (platform: string) => `${'a'.repeat(64)}  actions-runner-${platform}-${pin}.tar.gz\n`;
    await writeFile(join(installation.folder, 'pin'), `# a comment\n${line('linux-arm64')}${line('linux-x64')}`);
    if (seen !== undefined) {
      dispatcher = await openFixture({
        registrations: () => [registration('acme')],
        runnerVersions: (name) => (name === 'acme' ? seen : []),
      });
    }
    const url = dispatcher?.url ?? 'http://127.0.0.1:1';
    const words = ['runner-version', '--pin-file', 'pin', '--url', url, ...more];
    const environment = { ...installation.environment, ECI_SECRET: 'secret', SHR_ADMIN_TOKEN: TOKEN };
    return await shr(words, installation.folder, environment);
  }

  const rows = (json: string) =>
    JSON.parse(json).versions.map((one: Record<string, string>) =>
      [one['what']?.replace(registry.server, 'REGISTRY'), one['says'], one['version'], one['state']].join(' '),
    );

  it('shows what containers report, what labels say and what is pinned, beside the newest release', async () => {
    registry.addLabelled('acme/runner', '1', { amd64: labels(NEWEST) });
    const seen = [{ image: image('runner:1'), version: NEWEST, lastSeenMs: NOW }];
    const { out, code, error } = await run({ seen, more: ['--json'] });
    expect(error).to.equal('');
    expect(rows(out)).to.deep.equal([
      `REGISTRY/acme/runner:1 containers ${NEWEST} newest`,
      `REGISTRY/acme/runner:1 label ${NEWEST} newest`,
      `pin pin file ${NEWEST} newest`,
    ]);
    expect(JSON.parse(out)).to.include({ ok: true }).and.have.deep.property('notes', []);
    expect(code).to.equal(0);
  });

  it('fails where a version is near its end, or past it, and says what to do', async () => {
    registry.addLabelled('acme/runner', '1', { amd64: labels('2.337.0') });
    registry.addLabelled('acme/node', '1', { amd64: labels('2.336.0') });
    const end = (days: number) => new Date(systemClock.now() + days * DAY).toISOString();
    const ends = { '2.337.0': end(20), '2.336.0': end(3), '2.335.0': end(-1) };
    const world = {
      github: { runnerRelease: { version: NEWEST, ends } },
      images: { node: image('node:1') },
      seen: [{ image: image('gone:1'), version: '2.335.0', lastSeenMs: NOW }],
    };
    const { out, code } = await run(world);
    const lines = out.replaceAll(registry.server, 'REGISTRY').split('\n');
    const state = (what: string) => lines.find((line) => line.includes(what))?.split(/ {2,}/)[5];
    expect([state('runner:1'), state('node:1'), state('gone:1')]).to.deep.equal(['behind', 'near', 'below']);
    expect(out).to.include('Build the image with the newest release');
    expect(code).to.equal(1);
  });

  it('is content with a version that is behind for a while yet', async () => {
    registry.addLabelled('acme/runner', '1', { amd64: labels('2.337.0') });
    const ends = { '2.337.0': new Date(systemClock.now() + 20 * DAY).toISOString() };
    const { out, code } = await run({ github: { runnerRelease: { version: NEWEST, ends } } });
    expect(out).to.include('behind').and.not.include('Build the image');
    expect(code).to.equal(0);
  });

  it('takes an old version for near its end where GitHub does not say', async () => {
    registry.addLabelled('acme/runner', '1', { amd64: labels('2.337.0') });
    const { code, out } = await run();
    expect(out).to.match(/runner:1 +label +2\.337\.0 +2\.338\.1 +- +near/);
    expect(code).to.equal(1);
  });

  it('says what it could not find out, and does not fail for it', async () => {
    registry.addLabelled('acme/runner', '1', { amd64: { 'org.opencontainers.image.version': '24.04' } });
    registry.addLabelled('acme/lies', '1', { amd64: labels('9.9.9; rm -rf /\u001b[2J') });
    const { out, code } = await run({ images: { lies: image('lies:1'), none: image('none:1') } });
    expect(out).to.include('runner:1: its version is not known: its labels do not say');
    expect(out).to.include('lies:1: its version is not known: its label is not a version of the runner');
    expect(out).to.match(/none:1: its version is not known: 127\.0\.0\.1:\d+: it answers 404/);
    expect(out).to.include('note: what containers report is not known: http://127.0.0.1:1 cannot be reached');
    expect(out).not.to.include('\u001b');
    expect(code).to.equal(0);
  });

  it('fails where GitHub does not tell its newest release', async () => {
    registry.addLabelled('acme/runner', '1', { amd64: labels(NEWEST) });
    const faults = { responses: [{ method: 'GET' as const, route: 'downloads', status: 403 }] };
    const { out, code } = await run({ github: { faults }, more: ['--json'] });
    expect(rows(out)).to.deep.equal([
      `REGISTRY/acme/runner:1 label ${NEWEST} unknown`,
      `pin pin file ${NEWEST} unknown`,
    ]);
    expect(JSON.parse(out).notes[0]).to.match(/^github\.com: GitHub's newest release is not known: GET /);
    expect(code).to.equal(1);
  });

  it('knows the registration that is asked for, or says which there are', async () => {
    const { error, code } = await run({ more: ['--registration', 'acmee'] });
    expect(error).to.include("did you mean 'acme'?");
    expect(code).to.equal(2);
  });
});
