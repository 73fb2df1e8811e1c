import { expect } from 'chai';
import { z } from 'zod';
import type { GithubErrorKind } from '../../dispatcher/failures/failure.ts';
import { GithubError } from '../../dispatcher/github/github.ts';
import { type LoadMember, SharedLoad } from '../../dispatcher/github/load-sharing.ts';
import type { GithubAnswer, GithubCall } from '../../dispatcher/github/requester.ts';
import { failureOf } from './github-fixture.ts';
import { VirtualClock } from './virtual-clock.ts';

const call: GithubCall<unknown> = {
  method: 'GET',
  route: '/rate_limit',
  parameters: {},
  purpose: 'verify',
  answer: z.unknown(),
};

interface App {
  headroom: number;
  /** What it is refused with; undefined: it is answered. */
  refusal?: readonly [GithubErrorKind, retryAfterMs?: number] | undefined;
}

/** Apps by name; answers in what order they were asked. */
function sharing(apps: Readonly<Record<string, App>>) {
  const clock = new VirtualClock();
  let asked = '';
  const members = Object.entries(apps).map(([name, app]): LoadMember => {
    return {
      headroom: () => app.headroom,
      call: async <T>(): Promise<GithubAnswer<T>> => {
        asked += name;
        if (app.refusal === undefined) return { accepted: true, status: 204, message: name };
        const [kind, retryAfterMs] = app.refusal;
        throw new GithubError(kind, 'GET /rate_limit', name, retryAfterMs === undefined ? {} : { retryAfterMs });
      },
    };
  });
  const shared = new SharedLoad(members, clock);
  const order = async () => {
    asked = '';
    await shared.call(call).catch((error: unknown) => error);
    return asked;
  };
  return { clock, shared, order };
}

describe('a load that several Apps share', () => {
  it('goes to the one with most of its budget left', async () => {
    const apps = { a: { headroom: 0.2 }, b: { headroom: 0.9 }, c: { headroom: 0.5 } };
    const { order } = sharing(apps);
    expect(await order()).to.equal('b');
    apps.b.headroom = 0.4;
    expect(await order()).to.equal('c');
  });

  it('passes by an App that was refused, for a minute, also where the clock was set back', async () => {
    const apps: Record<'a' | 'b', App> = { a: { headroom: 0.9, refusal: ['forbidden'] }, b: { headroom: 0.1 } };
    const { order, clock } = sharing(apps);
    expect(await order()).to.equal('ab');
    expect(await order()).to.equal('b');
    await clock.advance(59_999);
    expect(await order()).to.equal('b');
    await clock.advance(1);
    expect(await order()).to.equal('ab');
    clock.set(clock.now() - 3_600_000);
    expect(await order()).to.equal('ab');
  });

  it('asks a refused one when no other may, and takes it as before once it was answered', async () => {
    const apps: Record<'a' | 'b', App> = {
      a: { headroom: 0.9, refusal: ['unauthorized'] },
      b: { headroom: 0.1 },
    };
    const { order } = sharing(apps);
    await order();
    apps.a.refusal = undefined;
    apps.b.refusal = ['forbidden'];
    expect(await order()).to.equal('ba');
    expect(await order()).to.equal('a');
  });

  it('goes by an App at its limit for that call alone: its budget tells when it may again', async () => {
    const apps: Record<'a' | 'b', App> = {
      a: { headroom: 0.9, refusal: ['rate-limited', 1_000] },
      b: { headroom: 0.1 },
    };
    const { order } = sharing(apps);
    expect(await order()).to.equal('ab');
    expect(await order()).to.equal('ab');
  });

  for (const kind of ['not-found', 'conflict', 'invalid', 'transient'] as const) {
    it(`asks no other App after ${kind}: it would hear the same, or do it twice`, async () => {
      const { order } = sharing({ a: { headroom: 0.9, refusal: [kind] }, b: { headroom: 0.1 } });
      expect(await order()).to.equal('a');
    });
  }

  it('reports the refusal that passes first, of several', async () => {
    for (const refusals of [
      [['forbidden'], ['rate-limited', 9_000], ['rate-limited', 5_000]],
      [['rate-limited', 5_000], ['rate-limited', 9_000], ['unauthorized']],
    ] as const) {
      const [one, two, three] = refusals;
      const { shared } = sharing({
        a: { headroom: 0.9, refusal: one },
        b: { headroom: 0.5, refusal: two },
        c: { headroom: 0.1, refusal: three },
      });
      expect((await failureOf(shared.call(call), 'rate-limited')).retryAfterMs).to.equal(5_000);
    }
  });
});
