import { z } from 'zod';
import { demandScope } from '../auth.ts';
import type { Hook, HookOwner } from '../model.ts';
import { iso } from '../payloads/account.ts';
import { hookConfig, hookPayload } from '../payloads/hook.ts';
import { type Call, json, noContent, notFound, pageSize, Refusal, type Reply, type Router } from '../router.ts';
import type { DeliveryRecord } from '../webhooks.ts';
import { appOf } from './apps.ts';
import { type Context, repositoryOf } from './context.ts';

const hookSchema = z.object({
  name: z.string().default('web'),
  config: z.object({
    url: z.url({ protocol: /^https?$/ }),
    content_type: z.enum(['json', 'form']).default('form'),
    secret: z.string().optional(),
  }),
  events: z.array(z.string()).min(1).default(['push']),
  active: z.boolean().default(true),
});

const configSchema = z.object({
  url: z.url({ protocol: /^https?$/ }).optional(),
  content_type: z.enum(['json', 'form']).optional(),
  secret: z.string().optional(),
  insecure_ssl: z.union([z.string(), z.number()]).optional(),
});

/** GitHub keeps deliveries of the last three days, and does not redeliver older ones. */
const keptMs = 3 * 24 * 3_600_000;

export function addHookRoutes(router: Router, context: Context): void {
  const { world } = context;

  addDeliveries(router, context, '/app/hook', (call) => {
    const app = appOf(call.credential);
    const hook = [...world.hooks.values()].find(({ owner }) => owner.kind === 'app' && owner.app === app);
    if (!hook) throw notFound();
    return hook;
  });
  router.add('GET', '/app/hook/config', (call) => {
    const app = appOf(call.credential);
    const hook = [...world.hooks.values()].find(({ owner }) => owner.kind === 'app' && owner.app === app);
    return json(hook ? hookConfig(hook) : {});
  });
  router.add('PATCH', '/app/hook/config', (call) => {
    const app = appOf(call.credential);
    const { url, content_type, secret } = call.body(configSchema);
    const hook: Hook = [...world.hooks.values()].find(({ owner }) => owner.kind === 'app' && owner.app === app) ?? {
      id: 400_000_000 + world.id(),
      owner: { kind: 'app', app },
      url: '',
      contentType: 'form',
      secret: undefined,
      events: ['workflow_job'],
      // The API has no word for that: it is ticked on the App's page.
      active: false,
      createdAtMs: world.now(),
    };
    if (url !== undefined) hook.url = url;
    if (content_type !== undefined) hook.contentType = content_type;
    if (secret !== undefined) hook.secret = secret;
    world.hooks.set(hook.id, hook);
    return json(hookConfig(hook));
  });

  const owners = [
    {
      base: '/orgs/:org/hooks',
      owner: (call: Call, need: 'read' | 'write'): HookOwner => {
        const account = world.account(call.param('org'));
        if (account?.type !== 'Organization') throw notFound();
        demandScope(call.credential, { kind: 'organization', account }, 'organization_hooks', need);
        return { kind: 'organization', account };
      },
    },
    {
      base: '/repos/:owner/:repo/hooks',
      owner: (call: Call, need: 'read' | 'write'): HookOwner => ({
        kind: 'repository',
        repository: repositoryOf(context, call, 'repository_hooks', need),
      }),
    },
  ];
  for (const { base, owner } of owners) {
    const find = (call: Call, need: 'read' | 'write'): Hook => {
      const parent = owner(call, need);
      const hook = world.hooks.get(call.id('hook'));
      if (!hook || !sameOwner(hook.owner, parent)) throw notFound();
      return hook;
    };
    router.add('GET', base, (call) => {
      const parent = owner(call, 'read');
      const hooks = [...world.hooks.values()].filter((hook) => sameOwner(hook.owner, parent));
      return json(hooks.map((hook) => hookPayload(hook, context.urls())));
    });
    router.add('POST', base, (call) => create(context, owner(call, 'write'), call));
    router.add('GET', `${base}/:hook`, (call) => json(hookPayload(find(call, 'read'), context.urls())));
    router.add('DELETE', `${base}/:hook`, (call) => {
      world.hooks.delete(find(call, 'write').id);
      return noContent;
    });
    router.add('POST', `${base}/:hook/pings`, (call) => {
      context.webhooks.ping(find(call, 'write'));
      return noContent;
    });
    addDeliveries(router, context, `${base}/:hook`, (call, need) => find(call, need));
  }
}

function create(context: Context, owner: HookOwner, call: Call): Reply {
  const { world } = context;
  const wish = call.body(hookSchema);
  const twin = [...world.hooks.values()].some((hook) => sameOwner(hook.owner, owner) && hook.url === wish.config.url);
  if (twin) {
    throw new Refusal(422, 'Validation Failed', {
      errors: [{ resource: 'Hook', code: 'custom', message: 'Hook already exists on this repository' }],
    });
  }
  const hook: Hook = {
    id: 400_000_000 + world.id(),
    owner,
    url: wish.config.url,
    contentType: wish.config.content_type,
    secret: wish.config.secret,
    events: wish.events,
    active: wish.active,
    createdAtMs: world.now(),
  };
  world.hooks.set(hook.id, hook);
  context.webhooks.ping(hook);
  return json(hookPayload(hook, context.urls()), 201);
}

function sameOwner(one: HookOwner, other: HookOwner): boolean {
  if (one.kind === 'organization' && other.kind === 'organization') return one.account === other.account;
  if (one.kind === 'repository' && other.kind === 'repository') return one.repository === other.repository;
  return one.kind === 'app' && other.kind === 'app' && one.app === other.app;
}

function addDeliveries(
  router: Router,
  context: Context,
  base: string,
  hookOf: (call: Call, need: 'read' | 'write') => Hook,
): void {
  const recent = (record: DeliveryRecord): boolean => record.deliveredAtMs > context.world.now() - keptMs;
  const find = (call: Call, need: 'read' | 'write'): DeliveryRecord => {
    const record = context.webhooks.find(hookOf(call, need), call.id('delivery'));
    if (!record || !recent(record)) throw notFound();
    return record;
  };

  router.add('GET', `${base}/deliveries`, (call) => {
    const hook = hookOf(call, 'read');
    const wish = call.query.get('status');
    if (wish !== null && !(wish in classes))
      throw new Refusal(422, 'Validation Failed', { errors: [{ code: 'invalid', field: 'status' }] });
    const all = context.webhooks
      .log(hook)
      .filter((record) => record.status !== 'pending' && recent(record))
      .filter((record) => wish === null || wish === classOf(record));
    const size = pageSize(call);
    const cursor = call.query.get('cursor');
    const from = cursor === null ? 0 : all.findIndex(({ id }) => `v1_${id}` === cursor);
    if (from === -1) throw new Refusal(422, 'Validation Failed', { errors: [{ code: 'invalid', field: 'cursor' }] });
    const next = all[from + size];
    const query = new URLSearchParams(call.query);
    if (next) query.set('cursor', `v1_${next.id}`);
    return json(
      all.slice(from, from + size).map(itemPayload),
      200,
      next ? { link: `<${call.url}?${query}>; rel="next"` } : {},
    );
  });
  router.add('GET', `${base}/deliveries/:delivery`, (call) => {
    const record = find(call, 'read');
    return json({
      ...itemPayload(record),
      url: record.hook.url,
      request: { headers: record.requestHeaders, payload: JSON.parse(record.body) },
      response: { headers: record.responseHeaders, payload: record.responseBody },
    });
  });
  router.add('POST', `${base}/deliveries/:delivery/attempts`, (call) => {
    context.webhooks.redeliver(find(call, 'write'));
    return json({}, 202);
  });
}

const classes = { success: [200, 399], failure: [400, 599] } as const;

/** As the description of the parameter `status` has them. */
function classOf({ statusCode }: DeliveryRecord): string | undefined {
  return Object.entries(classes).find(([, [from, to]]) => statusCode >= from && statusCode <= to)?.[0];
}

function itemPayload(record: DeliveryRecord) {
  return {
    id: record.id,
    guid: record.guid,
    delivered_at: iso(record.deliveredAtMs),
    redelivery: record.redelivery,
    duration: record.durationS,
    status: record.status,
    status_code: record.statusCode,
    event: record.event,
    action: record.action,
    installation_id: record.installationId,
    repository_id: record.repositoryId,
    throttled_at: null,
  };
}
