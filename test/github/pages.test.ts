import { expect } from 'chai';
import { z } from 'zod';
import { type Listing, listPages } from '../../dispatcher/github/pages.ts';
import type { Caller, GithubAnswer, GithubCall } from '../../dispatcher/github/requester.ts';
import { failureOf } from './github-fixture.ts';

const numbers = z.array(z.int());

/** A list of so many numbers, page by page. */
function listOf(count: number, { tellsNext = true, status = 200, inOne = 100, characters = 1_000 } = {}) {
  const asked: GithubCall<unknown>['parameters'][] = [];
  const caller: Caller = {
    call: async <T>(call: GithubCall<T>): Promise<GithubAnswer<T>> => {
      asked.push(call.parameters);
      if (call.accept?.includes(status)) return { accepted: true, status, message: 'no' };
      const first = (Number(call.parameters['page']) - 1) * inOne;
      const items = Array.from({ length: Math.max(0, Math.min(inOne, count - first)) }, (_, index) => first + index);
      return {
        accepted: false,
        data: call.answer.parse(items),
        hasNext: tellsNext && first + inOne < count,
        isPartial: false,
        sentAtMs: 1_000 + first,
        characters,
      };
    },
  };
  const list = (change: Partial<Listing<number[], number>> = {}) =>
    listPages<number[], number>(caller, {
      route: '/numbers',
      parameters: { filter: 'odd' },
      purpose: 'sweep',
      answer: numbers,
      page: (data) => ({ items: data, total: tellsNext ? undefined : count }),
      mostPages: 3,
      beyond: 'fail',
      ...change,
    });
  return { asked, list };
}

describe('a list that GitHub gives page by page', () => {
  for (const tellsNext of [true, false]) {
    it(`is read to its end, a hundred at a time (${tellsNext ? 'a link names the next page' : 'its length is told'})`, async () => {
      const { asked, list } = listOf(230, { tellsNext });
      const listed = await list();
      expect(listed?.items).to.deep.equal(Array.from({ length: 230 }, (_, index) => index));
      expect(listed).to.include({ complete: true, sentAtMs: 1_000 });
      expect(asked).to.deep.equal([1, 2, 3].map((page) => ({ filter: 'odd', per_page: 100, page })));
    });
  }

  it('is a failure where it is longer than is read and the whole of it matters', async () => {
    const { asked, list } = listOf(301);
    expect((await failureOf(list(), 'invalid')).message).to.include('longer than 300 entries');
    expect(asked).to.have.length(3);
    expect((await listOf(300).list())?.complete).to.equal(true);
  });

  it('is marked as cut where a part of it will do', async () => {
    const { asked, list } = listOf(301);
    const listed = await list({ beyond: 'leave' });
    expect([listed?.complete, listed?.items.length, asked.length]).to.deep.equal([false, 300, 3]);
  });

  for (const [what, server] of [
    ['puts more entries than were asked for into a page', { inOne: 200_000 }],
    ['puts megabytes into a page', { characters: 6 * 1024 * 1024 }],
  ] as const) {
    it(`takes no more memory where a server ${what}`, async () => {
      const long = listOf(1_000_000, server);
      await failureOf(long.list({ mostPages: 200 }), 'invalid');
      expect(long.asked.length).to.be.at.most(3);
      const cut = await listOf(1_000_000, server).list({ mostPages: 200, beyond: 'leave' });
      expect(cut?.complete).to.equal(false);
      expect(cut?.items.length).to.be.at.most(20_000);
    });
  }

  it('is read no further than what is looked for', async () => {
    const { asked, list } = listOf(1_000);
    const listed = await list({ until: (one) => one === 150 });
    expect([listed?.items.length, asked.length]).to.deep.equal([200, 2]);
  });

  it('ends where GitHub announces more than it gives', async () => {
    const { asked, list } = listOf(100, { tellsNext: false });
    const listed = await list({ page: (data) => ({ items: data, total: 120 }) });
    expect([listed?.items.length, listed?.complete, asked.length]).to.deep.equal([100, true, 2]);
  });

  it('is none where the caller takes the refusal for an answer', async () => {
    expect(await listOf(10, { status: 404 }).list({ accept: [404] })).to.equal(undefined);
  });
});
