/** Faults that are activated from outside: until they are ended, or for a number of calls. */

interface Switched {
  readonly kind: string;
  readonly times?: number | undefined;
}

export class Switchboard<Fault extends Switched> {
  #active: { readonly fault: Fault; left: number }[] = [];

  /** The returned function ends it. */
  add(fault: Fault): () => void {
    const entry = { fault, left: fault.times ?? Number.POSITIVE_INFINITY };
    this.#active.push(entry);
    return () => {
      this.#active = this.#active.filter((other) => other !== entry);
    };
  }

  clear(): void {
    this.#active = [];
  }

  /** The first fault of this kind that applies to this call, which is counted. */
  take<Kind extends Fault['kind']>(
    kind: Kind,
    concerns: (fault: Fault) => boolean,
  ): Extract<Fault, { kind: Kind }> | undefined {
    for (const entry of this.#active) {
      const { fault } = entry;
      if (!isKind(fault, kind) || entry.left <= 0 || !concerns(fault)) continue;
      entry.left -= 1;
      return fault;
    }
    return undefined;
  }
}

function isKind<Fault extends Switched, Kind extends Fault['kind']>(
  fault: Fault,
  kind: Kind,
): fault is Extract<Fault, { kind: Kind }> {
  return fault.kind === kind;
}
