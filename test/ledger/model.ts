/** Random histories of a ledger, told to the oracle as well: after each event both must look the same. */
import { expect } from 'chai';
import fc from 'fast-check';
import type { JobStatus } from '../../dispatcher/jobs/facts.ts';
import type { Ledger, Retention, RunnerPatch, RunnerState } from '../../dispatcher/ledger/ledger.ts';
import { breaker } from '../failures/examples.ts';
import { admitted, delivery, fact, keyOf, lane, notOurs, refused, runner } from './examples.ts';
import type { Oracle } from './oracle.ts';

const JOBS = 5;
const RUNNERS = 5;
const LANES = ['lane-a', 'lane-b'] as const;
const HOUR_MS = 3_600_000;

export interface World {
  ledger: Ledger;
  readonly oracle: Oracle;
  readonly clock: { nowMs: number };
  restart(): Promise<void>;
}

/** What happens next, as a value, so that a failing history can be read and shrunk. */
type Event =
  | { readonly is: 'deliveries'; readonly batch: readonly { guid: string; endpoint: string; told: Told | null }[] }
  | { readonly is: 'facts'; readonly told: readonly Told[] }
  | {
      readonly is: 'settle';
      readonly limit: number;
      readonly lane: string;
      readonly spec: string;
      readonly late: boolean;
    }
  | { readonly is: 'open again'; readonly agoMs: number }
  | { readonly is: 'drop'; readonly jobId: number }
  | { readonly is: 'expire'; readonly agoMs: number; readonly limit: number }
  | { readonly is: 'delete empty lanes' }
  | {
      readonly is: 'launch';
      readonly id: number;
      readonly lane: string;
      readonly spec: string;
      readonly jobId: number | null;
    }
  | { readonly is: 'step'; readonly id: number; readonly patch: RunnerPatch }
  | { readonly is: 'output'; readonly id: number; readonly text: string }
  | { readonly is: 'breaker'; readonly key: string; readonly open: boolean }
  | { readonly is: 'lease'; readonly holder: string; readonly ttlMs: number }
  | { readonly is: 'cursor'; readonly value: string }
  | { readonly is: 'prune'; readonly retention: Retention; readonly limit: number }
  | { readonly is: 'restart' }
  | { readonly is: 'time'; readonly ms: number };

interface Told {
  readonly jobId: number;
  readonly status: JobStatus;
  readonly source: 'webhook' | 'poll' | 'read';
  readonly runnerName: string | null;
  /** How long ago it was observed. */
  readonly agoMs: number;
}

const jobId = fc.integer({ min: 1, max: JOBS });
const runnerId = fc.integer({ min: 1, max: RUNNERS });
const laneKey = fc.constantFrom(...LANES);
const spec = fc.constantFrom('spec-1', 'spec-2');
const agoMs = fc.constantFrom(0, 1, 500, HOUR_MS, 40 * 24 * HOUR_MS);

const told: fc.Arbitrary<Told> = fc.record({
  jobId,
  status: fc.constantFrom<JobStatus>('queued', 'queued', 'waiting', 'in_progress', 'completed'),
  source: fc.constantFrom('webhook', 'webhook', 'poll', 'read'),
  runnerName: fc.constantFrom(null, '', 'd-1', 'd-2'),
  agoMs,
});

const patch: fc.Arbitrary<RunnerPatch> = fc.record(
  {
    state: fc.constantFrom<RunnerState>('creating', 'starting', 'online', 'busy', 'finishing', 'draining', 'gone'),
    stateSinceMs: fc.integer({ min: 0, max: 2_000_000 }),
    nextCheckAtMs: fc.option(fc.integer({ min: 0, max: 2_000_000 })),
    jobKey: fc.option(jobId.map(keyOf)),
    backend: fc.constantFrom(null, 'docker', 'eci'),
    instanceState: fc.constantFrom('none', 'maybe', 'running', 'absent'),
    specHash: spec,
    forced: fc.boolean(),
    failure: fc.option(
      fc.record({
        source: fc.constantFrom('github', 'dispatcher', 'acme/docker'),
        kind: fc.constantFrom('capacity', 'invalid', 'image-pull-failed', 'launch-timeout', 'rate-limited'),
        code: fc.option(fc.constant('NoStock')),
        requestId: fc.option(fc.constant('r-1')),
        message: fc.string().map((text) => text.replaceAll('\0', '')),
        atMs: fc.integer({ min: 0, max: 2_000_000 }),
      }),
    ),
  },
  { requiredKeys: [] },
);

const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ is: fc.constant('facts' as const), told: fc.array(told, { maxLength: 4 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      is: fc.constant('deliveries' as const),
      batch: fc.array(
        fc.record({
          guid: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g'),
          endpoint: fc.constantFrom('one', 'two'),
          told: fc.option(told),
        }),
        { maxLength: 5 },
      ),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      is: fc.constant('settle' as const),
      limit: fc.constantFrom(1, 2, JOBS),
      lane: laneKey,
      spec,
      late: fc.constantFrom(false, false, true),
    }),
  },
  { weight: 1, arbitrary: fc.record({ is: fc.constant('open again' as const), agoMs }) },
  { weight: 1, arbitrary: fc.record({ is: fc.constant('drop' as const), jobId }) },
  {
    weight: 1,
    arbitrary: fc.record({ is: fc.constant('expire' as const), agoMs, limit: fc.integer({ min: 0, max: 4 }) }),
  },
  { weight: 2, arbitrary: fc.constant({ is: 'delete empty lanes' as const }) },
  {
    weight: 4,
    arbitrary: fc.record({
      is: fc.constant('launch' as const),
      id: runnerId,
      lane: laneKey,
      spec,
      jobId: fc.option(jobId),
    }),
  },
  { weight: 6, arbitrary: fc.record({ is: fc.constant('step' as const), id: runnerId, patch }) },
  {
    weight: 1,
    arbitrary: fc.record({ is: fc.constant('output' as const), id: runnerId, text: fc.constantFrom('', 'ü') }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ is: fc.constant('breaker' as const), key: fc.constantFrom('a', 'b'), open: fc.boolean() }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      is: fc.constant('lease' as const),
      holder: fc.constantFrom('one', 'two'),
      ttlMs: fc.constantFrom(1, 1000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ is: fc.constant('cursor' as const), value: fc.constantFrom('', 'v', 'w') }) },
  {
    weight: 1,
    arbitrary: fc.record({
      is: fc.constant('prune' as const),
      limit: fc.integer({ min: 1, max: 3 }),
      retention: fc.record({
        deliveriesMs: agoMs,
        jobsMs: agoMs,
        runnersMs: agoMs,
        maxDeliveries: fc.integer({ min: 0, max: 4 }),
        maxJobs: fc.integer({ min: 0, max: 4 }),
        maxRunners: fc.integer({ min: 0, max: 4 }),
      }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ is: 'restart' as const }) },
  { weight: 2, arbitrary: fc.record({ is: fc.constant('time' as const), ms: fc.constantFrom(1, 700, HOUR_MS) }) },
);

/** Long ones: what is worth finding lies several events deep. */
export const histories = fc.array(event, { minLength: 30, maxLength: 80, size: 'max' });

export async function tell(world: World, next: Event): Promise<void> {
  const { ledger, oracle } = world;
  const { nowMs } = world.clock;
  const asFact = ({ agoMs: ago, ...some }: Told) => fact({ ...some, observedAtMs: nowMs - ago });
  switch (next.is) {
    case 'facts': {
      const facts = next.told.map(asFact);
      expect(await ledger.recordFacts(facts)).to.equal(oracle.recordFacts(facts, nowMs));
      return;
    }
    case 'deliveries': {
      const batch = next.batch.map(({ guid, endpoint, told: some }) => ({
        delivery: delivery(guid, { endpoint, receivedAtMs: nowMs }),
        fact: some && asFact(some),
      }));
      expect(await ledger.recordDeliveries(batch)).to.deep.equal(oracle.recordDeliveries(batch, nowMs));
      return;
    }
    case 'settle': {
      const rows = await ledger.unsettledJobs(next.limit, 'reject');
      const settlements = rows.map((row) => {
        const seen = next.late && row.jobId % 2 === 0 ? { ...row, version: row.version - 1 } : row;
        if (row.jobId === 1) return notOurs(seen);
        if (row.jobId === 2) return refused(seen);
        if (row.jobId === 3 && row.admission !== 'pending') return { key: row.key, version: seen.version };
        return admitted(seen, lane({ key: next.lane, specHash: next.spec }));
      });
      await ledger.settleJobs(settlements);
      // The ledger works in the order of the keys, which shows where two settlements describe one lane.
      oracle.settleJobs([...settlements].sort((a, b) => (a.key < b.key ? -1 : 1)));
      return;
    }
    case 'open again': {
      const sinceMs = nowMs - next.agoMs;
      expect(await ledger.unsettleOpenJobs(sinceMs)).to.equal(oracle.unsettleOpenJobs(sinceMs, nowMs));
      return;
    }
    case 'drop':
      await ledger.dropJob(keyOf(next.jobId), 'gone', nowMs);
      oracle.dropJob(keyOf(next.jobId), 'gone', nowMs);
      return;
    case 'expire': {
      const lanes = await ledger.expireJobs(nowMs - next.agoMs, next.limit);
      expect(lanes).to.deep.equal(oracle.expireJobs(nowMs - next.agoMs, next.limit));
      return;
    }
    case 'delete empty lanes':
      expect(await ledger.deleteEmptyLanes()).to.equal(oracle.deleteEmptyLanes());
      return;
    case 'launch': {
      const name = `d-${next.id}`;
      if (oracle.runners.has(name)) return;
      const forJobKey = next.jobId === null ? null : keyOf(next.jobId);
      const made = runner({ name, laneKey: next.lane, specHash: next.spec, forJobKey, createdAtMs: nowMs });
      await ledger.createRunner(made, 'launch');
      oracle.createRunner(made, 'launch');
      return;
    }
    case 'step': {
      const name = `d-${next.id}`;
      const { state = 'creating', failure = null } = next.patch;
      const entries = [{ atMs: nowMs, state, reason: 'step', details: null, failure }];
      await ledger.stepRunner(name, () => ({ patch: next.patch, entries }));
      oracle.stepRunner(name, { patch: next.patch, entries });
      return;
    }
    case 'output':
      await ledger.keepOutput(`d-${next.id}`, next.text, nowMs);
      oracle.keepOutput(`d-${next.id}`, next.text);
      return;
    case 'breaker': {
      const { key } = next;
      const closed = breaker({ key, changedAtMs: nowMs });
      if (next.open) {
        await ledger.putBreaker(closed);
        oracle.breakers.set(key, closed);
      } else {
        await ledger.deleteBreaker(key);
        oracle.breakers.delete(key);
      }
      return;
    }
    case 'lease': {
      const taken = await ledger.acquireLease('sweep', next.holder, nowMs, next.ttlMs);
      expect(taken).to.equal(oracle.acquireLease('sweep', next.holder, nowMs, next.ttlMs));
      return;
    }
    case 'cursor':
      await ledger.putCursor('c', next.value, nowMs);
      oracle.cursors.set('c', next.value);
      return;
    case 'prune':
      for (;;) {
        const deleted = await ledger.prune(nowMs, next.retention, next.limit);
        expect(deleted).to.be.at.most(3 * next.limit);
        if (deleted === 0) break;
      }
      oracle.prune(nowMs, next.retention);
      return;
    case 'restart':
      await world.restart();
      return;
    case 'time':
      world.clock.nowMs += next.ms;
      return;
  }
}

/** Everything that can be asked, from both. */
export async function compare({ ledger, oracle, clock }: World): Promise<void> {
  const { nowMs } = clock;
  const all = 1000;
  const keys = (rows: readonly { readonly key: string }[]) => rows.map(({ key }) => key);
  const names = (rows: readonly { readonly name: string }[]) => rows.map(({ name }) => name);
  for (let id = 1; id <= JOBS; id += 1) {
    expect(await ledger.job(keyOf(id)), `job ${id}`).to.deep.equal(oracle.jobs.get(keyOf(id))?.row);
  }
  expect(keys(await ledger.jobs({ limit: all }, 'reject'))).to.have.members([...oracle.jobs.keys()]);
  expect(keys(await ledger.unsettledJobs(all, 'reject')), 'unsettled').to.deep.equal(oracle.unsettled());
  expect(keys(await ledger.disputedJobs(all, 'reject')), 'disputed').to.deep.equal(oracle.disputed());
  expect(keys(await ledger.staleJobs(nowMs - 500, all)), 'stale').to.deep.equal(oracle.stale(nowMs - 500));
  expect(await ledger.lanesInUse(), 'lanes in use').to.deep.equal(oracle.lanesInUse());
  for (const key of LANES) {
    expect(await ledger.laneCounts([key], 'reject'), key).to.deep.equal(oracle.laneCounts(key));
    expect(keys(await ledger.waitingJobs(key, all, 'reject')), `waiting in ${key}`).to.deep.equal(
      oracle.waitingJobs(key),
    );
    expect(names(await ledger.surplusRunners(key, all, 'reject')), `surplus of ${key}`).to.deep.equal(
      oracle.surplus(key),
    );
    const queued = oracle.rows().filter((row) => row.laneKey === key && row.status === 'queued');
    expect(keys(await ledger.jobs({ laneKey: key, status: 'queued' }, 'reject'))).to.have.members(keys(queued));
  }
  for (let id = 1; id <= RUNNERS; id += 1) {
    const name = `d-${id}`;
    expect(await ledger.runner(name), name).to.deep.equal(oracle.runners.get(name));
    expect(await ledger.timeline(name), `timeline of ${name}`).to.deep.equal(oracle.timelines.get(name) ?? []);
    expect(await ledger.output(name), `output of ${name}`).to.equal(oracle.outputs.get(name));
  }
  expect(names(await ledger.runnersDue(nowMs, all, 'reject')), 'due').to.deep.equal(oracle.due(nowMs));
  expect(await ledger.nextCheckAt(), 'next check').to.equal(oracle.nextCheckAt());
  const live = (await ledger.liveCounts()).map(({ registration, backend, count }) => [
    `${registration} ${backend}`,
    count,
  ]);
  expect(live, 'live').to.have.deep.members([...oracle.liveCounts()]);
  expect(await ledger.breakers()).to.have.deep.members([...oracle.breakers.values()]);
  expect(await ledger.cursor('c')).to.equal(oracle.cursors.get('c'));
}
