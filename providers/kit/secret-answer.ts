/** What a store of secrets answers, read with limits and said in our own words. Every provider may use it. */
import { type SecretAddress, SecretFailure, type SecretRequest, type SecretStoreHost } from '../secret-store.ts';
import { readBounded } from './bounded-body.ts';

/** A secret of 64 KiB, in base64 and in JSON. */
const MAX_ANSWER_BYTES = 256 * 1024;
const MAX_RETRY_AFTER_MS = 15 * 60_000;

export interface SecretAnswer {
  readonly status: number;
  /** Undefined: it is not JSON. */
  readonly body: unknown;
  readonly retryAfterMs: number | undefined;
}

/** Rejects with SecretFailure. */
export async function ask(
  host: Pick<SecretStoreHost, 'fetch'>,
  store: string,
  url: string,
  request: SecretRequest,
): Promise<SecretAnswer> {
  let response: Response;
  let text: string;
  try {
    response = await host.fetch(url, request);
    text = (await readBounded(response.body, MAX_ANSWER_BYTES)).toString('utf8');
  } catch (error) {
    throw unreachable(store, error);
  }
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
  const retryAfterMs = seconds > 0 ? Math.min(seconds * 1000, MAX_RETRY_AFTER_MS) : undefined;
  return { status: response.status, body: parsed(text), retryAfterMs };
}

/** Where nothing was said about the secret itself. */
export function unreachable(store: string, error: unknown): SecretFailure {
  if (error instanceof SecretFailure) return error;
  return new SecretFailure(
    'away',
    `${store} did not answer (${reasonOf(error)})`,
    'Check its name and the way to it; it is asked again.',
  );
}

/** Undefined where the status says nothing that all stores have in common. */
export function usualFailure(
  store: string,
  { status, retryAfterMs }: SecretAnswer,
  code: string,
): SecretFailure | undefined {
  const said = `${status}${code === '' ? '' : ` ${code}`}`;
  if (status === 429) {
    return new SecretFailure('throttled', `${store} gets too many requests (${said})`, 'It is asked again.', {
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    });
  }
  if (status >= 500 || status < 200 || (status >= 300 && status < 400)) {
    return new SecretFailure('away', `${store} answers ${said}`, 'It is asked again.', {
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    });
  }
  return undefined;
}

/** An answer that says neither what is wrong with the secret nor with the store. */
export function unexpectedAnswer(store: string, status: number, code: string): SecretFailure {
  return new SecretFailure('unusable', `${store} answers ${status} ${code}`.trimEnd(), 'Check the reference.');
}

/** The bytes as text. */
export function textOf(bytes: Uint8Array, { secret }: SecretAddress): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new SecretFailure('unusable', `${secret} is not text in UTF-8`, 'Store it as text.');
  }
}

/** Services write codes; what else may be there is not repeated. */
export function codeOf(text: unknown): string {
  return typeof text === 'string' && /^[\w.-]{1,64}$/.test(text) ? text : '';
}

/** Of Node and its fetch: a code such as ENOTFOUND; never a message, which may repeat a request. */
function reasonOf(error: unknown): string {
  for (let cause = error, depth = 0; cause instanceof Error && depth < 5; cause = cause.cause, depth += 1) {
    const code = codeOf('code' in cause ? cause.code : undefined);
    if (code !== '') return code;
    if (cause.name === 'BodyTooLarge') return 'its answer is too large';
    if (cause.name === 'AbortError' || cause.name === 'TimeoutError') return 'in time';
  }
  return 'the connection failed';
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
