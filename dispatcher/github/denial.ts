/**
 * Why GitHub denies a call, beyond the status of its answer. GitHub has no codes for it: this is the only place that parses its
 * messages. Pure.
 */
import type { AnswerHeaders } from './rate-report.ts';

/**
 * - `clock`: the times in the App's JWT were rejected.
 * - `key`: the JWT cannot be verified; the private key belongs to another App, or the App has none.
 * - `app`: no App has this id.
 * - `token`: a token that is wrong, expired or revoked.
 * - `suspended`: the installation is suspended. `account-suspended`: the account is.
 * - `address`: this machine's address is not on an IP allow list.
 * - `sso`: the token was not authorized for the organization's single sign-on.
 * - `token-forbidden`: the organization forbids this kind of token.
 * - `runners-disabled`, `actions-disabled`, `archived`, `blocked`: of a repository.
 * - `permission`: the credentials lack one.
 */
export type GithubDenial =
  | 'clock'
  | 'key'
  | 'app'
  | 'token'
  | 'suspended'
  | 'account-suspended'
  | 'address'
  | 'sso'
  | 'token-forbidden'
  | 'runners-disabled'
  | 'actions-disabled'
  | 'archived'
  | 'blocked'
  | 'permission';

const UNAUTHORIZED: readonly (readonly [RegExp, GithubDenial])[] = [
  [/'(?:issued at|expiration time)' claim/i, 'clock'],
  [/could not be decoded|must generate a public key|JSON web token/i, 'key'],
  [/integration not found/i, 'app'],
];

const FORBIDDEN: readonly (readonly [RegExp, GithubDenial])[] = [
  [/installation (?:has been|was|is) suspended/i, 'suspended'],
  [/account (?:has been|was|is) suspended/i, 'account-suspended'],
  [/IP allow list/i, 'address'],
  [/\bSAML\b|single sign-on/i, 'sso'],
  [/forbids access via/i, 'token-forbidden'],
  [/self-hosted runners are disabled/i, 'runners-disabled'],
  [/\bactions (?:is|are|has been|have been) (?:disabled|not enabled)/i, 'actions-disabled'],
  [/\barchived\b/i, 'archived'],
  [/access blocked|unavailable due to/i, 'blocked'],
  [/not accessible by|must have admin|admin rights|need admin access|insufficient (?:scope|permission)/i, 'permission'],
];

export function denialOf(status: number, headers: AnswerHeaders, message: string): GithubDenial | undefined {
  switch (status) {
    case 401:
      return find(UNAUTHORIZED, message) ?? 'token';
    case 403:
      if (String(headers['x-github-sso'] ?? '').startsWith('required')) return 'sso';
      return find(FORBIDDEN, message);
    case 404:
      return /integration not found/i.test(message) ? 'app' : undefined;
    case 410:
    case 422:
      return find(FORBIDDEN, message);
    case 451:
      return 'blocked';
    default:
      return undefined;
  }
}

function find(table: readonly (readonly [RegExp, GithubDenial])[], message: string): GithubDenial | undefined {
  return table.find(([words]) => words.test(message))?.[1];
}

/** An instruction, or undefined if GitHub's own message is sufficient. */
export function cureOf(denial: GithubDenial, headers: AnswerHeaders): string | undefined {
  switch (denial) {
    case 'clock':
      return "set this machine's clock: let NTP do it";
    case 'key':
      return "compare the App's id with its page, and make a new private key there";
    case 'app':
      return "correct the App's id: the App's page shows it";
    case 'token':
      return 'the token or key is wrong, expired or revoked: renew it';
    case 'suspended':
      return 'ask the owner to unsuspend the App';
    case 'account-suspended':
      return "its owner has to ask GitHub's support";
    case 'address':
      return "allow this machine's address there";
    case 'sso':
      return "authorize the token for the organization's single sign-on: Settings → Developer settings → Configure SSO";
    case 'token-forbidden':
      return 'give the registration a GitHub App, or a token of a kind that the organization allows';
    case 'runners-disabled':
      return 'allow self-hosted runners for the repository: Settings → Actions → Runners of its organization or enterprise';
    case 'actions-disabled':
      return "switch Actions on in the repository's settings";
    case 'archived':
      return 'unarchive the repository, or take it out of the registration';
    case 'blocked':
      return undefined;
    case 'permission':
      return missingScopes(headers) ?? missingPermissions(headers);
  }
}

/** As the pages of Apps and fine-grained tokens name them. */
const PERMISSION_NAMES: ReadonlyMap<string, string> = new Map([
  ['organization_self_hosted_runners', 'Self-hosted runners (organization)'],
  ['administration', 'Administration (repository)'],
  ['actions', 'Actions (repository)'],
  ['metadata', 'Metadata (repository)'],
]);

function missingPermissions(headers: AnswerHeaders): string {
  const permissions = permissionsIn(headers);
  return permissions === undefined
    ? 'the App or token lacks a permission: compare its permissions with step 2 of README.md'
    : `grant ${permissions} on the App's page and let an owner approve it, or add it to the token`;
}

/** GitHub lists what it would have accepted: `administration=write`, alternatives after a semicolon. */
function permissionsIn(headers: AnswerHeaders): string | undefined {
  const accepted = String(headers['x-accepted-github-permissions'] ?? '').trim();
  if (!/^[a-z_]+=[a-z]+(?:[,;] ?[a-z_]+=[a-z]+)*$/.test(accepted)) return undefined;
  return accepted
    .replaceAll(/([a-z_]+)=/g, (_, name: string) => `${PERMISSION_NAMES.get(name) ?? name}: `)
    .replaceAll(/; ?/g, ' or ')
    .replaceAll(/, ?/g, ' and ');
}

/** Of a classic token, with which GitHub sends both lists; any scope of the second one would do. */
function missingScopes(headers: AnswerHeaders): string | undefined {
  const [has, accepted] = ['x-oauth-scopes', 'x-accepted-oauth-scopes'].map((name) => scopesIn(headers[name]));
  if (has === undefined || accepted === undefined || accepted.length === 0) return undefined;
  if (accepted.some((scope) => has.includes(scope))) return undefined;
  const some = has.length === 0 ? 'none' : has.join(', ');
  return `add the scope ${accepted.join(' or ')} to the token, which has ${some}`;
}

function scopesIn(header: AnswerHeaders[string]): readonly string[] | undefined {
  const text = typeof header === 'string' ? header.trim() : undefined;
  if (text === '') return [];
  return text === undefined || !/^[a-z_:]+(?:, ?[a-z_:]+)*$/.test(text) ? undefined : text.split(/, ?/);
}
