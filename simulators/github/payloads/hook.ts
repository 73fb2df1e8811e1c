import type { Hook } from '../model.ts';
import { fullName } from '../model.ts';
import { iso } from './account.ts';
import type { Urls } from './urls.ts';

export function hookPath(hook: Hook): string {
  switch (hook.owner.kind) {
    case 'app':
      return 'app/hook';
    case 'organization':
      return `orgs/${hook.owner.account.login}/hooks/${hook.id}`;
    case 'repository':
      return `repos/${fullName(hook.owner.repository)}/hooks/${hook.id}`;
  }
}

export function hookConfig(hook: Hook) {
  return {
    content_type: hook.contentType,
    insecure_ssl: '0',
    url: hook.url,
    ...(hook.secret === undefined ? {} : { secret: '********' }),
  };
}

export function hookPayload(hook: Hook, urls: Urls) {
  const url = `${urls.api}/${hookPath(hook)}`;
  const type = hook.owner.kind === 'app' ? 'App' : hook.owner.kind === 'organization' ? 'Organization' : 'Repository';
  return {
    type,
    id: hook.id,
    name: 'web',
    active: hook.active,
    events: hook.events,
    config: hookConfig(hook),
    updated_at: iso(hook.createdAtMs),
    created_at: iso(hook.createdAtMs),
    url,
    ...(hook.owner.kind === 'app' ? { app_id: hook.owner.app.id } : {}),
    ...(hook.owner.kind === 'repository' ? { test_url: `${url}/test` } : {}),
    ping_url: `${url}/pings`,
    deliveries_url: `${url}/deliveries`,
    ...(hook.owner.kind === 'repository' ? { last_response: { code: null, status: 'unused', message: null } } : {}),
  };
}
