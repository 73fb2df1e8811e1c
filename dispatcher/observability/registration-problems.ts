import type { ClockSkew } from '../github/github-time.ts';
import type { PollProblem } from '../intake/poller.ts';
import type { Engine } from '../lifecycle/engine.ts';
import { formatProblem } from '../model/problem.ts';
import type { Configuration } from '../model/registration.ts';
import { problemsOf, type RegistrationProblem } from './problems.ts';

export interface RegistrationProblemsOptions {
  readonly configuration: Pick<Configuration, 'registrations' | 'conflicts'>;
  readonly engine: Pick<Engine, 'sweepTroubles' | 'resting' | 'otherDispatchers' | 'ledgerClosed'>;
  readonly pollProblems: (registration: string) => readonly PollProblem[];
  readonly skewOf: (apiUrl: string) => ClockSkew | undefined;
}

/** What is wrong with a registration at present, collected from everyone who knows a part of it. */
export class RegistrationProblems {
  readonly #options: RegistrationProblemsOptions;
  readonly #apiUrls: ReadonlyMap<string, string>;

  constructor(options: RegistrationProblemsOptions) {
    this.#options = options;
    this.#apiUrls = new Map(options.configuration.registrations.map(({ name, apiUrl }) => [name, apiUrl]));
  }

  /** Without its closed backends, which only the ledger knows: see `breakerProblems`. */
  of(registration: string): readonly RegistrationProblem[] {
    const { engine, pollProblems, skewOf } = this.#options;
    const apiUrl = this.#apiUrls.get(registration);
    return problemsOf({
      configuration: this.#conflictsOf(registration),
      poll: pollProblems(registration),
      sweep: engine.sweepTroubles(registration),
      resting: engine.resting(registration),
      others: engine.otherDispatchers().filter((other) => other.registration === registration),
      ledger: engine.ledgerClosed(),
      skew: apiUrl === undefined ? undefined : skewOf(apiUrl),
    });
  }

  #conflictsOf(registration: string): readonly string[] {
    return this.#options.configuration.conflicts
      .filter(({ registrations }) => registrations.includes(registration))
      .map(({ problem }) => formatProblem(problem));
  }
}
