// Not async-mutex: these are the five lines of it that are used.

/** A mutex, first come, first served: counting runners and then adding one must not interleave. */
export class Lock {
  #tail: Promise<unknown> = Promise.resolve();

  /**
   * Runs `work` once everything that was held before has settled. Settles as `work` does; a failure does not block the
   * next.
   */
  hold<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(work);
    this.#tail = result.catch(() => undefined);
    return result;
  }
}
