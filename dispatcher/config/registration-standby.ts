/** `standby` of a registration: containers that are started ahead of their jobs. */
import { standbyLane } from '../admission/standby.ts';
import type { Path } from '../model/problem.ts';
import type { Registration, StandbyPool } from '../model/registration.ts';
import type { Reading } from './reading.ts';
import type { RegistrationContext } from './registration-context.ts';
import { durationMs, registrationFile } from './schema.ts';

const MAX_AGE_MS = 6 * 3_600_000;
/** Below, a container is hardly ready before it goes. */
const LEAST_AGE_MS = 5 * 60_000;

export async function readStandby(
  reading: Reading,
  { platform }: RegistrationContext,
  registration: Registration,
): Promise<Pick<Registration, 'standby'>> {
  const files = reading.section(['standby'], registrationFile.shape.standby);
  if (files === undefined) return {};
  if (platform.config !== undefined && platform.config.publicListen.url === undefined) {
    reading.problem(
      ['standby'],
      'its containers cannot ask for a job: dispatcher.yaml does not say where they reach the dispatcher',
      'Add `listen.public.url` there, or remove this.',
    );
  }
  const standby = files.map(({ labels = [], maxAge, schedule, size }): StandbyPool => {
    const maxAgeMs = durationMs(maxAge, MAX_AGE_MS);
    if (schedule === undefined) return { labels, size, maxAgeMs };
    const times = schedule.map(({ during, timeZone = 'UTC', ...time }) => ({ cron: during, timeZone, ...time }));
    return { labels, size, schedule: times, maxAgeMs };
  });
  const keys = new Map<string, number>();
  for (const [index, pool] of standby.entries()) {
    const path: Path = ['standby', index];
    if (pool.maxAgeMs < LEAST_AGE_MS) {
      reading.problem([...path, 'maxAge'], 'a container is hardly ready before it goes', 'Write `5m` or more.');
    }
    await checkSchedule(reading, path, pool);
    const answer = standbyLane(registration, pool);
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

function largest({ schedule = [], size }: StandbyPool): number {
  return Math.max(size, ...schedule.map((time) => time.size));
}

async function checkSchedule(reading: Reading, path: Path, { schedule = [] }: StandbyPool): Promise<void> {
  if (schedule.length === 0) return;
  // Loaded where a schedule needs it: most starts do without.
  const { validateDetailed } = await import('node-cron');
  for (const [index, { cron, timeZone }] of schedule.entries()) {
    const { errors } = validateDetailed(cron);
    const [wrong] = errors;
    if (wrong !== undefined) {
      const cure = 'Write minute, hour, day of the month, month and day of the week, such as `* 8-17 * * 1-5`.';
      reading.problem([...path, 'schedule', index, 'during'], `\`${cron}\` cannot be read: its ${wrong.field}`, cure);
    }
    if (!isTimeZone(timeZone)) {
      const cure = 'Write a name of the tz database, such as `Europe/Berlin`.';
      reading.problem([...path, 'schedule', index, 'timeZone'], `\`${timeZone}\` is not a known time zone`, cure);
    }
  }
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
