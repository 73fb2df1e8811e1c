/** `standby` of a registration: runners that are started ahead of their jobs. */
import { RecurringWindows } from '../../time/recurring-window.ts';
import { DAY, MINUTE } from '../../time/units.ts';
import { poolLane } from '../admission/standby.ts';
import type { Path } from '../model/problem.ts';
import { onlyScopeOf, type Registration, requiresHook, type StandbyPool } from '../model/registration.ts';
import type { Reading } from './reading.ts';
import { readWindow } from './recurring-windows.ts';
import { noCallbackWords, type RegistrationContext } from './registration-context.ts';
import { durationMs, registrationFile } from './schema.ts';

const MAX_AGE_MS = 6 * 3_600_000;
const WITHIN_MS = 10 * MINUTE;
const OVER_MS = DAY;
const MAX_OVER_MS = 7 * DAY;
/** Below, a container is hardly ready before it goes. */
const LEAST_AGE_MS = 5 * 60_000;

export async function readStandby(
  reading: Reading,
  { platform }: RegistrationContext,
  registration: Registration,
): Promise<Pick<Registration, 'standby'>> {
  const files = reading.section(['standby'], registrationFile.shape.standby);
  if (files === undefined) return {};
  if (platform.complete && platform.publicUrl === undefined && files.some(({ mode }) => mode !== 'registered')) {
    const { why, cure } = noCallbackWords(platform);
    const other = 'Where containers cannot reach it, `mode: registered` keeps runners that are registered ahead.';
    reading.problem(['standby'], `its containers cannot ask for a job: ${why}`, `${cure} ${other}`);
  }
  // Where a schedule needs it: most starts do without.
  const reader = files.some(({ schedule }) => schedule !== undefined) ? await RecurringWindows.load() : undefined;
  const standby = files.map(({ labels = [], maxAge, mode, schedule, size }, index): StandbyPool => {
    const common = {
      labels,
      ...readSize(reading, ['standby', index, 'size'], size),
      maxAgeMs: durationMs(maxAge, MAX_AGE_MS),
    };
    const pool: StandbyPool = mode === 'registered' ? { mode, ...common } : common;
    if (schedule === undefined || reader === undefined) return pool;
    const times = schedule.map((file, time) => ({
      ...readWindow(reading, ['standby', index, 'schedule', time], file, reader),
      size: file.size,
    }));
    return { ...pool, schedule: times };
  });
  const keys = new Map<string, number>();
  for (const [index, pool] of standby.entries()) {
    const path: Path = ['standby', index];
    if (pool.maxAgeMs < LEAST_AGE_MS) {
      reading.problem([...path, 'maxAge'], 'a container is hardly ready before it goes', 'Write `5m` or more.');
    }
    const answer = poolLane(registration, pool);
    if (answer.kind === 'refused') {
      for (const { reason, cure } of answer.refusals) reading.problem(path, reason, cure);
      continue;
    }
    const earlier = keys.get(answer.lane.key);
    if (earlier !== undefined) {
      const cure = 'Keep one of them, with the size of both.';
      reading.problem(path, `standby[${earlier}] has the same containers`, cure);
    }
    keys.set(answer.lane.key, index);
    if (pool.mode === 'registered') tellWhoTakesThem(reading, path, registration);
  }
  const sizes = standby.reduce((sum, pool) => sum + largest(pool), 0);
  if (sizes > registration.maxRunners) {
    reading.problem(
      ['standby'],
      `its pools want ${sizes} containers, and the registration may have ${registration.maxRunners} runners`,
      'Make them smaller, or raise `maxRunners`: containers that wait count for it.',
    );
  }
  return { standby };
}

type SizeFile =
  | number
  | {
      readonly min?: number | undefined;
      readonly max: number;
      readonly within?: string | undefined;
      readonly over?: string | undefined;
    };

function readSize(reading: Reading, path: Path, file: SizeFile): Pick<StandbyPool, 'size' | 'demand'> {
  if (typeof file === 'number') return { size: file };
  const { max, min = 0 } = file;
  const withinMs = durationMs(file.within, WITHIN_MS);
  const overMs = durationMs(file.over, OVER_MS);
  if (min > max) reading.problem([...path, 'min'], `it is more than \`max\` (${max})`, 'Write `max` or less.');
  if (withinMs < MINUTE || withinMs > overMs)
    reading.problem([...path, 'within'], 'it is from a minute to `over`', 'Write it like `10m`.');
  if (overMs > MAX_OVER_MS)
    reading.problem([...path, 'over'], 'no longer than a week is looked back', 'Write `7d` or less.');
  return { size: min, demand: { max, withinMs, overMs } };
}

/** GitHub gives a runner that waits to whatever job has its labels, where its scope and group let it. */
function tellWhoTakesThem(reading: Reading, path: Path, registration: Registration): void {
  if (requiresHook(registration)) return;
  const scope = onlyScopeOf(registration.claim);
  if (scope === undefined || scope.kind === 'repository' || registration.runnerGroup !== 'Default') return;
  reading.note(
    [...path, 'mode'],
    `GitHub gives these runners to any job with their labels or fewer, of any repository that the runner group \`Default\` of the ${scope.kind} admits`,
    'Use a runner group for selected repositories (`runnerGroup`), a claim of one repository, or `requireHook`, which stops other jobs before their first step.',
  );
}

function largest({ demand, schedule = [], size }: StandbyPool): number {
  return Math.max(size, demand?.max ?? 0, ...schedule.map((time) => time.size));
}
