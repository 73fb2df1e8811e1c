/**
 * Deliveries that were answered for good although nothing of them is recorded: to send them again would bring the same
 * answer. In memory: after a restart each costs one redelivery at most.
 */

/** Of one endpoint; the configuration bounds their number. Whoever holds its secret can only push out its own. */
const MOST_OF_ENDPOINT = 5_000;

export class AnsweredDeliveries {
  readonly #guids = new Map<string, Set<string>>();

  note(endpoint: string, guid: string): void {
    const guids = this.#guids.get(endpoint) ?? new Set();
    this.#guids.set(endpoint, guids);
    guids.add(guid);
    if (guids.size <= MOST_OF_ENDPOINT) return;
    const [oldest] = guids;
    if (oldest !== undefined) guids.delete(oldest);
  }

  has(endpoint: string, guid: string): boolean {
    return this.#guids.get(endpoint)?.has(guid) === true;
  }
}
