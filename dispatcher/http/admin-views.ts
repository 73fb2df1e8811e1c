/** Converts rows and configuration to the responses of the admin API. Has no access to secrets. */

import type { GrantedBy } from '../admission/granted.ts';
import { shapeInWords } from '../admission/wish-words.ts';
import { type AddressStatus, addressInWords, isAmiss } from '../callbacks/own-address.ts';
import { type AbsentRegistration, absenceWords } from '../config/absent.ts';
import type { Failure } from '../failures/failure.ts';
import type { PollStatus as PollerStatus } from '../intake/poller.ts';
import type { Admission } from '../jobs/lane.ts';
import { scopePath } from '../jobs/scope.ts';
import type { AuditRow, Breaker, JobRow, LaneCounts, RunnerRow, TimelineEntry, TokenRow } from '../ledger/ledger.ts';
import type { BackendStatus, Closure } from '../lifecycle/backends.ts';
import { type CanaryState, failedOf } from '../lifecycle/canary-rules.ts';
import type { LaunchHold } from '../lifecycle/launches-held.ts';
import { closureWords, type LedgerClosure } from '../lifecycle/ledger-gate.ts';
import { knownFailure } from '../lifecycle/machine/last-word.ts';
import type { Pause } from '../lifecycle/pauses.ts';
import type { Backend, Claim, Commit, Origin, Quarantined, Registration, SourceState } from '../model/registration.ts';
import type { RegistrationNote, RegistrationProblem } from '../observability/problems.ts';
import type { OrganizationStatus } from '../sources/organization-defaults.ts';
import type { SeenVersion } from '../versions/runner-versions.ts';
import type {
  AuditEntryView,
  BackendView,
  BreakerView,
  CanaryView,
  ClosureView,
  Explanation,
  FailureView,
  JobView,
  LaneView,
  LedgerProblemView,
  PauseView,
  ProblemView,
  PublicAddressView,
  QuarantinedView,
  RegistrationView,
  RunnerView,
  SourceView,
  TimelineView,
  TokenView,
} from './admin-shapes.ts';

/** The poller's state for a registration, as far as it is shown. */
export interface PollStatus {
  /** The end of the last pass. */
  readonly lastAtMs: number | null;
  /** Its problems, as messages. */
  readonly problems: readonly string[];
  readonly nextAtMs?: number | null;
  /** The current pass is waiting for GitHub's limits, or our budget, until then. */
  readonly waitsUntilMs?: number | null;
  readonly repositories?: number;
}

/** Undefined for a registration that is not polled. */
export function shownPoll(status: PollerStatus | undefined): PollStatus | undefined {
  if (status === undefined) return undefined;
  return {
    lastAtMs: status.lastEndedAtMs,
    nextAtMs: status.nextPassAtMs,
    waitsUntilMs: status.waitingUntilMs,
    problems: status.problems,
    ...(status.lastEndedAtMs === null ? {} : { repositories: status.repositories }),
  };
}

export interface RegistrationFacts {
  readonly registration: Registration;
  readonly poll: PollStatus | undefined;
  /** Live runners by backend; those without one yet are under the empty name. */
  readonly live: ReadonlyMap<string, number>;
  /** Those of this registration whose time is not up. */
  readonly breakers: readonly Breaker[];
  readonly problems: readonly RegistrationProblem[];
  readonly notes?: readonly RegistrationNote[];
  readonly held: RegistrationView['launchesHeld'];
  readonly versions: readonly SeenVersion[];
  readonly canary?: CanaryState | undefined;
  /** Undefined: from the folder. */
  readonly origin?: (Origin & { readonly commit: Commit | null }) | undefined;
  /** Undefined: it does not ask for the defaults of its organization. */
  readonly organization?: OrganizationStatus | undefined;
}

export function registrationView({
  registration,
  poll,
  live,
  breakers,
  problems,
  notes = [],
  held,
  versions,
  canary,
  origin,
  organization,
}: RegistrationFacts): RegistrationView {
  return {
    name: registration.name,
    host: registration.host,
    claim: claimText(registration.claim),
    credentials: registration.credentials.kind === 'app' ? `app ${registration.credentials.appId}` : 'token',
    labels: [...registration.labels],
    runnerGroup: registration.runnerGroup,
    priority: registration.priority,
    observes: registration.observe === true,
    launchesHeld: held,
    maxRunners: registration.maxRunners,
    liveRunners: [...live.values()].reduce((sum, count) => sum + count, 0),
    poll: {
      intervalSeconds: registration.poll.intervalMs === null ? null : registration.poll.intervalMs / 1000,
      repositories: poll?.repositories ?? null,
      lastAt: iso(poll?.lastAtMs ?? null),
      nextAt: iso(poll?.nextAtMs ?? null),
      waitsUntil: iso(poll?.waitsUntilMs ?? null),
      problems: [...(poll?.problems ?? [])],
    },
    // Not `options`: they belong to the provider, and may contain what API clients must not see.
    backends: registration.backends.map((backend) => ({
      name: backend.name,
      kind: backend.kind,
      region: backend.region ?? null,
      maxRunners: backend.maxRunners,
      liveRunners: live.get(backend.name) ?? 0,
      breakers: breakers.filter((breaker) => breaker.backend === backend.name).map(breakerView),
    })),
    runnerVersions: versions.map(({ image, version, lastSeenMs }) => ({
      image,
      version,
      lastSeenAt: new Date(lastSeenMs).toISOString(),
    })),
    canary: canary === undefined ? null : canaryView(canary),
    problems: problems.map(problemView),
    notes: notes.map(problemView),
    origin: origin === undefined ? null : originView(origin),
    organizationDefaults: organization === undefined ? null : organizationView(organization),
  };
}

export function organizationView({
  file,
  mode,
  problem,
  readAtMs,
  sinceMs,
  unused,
}: OrganizationStatus): NonNullable<RegistrationView['organizationDefaults']> {
  return {
    mode,
    state: file === undefined ? 'unread' : file === null ? 'absent' : 'read',
    since: iso(sinceMs),
    file: file?.file ?? null,
    blob: file?.blob ?? null,
    readAt: iso(readAtMs),
    problem: problem === undefined ? null : { reason: problem.reason, since: iso(problem.sinceMs), file: problem.file },
    unused: [...unused],
  };
}

function originView({ commit, file, source }: NonNullable<RegistrationFacts['origin']>): RegistrationView['origin'] {
  // Not its subject: it can speak of other tenants.
  return { source, file, commit: commit?.sha ?? null, authoredAt: iso(commit?.authoredAtMs ?? null) };
}

export function sourceView({ branch, commit, name, problem, url }: SourceState): SourceView {
  const { authoredAtMs, sha, subject } = commit ?? { authoredAtMs: null, sha: '', subject: '' };
  return {
    name,
    url,
    branch,
    problem,
    commit: commit === null ? null : { sha, authoredAt: iso(authoredAtMs), subject },
  };
}

export function ledgerProblemView(closure: LedgerClosure | undefined): LedgerProblemView | null {
  return closure === undefined ? null : { message: closureWords(closure), since: iso(closure.sinceMs) };
}

export function problemView({ kind, about, message, sinceMs }: RegistrationProblem | RegistrationNote): ProblemView {
  return { kind, about, message, since: iso(sinceMs) };
}

export function quarantinedView({ name, file, problems }: Quarantined): QuarantinedView {
  return { name, file, problems: [...problems] };
}

export function publicAddressView(status: AddressStatus | undefined): PublicAddressView | null {
  if (status === undefined) return null;
  const { url, state, sinceMs, calledAtMs } = status;
  return {
    ...{ url, state },
    message: addressInWords(status),
    amiss: isAmiss(status),
    since: new Date(sinceMs).toISOString(),
    calledAt: calledAtMs === null ? null : new Date(calledAtMs).toISOString(),
  };
}

function breakerView(breaker: Breaker): BreakerView {
  return {
    rule: breaker.rule,
    about: breaker.subject,
    failure: failureView(breaker.failure),
    failures: breaker.failures,
    since: new Date(breaker.sinceMs).toISOString(),
    closedUntil: new Date(breaker.closedUntilMs).toISOString(),
  };
}

export function closureView(closure: Closure): ClosureView {
  const { rule, about, state, failure, failures, sinceMs, untilMs } = closure;
  const since = new Date(sinceMs).toISOString();
  return { rule, about, state, failure: failureView(failure), failures, since, closedUntil: iso(untilMs) };
}

export function backendView(status: BackendStatus, backend: Backend | undefined, liveRunners: number): BackendView {
  const whole = status.closures.find(({ rule }) => rule === 'account');
  return {
    registration: status.registration,
    name: status.backend,
    kind: backend?.kind ?? 'unknown',
    region: backend?.region ?? null,
    state: status.listed ? (whole?.state ?? 'open') : 'not listed',
    notListed: status.notListed === null ? null : failureView(status.notListed),
    launching: status.launching,
    mostLaunching: status.window,
    liveRunners,
    maxRunners: backend?.maxRunners ?? 0,
    lastSuccessAt: iso(status.lastSuccessMs),
    closures: status.closures.map(closureView),
  };
}

export function failureView({ source, kind, code, requestId, message, atMs }: Failure): FailureView {
  return { source, kind, code, requestId, message, at: new Date(atMs).toISOString() };
}

function canaryView(canary: CanaryState): CanaryView {
  const { image, percent, starts, stopped } = canary;
  const how = stopped && {
    ...{ at: new Date(stopped.atMs).toISOString(), reason: stopped.reason, failure: failureView(stopped.failure) },
  };
  return { image, percent, starts: starts.length, failed: failedOf(canary), stopped: how };
}

/** `canary`: of those whose image is the registration's default. */
export function laneView(
  counts: LaneCounts,
  waitReason: string | undefined,
  canary?: CanaryState | undefined,
): LaneView {
  const { lane } = counts;
  return {
    key: lane.key,
    registration: lane.registration,
    host: lane.host,
    scope: scopePath(lane.scope),
    runnerGroup: lane.runnerGroup,
    labels: [...lane.labels],
    backends: [...lane.backends],
    demand: counts.demand,
    held: counts.held,
    supply: {
      creating: counts.creating,
      starting: counts.starting,
      online: counts.online,
      outdated: counts.outdated,
    },
    oldestQueuedAt: iso(counts.oldestQueuedSinceMs),
    waitReason: waitReason ?? null,
    canary:
      canary === undefined ? null : { image: canary.image, percent: canary.percent, stopped: canary.stopped !== null },
  };
}

export function jobView(job: JobRow, waitReason: string | undefined): JobView {
  return {
    key: job.key,
    host: job.host,
    id: job.jobId,
    run: job.runId,
    attempt: job.runAttempt,
    repository: `${job.owner}/${job.repository}`,
    workflow: job.workflowName,
    name: job.jobName,
    url: job.htmlUrl,
    labels: [...job.labels],
    status: job.status,
    conclusion: job.conclusion,
    admission: job.admission,
    registration: job.registration,
    lane: job.laneKey,
    reasonCode: job.reasonCode,
    reason: job.reason,
    cure: job.cure,
    waitReason: waitReason ?? null,
    held: job.hold !== null,
    runner: job.runnerName,
    launches: job.launches,
    disputed: job.disputed,
    firstSeenAt: iso(job.firstSeenAtMs),
    statusSince: iso(job.statusSinceMs),
    createdAt: iso(job.createdAtMs),
    startedAt: iso(job.startedAtMs),
    completedAt: iso(job.completedAtMs),
  };
}

/** `absent`: its registration, if that is not in force. */
export function runnerView(
  runner: RunnerRow,
  absent: Pick<AbsentRegistration, 'absence' | 'served'> | undefined,
): RunnerView {
  const failure = knownFailure(runner);
  return {
    name: runner.name,
    registration: runner.registration,
    host: runner.host,
    scope: runner.scope,
    lane: runner.laneKey,
    labels: [...runner.labels],
    state: runner.state,
    stateSince: iso(runner.stateSinceMs),
    createdAt: iso(runner.createdAtMs),
    deadlineAt: iso(runner.deadlineAtMs),
    backend: runner.backend,
    instance: runner.instanceId,
    instanceState: runner.instanceState,
    githubRunner: runner.githubRunnerId,
    job: runner.jobKey,
    launchedFor: runner.forJobKey,
    candidate: runner.candidate,
    onlineAt: iso(runner.onlineAtMs),
    busyAt: iso(runner.busyAtMs),
    finishedAt: iso(runner.finishedAtMs),
    drainReason: runner.drainReason,
    forced: runner.forced,
    failure: failure === null ? null : failureView(failure),
    absent:
      absent === undefined || runner.state === 'gone'
        ? null
        : { absence: absent.absence, ...absenceWords(absent.absence, absent.served) },
  };
}

export function timelineView(entry: TimelineEntry): TimelineView {
  return {
    at: new Date(entry.atMs).toISOString(),
    state: entry.state,
    reason: entry.reason,
    details: entry.details,
    failure: entry.failure === null ? null : failureView(entry.failure),
  };
}

export function explanation(
  admission: Admission,
  { granted, observes = false }: { readonly granted?: GrantedBy | undefined; readonly observes?: boolean } = {},
): Explanation {
  switch (admission.outcome) {
    case 'lane': {
      const { lane } = admission;
      return {
        outcome: 'lane',
        registration: lane.registration,
        lane: lane.key,
        scope: scopePath(lane.scope),
        runnerGroup: lane.runnerGroup,
        backends: [...lane.backends],
        wish: { ...lane.wish },
        observes,
        shape: shapeInWords(lane.wish),
        granted: granted === undefined ? null : { tenant: granted.tenant, lines: [...granted.lines] },
      };
    }
    case 'refused': {
      const { outcome, registration, code, reason, cure, field = null, place = null } = admission;
      return { outcome, registration, code, reason, cure, field, place };
    }
    case 'not-ours':
      return { outcome: 'not-ours', reason: admission.reason };
  }
}

function claimText(claim: Claim): string {
  switch (claim.kind) {
    case 'enterprise':
      return `enterprise ${claim.enterprise}`;
    case 'organization':
      return `organization ${claim.organization}`;
    case 'user':
      return `user ${claim.user}`;
    case 'repositories':
      return `repositories ${claim.repositories.map(({ owner, repository }) => `${owner}/${repository}`).join(', ')}`;
  }
}

export function iso(atMs: number | null): string | null {
  return atMs === null ? null : new Date(atMs).toISOString();
}

export function tokenView(token: TokenRow, nowMs: number): TokenView {
  const { id, name, role, tenants, createdBy, createdAtMs, expiresAtMs, revokedAtMs, revokedBy } = token;
  const isExpired = expiresAtMs !== null && expiresAtMs <= nowMs;
  return {
    id,
    name,
    role,
    tenants: tenants === null ? null : [...tenants],
    state: revokedAtMs !== null ? 'revoked' : isExpired ? 'expired' : 'in-force',
    createdAt: new Date(createdAtMs).toISOString(),
    createdBy,
    expiresAt: iso(expiresAtMs),
    revokedAt: iso(revokedAtMs),
    revokedBy,
  };
}

export function auditView(row: AuditRow): AuditEntryView {
  const { id, atMs, actorId, actorName, action, subject, tenant, status, outcome } = row;
  const actor = { id: actorId, name: actorName };
  return { id, at: new Date(atMs).toISOString(), actor, action, subject, tenant, status, outcome };
}

/** `isTenant`: a tenant is told that the platform has paused, and not who of it. */
export function launchHoldView(hold: LaunchHold, isTenant: boolean): RegistrationView['launchesHeld'][number] {
  const { byPlatform, cause, reason, sinceMs, untilMs } = hold;
  const by = byPlatform && isTenant ? 'the platform' : hold.by;
  return { cause, by, reason, since: iso(sinceMs), until: iso(untilMs) };
}

export function pauseView({ registration, by, byPlatform, own, ...pause }: Pause): PauseView {
  const told = ({ reason, sinceMs }: Pick<Pause, 'reason' | 'sinceMs'>) => ({
    since: new Date(sinceMs).toISOString(),
    reason,
  });
  return {
    ...{ registration, by, byPlatform, ...told(pause) },
    own: own === undefined ? null : { by: own.by, ...told(own) },
  };
}
