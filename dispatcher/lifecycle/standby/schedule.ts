/** The size of a standby pool at a time of day. */
import { RecurringWindows } from '../../../time/recurring-window.ts';
import type { StandbyPool } from '../../model/registration.ts';

/** What reads cron expressions is loaded when a schedule first needs it: most starts do without. */
export function scheduledSize({
  schedule = [],
  size,
}: Pick<StandbyPool, 'schedule' | 'size'>): (nowMs: number) => Promise<number> {
  let windows: Promise<RecurringWindows> | undefined;
  return async (nowMs) => {
    if (schedule.length === 0) return size;
    windows ??= RecurringWindows.load();
    const loaded = await windows;
    return schedule.find((window) => loaded.openUntilMs(window, nowMs) !== undefined)?.size ?? size;
  };
}
