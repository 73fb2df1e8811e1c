/** Compares each registration's instances and runners with the ledger when it is due. */
import { defectFailure, placedWords } from '../failures/failure.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Board } from './board.ts';
import type { EngineOptions, Tenant } from './ports.ts';
import {
  claimScopes,
  type GithubSweepOptions,
  type InstanceSweepOptions,
  sweepGithub,
  sweepInstances,
} from './sweep.ts';
import type { SweepSchedule } from './sweep-schedule.ts';
import type { SweepTroubles } from './sweep-troubles.ts';

export interface SweepLoopOptions
  extends InstanceSweepOptions,
    GithubSweepOptions,
    Pick<EngineOptions, 'clock' | 'tenants'> {
  readonly ledger: InstanceSweepOptions['ledger'] & GithubSweepOptions['ledger'] & Pick<Ledger, 'scopesWithRunners'>;
  readonly board: Board;
  readonly schedule: SweepSchedule;
  readonly troubles: SweepTroubles;
}

export class SweepLoop {
  readonly #options: SweepLoopOptions;
  /** Registrations whose last turn asked nobody: they only observe, and have no runner. */
  readonly #spared = new Set<string>();
  /** By registration. */
  readonly #sweeps = new Map<string, Promise<void>>();

  constructor(options: SweepLoopOptions) {
    this.#options = options;
  }

  /** They never reject. */
  get underWay(): Iterable<Promise<void>> {
    return this.#sweeps.values();
  }

  /** Its backends have not been listed, since it only observed. */
  wasSpared(registration: string): boolean {
    return this.#spared.has(registration);
  }

  forget(registration: string): void {
    this.#spared.delete(registration);
  }

  /** Starts the sweeps whose turn it is. */
  run(): void {
    for (const name of this.#options.schedule.take()) this.#sweeps.set(name, this.#sweep(name));
  }

  /** Never rejects. */
  async #sweep(name: string): Promise<void> {
    const { board, clock, context, ledger, schedule, tenants, troubles } = this.#options;
    const tenant = tenants.get(name);
    let failures: readonly string[] = ['the sweep broke: see the log'];
    try {
      if (tenant !== undefined && (await this.#isSpared(tenant))) failures = [];
      else if (tenant !== undefined) {
        const listed = await sweepInstances(this.#options, tenant);
        failures = listed.unlisted.map(({ failure }) => placedWords(failure));
        troubles.record(name, 'backend', listed.failures);
        const withRunners = await ledger.scopesWithRunners(name);
        const asksGithub = tenant.registration.observe !== true || withRunners.length > 0;
        if (asksGithub && schedule.includesGithub(name) && context.working()) {
          const scopes = new Set([...board.scopes(name), ...withRunners, ...claimScopes(tenant)]);
          troubles.record(name, 'scope', (await sweepGithub(this.#options, tenant, scopes)).failures);
        }
      }
      context.states.well('sweep-broken', { registration: name });
    } catch (error) {
      if (!context.ledgerFailed(error)) {
        context.states.failed('sweep-broken', { registration: name }, defectFailure(error, clock.now()), { error });
      }
    } finally {
      this.#sweeps.delete(name);
      schedule.finish(name, failures);
      context.wake();
    }
  }

  /**
   * Of one that only observes, what was launched before is swept to its end. With a ledger that may have been lost that is
   * known only once its backends have been listed.
   */
  async #isSpared({ registration: { name, observe } }: Tenant): Promise<boolean> {
    const { backends, ledger } = this.#options;
    const spared =
      observe === true && !backends.isForgotten(name) && (await ledger.scopesWithRunners(name)).length === 0;
    if (spared) this.#spared.add(name);
    else this.#spared.delete(name);
    return spared;
  }
}
