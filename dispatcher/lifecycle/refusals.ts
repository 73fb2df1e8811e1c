/**
 * Jobs whose image or shape every backend refuses: refused once that has lasted, and readmitted when it ends. The
 * most recent of them keeps trying: whenever a refusal is due, it is admitted again and gets one launch.
 */
import type { Clock } from '../../time/clock.ts';
import type { Admit, LaneSpec } from '../jobs/lane.ts';
import type { JobRow, Ledger } from '../ledger/ledger.ts';
import { QUEUE_LIMIT_MS, queuedSince } from '../ledger/queue-age.ts';
import type { Backends } from './backends.ts';
import type { Board } from './board.ts';
import { BACKEND_REFUSED, refusedByBackends } from './settle.ts';
import { subjectOf } from './subject.ts';

const MAX_JOBS = 1000;
/** A job that cannot be read gets no runner: neither is it refused, nor does it try what was. */
const leaveOut = (): void => {};

export interface RefusalsOptions {
  readonly clock: Pick<Clock, 'now'>;
  readonly ledger: Pick<Ledger, 'jobs' | 'settleJobs' | 'unsettleRefused'>;
  readonly admit: Admit;
  readonly board: Board;
  readonly backends: Backends;
  readonly laneChanged: (laneKey: string) => void;
}

export class Refusals {
  readonly #options: RefusalsOptions;
  readonly #board: Board;
  readonly #backends: Backends;
  /** By `specHash`: the lane of the job that tries it. */
  readonly #carriers = new Map<string, string>();

  constructor(options: RefusalsOptions) {
    this.#options = options;
    this.#board = options.board;
    this.#backends = options.backends;
  }

  /** Once a cycle. Cheap where no refusal stands. */
  async look(): Promise<void> {
    const { stood, healed } = this.#backends.takeTurned();
    for (const registration of stood) await this.#refuse(registration);
    for (const registration of healed) await this.#options.ledger.unsettleRefused(registration, BACKEND_REFUSED);
    for (const registration of this.#backends.refusalsDue()) await this.#tryAgain(registration);
  }

  /** Every lane of the registration that has nothing but such backends: several share an image. */
  async #refuse(registration: string): Promise<void> {
    const { ledger } = this.#options;
    for (const lane of [...this.#board.lanesOf(registration)]) {
      const refusals = this.#refusalOf(lane);
      if (refusals === undefined) continue;
      const queued = { laneKey: lane.key, status: 'queued', limit: MAX_JOBS } as const;
      const jobs = await ledger.jobs(queued, leaveOut);
      const admission = refusedByBackends(registration, refusals);
      await ledger.settleJobs(jobs.map(({ key, version }) => ({ key, version, admission })));
      this.#options.laneChanged(lane.key);
    }
  }

  async #tryAgain(registration: string): Promise<void> {
    const { ledger } = this.#options;
    const filter = { registrations: [registration], admission: 'refused', limit: MAX_JOBS } as const;
    const refused = await ledger.jobs(filter, leaveOut);
    const taken = new Set<string>();
    for (const job of refused) {
      const lane = this.#laneOf(job);
      if (lane === undefined || taken.has(lane.specHash) || this.#isTried(lane.specHash)) continue;
      taken.add(lane.specHash);
      this.#carriers.set(lane.specHash, lane.key);
      const admission = { state: 'lane', registration, lane, reasonCode: null, reason: null, cure: null } as const;
      await ledger.settleJobs([{ key: job.key, version: job.version, admission }]);
      this.#options.laneChanged(lane.key);
    }
  }

  /** The lane that the refused job would be in, where its refusal is due to be tried. */
  #laneOf(job: JobRow): LaneSpec | undefined {
    const givenUp = this.#options.clock.now() - queuedSince(job) >= QUEUE_LIMIT_MS;
    if (job.reasonCode !== BACKEND_REFUSED || job.status !== 'queued' || givenUp) return undefined;
    const admission = this.#options.admit(subjectOf(job));
    if (admission.outcome !== 'lane') return undefined;
    const { lane } = admission;
    const due = this.#backends.refusal(lane) !== undefined && this.#backends.usable(lane).open.length > 0;
    return due ? lane : undefined;
  }

  #isTried(specHash: string): boolean {
    const laneKey = this.#carriers.get(specHash);
    const tried = laneKey !== undefined && (this.#board.counts(laneKey)?.demand ?? 0) > 0;
    if (!tried) this.#carriers.delete(specHash);
    return tried;
  }

  #refusalOf(lane: LaneSpec): ReturnType<Backends['refusal']> {
    const refusals = this.#backends.refusal(lane);
    return refusals !== undefined && this.#backends.usable(lane).open.length === 0 ? refusals : undefined;
  }
}
