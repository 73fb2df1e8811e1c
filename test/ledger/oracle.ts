/** The ledger as one would write it in an afternoon: maps, no indexes, everything computed when asked. */

import { type Delivery, type JobFact, jobKey } from '../../dispatcher/jobs/facts.ts';
import type { LaneSpec } from '../../dispatcher/jobs/lane.ts';
import type {
  Breaker,
  JobRow,
  JobSettlement,
  Retention,
  RunnerRow,
  RunnerState,
  RunnerStep,
  TimelineEntry,
} from '../../dispatcher/ledger/ledger.ts';
import { expiredWords } from '../../dispatcher/ledger/queue-age.ts';
import { rowAfter } from './oracle-merge.ts';

const DAY_MS = 24 * 3_600_000;

interface Job {
  row: JobRow;
  unsettledAtMs: number | null;
}

export class Oracle {
  readonly deliveries = new Map<string, Delivery>();
  readonly jobs = new Map<string, Job>();
  readonly lanes = new Map<string, LaneSpec>();
  readonly runners = new Map<string, RunnerRow>();
  readonly timelines = new Map<string, TimelineEntry[]>();
  readonly outputs = new Map<string, string>();
  readonly breakers = new Map<string, Breaker>();
  readonly cursors = new Map<string, string>();
  readonly leases = new Map<string, { holder: string; untilMs: number }>();

  recordDeliveries(batch: readonly { delivery: Delivery; fact: JobFact | null }[], nowMs: number): string[] {
    const facts: JobFact[] = [];
    const answers = batch.map(({ delivery, fact }) => {
      const id = `${delivery.endpoint} ${delivery.guid}`;
      if (this.deliveries.has(id)) return 'duplicate';
      this.deliveries.set(id, delivery);
      if (fact) facts.push(fact);
      return 'recorded';
    });
    this.recordFacts(facts, nowMs);
    return answers;
  }

  recordFacts(facts: readonly JobFact[], nowMs: number): number {
    const before = new Map([...this.jobs].map(([key, job]) => [key, job.row]));
    const after = new Map<string, JobRow>();
    for (const fact of facts) {
      const key = jobKey(fact);
      after.set(key, rowAfter(after.get(key) ?? before.get(key), fact));
    }
    let changed = 0;
    for (const [key, row] of after) {
      if (row === before.get(key)) continue;
      changed += 1;
      this.put(row, nowMs);
    }
    return changed;
  }

  private put(row: JobRow, nowMs: number): void {
    const known = this.jobs.get(row.key);
    const returns = known !== undefined && demands(row) && !demands(known.row) && !this.lanes.has(row.laneKey ?? '');
    const written: JobRow = returns ? { ...row, admission: 'pending' } : row;
    this.jobs.set(row.key, { row: written, unsettledAtMs: known?.unsettledAtMs ?? nowMs });
  }

  unsettled(): string[] {
    return [...this.jobs.values()]
      .filter((job) => job.unsettledAtMs !== null)
      .sort((a, b) => (a.unsettledAtMs ?? 0) - (b.unsettledAtMs ?? 0) || order(a.row.key, b.row.key))
      .map((job) => job.row.key);
  }

  settleJobs(settlements: readonly JobSettlement[]): void {
    for (const { key, version, admission } of settlements) {
      const job = this.jobs.get(key);
      if (job === undefined || job.row.version !== version) continue;
      job.unsettledAtMs = null;
      if (admission === undefined) continue;
      const { lane, state, ...words } = admission;
      job.row = { ...job.row, ...words, admission: state, laneKey: lane?.key ?? null };
      if (lane) this.lanes.set(lane.key, lane);
    }
  }

  unsettleOpenJobs(sinceMs: number, nowMs: number): number {
    const open = [...this.jobs.values()].filter(
      ({ row }) => row.status !== 'completed' && row.statusSinceMs >= sinceMs,
    );
    for (const job of open) {
      job.row = { ...job.row, version: job.row.version + 1 };
      job.unsettledAtMs ??= nowMs;
    }
    return open.length;
  }

  dropJob(key: string, reason: string, nowMs: number): void {
    const row = this.jobs.get(key)?.row;
    if (row === undefined) return;
    const verified = { disputed: false, verifiedAtMs: nowMs, version: row.version + 1 };
    if (row.status === 'completed') {
      this.put({ ...row, ...verified }, nowMs);
      return;
    }
    this.put(
      {
        ...row,
        ...verified,
        status: 'completed',
        conclusion: 'unknown',
        runnerId: null,
        runnerName: null,
        statusSinceMs: nowMs,
        statusObservedAtMs: nowMs,
        statusSource: 'read',
        reasonCode: 'dropped',
        reason,
        cure: null,
      },
      nowMs,
    );
  }

  expireJobs(beforeMs: number, limit: number): string[] {
    const overdue = [...this.jobs.values()]
      .filter(({ row }) => demands(row) && row.status === 'queued' && row.statusSinceMs < beforeMs)
      .sort((a, b) => a.row.statusSinceMs - b.row.statusSinceMs || order(a.row.key, b.row.key))
      .slice(0, limit);
    const lanes = new Set<string>();
    for (const job of overdue) {
      lanes.add(job.row.laneKey ?? '');
      job.row = {
        ...job.row,
        admission: 'expired',
        version: job.row.version + 1,
        ...expiredWords(job.row.statusSinceMs),
      };
    }
    return [...lanes].sort(order);
  }

  disputed(): string[] {
    return this.rows()
      .filter((row) => row.disputed && row.admission === 'lane')
      .sort(
        (a, b) =>
          Number(demands(b)) - Number(demands(a)) || a.statusObservedAtMs - b.statusObservedAtMs || order(a.key, b.key),
      )
      .map((row) => row.key);
  }

  stale(beforeMs: number): string[] {
    return this.rows()
      .filter((row) => demands(row) && row.statusSinceMs < beforeMs && (row.verifiedAtMs ?? 0) < beforeMs)
      .sort((a, b) => a.statusSinceMs - b.statusSinceMs || order(a.key, b.key))
      .map((row) => row.key);
  }

  laneCounts(key: string): object[] {
    const lane = this.lanes.get(key);
    if (lane === undefined) return [];
    const waiting = this.rows().filter((row) => demands(row) && row.laneKey === key);
    const free = this.freeRunners(key);
    const present = (state: RunnerState) =>
      free.filter((runner) => runner.state === state && runner.specHash === lane.specHash).length;
    return [
      {
        lane,
        demand: waiting.length,
        held: 0,
        oldestQueuedSinceMs: waiting.length === 0 ? null : Math.min(...waiting.map((row) => row.statusSinceMs)),
        creating: present('creating'),
        starting: present('starting'),
        online: present('online'),
        outdated: free.filter((runner) => runner.specHash !== lane.specHash).length,
      },
    ];
  }

  waitingJobs(key: string): string[] {
    return this.rows()
      .filter((row) => demands(row) && row.laneKey === key)
      .sort((a, b) => a.planned - b.planned || a.statusSinceMs - b.statusSinceMs || order(a.key, b.key))
      .map((row) => row.key);
  }

  lanesInUse(): string[] {
    const wanted = this.rows().filter(demands);
    return [...new Set([...wanted, ...this.live()].map(({ laneKey }) => laneKey ?? ''))].sort(order);
  }

  deleteEmptyLanes(): number {
    const open = this.rows().filter((row) => row.status !== 'completed' && row.admission === 'lane');
    const kept = new Set([...open, ...this.live()].map(({ laneKey }) => laneKey));
    const empty = [...this.lanes.keys()].filter((key) => !kept.has(key));
    for (const key of empty) this.lanes.delete(key);
    return empty.length;
  }

  createRunner(runner: RunnerRow, reason: string): void {
    this.runners.set(runner.name, runner);
    this.timelines.set(runner.name, [
      { atMs: runner.createdAtMs, state: runner.state, reason, details: null, failure: null },
    ]);
    const job = this.jobs.get(runner.forJobKey ?? '');
    if (job) job.row = { ...job.row, planned: job.row.planned + 1 };
  }

  stepRunner(name: string, step: RunnerStep): void {
    const before = this.runners.get(name);
    if (before === undefined) return;
    this.runners.set(name, { ...before, ...step.patch, version: before.version + 1 });
    this.timelines.get(name)?.push(...step.entries);
  }

  keepOutput(name: string, output: string): void {
    if (this.runners.has(name)) this.outputs.set(name, output);
  }

  due(nowMs: number): string[] {
    return this.live()
      .filter((runner) => runner.nextCheckAtMs !== null && runner.nextCheckAtMs <= nowMs)
      .sort((a, b) => (a.nextCheckAtMs ?? 0) - (b.nextCheckAtMs ?? 0) || order(a.name, b.name))
      .map((runner) => runner.name);
  }

  nextCheckAt(): number | null {
    const times = this.live().flatMap(({ nextCheckAtMs }) => (nextCheckAtMs === null ? [] : [nextCheckAtMs]));
    return times.length === 0 ? null : Math.min(...times);
  }

  liveCounts(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const runner of this.live()) {
      if (runner.instanceState === 'absent' || runner.instanceState === 'ended') continue;
      if (runner.instanceState === 'none' && runner.state !== 'creating') continue;
      const key = `${runner.registration} ${runner.backend}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    return counts;
  }

  surplus(laneKey: string): string[] {
    const age: readonly RunnerState[] = ['creating', 'starting', 'online'];
    return this.freeRunners(laneKey)
      .sort(
        (a, b) => age.indexOf(a.state) - age.indexOf(b.state) || b.createdAtMs - a.createdAtMs || order(b.name, a.name),
      )
      .map((runner) => runner.name);
  }

  acquireLease(name: string, holder: string, nowMs: number, ttlMs: number): boolean {
    const lease = this.leases.get(name);
    if (lease && lease.holder !== holder && lease.untilMs > nowMs) return false;
    this.leases.set(name, { holder, untilMs: nowMs + ttlMs });
    return true;
  }

  /** What is left after pruning to the end. */
  prune(nowMs: number, retention: Retention): void {
    for (const [id, delivery] of this.deliveries) {
      if (delivery.receivedAtMs < nowMs - retention.deliveriesMs) this.deliveries.delete(id);
    }
    const received = [...this.deliveries].sort(
      ([, a], [, b]) => b.receivedAtMs - a.receivedAtMs || order(b.endpoint, a.endpoint) || order(b.guid, a.guid),
    );
    for (const [id] of received.slice(retention.maxDeliveries)) this.deliveries.delete(id);
    const foreign = ['refused', 'not-ours', 'expired'];
    for (const [key, { row, unsettledAtMs }] of this.jobs) {
      const keptMs = row.status === 'completed' ? retention.jobsMs : Math.max(retention.jobsMs, 35 * DAY_MS);
      const history = row.status === 'completed' || foreign.includes(row.admission);
      if (history && unsettledAtMs === null && row.statusSinceMs < nowMs - keptMs) this.jobs.delete(key);
    }
    const ended = [...this.jobs.values()]
      .filter(({ row, unsettledAtMs }) => row.status === 'completed' && unsettledAtMs === null)
      .sort((a, b) => b.row.statusSinceMs - a.row.statusSinceMs || order(b.row.key, a.row.key));
    for (const { row } of ended.slice(retention.maxJobs)) this.jobs.delete(row.key);
    const gone = [...this.runners.values()]
      .filter((runner) => runner.state === 'gone')
      .sort((a, b) => b.stateSinceMs - a.stateSinceMs || order(b.name, a.name));
    for (const [index, { name, stateSinceMs }] of gone.entries()) {
      if (index < retention.maxRunners && stateSinceMs >= nowMs - retention.runnersMs) continue;
      this.runners.delete(name);
      this.timelines.delete(name);
      this.outputs.delete(name);
    }
  }

  rows(): JobRow[] {
    return [...this.jobs.values()].map((job) => job.row);
  }

  private live(): RunnerRow[] {
    return [...this.runners.values()].filter((runner) => runner.state !== 'gone');
  }

  private freeRunners(laneKey: string): RunnerRow[] {
    return this.live().filter(
      (runner) =>
        runner.laneKey === laneKey &&
        runner.jobKey === null &&
        ['creating', 'starting', 'online'].includes(runner.state),
    );
  }
}

function demands(row: JobRow): boolean {
  if (row.admission !== 'lane' || row.status === 'completed') return false;
  return row.status === 'queued' || row.disputed;
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
