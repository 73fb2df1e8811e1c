import { createVerify } from 'node:crypto';
import { z } from 'zod';
import type { Credential, InstallationToken } from './credential.ts';
import type { App, Installation, Repository, RunnerScope } from './model.ts';
import { Refusal } from './router.ts';
import type { PersonalToken, World } from './world.ts';

/** Installation tokens are valid for an hour. */
const tokenLifeMs = 3_600_000;

const claimsSchema = z.object({
  iss: z.union([z.string(), z.number()]).transform(String),
  iat: z.number(),
  exp: z.number(),
});

export class Authenticator {
  readonly #world: World;
  readonly #tokens = new Map<string, InstallationToken>();
  readonly #seenJwts = new Map<string, number>();
  readonly #identicalJwtFault: () => boolean;

  constructor(world: World, identicalJwtFault: () => boolean) {
    this.#world = world;
    this.#identicalJwtFault = identicalJwtFault;
  }

  identify(authorization: string | undefined): Credential {
    if (authorization === undefined || authorization === '') return { kind: 'anonymous' };
    const [scheme = '', given = ''] = authorization.split(/\s+/, 2);
    let secret = given;
    if (/^basic$/i.test(scheme)) secret = Buffer.from(given, 'base64').toString().split(':')[1] ?? '';
    else if (!/^(bearer|token)$/i.test(scheme)) throw new Refusal(401, 'Bad credentials');
    if (secret.split('.').length === 3) return { kind: 'app', app: this.#verifyJwt(secret) };
    const installation = this.#tokens.get(secret);
    if (installation && installation.expiresAtMs > this.#world.now())
      return { kind: 'installation', token: installation };
    const personal = this.#world.personalTokens.get(secret);
    if (personal) return { kind: 'personal', token: personal };
    throw new Refusal(401, 'Bad credentials');
  }

  createToken(
    installation: Installation,
    wish: { repositoryIds?: ReadonlySet<number>; permissions?: Readonly<Record<string, string>> },
  ): InstallationToken {
    const nowMs = this.#world.now();
    for (const [token, { expiresAtMs }] of this.#tokens) if (expiresAtMs <= nowMs) this.#tokens.delete(token);
    const token: InstallationToken = {
      token: this.#world.secret('ghs_'),
      installation,
      permissions: wish.permissions ?? installation.permissions,
      repositoryIds: wish.repositoryIds ?? installation.repositoryIds,
      // GitHub's timestamps have whole seconds.
      expiresAtMs: Math.floor((nowMs + tokenLifeMs) / 1_000) * 1_000,
    };
    this.#tokens.set(token.token, token);
    return token;
  }

  /** Invalidates every installation token, as after a key leak or a suspended installation. */
  revokeTokens(): void {
    this.#tokens.clear();
  }

  #verifyJwt(jwt: string): App {
    const undecodable = new Refusal(401, 'A JSON web token could not be decoded');
    const [head = '', payload = '', signature = ''] = jwt.split('.');
    const header = z.object({ alg: z.literal('RS256') }).safeParse(decode(head));
    const claims = claimsSchema.safeParse(decode(payload));
    if (!header.success || !claims.success) throw undecodable;
    const { iss, iat, exp } = claims.data;
    const app = this.#world.apps.get(Number(iss));
    if (!app) throw new Refusal(404, 'Integration not found');
    const verified = createVerify('RSA-SHA256')
      .update(`${head}.${payload}`)
      .verify(app.keys().publicKey, signature, 'base64url');
    if (!verified) throw undecodable;
    const nowS = this.#world.now() / 1_000;
    if (exp <= nowS) {
      throw new Refusal(
        401,
        "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
      );
    }
    // GitHub allows for some clock skew.
    if (exp > nowS + 600 + 10) throw new Refusal(401, "'Expiration time' claim ('exp') is too far in the future");
    if (iat > nowS + 10) {
      throw new Refusal(
        401,
        "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
      );
    }
    this.#refuseIdentical(jwt);
    return app;
  }

  #refuseIdentical(jwt: string): void {
    const nowMs = this.#world.now();
    for (const [seen, atMs] of this.#seenJwts) if (nowMs - atMs >= 1_000) this.#seenJwts.delete(seen);
    const again = this.#seenJwts.has(jwt);
    this.#seenJwts.set(jwt, nowMs);
    if (again && this.#identicalJwtFault()) throw new Refusal(404, 'Not Found');
  }
}

function decode(part: string): unknown {
  try {
    return JSON.parse(Buffer.from(part, 'base64url').toString());
  } catch {
    return undefined;
  }
}

export type Need = 'read' | 'write';

function permits(granted: string | undefined, need: Need): boolean {
  return granted === 'write' || granted === 'admin' || (need === 'read' && granted === 'read');
}

const notAccessible = (): Refusal =>
  new Refusal(403, 'Resource not accessible by integration', {
    documentationUrl: 'https://docs.github.com/rest/actions/self-hosted-runners',
  });

function reaches(token: PersonalToken, owner: string): boolean {
  return token.owners.has('*') || token.owners.has(owner.toLowerCase());
}

/** Whether a repository exists as far as this credential can see. */
export function sees(credential: Credential, repository: Repository): boolean {
  switch (credential.kind) {
    case 'anonymous':
    case 'app':
      return repository.visibility === 'public';
    case 'installation': {
      const { installation, repositoryIds } = credential.token;
      if (repository.owner !== installation.account) return repository.visibility === 'public';
      return !repositoryIds || repositoryIds.has(repository.id) || repository.visibility === 'public';
    }
    case 'personal':
      return repository.visibility === 'public' || reaches(credential.token, repository.owner.login);
  }
}

/** Throws 401, 403 or 404 as GitHub does, unless the credential has the permission on the repository. */
export function demandRepository(credential: Credential, repository: Repository, permission: string, need: Need): void {
  if (!sees(credential, repository)) throw new Refusal(404, 'Not Found');
  const open = repository.visibility === 'public' && need === 'read' && permission !== 'administration';
  if (open) return;
  switch (credential.kind) {
    case 'anonymous':
    case 'app':
      throw new Refusal(401, 'Requires authentication');
    case 'installation': {
      const { installation, repositoryIds, permissions } = credential.token;
      const inside = repository.owner === installation.account && (!repositoryIds || repositoryIds.has(repository.id));
      if (!inside || !permits(permissions[permission], need)) throw notAccessible();
      return;
    }
    case 'personal': {
      const admin = permission === 'administration' || permission === 'repository_hooks';
      const { access } = credential.token;
      if (!reaches(credential.token, repository.owner.login) || (access !== 'admin' && (admin || need === 'write'))) {
        throw new Refusal(403, 'Must have admin rights to Repository.');
      }
      return;
    }
  }
}

/** The same for an organization's or enterprise's own resources. */
export function demandScope(credential: Credential, scope: RunnerScope, permission: string, need: Need): void {
  if (scope.kind === 'repository') {
    demandRepository(credential, scope.repository, permission, need);
    return;
  }
  const owner = scope.kind === 'organization' ? scope.account.login : scope.enterprise.slug;
  switch (credential.kind) {
    case 'anonymous':
    case 'app':
      throw new Refusal(401, 'Requires authentication');
    case 'installation': {
      // Apps cannot manage enterprise runners: only a classic token with `manage_runners:enterprise` can.
      if (scope.kind === 'enterprise') throw notAccessible();
      if (scope.account !== credential.token.installation.account) throw new Refusal(404, 'Not Found');
      if (!permits(credential.token.permissions[permission], need)) throw notAccessible();
      return;
    }
    case 'personal':
      if (!reaches(credential.token, owner)) throw new Refusal(404, 'Not Found');
      if (credential.token.access !== 'admin') {
        throw new Refusal(
          403,
          scope.kind === 'organization' ? 'Must have admin rights to Organization.' : 'Must be an enterprise owner.',
        );
      }
      return;
  }
}
