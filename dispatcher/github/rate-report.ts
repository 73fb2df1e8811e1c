/** Parses what GitHub's answers say about its limits. Pure. */

/** Header names in lower case. */
export type AnswerHeaders = Readonly<Record<string, string | number | undefined>>;

/** The primary limit of one endpoint class, from the `x-ratelimit-*` headers. */
export interface RateReport {
  /** `core`, `actions_runner_registration` …; undefined if the server (an old GHES) does not name it. */
  readonly resource: string | undefined;
  readonly limit: number;
  readonly remaining: number;
  readonly resetAtMs: number;
}

/** Undefined without the headers: a GHES may have its limits switched off. */
export function rateReport(headers: AnswerHeaders): RateReport | undefined {
  const limit = wholeNumber(headers['x-ratelimit-limit']);
  const remaining = wholeNumber(headers['x-ratelimit-remaining']);
  const resetSeconds = wholeNumber(headers['x-ratelimit-reset']);
  if (limit === undefined || remaining === undefined || resetSeconds === undefined) return undefined;
  const resource = headers['x-ratelimit-resource'];
  return {
    resource: typeof resource === 'string' && /^[a-z_]{1,64}$/.test(resource) ? resource : undefined,
    limit,
    remaining,
    resetAtMs: resetSeconds * 1000,
  };
}

/**
 * - `wait`: GitHub says how long.
 * - `exhausted`: the hour's requests of this class are used up; see the RateReport for the reset.
 * - `secondary`: a limit without a time. GitHub asks for at least a minute, and longer each time.
 */
export type Brake =
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'exhausted' }
  | { readonly kind: 'secondary' };

/** A day: a longer `retry-after` is a mistake, and we ask again. */
const MAX_RETRY_AFTER_MS = 86_400_000;

/** Undefined: this answer is not about limits. */
export function brakeOf(status: number, headers: AnswerHeaders, message: string, nowMs: number): Brake | undefined {
  const limited = status === 403 || status === 429;
  if (!limited && status < 500) return undefined;
  const retryAfterMs = retryAfter(headers['retry-after'], nowMs);
  if (retryAfterMs !== undefined) return { kind: 'wait', ms: Math.min(retryAfterMs, MAX_RETRY_AFTER_MS) };
  if (!limited) return undefined;
  if (rateReport(headers)?.remaining === 0) return { kind: 'exhausted' };
  if (status === 429 || /rate limit|abuse detection/i.test(message)) return { kind: 'secondary' };
  return undefined;
}

/** Seconds, or an HTTP date. */
function retryAfter(value: string | number | undefined, nowMs: number): number | undefined {
  const seconds = wholeNumber(value);
  if (seconds !== undefined) return seconds * 1000;
  if (typeof value !== 'string') return undefined;
  const atMs = Date.parse(value);
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - nowMs);
}

function wholeNumber(value: string | number | undefined): number | undefined {
  const text = String(value ?? '').trim();
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
