/** The budgets of all credentials. Registrations that share a credential share its budget. */
import type { Clock } from '../../time/clock.ts';
import { Budget, type BudgetLevel, type BudgetLimits, githubLimits, RegistrationWindows } from './budget.ts';
import { BudgetGate } from './budget-gate.ts';

export interface BudgetSnapshot extends BudgetLevel {
  /** Identifies the credential without revealing it: `app 123 for acme at api.github.com`, `token 1f9a0c3d at …`. */
  readonly credential: string;
  readonly waiting: number;
}

export interface CredentialOfGate {
  /** As displayed; of an App and owner, or the beginning of a token's hash. Not secret. */
  readonly name: string;
  /**
   * A hash of its secret. Without it, a tenant that writes another's App id beside a key of its own would share that App's
   * budget, and GitHub's refusals of it would use it up.
   */
  readonly proof: string | undefined;
}

export class BudgetPool {
  readonly #clock: Clock;
  readonly #limits: BudgetLimits;
  /** By name and proof. */
  readonly #gates = new Map<string, { readonly credential: string; readonly gate: BudgetGate }>();
  readonly #names = new Set<string>();
  readonly #registrations = new Map<string, RegistrationWindows>();

  constructor(clock: Clock, limits: Partial<BudgetLimits> = {}) {
    this.#clock = clock;
    this.#limits = { ...githubLimits, ...limits };
  }

  /** As many as the configuration has credentials and APIs. */
  gate({ name, proof = '' }: CredentialOfGate, apiUrl: string): BudgetGate {
    const key = `${name} ${proof}`;
    const known = this.#gates.get(key);
    if (known !== undefined) return known.gate;
    const gate = new BudgetGate(new Budget(this.#limits, this.#registrationsAt(apiUrl)), this.#limits, this.#clock);
    const credential = this.#names.has(name) ? `${name} (key ${proof.slice(0, 12)})` : name;
    this.#names.add(name);
    this.#gates.set(key, { credential, gate });
    return gate;
  }

  /** For metrics and the admin API. */
  snapshot(): readonly BudgetSnapshot[] {
    return [...this.#gates.values()].flatMap(({ credential, gate }) =>
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
