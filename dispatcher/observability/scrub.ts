/**
 * Takes secrets out of text by their shape: the second net under the whitelist of log.ts, for the secret that a
 * remote service repeats in its error message.
 */

export const REDACTED = '[secret]';

/** Text beyond this is cut before it is searched: the log is no place for a body. */
const SEARCHED_CHARACTERS = 16 * 1024;

/**
 * A run of base64 this long is a blob, not a word: a JIT configuration has about 4 KB, a hash in hex at most 128
 * characters. Half of what is promised (1 KB), so that a blob that something else has cut is found too.
 */
const BLOB_CHARACTERS = 512;

const SHAPES: readonly (readonly [pattern: RegExp, replacement: string])[] = [
  // A block whose end is missing (cut, or folded into one line) is secret to the end of the text.
  [/-----BEGIN [^-]*-----[\s\S]*?(?:-----END [^-]*-----|$)/g, REDACTED],
  // GitHub's tokens, the dotted and underscored newer forms included.
  [/(?:gh[oprsu]_|github_pat_)[A-Za-z0-9_.-]+/g, REDACTED],
  // Base64 of `{"`: a JWT, and also a JIT configuration, of any length.
  [/eyJ[A-Za-z0-9_\-+/=.%]{8,}/g, REDACTED],
  [/(bearer\s+)[^\s"',;]+/gi, `$1${REDACTED}`],
  [/(basic\s+)[A-Za-z0-9+/=]{8,}/gi, `$1${REDACTED}`],
  [/(authorization["']?\s*[:=]\s*["']?)(?!bearer\b|basic\b)[^\s"',;]+(?:[ \t]+[^\s"',;]+)?/gi, `$1${REDACTED}`],
  [/((?:token|secret|password|signature|jitconfig|private_?key)=)[^&\s"']+/gi, `$1${REDACTED}`],
  // https://user:password@host
  [/(:\/\/[^\s/:@]*:)[^\s/@]+(?=@)/g, `$1${REDACTED}`],
];

/** The same text without what has the shape of a secret, at most `characters` long. */
export function scrub(text: string, characters: number): string {
  let clean = text;
  // What a cut leaves of a blob may be too short to be known as one: the last run goes with it.
  if (clean.length > SEARCHED_CHARACTERS) clean = withoutLastRun(clean.slice(0, SEARCHED_CHARACTERS));
  for (const [pattern, replacement] of SHAPES) clean = clean.replace(pattern, replacement);
  clean = clean.replace(/[A-Za-z0-9+/=_-]+/g, (run) => (run.length >= BLOB_CHARACTERS ? REDACTED : run));
  clean = clean.replace(/(?:[A-Za-z0-9+/]{40,}={0,2}(?:\\n|\s)+){8,}[A-Za-z0-9+/=]*/g, REDACTED);
  return clean.length > characters ? `${clean.slice(0, characters)}… (cut)` : clean;
}

function withoutLastRun(text: string): string {
  let end = text.length;
  while (end > 0 && /[A-Za-z0-9+/=_-]/.test(text.charAt(end - 1))) end -= 1;
  return end === 0 ? text : text.slice(0, end);
}
