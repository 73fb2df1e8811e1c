/** What every store must do, whatever it is made of. */
import { expect } from 'chai';
import { jobKey } from '../../dispatcher/jobs/facts.ts';
import type { Ledger, RunnerRow, RunnerState, RunnerStep, RunnersLeftOut } from '../../dispatcher/ledger/ledger.ts';
import { LOG_BYTES } from '../../providers/provider.ts';
import { breaker, failure } from '../failures/examples.ts';
import { admitted, delivery, fact, keyOf, lane, notOurs, refused, runner } from './examples.ts';

/** A place where one ledger lives: it can be opened, closed and opened again, and finds what it left. */
export interface Place {
  open(now: () => number): Promise<Ledger>;
  discard(): Promise<void>;
}

export function describeLedger(name: string, newPlace: () => Promise<Place>): void {
  describe(`the ledger on ${name}`, () => {
    let place: Place;
    let ledger: Ledger;
    let nowMs: number;

    beforeEach(async () => {
      nowMs = 50_000;
      place = await newPlace();
      ledger = await place.open(() => nowMs);
    });

    afterEach(async () => {
      await ledger.close();
      await place.discard();
    });

    async function restart(): Promise<void> {
      await ledger.close();
      ledger = await place.open(() => nowMs);
    }

    async function known(key: string) {
      const row = await ledger.job(key);
      if (row === undefined) throw new Error(`no job ${key}`);
      return row;
    }

    /** Queued jobs in the lane, in the order of their ids. */
    async function queue(ids: readonly number[], spec = lane()): Promise<void> {
      await ledger.recordFacts(ids.map((jobId) => fact({ jobId, observedAtMs: 10_000 + jobId })));
      for (const jobId of ids) await ledger.settleJobs([admitted(await known(keyOf(jobId)), spec)]);
    }

    const names = (rows: readonly { readonly name: string }[]) => rows.map((row) => row.name);
    const keys = (rows: readonly { readonly key: string }[]) => rows.map((row) => row.key);

    describe('intake', () => {
      it('records a delivery and its job', async () => {
        const told = fact({ jobId: 1, labels: ['ACME-runner', 'ünïcode "quoted"'], visibility: undefined });
        expect(await ledger.recordDeliveries([{ delivery: delivery('a'), fact: told }])).to.deep.equal(['recorded']);
        expect(await ledger.job(keyOf(1))).to.deep.include({
          key: 'github.com/acme/web/1',
          labels: told.labels,
          visibility: null,
          status: 'queued',
          admission: 'pending',
          firstSeenAtMs: told.observedAtMs,
          version: 1,
        });
      });

      it('says that a batch has committed before it answers, and then whoever reads sees it', async () => {
        const order: string[] = [];
        const seen = new Promise((resolve) => {
          const committed = (results: readonly string[]) => {
            order.push(`committed: ${results.join()}`);
            void ledger.job(keyOf(1)).then(resolve);
          };
          void ledger
            .recordDeliveries([{ delivery: delivery('a'), fact: fact({ jobId: 1 }) }], committed)
            .then(() => order.push('answered'));
        });
        expect(await seen).to.include({ key: keyOf(1) });
        await ledger.persist();
        expect(order).to.deep.equal(['committed: recorded', 'answered']);
      });

      it('lets a doubled delivery change nothing', async () => {
        await ledger.recordDeliveries([{ delivery: delivery('a'), fact: fact({ jobId: 1 }) }]);
        const before = await ledger.job(keyOf(1));
        const doubled = { delivery: delivery('a'), fact: fact({ jobId: 1, status: 'completed' }) };
        expect(await ledger.recordDeliveries([doubled])).to.deep.equal(['duplicate']);
        expect(await ledger.job(keyOf(1))).to.deep.equal(before);
      });

      it('takes one GUID from two endpoints for two deliveries', async () => {
        const answers = await ledger.recordDeliveries([
          { delivery: delivery('a', { endpoint: 'two' }), fact: fact({ jobId: 1 }) },
          { delivery: delivery('a', { endpoint: 'one' }), fact: fact({ jobId: 2 }) },
          { delivery: delivery('a', { endpoint: 'two' }), fact: fact({ jobId: 3 }) },
        ]);
        expect(answers).to.deep.equal(['recorded', 'recorded', 'duplicate']);
        expect(await ledger.job(keyOf(2))).to.not.equal(undefined);
        expect(await ledger.job(keyOf(3))).to.equal(undefined);
      });

      it('applies the facts of one batch in their order', async () => {
        await ledger.recordDeliveries([
          { delivery: delivery('z'), fact: fact({ jobId: 1, observedAtMs: 10 }) },
          {
            delivery: delivery('a'),
            fact: fact({ jobId: 1, status: 'in_progress', runnerName: 'd-1', observedAtMs: 11 }),
          },
        ]);
        expect(await ledger.job(keyOf(1))).to.include({ status: 'in_progress', firstSeenAtMs: 10, runnerName: 'd-1' });
      });

      it('records deliveries without a job', async () => {
        const ping = { delivery: delivery('p', { event: 'ping', action: null }), fact: null };
        expect(await ledger.recordDeliveries([ping])).to.deep.equal(['recorded']);
        expect(await ledger.recordDeliveries([ping])).to.deep.equal(['duplicate']);
      });

      it('writes nothing of a batch that contains an invalid entry', async () => {
        const good = { delivery: delivery('a'), fact: fact({ jobId: 1 }) };
        const bad = { delivery: delivery('b'), fact: fact({ jobId: 2, jobName: 'nul\0' }) };
        expect(await rejection(ledger.recordDeliveries([good, bad]))).to.be.instanceOf(TypeError);
        expect(await ledger.job(keyOf(1))).to.equal(undefined);
        expect(await ledger.recordDeliveries([good])).to.deep.equal(['recorded']);
      });

      it('counts the jobs that facts changed', async () => {
        const told = [
          fact({ jobId: 1 }),
          fact({ jobId: 2 }),
          fact({ jobId: 1, status: 'in_progress', observedAtMs: 11_000 }),
        ];
        expect(await ledger.recordFacts(told)).to.equal(2);
        expect(await ledger.recordFacts(told)).to.equal(0);
      });

      it('takes many calls at once', async () => {
        const calls = Array.from({ length: 40 }, (_, index) => ({
          delivery: delivery(`guid-${index % 20}`),
          fact: fact({ jobId: index % 20 }),
        }));
        const answers = await Promise.all(calls.map((call) => ledger.recordDeliveries([call])));
        expect(answers.filter(([answer]) => answer === 'recorded')).to.have.length(20);
        expect(await ledger.unsettledJobs(100, 'reject')).to.have.length(20);
      });
    });

    describe('jobs', () => {
      it('come up for settling in the order of their first change, until they are settled', async () => {
        await ledger.recordFacts([fact({ jobId: 2 })]);
        nowMs += 1;
        await ledger.recordFacts([fact({ jobId: 1 })]);
        nowMs += 1;
        await ledger.recordFacts([fact({ jobId: 2, status: 'in_progress', observedAtMs: 11_000 })]);
        expect(keys(await ledger.unsettledJobs(10, 'reject'))).to.deep.equal([keyOf(2), keyOf(1)]);
        expect(keys(await ledger.unsettledJobs(1, 'reject'))).to.deep.equal([keyOf(2)]);
        await ledger.settleJobs([{ key: keyOf(2), version: 2 }]);
        expect(keys(await ledger.unsettledJobs(10, 'reject'))).to.deep.equal([keyOf(1)]);
      });

      it('stay unsettled when a fact came in while the decision was made', async () => {
        await ledger.recordFacts([fact({ jobId: 1 })]);
        const decidedOn = await known(keyOf(1));
        await ledger.recordFacts([fact({ jobId: 1, status: 'in_progress', observedAtMs: 11_000 })]);
        await ledger.settleJobs([admitted(decidedOn)]);
        expect(keys(await ledger.unsettledJobs(10, 'reject'))).to.deep.equal([keyOf(1)]);
        expect(await ledger.job(keyOf(1))).to.include({ admission: 'pending', laneKey: null });
        expect(await ledger.laneCounts([lane().key], 'reject')).to.deep.equal([]);
      });

      it('keep their admission and its reason', async () => {
        await ledger.recordFacts([fact({ jobId: 1 }), fact({ jobId: 2 }), fact({ jobId: 3 })]);
        await ledger.settleJobs([
          refused(await known(keyOf(3))),
          admitted(await known(keyOf(1))),
          notOurs(await known(keyOf(2))),
        ]);
        expect(await ledger.job(keyOf(1))).to.include({ admission: 'lane', registration: 'acme', laneKey: lane().key });
        expect(await ledger.job(keyOf(2))).to.include({ admission: 'not-ours', registration: null, laneKey: null });
        expect(await ledger.job(keyOf(3))).to.include({
          admission: 'refused',
          reasonCode: 'cpu-above-maximum',
          cure: 'ask for at most cpu-8',
        });
      });

      it('are not admitted to a lane without its spec', async () => {
        await ledger.recordFacts([fact({ jobId: 1 })]);
        const { admission, ...rest } = admitted(await known(keyOf(1)));
        if (admission === undefined) throw new Error('no admission');
        const error = await rejection(ledger.settleJobs([{ ...rest, admission: { ...admission, lane: null } }]));
        expect(error).to.be.instanceOf(TypeError).with.property('message').that.includes('"lane" without a lane');
        const other = await rejection(ledger.settleJobs([{ ...rest, admission: { ...admission, state: 'refused' } }]));
        expect(other).to.be.instanceOf(TypeError).with.property('message').that.includes('"refused" with a lane');
      });

      it('are listed newest first, by registration, admission, status and lane', async () => {
        await queue([1, 2, 3]);
        await ledger.recordFacts([fact({ jobId: 4, observedAtMs: 9_000 }), fact({ jobId: 5, observedAtMs: 30_000 })]);
        await ledger.settleJobs([refused(await known(keyOf(4)))]);
        await ledger.recordFacts([fact({ jobId: 2, status: 'completed', observedAtMs: 40_000 })]);
        const listed = async (filter: Parameters<Ledger['jobs']>[0]) =>
          (await ledger.jobs(filter, 'reject')).map((row) => row.jobId);
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
        await queue([1, 4]);
        await queue([2, 3], lane({ key: 'other', registration: 'globex' }));
        const registrations = ['acme', 'globex'];
        const listed = async (limit: number) =>
          (await ledger.jobs({ registrations, limit }, 'reject')).map((row) => row.jobId);
        expect(await listed(10)).to.deep.equal([4, 3, 2, 1]);
        expect(await listed(3)).to.deep.equal([4, 3, 2]);
      });

      it('that are open come up again when the registrations change, except old ones', async () => {
        await queue([1, 2, 3]);
        await ledger.recordFacts([fact({ jobId: 1, status: 'completed', observedAtMs: 20_000 })]);
        await ledger.settleJobs([{ key: keyOf(1), version: 2 }]);
        const stale = admitted(await known(keyOf(3)));
        expect(await ledger.unsettleOpenJobs(10_003)).to.equal(1);
        expect(keys(await ledger.unsettledJobs(10, 'reject'))).to.deep.equal([keyOf(3)]);
        await ledger.settleJobs([stale]);
        expect(keys(await ledger.unsettledJobs(10, 'reject')), 'decided before the change').to.deep.equal([keyOf(3)]);
      });

      it('that a backend refused come up again when it accepts them, of that registration alone', async () => {
        await queue([1, 2, 3, 4]);
        const told = { state: 'refused', lane: null, reason: 'no such image', cure: null } as const;
        for (const [id, registration, reasonCode] of [
          [1, 'acme', 'backend-refused'],
          [2, 'acme', 'policy'],
          [3, 'globex', 'backend-refused'],
          [4, 'acme', 'backend-refused'],
        ] as const) {
          const { key, version } = await known(keyOf(id));
          await ledger.settleJobs([{ key, version, admission: { ...told, registration, reasonCode } }]);
        }
        await ledger.recordFacts([fact({ jobId: 4, status: 'completed', observedAtMs: 20_000 })]);
        await ledger.settleJobs([{ key: keyOf(4), version: (await known(keyOf(4))).version }]);
        const before = await known(keyOf(1));
        expect(await ledger.unsettleRefused('acme', 'backend-refused')).to.equal(1);
        expect(keys(await ledger.unsettledJobs(10, 'reject'))).to.deep.equal([keyOf(1)]);
        await ledger.settleJobs([{ key: before.key, version: before.version }]);
        expect(keys(await ledger.unsettledJobs(10, 'reject')), 'decided before that').to.deep.equal([keyOf(1)]);
      });

      it('that are put last call for no runner until they are settled', async () => {
        await queue([1, 2]);
        await ledger.unsettleOpenJobs(0);
        await ledger.putUnsettledLast(keyOf(1), nowMs);
        expect(keys(await ledger.unsettledJobs(10, 'reject'))).to.deep.equal([keyOf(2), keyOf(1)]);
        expect((await ledger.laneCounts([lane().key], 'reject'))[0]).to.include({ demand: 1 });
        expect(keys(await ledger.waitingJobs(lane().key, 10, 'reject'))).to.deep.equal([keyOf(2)]);
      });

      it('with conflicting facts are offered for a GET, until it comes', async () => {
        await queue([1, 2]);
        await ledger.recordFacts([fact({ jobId: 2, status: 'in_progress', observedAtMs: 20_000 })]);
        await ledger.recordFacts([fact({ jobId: 2, source: 'poll', observedAtMs: 20_001 })]);
        expect(keys(await ledger.disputedJobs(10, 'reject'))).to.deep.equal([keyOf(2)]);
        await ledger.recordFacts([fact({ jobId: 2, source: 'read', observedAtMs: 20_002 })]);
        expect(await ledger.disputedJobs(10, 'reject')).to.deep.equal([]);
        expect(await ledger.job(keyOf(2))).to.include({ status: 'queued', verifiedAtMs: 20_002 });
      });

      it('that wait unchanged and unread for long are offered for a GET, oldest first', async () => {
        await queue([1, 2, 3]);
        const since = (await ledger.job(keyOf(1)))?.statusSinceMs ?? 0;
        expect(keys(await ledger.staleJobs(since, 10))).to.deep.equal([]);
        expect(keys(await ledger.staleJobs(since + 60_000, 10))).to.deep.equal([keyOf(1), keyOf(2), keyOf(3)]);
        expect(keys(await ledger.staleJobs(since + 60_000, 2))).to.deep.equal([keyOf(1), keyOf(2)]);
        await ledger.recordFacts([fact({ jobId: 2, source: 'read', observedAtMs: since + 50_000 })]);
        expect(keys(await ledger.staleJobs(since + 50_000, 10))).to.deep.equal([keyOf(1), keyOf(3)]);
        expect(keys(await ledger.staleJobs(since + 50_001, 10))).to.deep.equal([keyOf(1), keyOf(2), keyOf(3)]);
      });

      it('that wait are offered for a GET one of each registration in turn, where more wait than are read', async () => {
        await queue([1, 2, 3]);
        await queue([4], lane({ key: 'lane000000000002', registration: 'globex' }));
        const longAfter = 600_000;
        expect(keys(await ledger.staleJobs(longAfter, 2))).to.deep.equal([keyOf(1), keyOf(4)]);
      });

      it('that may call for a runner are offered for a GET before those that are over', async () => {
        await queue([1, 2]);
        for (const [jobId, status] of [
          [1, 'completed'],
          [2, 'in_progress'],
        ] as const) {
          await ledger.recordFacts([fact({ jobId, status, observedAtMs: 20_000 })]);
          await ledger.recordFacts([fact({ jobId, source: 'poll', observedAtMs: 20_001 })]);
        }
        expect(keys(await ledger.disputedJobs(10, 'reject'))).to.deep.equal([keyOf(2), keyOf(1)]);
      });

      it('that GitHub does not know are over, and nobody waits for them', async () => {
        await queue([1]);
        await ledger.dropJob(keyOf(1), 'GitHub answers 404', 60_000);
        expect(await ledger.job(keyOf(1))).to.include({
          status: 'completed',
          conclusion: 'unknown',
          disputed: false,
          runnerName: null,
          reason: 'GitHub answers 404',
          statusSinceMs: 60_000,
        });
        expect(await ledger.waitingJobs(lane().key, 10, 'reject')).to.deep.equal([]);
        expect(keys(await ledger.unsettledJobs(10, 'reject'))).to.deep.equal([keyOf(1)]);
        await ledger.dropJob('github.com/404', 'never heard of it', 60_000);
      });

      it('that completed before GitHub forgot them keep their conclusion', async () => {
        await queue([1]);
        await ledger.recordFacts([
          fact({ jobId: 1, status: 'completed', conclusion: 'success', observedAtMs: 20_000 }),
        ]);
        await ledger.dropJob(keyOf(1), 'GitHub answers 404', 60_000);
        expect(await ledger.job(keyOf(1))).to.include({ conclusion: 'success', reason: null });
      });

      it('that waited too long expire, and tell whose lanes to look at', async () => {
        await queue([1, 2]);
        await queue([3], lane({ key: 'lane000000000002' }));
        await ledger.recordFacts([fact({ jobId: 4, observedAtMs: 1 })]);
        expect(await ledger.expireJobs(10_002, 10)).to.deep.equal([lane().key]);
        expect(await ledger.job(keyOf(1))).to.include({ admission: 'expired', status: 'queued' });
        expect(await ledger.expireJobs(10_002, 10)).to.deep.equal([]);
        expect(await ledger.expireJobs(99_999, 1)).to.deep.equal([lane().key]);
        expect(await ledger.expireJobs(99_999, 10)).to.deep.equal(['lane000000000002']);
        expect(await ledger.job(keyOf(4)), 'not admitted yet').to.include({ admission: 'pending' });
      });

      it('that waited too long in several lanes tell of them in the order of their keys, each once', async () => {
        await queue([1], lane({ key: 'b' }));
        await queue([2, 3], lane({ key: 'a' }));
        expect(await ledger.expireJobs(99_999, 10)).to.deep.equal(['a', 'b']);
      });
    });

    describe('lanes', () => {
      const online = { state: 'online', onlineAtMs: 21_000 } as const;

      it('count demand and supply', async () => {
        await queue([1, 2, 3]);
        await ledger.recordFacts([fact({ jobId: 3, status: 'waiting', source: 'poll', observedAtMs: 20_000 })]);
        await ledger.createRunner(runner({ name: 'd-1' }), 'launch');
        await ledger.createRunner(runner({ name: 'd-2', state: 'starting' }), 'launch');
        await ledger.createRunner(runner({ name: 'd-3', ...online }), 'launch');
        await ledger.createRunner(runner({ name: 'd-4', ...online, jobKey: keyOf(9) }), 'launch');
        await ledger.createRunner(runner({ name: 'd-5', ...online, specHash: 'spec-0' }), 'launch');
        await ledger.createRunner(runner({ name: 'd-6', state: 'draining', specHash: 'spec-0' }), 'launch');
        await ledger.createRunner(runner({ name: 'd-7', state: 'busy' }), 'launch');
        expect(await ledger.laneCounts(['unheard of', lane().key, lane().key], 'reject')).to.deep.equal([
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
        await queue([1, 2]);
        await ledger.recordFacts([
          fact({ jobId: 1, status: 'in_progress', observedAtMs: 20_000 }),
          fact({ jobId: 2, status: 'completed', observedAtMs: 20_000 }),
        ]);
        expect((await ledger.laneCounts([lane().key], 'reject'))[0]).to.include({
          demand: 0,
          oldestQueuedSinceMs: null,
        });
        await ledger.recordFacts([1, 2].map((jobId) => fact({ jobId, source: 'poll', observedAtMs: 20_001 })));
        expect((await ledger.laneCounts([lane().key], 'reject'))[0]).to.include({
          demand: 1,
          oldestQueuedSinceMs: 20_000,
        });
      });

      it('take the latest spec', async () => {
        await queue([1]);
        await queue([2], lane({ specHash: 'spec-2', backends: ['docker', 'ali-eci'] }));
        const [counts] = await ledger.laneCounts([lane().key], 'reject');
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
        for (const [index, spec] of specs.entries()) await queue([index], spec);
        expect((await ledger.laneCounts(['a', 'b'], 'reject')).map((counts) => counts.lane)).to.deep.equal(specs);
      });

      it('are in use with demand or a live runner', async () => {
        await queue([1], lane({ key: 'wanted' }));
        await queue([2], lane({ key: 'idle' }));
        await queue([3], lane({ key: 'over' }));
        await ledger.createRunner(runner({ name: 'd-1', laneKey: 'idle', state: 'draining' }), 'launch');
        await ledger.createRunner(runner({ name: 'd-2', laneKey: 'gone', state: 'gone' }), 'launch');
        await ledger.recordFacts([2, 3].map((jobId) => fact({ jobId, status: 'completed', observedAtMs: 20_000 })));
        expect(await ledger.lanesInUse()).to.deep.equal(['idle', 'wanted']);
        expect(await ledger.deleteEmptyLanes()).to.equal(1);
        expect(
          (await ledger.laneCounts(['idle', 'over', 'wanted'], 'reject')).map((counts) => counts.lane.key),
        ).to.deep.equal(['idle', 'wanted']);
      });

      it('tell when jobs started on runners of one spec, the earliest first', async () => {
        const busy = (name: string, busyAtMs: number | null, some: Partial<RunnerRow> = {}) =>
          ledger.createRunner(runner({ name, busyAtMs, ...some }), 'launch');
        await busy('d-1', 30_000, { state: 'gone' });
        await busy('d-2', 10_000, { state: 'busy' });
        await busy('d-3', 20_000, { specHash: 'other' });
        await busy('d-4', null);
        await busy('d-5', 20_000, { registration: 'globex' });
        const { registration, specHash } = runner({ name: 'd-6' });
        expect(await ledger.jobStarts(registration, specHash, 0)).to.deep.equal([10_000, 30_000]);
        expect(await ledger.jobStarts(registration, specHash, 10_001)).to.deep.equal([30_000]);
      });

      it('are there for runners that wait in them before a job has come', async () => {
        await ledger.putLane(lane({ key: 'warm' }));
        expect((await ledger.laneCounts(['warm'], 'reject'))[0]).to.deep.include({
          lane: lane({ key: 'warm' }),
          demand: 0,
        });
        expect(await ledger.deleteEmptyLanes()).to.equal(1);
        const waits = runner({ name: 'd-1', laneKey: 'warm', idleLimitMs: 7_200_000, jobLimitMs: 60_000 });
        await ledger.createRunner(waits, 'launch', lane({ key: 'warm' }));
        expect(await ledger.deleteEmptyLanes()).to.equal(0);
        expect((await ledger.laneCounts(['warm'], 'reject'))[0]).to.deep.include({
          lane: lane({ key: 'warm' }),
          creating: 1,
        });
        expect(await ledger.runner('d-1')).to.deep.equal(waits);
        const changed = lane({ key: 'warm', specHash: 'spec-2' });
        await ledger.putLane(changed);
        expect((await ledger.laneCounts(['warm'], 'reject'))[0]).to.deep.include({
          lane: changed,
          creating: 0,
          outdated: 1,
        });
      });

      it('stay while one of their jobs is open, as it may come back into the queue', async () => {
        await queue([1]);
        await ledger.recordFacts([fact({ jobId: 1, status: 'in_progress', observedAtMs: 20_000 })]);
        expect(await ledger.lanesInUse()).to.deep.equal([]);
        expect(await ledger.deleteEmptyLanes()).to.equal(0);
        await ledger.recordFacts([fact({ jobId: 1, source: 'read', observedAtMs: 20_001 })]);
        expect((await ledger.laneCounts([lane().key], 'reject'))[0]).to.include({ demand: 1 });
      });

      it('that were deleted let a job that comes back be admitted anew', async () => {
        await queue([1]);
        await ledger.recordFacts([fact({ jobId: 1, status: 'completed', observedAtMs: 20_000 })]);
        expect(await ledger.deleteEmptyLanes()).to.equal(1);
        await ledger.recordFacts([fact({ jobId: 1, source: 'read', observedAtMs: 20_001 })]);
        expect(await ledger.job(keyOf(1))).to.include({ status: 'queued', admission: 'pending' });
        expect(await ledger.lanesInUse()).to.deep.equal([]);
        expect(keys(await ledger.unsettledJobs(10, 'reject'))).to.deep.equal([keyOf(1)]);
      });

      it('offer the job with the fewest runners planned first, then the one that waited longest', async () => {
        await queue([1, 2, 3]);
        await ledger.createRunner(runner({ name: 'd-1', forJobKey: keyOf(1), createdAtMs: 30_000 }), 'launch');
        expect(await ledger.waitingJobs(lane().key, 10, 'reject')).to.deep.equal(
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
          })),
        );
        expect(keys(await ledger.waitingJobs(lane().key, 1, 'reject'))).to.deep.equal([keyOf(2)]);
      });

      it('leave out those of some runs, and count runners by the run of their job, or of the one that they are for', async () => {
        const ofRun = (jobId: number) => fact({ jobId, runId: jobId === 4 ? 72 : 71, observedAtMs: 10_000 + jobId });
        await ledger.recordFacts([1, 2, 3, 4].map(ofRun));
        for (const jobId of [1, 2, 3, 4]) await ledger.settleJobs([admitted(await known(keyOf(jobId)), lane())]);
        const besides = async (runs: readonly number[]) =>
          keys(await ledger.waitingJobs(lane().key, 10, 'reject', runs));
        expect(await besides([71])).to.deep.equal([keyOf(4)]);
        expect(await besides([72, 99])).to.deep.equal([keyOf(1), keyOf(2), keyOf(3)]);
        expect(await besides([71, 72])).to.deep.equal([]);
        await ledger.createRunner(runner({ name: 'd-1', forJobKey: keyOf(1) }), 'launch');
        await ledger.createRunner(runner({ name: 'd-2', forJobKey: keyOf(2), jobKey: keyOf(4) }), 'launch');
        await ledger.createRunner(runner({ name: 'd-3', forJobKey: keyOf(3), instanceState: 'ended' }), 'launch');
        await ledger.createRunner(runner({ name: 'd-4', registration: 'other', forJobKey: keyOf(1) }), 'launch');
        const counted = await ledger.liveCountsByRun(['acme', 'none']);
        expect(counted.toSorted((a, b) => a.runId - b.runId)).to.deep.equal([
          { registration: 'acme', runId: 71, count: 1 },
          { registration: 'acme', runId: 72, count: 1 },
        ]);
        expect(await ledger.liveCountsByRun([])).to.deep.equal([]);
        const runs = await ledger.laneRuns(lane().key, 'spec-1');
        expect(runs.toSorted((a, b) => a.runId - b.runId)).to.deep.equal([
          { runId: 71, demand: 3, supply: 3 },
          { runId: 72, demand: 1, supply: 0 },
        ]);
        expect((await ledger.laneRuns(lane().key, 'other')).map(({ supply }) => supply)).to.deep.equal([0, 0]);
      });
    });

    describe('runners', () => {
      it('are kept as they were made, with their first entry', async () => {
        const made = runner({
          name: 'd-1',
          backend: 'eci',
          forced: true,
          failure: failure({ code: 'NoStock', requestId: 'r-1', atMs: 20_000 }),
          githubRunnerId: 4_294_967_296,
          instanceState: 'maybe',
        });
        await ledger.createRunner(made, 'for github.com/1');
        expect(await ledger.runner('d-1')).to.deep.equal(made);
        expect(await ledger.timeline('d-1')).to.deep.equal([
          { atMs: made.createdAtMs, state: 'creating', reason: 'for github.com/1', details: null, failure: null },
        ]);
        expect(await ledger.runner('d-2')).to.equal(undefined);
      });

      it('are made once', async () => {
        await ledger.createRunner(runner({ name: 'd-1' }), 'first');
        expect(await rejection(ledger.createRunner(runner({ name: 'd-1', backend: 'other' }), 'second'))).to.be.an(
          'error',
        );
        expect(await ledger.runner('d-1')).to.include({ backend: null });
        expect(await ledger.timeline('d-1')).to.have.length(1);
      });

      it('count on the job they are made for what becomes of them, which need not be settled for that', async () => {
        await queue([1]);
        const before = await known(keyOf(1));
        await ledger.createRunner(runner({ name: 'd-1', forJobKey: keyOf(1), createdAtMs: 31_000 }), 'launch');
        expect(await ledger.job(keyOf(1))).to.deep.equal({ ...before, planned: 1 });
        const step = (launch: NonNullable<RunnerStep['launch']>) =>
          ledger.stepRunner('d-1', () => ({ patch: {}, entries: [], launch }));
        await step('called');
        const calledAtMs = (await known(keyOf(1))).lastLaunchAtMs;
        expect(await ledger.job(keyOf(1))).to.include({ planned: 1, launches: 1 });
        expect(calledAtMs).to.be.a('number');
        await step('stolen');
        await step('called');
        await step('refused');
        expect(await ledger.job(keyOf(1))).to.include({ planned: 0, launches: 1 });
        await ledger.createRunner(runner({ name: 'd-2', forJobKey: keyOf(1), createdAtMs: 31_000 }), 'launch');
        await step('given-back');
        expect(await ledger.unsettledJobs(10, 'reject')).to.deep.equal([]);
        await ledger.recordFacts([fact({ jobId: 1, status: 'in_progress', observedAtMs: 32_000 })]);
        const counted = { planned: 0, launches: 1, stolen: 1, lastLaunchAtMs: calledAtMs };
        expect(await ledger.job(keyOf(1))).to.include(counted);
      });

      it('count no launch on the job when the only one was refused', async () => {
        await queue([1]);
        await ledger.createRunner(runner({ name: 'd-1', forJobKey: keyOf(1) }), 'launch');
        for (const launch of ['called', 'refused'] as const) {
          await ledger.stepRunner('d-1', () => ({ patch: {}, entries: [], launch }));
        }
        expect(await ledger.job(keyOf(1))).to.include({ planned: 0, launches: 0 });
      });

      it('take a step, and tell how they were before and after', async () => {
        const made = runner({ name: 'd-1' });
        await ledger.createRunner(made, 'launch');
        const stepped = await ledger.stepRunner('d-1', (before) => ({
          patch: { state: 'busy', jobKey: keyOf(before.version), busyAtMs: 22_000, nextCheckAtMs: null, forced: true },
          entries: [
            { atMs: 22_000, state: 'busy', reason: 'in_progress', details: 'took github.com/1', failure: null },
            {
              atMs: 22_000,
              state: 'busy',
              reason: 'forced',
              details: null,
              failure: failure({ source: 'github', kind: 'forbidden' }),
            },
          ],
        }));
        const after = {
          ...made,
          state: 'busy',
          jobKey: keyOf(1),
          busyAtMs: 22_000,
          nextCheckAtMs: null,
          forced: true,
          version: 2,
        };
        expect(stepped).to.deep.equal({ before: made, after });
        expect(await ledger.runner('d-1')).to.deep.equal(after);
        expect((await ledger.timeline('d-1')).map((entry) => entry.reason)).to.deep.equal([
          'launch',
          'in_progress',
          'forced',
        ]);
      });

      it('change nothing when the decision is undefined or the runner is unknown', async () => {
        const made = runner({ name: 'd-1' });
        await ledger.createRunner(made, 'launch');
        expect(await ledger.stepRunner('d-1', () => undefined)).to.deep.equal({ before: made, after: made });
        expect(await ledger.runner('d-1')).to.deep.equal(made);
        expect(await ledger.stepRunner('d-2', () => ({ patch: {}, entries: [] }))).to.equal(undefined);
      });

      it('are as before when the decision throws', async () => {
        const made = runner({ name: 'd-1' });
        await ledger.createRunner(made, 'launch');
        const thrown = new Error('an illegal command');
        const decide = () => {
          throw thrown;
        };
        expect(await rejection(ledger.stepRunner('d-1', decide))).to.equal(thrown);
        expect(await ledger.runner('d-1')).to.deep.equal(made);
      });

      it('are as before when an entry of the step cannot be kept', async () => {
        const made = runner({ name: 'd-1' });
        await ledger.createRunner(made, 'launch');
        const step = {
          patch: { state: 'busy' as const },
          entries: [{ atMs: 0.5, state: 'busy' as const, reason: 'r', details: null, failure: null }],
        };
        expect(await rejection(ledger.stepRunner('d-1', () => step))).to.be.instanceOf(TypeError);
        expect(await ledger.runner('d-1')).to.deep.equal(made);
      });

      it('lose no step of many at once', async () => {
        await ledger.createRunner(runner({ name: 'd-1' }), 'launch');
        await Promise.all(
          Array.from({ length: 50 }, () =>
            ledger.stepRunner('d-1', (before) => ({ patch: { attempts: before.attempts + 1 }, entries: [] })),
          ),
        );
        expect(await ledger.runner('d-1')).to.include({ attempts: 50, version: 51 });
      });

      it('keep the first and the latest of a very long timeline', async () => {
        await ledger.createRunner(runner({ name: 'd-1' }), 'step 1');
        for (let version = 2; version <= 900; version += 1) {
          await ledger.stepRunner('d-1', () => ({
            patch: {},
            entries: [{ atMs: version, state: 'draining', reason: `step ${version}`, details: null, failure: null }],
          }));
        }
        const reasons = (await ledger.timeline('d-1')).map((entry) => entry.reason);
        expect(reasons.slice(0, 100)).to.deep.equal(Array.from({ length: 100 }, (_, index) => `step ${index + 1}`));
        expect(reasons.at(-1)).to.equal('step 900');
        expect(reasons.length).to.be.within(500, 560);
      });

      it('are listed newest first, by registration, state and lane', async () => {
        const made: [string, RunnerState, string, string, number][] = [
          ['d-1', 'busy', 'acme', 'lane-a', 5],
          ['d-2', 'gone', 'acme', 'lane-a', 3],
          ['d-3', 'creating', 'other', 'lane-b', 4],
          ['d-4', 'creating', 'acme', 'lane-b', 5],
        ];
        for (const [name, state, registration, laneKey, createdAtMs] of made) {
          await ledger.createRunner(runner({ name, state, registration, laneKey, createdAtMs }), 'launch');
        }
        const listed = async (filter: Parameters<Ledger['runners']>[0]) =>
          names(await ledger.runners(filter, 'reject'));
        expect(await listed({})).to.deep.equal(['d-4', 'd-1', 'd-3', 'd-2']);
        expect(await listed({ limit: 1 })).to.deep.equal(['d-4']);
        expect(await listed({ states: ['creating', 'busy'] })).to.deep.equal(['d-4', 'd-1', 'd-3']);
        expect(await listed({ states: ['gone', 'busy'] })).to.deep.equal(['d-1', 'd-2']);
        expect(await listed({ states: [] })).to.deep.equal([]);
        expect(await listed({ registrations: ['acme'] })).to.deep.equal(['d-4', 'd-1', 'd-2']);
        expect(await listed({ registrations: ['acme', 'other'], states: ['creating'] })).to.deep.equal(['d-4', 'd-3']);
        expect(await listed({ registrations: ['acme', 'other'], limit: 1 })).to.deep.equal(['d-4']);
        expect(await listed({ laneKey: 'lane-a' })).to.deep.equal(['d-1', 'd-2']);
        expect(await listed({ laneKey: 'lane-a', states: ['busy'] })).to.deep.equal(['d-1']);
      });

      it('come due without those of the registrations and backends that are left out', async () => {
        const due = { nextCheckAtMs: 200 };
        await ledger.createRunner(runner({ name: 'd-1', ...due, registration: 'acme', backend: 'main' }), 'launch');
        await ledger.createRunner(runner({ name: 'd-2', ...due, registration: 'acme', backend: 'spare' }), 'launch');
        await ledger.createRunner(runner({ name: 'd-3', ...due, registration: 'acme', backend: null }), 'launch');
        await ledger.createRunner(runner({ name: 'd-4', ...due, registration: 'other', backend: 'main' }), 'launch');
        const without = async (leftOut: RunnersLeftOut) => names(await ledger.runnersDue(300, 10, 'reject', leftOut));
        expect(await without({ registrations: ['acme', 'none'] })).to.deep.equal(['d-4']);
        const main = { registration: 'acme', backend: 'main' };
        expect(await without({ places: [main] })).to.deep.equal(['d-2', 'd-3', 'd-4']);
        const nowhere = { registration: 'acme', backend: null };
        expect(await without({ places: [main, nowhere] })).to.deep.equal(['d-2', 'd-4']);
        expect(await without({ registrations: ['other'], places: [main] })).to.deep.equal(['d-2', 'd-3']);
      });

      it('come due in the order of their checks, unless they are gone', async () => {
        await ledger.createRunner(runner({ name: 'd-1', nextCheckAtMs: 300 }), 'launch');
        await ledger.createRunner(runner({ name: 'd-2', nextCheckAtMs: 200 }), 'launch');
        await ledger.createRunner(runner({ name: 'd-3', nextCheckAtMs: 100, state: 'gone' }), 'launch');
        await ledger.createRunner(runner({ name: 'd-4', nextCheckAtMs: null }), 'launch');
        await ledger.createRunner(runner({ name: 'd-5', nextCheckAtMs: 301 }), 'launch');
        expect(names(await ledger.runnersDue(300, 10, 'reject'))).to.deep.equal(['d-2', 'd-1']);
        expect(names(await ledger.runnersDue(300, 1, 'reject'))).to.deep.equal(['d-2']);
        expect(await ledger.nextCheckAt()).to.equal(200);
      });

      it('have no next check when no runner is live', async () => {
        expect(await ledger.nextCheckAt()).to.equal(null);
        expect(await ledger.liveCounts()).to.deep.equal([]);
      });

      it('take the lane of a job when a parked one gets it, which counts for the job as planned and launched', async () => {
        await ledger.recordFacts([fact({ jobId: 1 })]);
        const key = 'github.com/acme/web/1';
        await ledger.createRunner(
          runner({ name: 'd-1', laneKey: 'pool', labels: [], state: 'parked', standby: 'ready', forJobKey: null }),
          'ahead',
        );
        const lane = {
          laneKey: 'lane-9',
          labels: ['x', 'sid-1'],
          scope: 'repos/acme/web',
          runnerGroup: 'g',
          specHash: 's9',
        };
        await ledger.stepRunner('d-1', () => ({
          patch: { ...lane, state: 'starting', forJobKey: key },
          entries: [],
          launch: 'claimed',
        }));
        expect(await ledger.runner('d-1')).to.deep.include({
          ...lane,
          state: 'starting',
          standby: 'ready',
          forJobKey: key,
        });
        expect(await ledger.job(key)).to.include({ planned: 1, launches: 1 });
      });

      // X5
      it('count while an instance may run, draining ones included and told apart', async () => {
        await ledger.createRunner(runner({ name: 'd-1' }), 'launch');
        await ledger.createRunner(runner({ name: 'd-2', backend: 'eci', instanceState: 'running' }), 'launch');
        await ledger.createRunner(
          runner({ name: 'd-3', backend: 'eci', state: 'draining', instanceState: 'ended' }),
          'launch',
        );
        await ledger.createRunner(
          runner({ name: 'd-4', backend: 'eci', state: 'draining', instanceState: 'absent' }),
          'launch',
        );
        await ledger.createRunner(runner({ name: 'd-5', backend: 'eci', state: 'gone' }), 'launch');
        await ledger.createRunner(runner({ name: 'd-6', backend: 'eci', registration: 'other' }), 'launch');
        await ledger.createRunner(
          runner({ name: 'd-7', backend: 'eci', state: 'draining', instanceState: 'running' }),
          'launch',
        );
        await ledger.createRunner(
          runner({ name: 'd-8', backend: 'eci', state: 'draining', instanceState: 'none' }),
          'GitHub refused it',
        );
        await ledger.createRunner(
          runner({ name: 'd-9', backend: 'eci', state: 'parked', instanceState: 'running', standby: 'ready' }),
          'ahead of its job',
        );
        expect(await ledger.liveCounts()).to.have.deep.members([
          { registration: 'acme', backend: null, count: 1, draining: 0, parked: 0 },
          { registration: 'acme', backend: 'eci', count: 3, draining: 1, parked: 1 },
          { registration: 'other', backend: 'eci', count: 1, draining: 0, parked: 0 },
        ]);
      });

      it('tell their registrations and scopes until they are gone, busy ones included', async () => {
        await ledger.createRunner(runner({ name: 'd-1', scope: 'repos/acme/web', state: 'busy' }), 'launch');
        await ledger.createRunner(runner({ name: 'd-2', scope: 'repos/acme/web', state: 'draining' }), 'launch');
        await ledger.createRunner(runner({ name: 'd-3', scope: 'orgs/acme', state: 'online' }), 'launch');
        await ledger.createRunner(runner({ name: 'd-4', registration: 'other', scope: 'orgs/other' }), 'launch');
        await ledger.createRunner(runner({ name: 'd-5', registration: 'third', state: 'gone' }), 'launch');
        await ledger.createRunner(runner({ name: 'd-6', scope: 'repos/acme/gone', state: 'gone' }), 'launch');
        expect(await ledger.registrationsWithRunners()).to.deep.equal(['acme', 'other']);
        expect(await ledger.scopesWithRunners('acme')).to.deep.equal(['orgs/acme', 'repos/acme/web']);
        expect(await ledger.scopesWithRunners('third')).to.deep.equal([]);
      });

      it('are surplus from the youngest state and the youngest runner on', async () => {
        const made: [string, RunnerState, number, string | null][] = [
          ['online-old', 'online', 1, null],
          ['online-young', 'online', 2, null],
          ['online-bound', 'online', 9, keyOf(1)],
          ['starting', 'starting', 1, null],
          ['creating-old', 'creating', 1, null],
          ['creating-young', 'creating', 3, null],
          ['busy', 'busy', 9, keyOf(2)],
          ['draining', 'draining', 9, null],
        ];
        for (const [name, state, createdAtMs, jobKey] of made) {
          await ledger.createRunner(runner({ name, state, createdAtMs, jobKey }), 'launch');
        }
        await ledger.createRunner(runner({ name: 'elsewhere', laneKey: 'lane-b' }), 'launch');
        const order = ['creating-young', 'creating-old', 'starting', 'online-young', 'online-old'];
        expect(names(await ledger.surplusRunners(lane().key, 10, 'reject'))).to.deep.equal(order);
        expect(names(await ledger.surplusRunners(lane().key, 3, 'reject'))).to.deep.equal(order.slice(0, 3));
      });

      it('keep the end of their output', async () => {
        await ledger.createRunner(runner({ name: 'd-1' }), 'launch');
        expect(await ledger.output('d-1')).to.equal(undefined);
        await ledger.keepOutput('d-1', 'Listening for Jobs\0\n', 60_000);
        expect(await ledger.output('d-1')).to.equal('Listening for Jobs\n');
        const long = `first ${'ü'.repeat(LOG_BYTES / 2)}!`;
        await ledger.keepOutput('d-1', long, 61_000);
        const kept = (await ledger.output('d-1')) ?? '';
        expect(Buffer.byteLength(kept)).to.be.within(LOG_BYTES - 3, LOG_BYTES);
        expect(long.endsWith(kept)).to.equal(true);
        await ledger.keepOutput('never made', 'nothing to keep it with', 61_000);
      });
    });

    describe('breakers, leases and cursors', () => {
      it('remember a breaker until it is deleted', async () => {
        const account = breaker({ key: 'acme/eci', backend: 'eci' });
        const refused = breaker({
          key: 'acme/aci/abc/refused',
          backend: 'aci',
          rule: 'refused',
          shape: 'abc',
          subject: 'image runner:2',
          failure: failure({ source: 'acme/aci', kind: 'invalid', code: 'InaccessibleImage', requestId: 'r-2' }),
        });
        await ledger.putBreaker(account);
        await ledger.putBreaker(refused);
        const again = {
          ...account,
          failures: 3,
          failure: failure({ source: 'acme/eci', kind: 'quota', atMs: 65_000 }),
        };
        await ledger.putBreaker(again);
        expect(await ledger.breakers()).to.deep.equal([refused, again]);
        await ledger.deleteBreaker(refused.key);
        expect(await ledger.breakers()).to.deep.equal([again]);
      });

      it('give a lease to one holder at a time', async () => {
        expect(await ledger.acquireLease('sweep', 'one', 1_000, 100)).to.equal(true);
        expect(await ledger.acquireLease('sweep', 'two', 1_099, 100)).to.equal(false);
        expect(await ledger.acquireLease('other', 'two', 1_099, 100)).to.equal(true);
        expect(await ledger.acquireLease('sweep', 'one', 1_099, 100), 'renewed').to.equal(true);
        expect(await ledger.acquireLease('sweep', 'two', 1_198, 100)).to.equal(false);
        expect(await ledger.acquireLease('sweep', 'two', 1_199, 100)).to.equal(true);
        expect(await ledger.acquireLease('sweep', 'one', 1_200, 100)).to.equal(false);
      });

      it('remember where a reader was', async () => {
        expect(await ledger.cursor('poll/acme/web')).to.equal(undefined);
        await ledger.putCursor('poll/acme/web', 'W/"etag"', 1);
        await ledger.putCursor('poll/acme/web', '', 2);
        expect(await ledger.cursor('poll/acme/web')).to.equal('');
      });
    });

    describe('a job of a repository that was renamed', () => {
      async function readAs(repository: string, observedAtMs: number): Promise<string> {
        const told = fact({ jobId: 1, repository, observedAtMs });
        const key = jobKey(told);
        await ledger.recordFacts([told]);
        await ledger.settleJobs([admitted(await known(key), lane())]);
        await ledger.recordFacts([{ ...told, source: 'read' }]);
        return key;
      }

      it('is known by the name that GitHub gave last, also within one millisecond', async () => {
        for (const [old, now] of [
          ['web', 'site'],
          ['site', 'shop'],
        ] as const) {
          const former = await readAs(old, 200);
          const present = await readAs(now, 200);
          expect(await ledger.job(former), former).to.include({ status: 'completed' });
          expect(await ledger.job(present), present).to.include({ status: 'queued' });
        }
      });

      it('keeps the name of a later read when an earlier one comes after it', async () => {
        const present = await readAs('site', 300);
        await readAs('web', 200);
        expect(await ledger.job(present)).to.include({ status: 'queued' });
      });
    });

    describe('retention', () => {
      const day = 24 * 3_600_000;
      const retention = {
        deliveriesMs: 2 * day,
        jobsMs: 5 * day,
        runnersMs: 5 * day,
        maxDeliveries: 1000,
        maxJobs: 1000,
        maxRunners: 1000,
      };
      const end = 100 * day;

      async function completed(ids: readonly number[], atMs: number): Promise<void> {
        for (const jobId of ids) {
          await ledger.recordFacts([fact({ jobId, status: 'completed', observedAtMs: atMs + jobId })]);
          await ledger.settleJobs([notOurs(await known(keyOf(jobId)))]);
        }
      }

      async function gone(ids: readonly number[], atMs: number): Promise<void> {
        for (const id of ids) {
          await ledger.createRunner(runner({ name: `d-${id}`, state: 'gone', stateSinceMs: atMs + id }), 'launch');
          await ledger.keepOutput(`d-${id}`, 'output', atMs);
        }
      }

      async function pruneAll(rules = retention, limit = 2): Promise<number[]> {
        const steps: number[] = [];
        for (;;) {
          const deleted = await ledger.prune(end, rules, limit);
          if (deleted === 0) return steps;
          steps.push(deleted);
        }
      }

      it('forgets what is old, in small steps', async () => {
        await ledger.recordDeliveries(
          [1, 2, 3].map((id) => ({
            delivery: delivery(`old-${id}`, { receivedAtMs: end - 3 * day + id }),
            fact: null,
          })),
        );
        await ledger.recordDeliveries([{ delivery: delivery('new', { receivedAtMs: end - day }), fact: null }]);
        await completed([1, 2, 3], end - 6 * day);
        await completed([4], end - day);
        await gone([1, 2, 3], end - 6 * day);
        await gone([4], end - day);
        expect(await pruneAll()).to.deep.equal([6, 3]);
        expect((await ledger.jobs({}, 'reject')).map((row) => row.jobId)).to.deep.equal([4]);
        expect(names(await ledger.runners({}, 'reject'))).to.deep.equal(['d-4']);
        expect(await ledger.timeline('d-1')).to.deep.equal([]);
        expect(await ledger.output('d-1')).to.equal(undefined);
        expect(await ledger.output('d-4')).to.equal('output');
        const again = (guid: string) => ledger.recordDeliveries([{ delivery: delivery(guid), fact: null }]);
        expect(await again('new')).to.deep.equal(['duplicate']);
        expect(await again('old-1')).to.deep.equal(['recorded']);
      });

      it('forgets the oldest when there are too many', async () => {
        await completed([1, 2, 3, 4, 5], end - day);
        await gone([1, 2, 3, 4, 5], end - day);
        expect(await pruneAll({ ...retention, maxJobs: 2, maxRunners: 3 })).to.deep.equal([4, 1]);
        expect((await ledger.jobs({}, 'reject')).map((row) => row.jobId)).to.deep.equal([5, 4]);
        expect(names(await ledger.runners({}, 'reject')).sort()).to.deep.equal(['d-3', 'd-4', 'd-5']);
      });

      it('forgets the oldest deliveries when there are too many, and takes what they said in as before', async () => {
        const flood = ['a', 'b', 'c', 'd', 'e'].map((guid, index) => ({
          delivery: delivery(guid, { receivedAtMs: end - day + index }),
          fact: fact({ jobId: 7, status: 'completed', observedAtMs: end - day }),
        }));
        await ledger.recordDeliveries(flood);
        const before = await known(keyOf(7));
        expect(await pruneAll({ ...retention, maxDeliveries: 2 })).to.deep.equal([2, 1]);
        const replayed = ['recorded', 'recorded', 'recorded', 'duplicate', 'duplicate'];
        expect(await ledger.recordDeliveries(flood)).to.deep.equal(replayed);
        expect(await known(keyOf(7))).to.deep.equal(before);
      });

      it('forgets no more in a step than it was asked to, what is old and what is too many together', async () => {
        await completed([1], end - 6 * day);
        await completed([2, 3, 4, 5, 6], end - day);
        expect(await pruneAll({ ...retention, maxJobs: 1 })).to.deep.equal([2, 2, 1]);
        expect((await ledger.jobs({}, 'reject')).map((row) => row.jobId)).to.deep.equal([6]);
      });

      it('forgets no more in a step than it was asked to where jobs without an end are among them', async () => {
        await ledger.recordFacts([fact({ jobId: 1, observedAtMs: end - 36 * day })]);
        await ledger.settleJobs([notOurs(await known(keyOf(1)))]);
        await completed([2, 3, 4, 5], end - day);
        expect(await pruneAll({ ...retention, maxJobs: 1 })).to.deep.equal([2, 2]);
        expect((await ledger.jobs({}, 'reject')).map((row) => row.jobId)).to.deep.equal([5]);
      });

      it('keeps live runners, open jobs, what waits to be settled, and lanes in use, however old', async () => {
        await queue([1]);
        await ledger.recordFacts([fact({ jobId: 2, status: 'completed', observedAtMs: 1 })]);
        await ledger.recordFacts([fact({ jobId: 3, observedAtMs: 1 })]);
        await ledger.createRunner(
          runner({ name: 'd-1', state: 'draining', stateSinceMs: 1, createdAtMs: 1 }),
          'launch',
        );
        expect(await pruneAll({ ...retention, maxJobs: 0, maxRunners: 0 })).to.deep.equal([]);
        expect(await ledger.deleteEmptyLanes()).to.equal(0);
        expect(await ledger.jobs({}, 'reject')).to.have.length(3);
        expect(await ledger.runner('d-1')).to.not.equal(undefined);
      });

      it('prunes jobs of others whose end was not reported, once GitHub must have ended them', async () => {
        await ledger.recordFacts([
          fact({ jobId: 1, observedAtMs: end - 36 * day }),
          fact({ jobId: 2, observedAtMs: end - 34 * day }),
        ]);
        await ledger.settleJobs([notOurs(await known(keyOf(1))), notOurs(await known(keyOf(2)))]);
        expect(await pruneAll()).to.deep.equal([1]);
        expect((await ledger.jobs({}, 'reject')).map((row) => row.jobId)).to.deep.equal([2]);
      });
    });

    describe('a restart', () => {
      it('finds everything as it was left', async () => {
        await queue([1, 2]);
        await ledger.recordFacts([fact({ jobId: 3 })]);
        await ledger.recordDeliveries([{ delivery: delivery('a'), fact: null }]);
        await ledger.createRunner(runner({ name: 'd-1', forJobKey: keyOf(1) }), 'launch');
        await ledger.keepOutput('d-1', 'output', 1);
        await ledger.putCursor('c', 'v', 1);
        const look = async () => ({
          jobs: await ledger.jobs({}, 'reject'),
          unsettled: await ledger.unsettledJobs(10, 'reject'),
          counts: await ledger.laneCounts([lane().key], 'reject'),
          waiting: await ledger.waitingJobs(lane().key, 10, 'reject'),
          runners: await ledger.runners({}, 'reject'),
          timeline: await ledger.timeline('d-1'),
          output: await ledger.output('d-1'),
          cursor: await ledger.cursor('c'),
        });
        const before = await look();
        await restart();
        expect(await look()).to.deep.equal(before);
        expect(await ledger.recordDeliveries([{ delivery: delivery('a'), fact: null }])).to.deep.equal(['duplicate']);
      });
    });

    it('refuses a decision that calls it back', async () => {
      await ledger.createRunner(runner({ name: 'd-1' }), 'launch');
      const calls: Promise<unknown>[] = [];
      await ledger.stepRunner('d-1', () => {
        calls.push(rejection(ledger.putCursor('c', 'from inside', 1)));
        return { patch: {}, entries: [] };
      });
      const [refusal] = await Promise.all(calls);
      expect(refusal).to.be.an('error').with.property('message').that.includes('decisions are pure');
      expect(await ledger.cursor('c')).to.equal(undefined);
    });

    it('answers nothing after it was closed, and closes twice', async () => {
      await ledger.close();
      await ledger.close();
      expect(await rejection(ledger.lanesInUse())).to.include({ name: 'LedgerError', kind: 'unavailable' });
      ledger = await place.open(() => nowMs);
    });
  });
}

/** The error that the promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('it did not reject');
}
