import { expect } from 'chai';
import type { LoggedDelivery } from '../../../dispatcher/github/delivery-log.ts';
import { type LogPosition, readOn, readPosition } from '../../../dispatcher/intake/redelivery/log-reading.ts';
import type { ListedDeliveries } from '../../../dispatcher/ledger/ledger.ts';

const HOUR = 3_600_000;

describe('reading a log of deliveries', () => {
  const githubNowMs = 1_000 * HOUR;
  const entry = (guid: string, more: Partial<LoggedDelivery> = {}): LoggedDelivery => ({
    ...{ id: '1', guid, deliveredAtMs: githubNowMs - 60_000, redelivery: false, statusCode: 502 },
    ...{ event: 'workflow_job', action: 'queued', installationId: null, repositoryId: 1 },
    ...more,
  });
  const read = async (
    deliveries: readonly LoggedDelivery[],
    more: {
      readonly position?: LogPosition;
      readonly line?: string;
      readonly isAnswered?: (guid: string) => boolean;
    } = {},
  ) => {
    const noted: ListedDeliveries[] = [];
    const result = await readOn({
      ...{ log: 'log', line: 'tenant acme', endpoint: 'registration/acme', cursorName: 'deliveries/log' },
      ...{ position: readPosition(undefined, githubNowMs), isCertain: true, githubNowMs },
      page: async () => ({ deliveries, unreadable: 0, next: undefined }),
      ledger: {
        noteListed: async (listed) => {
          noted.push(listed);
          return { recorded: 0, missed: listed.deliveries.length, dropped: 0, answered: 0 };
        },
      },
      isAnswered: () => false,
      nowMs: () => 5,
      ...more,
    });
    return { ...result, noted };
  };

  it('takes no more of a page than GitHub puts on one', async () => {
    const { noted, entries, unreadable } = await read(Array.from({ length: 2_000 }, (_, n) => entry(`g-${n}`)));
    expect(noted.map(({ deliveries }) => deliveries.length)).to.deep.equal([100]);
    expect([entries, unreadable]).to.deep.equal([100, 1_900]);
  });

  it('goes on at the present once the clock of that GitHub is right again, which was ahead', async () => {
    const position = { settledToMs: githubNowMs + 24 * HOUR, proven: false };
    const { noted, position: after } = await read([entry('lost')], { position });
    expect(noted.map(({ deliveries }) => deliveries.map(({ guid }) => guid))).to.deep.equal([['lost']]);
    expect(after.settledToMs).to.be.at.most(githubNowMs);
    const lastMs = githubNowMs - 7 * 60_000;
    const later = await read([entry('older', { deliveredAtMs: lastMs - 1 }), entry('newer')], {
      position: { settledToMs: lastMs, proven: false },
    });
    expect(
      later.noted[0]?.deliveries.map(({ guid }) => guid),
      'and otherwise where it was',
    ).to.deep.equal(['newer']);
  });

  it('never takes for known what is later than the present, or came shortly before', async () => {
    const ahead = entry('of tomorrow', { deliveredAtMs: githubNowMs + 24 * HOUR });
    expect((await read([ahead])).position.settledToMs).to.equal(githubNowMs - 5 * 60_000);
    const reading = { cursor: 'c', headMs: githubNowMs + 24 * HOUR, pages: 3 };
    const position = { settledToMs: githubNowMs - HOUR, reading, proven: false };
    const begun = await read([entry('g')], { position });
    expect(begun.position, 'nor of a reading that began before').to.deep.equal({
      ...{ settledToMs: githubNowMs - 5 * 60_000, proven: false },
    });
  });

  it('keeps whose log it is in few characters, however many share it', async () => {
    const lineOf = async (line: string) => (await read([entry('g')], { line })).noted[0]?.line;
    expect(await lineOf('tenant acme')).to.equal('tenant acme');
    const many = Array.from({ length: 1_000 }, (_, n) => `tenant ${n}`).join(', ');
    expect(await lineOf(many))
      .to.have.length(64)
      .and.to.equal(await lineOf(many));
    expect(await lineOf(`${many}, tenant x`)).to.not.equal(await lineOf(many));
  });
});
