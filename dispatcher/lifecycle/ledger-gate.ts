/**
 * While nothing can be recorded, nothing is done: a step that leaves no trace would be repeated at once, and a
 * full disk would become a storm of calls to GitHub and the services. What runs continues by itself meanwhile.
 */
import type { Clock } from '../../time/clock.ts';
import { type Failure, ledgerFailure } from '../failures/failure.ts';
import { type Ledger, LedgerError, UnreadableRowError, type WriteTrouble } from '../ledger/ledger.ts';
import type { Log } from '../log.ts';

/** Between two tries to write. Each may cost every runner one call to its service, whose outcome is then lost. */
const PAUSE_MS = 10_000;
const PROBE = 'engine/writable';

/** Nothing can be written down, and nothing is done, for this reason. */
export interface LedgerClosure {
  readonly failure: Failure;
  readonly sinceMs: number;
}

export function closureWords({ failure }: Pick<LedgerClosure, 'failure'>): string {
  return `nothing can be written down: ${failure.message}`;
}

export function closureOf({ error, sinceMs }: WriteTrouble): LedgerClosure {
  return { failure: ledgerFailure(error, sinceMs), sinceMs };
}

export class LedgerGate {
  readonly #ledger: Pick<Ledger, 'putCursor'>;
  readonly #clock: Clock;
  readonly #log: Log;
  #closed:
    | { readonly sinceMs: number; readonly failures: number; readonly retryAtMs: number; readonly error: LedgerError }
    | undefined;

  constructor(options: { readonly ledger: Pick<Ledger, 'putCursor'>; readonly clock: Clock; readonly log: Log }) {
    this.#ledger = options.ledger;
    this.#clock = options.clock;
    this.#log = options.log;
  }

  get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  /** When to try again; undefined while it is open. */
  get retryAtMs(): number | undefined {
    return this.#closed?.retryAtMs;
  }

  /** Why it is closed; undefined while it is open. */
  get reason(): LedgerClosure | undefined {
    return this.#closed === undefined ? undefined : closureOf(this.#closed);
  }

  /**
   * Whether the error is the ledger's, and the gate therefore closed now. Says so once, not at every failure. One row
   * that cannot be read is no reason: everything else can be recorded.
   */
  closeFor(error: unknown): boolean {
    if (!(error instanceof LedgerError) || error instanceof UnreadableRowError) return false;
    const nowMs = this.#clock.now();
    if (this.#closed === undefined) {
      this.#log.error('ledger-closed', { kind: error.kind, reason: error.message });
    }
    this.#closed = {
      sinceMs: this.#closed?.sinceMs ?? nowMs,
      failures: (this.#closed?.failures ?? 0) + 1,
      retryAtMs: nowMs + PAUSE_MS,
      error,
    };
    return true;
  }

  /** Tries to write when it is time to; answers whether work may go on. */
  async tryOpen(): Promise<boolean> {
    const closed = this.#closed;
    if (closed === undefined) return true;
    const nowMs = this.#clock.now();
    if (nowMs < closed.retryAtMs) return false;
    try {
      await this.#ledger.putCursor(PROBE, String(nowMs), nowMs);
    } catch (error) {
      if (!this.closeFor(error)) throw error;
      return false;
    }
    this.#closed = undefined;
    this.#log.info('ledger-open', { failures: closed.failures, closedMs: nowMs - closed.sinceMs });
    return true;
  }
}
