/** In milliseconds, as all durations inside the program are. */
export const SECOND = 1000;
/** In milliseconds. */
export const MINUTE = 60 * SECOND;
