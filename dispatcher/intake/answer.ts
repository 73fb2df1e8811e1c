/** What a delivery is answered with, and the words that metrics count. */

/**
 * - `recorded`: durable in the ledger. `duplicate`: was so already.
 * - `ping`, `not-ours`, `no-job`, `unknown-status`: well signed, and nothing to write.
 * - `unsigned`, `bad-signature`, `no-secret`: not signed by a sender that we know.
 * - `foreign`: well signed, but about a repository that the secret does not speak for.
 * - `overloaded`: too many wait for the ledger. `ledger-unavailable`: the ledger takes nothing now.
 * - `over-rate`: the endpoint is at its bound of deliveries a minute.
 * - `gave-way`: unfinished when others needed its place. `slow`: it was cut off. `fragmented`: in pieces of a few bytes.
 * - `failed`: a defect of ours. `aborted`: the sender went away.
 */
export type DeliveryOutcome =
  | 'recorded'
  | 'duplicate'
  | 'ping'
  | 'not-ours'
  | 'no-job'
  | 'unknown-status'
  | 'no-endpoint'
  | 'set-aside'
  | 'no-method'
  | 'content-type'
  | 'unsigned'
  | 'no-secret'
  | 'bad-signature'
  | 'too-large'
  | 'malformed'
  | 'foreign'
  | 'overloaded'
  | 'over-rate'
  | 'gave-way'
  | 'fragmented'
  | 'ledger-unavailable'
  | 'failed'
  | 'aborted'
  | 'slow';

const OF_VERIFIED: ReadonlySet<DeliveryOutcome> = new Set([
  ...(['recorded', 'duplicate', 'ping', 'not-ours', 'no-job', 'unknown-status', 'foreign', 'malformed'] as const),
  ...(['overloaded', 'ledger-unavailable', 'failed'] as const),
]);

/** Whether only a delivery whose signature was right can have this outcome. */
export function isVerified(outcome: DeliveryOutcome): boolean {
  return OF_VERIFIED.has(outcome);
}

export interface Answer {
  readonly status: number;
  readonly outcome: DeliveryOutcome;
  /** For the person who reads GitHub's delivery log: what is wrong, and the cure. Holds nothing of the body. */
  readonly message: string;
  readonly retryAfterSeconds?: number;
}

export interface IntakeMetrics {
  /** Once for each request that came in, whatever became of it. */
  delivery(outcome: DeliveryOutcome): void;
  /** One group commit that was tried: how many deliveries, how long it took, whether it held. */
  commit(size: number, ms: number, ok: boolean): void;
  /** A field that is only shown was cut or left out, because it was not as GitHub describes it. */
  mended(field: string): void;
}

/**
 * GitHub retries nothing by itself, but redelivery and whatever proxy stands before us do. Long enough for a full queue
 * to drain many times over, short enough for an early retry.
 */
export const retryAfterSeconds = 5;
