/**
 * The dispatcher installed as a container on the real engine, as a user does it: it takes webhooks of the simulated GitHub,
 * runs jobs in sibling containers of the runner image, which call it back, is upgraded while one runs, and is taken down.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { stringify } from 'yaml';
import { z } from 'zod';
import { ownAdminToken } from '../../dispatcher/cli/deploy/own-configuration.ts';
import { type GithubSimulator, startGithubSimulator } from '../../simulators/github/index.ts';
import { engineProblem, testImage } from '../docker/engine.ts';
import { type Canary, found, keyCanaries, piecesOf, watchCommandLines } from '../e2e/canary.ts';
import { eventually } from '../e2e/service-fixture.ts';
import { DOCKER_ENVIRONMENT, dispatcherImage } from '../package/dispatcher-image.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const ID = `dep${randomBytes(3).toString('hex')}`;
const DEPLOYMENT = `label=shr.deployment=${ID}-acme`;
const RUNNERS = `label=shr.dispatcher=${ID}-acme`;
const PORT = 20_000 + Math.floor(Math.random() * 10_000);
const WEBHOOK_SECRET = 'a-webhook-secret-of-the-deployment';
const ADMIN_TOKEN = 'an-admin-token-of-the-platform';
/** Of a credential that the registration does not use. */
const FOREIGN = 'a-token-of-another-tenant';
/** Of a runner's container: where its secrets are, as every service has such a place. */
const inspectedSchema = z.tuple([z.looseObject({ Config: z.looseObject({ Env: z.array(z.string()) }) })]);

interface Said {
  readonly code: number;
  readonly out: string;
}

describe('a dispatcher deployed to a Docker engine', () => {
  let folder = '';
  let image = '';
  let runnerImage = '';
  let github: GithubSimulator;
  const environment = { ...DOCKER_ENVIRONMENT, NODE: process.execPath, TENANT_ACME_WEBHOOK_SECRET: WEBHOOK_SECRET };

  const canaries: Canary[] = [];
  /** Everything that was printed and shown, by where. */
  const shown = new Map<string, string>();
  const show = (where: string, text: string) => shown.set(where, `${shown.get(where) ?? ''}${text}\n`);
  let endWatch: (() => Promise<readonly string[]>) | undefined;

  /** Of a runner: its secrets become canaries, and the rest of what the engine tells of it must not have them. */
  async function showRunner(name: string): Promise<void> {
    const [{ Config, ...rest }] = inspectedSchema.parse(JSON.parse(await docker('inspect', name)));
    const { Env, ...config } = Config;
    const secret = /^(?:ACTIONS_RUNNER_INPUT_JITCONFIG|SHR_CALLBACK_TOKEN)=(.+)$/;
    for (const variable of Env) {
      const [, text] = secret.exec(variable) ?? [];
      if (text === undefined) show('the inspection of a runner', variable);
      else canaries.push(...piecesOf(variable.slice(0, variable.indexOf('=')), text));
    }
    show('the inspection of a runner', JSON.stringify([rest, config]));
  }
  /** What a dispatcher said, and its disk. */
  async function showDispatcher(): Promise<void> {
    const [name = ''] = await containers(DEPLOYMENT);
    show('the log of the dispatcher', await docker('logs', name));
    show('the inspection of the dispatcher', await docker('inspect', name));
    const disk = await promisify(execFile)('docker', ['cp', `${name}:/var/lib/shr`, '-'], {
      env: environment,
      encoding: 'latin1',
      maxBuffer: 512 * 1024 * 1024,
    });
    expect(disk.stdout).to.include('ledger');
    show('the disk of the dispatcher', disk.stdout);
  }

  async function run(program: string, ...words: readonly string[]): Promise<Said> {
    try {
      const { stdout, stderr } = await promisify(execFile)(program, [...words], {
        env: environment,
        maxBuffer: 64 * 1024 * 1024,
      });
      return { code: 0, out: `${stdout}${stderr}`.trim() };
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && 'stdout' in error && 'stderr' in error)) throw error;
      return { code: Number(error.code), out: `${error.stdout}${error.stderr}`.trim() };
    }
  }
  const docker = async (...words: readonly string[]) => {
    const { code, out } = await run('docker', ...words);
    if (code !== 0) throw new Error(out);
    return out;
  };
  const shr = async (...words: readonly string[]) => {
    const said = await run(process.execPath, join(ROOT, 'dispatcher', 'cli', 'shr.mjs'), ...words);
    show(`what shr ${words[0]} ${words[1]} said`, said.out);
    return said;
  };
  /** On the machine's own network, where the simulated GitHub is, and where runners find the dispatcher. */
  const own = ['--registration', 'acme', '--network', 'host', '--url', `http://127.0.0.1:${PORT}`];
  const deploy = (verb: string, ...words: readonly string[]) =>
    shr('deploy', verb, folder, ...own, '--image', image, ...words);
  const containers = async (filter: string) => {
    const listed = await docker('ps', '--all', '--no-trunc', '--filter', filter, '--format', '{{.Names}}');
    return listed.split('\n').filter((name) => name !== '');
  };
  const volumes = async () => docker('volume', 'ls', '--filter', DEPLOYMENT, '--format', '{{.Name}}');
  const executions = () => github.executions().length;
  const push = (seconds: number) =>
    github.pushWorkflow({
      owner: 'acme',
      repository: 'web',
      yaml: stringify({
        on: 'push',
        jobs: { build: { 'runs-on': 'deployed', steps: [{ run: `sleep ${seconds}` }, { run: 'echo done' }] } },
      }),
    });
  const conclusion = (id: number) => github.run(id)?.conclusion ?? undefined;
  const logOf = (id: number) => github.jobs().find(({ runId }) => runId === id)?.log ?? '';

  before(async function () {
    this.timeout(600_000);
    const problem = await engineProblem();
    if (problem !== undefined) {
      console.log(`      skipped: ${problem}`);
      this.skip();
    }
    image = await dispatcherImage();
    // With the stand-in release, whose runner works for the simulated GitHub.
    const script = join(ROOT, 'demo', 'runner-image.sh');
    runnerImage = (await promisify(execFile)(script, { env: environment })).stdout.trim();
    folder = await mkdtemp(join(tmpdir(), 'shr-deploy-'));
    github = await startGithubSimulator({
      owners: [{ login: 'acme', repositories: [{ name: 'web' }] }],
      // As a new App has it: the deployment gives it its address and secret.
      apps: [{ name: 'deployed', webhook: { url: '' }, installations: [{ account: 'acme' }] }],
    });
    await writeConfiguration();
    canaries.push(
      { name: 'the webhook secret', text: WEBHOOK_SECRET },
      { name: 'the admin token', text: ADMIN_TOKEN },
      { name: "the deployment's admin token", text: ownAdminToken(ADMIN_TOKEN, `${ID}-acme`) },
      { name: 'a token of another tenant', text: FOREIGN },
      ...keyCanaries("the App's key", github.apps[0]?.privateKey ?? ''),
    );
    endWatch = watchCommandLines(async () => canaries);
  });

  after(async function () {
    this.timeout(120_000);
    if (folder === '') return;
    await endWatch?.();
    await github.close();
    for (const filter of [DEPLOYMENT, RUNNERS]) {
      for (const name of await containers(filter)) await docker('rm', '--force', '--volumes', name);
    }
    for (const name of (await volumes()).split('\n')) if (name !== '') await docker('volume', 'rm', name);
    await rm(folder, { recursive: true });
  });

  it('says in advance what it would do, and does nothing', async function () {
    this.timeout(60_000);
    const { code, out } = await deploy('plan');
    expect(code, out).to.equal(0);
    expect(out)
      .to.match(/create {2}volume/)
      .and.match(/create {2}container/);
    expect(await containers(DEPLOYMENT)).to.deep.equal([]);
    const status = await deploy('status');
    expect(status.code).to.equal(1);
    expect(status.out).to.include(`nothing is deployed as ${ID}-acme`);
  });

  it('refuses an image that the engine cannot get, and leaves nothing behind', async function () {
    this.timeout(120_000);
    const wrong = ['--image', '127.0.0.1:1/nowhere/dispatcher:1'];
    const { code, out } = await shr('deploy', 'apply', folder, ...own, ...wrong);
    expect(code).to.equal(1);
    expect(out)
      .to.include('127.0.0.1:1/nowhere/dispatcher:1')
      .and.match(/Build it with|Run it again/);
    expect(await containers(DEPLOYMENT)).to.deep.equal([]);
  });

  it('is installed, and sets the webhook of its App', async function () {
    this.timeout(240_000);
    const { code, out } = await deploy('apply');
    expect(code, out).to.equal(0);
    expect(out)
      .to.match(new RegExp(`acme: App \\d+ delivers to http://127.0.0.1:${PORT}/webhooks/github/acme: set by API`))
      .and.not.include('Payload URL');
    expect((await deploy('status')).out).to.match(/state +healthy/);
  });

  it('is asked with what its own container holds, and its status tells of its registrations', async function () {
    this.timeout(60_000);
    const { out } = await deploy('status');
    const [, command = ''] = /^ask it +(docker exec .+)$/m.exec(out) ?? [];
    const asked = await run('docker', ...command.split(' ').slice(1));
    expect(asked, out).to.deep.equal({ code: 0, out: 'No jobs.' });
    show('what the dispatcher answers', asked.out);
    expect(out, 'as `shr registrations show` has it').to.match(/\n\nregistration +acme\n/);
  });

  it('shows no secret to those who may inspect it, and carries none that the registration does not use', async function () {
    this.timeout(60_000);
    const [name = ''] = await containers(DEPLOYMENT);
    const described = await docker('inspect', name);
    const processes = await docker('top', name);
    for (const secret of [WEBHOOK_SECRET, ADMIN_TOKEN, 'PRIVATE KEY']) {
      expect(described, 'inspect').not.include(secret);
      expect(processes, 'top').not.include(secret);
    }
    const mode =
      "const { mode, uid } = require('fs').statSync('/etc/shr/bundle'); console.log((mode & 0o777).toString(8), uid)";
    expect(await docker('exec', name, 'node', '--eval', mode)).to.equal('600 10001');
    const packed =
      "console.log(require('zlib').gunzipSync(Buffer.from(require('fs').readFileSync('/etc/shr/bundle','utf8'),'base64')).toString())";
    const bundle = await docker('exec', name, 'node', '--eval', packed);
    expect(bundle).to.include(WEBHOOK_SECRET).and.not.include(FOREIGN).and.not.include(ADMIN_TOKEN);
  });

  it('runs a job that a webhook reports in a sibling container of the runner image, which asks it and reports to it', async function () {
    this.timeout(120_000);
    const { id } = push(4);
    const name = await eventually('its container is there', 60_000, async () => (await containers(RUNNERS))[0]);
    expect(await docker('inspect', '--format', '{{.Config.Image}}', name)).to.equal(runnerImage);
    await showRunner(name);
    // It ends with its job: its output is looked at while it runs.
    show('the output of a runner', await docker('logs', name));
    await eventually('the job is done', 90_000, () => conclusion(id));
    // `requireHook`: without an answer of the dispatcher it would have failed.
    expect(conclusion(id), logOf(id)).to.equal('success');
    expect(logOf(id))
      .to.include('shr: this job may run here')
      .and.match(new RegExp(`shr: runner ${name} on docker \\(registration acme\\)`))
      .and.match(/shr: asked for 0\.5 cores, 0\.5 GiB; the container has 512 MiB of memory/);
    await eventually('its container is gone', 60_000, async () =>
      (await containers(RUNNERS)).length === 0 ? true : undefined,
    );
  });

  it('changes nothing where nothing has changed', async function () {
    this.timeout(60_000);
    const before = await containers(DEPLOYMENT);
    const { code, out } = await deploy('apply');
    expect(code, out).to.equal(0);
    expect(out, (await deploy('status')).out).to.include('nothing to change');
    expect(await containers(DEPLOYMENT)).to.deep.equal(before);
  });

  it('is upgraded while a job runs, and the job runs once and to its end', async function () {
    this.timeout(240_000);
    const [before = ''] = await containers(DEPLOYMENT);
    const started = executions();
    const { id } = push(15);
    await eventually('the job runs', 60_000, () => (executions() > started ? true : undefined));
    await showDispatcher();
    for (const name of await containers(RUNNERS)) {
      await showRunner(name);
      show('the output of a runner', await docker('logs', name));
    }
    const { code, out } = await deploy('apply', '--memory', '0.75');
    expect(code, out).to.equal(0);
    expect(out).to.include(`stopping ${before} in order`);
    const after = await containers(DEPLOYMENT);
    expect(after).to.have.length(1).and.not.include(before);
    await eventually('the job is done', 90_000, () => conclusion(id));
    expect(conclusion(id)).to.equal('success');
    expect(executions()).to.equal(started + 1);
    // The new one knows the token that the old one gave.
    expect(logOf(id)).to.match(/shr: runner \S+ on docker \(registration acme\)/);
  });

  it('finishes what an interrupted command left', async function () {
    this.timeout(240_000);
    const [name = ''] = await containers(DEPLOYMENT);
    // As after a command that ended between the two starts: the one before stopped, the new one without its file.
    await docker('stop', name);
    const { code, out } = await deploy('apply', '--memory', '0.875');
    expect(code, out).to.equal(0);
    expect((await deploy('status', '--memory', '0.875')).out).to.match(/state +healthy/);
    expect(await containers(DEPLOYMENT)).to.have.length(1);
  });

  it('goes back to the one before where the new one does not start', async function () {
    this.timeout(240_000);
    const before = await containers(DEPLOYMENT);
    const { code, out } = await shr('deploy', 'apply', folder, ...own, '--image', await testImage());
    expect(code).to.equal(1);
    expect(out).to.include('the one before runs again');
    expect(await containers(DEPLOYMENT)).to.deep.equal(before);
    await eventually('it is healthy', 60_000, async () =>
      /state +healthy/.test((await deploy('status')).out) ? true : undefined,
    );
  });

  it('has shown no secret in a command line, image, log, disk, inspection, job or output of the command', async function () {
    this.timeout(120_000);
    await showDispatcher();
    expect((await deploy('logs')).code).to.equal(0);
    for (const one of [image, runnerImage]) {
      show(`the image ${one}`, await docker('image', 'inspect', one));
      show(`the image ${one}`, await docker('history', '--no-trunc', one));
    }
    show('the volumes', await docker('volume', 'inspect', ...(await volumes()).split('\n')));
    show('the jobs at GitHub', JSON.stringify(github.jobs()));
    show('the runners at GitHub', JSON.stringify(github.runners()));
    show('the deliveries of GitHub', JSON.stringify(github.deliveries()));
    const inCommandLines = await endWatch?.();
    const findings = [...shown].flatMap(([where, text]) => found(canaries, where, text));
    expect([...new Set([...findings, ...(inCommandLines ?? [])])]).to.deep.equal([]);
    const names = new Set(canaries.map(({ name }) => name));
    expect([...names]).to.include.members(['ACTIONS_RUNNER_INPUT_JITCONFIG from 0', 'SHR_CALLBACK_TOKEN from 0']);
    // The finder finds.
    expect(found(canaries, 'the bundle', `x${WEBHOOK_SECRET}x`)).to.deep.equal(['the webhook secret in the bundle']);
  });

  it('is taken down after the job that runs, and nothing is left', async function () {
    this.timeout(300_000);
    const started = executions();
    const { id } = push(20);
    await eventually('the job runs', 60_000, () => (executions() > started ? true : undefined));
    // Image and network are those that run.
    const { code, out } = await shr('deploy', 'destroy', folder, '--registration', 'acme');
    expect(code, out).to.equal(0);
    expect(out).to.include('draining').and.include('waiting for').and.include('nothing is left');
    expect(conclusion(id)).to.equal('success');
    expect(logOf(id)).to.match(/shr: runner \S+ on docker \(registration acme\)/);
    expect(await containers(DEPLOYMENT)).to.deep.equal([]);
    expect(await containers(RUNNERS)).to.deep.equal([]);
    expect(await volumes()).to.equal('');
    expect(github.runners()).to.deep.equal([]);
  });

  it('with --now names what it kills, and leaves nothing', async function () {
    this.timeout(300_000);
    expect((await deploy('apply')).code).to.equal(0);
    const started = executions();
    push(600);
    await eventually('the job runs', 90_000, () => (executions() > started ? true : undefined));
    const [runner = ''] = await containers(RUNNERS);
    const { code, out } = await deploy('destroy', '--now');
    expect(code, out).to.equal(0);
    expect(out).to.include(`killing the runner ${runner}`);
    expect(await containers(DEPLOYMENT)).to.deep.equal([]);
    expect(await containers(RUNNERS)).to.deep.equal([]);
    expect(await volumes()).to.equal('');
    expect((await deploy('destroy')).out).to.include('nothing is left');
  });

  async function writeConfiguration(): Promise<void> {
    const [app] = github.apps;
    if (app === undefined) throw new Error('the simulator has no App');
    const files = {
      'secrets/admin-token': ADMIN_TOKEN,
      'secrets/other': FOREIGN,
      'secrets/acme/app.pem': app.privateKey,
      'dispatcher.yaml': stringify({
        id: ID,
        adminToken: '${file:secrets/admin-token}',
        listen: { public: `127.0.0.1:${PORT}`, admin: `127.0.0.1:${PORT + 1}` },
        credentials: { other: { host: 'github.com', token: '${file:secrets/other}' } },
      }),
      'registrations/other.yaml': 'this is not valid, and not deployed',
      'registrations/acme.yaml': stringify({
        organization: 'acme',
        apiUrl: github.url,
        credentials: { app: { id: app.id, privateKey: '${file:secrets/acme/app.pem}' } },
        webhook: { secrets: ['${env:TENANT_ACME_WEBHOOK_SECRET}'] },
        labels: ['deployed'],
        requireHook: true,
        defaults: { image: runnerImage, cpu: 0.5, memoryGiB: 0.5 },
        backends: [{ kind: 'docker', options: { network: 'host', pull: 'never', pidsLimit: 512 } }],
        maxRunners: 4,
        poll: { interval: '30s' },
      }),
    };
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), text, { mode: 0o600 });
    }
  }
});
