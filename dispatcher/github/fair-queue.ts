interface Place<T> {
  readonly item: T;
  readonly line: string;
  /** One of each line before the second of any. */
  readonly round: number;
}

/**
 * A queue in which lines take turns: however many of one line wait, the first of another is behind two of them at most.
 * Within a line the order is that of their coming.
 */
export class FairQueue<T> {
  #places: Place<T>[] = [];
  /** A line's next place is in the round after this one. Lines that fell behind the present round are not in it. */
  readonly #rounds = new Map<string, number>();
  /** Of the last one that was served. */
  #round = 0;

  get length(): number {
    return this.#places.length;
  }

  /** In the order of their turns. */
  items(): readonly T[] {
    return this.#places.map(({ item }) => item);
  }

  includes(item: T): boolean {
    return this.#places.some((place) => place.item === item);
  }

  add(item: T, line: string): void {
    const round = this.#nextOf(line);
    const behind = this.#places.findLastIndex((place) => place.round <= round);
    this.#places.splice(behind + 1, 0, { item, line, round });
    this.#rounds.set(line, round);
  }

  /** It has had its turn. */
  serve(item: T): void {
    const index = this.#indexOf(item);
    const [place] = index === -1 ? [] : this.#places.splice(index, 1);
    if (place === undefined) return;
    this.#round = Math.max(this.#round, place.round);
    for (const [line, round] of this.#rounds) if (round < this.#round) this.#rounds.delete(line);
  }

  /** It waits no more: those behind it in its line move up, and the line has one turn less. */
  leave(item: T): void {
    let index = this.#indexOf(item);
    const line = this.#places[index]?.line;
    for (let later = index + 1; later < this.#places.length; later += 1) {
      const [place, next] = [this.#places[index], this.#places[later]];
      if (place === undefined || next === undefined || next.line !== line) continue;
      this.#places[index] = { ...place, item: next.item };
      index = later;
    }
    this.#remove(index);
  }

  /** Removes the last, for a new one of `line`, unless that would be behind it. Without `line`, for one of another queue. */
  giveWay(line?: string): T | undefined {
    const last = this.#places.at(-1);
    if (last === undefined || (line !== undefined && last.round <= this.#nextOf(line))) return undefined;
    this.#remove(this.#places.length - 1);
    return last.item;
  }

  #nextOf(line: string): number {
    return Math.max(this.#round, (this.#rounds.get(line) ?? -1) + 1);
  }

  #indexOf(item: T): number {
    return this.#places.findIndex((place) => place.item === item);
  }

  /** The last place of its line. */
  #remove(index: number): void {
    const [place] = index === -1 ? [] : this.#places.splice(index, 1);
    if (place !== undefined) this.#rounds.set(place.line, place.round - 1);
  }
}
