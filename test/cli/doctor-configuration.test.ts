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
    expect(out).to.not.match(/nothing else was looked at/);
    const { ok, registrations, problems, notes } = JSON.parse((await doctor('--json')).out);
    expect(ok).to.equal(false);
    expect(registrations.map(({ name }: { name: string }) => name)).to.deep.equal(['good']);
    expect(problems).to.have.length(1);
    expect(notes).to.have.length(1);
  });

  it('takes the name of one that is set aside, and tells its problems', async () => {
    const { code, out } = await doctor('--registration', 'bad');
    expect(code).to.equal(1);
    expect(out).to.include('registrations/bad.yaml:1:9: the `[` is never closed');
    expect((await doctor('--registration', 'nothing')).code).to.equal(2);
  });

  it('and the other commands for one registration tell the problems of that one alone', async () => {
    await writeFile(join(folder, 'registrations/worse.yaml'), 'a: {\n');
    const { code, error } = await shr(['image-cache', '--registration', 'bad'], folder, {
      TOKEN: 'x'.repeat(16),
    });
    expect(error).to.equal('registrations/bad.yaml:1:9: the `[` is never closed. Close it with `]`.\n');
    expect(code).to.equal(1);
  });
});
