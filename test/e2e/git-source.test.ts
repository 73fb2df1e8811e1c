/** A dispatcher whose registrations are in a git repository: a real one, behind git's own server over TLS. */
import { execFile } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { registrationListSchema } from '../../dispatcher/http/admin-shapes.ts';
import { type Worktree, worktree } from '../sources/git-fixture.ts';
import { type GitServer, startGitServer } from './git-server.ts';
import { ADMIN_TOKEN, eventually, type Service, startService } from './service-fixture.ts';

const TOKEN = 'ghp_of-the-repository-of-tenants';
const PUSH_SECRET = 'the-secret-of-the-push-webhook';
const SHR = join(import.meta.dirname, '..', '..', 'dispatcher', 'cli', 'shr.mjs');

describe('a dispatcher with a git repository of registrations', function () {
  this.timeout(180_000);
  let place: string;
  let remote: Worktree;
  let server: GitServer;
  let service: Service;

  beforeEach(async () => {
    place = await mkdtemp(join(tmpdir(), 'shr-e2e-git-'));
    remote = await worktree();
    await remote.git('clone', '--quiet', '--bare', remote.folder, join(place, 'runners.git')).catch(() => {});
    await remote.git('remote', 'add', 'origin', join(place, 'runners.git'));
    server = await startGitServer(place, TOKEN);
    await writeFile(join(place, 'authority.pem'), server.certificate);
  });

  afterEach(async () => {
    await service.close();
    await server.close();
    await remote.remove();
    await rm(place, { recursive: true, force: true });
  });

  const start = async () => {
    service = await startService({
      environment: {
        NODE_EXTRA_CA_CERTS: join(place, 'authority.pem'),
        TENANTS_TOKEN: TOKEN,
        TENANTS_PUSH: PUSH_SECRET,
      },
      dispatcher: {
        sources: [
          {
            name: 'tenants',
            git: `${server.url}/runners.git`,
            token: '${env:TENANTS_TOKEN}',
            interval: '1h',
            folders: [{ path: 'registrations', trusted: true }],
            webhook: { secrets: ['${env:TENANTS_PUSH}'] },
          },
        ],
      },
    });
  };

  async function list() {
    const response = await fetch(`${service.adminUrl}/api/registrations`, {
      headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
    });
    return registrationListSchema.parse(await response.json());
  }

  async function push(message: string): Promise<string> {
    const sha = await remote.commit(message);
    await remote.git('push', '--quiet', '--force', 'origin', 'main');
    return sha;
  }

  /** As GitHub does. */
  async function tell(secret = PUSH_SECRET): Promise<number> {
    const body = JSON.stringify({ ref: 'refs/heads/main' });
    const response = await fetch(`${service.publicUrl}/webhooks/git/tenants`, {
      method: 'POST',
      body,
      headers: {
        'content-type': 'application/json',
        'x-github-event': 'push',
        'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
      },
    });
    return response.status;
  }

  const other = async (changes: Readonly<Record<string, unknown>> = {}) => {
    const own = z
      .record(z.string(), z.unknown())
      .parse(parse(await readFile(join(service.folder, 'registrations', 'e2e.yaml'), 'utf8')));
    return stringify({ ...own, labels: ['from-git'], webhook: undefined, ...changes });
  };

  it('serves what is pushed within seconds, keeps what was good, and shows the commit', async () => {
    await remote.write({ 'README.md': 'runners' });
    await push('first');
    await start();
    expect((await list()).sources[0]?.problem?.message ?? '').to.equal('');
    await remote.write({ 'registrations/web.yaml': await other() });
    const sha = await push('Add web');
    service.github.pushWorkflow({
      owner: 'acme',
      repository: 'web',
      yaml: 'on: push\njobs:\n  work:\n    runs-on: from-git\n    steps: [{ run: "echo hello" }]',
    });
    expect(await tell('a-wrong-secret-of-the-webhook')).to.equal(401);
    expect((await list()).registrations.map(({ name }) => name)).to.deep.equal(['e2e']);
    const startedAt = performance.now();
    expect(await tell()).to.equal(202);
    const web = await eventually('web is served', 20_000, async () =>
      (await list()).registrations.find(({ name }) => name === 'web'),
    );
    expect(performance.now() - startedAt).to.be.lessThan(10_000);
    expect(web.origin).to.deep.equal({
      source: 'tenants',
      file: 'git:tenants/registrations/web.yaml',
      commit: sha,
      authoredAt: '2026-11-29T10:00:00.000Z',
    });
    const jobs = () => service.github.jobs();
    await eventually('the job ran', 60_000, () => jobs().find(({ conclusion }) => conclusion === 'success'));

    const { stdout } = await promisify(execFile)(process.execPath, [SHR, 'registrations', '--url', service.adminUrl], {
      env: { PATH: process.env['PATH'] ?? '', SHR_ADMIN_TOKEN: ADMIN_TOKEN },
    });
    expect(stdout).to.include('Add web').and.include(sha.slice(0, 12));

    await remote.write({ 'registrations/web.yaml': await other({ nonsense: 1 }) });
    const broken = await push('Break web');
    await tell();
    const kept = await eventually('its problem is shown', 20_000, async () =>
      (await list()).registrations.find(({ name, problems }) => name === 'web' && problems.length > 0),
    );
    expect(kept.problems[0]?.message).to.match(/git:tenants\/registrations\/web\.yaml:\d+:1: nonsense: unknown key/);
    expect(kept.origin?.commit).to.equal(broken);

    server.isAway = true;
    await tell();
    const problem = await eventually(
      'that the host is away is shown',
      20_000,
      async () => (await list()).sources[0]?.problem ?? undefined,
    );
    expect(problem.message).to.include(`what it said at commit ${broken.slice(0, 12)} is in force`);
    expect((await list()).registrations.map(({ name }) => name)).to.deep.equal(['e2e', 'web']);
    await service.end('SIGTERM');
    await service.restart();
    const after = await list();
    expect(after.registrations.map(({ name }) => name)).to.deep.equal(['e2e', 'web']);
    expect(after.sources[0]?.commit?.sha).to.equal(broken);

    server.isAway = false;
    await remote.write({ 'registrations/web.yaml': undefined, 'registrations/x.example.yaml': '' });
    await push('Remove web');
    await tell();
    await eventually('web is gone', 20_000, async () =>
      (await list()).registrations.every(({ name }) => name !== 'web') ? true : undefined,
    );
    expect(service.output()).to.not.include(TOKEN);
    expect(server.requests.filter((line) => line.startsWith('401'))).to.deep.equal([]);
  });
});
