/** Caches an answer that anyone may request and that is expensive to compute. */
import type { Clock } from '../../time/clock.ts';

/** Shared by those who ask while it is computed, and for a while after. */
export class SharedLook<T> {
  readonly #clock: Pick<Clock, 'after'>;
  readonly #keptMs: number;
  readonly #look: () => Promise<T>;
  #current: Promise<T> | undefined;
  #cancel: (() => void) | undefined;

  constructor(
    { clock, keptMs }: { readonly clock: Pick<Clock, 'after'>; readonly keptMs: number },
    look: () => Promise<T>,
  ) {
    this.#clock = clock;
    this.#keptMs = keptMs;
    this.#look = look;
  }

  /** Rejects if the computation does; a failure is cached as long as an answer. */
  ask(): Promise<T> {
    this.#current ??= this.#look().finally(() => {
      this.#cancel = this.#clock.after(this.#keptMs, () => {
        this.#current = undefined;
      });
    });
    return this.#current;
  }

  close(): void {
    this.#cancel?.();
  }
}
