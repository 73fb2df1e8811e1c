import type { App, Installation } from '../model.ts';
import { iso, nodeId, simpleUser } from './account.ts';
import type { Urls } from './urls.ts';

export function appPayload(app: App, installations: number, events: readonly string[], urls: Urls) {
  return {
    id: app.id,
    slug: app.slug,
    client_id: `Iv23li${app.id}`,
    node_id: nodeId('Integration', app.id),
    owner: simpleUser(app.owner, urls),
    name: app.name,
    description: null,
    external_url: urls.html,
    html_url: `${urls.html}/apps/${app.slug}`,
    created_at: iso(app.createdAtMs),
    updated_at: iso(app.createdAtMs),
    permissions: { checks: 'write', metadata: 'read' },
    events,
    installations_count: installations,
  };
}

export function installationPayload(installation: Installation, events: readonly string[], urls: Urls) {
  const { app, account } = installation;
  const organization = account.type === 'Organization';
  return {
    id: installation.id,
    account: simpleUser(account, urls),
    repository_selection: installation.repositoryIds ? 'selected' : 'all',
    access_tokens_url: `${urls.api}/app/installations/${installation.id}/access_tokens`,
    repositories_url: `${urls.api}/installation/repositories`,
    html_url: organization
      ? `${urls.html}/organizations/${account.login}/settings/installations/${installation.id}`
      : `${urls.html}/settings/installations/${installation.id}`,
    app_id: app.id,
    client_id: `Iv23li${app.id}`,
    app_slug: app.slug,
    target_id: account.id,
    target_type: account.type,
    permissions: installation.permissions,
    events,
    created_at: iso(installation.createdAtMs),
    updated_at: iso(installation.createdAtMs),
    single_file_name: null,
    has_multiple_single_files: false,
    single_file_paths: [],
    suspended_by: null,
    suspended_at: null,
  };
}
