/**
 * One call to GitHub whose headers matter: the clock, the scopes and the end of a token are told by nothing else. What
 * the service itself asks goes through dispatcher/github/, and so does the rest of the doctor.
 */
import { type Clock, type Random, ulid } from '../../clock.ts';
import type { Credentials } from '../../config/model.ts';
import { appJwt, readAppKey } from '../../github/app-jwt.ts';
import { boundedFetch } from '../../github/bounded-fetch.ts';
import { withDeadline } from '../../github/deadline.ts';
import { GithubError } from '../../github/github.ts';

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  /** Undefined where it is no JSON: a proxy's page. */
  readonly body: unknown;
  /** Ours minus GitHub's, as far as whole seconds tell; undefined without a `date` header. */
  readonly clockAheadMs: number | undefined;
}

export interface GithubCaller {
  readonly apiUrl: string;
  readonly credentials: Credentials;
  readonly clock: Clock;
  readonly random: Random;
}

const CALL_MS = 10_000;
const LARGEST_BYTES = 1024 * 1024;

/** `path` with its names encoded. Rejects with GithubError only; every status is an answer. */
export async function askGithub(caller: GithubCaller, path: string): Promise<Reply> {
  const { apiUrl, clock } = caller;
  const authorization = authorizationOf(caller);
  const sentAtMs = clock.now();
  let response: Response;
  let text: string;
  try {
    response = await withDeadline(
      clock,
      CALL_MS,
      () => new Error(`no answer within ${CALL_MS / 1000} s`),
      undefined,
      (signal) =>
        boundedFetch(
          `${apiUrl.replace(/\/+$/, '')}${path}`,
          {
            headers: {
              accept: 'application/vnd.github+json',
              'x-github-api-version': '2022-11-28',
              'user-agent': 'serverless-hosted-runner',
              authorization,
            },
            signal,
          },
          LARGEST_BYTES,
        ),
    );
    text = await response.text();
  } catch (error) {
    throw new GithubError('transient', `GET ${path}`, deepest(error));
  }
  const dateMs = Date.parse(response.headers.get('date') ?? '');
  return {
    status: response.status,
    headers: response.headers,
    body: parsed(text),
    // The header tells whole seconds, cut off.
    clockAheadMs: Number.isNaN(dateMs) ? undefined : (sentAtMs + clock.now()) / 2 - (dateMs + 500),
  };
}

/** An App speaks as itself: what it was granted is told to nobody else. */
function authorizationOf({ credentials, clock, random }: GithubCaller): string {
  if (credentials.kind === 'app') {
    const nowMs = clock.now();
    return `Bearer ${appJwt(credentials.appId, readAppKey(credentials.privateKey), nowMs, ulid(nowMs, random))}`;
  }
  const token = credentials.token.reveal();
  // `fetch` quotes a header that it cannot send in its error.
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new GithubError(
      'unauthorized',
      'personal access token',
      'it is empty, or holds characters that no token has',
    );
  }
  return `token ${token}`;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `fetch failed` says nothing; what lies beneath it does. */
function deepest(error: unknown): string {
  let last = error;
  for (let depth = 0; depth < 5 && last instanceof Error && last.cause !== undefined; depth += 1) last = last.cause;
  if (!(last instanceof Error)) return String(last);
  return last.message === '' && 'code' in last ? String(last.code) : last.message;
}
