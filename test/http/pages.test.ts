import { expect } from 'chai';
import { z } from 'zod';
import { acmeLane, admit, type Fixture, fact, lane, NOW, openFixture, registration, runner } from './admin-fixture.ts';

const pageSchema = z.looseObject({ next: z.string().nullable(), more: z.boolean() });
const KEYS = { jobs: 'key', runners: 'name', registrations: 'name', lanes: 'key' } as const;

describe('every list of the admin API', () => {
  let fixture: Fixture;
  const names = ['a', 'b', 'c', 'd', 'e'];
  before(async () => {
    fixture = await openFixture({
      registrations: () => ['e', 'c', 'a'].map((name) => registration(name)),
      quarantined: () => ['d', 'b'].map((name) => ({ name, file: `${name}.yaml`, problems: [], claims: undefined })),
    });
    // Three at the same millisecond: the key decides.
    const facts = [1, 2, 3, 4, 5].map((id) => fact(id, 'acme', { observedAtMs: NOW - 1000 * Math.floor(id / 2) }));
    await admit(fixture.ledger, facts, ({ jobId }) => lane(`lane${jobId}`, 'acme'));
    for (const name of names) await fixture.ledger.createRunner(runner(name, acmeLane), 'launched');
  });
  after(() => fixture.close());

  const all = async (path: string, list: keyof typeof KEYS | 'quarantined') => {
    const read: string[][] = [];
    for (let cursor = ''; ; ) {
      const page = pageSchema.parse(await (await fixture.ask(`${path}${cursor}`)).json());
      const items = z.array(z.looseObject({})).parse(page[list]);
      read.push(items.map((item) => String(item[list === 'quarantined' ? 'name' : KEYS[list]])));
      expect(page.more).to.equal(page.next !== null);
      if (page.next === null) return read;
      cursor = `&cursor=${page.next}`;
    }
  };

  for (const list of ['jobs', 'runners', 'lanes'] as const) {
    for (const query of list === 'lanes' ? [''] : ['', list === 'jobs' ? '&status=queued' : '&state=creating']) {
      it(`has each of the ${list}${query} once, in its order, in pages of two`, async () => {
        const pages = await all(`/api/${list}?limit=2${query}`, list);
        expect(pages.map(({ length }) => length)).to.deep.equal([2, 2, 1]);
        expect(pages.flat()).to.deep.equal((await all(`/api/${list}?limit=500${query}`, list)).flat());
        expect(new Set(pages.flat()).size).to.equal(5);
      });
    }
  }

  it('has registrations and those that are set aside side by side, by name', async () => {
    expect(await all('/api/registrations?limit=1', 'registrations')).to.deep.equal([['a'], [], ['c'], ['e']]);
    expect(await all('/api/registrations?limit=1', 'quarantined')).to.deep.equal([[], ['b'], [], ['d']]);
  });

  it('refuses a cursor that it did not give', async () => {
    for (const cursor of ['x', 'W10', Buffer.from('["a",1]').toString('base64url'), 'a%22']) {
      expect((await fixture.ask(`/api/jobs?cursor=${cursor}`)).status, cursor).to.equal(400);
    }
  });
});
