import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { z } from 'zod';
import { runCommandLine } from '../../dispatcher/cli/run.ts';
import { harmless, workflowCommand } from '../../dispatcher/cli/validate/workflow-commands.ts';

const registration = (changes: Readonly<Record<string, unknown>> = {}): string =>
  stringify({
    organization: 'acme',
    credentials: { token: '${env:TENANT_ACME_TOKEN}' },
    defaults: { image: 'acme/runner:1', cpu: 1, memoryGiB: 1 },
    backends: [{ kind: 'docker' }],
    ...changes,
  });

/** What the parts of a SARIF log must be that code scanning reads. */
const sarif = z.strictObject({
  $schema: z.url(),
  version: z.literal('2.1.0'),
  runs: z.tuple([
    z.strictObject({
      tool: z.strictObject({
        driver: z.strictObject({
          name: z.literal('shr'),
          semanticVersion: z.string(),
          rules: z.array(z.looseObject({ id: z.string() })).length(2),
        }),
      }),
      columnKind: z.literal('utf16CodeUnits'),
      results: z.array(
        z.strictObject({
          ruleId: z.enum(['problem', 'note']),
          ruleIndex: z.int().min(0).max(1),
          level: z.enum(['error', 'note']),
          message: z.strictObject({ text: z.string().min(1) }),
          locations: z.tuple([
            z.strictObject({
              physicalLocation: z.strictObject({
                artifactLocation: z.strictObject({
                  uri: z.string().regex(/^[\w.~%/:-]+$/),
                  uriBaseId: z.literal('%SRCROOT%').optional(),
                }),
                region: z.strictObject({
                  startLine: z.int().positive(),
                  startColumn: z.int().positive().optional(),
                }),
              }),
            }),
          ]),
        }),
      ),
    }),
  ]),
});

describe('shr validate', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-validate-'));
    await mkdir(join(folder, 'registrations'));
  });

  afterEach(() => rm(folder, { recursive: true }));

  const validate = (...args: string[]) => run('validate', ...args);

  async function run(...args: string[]) {
    let [out, error] = ['', ''];
    const code = await runCommandLine(
      args,
      {
        out: (text) => {
          out += text;
        },
        error: (text) => {
          error += text;
        },
        environment: {},
        workingFolder: folder,
        width: undefined,
      },
      '1.2.3',
    );
    return { code, out, error };
  }

  const write = (path: string, text: string) => writeFile(join(folder, path), text);

  describe('as annotations', () => {
    it('names file, line, column and field of each problem', async () => {
      await write('registrations/acme.yaml', `${registration()}priority: high\n`);
      const { code, out } = await validate('--format', 'github');
      expect(code).to.equal(1);
      expect(out).to.match(
        /^::error file=registrations\/acme\.yaml,line=\d+,col=11,title=priority::it must be a number/m,
      );
      expect(out).to.match(
        /^::notice file=registrations\/acme\.yaml,line=\d+,col=\d+,title=credentials\.token::the variable/m,
      );
    });

    it('lets nothing that a tenant wrote begin a command of its own', async () => {
      const hostile = 'x\r\n::add-mask::a\n##[add-matcher]m.json,line=7::%0A::stop-commands::t';
      await write('registrations/acme.yaml', registration({ [hostile]: 1, labels: [hostile], organization: hostile }));
      await write('registrations/::warning::%0A,line=1.yaml', registration());
      const { out } = await validate('--format', 'github');
      const lines = out.split('\n').filter((line) => line !== '');
      expect(lines.length).to.be.greaterThan(3);
      for (const line of lines.slice(0, -1))
        expect(line).to.match(/^::(?:error|notice) file=(?:registrations\/|dispatcher\.yaml)[^:,]*(?:,|::)/);
      expect(out).to.not.include('##[');
    });

    it('holds for any text, as the runner reads it', () => {
      const text = fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.string({ unit: fc.constantFrom(...'::##[]%,=\r\n \u0085\u2028ab') }),
      );
      fc.assert(
        fc.property(text, text, text, (file, path, message) => {
          const command = workflowCommand('error', { file, line: 3, column: 4, path, message, cure: 'Cure' });
          const parsed = asTheRunnerReads(command);
          expect(command).to.not.match(/[\r\n\u0085\u2028\u2029]|##\[/);
          expect(parsed?.command).to.equal('error');
          expect(Object.keys(parsed?.properties ?? {})).to.have.members([
            'file',
            'line',
            'col',
            ...(path === '' ? [] : ['title']),
          ]);
          expect(parsed?.properties['line']).to.equal('3');
          expect(parsed?.message.endsWith('. Cure')).to.equal(true);
          expect(asTheRunnerReads(harmless(message))).to.equal(undefined);
        }),
      );
    });
  });

  describe('as SARIF', () => {
    it('is a log with a result for each problem and note', async () => {
      await write('registrations/acme.yaml', `${registration()}priority: high\n`);
      await write('registrations/ä b.yaml', '');
      const { code, out } = await validate('--format', 'sarif');
      expect(code).to.equal(1);
      const [{ results }] = sarif.parse(JSON.parse(out)).runs;
      const found = results.map(({ ruleId, locations: [{ physicalLocation: at }] }) => [
        ruleId,
        at.artifactLocation.uri,
        at.region,
      ]);
      expect(found).to.deep.include(['problem', 'registrations/acme.yaml', { startLine: 10, startColumn: 11 }]);
      expect(found).to.deep.include(['problem', 'registrations/%C3%A4%20b.yaml', { startLine: 1 }]);
      expect(found.some(([rule]) => rule === 'note')).to.equal(true);
    });
  });

  it('prints the same as JSON with --json and --format json', async () => {
    await write('registrations/acme.yaml', registration());
    const one = await validate('--json');
    expect(one).to.deep.equal(await validate('--format', 'json'));
    expect(JSON.parse(one.out)).to.have.keys('ok', 'platform', 'files', 'problems', 'notes');
    expect((await validate('--json', '--format', 'text')).code).to.equal(2);
    expect((await validate('--format', 'xml')).code).to.equal(2);
  });

  describe('in a tenants’ repository', () => {
    const document = {
      id: 'shr',
      adminToken: '${env:ADMIN}',
      backends: { engine: { kind: 'docker' } },
      tenants: {
        acme: {
          hosts: ['github.com'],
          owners: ['acme'],
          labels: ['*'],
          runnerGroups: ['Default'],
          backends: ['engine'],
          powers: { images: ['acme/*'] },
        },
      },
    };

    async function exportFrom(platform: object): Promise<void> {
      await mkdir(join(folder, 'platform'), { recursive: true });
      await write('platform/dispatcher.yaml', stringify(platform));
      const { code, out } = await run('platform', 'export', 'platform', '--out', 'platform.json');
      expect([code, out]).to.deep.equal([0, 'wrote platform.json\n']);
    }

    it('finds platform.json beside the registrations, and answers as the platform would', async () => {
      await exportFrom(document);
      await write('registrations/acme.yaml', registration({ backends: [{ use: 'engine' }] }));
      const { code, out } = await validate();
      expect(out).to.match(
        /\nThe platform: platform\.json, exported from the dispatcher\.yaml of the platform team\n2 files, 0 problems, 1 note\n$/,
      );
      expect(code).to.equal(0);
      await write('registrations/acme.yaml', registration({ backends: [{ use: 'engine' }], organization: 'other' }));
      const refused = await validate();
      expect(refused.code).to.equal(1);
      const whole = await validate('--config', 'platform/dispatcher.yaml');
      const [line = ''] = refused.out.split('\n');
      expect(line).to.match(
        /^registrations\/acme\.yaml:1:15: organization: .*To grant it, write `tenants\.acme\.owners: \[acme, other\]` \(dispatcher\.yaml:\d+:\d+\)\.$/,
      );
      expect(whole.out.split('\n')[0]).to.equal(line);
      const named = await validate('--platform', 'platform.json');
      expect(named.out).to.equal(refused.out);
    });

    it('says which of two files counts, and warns that the other does not', async () => {
      await exportFrom(document);
      await write('registrations/acme.yaml', registration({ backends: [{ use: 'engine' }] }));
      await write('dispatcher.yaml', stringify({ ...document, backends: { other: { kind: 'docker' } } }));
      const { code, out } = await validate();
      expect(code).to.equal(1);
      expect(out)
        .to.include('note: platform.json: it was not used: dispatcher.yaml is beside it, and counts. In a tenants’')
        .and.match(/\nThe platform: dispatcher\.yaml\n.*\n$/);
      expect(JSON.parse((await validate('--json')).out).platform).to.deep.equal({
        file: 'dispatcher.yaml',
        isExport: false,
      });
      const named = await validate('--platform', 'platform.json');
      expect(named.code).to.equal(0);
      expect(named.out).to.not.include('not used');
      expect(JSON.parse((await validate('--platform', 'platform.json', '--json')).out).platform).to.deep.equal({
        file: 'platform.json',
        isExport: true,
      });
    });

    it('tells an export from a dispatcher.yaml, whichever option names it', async () => {
      await exportFrom(document);
      await write('registrations/acme.yaml', registration({ backends: [{ use: 'engine' }] }));
      const words =
        'platform.json: it is an export of a dispatcher.yaml, such as platform.json, and not that file itself. Name the dispatcher.yaml. To check registrations with an export, name it with `--platform`.';
      const named = await validate('--config', 'platform.json');
      expect([named.code, named.out.split('\n').filter((line) => line.startsWith('platform.json'))]).to.deep.equal([
        1,
        [words],
      ]);
      expect(named.out).to.not.include('unknown key');
      const exported = await run('platform', 'export', '--config', 'platform.json');
      expect([exported.code, exported.error]).to.deep.equal([1, `${words}\n`]);
      const served = await run('serve', '.', '--config', 'platform.json');
      expect(served.code).to.equal(1);
      expect(served.error).to.include(`${words}\n`).and.not.include('unknown key');
      const other = await validate('--platform', 'platform/dispatcher.yaml');
      expect(other.out).to.include(
        'it is not JSON. Write it again with `shr platform export`; name a dispatcher.yaml with `--config`.',
      );
    });

    it('names no platform where none was read', async () => {
      await write('registrations/acme.yaml', registration());
      expect((await validate()).out).to.not.include('The platform');
      expect(JSON.parse((await validate('--json')).out).platform).to.equal(null);
    });

    it('explains what a job would get', async () => {
      await exportFrom(document);
      await write('registrations/acme.yaml', registration({ backends: [{ use: 'engine' }] }));
      const { code, out } = await run('explain', '--repo', 'acme/web', '--labels', 'serverless-hosted-runner');
      expect(code).to.equal(0);
      expect(out).to.include('acme');
    });

    it('says that the sizes of the platform’s backends are not in platform.json, and which limits are', async () => {
      const limits = { maxCpu: 8, maxMemoryGiB: 32, maxDiskGiB: 100 };
      const labels = ['--labels', 'serverless-hosted-runner,cpu-4'];
      const explain = (...args: string[]) => run('explain', '--repo', 'acme/web', ...labels, ...args);
      await exportFrom({ ...document, tenants: { acme: { ...document.tenants.acme, limits } } });
      const holds = (changes: object) =>
        write('registrations/acme.yaml', registration({ backends: [{ use: 'engine' }], ...changes }));
      await holds({ policy: { maxCpu: 4, maxMemoryGiB: 16 } });
      const { code, out } = await explain();
      expect(code, out).to.equal(0);
      expect(out)
        .to.match(
          /^limits +labels ask for at most 4 cores, 16 GiB \(policy\); the tenant has at most 8 cores, 32 GiB, a disk of 100 GiB \(dispatcher\.yaml:\d+:\d+, .*\)$/m,
        )
        .and.match(/^engine .* its size is not known: platform\.json has no options of the platform’s backends$/m)
        .and.not.include('secret');
      const { limits: told } = JSON.parse((await explain('--json')).out);
      expect(told.policy).to.deep.equal({ maxCpu: 4, maxMemoryGiB: 16 });
      expect(told.grant).to.include(limits);
      // Beside dispatcher.yaml the backend says it itself.
      const whole = await explain('--config', 'platform/dispatcher.yaml');
      expect(whole.out)
        .to.match(/^engine +4 +1/m)
        .and.not.match(/^limits/m);
      await holds({});
      labels[1] = 'serverless-hosted-runner';
      expect((await explain()).out).to.match(/^limits +labels change no size; the tenant has at most 8 cores/m);
      await exportFrom(document);
      expect((await explain()).out).to.match(/^limits +labels change no size; the tenant has no limits of size$/m);
    });

    it('is told that the export is missing, or that both are named', async () => {
      const missing = await validate('--platform', 'nowhere.json');
      expect([missing.code, missing.out.split('\n')[0]]).to.deep.equal([
        1,
        'nowhere.json: there is no such file. Create it, or correct the path.',
      ]);
      expect((await validate('--platform', 'a', '--config', 'b')).code).to.equal(2);
      const none = await run('platform', 'export');
      expect([none.code, none.error]).to.deep.equal([
        1,
        'dispatcher.yaml: there is no such file. Create it, or correct the path.\n',
      ]);
      await exportFrom(document);
      const folderless = await run('platform', 'export', 'platform', '--out', 'no/such/file.json');
      expect([folderless.code, folderless.error]).to.deep.equal([
        1,
        'shr: the folder of that file does not exist. Make it, or name another file.\n',
      ]);
    });
  });

  describe('compared with a base', () => {
    beforeEach(async () => {
      await mkdir(join(folder, 'base', 'registrations'), { recursive: true });
      await mkdir(join(folder, 'head', 'registrations'), { recursive: true });
    });

    const compare = (...args: string[]) => validate('head', '--base', 'base', ...args);

    it('says that nothing changes', async () => {
      for (const side of ['base', 'head']) await write(`${side}/registrations/acme.yaml`, registration());
      const { code, out } = await compare();
      expect(code).to.equal(0);
      expect(out).to.include('\nNothing changes.\n');
    });

    it('tells new claims, caps and labels, and who asks for the same jobs', async () => {
      await write('base/registrations/acme.yaml', registration({ maxRunners: 5, policy: { maxCpu: 4 } }));
      await write(
        'head/registrations/acme.yaml',
        registration({
          maxRunners: 20,
          policy: { maxCpu: 8, maxTimeout: '2h' },
          labels: ['gpu', 'serverless-hosted-runner'],
        }),
      );
      await write('base/registrations/gone.yaml', registration({ organization: 'old' }));
      await write(
        'head/registrations/web.yaml',
        registration({ organization: undefined, repositories: ['Acme/Web'], labels: ['GPU'] }),
      );
      const { out } = await compare();
      for (const line of [
        '  registration acme changes\n',
        '    maxRunners: 5 → 20\n',
        '    policy.maxCpu: 4 → 8\n',
        '    policy.maxTimeLimit: + 2h\n',
        '    labels: + gpu\n',
        '    overlap: jobs of acme/web with the label gpu are asked for by web too\n',
        '  registration gone is removed\n    claims: − old/*\n',
        '  registration web is new\n    claims: Acme/Web\n',
        '    overlap: jobs of acme/web with the label gpu are asked for by acme too\n',
      ])
        expect(out).to.include(line);
    });

    it('tells what a tenant is newly granted, and the overlap with another tenant', async () => {
      const platform = (acme: object): string =>
        stringify({
          id: 'shr',
          adminToken: '${env:ADMIN}',
          backends: { engine: { kind: 'docker' } },
          tenants: {
            acme: {
              hosts: ['github.com'],
              owners: ['acme'],
              labels: ['*'],
              backends: ['engine'],
              runnerGroups: ['Default'],
              ...acme,
            },
            web: { hosts: ['github.com'], repositories: ['acme/web'], labels: ['*'], backends: ['engine'] },
          },
        });
      await write('base/dispatcher.yaml', platform({ limits: { maxRunners: 10 } }));
      await write('head/dispatcher.yaml', platform({ limits: { maxRunners: 20 }, powers: { spot: true } }));
      for (const side of ['base', 'head'])
        await write(`${side}/registrations/acme.yaml`, registration({ backends: [{ use: 'engine' }] }));
      await write(
        'head/registrations/web.yaml',
        registration({
          organization: undefined,
          repositories: ['acme/web'],
          backends: [{ use: 'engine' }],
          credentials: { token: '${env:TENANT_WEB_TOKEN}' },
        }),
      );
      const { out } = await compare();
      expect(out).to.include('  tenant acme changes\n    limits.maxRunners: 10 → 20\n    powers.spot: false → true\n');
      expect(out).to.match(
        /registration web \(tenant web\) is new\n(?: {4}.*\n)* {4}overlap: jobs of acme\/web with the label serverless-hosted-runner are asked for by acme of tenant acme too\n/,
      );
    });

    it('tells which tenant is granted nothing any more', async () => {
      const granted = { hosts: ['github.com'], owners: ['acme'], labels: ['*'], backends: ['engine'] };
      const platform = (tenants: object): string =>
        stringify({ id: 'shr', adminToken: '${env:ADMIN}', backends: { engine: { kind: 'docker' } }, tenants });
      await write('base/dispatcher.yaml', platform({ acme: granted, web: { ...granted, limits: { maxRunners: 7 } } }));
      await write('head/dispatcher.yaml', platform({ acme: granted }));
      const { out } = await compare();
      expect(out).to.match(/\n {2}tenant web is removed\n(?: {4}.*\n)* {4}limits\.maxRunners: − 7\n/);
      expect(out).to.not.include('tenant acme');
    });

    describe('with a dispatcher.yaml that is proposed', () => {
      const granted = { hosts: ['github.com'], owners: ['acme'], labels: ['*'], runnerGroups: ['Default'] };
      const acme = { ...granted, backends: ['engine'], powers: { images: ['acme/*'] } };
      const platform = (tenants: object, more: object = {}): string =>
        stringify({
          ...{ id: 'shr', adminToken: '${env:ADMIN}', backends: { engine: { kind: 'docker' } } },
          ...{ tenants, ...more },
        });
      const shared = { backends: [{ use: 'engine' }] };

      beforeEach(async () => {
        for (const side of ['base', 'head']) await write(`${side}/registrations/acme.yaml`, registration(shared));
        await write('base/dispatcher.yaml', platform({ acme: { ...acme, limits: { maxRunners: 10, maxCpu: 4 } } }));
      });

      const propose = (...args: string[]) =>
        compare('--config', 'base/dispatcher.yaml', '--proposed', 'head/dispatcher.yaml', ...args);

      it('names its problems at their lines, and needs no secret', async () => {
        await write('head/dispatcher.yaml', `${platform({ acme })}maxRunner: 3\n`);
        const { code, out } = await propose('--format', 'github');
        expect(code).to.equal(1);
        expect(out).to.match(/^::error file=head\/dispatcher\.yaml,line=\d+,col=1,title=maxRunner::unknown key/m);
        expect(out).to.include('head/dispatcher.yaml has problems: what it would change is not told');
      });

      it('says what is widened and narrowed for whom', async () => {
        const after = {
          acme: {
            ...{ ...acme, owners: ['acme', 'bank'], labels: ['gpu'], requireHook: false },
            limits: { maxRunners: 20, maxMemoryGiB: 8, branches: ['main'], maxDiskGiB: 50 },
            powers: { images: ['*'], spot: true },
          },
          web: { ...granted, owners: ['web'] },
        };
        await write('head/dispatcher.yaml', platform(after));
        const { out } = await propose();
        expect(out).to.include('\nOnce head/dispatcher.yaml is merged (until then nothing is held to it):\n');
        for (const line of [
          '  tenant acme changes\n',
          '    owners: + bank (widened)\n',
          '    labels: + gpu; − * (narrowed)\n',
          '    limits.maxRunners: 10 → 20 (widened)\n',
          '    limits.maxCpu: 4 → no limit (widened)\n',
          '    limits.maxMemoryGiB: no limit → 8 (narrowed)\n',
          '    limits.branches: all → main (narrowed)\n',
          '    limits.maxDiskGiB: none on shared backends, no limit on its own → 50 (widened on shared backends, narrowed on its own)\n',
          '    powers.images: + *; − acme/* (widened)\n',
          '    powers.spot: no → yes (widened)\n',
          '  tenant web is new\n',
        ])
          expect(out).to.include(line);
      });

      it('tells which spot modes are granted more, and which no longer', async () => {
        const powers = (spot: unknown) => platform({ acme: { ...acme, powers: { images: ['*'], spot } } });
        for (const [before, after, line] of [
          [false, ['never', 'only'], 'powers.spot: + only (widened)'],
          [true, ['only'], 'powers.spot: − never, prefer, wait (narrowed)'],
          [['only'], false, 'powers.spot: + never; − only (widened and narrowed)'],
          [true, false, 'powers.spot: yes → no (narrowed)'],
        ] as const) {
          await write('base/dispatcher.yaml', powers(before));
          await write('head/dispatcher.yaml', powers(after));
          expect((await propose()).out).to.include(`    ${line}\n`);
        }
      });

      it('names the registrations that it would refuse, and those that it would admit', async () => {
        await write(
          'head/registrations/bank.yaml',
          registration({ ...shared, organization: 'bank', credentials: { token: '${env:TENANT_BANK_TOKEN}' } }),
        );
        const bank = { ...acme, owners: ['bank'] };
        await write('head/dispatcher.yaml', platform({ acme: { ...acme, owners: [] }, bank }));
        const { code, out } = await propose();
        // It is held to what stands.
        expect(code).to.equal(1);
        expect(out).to.match(/^head\/registrations\/bank\.yaml: .*does not assign this registration to a tenant/m);
        expect(out).to.match(
          /^ {2}registration acme \(tenant acme\) would no longer be admitted: head\/registrations\/acme\.yaml:1:15: organization: /m,
        );
        expect(out).to.match(/^ {2}registration bank \(tenant bank\) would be admitted then$/m);
      });

      it('says that a tenant is removed or becomes the platform’s own, and that no tenants are left', async () => {
        await write('head/dispatcher.yaml', platform({ acme: { trusted: true } }));
        expect((await propose()).out).to.include(
          '    trusted: no → yes (widened: without any limits, and with the secrets of the platform)\n',
        );
        await write('head/dispatcher.yaml', platform({ web: { ...granted, owners: ['web'] } }));
        const { out } = await propose();
        expect(out).to.include('  tenant acme is removed\n');
        expect(out).to.match(/registration acme \(tenant acme\) would no longer be admitted/);
        await write('head/dispatcher.yaml', stringify({ id: 'shr', adminToken: '${env:ADMIN}' }));
        expect((await propose()).out).to.include(
          '  no tenants are left: from a restart on every registration is the platform’s own, without limits and with its secrets\n',
        );
      });

      it('judges the registrations where nothing else does', async () => {
        await write('head/dispatcher.yaml', platform({ acme: { ...acme, owners: ['bank'] } }));
        const { code, out } = await validate('head', '--proposed', 'head/dispatcher.yaml');
        expect(code).to.equal(1);
        expect(out).to.match(/^head\/registrations\/acme\.yaml:1:15: organization: /m);
        expect(out.match(/head\/registrations\/acme\.yaml:1:15/g)).to.have.length(1);
      });

      it('is compared with what is beside the registrations, and no secret of it is said to be missing', async () => {
        for (const file of ['proposed.yaml', 'base/proposed.yaml']) {
          await write(file, platform({ acme: { ...acme, limits: { maxRunners: 20, maxCpu: 4 } } }));
          const { out } = await validate('base', '--proposed', file);
          expect(out, file).to.include('    limits.maxRunners: 10 → 20 (widened)\n').and.not.include(`note: ${file}`);
          expect(out, file).to.include('The platform: base/dispatcher.yaml\n');
        }
        const { out } = await validate('head', '--proposed', 'proposed.yaml');
        expect(out).to.include('The platform: proposed.yaml\n');
        expect(out).to.not.match(/is not set|no such file/);
        // A pull request brings both: neither is in force.
        await write('head/dispatcher.yaml', platform({ acme }));
        await write('head/platform.json', '{}');
        expect((await validate('head', '--proposed', 'head/platform.json')).out).to.not.include(
          'The platform: head/dispatcher.yaml',
        );
      });

      it('runs no code of it, reads no file that it names, follows no link, and shows no variable', async () => {
        const pwned = join(folder, 'pwned');
        const source = `require('node:fs').writeFileSync(${JSON.stringify(pwned)}, '');`;
        for (const [name, text] of Object.entries({
          'package.json': '{"name":"evil","version":"1.0.0","main":"index.js"}',
          'index.js': source,
        })) {
          await mkdir(join(folder, 'head/node_modules/evil'), { recursive: true });
          await write(`head/node_modules/evil/${name}`, text);
        }
        await write('head/secret', 'a-secret-of-the-machine-that-checks\n');
        const hostile = platform(
          { acme: { ...acme, owners: ['${file:secret}', '${env:PATH}'] } },
          { providers: { evil: 'evil@1.0.0' } },
        );
        await write('head/dispatcher.yaml', hostile);
        for (const args of [['--config', 'base/dispatcher.yaml'], []]) {
          const { out } = await validate('head', ...args, '--proposed', 'head/dispatcher.yaml', '--base', 'base');
          expect(out).to.not.include('a-secret-of').and.not.include('/bin');
          expect(existsSync(pwned)).to.equal(false);
        }
        await rm(join(folder, 'head/dispatcher.yaml'));
        await write('elsewhere.yaml', 'a-secret-of-the-machine: 1\n');
        await symlink(join(folder, 'elsewhere.yaml'), join(folder, 'head/dispatcher.yaml'));
        const { code, out } = await propose();
        expect(code).to.equal(1);
        expect(out).to.include('a link leads out of its folder').and.not.include('a-secret-of');
      });

      it('takes a platform.json that is proposed likewise', async () => {
        const exported = (owners: readonly string[]) =>
          JSON.stringify({
            ...{ version: 1, tenants: { acme: { ...acme, owners } }, places: {}, credentials: {}, webhooks: [] },
            ...{ sealing: [], backends: { engine: { kind: 'docker' } }, callbacks: false, unsafeProcessBackend: false },
          });
        await write('base/platform.json', exported(['acme']));
        await write('head/platform.json', exported(['acme', 'bank']));
        const { code, out } = await compare('--platform', 'base/platform.json', '--proposed', 'head/platform.json');
        expect(code, out).to.equal(0);
        expect(out).to.include('    owners: + bank (widened)\n');
      });

      it('is in the summary as text only, and in the answer as JSON', async () => {
        await write('head/dispatcher.yaml', platform({ acme: { ...acme, labels: ['`<img src=x>`', '*'] } }));
        const { out } = await propose('--summary', 'summary.md', '--json');
        const summary = await readFile(join(folder, 'summary.md'), 'utf8');
        expect(summary).to.include('### Once `head/dispatcher.yaml` is merged');
        expect(summary).to.include('labels: + `` `<img src=x>` ``\n');
        expect(JSON.parse(out).proposal.grants[0].tenant).to.equal('acme');
      });
    });

    it('says that options are others, and shows neither', async () => {
      const backend = (host: string) => registration({ backends: [{ kind: 'docker', options: { host, port: 2376 } }] });
      await write('base/registrations/acme.yaml', backend('one.example'));
      await write('head/registrations/acme.yaml', backend('two.example'));
      const { out } = await compare();
      expect(out).to.include('registration acme changes\n    backends.docker: options changed\n');
      expect(out).to.not.match(/one\.example|two\.example/);
    });

    it('says that a secret is another, and shows no reference', async () => {
      const state = (token: string, secret: string) =>
        registration({
          credentials: { token: `\${env:TENANT_ACME_${token}}` },
          webhook: { secrets: [`\${env:TENANT_ACME_${secret}}`] },
        });
      await write('base/registrations/acme.yaml', state('TOKEN', 'HOOK'));
      await write('head/registrations/acme.yaml', state('OTHER', 'HOOK'));
      const token = await compare();
      const changes = (out: string) => out.slice(out.indexOf('What changes:'));
      expect(changes(token.out)).to.match(/registration acme changes\n {4}credentials: changed\n(?! {4})/);
      expect(changes(token.out)).to.not.include('TENANT_ACME');
      await write('head/registrations/acme.yaml', `# Written in another way.\n${state('TOKEN', 'NEXT')}`);
      const hook = await compare();
      expect(changes(hook.out)).to.match(/registration acme changes\n {4}webhook: changed\n(?! {4})/);
      const app = (key: string) =>
        registration({ credentials: { app: { id: '7', privateKey: `\${env:TENANT_ACME_${key}}` } } });
      await write('base/registrations/acme.yaml', app('KEY'));
      await write('head/registrations/acme.yaml', app('SECOND_KEY'));
      expect((await compare()).out).to.include('    credentials: changed\n');
    });

    it('appends a report in Markdown in which a tenant’s text is only text', async () => {
      const hostile = 'a`b``<img src=x>[x](http://y) @team';
      await write(
        'head/registrations/acme.yaml',
        registration({ labels: [hostile], chargeLabels: { team: '`| <b>' } }),
      );
      await write('summary.md', 'before\n');
      const { code } = await compare('--summary', 'summary.md', '--format', 'github');
      expect(code).to.equal(0);
      const text = await readFile(join(folder, 'summary.md'), 'utf8');
      expect(text).to.match(/^before\n## Registrations: no problems\n/);
      expect(text).to.include('- registration `acme` is new\n');
      expect(text).to.include(`  - \`labels\`: \`\`\`${hostile}\`\`\`\n`);
    });

    it('does not take a broken file for a removed one, nor a missing base for an empty one', async () => {
      await write('base/registrations/acme.yaml', registration());
      await write('head/registrations/acme.yaml', 'organization: [\n');
      const { code, out } = await compare();
      expect(code).to.equal(1);
      expect(out).to.include('\nWhat changes:\n  registration acme cannot be compared, as its file has problems\n');
      const missing = await validate('head', '--base', 'nowhere');
      expect([missing.code, missing.error]).to.deep.equal([2, 'error: there is no folder nowhere\n']);
    });

    it('answers for 500 registrations in seconds', async () => {
      for (const side of ['base', 'head'])
        for (let n = 0; n < 500; n += 1)
          await write(`${side}/registrations/r${n}.yaml`, registration({ labels: [`l${n}`] }));
      const { out } = await compare();
      expect(out).to.include('Nothing changes.');
    }).timeout(60_000);
  });

  describe('of a folder that is a link', () => {
    const PLATFORM = stringify({ id: 'shr', adminToken: '${env:ADMIN}' });

    beforeEach(async () => {
      for (const made of ['platform', 'runners/registrations']) await mkdir(join(folder, made), { recursive: true });
      await write('platform/dispatcher.yaml', PLATFORM);
      await write('runners/registrations/acme.yaml', registration());
    });

    it('says where one leads to nothing, as the commands do that would write there', async () => {
      await write('values.yaml', 'githubConfigUrl: https://github.com/acme\n');
      await symlink('runners/registrations', join(folder, 'platform/registrations'));
      const { code, out } = await validate('platform');
      expect(code).to.equal(1);
      expect(out).to.match(
        /^platform\/registrations: it is a link to runners\/registrations, and nothing is there, seen from \S+\/platform\. Correct the link, or remove it\.$/m,
      );
      for (const args of [
        ['init', 'platform'],
        ['import', 'values.yaml', '--out', 'platform/registrations'],
      ])
        expect((await run(...args)).error, args[0]).to.match(
          /\/platform\/registrations is a link to runners\/registrations, and nothing is there/,
        );
      await write('platform/dispatcher.yaml', `${PLATFORM}tenants: {}\nsources: [{ name: t, git: "https://h/x" }]\n`);
      const beside = await validate('platform');
      expect(beside.code).to.equal(0);
      expect(beside.out).to.match(/^note: platform\/registrations: it is a link to runners\/registrations/m);
    });

    it('says where one leads to the folder above the registrations', async () => {
      await symlink('../runners', join(folder, 'platform/registrations'));
      expect((await validate('platform')).out).to.include(
        'note: platform/registrations: there is no registration in it, but `registrations`. If that is the folder',
      );
    });
  });
});

/** As `ActionCommand.TryParseV2` and `TryParse` of actions/runner do. */
function asTheRunnerReads(
  line: string,
): { readonly command: string; readonly properties: Record<string, string>; readonly message: string } | undefined {
  const text = line.trimStart();
  const end = text.startsWith('::') ? text.indexOf('::', 2) : -1;
  if (end >= 0) {
    const [command = '', ...rest] = text.slice(2, end).split(' ');
    const pairs = rest
      .join(' ')
      .split(',')
      .filter((pair) => pair !== '');
    const properties = Object.fromEntries(
      pairs.map((pair) => [pair.slice(0, pair.indexOf('=')).trim(), pair.slice(pair.indexOf('=') + 1)]),
    );
    return { command, properties, message: text.slice(end + 2) };
  }
  return text.includes('##[') ? { command: 'older', properties: {}, message: text } : undefined;
}
