/**
 * The body of an answer, limited in size. For `fetch` and node:http alike: both give an async iterable.
 *
 * Not undici's `maxResponseSize`: it counts what is on the wire, and a compressed answer grows a thousandfold after that;
 * nor is it to be had with Node's own `fetch`. Every provider may use it.
 */

/** The rest of the body was not read. */
export class BodyTooLarge extends Error {
  constructor(mostBytes: number) {
    super(`the answer is larger than ${mostBytes} bytes`);
    this.name = 'BodyTooLarge';
  }
}

/** Rejects with BodyTooLarge, and with what `inspect` throws; both close the connection. `null`: there is no body. */
export async function readBounded(
  body: AsyncIterable<Uint8Array> | null,
  mostBytes: number,
  inspect: (chunk: Uint8Array) => void = () => {},
): Promise<Buffer<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body ?? []) {
    bytes += chunk.byteLength;
    // Leaving the loop cancels the stream.
    if (bytes > mostBytes) throw new BodyTooLarge(mostBytes);
    inspect(chunk);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
