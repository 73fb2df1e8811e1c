/** Windows of time that come again, as files write them. */
import type { RecurringWindow, RecurringWindows } from '../../time/recurring-window.ts';
import { DAY, MINUTE } from '../../time/units.ts';
import type { Path } from '../model/problem.ts';
import type { Reading } from './reading.ts';
import { durationMs } from './schema.ts';

const MAX_WINDOW_MS = 2 * DAY;

export interface WindowFile {
  readonly cron: string;
  readonly duration: string;
  readonly timeZone?: string | undefined;
}

export function readWindow(reading: Reading, path: Path, file: WindowFile, reader: RecurringWindows): RecurringWindow {
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
    const cure = 'Write it like `90m` or `4h`.';
    reading.problem([...path, 'duration'], 'a window is open from a minute to two days', cure);
  }
  return { cron, durationMs: length, timeZone: file.timeZone ?? 'Etc/UTC' };
}

function isTimeZone(name: string | undefined): boolean {
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: name ?? 'Etc/UTC' });
    return true;
  } catch {
    return false;
  }
}
