/**
 * Removes secrets from text by their shape: the second line of defence behind log.ts's whitelist, for secrets that a
 * remote service repeats in its error messages. pino's `redact` goes by the path of a field instead.
 */

/** Stands in place of what was taken out. */
export const REDACTED = '[secret]';

/** Longer text is truncated before it is searched: a body does not belong in the log. */
const SEARCHED_CHARACTERS = 16 * 1024;

/** A run of base64 this long is a blob, whatever it contains. */
const BLOB_CHARACTERS = 512;
/**
 * A shorter run, from this length on, is a blob when its characters are as mixed as base64. A JIT configuration has
 * about 4 KB, and the remainder in a stored tail of output, or within a service's message limit, is one long piece.
 */
const CUT_BLOB_CHARACTERS = 100;
/** Letters and digits in one run, without `/`, `-` or `_`: runs in resource ids and paths are shorter. */
const BLOB_PIECE_CHARACTERS = 64;
/**
 * Bits per character. Measured: hex has at most 4.0, cloud ids and paths 4.6 to 4.9, base64 of text 4.8 and more (in
 * pieces as long as the run), base64 of random bytes 5.2 and more from 100 characters on.
 */
const BLOB_PIECE_BITS = 4.4;
const BLOB_BITS = 5.1;

const SHAPES: readonly (readonly [pattern: RegExp, replacement: string])[] = [
  // A block whose end is missing (truncated, or folded into one line) is secret to the end of the text.
  [/-----BEGIN [^-]*-----[\s\S]*?(?:-----END [^-]*-----|$)/g, REDACTED],
  // GitHub's tokens, the dotted and underscored newer forms included.
  [/(?:gh[oprsu]_|github_pat_)[A-Za-z0-9_.-]+/g, REDACTED],
  // Our own.
  [/shr_[a-z2-7]{16,}/g, REDACTED],
  // Base64 of `{"`: a JWT begins with eyJ, a JIT configuration (its first key is a file name, `.runner`) with eyIu.
  [/ey[IJ][A-Za-z0-9_\-+/=.%]{8,}/g, REDACTED],
  [/(bearer\s+)[^\s"',;]+/gi, `$1${REDACTED}`],
  [/(basic\s+)[A-Za-z0-9+/=]{8,}/gi, `$1${REDACTED}`],
  [/(authorization["']?\s*[:=]\s*["']?)(?!bearer\b|basic\b)[^\s"',;]+(?:[ \t]+[^\s"',;]+)?/gi, `$1${REDACTED}`],
  [/((?:token|secret|password|signature|jitconfig|private_?key)=)[^&\s"']+/gi, `$1${REDACTED}`],
  // https://user:password@host
  [/(:\/\/[^\s/:@]*:)[^\s/@]+(?=@)/g, `$1${REDACTED}`],
];

/** The text without anything shaped like a secret, at most `characters` long. */
export function scrub(text: string, characters: number): string {
  // Truncation may leave too little of a blob to be recognized: the last run is removed with it.
  const searched = text.length > SEARCHED_CHARACTERS ? withoutLastRun(text.slice(0, SEARCHED_CHARACTERS)) : text;
  const clean = withoutSecrets(searched);
  return clean.length > characters ? `${clean.slice(0, characters)}… (cut)` : clean;
}

/** The same for a container's output, which is kept whole except for NULs: its size is bounded where it is read. */
export function scrubOutput(text: string): string {
  return withoutSecrets(text.replaceAll('\0', ''));
}

/** What a terminal does not display: color codes, and invisible characters between words. */
const UNSEEN = new RegExp(
  `${String.fromCodePoint(27)}\\[[0-?]*[ -/]*[@-~]|(?![\\t\\n\\r])[\\p{Cc}\\p{Cf}\\p{Default_Ignorable_Code_Point}]`,
  'gu',
);

/**
 * `grep --color` puts color codes between a token's first characters and the rest, and UTF-16 puts a NUL after each.
 * If removing them reveals a secret, the text is kept without them; otherwise they stay.
 */
function withoutSecrets(text: string): string {
  const clean = withoutSeenSecrets(text);
  const seen = clean.replace(UNSEEN, '');
  if (seen.length === clean.length) return clean;
  const cleaner = withoutSeenSecrets(seen);
  return cleaner === seen ? clean : cleaner;
}

function withoutSeenSecrets(text: string): string {
  let clean = text;
  for (const [pattern, replacement] of SHAPES) clean = clean.replace(pattern, replacement);
  return withoutBlobs(clean);
}

/** The minimum length of a line of wrapped base64: `base64` makes 76, PEM 64. */
const WRAPPED_CHARACTERS = 40;
/** The last: a line feed that JSON has escaped; its `n` is then the first character of the next line. */
const LINE_ENDS: ReadonlySet<string> = new Set(['\n', '\r\n', '\\']);

/** By runs of base64 characters, joining wrapped lines. One pass, because the input is untrusted. */
function withoutBlobs(text: string): string {
  const clean: string[] = [];
  let copied = 0;
  let group = '';
  let groupStart = 0;
  let groupEnd = 0;
  let lastLength = 0;
  const close = () => {
    if (!isBlob(group)) return;
    clean.push(text.slice(copied, groupStart), REDACTED);
    copied = groupEnd;
  };
  for (const { 0: run, index } of text.matchAll(/[A-Za-z0-9+/=_-]+/g)) {
    const goesOn = lastLength >= WRAPPED_CHARACTERS && LINE_ENDS.has(text.slice(groupEnd, index));
    if (goesOn) group += run;
    else {
      close();
      group = run;
      groupStart = index;
    }
    groupEnd = index + run.length;
    lastLength = run.length;
  }
  close();
  return clean.length === 0 ? text : clean.join('') + text.slice(copied);
}

function isBlob(run: string): boolean {
  if (run.length >= BLOB_CHARACTERS) return true;
  if (run.length < CUT_BLOB_CHARACTERS || !/[a-z]/.test(run) || !/[A-Z]/.test(run) || !/\d/.test(run)) return false;
  const bits = bitsPerCharacter(run);
  const inOnePiece = run.split(/[^A-Za-z0-9]+/).some((piece) => piece.length >= BLOB_PIECE_CHARACTERS);
  return bits >= (inOnePiece ? BLOB_PIECE_BITS : BLOB_BITS);
}

/** Shannon's entropy of the characters. */
function bitsPerCharacter(text: string): number {
  const counts = new Map<string, number>();
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) bits -= (count / text.length) * Math.log2(count / text.length);
  return bits;
}

function withoutLastRun(text: string): string {
  let end = text.length;
  while (end > 0 && /[A-Za-z0-9+/=_-]/.test(text.charAt(end - 1))) end -= 1;
  return end === 0 ? text : text.slice(0, end);
}
