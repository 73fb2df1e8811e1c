/**
 * Which endpoints get deliveries with a wrong signature, or none. Anyone can send them: they are counted in memory, one entry
 * for each endpoint of the configuration, and prove nothing.
 */
import type { Clock } from '../../time/clock.ts';
import { MINUTE } from '../../time/units.ts';
import type { WebhookSource } from './endpoints.ts';

/** So soon after a right signature, a wrong one has another sender: the problem must not come and go with both. */
const TRUSTED_MS = MINUTE;
/** Where no delivery comes any more, none will clear it. */
const FORGOTTEN_MS = 24 * 60 * MINUTE;

export interface WronglySigned {
  readonly source: WebhookSource;
  readonly sinceMs: number;
  readonly lastMs: number;
  readonly count: number;
  /** Of the last one: `missing` where the webhook at GitHub has no secret. */
  readonly fault: 'mismatch' | 'missing';
}

export class WrongSignatures {
  readonly #clock: Pick<Clock, 'now'>;
  /** By registration: thousands may have endpoints of their own, and each looks only at its own. */
  readonly #own = new Map<string, WronglySigned>();
  /** Of the shared endpoint, by `endpoint`. */
  readonly #shared = new Map<string, WronglySigned>();
  readonly #rightAtMs = new Map<string, number>();

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  /** No secret of these matched, or there was no signature to compare. An endpoint may be among them more than once, with several secrets. */
  wrong(sources: readonly WebhookSource[], fault: WronglySigned['fault']): void {
    const now = this.#clock.now();
    for (const source of new Map(sources.map((one) => [one.endpoint, one])).values()) {
      const rightAtMs = this.#rightAtMs.get(source.endpoint);
      if (rightAtMs !== undefined && now - rightAtMs < TRUSTED_MS) continue;
      const [wrong, key] = this.#placeOf(source);
      const known = wrong.get(key);
      const before = known !== undefined && lasts(known, now) ? known : undefined;
      wrong.set(key, {
        source,
        sinceMs: before?.sinceMs ?? now,
        lastMs: now,
        count: (before?.count ?? 0) + 1,
        fault,
      });
    }
  }

  right(source: WebhookSource): void {
    this.#rightAtMs.set(source.endpoint, this.#clock.now());
    const [wrong, key] = this.#placeOf(source);
    wrong.delete(key);
  }

  /** Of the registration's own endpoint and of the shared one. */
  current(registration: string): readonly WronglySigned[] {
    const now = this.#clock.now();
    const own = this.#own.get(registration);
    return [...(own === undefined ? [] : [own]), ...this.#shared.values()].filter((one) => lasts(one, now));
  }

  /** Of the shared endpoint, for the platform: no registration may depend on it, and it is wrong all the same. */
  shared(): readonly WronglySigned[] {
    const now = this.#clock.now();
    return [...this.#shared.values()].filter((one) => lasts(one, now));
  }

  #placeOf({ endpoint, registration }: WebhookSource): [wrong: Map<string, WronglySigned>, key: string] {
    return registration === null ? [this.#shared, endpoint] : [this.#own, registration];
  }
}

function lasts({ lastMs }: WronglySigned, nowMs: number): boolean {
  return nowMs - lastMs < FORGOTTEN_MS;
}
