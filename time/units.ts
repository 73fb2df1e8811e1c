/** In milliseconds, as all durations inside the program are. */
export const SECOND = 1000;
/** In milliseconds. */
export const MINUTE = 60 * SECOND;
/** In milliseconds; of clocks, not of calendars. */
export const DAY = 24 * 60 * MINUTE;
