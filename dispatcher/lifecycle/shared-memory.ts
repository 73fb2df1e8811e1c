/**
 * Values by key, with a limit per owner: an owner that exceeds it loses its oldest values, and other owners
 * lose none.
 */
export class SharedMemory<Value> {
  readonly #most: number;
  readonly #values = new Map<string, { readonly owner: string; readonly value: Value }>();
  /** By owner, oldest first. */
  readonly #keys = new Map<string, Set<string>>();

  /** `most`: of one owner. */
  constructor(most: number) {
    this.#most = most;
  }

  get(key: string): Value | undefined {
    return this.#values.get(key)?.value;
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  set(owner: string, key: string, value: Value): void {
    this.delete(key);
    const keys = this.#keys.get(owner) ?? new Set();
    const [oldest] = keys;
    if (oldest !== undefined && keys.size >= this.#most) this.delete(oldest);
    this.#keys.set(owner, keys.add(key));
    this.#values.set(key, { owner, value });
  }

  delete(key: string): void {
    const found = this.#values.get(key);
    if (found === undefined) return;
    this.#values.delete(key);
    const keys = this.#keys.get(found.owner);
    keys?.delete(key);
    if (keys?.size === 0) this.#keys.delete(found.owner);
  }

  *entries(): Generator<readonly [string, Value]> {
    for (const [key, { value }] of this.#values) yield [key, value];
  }
}
