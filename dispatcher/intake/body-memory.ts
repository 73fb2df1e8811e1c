/** The memory for bodies being received. When it runs out, the oldest unfinished one gives way. */
import type { Allowance } from './body.ts';

export interface Unfinished {
  /** Is answered, leaves the memory (`delete`) and returns what it reserved. */
  giveWay(): void;
}

export class BodyMemory {
  readonly #maxBytes: number;
  /** Oldest first. */
  readonly #unfinished = new Set<Unfinished>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  add(body: Unfinished): void {
    this.#unfinished.add(body);
  }

  /** It is complete or over: it gives way no more. Its bytes are returned through its allowance. */
  delete(body: Unfinished): void {
    this.#unfinished.delete(body);
  }

  allowanceOf(body: () => Unfinished): Allowance {
    return {
      reserve: (bytes) => {
        // The requester may be the oldest itself: then it gave way, and its memory is free.
        if (!this.#fits(bytes) && !(this.#makeRoom(bytes) && this.#unfinished.has(body()))) return false;
        this.#bytes += bytes;
        return true;
      },
      release: (bytes) => {
        this.#bytes -= bytes;
      },
    };
  }

  #fits(bytes: number): boolean {
    return this.#bytes + bytes <= this.#maxBytes;
  }

  #makeRoom(bytes: number): boolean {
    for (const oldest of this.#unfinished) {
      if (this.#fits(bytes)) return true;
      oldest.giveWay();
    }
    return this.#fits(bytes);
  }
}
