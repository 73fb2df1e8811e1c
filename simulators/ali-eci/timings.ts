/** How long what happens to a group takes. */
export interface Timings {
  /** Time until capacity is found; with `imageMs`, for the pull, until it runs. */
  readonly scheduleMs: number;
  readonly imageMs: number;
  /** Time between the end of the container and its disappearance, after a deletion. */
  readonly cleanUpMs: number;
  /** One second of simulated time, in milliseconds: for deadlines and grace periods. */
  readonly secondMs: number;
}
