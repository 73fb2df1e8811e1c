/** A tar archive with one file, as the engine takes it. */

const BLOCK = 512;

export interface ArchivedFile {
  readonly name: string;
  readonly text: string;
  /** Of the user and of the group. */
  readonly owner: number;
  readonly mode: number;
}

/** In the ustar format (POSIX.1-1988), for names below 100 bytes. */
export function archive({ name, text, owner, mode }: ArchivedFile): Buffer {
  const content = Buffer.from(text);
  const header = Buffer.alloc(BLOCK);
  header.write(name, 0, 100, 'utf8');
  octal(header, mode, 100, 8);
  octal(header, owner, 108, 8);
  octal(header, owner, 116, 8);
  octal(header, content.length, 124, 12);
  octal(header, 0, 136, 12);
  // The checksum counts itself as spaces.
  header.fill(' ', 148, 156);
  header.write('0', 156);
  header.write('ustar\u000000', 257, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\u0000 `, 148, 8, 'latin1');
  const padding = Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK);
  return Buffer.concat([header, content, padding, Buffer.alloc(2 * BLOCK)]);
}

function octal(header: Buffer, value: number, offset: number, length: number): void {
  header.write(`${value.toString(8).padStart(length - 1, '0')}\u0000`, offset, length, 'latin1');
}
