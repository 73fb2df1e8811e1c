/** `fetch` to the issuer: bounded, over TLS, and to where its configuration says, not to where an answer leads. */
import type { CustomFetchOptions } from 'oauth4webapi';
import { BodyTooLarge, readBounded } from '../../../providers/kit/bounded-body.ts';
import { isLoopback } from '../../config/network.ts';

/** Its configuration, its keys or a token with some hundred groups: a few KB each. */
const MAX_BODY_BYTES = 256 * 1024;
/** The statuses whose Response must have no body. */
const WITHOUT_BODY: ReadonlySet<number> = new Set([204, 205, 304]);

/** Codes, tokens and keys: nobody may read or change them on the way. Plain http is for this machine's own address. */
export function isProtected(url: URL): boolean {
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname));
}

type Call = CustomFetchOptions<string, URLSearchParams | undefined>;

export async function issuerFetch(url: string, { method, headers, body: form, signal }: Call): Promise<Response> {
  if (!isProtected(new URL(url))) throw new Error(`${new URL(url).origin} is plain http, and not on this machine`);
  const response = await fetch(url, {
    ...{ method, headers, redirect: 'manual' },
    ...(form === undefined ? {} : { body: form }),
    ...(signal === undefined ? {} : { signal }),
  });
  if (Number(response.headers.get('content-length') ?? 0) > MAX_BODY_BYTES) {
    await response.body?.cancel();
    throw new BodyTooLarge(MAX_BODY_BYTES);
  }
  const body = await readBounded(response.body, MAX_BODY_BYTES);
  const { status } = response;
  return new Response(WITHOUT_BODY.has(status) ? null : body, { status, headers: response.headers });
}
