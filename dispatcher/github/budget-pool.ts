/** The budgets of all credentials. Registrations that share a credential share its budget. */
import type { Clock } from '../../time/clock.ts';
import { Budget, type BudgetLevel, type BudgetLimits, githubLimits, RegistrationWindows } from './budget.ts';
import { BudgetGate } from './budget-gate.ts';

export interface BudgetSnapshot extends BudgetLevel {
  /** Identifies the credential without revealing it: `app 123 for acme at api.github.com`, `token 1f9a0c3d at …`. */
  readonly credential: string;
  readonly waiting: number;
}

export class BudgetPool {
  readonly #clock: Clock;
  readonly #limits: BudgetLimits;
  readonly #gates = new Map<string, BudgetGate>();
  readonly #registrations = new Map<string, RegistrationWindows>();

  constructor(clock: Clock, limits: Partial<BudgetLimits> = {}) {
    this.#clock = clock;
    this.#limits = { ...githubLimits, ...limits };
  }

  /** `credential`: not secret, unique per credential and API; bounded by the configuration. */
  gate(credential: string, apiUrl: string): BudgetGate {
    let gate = this.#gates.get(credential);
    if (gate === undefined) {
      gate = new BudgetGate(new Budget(this.#limits, this.#registrationsAt(apiUrl)), this.#limits, this.#clock);
      this.#gates.set(credential, gate);
    }
    return gate;
  }

  /** For metrics and the admin API. */
  snapshot(): readonly BudgetSnapshot[] {
    return [...this.#gates].flatMap(([credential, gate]) =>
      gate.levels().map((level) => ({ credential, ...level, waiting: gate.waiting })),
    );
  }

  #registrationsAt(apiUrl: string): RegistrationWindows {
    let windows = this.#registrations.get(apiUrl);
    if (windows === undefined) {
      windows = new RegistrationWindows(this.#limits.registrationsPer5Minutes);
      this.#registrations.set(apiUrl, windows);
    }
    return windows;
  }
}
