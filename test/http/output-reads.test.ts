import { expect } from 'chai';
import { runnerDetailSchema } from '../../dispatcher/http/admin-shapes.ts';
import { OutputReads, TooManyReads } from '../../dispatcher/http/output-reads.ts';
import { type Fixture, MINUTE, registration } from './admin-fixture.ts';
import { as, openTenants, tokenOf } from './tenants-fixture.ts';

describe('reads of live output at shared backends', () => {
  let now: number;
  let reads: OutputReads;
  let ends: (() => void)[];
  let count: number;
  beforeEach(() => {
    now = 1_000_000;
    ends = [];
    count = 0;
    reads = new OutputReads({ now: () => now });
  });

  const slow = () =>
    new Promise<string>((resolve) => {
      count += 1;
      ends.push(() => resolve('output'));
    });
  const quick = async () => {
    count += 1;
    return 'output';
  };
  const refused = async (reading: Promise<unknown>) =>
    await reading.then(
      () => 'read',
      (error: unknown) => (error instanceof TooManyReads ? error.message : String(error)),
    );

  it('are two at once for a tenant, and take none from another', async () => {
    const first = [reads.of('a', 'a-1', slow), reads.of('a', 'a-2', slow)];
    expect(await refused(reads.of('a', 'a-3', slow))).to.include('ask again in 1 s');
    const other = reads.of('b', 'b-1', slow);
    expect(count).to.equal(3);
    for (const end of ends) end();
    expect(await Promise.all([...first, other])).to.deep.equal(['output', 'output', 'output']);
    const later = reads.of('a', 'a-3', quick);
    expect(await later).to.equal('output');
  });

  it('of one runner at the same time are one', async () => {
    const both = [reads.of('a', 'a-1', slow), reads.of('a', 'a-1', slow)];
    for (const end of ends) end();
    expect(await Promise.all(both)).to.deep.equal(['output', 'output']);
    expect(count).to.equal(1);
  });

  it('are twenty a minute for a tenant, five of them together', async () => {
    for (let index = 0; index < 5; index += 1)
      expect(await refused(reads.of('a', `a-${index}`, quick))).to.equal('read');
    expect(await refused(reads.of('a', 'a-9', quick))).to.include('ask again in 3 s');
    expect(await refused(reads.of('b', 'b-1', quick))).to.equal('read');
    for (let second = 0; second < 600; second += 1) {
      now += 1_000;
      await refused(reads.of('a', 'a-9', quick));
    }
    expect(count).to.be.within(200, 210);
  });

  it('are sixteen at once for all, of which no tenant has more than two', async () => {
    const reading = Array.from({ length: 8 }, (_, tenant) => [
      reads.of(`t${tenant}`, `t${tenant}-1`, slow),
      reads.of(`t${tenant}`, `t${tenant}-2`, slow),
    ]).flat();
    expect(await refused(reads.of('late', 'late-1', slow))).to.include('ask again');
    for (const end of ends) end();
    await Promise.all(reading);
    expect(await refused(reads.of('late', 'late-1', quick))).to.equal('read');
  });

  it('that fail give their place back', async () => {
    for (let index = 0; index < 4; index += 1) {
      expect(await refused(reads.of('a', `a-${index}`, async () => Promise.reject(new Error('no'))))).to.equal(
        'Error: no',
      );
    }
    expect(await refused(reads.of('a', 'a-5', quick))).to.equal('read');
  });
});

describe('the output of a runner at a shared backend', () => {
  let fixture: Fixture;
  let read = 0;
  before(async () => {
    const own = registration('acme');
    const shared = own.backends.map((backend) => ({ ...backend, shared: true as const }));
    fixture = await openTenants({
      registrations: () => [{ ...own, backends: shared }, registration('globex')],
      liveOutput: async () => {
        read += 1;
        return 'hello';
      },
    });
    await fixture.ledger.keepOutput('shr-acme', 'kept before', Date.now() - MINUTE);
  });
  after(() => fixture.close());

  async function ask(token: string, runner = 'shr-acme') {
    const answer = await fixture.ask(`/api/runners/${runner}?output=true`, as(token));
    return runnerDetailSchema.parse(await answer.json());
  }

  it('is what was kept, with the reason, once its tenant asks too often; and the platform reads on', async () => {
    const tenant = await tokenOf(fixture.ledger, 'viewer', ['team-a']);
    for (let index = 0; index < 5; index += 1) expect((await ask(tenant)).outputIs).to.equal('live');
    const more = await ask(tenant);
    expect(more).to.include({ output: 'kept before', outputIs: 'kept' });
    expect(more.outputProblem).to.match(/^output is read from the platform's backends too often: ask again in \d+ s$/);
    expect(read).to.equal(5);
    const platform = await tokenOf(fixture.ledger, 'viewer', null);
    for (let index = 0; index < 7; index += 1) expect((await ask(platform)).outputIs).to.equal('live');
  });

  it('is read as often as its tenant likes where the backend is its own', async () => {
    const tenant = await tokenOf(fixture.ledger, 'viewer', ['team-g']);
    for (let index = 0; index < 7; index += 1) expect((await ask(tenant, 'shr-globex')).outputIs).to.equal('live');
  });
});
