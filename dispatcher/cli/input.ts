/** All of standard input as text. Rejects when it is longer than it may be, or is not UTF-8. */
export async function standardInput(mostBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin) {
    const part = Buffer.from(chunk);
    bytes += part.length;
    if (bytes > mostBytes) throw new Error(`standard input has more than ${mostBytes} bytes`);
    chunks.push(part);
  }
  return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
}
