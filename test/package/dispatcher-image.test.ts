import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { stringify } from 'yaml';
import { z } from 'zod';
import { providerKinds } from '../../providers/index.ts';
import { type GithubSimulator, startGithubSimulator } from '../../simulators/github/index.ts';
import { ENGINE_SOCKET, engineProblem } from '../docker/engine.ts';
import { commandsIn, INSTALL } from '../docs/commands.ts';
import { eventually } from '../e2e/service-fixture.ts';
import { DOCKER_ENVIRONMENT, dispatcherImage } from './dispatcher-image.ts';

const TOKEN = 'an-admin-token-of-the-image-test';
const PORT = 20_000 + Math.floor(Math.random() * 10_000);
const CLI = '/opt/shr/node_modules/serverless-hosted-runner/dist';

const stateSchema = z.object({ ExitCode: z.number(), Health: z.object({ Status: z.string() }) });
const imageSchema = z.object({ Size: z.number(), Config: z.object({ User: z.string() }) });

describe('the image of the dispatcher', () => {
  const container = `shr-dispatcher-test-${randomBytes(4).toString('hex')}`;
  let image = '';
  let folder: string | undefined;
  let github: GithubSimulator | undefined;

  async function run(program: string, ...words: readonly string[]): Promise<string> {
    const options = { env: DOCKER_ENVIRONMENT, maxBuffer: 64 * 1024 * 1024 };
    const { stdout, stderr } = await promisify(execFile)(program, [...words], options);
    return `${stdout}${stderr}`.trim();
  }
  const docker = (...words: readonly string[]) => run('docker', ...words);

  before(async function () {
    this.timeout(400_000);
    const problem = await engineProblem();
    if (problem !== undefined) {
      console.log(`      skipped: ${problem}`);
      this.skip();
    }
    image = await dispatcherImage();
    folder = await mkdtemp(join(tmpdir(), 'shr-image-'));
    github = await startGithubSimulator({ owners: [{ login: 'acme', repositories: [{ name: 'web' }] }] });
    await writeConfiguration(folder, github);
  });

  after(async function () {
    this.timeout(120_000);
    await github?.close();
    if (folder === undefined) return;
    await docker('rm', '--force', container).catch(() => undefined);
    await docker('volume', 'rm', '--force', container);
    await rm(folder, { recursive: true });
  });

  it('runs as a user without rights, and is small beside its base', async function () {
    this.timeout(60_000);
    const inspected = imageSchema.array().parse(JSON.parse(await docker('image', 'inspect', image, 'shr-base:node')));
    expect(inspected[0]?.Config.User).to.equal('10001:10001');
    const addedMB = ((inspected[0]?.Size ?? 0) - (inspected[1]?.Size ?? 0)) / 1e6;
    expect(addedMB).to.be.within(10, 110);
  });

  it('has what every provider imports', async function () {
    this.timeout(120_000);
    const program = `const { loadProvider, providerKinds } = await import('${CLI}/providers/index.js');
      for (const kind of providerKinds) console.log((await loadProvider(kind)).kind);`;
    const words = ['--rm', '--network', 'none', '--read-only', '--entrypoint', 'node', image];
    const said = await docker('run', ...words, '--input-type=module', '--eval', program);
    expect(said.split('\n')).to.deep.equal([...providerKinds]);
  });

  it('gets ready on a read-only root, without a capability, and ends in order', async function () {
    this.timeout(180_000);
    await docker(...(await documentedRun()));
    const state = async () => {
      return stateSchema.parse(JSON.parse(await docker('inspect', '--format', '{{json .State}}', container)));
    };
    try {
      await eventually('it is healthy', 90_000, async () => {
        return (await state()).Health.Status === 'healthy' ? true : undefined;
      });
    } catch (error) {
      throw new Error(`${error instanceof Error ? error.message : error}: ${await docker('logs', container)}`);
    }
    const refused = await docker('exec', container, 'node', '--eval', "require('fs').writeFileSync('/opt/shr/x', '')")
      .then(() => 'written')
      .catch((error: unknown) => String(error));
    expect(refused).to.include('EROFS');
    expect(await docker('exec', container, 'node', '/opt/shr/shr.mjs', 'registrations')).to.include('acme');

    await docker('stop', '--time', '30', container);
    expect((await state()).ExitCode).to.equal(0);
    const log = await docker('logs', container);
    expect(log).to.include('"event":"stopped"').and.not.include(TOKEN);

    // The ledger is in the volume: the next start takes it up.
    await docker('start', container);
    await eventually('it is healthy again', 90_000, async () => {
      return (await state()).Health.Status === 'healthy' ? true : undefined;
    });
  });

  /** `docker run` as docs/install.md has it; the engine of the tests has no network to publish ports from. */
  async function documentedRun(): Promise<readonly string[]> {
    const all = commandsIn(await readFile(INSTALL, 'utf8'));
    const [command = ''] = all.filter((one) => one.startsWith('docker run '));
    const ours = command
      .replace('--name shr ', `--name ${container} `)
      .replace('--publish 8080:8080 ', '--network host ')
      .replace('--restart unless-stopped ', '')
      .replace('"$PWD/config:/etc/shr:ro"', `${folder}:/etc/shr:ro`)
      .replace('shr-ledger:', `${container}:`)
      .replace('"$(stat -c %g /var/run/docker.sock)"', String((await stat(ENGINE_SOCKET)).gid))
      .replace('/var/run/docker.sock:/var', `${ENGINE_SOCKET}:/var`)
      .replace(/ serverless-hosted-runner:\S+$/, '');
    expect(ours)
      .to.match(/--read-only .*--cap-drop ALL/)
      .and.not.match(/["$]|shr-ledger|publish/);
    const more = ['--health-interval', '1s', '--env', `ADMIN_TOKEN=${TOKEN}`];
    const words = [...more, '--env', `SHR_READY_URL=http://127.0.0.1:${PORT}/readyz`, image];
    return [...ours.split(' ').slice(1), ...words];
  }

  async function writeConfiguration(place: string, { url }: GithubSimulator): Promise<void> {
    const files = {
      'dispatcher.yaml': {
        id: 'image',
        ledger: '/var/lib/shr/ledger.db',
        adminToken: '${env:ADMIN_TOKEN}',
        listen: { public: '127.0.0.1:0', admin: `127.0.0.1:${PORT}` },
        unsafeProcessBackend: true,
      },
      'registrations/acme.yaml': {
        organization: 'acme',
        apiUrl: url,
        credentials: { token: '${env:ADMIN_TOKEN}' },
        defaults: { image: 'unused:1' },
        // Ready means that what runs there was listed; no job comes.
        backends: [{ kind: 'process', options: { command: ['node'], root: '/var/lib/shr/instances' } }],
      },
    };
    for (const [name, value] of Object.entries(files)) {
      await mkdir(dirname(join(place, name)), { recursive: true });
      await writeFile(join(place, name), stringify(value));
      await chmod(dirname(join(place, name)), 0o755);
    }
  }
});
