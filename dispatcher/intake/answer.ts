/** What a delivery is answered with, and the words that metrics count. */

/**
 * - `recorded`: durable in the ledger. `duplicate`: was so already.
 * - `ping`, `not-ours`, `no-job`, `unknown-status`: well signed, and nothing to write.
 * - `unsigned`, `bad-signature`, `no-secret`: nobody that we know said this.
 * - `foreign`: well signed, but about a repository that the secret does not speak for.
 * - `overloaded`: beyond a bound of ours. `ledger-unavailable`: the ledger takes nothing now.
 * - `failed`: a defect of ours. `aborted`: the sender went away. `slow`: it was cut off.
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
  | 'ledger-unavailable'
  | 'failed'
  | 'aborted'
  | 'slow';

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
 * to drain many times over, short enough for nobody to wait in vain.
 */
export const retryAfterSeconds = 5;
