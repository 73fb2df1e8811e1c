/**
 * The durable record of deliveries, jobs, lanes and runners. Every method is one atomic step: it happens completely
 * or not at all, whenever the process dies. When a write resolves, it has committed, and the remote call it precedes
 * may be made. Deliveries, leases, tokens, the audit trail and the mark that we stop a container are on disk by then;
 * other steps half a second later, or after `persist`, and a machine that loses power before that forgets them (see
 * docs/decisions/0022-two-kinds-of-writes.md). Decisions are made by pure functions that the caller hands in or applies
 * to what it read; the ledger itself makes no decisions.
 */

import type { Failure } from '../failures/failure.ts';
import type { Delivery, FactSource, JobFact, JobIdentity, JobStatus, RunWord, Visibility } from '../jobs/facts.ts';
import type { LaneSpec } from '../jobs/lane.ts';

/**
 * `expired`: queued for longer than GitHub keeps a job in its queue (24 h). `observed`: it would belong to its lane, and its
 * registration only observes.
 */
export type AdmissionState = 'pending' | 'lane' | 'observed' | 'refused' | 'not-ours' | 'expired';

/** `unserved`: GitHub does not assign it to any matching runner. `unseen`: GitHub answers 404 for it. */
export type JobHold = 'unserved' | 'unseen';

/** A job as the facts so far describe it, with what was decided about it. Times are milliseconds since the epoch. */
export interface JobRow {
  /** `jobKey()`. */
  readonly key: string;
  readonly host: string;
  readonly jobId: number;
  readonly runId: number;
  readonly runAttempt: number;
  readonly owner: string;
  readonly repository: string;
  readonly repositoryId: number | null;
  readonly visibility: JobFact['visibility'] | null;
  /** GitHub or the platform's own webhook has told of the visibility, and not only that of a tenant. */
  readonly visibilityProven: boolean;
  readonly jobName: string;
  readonly workflowName: string | null;
  readonly headBranch: string | null;
  /** What started its run, and who: as GitHub's own answer says. Null: it was not asked, or has not said. */
  readonly runEvent: string | null;
  readonly runActor: string | null;
  /** Who started this attempt of it. */
  readonly runTriggeringActor: string | null;
  /** Whether its code is of the repository itself, likewise. */
  readonly runHead: 'own' | 'fork' | null;
  readonly headSha: string;
  readonly htmlUrl: string | null;
  readonly labels: readonly string[];
  readonly status: JobStatus;
  readonly conclusion: string | null;
  readonly runnerId: number | null;
  readonly runnerName: string | null;
  /** The name of the runner's group, for display. */
  readonly runnerGroup: string | null;
  readonly createdAtMs: number | null;
  readonly startedAtMs: number | null;
  readonly completedAtMs: number | null;
  readonly firstSeenAtMs: number;
  /** Since when it has been in its current status, as far as we saw. */
  readonly statusSinceMs: number;
  /** `observedAtMs` of the fact that set the status. */
  readonly statusObservedAtMs: number;
  readonly statusSource: FactSource;
  /** `shareOf` the fact that first reported it. */
  readonly share: string;
  /** `toldBy` of the fact that set the status. */
  readonly statusToldBy: string | null;
  /** Two facts conflict: a GET of the job decides. Until then it counts as demand unless completed. */
  readonly disputed: boolean;
  /** `observedAtMs` of the last GET of this job. */
  readonly verifiedAtMs: number | null;
  readonly admission: AdmissionState;
  readonly registration: string | null;
  readonly laneKey: string | null;
  readonly reasonCode: string | null;
  readonly reason: string | null;
  readonly cure: string | null;
  /** Runners that were planned for this job, not counting those that every provider refused. */
  readonly planned: number;
  /** For how many of them a provider was called. */
  readonly launches: number;
  readonly lastLaunchAtMs: number | null;
  /** How many of them took another job. */
  readonly stolen: number;
  /** Runners with its labels that were online for their whole idle time while this job stayed queued. */
  readonly passedOver: number;
  /** The most recent of them. */
  readonly passedOverBy: string | null;
  /** A held job does not ask for a runner, and the other jobs of its lane count fully. Null: it is not held. */
  readonly hold: JobHold | null;
  readonly heldSinceMs: number | null;
  /** When to look for it at GitHub again (`unseen`), or to launch one runner for it (`unserved`). */
  readonly heldUntilMs: number | null;
  /** Held, but asking for a runner: the one of its run that tests whether GitHub assigns it now. */
  readonly probing: boolean;
  /** Jobs of its run that were running when it was held: possibly the `max-parallel` limit. */
  readonly heldAtRunning: number;
  /** Counts the facts that changed the row; `settleJobs` uses it to detect a concurrent change. */
  readonly version: number;
}

/** The states of a runner, in the order of its life; lifecycle/machine.ts has the transitions. */
export type RunnerState = 'creating' | 'parked' | 'starting' | 'online' | 'busy' | 'finishing' | 'draining' | 'gone';

/** A runner: what it is for, and what is known of its instance and of its registration at GitHub. */
export interface RunnerRow {
  /** `<dispatcher>-<ULID>`: the GitHub runner's name and the instance's name. */
  readonly name: string;
  readonly registration: string;
  readonly host: string;
  /** `scopePath()` of where it registers. */
  readonly scope: string;
  readonly runnerGroup: string;
  readonly laneKey: string;
  readonly labels: readonly string[];
  readonly specHash: string;
  readonly state: RunnerState;
  readonly stateSinceMs: number;
  readonly createdAtMs: number;
  /** When the current state times out; null if it has no limit. */
  readonly deadlineAtMs: number | null;
  /** When to check it next; null when gone. */
  readonly nextCheckAtMs: number | null;
  /** The process that is launching it. A `creating` row of another incarnation has to be recovered. */
  readonly incarnation: string;
  /** The backend that has, or may have, its instance, or reserves a slot for it; null while there is none. */
  readonly backend: string | null;
  /** The instance's own deadline, from its tags. */
  readonly instanceDeadlineAtMs: number;
  readonly instanceId: string | null;
  readonly instanceState: 'none' | 'maybe' | 'pending' | 'running' | 'ended' | 'absent';
  readonly githubRunnerId: number | null;
  /**
   * Of one that was launched ahead of its job: `booting` until its container has asked for a JIT configuration, then `ready`
   * for life. Null: it was launched for a job.
   */
  readonly standby: 'booting' | 'ready' | null;
  /** How long it may wait for a job once it is online. Null: as long as its registration lets runners wait. */
  readonly idleLimitMs: number | null;
  /** How long its job may run, where the limit of its instance has the time before the job in it. Null: that one decides. */
  readonly jobLimitMs: number | null;
  /** The image, where it is the registration's candidate and not its lane's. */
  readonly candidate: string | null;
  /** The job that this runner was launched for: informational, not a binding. */
  readonly forJobKey: string | null;
  /** The job that GitHub assigned to it. */
  readonly jobKey: string | null;
  readonly onlineAtMs: number | null;
  readonly busyAtMs: number | null;
  readonly finishedAtMs: number | null;
  /** When GitHub, asked for the job, said that it ended on this runner; null while only other sources have said so. */
  readonly endReadAtMs: number | null;
  /** Consecutive checks that did not find the instance, and the first of them. */
  readonly misses: number;
  readonly firstMissAtMs: number | null;
  readonly drainReason: string | null;
  readonly forced: boolean;
  /** GitHub listed it as online and idle at these times while draining: first and last of an unbroken series. */
  readonly firstIdleAtMs: number | null;
  readonly lastIdleAtMs: number | null;
  /** DELETE succeeded, or GitHub does not know the runner. */
  readonly deregisteredAtMs: number | null;
  /**
   * When its container, which had not ended as far as was known, was first to be stopped: on disk before the service is
   * asked, and kept whatever the service answers. Null: we never stopped it.
   */
  readonly stopAskedAtMs: number | null;
  /** When the service last accepted a stop. */
  readonly stopSentAtMs: number | null;
  /** Of the token that its container authenticates its call-backs with; null: it makes none. */
  readonly callbackHash: string | null;
  /** What its container measured of its job; null until it has said so. A container may say anything. */
  readonly memoryPeakBytes: number | null;
  readonly cpuMs: number | null;
  readonly diskBytes: number | null;
  readonly oomKills: number | null;
  /** Since when GitHub has refused our credentials for it; null while they work. */
  readonly refusedSinceMs: number | null;
  /** Failed attempts at the current step, for the backoff. */
  readonly attempts: number;
  /** Its last known failure; null if there was none. */
  readonly failure: Failure | null;
  readonly version: number;
}

/**
 * The fields that a decision may change. Identity and version belong to the ledger. Scope, runner group, lane and labels
 * change once, when a parked runner gets its job.
 */
export type RunnerPatch = Partial<Omit<RunnerRow, 'name' | 'registration' | 'host' | 'createdAtMs' | 'version'>>;

/** One step of a runner's life, for people: what happened, and what it led to. */
export interface TimelineEntry {
  readonly atMs: number;
  readonly state: RunnerState;
  readonly reason: string;
  readonly details: string | null;
  /** Set if a failure caused the step. */
  readonly failure: Failure | null;
}

/** What a decision about one runner changes. All of it is written, or nothing. */
export interface RunnerStep {
  readonly patch: RunnerPatch;
  readonly entries: readonly TimelineEntry[];
  /**
   * What the step means for the job that the runner was planned for: a provider is `called` for it for the first time,
   * the runner is `given-back` (no provider was called), every provider that was called has `refused` it, or another
   * job has `stolen` it. A parked one is `claimed`: planned and called for at once. One that failed on a candidate image is
   * `forgiven`: it stays planned, and does not count as launched.
   */
  readonly launch?: 'called' | 'claimed' | 'forgiven' | 'given-back' | 'refused' | 'stolen';
}

/** What was decided about one job. */
export interface JobSettlement {
  readonly key: string;
  /** The version that the decision was based on. A newer row stays unsettled and is returned again. */
  readonly version: number;
  /** Undefined: the admission stays unchanged. */
  readonly admission?: {
    readonly state: AdmissionState;
    readonly registration: string | null;
    /** Of `lane` and `observed`, and of no other. */
    readonly lane: LaneSpec | null;
    readonly reasonCode: string | null;
    readonly reason: string | null;
    readonly cure: string | null;
  };
}

/** The reason of a job's state, for display. */
export interface JobWords {
  readonly reasonCode: string;
  readonly reason: string;
  readonly cure: string | null;
}

/** The counts of one lane that planning needs. */
export interface LaneCounts {
  readonly lane: LaneSpec;
  /** Jobs that are admitted to the lane and `queued`, or disputed and not completed. */
  readonly demand: number;
  /** Queued jobs that are held: no demand, except the one of each run that tries again. */
  readonly held: number;
  readonly oldestQueuedSinceMs: number | null;
  /** Unbound runners of the lane in `creating`, `starting` and `online`, by state, with the lane's current spec. */
  readonly creating: number;
  readonly starting: number;
  readonly online: number;
  /** Live runners of an older spec: they do not count as supply, but are drained when idle. */
  readonly outdated: number;
}

/** The queued job of a lane to launch for next: fewest runners planned first, then the one that has waited longest. */
export interface Waiting {
  readonly key: string;
  readonly host: string;
  readonly owner: string;
  readonly repository: string;
  readonly jobId: number;
  readonly runId: number;
  readonly planned: number;
  readonly launches: number;
  readonly lastLaunchAtMs: number | null;
  readonly stolen: number;
  readonly passedOver: number;
  readonly probing: boolean;
  readonly verifiedAtMs: number | null;
  readonly statusSinceMs: number;
  readonly disputed: boolean;
  /** By GitHub. */
  readonly createdAtMs: number | null;
  readonly firstSeenAtMs: number;
  readonly statusSource: JobRow['statusSource'];
}

/**
 * - `account`: its credentials or quota. `capacity`: no stock. `refused`: it refuses the image or shape.
 * - `start`: containers do not come online. `idle`: they do, and GitHub gives them no job.
 */
export type BreakerRule = 'account' | 'capacity' | 'refused' | 'start' | 'idle';

/** Why launches avoid a backend, or one image and shape on it. */
export interface Breaker {
  /** Made of registration, backend, `shape` and `rule`: one row for each thing that can be closed. */
  readonly key: string;
  readonly registration: string;
  readonly backend: string;
  /** The lifecycle rule that closed it: see lifecycle/breaker-rules.ts. */
  readonly rule: BreakerRule;
  /** The `specHash` concerned; null: the whole backend. */
  readonly shape: string | null;
  /** The image and shape for display; null: the whole backend. */
  readonly subject: string | null;
  /** Hash of the backend's options and credentials at that time: it does not apply to others. */
  readonly configuration: string;
  /** The latest one. */
  readonly failure: Failure;
  /** Consecutive failures. */
  readonly failures: number;
  /** The first of them. */
  readonly sinceMs: number;
  /** Nothing is launched before this; then one launch tries it. */
  readonly closedUntilMs: number;
  readonly changedAtMs: number;
}

/** `full`: nothing was written, because the job is new and its share has reached its limit of open jobs. */
export type DeliveryResult = 'recorded' | 'duplicate' | 'full';

/** Open jobs per share: twice the largest expected burst. */
export const MAX_OPEN_JOBS = 20_000;

/** A job, and the registration that it was admitted to. */
export type JobOf = Pick<JobRow, 'key' | 'registration'>;

/** Which jobs of a run: ids of runs are unique on one host alone, and the owner of a secret can make them up. */
export interface RunJobs {
  readonly runId: number;
  /** Undefined: on any host and in any repository. */
  readonly within?: Omit<JobIdentity, 'jobId'> | undefined;
}

/** Which jobs to read; fields that are given must all match. */
export interface JobFilter {
  readonly registrations?: readonly string[];
  readonly admission?: AdmissionState;
  readonly status?: JobStatus;
  readonly laneKey?: string;
  /** Only those that come after this one in the order. */
  readonly after?: Pick<JobRow, 'firstSeenAtMs' | 'key'>;
  /** At most 1000; default 100. Newest first. */
  readonly limit?: number;
}

/** An owner, or one of its repositories. Case does not matter. */
export interface JobPlace {
  readonly host: string;
  readonly owner: string;
  /** Absent: all of the owner's. */
  readonly repository?: string;
}

/** One attempt of a workflow run. */
export type RunPlace = Pick<JobRow, 'host' | 'owner' | 'repository' | 'runId'> & { readonly attempt: number };

/** A row that cannot be read, as far as it says whose it is. */
export interface UnreadableRow {
  /** The job's or lane's key, or the runner's name. */
  readonly key: string;
  readonly registration: string | null;
  /** The column and what is wrong with it, without its value. */
  readonly fault: string;
}

/**
 * What becomes of a row that cannot be read. A function is called for each, and the others are served; it must not call
 * the ledger, and may be called twice for a row. `'reject'`: the method rejects with an `UnreadableRowError`.
 */
export type OnUnreadable = 'reject' | ((row: UnreadableRow) => void);

/** What to leave out when reading due runners. */
export interface RunnersLeftOut {
  readonly registrations?: readonly string[];
  readonly places?: readonly { readonly registration: string; readonly backend: string | null }[];
}

/** Which runners to read; fields that are given must all match. Newest first. */
export interface RunnerFilter {
  readonly registrations?: readonly string[];
  readonly states?: readonly RunnerState[];
  readonly laneKey?: string;
  /** Only those that come after this one in the order. */
  readonly after?: Pick<RunnerRow, 'createdAtMs' | 'name'>;
  readonly limit?: number;
}

/** How long history is kept. Open jobs and live runners are not history. */
export interface Retention {
  readonly deliveriesMs: number;
  readonly jobsMs: number;
  readonly runnersMs: number;
  /** The maximum number of rows kept, whatever their age. */
  readonly maxDeliveries: number;
  readonly maxJobs: number;
  readonly maxRunners: number;
  /** Of the audit trail. Default `MAX_AUDIT_ROWS`. */
  readonly maxAudit?: number;
}

/** What comes in: deliveries, and facts from polls and reads. */
export interface FactLedger {
  /**
   * One durable commit for the whole batch, results in order. A duplicate delivery changes nothing.
   * `committed` is called, with the results, between the commit and its way to the disk: who reads the ledger sees the
   * batch from then on. It may be lost in a power failure, and must not throw.
   */
  recordDeliveries(
    batch: readonly { readonly delivery: Delivery; readonly fact: JobFact | null }[],
    committed?: (results: readonly DeliveryResult[]) => void,
  ): Promise<readonly DeliveryResult[]>;
  /**
   * Facts from polls and GETs. Returns how many jobs changed. New open jobs of a full share are left out, and so are
   * jobs whose rows cannot be read. `unreadable`: default `'reject'`.
   */
  recordFacts(facts: readonly JobFact[], unreadable?: OnUnreadable): Promise<number>;
}

/** What a registration that only observes has seen. */
export interface ObservedJobs {
  /** Newest first, at most 2,000. What only another tenant's webhook has told is left out. */
  readonly jobs: readonly JobRow[];
  /** There are older ones in that time. */
  readonly more: boolean;
  /** Of the jobs, by key. */
  readonly lanes: ReadonlyMap<string, LaneSpec>;
}

/** Jobs: what facts made of them, and what was decided. */
export interface JobLedger {
  /** Jobs whose facts changed since they were last settled, oldest change first. */
  unsettledJobs(limit: number, unreadable: OnUnreadable): Promise<readonly JobRow[]>;
  /**
   * The job cannot be settled now: `unsettledJobs` returns it after all others, and until it is settled it asks for no
   * runner. Its row is not read, because that may be what fails.
   */
  putUnsettledLast(key: string, nowMs: number): Promise<void>;
  /** Writes the decisions; a job that changed since its version was read is left as it is, unsettled. */
  settleJobs(settlements: readonly JobSettlement[]): Promise<void>;
  /** Undefined if no fact has named it, or if it was pruned. */
  job(key: string): Promise<JobRow | undefined>;
  /** Jobs with this id, on any host and in any repository: at most 10, newest first. */
  jobsWithId(jobId: number, unreadable: OnUnreadable): Promise<readonly JobRow[]>;
  /** Jobs of the runs with this id, at most 1000, by key. */
  jobsOfRun(run: RunJobs, unreadable: OnUnreadable): Promise<readonly JobRow[]>;
  /** Newest first. */
  jobs(filter: JobFilter, unreadable: OnUnreadable): Promise<readonly JobRow[]>;
  /** Makes the jobs that are not completed, and not older than `sinceMs`, unsettled again: the registrations changed. */
  unsettleOpenJobs(sinceMs: number): Promise<number>;
  /** Likewise those of these registrations, and those at these places: what their settlement depends on changed. */
  unsettleJobsOf(registrations: readonly string[], places: readonly JobPlace[], sinceMs: number): Promise<number>;
  /**
   * GitHub's own word on the repository: its uncompleted jobs whose visibility is not proven are settled again with it.
   * Undefined, where GitHub does not say: they are settled again without.
   */
  tellVisibility(
    repository: Pick<JobIdentity, 'host' | 'owner' | 'repository'>,
    visibility: Visibility | undefined,
  ): Promise<number>;
  /**
   * GitHub's own word on an attempt of a run: its uncompleted jobs of that attempt, or an earlier one, are settled again
   * with it. Undefined, where GitHub does not say: they are settled again without.
   */
  tellRun(run: RunPlace, word: RunWord | undefined): Promise<number>;
  /** Likewise the registration's uncompleted jobs that are refused with this code. */
  unsettleRefused(registration: string, reasonCode: string): Promise<number>;
  /**
   * Queued jobs of lanes that neither changed nor were read since `beforeMs`, for a GET of each: one of each registration
   * in turn, oldest first.
   */
  staleJobs(beforeMs: number, limit: number): Promise<readonly JobOf[]>;
  /**
   * Observed jobs that are open, have been so since a time from `sinceMs` to `beforeMs`, and were not read since, for a GET of
   * each: one of each registration in turn. Other runners take them, and their end may not be told.
   */
  staleObservedJobs(sinceMs: number, beforeMs: number, limit: number): Promise<readonly JobOf[]>;
  /** The observed jobs of a registration that were first seen since then. */
  observedJobs(registration: string, sinceMs: number, unreadable: OnUnreadable): Promise<ObservedJobs>;
  /** Disputed jobs, for a GET of each: one of each registration in turn. */
  disputedJobs(limit: number, unreadable: OnUnreadable): Promise<readonly JobRow[]>;
  /**
   * Open jobs in lanes that only another tenant's webhook has reported, for a GET of each: one of each registration in
   * turn, newest first.
   */
  unconfirmedJobs(limit: number, unreadable: OnUnreadable): Promise<readonly JobRow[]>;
  /** Those of one registration's lanes. */
  unconfirmedJobsOf(registration: string, limit: number, unreadable: OnUnreadable): Promise<readonly JobRow[]>;
  /** GitHub does not know the job any more: it is completed without a runner. */
  dropJob(key: string, reason: string, nowMs: number): Promise<void>;
  /** Queued jobs that entered the queue before `beforeMs` become `expired`; returns their lanes. */
  expireJobs(beforeMs: number, limit: number): Promise<readonly string[]>;
  /** The job no longer counts as demand, whatever GitHub says, until its status changes. */
  setJobAside(key: string, words: JobWords): Promise<void>;
  /** Records what happened to the job, for display. Nothing else about it changes. */
  explainJob(key: string, words: JobWords): Promise<void>;
  /** GitHub answers 404 for the job: it is held until it is seen again. */
  holdUnseen(key: string, words: JobWords | null, untilMs: number, nowMs: number): Promise<void>;
  /**
   * The runner was online and idle from `onlineAtMs` to its idle limit: counted on each job of its lane and
   * registration that was queued the whole time; `passed` is their number. Those with enough such runners are `held`.
   */
  passOver(
    runner: Pick<RunnerRow, 'name' | 'laneKey' | 'registration'>,
    onlineAtMs: number,
    nowMs: number,
    unreadable: OnUnreadable,
  ): Promise<{ readonly passed: number; readonly held: readonly string[] }>;
  /**
   * A job started or ended, so that GitHub may assign another of its run or lane, or one of its repository if it
   * ended: one held job of each of these runs may try at once, and all of its own run if more of them run now than
   * when they were held. Returns the lanes.
   */
  stir(key: string, nowMs: number, unreadable: OnUnreadable): Promise<readonly string[]>;
  /** Held jobs that no runner was given to are due now, one of each run; returns how many. */
  hastenHeld(nowMs: number): Promise<number>;
  /** Likewise those of one registration. */
  hastenHeldOf(registration: string, nowMs: number): Promise<number>;
  /** Lets one held job of each run that is due try again; returns the lanes. `limit` jobs, one of each registration in turn. */
  probeHeld(nowMs: number, limit: number, unreadable: OnUnreadable): Promise<readonly string[]>;
  /** The held job is not due before this time. Its row is not read: for one that cannot be. */
  putHeldOff(key: string, untilMs: number): Promise<void>;
  /** When the next held job may try, or is looked for again; null if none is held. */
  nextProbeAt(): Promise<number | null>;
  /** Held jobs that GitHub answered 404 for and that are due for another look: one of each registration in turn. */
  unseenJobs(nowMs: number, limit: number): Promise<readonly JobOf[]>;
}

/** Lanes, their demand and their supply. */
export interface LaneLedger {
  /** For these lanes; those without demand and live runners are returned with zeros, unknown ones left out. */
  laneCounts(keys: readonly string[], unreadable: OnUnreadable): Promise<readonly LaneCounts[]>;
  /** Every lane with demand or a live runner. */
  lanesInUse(): Promise<readonly string[]>;
  /**
   * Workflow runs that ask for runners in the lane: how many, and how many of its runners of this spec that have no job were
   * launched for each.
   */
  laneRuns(
    laneKey: string,
    specHash: string,
  ): Promise<readonly { readonly runId: number; readonly demand: number; readonly supply: number }[]>;
  /** The lane's queued jobs that ask for a runner, in the order in which they get one; at most `limit`. */
  waitingJobs(
    laneKey: string,
    limit: number,
    unreadable: OnUnreadable,
    /** Ids of workflow runs whose jobs are left out. */
    besides?: readonly number[],
  ): Promise<readonly Waiting[]>;
  /** Adds the lane, or makes it what it is now: one that runners are to wait in, whether or not a job has come. */
  putLane(lane: LaneSpec): Promise<void>;
  /** Deletes lanes without open jobs and live runners. Returns how many. */
  deleteEmptyLanes(): Promise<number>;
}

/** Runners, their timelines and outputs. */
export interface RunnerLedger {
  /**
   * Inserts the row with its first timeline entry, and counts it as planned on `forJobKey`. `lane`: of one that no job has
   * put there, with the row.
   */
  createRunner(runner: RunnerRow, reason: string, lane?: LaneSpec): Promise<void>;
  /**
   * Reads the runner, calls `decide` (pure, synchronous), writes patch and timeline: one transaction. If it returns
   * undefined, nothing changes. Returns the row before and after, or undefined if the runner does not exist.
   */
  stepRunner(
    name: string,
    decide: (runner: RunnerRow) => RunnerStep | undefined,
  ): Promise<{ readonly before: RunnerRow; readonly after: RunnerRow } | undefined>;
  /** Undefined if there never was one of this name, or if it was pruned. */
  runner(name: string): Promise<RunnerRow | undefined>;
  /** Newest first. */
  runners(filter: RunnerFilter, unreadable: OnUnreadable): Promise<readonly RunnerRow[]>;
  /**
   * Corrects times of jobs, breakers and live runners that are in the future: the machine's clock was ahead when they
   * were written.
   * Returns how many rows had such times. Rows that cannot be read stay as they are.
   */
  cutToNow(): Promise<number>;
  /** Not gone, `nextCheckAtMs` reached, most overdue first; `except` leaves out those of some backends. */
  runnersDue(
    nowMs: number,
    limit: number,
    unreadable: OnUnreadable,
    except?: RunnersLeftOut,
  ): Promise<readonly RunnerRow[]>;
  /** The runner is due again at this time. Its row is not read: for one that nothing else can be done with. */
  putOff(runner: string, untilMs: number): Promise<void>;
  /** Runners that another incarnation was launching are due now; returns how many. */
  hastenLaunchesOf(otherThan: string, nowMs: number): Promise<number>;
  /** The earliest `nextCheckAtMs` of all live runners. */
  nextCheckAt(): Promise<number | null>;
  /**
   * Every runner that may have an instance that has not ended, draining ones included, counted by registration and
   * backend (null: none yet). `draining` is the number of those that are being taken down, `parked` of those that wait for
   * a job without a registration.
   */
  liveCounts(): Promise<
    readonly {
      readonly registration: string;
      readonly backend: string | null;
      readonly count: number;
      readonly draining: number;
      readonly parked: number;
    }[]
  >;
  /** Likewise those of these registrations, counted by the workflow run whose job each runs, or was launched for. */
  liveCountsByRun(
    registrations: readonly string[],
  ): Promise<readonly { readonly registration: string; readonly runId: number; readonly count: number }[]>;
  /** Registrations that have a runner which is not gone, busy ones included. */
  registrationsWithRunners(): Promise<readonly string[]>;
  /** `scopePath()` of where the registration's runners that are not gone registered, busy ones included. */
  scopesWithRunners(registration: string): Promise<readonly string[]>;
  /** Unbound `online`, `starting` or `creating` runners of the lane, most recent state first: the surplus to drop. */
  /**
   * When jobs started on the registration's runners of this spec, the earliest first, since then: of its last 10,000 runners,
   * so far as they are kept.
   */
  jobStarts(registration: string, specHash: string, sinceMs: number): Promise<readonly number[]>;
  surplusRunners(laneKey: string, limit: number, unreadable: OnUnreadable): Promise<readonly RunnerRow[]>;
  /** In order. Long timelines lack steps in the middle. Empty for an unknown runner. */
  timeline(runner: string): Promise<readonly TimelineEntry[]>;
  /** The container's last output, truncated to 256 KB. */
  keepOutput(runner: string, output: string, nowMs: number): Promise<void>;
  /** What `keepOutput` kept; undefined if nothing was. */
  output(runner: string): Promise<string | undefined>;
}

/** What outlives the process besides jobs and runners: closed backends, leases, cursors. */
export interface StateLedger {
  /** All of them, by key. `unreadable`: default `'reject'`. */
  breakers(unreadable?: OnUnreadable): Promise<readonly Breaker[]>;
  /** Adds it, or replaces the one with its key. */
  putBreaker(breaker: Breaker): Promise<void>;
  /** Does nothing if there is none with this key. */
  deleteBreaker(key: string): Promise<void>;
  /** True when `holder` has the lease until `nowMs + ttlMs`. */
  acquireLease(name: string, holder: string, nowMs: number, ttlMs: number): Promise<boolean>;
  /** The value that was put last; undefined if there is none. */
  cursor(name: string): Promise<string | undefined>;
  /** Adds or replaces the value of that name. */
  putCursor(name: string, value: string, nowMs: number): Promise<void>;
}

/**
 * Of all logs of a tenant, those that are over included: these give way first, then of the installation with the most
 * the repository with the most.
 */
export const MAX_MISSED_OF_LINE = 10_000;
/** Of one repository or installation in it, those that are open. */
export const MAX_MISSED_OF_SHARE = 2_000;

/** An entry of one of GitHub's logs of deliveries. */
export interface ListedDelivery {
  readonly guid: string;
  readonly deliveryId: string;
  readonly share: string;
  /** Whose repositories they are, in a log that several owners share; else the same for all. */
  readonly installation: string;
  readonly rank: number;
  readonly deliveredAtMs: number;
  /** More than 0: so many of its attempts count as made. */
  readonly attempts: number;
}

export interface ListedDeliveries {
  readonly log: string;
  /** Whose log it is: within whose bound they are kept. */
  readonly line: string;
  readonly endpoint: string;
  /** Of one page of the log: the work of the transaction grows with their number. */
  readonly deliveries: readonly ListedDelivery[];
  /** GUIDs of those that arrived and were answered for good, without a record: these are over. */
  readonly answered?: readonly string[];
  /** False: they are only compared with what was recorded. */
  readonly isOurs: boolean;
  /** Put in the same transaction. */
  readonly cursor?: { readonly name: string; readonly value: string };
  readonly nowMs: number;
}

export interface NotedDeliveries {
  /** How many were recorded when they came. */
  readonly recorded: number;
  /** How many are missing and were not known to be. */
  readonly missed: number;
  /** How many of those there is no room for. */
  readonly dropped: number;
  /** How many are over, as they were answered for good. */
  readonly answered: number;
}

export interface DueDelivery {
  readonly guid: string;
  readonly deliveryId: string;
  /** Before this one. */
  readonly attempts: number;
}

export interface WantedRedeliveries {
  readonly log: string;
  readonly endpoint: string;
  readonly mostAttempts: number;
  readonly limit: number;
  readonly nowMs: number;
  /** After so many attempts. */
  readonly nextDueAtMs: (attempts: number) => number;
}

export interface BegunRedeliveries {
  /** How many have been recorded meanwhile, and how many never will be. */
  readonly arrived: number;
  readonly givenUp: number;
  readonly due: readonly DueDelivery[];
}

/** Deliveries that GitHub's logs have and that were never recorded here. */
export interface MissedDeliveryLedger {
  noteListed(listed: ListedDeliveries): Promise<NotedDeliveries>;
  /** Counts an attempt of each that it returns, on disk when it resolves. None of them has been recorded. */
  beginRedeliveries(wanted: WantedRedeliveries): Promise<BegunRedeliveries>;
  /** Those attempts were not made. */
  takeBackRedeliveries(
    log: string,
    deliveries: readonly DueDelivery[],
    when: { readonly dueAtMs: number; readonly nowMs: number },
  ): Promise<void>;
  /** GitHub does not have it any more. */
  giveUpRedelivery(log: string, guid: string, nowMs: number): Promise<void>;
  /** How many are open, by log; logs without are left out. */
  openMissed(): Promise<ReadonlyMap<string, number>>;
}

export type Role = 'viewer' | 'operator' | 'admin';

/** A token of the admin API. */
export interface TokenRow {
  readonly id: string;
  /** Of the tokens in force no two have the same. */
  readonly name: string;
  /** The SHA-256 of the token, in hex: the token itself is kept nowhere. */
  readonly hash: string;
  readonly role: Role;
  /** Null: the whole platform. */
  readonly tenants: readonly string[] | null;
  readonly createdAtMs: number;
  /** The name of the token that made it. */
  readonly createdBy: string;
  /** Of the person's session that it was made with, if only through another token: it ends with that. */
  readonly sessionId: string | null;
  /** Null: never. */
  readonly expiresAtMs: number | null;
  readonly revokedAtMs: number | null;
  readonly revokedBy: string | null;
}

/** Of the platform, those that are over included. */
export const MAX_TOKENS = 1_000;
/** In force and for any one tenant. It has as many places again for those that are over. */
export const MAX_TOKENS_OF_TENANT = 100;

export const MAX_AUDIT_ROWS = 100_000;

/** One write of the admin API: who, what, when. */
export interface AuditRow {
  /** A ULID: in the order of time. */
  readonly id: string;
  readonly atMs: number;
  readonly actorId: string;
  readonly actorName: string;
  /** `runner.forget`, `backends.reset`, `token.create` … */
  readonly action: string;
  /** What it was done to. */
  readonly subject: string;
  /** Whose that is; null: the platform's. */
  readonly tenant: string | null;
  /** The tenant of the actor, of several the first; empty: the platform. Of what is too much, the longest share is pruned. */
  readonly share: string;
  /** The HTTP status of its answer; null: it is under way, or the dispatcher ended in the middle of it. */
  readonly status: number | null;
  /** Why it was refused or failed, or a remark. */
  readonly outcome: string | null;
}

/** Which entries to read; fields that are given must all match. Newest first. */
export interface AuditFilter {
  /** Undefined: of all, and of the platform. */
  readonly tenants?: readonly string[];
  readonly actor?: string;
  readonly action?: string;
  /** Only older ones than this id. */
  readonly before?: string;
  readonly limit: number;
}

/** Who may use the admin API, and what was done with it. Every write is on disk when it resolves. */
export interface AccessLedger {
  /**
   * `taken`: a token in force for the same tenants has its name. `full`: `MAX_TOKENS_OF_TENANT` are in force for one of its
   * tenants, or `MAX_TOKENS` for the platform. Places are each tenant's own: of its tokens, one that has been over for the
   * longest makes room.
   */
  createToken(token: TokenRow): Promise<'created' | 'taken' | 'full'>;
  tokenByHash(hash: string): Promise<TokenRow | undefined>;
  token(id: string): Promise<TokenRow | undefined>;
  /** By name; those that are over come last. */
  tokens(): Promise<readonly TokenRow[]>;
  /** From then on it is refused. Returns the row, of one that was revoked before as it was; undefined if there is none. */
  revokeToken(id: string, by: string, nowMs: number): Promise<TokenRow | undefined>;
  /** Before the write that it records. */
  beginAudit(entry: AuditRow): Promise<void>;
  endAudit(id: string, status: number, outcome: string | null): Promise<void>;
  audits(filter: AuditFilter): Promise<readonly AuditRow[]>;
}

/** A version of a registration's file, as the ledger keeps it: what it says, only the caller can read. */
export interface RegistrationVersion {
  readonly name: string;
  readonly hash: string;
  readonly sealed: string;
}

/** The last version without problems of each registration. */
export interface RegistrationLedger {
  /** Adds them, or replaces those of their names. */
  putRegistrationVersions(versions: readonly RegistrationVersion[]): Promise<void>;
  registrationVersion(name: string): Promise<RegistrationVersion | undefined>;
  /** By name. */
  registrationHashes(): Promise<ReadonlyMap<string, string>>;
  deleteRegistrationVersions(names: readonly string[]): Promise<void>;
}

/** A registration that the admin API was given, as it was written. */
export interface ApiRegistration {
  readonly name: string;
  readonly document: string;
  /** Of the document. */
  readonly hash: string;
  /** Whose name it was then; null: the platform's own. */
  readonly tenant: string | null;
  readonly putBy: string;
  readonly putAtMs: number;
}

/** Without what it says. */
export type ApiRegistrationEntry = Omit<ApiRegistration, 'document'>;

/** What a registration has to be like now for a write to be done: of this hash, absent, or (undefined) anything. */
export type ExpectedVersion = string | null | undefined;

/** Registrations that the admin API was given: nothing else has them. */
export interface ApiRegistrationLedger {
  /** Durable. */
  putApiRegistration(registration: ApiRegistration, expected: ExpectedVersion): Promise<'put' | 'other'>;
  deleteApiRegistration(name: string, expected: ExpectedVersion): Promise<'deleted' | 'other' | 'absent'>;
  apiRegistration(name: string): Promise<ApiRegistration | undefined>;
  /** All, by name. */
  apiRegistrations(): Promise<readonly ApiRegistrationEntry[]>;
}

/** The ledger takes no writes. */
export interface WriteTrouble {
  /** Of the latest attempt. */
  readonly error: LedgerError;
  /** When the first of those that failed was made. */
  readonly sinceMs: number;
}

/** The storage itself. */
export interface StorageLedger {
  /** Deletes at most `limit` history rows of each table; returns how many. Call until it returns 0. */
  prune(nowMs: number, retention: Retention, limit: number): Promise<number>;
  /** Resolves when everything that has committed is on disk: before an operator's command is answered. */
  persist(): Promise<void>;
  /**
   * Why the last write of any caller failed; undefined if it succeeded, and before the first. `full` lasts until none has
   * failed for 10 s: small writes may succeed meanwhile. A row that cannot be read is no reason: others can be written.
   */
  writeTrouble(): WriteTrouble | undefined;
  /**
   * Rejects with a LedgerError `moved` if the storage is no longer the one that was opened. From then on every write
   * does so too, until it is back: the written data would be lost with the process.
   */
  verifyStorage(): Promise<void>;
  /** Finishes the writes that were begun. Every method rejects afterwards. */
  close(): Promise<void>;
}

/** The whole ledger. Its users name the few methods that they call: `Pick<Ledger, 'job' | 'jobs'>`. */
export interface Ledger
  extends FactLedger,
    JobLedger,
    LaneLedger,
    RunnerLedger,
    StateLedger,
    MissedDeliveryLedger,
    RegistrationLedger,
    ApiRegistrationLedger,
    AccessLedger,
    StorageLedger {}

/**
 * - `full`: the disk is full. `locked`: another process holds the file. `corrupt`: the file is damaged.
 * - `moved`: the file was deleted, moved away, replaced, overwritten or truncated while it is open.
 * - `newer`: a newer version of the program wrote it. `foreign`: another program did. `unavailable`: anything else (permissions, I/O).
 */
export type LedgerErrorKind = 'full' | 'locked' | 'corrupt' | 'moved' | 'newer' | 'foreign' | 'unavailable';

/** The message says what to do. */
export class LedgerError extends Error {
  readonly kind: LedgerErrorKind;
  constructor(kind: LedgerErrorKind, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'LedgerError';
    this.kind = kind;
  }
}

/** One row holds what the ledger did not write there. All other rows can be read and written. */
export class UnreadableRowError extends LedgerError {
  constructor(message: string, cause?: unknown) {
    super('corrupt', message, cause);
    this.name = 'UnreadableRowError';
  }
}
