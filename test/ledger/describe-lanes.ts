/** Lanes, on every store. */
import { expect } from 'chai';
import type { RunnerRow } from '../../dispatcher/ledger/ledger.ts';
import { admitted, fact, keyOf, lane, runner } from './examples.ts';
import { keys, type OpenedLedger } from './opened-ledger.ts';

export function describeLanes(at: OpenedLedger): void {
  describe('lanes', () => {
    const online = { state: 'online', onlineAtMs: 21_000 } as const;

    it('count demand and supply', async () => {
      await at.queue([1, 2, 3]);
      await at.ledger.recordFacts([fact({ jobId: 3, status: 'waiting', source: 'poll', observedAtMs: 20_000 })]);
      await at.ledger.createRunner(runner({ name: 'd-1' }), 'launch');
      await at.ledger.createRunner(runner({ name: 'd-2', state: 'starting' }), 'launch');
      await at.ledger.createRunner(runner({ name: 'd-3', ...online }), 'launch');
      await at.ledger.createRunner(runner({ name: 'd-4', ...online, jobKey: keyOf(9) }), 'launch');
      await at.ledger.createRunner(runner({ name: 'd-5', ...online, specHash: 'spec-0' }), 'launch');
      await at.ledger.createRunner(runner({ name: 'd-6', state: 'draining', specHash: 'spec-0' }), 'launch');
      await at.ledger.createRunner(runner({ name: 'd-7', state: 'busy' }), 'launch');
      expect(await at.ledger.laneCounts(['unheard of', lane().key, lane().key], 'reject')).to.deep.equal([
        {
          lane: lane(),
          demand: 2,
          held: 0,
          oldestQueuedSinceMs: 10_001,
          creating: 1,
          starting: 1,
          online: 1,
          outdated: 1,
        },
      ]);
    });

    it('count a job in doubt as demand, unless it is over', async () => {
      await at.queue([1, 2]);
      await at.ledger.recordFacts([
        fact({ jobId: 1, status: 'in_progress', observedAtMs: 20_000 }),
        fact({ jobId: 2, status: 'completed', observedAtMs: 20_000 }),
      ]);
      expect((await at.ledger.laneCounts([lane().key], 'reject'))[0]).to.include({
        demand: 0,
        oldestQueuedSinceMs: null,
      });
      await at.ledger.recordFacts([1, 2].map((jobId) => fact({ jobId, source: 'poll', observedAtMs: 20_001 })));
      expect((await at.ledger.laneCounts([lane().key], 'reject'))[0]).to.include({
        demand: 1,
        oldestQueuedSinceMs: 20_000,
      });
    });

    it('take the latest spec', async () => {
      await at.queue([1]);
      await at.queue([2], lane({ specHash: 'spec-2', backends: ['docker', 'ali-eci'] }));
      const [counts] = await at.ledger.laneCounts([lane().key], 'reject');
      expect(counts?.lane).to.deep.equal(lane({ specHash: 'spec-2', backends: ['docker', 'ali-eci'] }));
      expect(counts?.demand).to.equal(2);
    });

    it('keep every wish of a spec, and every kind of scope', async () => {
      const specs = [
        lane({
          key: 'a',
          scope: { kind: 'repository', owner: 'acme', repository: 'web' },
          wish: {
            cpu: 0.5,
            memoryGiB: 1.5,
            architecture: 'arm64',
            image: 'i',
            diskGiB: 100,
            bucket: 'b',
            bucketPrefix: 'p',
            subnet: 's',
            securityGroup: 'g',
            region: 'r',
            spot: true,
            dockerInDocker: true,
            timeLimitMs: 5_400_000,
          },
        }),
        lane({ key: 'b', scope: { kind: 'enterprise', enterprise: 'acme-inc' } }),
      ];
      for (const [index, spec] of specs.entries()) await at.queue([index], spec);
      expect((await at.ledger.laneCounts(['a', 'b'], 'reject')).map((counts) => counts.lane)).to.deep.equal(specs);
    });

    it('are in use with demand or a live runner', async () => {
      await at.queue([1], lane({ key: 'wanted' }));
      await at.queue([2], lane({ key: 'idle' }));
      await at.queue([3], lane({ key: 'over' }));
      await at.ledger.createRunner(runner({ name: 'd-1', laneKey: 'idle', state: 'draining' }), 'launch');
      await at.ledger.createRunner(runner({ name: 'd-2', laneKey: 'gone', state: 'gone' }), 'launch');
      await at.ledger.recordFacts([2, 3].map((jobId) => fact({ jobId, status: 'completed', observedAtMs: 20_000 })));
      expect(await at.ledger.lanesInUse()).to.deep.equal(['idle', 'wanted']);
      expect(await at.ledger.deleteEmptyLanes()).to.equal(1);
      expect(
        (await at.ledger.laneCounts(['idle', 'over', 'wanted'], 'reject')).map((counts) => counts.lane.key),
      ).to.deep.equal(['idle', 'wanted']);
    });

    it('tell when jobs started on runners of one spec, the earliest first', async () => {
      const busy = (name: string, busyAtMs: number | null, some: Partial<RunnerRow> = {}) =>
        at.ledger.createRunner(runner({ name, busyAtMs, ...some }), 'launch');
      await busy('d-1', 30_000, { state: 'gone' });
      await busy('d-2', 10_000, { state: 'busy' });
      await busy('d-3', 20_000, { specHash: 'other' });
      await busy('d-4', null);
      await busy('d-5', 20_000, { registration: 'globex' });
      const { registration, specHash } = runner({ name: 'd-6' });
      expect(await at.ledger.jobStarts(registration, specHash, 0)).to.deep.equal([10_000, 30_000]);
      expect(await at.ledger.jobStarts(registration, specHash, 10_001)).to.deep.equal([30_000]);
    });

    it('are there for runners that wait in them before a job has come', async () => {
      await at.ledger.putLane(lane({ key: 'warm' }));
      expect((await at.ledger.laneCounts(['warm'], 'reject'))[0]).to.deep.include({
        lane: lane({ key: 'warm' }),
        demand: 0,
      });
      expect(await at.ledger.deleteEmptyLanes()).to.equal(1);
      const waits = runner({ name: 'd-1', laneKey: 'warm', idleLimitMs: 7_200_000, jobLimitMs: 60_000 });
      await at.ledger.createRunner(waits, 'launch', lane({ key: 'warm' }));
      expect(await at.ledger.deleteEmptyLanes()).to.equal(0);
      expect((await at.ledger.laneCounts(['warm'], 'reject'))[0]).to.deep.include({
        lane: lane({ key: 'warm' }),
        creating: 1,
      });
      expect(await at.ledger.runner('d-1')).to.deep.equal(waits);
      const changed = lane({ key: 'warm', specHash: 'spec-2' });
      await at.ledger.putLane(changed);
      expect((await at.ledger.laneCounts(['warm'], 'reject'))[0]).to.deep.include({
        lane: changed,
        creating: 0,
        outdated: 1,
      });
    });

    it('stay while one of their jobs is open, as it may come back into the queue', async () => {
      await at.queue([1]);
      await at.ledger.recordFacts([fact({ jobId: 1, status: 'in_progress', observedAtMs: 20_000 })]);
      expect(await at.ledger.lanesInUse()).to.deep.equal([]);
      expect(await at.ledger.deleteEmptyLanes()).to.equal(0);
      await at.ledger.recordFacts([fact({ jobId: 1, source: 'read', observedAtMs: 20_001 })]);
      expect((await at.ledger.laneCounts([lane().key], 'reject'))[0]).to.include({ demand: 1 });
    });

    it('that were deleted let a job that comes back be admitted anew', async () => {
      await at.queue([1]);
      await at.ledger.recordFacts([fact({ jobId: 1, status: 'completed', observedAtMs: 20_000 })]);
      expect(await at.ledger.deleteEmptyLanes()).to.equal(1);
      await at.ledger.recordFacts([fact({ jobId: 1, source: 'read', observedAtMs: 20_001 })]);
      expect(await at.ledger.job(keyOf(1))).to.include({ status: 'queued', admission: 'pending' });
      expect(await at.ledger.lanesInUse()).to.deep.equal([]);
      expect(keys(await at.ledger.unsettledJobs(10, 'reject'))).to.deep.equal([keyOf(1)]);
    });

    it('offer the job with the fewest runners planned first, then the one that waited longest', async () => {
      await at.queue([1, 2, 3]);
      await at.ledger.createRunner(runner({ name: 'd-1', forJobKey: keyOf(1), createdAtMs: 30_000 }), 'launch');
      expect(await at.ledger.waitingJobs(lane().key, 10, 'reject')).to.deep.equal(
        [2, 3, 1].map((jobId) => ({
          key: keyOf(jobId),
          host: 'github.com',
          owner: 'Acme',
          repository: 'web',
          jobId,
          runId: fact({ jobId }).runId,
          planned: jobId === 1 ? 1 : 0,
          launches: 0,
          lastLaunchAtMs: null,
          stolen: 0,
          passedOver: 0,
          probing: false,
          verifiedAtMs: null,
          statusSinceMs: 10_000 + jobId,
          disputed: false,
          createdAtMs: 1_000,
          firstSeenAtMs: 10_000 + jobId,
          statusSource: 'webhook',
        })),
      );
      expect(keys(await at.ledger.waitingJobs(lane().key, 1, 'reject'))).to.deep.equal([keyOf(2)]);
    });

    it('leave out those of some runs, and count runners by the run of their job, or of the one that they are for', async () => {
      const ofRun = (jobId: number) => fact({ jobId, runId: jobId === 4 ? 72 : 71, observedAtMs: 10_000 + jobId });
      await at.ledger.recordFacts([1, 2, 3, 4].map(ofRun));
      for (const jobId of [1, 2, 3, 4]) await at.ledger.settleJobs([admitted(await at.known(keyOf(jobId)), lane())]);
      const besides = async (runs: readonly number[]) =>
        keys(await at.ledger.waitingJobs(lane().key, 10, 'reject', runs));
      expect(await besides([71])).to.deep.equal([keyOf(4)]);
      expect(await besides([72, 99])).to.deep.equal([keyOf(1), keyOf(2), keyOf(3)]);
      expect(await besides([71, 72])).to.deep.equal([]);
      await at.ledger.createRunner(runner({ name: 'd-1', forJobKey: keyOf(1) }), 'launch');
      await at.ledger.createRunner(runner({ name: 'd-2', forJobKey: keyOf(2), jobKey: keyOf(4) }), 'launch');
      await at.ledger.createRunner(runner({ name: 'd-3', forJobKey: keyOf(3), instanceState: 'ended' }), 'launch');
      await at.ledger.createRunner(runner({ name: 'd-4', registration: 'other', forJobKey: keyOf(1) }), 'launch');
      const counted = await at.ledger.liveCountsByRun(['acme', 'none']);
      expect(counted.toSorted((a, b) => a.runId - b.runId)).to.deep.equal([
        { registration: 'acme', runId: 71, count: 1 },
        { registration: 'acme', runId: 72, count: 1 },
      ]);
      expect(await at.ledger.liveCountsByRun([])).to.deep.equal([]);
      const runs = await at.ledger.laneRuns(lane().key, 'spec-1');
      expect(runs.toSorted((a, b) => a.runId - b.runId)).to.deep.equal([
        { runId: 71, demand: 3, supply: 3 },
        { runId: 72, demand: 1, supply: 0 },
      ]);
      expect((await at.ledger.laneRuns(lane().key, 'other')).map(({ supply }) => supply)).to.deep.equal([0, 0]);
    });
  });
}
