import { type Runner, type RunnerGroup, scopeKey } from '../model.ts';
import type { Urls } from './urls.ts';

export interface RunnerView {
  readonly online: boolean;
  readonly busy: boolean;
}

export function runnerPayload(runner: Runner, { online, busy }: RunnerView) {
  return {
    id: runner.id,
    name: runner.name,
    os: runner.os,
    status: online ? 'online' : 'offline',
    busy,
    ephemeral: runner.ephemeral,
    ...(runner.version === null ? {} : { version: runner.version }),
    labels: runner.labels.map((label) => ({ ...label })),
    runner_group_id: runner.group.id,
  };
}

export function runnerGroupPayload(group: RunnerGroup, urls: Urls) {
  const url = `${urls.api}/${scopeKey(group.scope)}/actions/runner-groups/${group.id}`;
  return {
    id: group.id,
    name: group.name,
    visibility: group.visibility,
    default: group.isDefault,
    ...(group.visibility === 'selected' ? { selected_repositories_url: `${url}/repositories` } : {}),
    runners_url: `${url}/runners`,
    inherited: false,
    allows_public_repositories: group.allowsPublicRepositories,
    restricted_to_workflows: false,
    selected_workflows: [],
    workflow_restrictions_read_only: false,
  };
}
