/** One at a time, in the order of asking: what counts runners and then adds one must not interleave. */
export class Lock {
  #tail: Promise<unknown> = Promise.resolve();

  hold<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(work);
    this.#tail = result.catch(() => undefined);
    return result;
  }
}
