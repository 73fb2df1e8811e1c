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
  /** The last round that each line has a place in, or had. Of lines that fell behind the present round there is none. */
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
    const place = this.#take(item);
    if (place === undefined) return;
    this.#round = Math.max(this.#round, place.round);
    for (const [line, round] of this.#rounds) if (round < this.#round) this.#rounds.delete(line);
  }

  /** It waits no more. */
  leave(item: T): void {
    this.#take(item);
  }

  /** Removes the last, for a new one of `line`, unless that would be behind it. Without `line`, for one of another queue. */
  giveWay(line?: string): T | undefined {
    const last = this.#places.at(-1);
    if (last === undefined || (line !== undefined && last.round <= this.#nextOf(line))) return undefined;
    this.#places.pop();
    this.#rounds.set(last.line, last.round - 1);
    return last.item;
  }

  #nextOf(line: string): number {
    return Math.max(this.#round, (this.#rounds.get(line) ?? -1) + 1);
  }

  #take(item: T): Place<T> | undefined {
    const index = this.#places.findIndex((place) => place.item === item);
    return index === -1 ? undefined : this.#places.splice(index, 1)[0];
  }
}
