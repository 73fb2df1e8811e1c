/**
 * Who may take the dispatcher's runners: what is reserved for a tenant or registration is kept from the others, and the
 * rest goes by weight. Pure.
 *
 * A reservation is of so many runners that exist: where its owner has fewer, the difference is kept free. What a tenant's
 * registrations reserve is part of the tenant's own. Where less is free than is kept, as after a reservation comes anew,
 * those below theirs share it: none of them waits for the others' to be filled.
 */

export interface Share {
  /** A tenant, or a registration of the platform. */
  readonly line: string;
  /** Absent: 1. */
  readonly weight?: number;
  readonly reserved: number;
  /** Of its registrations. */
  readonly registrations: ReadonlyMap<string, number>;
}

export class Shares {
  readonly #shares: ReadonlyMap<string, Share>;
  readonly #held: Map<string, number>;
  readonly #heldBy: Map<string, number>;
  #free: number;
  #kept = 0;

  /** `free`: how many more runners the dispatcher's cap leaves. `held`, `heldBy`: by tenant, and by registration. */
  constructor(
    shares: ReadonlyMap<string, Share>,
    free: number,
    held: ReadonlyMap<string, number>,
    heldBy: ReadonlyMap<string, number>,
  ) {
    this.#shares = shares;
    this.#held = new Map(held);
    this.#heldBy = new Map(heldBy);
    this.#free = free;
    for (const line of shares.keys()) this.#kept += this.#unmetOf(line);
  }

  /** How many are kept free for everybody but this registration of that tenant. */
  keptFrom(line: string, registration: string): number {
    return this.#kept - this.#ownOf(line, registration);
  }

  /** How many more runners it may have, as far as the dispatcher's cap and what is kept for others go. */
  roomOf(line: string, registration: string): number {
    const own = this.#ownOf(line, registration);
    return Math.max(this.#free - this.#kept + own, Math.min(this.#free, own));
  }

  /** The least is first: what is reserved before all, then the fewest runners for the weight. */
  rank(line: string): number {
    const { reserved = 0, weight = 1 } = this.#shares.get(line) ?? {};
    if (this.#unmetOf(line) > 0) return -1;
    return Math.max(0, (this.#held.get(line) ?? 0) - reserved) / weight;
  }

  /** It gets one. */
  take(line: string, registration: string): void {
    const before = this.#unmetOf(line);
    this.#free -= 1;
    this.#held.set(line, (this.#held.get(line) ?? 0) + 1);
    this.#heldBy.set(registration, (this.#heldBy.get(registration) ?? 0) + 1);
    this.#kept += this.#unmetOf(line) - before;
  }

  /** One of its runners ends. */
  giveBack(line: string, registration: string): void {
    const before = this.#unmetOf(line);
    this.#free += 1;
    this.#held.set(line, (this.#held.get(line) ?? 0) - 1);
    this.#heldBy.set(registration, (this.#heldBy.get(registration) ?? 0) - 1);
    this.#kept += this.#unmetOf(line) - before;
  }

  copy(): Shares {
    return new Shares(this.#shares, this.#free, this.#held, this.#heldBy);
  }

  /** What is kept free for it: of its tenant's, that which is not for the tenant's other registrations. */
  #ownOf(line: string, registration: string): number {
    const siblings = this.#shares.get(line)?.registrations ?? new Map<string, number>();
    let ofSiblings = 0;
    for (const [name, reserved] of siblings) if (name !== registration) ofSiblings += this.#unmet(name, reserved);
    return this.#unmetOf(line) - ofSiblings;
  }

  #unmetOf(line: string): number {
    const share = this.#shares.get(line);
    if (share === undefined) return 0;
    let ofRegistrations = 0;
    for (const [name, reserved] of share.registrations) ofRegistrations += this.#unmet(name, reserved);
    return Math.max(0, share.reserved - (this.#held.get(line) ?? 0), ofRegistrations);
  }

  #unmet(registration: string, reserved: number): number {
    return Math.max(0, reserved - (this.#heldBy.get(registration) ?? 0));
  }
}

/** What the configuration says of one registration. */
export interface ShareSource {
  readonly line: string;
  readonly registration: string;
  readonly reserved: number | undefined;
  /** What its tenant was granted; of a registration of the platform its own. */
  readonly ofLine: { readonly reserved: number | undefined; readonly weight: number | undefined };
}

/** Undefined: nobody has a reservation or weight, and each tenant gets one in turn. */
export function sharesOf(sources: Iterable<ShareSource>): ReadonlyMap<string, Share> | undefined {
  const shares = new Map<string, Share & { readonly registrations: Map<string, number> }>();
  for (const { line, registration, reserved, ofLine } of sources) {
    if (reserved === undefined && ofLine.reserved === undefined && ofLine.weight === undefined) continue;
    const share = shares.get(line) ?? {
      line,
      reserved: ofLine.reserved ?? 0,
      ...(ofLine.weight === undefined ? {} : { weight: ofLine.weight }),
      registrations: new Map<string, number>(),
    };
    if (reserved !== undefined) share.registrations.set(registration, reserved);
    shares.set(line, share);
  }
  return shares.size === 0 ? undefined : shares;
}
