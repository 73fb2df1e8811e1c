/** Registrations that are no longer in force, until their runners are gone. */
import type { Clock } from '../../time/clock.ts';
import { SECOND } from '../../time/units.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { LedgerError } from '../ledger/ledger.ts';
import type { Log } from '../log.ts';

/** A launch that was planned before the change has its row in the ledger long before the first look. */
const LOOK_MS = 10 * SECOND;

export interface DeparturesOptions {
  readonly clock: Pick<Clock, 'after'>;
  readonly ledger: Pick<Ledger, 'registrationsWithRunners'>;
  readonly log: Pick<Log, 'info'>;
  readonly tenants: {
    readonly isWaiting: boolean;
    forget(hasRunners: (registration: string) => boolean): readonly string[];
  };
  readonly onGone: (registrations: readonly string[]) => void;
}

export class Departures {
  readonly #options: DeparturesOptions;
  #cancel: (() => void) | undefined;
  #stopped = false;

  constructor(options: DeparturesOptions) {
    this.#options = options;
  }

  /** Something may have begun to leave. */
  look(): void {
    const { clock, tenants } = this.#options;
    if (this.#stopped || !tenants.isWaiting) return;
    this.#cancel ??= clock.after(LOOK_MS, () => void this.#look());
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  async #look(): Promise<void> {
    const { ledger, log, onGone, tenants } = this.#options;
    try {
      const live = new Set(await ledger.registrationsWithRunners());
      this.#cancel = undefined;
      if (this.#stopped) return;
      const gone = tenants.forget((name) => live.has(name));
      for (const registration of gone) {
        log.info('registration-gone', { registration, reason: 'its last runner is gone' });
      }
      if (gone.length > 0) onGone(gone);
    } catch (error) {
      this.#cancel = undefined;
      // The ledger says so itself; later it may be readable again.
      if (!(error instanceof LedgerError)) throw error;
    }
    this.look();
  }
}
