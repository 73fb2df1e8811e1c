import { generateKeyPairSync } from 'node:crypto';
import { expect } from 'chai';
import type { GithubErrorKind } from '../../dispatcher/failures/failure.ts';
import type { BudgetLimits } from '../../dispatcher/github/budget.ts';
import { BudgetPool } from '../../dispatcher/github/budget-pool.ts';
import { createGithub } from '../../dispatcher/github/client.ts';
import { GithubError } from '../../dispatcher/github/github.ts';
import { GithubTimes } from '../../dispatcher/github/github-time.ts';
import type { GithubScope } from '../../dispatcher/jobs/scope.ts';
import { type Claim, type Credentials, type Grant, Secret } from '../../dispatcher/model/registration.ts';
import { VirtualClock } from './virtual-clock.ts';

export const TOKEN = 'ghp_thisIsTheSecretOfTheTest0123456789abc';
export const acme: GithubScope = { kind: 'organization', organization: 'acme' };
export const appKey = generateKeyPairSync('rsa', { modulusLength: 2048 });

export function appCredentials(appId = '12345'): Credentials {
  const pem = appKey.privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();
  return { kind: 'app', appId, privateKey: new Secret(pem) };
}

export interface ClientOptions {
  readonly claim?: Claim;
  readonly credentials?: Credentials;
  readonly limits?: Partial<BudgetLimits>;
  readonly only?: readonly string[];
  readonly clock?: VirtualClock;
  readonly budgets?: BudgetPool;
  readonly grant?: Grant;
  readonly times?: GithubTimes;
  readonly onAuthorized?: (owner: string, startedAtMs: number) => void;
}

/** A client with a token, for the organization acme, on a virtual clock. */
export function clientOf(apiUrl: string, options: ClientOptions = {}) {
  const clock = options.clock ?? new VirtualClock();
  const budgets = options.budgets ?? new BudgetPool(clock, options.limits);
  const times = options.times ?? new GithubTimes({ clock });
  const github = createGithub({
    registration: {
      name: 'acme',
      ...(options.grant === undefined ? {} : { grant: options.grant }),
      host: 'github.com',
      apiUrl,
      claim: options.claim ?? { kind: 'organization', organization: 'acme' },
      credentials: options.credentials ?? { kind: 'token', token: new Secret(TOKEN) },
      poll: { intervalMs: null, repositories: options.only ?? [] },
    },
    budgets,
    times,
    clock,
    random: () => 0.5,
    onAuthorized: options.onAuthorized,
  });
  return { github, clock, budgets, times };
}

/** The GithubError that the work ends with; anything else fails the test. */
export async function failureOf(work: Promise<unknown>, kind: GithubErrorKind): Promise<GithubError> {
  let outcome: unknown;
  try {
    await work;
  } catch (error) {
    outcome = error;
  }
  if (!(outcome instanceof GithubError)) throw new Error(`expected a GithubError, got ${String(outcome)}`);
  expect(outcome.kind, outcome.message).to.equal(kind);
  return outcome;
}

export function runnerReply(id: number, name: string, more: Readonly<Record<string, unknown>> = {}) {
  return {
    id,
    name,
    os: 'linux',
    status: 'online',
    busy: false,
    labels: [{ id: 1, name: 'acme-runner', type: 'custom' }],
    ...more,
  };
}
