import type { ClockSkew } from '../github/github-time.ts';
import type { PollProblem } from '../intake/poller.ts';
import type { WronglySigned } from '../intake/wrong-signatures.ts';
import type { Engine } from '../lifecycle/engine.ts';
import { formatProblem } from '../model/problem.ts';
import type { Configuration, Registration } from '../model/registration.ts';
import type { OldVersion } from '../versions/runner-versions.ts';
import { keptWords, problemsOf, type RegistrationProblem } from './problems.ts';
import { webhookProblems } from './webhook-problems.ts';

export interface RegistrationProblemsOptions {
  readonly configuration: () => Pick<Configuration, 'registrations' | 'conflicts' | 'kept' | 'doubles'>;
  readonly engine: Pick<
    Engine,
    'canary' | 'sweepTroubles' | 'resting' | 'otherDispatchers' | 'ledgerClosed' | 'silentImages'
  >;
  readonly pollProblems: (registration: string) => readonly PollProblem[];
  readonly wronglySigned: (registration: string) => readonly WronglySigned[];
  readonly oldVersion?: (registration: string) => OldVersion | undefined;
  /** Why the defaults of its organization could not be read. */
  readonly organization?: (registration: string) => { readonly message: string; readonly sinceMs: number } | undefined;
  /** Where runners are told to call. */
  readonly callbackUrl?: string;
  readonly skewOf: (apiUrl: string) => ClockSkew | undefined;
}

/** What is wrong with a registration at present, collected from everyone who knows a part of it. */
export class RegistrationProblems {
  readonly #options: RegistrationProblemsOptions;
  #of: readonly Registration[] = [];
  #registrations: ReadonlyMap<string, Registration> = new Map();

  constructor(options: RegistrationProblemsOptions) {
    this.#options = options;
  }

  /** Without its closed backends, which only the ledger knows: see `breakerProblems`. */
  of(registration: string): readonly RegistrationProblem[] {
    const { engine, pollProblems, skewOf, wronglySigned } = this.#options;
    const found = this.#found(registration);
    return problemsOf({
      webhook: found === undefined ? [] : webhookProblems(found, wronglySigned(registration)),
      configuration: [
        ...this.#keptOf(registration),
        ...this.#conflictsOf(registration),
        ...this.#doublesOf(registration),
      ],
      poll: pollProblems(registration),
      sweep: engine.sweepTroubles(registration),
      resting: engine.resting(registration),
      others: engine.otherDispatchers().filter((other) => other.registration === registration),
      ledger: engine.ledgerClosed(),
      silent: engine.silentImages(registration),
      canary: { registration, state: engine.canary(registration) },
      callbackUrl: this.#options.callbackUrl ?? '',
      oldVersion: this.#options.oldVersion?.(registration),
      organization: this.#options.organization?.(registration),
      skew: found === undefined ? undefined : skewOf(found.apiUrl),
    });
  }

  #found(name: string): Registration | undefined {
    const { registrations } = this.#options.configuration();
    if (registrations !== this.#of) this.#registrations = new Map(registrations.map((one) => [one.name, one]));
    this.#of = registrations;
    return this.#registrations.get(name);
  }

  #keptOf(registration: string): readonly string[] {
    const kept = this.#options.configuration().kept?.find(({ name }) => name === registration);
    return kept === undefined ? [] : keptWords(kept.problems);
  }

  #doublesOf(registration: string): readonly string[] {
    const { doubles = [] } = this.#options.configuration();
    return doubles.filter(({ name }) => name === registration).map(({ problem }) => formatProblem(problem));
  }

  #conflictsOf(registration: string): readonly string[] {
    return this.#options
      .configuration()
      .conflicts.filter(({ registrations }) => registrations.includes(registration))
      .map(({ problem }) => formatProblem(problem));
  }
}
