/** The size of a standby pool at a time of day. */
import { MINUTE } from '../../../time/units.ts';
import type { StandbyPool } from '../../model/registration.ts';

/** The package that reads cron expressions is loaded when a schedule first needs it: most starts do without. */
export function scheduledSize({
  schedule = [],
  size,
}: Pick<StandbyPool, 'schedule' | 'size'>): (nowMs: number) => Promise<number> {
  let times: Promise<readonly Time[]> | undefined;
  return async (nowMs) => {
    if (schedule.length === 0) return size;
    times ??= timesOf(schedule);
    // Expressions match the first second of a minute.
    const minute = new Date(Math.floor(nowMs / MINUTE) * MINUTE);
    return (await times).find(({ matches }) => matches(minute))?.size ?? size;
  };
}

interface Time {
  readonly size: number;
  readonly matches: (minute: Date) => boolean;
}

async function timesOf(schedule: NonNullable<StandbyPool['schedule']>): Promise<readonly Time[]> {
  const { createTask } = await import('node-cron');
  return schedule.map(({ cron, size, timeZone }) => {
    const task = createTask(cron, () => {}, { timezone: timeZone });
    // It is asked, and never runs: the package need not keep it.
    void task.destroy();
    return { size, matches: (minute) => task.match(minute) };
  });
}
