/** The report of a registration that only observes, over the admin API and by `shr observe`. */
import { expect } from 'chai';
import { createCommand as observeCommand } from '../../dispatcher/cli/observe.ts';
import { createCommand as registrationsCommand } from '../../dispatcher/cli/registrations.ts';
import { observedSchema } from '../../dispatcher/http/admin-shapes.ts';
import type { JobFact } from '../../dispatcher/jobs/facts.ts';
import { jobKey } from '../../dispatcher/jobs/facts.ts';
import { run } from '../cli/admin-run.ts';
import { acmeLane, type Fixture, fact, MINUTE, NOW, registration, TOKEN } from './admin-fixture.ts';
import { as, openTenants, tokenOf } from './tenants-fixture.ts';

const price = { perCoreHour: 0.06, perGiBHour: 0.01, currency: 'USD' };
const lane = { ...acmeLane, key: 'lane0observed001', wish: { ...acmeLane.wish, cpu: 2, memoryGiB: 4 } };

describe('what a registration that only observes would have run', () => {
  let fixture: Fixture;
  beforeEach(async () => {
    const own = registration('acme');
    const backends = own.backends.map((backend) => ({ ...backend, maxRunners: 1, price }));
    fixture = await openTenants({
      registrations: () => [{ ...own, backends, observe: true }, registration('globex')],
    });
    const ended = { status: 'completed', conclusion: 'success', runnerId: 5, runnerGroup: 'k8s' } as const;
    await observe([
      fact(11, 'acme', {
        ...{ ...ended, runnerName: 'arc-1', createdAtMs: NOW - 60 * MINUTE },
        ...{ startedAtMs: NOW - 59 * MINUTE, completedAtMs: NOW - 29 * MINUTE },
      }),
      fact(12, 'acme', {
        ...{ ...ended, runnerName: 'arc-2', createdAtMs: NOW - 60 * MINUTE },
        ...{ startedAtMs: NOW - 58 * MINUTE, completedAtMs: NOW - 48 * MINUTE },
      }),
      fact(13, 'acme'),
    ]);
  });
  afterEach(() => fixture.close());

  async function observe(facts: readonly JobFact[]): Promise<void> {
    const { ledger } = fixture;
    await ledger.recordFacts(facts);
    for (const one of facts) {
      const row = await ledger.job(jobKey(one));
      const words = { reasonCode: 'observed', reason: 'it only observes', cure: null };
      const admission = { state: 'observed' as const, registration: 'acme', lane, ...words };
      await ledger.settleJobs([{ key: jobKey(one), version: row?.version ?? 0, admission }]);
    }
  }
  async function ask(query = '', token = TOKEN) {
    const response = await fixture.ask(`/api/registrations/acme/observed${query}`, as(token));
    expect(response.status).to.equal(200);
    return observedSchema.parse(await response.json());
  }

  it('is told to its tenant, in total and job by job', async () => {
    const { jobs, model, observes, total } = await ask('', await tokenOf(fixture.ledger, 'viewer', ['team-a']));
    expect(observes).to.equal(true);
    expect(model).to.include('maxRunners');
    expect(total).to.deep.include({ jobs: 3, ran: 2, waits: 1, mostAtOnce: 1, cut: false, costUnknown: 0 });
    expect(total.costs).to.deep.equal([{ amount: 0.106667, currency: 'USD' }]);
    expect(total.takenBy).to.deep.equal([{ runnerGroup: 'k8s', jobs: 2 }]);
    expect(jobs.map(({ key, state }) => [key, state])).to.deep.equal([
      ['github.com/acme/web/13', 'waits'],
      ['github.com/acme/web/12', 'ran'],
      ['github.com/acme/web/11', 'ran'],
    ]);
    expect(jobs[1]?.would).to.deep.include({ backend: 'main', cpu: 2, memoryGiB: 4, waitSeconds: 1800 });
    expect(jobs[1]?.really).to.deep.include({ waitSeconds: 120, runSeconds: 600, runner: 'arc-2', runnerGroup: 'k8s' });
    expect(jobs[2]?.would.cost).to.deep.equal({ amount: 0.08, currency: 'USD' });
  });

  it('comes in pages, and each has the same total', async () => {
    const first = await ask('?limit=2');
    expect([first.jobs.length, first.more]).to.deep.equal([2, true]);
    const second = await ask(`?limit=2&cursor=${first.next}`);
    expect(second.jobs.map(({ key }) => key)).to.deep.equal(['github.com/acme/web/11']);
    expect([second.more, second.next]).to.deep.equal([false, null]);
    expect(second.total).to.deep.equal(first.total);
  });

  it('goes as far back as it is asked to', async () => {
    expect((await ask('?since=1m')).total.jobs).to.equal(0);
    const wrong = await fixture.ask('/api/registrations/acme/observed?since=1y');
    expect(wrong.status).to.equal(400);
  });

  it('tells how many it would have refused, and not in whose words', async () => {
    await fixture.ledger.recordFacts([fact(21, 'acme')]);
    const key = 'github.com/acme/web/21';
    const words = { reasonCode: 'backend-refused', reason: 'subscription 4711 is full', cure: null };
    const admission = { state: 'refused' as const, registration: 'acme', lane: null, ...words };
    await fixture.ledger.settleJobs([{ key, version: 1, admission }]);
    const report = await ask();
    expect(report.refused).to.deep.equal([{ code: 'backend-refused', jobs: 1, latest: key }]);
    expect(JSON.stringify(report)).to.not.include('4711');
  });

  it('names no more groups than a page has room for', async () => {
    const some = { status: 'in_progress', startedAtMs: NOW - MINUTE } as const;
    const facts = Array.from({ length: 30 }, (_, index) =>
      fact(100 + index, 'acme', { ...some, runnerName: `r-${index}`, runnerGroup: `group-${index}` }),
    );
    await observe(facts);
    const { takenBy } = (await ask()).total;
    expect(takenBy).to.have.length(21);
    expect(takenBy.at(-1)).to.deep.equal({ runnerGroup: 'others', jobs: 11 });
  });

  it('is printed by shr observe', async () => {
    const { code, out } = await run(observeCommand, ['acme', '--url', fixture.url]);
    expect(code).to.equal(0);
    expect(out).to.match(/^jobs +3: 2 ran, 0 run, 1 wait, 0 never ran$/m);
    expect(out).to.match(/^would wait +half 0s or less, 95 % 30m or less, the longest 30m \(3 jobs\)$/m);
    expect(out).to.match(/^would cost +about 0\.11 USD$/m);
    expect(out).to.match(
      /^github\.com\/acme\/web\/12 +ran +main +2 cpu, 4 GiB +30m +0\.027 USD +2m +10m +arc-2 \(k8s\)/m,
    );
    expect(out).to.include('\nWould wait: In the order in which they were queued');
    const json = await run(observeCommand, ['acme', '--json', '--url', fixture.url]);
    expect(observedSchema.parse(JSON.parse(json.out)).total.jobs).to.equal(3);
  });

  it('says of one that does not observe what would let it', async () => {
    const { out } = await run(observeCommand, ['globex', '--url', fixture.url]);
    expect(out).to.match(
      /^globex does not observe: `observe: true` in its file lets it\.\nNo jobs were observed since /,
    );
    const unknown = await run(observeCommand, ['nowhere', '--url', fixture.url]);
    expect([unknown.code, unknown.err]).to.deep.equal([
      1,
      'shr: no registration nowhere\n     `shr registrations` lists those that there are\n',
    ]);
  });

  it('is what shr registrations says of it', async () => {
    const { out } = await run(registrationsCommand, ['--url', fixture.url]);
    expect(out).to.match(/^acme .* observes, 1\/10 /m);
    expect((await run(registrationsCommand, ['show', 'acme', '--url', fixture.url])).out).to.match(
      /^observes +yes: nothing is launched/m,
    );
  });
});
