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
