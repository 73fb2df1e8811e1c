import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { parse } from 'yaml';

const DEPLOY = join(import.meta.dirname, '..', '..', 'deploy');

interface Ended {
  readonly code: number | string;
  readonly out: string;
  readonly error: string;
}

function run(
  program: string,
  words: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const env = { PATH: process.env['PATH'], ...environment };
  return new Promise((resolve) => {
    execFile(program, [...words], { env }, (error, out, text) => {
      resolve({ code: error === null ? 0 : (error.code ?? 1), out, error: text });
    });
  });
}

/** Skips where the machine lacks the program; in CI that is a failure. */
function unlessMissing({ code }: Ended, program: string, context: Mocha.Context): void {
  if (code !== 'ENOENT') return;
  if (process.env['REQUIRE_DOCKER'] === '1') throw new Error(`${program} is not installed`);
  context.skip();
}

describe('the compose file', function () {
  this.timeout(60_000);
  const file = join(DEPLOY, 'compose', 'compose.yaml');
  const given = { SHR_IMAGE: 'shr:1', SHR_CONFIG: '/srv/shr', DOCKER_GROUP: '999' };

  it('is one that docker-compose reads, with what it was given', async function () {
    const ended = await run('docker-compose', ['-f', file, 'config'], given);
    unlessMissing(ended, 'docker-compose', this);
    expect(ended).to.include({ code: 0, error: '' });
    const { dispatcher } = parse(ended.out).services;
    expect(dispatcher).to.deep.include({ image: 'shr:1', read_only: true, cap_drop: ['ALL'], group_add: ['999'] });
    expect(dispatcher.volumes).to.include('/srv/shr:/etc/shr:ro').and.include('ledger:/var/lib/shr:rw');
    // The admin API, on this machine alone.
    expect(JSON.stringify(dispatcher.ports)).to.match(/127\.0\.0\.1:9090:9090/);
  });

  for (const [name, words] of [
    ['SHR_IMAGE', 'name the image that make dispatcher-image built'],
    ['DOCKER_GROUP', 'the group of the socket of Docker'],
  ] as const) {
    it(`says what to write where ${name} is missing`, async function () {
      const { [name]: _, ...others } = given;
      const ended = await run('docker-compose', ['-f', file, 'config'], others);
      unlessMissing(ended, 'docker-compose', this);
      expect(ended.code).to.not.equal(0);
      expect(ended.error).to.include(words);
    });
  }
});

describe('the systemd unit', function () {
  this.timeout(60_000);
  const file = join(DEPLOY, 'systemd', 'serverless-hosted-runner.service');
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-unit-'));
  });

  after(async () => {
    await rm(folder, { recursive: true });
  });

  /** The program must be there to be verified, and is not installed here. */
  async function unitWith(change: (text: string) => string): Promise<string> {
    const place = join(folder, 'serverless-hosted-runner.service');
    const text = await readFile(file, 'utf8');
    expect(text).to.include('ExecStart=/opt/shr/node_modules/.bin/shr serve /etc/shr\n');
    await writeFile(place, change(text.replace('/opt/shr/node_modules/.bin/shr', '/bin/true')));
    return place;
  }

  it('passes systemd-analyze verify', async function () {
    const ended = await run('systemd-analyze', ['verify', await unitWith((text) => text)]);
    unlessMissing(ended, 'systemd-analyze', this);
    expect(ended).to.include({ code: 0, error: '' });
  });

  it('would not pass with a misspelt setting', async function () {
    const wrong = await unitWith((text) => text.replace('ProtectHome=', 'ProtectHomes='));
    const ended = await run('systemd-analyze', ['verify', wrong]);
    unlessMissing(ended, 'systemd-analyze', this);
    expect(ended.error).to.include('ProtectHomes');
  });

  it('is as closed as a service that opens connections can be', async function () {
    const ended = await run('systemd-analyze', [
      'security',
      '--offline=true',
      '--threshold=30',
      await unitWith((text) => text),
    ]);
    unlessMissing(ended, 'systemd-analyze', this);
    expect(ended.code, ended.out).to.equal(0);
  });
});
