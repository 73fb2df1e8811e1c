import { expect } from 'chai';
import { createCommand as pauseCommand } from '../../dispatcher/cli/pause.ts';
import { createCommand as registrationsCommand } from '../../dispatcher/cli/registrations.ts';
import { createCommand as resumeCommand } from '../../dispatcher/cli/resume.ts';
import { pausedSchema, pauseListSchema, registrationListSchema } from '../../dispatcher/http/admin-shapes.ts';
import { run } from '../cli/admin-run.ts';
import { type Fixture, NOW, TOKEN } from './admin-fixture.ts';
import { as, issue, openTenants, problemOf } from './tenants-fixture.ts';

describe('pauses over the admin API', () => {
  let fixture: Fixture;
  let tenant: string;
  beforeEach(async () => {
    fixture = await openTenants();
    tenant = await issue(fixture.ledger, { name: 'ops-a', role: 'operator', tenants: ['team-a'] });
  });
  afterEach(() => fixture.close());

  const post = async (path: string, token = TOKEN) =>
    await fixture.ask(`/api/${path}`, { method: 'POST', ...as(token) });
  const paused = async (token = TOKEN) =>
    pauseListSchema
      .parse(await (await fixture.ask('/api/pauses', as(token))).json())
      .pauses.map(({ registration, by }) => [registration, by]);

  it('are of a tenant’s own registrations, or of the platform', async () => {
    await post('registrations/acme/pause?reason=maintenance', tenant);
    await post('registrations/globex/pause');
    expect(await paused(tenant)).to.deep.equal([['acme', 'ops-a']]);
    await post('pause');
    expect(await paused(tenant)).to.deep.equal([
      ['acme', 'ops-a'],
      [null, 'adminToken'],
    ]);
    for (const path of ['pause', 'resume']) expect((await post(path, tenant)).status).to.equal(403);
    expect((await post('registrations/globex/resume', tenant)).status).to.equal(404);
    expect((await post('registrations/globex/pause', tenant)).status).to.equal(404);
    expect(await paused()).to.have.length(3);
  });

  it('of the platform are not taken back, nor replaced, by a tenant', async () => {
    await post('registrations/acme/pause?reason=abuse');
    const again = pausedSchema.parse(await (await post('registrations/acme/pause?reason=mine', tenant)).json());
    expect(again.pause).to.include({ by: 'adminToken', reason: 'abuse', byPlatform: true });
    expect((await post('registrations/acme/resume', tenant)).status).to.equal(200);
    const refused = await post('registrations/acme/resume', tenant);
    expect([refused.status, (await problemOf(refused)).error]).to.deep.equal([409, 'the platform paused acme']);
    expect(await paused()).to.deep.equal([['acme', 'adminToken']]);
    const resumed = pausedSchema.parse(await (await post('registrations/acme/resume')).json());
    expect(resumed).to.deep.include({ pause: null });
    expect(await paused()).to.deep.equal([]);
  });

  it('of a tenant stay where the platform’s comes and goes', async () => {
    await post('registrations/acme/pause?reason=ours', tenant);
    await post('registrations/acme/pause?reason=abuse');
    expect(await paused(tenant)).to.deep.equal([['acme', 'adminToken']]);
    const resumed = pausedSchema.parse(await (await post('registrations/acme/resume')).json());
    expect(resumed.resumed).to.include({ by: 'adminToken', reason: 'abuse' });
    expect(resumed.pause).to.include({ by: 'ops-a', reason: 'ours' });
    await post('registrations/acme/pause');
    expect((await run(resumeCommand, ['acme'], { SHR_ADMIN_URL: fixture.url })).out).to.equal(
      'acme: the pause of ops-a holds again; a second resume ends it.\n',
    );
    expect((await post('registrations/acme/resume', tenant)).status).to.equal(200);
    expect(await paused()).to.deep.equal([]);
  });

  it('of a tenant that are made while the platform’s holds are kept, and ended by the tenant alone', async () => {
    await post('registrations/acme/pause?reason=abuse');
    const made = pausedSchema.parse(await (await post('registrations/acme/pause?reason=ours', tenant)).json());
    expect(made.pause).to.deep.include({ by: 'adminToken', reason: 'abuse' });
    expect(made.pause?.own).to.include({ by: 'ops-a', reason: 'ours' });
    const shown = pauseListSchema.parse(await (await fixture.ask('/api/pauses', as(tenant))).json()).pauses[0];
    expect(shown?.own).to.include({ by: 'ops-a', reason: 'ours' });
    expect((await run(pauseCommand, [], { SHR_ADMIN_URL: fixture.url })).out).to.match(
      /adminToken, ops-a +abuse; ours\n/,
    );
    const ended = await post('registrations/acme/resume', tenant);
    expect(ended.status).to.equal(200);
    const resumed = pausedSchema.parse(await ended.json());
    expect(resumed.resumed).to.include({ by: 'ops-a', reason: 'ours' });
    expect(resumed.pause).to.deep.include({ by: 'adminToken', own: null });
    expect((await post('registrations/acme/resume', tenant)).status).to.equal(409);
    expect(await paused()).to.deep.equal([['acme', 'adminToken']]);
  });

  it('of both hold together, and each is told what it can end itself', async () => {
    const shr = async (command: typeof pauseCommand, token: string, ...args: readonly string[]) =>
      (await run(command, args, { SHR_ADMIN_URL: fixture.url, SHR_ADMIN_TOKEN: token })).out;
    const since = new Date(NOW).toISOString();
    await shr(pauseCommand, TOKEN, 'acme', '--reason', 'abuse');
    expect(await shr(pauseCommand, tenant, 'acme')).to.equal(
      `acme: paused since ${since} by the platform, and since ${since} by ops-a: both hold, and each has to end. Jobs are taken in, and wait.\n`,
    );
    expect(await shr(resumeCommand, tenant, 'acme')).to.equal(
      "acme: the pause of ops-a has ended; the platform's pause still holds, and the platform ends it.\n",
    );
    await shr(pauseCommand, tenant, 'acme');
    expect(await shr(resumeCommand, TOKEN, 'acme')).to.equal(
      'acme: the pause of ops-a holds again; a second resume ends it.\n',
    );
  });

  it('are in the audit trail, with their reasons', async () => {
    await post('registrations/acme/pause?reason=the%20registry%20moves', tenant);
    const [entry] = await fixture.ledger.audits({ limit: 1 });
    expect(entry).to.include({
      action: 'pause',
      actorName: 'ops-a',
      subject: 'registration acme',
      tenant: 'team-a',
      status: 200,
      outcome: 'the registry moves',
    });
  });

  it('have reasons of one line', async () => {
    expect((await post('pause?reason=a%0Ab')).status).to.equal(400);
    expect((await post(`pause?reason=${'x'.repeat(201)}`)).status).to.equal(400);
  });

  it('are made, shown and ended by shr pause and shr resume', async () => {
    const shr = async (command: typeof pauseCommand, ...args: readonly string[]) =>
      await run(command, args, { SHR_ADMIN_URL: fixture.url });
    expect((await shr(pauseCommand)).out).to.equal('Nothing is paused.\n');
    expect((await shr(pauseCommand, 'acme', '--reason', 'the registry moves')).out).to.equal(
      'acme: paused since 2026-03-04T12:00:00.000Z by adminToken. Jobs are taken in, and wait.\n',
    );
    expect((await shr(pauseCommand, '--all')).code).to.equal(0);
    expect((await shr(pauseCommand)).out).to.match(
      /acme +2026-03-04T12:00:00\.000Z +adminToken +the registry moves\nall /,
    );
    expect((await shr(resumeCommand, 'acme')).out).to.equal('acme: launches go on.\n');
    expect((await shr(resumeCommand, 'acme')).out).to.equal('acme: nothing was paused.\n');
    expect((await shr(resumeCommand)).err).to.match(/^shr: name one registration, or --all\n/);
    expect((await shr(resumeCommand, '--all')).out).to.equal('All registrations: launches go on.\n');
  });

  it('and open windows are shown with the registration, also where no job waits', async () => {
    await fixture.close();
    const until = NOW + 60 * 60_000;
    fixture = await openTenants({ maintenanceUntilMs: async (name) => (name === 'globex' ? until : undefined) });
    tenant = await issue(fixture.ledger, { name: 'ops-a', role: 'operator', tenants: ['team-a'] });
    const shr = async (...args: readonly string[]) =>
      (await run(registrationsCommand, args, { SHR_ADMIN_URL: fixture.url })).out;
    await post('registrations/acme/pause?reason=abuse');
    await post('registrations/acme/pause?reason=ours', tenant);
    const list = await shr();
    expect(list).to.match(/acme .* paused, \d+\//);
    expect(list).to.match(/globex .* maintenance, \d+\//);
    const since = new Date(NOW).toISOString();
    expect(await shr('show', 'acme')).to.include(
      `held by the pause of adminToken since ${since}, until it is resumed (abuse); and by the pause of ops-a since ${since}, until it is resumed (ours)\n`,
    );
    expect(await shr('show', 'globex')).to.include(
      `held by a maintenance window until ${new Date(until).toISOString()}\n`,
    );

    const heldOf = async (token: string) => {
      const answer = await (await fixture.ask('/api/registrations', as(token))).json();
      return registrationListSchema
        .parse(answer)
        .registrations.map((one) => [one.name, one.launchesHeld.map(({ by }) => by)]);
    };
    await post('pause');
    expect(await heldOf(tenant)).to.deep.equal([['acme', ['the platform', 'the platform', 'ops-a']]]);
    for (const path of ['resume', 'registrations/acme/resume', 'registrations/acme/resume']) await post(path);
    expect(await heldOf(TOKEN)).to.deep.include(['acme', []]);
  });
});
