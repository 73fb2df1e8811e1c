/** Puts a time limit on each remote call. Every provider may use it. */
import { withDeadline } from '../../time/deadline.ts';
import { ProviderError, type ProviderHost } from '../provider.ts';

/** One for each provider. Holds a timer only while a call runs. */
export class Deadlines {
  readonly #host: Pick<ProviderHost, 'after'>;

  constructor(host: Pick<ProviderHost, 'after'>) {
    this.#host = host;
  }

  /**
   * Runs `call` for at most `ms`, then aborts its signal and rejects with `transient`, code `timeout`: the call may have
   * taken effect. Settles in time even where `call` does not listen to the signal.
   */
  run<T>(operation: string, ms: number, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const expired = () => new ProviderError('transient', operation, `no answer within ${ms} ms`, { code: 'timeout' });
    return withDeadline(this.#host, ms, expired, undefined, call);
  }
}
