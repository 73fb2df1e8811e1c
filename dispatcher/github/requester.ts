/** One credential's calls to one GitHub: budget, authorization, time limit, retries, ETags, typed errors. */
import type { request } from '@octokit/request';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { type Clock, jitter, type Random } from '../../time/clock.ts';
import { pause, withDeadline } from '../../time/deadline.ts';
import { pageOf } from '../failures/html-page.ts';
import type { Authorization, Bearer } from './authorization.ts';
import { type BudgetGate, BudgetRefusal, type Turn } from './budget-gate.ts';
import { type ErrorAnswer, failureOf, failureWithoutReply, identify, limitsIn, replyOf } from './failure.ts';
import { type CallPurpose, GithubError } from './github.ts';
import type { GithubTime } from './github-time.ts';
import type { AnswerHeaders } from './rate-report.ts';

type Method = 'GET' | 'POST' | 'DELETE';

export interface GithubCall<T> {
  readonly method: Method;
  /** `/orgs/{org}/actions/runners`: Octokit fills in and encodes the parameters; the rest of them is query or body. */
  readonly route: string;
  readonly parameters: Readonly<Record<string, string | number | readonly string[]>>;
  readonly purpose: CallPurpose;
  /** Must accept its own output unchanged: cached answers are stored in parsed form. */
  readonly answer: z.ZodType<T>;
  /** Default: GitHub's JSON. */
  readonly mediaType?: string;
  /** The scope in which it registers a runner. */
  readonly registersAt?: string;
  /** Statuses that the caller handles as answers rather than failures. */
  readonly accept?: readonly number[];
  /**
   * Sends the ETag of the last answer: an unchanged one does not count against the hour's requests. Returns how many
   * items an answer has, for the limit of the cache.
   */
  readonly conditional?: (data: T) => number;
  /** A POST that is safe to repeat. */
  readonly repeatable?: boolean;
  /** Its ids have up to 64 bits: those that a number cannot hold exactly come as text. */
  readonly hasLongIds?: boolean;
  readonly signal?: AbortSignal;
}

export type GithubAnswer<T> =
  | {
      readonly accepted: false;
      readonly data: T;
      /** A `link` header names a next page. */
      readonly hasNext: boolean;
      /** Of the next page, in a list that is paged by cursor. */
      readonly nextCursor?: string | undefined;
      /** GitHub left out what requires an organization's single sign-on (`x-github-sso: partial-results; …`). */
      readonly isPartial: boolean;
      readonly sentAtMs: number;
      /** Characters of the data as JSON: what it takes in memory. 0 for a call that is not `conditional`. */
      readonly characters: number;
    }
  | { readonly accepted: true; readonly status: number; readonly message: string };

interface Remembered {
  readonly etag: string;
  readonly data: unknown;
  readonly hasNext: boolean;
  readonly nextCursor: string | undefined;
  readonly isPartial: boolean;
  readonly characters: number;
}

/** From the first attempt to the last. */
const CALL_MS = 30_000;
/** Connecting, waiting and reading the answer. */
const ATTEMPT_MS = 20_000;
const READ_ATTEMPTS = 3;
const BACKOFF_MS = 300;

/**
 * Items of lists, over all cached answers: about 10 MB. A bound on the number of answers would make the cache reserve
 * room for all of them at once, for every credential.
 */
const REMEMBERED_ITEMS = 10_000;
/** What an answer weighs beside its items, in items: at most 5,000 answers. */
const ANSWER_ITEMS = 2;
/** An item of a tenant's own server can be as large as an answer: it weighs as much as so many usual ones. */
const ITEM_CHARACTERS = 1_000;

/** Of one page. Checking each of the tens of thousands that fit into an answer blocks everything else for a second. */
const MAX_ENTRIES = 2_000;

const HEADERS = { accept: 'application/vnd.github+json', 'x-github-api-version': '2022-11-28' };

/** Octokit's own, without its list of a thousand methods: calls name their routes. */
export type Send = typeof request;

export interface RequesterOptions {
  readonly send: Send;
  readonly authorization: Authorization;
  readonly gate: BudgetGate;
  /** Whose calls they are, where several tenants use the credential: see `lineOf`. */
  readonly line: string;
  readonly clock: Clock;
  /** GitHub's time, updated by every answer. */
  readonly time: GithubTime;
  readonly random: Random;
}

/** Makes the calls: one credential, or several that share the load. */
export interface Caller {
  /** Rejects with GithubError only. */
  call<T>(call: GithubCall<T>): Promise<GithubAnswer<T>>;
}

export class Requester implements Caller {
  readonly #send: Send;
  readonly #authorization: Authorization;
  readonly #gate: BudgetGate;
  readonly #line: string;
  readonly #clock: Clock;
  readonly #time: GithubTime;
  readonly #random: Random;
  readonly #remembered = new LRUCache<string, Remembered>({ maxSize: REMEMBERED_ITEMS });

  constructor(options: RequesterOptions) {
    this.#send = options.send;
    this.#authorization = options.authorization;
    this.#gate = options.gate;
    this.#line = options.line;
    this.#clock = options.clock;
    this.#time = options.time;
    this.#random = options.random;
  }

  headroom(): number {
    return this.#gate.headroom();
  }

  /** Rejects with GithubError only, within 30 s. */
  async call<T>(call: GithubCall<T>): Promise<GithubAnswer<T>> {
    const operation = `${call.method} ${call.route}`;
    // Octokit encodes what it puts into a path, but a URL still treats `..` as the parent.
    if (Object.values(call.parameters).some((value) => value === '.' || value === '..')) {
      throw new GithubError('invalid', operation, "a name is '.' or '..', which GitHub does not have");
    }
    const endsAtMs = this.#clock.now() + CALL_MS;
    try {
      return await withDeadline(
        this.#clock,
        CALL_MS,
        () => new GithubError('transient', operation, `not done within ${CALL_MS / 1000} s`),
        call.signal,
        (signal) => this.#attempts(call, operation, endsAtMs, signal),
      );
    } catch (error) {
      throw failureWithoutReply(operation, error);
    }
  }

  async #attempts<T>(
    call: GithubCall<T>,
    operation: string,
    endsAtMs: number,
    signal: AbortSignal,
  ): Promise<GithubAnswer<T>> {
    const attempts = call.method === 'GET' || call.repeatable === true ? READ_ATTEMPTS : 1;
    let renewed = false;
    for (let attempt = 1; ; attempt += 1) {
      const bearer = await this.#authorization.bearer(call.purpose, signal);
      const outcome = await this.#attempt(call, operation, bearer, signal);
      if (!(outcome instanceof GithubError)) return outcome;

      let pauseMs: number | undefined;
      if (outcome.kind === 'unauthorized' && !renewed) {
        // Refused before anything happened, so even a write may be repeated.
        pauseMs = this.#authorization.refused(bearer, outcome.denial);
        renewed = true;
      } else if (outcome.kind === 'transient' && attempt < attempts) {
        pauseMs = Math.max(jitter(BACKOFF_MS * 3 ** (attempt - 1), this.#random, 0.5), outcome.retryAfterMs ?? 0);
      }
      if (pauseMs === undefined || this.#clock.now() + pauseMs >= endsAtMs) throw outcome;
      await pause(this.#clock, pauseMs, signal);
    }
  }

  /** Returns, rather than throws, a failure that the next attempt may fix. */
  async #attempt<T>(
    call: GithubCall<T>,
    operation: string,
    bearer: Bearer,
    signal: AbortSignal,
  ): Promise<GithubAnswer<T> | GithubError> {
    const key = call.conditional === undefined ? undefined : this.#addressOf(call);
    const remembered = key === undefined ? undefined : this.#remembered.get(key);
    const turn = await this.#turn(call, operation, signal);
    const sentAtMs = this.#clock.now();
    let reply: ErrorAnswer | undefined;
    let body: unknown;
    try {
      const response = await withDeadline(
        this.#clock,
        ATTEMPT_MS,
        () => new Error(`nothing within ${ATTEMPT_MS / 1000} s`),
        signal,
        (attemptSignal) =>
          this.#send(`${call.method} ${call.route}`, {
            ...call.parameters,
            headers: {
              ...HEADERS,
              ...(call.mediaType === undefined ? {} : { accept: call.mediaType }),
              authorization: bearer.header,
              ...(remembered === undefined ? {} : { 'if-none-match': remembered.etag }),
            },
            request: {
              signal: attemptSignal,
              ...(call.hasLongIds === true ? { parseSuccessResponseBody: false } : {}),
            },
          }),
      );
      reply = { status: response.status, headers: response.headers, message: '' };
      body = call.hasLongIds === true ? await withLongIds(response.data) : response.data;
    } catch (error) {
      reply = replyOf(error);
      if (reply === undefined) {
        turn.end({ status: undefined, report: undefined, brake: undefined });
        return failureWithoutReply(operation, error);
      }
    }
    // A cached answer has an old date.
    if (reply.headers['age'] === undefined) this.#time.learn(reply.headers['date'], sentAtMs);
    const waitMs = turn.end({ status: reply.status, ...limitsIn(reply, this.#time) });

    if (reply.status === 304 && remembered !== undefined) {
      const kept = call.answer.safeParse(remembered.data);
      const { hasNext, nextCursor, isPartial, characters } = remembered;
      if (kept.success) {
        return { accepted: false, data: kept.data, hasNext, nextCursor, isPartial, sentAtMs, characters };
      }
    }
    if (call.accept?.includes(reply.status)) {
      return { accepted: true, status: reply.status, message: reply.message };
    }
    if (reply.status < 200 || reply.status >= 300) return failureOf(operation, reply, waitMs);

    if (entriesIn(body) > MAX_ENTRIES) {
      const words = `the answer has more than ${MAX_ENTRIES} entries: GitHub's have at most 100`;
      return new GithubError('invalid', operation, words, identify(reply));
    }
    const parsed = call.answer.safeParse(body);
    if (!parsed.success) {
      // A proxy's page, or a truncated answer: the request may have taken effect.
      return new GithubError('transient', operation, unexpected(body, parsed.error), identify(reply));
    }
    const hasNext = /rel="?next"?/.test(String(reply.headers['link'] ?? ''));
    const nextCursor = cursorIn(reply.headers['link']);
    const isPartial = String(reply.headers['x-github-sso'] ?? '').startsWith('partial-results');
    const etag = reply.headers['etag'];
    const characters = key === undefined ? 0 : JSON.stringify(parsed.data).length;
    if (key !== undefined && typeof etag === 'string') {
      const items = Math.max(call.conditional?.(parsed.data) ?? 0, Math.ceil(characters / ITEM_CHARACTERS));
      const size = ANSWER_ITEMS + items;
      const { data } = parsed;
      this.#remembered.set(key, { etag, data, hasNext, nextCursor, isPartial, characters }, { size });
    }
    return { accepted: false, data: parsed.data, hasNext, nextCursor, isPartial, sentAtMs, characters };
  }

  async #turn<T>(call: GithubCall<T>, operation: string, signal: AbortSignal): Promise<Turn> {
    const cost = {
      points: call.method === 'GET' ? 1 : 5,
      ...(call.registersAt === undefined ? {} : { registersAt: call.registersAt }),
    };
    try {
      return await this.#gate.turn(cost, call.purpose, signal, this.#line);
    } catch (error) {
      if (!(error instanceof BudgetRefusal)) throw error;
      throw new GithubError('rate-limited', operation, error.message, { retryAfterMs: error.retryAfterMs });
    }
  }

  #addressOf<T>(call: GithubCall<T>): string {
    return this.#send.endpoint(`${call.method} ${call.route}`, call.parameters).url;
  }
}

const MAX_CURSOR_CHARACTERS = 500;

/** `<https://api.github.com/app/hook/deliveries?per_page=100&cursor=v1_123>; rel="next"` */
function cursorIn(link: AnswerHeaders[string]): string | undefined {
  const next = String(link ?? '')
    .split(',')
    .find((part) => /rel="?next"?/.test(part));
  const address = next?.match(/<([^>]{1,4000})>/)?.[1];
  const cursor = address === undefined ? null : (URL.parse(address)?.searchParams.get('cursor') ?? null);
  return cursor === null || cursor === '' || cursor.length > MAX_CURSOR_CHARACTERS ? undefined : cursor;
}

const streamed = z.custom<ReadableStream<Uint8Array<ArrayBuffer>>>((value) => value instanceof ReadableStream);

/** Inside of a string the quotes of `"id":` are escaped. */
async function withLongIds(body: unknown): Promise<unknown> {
  const stream = streamed.safeParse(body);
  if (!stream.success) return body;
  const text = await new Response(stream.data).text();
  try {
    return JSON.parse(text.replaceAll(/"id":\s*(\d{16,20})\b/g, '"id":"$1"'));
  } catch {
    // A page of a proxy, which is judged like one.
    return text;
  }
}

/** The longest list in it. */
function entriesIn(body: unknown): number {
  if (Array.isArray(body)) return body.length;
  if (typeof body !== 'object' || body === null) return 0;
  return Object.values(body).reduce<number>(
    (most, value) => (Array.isArray(value) ? Math.max(most, value.length) : most),
    0,
  );
}

function unexpected(body: unknown, error: z.ZodError): string {
  const page = typeof body === 'string' ? pageOf(body) : undefined;
  if (page !== undefined)
    return `the answer is ${page}, not GitHub's JSON: is there a proxy or a login page in between?`;
  const issue = error.issues[0];
  const where = issue?.path.join('.') ?? '';
  return `GitHub's answer is not what its documentation says (${where === '' ? '' : `${where}: `}${issue?.message ?? ''})`;
}
