/** Why each waiting job and lane waits, derived from the engine's current state and the ledger. */
import type { Clock } from '../../time/clock.ts';
import { timeOfDay } from '../../time/time-of-day.ts';
import { type Failure, failureWords, isOfTheAccount } from '../failures/failure.ts';
import type { LaneSpec } from '../jobs/lane.ts';
import {
  type JobRow,
  type LaneCounts,
  type Ledger,
  type RunnerRow,
  type TimelineEntry,
  UnreadableRowError,
} from '../ledger/ledger.ts';
import type { Board } from './board.ts';
import { ruleFor } from './breaker-rules.ts';
import { expectedEndMs } from './drain-plan.ts';
import { failedStart, mayHaveFailed } from './failed-start.ts';
import { heldReason, supplyReason } from './job-reason.ts';
import type { Permits } from './permits.ts';
import { closedWords, NEXT, waitReason } from './wait-reason.ts';

export interface ReasonSources {
  readonly clock: Pick<Clock, 'now'>;
  readonly ledger: Pick<Ledger, 'jobs' | 'laneCounts' | 'output' | 'runners' | 'timeline'>;
  readonly board: Board;
  readonly permits: Permits;
  /** What a lane waits for of its own, such as the pause after many launches. */
  readonly blockedBy: (laneKey: string) => string | undefined;
  /** Why the workflow run may have no further runner now. */
  readonly runFull: (registration: string, runId: number) => Promise<string | undefined>;
  /** Why the job could not be settled, while it rests for that. */
  readonly notSettled: (jobKey: string) => string | undefined;
  /** Why the lane is not planned, while its row cannot be read. */
  readonly laneNotPlanned: (laneKey: string) => string | undefined;
  /** Whether the backend is the platform's, for this registration, or is not configured any more. */
  readonly isShared: (registration: string, backend: string) => boolean;
  /** While nothing can be recorded, that is the only reason. */
  readonly ledgerClosed: () => string | undefined;
}

/** Runners looked at for one reason. */
const MAX_RUNNERS = 100;
/** Of those, looked at for how they ended. */
const MAX_TIMELINES = 10;
/** The reasons of the others are told. */
const COUNTED = 'it is being counted: its runner follows';
const leaveOut = (): void => {};

export class Reasons {
  readonly #sources: ReasonSources;

  constructor(sources: ReasonSources) {
    this.#sources = sources;
  }

  async lane(laneKey: string): Promise<string | undefined> {
    const counts = await this.#counts(laneKey);
    if (counts === undefined) return this.#sources.laneNotPlanned(laneKey);
    const closed = this.#sources.ledgerClosed();
    if (closed !== undefined) return counts.demand + counts.held > 0 ? closed : undefined;
    const reasons = [await this.#demand(counts)];
    if (counts.held > 0) {
      const queued = await this.#sources.ledger.jobs({ laneKey, status: 'queued', limit: 1000 }, leaveOut);
      const held = queued.filter(({ hold }) => hold !== null).at(-1);
      const words = held === undefined ? undefined : await this.#held(held, counts.lane.runnerGroup);
      reasons.push(`${counts.held} ${counts.held === 1 ? 'job is' : 'jobs are'} held: ${words ?? 'see the jobs'}`);
    }
    return reasons.filter((reason) => reason !== undefined).join('; ') || undefined;
  }

  async job(job: JobRow): Promise<string | undefined> {
    if (job.status === 'in_progress' || job.status === 'completed') return undefined;
    const closed = this.#sources.ledgerClosed();
    if (closed !== undefined) return closed;
    const notSettled = this.#sources.notSettled(job.key);
    if (notSettled !== undefined) return notSettled;
    if (job.admission === 'pending') return 'it is about to be admitted or refused';
    if (job.admission !== 'lane' || job.laneKey === null) return job.reason ?? undefined;
    if (job.status !== 'queued' && !job.disputed) {
      return `GitHub calls it ${job.status}: it waits for an approval, a rule of its environment or a concurrency group, and asks for no runner`;
    }
    const notPlanned = this.#sources.laneNotPlanned(job.laneKey);
    if (notPlanned !== undefined) return notPlanned;
    const counts = await this.#counts(job.laneKey);
    if (job.hold !== null) return await this.#held(job, counts?.lane.runnerGroup ?? '');
    if (job.disputed) return "GitHub's answers about it contradict each other: it is read again";
    if (counts === undefined) return COUNTED;
    const full = job.planned === 0 ? await this.#sources.runFull(counts.lane.registration, job.runId) : undefined;
    return (await this.#demand(counts, full)) ?? COUNTED;
  }

  async #counts(laneKey: string): Promise<LaneCounts | undefined> {
    const known = this.#sources.board.counts(laneKey);
    return known ?? (await this.#sources.ledger.laneCounts([laneKey], () => {}))[0];
  }

  /** `runFull`: of the run of the job that is asked about. */
  async #demand(counts: LaneCounts, runFull?: string): Promise<string | undefined> {
    const { demand, lane } = counts;
    if (demand === 0) return undefined;
    const { blockedBy, board, clock, permits } = this.#sources;
    const obstacles = { ...(await permits.obstacles(lane)), own: runFull ?? blockedBy(lane.key) };
    if (board.need(lane) === 0 && runFull === undefined) {
      const runners = await this.#supply(lane);
      // A runner that GitHub is asked to register does not count as supply where it refused the ones before.
      const trying = runners.every(({ githubRunnerId, state }) => state === 'creating' && githubRunnerId === null);
      if (trying && obstacles.github !== undefined) return obstacles.github;
      const supply = supplyReason(runners, clock.now(), (failure) => this.#earlierWords(failure));
      // One that tries again what was refused: what the service said is still the last word.
      if (obstacles.closed !== undefined) return `${supply}; ${closedWords(obstacles.closed)}`;
      return `${supply}${await this.#failedBefore(counts)}`;
    }
    const reason = waitReason(obstacles, await this.#placeFreeAt(lane.registration));
    const isOfLaunches = reason === NEXT || (runFull === undefined && reason === obstacles.own);
    return isOfLaunches ? `${reason}${await this.#failedBefore(counts)}` : reason;
  }

  /**
   * How the last start failed while the jobs wait, until one went better. A closed backend says it with its own words; once it
   * is open again, nothing else would. When things happened counts, not when a runner was made: one that waited ready for
   * jobs is older than the job that it gets.
   */
  async #failedBefore({ lane, oldestQueuedSinceMs }: LaneCounts): Promise<string> {
    if (oldestQueuedSinceMs === null) return '';
    const { ledger } = this.#sources;
    const states = ['starting', 'online', 'busy', 'finishing', 'draining', 'gone'] as const;
    const runners = await ledger.runners({ laneKey: lane.key, states, limit: MAX_RUNNERS }, leaveOut);
    const failed = runners
      // Not those of another image.
      .filter((one) => one.specHash === lane.specHash && one.candidate === null && mayHaveFailed(one))
      .flatMap((runner) => (runner.failure === null ? [] : [{ runner, failure: runner.failure }]))
      .filter(({ failure }) => !isOver(failure, runners, lane.specHash))
      .sort((a, b) => b.failure.atMs - a.failure.atMs);
    for (const { runner, failure } of failed.slice(0, MAX_TIMELINES)) {
      const end = failedStart(runner, await this.#timeline(runner.name));
      if (end === undefined) continue;
      const onlineAtMs = Math.max(...runners.filter((one) => one !== runner).map(cameOnlineAtMs));
      if (end.atMs < oldestQueuedSinceMs || onlineAtMs >= end.atMs) return '';
      const [, backend = ''] = failure.source.split('/');
      return `; an earlier start failed on ${backend}: ${this.#earlierWords(failure)}`;
    }
    return '';
  }

  /** Of one that cannot be read nothing is told, as of any other row: why the job waits is told all the same. */
  async #timeline(runner: string): Promise<readonly TimelineEntry[]> {
    try {
      return await this.#sources.ledger.timeline(runner);
    } catch (error) {
      if (error instanceof UnreadableRowError) return [];
      throw error;
    }
  }

  /**
   * A runner keeps what a service said last, and that service may have said something else since. A tenant is told the present
   * words of a shared account by their kind alone, and nothing would know these.
   */
  #earlierWords(failure: Failure): string {
    const [registration = '', backend] = failure.source.split('/');
    if (backend === undefined || !isOfTheAccount(failure.kind)) return failureWords(failure);
    if (!this.#sources.isShared(registration, backend)) return failureWords(failure);
    return `${failure.kind} at ${backend}: its administrators see why`;
  }

  async #supply(lane: LaneSpec): Promise<readonly RunnerRow[]> {
    const states = ['creating', 'starting', 'online', 'busy'] as const;
    const runners = await this.#sources.ledger.runners({ laneKey: lane.key, states, limit: MAX_RUNNERS }, leaveOut);
    return runners.filter(({ jobKey }) => jobKey === null);
  }

  async #placeFreeAt(registration: string): Promise<string | undefined> {
    const { clock, ledger } = this.#sources;
    const now = clock.now();
    const filter = { registrations: [registration], states: ['draining'], limit: MAX_RUNNERS } as const;
    const draining = await ledger.runners(filter, leaveOut);
    if (draining.length === 0) return undefined;
    return timeOfDay(Math.max(now, Math.min(...draining.map((runner) => expectedEndMs(runner, now)))));
  }

  async #held(job: JobRow, runnerGroup: string): Promise<string | undefined> {
    const { ledger } = this.#sources;
    const output = job.passedOverBy === null ? undefined : await ledger.output(job.passedOverBy);
    return heldReason(job, runnerGroup, output);
  }
}

function cameOnlineAtMs({ busyAtMs, onlineAtMs }: RunnerRow): number {
  return Math.max(onlineAtMs ?? 0, busyAtMs ?? 0);
}

/** Where the service only had to take a launch again, and has taken one since. */
function isOver({ atMs, kind }: Failure, runners: readonly RunnerRow[], specHash: string): boolean {
  if (ruleFor(kind)?.healedBy !== 'accepted') return false;
  return runners.some(
    (one) => one.specHash === specHash && one.candidate === null && one.instanceId !== null && one.createdAtMs >= atMs,
  );
}
