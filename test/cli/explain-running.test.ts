/** `shr explain` of a dispatcher that runs: by what is in force there, as far as the token sees it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { createAdmit } from '../../dispatcher/admission/admit.ts';
import { createCommand } from '../../dispatcher/cli/explain.ts';
import type { Registration } from '../../dispatcher/model/registration.ts';
import { type Fixture, openFixture, registration } from '../http/admin-fixture.ts';
import { openTenants, tokenOf } from '../http/tenants-fixture.ts';
import { run } from './admin-run.ts';

const ACME = ['--repo', 'acme/web', '--labels', 'acme-runner'];

describe('shr explain --url', () => {
  let fixture: Fixture;
  afterEach(() => fixture.close());

  const open = async (...registrations: readonly Registration[]) => {
    fixture = await openFixture({ registrations: () => registrations, admit: createAdmit(registrations) });
  };
  const explain = (...args: readonly string[]) => run(createCommand, [...args, '--url', fixture.url]);

  it('asks that dispatcher, and reads no files', async () => {
    await open(registration('acme'));
    const { code, out } = await explain(...ACME);
    expect(code).to.equal(0);
    expect(out)
      .to.match(/^outcome +a runner$/m)
      .and.match(/^registration +acme$/m);
    expect(out)
      .to.match(/^shape +.*x64, image /m)
      .and.match(/^registers at +orgs\/acme, runner group Default$/m);
    expect(out)
      .to.include(fixture.url)
      .and.match(/^main *$/m);
  });

  it('names what decided against it', async () => {
    await open(registration('acme'));
    const { code, out } = await explain(...ACME, '--fork');
    expect(code).to.equal(1);
    expect(out)
      .to.match(/^outcome +refused \(fork\)$/m)
      .and.match(/^decided by +policy\.forks$/m);
    const { out: json } = await explain('--repo', 'acme/web', '--label', 'acme-runner', '--public', '--json');
    expect(JSON.parse(json)).to.include({ outcome: 'refused', code: 'public-repository' });
    expect((await explain('--repo', 'other/web', '--labels', 'x')).out).to.match(/^outcome +not ours/m);
  });

  it('says that a registration only observes', async () => {
    await open(registration('acme', { observe: true }));
    expect((await explain(...ACME)).out).to.include('none is launched');
  });

  it('says what is wrong with the address or the token', async () => {
    await open(registration('acme'));
    const { code, err } = await run(createCommand, [...ACME, '--url', fixture.url], {
      SHR_ADMIN_TOKEN: 'wrong-token-entirely',
    });
    expect([code, err.includes('has the wrong token')]).to.deep.equal([1, true]);
    const { err: nowhere } = await run(createCommand, [...ACME, '--profile', 'nowhere'], { HOME: '/nonexistent' });
    expect(nowhere).to.include('there is no profile nowhere');
  });
});

describe('shr explain --url, with the token of a tenant', () => {
  let fixture: Fixture;
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-explain-'));
    fixture = await openTenants({
      admit: createAdmit([registration('acme'), registration('globex')]),
    });
  });
  afterEach(async () => {
    await fixture.close();
    await rm(folder, { recursive: true });
  });

  it('says nothing of the registrations of another', async () => {
    const token = join(folder, 'token');
    await writeFile(token, await tokenOf(fixture.ledger, 'viewer', ['team-a']), { mode: 0o600 });
    const explain = (...args: readonly string[]) =>
      run(createCommand, [...args, '--url', fixture.url, '--token-file', token]);
    expect((await explain(...ACME)).code).to.equal(0);
    const { code, out } = await explain('--repo', 'globex/web', '--labels', 'globex-runner');
    expect(code).to.equal(1);
    expect(out)
      .to.include('none of your registrations takes this job')
      .and.not.match(/^registration/m);
    const refused = await explain('--repo', 'globex/web', '--labels', 'globex-runner', '--fork');
    expect(refused.out).to.equal(out);
  });
});
