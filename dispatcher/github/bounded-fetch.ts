/**
 * `fetch` that rejects an answer larger than anything GitHub sends instead of buffering it, and that does not follow
 * redirects away from GitHub's host: a tenant's server must not send our calls into networks it cannot reach itself.
 */
import { BodyTooLarge, readBounded } from '../../providers/kit/bounded-body.ts';

/** 100 runs with all their details are 2 MB. */
const MAX_BODY_BYTES = 16 * 1024 * 1024;

/**
 * Brackets, braces, colons and commas, including those in strings. A page of 100 runs or jobs has fewer than 200,000.
 * 16 MB of `[` block `JSON.parse`, and with it everything else, for seconds, and take half a gigabyte.
 */
const MAX_MARKS = 500_000;
const MARKS: ReadonlySet<number> = new Set([...'[{:,'].map((mark) => mark.charCodeAt(0)));
const isMark = Uint8Array.from({ length: 256 }, (_, byte) => (MARKS.has(byte) ? 1 : 0));

/** GitHub redirects once for something renamed or transferred. */
const MAX_REDIRECTS = 5;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** The statuses whose Response must have no body. */
const WITHOUT_BODY: ReadonlySet<number> = new Set([204, 205, 304]);

export async function boundedFetch(
  input: string | URL | Request,
  init?: RequestInit,
  largestBytes: number = MAX_BODY_BYTES,
): Promise<Response> {
  const response = await fetchWithinHost(input, init);
  if (Number(response.headers.get('content-length') ?? 0) > largestBytes) {
    await response.body?.cancel();
    throw new BodyTooLarge(largestBytes);
  }
  let marks = 0;
  const body = await readBounded(response.body, largestBytes, (chunk) => {
    marks += marksIn(chunk);
    if (marks > MAX_MARKS) throw new Error('the answer has more values than any of GitHub');
  });
  return new Response(WITHOUT_BODY.has(response.status) ? null : body, {
    status: response.status,
    statusText: response.statusText,
    headers: response.headers,
  });
}

async function fetchWithinHost(input: string | URL | Request, init: RequestInit = {}): Promise<Response> {
  const request = new Request(input, { ...init, redirect: 'manual' });
  const body = request.body === null ? undefined : await request.arrayBuffer();
  const { headers, signal } = request;
  const { origin } = new URL(request.url);
  let { url, method } = request;
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects += 1) {
    const sent = method === request.method && body !== undefined ? { body } : {};
    const response = await fetch(url, { method, headers, signal, redirect: 'manual', ...sent });
    const location = response.headers.get('location');
    if (!REDIRECTS.has(response.status) || location === null) return response;
    await response.body?.cancel();
    const next = URL.parse(location, url);
    if (next === null) throw new Error('it redirects to an invalid URL');
    if (next.origin !== origin)
      throw new Error(`it redirects to another host, ${next.host}: calls go to its own alone`);
    url = next.href;
    // As the standard requires (fetch.spec.whatwg.org, "HTTP-redirect fetch").
    if (response.status === 303 || (response.status < 303 && method === 'POST')) method = 'GET';
  }
  throw new Error(`it redirects more than ${MAX_REDIRECTS} times`);
}

function marksIn(chunk: Uint8Array): number {
  let marks = 0;
  for (const byte of chunk) marks += isMark[byte] ?? 0;
  return marks;
}
