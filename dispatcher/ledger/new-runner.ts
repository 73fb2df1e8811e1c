import type { RunnerRow } from './ledger.ts';

/** What is known of a runner when its row is created; the other fields start out empty. */
export type KnownAtFirst = Pick<
  RunnerRow,
  | 'name'
  | 'registration'
  | 'host'
  | 'scope'
  | 'runnerGroup'
  | 'laneKey'
  | 'labels'
  | 'specHash'
  | 'state'
  | 'createdAtMs'
  | 'deadlineAtMs'
  | 'nextCheckAtMs'
  | 'incarnation'
  | 'backend'
  | 'instanceDeadlineAtMs'
> &
  Partial<RunnerRow>;

export function newRunner(known: KnownAtFirst): RunnerRow {
  return {
    stateSinceMs: known.createdAtMs,
    instanceId: null,
    instanceState: 'none',
    githubRunnerId: null,
    standby: null,
    idleLimitMs: null,
    jobLimitMs: null,
    candidate: null,
    forJobKey: null,
    jobKey: null,
    onlineAtMs: null,
    busyAtMs: null,
    finishedAtMs: null,
    endReadAtMs: null,
    misses: 0,
    firstMissAtMs: null,
    drainReason: null,
    forced: false,
    firstIdleAtMs: null,
    lastIdleAtMs: null,
    deregisteredAtMs: null,
    stopAskedAtMs: null,
    stopSentAtMs: null,
    callbackHash: null,
    memoryPeakBytes: null,
    cpuMs: null,
    diskBytes: null,
    oomKills: null,
    refusedSinceMs: null,
    attempts: 0,
    failure: null,
    version: 0,
    ...known,
  };
}
