/** Finds a secret in a text, also where it was encoded on the way: as the services and SDKs do with bodies, tags and files. */

const WINDOW = 24;
const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';

/** In which form the secret, or a long part of it, stands in the text. */
export function leaksOf(text: string, secret: string): readonly string[] {
  const found = new Set<string>();
  const folded = text.toLowerCase();
  for (const part of partsOf(secret)) {
    const bytes = Buffer.from(part, 'utf8');
    if (text.includes(part)) found.add('as it is');
    if (text.includes(encodeURIComponent(part))) found.add('percent-encoded');
    if (folded.includes(bytes.toString('hex'))) found.add('in hex');
    // Of an encoding by groups, the inner characters depend only on where in a group the part begins.
    for (const offset of [0, 1, 2]) {
      const inner = bytes.subarray(offset, offset + 3 * Math.floor((bytes.length - offset) / 3)).toString('base64');
      if (text.includes(inner) || text.includes(inner.replaceAll('+', '-').replaceAll('/', '_')))
        found.add('in base64');
    }
    for (const offset of [0, 1, 2, 3, 4]) {
      const inner = base32(bytes.subarray(offset, offset + 5 * Math.floor((bytes.length - offset) / 5)));
      if (folded.includes(inner)) found.add('in base32');
    }
  }
  return [...found].sort();
}

/** From all over it: a service may cut what it shows. */
function partsOf(secret: string): readonly string[] {
  const last = Math.max(0, secret.length - WINDOW);
  return [0, 0.2, 0.4, 0.6, 0.8, 1].map((share) => {
    const start = Math.floor(last * share);
    return secret.slice(start, start + WINDOW);
  });
}

function base32(bytes: Buffer): string {
  let text = '';
  let buffer = 0;
  let bits = 0;
  for (const byte of bytes) {
    buffer = ((buffer << 8) | byte) & 0xfff;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += BASE32.charAt((buffer >> bits) & 31);
    }
  }
  return text;
}
