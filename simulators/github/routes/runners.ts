import { generateKeyPairSync } from 'node:crypto';
import { z } from 'zod';
import type { Runner, RunnerScope } from '../model.ts';
import { scopeKey } from '../model.ts';
import { iso } from '../payloads/account.ts';
import { runnerApplications } from '../payloads/application.ts';
import { liteRepository, repositoryPayload } from '../payloads/repository.ts';
import { runnerGroupPayload, runnerPayload } from '../payloads/runner.ts';
import { type Call, json, noContent, notFound, paginate, Refusal, type Router } from '../router.ts';
import { type Context, type ScopeKind, scopeOf, scopePrefix } from './context.ts';

const documentation = 'https://docs.github.com/rest/actions/self-hosted-runners';

const label = z.string().min(1).max(256);
const jitSchema = z.object({
  name: z.string().min(1).max(64),
  runner_group_id: z.number().int(),
  labels: z.array(label).min(1).max(100),
  work_folder: z.string().default('_work'),
});
const labelsSchema = z.object({ labels: z.array(label).max(100) });
const groupSchema = z.object({
  name: z.string().min(1),
  visibility: z.enum(['all', 'selected', 'private']).default('all'),
  selected_repository_ids: z.array(z.number()).default([]),
  allows_public_repositories: z.boolean().default(false),
});

export function addRunnerRoutes(router: Router, context: Context): void {
  for (const kind of ['enterprise', 'organization', 'repository'] as const) addScope(router, context, kind);
}

function addScope(router: Router, context: Context, kind: ScopeKind): void {
  const { world } = context;
  const base = `${scopePrefix[kind]}/actions`;
  const find = (call: Call, scope: RunnerScope): Runner => {
    const runner = world.runners.get(call.id('runner'));
    if (!runner || scopeKey(runner.scope) !== scopeKey(scope))
      throw new Refusal(404, 'Not Found', { documentationUrl: documentation });
    return runner;
  };
  const show = (runner: Runner) =>
    runnerPayload(runner, {
      online: context.assignments.isOnline(runner),
      busy: context.assignments.isBusy(runner) && !context.faults.settings.staleBusy,
    });

  router.add('GET', `${base}/runners`, (call) => {
    const scope = scopeOf(context, call, kind, 'read');
    const name = call.query.get('name')?.toLowerCase();
    const runners = world.runnersOf(scope).filter((runner) => name === undefined || runner.name.toLowerCase() === name);
    const { page, headers } = paginate(call, runners);
    return json({ total_count: runners.length, runners: page.map(show) }, 200, headers);
  });

  router.add('POST', `${base}/runners/generate-jitconfig`, (call) => {
    const scope = scopeOf(context, call, kind, 'write');
    if (!context.jit) throw notFound();
    const runner = registerJit(context, call, scope);
    return json({ runner: show(runner), encoded_jit_config: jitBlob(runner, context.runnerUrl()) }, 201);
  });

  router.add('GET', `${base}/runners/downloads`, (call) => {
    scopeOf(context, call, kind, 'read');
    return json(runnerApplications(context.runnerRelease));
  });

  router.add('GET', `${base}/runners/deprecations/:version`, (call) => {
    scopeOf(context, call, kind, 'read');
    const version = call.param('version');
    const ends = context.runnerRelease.ends?.[version];
    if (ends === undefined) throw notFound();
    return json({ runner_version: version, registration_deprecates_at: null, runtime_deprecates_at: ends });
  });

  for (const purpose of ['registration', 'remove'] as const) {
    router.add('POST', `${base}/runners/${purpose}-token`, (call) => {
      scopeOf(context, call, kind, 'write');
      return json({ token: world.secret('A', 28).toUpperCase(), expires_at: iso(world.now() + 3_600_000) }, 201);
    });
  }

  router.add('GET', `${base}/runners/:runner`, (call) => json(show(find(call, scopeOf(context, call, kind, 'read')))));

  router.add('DELETE', `${base}/runners/:runner`, (call) => {
    const runner = find(call, scopeOf(context, call, kind, 'write'));
    if (context.assignments.isBusy(runner) && !context.faults.settings.staleBusy) {
      throw new Refusal(422, `Bad request - Runner "${runner.name}" is still running a job"`, {
        documentationUrl: documentation,
      });
    }
    context.assignments.removed(runner);
    return noContent;
  });

  const labels = (runner: Runner) => json({ total_count: runner.labels.length, labels: runner.labels });
  router.add('GET', `${base}/runners/:runner/labels`, (call) =>
    labels(find(call, scopeOf(context, call, kind, 'read'))),
  );
  router.add('DELETE', `${base}/runners/:runner/labels`, (call) => {
    const runner = find(call, scopeOf(context, call, kind, 'write'));
    runner.labels = runner.labels.filter(({ type }) => type === 'read-only');
    return labels(runner);
  });
  for (const method of ['POST', 'PUT'] as const) {
    router.add(method, `${base}/runners/:runner/labels`, (call) => {
      const runner = find(call, scopeOf(context, call, kind, 'write'));
      const kept = method === 'POST' ? runner.labels : runner.labels.filter(({ type }) => type === 'read-only');
      const names = new Set([...kept.map(({ name }) => name), ...call.body(labelsSchema).labels]);
      runner.labels = [...names].map(
        (name) => runner.labels.find((one) => one.name === name) ?? { id: world.id(), name, type: 'custom' },
      );
      return labels(runner);
    });
  }

  if (kind === 'repository') return;
  router.add('GET', `${base}/runner-groups`, (call) => {
    const scope = scopeOf(context, call, kind, 'read');
    const groups = world.groupsOf(scope);
    const { page, headers } = paginate(call, groups);
    const urls = context.urls();
    return json(
      { total_count: groups.length, runner_groups: page.map((group) => runnerGroupPayload(group, urls)) },
      200,
      headers,
    );
  });
  router.add('GET', `${base}/runner-groups/:group`, (call) => {
    const scope = scopeOf(context, call, kind, 'read');
    const group = world.groupsOf(scope).find(({ id }) => id === call.id('group'));
    if (!group) throw notFound();
    return json(runnerGroupPayload(group, context.urls()));
  });
  router.add('GET', `${base}/runner-groups/:group/repositories`, (call) => {
    const scope = scopeOf(context, call, kind, 'read');
    const group = world.groupsOf(scope).find(({ id }) => id === call.id('group'));
    if (!group || kind !== 'organization') throw notFound();
    const admitted = [...group.repositoryIds].flatMap((id) => world.repositoriesById.get(id) ?? []);
    const { page, headers } = paginate(call, admitted);
    const urls = context.urls();
    const repositories = page.map((one) => ({
      ...liteRepository(one, urls),
      ...repositoryPayload(one, urls),
      license: undefined,
    }));
    return json({ total_count: admitted.length, repositories }, 200, headers);
  });
  router.add('POST', `${base}/runner-groups`, (call) => {
    const scope = scopeOf(context, call, kind, 'write');
    const wish = call.body(groupSchema);
    if (world.groupsOf(scope).some(({ name }) => name.toLowerCase() === wish.name.toLowerCase())) {
      throw new Refusal(409, 'Runner group name already exists.', { documentationUrl: documentation });
    }
    const repositories = wish.selected_repository_ids.flatMap((id) => world.repositoriesById.get(id)?.name ?? []);
    const group = world.addGroup(scope, {
      name: wish.name,
      visibility: wish.visibility,
      repositories,
      allowsPublicRepositories: wish.allows_public_repositories,
    });
    return json(runnerGroupPayload(group, context.urls()), 201);
  });
}

function registerJit(context: Context, call: Call, scope: RunnerScope): Runner {
  const { world } = context;
  const wish = call.body(jitSchema);
  const group = groupFor(context, scope, wish.runner_group_id);
  const verdict = context.limits.registration(scopeKey(scope), world.now());
  if (verdict.kind !== 'ok') {
    throw new Refusal(429, 'You have exceeded a secondary rate limit for runner registrations.', {
      documentationUrl:
        'https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits',
      headers: { 'retry-after': String(verdict.retryAfterS) },
    });
  }
  if (world.runnerNamed(scope, wish.name)) {
    throw new Refusal(409, `Already exists - A runner with the name ${wish.name} already exists.`, {
      documentationUrl: documentation,
    });
  }
  if (
    world.runnersOf(scope).filter((runner) => runner.group === group).length >= context.limits.settings.runnersPerGroup
  ) {
    throw new Refusal(422, 'Runner group has reached its limit of runners.', { documentationUrl: documentation });
  }
  const seen = new Set<string>();
  const labels = wish.labels.filter((name) => !seen.has(name.toLowerCase()) && seen.add(name.toLowerCase()));
  const runner: Runner = {
    id: world.id(),
    name: wish.name,
    scope,
    group,
    // Exactly the requested labels: a JIT runner gets no default labels.
    labels: labels.map((name) => ({ id: world.id(), name, type: 'custom' })),
    ephemeral: true,
    token: world.secret('RT', 40),
    createdAtMs: world.now(),
    os: 'unknown',
    version: null,
    session: undefined,
    lastSeenAtMs: undefined,
    assignment: undefined,
    lastConclusion: undefined,
    missedPickup: false,
    registered: true,
    wake: undefined,
  };
  world.addRunner(runner);
  context.assignments.registered(runner);
  world.changed();
  return runner;
}

function groupFor(context: Context, scope: RunnerScope, id: number): Runner['group'] {
  if (scope.kind === 'repository' && id === 1) {
    return {
      id: 1,
      scope,
      name: 'Default',
      isDefault: true,
      visibility: 'all',
      repositoryIds: new Set(),
      allowsPublicRepositories: true,
    };
  }
  const group = context.world.groupsOf(scope).find((each) => each.id === id);
  if (!group) throw new Refusal(404, 'Not Found', { documentationUrl: documentation });
  return group;
}

/**
 * Base64 of a JSON map from file name to base64 content: the files that a configured runner has in its root. The
 * official listener reads them too.
 */
function jitBlob(runner: Runner, url: string): string {
  const files = {
    '.runner': JSON.stringify({
      AgentId: String(runner.id),
      AgentName: runner.name,
      DisableUpdate: 'True',
      Ephemeral: 'True',
      PoolId: String(runner.group.id),
      PoolName: null,
      ServerUrl: url,
      WorkFolder: '_work',
      GitHubUrl: `${url}/${scopeKey(runner.scope)}`,
    }),
    '.credentials': JSON.stringify({
      Scheme: 'OAuth',
      Data: { ClientId: runner.name, AuthorizationUrl: `${url}/_runner` },
    }),
    '.credentials_rsaparams': JSON.stringify(rsaParameters()),
    // The format for our own runner programs: lines, because a shell reads them too.
    '.simulator': `url ${url}\ntoken ${runner.token}\nname ${runner.name}\n`,
  };
  const encoded = Object.entries(files).map(([name, text]) => [name, Buffer.from(text).toString('base64')]);
  return Buffer.from(JSON.stringify(Object.fromEntries(encoded))).toString('base64');
}

/** One key for all, made on first use: the simulator verifies no signature of it, and a key takes a tenth of a second. */
const rsaParameters = once(() => {
  const { d, dp, dq, e, qi, n, p, q } = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({
    format: 'jwk',
  });
  // The names of .NET's RSAParameters, as the listener reads them back; plain base64 in place of a JWK's.
  const parts = { d, dp, dq, exponent: e, inverseQ: qi, modulus: n, p, q };
  return Object.fromEntries(
    Object.entries(parts).map(([name, part]) => [name, Buffer.from(part ?? '', 'base64url').toString('base64')]),
  );
});

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
