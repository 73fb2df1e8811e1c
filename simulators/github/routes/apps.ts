import { z } from 'zod';
import { sees } from '../auth.ts';
import { type Credential, limitKey } from '../credential.ts';
import type { Account, App, Installation } from '../model.ts';
import { iso, simpleUser } from '../payloads/account.ts';
import { appPayload, installationPayload } from '../payloads/app.ts';
import { repositoryPayload } from '../payloads/repository.ts';
import { json, notFound, paginate, Refusal, type Router } from '../router.ts';
import type { Context } from './context.ts';

const tokenSchema = z.object({
  repositories: z.array(z.string()).optional(),
  repository_ids: z.array(z.number()).optional(),
  permissions: z.record(z.string(), z.enum(['read', 'write', 'admin'])).optional(),
});

/** Endpoints of the App itself only accept its JWT. */
export function appOf(credential: Credential): App {
  if (credential.kind === 'app') return credential.app;
  throw new Refusal(
    401,
    credential.kind === 'anonymous' ? 'Requires authentication' : 'A JSON web token could not be decoded',
  );
}

export function addAppRoutes(router: Router, context: Context): void {
  const { world } = context;
  const eventsOf = (app: App): readonly string[] =>
    [...world.hooks.values()].find(({ owner }) => owner.kind === 'app' && owner.app === app)?.events ?? [];
  const installationsOf = (app: App): Installation[] =>
    [...world.installations.values()].filter((each) => each.app === app);
  const show = (installation: Installation) =>
    installationPayload(installation, eventsOf(installation.app), context.urls());
  const on = (app: App, account: Account | undefined): Installation => {
    const found = installationsOf(app).find((installation) => installation.account === account);
    if (!found) throw notFound();
    return found;
  };

  router.add('GET', '/app', (call) => {
    const app = appOf(call.credential);
    return json(appPayload(app, installationsOf(app).length, eventsOf(app), context.urls()));
  });
  router.add('GET', '/app/installations', (call) => {
    const { page, headers } = paginate(call, installationsOf(appOf(call.credential)));
    return json(page.map(show), 200, headers);
  });
  router.add('GET', '/app/installations/:installation', (call) => {
    const app = appOf(call.credential);
    const installation = world.installations.get(call.id('installation'));
    if (installation?.app !== app) throw notFound();
    return json(show(installation));
  });
  router.add('POST', '/app/installations/:installation/access_tokens', (call) => {
    const app = appOf(call.credential);
    const installation = world.installations.get(call.id('installation'));
    if (installation?.app !== app) throw notFound();
    const wish = call.body(tokenSchema);
    const repositoryIds = selected(context, installation, wish);
    const token = context.authenticator.createToken(installation, {
      ...(repositoryIds ? { repositoryIds } : {}),
      ...(wish.permissions ? { permissions: narrowed(installation, wish.permissions) } : {}),
    });
    const urls = context.urls();
    const repositories = [...(token.repositoryIds ?? [])].flatMap((id) => world.repositoriesById.get(id) ?? []);
    return json(
      {
        token: token.token,
        expires_at: iso(token.expiresAtMs),
        permissions: token.permissions,
        repository_selection: token.repositoryIds ? 'selected' : 'all',
        ...(token.repositoryIds
          ? { repositories: repositories.map((repository) => repositoryPayload(repository, urls)) }
          : {}),
      },
      201,
    );
  });

  router.add('GET', '/orgs/:org/installation', (call) =>
    json(show(on(appOf(call.credential), world.account(call.param('org'))))),
  );
  router.add('GET', '/users/:username', (call) => {
    const account = world.account(call.param('username'));
    if (!account) throw notFound();
    return json(simpleUser(account, context.urls()));
  });
  router.add('GET', '/users/:username/installation', (call) =>
    json(show(on(appOf(call.credential), world.account(call.param('username'))))),
  );
  router.add('GET', '/repos/:owner/:repo/installation', (call) => {
    const app = appOf(call.credential);
    const repository = world.repository(call.param('owner'), call.param('repo'));
    const installation = on(app, repository?.owner);
    if (!repository || (installation.repositoryIds && !installation.repositoryIds.has(repository.id))) throw notFound();
    return json(show(installation));
  });

  router.add('GET', '/installation/repositories', (call) => {
    if (call.credential.kind !== 'installation')
      throw new Refusal(
        403,
        'You must authenticate with an installation access token in order to list repositories for an installation.',
      );
    const { token } = call.credential;
    const repositories = world
      .repositoriesOf(token.installation.account)
      .filter((repository) => !token.repositoryIds || token.repositoryIds.has(repository.id));
    const { page, headers } = paginate(call, repositories);
    const urls = context.urls();
    const body = {
      total_count: repositories.length,
      repository_selection: token.repositoryIds ? 'selected' : 'all',
      repositories: page.map((repository) => repositoryPayload(repository, urls)),
    };
    return json(body, 200, headers);
  });
  router.add('GET', '/user/repos', (call) => {
    if (call.credential.kind !== 'personal') throw new Refusal(401, 'Requires authentication');
    const { page, headers } = paginate(
      call,
      [...world.repositories.values()].filter((repository) => sees(call.credential, repository)),
    );
    const urls = context.urls();
    return json(
      page.map((repository) => repositoryPayload(repository, urls)),
      200,
      headers,
    );
  });

  router.add(
    'GET',
    '/rate_limit',
    (call) => {
      const { limit, remaining, used, resetS } = context.limits.budget(limitKey(call.credential), world.now());
      const core = { limit, remaining, used, reset: resetS };
      const fresh = { limit: 10_000, remaining: 10_000, used: 0, reset: resetS };
      return json({
        resources: { core, search: { ...fresh, limit: 30, remaining: 30 }, actions_runner_registration: fresh },
        rate: core,
      });
    },
    { free: true },
  );
  router.add('GET', '/meta', () =>
    json({
      verifiable_password_authentication: false,
      hooks: ['127.0.0.0/8'],
      api: ['127.0.0.0/8'],
      actions: [],
      domains: {},
    }),
  );
}

function selected(
  context: Context,
  installation: Installation,
  wish: z.infer<typeof tokenSchema>,
): Set<number> | undefined {
  if (!wish.repositories && !wish.repository_ids) return undefined;
  const ids = new Set<number>(wish.repository_ids);
  for (const name of wish.repositories ?? []) {
    const repository = context.world.repository(installation.account.login, name);
    ids.add(repository?.id ?? -1);
  }
  for (const id of ids) {
    const repository = context.world.repositoriesById.get(id);
    const inside = repository?.owner === installation.account && (installation.repositoryIds?.has(id) ?? true);
    if (!inside) {
      throw new Refusal(
        422,
        'There is at least one repository that does not exist or is not accessible to the parent installation.',
      );
    }
  }
  return ids;
}

function narrowed(
  installation: Installation,
  wish: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  for (const [name, level] of Object.entries(wish)) {
    const granted = installation.permissions[name];
    if (granted === undefined || (level === 'write' && granted === 'read')) {
      throw new Refusal(422, `The permissions requested are not granted to this installation: ${name}`);
    }
  }
  return wish;
}
