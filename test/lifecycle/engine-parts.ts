/** What the loops of an engine work with, on a ledger in memory and without the engine: a test runs one loop alone. */

import type { Github } from '../../dispatcher/github/github.ts';
import type { LaneSpec } from '../../dispatcher/jobs/lane.ts';
import type { JobRow, Ledger } from '../../dispatcher/ledger/ledger.ts';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import { Backends } from '../../dispatcher/lifecycle/backends.ts';
import { Board } from '../../dispatcher/lifecycle/board.ts';
import { Doubts } from '../../dispatcher/lifecycle/doubts.ts';
import { Holds } from '../../dispatcher/lifecycle/holds.ts';
import { HookProofs } from '../../dispatcher/lifecycle/hook-proofs.ts';
import { LaunchPlaces } from '../../dispatcher/lifecycle/launch-places.ts';
import { Permits } from '../../dispatcher/lifecycle/permits.ts';
import type { EngineOptions, Tenant } from '../../dispatcher/lifecycle/ports.ts';
import { Resting } from '../../dispatcher/lifecycle/resting.ts';
import { RunLimits } from '../../dispatcher/lifecycle/run-limit.ts';
import { RunOrigins } from '../../dispatcher/lifecycle/run-origins.ts';
import { HandOver } from '../../dispatcher/lifecycle/standby/hand-over.ts';
import { Pools } from '../../dispatcher/lifecycle/standby/pools.ts';
import { SweepSchedule } from '../../dispatcher/lifecycle/sweep-schedule.ts';
import { Verifier } from '../../dispatcher/lifecycle/verify.ts';
import { Visibilities } from '../../dispatcher/lifecycle/visibility.ts';
import type { Log } from '../../dispatcher/log.ts';
import type { Registration } from '../../dispatcher/model/registration.ts';
import type { Provider } from '../../providers/provider.ts';
import { VirtualClock } from '../github/virtual-clock.ts';
import { admitted, fact, lane } from '../ledger/examples.ts';
import { registration } from '../registration-fixture.ts';
import { Stream } from '../simulation/random.ts';
import { openRunnerContextParts, type RunnerContextParts } from './runner-context-fixture.ts';

export interface EngineParts extends RunnerContextParts {
  readonly clock: VirtualClock;
  readonly board: Board;
  readonly backends: Backends;
  readonly holds: Holds;
  readonly hookProofs: HookProofs;
  readonly places: LaunchPlaces;
  readonly permits: Permits;
  readonly verifier: Verifier;
  readonly handOver: HandOver;
  readonly pools: Pools;
  readonly runLimits: RunLimits;
  readonly doubts: Doubts;
  readonly visibilities: Visibilities;
  readonly runOrigins: RunOrigins;
  readonly resting: Resting;
  readonly restingLanes: Resting;
  readonly sweeps: SweepSchedule;
  readonly isReadmitting: () => boolean;
  /** `KEY of REGISTRATION for PURPOSE`: jobs that the verifier was asked to read. */
  readonly asked: string[];
  /** Jobs of which the doubts were asked for a confirmation. */
  readonly confirmed: string[];
  /** Lanes whose counts were said to have changed. */
  readonly changed: string[];
  /** The events of the log. */
  readonly logged: string[];
  wakes(): number;
  /** From now on the context says that the engine stops. */
  stop(): void;
  /** Queued jobs of the lane, admitted to it. */
  queue(spec: LaneSpec, ...jobIds: readonly number[]): Promise<void>;
  close(): Promise<void>;
}

export interface PartsOptions {
  readonly registrations?: readonly Registration[];
  readonly github?: Partial<Github>;
  readonly provider?: (backend: string) => Promise<Provider>;
  /** What the ledger does otherwise than the real one. */
  readonly through?: (ledger: Ledger) => Partial<Ledger>;
  readonly maxRunners?: number;
  readonly maxLaunches?: number;
  readonly options?: Partial<EngineOptions>;
  /** Whether an error is the ledger's. */
  readonly isOfLedger?: (error: unknown) => boolean;
}

const refuse = () => Promise.reject(new Error('nothing is to be asked of it'));

const absent: Github = {
  createJitRunner: refuse,
  deleteRunner: refuse,
  getRunner: refuse,
  findRunner: refuse,
  listRunners: refuse,
  readJob: refuse,
  readRun: refuse,
  seesRepository: refuse,
  readVisibility: refuse,
};

export async function openEngineParts(given: PartsOptions = {}): Promise<EngineParts> {
  const clock = new VirtualClock();
  const real = await openSqliteLedger({ path: ':memory:', now: () => clock.now() });
  const ledger: Ledger = { ...real, ...given.through?.(real) };
  const asked: string[] = [];
  const confirmed: string[] = [];
  const changed: string[] = [];
  const logged: string[] = [];
  let wakes = 0;
  let working = true;
  const line = (event: string): void => void logged.push(event);
  const log: Log = { debug: line, info: line, warn: line, error: line };
  const tenants = new Map<string, Tenant>();
  for (const one of given.registrations ?? [registration()]) {
    const provider = given.provider ?? refuse;
    tenants.set(one.name, { registration: one, github: { ...absent, ...given.github }, provider });
  }
  const { maxRunners = 100, maxLaunches = 20, isOfLedger = () => false } = given;
  const made = openRunnerContextParts(
    ledger,
    clock,
    { log, tenants, maxRunners, maxLaunches, random: new Stream(1, 'parts').next, ...given.options },
    {
      working: () => working,
      laneChanged: (laneKey) => void changed.push(laneKey),
      wake: () => {
        wakes += 1;
      },
      ledgerFailed: isOfLedger,
    },
  );
  const { context } = made;

  class RecordingVerifier extends Verifier {
    override ask(jobKey: string, of: string | null = null, purpose: 'verify' | 'launch' = 'verify'): void {
      asked.push(`${jobKey} of ${of} for ${purpose}`);
    }
  }

  class RecordingDoubts extends Doubts {
    override confirm(job: JobRow): void {
      confirmed.push(job.key);
    }
  }

  const registrations = new Map(
    [...tenants].map(([name, tenant]) => [
      name,
      new Map(tenant.registration.backends.map((backend) => [backend.name, 'hash'])),
    ]),
  );
  const others = { obstacle: () => undefined };
  const backends = new Backends({ ledger, clock, log, maxLaunches, registrations, others });
  await backends.load();
  for (const [name, listed] of registrations)
    for (const backend of listed.keys()) backends.recordListing(name, backend);
  const board = new Board(ledger, new Resting(clock, context.states));
  const holds = new Holds(clock);
  const places = new LaunchPlaces(tenants, maxLaunches, () => clock.now());

  return {
    ...made,
    ...{ clock, board, backends, holds, places },
    hookProofs: new HookProofs(() => clock.now()),
    permits: new Permits(made, places, board, backends, holds),
    verifier: new RecordingVerifier(made),
    handOver: new HandOver(clock, 10),
    pools: new Pools(tenants, true, ledger),
    runLimits: new RunLimits(made),
    doubts: new RecordingDoubts(made),
    visibilities: new Visibilities(made),
    runOrigins: new RunOrigins(made),
    resting: new Resting(clock, context.states),
    restingLanes: new Resting(clock, context.states),
    isReadmitting: () => false,
    sweeps: new SweepSchedule(tenants.keys(), clock, () => 0.5),
    ...{ asked, confirmed, changed, logged },
    wakes: () => wakes,
    stop() {
      working = false;
    },
    async queue(spec, ...jobIds) {
      const nowMs = clock.now();
      await ledger.recordFacts(
        jobIds.map((jobId) => fact({ jobId, labels: spec.labels, createdAtMs: nowMs, observedAtMs: nowMs })),
      );
      await ledger.settleJobs((await ledger.unsettledJobs(1_000, 'reject')).map((job) => admitted(job, spec)));
      board.mark(spec.key);
      await board.refresh(nowMs);
    },
    close: () => real.close(),
  };
}

/** A lane whose runners go to the one backend of `registration()`. */
export function laneOf(some: Partial<LaneSpec> = {}): LaneSpec {
  return lane({ backends: ['main'], labels: ['acme-runner'], ...some });
}
