/** How often a registration is polled, which depends on whether a webhook brings its jobs. */
import { type Claim, type Grant, ownersOf, type Registration } from '../model/registration.ts';
import type { Platform } from './dispatcher.ts';
import type { Reading } from './reading.ts';
import { splitRepository } from './registration-claim.ts';
import type { RegistrationContext } from './registration-context.ts';
import { durationMs, registrationFile } from './schema.ts';

const POLL_ALONE_MS = 30_000;
const POLL_BESIDE_WEBHOOK_MS = 5 * 60_000;
const MIN_POLL_MS = 1000;

const form = registrationFile.shape;

export function readPoll(
  reading: Reading,
  {
    host,
    webhook,
    claim,
    context: { platform, grant },
  }: {
    readonly host: string;
    readonly webhook: boolean;
    readonly claim: Claim | undefined;
    readonly context: RegistrationContext;
  },
): Registration['poll'] {
  const file = reading.section(['poll'], form.poll);
  const hasWebhook = webhook || (claim !== undefined && isCovered(host, claim, platform, grant));
  const repositories = file?.repositories ?? [];
  if (repositories.length > 0 && claim?.kind === 'repositories') {
    reading.problem(['poll', 'repositories'], 'the registration names its repositories already', 'Remove it here.');
  }
  const owners = claim === undefined ? [] : ownersOf(claim).map((owner) => owner.toLowerCase());
  for (const [index, repository] of repositories.entries()) {
    if (claim === undefined || owners.includes(splitRepository(repository).owner.toLowerCase())) continue;
    reading.problem(
      ['poll', 'repositories', index],
      `${repository} is not among what the registration claims`,
      'Correct or remove it.',
    );
  }
  if (file?.interval === 'off') {
    if (!hasWebhook && platform.known) {
      reading.problem(
        ['poll', 'interval'],
        'without polling and without a webhook, no job is ever found',
        'Add `webhook.secrets`, or remove `interval: off`.',
      );
    }
    return { intervalMs: null, repositories };
  }
  const intervalMs = durationMs(file?.interval, hasWebhook ? POLL_BESIDE_WEBHOOK_MS : POLL_ALONE_MS);
  if (intervalMs < MIN_POLL_MS) {
    reading.problem(['poll', 'interval'], 'it is less than a second', 'Write `1s` or more, or `off`.');
  }
  return { intervalMs, repositories };
}

/** Whether a shared webhook of dispatcher.yaml covers all of the claim. */
function isCovered(host: string, claim: Claim, platform: Platform, grant: Grant | undefined): boolean {
  const webhooks = platform.webhooks.filter((webhook) => webhook.host === host);
  const owners = new Set(webhooks.flatMap((webhook) => webhook.owners));
  const everywhere = webhooks.some(({ owners: named, tenants = [] }) => {
    if (!named.includes('*')) return false;
    return grant === undefined || tenants.includes('*') || tenants.includes(grant.tenant);
  });
  return everywhere || ownersOf(claim).every((owner) => owners.has(owner.toLowerCase()));
}
