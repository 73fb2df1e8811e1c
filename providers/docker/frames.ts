/**
 * The engine's log stream of a container without a terminal: frames of an 8-byte header (stream, three zeros, length as
 * a big-endian 32-bit number), each followed by that many bytes. Both streams are kept, in order of arrival.
 * https://docs.docker.com/reference/api/engine/ , "Attach to a container", stream format.
 *
 * Not docker-modem's demuxStream, which reads the output of a terminal as frames.
 */
export class FrameReader {
  readonly #take: (bytes: Buffer) => void;
  #header = Buffer.alloc(0);
  #left = 0;
  #raw = false;

  constructor(take: (bytes: Buffer) => void) {
    this.#take = take;
  }

  /** Chunks may be split anywhere. Buffers at most an unfinished header, however long a frame claims to be. */
  push(chunk: Buffer): void {
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#raw) {
        this.#take(rest);
        return;
      }
      if (this.#left > 0) {
        const part = rest.subarray(0, this.#left);
        this.#take(part);
        this.#left -= part.length;
        rest = rest.subarray(part.length);
        continue;
      }
      const missing = 8 - this.#header.length;
      this.#header = Buffer.concat([this.#header, rest.subarray(0, missing)]);
      rest = rest.subarray(missing);
      if (this.#header.length < 8) return;
      if (isFrameHeader(this.#header)) this.#left = this.#header.readUInt32BE(4);
      else {
        // A container with a terminal sends no frames: what looked like a header is text.
        this.#raw = true;
        this.#take(this.#header);
      }
      this.#header = Buffer.alloc(0);
    }
  }
}

function isFrameHeader(header: Buffer): boolean {
  return header.readUInt8(0) <= 3 && header.readUIntBE(1, 3) === 0;
}
