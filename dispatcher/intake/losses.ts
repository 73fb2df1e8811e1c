/** Deliveries that were not taken: told to the log, and made good by asking GitHub. */
import type { WebhookSource } from './endpoints.ts';

/**
 * - `connections`: half-sent when others needed its place. `memory`: the same, of memory. `slow`: it was cut off.
 * - `rate`: its endpoint is at its bound. `queue`: too many wait for the ledger. `ledger`: the ledger took nothing.
 */
export type LossCause = 'connections' | 'memory' | 'slow' | 'rate' | 'queue' | 'ledger';

export interface Loss {
  readonly cause: LossCause;
  /** False: its signature was not checked, so any sender is possible. */
  readonly verified: boolean;
  /** Who said it; of an unverified one, who may have. */
  readonly speakers: readonly WebhookSource[];
  /** The sender's address. */
  readonly from: string;
}
