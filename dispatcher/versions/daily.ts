/** Once a day, by the clock of the wall. */
import type { ScheduledTask } from 'node-cron';

/** Before working hours in most of the world, and not on the hour, when everybody asks. */
const WHEN = '23 4 * * *';

/** Runs the action until the returned function is called. The package is loaded now: a start does not wait for it. */
export function daily(action: () => void, failed: (error: unknown) => void): () => void {
  let task: ScheduledTask | undefined;
  let over = false;
  import('node-cron')
    .then(({ schedule }) => {
      if (!over) task = schedule(WHEN, action, { timezone: 'Etc/UTC' });
    })
    .catch(failed);
  return () => {
    over = true;
    void task?.destroy();
  };
}
