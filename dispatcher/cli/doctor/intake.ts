/** How the dispatcher learns of the registration's jobs: by webhook, by polling, or not at all. */

import { formatDuration } from '../../labels/duration.ts';
import { type DispatcherConfig, ownersOf, type Registration, type WebhookEndpoint } from '../../model/registration.ts';
import { bad, type DoctorFinding, good } from './finding.ts';

const WEBHOOK = 'webhook';

/** Pure. `events`: what the registration's App subscribes to; undefined if unknown. */
export function checkIntake(
  registration: Registration,
  { webhooks }: Pick<DispatcherConfig, 'webhooks'>,
  events: readonly string[] | undefined,
): readonly DoctorFinding[] {
  const { poll, webhookSecrets, name } = registration;
  const shared = sharedEndpoints(webhooks, registration);
  const own = webhookSecrets.length > 0;
  const polled = poll.intervalMs === null ? undefined : `every ${formatDuration(poll.intervalMs)}`;
  if (!own && shared.length === 0) {
    return [
      polled === undefined
        ? bad(
            WEBHOOK,
            'endpoint',
            'no webhook secret speaks for this registration, and it is not polled: its jobs will never be seen',
            'give it `webhook.secrets`, add its owner to `webhooks` in dispatcher.yaml, or set `poll.interval`',
          )
        : good(WEBHOOK, 'endpoint', `no webhook; polled ${polled}`),
    ];
  }
  const path = own ? `/webhooks/github/${name}` : '/webhooks/github';
  const net = polled === undefined ? 'not polled' : `polled ${polled}`;
  const findings = [good(WEBHOOK, 'endpoint', `deliveries at ${path} are taken; ${net}`)];
  const { credentials } = registration;
  const throughApp =
    !own && credentials.kind === 'app' && shared.every((endpoint) => endpoint.appId === credentials.appId);
  if (throughApp && events !== undefined && !events.includes('workflow_job')) {
    findings.push(
      bad(
        WEBHOOK,
        'events',
        `its deliveries come from App ${credentials.appId}, which does not subscribe to workflow_job`,
        "tick 'Workflow job' on the App's page (Permissions & events)",
      ),
    );
  }
  return findings;
}

/** Together they cover all owners of the claim, as the configuration reads it; otherwise none counts. */
function sharedEndpoints(
  webhooks: readonly WebhookEndpoint[],
  { host, claim }: Registration,
): readonly WebhookEndpoint[] {
  const wanted = ownersOf(claim).map((owner) => owner.toLowerCase());
  const speaking = webhooks
    .filter((endpoint) => endpoint.host.toLowerCase() === host.toLowerCase())
    .map((endpoint) => ({ endpoint, owners: new Set(endpoint.owners.map((owner) => owner.toLowerCase())) }))
    .filter(({ owners }) => owners.has('*') || wanted.some((owner) => owners.has(owner)));
  const covered = wanted.every((owner) => speaking.some(({ owners }) => owners.has('*') || owners.has(owner)));
  return covered ? speaking.map(({ endpoint }) => endpoint) : [];
}
