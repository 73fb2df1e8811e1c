import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Command } from 'commander';
import { createCommand as jobsCommand } from '../../dispatcher/cli/jobs.ts';
import { createCommand as loginCommand } from '../../dispatcher/cli/login.ts';
import { createCommand as logoutCommand } from '../../dispatcher/cli/logout.ts';
import { createCommand as runnersCommand } from '../../dispatcher/cli/runners.ts';
import type { Terminal } from '../../dispatcher/cli/terminal.ts';
import { type Clock, systemClock } from '../../time/clock.ts';
import { type Fixture, NOW } from '../http/admin-fixture.ts';
import { openTenants, tokenOf } from '../http/tenants-fixture.ts';

describe('shr login', () => {
  let fixture: Fixture;
  let folder: string;
  let token: string;
  before(async () => {
    fixture = await openTenants();
    token = await tokenOf(fixture.ledger, 'operator', ['team-a']);
  });
  after(() => fixture.close());
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-login-'));
    await writeFile(join(folder, 'token'), `${token}\n`, { mode: 0o600 });
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function shr(
    createCommand: (terminal: Terminal, clock: Clock) => Command,
    args: readonly string[],
    { environment = {}, input }: { environment?: Readonly<Record<string, string>>; input?: string } = {},
  ) {
    const said = { out: '', err: '', code: 0 };
    const terminal: Terminal = {
      environment: { HOME: folder, ...environment },
      workingFolder: folder,
      width: undefined,
      out: (text) => {
        said.out += text;
      },
      error: (text) => {
        said.err += text;
      },
      exit: (code) => {
        said.code = code;
      },
      ...(input === undefined ? {} : { input: async () => input }),
    };
    const clock = { now: () => NOW, after: systemClock.after };
    await createCommand(terminal, clock).parseAsync([...args], { from: 'user' });
    expect(`${said.out}${said.err}`).to.not.include(token);
    return said;
  }
  const kept = (name = 'default') => join(folder, '.config', 'shr', 'profiles', `${name}.json`);

  it('keeps the address and the token where only the user reads them, and the other commands use them', async () => {
    const said = await shr(loginCommand, ['--url', fixture.url, '--token-file', 'token']);
    expect(said.err).to.equal('');
    expect(said.out).to.match(
      /^Logged in to http:\/\/127\.0\.0\.1:\d+ as token-[0-9a-z]+: operator of team-a\.\nKept in /,
    );
    expect(((await stat(kept())).mode & 0o777).toString(8)).to.equal('600');
    expect(((await stat(join(kept(), '..'))).mode & 0o777).toString(8)).to.equal('700');
    const { out } = await shr(runnersCommand, []);
    expect(out).to.include('shr-acme').and.to.not.include('globex');
  });

  it('takes the token from standard input', async () => {
    expect(
      (await shr(loginCommand, ['--url', fixture.url, '--profile', 'work'], { input: `${token}\n` })).code,
    ).to.equal(0);
    expect((await shr(jobsCommand, ['--profile', 'work'])).out).to.include('acme/web');
    expect((await shr(jobsCommand, [], { environment: { SHR_PROFILE: 'work' } })).out).to.include('acme/web');
    expect((await shr(loginCommand, ['--url', fixture.url])).err).to.match(/^shr: no token\n/);
  });

  it('sends no token in the clear beyond this machine, nor one that others can read', async () => {
    const remote = await shr(loginCommand, ['--url', 'http://shr.example.com', '--token-file', 'token']);
    expect([remote.code, remote.err.split('\n')[0]]).to.deep.equal([
      2,
      'shr: http://shr.example.com would get the token in the clear',
    ]);
    await chmod(join(folder, 'token'), 0o644);
    const open = await shr(loginCommand, ['--url', fixture.url, '--token-file', 'token']);
    expect(open.err).to.match(/^shr: other users of this machine can read .*\n +chmod 600 /);
    await chmod(join(folder, 'token'), 0o600);
    await shr(loginCommand, ['--url', fixture.url, '--token-file', 'token']);
    await chmod(kept(), 0o640);
    expect((await shr(jobsCommand, [])).err).to.match(/^shr: other users of this machine can read/);
    await writeFile(kept(), (await readFile(kept(), 'utf8')).replace(/"http:[^"]*"/, '"http://shr.example.com"'));
    await chmod(kept(), 0o600);
    expect((await shr(jobsCommand, [])).err).to.include('would get the token in the clear');
  });

  it('keeps nothing that the dispatcher refuses', async () => {
    const said = await shr(loginCommand, ['--url', fixture.url], { input: `${token.slice(0, -2)}` });
    expect([said.code, said.err.split('\n')[0]]).to.deep.equal([1, 'shr: standard input: the token is not whole']);
    expect(await stat(kept()).catch(() => undefined)).to.equal(undefined);
  });

  it('gives way to what names another dispatcher, and is forgotten by shr logout', async () => {
    await shr(loginCommand, ['--url', fixture.url, '--token-file', 'token']);
    const other = { SHR_ADMIN_URL: 'http://127.0.0.1:1', SHR_PROFILE: 'default' };
    expect((await shr(jobsCommand, [], { environment: other })).err).to.include('http://127.0.0.1:1');
    expect((await shr(jobsCommand, ['--profile', 'default'], { environment: other })).code).to.equal(0);
    expect((await shr(jobsCommand, ['--profile', 'x', '--url', fixture.url])).code).to.equal(2);
    expect((await shr(jobsCommand, ['--profile', 'none'])).err).to.equal(
      'shr: there is no profile none\n     There are: default.\n',
    );
    expect((await shr(logoutCommand, [])).out).to.match(/^Forgot default\./);
    expect((await shr(logoutCommand, [])).err).to.match(/^shr: there is no profile default\n/);
  });
});
