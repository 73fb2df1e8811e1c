/** Runs one pass at a time: at once when there is news, at a set time otherwise, and after a pause when it failed. */
import type { Clock } from '../../time/clock.ts';

const ERROR_PAUSE_MS = 1000;

export interface PulseOptions {
  readonly clock: Clock;
  /** One pass. Answers when the next one is due without news, in ms since the epoch. */
  readonly pass: () => Promise<number | undefined>;
  /** Reports the failure; answers when to try again where that is not soon. */
  readonly failed: (error: unknown) => number | undefined;
}

export class Pulse {
  readonly #options: PulseOptions;
  #started = false;
  #running: Promise<void> | undefined;
  /** After a failure: news waits until the alarm. */
  #isResting = false;
  #again = false;
  #alarm: { readonly atMs: number; readonly cancel: () => void } | undefined;

  constructor(options: PulseOptions) {
    this.#options = options;
  }

  start(): void {
    this.#started = true;
    this.wake();
  }

  /** No pass begins any more; the one under way goes on (see `underWay`). */
  stop(): void {
    this.#started = false;
    this.#alarm?.cancel();
    this.#alarm = undefined;
  }

  /** The pass under way; it never rejects. */
  get underWay(): Promise<void> | undefined {
    return this.#running;
  }

  /** There is news. During a pass: another one follows. Cheap. */
  wake(): void {
    if (!this.#started) return;
    if (this.#isResting) return;
    if (this.#running !== undefined) {
      this.#again = true;
      return;
    }
    // In a turn of its own: news that the pass itself brings finds it under way.
    this.#running = Promise.resolve().then(() => this.#run());
  }

  async #run(): Promise<void> {
    const { clock, failed, pass } = this.#options;
    let nextMs: number | undefined;
    let succeeded = true;
    try {
      nextMs = await pass();
    } catch (error) {
      succeeded = false;
      nextMs = failed(error) ?? clock.now() + ERROR_PAUSE_MS;
      this.#isResting = this.#started;
    }
    this.#running = undefined;
    const again = this.#again && succeeded;
    this.#again = false;
    if (again) this.wake();
    else if (nextMs !== undefined) this.#wakeAt(nextMs);
  }

  /** The earliest of what was asked for. */
  #wakeAt(atMs: number): void {
    if (!this.#started || atMs >= (this.#alarm?.atMs ?? Number.POSITIVE_INFINITY)) return;
    this.#alarm?.cancel();
    const { clock } = this.#options;
    const cancel = clock.after(Math.max(0, atMs - clock.now()), () => {
      this.#alarm = undefined;
      this.#isResting = false;
      this.wake();
    });
    this.#alarm = { atMs, cancel };
  }
}
