/** The memory shared by all bodies. */
export interface Allowance {
  /** False: there is not enough memory left, and the requester is the oldest body itself. */
  reserve(bytes: number): boolean;
  release(bytes: number): void;
}

/** Below this size a second copy does not matter: the connection itself costs more. */
const firstGrowthBytes = 1024;

/**
 * A body being received. Not `readBounded`, which may hold its limit for each sender: here all share one memory.
 * Reserves memory for what has arrived, at most twice as much, whatever length was announced.
 * Grows by doubling one buffer: a list of chunks would let a sender of one-byte chunks use a hundred of our bytes
 * for each of its own. A body that arrives in one chunk is not copied.
 */
export class KeptBody {
  readonly #allowance: Allowance;
  readonly #maxBytes: number;
  #bytes: Buffer = Buffer.alloc(0);
  #length = 0;
  #reserved = 0;

  constructor(allowance: Allowance, maxBytes: number) {
    this.#allowance = allowance;
    this.#maxBytes = maxBytes;
  }

  /** False: out of memory. The caller keeps within `maxBytes`. */
  append(chunk: Buffer): boolean {
    const needed = this.#length + chunk.length;
    if (needed > this.#bytes.length) {
      const first = this.#length === 0;
      const capacity = first
        ? needed
        : Math.max(needed, Math.min(this.#maxBytes, Math.max(firstGrowthBytes, needed * 2)));
      const more = capacity - this.#reserved;
      if (!this.#allowance.reserve(more)) return false;
      this.#reserved += more;
      if (first) {
        this.#bytes = chunk;
        this.#length = needed;
        return true;
      }
      const grown = Buffer.allocUnsafeSlow(capacity);
      this.#bytes.copy(grown, 0, 0, this.#length);
      this.#bytes = grown;
    }
    chunk.copy(this.#bytes, this.#length);
    this.#length = needed;
    return true;
  }

  content(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Returns the memory and discards the content. */
  free(): void {
    this.#allowance.release(this.#reserved);
    this.#reserved = 0;
    this.#length = 0;
    this.#bytes = Buffer.alloc(0);
  }
}
