/** GitHub's logs of webhook deliveries: of an App, an organization or a repository. */
import { z } from 'zod';
import { GithubError } from './github.ts';
import type { Caller } from './requester.ts';

/** Whose webhooks they are. */
export type HookPlace =
  | { readonly kind: 'app' }
  | { readonly kind: 'organization'; readonly organization: string }
  | { readonly kind: 'repository'; readonly owner: string; readonly repository: string };

export interface FoundHook {
  /** Null: of an App, which has one. */
  readonly id: number | null;
  readonly url: string;
}

/** One attempt at a delivery: a redelivery is an entry of its own with the same GUID. */
export interface LoggedDelivery {
  /** A number of up to 64 bits. */
  readonly id: string;
  readonly guid: string;
  readonly deliveredAtMs: number;
  readonly redelivery: boolean;
  /** What GitHub was answered; 502 or 504 without an answer. */
  readonly statusCode: number;
  readonly event: string;
  readonly action: string | null;
  readonly installationId: number | null;
  readonly repositoryId: number | null;
}

export interface LogPage {
  /** Newest first. */
  readonly deliveries: readonly LoggedDelivery[];
  /** Entries that could not be read. */
  readonly unreadable: number;
  /** Undefined: it is the last one. */
  readonly next: string | undefined;
}

const PER_PAGE = 100;
/** GitHub allows 20 webhooks of an event at one place. */
const MOST_HOOK_PAGES = 3;

const hooksAnswer = z.array(
  z.object({
    id: z.int().min(1),
    config: z.object({ url: z.string().max(4_000).optional().catch(undefined) }).catch({ url: undefined }),
  }),
);
const configAnswer = z.object({ url: z.string().max(4_000).nullish().catch(null) });

const anId = z.union([z.int().min(1).transform(String), z.string().regex(/^\d{1,20}$/)]);
const entry = z.object({
  id: anId,
  guid: z.string().regex(/^[\x20-\x7e]{1,100}$/),
  delivered_at: z.iso.datetime({ offset: true }),
  redelivery: z.boolean(),
  status_code: z.int(),
  event: z.string().max(100),
  action: z.string().max(100).nullish().catch(null),
  installation_id: z.number().nullish().catch(null),
  repository_id: z.number().nullish().catch(null),
});
/** One entry that cannot be read must not hide the others. */
const pageAnswer = z.array(entry.nullable().catch(null));

/** The webhooks of the place. Rejects with GithubError only, like the others. */
export async function findHooks(caller: Caller, place: HookPlace): Promise<readonly FoundHook[]> {
  if (place.kind === 'app') {
    const answer = await caller.call({
      method: 'GET',
      route: '/app/hook/config',
      parameters: {},
      purpose: 'sweep',
      answer: configAnswer,
      // An App without a webhook.
      accept: [404],
    });
    const url = answer.accepted ? '' : (answer.data.url ?? '');
    return url === '' ? [] : [{ id: null, url }];
  }
  const found: FoundHook[] = [];
  for (let page = 1; page <= MOST_HOOK_PAGES; page += 1) {
    const { route, parameters } = routeOf(place, '');
    const answer = await caller.call({
      method: 'GET',
      route,
      parameters: { ...parameters, per_page: PER_PAGE, page },
      purpose: 'sweep',
      answer: hooksAnswer,
    });
    if (answer.accepted) throw new TypeError('no status is accepted here');
    for (const { id, config } of answer.data) if (config.url !== undefined) found.push({ id, url: config.url });
    if (!answer.hasNext) break;
  }
  return found;
}

/** `cursor`: of an earlier page; undefined: the newest. */
export async function readLog(
  caller: Caller,
  { place, hook, cursor }: { readonly place: HookPlace; readonly hook: number | null; readonly cursor?: string },
): Promise<LogPage> {
  const { route, parameters } = routeOf(place, '/deliveries', hook);
  const answer = await caller.call<z.output<typeof pageAnswer>>({
    method: 'GET',
    route,
    parameters: { ...parameters, per_page: PER_PAGE, ...(cursor === undefined ? {} : { cursor }) },
    purpose: 'sweep',
    answer: pageAnswer,
    hasLongIds: true,
    // Where nothing was delivered since, it costs nothing of the hour's requests.
    ...(cursor === undefined ? { conditional: (entries) => entries.length } : {}),
  });
  if (answer.accepted) throw new TypeError('no status is accepted here');
  const deliveries = answer.data.flatMap((one) => (one === null ? [] : [delivery(one)]));
  return { deliveries, unreadable: answer.data.length - deliveries.length, next: answer.nextCursor };
}

/**
 * `gone`: GitHub does not have it any more. `refused`: it has it, and does not send it again now. Of a log that these
 * credentials have just read: a 404 may mean that they may not send again.
 */
export async function redeliver(
  caller: Caller,
  { place, hook, delivery }: { readonly place: HookPlace; readonly hook: number | null; readonly delivery: string },
): Promise<'asked' | 'gone' | 'refused'> {
  const { route, parameters } = routeOf(place, '/deliveries/{delivery_id}/attempts', hook);
  const answer = await caller.call({
    method: 'POST',
    route,
    parameters: { ...parameters, delivery_id: delivery },
    purpose: 'verify',
    answer: z.unknown(),
    accept: [400, 404, 410, 422],
  });
  if (!answer.accepted) return 'asked';
  const own = routeOf(place, '/deliveries/{delivery_id}', hook);
  const kept = await caller.call({
    method: 'GET',
    route: own.route,
    parameters: { ...own.parameters, delivery_id: delivery },
    purpose: 'verify',
    answer: z.unknown(),
    accept: [404, 410],
  });
  if (kept.accepted) return 'gone';
  if (answer.status !== 404) return 'refused';
  throw new GithubError('not-found', `POST ${route}`, `GitHub answered 404: ${answer.message}`, { status: 404 });
}

/** What to do where GitHub does not show the webhooks, or does not send again. */
export function deliveryLogCure(place: HookPlace, error: Pick<GithubError, 'kind' | 'cure'>): string {
  if (error.kind === 'unauthorized') return error.cure ?? 'Renew the key or token.';
  switch (place.kind) {
    case 'app':
      return error.cure ?? "Compare the App's id and key with its page.";
    case 'organization':
      return 'Give the App or token the permission Webhooks (organization): read and write, a classic token the scope admin:org_hook; or deliver through the webhook of the App.';
    case 'repository':
      return 'Give the App or token the permission Webhooks (repository): read and write, a classic token the scope admin:repo_hook; or deliver through the webhook of the App.';
  }
}

/** Whether GitHub will say the same until somebody changes a permission there. */
export function isNotAllowed(error: unknown): error is GithubError {
  return error instanceof GithubError && ['unauthorized', 'forbidden', 'not-found'].includes(error.kind);
}

function delivery(one: z.output<typeof entry>): LoggedDelivery {
  return {
    id: one.id,
    guid: one.guid,
    deliveredAtMs: Date.parse(one.delivered_at),
    redelivery: one.redelivery,
    statusCode: one.status_code,
    event: one.event,
    action: one.action ?? null,
    installationId: one.installation_id ?? null,
    repositoryId: one.repository_id ?? null,
  };
}

function routeOf(place: HookPlace, rest: string, hook: number | null = null) {
  const base = rest === '' ? '' : `/{hook_id}${rest}`;
  const id: Readonly<Record<string, number>> = hook === null ? {} : { hook_id: hook };
  switch (place.kind) {
    case 'app':
      return { route: `/app/hook${rest}`, parameters: {} };
    case 'organization':
      return { route: `/orgs/{org}/hooks${base}`, parameters: { org: place.organization, ...id } };
    case 'repository': {
      const { owner, repository: repo } = place;
      return { route: `/repos/{owner}/{repo}/hooks${base}`, parameters: { owner, repo, ...id } };
    }
  }
}
