import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { shr } from './process.ts';

const good = `
organization: good
apiUrl: http://127.0.0.1:9
credentials: { token: "\${file:token}" }
labels: [good]
defaults: { image: x }
backends: [{ kind: process, options: { command: [x] } }]
`;

// W9, W10
describe('shr doctor in a configuration with problems', function () {
  this.timeout(60_000);
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-doctor-'));
    await mkdir(join(folder, 'registrations'));
    await writeFile(join(folder, 'dispatcher.yaml'), 'id: a\nadminToken: ${env:TOKEN}\nunsafeProcessBackend: true\n');
    await writeFile(join(folder, 'token'), 'ghp_token', { mode: 0o644 });
    await writeFile(join(folder, 'registrations/good.yaml'), good);
    await writeFile(join(folder, 'registrations/bad.yaml'), 'labels: [a\n');
  });

  afterEach(() => rm(folder, { recursive: true }));

  const doctor = (...args: string[]) => shr(['doctor', ...args], folder, { TOKEN: 'x'.repeat(16) });

  it('examines the registrations that are served, and names what is set aside and what others may read', async () => {
    const { code, out } = await doctor();
    expect(code).to.equal(1);
    expect(out).to.match(/^not ok {2}registrations\/bad\.yaml:1:9: the `\[` is never closed\. Close it with `\]`\.$/m);
    expect(out).to.match(
      /^note {4}registrations\/good\.yaml:4:23: credentials\.token: every user of this machine may read or change the secret file token\. Run `chmod 600 token`/m,
    );
    expect(out).to.match(/^(?:ok {4}|not ok) {2}good {2}backend process/m);
    expect(out).to.not.match(/nothing else was checked/);
    const { ok, registrations, problems, notes } = JSON.parse((await doctor('--json')).out);
    expect(ok).to.equal(false);
    expect(registrations.map(({ name }: { name: string }) => name)).to.deep.equal(['good']);
    expect(problems).to.have.length(1);
    expect(notes).to.have.length(1);
  });

  it('goes on without a secret that is missing, and says what it could not check', async () => {
    await rm(join(folder, 'registrations/bad.yaml'));
    await rm(join(folder, 'token'));
    const login = '    registryAuth: { server: x, username: x, password: "${env:NOWHERE}" }';
    const backends = `backends:
  - { kind: process, options: { command: [x] } }
  - kind: docker
    options:
      host: 127.0.0.1
      port: 9
  ${login}
`;
    await writeFile(
      join(folder, 'registrations/good.yaml'),
      good.replace(/backends:.*\n/, () => backends),
    );
    // Not even the dispatcher's own token is there.
    const { code, out } = await shr(['doctor'], folder);
    expect(code).to.equal(1);
    expect(out).to.include('not ok  dispatcher.yaml:2:13: adminToken: the variable TOKEN is not set.');
    expect(out).to.include('not ok  registrations/good.yaml:4:23: credentials.token: token: there is no such file.');
    expect(out).to.include('options.registryAuth.password: the variable NOWHERE is not set.');
    expect(out).to.include('note    good  github  credentials: not checked: the key or token is missing\n');
    expect(out).to.match(/^ok {6}good {2}webhook {2}endpoint: /m);
    expect(out).to.match(/^(?:ok {4}|not ok) {2}good {2}backend process {2}/m);
    expect(out).to.include('note    good  backend docker  check: not checked: a secret in its options is missing\n');
    expect(out).to.match(/^1 registration, \d+ findings, \d+ not ok, 2 notes\n$/m);
  });

  it('says that no backend was asked where no registration is in force', async () => {
    for (const name of ['good', 'bad']) await rm(join(folder, `registrations/${name}.yaml`));
    const shared = 'backends: { build-host: { kind: docker } }\ntenants: { web: { hosts: [github.com] } }\n';
    await writeFile(join(folder, 'dispatcher.yaml'), `id: a\nadminToken: \${env:TOKEN}\n${shared}`);
    const { code, out } = await doctor();
    expect(code).to.equal(0);
    expect(out).to.match(
      /^note {4}dispatcher {2}github, backends {2}registrations: not checked: no registration is in force/m,
    );
  });

  it('takes the name of one that is set aside, and tells its problems', async () => {
    const { code, out } = await doctor('--registration', 'bad');
    expect(code).to.equal(1);
    expect(out).to.include('registrations/bad.yaml:1:9: the `[` is never closed');
    expect((await doctor('--registration', 'nothing')).code).to.equal(2);
  });

  it('and the other commands for one registration report the problems of that one alone', async () => {
    await writeFile(join(folder, 'registrations/worse.yaml'), 'a: {\n');
    const { code, error } = await shr(['image-cache', '--registration', 'bad'], folder, {
      TOKEN: 'x'.repeat(16),
    });
    expect(error).to.equal('registrations/bad.yaml:1:9: the `[` is never closed. Close it with `]`.\n');
    expect(code).to.equal(1);
  });
});
