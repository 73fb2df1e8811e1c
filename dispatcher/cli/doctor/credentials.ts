/** Whether GitHub is reachable and accepts the registration's credentials, and what they allow. */
import { z } from 'zod';
import { GithubError } from '../../github/github.ts';
import { skewInWords, TOLERATED_SKEW_MS } from '../../github/github-time.ts';
import type { Claim, Credentials } from '../../model/registration.ts';
import { bad, type DoctorFinding, good, note, wordsOf } from './finding.ts';
import { askGithub, type GithubCaller, messageOf, type RawAnswer } from './github-call.ts';

export interface CredentialReport {
  readonly findings: readonly DoctorFinding[];
  /** False: no further checks are needed. */
  readonly usable: boolean;
  /** The events that the App subscribes to; undefined for a token. */
  readonly events: readonly string[] | undefined;
}

const GITHUB = 'github';
const SOON_MS = 7 * 86_400_000;
const DAY_MS = 86_400_000;
const MAX_REPOSITORIES = 20;

const installationAnswer = z.object({
  id: z.int(),
  permissions: z.record(z.string(), z.string()),
  events: z.array(z.string()).default([]),
  suspended_at: z.string().nullish(),
  repository_selection: z.string().optional(),
});
type Installation = z.infer<typeof installationAnswer>;

export async function checkCredentials(caller: GithubCaller, claim: Claim): Promise<CredentialReport> {
  const { credentials, apiUrl } = caller;
  if (credentials.kind === 'app' && claim.kind === 'enterprise') {
    return unusable([
      bad(
        GITHUB,
        'credentials',
        "a GitHub App cannot manage an enterprise's runners",
        'give the registration a classic personal access token with manage_runners:enterprise and repo',
      ),
    ]);
  }
  const places = placesOf(credentials, claim);
  const findings: DoctorFinding[] = [];
  const replies: { readonly place: Place; readonly reply: RawAnswer }[] = [];
  try {
    for (const place of places) replies.push({ place, reply: await askGithub(caller, place.path) });
  } catch (error) {
    if (error instanceof GithubError && error.kind === 'unauthorized') {
      return unusable([bad(GITHUB, 'credentials', error.message, 'write the key or token again')]);
    }
    return unusable([
      bad(
        GITHUB,
        'host',
        `${apiUrl} does not answer: ${wordsOf(error)}`,
        'look at DNS, proxy and firewall of this machine, and at `host` and `apiUrl` of the registration',
      ),
    ]);
  }
  const [first] = replies;
  if (first === undefined) return unusable([]);
  findings.push(...hostFindings(apiUrl, first.reply));
  const judged =
    credentials.kind === 'token'
      ? judgeToken(first.reply, claim, caller.clock.now())
      : judgeApp(credentials.appId, replies, claim);
  return { ...judged, findings: [...findings, ...judged.findings] };
}

interface Place {
  readonly path: string;
  readonly name: string;
}

/** `/rate_limit` costs nothing and needs no permission. */
function placesOf(credentials: Credentials, claim: Claim): readonly Place[] {
  if (credentials.kind === 'token') return [{ path: '/rate_limit', name: 'token' }];
  const part = encodeURIComponent;
  switch (claim.kind) {
    case 'enterprise':
      return [];
    case 'organization':
      return [{ path: `/orgs/${part(claim.organization)}/installation`, name: claim.organization }];
    case 'user':
      return [{ path: `/users/${part(claim.user)}/installation`, name: claim.user }];
    case 'repositories':
      return claim.repositories.slice(0, MAX_REPOSITORIES).map(({ owner, repository }) => ({
        path: `/repos/${part(owner)}/${part(repository)}/installation`,
        name: `${owner}/${repository}`,
      }));
  }
}

function hostFindings(apiUrl: string, reply: RawAnswer): readonly DoctorFinding[] {
  if (reply.status >= 500 || (reply.body === undefined && reply.status !== 204)) {
    return [
      bad(
        GITHUB,
        'host',
        `${apiUrl} answers ${reply.status}${reply.page === undefined ? '' : ` with ${reply.page}`}, and not as GitHub does`,
        "look at `apiUrl`, at a proxy in between, and at GitHub's status page",
      ),
    ];
  }
  const host = good(GITHUB, 'host', `${apiUrl} answers`);
  const ahead = reply.clockAheadMs;
  if (ahead === undefined) return [host];
  return [
    host,
    Math.abs(ahead) <= TOLERATED_SKEW_MS
      ? good(GITHUB, 'clock', Math.abs(ahead) < 1500 ? "this machine's clock is GitHub's" : skewInWords(ahead))
      : bad(
          GITHUB,
          'clock',
          `${skewInWords(ahead)}: tokens are signed by GitHub's time, but ages and deadlines are wrong`,
          'let NTP set the clock (timedatectl set-ntp true)',
        ),
  ];
}

function judgeToken(reply: RawAnswer, claim: Claim, nowMs: number): CredentialReport {
  // 404: a GHES without rate limits, which still recognizes the token.
  if (reply.status !== 200 && reply.status !== 404) {
    return unusable([
      bad(
        GITHUB,
        'credentials',
        `GitHub answers ${reply.status} to the personal access token: ${messageOf(reply)}`,
        'make a new token at GitHub and put it in the place of this one',
      ),
    ]);
  }
  const findings = [expiryFinding(reply.headers.get('github-authentication-token-expiration'), nowMs)];
  const scopes = reply.headers.get('x-oauth-scopes');
  if (scopes === null) {
    findings.push(
      note(
        GITHUB,
        'permissions',
        `were not checked: GitHub does not report those of a fine-grained token, which needs ${rightsInWords(claim)}`,
      ),
    );
  } else findings.push(scopeFinding(scopes, claim));
  return { findings, usable: true, events: undefined };
}

function expiryFinding(header: string | null, nowMs: number): DoctorFinding {
  // `2026-01-31 12:00:00 UTC`, or with `+0100`.
  const endMs = header === null ? Number.NaN : Date.parse(header.replace(' UTC', 'Z').replace(' ', 'T'));
  if (Number.isNaN(endMs)) return good(GITHUB, 'credentials', 'the personal access token is valid');
  const day = new Date(endMs).toISOString().slice(0, 10);
  if (endMs - nowMs > SOON_MS) return good(GITHUB, 'credentials', `the personal access token is valid until ${day}`);
  return bad(
    GITHUB,
    'credentials',
    `the personal access token ends on ${day}, in ${Math.max(0, Math.floor((endMs - nowMs) / DAY_MS))} days`,
    'make a new one at GitHub, put it in the place of this one, and restart',
  );
}

/** Source: docs.github.com, "REST API endpoints for self-hosted runners", and "Scopes for OAuth apps". */
function scopeFinding(header: string, claim: Claim): DoctorFinding {
  const scopes = new Set(header.split(',').map((scope) => scope.trim()));
  const needs: readonly (readonly string[])[] =
    claim.kind === 'enterprise'
      ? [['manage_runners:enterprise', 'admin:enterprise'], ['repo']]
      : claim.kind === 'organization'
        ? [['admin:org', 'manage_runners:org'], ['repo']]
        : [['repo']];
  const lacks = needs.filter((choices) => !choices.some((scope) => scopes.has(scope)));
  if (lacks.length === 0) return good(GITHUB, 'permissions', `the token has the scopes that are needed (${header})`);
  const names = lacks.map(([scope]) => scope).join(' and ');
  return bad(
    GITHUB,
    'permissions',
    `the token lacks the scope ${names}; it has ${header === '' ? 'none' : header}`,
    `add ${names} to the token at GitHub (Settings → Developer settings)`,
  );
}

function judgeApp(
  appId: string,
  replies: readonly { readonly place: Place; readonly reply: RawAnswer }[],
  claim: Claim,
): CredentialReport {
  const findings: DoctorFinding[] = [];
  const installations = new Map<number, Installation>();
  const places: string[] = [];
  for (const { place, reply } of replies) {
    const installation = installationAnswer.safeParse(reply.body);
    if (reply.status === 200 && installation.success) {
      installations.set(installation.data.id, installation.data);
      places.push(place.name);
      continue;
    }
    if (reply.status === 401) {
      return unusable([
        bad(
          GITHUB,
          'credentials',
          `GitHub does not take App ${appId}: ${messageOf(reply)}`,
          "compare `credentials.app.id` with the App's page, make a new private key there, and look at the clock",
        ),
      ]);
    }
    findings.push(
      reply.status === 404
        ? bad(
            GITHUB,
            'credentials',
            `App ${appId} is not installed for ${place.name}`,
            `compare \`credentials.app.id\` with the App's page; if it is right, install it from the App's page, with access to ${place.name}`,
          )
        : bad(
            GITHUB,
            'credentials',
            `GitHub answers ${reply.status} to the question where App ${appId} is installed: ${messageOf(reply)}`,
            'try again later',
          ),
    );
  }
  let usable = false;
  const events = new Set<string>();
  for (const { id, permissions, suspended_at, ...installation } of installations.values()) {
    for (const event of installation.events) events.add(event);
    if (typeof suspended_at === 'string') {
      findings.push(
        bad(
          GITHUB,
          'credentials',
          `installation ${id} of App ${appId} is suspended since ${suspended_at}`,
          'let an owner take the suspension back',
        ),
      );
      continue;
    }
    usable = true;
    findings.push(
      good(GITHUB, 'credentials', `App ${appId} is installed for ${places.join(', ')} (installation ${id})`),
      permissionFinding(permissions, claim),
    );
  }
  return { findings, usable, events: [...events] };
}

function permissionFinding(granted: Readonly<Record<string, string>>, claim: Claim): DoctorFinding {
  const needs = Object.entries({
    ...(claim.kind === 'organization' ? { organization_self_hosted_runners: 'write' } : { administration: 'write' }),
    actions: 'read',
    metadata: 'read',
  });
  const lacks = needs.filter(([name, level]) => {
    const has = granted[name];
    return level === 'write' ? has !== 'write' && has !== 'admin' : has === undefined;
  });
  if (lacks.length === 0) return good(GITHUB, 'permissions', `the App may register runners and read jobs`);
  const names = lacks.map(([name, level]) => `${name}: ${level}`).join(', ');
  return bad(
    GITHUB,
    'permissions',
    `the App was not granted ${names}`,
    "add it on the App's page (Permissions), then let an owner approve it where the App is installed",
  );
}

function rightsInWords(claim: Claim): string {
  return claim.kind === 'organization'
    ? 'Self-hosted runners: write (organization), Actions: read'
    : 'Administration: write, Actions: read (repository)';
}

function unusable(findings: readonly DoctorFinding[]): CredentialReport {
  return { findings, usable: false, events: undefined };
}
