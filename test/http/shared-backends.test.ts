/** What a service says to the platform's account, before tenants that use its backend. */
import { expect } from 'chai';
import { type Failure, failureWords } from '../../dispatcher/failures/failure.ts';
import type { RegistrationProblem } from '../../dispatcher/observability/problems.ts';
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
  let asked = 0;
  let problems: readonly RegistrationProblem[] = [
    { kind: 'sweep', about: 'main', message: `${said.message} (QuotaExceeded)`, sinceMs: NOW },
  ];
  before(async () => {
    const own = registration('globex');
    const [backend] = own.backends;
    if (backend === undefined) throw new Error('the fixture has a backend');
    const [acme, globex] = backends;
    if (acme === undefined || globex === undefined) throw new Error('the fixture has two backends');
    const closed = globex.closures.map((one) => ({ ...one, failure: said }));
    fixture = await openTenants({
      registrations: () => [registration('acme'), { ...own, backends: [{ ...backend, shared: true }] }],
      backends: () => {
        asked += 1;
        return [acme, { ...globex, closures: closed, notListed: said }];
      },
      resetBackends: async () => closed,
      problems: () => problems,
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

  it('tells its tenant nothing of what a sweep met there, once it is in no closure either', async () => {
    const met = failure({ ...said, kind: 'unauthorized', message: 'no authorization over /subscriptions/4712' });
    problems = [{ kind: 'sweep', about: 'main', message: failureWords(met), sinceMs: NOW, failure: met }];
    const tenant = await tokenOf(fixture.ledger, 'admin', ['team-g']);
    const text = await (await fixture.ask('/api/registrations?registration=globex', as(tenant))).text();
    expect(text)
      .to.include("the platform's account")
      .and.not.to.match(/4712|r-77/);
    expect(await (await fixture.ask('/api/registrations')).text()).to.include('4712');
  });

  it('is looked up once a request, and not for the platform', async () => {
    const tenant = await tokenOf(fixture.ledger, 'admin', ['team-g']);
    for (const path of ['registrations', 'lanes', 'jobs']) {
      asked = 0;
      await fixture.ask(`/api/${path}`, as(tenant));
      expect(asked, path).to.be.at.most(1);
      asked = 0;
      await fixture.ask(`/api/${path}`);
      expect(asked, path).to.equal(0);
    }
  });

  it('tells its tenant no more when it is reset', async () => {
    const tenant = await tokenOf(fixture.ledger, 'admin', ['team-g']);
    const path = '/api/backends/globex/main/reset';
    expect(await (await fixture.ask(path, { method: 'POST', ...as(tenant) })).text()).to.not.include('4711');
    expect(await (await fixture.ask(path, { method: 'POST', ...as(TOKEN) })).text()).to.include('4711');
  });
});
