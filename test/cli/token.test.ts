import { expect } from 'chai';
import { createCommand as auditCommand } from '../../dispatcher/cli/audit.ts';
import { createCommand as jobsCommand } from '../../dispatcher/cli/jobs.ts';
import { createCommand as tokenCommand } from '../../dispatcher/cli/token.ts';
import type { Fixture } from '../http/admin-fixture.ts';
import { issue, openTenants } from '../http/tenants-fixture.ts';
import { run } from './admin-run.ts';

describe('shr token and shr audit', () => {
  let fixture: Fixture;
  beforeEach(async () => {
    fixture = await openTenants();
  });
  afterEach(() => fixture.close());

  const shr = async (command: typeof tokenCommand, args: readonly string[], token?: string) =>
    await run(command, args, {
      SHR_ADMIN_URL: fixture.url,
      ...(token === undefined ? {} : { SHR_ADMIN_TOKEN: token }),
    });

  it('print a token alone to standard output, and what it is for to standard error', async () => {
    const made = await shr(tokenCommand, ['create', '--name', 'ci', '--role', 'viewer', '--tenant', 'team-a']);
    expect(made.code).to.equal(0);
    expect(made.out).to.match(/^shr_[a-z2-7]{47}\n$/);
    expect(made.err).to.match(/^ci: viewer of team-a, until 2026-06-02T12:00:00\.000Z\. It is shown this once/);
    const jobs = await shr(jobsCommand, ['--json'], made.out.trim());
    expect(jobs.out).to.include('acme/web').and.to.not.include('globex');
  });

  it('list tokens with their scopes, and revoke one by its name', async () => {
    const { out } = await shr(tokenCommand, ['create', '--name', 'ci', '--role', 'operator', '--expires', 'never']);
    expect((await shr(tokenCommand, ['list'])).out).to.match(
      /^NAME .*\nci +operator +the platform +in force +adminToken/,
    );
    expect((await shr(tokenCommand, ['revoke', 'ci'])).out).to.equal('ci is refused from now on.\n');
    expect((await shr(tokenCommand, ['list'])).out).to.include('revoked 2026-03-04T12:00:00.000Z by adminToken');
    const refused = await shr(jobsCommand, [], out.trim());
    expect(refused).to.deep.include({ code: 1, out: '' });
    expect(refused.err).to.include('SHR_ADMIN_TOKEN: the token ci was revoked');
    const again = await shr(tokenCommand, ['revoke', 'ci']);
    expect([again.code, again.err]).to.deep.equal([
      1,
      'shr: no token in force is called ci\n     `shr token list` lists those that there are\n',
    ]);
  });

  it('revoke the token with an id, whichever is called so', async () => {
    const id = '0000000000000000000000000a';
    await issue(fixture.ledger, { id: '0000000000000000000000000b', name: id });
    await issue(fixture.ledger, { id, name: 'stolen' });
    expect((await shr(tokenCommand, ['revoke', id])).out).to.equal('stolen is refused from now on.\n');
  });

  it('revoke none of several tokens with the same name, and tell their ids', async () => {
    const ids = ['0000000000000000000000000a', '0000000000000000000000000b'];
    await issue(fixture.ledger, { id: ids[0] ?? '', name: 'ci', tenants: ['team-a'] });
    await issue(fixture.ledger, { id: ids[1] ?? '', name: 'ci', tenants: ['team-g'] });
    const { code, err } = await shr(tokenCommand, ['revoke', 'ci']);
    expect(code).to.equal(1);
    for (const id of ids) expect(err).to.include(id);
    expect((await shr(tokenCommand, ['revoke', ids[1] ?? ''])).out).to.equal('ci is refused from now on.\n');
  });

  it('show what was done and what was refused', async () => {
    const { out } = await shr(tokenCommand, ['create', '--name', 'ci', '--role', 'viewer', '--tenant', 'team-a']);
    const refused = await shr(tokenCommand, ['create', '--name', 'more', '--role', 'admin'], out.trim());
    expect(refused.err).to.match(/^shr: the token ci has the role viewer, and this needs admin/);
    const trail = (await shr(auditCommand, [])).out;
    expect(trail).to.match(/adminToken +token\.create +token ci +team-a +done: viewer of team-a/);
    expect(trail).to.match(
      /ci +token\.create +\/api\/tokens +team-a +refused \(403\): the token ci has the role viewer/,
    );
  });
});
