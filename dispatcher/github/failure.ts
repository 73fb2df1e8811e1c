/** Turns failures into GithubErrors. Octokit's own error is never attached: it carries the request and its headers. */
import { RequestError } from '@octokit/request-error';
import type { GithubErrorKind } from '../failures/failure.ts';
import { cureOf, denialOf } from './denial.ts';
import { GithubError } from './github.ts';
import type { GithubTime } from './github-time.ts';
import { type AnswerHeaders, type Brake, brakeOf, type RateReport, rateReport } from './rate-report.ts';
import { deepestWords, shorten, wordsOfBody } from './reply-words.ts';

export interface ErrorAnswer {
  readonly status: number;
  readonly headers: AnswerHeaders;
  /** GitHub's own explanation of a refusal, on one line. */
  readonly message: string;
}

/** The response inside Octokit's error, or undefined if there was none. Octokit's message may quote whole pages. */
export function replyOf(error: unknown): ErrorAnswer | undefined {
  if (!(error instanceof RequestError) || error.response === undefined) return undefined;
  const { status, headers, data } = error.response;
  return { status, headers, message: wordsOfBody(data) };
}

/** A timeout, a reset connection, an unresolvable name: the request may have taken effect. */
export function failureWithoutReply(operation: string, error: unknown): GithubError {
  if (error instanceof GithubError) return error;
  return new GithubError('transient', operation, `no answer from GitHub: ${shorten(deepestWords(error))}`);
}

export function failureOf(operation: string, reply: ErrorAnswer, waitMs: number | undefined): GithubError {
  const kind = kindOf(reply, waitMs !== undefined);
  const denial = kind === 'rate-limited' ? undefined : denialOf(reply.status, reply.headers, reply.message);
  const cure = denial === undefined ? generalCure(kind) : cureOf(denial, reply.headers);
  const words = `GitHub answered ${reply.status}: ${reply.message}`;
  return new GithubError(kind, operation, cure === undefined ? words : `${words} (${cure})`, {
    ...identify(reply),
    ...(denial === undefined ? {} : { denial }),
    ...(cure === undefined ? {} : { cure }),
    ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }),
  });
}

export function identify(reply: ErrorAnswer): { readonly status: number; readonly requestId?: string } {
  const requestId = reply.headers['x-github-request-id'];
  return typeof requestId === 'string'
    ? { status: reply.status, requestId: shorten(requestId) }
    : { status: reply.status };
}

/** Reset times are in GitHub's clock; we wait by ours. */
export function limitsIn(
  reply: ErrorAnswer,
  time: Pick<GithubTime, 'now' | 'local'>,
): { report: RateReport | undefined; brake: Brake | undefined } {
  const told = rateReport(reply.headers);
  return {
    report: told === undefined ? undefined : { ...told, resetAtMs: time.local(told.resetAtMs) },
    brake: brakeOf(reply.status, reply.headers, reply.message, time.now()),
  };
}

function kindOf(reply: ErrorAnswer, braked: boolean): GithubErrorKind {
  if (reply.status >= 500 || reply.status === 408) return 'transient';
  switch (reply.status) {
    case 401:
      return 'unauthorized';
    case 403:
      return braked ? 'rate-limited' : 'forbidden';
    case 404:
    case 410:
      return 'not-found';
    case 451:
      return 'forbidden';
    case 409:
      return 'conflict';
    case 429:
      return 'rate-limited';
    default:
      return 'invalid';
  }
}

/** Used if only the kind is known. A refusal that GitHub explains itself does not need our guess. */
function generalCure(kind: GithubErrorKind): string | undefined {
  return kind === 'not-found' ? 'it does not exist, or the credentials may not see it' : undefined;
}
