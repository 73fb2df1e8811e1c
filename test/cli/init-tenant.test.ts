import { execFile } from 'node:child_process';
import { copyFile, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Ajv } from 'ajv';
import { expect } from 'chai';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { shr } from './process.ts';

const execute = promisify(execFile);
const WORKFLOWS = join(import.meta.dirname, '..', '..', '.github', 'workflows');
const REF = 'a'.repeat(40);

const permissions = z.record(z.string(), z.string());
const caller = z.object({
  name: z.string(),
  on: z.looseObject({}),
  permissions: z.strictObject({}),
  jobs: z.record(
    z.string(),
    z.object({ uses: z.string(), permissions, with: z.record(z.string(), z.unknown()).default({}) }),
  ),
});
const called = z.object({
  name: z.string(),
  on: z.object({
    workflow_call: z
      .object({ inputs: z.record(z.string(), z.object({ required: z.boolean().default(false) })).default({}) })
      .nullable(),
  }),
  jobs: z.record(z.string(), z.object({ permissions })),
});

describe('shr init tenant', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'shr-init-tenant-')));
    await execute('git', ['init', '--quiet', '--initial-branch', 'main', folder]);
  });

  afterEach(() => rm(folder, { recursive: true }));

  const init = (...args: string[]) => shr(['init', 'tenant', '.', ...args], folder);
  const text = (path: string) => readFile(join(folder, path), 'utf8');

  it('makes a repository that is valid as it is, and all of which git sees', async () => {
    const { code, out, error } = await init('--organization', 'Acme-Inc', '--name', 'web');
    expect({ code, error }).to.deep.equal({ code: 0, error: '' });
    expect(out).to.include('write the repository and the commit of serverless-hosted-runner');
    const { stdout } = await execute('git', ['-C', folder, 'ls-files', '--others', '--exclude-standard']);
    expect(stdout.trim().split('\n').sort()).to.deep.equal([
      '.github/CODEOWNERS',
      '.github/workflows/apply-registrations.yml',
      '.github/workflows/comment-registrations.yml',
      '.github/workflows/validate-registrations.yml',
      '.gitignore',
      'README.md',
      'registrations/registration.schema.json',
      'registrations/web.yaml',
    ]);
    const valid = await shr(['validate'], folder);
    expect(valid.out).to.match(/1 file, 0 problems, 2 notes\n$/);
    expect(valid.code).to.equal(0);
    const validate = new Ajv({ strict: false }).compile(
      JSON.parse(await text('registrations/registration.schema.json')),
    );
    expect(validate(parse(await text('registrations/web.yaml'))), JSON.stringify(validate.errors)).to.equal(true);
    expect(
      (await shr(['explain', '--repo', 'acme-inc/site', '--labels', 'serverless-hosted-runner'], folder)).code,
    ).to.equal(0);
  });

  it('calls our workflows at one commit, with what they take and the rights that they need', async () => {
    await init('--sources', 'acme/shr', '--ref', REF);
    for (const name of ['validate', 'comment', 'apply']) {
      const file = `${name}-registrations.yml`;
      const ours = called.parse(parse(await readFile(join(WORKFLOWS, file), 'utf8')));
      const own = caller.parse(parse(await text(`.github/workflows/${file}`)));
      const [job] = Object.values(own.jobs);
      const [needs] = Object.values(ours.jobs);
      expect(job?.uses).to.equal(`acme/shr/.github/workflows/${file}@${REF}`);
      expect(job?.permissions).to.deep.equal(needs?.permissions);
      const inputs = ours.on.workflow_call?.inputs ?? {};
      expect(Object.keys(inputs)).to.include.members(Object.keys(job?.with ?? {}));
      for (const [input, { required }] of Object.entries(inputs))
        if (required) expect(job?.with).to.have.property(input);
      expect(own.name).to.equal(ours.name);
    }
    expect(caller.parse(parse(await text('.github/workflows/comment-registrations.yml'))).on).to.deep.equal({
      workflow_run: { workflows: ['Validate registrations'], types: ['completed'] },
    });
    const all = await Promise.all(['README.md', '.github/workflows/validate-registrations.yml'].map(text));
    expect(all.join()).to.not.match(/OWNER\/serverless|COMMIT/);
  });

  it('takes platform.json along, and then only shows the example', async () => {
    const platform = await mkdtemp(join(tmpdir(), 'shr-platform-'));
    await writeFile(
      join(platform, 'dispatcher.yaml'),
      stringify({
        id: 'shr',
        adminToken: '${env:A}',
        tenants: { web: { hosts: ['github.com'], owners: ['acme'], labels: ['*'] } },
      }),
    );
    const file = join(platform, 'platform.json');
    expect(await shr(['platform', 'export', '--out', file], platform)).to.include({ code: 0 });
    expect(await init('--platform', file)).to.include({ code: 0, error: '' });
    expect(await text('platform.json')).to.equal(await readFile(file, 'utf8'));
    const valid = await shr(['validate'], folder);
    expect(valid.out).to.include('there is no registration yet. Write NAME.yaml in it').and.include('0 problems');
    expect(valid.code).to.equal(0);
    await copyFile(join(folder, 'registrations/web.example.yaml'), join(folder, 'registrations/web.yaml'));
    expect((await shr(['validate'], folder)).out).to.include(
      'To grant it, write `tenants.web.backendKinds: [docker]` (dispatcher.yaml:',
    );
    await rm(platform, { recursive: true });
  });

  const withTenants = async (tenants: Readonly<Record<string, object>>, more: object = {}): Promise<string> => {
    const platform = await mkdtemp(join(tmpdir(), 'shr-platform-'));
    try {
      const dispatcher = { id: 'shr', adminToken: '${env:A}', ...more, tenants };
      await writeFile(join(platform, 'dispatcher.yaml'), stringify(dispatcher));
      const exported = join(folder, 'exported.json');
      expect(await shr(['platform', 'export', '--out', exported], platform)).to.include({ code: 0 });
    } finally {
      await rm(platform, { recursive: true });
    }
    return 'exported.json';
  };
  const backends = { 'build-host': { kind: 'docker', maxRunners: 4 }, 'build-arm': { kind: 'docker' } };

  it('makes an example of what each tenant was granted, which has no problems as its registration', async () => {
    const powers = { images: ['ghcr.io/acme/*'] };
    const exported = await withTenants(
      {
        web: {
          hosts: ['github.com'],
          repositories: ['acme/web', 'acme/web-*'],
          labels: ['serverless-hosted-runner'],
          backends: ['build-host'],
          limits: { maxRunners: 6, maxCpu: 1, maxMemoryGiB: 2, maxTimeout: '2h' },
          powers,
        },
        'data-1': {
          registrations: ['data-*'],
          hosts: ['ghes.acme.example'],
          owners: ['data'],
          runnerGroups: ['data runners'],
          labels: ['data-*'],
          credentials: ['app'],
          backends: ['*-arm'],
          powers: { images: ['registry.acme.example/data/runner:*'] },
        },
        glob: {
          hosts: ['github.com'],
          repositories: ['acme/glob-*'],
          labels: ['glob-?'],
          backends: ['build-host'],
          powers,
        },
        own: { trusted: true },
      },
      { backends, credentials: { app: { host: 'ghes.acme.example', token: '${env:B}' } } },
    );
    expect(await init('--platform', exported, '--organization', 'acme')).to.include({ code: 0, error: '' });
    for (const [example, name] of [
      ['web', 'web'],
      ['data-runner', 'data-runner'],
      ['glob', 'glob'],
    ]) {
      await copyFile(join(folder, `registrations/${example}.example.yaml`), join(folder, `registrations/${name}.yaml`));
    }
    const valid = await shr(['validate'], folder);
    expect(valid.out).to.match(/4 files, 0 problems, \d+ notes?\n$/);
    const web: unknown = parse(await text('registrations/web.yaml'));
    expect(web).to.deep.include({
      repositories: ['acme/web'],
      credentials: { token: '${env:TENANT_WEB_TOKEN}' },
      backends: [{ use: 'build-host' }],
      maxRunners: 4,
    });
    const owners = await text('.github/CODEOWNERS');
    expect(owners).to.include('/registrations/web.yaml').and.not.include('/registrations/acme.yaml');
    expect(await text('README.md'))
      .to.include('TENANT_WEB_TOKEN')
      .and.not.include('TENANT_ACME');
  });

  it('makes one example where --name says whose', async () => {
    const tenant = (name: string) => ({
      hosts: ['github.com'],
      owners: [name],
      labels: ['*'],
      backends: ['build-arm'],
    });
    const exported = await withTenants({ web: tenant('web'), api: tenant('api') }, { backends });
    const { out } = await init('--platform', exported, '--name', 'api');
    expect(out).to.include('registrations/api.example.yaml').and.not.include('web.example.yaml');
    expect(await text('registrations/api.example.yaml'))
      .to.include('api/name')
      .and.include('use: build-arm');
  });

  it('is followed by cures of what was granted, where a registration lacks its backends', async () => {
    const tenant = { hosts: ['github.com'], repositories: ['a/*'], labels: ['*'] };
    const exported = await withTenants(
      { web: { ...tenant, backends: ['build-host'] }, api: { ...tenant, repositories: ['b/*'] } },
      { backends },
    );
    await init('--platform', exported);
    for (const name of ['web', 'api']) await writeFile(join(folder, `registrations/${name}.yaml`), 'labels: [x]\n');
    const { out } = await shr(['validate'], folder);
    expect(await text('registrations/api.example.yaml')).to.include('# You were granted none yet: ask');
    expect(out).to.include('it is missing. Add it, such as `backends: [{ use: build-host }]`.');
    expect(out).to.match(
      /Tenant `api` was not granted any yet: it needs `tenants\.api\.backends` or `backendKinds` \(/,
    );
  });

  it('keeps what is there', async () => {
    await writeFile(join(folder, 'README.md'), 'ours');
    const { out } = await init();
    expect(out).to.include('kept README.md, it was there\n');
    expect(await text('README.md')).to.equal('ours');
    expect((await init()).out).to.not.include('wrote');
  });

  it('keeps platform.json, and then only shows the example, too', async () => {
    await writeFile(join(folder, 'platform.json'), '{}');
    const { out } = await init('--name', 'web');
    expect(out).to.include('wrote registrations/web.example.yaml\n').and.not.include('shr platform export');
  });

  it('writes no platform.json beside a dispatcher.yaml, which would count instead', async () => {
    await writeFile(join(folder, 'dispatcher.yaml'), 'id: shr\n');
    await writeFile(join(folder, 'exported.json'), '{}');
    const { code, out, error } = await init('--platform', 'exported.json');
    expect({ code, out }).to.deep.equal({ code: 1, out: '' });
    expect(error).to.include('registrations would be checked by it, and not by platform.json. Name another folder');
    expect((await init()).code).to.equal(0);
  });

  it('is told what is wrong with its options', async () => {
    expect((await init('--ref', 'main')).error).to.include('a branch or tag can come to mean other code');
    expect((await init('--sources', 'shr')).error).to.include('Write it as owner/name.');
    const { code, error } = await init('--platform', 'nowhere.json');
    expect([code, error]).to.deep.equal([
      1,
      'shr: nowhere.json: there is no such file. Create it, or correct the path.\n',
    ]);
    expect((await shr(['init', 'tenant'], folder)).code).to.equal(2);
  });
});
