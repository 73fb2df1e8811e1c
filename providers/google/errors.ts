/** Classifies errors of Google's APIs, by gRPC or HTTP, by what to do about them. Pure. */
import { z } from 'zod';
import { ProviderError, type ProviderErrorKind } from '../provider.ts';

export type Words = readonly (readonly [RegExp, ProviderErrorKind])[];

/** google.rpc.Code, in numerical order. */
const CODES = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
] as const;
export type GoogleCode = (typeof CODES)[number];

const kinds: Readonly<Record<GoogleCode, ProviderErrorKind>> = {
  OK: 'transient',
  CANCELLED: 'transient',
  UNKNOWN: 'transient',
  INVALID_ARGUMENT: 'invalid',
  DEADLINE_EXCEEDED: 'transient',
  NOT_FOUND: 'invalid',
  ALREADY_EXISTS: 'conflict',
  PERMISSION_DENIED: 'unauthorized',
  RESOURCE_EXHAUSTED: 'quota',
  // The resource is being created or deleted; the same call may succeed later.
  FAILED_PRECONDITION: 'transient',
  ABORTED: 'transient',
  OUT_OF_RANGE: 'invalid',
  // The method does not exist at this address: grpc-js also reports a 404 like this. Not the fault of an image.
  UNIMPLEMENTED: 'unauthorized',
  INTERNAL: 'transient',
  UNAVAILABLE: 'transient',
  DATA_LOSS: 'transient',
  UNAUTHENTICATED: 'unauthorized',
};

/** By HTTP status: https://cloud.google.com/apis/design/errors#handling_errors */
const codesOfHttp: Readonly<Record<number, GoogleCode>> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  409: 'ALREADY_EXISTS',
  429: 'RESOURCE_EXHAUSTED',
  499: 'CANCELLED',
  500: 'INTERNAL',
  501: 'UNIMPLEMENTED',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
};

/** Before the service was called: our own credentials are invalid. First match wins. */
const credentialWords: Words = [
  [/could not load the default credentials|unable to detect a project id/i, 'unauthorized'],
  [/invalid_grant|invalid_client|unauthorized_client|invalid_target|invalid_scope|invalid_request/i, 'unauthorized'],
  [/DECODER routines|PEM routines|asymmetric key|secretOrPrivateKey|unsupported.*key/i, 'unauthorized'],
  [/universe domain/i, 'unauthorized'],
  [/ENOENT|EACCES|is not a file|does not exist, or is not a file|unable to parse the subject.token/i, 'unauthorized'],
  [/self.signed certificate|unable to (verify|get) .*certificate|certificate has expired/i, 'unauthorized'],
];

/** Rate limits recover by themselves; limits on the number of resources do not. */
const limitWords: Words = [
  [/quota exceeded for quota metric .*(request|quer|read|write|mutation|operation|call)/i, 'throttled'],
  [/per (second|minute|user|100 seconds)|rate.?limit|too many requests/i, 'throttled'],
  [/quota|limit|exhausted/i, 'quota'],
];

const grpcError = z.object({
  code: z.int().min(0).max(16),
  message: z.string().default(''),
  details: z.string().optional().catch(undefined),
  reason: z.string().optional().catch(undefined),
  statusDetails: z.array(z.unknown()).optional().catch(undefined),
});

const duration = z.object({
  seconds: z.coerce.number().default(0),
  nanos: z.coerce.number().default(0),
});
const errorInfo = z.object({ '@type': z.string().endsWith('google.rpc.ErrorInfo'), reason: z.string() });
const retryInfo = z.object({ retryDelay: z.union([duration, z.string().regex(/^[\d.]+s$/)]) });

/** Both majors of gaxios; `data` is the body, parsed if possible. */
const httpError = z.object({
  status: z.coerce.number().optional().catch(undefined),
  code: z.union([z.string(), z.number()]).optional(),
  message: z.string().default(''),
  response: z
    .object({
      status: z.number().optional(),
      data: z
        .object({
          error: z.object({
            status: z.string().optional(),
            message: z.string().optional(),
            details: z.array(z.unknown()).optional(),
          }),
        })
        .optional()
        .catch(undefined),
    })
    .optional()
    .catch(undefined),
});

/** Whether this is the service's answer with that code. */
export function hasCode(error: unknown, code: GoogleCode): error is ProviderError {
  return error instanceof ProviderError && error.code === code;
}

/**
 * `operation` is `<kind> <call>`. `words` match the service's own message, and take precedence over the code: Cloud Run
 * returns "Quota violated" with INVALID_ARGUMENT. ProviderErrors are passed through unchanged.
 */
export function classifyGoogle(operation: string, error: unknown, words: Words = []): ProviderError {
  if (error instanceof ProviderError) return error;
  const grpc = grpcError.safeParse(error);
  if (grpc.success) {
    const { code: number, message, details, reason, statusDetails } = grpc.data;
    const code = CODES[number] ?? 'UNKNOWN';
    const text = (details ?? '') === '' ? message.replace(/^\d+ [A-Z_]+: /, '') : (details ?? '');
    return sorted(operation, { code, text, reason, details: statusDetails ?? [], cause: error }, words);
  }
  const http = httpError.safeParse(error);
  const { status, response, message, code } = http.success
    ? http.data
    : { status: undefined, response: undefined, message: String(error), code: undefined };
  const httpStatus = response?.status ?? status;
  const body = response?.data?.error;
  const text = (body?.message ?? message).trim() || 'unreadable answer';
  // The cause of a failed HTTP call holds the request, and with it the access token: only its message is passed on.
  const cause = new Error(text);
  if (httpStatus === undefined) {
    const kind = kindOfWords(text, credentialWords) ?? 'transient';
    return new ProviderError(kind, operation, text, { ...(code === undefined ? {} : { code: String(code) }), cause });
  }
  if (body === undefined && kindOfWords(text, credentialWords) !== undefined) {
    return new ProviderError('unauthorized', operation, text, { code: String(httpStatus), cause });
  }
  const named = CODES.find((name) => name === body?.status);
  const known = named ?? codesOfHttp[httpStatus] ?? (httpStatus >= 500 ? 'INTERNAL' : 'UNKNOWN');
  const details = body?.details ?? [];
  const reason = details.map(reasonIn).find((found) => found !== undefined);
  return sorted(operation, { code: known, text, reason, details, cause }, words);
}

/** What an answer of either transport says. */
interface Answered {
  readonly code: GoogleCode;
  readonly text: string;
  readonly reason: string | undefined;
  readonly details: readonly unknown[];
  readonly cause: unknown;
}

function sorted(operation: string, answered: Answered, words: Words): ProviderError {
  const { code, text, reason, details, cause } = answered;
  const retryAfterMs = details.map(retryDelayMs).find((ms) => ms !== undefined);
  return new ProviderError(kindOf(code, text, reason, words), operation, text.trim() || code, {
    code,
    cause,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

function kindOf(code: GoogleCode, text: string, reason: string | undefined, words: Words): ProviderErrorKind {
  // The API is disabled, or billing is: concerns the project, not the request.
  if (reason === 'SERVICE_DISABLED' || reason === 'BILLING_DISABLED' || reason === 'CONSUMER_INVALID') {
    return 'unauthorized';
  }
  // grpc-js, when the credentials could not be exchanged for a token: with UNAVAILABLE or UNAUTHENTICATED.
  if (/^(Getting metadata from plugin failed|Failed to retrieve auth metadata)/i.test(text)) {
    return kindOfWords(text, credentialWords) ?? 'transient';
  }
  if (code === 'UNAVAILABLE' && /certificate/i.test(text)) return kindOfWords(text, credentialWords) ?? 'transient';
  const said = kindOfWords(text, words);
  if (said !== undefined) return said;
  if (code !== 'RESOURCE_EXHAUSTED') return kinds[code];
  // The reply exceeded our own size limit; grpc-js reports it with this code.
  if (/received message larger than max/i.test(text)) return 'transient';
  if (reason === 'RATE_LIMIT_EXCEEDED') return 'throttled';
  return kindOfWords(text, limitWords) ?? 'quota';
}

export function kindOfWords(text: string, words: Words): ProviderErrorKind | undefined {
  return words.find(([pattern]) => pattern.test(text))?.[1];
}

/** From an ErrorInfo, for REST; gRPC's client has already extracted it. */
function reasonIn(detail: unknown): string | undefined {
  const parsed = errorInfo.safeParse(detail);
  return parsed.success ? parsed.data.reason : undefined;
}

function retryDelayMs(detail: unknown): number | undefined {
  const parsed = retryInfo.safeParse(detail);
  if (!parsed.success) return undefined;
  const { retryDelay } = parsed.data;
  if (typeof retryDelay === 'string') return Math.round(Number.parseFloat(retryDelay) * 1000);
  return retryDelay.seconds * 1000 + Math.round(retryDelay.nanos / 1e6);
}
