/** What GitHub's logs of deliveries have that was never recorded, on every store. */
import { expect } from 'chai';
import { type ListedDelivery, MAX_MISSED_OF_LINE, MAX_MISSED_OF_SHARE } from '../../dispatcher/ledger/ledger.ts';
import { fact } from './examples.ts';
import type { OpenedLedger } from './opened-ledger.ts';

export function describeMissedDeliveries(at: OpenedLedger): void {
  describe('deliveries that never arrived', () => {
    const log = 'github.com app 1 registration/acme';
    const endpoint = 'registration/acme';
    const listed = (guid: string, more: Partial<ListedDelivery> = {}): ListedDelivery => ({
      guid,
      deliveryId: `9${guid.replaceAll(/\D/g, '')}`,
      share: 'repository 1',
      installation: 'installation 1',
      rank: 0,
      deliveredAtMs: 1_000,
      attempts: 0,
      ...more,
    });
    const line = 'tenant acme';
    const note = (deliveries: readonly ListedDelivery[], isOurs = true, where = { log, line }) =>
      at.ledger.noteListed({ ...where, endpoint, deliveries, isOurs, nowMs: 2_000 });
    const begin = (nowMs: number, limit = 10, mostAttempts = 2, of = log) =>
      at.ledger.beginRedeliveries({
        ...{ log: of, endpoint, limit, mostAttempts, nowMs },
        nextDueAtMs: (attempts) => nowMs + attempts * 60_000,
      });
    const arrive = (guid: string, to = endpoint) =>
      at.ledger.recordDeliveries([
        {
          delivery: { endpoint: to, guid, event: 'workflow_job', action: 'queued', receivedAtMs: 1_500 },
          fact: fact({ jobId: 1 }),
        },
      ]);

    it('are those of the log without a record at its own endpoint', async () => {
      await arrive('g-1');
      await arrive('g-2', 'registration/other');
      expect(await note([listed('g-1'), listed('g-2'), listed('g-3')], false)).to.deep.equal({
        ...{ recorded: 1, missed: 0, dropped: 0, answered: 0 },
      });
      expect(await note([listed('g-1'), listed('g-2'), listed('g-3')])).to.deep.equal({
        ...{ recorded: 1, missed: 2, dropped: 0, answered: 0 },
      });
      expect(await note([listed('g-2'), listed('g-3')]), 'once').to.include({ missed: 0 });
      expect(await at.ledger.openMissed()).to.deep.equal(new Map([[log, 2]]));
      const { due } = await begin(3_000);
      expect(due.map(({ guid, deliveryId, attempts }) => [guid, deliveryId, attempts])).to.deep.equal([
        ['g-2', '92', 0],
        ['g-3', '93', 0],
      ]);
    });

    it('move the cursor in the same transaction', async () => {
      const cursor = { name: 'deliveries/x', value: 'so far' };
      await at.ledger.noteListed({ log, line, endpoint, deliveries: [], isOurs: true, cursor, nowMs: 1 });
      expect(await at.ledger.cursor('deliveries/x')).to.equal('so far');
    });

    it('count their attempts before these are made, and wait in between', async () => {
      await note([listed('g-1')]);
      expect((await begin(3_000)).due).to.have.length(1);
      expect((await begin(3_001)).due, 'not yet').to.have.length(0);
      expect((await begin(63_000)).due.map(({ attempts }) => attempts)).to.deep.equal([1]);
      expect(await begin(182_999)).to.deep.equal({ arrived: 0, givenUp: 0, due: [] });
      expect(await begin(183_000), 'two are enough').to.deep.equal({ arrived: 0, givenUp: 1, due: [] });
      expect(await note([listed('g-1')]), 'and it is not begun anew').to.include({ missed: 0 });
      expect(await at.ledger.openMissed()).to.deep.equal(new Map());
    });

    it('are not asked for once they have arrived, not even in the last moment', async () => {
      await note([listed('g-1'), listed('g-2')]);
      await arrive('g-1');
      const { arrived, due } = await begin(3_000);
      expect([arrived, due.map(({ guid }) => guid)]).to.deep.equal([1, ['g-2']]);
      await arrive('g-2');
      expect(await begin(900_000, 10, 1), 'late is not never').to.deep.equal({ arrived: 1, givenUp: 0, due: [] });
    });

    it('are over where they were answered for good, though they are not recorded', async () => {
      await note([listed('g-1'), listed('g-2')]);
      const answered = { log, line, endpoint, deliveries: [], answered: ['g-1', 'g-3'], isOurs: true, nowMs: 2_500 };
      expect(await at.ledger.noteListed({ ...answered, isOurs: false })).to.include({ answered: 0 });
      expect(await at.ledger.noteListed(answered)).to.include({ answered: 1 });
      expect(await at.ledger.noteListed(answered), 'once').to.include({ answered: 0 });
      expect((await begin(3_000)).due.map(({ guid }) => guid)).to.deep.equal(['g-2']);
      expect(await note([listed('g-1')]), 'and not begun anew').to.include({ missed: 0 });
    });

    it('have an attempt back that was not made, and end where GitHub has them no more', async () => {
      await note([listed('g-1'), listed('g-2')]);
      const { due } = await begin(3_000);
      await at.ledger.takeBackRedeliveries(log, due.slice(0, 1), { dueAtMs: 4_000, nowMs: 3_500 });
      await at.ledger.giveUpRedelivery(log, 'g-2', 3_500);
      expect((await begin(4_000)).due.map(({ guid, attempts }) => [guid, attempts])).to.deep.equal([['g-1', 0]]);
      expect((await begin(9_000_000, 10, 9)).due.map(({ guid }) => guid)).to.deep.equal(['g-1']);
    });

    it('take turns by share, and of each what starts a job goes first', async () => {
      const flood = Array.from({ length: 20 }, (_, n) => listed(`f-${n}`, { deliveredAtMs: 500 + n }));
      await note([
        ...flood,
        listed('g-1', { share: 'repository 2', rank: 1, deliveredAtMs: 800 }),
        listed('g-2', { share: 'repository 2', deliveredAtMs: 900 }),
      ]);
      expect((await begin(3_000, 4)).due.map(({ guid }) => guid)).to.deep.equal(['f-0', 'g-2', 'f-1', 'g-1']);
    });

    it('take turns by owner first: the many repositories of one are not before the one of another', async () => {
      const many = Array.from({ length: 50 }, (_, n) =>
        listed(`f-${n}`, { share: `many ${n}`, deliveredAtMs: 500 + n }),
      );
      const few = { share: 'few', installation: 'installation 2' };
      await note([
        ...many,
        listed('g-1', { ...few, deliveredAtMs: 801 }),
        listed('g-2', { ...few, deliveredAtMs: 802 }),
      ]);
      expect((await begin(3_000, 4)).due.map(({ guid }) => guid)).to.deep.equal(['f-0', 'g-1', 'f-1', 'g-2']);
    });

    it('go on with the owners and repositories that have waited longest since their last turn', async () => {
      const deliveries = Array.from({ length: 6 }, (_, owner) =>
        Array.from({ length: 4 }, (_none, n) =>
          listed(`${owner}-${n}`, {
            ...{ share: `${owner} ${n % 2}`, installation: `i ${owner}`, deliveredAtMs: owner * 100 + n },
          }),
        ),
      );
      await note(deliveries.flat());
      const asked: string[] = [];
      for (let turn = 0; turn < 6; turn += 1) {
        asked.push((await begin(3_000 + turn, 2)).due.map(({ guid }) => guid).join(' '));
      }
      expect(asked).to.deep.equal(['0-0 1-0', '2-0 3-0', '4-0 5-0', '0-1 1-1', '2-1 3-1', '4-1 5-1']);
    });

    it('have bounds, in which a flood of one share leaves room for others', async () => {
      for (let share = 0; share < MAX_MISSED_OF_LINE / MAX_MISSED_OF_SHARE; share += 1) {
        const flood = Array.from({ length: MAX_MISSED_OF_SHARE + (share === 0 ? 1 : 0) }, (_, n) =>
          listed(`f-${share}-${n}`, { share: `flood ${share}`, deliveredAtMs: n }),
        );
        expect(await note(flood)).to.include({ missed: MAX_MISSED_OF_SHARE, dropped: share === 0 ? 1 : 0 });
      }
      expect(await note([listed('g-1', { share: 'small' })])).to.include({ missed: 1, dropped: 0 });
      expect((await at.ledger.openMissed()).get(log)).to.equal(MAX_MISSED_OF_LINE);
      const { due } = await begin(3_000, 6);
      expect(due.map(({ guid }) => guid)).to.include('g-1');
    });

    /** So many of a share each, up to the bound. */
    const fill = async (each: number, more: (share: number) => Partial<ListedDelivery> = () => ({}), of = log) => {
      const shares = Array.from({ length: MAX_MISSED_OF_LINE / each }, (_, share) => share);
      const flood = shares.flatMap((share) =>
        Array.from({ length: each }, (_, n) => listed(`f-${share}-${n}`, { share: `flood ${share}`, ...more(share) })),
      );
      expect(await note(flood, true, { log: of, line })).to.include({ missed: MAX_MISSED_OF_LINE });
    };

    it('have one bound for all logs of a tenant', async () => {
      await fill(MAX_MISSED_OF_SHARE, undefined, 'one log');
      expect(await note([listed('g-1', { share: 'small' })], true, { log: 'another', line })).to.include({ missed: 1 });
      const open = await at.ledger.openMissed();
      expect([open.get('one log'), open.get('another')]).to.deep.equal([MAX_MISSED_OF_LINE - 1, 1]);
      expect(
        await note([listed('g-1'), listed('g-2')], true, { log, line: 'tenant other' }),
        'which is of no other tenant',
      ).to.include({ missed: 2 });
      expect((await at.ledger.openMissed()).get('one log')).to.equal(MAX_MISSED_OF_LINE - 1);
    });

    it('of many repositories of one owner leave as much room for the few of another', async () => {
      await fill(2);
      const few = Array.from({ length: 50 }, (_, n) =>
        listed(`g-${n}`, { share: 'few', installation: 'installation 2' }),
      );
      expect(await note(few)).to.include({ missed: 50, dropped: 0 });
      const more = listed('h-1', { share: 'flood 4999' });
      expect(await note([more]), 'and of the first owner none has more than this one, to give way to it').to.include({
        dropped: 1,
      });
      expect((await at.ledger.openMissed()).get(log)).to.equal(MAX_MISSED_OF_LINE);
    });

    it('give way to new ones once they are over, those that have been so longest first', async () => {
      const share = 'repository 1';
      await note(Array.from({ length: MAX_MISSED_OF_SHARE }, (_, n) => listed(`a-${n}`)));
      expect(await note([listed('b-1')])).to.include({ dropped: 1 });
      for (const guid of ['a-0', 'a-1']) await at.ledger.giveUpRedelivery(log, guid, 2_500);
      expect(await note([listed('b-1'), listed('b-2'), listed('b-3')]), 'of the repository').to.include({
        ...{ missed: 2, dropped: 1 },
      });
      const rest = MAX_MISSED_OF_LINE - MAX_MISSED_OF_SHARE - 2;
      const others = Array.from({ length: rest }, (_, n) => listed(`c-${n}`, { share: `other ${n}` }));
      expect(await note(others)).to.include({ missed: rest });
      expect(await note([listed('d-1', { share: 'd' })]), 'and of all').to.include({ missed: 1 });
      expect((await at.ledger.openMissed()).get(log), 'for which no open one went').to.equal(MAX_MISSED_OF_LINE - 1);
      expect(await note([listed('a-0', { share })]), 'the first of them').to.include({ dropped: 1 });
      expect(await note([listed('a-1', { share })]), 'is unknown now').to.include({ missed: 0, dropped: 0 });
    });

    const retention = {
      ...{ deliveriesMs: 1e15, jobsMs: 1e15, runnersMs: 1e15 },
      ...{ maxDeliveries: 1_000, maxJobs: 1_000, maxRunners: 1_000 },
    };
    const dayMs = 24 * 3_600_000;

    it('are forgotten after eight days', async () => {
      await note([listed('g-1')]);
      expect(await at.ledger.prune(2_000 + 8 * dayMs, retention, 10)).to.equal(0);
      expect(await at.ledger.prune(2_001 + 8 * dayMs, retention, 10)).to.equal(1);
    });

    it('and so are the positions in logs that are read no more, and no other cursor', async () => {
      const cursor = (name: string) => ({ name, value: 'so far' });
      for (const name of [
        'deliveries/gone 1',
        'deliveries/gone 2',
        'deliveries/gone 3',
        'deliveries/read',
        'polls/a',
      ]) {
        await at.ledger.noteListed({
          ...{ log, line, endpoint, deliveries: [], isOurs: true, nowMs: 2_000 },
          cursor: cursor(name),
        });
      }
      const nowMs = 2_001 + 8 * dayMs;
      const read = { log, line, endpoint, deliveries: [], isOurs: true, cursor: cursor('deliveries/read'), nowMs };
      await at.ledger.noteListed(read);
      expect(await at.ledger.prune(nowMs - 1, retention, 10)).to.equal(0);
      expect(await at.ledger.prune(nowMs, retention, 2), 'in small steps').to.equal(2);
      expect(await at.ledger.prune(nowMs, retention, 2)).to.equal(1);
      expect(await at.ledger.prune(nowMs, retention, 2)).to.equal(0);
      expect(await at.ledger.cursor('deliveries/gone 1')).to.equal(undefined);
      expect(await at.ledger.cursor('deliveries/read')).to.equal('so far');
      expect(await at.ledger.cursor('polls/a')).to.equal('so far');
    });
  });
}
