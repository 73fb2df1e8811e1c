/** The running heart: turns facts in the ledger into runners, and takes runners down. Holds no truth of its own. */
import { ulid } from '../clock.ts';
import { defectFailure, placedWords } from '../failure.ts';
import { scopePath } from '../github/scope.ts';
import type { JobRow, RunnerRow } from '../ledger/ledger.ts';
import { newRunner } from '../ledger/new-runner.ts';
import { QUEUE_LIMIT_MS } from '../ledger/queue-age.ts';
import { MINUTE, SECOND } from '../time-units.ts';
import { backendHashes } from './backend-hashes.ts';
import { type BackendStatus, Backends, type Closure } from './backends.ts';
import { Board } from './board.ts';
import { Doubts } from './doubts.ts';
import { drainRunner } from './drain.ts';
import { createFloor } from './floor.ts';
import { Ghosts } from './ghosts.ts';
import { GithubView } from './github-view.ts';
import { Holds } from './holds.ts';
import { InstanceView } from './instance-view.ts';
import { type Launch, LONGEST_LIFE_MS, launchRunner } from './launch.ts';
import { LaunchPlaces } from './launch-places.ts';
import { closureWords, type LedgerClosure, LedgerGate } from './ledger-gate.ts';
import { CREATING_MS } from './machine.ts';
import { observeRunner } from './observe.ts';
import { type OtherDispatcher, OtherDispatchers } from './other-dispatchers.ts';
import { type Permit, Permits } from './permits.ts';
import type { EngineOptions, Tenant } from './ports.ts';
import { Reasons } from './reasons.ts';
import { Refusals } from './refusals.ts';
import { turnOf } from './replacement.ts';
import { settleJobs } from './settle.ts';
import { claimScopes, sweepGithub, sweepInstances } from './sweep.ts';
import { SweepSchedule } from './sweep-schedule.ts';
import { type SweepTrouble, SweepTroubles } from './sweep-troubles.ts';
import { Verifier } from './verify.ts';
import { VisitPlaces } from './visit-places.ts';

export type { EngineOptions, LifecycleMetrics, Log, Tenant } from './ports.ts';

export interface Engine {
  /** Recovers what an earlier incarnation left, then works until `stop`. */
  start(): Promise<void>;
  /** Something was written to the ledger: look. Cheap, may be called for every event. */
  wake(): void;
  /** Starts nothing new, lets launches in flight finish for at most `withinMs`, and leaves the rest to the next start. */
  stop(withinMs: number): Promise<void>;
  /** What the lane's waiting jobs wait for, in words; undefined when none waits. */
  laneReason(laneKey: string): Promise<string | undefined>;
  /** What the job waits for, in words; undefined when it does not wait. */
  jobReason(job: JobRow): Promise<string | undefined>;
  /** An operator gives the runner up. Answers it as it is then, or undefined when there is no such runner. */
  forget(runner: string): Promise<RunnerRow | undefined>;
  /** Each backend of each registration: whether it is tried, and why not. */
  backends(): readonly BackendStatus[];
  /**
   * An operator says that what kept a registration's backends, or one of them, closed is mended: they are tried now.
   * Answers what was closed; undefined where there is no such backend.
   */
  resetBackends(registration: string, backend: string | undefined): Promise<readonly Closure[] | undefined>;
  /** Registrations whose instances have not all been listed since the start, with what failed. */
  unlisted(): ReadonlyMap<string, readonly string[]>;
  /** What the registration's last sweep failed at, on its backends and at GitHub. */
  sweepTroubles(registration: string): readonly SweepTrouble[];
  /** Why nothing can be written down now; undefined while all is well. */
  ledgerClosed(): LedgerClosure | undefined;
  /** Others who launch under our id: nothing is launched where they were seen. */
  otherDispatchers(): readonly OtherDispatcher[];
}

/** Runners looked at side by side. */
const VISITS_AT_ONCE = 512;
/** Of them started in a pass. */
const VISITS_A_PASS = 64;
const SURPLUS_MS = MINUTE;
/** A job that still waits is read by id this often, so that a lost cancellation costs no runner for long. */
const RECHECK_MS = 10 * MINUTE;
const CHORES_MS = MINUTE;
const ERROR_PAUSE_MS = SECOND;
const MOST_DISPUTES = 50;
/** Held jobs looked at in a pass. */
const MOST_HELD = 200;
/** A chore's round; a registration reads fewer. */
const MOST_UNCONFIRMED = 100;
/** A minute: the GETs must leave most of GitHub's budget to the launches. */
const MOST_RECHECKS = 100;
const REASON_CHANGED = 'the image, shape or backends of its lane changed';

export function createEngine(options: EngineOptions): Engine {
  const { ledger, clock, random, log, tenants, incarnation, dispatcherId } = options;
  let state: 'new' | 'working' | 'stopped' = 'new';
  let cycling = false;
  let again = false;
  let cancelAlarm = () => {};
  let alarmAtMs = Number.POSITIVE_INFINITY;
  const idleWaiters: (() => void)[] = [];

  const board = new Board(ledger);
  const registrations = new Map<string, ReadonlyMap<string, string>>();
  for (const [name, { registration }] of tenants) registrations.set(name, backendHashes(registration));
  const others = new OtherDispatchers(ledger, incarnation, clock, log);
  const backends = new Backends({ ledger, clock, log, maxLaunches: options.maxLaunches, registrations, others });
  const ghosts = new Ghosts(backends);
  const holds = new Holds(clock);
  const launchPlaces = new LaunchPlaces(tenants, options.maxLaunches, () => clock.now());
  const permits = new Permits(options, launchPlaces, board, backends, holds);
  const gate = new LedgerGate({ ledger, clock, log });
  const working = () => state === 'working' && !gate.isClosed;
  const floor = createFloor(options, {
    working,
    laneChanged,
    unnamed,
    doubted,
    wake,
    ledgerFailed: (error) => gate.closedBy(error),
  });
  const view = new GithubView(floor);
  const instances = new InstanceView(dispatcherId, () => clock.now());
  const verifier = new Verifier(floor);
  const refusals = new Refusals(floor, board, backends);
  const doubts = new Doubts(floor);

  const launches = new Map<string, Promise<void>>();
  const visits = new Map<string, Promise<void>>();
  const visitPlaces = new VisitPlaces(tenants);
  const sweeping = new Map<string, Promise<void>>();
  const sweeps = new SweepSchedule(tenants.keys(), clock, random);
  const troubles = new SweepTroubles(clock, log);
  /** Lanes whose next launch waits for something of their own, and when to look again. */
  const blocked = new Map<string, { readonly reason: string; readonly untilMs: number }>();
  const reasons = new Reasons({
    floor,
    board,
    permits,
    blockedBy: (laneKey) => blocked.get(laneKey)?.reason,
    ledgerClosed: () => (gate.reason === undefined ? undefined : closureWords(gate.reason)),
  });
  let choresDueAtMs = 0;
  /** When the next held job may try, or is looked for again. */
  let heldDueAtMs: number | null = null;

  function laneChanged(laneKey: string): void {
    board.mark(laneKey);
    blocked.delete(laneKey);
  }

  function unnamed(runner: RunnerRow, is: boolean): void {
    if (!is) {
      board.unsuppose(runner.name);
      return;
    }
    board.suppose(runner.name, runner.laneKey, clock.now());
    if (runner.forJobKey !== null) verifier.ask(runner.forJobKey, runner.registration);
  }

  function doubted(runner: RunnerRow, jobKeys: readonly string[]): void {
    doubts.ask(runner, jobKeys);
  }

  function wake(): void {
    if (state !== 'working') return;
    if (cycling) {
      again = true;
      return;
    }
    cycling = true;
    cycle().then(
      () => {
        floor.states.well('cycle-failed', {});
        finishCycle(null);
      },
      (error: unknown) => {
        if (!gate.closedBy(error))
          floor.states.failed('cycle-failed', {}, defectFailure(error, clock.now()), { error });
        finishCycle(ERROR_PAUSE_MS);
      },
    );
  }

  function finishCycle(pauseMs: number | null): void {
    cycling = false;
    const repeat = again && state === 'working';
    again = false;
    if (repeat && pauseMs === null) {
      wake();
      return;
    }
    if (pauseMs !== null && state === 'working') wakeAt(gate.retryAtMs ?? clock.now() + pauseMs);
    for (const waiter of idleWaiters.splice(0)) waiter();
  }

  function wakeAt(atMs: number): void {
    if (atMs >= alarmAtMs) return;
    cancelAlarm();
    alarmAtMs = atMs;
    cancelAlarm = clock.after(Math.max(0, atMs - clock.now()), () => {
      alarmAtMs = Number.POSITIVE_INFINITY;
      wake();
    });
  }

  /** One pass: facts become admissions and runner events, lanes become launches, due runners are visited. */
  async function cycle(): Promise<void> {
    if (!(await gate.passes())) {
      wakeAt(gate.retryAtMs ?? clock.now() + ERROR_PAUSE_MS);
      return;
    }
    await refusals.look();
    await settleJobs({ floor, backends, verifier, doubts, ghosts });
    await tryHeld();
    await board.refresh(clock.now());
    await launchNeeded();
    await drainSurplus();
    await visitDue();
    sweepDue();
    await doChores();
    await setAlarm();
  }

  /** Held jobs whose time has come: one of each run asks for a runner again, or GitHub is asked for them again. */
  async function tryHeld(): Promise<void> {
    heldDueAtMs = await ledger.nextProbeAt();
    const now = clock.now();
    if (heldDueAtMs === null || heldDueAtMs > now) return;
    for (const laneKey of await ledger.probeHeld(now, 'due', MOST_HELD)) board.mark(laneKey);
    for (const key of await ledger.unseenJobs(now, MOST_HELD)) verifier.ask(key);
    heldDueAtMs = await ledger.nextProbeAt();
  }

  async function launchNeeded(): Promise<void> {
    for (const name of board.registrationsInNeed()) sweeps.isActive(name);
    while (working()) {
      const now = clock.now();
      for (const [laneKey, { untilMs }] of blocked) if (untilMs <= now) blocked.delete(laneKey);
      const granted = await floor.counting.hold(async () => {
        const grants = await permits.grant(new Set(blocked.keys()));
        for (const permit of grants) if (working()) await use(permit);
        return grants.length;
      });
      if (granted === 0) return;
      await board.refresh(clock.now());
    }
  }

  /** Every permit ends in a runner, in a blocked lane, or in a lane that is planned anew: so the loop above ends. */
  async function use({ lane, backends: chosen }: Permit): Promise<void> {
    const tenant = tenants.get(lane.registration);
    if (tenant === undefined || blocked.has(lane.key)) return;
    const now = clock.now();
    const [job] = await ledger.waitingJobs(lane.key, 1);
    if (job === undefined) {
      blocked.set(lane.key, { reason: 'its jobs are being counted again', untilMs: now + SECOND });
      board.mark(lane.key);
      return;
    }
    const turn = turnOf(job, now);
    if (turn.kind === 'verify') {
      verifier.ask(job.key, lane.registration, 'launch');
      blocked.set(lane.key, { reason: 'GitHub is asked whether its oldest job still waits', untilMs: now + SECOND });
      return;
    }
    if (turn.kind === 'wait') {
      blocked.set(lane.key, { reason: turn.reason, untilMs: turn.untilMs });
      return;
    }
    const name = `${dispatcherId}-${ulid(now, random)}`;
    const claimed = backends.claim(lane, chosen, name);
    const places = await permits.withPlace(lane.registration, claimed, chosen[0]);
    const [backend] = places;
    if (backend === undefined) {
      backends.released(name);
      const reason = 'another launch tries its backends again, and the others have no place';
      blocked.set(lane.key, { reason, untilMs: now + SECOND });
      return;
    }
    await ledger.createRunner(
      planned({ name, permit: { lane, backends: places }, now, incarnation, forJobKey: job.key }),
      `planned for ${job.owner}/${job.repository} job ${job.jobId} on ${backend}`,
    );
    board.mark(lane.key);
    launchPlaces.taken(name, lane.registration);
    launches.set(name, launch(tenant, { runner: name, createdAtMs: now, lane, backends: places }));
  }

  /** Never rejects. */
  async function launch(tenant: Tenant, plan: Launch): Promise<void> {
    try {
      await launchRunner(floor, tenant, backends, holds, plan);
    } catch (error) {
      if (!gate.closedBy(error)) {
        log.error('launch-broken', { runner: plan.runner, error });
        await abandonBroken(plan.runner, error);
      }
    } finally {
      launches.delete(plan.runner);
      launchPlaces.left(plan.runner);
      await releaseUnstarted(plan.runner);
      laneChanged(plan.lane.key);
      wake();
    }
  }

  /** Nothing is known of what it left behind. Where not even that can be written down, its deadline takes it up. */
  async function abandonBroken(name: string, cause: unknown): Promise<void> {
    try {
      await floor.tell(name, { kind: 'launch-abandoned', failure: defectFailure(cause, clock.now()) });
    } catch (error) {
      if (!gate.closedBy(error)) log.error('launch-not-recorded', { runner: name, error });
    }
  }

  /** A runner whose container starts goes on trying the image; any other has told what it had to tell. */
  async function releaseUnstarted(name: string): Promise<void> {
    const runner = await ledger.runner(name).catch(() => undefined);
    if (runner?.state !== 'starting') backends.released(name);
  }

  async function drainSurplus(): Promise<void> {
    const now = clock.now();
    for (const { laneKey, count } of [...board.surplusSince(now - SURPLUS_MS)]) {
      for (const runner of await ledger.surplusRunners(laneKey, count)) {
        await floor.tell(runner.name, { kind: 'drain', reason: 'no job needs it any more' });
        backends.released(runner.name);
      }
    }
    for (const laneKey of [...board.outdatedLanes()]) {
      const spec = board.counts(laneKey)?.lane.specHash;
      const runners = await ledger.runners({ laneKey, states: ['starting', 'online'], limit: 100 });
      for (const runner of runners) {
        if (runner.specHash !== spec && runner.specHash !== 'adopted' && runner.jobKey === null) {
          await floor.tell(runner.name, { kind: 'drain', reason: REASON_CHANGED });
          backends.released(runner.name);
        }
      }
    }
  }

  async function visitDue(): Promise<void> {
    if (visits.size >= VISITS_AT_ONCE) return;
    // Those that are being looked at stay due.
    const limit = VISITS_A_PASS + visits.size;
    const due = await ledger.runnersDue(clock.now(), limit, visitPlaces.full());
    // Where those of one tenant or backend filled its places, the others are further back.
    if (startVisits(due) && due.length === limit) wake();
  }

  /** Answers whether any was started. */
  function startVisits(due: readonly RunnerRow[]): boolean {
    let started = false;
    for (const runner of due) {
      if (visits.size >= VISITS_AT_ONCE || !working()) break;
      if (visits.has(runner.name) || !visitPlaces.hasRoom(runner)) continue;
      visitPlaces.taken(runner);
      visits.set(runner.name, visit(runner));
      started = true;
    }
    return started;
  }

  /** Never rejects. */
  async function visit(runner: RunnerRow): Promise<void> {
    try {
      if (runner.state === 'draining') await drainRunner(floor, view, verifier, runner);
      else await observeRunner({ floor, view, verifier, backends, ghosts }, runner);
      floor.states.well('visit-failed', { runner: runner.name });
    } catch (error) {
      if (!gate.closedBy(error)) {
        const failure = defectFailure(error, clock.now());
        floor.states.failed('visit-failed', { runner: runner.name }, failure, { state: runner.state, error });
        await postponeBroken(runner.name, error);
      }
    } finally {
      visits.delete(runner.name);
      visitPlaces.left(runner);
      wake();
    }
  }

  async function postponeBroken(name: string, cause: unknown): Promise<void> {
    try {
      await floor.tell(name, { kind: 'step-failed', failure: defectFailure(cause, clock.now()) });
    } catch (error) {
      if (!gate.closedBy(error)) log.error('visit-not-recorded', { runner: name, error });
    }
  }

  function sweepDue(): void {
    for (const name of sweeps.take()) sweeping.set(name, sweep(name));
  }

  /** Never rejects. */
  async function sweep(name: string): Promise<void> {
    const tenant = tenants.get(name);
    let failures: readonly string[] = ['the sweep broke: see the log'];
    try {
      if (tenant !== undefined) {
        const scopes = new Set([...board.scopes(name), ...claimScopes(tenant)]);
        const listed = await sweepInstances(floor, tenant, backends, instances, others);
        failures = listed.failures.map(({ failure }) => placedWords(failure));
        troubles.record(name, 'backend', listed.failures);
        if (sweeps.withGithub(name) && working()) {
          troubles.record(name, 'scope', (await sweepGithub(floor, tenant, view, scopes)).failures);
        }
      }
      floor.states.well('sweep-broken', { registration: name });
    } catch (error) {
      if (!gate.closedBy(error)) {
        floor.states.failed('sweep-broken', { registration: name }, defectFailure(error, clock.now()), { error });
      }
    } finally {
      sweeping.delete(name);
      sweeps.done(name, failures);
      wake();
    }
  }

  async function doChores(): Promise<void> {
    const now = clock.now();
    if (now < choresDueAtMs) return;
    choresDueAtMs = now + CHORES_MS;
    await ledger.verifyStorage();
    await backends.keepMemory();
    // Most are read when the doubt arises; these are what is left of reads that failed.
    for (const job of await ledger.disputedJobs(MOST_DISPUTES)) verifier.ask(job.key, job.registration);
    for (const job of await ledger.unconfirmedJobs(MOST_UNCONFIRMED)) doubts.confirm(job);
    for (const laneKey of await ledger.expireJobs(now - QUEUE_LIMIT_MS, 1000)) board.mark(laneKey);
    for (const key of await ledger.staleJobs(now - RECHECK_MS, MOST_RECHECKS)) verifier.ask(key);
    await ledger.deleteEmptyLanes();
    for (const name of board.registrationsInUse()) sweeps.isActive(name);
    holds.tidy();
  }

  async function setAlarm(): Promise<void> {
    const surplusMs = board.firstSurplusMs();
    const candidates: (number | null | undefined)[] = [
      visits.size >= VISITS_AT_ONCE ? null : await nextVisitAt(),
      holds.nextReleaseMs(),
      board.nextDoubtMs(),
      backends.nextOpeningMs(),
      launchPlaces.nextFreeMs(),
      surplusMs === undefined ? undefined : Math.max(surplusMs + SURPLUS_MS, clock.now() + SECOND),
      choresDueAtMs,
      heldDueAtMs === null ? undefined : Math.max(heldDueAtMs, clock.now() + SECOND),
      ...[...blocked.values()].map(({ untilMs }) => untilMs),
      sweeps.nextMs,
    ];
    const times = candidates.filter((time): time is number => typeof time === 'number');
    if (times.length > 0) wakeAt(Math.min(...times));
  }

  /** Runners under visit are overdue by nature; the end of their visit wakes the engine. */
  async function nextVisitAt(): Promise<number | null> {
    const next = await ledger.nextCheckAt();
    return next !== null && next <= clock.now() && visits.size > 0 ? clock.now() + SECOND : next;
  }

  async function settled(): Promise<void> {
    while (launches.size > 0 || visits.size > 0 || sweeping.size > 0 || cycling) {
      const pending: Promise<unknown>[] = [...launches.values(), ...visits.values(), ...sweeping.values()];
      if (cycling) pending.push(new Promise<void>((resolve) => idleWaiters.push(resolve)));
      await Promise.all(pending);
    }
    await verifier.settled();
    await doubts.settled();
  }

  return {
    async start() {
      if (state !== 'new') throw new Error('an engine starts once');
      const fromTheFuture = await ledger.cutToNow();
      if (fromTheFuture > 0) {
        log.warn('clock-was-ahead', {
          rows: fromTheFuture,
          reason: 'the ledger was written while the clock was ahead',
        });
      }
      await others.load();
      await backends.load();
      await ledger.unsettleOpenJobs(clock.now() - QUEUE_LIMIT_MS);
      // A start is when registrations change, and with them what GitHub may give to whom.
      await ledger.probeHeld(clock.now(), 'all', MOST_HELD);
      for (const laneKey of await ledger.lanesInUse()) board.mark(laneKey);
      for (const runner of await ledger.runners({ states: ['creating'], limit: 1000 })) {
        if (runner.incarnation === incarnation) continue;
        await ledger.stepRunner(runner.name, () => ({ patch: { nextCheckAtMs: clock.now() }, entries: [] }));
      }
      state = 'working';
      wake();
    },
    wake,
    async stop(withinMs) {
      if (state === 'stopped') return;
      state = 'stopped';
      cancelAlarm();
      let cancelTimeout = () => {};
      const timeout = new Promise<'timeout'>((resolve) => {
        cancelTimeout = clock.after(withinMs, () => resolve('timeout'));
      });
      const outcome = await Promise.race([settled().then(() => 'settled' as const), timeout]);
      cancelTimeout();
      if (outcome === 'timeout') {
        log.warn('stop-unfinished', {
          launches: launches.size,
          visits: visits.size,
          reason: 'the next start takes them up',
        });
      }
    },
    laneReason: (laneKey) => reasons.lane(laneKey),
    jobReason: (job) => reasons.job(job),
    async forget(runner) {
      const after = await floor.tell(runner, { kind: 'forget' });
      backends.released(runner);
      wake();
      return after;
    },
    otherDispatchers() {
      return others.alarms();
    },
    backends: () => backends.status(),
    async resetBackends(registration, backend) {
      const closures = await backends.reset(registration, backend);
      wake();
      return closures;
    },
    unlisted() {
      return sweeps.failures;
    },
    ledgerClosed: () => gate.reason,
    sweepTroubles(registration) {
      return troubles.of(registration);
    },
  };
}

function planned(plan: {
  readonly name: string;
  readonly permit: Permit;
  readonly now: number;
  readonly incarnation: string;
  readonly forJobKey: string;
}): RunnerRow {
  const { lane, backends } = plan.permit;
  return newRunner({
    name: plan.name,
    registration: lane.registration,
    host: lane.host,
    scope: scopePath(lane.scope),
    runnerGroup: lane.runnerGroup,
    laneKey: lane.key,
    labels: lane.labels,
    specHash: lane.specHash,
    state: 'creating',
    createdAtMs: plan.now,
    deadlineAtMs: plan.now + CREATING_MS,
    nextCheckAtMs: plan.now + CREATING_MS,
    incarnation: plan.incarnation,
    backend: backends[0] ?? null,
    instanceDeadlineAtMs: plan.now + LONGEST_LIFE_MS,
    forJobKey: plan.forJobKey,
  });
}
