/** Classifies the engine's errors by what to do about them. Pure. */
import { z } from 'zod';
import { ProviderError, type ProviderErrorKind } from '../provider.ts';

export type CallName =
  | 'create'
  | 'start'
  | 'inspect'
  | 'list'
  | 'stop'
  | 'remove'
  | 'logs'
  | 'pull'
  | 'version'
  | 'network'
  | 'image'
  | 'auth'
  | 'put'
  | 'volume'
  | 'exec';

/**
 * docker-modem's error. Its `reason` is a fixed text per status and call, and misleads: a missing image reads "no such
 * container".
 */
const engineError = z.object({
  statusCode: z.number().optional(),
  code: z.string().optional(),
  message: z.string().default(''),
  /** Null for a stream, whose answer was not collected; a Buffer if the answer is not JSON. */
  json: z.unknown().optional(),
});

const engineWords = z.object({ message: z.string() });
const PAGE = /^\(HTTP code \d+\) \S+ -\s*<(!doctype|html|head|body)/i;

/** Messages of the engine, of containerd and of registries. First match wins, so specific patterns come first. */
const words: readonly (readonly [RegExp, ProviderErrorKind])[] = [
  [/no space left on device|cannot allocate memory|resource temporarily unavailable|disk quota exceeded/i, 'capacity'],
  [/no available IPv4 addresses|no available addresses|address pools? (have|has) been/i, 'capacity'],
  [/toomanyrequests|too many requests|rate limit/i, 'throttled'],
  // The image requires credentials that the backend does not have: other images may still work.
  [/no basic auth credentials/i, 'invalid'],
  [/incorrect username or password|authentication required|\bunauthorized(: |$)/i, 'unauthorized'],
  [/i\/o timeout|TLS handshake timeout|connection refused|connection reset|context deadline exceeded/i, 'transient'],
  [/temporary failure in name resolution|server misbehaving|\bEOF$/i, 'transient'],
  [/pull access denied|manifest (for .* )?(unknown|not found)|no such image|repository .* not found/i, 'invalid'],
  [/no matching manifest|does not match the (specified|detected) (platform|host)/i, 'invalid'],
  [/network \S+ not found|could not find .*network/i, 'invalid'],
  [/OCI runtime create failed|executable file not found|exec format error|permission denied: unknown/i, 'invalid'],
  [
    /invalid reference format|range of CPUs|minimum memory limit|unable to find user|no matching entries in passwd/i,
    'invalid',
  ],
];

/** Node's codes for a connection that was never established. */
const refusedByTls = /^(CERT_|ERR_TLS_|ERR_SSL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)|^EPROTO$/;

export function classify(call: CallName, error: unknown): ProviderError {
  if (error instanceof ProviderError) return error;
  const parsed = engineError.safeParse(error);
  const { statusCode, code, message, json } = parsed.success
    ? parsed.data
    : { statusCode: undefined, code: undefined, message: String(error), json: undefined };
  const said = engineWords.safeParse(json);
  const text = (said.success ? said.data.message : message).trim() || 'unreadable answer';
  const operation = `docker ${call}`;
  if (statusCode === undefined) {
    const kind =
      code === 'EACCES' || refusedByTls.test(code ?? '') ? 'unauthorized' : (kindOfWords(call, text) ?? 'transient');
    return new ProviderError(kind, operation, text, { ...(code === undefined ? {} : { code }), cause: error });
  }
  const collected = json !== undefined && json !== null;
  if (collected ? !said.success : PAGE.test(message)) {
    // The engine refuses in JSON, so this is a proxy's page: whether the request arrived is unknown.
    return new ProviderError(kindOfPage(statusCode), operation, `HTTP ${statusCode} without the engine's words`, {
      code: `http-${statusCode}`,
      cause: error,
    });
  }
  const details = { code: String(statusCode), cause: error };
  return new ProviderError(kindOf(call, statusCode, text), operation, text, details);
}

/**
 * The engine says that it has no such container. A bare 404 can also mean another address or an unsupported API
 * version.
 */
export function isAbsent(error: unknown): boolean {
  return error instanceof ProviderError && error.code === '404' && /no such container/i.test(error.message);
}

function kindOfPage(status: number): ProviderErrorKind {
  if (status === 401 || status === 403) return 'unauthorized';
  return status === 429 ? 'throttled' : 'transient';
}

function kindOf(call: CallName, status: number, text: string): ProviderErrorKind {
  if (status === 401 || status === 403) return 'unauthorized';
  if (status === 429) return 'throttled';
  if (status === 408) return 'transient';
  if (status === 409) return call === 'create' ? 'conflict' : 'transient';
  const said = kindOfWords(call, text);
  if (said !== undefined) return said;
  // The container was removed between two calls: look again.
  if (status === 404 && call !== 'create' && call !== 'pull' && call !== 'network') return 'transient';
  return status >= 400 && status < 500 ? 'invalid' : 'transient';
}

function kindOfWords(call: CallName, text: string): ProviderErrorKind | undefined {
  const kind = words.find(([pattern]) => pattern.test(text))?.[1];
  // A registry that refuses one image says nothing about other images or registries (ghcr.io answers "unauthorized" for
  // an image that does not exist). Refusals of the engine itself have their own status.
  return kind === 'unauthorized' && call === 'pull' ? 'invalid' : kind;
}
