import { fullName, type Repository } from '../model.ts';
import { iso, nodeId, simpleUser } from './account.ts';
import type { Urls } from './urls.ts';

function links(repository: Repository, urls: Urls) {
  const api = `${urls.api}/repos/${fullName(repository)}`;
  return {
    url: api,
    forks_url: `${api}/forks`,
    keys_url: `${api}/keys{/key_id}`,
    collaborators_url: `${api}/collaborators{/collaborator}`,
    teams_url: `${api}/teams`,
    hooks_url: `${api}/hooks`,
    issue_events_url: `${api}/issues/events{/number}`,
    events_url: `${api}/events`,
    assignees_url: `${api}/assignees{/user}`,
    branches_url: `${api}/branches{/branch}`,
    tags_url: `${api}/tags`,
    blobs_url: `${api}/git/blobs{/sha}`,
    git_tags_url: `${api}/git/tags{/sha}`,
    git_refs_url: `${api}/git/refs{/sha}`,
    trees_url: `${api}/git/trees{/sha}`,
    statuses_url: `${api}/statuses/{sha}`,
    languages_url: `${api}/languages`,
    stargazers_url: `${api}/stargazers`,
    contributors_url: `${api}/contributors`,
    subscribers_url: `${api}/subscribers`,
    subscription_url: `${api}/subscription`,
    commits_url: `${api}/commits{/sha}`,
    git_commits_url: `${api}/git/commits{/sha}`,
    comments_url: `${api}/comments{/number}`,
    issue_comment_url: `${api}/issues/comments{/number}`,
    contents_url: `${api}/contents/{+path}`,
    compare_url: `${api}/compare/{base}...{head}`,
    merges_url: `${api}/merges`,
    archive_url: `${api}/{archive_format}{/ref}`,
    downloads_url: `${api}/downloads`,
    issues_url: `${api}/issues{/number}`,
    pulls_url: `${api}/pulls{/number}`,
    milestones_url: `${api}/milestones{/number}`,
    notifications_url: `${api}/notifications{?since,all,participating}`,
    labels_url: `${api}/labels{/name}`,
    releases_url: `${api}/releases{/id}`,
    deployments_url: `${api}/deployments`,
  };
}

/** The form within a run: only identity and links. */
export function liteRepository(repository: Repository, urls: Urls) {
  return {
    id: repository.id,
    node_id: nodeId('Repository', repository.id),
    name: repository.name,
    full_name: fullName(repository),
    private: repository.visibility !== 'public',
    owner: simpleUser(repository.owner, urls),
    html_url: `${urls.html}/${fullName(repository)}`,
    description: null,
    fork: false,
    ...links(repository, urls),
  };
}

/** `repository`, in lists and webhooks. */
export function repositoryPayload(repository: Repository, urls: Urls) {
  const html = `${urls.html}/${fullName(repository)}`;
  const created = iso(repository.createdAtMs);
  return {
    ...liteRepository(repository, urls),
    created_at: created,
    updated_at: created,
    pushed_at: created,
    git_url: `${html.replace(/^https?/, 'git')}.git`,
    ssh_url: `git@${new URL(urls.html).hostname}:${fullName(repository)}.git`,
    clone_url: `${html}.git`,
    svn_url: html,
    homepage: null,
    size: 1,
    stargazers_count: 0,
    watchers_count: 0,
    language: null,
    has_issues: true,
    has_projects: true,
    has_downloads: true,
    has_wiki: true,
    has_pages: false,
    has_discussions: false,
    forks_count: 0,
    mirror_url: null,
    archived: false,
    disabled: false,
    open_issues_count: 0,
    license: null,
    allow_forking: true,
    is_template: false,
    web_commit_signoff_required: false,
    topics: [],
    visibility: repository.visibility,
    forks: 0,
    open_issues: 0,
    watchers: 0,
    default_branch: 'main',
  };
}

export function webhookRepository(repository: Repository, urls: Urls) {
  return { ...repositoryPayload(repository, urls), custom_properties: {} };
}

export function fullRepository(repository: Repository, urls: Urls) {
  return {
    ...repositoryPayload(repository, urls),
    ...(repository.owner.type === 'Organization' ? { organization: simpleUser(repository.owner, urls) } : {}),
    subscribers_count: 0,
    network_count: 0,
  };
}
