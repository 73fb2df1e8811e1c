/** The webhook of a GitHub App, set by the App itself: it has one, with one address. */
import { z } from 'zod';
import type { Clock, Random } from '../../../time/clock.ts';
import { GithubError } from '../../github/github.ts';
import { GithubTimes } from '../../github/github-time.ts';
import type { Configuration, Credentials, Secret } from '../../model/registration.ts';
import { askGithub, messageOf } from '../doctor/github-call.ts';

type AppCredentials = Extract<Credentials, { readonly kind: 'app' }>;

export interface AppWebhook {
  /** Of the registration; undefined: the shared endpoint. */
  readonly registration: string | undefined;
  readonly apiUrl: string;
  readonly credentials: AppCredentials;
  readonly url: string;
  readonly secret: Secret;
}

export type AppWebhookOutcome =
  /** `subscribes`: to jobs. `isNew`: it had no address. */
  | { readonly kind: 'set'; readonly isNew: boolean; readonly subscribes: boolean }
  /** Left alone: it may be another dispatcher's. */
  | { readonly kind: 'elsewhere'; readonly url: string }
  | { readonly kind: 'failed'; readonly reason: string };

/** Those that no other endpoint here wants, too: an App delivers to one address. Pure. */
export function appWebhooks({ dispatcher, registrations }: Configuration, url: string): readonly AppWebhook[] {
  const own = registrations.flatMap(({ name, apiUrl, credentials, webhookSecrets: [secret] }) =>
    credentials.kind === 'app' && secret !== undefined
      ? [{ registration: name, apiUrl, credentials, url: `${url}/webhooks/github/${name}`, secret }]
      : [],
  );
  const shared = dispatcher.webhooks.flatMap(({ appId, host, secrets: [secret] }) => {
    const registration = registrations.find(
      ({ credentials, ...one }) => one.host === host && credentials.kind === 'app' && credentials.appId === appId,
    );
    return registration?.credentials.kind === 'app' && secret !== undefined
      ? [
          {
            ...{ registration: undefined, apiUrl: registration.apiUrl, credentials: registration.credentials },
            ...{ url: `${url}/webhooks/github`, secret },
          },
        ]
      : [];
  });
  const all: readonly AppWebhook[] = [...own, ...shared];
  const isSameApp = (one: AppWebhook, other: AppWebhook) =>
    one.apiUrl === other.apiUrl && one.credentials.appId === other.credentials.appId;
  return all.filter((one) => all.every((other) => other.url === one.url || !isSameApp(one, other)));
}

const configAnswer = z.object({ url: z.string().nullish() });
const appAnswer = z.object({ events: z.array(z.string()).default([]) });

/** The secret cannot be read back: it is sent each time. */
export async function setAppWebhook(
  { apiUrl, credentials, secret, url }: AppWebhook,
  { clock, random, replace }: { readonly clock: Clock; readonly random: Random; readonly replace: boolean },
): Promise<AppWebhookOutcome> {
  const caller = { apiUrl, credentials, clock, random, time: new GithubTimes({ clock }).at(apiUrl) };
  try {
    const before = await askGithub(caller, '/app/hook/config');
    const known = configAnswer.safeParse(before.body);
    if (before.status !== 200 || !known.success) return { kind: 'failed', reason: messageOf(before) };
    const present = known.data.url ?? '';
    if (present !== '' && present !== url && !replace) return { kind: 'elsewhere', url: present };
    const config = { url, content_type: 'json', secret: secret.reveal() };
    const changed = await askGithub(caller, '/app/hook/config', config);
    if (changed.status !== 200) return { kind: 'failed', reason: messageOf(changed) };
    const app = appAnswer.safeParse((await askGithub(caller, '/app')).body);
    const subscribes = app.success && app.data.events.includes('workflow_job');
    return { kind: 'set', isNew: present === '', subscribes };
  } catch (error) {
    if (!(error instanceof GithubError)) throw error;
    return { kind: 'failed', reason: error.message };
  }
}
