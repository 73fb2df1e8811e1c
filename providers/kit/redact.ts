/** Redacts a launch's secrets from a service's messages, which may repeat the request. Every provider may use it. */
import { type LaunchRequest, ProviderError } from '../provider.ts';

/** Redacting a text as short as `a` would reveal more than it hides. */
const MIN_CHARACTERS = 6;
const HIDDEN = '[secret]';

/** As plain text, and as escaped in JSON. */
export function redact(text: string, secrets: readonly string[]): string {
  let clean = text;
  for (const secret of secrets) {
    if (secret.length < MIN_CHARACTERS) continue;
    clean = clean.replaceAll(secret, HIDDEN).replaceAll(JSON.stringify(secret).slice(1, -1), HIDDEN);
  }
  return clean;
}

/**
 * The error of a launch without the request's secrets. If it contained any, its cause is dropped, as it contains them
 * too.
 */
export function withoutSecrets(error: unknown, request: Pick<LaunchRequest, 'secretEnvironment'>): unknown {
  if (!(error instanceof ProviderError)) return error;
  const secrets = Object.values(request.secretEnvironment);
  const message = redact(error.message, secrets);
  if (message === error.message) return error;
  return new ProviderError(error.kind, error.operation, message.replace(`${error.operation}: `, ''), {
    ...(error.code === undefined ? {} : { code: redact(error.code, secrets) }),
    ...(error.requestId === undefined ? {} : { requestId: error.requestId }),
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
  });
}
