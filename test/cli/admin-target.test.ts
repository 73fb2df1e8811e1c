import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { createCommand as jobsCommand } from '../../dispatcher/cli/jobs.ts';
import { encodeBundle } from '../../dispatcher/config/bundle.ts';
import { seal } from '../../providers/kit/sealed-text.ts';
import { type Fixture, openFixture, TOKEN } from '../http/admin-fixture.ts';
import { run } from './admin-run.ts';

describe('the dispatcher that a command asks, and the token', () => {
  let fixture: Fixture;
  let folder: string;
  before(async () => {
    fixture = await openFixture();
  });
  after(() => fixture.close());
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-admin-'));
    await writeFile(join(folder, 'admin-token'), `${TOKEN}\n`, { mode: 0o600 });
  });
  afterEach(() => rm(folder, { recursive: true }));

  const address = () => new URL(fixture.url).host;
  const file = (...lines: readonly string[]) =>
    writeFile(join(folder, 'dispatcher.yaml'), `id: a\n${lines.join('\n')}\n`);
  const jobs = async (args: readonly string[] = [], environment: Readonly<Record<string, string>> = {}) => {
    const ran = await run(jobsCommand, args, { SHR_ADMIN_TOKEN: '', ...environment }, undefined, folder);
    expect(`${ran.out}${ran.err}`).to.not.include(TOKEN);
    return ran;
  };

  it('are those of dispatcher.yaml in the working folder, if nothing else is said', async () => {
    await file(`listen: { admin: "${address()}" }`, 'adminToken: ${file:admin-token}', 'webhooks: broken');
    expect(await jobs()).to.deep.equal({ out: 'No jobs.\n', err: '', code: 0 });
    await file(`listen: { admin: "0.0.0.0:${new URL(fixture.url).port}" }`, 'adminToken: ${env:OWN}');
    expect((await jobs([], { OWN: TOKEN })).out).to.equal('No jobs.\n');
  });

  it('can be named where dispatcher.yaml is broken, and the message says how', async () => {
    await file('listen: [', 'adminToken: }');
    const { err, code } = await jobs();
    expect(code).to.equal(2);
    expect(err).to.include(
      'Or ask without the file: add --url http://127.0.0.1:9090 (where it listens, if elsewhere) --token-file FILE.',
    );
    expect((await jobs(['--url', fixture.url, '--token-file', 'admin-token'])).code).to.equal(0);
  });

  it('are rather those of a variable, and rather still those of a flag', async () => {
    await file('listen: { admin: "127.0.0.1:1" }', 'adminToken: ${file:nowhere}');
    const named = { SHR_ADMIN_URL: fixture.url, SHR_ADMIN_TOKEN: TOKEN };
    expect((await jobs([], named)).code).to.equal(0);
    const flags = ['--url', fixture.url, '--token-file', 'admin-token'];
    expect((await jobs(flags, { SHR_ADMIN_URL: 'http://127.0.0.1:1', SHR_ADMIN_TOKEN: 'wrong' })).code).to.equal(0);
  });

  it('take the token of dispatcher.yaml for its own listener alone', async () => {
    await file(`listen: { admin: "${address()}" }`, 'adminToken: ${file:admin-token}');
    expect((await jobs(['--url', fixture.url])).code).to.equal(0);
    await file('listen: { admin: "127.0.0.1:1" }', 'adminToken: ${file:admin-token}');
    const { err, code } = await jobs(['--url', fixture.url]);
    expect(code).to.equal(1);
    expect(err).to.include('the dispatcher wants a token');
  });

  it('are not taken from an address of another machine, nor from a port that is not known', async () => {
    await file('listen: { admin: "192.0.2.1:9090" }', 'adminToken: ${file:admin-token}');
    expect(await jobs()).to.deep.equal({
      out: '',
      err:
        'shr: the admin listener of dispatcher.yaml, 192.0.2.1:9090, is not at an address of this machine\n' +
        '     Name the admin listener with --url, and its token with --token-file.\n',
      code: 2,
    });
    await file('listen: { admin: "127.0.0.1:0" }', 'adminToken: ${file:admin-token}');
    expect((await jobs()).err).to.include('lets the system choose the port');
  });

  it('are those of the bundle in the container of a deployed dispatcher', async () => {
    const bundle = encodeBundle({
      version: 1,
      files: {
        '/var/lib/shr/dispatcher.yaml': `id: a\nlisten: { admin: "${address()}" }\nadminToken: \${file:secrets/t}\n`,
        '/var/lib/shr/secrets/t': TOKEN,
      },
      environment: {},
    });
    await writeFile(join(folder, 'bundle'), bundle, { mode: 0o600 });
    expect(await jobs()).to.deep.equal({ out: 'No jobs.\n', err: '', code: 0 });
    const { sealed, key } = seal(bundle);
    await writeFile(join(folder, 'bundle'), sealed);
    expect((await jobs([], { SHR_BUNDLE_KEY: key })).out).to.equal('No jobs.\n');
    // Of another program, or without its key: as if it were not there.
    await writeFile(join(folder, 'bundle'), 'something else');
    expect((await jobs(['--url', fixture.url])).err).to.include('the dispatcher wants a token');
    // Its variables are its own: it is told none of this process.
    const asking = encodeBundle({
      version: 1,
      files: { '/var/lib/shr/dispatcher.yaml': `id: a\nlisten: { admin: "${address()}" }\nadminToken: \${env:OWN}\n` },
      environment: {},
    });
    await writeFile(join(folder, 'bundle'), asking);
    expect((await jobs([], { OWN: TOKEN })).err).to.include('OWN');
    // dispatcher.yaml comes first.
    await writeFile(join(folder, 'bundle'), bundle);
    await file('listen: { admin: "127.0.0.1:1" }', 'adminToken: ${file:admin-token}');
    expect((await jobs()).err).to.include('http://127.0.0.1:1');
  });

  it('say what is wrong with the file', async () => {
    await file(`listen: { admin: "${address()}" }`, 'adminToken: ${file:nowhere}');
    expect((await jobs()).err).to.equal(
      'shr: dispatcher.yaml:3:13: adminToken: nowhere: there is no such file. Create it, or correct the path.\n' +
        `     Or ask without the file: add --url ${fixture.url.replace(/\/$/, '')} --token-file FILE, or set SHR_ADMIN_TOKEN.\n`,
    );
    await file('listen: { admin: 9090 }', 'adminToken: ${file:admin-token}');
    expect((await jobs()).err).to.match(/^shr: dispatcher\.yaml:2:18: listen\.admin: an address is written host:port/);
    await file(`listen: { admin: "${address()}" }`, `adminToken: ${TOKEN}`);
    expect((await jobs()).err).to.match(/^shr: dispatcher\.yaml:3:13: adminToken: it is a secret in plain text/);
    await writeFile(join(folder, 'dispatcher.yaml'), 'id: [');
    expect((await jobs()).err).to.match(/^shr: dispatcher\.yaml:1:5: the `\[` is never closed/);
  });

  it('tell where a wrong token comes from', async () => {
    await writeFile(join(folder, 'admin-token'), 'x'.repeat(32));
    await file(`listen: { admin: "${address()}" }`, 'adminToken: ${file:admin-token}');
    expect((await jobs()).err).to.match(/^shr: dispatcher\.yaml \(adminToken\) has the wrong token\n/);
    expect((await jobs(['--token-file', 'admin-token'])).err).to.match(/^shr: admin-token has the wrong token\n/);
  });
});
