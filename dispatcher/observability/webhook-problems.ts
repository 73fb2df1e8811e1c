/** Deliveries with a wrong signature, or none, as problems of the registrations that depend on the endpoint. */

import { timeOfDay } from '../../time/time-of-day.ts';
import { placesIn } from '../admission/territory.ts';
import type { WronglySigned } from '../intake/wrong-signatures.ts';
import type { Registration } from '../model/registration.ts';
import type { RegistrationProblem } from './problems.ts';

export function webhookProblems(
  registration: Pick<Registration, 'name' | 'host' | 'claim' | 'webhookSecrets'>,
  wronglySigned: readonly WronglySigned[],
): readonly RegistrationProblem[] {
  return wronglySigned.filter(({ source }) => dependsOn(registration, source)).map(problemOf);
}

/** Of the platform, whose endpoint it is. */
export function sharedWebhookProblems(wronglySigned: readonly WronglySigned[]): readonly RegistrationProblem[] {
  return wronglySigned.map(problemOf);
}

/** On the shared endpoint only where it has none of its own. */
function dependsOn(
  { name, host, claim, webhookSecrets }: Parameters<typeof webhookProblems>[0],
  source: WronglySigned['source'],
): boolean {
  if (source.registration !== null) return source.registration === name;
  if (webhookSecrets.length > 0 || source.host !== host.toLowerCase()) return false;
  return placesIn(claim).some((place) => {
    const [owner = '', repository = '*'] = place.split('/');
    return source.mayReport(owner, repository);
  });
}

function problemOf({ source, count, sinceMs, fault }: WronglySigned): RegistrationProblem {
  const what = count === 1 ? '1 delivery' : `${count} deliveries`;
  const have = count === 1 ? 'has' : 'have';
  const isShared = source.registration === null;
  const words =
    fault === 'missing'
      ? `no signature: set ${isShared ? 'a secret of webhooks in dispatcher.yaml' : 'webhook.secrets'} as the secret of GitHub's webhook`
      : `a wrong signature: compare the secret at GitHub's webhook with ${isShared ? 'webhooks of dispatcher.yaml' : 'webhook.secrets'}`;
  return {
    kind: 'webhook',
    about: `/webhooks/github${isShared ? ` (${source.endpoint})` : `/${source.registration}`}`,
    message: `${what} since ${timeOfDay(sinceMs)} ${have} ${words}, unless the requests come from somewhere else`,
    sinceMs,
  };
}
