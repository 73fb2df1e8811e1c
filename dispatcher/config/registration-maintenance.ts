/** When a registration launches nothing. */
import { RecurringWindows } from '../../time/recurring-window.ts';
import type { Registration } from '../model/registration.ts';
import type { Reading } from './reading.ts';
import { readWindow } from './recurring-windows.ts';
import { registrationFile } from './schema.ts';

/** Absent where the file has none. */
export async function readMaintenance(reading: Reading): Promise<Pick<Registration, 'maintenance'>> {
  const files = reading.section(['maintenance'], registrationFile.shape.maintenance);
  if (files === undefined || files.length === 0) return {};
  const reader = await RecurringWindows.load();
  return { maintenance: files.map((file, index) => readWindow(reading, ['maintenance', index], file, reader)) };
}
