/** The story of a tenant that joins by pull request: real processes, a real git, the workflows' own steps. */
import { execFile } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { registrationListSchema } from '../../dispatcher/http/admin-shapes.ts';
import { type Action, type JobResult, runJob } from '../workflows/job.ts';
import { type GitServer, startGitServer } from './git-server.ts';
import {
  APP,
  GITHUB,
  platformOf,
  registrationText,
  shr,
  type TlsFront,
  tlsFront,
  workflowText,
} from './joining-fixture.ts';
import { ADMIN_TOKEN, eventually, type Service, startService } from './service-fixture.ts';

const execute = promisify(execFile);
const ROOT = join(import.meta.dirname, '..', '..');
const TOKEN = 'ghp_of-the-repository-of-tenants';
const PUSH_SECRET = 'the-secret-of-the-push-webhook';
const SOURCES = ['dispatcher', 'node_modules', 'package.json', 'providers', 'time', 'deployers', 'simulators'];

describe('tenants that join by pull request', function () {
  this.timeout(420_000);
  let place: string;
  let runners: string;
  let front: TlsFront;
  let server: GitServer;
  let service: Service;

  before(async () => {
    place = await mkdtemp(join(tmpdir(), 'shr-joining-'));
    runners = join(place, 'runners');
    await execute('git', ['init', '--quiet', '--bare', '--initial-branch=main', join(place, 'runners.git')]);
    front = await tlsFront();
    server = await startGitServer(place, TOKEN);
    await writeFile(join(place, 'authorities.pem'), `${server.certificate}\n${front.certificate}`);
    service = await startService({
      github: GITHUB,
      environment: {
        NODE_EXTRA_CA_CERTS: join(place, 'authorities.pem'),
        APP_ID: `${APP}`,
        TENANTS_TOKEN: TOKEN,
        TENANTS_PUSH: PUSH_SECRET,
      },
      dispatcher: {
        ...platformOf(front.host, place),
        sources: [
          {
            name: 'tenants',
            git: `${server.url}/runners.git`,
            token: '${env:TENANTS_TOKEN}',
            interval: '1h',
            webhook: { secrets: ['${env:TENANTS_PUSH}'] },
          },
        ],
      },
    });
    front.target = service.github.url;
  });

  after(async () => {
    await service.close();
    await server.close();
    await front.close();
    await rm(place, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
  });

  const git = async (...words: readonly string[]): Promise<string> =>
    (await execute('git', ['-C', runners, ...words])).stdout.trim();

  async function list() {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
    return registrationListSchema.parse(
      await (await fetch(`${service.adminUrl}/api/registrations`, { headers })).json(),
    );
  }

  async function commit(message: string, files: Readonly<Record<string, string | undefined>>): Promise<string> {
    for (const [path, text] of Object.entries(files)) {
      if (text === undefined) await rm(join(runners, path));
      else await writeFile(join(runners, path), text);
    }
    await git('add', '--all');
    await git('commit', '--quiet', '--message', message);
    return await git('rev-parse', 'HEAD');
  }

  /** As GitHub's runner would, with the base's platform.json. */
  async function validate(head: string): Promise<JobResult> {
    const checkout: Action = async ({ path = '.', ref, repository }, workspace) => {
      const to = join(workspace, path);
      await mkdir(to, { recursive: true });
      if (repository === 'acme/serverless-hosted-runner') {
        for (const name of SOURCES) await symlink(join(ROOT, name), join(to, name));
        await writeFile(join(to, 'Makefile'), 'deps:\n\t@true\n');
        return;
      }
      await git('archive', '--output', join(place, 'archive.tar'), ref === undefined || ref === '' ? head : ref);
      await execute('tar', ['-xf', join(place, 'archive.tar'), '-C', to]);
    };
    return await runJob('validate-registrations.yml', {
      folder: await mkdtemp(join(place, 'job-')),
      job: 'validate',
      contexts: {
        inputs: { sources: 'acme/serverless-hosted-runner', ref: 'f'.repeat(40) },
        secrets: {},
        github: {
          token: 'ghs_of-the-run',
          repository: 'acme/runners',
          event: { pull_request: { base: { sha: await git('rev-parse', 'main') } } },
        },
      },
      actions: { 'actions/checkout': checkout, 'actions/upload-artifact': async () => {} },
      environment: { PATH: process.env['PATH'] ?? '', GITHUB_ACTIONS: 'true' },
    });
  }

  /** The branch of a pull request into main, pushed and told as GitHub does. Returns the commit. */
  async function merge(branch: string): Promise<string> {
    await git('checkout', '--quiet', 'main');
    await git('merge', '--quiet', '--no-ff', '--message', `Merge ${branch}`, branch);
    await git('push', '--quiet', 'origin', 'main');
    const body = '{"ref":"refs/heads/main"}';
    const signature = createHmac('sha256', PUSH_SECRET).update(body).digest('hex');
    const told = await fetch(`${service.publicUrl}/webhooks/git/tenants`, {
      method: 'POST',
      body,
      headers: {
        'content-type': 'application/json',
        'x-github-event': 'push',
        'x-hub-signature-256': `sha256=${signature}`,
      },
    });
    expect(told.status).to.equal(202);
    return await git('rev-parse', 'main');
  }

  const inForce = (commitName: string) =>
    eventually(`commit ${commitName} is in force`, 30_000, async () => {
      const found = await list();
      return found.sources[0]?.commit?.sha === commitName ? found : undefined;
    });
  const jobs = (label: string) => service.github.jobs().filter(({ labels }) => labels.includes(label));
  const count = (label: string, status: string) => jobs(label).filter((job) => job.status === status).length;
  const push = (tenant: string, amount: number, script: string) =>
    service.github.pushWorkflow({
      ...{ owner: `${tenant}-team`, repository: 'web' },
      yaml: workflowText(`${tenant}-runner`, amount, script),
    });

  it('begins with an empty repository, which is said, and a dispatcher that serves all the same', async () => {
    const { registrations, sources } = await list();
    expect(registrations.map(({ name }) => name)).to.deep.equal(['e2e']);
    expect(sources[0]?.problem?.message).to.match(
      /couldn't find remote ref refs\/heads\/main; nothing of it is known yet$/,
    );
  });

  it('has the platform make the tenants’ repository', async () => {
    const environment = {
      APP_ID: `${APP}`,
      TENANTS_TOKEN: TOKEN,
      TENANTS_PUSH: PUSH_SECRET,
      E2E_ADMIN_TOKEN: ADMIN_TOKEN,
    };
    const exported = await shr(
      ['platform', 'export', service.folder, '--out', join(place, 'platform.json')],
      environment,
    );
    expect(exported.code, exported.err).to.equal(0);
    const made = await shr([
      ...['init', 'tenant', runners, '--organization', 'acme', '--platform', join(place, 'platform.json')],
      ...['--sources', 'acme/serverless-hosted-runner', '--ref', '0123456789abcdef0123456789abcdef01234567'],
    ]);
    expect(made.code, made.err).to.equal(0);
    await execute('git', ['init', '--quiet', '--initial-branch=main', runners]);
    await git('config', 'user.email', 'ann@acme.example');
    await git('config', 'user.name', 'Ann');
    await git('remote', 'add', 'origin', join(place, 'runners.git'));
    await commit('The tenants’ repository', {});
    await git('branch', 'empty');
    const { sources } = await inForce(await merge('empty'));
    expect(sources[0]?.problem).to.equal(null);
  });

  it('says at its line what is wrong with a pull request, and passes what is right', async () => {
    await git('checkout', '--quiet', '-b', 'join-web');
    const wrong = await commit('Add web', {
      'registrations/web.yaml': registrationText('web', front.host, 'maxRunner: 20\n'),
    });
    const failed = await validate(wrong);
    expect(failed.outcome).to.equal('failure');
    expect(failed.log).to.match(
      /^::error file=registrations\/web\.yaml,line=8,col=1,title=maxRunner::unknown key `maxRunner`\. Did you mean `maxRunners`\?$/m,
    );
    const right = await commit('Correct it', { 'registrations/web.yaml': registrationText('web', front.host) });
    const passed = await validate(right);
    expect(passed.outcome, passed.log).to.equal('success');
    expect((await list()).registrations.map(({ name }) => name)).to.deep.equal(['e2e']);
  });

  it('serves the tenant within seconds of the merge, and its first job runs', async () => {
    push('web', 1, 'echo first');
    const startedAt = performance.now();
    const { registrations } = await inForce(await merge('join-web'));
    expect(performance.now() - startedAt).to.be.lessThan(15_000);
    expect(registrations.map(({ name }) => name)).to.deep.equal(['e2e', 'web']);
    await eventually('the first job ran', 90_000, () => (count('web-runner', 'completed') === 1 ? true : undefined));
    expect(jobs('web-runner')[0]?.conclusion).to.equal('success');
  });

  it('refuses a file that reaches too far, with the grant that it would need, merged or not', async () => {
    await git('checkout', '--quiet', '-b', 'join-data');
    const head = await commit('Add data', {
      'registrations/data.yaml': registrationText('data', front.host, 'maxRunners: 50\n'),
    });
    const { log, outcome } = await validate(head);
    expect(outcome).to.equal('failure');
    const words = /tenants\.data\.limits\.maxRunners: 50/;
    expect(log)
      .to.match(/^::error file=registrations\/data\.yaml,line=8,col=13,title=maxRunners::/m)
      .and.match(words);
    const { quarantined, registrations } = await inForce(await merge('join-data'));
    expect(registrations.map(({ name }) => name)).to.deep.equal(['e2e', 'web']);
    expect(quarantined.map(({ name }) => name)).to.deep.equal(['data']);
    expect(quarantined[0]?.problems.map(({ cure }) => cure).join()).to.match(words);
    await git('checkout', '--quiet', '-b', 'join-data-again');
    await commit('Ask for less', { 'registrations/data.yaml': registrationText('data', front.host) });
    const after = await inForce(await merge('join-data-again'));
    expect(after.registrations.map(({ name }) => name)).to.deep.equal(['data', 'e2e', 'web']);
  });

  it('kills nothing when a cap is lowered while twenty jobs run', async () => {
    const before = count('web-runner', 'completed');
    push('web', 20, 'sleep 20');
    await eventually('twenty run', 150_000, () => (count('web-runner', 'in_progress') >= 20 ? true : undefined));
    await git('checkout', '--quiet', '-b', 'lower');
    await commit('Lower the cap', { 'registrations/web.yaml': registrationText('web', front.host, 'maxRunners: 2\n') });
    const { registrations } = await inForce(await merge('lower'));
    expect(registrations.find(({ name }) => name === 'web')?.maxRunners).to.equal(2);
    await eventually('all have ended', 150_000, () =>
      count('web-runner', 'completed') === before + 20 ? true : undefined,
    );
    expect(new Set(jobs('web-runner').map(({ conclusion }) => conclusion))).to.deep.equal(new Set(['success']));
  });

  it('drains a tenant that leaves: its job runs to the end, and nothing new is launched', async () => {
    const before = count('web-runner', 'completed');
    push('web', 1, 'sleep 10');
    await eventually('it runs', 90_000, () => (count('web-runner', 'in_progress') === 1 ? true : undefined));
    await git('checkout', '--quiet', '-b', 'leave');
    await commit('Remove web', { 'registrations/web.yaml': undefined });
    const { absent, registrations } = await inForce(await merge('leave'));
    expect(registrations.map(({ name }) => name)).to.deep.equal(['data', 'e2e']);
    expect(absent.map(({ absence, registration, served }) => [registration, absence, served])).to.deep.equal([
      ['web', 'removed', true],
    ]);
    push('web', 1, 'echo never');
    await eventually('its job ends', 90_000, () =>
      count('web-runner', 'completed') === before + 1 ? true : undefined,
    );
    await eventually('it is gone', 90_000, async () => ((await list()).absent.length === 0 ? true : undefined));
    expect(new Set(jobs('web-runner').flatMap(({ conclusion }) => conclusion ?? []))).to.deep.equal(
      new Set(['success']),
    );
    expect(count('web-runner', 'queued')).to.equal(1);
  });
});
