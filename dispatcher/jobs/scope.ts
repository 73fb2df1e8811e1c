/** Where a runner registers at GitHub. It only receives jobs within its scope and runner group. */
export type GithubScope =
  | { readonly kind: 'enterprise'; readonly enterprise: string }
  | { readonly kind: 'organization'; readonly organization: string }
  | { readonly kind: 'repository'; readonly owner: string; readonly repository: string };

/** The scope as a REST API path prefix: `enterprises/acme`, `orgs/acme`, `repos/acme/web`. Also its ledger key. */
export function scopePath(scope: GithubScope): string {
  switch (scope.kind) {
    case 'enterprise':
      return `enterprises/${scope.enterprise}`;
    case 'organization':
      return `orgs/${scope.organization}`;
    case 'repository':
      return `repos/${scope.owner}/${scope.repository}`;
  }
}

/** The reverse of `scopePath`; throws for anything else. */
export function parseScopePath(path: string): GithubScope {
  const [kind, first, second] = path.split('/');
  if (kind === 'enterprises' && first) return { kind: 'enterprise', enterprise: first };
  if (kind === 'orgs' && first) return { kind: 'organization', organization: first };
  if (kind === 'repos' && first && second) return { kind: 'repository', owner: first, repository: second };
  throw new Error(`not a GitHub scope path: ${path}`);
}

/** Whose it is: the enterprise, organization or user. */
export function ownerOfScope(scope: GithubScope): string {
  switch (scope.kind) {
    case 'enterprise':
      return scope.enterprise;
    case 'organization':
      return scope.organization;
    case 'repository':
      return scope.owner;
  }
}
