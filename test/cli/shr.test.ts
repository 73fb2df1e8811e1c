import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { commands } from '../../dispatcher/cli/commands.ts';
import { runCommandLine } from '../../dispatcher/cli/run.ts';
import type { ExitCode } from '../../dispatcher/cli/terminal.ts';
import { shr } from './process.ts';

interface Ran {
  readonly code: ExitCode;
  readonly out: string;
  readonly error: string;
}

describe('shr', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-cli-'));
  });

  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  async function run(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<Ran> {
    let out = '';
    let error = '';
    const code = await runCommandLine(
      args,
      {
        out: (text) => {
          out += text;
        },
        error: (text) => {
          error += text;
        },
        environment,
        workingFolder: folder,
        width: undefined,
      },
      '1.2.3',
    );
    return { code, out, error };
  }

  async function change(file: string, from: string, to: string): Promise<void> {
    const path = join(folder, file);
    const text = await readFile(path, 'utf8');
    if (!text.includes(from)) throw new Error(`not in ${file}: ${from}`);
    await writeFile(path, text.replace(from, to));
  }

  for (const [call, words] of [
    [['jobs', '--status', 'foo'], /Allowed choices are queued, waiting, pending, requested, in_progress, completed\./],
    [['jobs', '--admission', 'foo'], /Allowed choices are pending, lane, observed, refused, not-ours, expired\./],
    [
      ['runners', '--state', 'busy,foo'],
      /'foo' is not a state\. Allowed are creating, parked, starting, online, busy, /,
    ],
  ] as const) {
    it(`knows before it asks a dispatcher that there is no ${call.join(' ')}`, async () => {
      const { code, error } = await run(call);
      expect(code).to.equal(2);
      expect(error).to.match(words);
    });
  }

  describe('in an empty folder', () => {
    for (const command of ['validate', 'doctor', 'serve']) {
      it(`says once that there is no configuration, and how to write one (${command})`, async () => {
        const { code, out, error } = await run([command]);
        const said = `${out}${error}`;
        expect(code).to.equal(1);
        expect(said).to.match(
          /\.: there is neither dispatcher\.yaml nor a registration\. Name another folder, or run `shr init`\./,
        );
        expect(said.match(/shr init/g)).to.have.length(1);
        expect(said.match(/there is /g)).to.have.length(1);
      });
    }

    it('says the same of an empty folder registrations/, and once that a folder does not exist', async () => {
      await mkdir(join(folder, 'registrations'));
      const { error } = await run(['serve']);
      expect(error).to.match(/^registrations: there is neither dispatcher\.yaml nor a registration\./);
      expect(error.match(/there is /g)).to.have.length(1);
      const missing = await run(['serve', 'nowhere']);
      expect(missing.error).to.match(/^nowhere: there is no such folder\./);
      expect(missing.error.match(/there is /g)).to.have.length(1);
    });

    it('does not speak of `shr init` where a configuration is there and wrong', async () => {
      await writeFile(join(folder, 'dispatcher.yaml'), 'id: 7\nlisten: { public: nowhere }\n');
      await mkdir(join(folder, 'registrations'));
      await writeFile(join(folder, 'registrations', 'acme.yaml'), 'organization: acme\n');
      for (const command of ['validate', 'doctor', 'serve']) {
        const { code, out, error } = await run([command]);
        expect([command, code]).to.deep.equal([command, 1]);
        expect(`${out}${error}`).to.not.include('shr init');
      }
      await rm(join(folder, 'dispatcher.yaml'));
      const { error } = await run(['serve']);
      expect(error).to.match(/^dispatcher\.yaml: there is no such file\. Name the file with `--config`/m);
      expect(error).to.not.include('shr init');
    });
  });

  describe('called wrongly', () => {
    for (const [args, message] of [
      [['jobs', '--nope'], "error: unknown option '--nope'\nSee `shr jobs --help`.\n"],
      [['runners', 'show'], "error: missing required argument 'name'\nSee `shr runners show --help`.\n"],
      [['init', 'a', 'b'], /^error: too many arguments.*\nSee `shr init --help`\.\n$/],
      [['init', '--name', 'A b'], /^error: option '--name <name>' .*\nSee `shr init --help`\.\n$/],
      [['explain', '--repo'], /^error: option '--repo <owner\/name>' argument missing\nSee `shr explain --help`\.\n$/],
    ] as const) {
      it(`points to the help of the command: shr ${args.join(' ')}`, async () => {
        const { code, out, error } = await run(args);
        expect([code, out]).to.deep.equal([2, '']);
        if (typeof message === 'string') expect(error).to.equal(message);
        else expect(error).to.match(message);
      });
    }

    it('says what to do by itself where it knows', async () => {
      const { code, error } = await run(['explain', '--repo', 'acme/web']);
      expect(code).to.equal(2);
      expect(error).to.equal("error: name the job's labels with --labels or --label\n");
    });
  });

  describe('without a command', () => {
    it('lists every command with --help', async () => {
      const { code, out } = await run(['--help']);
      expect(code).to.equal(0);
      for (const { name, summary } of commands) expect(out).to.include(name).and.include(summary);
      expect(out).to.include('Exit codes: 0 success, 1 something is not ok or was refused, 2 wrong usage.');
    });

    it('prints its version', async () => {
      expect(await run(['--version'])).to.deep.equal({ code: 0, out: '1.2.3\n', error: '' });
    });

    it('is called wrongly when nothing, or nothing known, follows', async () => {
      const nothing = await run([]);
      expect(nothing.code).to.equal(2);
      expect(nothing.error.match(/^Usage:/gm)).to.have.length(1);
      const typo = await run(['validat']);
      expect(typo.code).to.equal(2);
      expect(typo.error).to.include("there is no command 'validat'; did you mean 'validate'?");
      expect(typo.out).to.equal('');
    });
  });

  for (const { name } of commands) {
    it(`has help for ${name}, and does not know --nonsense`, async () => {
      const help = await run([name, '--help']);
      expect(help.code).to.equal(0);
      expect(help.out).to.include(`Usage: shr ${name}`);
      const nonsense = await run([name, '--nonsense']);
      expect(nonsense.code).to.equal(2);
      expect(nonsense.error).to.match(/^error: /);
      expect(nonsense.out).to.equal('');
    });
  }

  describe('init', () => {
    it('writes a configuration that validates, with secrets that only their owner reads', async () => {
      const { code, out } = await run(['init', '--organization', 'Acme-Labs']);
      expect(code).to.equal(0);
      expect(out).to.include('wrote dispatcher.yaml').and.include('secrets/acme-labs/github-token');
      const registration = await readFile(join(folder, 'registrations/acme-labs.yaml'), 'utf8');
      expect(registration)
        .to.include('organization: Acme-Labs')
        .and.include('${file:secrets/acme-labs/webhook-secret}');
      expect((await stat(join(folder, 'secrets'))).mode & 0o777).to.equal(0o700);
      expect((await stat(join(folder, 'secrets/admin-token'))).mode & 0o777).to.equal(0o600);
      expect(await readFile(join(folder, 'secrets/admin-token'), 'utf8')).to.match(/^[0-9a-f]{64}\n$/);
      expect(await readFile(join(folder, '.gitignore'), 'utf8')).to.include('secrets/');
      expect((await run(['validate'])).code).to.equal(0);
      expect((await run(['validate', '--secrets'])).code).to.equal(1);
      await writeFile(join(folder, 'secrets/acme-labs/github-token'), 'ghp_token\n', { mode: 0o600 });
      expect(await run(['validate', '--secrets'])).to.deep.equal({
        code: 0,
        out: 'The platform: dispatcher.yaml\n2 files, 0 problems, 0 notes\n',
        error: '',
      });
    });

    it('with --secrets looks at the certificate of the listener too', async () => {
      await run(['init', '--organization', 'acme']);
      await writeFile(join(folder, 'secrets/acme/github-token'), 'ghp_token\n', { mode: 0o600 });
      const tls = { certificate: 'secrets/tls.crt', key: 'secrets/tls.key' };
      const file = join(folder, 'dispatcher.yaml');
      const written = await readFile(file, 'utf8');
      await writeFile(file, `${written}\nlisten: ${JSON.stringify({ public: { tls } })}\n`);
      expect(await run(['validate'])).to.include({ code: 0 });
      const { code, out } = await run(['validate', '--secrets']);
      expect(code, out).to.equal(1);
      expect(out).to.match(/^dispatcher\.yaml: listen\.public\.tls: \S+secrets\/tls\.crt cannot be read: /m);
    });

    it('serves one repository when asked to, in a folder of its own', async () => {
      const { code, out } = await run(['init', 'new/one', '--repo', 'octo/cat', '--name', 'cats']);
      expect(code).to.equal(0);
      for (const next of ['shr validate new/one --secrets', 'shr explain --folder new/one', 'shr serve new/one'])
        expect(out).to.include(next);
      expect(await readFile(join(folder, 'new/one/registrations/cats.yaml'), 'utf8')).to.include('- octo/cat');
      expect((await run(['validate', 'new/one'])).code).to.equal(0);
    });

    it('never overwrites', async () => {
      await writeFile(join(folder, 'dispatcher.yaml'), 'mine');
      const first = await run(['init', '--json']);
      expect(JSON.parse(first.out).kept).to.deep.equal(['dispatcher.yaml']);
      expect(await readFile(join(folder, 'dispatcher.yaml'), 'utf8')).to.equal('mine');
      const token = await readFile(join(folder, 'secrets/admin-token'), 'utf8');
      const second = await run(['init', '--json']);
      expect(JSON.parse(second.out).written).to.deep.equal([]);
      expect(await readFile(join(folder, 'secrets/admin-token'), 'utf8')).to.equal(token);
    });

    it('says where it cannot write, without a stack', async () => {
      await writeFile(join(folder, 'file'), '');
      const { code, error } = await run(['init', 'file/inside']);
      expect(code).to.equal(1);
      expect(error).to.equal(
        `shr: ${join(folder, 'file')} is a file, and a folder is needed there. Name another folder, or move the file.\n`,
      );
      expect((await run(['init', 'file'])).error).to.equal(error);
    });

    it('gives up where a folder takes no other', async function () {
      if (process.platform !== 'linux') return this.skip();
      const { code, error } = await run(['init', '/proc/shr-test']);
      expect(code).to.equal(1);
      expect(error).to.include('/proc/shr-test cannot be made or written (ENOENT)');
    });

    it('takes no name that a registration cannot have', async () => {
      expect((await run(['init', '--name', 'Not Good'])).code).to.equal(2);
      expect((await run(['init', '--repo', 'a/b', '--organization', 'a'])).code).to.equal(2);
    });
  });

  describe('validate', () => {
    beforeEach(() => run(['init', '--organization', 'acme']));

    it('names each problem with its place, and exits with 1', async () => {
      await change('registrations/acme.yaml', 'maxCpu: 8', 'maxCpus: 8');
      await change('dispatcher.yaml', 'id: shr', 'id: SHR');
      const { code, out } = await run(['validate']);
      expect(code).to.equal(1);
      expect(out).to.match(/^dispatcher\.yaml:\d+:5: id: /m);
      expect(out).to.match(
        /^registrations\/acme\.yaml:\d+:3: policy\.maxCpus: unknown key `maxCpus`\. Did you mean `maxCpu`\?$/m,
      );
      expect(out).to.include('2 files, 2 problems, 1 note\n');
    });

    it('prints JSON for programs', async () => {
      await change('registrations/acme.yaml', 'maxCpu: 8', 'maxCpu: many');
      const { code, out } = await run(['validate', '--json', 'registrations']);
      const { ok, files, problems, notes } = JSON.parse(out);
      expect({ code, ok, files }).to.deep.equal({
        code: 1,
        ok: false,
        files: ['dispatcher.yaml', 'registrations/acme.yaml'],
      });
      expect(problems).to.have.length(1);
      expect(problems[0]).to.include({ file: 'registrations/acme.yaml', column: 11, path: 'policy.maxCpu' });
      expect(notes[0]).to.include({ path: 'credentials.token' });
    });

    describe('asks each backend for what a runner has without labels', () => {
      const eci = `
  - name: eci
    kind: ali-eci
    options:
      region: cn-hangzhou
      accessKeyId: LTAI-example
      accessKeySecret: \${env:KEY}
      vSwitchIds: [vsw-1]
      securityGroupId: sg-1
`;
      const validated = async (backends: string, cpu: number) => {
        const file = join(folder, 'registrations/acme.yaml');
        const text = (await readFile(file, 'utf8')).replace(/^backends:\n( .*\n)+/m, `backends:${backends}`);
        await writeFile(file, text.replace(/^( {2})cpu: .*$/m, `$1cpu: ${cpu}`));
        return shr(['validate'], folder, { ...process.env, KEY: 'the-secret' });
      };

      it('and calls it a problem where none has it', async () => {
        const { code, out } = await validated(eci, 500);
        expect(code).to.equal(1);
        expect(out).to.match(/^registrations\/acme\.yaml: defaults: no backend has what a runner gets .*\(eci: .*500/m);
        expect((await validated(eci, 4)).code).to.equal(0);
      });

      it('and notes it where another one has it', async () => {
        const { code, out } = await validated(`${eci}  - kind: docker\n`, 300);
        expect(code).to.equal(0);
        expect(out).to.match(/^note: registrations\/acme\.yaml: defaults: not every backend has .*\(eci: /m);
      });
    });

    it('checks a tenants’ repository that has no dispatcher.yaml', async () => {
      await mkdir(join(folder, 'tenants'));
      await writeFile(join(folder, 'tenants/acme.yaml'), await readFile(join(folder, 'registrations/acme.yaml')));
      await rm(join(folder, 'dispatcher.yaml'));
      const { code, out } = await run(['validate', 'tenants']);
      expect(code).to.equal(0);
      expect(out).to.include('tenants, shared backends and limits were not checked').and.include('1 file, 0 problems');
    });

    it('does not call an empty folder valid', async () => {
      await mkdir(join(folder, 'empty/inside'), { recursive: true });
      expect((await run(['validate', 'empty/inside'])).code).to.equal(1);
      expect((await run(['validate', 'nowhere'])).code).to.equal(1);
    });

    it('needs the dispatcher.yaml that --config names', async () => {
      expect((await run(['validate', '--config', 'no.yaml'])).out).to.include('no.yaml: there is no such file');
    });
  });

  describe('explain', () => {
    beforeEach(() => run(['init', '--organization', 'acme']));
    const explain = (...args: string[]) => run(['explain', '--repo', 'acme/web', ...args]);

    it('says that the defaults of an organization are not read by the files alone', async () => {
      const file = join(folder, 'registrations/acme.yaml');
      await writeFile(file, `${await readFile(file, 'utf8')}\norganizationDefaults: forced\n`);
      const { code, out } = await explain('--labels', 'serverless-hosted-runner');
      expect(code).to.equal(0);
      expect(out).to.match(
        /^note +the defaults of the organization \(forced\) are not read here: .* --url or --profile$/m,
      );
      const json = await explain('--labels', 'serverless-hosted-runner', '--json');
      expect(JSON.parse(json.out).note).to.include('not read here');
    });

    it('shows the line of the registration that decided', async () => {
      const file = join(folder, 'registrations/acme.yaml');
      const yaml = await readFile(file, 'utf8');
      await writeFile(
        file,
        `${yaml.replace(/^policy:[\s\S]*?(?=^\S)/m, '')}\npolicy:\n  maxCpu: 2\n  branches: [main]\n`,
      );
      const text = await readFile(file, 'utf8');
      const line = text.slice(0, text.indexOf('  branches:')).split('\n').length;
      const refused = await explain('--labels', 'serverless-hosted-runner', '--branch', 'feature');
      expect(refused.code).to.equal(1);
      expect(refused.out).to.match(/outcome +refused \(origin-not-allowed\)/);
      expect(refused.out).to.match(
        new RegExp(`decided by +registrations/acme\\.yaml:${line}:\\d+ \\(policy\\.branches\\)`),
      );
      expect((await explain('--labels', 'serverless-hosted-runner', '--branch', 'main')).code).to.equal(0);
      const over = await explain('--labels', 'serverless-hosted-runner,cpu-4', '--branch', 'main');
      expect(over.out).to.match(
        new RegExp(`decided by +registrations/acme\\.yaml:${line - 1}:\\d+ \\(policy\\.maxCpu\\)`),
      );
    });

    it('shows the line of a base that decided, and that of `extends` for one of dispatcher.yaml', async () => {
      const file = join(folder, 'registrations/acme.yaml');
      const yaml = (await readFile(file, 'utf8')).replace(/^policy:[\s\S]*?(?=^\S)/m, '');
      await writeFile(file, `extends: acme\n${yaml}`);
      await writeFile(join(folder, 'registrations/acme.base.yaml'), '# shared\npolicy:\n  maxCpu: 2\n');
      const own = await explain('--labels', 'serverless-hosted-runner,cpu-4');
      expect(own.out).to.match(/^decided by +registrations\/acme\.base\.yaml:3:11 \(policy\.maxCpu\)$/m);
      const dispatcher = join(folder, 'dispatcher.yaml');
      await writeFile(
        dispatcher,
        `bases: { common: { policy: { maxCpu: 2 } } }\n${await readFile(dispatcher, 'utf8')}`,
      );
      await writeFile(file, `extends: common\n${yaml}`);
      const platform = await explain('--labels', 'serverless-hosted-runner,cpu-4');
      expect(platform.out).to.match(
        /^decided by +registrations\/acme\.yaml:1:10 \(policy\.maxCpu\) \(in the base `common`, dispatcher\.yaml:1:10\)$/m,
      );
    });

    it('shows the presets that its labels name, where they stand, and what allows or refuses them', async () => {
      const file = join(folder, 'dispatcher.yaml');
      const presets =
        'presets: { shapes: { large: { cpu: 4 }, huge: { cpu: 64 } }, images: { node: other/node:24 } }\n';
      await writeFile(file, presets + (await readFile(file, 'utf8')));
      const { code, out } = await explain('--labels', 'serverless-hosted-runner,shape-large');
      expect(out).to.match(/^presets +shape-large \(dispatcher\.yaml:1:22; the policy allows its parts\)$/m);
      expect(out).to.match(/^shape +4 cores, /m);
      expect(code).to.equal(0);
      const json = JSON.parse((await explain('--json', '--label', 'shr=7/shape=large')).out);
      expect(json.presets).to.deep.equal([{ label: 'shape=large', name: 'large', place: 'dispatcher.yaml:1:22' }]);
      const refused = await explain('--labels', 'serverless-hosted-runner,shape-huge');
      expect(refused.out).to.match(/by the preset `huge`, dispatcher\.yaml:1:41/);
      expect(refused.out).to.match(/^decided by +registrations\/acme\.yaml:\d+:\d+ \(policy\.maxCpu\)$/m);
    });

    it('says which runner a job gets', async () => {
      const { code, out, error } = await explain('--labels', 'self-hosted, serverless-hosted-runner,cpu-4');
      expect({ code, error }).to.deep.equal({ code: 0, error: '' });
      expect(out).to.match(/^registration +acme$/m);
      expect(out).to.match(/^registers at +github\.com\/orgs\/acme, runner group Default$/m);
      expect(out).to.match(/^shape +4 cores, 4 GiB, x64, image ghcr\.io\/acme\/runner:latest$/m);
      expect(out).to.match(/^docker +4 +4/m);
    });

    it('says why it gets none, and the cure', async () => {
      const { code, out } = await explain('--labels', 'serverless-hosted-runner,cpu-64', '--public');
      expect(code).to.equal(1);
      expect(out).to.match(/^outcome +refused \(public-repository\)$/m);
      const refused = JSON.parse((await explain('--json', '--label', 'shr=7/cpu=64')).out);
      expect(refused).to.include({ outcome: 'refused', registration: 'acme', code: 'over-limit' });
      expect(refused.cure).to.include('8 cores or less');
    });

    it('says why it is not ours', async () => {
      const { code, out } = await explain('--labels', 'serverless-hosted-runner,gpu');
      expect(code).to.equal(1);
      expect(out).to.include('not ours').and.include('`gpu`');
      expect((await explain('--labels', 'serverless-hosted-runner', '--host', 'ghes.example')).out).to.include(
        'no registration that was read claims acme/web on ghes.example',
      );
    });

    it('says what to do about a repository that no registration claims', async () => {
      const cureOf = async (...args: string[]) => {
        const { code, out } = await run(['explain', '--json', '--labels', 'serverless-hosted-runner', ...args]);
        expect(code).to.equal(1);
        return JSON.parse(out).cure;
      };
      expect(await cureOf('--repo', 'other/web')).to.equal(
        'Correct --repo (acme/* are claimed), or let a registration claim other or other/web.',
      );
      expect(await cureOf('--repo', 'amce/web')).to.equal(
        'Did you mean acme? Else let a registration claim amce or amce/web.',
      );
      expect(await cureOf('--repo', 'acme/web', '--host', 'ghes.example')).to.equal(
        'Name the host with --host (the registrations are for github.com), or set `host: ghes.example` in one.',
      );
      // Other repositories of the same owner are claimed: its name is right.
      const one = join(folder, 'registrations', 'acme.yaml');
      const before = await readFile(one, 'utf8');
      await writeFile(one, before.replace(/^organization: .*$/m, 'repositories: [acme/web]'));
      expect(await cureOf('--repo', 'acme/another')).to.equal(
        'Correct --repo (acme/web are claimed), or let a registration claim acme or acme/another.',
      );
      await writeFile(one, before);
      // The labels decide there, and the reason names them.
      expect(await cureOf('--repo', 'acme/web', '--label', 'gpu')).to.equal(undefined);
      const { out } = await run(['explain', '--labels', 'x', '--repo', 'other/web']);
      expect(out).to.match(/^cure +Correct --repo/m);
    });

    it('says that registrations of sources and of the API are not read, and never that none claims it', async () => {
      const file = join(folder, 'dispatcher.yaml');
      const source = 'sources: [{ name: tenants, git: "https://git.example/acme/runners.git" }]';
      await writeFile(file, `${await readFile(file, 'utf8')}\n${source}\n`);
      const note = 'the registrations of source `tenants` (git) and of the API are not read here';
      const labels = ['--labels', 'serverless-hosted-runner'];
      const { code, out } = await run(['explain', ...labels, '--repo', 'other/lab']);
      expect(code).to.equal(1);
      expect(out).to.match(/^outcome +not ours, by the registrations that were read$/m);
      expect(out).to.include('no registration that was read claims other/lab');
      expect(out).to.include(`${note}: ask the dispatcher with --url`);
      const said = JSON.parse((await run(['explain', '--json', ...labels, '--repo', 'other/lab'])).out);
      expect(said.note).to.include(note);
      expect(said.reason).to.include('no registration that was read claims');
      expect((await explain(...labels)).out).to.include(note);
      expect((await run(['validate'])).out).to.include(`sources: ${note}. Ask the dispatcher`);
    });

    it('says of a job that no file claims that the API of a running dispatcher may have been given more', async () => {
      const note =
        /^note +registrations that the API of a running dispatcher was given are not read here: ask it with --url/m;
      const labels = ['--labels', 'serverless-hosted-runner'];
      const { code, out } = await run(['explain', ...labels, '--repo', 'other/lab']);
      expect(code).to.equal(1);
      expect(out).to.match(/^outcome +not ours, by the registrations that were read$/m);
      expect(out).to.include('no registration that was read claims other/lab');
      expect(out).to.match(note).and.include('--url http://127.0.0.1:9090 or --profile');
      const said = JSON.parse((await run(['explain', '--json', ...labels, '--repo', 'other/lab'])).out);
      expect(said.note).to.include('ask it with --url http://127.0.0.1:9090');
      expect((await explain('--labels', 'serverless-hosted-runner,gpu')).out).to.match(note);
      await change('dispatcher.yaml', 'id: shr', 'listen: { admin: "127.0.0.1:0" }\nid: shr');
      expect((await explain('--labels', 'serverless-hosted-runner,gpu')).out).to.match(
        /ask it with --url or --profile$/m,
      );
      expect((await explain(...labels)).out, 'a runner').to.not.include('not read here');
      expect((await run(['validate'])).out).to.not.include('not read here');
      expect((await run(['validate', '--help'])).out).to.match(/admin API .* not read/);
      await rm(join(folder, 'dispatcher.yaml'));
      const alone = await run(['explain', ...labels, '--repo', 'other/lab']);
      expect(alone.out, 'no platform').to.not.include('not read here');
    });

    it('says so by a platform.json, too', async () => {
      await run(['platform', 'export', '--out', 'platform.json']);
      await rm(join(folder, 'dispatcher.yaml'));
      const { out } = await run(['explain', '--labels', 'x', '--repo', 'other/lab']);
      expect(out).to.match(/^outcome +not ours, by the registrations that were read$/m);
      expect(out).to.match(/^note +registrations that the API .* ask it with --url or --profile$/m);
    });

    // J5
    it('says that a job with built-in labels alone needs a label to come here', async () => {
      const { code, out } = await explain('--labels', 'self-hosted,linux,x64');
      expect(code).to.equal(1);
      expect(out).to.match(/^outcome +not ours: no runner will be started$/m);
      expect(out).to.include(
        '`self-hosted`, `linux`, `x64`) are ones that every self-hosted runner has. Add one that a registration',
      );
      expect(out).to.include('`serverless-hosted-runner`');
    });

    it('says of a registration that is set aside that its jobs are refused', async () => {
      await change('registrations/acme.yaml', 'maxRunners: 10', 'maxRunners: 0');
      const { code, out } = await explain('--labels', 'serverless-hosted-runner');
      expect(code).to.equal(1);
      expect(out).to.match(/^outcome +refused \(registration-set-aside\)$/m);
    });

    it('prints the lane as JSON', async () => {
      const { code, out } = await explain('--json', '--label', 'shr=7,cpu=4');
      expect(code).to.equal(0);
      const { outcome, lane, backends } = JSON.parse(out);
      expect(outcome).to.equal('lane');
      expect(lane).to.deep.include({ registration: 'acme', scope: 'orgs/acme', labels: ['shr=7,cpu=4'] });
      expect(backends[0]).to.include({ backend: 'docker', cpu: 4 });
    });

    it('says what it cannot tell without the secrets of a backend, and does not fail', async () => {
      const options = `{project: acme-ci, region: europe-west4, serviceAccount: r@acme-ci.iam.gserviceaccount.com, credentials: '\${file:secrets/acme/google.json}'}`;
      await change(
        'registrations/acme.yaml',
        '  - name: docker\n    kind: docker\n',
        `  - {name: batch, kind: gcp-batch, options: ${options}, maxRunners: 4}\n  - name: docker\n    kind: docker\n`,
      );
      const { code, out, error } = await explain('--labels', 'serverless-hosted-runner,cpu-4');
      expect({ code, error }).to.deep.equal({ code: 0, error: '' });
      expect(out).to.match(/^batch .*a secret in its options is not here; `shr validate` names it$/m);
      expect(out).to.match(/^docker +4 +4/m);
    });

    // J10
    it('has the adapter’s own words where a backend cannot, as the job has them', async () => {
      const guid = '00000000-0000-0000-0000-000000000000';
      const options = `{subscriptionId: ${guid}, resourceGroup: ci, location: germanywestcentral, credentials: {kind: managed-identity}}`;
      const azure = `  - {name: azure, kind: azure-aci, options: ${options}}\n`;
      await change('registrations/acme.yaml', 'policy:\n', 'policy:\n  spot: true\n');
      await change('registrations/acme.yaml', '  - name: docker\n    kind: docker\n    maxRunners: 4\n', azure);
      const words = 'it is not sold in germanywestcentral, but in eastus2, westeurope, westus';
      const alone = await explain('--labels', 'serverless-hosted-runner,spot');
      expect(alone.code).to.equal(1);
      expect(alone.out)
        .to.match(/^outcome +refused \(no-backend\)$/m)
        .and.include(words);
      await change(
        'registrations/acme.yaml',
        azure,
        `${azure}  - {name: west, kind: azure-aci, options: ${options.replace('germanywestcentral', 'westeurope')}}\n`,
      );
      const two = await explain('--labels', 'serverless-hosted-runner,spot');
      expect(two.code).to.equal(0);
      expect(two.out)
        .to.match(/^west +2 +4/m)
        .and.match(new RegExp(`^azure .*left out: .*${words}`, 'm'));
    });

    it('warns when the configuration has problems', async () => {
      await change('dispatcher.yaml', 'id: shr', 'id: SHR');
      const { error } = await explain('--labels', 'serverless-hosted-runner');
      expect(error).to.include('The configuration has a problem; what follows may not hold.');
    });

    describe('of a tenant', () => {
      const grants = (powers: string) =>
        `backends: { host: { kind: docker, options: { privileged: true } } }
tenants:
  acme:
    hosts: [github.com]
    owners: [acme]
    labels: [serverless-hosted-runner]
    runnerGroups: [Default]
    backends: [host]
    backendKinds: [docker]
    powers:
      images: [ghcr.io/acme/*]
${powers}`;
      const tenants = async (powers: string, backends: string) => {
        await writeFile(
          join(folder, 'dispatcher.yaml'),
          `id: shr\nadminToken: \${file:secrets/admin-token}\n${grants(powers)}`,
        );
        await change('registrations/acme.yaml', '  - name: docker\n    kind: docker\n    maxRunners: 4\n', backends);
        await change('registrations/acme.yaml', 'policy:\n', 'policy:\n  dockerInDocker: true\n');
      };

      it('shows the lines of dispatcher.yaml that let it', async () => {
        await tenants('      dockerInDocker: true\n', '  - use: host\n');
        const { code, out, error } = await explain('--labels', 'serverless-hosted-runner,dind');
        expect({ code, error }).to.deep.equal({ code: 0, error: '' });
        expect(out).to.match(/^tenant +acme$/m);
        expect(out).to.match(
          /^granted by +owners \(dispatcher\.yaml:7:5\), labels \(dispatcher\.yaml:8:5\), runnerGroups \(dispatcher\.yaml:9:5\), powers\.images \(dispatcher\.yaml:13:7\), powers\.dockerInDocker \(dispatcher\.yaml:14:7\)$/m,
        );
        const { granted } = JSON.parse((await explain('--json', '--labels', 'serverless-hosted-runner')).out);
        expect(granted.lines[0]).to.deep.equal({ field: 'owners', place: 'dispatcher.yaml:7:5' });
      });

      it('shows the line that would have to', async () => {
        await tenants(
          '',
          '  - use: host\n  - { name: own, kind: docker, options: { host: engine.example, port: 2376 } }\n',
        );
        await change('registrations/acme.yaml', 'policy:\n', 'policy:\n  backends: [host]\n');
        const { code, out } = await explain('--labels', 'serverless-hosted-runner,dind,backend-host');
        expect(code).to.equal(1);
        expect(out).to.match(/^outcome +refused \(not-granted\)$/m);
        expect(out).to.match(/^decided by +dispatcher\.yaml:12:5$/m);
        expect(out).to.include('To grant it, write `tenants.acme.powers.dockerInDocker: true` (dispatcher.yaml:12:5).');
      });

      it('shows which shared backend is left out for it', async () => {
        await tenants(
          '',
          '  - use: host\n  - { name: own, kind: docker, options: { host: engine.example, port: 2376, privileged: true } }\n',
        );
        const { code, out } = await explain('--labels', 'serverless-hosted-runner,dind');
        expect(code).to.equal(0);
        expect(out).to.match(/^host .*left out: tenant `acme` was not granted Docker in Docker there/m);
        expect(out).to.match(/^own +2 +4/m);
      });
    });

    // J2
    it('explains a job without labels: a runner group alone', async () => {
      const { code, out } = await explain('--labels', '');
      expect(code).to.equal(1);
      expect(out).to.include('labels: [serverless-hosted-runner]').and.include('`runs-on: group:`');
    });

    it('is called wrongly without labels, or with no repository', async () => {
      expect((await explain()).code).to.equal(2);
      expect((await run(['explain', '--repo', 'acme', '--labels', 'a'])).code).to.equal(2);
      expect((await run(['explain', '--labels', 'a'])).code).to.equal(2);
    });
  });

  describe('as a process', () => {
    it('exits with 0, 1 or 2', async () => {
      expect(await shr(['init', '--organization', 'acme'], folder)).to.include({ code: 0, error: '' });
      expect(await shr(['validate'], folder)).to.include({ code: 0 });
      expect(await shr(['explain', '--repo', 'acme/web', '--labels', 'gpu'], folder)).to.include({
        code: 1,
        error: '',
      });
      const wrong = await shr(['explain'], folder);
      expect(wrong).to.include({ code: 2, out: '' });
      expect(wrong.error).to.include('--repo');
    });

    it('reads secrets from its environment, and never shows them', async () => {
      await shr(['init', '--organization', 'acme'], folder);
      await change('registrations/acme.yaml', '${file:secrets/acme/github-token}', '${env:GITHUB_TOKEN}');
      const environment = { GITHUB_TOKEN: 'ghp_very-secret' };
      const { code, out } = await shr(['validate', '--secrets', '--json'], folder, environment);
      expect(code).to.equal(0);
      expect(out).to.not.include('ghp_very-secret');
    });

    it('tells its version from package.json', async () => {
      const { version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'));
      expect(await shr(['--version'], folder)).to.deep.equal({ code: 0, out: `${version}\n`, error: '' });
    });

    it('keeps what Node compiled beside its packages, for the next start', async () => {
      const kept = new URL('../../node_modules/.cache/compiled', import.meta.url);
      await rm(kept, { recursive: true, force: true });
      await shr(['--version'], folder);
      expect(await readdir(kept, { recursive: true })).to.have.length.greaterThan(10);
    });

    it('starts all the same where nothing can be kept', async () => {
      const taken = join(folder, 'a-file');
      await writeFile(taken, '');
      expect(await shr(['--version'], folder, { NODE_COMPILE_CACHE: taken })).to.include({ code: 0, error: '' });
      expect(await shr(['--version'], folder, { NODE_DISABLE_COMPILE_CACHE: '1' })).to.include({ code: 0, error: '' });
    });
  });
});
