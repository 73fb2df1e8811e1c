/** When a registration launches nothing. */
import { RecurringWindows } from '../../time/recurring-window.ts';
import { DAY, MINUTE } from '../../time/units.ts';
import type { Registration } from '../model/registration.ts';
import type { Reading } from './reading.ts';
import { durationMs, registrationFile } from './schema.ts';

const MAX_WINDOW_MS = 2 * DAY;

/** Absent where the file has none. */
export async function readMaintenance(reading: Reading): Promise<Pick<Registration, 'maintenance'>> {
  const files = reading.section(['maintenance'], registrationFile.shape.maintenance);
  if (files === undefined || files.length === 0) return {};
  const reader = await RecurringWindows.load();
  const maintenance = files.flatMap((file, index) => {
    const path = ['maintenance', index];
    const cron = file.cron.trim().split(/\s+/).join(' ');
    const length = durationMs(file.duration, 0);
    const wrong = reader.problemOf(cron);
    if (wrong !== undefined) {
      reading.problem([...path, 'cron'], wrong, 'Write it like `0 2 * * 6`, for Saturdays at two.');
    }
    if (!isTimeZone(file.timeZone)) {
      reading.problem([...path, 'timeZone'], 'it is not a time zone', 'Write one of IANA, such as `Europe/Berlin`.');
    }
    if (length < MINUTE || length > MAX_WINDOW_MS) {
      reading.problem(
        [...path, 'duration'],
        'a window is open from a minute to two days',
        'Write it like `90m` or `4h`.',
      );
    }
    return [{ cron, durationMs: length, timeZone: file.timeZone ?? 'Etc/UTC' }];
  });
  return { maintenance };
}

function isTimeZone(name: string | undefined): boolean {
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: name ?? 'Etc/UTC' });
    return true;
  } catch {
    return false;
  }
}
