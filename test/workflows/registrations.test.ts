/** The workflows of a tenants' repository, run step by step: real bash, real git, a GitHub that is played on the wire. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { stringify } from 'yaml';
import { type Action, type JobResult, runJob } from './job.ts';

const execute = promisify(execFile);
const ROOT = join(import.meta.dirname, '..', '..');

const registration = (changes: Readonly<Record<string, unknown>> = {}): string =>
  stringify({
    organization: 'acme',
    credentials: { token: '${env:TENANT_ACME_TOKEN}' },
    defaults: { image: 'acme/runner:1', cpu: 1, memoryGiB: 1 },
    backends: [{ kind: 'docker' }],
    ...changes,
  });

interface Call {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: string;
}

describe('the workflows of registrations', function () {
  this.timeout(60_000);
  let folder: string;
  let server: Server;
  let url: string;
  let calls: Call[];
  /** By method and path, without the query. */
  let answers: Record<string, unknown>;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-workflow-'));
    calls = [];
    answers = {};
    server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { method = '', url: path = '', headers } = request;
        calls.push({
          method,
          path,
          authorization: headers.authorization,
          body: Buffer.concat(chunks).toString('utf8'),
        });
        const answer = answers[`${method} ${path.replace(/\?.*/, '')}`];
        if (answer === undefined) response.writeHead(404).end('{}');
        else if (typeof answer === 'string') response.writeHead(302, { location: answer }).end();
        else if (Buffer.isBuffer(answer)) response.end(answer);
        else response.end(JSON.stringify(answer));
      });
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('it does not listen');
    url = `http://127.0.0.1:${address.port}`;
    await mkdir(join(folder, 'repository'));
    await git('init', '--quiet', '--initial-branch', 'main');
    await git('config', 'user.email', 'dev@acme.example');
    await git('config', 'user.name', 'Dev');
  });

  afterEach(async () => {
    server.close();
    await rm(folder, { recursive: true });
  });

  const git = (...words: string[]) => execute('git', ['-C', join(folder, 'repository'), ...words]);

  async function commit(files: Readonly<Record<string, string | undefined>>): Promise<string> {
    for (const [name, text] of Object.entries(files)) {
      const path = join(folder, 'repository', name);
      await mkdir(dirname(path), { recursive: true });
      if (text === undefined) await rm(path);
      else await writeFile(path, text);
    }
    await git('add', '--all');
    await git('commit', '--quiet', '--allow-empty', '--message', 'change');
    return (await git('rev-parse', 'HEAD')).stdout.trim();
  }

  /** As actions/checkout: a commit of the repository, or this clone as the tool. */
  const checkout =
    (sha: string): Action =>
    async ({ repository, ref, path = '.', ...rest }, workspace) => {
      expect(rest['persist-credentials']).to.equal('false');
      const place = join(workspace, path);
      await mkdir(place, { recursive: true });
      if (repository === 'acme/serverless-hosted-runner') {
        for (const name of [
          'dispatcher',
          'node_modules',
          'package.json',
          'providers',
          'time',
          'deployers',
          'simulators',
        ])
          await symlink(join(ROOT, name), join(place, name));
        await writeFile(join(place, 'Makefile'), 'deps:\n\t@true\n');
        return;
      }
      const archive = join(folder, 'archive.tar');
      await git('archive', '--output', archive, ref || sha);
      await execute('tar', ['-xf', archive, '-C', place]);
    };

  const environment = () => ({
    PATH: process.env['PATH'] ?? '',
    GITHUB_ACTIONS: 'true',
    GITHUB_API_URL: url,
    GITHUB_SERVER_URL: 'https://github.example',
    GITHUB_REPOSITORY: 'acme/runners',
    GITHUB_RUN_ID: '77',
    GITHUB_SHA: 'c'.repeat(40),
  });
  const inputs = { sources: 'acme/serverless-hosted-runner', ref: 'f'.repeat(40) };

  describe('validate', () => {
    let report: string | undefined;

    async function validate(
      base: string,
      head: string,
      more: Readonly<Record<string, string>> = {},
    ): Promise<JobResult> {
      report = undefined;
      return runJob('validate-registrations.yml', {
        folder: await mkdtemp(join(folder, 'job-')),
        job: 'validate',
        contexts: {
          inputs: { ...inputs, ...more },
          secrets: {},
          github: {
            token: 'ghs_of-the-run',
            repository: 'acme/runners',
            event: { pull_request: { base: { sha: base } } },
          },
        },
        actions: {
          'actions/checkout': checkout(head),
          'actions/upload-artifact': async ({ name, path = '' }) => {
            expect(name).to.equal('registrations-report');
            report = await readFile(path, 'utf8');
          },
        },
        environment: environment(),
      });
    }

    it('passes what is right, and tells what changes', async () => {
      const base = await commit({ 'registrations/acme.yaml': registration({ maxRunners: 5 }) });
      const head = await commit({ 'registrations/acme.yaml': registration({ maxRunners: 50 }) });
      const { outcome, summary, log } = await validate(base, head);
      expect(outcome, log).to.equal('success');
      expect(summary).to.include('## Registrations: no problems').and.include('`maxRunners`: `5` → `50`');
      expect(report).to.include('maxRunners: 5 → 50');
    });

    it('fails with an annotation at the line of the mistake', async () => {
      const base = await commit({ 'README.md': 'first' });
      const head = await commit({ 'registrations/acme.yaml': `${registration()}maxRunner: 3\n` });
      const { outcome, failed, log, summary } = await validate(base, head);
      expect([outcome, failed]).to.deep.equal(['failure', 'Outcome']);
      expect(log).to.match(
        /^::error file=registrations\/acme\.yaml,line=10,col=1,title=maxRunner::unknown key `maxRunner`\. Did you mean `maxRunners`\?$/m,
      );
      expect(summary).to.include('1 to correct');
      expect(report).to.include('registrations/acme.yaml:10:1: maxRunner: unknown key');
    });

    it('holds it to what the platform offered before, not to what the pull request writes', async () => {
      const shared = { backends: [{ use: 'engine' }] };
      const platform = (owners: readonly string[]) =>
        JSON.stringify({
          version: 1,
          tenants: {
            acme: {
              hosts: ['github.com'],
              owners,
              labels: ['*'],
              runnerGroups: ['Default'],
              backends: ['engine'],
              powers: { images: ['acme/*'] },
            },
          },
          places: {},
          credentials: {},
          backends: { engine: { kind: 'docker' } },
          webhooks: [],
          sealing: [],
          callbacks: false,
          unsafeProcessBackend: false,
        });
      const base = await commit({
        'ci/platform.json': platform(['acme']),
        'ci/registrations/acme.yaml': registration(shared),
      });
      const head = await commit({
        'ci/platform.json': platform(['acme', 'bank']),
        'ci/registrations/acme.yaml': registration({ ...shared, organization: 'bank' }),
      });
      const { outcome, log } = await validate(base, head, { folder: 'ci' });
      expect(outcome).to.equal('failure');
      expect(log).to.match(/^::error file=ci\/registrations\/acme\.yaml,line=1,col=15,title=organization::/m);
      const before = await validate(base, base, { folder: 'ci' });
      expect(before.outcome, before.log).to.equal('success');
    });

    it('holds it to the platform.json of the base where the pull request adds a dispatcher.yaml', async () => {
      const granted = {
        ...{ hosts: ['github.com'], owners: ['acme'], labels: ['*'], runnerGroups: ['Default'] },
        ...{ backends: ['engine'], powers: { images: ['acme/*'] } },
      };
      const platform = JSON.stringify({
        ...{ version: 1, tenants: { acme: granted }, places: {}, credentials: {}, webhooks: [], sealing: [] },
        ...{ backends: { engine: { kind: 'docker' } }, callbacks: false, unsafeProcessBackend: false },
      });
      const base = await commit({
        'platform.json': platform,
        'registrations/acme.yaml': registration({ backends: [{ use: 'engine' }] }),
      });
      const head = await commit({
        'dispatcher.yaml': stringify({ id: 'shr', adminToken: '${env:ADMIN_TOKEN}' }),
        'registrations/acme.yaml': registration({ organization: 'bank' }),
      });
      const { outcome, log, summary } = await validate(base, head);
      expect(outcome).to.equal('failure');
      expect(log).to.match(/^::error file=registrations\/acme\.yaml,line=1,col=15,title=organization::/m);
      expect(summary)
        .to.include('dispatcher.yaml changes: it is checked as text')
        .and.include('no tenants are left: from a restart on');
    });

    it('holds it to the dispatcher.yaml of the base, and takes none that the pull request brings', async () => {
      const dispatcher = (owners: readonly string[]) => {
        const granted = { hosts: ['github.com'], owners, labels: ['*'], runnerGroups: ['Default'] };
        return stringify({
          ...{ id: 'shr', adminToken: '${env:ADMIN_TOKEN}', backends: { engine: { kind: 'docker' } } },
          tenants: { acme: { ...granted, backends: ['engine'], powers: { images: ['acme/*'] } } },
        });
      };
      const shared = { backends: [{ use: 'engine' }] };
      const empty = await commit({ 'registrations/acme.yaml': registration() });
      const base = await commit({
        'dispatcher.yaml': dispatcher(['acme']),
        'registrations/acme.yaml': registration(shared),
      });
      const head = await commit({
        'dispatcher.yaml': dispatcher(['acme', 'bank']),
        'registrations/acme.yaml': registration({ ...shared, organization: 'bank' }),
      });
      const widened = await validate(base, head);
      expect(widened.outcome, widened.log).to.equal('failure');
      expect(widened.log).to.match(/^::error file=registrations\/acme\.yaml,line=1,col=15,title=organization::/m);
      expect(widened.summary)
        .to.include('dispatcher.yaml changes: it is checked as text')
        .and.include('owners: + `bank` (widened)')
        .and.include('registration `acme` (tenant `acme`) would be admitted then');
      expect(report).to.include('owners: + bank (widened)');
      const before = await validate(base, base);
      expect(before.outcome, before.log).to.equal('success');
      expect(before.summary).to.not.include('dispatcher.yaml changes');
      // The only one there is.
      const wrong = { 'dispatcher.yaml': 'no: such key\n', 'registrations/acme.yaml': registration() };
      const added = await validate(empty, await commit(wrong));
      expect(added.outcome, added.log).to.equal('failure');
      expect(added.log).to.match(/^::error file=dispatcher\.yaml,line=1,col=1,title=no::unknown key/m);
      const first = { 'dispatcher.yaml': dispatcher(['bank']), 'registrations/acme.yaml': registration(shared) };
      const judged = await validate(empty, await commit(first));
      expect(judged.log).to.match(/^::error file=registrations\/acme\.yaml,line=1,col=15,title=organization::/m);
    });

    it('says what a changed dispatcher.yaml would mean, and fails at the lines of its mistakes', async () => {
      const dispatcher = (acme: object): string =>
        stringify({
          ...{ id: 'shr', adminToken: '${env:ADMIN_TOKEN}', backends: { engine: { kind: 'docker' } } },
          tenants: { acme: { hosts: ['github.com'], labels: ['*'], runnerGroups: ['Default'], ...acme } },
        });
      const granted = { owners: ['acme'], backends: ['engine'], powers: { images: ['acme/*'] } };
      const files = { 'registrations/acme.yaml': registration({ backends: [{ use: 'engine' }] }) };
      const base = await commit({ ...files, 'dispatcher.yaml': dispatcher(granted) });
      const narrowed = await validate(
        base,
        await commit({ 'dispatcher.yaml': dispatcher({ ...granted, owners: [] }) }),
      );
      expect(narrowed.outcome, narrowed.log).to.equal('success');
      expect(narrowed.summary)
        .to.include('### Once `dispatcher.yaml` is merged (until then nothing is held to it):')
        .and.include('  - owners: − `acme` (narrowed)')
        .and.include(
          'registration `acme` (tenant `acme`) would no longer be admitted: ``registrations/acme.yaml:1:15:',
        );
      const broken = await validate(base, await commit({ 'dispatcher.yaml': `${dispatcher(granted)}maxRunner: 1\n` }));
      expect(broken.outcome).to.equal('failure');
      expect(broken.log).to.match(/^::error file=dispatcher\.yaml,line=\d+,col=1,title=maxRunner::unknown key/m);
      const removed = await validate(base, await commit({ 'dispatcher.yaml': undefined }));
      expect(removed.outcome, removed.log).to.equal('success');
      expect(removed.summary).to.include('dispatcher.yaml is removed: the registrations are held to what stood before');
    });

    it('is not led astray by names and contents of files', async () => {
      const base = await commit({ 'registrations/acme.yaml': registration() });
      const head = await commit({
        'registrations/$(touch pwned).yaml': registration(),
        'registrations/-rf.yaml': registration(),
        'registrations/a\n::set-output name=x::y.yaml': registration(),
        'registrations/b;touch pwned;.yaml': registration(),
        'registrations/`touch pwned`.yaml': registration(),
        'registrations/evil.yaml': registration({
          labels: ['$(touch pwned)', '::add-mask::x', 'a\n::error::b', '##[error]c'],
        }),
        '.npmrc': 'registry=http://127.0.0.1:1/\n',
        'package.json': '{"type":"commonjs","scripts":{"preinstall":"touch pwned"}}',
        Makefile: 'deps:\n\ttouch pwned\n',
        'tool/Makefile': 'deps:\n\ttouch pwned\n',
        'node_modules/evil/index.js': 'require("fs").writeFileSync("pwned","")',
      });
      const { outcome, log } = await validate(base, head);
      expect(outcome).to.equal('failure');
      const commands = log.split('\n').filter((line) => /^\s*::|##\[/.test(line));
      expect(commands.length).to.be.greaterThan(3);
      for (const line of commands) expect(line).to.match(/^::(error|notice) file=[^:]*::/);
      const { stdout } = await execute('find', [folder, '-name', 'pwned']);
      expect(stdout).to.equal('');
    });

    it('needs no secret and sees none', async () => {
      const base = await commit({ 'registrations/acme.yaml': registration() });
      const { log, summary } = await validate(base, base);
      expect(`${log}${summary}${report}`).to.not.include('ghs_of-the-run');
      expect(report).to.include('the variable TENANT_ACME_TOKEN is not set');
    });
  });

  describe('comment', () => {
    const sha = 'a'.repeat(40);
    const pulls = 'GET /repos/acme/runners/pulls';
    const artifacts = 'GET /repos/acme/runners/actions/runs/77/artifacts';
    const comments = '/repos/acme/runners/issues/12/comments';

    /** Files as they would be in the artefact. */
    async function zip(files: Readonly<Record<string, string>>): Promise<Buffer> {
      const place = await mkdtemp(join(folder, 'zip-'));
      for (const [name, text] of Object.entries(files)) await writeFile(join(place, name), text);
      await execute('zip', ['--quiet', '--junk-paths', '../report.zip', ...Object.keys(files)], { cwd: place });
      const bytes = await readFile(join(folder, 'report.zip'));
      await rm(join(folder, 'report.zip'));
      return bytes;
    }

    async function leave(files: Readonly<Record<string, string>>): Promise<void> {
      answers[pulls] = [
        { number: 11, head: { sha: 'b'.repeat(40) } },
        { number: 12, head: { sha } },
      ];
      answers[artifacts] = { artifacts: [{ id: 5, size_in_bytes: 400, expired: false }] };
      answers['GET /repos/acme/runners/actions/artifacts/5/zip'] = `${url}/store/5`;
      answers['GET /store/5'] = await zip(files);
      answers[`GET ${comments}`] = [];
      answers[`POST ${comments}`] = {};
    }

    const comment = (run: Readonly<Record<string, string>> = {}) =>
      runJob('comment-registrations.yml', {
        folder,
        job: 'comment',
        contexts: {
          github: {
            token: 'ghs_of-the-run',
            event: {
              workflow_run: {
                id: 77,
                event: 'pull_request',
                conclusion: 'failure',
                head_sha: sha,
                head_branch: 'fix',
                head_repository: { owner: { login: 'stranger' } },
                ...run,
              },
            },
          },
        },
        actions: {},
        environment: environment(),
      });
    const posted = () => calls.filter(({ method }) => method !== 'GET');

    it('puts the report into a comment of the pull request whose head was checked', async () => {
      await leave({ 'report.txt': 'registrations/acme.yaml:10:1: maxRunner: unknown key\n1 file, 1 problem\n' });
      const { outcome, log } = await comment();
      expect(outcome, log).to.equal('success');
      expect(posted().map(({ method, path }) => `${method} ${path}`)).to.deep.equal([`POST ${comments}`]);
      expect(JSON.parse(posted()[0]?.body ?? '').body).to.equal(
        '<!-- shr: registrations -->\n[Validate registrations](https://github.example/acme/runners/actions/runs/77): **failure**. What it reported:\n\n' +
          '    registrations/acme.yaml:10:1: maxRunner: unknown key\n    1 file, 1 problem\n    \n',
      );
      const asked = new URL(calls[0]?.path ?? '', url).searchParams;
      expect([asked.get('head'), asked.get('state')]).to.deep.equal(['stranger:fix', 'open']);
    });

    it('gives its token to GitHub alone, and shows it nowhere', async () => {
      await leave({ 'report.txt': 'x' });
      const { log } = await comment();
      for (const { path, authorization } of calls)
        expect(authorization, path).to.equal(path.startsWith('/store/') ? undefined : 'Bearer ghs_of-the-run');
      expect(log).to.not.include('ghs_of-the-run');
    });

    it('corrects its earlier comment, and none that another wrote with the same words', async () => {
      await leave({ 'report.txt': 'x' });
      const body = '<!-- shr: registrations -->\nold';
      const others = Array.from({ length: 99 }, (_, id) => ({ id, user: { login: 'dev' }, body }));
      answers[`GET ${comments}`] = [...others, { id: 500, user: { login: 'github-actions[bot]' }, body }];
      answers['PATCH /repos/acme/runners/issues/comments/500'] = {};
      await comment();
      expect(posted().map(({ method, path }) => `${method} ${path}`)).to.deep.equal([
        'PATCH /repos/acme/runners/issues/comments/500',
      ]);
    });

    it('shows a hostile report as text, cut and without control characters', async () => {
      const hostile = `\u001b[2J<img src=x onerror=alert(1)>\r@team ![x](http://y/z)\n\`\`\`\n</pre>\u2028# Approved\n\u202e${'x'.repeat(80_000)}`;
      await leave({ 'report.txt': hostile, 'pr-number.txt': '11', '.bashrc': 'touch pwned' });
      expect((await comment()).outcome).to.equal('success');
      const { body } = JSON.parse(posted()[0]?.body ?? '');
      expect(body.length).to.be.lessThan(60_000);
      for (const character of ['\u001b', '\r', '\u2028', '\u202e']) expect(body).to.not.include(character);
      const [, , , ...lines] = body.trimEnd().split('\n');
      for (const line of lines) expect(line).to.match(/^ {4}/);
    });

    it('takes a branch’s name as a name', async () => {
      await leave({ 'report.txt': 'x' });
      await comment({ head_branch: '$(touch pwned)&state=all" --output /tmp/x #' });
      expect(new URL(calls[0]?.path ?? '', url).searchParams.get('head')).to.equal(
        'stranger:$(touch pwned)&state=all" --output /tmp/x #',
      );
      expect((await execute('find', [folder, '-name', 'pwned'])).stdout).to.equal('');
    });

    for (const [what, spoil] of [
      ['the pull request has moved on', () => (answers[pulls] = [{ number: 12, head: { sha: 'e'.repeat(40) } }])],
      ['there is no report', () => (answers[artifacts] = { artifacts: [] })],
      [
        'the report is too large',
        () => (answers[artifacts] = { artifacts: [{ id: 5, size_in_bytes: 1e9, expired: false }] }),
      ],
      [
        'the report has expired',
        () => (answers[artifacts] = { artifacts: [{ id: 5, size_in_bytes: 9, expired: true }] }),
      ],
      ['the archive is none', () => (answers['GET /store/5'] = Buffer.from('no archive'))],
    ] as const) {
      it(`says nothing where ${what}`, async () => {
        await leave({ 'report.txt': 'x' });
        spoil();
        const { outcome, log } = await comment();
        expect(outcome, log).to.equal('success');
        expect(posted()).to.deep.equal([]);
      });
    }

    it('says nothing where the archive has other files only, and none of them is written', async () => {
      await leave({ 'other.txt': 'x' });
      expect((await comment()).outcome).to.equal('success');
      expect(posted()).to.deep.equal([]);
      expect(
        (await execute('find', [join(folder, 'temp'), join(folder, 'work'), '-name', 'other.txt'])).stdout,
      ).to.equal('');
    });

    it('fails where GitHub does not answer, so that it is seen', async () => {
      await leave({ 'report.txt': 'x' });
      delete answers[pulls];
      expect((await comment()).outcome).to.equal('failure');
    });

    it('runs for pull requests alone', async () => {
      expect((await comment({ event: 'push' })).outcome).to.equal('skipped');
      expect(calls).to.deep.equal([]);
    });
  });

  describe('apply', () => {
    const status = `POST /repos/acme/runners/statuses/${'c'.repeat(40)}`;

    const apply = (
      head: string,
      changes: { readonly inputs?: object; readonly secrets?: Readonly<Record<string, string>> } = {},
    ) => {
      answers[status] = {};
      return runJob('apply-registrations.yml', {
        folder,
        job: 'apply',
        contexts: {
          inputs: { ...inputs, ...changes.inputs },
          secrets: changes.secrets ?? {},
          github: { token: 'ghs_of-the-run', repository: 'acme/runners' },
        },
        actions: { 'actions/checkout': checkout(head) },
        environment: environment(),
      });
    };
    const told = () =>
      calls.map(({ body }) => JSON.parse(body)).map(({ state, description, context }) => [state, description, context]);

    it('validates, and says so at the commit', async () => {
      const head = await commit({ 'registrations/acme.yaml': registration() });
      const { outcome, log } = await apply(head);
      expect(outcome, log).to.equal('success');
      expect(told()).to.deep.equal([['success', 'the registrations are valid', 'registrations']]);
    });

    it('says at the commit that there are problems', async () => {
      const head = await commit({ 'registrations/acme.yaml': `${registration()}maxRunner: 3\n` });
      const { outcome, failed } = await apply(head);
      expect([outcome, failed]).to.deep.equal(['failure', 'Validate and apply']);
      expect(told()).to.deep.equal([['failure', 'the registrations have problems', 'registrations']]);
    });

    it('deploys each registration with the secrets that it was given, and shows none', async () => {
      const files = {
        'dispatcher.yaml': stringify({
          id: 'shr',
          adminToken: '${env:ADMIN_TOKEN}',
          tenants: { acme: { trusted: true }, web: { trusted: true } },
        }),
        'registrations/acme.yaml': registration(),
        'registrations/web.yaml': registration({ labels: ['web'] }),
        'registrations/web.example.yaml': registration(),
      };
      const head = await commit(files);
      const secrets = {
        environment:
          'ADMIN_TOKEN=an-admin-token-of-32-characters!\nTENANT_ACME_TOKEN=ghp_a=b "$(touch pwned)"\nDOCKER_HOST=unix:///nowhere/docker.sock\n',
      };
      const given = { deploy: true, image: 'shr:1', arguments: '--network bridge' };
      const { outcome, log } = await apply(head, { inputs: given, secrets });
      // There is no engine: it got as far as asking it, for the one and for the other.
      expect(outcome).to.equal('failure');
      expect(log).to.include('/nowhere/docker.sock');
      expect(told()).to.deep.equal([['failure', 'could not be deployed: acme web; 0 deployed', 'registrations']]);
      for (const secret of ['an-admin-token', 'ghp_a', 'ghs_of']) expect(log).to.not.include(secret);
      expect((await execute('find', [folder, '-name', 'pwned'])).stdout).to.equal('');
    });

    it('does not deploy onto the machine of the workflow', async () => {
      const head = await commit({
        'dispatcher.yaml': stringify({ id: 'shr', adminToken: '${env:ADMIN_TOKEN}' }),
        'registrations/acme.yaml': registration(),
      });
      const secrets = {
        environment: 'ADMIN_TOKEN=an-admin-token-of-32-characters!\nTENANT_ACME_TOKEN=ghp_a\n',
      };
      const { outcome, log } = await apply(head, { inputs: { deploy: true, image: 'shr:1' }, secrets });
      expect(outcome).to.equal('failure');
      expect(log).to.include('the engine is that of the machine which runs this workflow').and.include('`host`');
      expect(told()).to.deep.equal([['failure', 'could not be deployed: acme; 0 deployed', 'registrations']]);
    });

    it('refuses to deploy with a secret missing', async () => {
      const head = await commit({
        'dispatcher.yaml': stringify({ id: 'shr', adminToken: '${env:ADMIN_TOKEN}' }),
        'registrations/acme.yaml': registration(),
      });
      const { outcome, log } = await apply(head, { inputs: { deploy: true } });
      expect(outcome).to.equal('failure');
      expect(log).to.match(/^::error .*the variable ADMIN_TOKEN is not set/m);
    });

    for (const line of [
      'PATH=/tmp',
      'NODE_OPTIONS=--require=/tmp/x',
      'no assignment',
      'BASH_ENV=/tmp/x',
      'LD_PRELOAD=/tmp/x',
    ]) {
      it(`takes no ${line} for a variable of the configuration`, async () => {
        const head = await commit({ 'registrations/acme.yaml': registration() });
        const { outcome } = await apply(head, { secrets: { environment: line } });
        expect(outcome).to.equal('failure');
        expect(told()[0]?.[1]).to.include('is not NAME=VALUE, or may not be set');
      });
    }

    it('says at the commit that it did not get that far', async () => {
      const head = await commit({ 'registrations/acme.yaml': registration() });
      answers[status] = {};
      const broken: Action = async (given, workspace) => {
        await checkout(head)(given, workspace);
        if (given['path'] === 'tool') await writeFile(join(workspace, 'tool', 'Makefile'), 'deps:\n\t@false\n');
      };
      const { outcome } = await runJob('apply-registrations.yml', {
        folder,
        job: 'apply',
        contexts: { inputs, secrets: {}, github: { token: 't' } },
        actions: { 'actions/checkout': broken },
        environment: environment(),
      });
      expect(outcome).to.equal('failure');
      expect(told()).to.deep.equal([['failure', 'it did not get to the registrations', 'registrations']]);
    });
  });
});
