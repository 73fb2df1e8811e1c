/** The size of a standby pool at a time of day. */
import { RecurringWindows } from '../../../time/recurring-window.ts';
import type { StandbyPool } from '../../model/registration.ts';
import type { Aim } from './recent-demand.ts';

/**
 * What reads cron expressions is loaded when a schedule first needs it: most starts do without. `otherwise`: while no window
 * is open; absent: `size`.
 */
export function scheduledSize(
  { schedule = [], size }: Pick<StandbyPool, 'schedule' | 'size'>,
  otherwise: (nowMs: number) => Promise<Aim> = async () => ({ size, why: 'its `size`' }),
): (nowMs: number) => Promise<Aim> {
  let windows: Promise<RecurringWindows> | undefined;
  return async (nowMs) => {
    if (schedule.length === 0) return await otherwise(nowMs);
    windows ??= RecurringWindows.load();
    const loaded = await windows;
    const open = schedule.findIndex((window) => loaded.openUntilMs(window, nowMs) !== undefined);
    const window = schedule[open];
    return window === undefined ? await otherwise(nowMs) : { size: window.size, why: `its schedule[${open}] is open` };
  };
}
