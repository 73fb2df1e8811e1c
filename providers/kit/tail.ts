/** The end of a container's output, limited in size. Every provider may use it. */
import { LOG_BYTES } from '../provider.ts';

/** Keeps the last `limit` bytes that were pushed, using little more than twice that in memory. */
export class Tail {
  readonly #limit: number;
  #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(limit = LOG_BYTES) {
    this.#limit = limit;
  }

  /** Takes over the chunk: do not change it afterwards. */
  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes > 2 * this.#limit || this.#chunks.length > 4096) this.#compact();
  }

  /** The end of what was pushed so far, as UTF-8. */
  text(): string {
    this.#compact();
    return tailText(Buffer.concat(this.#chunks), this.#limit);
  }

  #compact(): void {
    // One extra byte tells `tailText` that the text was cut, perhaps inside a character.
    const kept = Buffer.concat(this.#chunks).subarray(-this.#limit - 1);
    this.#chunks = [kept];
    this.#bytes = kept.length;
  }
}

/**
 * At most `limit` bytes of UTF-8 from the end; if there is more, pass at least one extra byte. Invalid UTF-8 becomes
 * U+FFFD, which has three bytes, so the limit applies to the decoded text, not only to the input.
 */
export function tailText(bytes: Buffer, limit = LOG_BYTES): string {
  const text = bytes.subarray(characterStart(bytes, Math.max(0, bytes.length - limit))).toString('utf8');
  if (Buffer.byteLength(text) <= limit) return text;
  const encoded = Buffer.from(text, 'utf8');
  return encoded.subarray(characterStart(encoded, encoded.length - limit)).toString('utf8');
}

/** The first position at or after `from` that is not inside a character. */
function characterStart(bytes: Buffer, from: number): number {
  if (from === 0) return 0;
  let start = from;
  while (start < from + 3 && start < bytes.length && ((bytes[start] ?? 0) & 0xc0) === 0x80) start += 1;
  return start;
}
