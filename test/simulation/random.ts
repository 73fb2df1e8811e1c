/**
 * Seeded randomness. Each part of the world draws from a stream of its own, named and derived from the seed: a further
 * draw in one part does not shift the luck of another.
 */
import type { Random } from '../../time/clock.ts';

/** FNV-1a: spreads a name over 32 bits. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    hash ^= text.charCodeAt(index);
    hash = Math.imul(hash, 0x01000193);
  }
  return hash >>> 0;
}

/** Weyl sequence through an avalanche of two multiplications (the "splitmix" construction, 32 bits). */
function generator(start: number): Random {
  let state = start >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let word = state;
    word = Math.imul(word ^ (word >>> 16), 0x21f0aaad);
    word = Math.imul(word ^ (word >>> 15), 0x735a2d97);
    return ((word ^ (word >>> 15)) >>> 0) / 0x1_0000_0000;
  };
}

export class Stream {
  readonly next: Random;

  constructor(seed: number, name: string) {
    this.next = generator(hashOf(`${seed}:${name}`));
  }

  /** From `low` up to, and not including, `high`. */
  between(low: number, high: number): number {
    return low + (high - low) * this.next();
  }

  /** A whole number from `low` to `high`, both possible. */
  whole(low: number, high: number): number {
    return Math.floor(this.between(low, high + 1));
  }

  /** From `low` to `high`, each order of magnitude as likely as the other. */
  magnitude(low: number, high: number): number {
    return Math.exp(this.between(Math.log(low), Math.log(high)));
  }

  chance(share: number): boolean {
    return this.next() < share;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[Math.floor(this.next() * items.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }
}

export type Streams = (name: string) => Stream;

/** Asked twice for one name, it gives the same stream, not a second one with the same draws. */
export function streamsOf(seed: number): Streams {
  const known = new Map<string, Stream>();
  return (name) => {
    const stream = known.get(name) ?? new Stream(seed, name);
    known.set(name, stream);
    return stream;
  };
}
