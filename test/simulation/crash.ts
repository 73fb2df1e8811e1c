/**
 * One life of the dispatcher's process. Everything it asks of the outside passes through here, so that it can die at
 * any await: from then on none of its calls settles and none of its timers fires, as after `kill -9`.
 */
import type { Clock } from '../../time/clock.ts';
import type { Stream } from './random.ts';

/** Methods of the ports that answer at once: nobody can die while waiting for them. */
const SYNCHRONOUS: ReadonlySet<string> = new Set(['fit', 'constructor']);

/** So many calls within one instant that the program must be turning on the spot. */
const SPIN_LIMIT = 20_000;

export interface LifeOptions {
  readonly clock: Clock;
  /** Dies at this call, counted from 1; undefined: lives until it is ended from outside. */
  readonly diesAtCall: number | undefined;
  /** Before or after the effect of that call. */
  readonly luck: Stream;
  readonly onDeath: (where: string) => void;
  /** How many calls are under way that take no virtual time. The clock waits for them, those of the dead included. */
  readonly pending: { count: number };
  readonly onSpin: (where: string) => void;
}

export class Life {
  readonly #options: LifeOptions;
  #alive = true;
  #diesAtCall: number | undefined;
  #calls = 0;
  #instant = { atMs: 0, calls: 0 };

  constructor(options: LifeOptions) {
    this.#options = options;
    this.#diesAtCall = options.diesAtCall;
  }

  get alive(): boolean {
    return this.#alive;
  }

  get calls(): number {
    return this.#calls;
  }

  /** It will not die of itself any more. */
  spare(): void {
    this.#diesAtCall = undefined;
  }

  end(where: string): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.#options.onDeath(where);
  }

  /** The clock as this life sees it: timers of the dead do not fire. */
  clock(): Clock {
    const { clock } = this.#options;
    return {
      now: () => clock.now(),
      after: (ms, action) => {
        if (!this.#alive) return () => {};
        return clock.after(ms, () => {
          if (this.#alive) action();
        });
      },
    };
  }

  /**
   * The same port, mortal. `instant`: its calls take no virtual time (the ledger), so the clock must wait for them.
   * `watch` sees each call's arguments.
   */
  port<T extends object>(
    name: string,
    target: T,
    { instant = false, watch }: { instant?: boolean; watch?: (method: string, args: readonly unknown[]) => void } = {},
  ): T {
    return new Proxy(target, {
      get: (object, property) => {
        const value: unknown = Reflect.get(object, property);
        if (typeof value !== 'function' || typeof property !== 'string') return value;
        if (SYNCHRONOUS.has(property)) return value.bind(object);
        return (...args: readonly unknown[]): Promise<unknown> => {
          watch?.(property, args);
          return this.#call(`${name}.${property}`, instant, () => Promise.resolve(Reflect.apply(value, object, args)));
        };
      },
    });
  }

  async #call(where: string, instant: boolean, effect: () => Promise<unknown>): Promise<unknown> {
    if (!this.#alive || this.#spins(where)) return never();
    this.#calls += 1;
    const dies = this.#calls === this.#diesAtCall;
    if (dies && this.#options.luck.chance(0.5)) {
      this.end(`before ${where}`);
      return never();
    }
    if (instant) this.#options.pending.count += 1;
    let settled: { readonly result: unknown } | { readonly error: unknown };
    try {
      settled = { result: await effect() };
    } catch (error) {
      settled = { error };
    }
    if (instant) this.#options.pending.count -= 1;
    if (dies) this.end(`after ${where}`);
    if (!this.#alive) return never();
    if ('error' in settled) throw settled.error;
    return settled.result;
  }

  #spins(where: string): boolean {
    const atMs = this.#options.clock.now();
    this.#instant = { atMs, calls: this.#instant.atMs === atMs ? this.#instant.calls + 1 : 1 };
    if (this.#instant.calls <= SPIN_LIMIT) return false;
    this.end(`turning on the spot at ${where}`);
    this.#options.onSpin(where);
    return true;
  }
}

function never(): Promise<never> {
  return new Promise(() => {});
}
