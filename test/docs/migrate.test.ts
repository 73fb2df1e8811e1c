/** docs/migrate.md, followed word for word from an empty folder for each system, up to a job that is observed. */
import { spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { type GithubSimulator, startGithubSimulator } from '../../simulators/github/index.ts';
import { eventually } from '../e2e/service-fixture.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const PROGRAM = join(ROOT, 'dispatcher', 'cli', 'shr.mjs');
const TOKEN = 'ghp_0123456789abcdefghij';

/** The commands below a heading. */
async function blocks(heading: string): Promise<readonly string[]> {
  const text = await readFile(join(ROOT, 'docs', 'migrate.md'), 'utf8');
  const level = /^#+/.exec(heading)?.[0].length ?? 0;
  const start = text.indexOf(`\n${heading}\n`);
  const section = text.slice(start + heading.length + 2);
  const end = section.search(new RegExp(`^#{2,${Math.max(3, level)}} `, 'm'));
  const found = [...section.slice(0, end).matchAll(/^```sh\n([\s\S]*?)^```/gm)].map(([, block = '']) => block);
  expect(found, heading).to.not.deep.equal([]);
  return found;
}

interface System {
  readonly heading: string;
  readonly files: Readonly<Record<string, string>>;
  /** What is pasted where a command asks. */
  readonly pasted: readonly string[];
  /** Of the workflow, as it was before. */
  readonly runsOn: string;
  readonly registration: string;
}

const POOL = {
  ...{ id: '9daa', provider_name: 'lxd', max_runners: 5, min_idle_runners: 0, image: 'ubuntu:24.04', flavor: 'small' },
  ...{ os_type: 'linux', os_arch: 'amd64', tags: [{ id: '1', name: 'garm' }], enabled: true, org_name: 'acme' },
};
const quoted = (fields: Readonly<Record<string, string>>): string =>
  Object.entries(fields)
    .map(([name, value]) => String.raw`\"${name}\":\"${value}\"`)
    .join(',');

const SYSTEMS: readonly System[] = [
  {
    heading: '### The older dispatcher',
    files: {
      'Registration.mk': `COMMON := "${quoted({
        ...{ Pat: '${WF_SLS_PAT}', Key: '${ALICLOUD_ACCESS_KEY}', Secret: '${ALICLOUD_SECRET_KEY}' },
        ...{ Region: '${ALICLOUD_REGION}', SecGpId: '${DISPATCHER_SG_ID}', VSwitchId: '${DISPATCHER_VSWITCH_ID}' },
      })}"\n`,
      'registration/Registration_team.mk': `REG1 := "{\${COMMON},${quoted({
        ...{ Type: 'Org', Name: 'acme', Url: 'https://github.com/acme', Size: '1', Cpu: '1.0', Memory: '2.0' },
      })}}"\nWF_SLS_REGS := "[\${REG1}]"\n`,
    },
    pasted: [TOKEN, 'LTAI-key', 'ali-secret'],
    runsOn: 'eci-runner',
    registration: 'team',
  },
  {
    heading: '### ARC',
    files: {
      'bin/helm': `#!/bin/sh\ncat <<'END'\ngithubConfigUrl: https://github.com/acme\ngithubConfigSecret: gh\nmaxRunners: 5\nEND\n`,
    },
    pasted: [TOKEN],
    runsOn: 'arc-runner-set',
    registration: 'arc-runner-set',
  },
  {
    heading: '### GARM',
    files: { 'bin/garm-cli': `#!/bin/sh\ncat <<'END'\n${JSON.stringify([POOL])}\nEND\n` },
    pasted: [TOKEN],
    runsOn: '[self-hosted, garm]',
    registration: 'acme',
  },
  {
    heading: '### terraform-aws-github-runner',
    files: {
      'templates/runner-configs/linux-x64.yaml':
        'matcherConfig:\n  exactMatch: true\n  labelMatchers:\n    - [self-hosted, linux, x64, amazon]\nrunner_config:\n  runner_os: linux\n  runner_architecture: x64\n  instance_types: [m5.large]\n  ami: { id_ssm_parameter_arn: "${ami}" }\n',
    },
    pasted: [],
    runsOn: '[self-hosted, linux, x64, amazon]',
    registration: 'linux-x64',
  },
];

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  return address.port;
}

describe('docs/migrate.md', function () {
  this.timeout(120_000);
  let folder: string;
  let github: GithubSimulator;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-migrate-'));
    github = await startGithubSimulator({
      owners: [{ login: 'acme', repositories: [{ name: 'web', visibility: 'private' }] }],
      tokens: [{ token: TOKEN, login: 'octocat', owners: ['acme'], access: 'read' }],
      apps: [{ name: 'runners', installations: [{ account: 'acme' }] }],
    });
    await put({ 'bin/shr': `#!/bin/sh\nexec '${process.execPath}' '${PROGRAM}' "$@"\n` });
    const [app] = github.apps;
    await put({ 'app.pem': app?.privateKey ?? '' });
  });
  afterEach(async () => {
    await github.close();
    await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
  });

  async function put(files: Readonly<Record<string, string>>): Promise<void> {
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), text);
      if (name.startsWith('bin/')) await chmod(join(folder, name), 0o755);
    }
  }

  function bash(
    script: string,
    pasted: readonly string[],
  ): Promise<{ readonly code: number | null; readonly out: string }> {
    return new Promise((resolve, reject) => {
      const child = spawn('bash', ['--norc', '-euo', 'pipefail', '-c', script], {
        cwd: folder,
        env: { PATH: `${join(folder, 'bin')}:${process.env['PATH'] ?? ''}`, HOME: folder },
      });
      let out = '';
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding('utf8').on('data', (text: string) => {
          out += text;
        });
      child.stdin.on('error', () => undefined).end(pasted.map((line) => `${line}\n`).join(''));
      child.on('error', reject);
      child.on('close', (code) => resolve({ code, out }));
    });
  }

  for (const { heading, files, pasted, runsOn, registration } of SYSTEMS) {
    it(`leads to an observed job of a workflow that says \`runs-on: ${runsOn}\` (${heading.slice(4)})`, async () => {
      await put(files);
      const [publicPort, adminPort] = [await freePort(), await freePort()];
      const [begin = ''] = await blocks('## 1. A folder for the dispatcher');
      const [system = ''] = await blocks(heading);
      const [observe = '', look = ''] = await blocks('## 3. Observe');
      expect(observe).to.match(/\nshr serve shr\n$/);
      github.pushWorkflow({
        owner: 'acme',
        repository: 'web',
        yaml: `on: push\njobs:\n  build:\n    runs-on: ${runsOn}\n    steps: [{ run: make }]\n`,
      });
      const id = github.apps[0]?.id;
      const { code, out } = await bash(
        [
          begin,
          system,
          // What is different here: the address of GitHub, how often it is asked, and ports of this machine.
          `sed -i '/^  *interval:/d; s/^poll:$/former:/' shr/registrations/${registration}.yaml`,
          `printf 'apiUrl: ${github.url}\\npoll: { interval: 1s }\\n' >>shr/registrations/${registration}.yaml`,
          `sed -i '/^former:/d; s/123456/${id}/' shr/registrations/${registration}.yaml`,
          `printf 'listen: { public: "127.0.0.1:${publicPort}", admin: "127.0.0.1:${adminPort}" }\\n' >>shr/dispatcher.yaml`,
          observe.replace('shr serve shr\n', 'shr serve shr >serve.log & pid=$!\n'),
          'trap "kill $pid; wait $pid" EXIT',
          'for attempt in $(seq 60); do grep -q \'"started"\' serve.log && break; sleep 0.5; done',
          `(${look}) || { cat serve.log; false; }`,
          'for attempt in $(seq 60); do (cd shr; shr jobs) | grep -q observed && break; sleep 0.5; done',
          `cd shr; shr jobs; shr observe ${registration} --since 7d`,
        ].join('\n'),
        pasted,
      );
      expect(code, out).to.equal(0);
      expect(out).to.match(/0 problems/);
      expect(out).to.match(new RegExp(`^\\d+ +acme/web +build +queued .*observed, ${registration} `, 'm'));
      expect(out).to.match(/^jobs +1: /m);
      expect(github.runners()).to.deep.equal([]);
    });
  }

  it('leads to a webhook that tells of each job, with no poll', async () => {
    const arc = SYSTEMS.find(({ registration }) => registration === 'arc-runner-set');
    await put(arc?.files ?? {});
    const [publicPort, adminPort] = [await freePort(), await freePort()];
    const [begin = ''] = await blocks('## 1. A folder for the dispatcher');
    const [system = ''] = await blocks('### ARC');
    const [observe = '', , webhook = ''] = await blocks('## 3. Observe');
    const page = await readFile(join(ROOT, 'docs', 'migrate.md'), 'utf8');
    const field = /^```yaml\n(webhook:\n[\s\S]*?)^```/m.exec(page)?.[1] ?? '';
    const registration = join(folder, 'shr/registrations/arc-runner-set.yaml');
    const prepared = await bash([begin, system, webhook].join('\n'), [TOKEN]);
    expect(prepared.code, prepared.out).to.equal(0);
    const text = await readFile(registration, 'utf8');
    await writeFile(registration, `${text}apiUrl: ${github.url}\npoll: { interval: off }\n${field}`);
    await bash(
      `printf 'listen: { public: "127.0.0.1:${publicPort}", admin: "127.0.0.1:${adminPort}" }\\n' >>shr/dispatcher.yaml`,
      [],
    );
    const secret = (await readFile(join(folder, 'shr/secrets/arc-runner-set/webhook-secret'), 'utf8')).trim();
    github.addHook({ on: 'acme', url: `http://127.0.0.1:${publicPort}/webhooks/github/arc-runner-set`, secret });
    const running = bash(
      [
        `export TENANT_ARC_RUNNER_SET_TOKEN=${TOKEN}`,
        observe.replace('shr serve shr\n', 'shr serve shr >serve.log & pid=$!\n'),
        'trap "kill $pid; wait $pid" EXIT',
        'for attempt in $(seq 60); do (cd shr; shr jobs) 2>/dev/null | grep -q observed && break; sleep 0.5; done',
        'cd shr; shr jobs',
      ].join('\n'),
      [],
    );
    await eventually('it has started', 30_000, async () => {
      const log = await readFile(join(folder, 'serve.log'), 'utf8').catch(() => '');
      return log.includes('"started"') ? log : undefined;
    });
    github.pushWorkflow({
      owner: 'acme',
      repository: 'web',
      yaml: 'on: push\njobs:\n  build:\n    runs-on: arc-runner-set\n    steps: [{ run: make }]\n',
    });
    const { code, out } = await running;
    expect(code, out).to.equal(0);
    expect(out).to.match(/^\d+ +acme\/web +build +queued .*observed, arc-runner-set /m);
  });

  it('says what `shr` is, as README does', async () => {
    const read = (page: string) => readFile(join(ROOT, page), 'utf8');
    const definition = /^make deps && clone=\$PWD && shr\(\) \{.*\}$/m.exec(await read('README.md'))?.[0] ?? 'none';
    expect(await read('docs/migrate.md')).to.include(definition);
  });
});
