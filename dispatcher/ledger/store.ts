/** The ledger on top of any step runner: the only place that connects methods and steps. */
import * as heldJobs from './held-jobs.ts';
import type { Ledger, RunnerRow } from './ledger.ts';
import type { Context, Step } from './steps.ts';
import * as steps from './steps.ts';

export interface Store {
  /** Runs the queries of one step; nothing else accesses the store in between. */
  read<Result>(step: (context: Context) => Step<Result>): Promise<Result>;
  /**
   * Like `read`, in a transaction that has committed when the promise resolves: killing the process then loses nothing.
   * A machine that loses power may lose the writes of its last half second, never the file.
   */
  write<Result>(step: (context: Context) => Step<Result>): Promise<Result>;
  /** See `Ledger.verifyStorage`. */
  verify(): Promise<void>;
  /** Like `write`, and on disk when the promise resolves if `mustLast` (default: always) is true of the result. */
  writeDurably<Result>(
    step: (context: Context) => Step<Result>,
    mustLast?: (result: Result) => boolean,
  ): Promise<Result>;
  /** See `Ledger.persist`. */
  persist(): Promise<void>;
  close(): Promise<void>;
}

/** That we stopped a container must never be forgotten: the meaning of its job's end depends on it. */
function isStoppedByUs(result: { readonly before: RunnerRow; readonly after: RunnerRow } | undefined): boolean {
  return result !== undefined && result.after.stopSentAtMs !== null && result.before.stopSentAtMs === null;
}

export function ledgerOn(store: Store): Ledger {
  return {
    recordDeliveries: (batch) => store.writeDurably((context) => steps.recordDeliveries(context, batch)),
    recordFacts: (facts) => store.write((context) => steps.recordFacts(context, facts)),

    unsettledJobs: (limit, unreadable) => store.read((context) => steps.unsettledJobs(context, limit, unreadable)),
    putUnsettledLast: (key, nowMs) => store.write((context) => steps.putUnsettledLast(context, key, nowMs)),
    settleJobs: (settlements) => store.write((context) => steps.settleJobs(context, settlements)),
    job: (key) => store.read((context) => steps.job(context, key)),
    jobsOfRun: (runId) => store.read((context) => steps.jobsOfRun(context, runId)),
    jobsWithId: (jobId) => store.read((context) => steps.jobsWithId(context, jobId)),
    jobs: (filter) => store.read((context) => steps.jobs(context, filter)),
    unsettleRefused: (registration, reasonCode) =>
      store.write((context) => steps.unsettleRefused(context, registration, reasonCode)),
    unsettleOpenJobs: (sinceMs) => store.write((context) => steps.unsettleOpenJobs(context, sinceMs)),
    staleJobs: (beforeMs, limit) => store.read((context) => steps.staleJobs(context, beforeMs, limit)),
    disputedJobs: (limit, unreadable) => store.read((context) => steps.disputedJobs(context, limit, unreadable)),
    unconfirmedJobs: (limit, unreadable) => store.read((context) => steps.unconfirmedJobs(context, limit, unreadable)),
    unconfirmedJobsOf: (registration, limit, unreadable) =>
      store.read((context) => steps.unconfirmedJobsOf(context, registration, limit, unreadable)),
    dropJob: (key, reason, nowMs) => store.write((context) => steps.dropJob(context, key, reason, nowMs)),
    explainJob: (key, words) => store.write((context) => steps.explainJob(context, key, words)),
    setJobAside: (key, words) => store.write((context) => heldJobs.setJobAside(context, key, words)),
    holdUnseen: (key, words, untilMs, nowMs) =>
      store.write((context) => heldJobs.holdUnseen(context, key, words, untilMs, nowMs)),
    passOver: (runner, onlineAtMs, nowMs) =>
      store.write((context) => heldJobs.passOver(context, runner, onlineAtMs, nowMs)),
    stir: (key, nowMs) => store.write((context) => heldJobs.stir(context, key, nowMs)),
    probeHeld: (nowMs, which, limit) => store.write((context) => heldJobs.probeHeld(context, nowMs, which, limit)),
    nextProbeAt: () => store.read((context) => heldJobs.nextProbeAt(context)),
    unseenJobs: (nowMs, limit) => store.read((context) => heldJobs.unseenJobs(context, nowMs, limit)),
    expireJobs: (beforeMs, limit) => store.write((context) => steps.expireJobs(context, beforeMs, limit)),

    laneCounts: (keys) => store.read((context) => steps.laneCounts(context, keys)),
    lanesInUse: () => store.read((context) => steps.lanesInUse(context)),
    waitingJobs: (laneKey, limit) => store.read((context) => steps.waitingJobs(context, laneKey, limit)),
    deleteEmptyLanes: () => store.write((context) => steps.deleteEmptyLanes(context)),

    createRunner: (runner, reason) => store.write((context) => steps.createRunner(context, runner, reason)),
    stepRunner: (name, decide) =>
      store.writeDurably((context) => steps.stepRunner(context, name, decide), isStoppedByUs),
    runner: (name) => store.read((context) => steps.runner(context, name)),
    runners: (filter) => store.read((context) => steps.runners(context, filter)),
    cutToNow: () => store.write((context) => steps.cutToNow(context)),
    runnersDue: (nowMs, limit, except, unreadable) =>
      store.read((context) => steps.runnersDue(context, nowMs, limit, except, unreadable)),
    putOff: (runner, untilMs) => store.write((context) => steps.putOff(context, runner, untilMs)),
    hastenLaunchesOf: (otherThan, nowMs) => store.write((context) => steps.hastenLaunchesOf(context, otherThan, nowMs)),
    nextCheckAt: () => store.read((context) => steps.nextCheckAt(context)),
    liveCounts: () => store.read((context) => steps.liveCounts(context)),
    surplusRunners: (laneKey, limit, unreadable) =>
      store.read((context) => steps.surplusRunners(context, laneKey, limit, unreadable)),
    timeline: (runner) => store.read((context) => steps.timeline(context, runner)),
    keepOutput: (runner, output, nowMs) => store.write((context) => steps.keepOutput(context, runner, output, nowMs)),
    output: (runner) => store.read((context) => steps.output(context, runner)),

    breakers: () => store.read((context) => steps.breakers(context)),
    putBreaker: (breaker) => store.write((context) => steps.putBreaker(context, breaker)),
    deleteBreaker: (key) => store.write((context) => steps.deleteBreaker(context, key)),
    acquireLease: (name, holder, nowMs, ttlMs) =>
      store.writeDurably((context) => steps.acquireLease(context, name, holder, nowMs, ttlMs)),
    cursor: (name) => store.read((context) => steps.cursor(context, name)),
    putCursor: (name, value, nowMs) => store.write((context) => steps.putCursor(context, name, value, nowMs)),

    prune: (nowMs, retention, limit) => store.write((context) => steps.prune(context, nowMs, retention, limit)),
    verifyStorage: () => store.verify(),
    persist: () => store.persist(),
    close: () => store.close(),
  };
}
