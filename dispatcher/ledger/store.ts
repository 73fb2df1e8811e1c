/** The ledger on top of any step runner: the only place that connects methods and steps. */

import type { Ledger, RunnerRow, WriteTrouble } from './ledger.ts';
import * as access from './steps/access.ts';
import * as apiRegistrations from './steps/api-registrations.ts';
import * as breakers from './steps/breakers.ts';
import * as cursors from './steps/cursors.ts';
import * as cutToNow from './steps/cut-to-now.ts';
import * as heldJobs from './steps/held-jobs.ts';
import * as intake from './steps/intake.ts';
import * as jobChecks from './steps/job-checks.ts';
import * as jobs from './steps/jobs.ts';
import * as lanes from './steps/lanes.ts';
import * as leases from './steps/leases.ts';
import * as missed from './steps/missed-deliveries.ts';
import * as outputs from './steps/output.ts';
import * as pruning from './steps/pruning.ts';
import * as versions from './steps/registration-versions.ts';
import * as runners from './steps/runners.ts';
import * as settlement from './steps/settlement.ts';
import type { Context, Step } from './steps/step.ts';
import * as timeline from './steps/timeline.ts';

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
  /**
   * Like `write`, and on disk when the promise resolves if `mustLast` (default: always) is true of the result.
   * `committed` is called in between.
   */
  writeDurably<Result>(
    step: (context: Context) => Step<Result>,
    mustLast?: (result: Result) => boolean,
    committed?: (result: Result) => void,
  ): Promise<Result>;
  /** See `Ledger.writeTrouble`. */
  writeTrouble(): WriteTrouble | undefined;
  /** See `Ledger.persist`. */
  persist(): Promise<void>;
  close(): Promise<void>;
}

/** That we stop a container must never be forgotten: the meaning of its job's end depends on it. */
function marksStop(result: { readonly before: RunnerRow; readonly after: RunnerRow } | undefined): boolean {
  return result !== undefined && result.after.stopAskedAtMs !== null && result.before.stopAskedAtMs === null;
}

export function ledgerOn(store: Store): Ledger {
  return {
    recordDeliveries: (batch, committed) =>
      store.writeDurably((context) => intake.recordDeliveries(context, batch), undefined, committed),
    recordFacts: (facts, unreadable = 'reject') =>
      store.write((context) => intake.recordFacts(context, facts, unreadable)),

    unsettledJobs: (limit, unreadable) => store.read((context) => settlement.unsettledJobs(context, limit, unreadable)),
    putUnsettledLast: (key, nowMs) => store.write((context) => settlement.putUnsettledLast(context, key, nowMs)),
    settleJobs: (settlements) => store.write((context) => settlement.settleJobs(context, settlements)),
    job: (key) => store.read((context) => jobs.job(context, key)),
    jobsOfRun: (run, unreadable) => store.read((context) => jobs.jobsOfRun(context, run, unreadable)),
    jobsWithId: (jobId, unreadable) => store.read((context) => jobs.jobsWithId(context, jobId, unreadable)),
    jobs: (filter, unreadable) => store.read((context) => jobs.jobs(context, filter, unreadable)),
    tellRun: (run, word) => store.write((context) => settlement.tellRun(context, run, word)),
    tellVisibility: (repository, visibility) =>
      store.write((context) => settlement.tellVisibility(context, repository, visibility)),
    unsettleRefused: (registration, reasonCode) =>
      store.write((context) => settlement.unsettleRefused(context, registration, reasonCode)),
    unsettleJobsOf: (registrations, places, sinceMs) =>
      store.write((context) => settlement.unsettleJobsOf(context, { registrations, places, sinceMs })),
    unsettleOpenJobs: (sinceMs) => store.write((context) => settlement.unsettleOpenJobs(context, sinceMs)),
    staleJobs: (beforeMs, limit) => store.read((context) => jobChecks.staleJobs(context, beforeMs, limit)),
    staleObservedJobs: (sinceMs, beforeMs, limit) =>
      store.read((context) => jobChecks.staleObservedJobs(context, sinceMs, beforeMs, limit)),
    observedJobs: (registration, sinceMs, unreadable) =>
      store.read((context) => jobChecks.observedJobs(context, registration, sinceMs, unreadable)),
    disputedJobs: (limit, unreadable) => store.read((context) => jobChecks.disputedJobs(context, limit, unreadable)),
    unconfirmedJobs: (limit, unreadable) =>
      store.read((context) => jobChecks.unconfirmedJobs(context, limit, unreadable)),
    unconfirmedJobsOf: (registration, limit, unreadable) =>
      store.read((context) => jobChecks.unconfirmedJobsOf(context, registration, limit, unreadable)),
    dropJob: (key, reason, nowMs) => store.write((context) => jobs.dropJob(context, key, reason, nowMs)),
    explainJob: (key, words) => store.write((context) => jobs.explainJob(context, key, words)),
    setJobAside: (key, words) => store.write((context) => heldJobs.setJobAside(context, key, words)),
    holdUnseen: (key, words, untilMs, nowMs) =>
      store.write((context) => heldJobs.holdUnseen(context, key, words, untilMs, nowMs)),
    passOver: (runner, onlineAtMs, nowMs, unreadable) =>
      store.write((context) => heldJobs.passOver(context, runner, { onlineAtMs, nowMs, unreadable })),
    stir: (key, nowMs, unreadable) => store.write((context) => heldJobs.stir(context, key, nowMs, unreadable)),
    hastenHeldOf: (registration, nowMs) =>
      store.write((context) => heldJobs.hastenHeldOf(context, registration, nowMs)),
    hastenHeld: (nowMs) => store.write((context) => heldJobs.hastenHeld(context, nowMs)),
    probeHeld: (nowMs, limit, unreadable) =>
      store.write((context) => heldJobs.probeHeld(context, nowMs, limit, unreadable)),
    putHeldOff: (key, untilMs) => store.write((context) => heldJobs.putHeldOff(context, key, untilMs)),
    nextProbeAt: () => store.read((context) => heldJobs.nextProbeAt(context)),
    unseenJobs: (nowMs, limit) => store.read((context) => heldJobs.unseenJobs(context, nowMs, limit)),
    expireJobs: (beforeMs, limit) => store.write((context) => jobChecks.expireJobs(context, beforeMs, limit)),

    laneCounts: (keys, unreadable) => store.read((context) => lanes.laneCounts(context, keys, unreadable)),
    lanesInUse: () => store.read((context) => lanes.lanesInUse(context)),
    laneRuns: (laneKey, specHash) => store.read((context) => lanes.laneRuns(context, laneKey, specHash)),
    waitingJobs: (laneKey, limit, unreadable, besides) =>
      store.read((context) => lanes.waitingJobs(context, laneKey, limit, unreadable, besides)),
    putLane: (lane) => store.write((context) => lanes.putLane(context, lane)),
    deleteEmptyLanes: () => store.write((context) => lanes.deleteEmptyLanes(context)),

    createRunner: (runner, reason, lane) =>
      store.write((context) => runners.createRunner(context, runner, reason, lane)),
    stepRunner: (name, decide) => store.writeDurably((context) => runners.stepRunner(context, name, decide), marksStop),
    runner: (name) => store.read((context) => runners.runner(context, name)),
    runners: (filter, unreadable) => store.read((context) => runners.runners(context, filter, unreadable)),
    cutToNow: () => store.write((context) => cutToNow.cutToNow(context)),
    runnersDue: (nowMs, limit, unreadable, except) =>
      store.read((context) => runners.runnersDue(context, nowMs, limit, unreadable, except)),
    putOff: (runner, untilMs) => store.write((context) => runners.putOff(context, runner, untilMs)),
    hastenLaunchesOf: (otherThan, nowMs) =>
      store.write((context) => runners.hastenLaunchesOf(context, otherThan, nowMs)),
    nextCheckAt: () => store.read((context) => runners.nextCheckAt(context)),
    liveCountsByRun: (registrations) => store.read((context) => runners.liveCountsByRun(context, registrations)),
    liveCounts: () => store.read((context) => runners.liveCounts(context)),
    registrationsWithRunners: () => store.read((context) => runners.registrationsWithRunners(context)),
    scopesWithRunners: (registration) => store.read((context) => runners.scopesWithRunners(context, registration)),
    jobStarts: (registration, specHash, sinceMs) =>
      store.read((context) => runners.jobStarts(context, registration, specHash, sinceMs)),
    surplusRunners: (laneKey, limit, unreadable) =>
      store.read((context) => runners.surplusRunners(context, laneKey, limit, unreadable)),
    timeline: (runner) => store.read((context) => timeline.timeline(context, runner)),
    keepOutput: (runner, output, nowMs) => store.write((context) => outputs.keepOutput(context, runner, output, nowMs)),
    output: (runner) => store.read((context) => outputs.output(context, runner)),

    putRegistrationVersions: (some) => store.write((context) => versions.putVersions(context, some)),
    registrationVersion: (name) => store.read((context) => versions.version(context, name)),
    registrationHashes: () => store.read((context) => versions.versionHashes(context)),
    deleteRegistrationVersions: (names) => store.write((context) => versions.deleteVersions(context, names)),

    putApiRegistration: (one, expected) =>
      store.writeDurably((context) => apiRegistrations.put(context, one, expected)),
    deleteApiRegistration: (name, expected) =>
      store.writeDurably((context) => apiRegistrations.remove(context, name, expected)),
    apiRegistration: (name) => store.read((context) => apiRegistrations.one(context, name)),
    apiRegistrations: () => store.read((context) => apiRegistrations.all(context)),

    breakers: (unreadable = 'reject') => store.read((context) => breakers.breakers(context, unreadable)),
    putBreaker: (breaker) => store.write((context) => breakers.putBreaker(context, breaker)),
    deleteBreaker: (key) => store.write((context) => breakers.deleteBreaker(context, key)),
    acquireLease: (name, holder, nowMs, ttlMs) =>
      store.writeDurably((context) => leases.acquireLease(context, name, holder, nowMs, ttlMs)),
    cursor: (name) => store.read((context) => cursors.cursor(context, name)),
    putCursor: (name, value, nowMs) => store.write((context) => cursors.putCursor(context, name, value, nowMs)),

    noteListed: (listed) => store.write((context) => missed.noteListed(context, listed)),
    beginRedeliveries: (wanted) =>
      store.writeDurably(
        (context) => missed.beginRedeliveries(context, wanted),
        ({ due }) => due.length > 0,
      ),
    takeBackRedeliveries: (log, deliveries, when) =>
      store.write((context) => missed.takeBackRedeliveries(context, log, deliveries, when)),
    giveUpRedelivery: (log, guid, nowMs) =>
      store.write((context) => missed.giveUpRedelivery(context, log, guid, nowMs)),
    openMissed: () => store.read((context) => missed.openMissed(context)),

    createToken: (token) => store.writeDurably((context) => access.createToken(context, token)),
    tokenByHash: (hash) => store.read((context) => access.tokenByHash(context, hash)),
    token: (id) => store.read((context) => access.token(context, id)),
    tokens: () => store.read((context) => access.tokens(context)),
    revokeToken: (id, by, nowMs) => store.writeDurably((context) => access.revokeToken(context, id, by, nowMs)),
    beginAudit: (entry) => store.writeDurably((context) => access.beginAudit(context, entry)),
    endAudit: (id, status, outcome) => store.writeDurably((context) => access.endAudit(context, id, status, outcome)),
    audits: (filter) => store.read((context) => access.audits(context, filter)),

    prune: (nowMs, retention, limit) => store.write((context) => pruning.prune(context, nowMs, retention, limit)),
    verifyStorage: () => store.verify(),
    writeTrouble: () => store.writeTrouble(),
    persist: () => store.persist(),
    close: () => store.close(),
  };
}
