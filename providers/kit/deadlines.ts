/** Puts a time limit on each remote call, using only the host's `sleep`. Every provider may use it. */
import { ProviderError, type ProviderHost } from '../provider.ts';

interface PendingCall {
  ticksLeft: number;
  expire(): void;
}

/**
 * The host's `sleep` cannot be cancelled, and a timer of 30 s per call would outlive the call and keep the process
 * alive. So all calls in flight share one short tick, which stops with the last of them.
 */
export class Deadlines {
  readonly #host: ProviderHost;
  readonly #tickMs: number;
  readonly #pending = new Set<PendingCall>();
  #ticking = false;

  constructor(host: ProviderHost, tickMs = 100) {
    this.#host = host;
    this.#tickMs = tickMs;
  }

  /**
   * Runs `call` for at most about `ms`, then aborts its signal and rejects with `transient`, code `timeout`:
   * the call may have taken effect. Settles in time even where `call` does not listen to the signal.
   */
  run<T>(operation: string, ms: number, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const abort = new AbortController();
    return new Promise<T>((resolve, reject) => {
      const pending: PendingCall = {
        ticksLeft: Math.max(1, Math.ceil(ms / this.#tickMs)),
        expire: () => {
          reject(new ProviderError('transient', operation, `no answer within ${ms} ms`, { code: 'timeout' }));
          abort.abort();
        },
      };
      this.#pending.add(pending);
      void this.#tick();
      call(abort.signal)
        .then(resolve, reject)
        .finally(() => this.#pending.delete(pending));
    });
  }

  async #tick(): Promise<void> {
    if (this.#ticking) return;
    this.#ticking = true;
    while (this.#pending.size > 0) {
      await this.#host.sleep(this.#tickMs);
      for (const pending of [...this.#pending]) {
        pending.ticksLeft -= 1;
        if (pending.ticksLeft > 0) continue;
        this.#pending.delete(pending);
        pending.expire();
      }
    }
    this.#ticking = false;
  }
}
