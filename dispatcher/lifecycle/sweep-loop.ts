/** Compares each registration's instances and runners with the ledger when it is due. */
import { defectFailure, placedWords } from '../failures/failure.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Backends } from './backends.ts';
import type { Board } from './board.ts';
import type { GithubView } from './github-view.ts';
import type { InstanceView } from './instance-view.ts';
import type { OtherDispatchers } from './other-dispatchers.ts';
import type { EngineOptions } from './ports.ts';
import type { RunnerContext } from './runner-context.ts';
import { claimScopes, sweepGithub, sweepInstances } from './sweep.ts';
import type { SweepSchedule } from './sweep-schedule.ts';
import type { SweepTroubles } from './sweep-troubles.ts';

export interface SweepLoopOptions extends Pick<EngineOptions, 'clock' | 'tenants'> {
  readonly context: RunnerContext;
  readonly ledger: Pick<Ledger, 'scopesWithRunners'>;
  readonly board: Board;
  readonly backends: Backends;
  readonly instances: InstanceView;
  readonly view: GithubView;
  readonly others: OtherDispatchers;
  readonly schedule: SweepSchedule;
  readonly troubles: SweepTroubles;
}

export class SweepLoop {
  readonly #options: SweepLoopOptions;
  /** By registration. */
  readonly #sweeps = new Map<string, Promise<void>>();

  constructor(options: SweepLoopOptions) {
    this.#options = options;
  }

  /** They never reject. */
  get underWay(): Iterable<Promise<void>> {
    return this.#sweeps.values();
  }

  /** Starts the sweeps whose turn it is. */
  run(): void {
    for (const name of this.#options.schedule.take()) this.#sweeps.set(name, this.#sweep(name));
  }

  /** Never rejects. */
  async #sweep(name: string): Promise<void> {
    const { backends, board, clock, context, instances, ledger } = this.#options;
    const { others, schedule, tenants, troubles, view } = this.#options;
    const tenant = tenants.get(name);
    let failures: readonly string[] = ['the sweep broke: see the log'];
    try {
      if (tenant !== undefined) {
        const listed = await sweepInstances(context, tenant, backends, instances, others);
        failures = listed.failures.map(({ failure }) => placedWords(failure));
        troubles.record(name, 'backend', listed.failures);
        if (schedule.withGithub(name) && context.working()) {
          const withRunners = await ledger.scopesWithRunners(name);
          const scopes = new Set([...board.scopes(name), ...withRunners, ...claimScopes(tenant)]);
          troubles.record(name, 'scope', (await sweepGithub(context, tenant, view, scopes)).failures);
        }
      }
      context.states.well('sweep-broken', { registration: name });
    } catch (error) {
      if (!context.ledgerFailed(error)) {
        context.states.failed('sweep-broken', { registration: name }, defectFailure(error, clock.now()), { error });
      }
    } finally {
      this.#sweeps.delete(name);
      schedule.done(name, failures);
      context.wake();
    }
  }
}
