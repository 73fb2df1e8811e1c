/** Finds runner groups by name: GitHub's API takes their ids. */
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import type { Clock } from '../../time/clock.ts';
import type { GithubScope } from '../jobs/scope.ts';
import { scopePath } from '../jobs/scope.ts';
import { GithubError } from './github.ts';
import { listPages } from './pages.ts';
import type { Caller } from './requester.ts';

type Group = { readonly id: number; readonly name: string; readonly inherited: boolean };

/** Every scope has it; a repository has no other. */
const DEFAULT_GROUP_ID = 1;
const KNOWN_MS = 600_000;
/** A group that was just created should be found soon. */
const UNKNOWN_MS = 30_000;
/** 1,000 groups: GitHub's own limit for an enterprise. */
const MAX_PAGES = 10;

const groupAnswer = z.object({
  id: z.int().min(1),
  name: z.string().max(512),
  inherited: z
    .boolean()
    .nullish()
    .transform((inherited) => inherited ?? false),
});
/** Group by group: an unreadable one must not hide the others. */
const groupsAnswer = z.object({
  total_count: z.int().min(0),
  runner_groups: z.array(z.union([groupAnswer, z.unknown().transform(() => null)])),
});

export class RunnerGroups {
  readonly #clock: Clock;
  readonly #lists = new LRUCache<string, { readonly list: Promise<readonly Group[]>; readonly atMs: number }>({
    maxSize: 200,
    sizeCalculation: () => 1,
  });

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Rejects with `not-found` when the scope has no such group. */
  async idOf(requester: Caller, scope: GithubScope, name: string): Promise<number> {
    if (scope.kind === 'repository' || name.toLowerCase() === 'default') return DEFAULT_GROUP_ID;
    const path = scopePath(scope);
    const group =
      find(await this.#list(requester, scope, KNOWN_MS), name) ??
      find(await this.#list(requester, scope, UNKNOWN_MS), name);
    if (group !== undefined && !group.inherited) return group.id;
    throw new GithubError(
      'not-found',
      `GET /${path}/actions/runner-groups`,
      group === undefined
        ? `there is no runner group '${name}' in ${path}: create it there (Settings → Actions → Runner groups), or correct runnerGroup in the registration`
        : `the runner group '${name}' belongs to the enterprise, and runners of ${path} cannot join it: name a group of ${path} itself in the registration's runnerGroup`,
    );
  }

  /** GitHub rejected an id that we sent: the group may have been deleted or recreated. */
  forget(scope: GithubScope): void {
    this.#lists.delete(scopePath(scope));
  }

  async #list(requester: Caller, scope: GithubScope, maxAgeMs: number): Promise<readonly Group[]> {
    const path = scopePath(scope);
    const nowMs = this.#clock.now();
    const known = this.#lists.get(path);
    if (known !== undefined && nowMs - known.atMs < maxAgeMs) return known.list;
    const list = this.#read(requester, scope);
    this.#lists.set(path, { list, atMs: nowMs });
    try {
      return await list;
    } catch (error) {
      if (this.#lists.get(path)?.list === list) this.#lists.delete(path);
      throw error;
    }
  }

  async #read(requester: Caller, scope: GithubScope): Promise<readonly Group[]> {
    const place =
      scope.kind === 'enterprise'
        ? { route: '/enterprises/{enterprise}/actions/runner-groups', parameters: { enterprise: scope.enterprise } }
        : {
            route: '/orgs/{org}/actions/runner-groups',
            parameters: { org: scope.kind === 'organization' ? scope.organization : scope.owner },
          };
    const listed = await listPages<z.infer<typeof groupsAnswer>, Group | null>(requester, {
      ...place,
      purpose: 'launch',
      answer: groupsAnswer,
      page: (data) => ({ items: data.runner_groups, total: data.total_count }),
      mostPages: MAX_PAGES,
      beyond: 'leave',
    });
    return (listed?.items ?? []).filter((group) => group !== null);
  }
}

/** Group names are compared as GitHub shows them; a different case is accepted if there is no exact match. */
function find(groups: readonly Group[], name: string): Group | undefined {
  return (
    groups.find((group) => group.name === name) ??
    groups.find((group) => group.name.toLowerCase() === name.toLowerCase())
  );
}
