/** `oidc` in dispatcher.yaml: who lets people in to the admin listener, and what each group may do there. */
import type { Path } from '../model/problem.ts';
import type { GroupAccess, OidcConfig, TenantEntry } from '../model/registration.ts';
import { isLoopback } from './network.ts';
import type { Reading } from './reading.ts';
import { dispatcherFile } from './schema.ts';

const DEFAULT_SCOPES = ['profile', 'email'];

/** Undefined without the section, and where it is wrong. */
export function readOidc(reading: Reading, tenants: readonly TenantEntry[] | undefined): OidcConfig | undefined {
  const file = reading.section(['oidc'], dispatcherFile.shape.oidc);
  if (file === undefined) return undefined;
  const issuer = readWebUrl(reading, ['oidc', 'issuer'], file.issuer);
  const url = readOrigin(reading, ['oidc', 'url'], file.url);
  const clientSecret = reading.secret(['oidc', 'clientSecret'], file.clientSecret);
  const access = (file.access ?? []).map((entry, index) => readAccess(reading, index, entry, tenants));
  if (issuer === undefined || url === undefined) return undefined;
  return {
    issuer: file.issuer,
    clientId: file.clientId,
    clientSecret,
    url,
    scopes: [...new Set(['openid', ...(file.scopes ?? DEFAULT_SCOPES)])],
    groupsClaim: file.groupsClaim ?? 'groups',
    access: access.filter((entry) => entry !== undefined),
  };
}

/** Codes, tokens and sessions go there. */
function readWebUrl(reading: Reading, path: Path, text: string): URL | undefined {
  const url = URL.parse(text);
  if (url === null) {
    reading.problem(path, 'it is not a valid URL', 'Write it like `https://login.example.com`.');
    return undefined;
  }
  if (url.protocol === 'https:' || isLoopback(url.hostname)) return url;
  reading.problem(path, 'over plain http, logins can be read on the way', 'Write `https://`.');
  return undefined;
}

function readOrigin(reading: Reading, path: Path, text: string): string | undefined {
  const url = readWebUrl(reading, path, text);
  if (url === undefined || url.pathname === '/') return url?.origin;
  // The session's cookie is for the whole host: it cannot be kept to a path.
  reading.problem(path, 'it has a path', `Give the admin listener a host name or port of its own: \`${url.origin}\`.`);
  return undefined;
}

type AccessFile = Omit<GroupAccess, 'tenants'> & {
  readonly tenants?: readonly string[] | undefined;
  readonly platform?: true | undefined;
};

function readAccess(
  reading: Reading,
  index: number,
  { group, role, tenants: named, platform }: AccessFile,
  tenants: readonly TenantEntry[] | undefined,
): GroupAccess | undefined {
  const path = ['oidc', 'access', index];
  if ((named === undefined) === (platform === undefined)) {
    reading.problem(
      path,
      named === undefined ? 'it does not say where the role holds' : '`platform` covers all tenants',
      'Write either `tenants: [NAME]` or `platform: true`.',
    );
    return undefined;
  }
  for (const [at, name] of (named ?? []).entries()) {
    if (tenants?.some((tenant) => tenant.name === name) === true) continue;
    const cure =
      tenants === undefined ? 'This file has no `tenants`: write `platform: true`.' : 'Correct the name, or remove it.';
    reading.problem([...path, 'tenants', at], `there is no tenant \`${name}\``, cure);
  }
  return { group, role, tenants: named === undefined ? null : [...new Set(named)] };
}
