/** Lost deliveries: logged, and recovered by polling GitHub. */
import type { WebhookSource } from './endpoints.ts';

/**
 * - `connections`: half-sent when others needed its slot. `memory`: likewise, for memory. `slow`: it was cut off.
 * - `rate`: its endpoint has reached its limit. `queue`: too many wait for the ledger. `ledger`: the write failed.
 */
export type LossCause = 'connections' | 'memory' | 'slow' | 'rate' | 'queue' | 'ledger';

export interface Loss {
  readonly cause: LossCause;
  /** False: its signature was not checked, so it may come from anyone. */
  readonly verified: boolean;
  /** Which source sent it; for an unverified one, which may have. */
  readonly sources: readonly WebhookSource[];
  /** The sender's address. */
  readonly from: string;
}
