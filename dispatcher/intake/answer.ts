/** The answers to deliveries, and the outcomes that metrics count. */

/**
 * - `recorded`: durable in the ledger. `duplicate`: was already.
 * - `ping`, `not-ours`, `no-job`, `unknown-status`: validly signed, and nothing to record.
 * - `pushed`: validly signed, and a source of registrations is read again.
 * - `unsigned`, `bad-signature`, `no-secret`: not signed by a known sender.
 * - `foreign`: validly signed, but about a repository that the secret does not cover.
 * - `overloaded`: too many are waiting for the ledger. `ledger-unavailable`: the ledger cannot be written now.
 * - `over-rate`: the endpoint has reached its limit of deliveries per minute.
 * - `gave-way`: unfinished when others needed its slot. `slow`: it was cut off. `fragmented`: in chunks of a few bytes.
 * - `failed`: a defect of ours. `aborted`: the sender disconnected.
 */
export type DeliveryOutcome =
  | 'recorded'
  | 'duplicate'
  | 'ping'
  | 'not-ours'
  | 'no-job'
  | 'pushed'
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
  ...([
    'recorded',
    'duplicate',
    'ping',
    'not-ours',
    'no-job',
    'pushed',
    'unknown-status',
    'foreign',
    'malformed',
  ] as const),
  ...(['overloaded', 'ledger-unavailable', 'failed'] as const),
]);

/** Whether only a delivery with a valid signature can have this outcome. */
export function isVerified(outcome: DeliveryOutcome): boolean {
  return OF_VERIFIED.has(outcome);
}

export interface DeliveryAnswer {
  readonly status: number;
  readonly outcome: DeliveryOutcome;
  /** For the reader of GitHub's delivery log: what is wrong, and the cure. Contains nothing from the body. */
  readonly message: string;
  readonly retryAfterSeconds?: number;
}

export interface IntakeMetrics {
  /** Called once for each request that came in, whatever its outcome. */
  delivery(outcome: DeliveryOutcome): void;
  /** One attempted group commit: how many deliveries, how long it took, whether it succeeded. */
  commit(size: number, ms: number, ok: boolean): void;
  /** An informational field was cut or left out because it was not as GitHub documents it. */
  mended(field: string): void;
}

/**
 * GitHub does not retry on its own, but redelivery and proxies in front of us do. Long enough for a full queue
 * to drain many times over, short enough for a prompt retry.
 */
export const retryAfterSeconds = 5;
