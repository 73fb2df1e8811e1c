/** What a service says to the platform's account, before tenants that use its backend. */
import { expect } from 'chai';
import type { Failure } from '../../dispatcher/failures/failure.ts';
import { failure } from '../failures/examples.ts';
import { backends, type Fixture, globexLane, NOW, registration, runner, TOKEN } from './admin-fixture.ts';
import { as, openTenants, tokenOf } from './tenants-fixture.ts';

const said: Failure = failure({
  source: 'globex/main',
  kind: 'quota',
  code: 'QuotaExceeded',
  requestId: 'r-77',
  message: 'subscription 4711 has no cores left',
});

describe('a shared backend', () => {
  let fixture: Fixture;
  before(async () => {
    const own = registration('globex');
    const [backend] = own.backends;
    if (backend === undefined) throw new Error('the fixture has a backend');
    const [acme, globex] = backends;
    if (acme === undefined || globex === undefined) throw new Error('the fixture has two backends');
    const closed = globex.closures.map((one) => ({ ...one, failure: said }));
    fixture = await openTenants({
      registrations: () => [registration('acme'), { ...own, backends: [{ ...backend, shared: true }] }],
      backends: () => [acme, { ...globex, closures: closed, notListed: said }],
      resetBackends: async () => closed,
      problems: () => [{ kind: 'sweep', about: 'main', message: `${said.message} (QuotaExceeded)`, sinceMs: NOW }],
      jobReason: async () => `main is closed: ${said.message} (QuotaExceeded, request r-77)`,
      laneReason: async () => `main is closed: ${said.message} (QuotaExceeded, request r-77)`,
    });
    await fixture.ledger.createRunner(runner('shr-failed', globexLane, { failure: said }), 'launched');
  });
  after(() => fixture.close());

  for (const path of [
    'registrations',
    'backends',
    'lanes',
    'jobs',
    'jobs/github.com/3',
    'runners',
    'runners/shr-failed',
  ]) {
    it(`tells its tenant at ${path} that it cannot be used, and the platform why`, async () => {
      const tenant = await tokenOf(fixture.ledger, 'admin', ['team-g']);
      const text = await (await fixture.ask(`/api/${path}`, as(tenant))).text();
      for (const word of ['4711', 'r-77']) expect(text, word).to.not.include(word);
      expect(text).to.include("the platform's account cannot be used for this now");
      expect(await (await fixture.ask(`/api/${path}`)).text()).to.include('4711');
    });
  }

  it('tells its tenant no more when it is reset', async () => {
    const tenant = await tokenOf(fixture.ledger, 'admin', ['team-g']);
    const path = '/api/backends/globex/main/reset';
    expect(await (await fixture.ask(path, { method: 'POST', ...as(tenant) })).text()).to.not.include('4711');
    expect(await (await fixture.ask(path, { method: 'POST', ...as(TOKEN) })).text()).to.include('4711');
  });
});
