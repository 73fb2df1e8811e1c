/**
 * Mutations that change nothing which anybody could observe, each with the reason. They count neither as killed nor as
 * missed. A line that has changed since no longer matches, and is judged anew.
 */
export interface Equivalent {
  readonly file: string;
  /** The whole line, trimmed. */
  readonly code: string;
  readonly from: string;
  readonly to: string;
  readonly why: string;
}

export const equivalents: readonly Equivalent[] = [];
