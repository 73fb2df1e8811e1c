/**
 * Runners of one workflow run at a time: of a registration, and of a tenant over all its registrations. The stricter of
 * both decides. A runner counts for the run of the job that it runs, else of the one that it was launched for: GitHub
 * gives it to any job with its labels.
 */
import { SECOND } from '../../time/units.ts';
import type { LaneSpec } from '../jobs/lane.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { lineOf } from '../model/registration.ts';
import type { EngineOptions } from './ports.ts';

export interface RunLimitsOptions extends Pick<EngineOptions, 'clock' | 'tenants'> {
  readonly ledger: Pick<Ledger, 'laneRuns' | 'liveCountsByRun'>;
}

/** When a lane whose jobs wait for it is looked at again: a place may become free in another lane of the run. */
export const RUN_PAUSE_MS = 5 * SECOND;
/** For reasons that are shown, counts may be as old as this. */
const SHOWN_MS = SECOND;

/** By registration, then run. */
type Counts = ReadonlyMap<string, Map<number, number>>;

export class RunLimits {
  readonly #options: RunLimitsOptions;
  #shown: { readonly rooms: RunRooms; readonly atMs: number } | undefined;

  constructor(options: RunLimitsOptions) {
    this.#options = options;
  }

  /** Of one pass: what is planned in it is to be recorded there. */
  rooms(): RunRooms {
    return new RunRooms(this.#options);
  }

  /** Why a run may have no further runner now. */
  async reason(registration: string, runId: number): Promise<string | undefined> {
    const now = this.#options.clock.now();
    if (this.#shown === undefined || Math.abs(now - this.#shown.atMs) >= SHOWN_MS) {
      this.#shown = { rooms: this.rooms(), atMs: now };
    }
    const { rooms } = this.#shown;
    await rooms.load(registration);
    return rooms.whyFull(registration, runId);
  }
}

export class RunRooms {
  readonly #options: Pick<RunLimitsOptions, 'ledger' | 'tenants'>;
  /** By tenant. */
  readonly #counts = new Map<string, Promise<Counts>>();
  readonly #loaded = new Map<string, Counts>();
  /** By lane, then run: how many of its jobs have no runner that was launched for the run. */
  readonly #missing = new Map<string, Map<number, number>>();

  constructor(options: Pick<RunLimitsOptions, 'ledger' | 'tenants'>) {
    this.#options = options;
  }

  /** Before anything else is asked of this lane. */
  async loadLane({ key, registration, specHash }: Pick<LaneSpec, 'key' | 'registration' | 'specHash'>): Promise<void> {
    await this.load(registration);
    if (this.#missing.has(key) || !this.#isLimited(registration)) return;
    const runs = await this.#options.ledger.laneRuns(key, specHash);
    this.#missing.set(key, new Map(runs.map(({ runId, demand, supply }) => [runId, demand - supply])));
  }

  /** Before anything else is asked of this registration alone. */
  async load(name: string): Promise<void> {
    const registration = this.#options.tenants.get(name)?.registration;
    if (registration === undefined || !this.#isLimited(name)) return;
    const line = lineOf(registration);
    const counts = this.#counts.get(line) ?? this.#read(line);
    this.#counts.set(line, counts);
    this.#loaded.set(line, await counts);
  }

  /** Of the lane's runs those that may have no further runner, or need none; none where there is no limit. */
  besides({ key, registration }: Pick<LaneSpec, 'key' | 'registration'>): readonly number[] {
    const missing = this.#missing.get(key) ?? new Map<number, number>();
    return [...missing].flatMap(([runId, count]) =>
      count <= 0 || this.whyFull(registration, runId) !== undefined ? [runId] : [],
    );
  }

  /** Of the lane's runs one that needs a runner and may have none: why. */
  whyLaneFull({ key, registration }: Pick<LaneSpec, 'key' | 'registration'>): string | undefined {
    for (const [runId, count] of this.#missing.get(key) ?? []) {
      const why = count > 0 ? this.whyFull(registration, runId) : undefined;
      if (why !== undefined) return why;
    }
    return undefined;
  }

  /** Whether a runner may be launched for a job of this run now. */
  mayLaunch({ key, registration }: Pick<LaneSpec, 'key' | 'registration'>, runId: number): boolean {
    const missing = this.#missing.get(key)?.get(runId);
    return (missing === undefined || missing > 0) && this.whyFull(registration, runId) === undefined;
  }

  /** In words. Undefined: the run may have a further runner. */
  whyFull(name: string, runId: number): string | undefined {
    const registration = this.#options.tenants.get(name)?.registration;
    const counts = registration === undefined ? undefined : this.#loaded.get(lineOf(registration));
    if (registration === undefined || counts === undefined) return undefined;
    const own = registration.maxRunnersPerRun;
    if (own !== undefined && (counts.get(name)?.get(runId) ?? 0) >= own) {
      return `its workflow run has ${inWords(own)}, as many as the registration gives to one (${registration.organization?.decided['maxRunnersPerRun'] ?? '`maxRunnersPerRun`'})`;
    }
    const most = registration.grant?.limits.maxRunnersPerRun;
    if (most === undefined) return undefined;
    const all = [...counts.values()].reduce((sum, byRun) => sum + (byRun.get(runId) ?? 0), 0);
    const place = registration.grant?.places['limits.maxRunnersPerRun'] ?? 'dispatcher.yaml';
    return all >= most
      ? `its workflow run has ${inWords(most)}, as many as the tenant may give to one (${place})`
      : undefined;
  }

  /** A runner is planned for a job of this run. */
  record({ key, registration: name }: Pick<LaneSpec, 'key' | 'registration'>, runId: number): void {
    const missing = this.#missing.get(key);
    missing?.set(runId, (missing.get(runId) ?? 0) - 1);
    const registration = this.#options.tenants.get(name)?.registration;
    const byRun = registration === undefined ? undefined : this.#loaded.get(lineOf(registration))?.get(name);
    byRun?.set(runId, (byRun.get(runId) ?? 0) + 1);
  }

  /** Of so many runners that the lane needs, how many its runs may have now; they are recorded as planned. */
  async take(lane: Pick<LaneSpec, 'key' | 'registration' | 'specHash'>, most: number): Promise<number> {
    if (!this.#isLimited(lane.registration)) return most;
    await this.loadLane(lane);
    let taken = 0;
    for (const runId of [...(this.#missing.get(lane.key)?.keys() ?? [])]) {
      for (; taken < most && this.mayLaunch(lane, runId); taken += 1) this.record(lane, runId);
    }
    return taken;
  }

  #isLimited(name: string): boolean {
    const registration = this.#options.tenants.get(name)?.registration;
    return registration?.maxRunnersPerRun !== undefined || registration?.grant?.limits.maxRunnersPerRun !== undefined;
  }

  async #read(line: string): Promise<Counts> {
    const { ledger, tenants } = this.#options;
    const names = [...tenants].flatMap(([name, { registration }]) => (lineOf(registration) === line ? [name] : []));
    const counts = new Map(names.map((name) => [name, new Map<number, number>()]));
    for (const { registration, runId, count } of await ledger.liveCountsByRun(names)) {
      counts.get(registration)?.set(runId, count);
    }
    return counts;
  }
}

function inWords(most: number): string {
  return `${most} ${most === 1 ? 'runner' : 'runners'}`;
}
