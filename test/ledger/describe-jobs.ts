/** Jobs, on every store. */
import { expect } from 'chai';
import { jobKey } from '../../dispatcher/jobs/facts.ts';
import type { Ledger } from '../../dispatcher/ledger/ledger.ts';
import { admitted, fact, keyOf, lane, notOurs, refused } from './examples.ts';
import { keys, type OpenedLedger, rejection } from './opened-ledger.ts';

export function describeJobs(at: OpenedLedger): void {
  describe('jobs', () => {
    it('come up for settling in the order of their first change, until they are settled', async () => {
      await at.ledger.recordFacts([fact({ jobId: 2 })]);
      at.nowMs += 1;
      await at.ledger.recordFacts([fact({ jobId: 1 })]);
      at.nowMs += 1;
      await at.ledger.recordFacts([fact({ jobId: 2, status: 'in_progress', observedAtMs: 11_000 })]);
      expect(keys(await at.ledger.unsettledJobs(10, 'reject'))).to.deep.equal([keyOf(2), keyOf(1)]);
      expect(keys(await at.ledger.unsettledJobs(1, 'reject'))).to.deep.equal([keyOf(2)]);
      await at.ledger.settleJobs([{ key: keyOf(2), version: 2 }]);
      expect(keys(await at.ledger.unsettledJobs(10, 'reject'))).to.deep.equal([keyOf(1)]);
    });

    it('stay unsettled when a fact came in while the decision was made', async () => {
      await at.ledger.recordFacts([fact({ jobId: 1 })]);
      const decidedOn = await at.known(keyOf(1));
      await at.ledger.recordFacts([fact({ jobId: 1, status: 'in_progress', observedAtMs: 11_000 })]);
      await at.ledger.settleJobs([admitted(decidedOn)]);
      expect(keys(await at.ledger.unsettledJobs(10, 'reject'))).to.deep.equal([keyOf(1)]);
      expect(await at.ledger.job(keyOf(1))).to.include({ admission: 'pending', laneKey: null });
      expect(await at.ledger.laneCounts([lane().key], 'reject')).to.deep.equal([]);
    });

    it('keep their admission and its reason', async () => {
      await at.ledger.recordFacts([fact({ jobId: 1 }), fact({ jobId: 2 }), fact({ jobId: 3 })]);
      await at.ledger.settleJobs([
        refused(await at.known(keyOf(3))),
        admitted(await at.known(keyOf(1))),
        notOurs(await at.known(keyOf(2))),
      ]);
      expect(await at.ledger.job(keyOf(1))).to.include({
        admission: 'lane',
        registration: 'acme',
        laneKey: lane().key,
      });
      expect(await at.ledger.job(keyOf(2))).to.include({ admission: 'not-ours', registration: null, laneKey: null });
      expect(await at.ledger.job(keyOf(3))).to.include({
        admission: 'refused',
        reasonCode: 'cpu-above-maximum',
        cure: 'ask for at most cpu-8',
      });
    });

    it('are not admitted to a lane without its spec', async () => {
      await at.ledger.recordFacts([fact({ jobId: 1 })]);
      const { admission, ...rest } = admitted(await at.known(keyOf(1)));
      if (admission === undefined) throw new Error('no admission');
      const error = await rejection(at.ledger.settleJobs([{ ...rest, admission: { ...admission, lane: null } }]));
      expect(error).to.be.instanceOf(TypeError).with.property('message').that.includes('"lane" without a lane');
      const other = await rejection(at.ledger.settleJobs([{ ...rest, admission: { ...admission, state: 'refused' } }]));
      expect(other).to.be.instanceOf(TypeError).with.property('message').that.includes('"refused" with a lane');
    });

    it('are listed newest first, by registration, admission, status and lane', async () => {
      await at.queue([1, 2, 3]);
      await at.ledger.recordFacts([fact({ jobId: 4, observedAtMs: 9_000 }), fact({ jobId: 5, observedAtMs: 30_000 })]);
      await at.ledger.settleJobs([refused(await at.known(keyOf(4)))]);
      await at.ledger.recordFacts([fact({ jobId: 2, status: 'completed', observedAtMs: 40_000 })]);
      const listed = async (filter: Parameters<Ledger['jobs']>[0]) =>
        (await at.ledger.jobs(filter, 'reject')).map((row) => row.jobId);
      expect(await listed({})).to.deep.equal([5, 3, 2, 1, 4]);
      expect(await listed({ limit: 2 })).to.deep.equal([5, 3]);
      expect(await listed({ limit: 0 })).to.deep.equal([]);
      expect(await listed({ registrations: ['acme'] })).to.deep.equal([3, 2, 1, 4]);
      expect(await listed({ registrations: ['acme', 'other', 'acme'] })).to.deep.equal([3, 2, 1, 4]);
      expect(await listed({ registrations: [] })).to.deep.equal([]);
      expect(await listed({ admission: 'refused' })).to.deep.equal([4]);
      expect(await listed({ status: 'completed' })).to.deep.equal([2]);
      expect(await listed({ status: 'queued', registrations: ['acme'] })).to.deep.equal([3, 1, 4]);
      expect(await listed({ status: 'queued', admission: 'lane' })).to.deep.equal([3, 1]);
      expect(await listed({ laneKey: lane().key })).to.deep.equal([3, 2, 1]);
      expect(await listed({ laneKey: lane().key, status: 'queued', limit: 1 })).to.deep.equal([3]);
    });

    it('are listed newest first over several registrations, no more than asked for in all', async () => {
      await at.queue([1, 4]);
      await at.queue([2, 3], lane({ key: 'other', registration: 'globex' }));
      const registrations = ['acme', 'globex'];
      const listed = async (limit: number) =>
        (await at.ledger.jobs({ registrations, limit }, 'reject')).map((row) => row.jobId);
      expect(await listed(10)).to.deep.equal([4, 3, 2, 1]);
      expect(await listed(3)).to.deep.equal([4, 3, 2]);
    });

    it('that are open come up again when the registrations change, except old ones', async () => {
      await at.queue([1, 2, 3]);
      await at.ledger.recordFacts([fact({ jobId: 1, status: 'completed', observedAtMs: 20_000 })]);
      await at.ledger.settleJobs([{ key: keyOf(1), version: 2 }]);
      const stale = admitted(await at.known(keyOf(3)));
      expect(await at.ledger.unsettleOpenJobs(10_003)).to.equal(1);
      expect(keys(await at.ledger.unsettledJobs(10, 'reject'))).to.deep.equal([keyOf(3)]);
      await at.ledger.settleJobs([stale]);
      expect(keys(await at.ledger.unsettledJobs(10, 'reject')), 'decided before the change').to.deep.equal([keyOf(3)]);
    });

    it('that a backend refused come up again when it accepts them, of that registration alone', async () => {
      await at.queue([1, 2, 3, 4]);
      const told = { state: 'refused', lane: null, reason: 'no such image', cure: null } as const;
      for (const [id, registration, reasonCode] of [
        [1, 'acme', 'backend-refused'],
        [2, 'acme', 'policy'],
        [3, 'globex', 'backend-refused'],
        [4, 'acme', 'backend-refused'],
      ] as const) {
        const { key, version } = await at.known(keyOf(id));
        await at.ledger.settleJobs([{ key, version, admission: { ...told, registration, reasonCode } }]);
      }
      await at.ledger.recordFacts([fact({ jobId: 4, status: 'completed', observedAtMs: 20_000 })]);
      await at.ledger.settleJobs([{ key: keyOf(4), version: (await at.known(keyOf(4))).version }]);
      const before = await at.known(keyOf(1));
      expect(await at.ledger.unsettleRefused('acme', 'backend-refused')).to.equal(1);
      expect(keys(await at.ledger.unsettledJobs(10, 'reject'))).to.deep.equal([keyOf(1)]);
      await at.ledger.settleJobs([{ key: before.key, version: before.version }]);
      expect(keys(await at.ledger.unsettledJobs(10, 'reject')), 'decided before that').to.deep.equal([keyOf(1)]);
    });

    it('that are put last call for no runner until they are settled', async () => {
      await at.queue([1, 2]);
      await at.ledger.unsettleOpenJobs(0);
      await at.ledger.putUnsettledLast(keyOf(1), at.nowMs);
      expect(keys(await at.ledger.unsettledJobs(10, 'reject'))).to.deep.equal([keyOf(2), keyOf(1)]);
      expect((await at.ledger.laneCounts([lane().key], 'reject'))[0]).to.include({ demand: 1 });
      expect(keys(await at.ledger.waitingJobs(lane().key, 10, 'reject'))).to.deep.equal([keyOf(2)]);
    });

    it('with conflicting facts are offered for a GET, until it comes', async () => {
      await at.queue([1, 2]);
      await at.ledger.recordFacts([fact({ jobId: 2, status: 'in_progress', observedAtMs: 20_000 })]);
      await at.ledger.recordFacts([fact({ jobId: 2, source: 'poll', observedAtMs: 20_001 })]);
      expect(keys(await at.ledger.disputedJobs(10, 'reject'))).to.deep.equal([keyOf(2)]);
      await at.ledger.recordFacts([fact({ jobId: 2, source: 'read', observedAtMs: 20_002 })]);
      expect(await at.ledger.disputedJobs(10, 'reject')).to.deep.equal([]);
      expect(await at.ledger.job(keyOf(2))).to.include({ status: 'queued', verifiedAtMs: 20_002 });
    });

    it('that wait unchanged and unread for long are offered for a GET, oldest first', async () => {
      await at.queue([1, 2, 3]);
      const since = (await at.ledger.job(keyOf(1)))?.statusSinceMs ?? 0;
      expect(keys(await at.ledger.staleJobs(since, 10))).to.deep.equal([]);
      expect(keys(await at.ledger.staleJobs(since + 60_000, 10))).to.deep.equal([keyOf(1), keyOf(2), keyOf(3)]);
      expect(keys(await at.ledger.staleJobs(since + 60_000, 2))).to.deep.equal([keyOf(1), keyOf(2)]);
      await at.ledger.recordFacts([fact({ jobId: 2, source: 'read', observedAtMs: since + 50_000 })]);
      expect(keys(await at.ledger.staleJobs(since + 50_000, 10))).to.deep.equal([keyOf(1), keyOf(3)]);
      expect(keys(await at.ledger.staleJobs(since + 50_001, 10))).to.deep.equal([keyOf(1), keyOf(2), keyOf(3)]);
    });

    it('that wait are offered for a GET one of each registration in turn, where more wait than are read', async () => {
      await at.queue([1, 2, 3]);
      await at.queue([4], lane({ key: 'lane000000000002', registration: 'globex' }));
      const longAfter = 600_000;
      expect(keys(await at.ledger.staleJobs(longAfter, 2))).to.deep.equal([keyOf(1), keyOf(4)]);
    });

    it('that may call for a runner are offered for a GET before those that are over', async () => {
      await at.queue([1, 2]);
      for (const [jobId, status] of [
        [1, 'completed'],
        [2, 'in_progress'],
      ] as const) {
        await at.ledger.recordFacts([fact({ jobId, status, observedAtMs: 20_000 })]);
        await at.ledger.recordFacts([fact({ jobId, source: 'poll', observedAtMs: 20_001 })]);
      }
      expect(keys(await at.ledger.disputedJobs(10, 'reject'))).to.deep.equal([keyOf(2), keyOf(1)]);
    });

    it('that GitHub does not know are over, and nobody waits for them', async () => {
      await at.queue([1]);
      await at.ledger.dropJob(keyOf(1), 'GitHub answers 404', 60_000);
      expect(await at.ledger.job(keyOf(1))).to.include({
        status: 'completed',
        conclusion: 'unknown',
        disputed: false,
        runnerName: null,
        reason: 'GitHub answers 404',
        statusSinceMs: 60_000,
      });
      expect(await at.ledger.waitingJobs(lane().key, 10, 'reject')).to.deep.equal([]);
      expect(keys(await at.ledger.unsettledJobs(10, 'reject'))).to.deep.equal([keyOf(1)]);
      await at.ledger.dropJob('github.com/404', 'never heard of it', 60_000);
    });

    it('that completed before GitHub forgot them keep their conclusion', async () => {
      await at.queue([1]);
      await at.ledger.recordFacts([
        fact({ jobId: 1, status: 'completed', conclusion: 'success', observedAtMs: 20_000 }),
      ]);
      await at.ledger.dropJob(keyOf(1), 'GitHub answers 404', 60_000);
      expect(await at.ledger.job(keyOf(1))).to.include({ conclusion: 'success', reason: null });
    });

    it('that waited too long expire, and tell whose lanes to look at', async () => {
      await at.queue([1, 2]);
      await at.queue([3], lane({ key: 'lane000000000002' }));
      await at.ledger.recordFacts([fact({ jobId: 4, observedAtMs: 1 })]);
      expect(await at.ledger.expireJobs(10_002, 10)).to.deep.equal([lane().key]);
      expect(await at.ledger.job(keyOf(1))).to.include({ admission: 'expired', status: 'queued' });
      expect(await at.ledger.expireJobs(10_002, 10)).to.deep.equal([]);
      expect(await at.ledger.expireJobs(99_999, 1)).to.deep.equal([lane().key]);
      expect(await at.ledger.expireJobs(99_999, 10)).to.deep.equal(['lane000000000002']);
      expect(await at.ledger.job(keyOf(4)), 'not admitted yet').to.include({ admission: 'pending' });
    });

    it('that waited too long in several lanes tell of them in the order of their keys, each once', async () => {
      await at.queue([1], lane({ key: 'b' }));
      await at.queue([2, 3], lane({ key: 'a' }));
      expect(await at.ledger.expireJobs(99_999, 10)).to.deep.equal(['a', 'b']);
    });
  });

  describe('a job of a repository that was renamed', () => {
    async function readAs(repository: string, observedAtMs: number): Promise<string> {
      const told = fact({ jobId: 1, repository, observedAtMs });
      const key = jobKey(told);
      await at.ledger.recordFacts([told]);
      await at.ledger.settleJobs([admitted(await at.known(key), lane())]);
      await at.ledger.recordFacts([{ ...told, source: 'read' }]);
      return key;
    }

    it('is known by the name that GitHub gave last, also within one millisecond', async () => {
      for (const [old, now] of [
        ['web', 'site'],
        ['site', 'shop'],
      ] as const) {
        const former = await readAs(old, 200);
        const present = await readAs(now, 200);
        expect(await at.ledger.job(former), former).to.include({ status: 'completed' });
        expect(await at.ledger.job(present), present).to.include({ status: 'queued' });
      }
    });

    it('keeps the name of a later read when an earlier one comes after it', async () => {
      const present = await readAs('site', 300);
      await readAs('web', 200);
      expect(await at.ledger.job(present)).to.include({ status: 'queued' });
    });
  });
}
