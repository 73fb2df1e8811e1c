/** Free addresses in the networks of backends: asked of their services when somebody wants to know, at most once a minute each. */
import type { NetworkRoom, Provider } from '../../providers/provider.ts';
import type { Clock } from '../../time/clock.ts';
import { withDeadline } from '../../time/deadline.ts';
import { MINUTE, SECOND } from '../../time/units.ts';

/** Whoever asks waits for no service longer than this. */
const WITHIN_MS = 5 * SECOND;
const MAX_KEPT = 10_000;

export interface NetworkRoomsOptions {
  readonly clock: Pick<Clock, 'after' | 'now'>;
  readonly provider: (registration: string, backend: string) => Promise<Pick<Provider, 'freeAddresses'> | undefined>;
}

export class NetworkRooms {
  readonly #options: NetworkRoomsOptions;
  readonly #kept = new Map<
    string,
    { readonly atMs: number; readonly rooms: Promise<readonly NetworkRoom[] | undefined> }
  >();

  constructor(options: NetworkRoomsOptions) {
    this.#options = options;
  }

  /** Undefined: it is not known. Does not reject. */
  of(registration: string, backend: string): Promise<readonly NetworkRoom[] | undefined> {
    const key = `${registration}/${backend}`;
    const now = this.#options.clock.now();
    const known = this.#kept.get(key);
    if (known !== undefined && now - known.atMs < MINUTE) return known.rooms;
    if (this.#kept.size >= MAX_KEPT) this.#kept.clear();
    const rooms = this.#ask(registration, backend).catch(() => undefined);
    this.#kept.set(key, { atMs: now, rooms });
    return rooms;
  }

  #ask(registration: string, backend: string): Promise<readonly NetworkRoom[] | undefined> {
    const { clock, provider } = this.#options;
    return withDeadline(
      clock,
      WITHIN_MS,
      () => new Error('it took too long'),
      undefined,
      async () => (await provider(registration, backend))?.freeAddresses?.(),
    );
  }
}
