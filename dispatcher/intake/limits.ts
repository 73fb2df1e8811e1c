/** How much the intake takes at a time. */
export interface IntakeLimits {
  /** For events that are not ours, which are hashed while streaming. GitHub's own limit. */
  readonly maxBodyBytes: number;
  /** For a `workflow_job`, which is buffered until its signature is checked. GitHub's are 8 to 25 KB. */
  readonly maxJobBytes: number;
  /** For all bodies being received, counting what has arrived. Beyond it the oldest of them gives way. */
  readonly maxBufferedBytes: number;
  /** Verified deliveries waiting for a commit, per endpoint; four times as many in total. */
  readonly maxWaiting: number;
  /** Verified deliveries per endpoint, even all at once. */
  readonly maxPerMinute: number;
  /** Deliveries per commit: bounds how long the event loop is blocked. */
  readonly maxGroup: number;
}

export const defaultIntakeLimits: IntakeLimits = {
  maxBodyBytes: 25 * 1024 * 1024,
  maxJobBytes: 1024 * 1024,
  maxBufferedBytes: 64 * 1024 * 1024,
  maxWaiting: 1_024,
  // 20,000 jobs a minute, each queued, started and ended: GitHub's largest customers stay below it.
  maxPerMinute: 60_000,
  maxGroup: 128,
};
