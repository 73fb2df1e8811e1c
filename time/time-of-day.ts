/** In UTC, to the second, since some waits last for a few seconds only: `10:41:05 UTC`. */
export function timeOfDay(atMs: number): string {
  return `${new Date(atMs).toISOString().slice(11, 19)} UTC`;
}
