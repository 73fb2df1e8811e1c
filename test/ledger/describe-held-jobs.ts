/** Jobs that GitHub gives to no runner, or does not show: what every ledger does with them. */
import { expect } from 'chai';
import type { JobFact } from '../../dispatcher/jobs/facts.ts';
import type { LaneSpec } from '../../dispatcher/jobs/lane.ts';
import type { JobRow, Ledger } from '../../dispatcher/ledger/ledger.ts';
import { admitted, fact, keyOf, lane, runner } from './examples.ts';

const MINUTE = 60_000;
const ONLINE_AT = 20_000;
const NOW = 400_000;

/** A runner of the lane. */
const idle = (name: string, { key, registration } = lane()) => ({ name, laneKey: key, registration });
const keys = (jobs: readonly { readonly key: string }[]) => jobs.map(({ key }) => key);

export function describeHeldJobs(open: () => Promise<Ledger>): void {
  describe('held jobs', () => {
    let ledger: Ledger;

    beforeEach(async () => {
      ledger = await open();
    });

    afterEach(() => ledger.close());

    async function queue(ids: readonly number[], some: Partial<JobFact> = {}, spec = lane()): Promise<void> {
      await ledger.recordFacts(ids.map((jobId) => fact({ jobId, runId: 7, observedAtMs: 10_000 + jobId, ...some })));
      const jobs = await ledger.unsettledJobs(100, 'reject');
      await ledger.settleJobs(jobs.map((job) => admitted(job, spec)));
    }

    const job = async (id: number): Promise<JobRow> => {
      const row = await ledger.job(keyOf(id));
      if (row === undefined) throw new Error(`no job ${id}`);
      return row;
    };
    const evidence = async (times: number, nowMs = NOW) => {
      for (let time = 1; time <= times; time += 1) await ledger.passOver(idle(`d-${time}`), ONLINE_AT, nowMs, 'reject');
    };
    const demand = async () => (await ledger.laneCounts([lane().key], 'reject'))[0];
    const start = async (jobId: number, some: Partial<JobFact> = {}) => {
      await ledger.recordFacts([
        fact({ jobId, runId: 7, status: 'in_progress', runnerName: `d-${jobId}`, observedAtMs: NOW, ...some }),
      ]);
      return await ledger.stir(keyOf(jobId), NOW, 'reject');
    };

    it('are those beside which three fitting runners idled; they ask for no runner, and are still shown', async () => {
      await queue([1]);
      expect(await ledger.passOver(idle('d-1'), ONLINE_AT, NOW, 'reject')).to.deep.equal({ passed: 1, held: [] });
      await ledger.passOver(idle('d-2'), ONLINE_AT, NOW, 'reject');
      expect(await demand()).to.include({ demand: 1, held: 0 });
      expect(await ledger.passOver(idle('d-3'), ONLINE_AT, NOW, 'reject')).to.deep.equal({
        passed: 1,
        held: [keyOf(1)],
      });
      expect(await demand()).to.include({ demand: 0, held: 1, oldestQueuedSinceMs: 10_001 });
      expect(await ledger.waitingJobs(lane().key, 9, 'reject')).to.deep.equal([]);
      expect(await ledger.lanesInUse()).to.deep.equal([lane().key]);
      expect(await job(1)).to.include({ hold: 'unserved', passedOver: 3, passedOverBy: 'd-3', heldSinceMs: NOW });
    });

    it('are never those that came after the runner was online, or are of another lane', async () => {
      await queue([1], { observedAtMs: ONLINE_AT + 1 });
      await queue([2], {}, lane({ key: 'elsewhere' }));
      await evidence(3);
      for (const id of [1, 2]) expect(await job(id)).to.include({ hold: null, passedOver: 0 });
    });

    it('try again one of a run at a time, after growing pauses', async () => {
      await queue([1, 2]);
      await queue([3], { runId: 8 });
      await evidence(3);
      expect(await ledger.nextProbeAt()).to.equal(NOW + MINUTE);
      expect(await ledger.probeHeld(NOW + MINUTE - 1, 9, 'reject')).to.deep.equal([]);
      expect(await ledger.probeHeld(NOW + MINUTE, 9, 'reject')).to.deep.equal([lane().key]);
      expect(await Promise.all([1, 2, 3].map(async (id) => (await job(id)).probing))).to.deep.equal([
        true,
        false,
        true,
      ]);
      expect(await demand()).to.include({ demand: 2 });
      expect(await ledger.nextProbeAt(), 'another of its run tries').to.equal(NOW + 2 * MINUTE);
      await evidence(1, NOW + 6 * MINUTE);
      expect(await job(1)).to.include({ probing: false, passedOver: 4, heldUntilMs: NOW + 8 * MINUTE });
    });

    it('try at once when one of their run ends, one at a time', async () => {
      await queue([1, 2, 3]);
      await start(1);
      await evidence(3);
      await ledger.recordFacts([
        fact({ jobId: 1, runId: 7, status: 'completed', runnerName: 'd-1', observedAtMs: NOW + 1 }),
      ]);
      expect(await ledger.stir(keyOf(1), NOW, 'reject')).to.deep.equal([lane().key]);
      expect(await demand()).to.include({ demand: 1, held: 2 });
      expect(await ledger.stir(keyOf(1), NOW, 'reject'), 'one tries already').to.deep.equal([]);
    });

    it('stay held when no more of their run run than before, and are free when more do', async () => {
      await queue([1, 2, 3, 4]);
      await start(1);
      await evidence(3);
      expect(await job(2)).to.include({ hold: 'unserved', heldAtRunning: 1 });
      await ledger.stir(keyOf(1), NOW, 'reject');
      expect(await job(3)).to.include({ hold: 'unserved' });
      expect(await start(2), 'its lane is to be planned').to.deep.equal([lane().key]);
      for (const id of [3, 4]) expect(await job(id)).to.include({ hold: null, passedOver: 2, lastLaunchAtMs: null });
      expect(await demand()).to.include({ demand: 2, held: 0 });
    });

    it('stay held while as many of their run run as when any of them was held', async () => {
      await queue([1, 2, 3]);
      await start(1);
      await start(2);
      await evidence(3);
      await ledger.recordFacts([
        fact({ jobId: 1, runId: 7, status: 'completed', runnerName: 'd-1', observedAtMs: NOW + 1 }),
      ]);
      await ledger.stir(keyOf(1), NOW, 'reject');
      await queue([4, 5]);
      await evidence(3);
      expect(await job(3)).to.include({ hold: 'unserved', heldAtRunning: 2 });
      expect(await job(4)).to.include({ hold: 'unserved', heldAtRunning: 1 });
      await start(5);
      for (const id of [3, 4]) expect(await job(id), `job ${id}`).to.include({ hold: 'unserved' });
    });

    it('try at once when another job of their lane starts, whatever its run', async () => {
      await queue([1], { runId: 8 });
      await evidence(3);
      await queue([2]);
      expect(await start(2)).to.deep.equal([lane().key]);
      expect(await job(1)).to.include({ probing: true });
    });

    it('try at once a hundred of their lane at most, those that wait longest', async () => {
      const ids = Array.from({ length: 101 }, (_, index) => index + 1);
      for (const id of ids) await queue([id], { runId: 100 + id });
      await evidence(3);
      await queue([500]);
      await start(500);
      const tries = await Promise.all(ids.map(async (id) => (await job(id)).probing));
      expect(tries).to.deep.equal(ids.map((id) => id <= 100));
    });

    describe('when a job of their repository ends in another lane, as one of their concurrency group may', () => {
      const elsewhere = lane({ key: 'elsewhere' });
      const end = async (jobId: number, some: Partial<JobFact> = {}, nowMs = NOW) => {
        await ledger.recordFacts([fact({ jobId, runId: 9, status: 'completed', observedAtMs: NOW + jobId, ...some })]);
        return await ledger.stir(keyOf(jobId), nowMs, 'reject');
      };
      const probing = async (...ids: readonly number[]) =>
        await Promise.all(ids.map(async (id) => (await job(id)).probing));

      it('try at once, one of a run', async () => {
        await queue([1, 2]);
        await queue([3], { runId: 8 });
        await evidence(3);
        await queue([4], { runId: 9 }, elsewhere);
        expect(await end(4)).to.deep.equal([lane().key]);
        expect(await probing(1, 2, 3)).to.deep.equal([true, false, true]);
        await queue([5], { runId: 9 }, elsewhere);
        expect(await end(5), 'one of each tries already').to.deep.equal([]);
      });

      it('try at once twenty of them at most, those that wait longest', async () => {
        const ids = Array.from({ length: 21 }, (_, index) => index + 1);
        for (const id of ids) await queue([id], { runId: 100 + id });
        await evidence(3);
        await end(50);
        expect(await probing(...ids)).to.deep.equal(ids.map((id) => id <= 20));
      });

      it('do so also where it was never a job of ours', async () => {
        await queue([1]);
        await evidence(3);
        expect(await end(4)).to.deep.equal([lane().key]);
      });

      it('do not when it only starts, or when it is of another repository', async () => {
        await queue([1]);
        await evidence(3);
        await queue([4], { runId: 9 }, elsewhere);
        expect(await start(4, { runId: 9 })).to.deep.equal([]);
        await ledger.recordFacts([fact({ jobId: 6, runId: 9, repository: 'api', status: 'completed' })]);
        const other = (await ledger.jobsWithId(6, 'reject'))[0];
        expect(await ledger.stir(other?.key ?? '', NOW, 'reject')).to.deep.equal([]);
        expect(await probing(1)).to.deep.equal([false]);
      });

      it('do not on the word of another tenant’s webhook, which may be made up', async () => {
        await queue([1]);
        await evidence(3);
        expect(await end(4, { source: 'webhook', toldBy: 'mallory' })).to.deep.equal([]);
        expect(await probing(1)).to.deep.equal([false]);
      });

      it('rest for ten minutes after many tries in vain, however many of them end', async () => {
        await queue([1]);
        await evidence(3);
        for (let time = 1; time <= 9; time += 1) {
          await ledger.hastenHeld(NOW);
          await ledger.probeHeld(NOW, 9, 'reject');
          await evidence(1);
        }
        await ledger.hastenHeld(NOW);
        await ledger.probeHeld(NOW, 9, 'reject');
        await ledger.createRunner(runner({ name: 'd-launched', forJobKey: keyOf(1) }), 'launched');
        await ledger.stepRunner('d-launched', () => ({ patch: {}, entries: [], launch: 'called' }));
        const launchedAtMs = (await job(1)).lastLaunchAtMs ?? 0;
        await evidence(1);
        expect(await end(4, {}, launchedAtMs + MINUTE)).to.deep.equal([]);
        expect(await end(5, {}, launchedAtMs + 10 * MINUTE - 1)).to.deep.equal([]);
        expect(await end(6, {}, launchedAtMs + 10 * MINUTE)).to.deep.equal([lane().key]);
      });
    });

    it('of another tenant’s run with the same number are left alone', async () => {
      await queue([1]);
      await evidence(3);
      await queue([2], { owner: 'Globex' }, lane({ key: 'elsewhere' }));
      await ledger.stir((await ledger.jobs({ laneKey: 'elsewhere' }, 'reject'))[0]?.key ?? '', NOW, 'reject');
      expect(await job(1)).to.include({ probing: false });
    });

    it('are held no more once they run, and begin anew when they come back', async () => {
      await queue([1]);
      await evidence(3);
      await start(1);
      expect(await job(1)).to.include({ hold: null, heldSinceMs: null, heldUntilMs: null, status: 'in_progress' });
    });

    it('stay held where they are admitted to their lane once more', async () => {
      await queue([1]);
      await evidence(3);
      await ledger.unsettleOpenJobs(0);
      await ledger.settleJobs((await ledger.unsettledJobs(9, 'reject')).map((row) => admitted(row, lane())));
      expect(await job(1)).to.include({ hold: 'unserved', laneKey: lane().key, heldSinceMs: NOW });
    });

    it('are held no more in another lane', async () => {
      await queue([1]);
      await evidence(3);
      await ledger.unsettleOpenJobs(0);
      await ledger.settleJobs(
        (await ledger.unsettledJobs(9, 'reject')).map((row) => admitted(row, lane({ key: 'other' }))),
      );
      expect(await job(1)).to.include({ hold: null, laneKey: 'other' });
    });

    it('expire like others', async () => {
      await queue([1]);
      await evidence(3);
      expect(await ledger.expireJobs(10_002, 9)).to.deep.equal([lane().key]);
      expect(await job(1)).to.include({ admission: 'expired', hold: null });
      expect(await ledger.nextProbeAt()).to.equal(null);
    });

    it('expire like others while they try again', async () => {
      await queue([1]);
      await evidence(3);
      await ledger.probeHeld(NOW + MINUTE, 9, 'reject');
      expect(await ledger.expireJobs(10_002, 9)).to.deep.equal([lane().key]);
      expect(await job(1)).to.include({ admission: 'expired', probing: false });
      expect(await demand()).to.include({ demand: 0, held: 0 });
    });

    it('tell for how long the first of them waits', async () => {
      await queue([1, 2]);
      await evidence(3);
      expect(await demand()).to.include({ demand: 0, held: 2, oldestQueuedSinceMs: 10_001 });
      await queue([3], { observedAtMs: ONLINE_AT + 1 });
      expect(await demand(), 'beside one that came later').to.include({ demand: 1, oldestQueuedSinceMs: 10_001 });
    });

    it('that GitHub does not show wait until it shows them, by a GET or a poll', async () => {
      for (const source of ['read', 'poll'] as const) {
        await queue([1]);
        await ledger.holdUnseen(keyOf(1), { reasonCode: 'unseen', reason: 'not seen', cure: null }, NOW + 5, NOW);
        expect(await demand()).to.include({ demand: 0, held: 1 });
        expect(keys(await ledger.unseenJobs(NOW + 4, 9))).to.deep.equal([]);
        expect(keys(await ledger.unseenJobs(NOW + 5, 9))).to.deep.equal([keyOf(1)]);
        await ledger.hastenHeld(NOW + 5);
        expect(await ledger.probeHeld(NOW + 5, 9, 'reject'), 'no runner is launched for it').to.deep.equal([]);
        await ledger.recordFacts([fact({ jobId: 1, runId: 7, observedAtMs: NOW + 1 })]);
        expect(await job(1), 'a webhook may be old').to.include({ hold: 'unseen' });
        await ledger.recordFacts([fact({ jobId: 1, runId: 7, source, observedAtMs: NOW + 6 })]);
        expect(await job(1)).to.include({ hold: null, reasonCode: null, reason: null });
      }
    });

    it('that GitHub does not show are looked for one of each registration in turn, where more are due than are read', async () => {
      const other = lane({ key: 'other', registration: 'globex' });
      const words = { reasonCode: 'unseen', reason: 'not seen', cure: null };
      await queue([1, 2, 3]);
      await queue([4], {}, other);
      for (const id of [1, 2, 3, 4]) await ledger.holdUnseen(keyOf(id), words, NOW + id, NOW);
      expect(keys(await ledger.unseenJobs(NOW + 9, 2))).to.deep.equal([keyOf(1), keyOf(4)]);
    });

    it('that GitHub does not know any more end: they are not looked for, and keep no other job of their run from trying', async () => {
      await queue([1, 2, 3]);
      await ledger.holdUnseen(keyOf(1), null, NOW, NOW);
      await evidence(3);
      await ledger.probeHeld(NOW + MINUTE, 1, 'reject');
      expect(await job(2)).to.include({ hold: 'unserved', probing: true });
      for (const id of [1, 2]) await ledger.dropJob(keyOf(id), 'GitHub answers 404', NOW + MINUTE);
      for (const id of [1, 2])
        expect(await job(id)).to.include({ status: 'completed', hold: null, heldUntilMs: null, probing: false });
      expect(keys(await ledger.unseenJobs(NOW + 2 * MINUTE, 9))).to.deep.equal([]);
      expect(await ledger.probeHeld(NOW + 2 * MINUTE, 9, 'reject')).to.deep.equal([lane().key]);
      expect(await job(3)).to.include({ probing: true });
      expect(await ledger.nextProbeAt()).to.equal(null);
      expect(await demand(), 'the third').to.include({ held: 1 });
    });

    it('that are put off are never due earlier for it', async () => {
      await queue([1]);
      await ledger.holdUnseen(keyOf(1), null, NOW + 5, NOW);
      await ledger.putHeldOff(keyOf(1), NOW + 4);
      expect(await job(1)).to.include({ heldUntilMs: NOW + 5 });
      await ledger.putHeldOff(keyOf(1), NOW + 6);
      expect(await job(1)).to.include({ heldUntilMs: NOW + 6 });
    });

    it('try again one of each registration in turn, where more are due than are looked at', async () => {
      const other = lane({ key: 'other', registration: 'globex' });
      for (const id of [1, 2, 3]) await queue([id], { runId: id });
      await queue([4], { runId: 4 }, other);
      await evidence(3);
      for (let time = 1; time <= 3; time += 1)
        await ledger.passOver(idle(`d-${time}`, other), ONLINE_AT, NOW + 1, 'reject');
      expect(await ledger.probeHeld(NOW + 2 * MINUTE, 2, 'reject')).to.deep.equal([lane().key, other.key]);
    });

    it('that are set aside come back when they move', async () => {
      await queue([1]);
      await ledger.setJobAside(keyOf(1), { reasonCode: 'run-completed', reason: 'its run is over', cure: null });
      expect(await job(1)).to.include({ admission: 'expired', reason: 'its run is over', status: 'queued' });
      await ledger.recordFacts([fact({ jobId: 1, runId: 7, source: 'poll', observedAtMs: NOW })]);
      expect(await job(1)).to.include({ admission: 'expired' });
      await ledger.recordFacts([
        fact({ jobId: 1, runId: 7, status: 'waiting', source: 'poll', observedAtMs: NOW + 1 }),
      ]);
      expect(await job(1)).to.include({ admission: 'pending', reason: null });
    });
  });
  describe('jobs that only another tenant reports', () => {
    it('are offered for a GET newest first, one of each registration in turn', async () => {
      const ledger = await open();
      const claim = async (ids: readonly number[], spec: LaneSpec) => {
        await ledger.recordFacts(ids.map((jobId) => fact({ jobId, observedAtMs: 10_000 + jobId, toldBy: 'mallory' })));
        await ledger.settleJobs((await ledger.unsettledJobs(9, 'reject')).map((row) => admitted(row, spec)));
      };
      await claim([1], lane({ key: 'other', registration: 'globex' }));
      await claim([2, 3, 4], lane());
      expect(keys(await ledger.unconfirmedJobs(2, 'reject'))).to.deep.equal([keyOf(4), keyOf(1)]);
      expect(keys(await ledger.unconfirmedJobsOf('acme', 2, 'reject'))).to.deep.equal([keyOf(4), keyOf(3)]);
      expect(keys(await ledger.unconfirmedJobsOf('globex', 2, 'reject'))).to.deep.equal([keyOf(1)]);
      await ledger.close();
    });
  });
}
