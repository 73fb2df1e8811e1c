/** What all code that acts on runners shares: how an event reaches a runner. */

import { Lock } from '../../time/lock.ts';
import { MINUTE } from '../../time/units.ts';
import type { Absence } from '../config/absent.ts';
import { type Failure, failureFields } from '../failures/failure.ts';
import { RatedLog } from '../failures/rated-log.ts';
import { StateLog } from '../failures/state-log.ts';
import type { Ledger, RunnerRow, RunnerStep, TimelineEntry } from '../ledger/ledger.ts';
import type { Launched } from './backends.ts';
import { isOfImage } from './canary-rules.ts';
import type { MachineContext, RunnerEvent } from './machine/event.ts';
import { neverCameOnline, step } from './machine.ts';
import type { EngineOptions, LifecycleMetrics } from './ports.ts';
import { SilentImages } from './silent-images.ts';

export interface RunnerContext {
  now(): number;
  /** False once the engine stops, and while nothing can be recorded: nothing is begun, and long work ends at the next chance. */
  working(): boolean;
  /** Held while live runners are counted in order to add one. */
  readonly counting: Lock;
  /** The lane's counts changed: plan it again. */
  replanLane(laneKey: string): void;
  wake(): void;
  /** Which images' runners call back. */
  readonly silentImages: SilentImages;
  /** For what is tried again and again: a line when it begins, changes and ends. */
  readonly states: StateLog;
  /** One line for each start that failed, as far as a backend has not more of them than anyone reads. */
  startFailed(launched: Omit<Launched, 'specHash'>, failure: Failure, candidate?: string): void;
  /** Whether the error is the ledger's: it is reported once, and work rests until something can be written again. */
  ledgerFailed(error: unknown): boolean;
  /** Applies the event in one transaction; answers the runner as it is then, or undefined when it is unknown. */
  tell(runner: string, event: RunnerEvent): Promise<RunnerRow | undefined>;
}

export interface RunnerContextOptions extends Pick<EngineOptions, 'clock' | 'incarnation' | 'log' | 'tenants'> {
  readonly ledger: Pick<Ledger, 'stepRunner'>;
  readonly metrics: Pick<LifecycleMetrics, 'imageStart' | 'tornDown'>;
}

const DEFAULT_TIMEOUTS = { launchMs: 10 * 60_000, idleMs: 5 * 60_000 };
const STOCK_PATIENCE_MS = 2 * 60_000;

export function createRunnerContext(
  options: RunnerContextOptions,
  notify: {
    readonly working: () => boolean;
    readonly laneChanged: (laneKey: string) => void;
    /** GitHub lists the runner as busy and no fact names its job, or that is no longer so. */
    readonly supposedBusy: (runner: RunnerRow, is: boolean) => void;
    /** GitHub has to confirm a report about it: read these jobs, in this order. */
    readonly doubted: (runner: RunnerRow, jobKeys: readonly string[]) => void;
    readonly wake: () => void;
    readonly ledgerFailed: (error: unknown) => boolean;
  },
): RunnerContext {
  const { clock, incarnation, ledger, log, metrics, tenants } = options;
  const silentImages = new SilentImages(clock);
  const starts = new RatedLog({ log, clock, lines: 10, spanMs: MINUTE });

  function contextOf(runner: RunnerRow): MachineContext {
    const registration = tenants.get(runner.registration)?.registration;
    const timeouts = registration?.timeouts ?? DEFAULT_TIMEOUTS;
    const backend = registration?.backends.find(({ name }) => name === runner.backend);
    return {
      nowMs: clock.now(),
      launchTimeoutMs: timeouts.launchMs,
      idleTimeoutMs: timeouts.idleMs,
      stockPatienceMs: backend?.stockPatienceMs ?? STOCK_PATIENCE_MS,
      isInherited: runner.incarnation !== incarnation,
    };
  }

  /** Where there is a candidate to compare. */
  function countStart(registration: string, candidate: string | null, outcome: 'online' | 'failed'): void {
    if (tenants.get(registration)?.registration.canary === undefined) return;
    metrics.imageStart(registration, candidate === null ? 'stable' : 'candidate', outcome);
  }

  function report(before: RunnerRow, after: RunnerRow, entries: readonly TimelineEntry[]): void {
    for (const { reason, failure } of entries) {
      log.info('runner', {
        runner: after.name,
        registration: after.registration,
        backend: after.backend,
        state: after.state,
        ...(failure === null ? {} : toldOf(failure)),
        reason,
      });
    }
    if (neverCameOnline(before) && !neverCameOnline(after)) countStart(after.registration, after.candidate, 'online');
    if (after.state === 'gone' && before.state !== 'gone') {
      silentImages.ended(after);
      metrics.tornDown(after.registration, after.backend ?? 'none', after.stateSinceMs - before.stateSinceMs);
    }
  }

  return {
    now: () => clock.now(),
    counting: new Lock(),
    silentImages,
    states: new StateLog(log, clock),
    startFailed({ registration, backend, runner }, failure, candidate) {
      const image = candidate === undefined ? {} : { candidate };
      starts.warn('start-failed', { registration, backend }, { runner, ...image, ...failureFields(failure) });
      if (isOfImage(failure)) countStart(registration, candidate ?? null, 'failed');
    },
    working: notify.working,
    replanLane: notify.laneChanged,
    wake: notify.wake,
    ledgerFailed: notify.ledgerFailed,
    async tell(name, event) {
      let entries: readonly TimelineEntry[] = [];
      let read: readonly string[] = [];
      const decide = (runner: RunnerRow): RunnerStep | undefined => {
        const answer = step(runner, event, contextOf(runner));
        read = answer.read ?? [];
        if (answer.kind === 'ignored') return undefined;
        entries = answer.step.entries;
        return answer.step;
      };
      const result = await ledger.stepRunner(name, decide);
      if (result === undefined) return undefined;
      const { before, after } = result;
      report(before, after, entries);
      if (read.length > 0) notify.doubted(after, read);
      if (before.state !== after.state || before.jobKey !== after.jobKey) {
        notify.supposedBusy(after, after.state === 'busy' && after.jobKey === null);
        notify.laneChanged(after.laneKey);
        notify.wake();
      }
      return after;
    },
  };
}

/** Beside the reason of the step: what went wrong. */
function toldOf(failure: Failure): Readonly<Record<string, unknown>> {
  const { reason, ...fields } = failureFields(failure);
  return { ...fields, failure: reason };
}

/** Why the registration is not in force; undefined where it is. */
export function absenceOf(
  { setAside, tenants }: Pick<EngineOptions, 'setAside' | 'tenants'>,
  registration: string,
): Absence | undefined {
  const tenant = tenants.get(registration);
  if (tenant !== undefined) return tenant.leaving;
  return setAside?.(registration) === true ? 'set-aside' : 'removed';
}
