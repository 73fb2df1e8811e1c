/**
 * One call to GitHub whose headers matter: only they reveal the clock, the scopes and the expiry of a token. What
 * the service itself asks goes through dispatcher/github/, and so does the rest of the doctor.
 */
import { type Clock, type Random, ulid } from '../../../time/clock.ts';
import { withDeadline } from '../../../time/deadline.ts';
import { pageOf } from '../../failures/html-page.ts';
import { appJwt, readAppKey } from '../../github/app-jwt.ts';
import { boundedFetch } from '../../github/bounded-fetch.ts';
import { denialOf } from '../../github/denial.ts';
import { GithubError } from '../../github/github.ts';
import { type GithubTime, measuredSkew } from '../../github/github-time.ts';
import { deepestWords, wordsOfBody } from '../../github/reply-words.ts';
import type { Credentials } from '../../model/registration.ts';

export interface RawAnswer {
  readonly status: number;
  readonly headers: Headers;
  /** Undefined where it is not JSON. */
  readonly body: unknown;
  /** What came instead: `an HTML page ("Sign in")`. */
  readonly page: string | undefined;
  /** Our time minus GitHub's, to the whole second; undefined without a `date` header. */
  readonly clockAheadMs: number | undefined;
}

export interface GithubCaller {
  readonly apiUrl: string;
  readonly credentials: Credentials;
  readonly clock: Clock;
  /** Learns GitHub's time from every answer. */
  readonly time: GithubTime;
  readonly random: Random;
}

const CALL_MS = 10_000;
const MAX_BYTES = 1024 * 1024;

/**
 * `path` has its names encoded; with `change` it is a PATCH. Rejects with GithubError only; every status is an answer. If GitHub rejects a token's
 * timestamps, the token is made again with GitHub's time, as the service does it.
 */
export async function askGithub(caller: GithubCaller, path: string, change?: object): Promise<RawAnswer> {
  const reply = await ask(caller, path, change);
  const denial = denialOf(reply.status, {}, messageOf(reply));
  return denial === 'clock' && caller.time.aheadMs !== 0
    ? { ...(await ask(caller, path, change)), clockAheadMs: reply.clockAheadMs }
    : reply;
}

/** GitHub's own words. */
export function messageOf({ status, body }: Pick<RawAnswer, 'status' | 'body'>): string {
  const words = wordsOfBody(body ?? '');
  return words === 'no message' ? `status ${status}` : words;
}

async function ask(caller: GithubCaller, path: string, change: object | undefined): Promise<RawAnswer> {
  const method = change === undefined ? 'GET' : 'PATCH';
  const { apiUrl, clock, time } = caller;
  const authorization = await authorizationOf(caller);
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
            method,
            ...(change === undefined ? {} : { body: JSON.stringify(change) }),
            headers: {
              accept: 'application/vnd.github+json',
              'x-github-api-version': '2022-11-28',
              'user-agent': 'serverless-hosted-runner',
              authorization,
              ...(change === undefined ? {} : { 'content-type': 'application/json' }),
            },
            signal,
          },
          MAX_BYTES,
        ),
    );
    text = await response.text();
  } catch (error) {
    throw new GithubError('transient', `${method} ${path}`, deepestWords(error));
  }
  const date = response.headers.get('date') ?? undefined;
  if (!response.headers.has('age')) time.learn(date, sentAtMs);
  return {
    status: response.status,
    headers: response.headers,
    body: parsed(text),
    page: pageOf(text),
    clockAheadMs: measuredSkew(date, sentAtMs, clock.now()),
  };
}

/** Authenticates as the App: only the App itself can ask GitHub what it was granted. */
async function authorizationOf({ credentials, time, random }: GithubCaller): Promise<string> {
  if (credentials.kind === 'app') {
    const nowMs = time.now();
    return `Bearer ${await appJwt(credentials.appId, readAppKey(credentials.privateKey), nowMs, ulid(nowMs, random))}`;
  }
  const token = credentials.token.reveal();
  // `fetch` quotes a header that it cannot send in its error message.
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
