/** `fetch` that gives up on an answer larger than anything GitHub sends, instead of holding it in memory. */

/** 100 runs with all their details are 2 MB. */
const LARGEST_BODY_BYTES = 16 * 1024 * 1024;

/** The statuses whose Response must have no body. */
const WITHOUT_BODY: ReadonlySet<number> = new Set([204, 205, 304]);

export async function boundedFetch(
  input: string | URL | Request,
  init?: RequestInit,
  largestBytes: number = LARGEST_BODY_BYTES,
): Promise<Response> {
  const response = await fetch(input, init);
  if (Number(response.headers.get('content-length') ?? 0) > largestBytes) {
    await response.body?.cancel();
    throw tooLarge(largestBytes);
  }
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    // Leaving the loop cancels the stream and closes the connection.
    if (bytes > largestBytes) throw tooLarge(largestBytes);
    chunks.push(chunk);
  }
  return new Response(WITHOUT_BODY.has(response.status) ? null : Buffer.concat(chunks), {
    status: response.status,
    statusText: response.statusText,
    headers: response.headers,
  });
}

function tooLarge(largestBytes: number): Error {
  return new Error(`the answer is larger than ${largestBytes} bytes`);
}
