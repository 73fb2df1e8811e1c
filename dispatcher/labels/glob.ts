/**
 * Globs: `*` matches any run of characters, slashes included; `?` matches one character. Everything else is literal.
 * Two pointers instead of a regular expression, which picomatch would make: a tenant's `*a*a*a*b` costs at most
 * pattern × text steps, and `MAX_GLOB_CHARACTERS` bounds the patterns of one policy.
 */

/** For all globs of one policy that have a wildcard, together: a job's labels take a few milliseconds at most. */
export const MAX_GLOB_CHARACTERS = 4096;

/** Represents a star where a glob is itself the text. Only a star matches it. */
const ANY_RUN = '\0';

/** Case-sensitive: fold both where case does not count. `matchesGlob('acme/*', 'acme/web')` is true. */
export function matchesGlob(pattern: string, text: string): boolean {
  if (!endsAlike(pattern, text)) return false;
  let p = 0;
  let t = 0;
  let star = -1;
  let resume = 0;
  while (t < text.length) {
    if (p < pattern.length && pattern[p] === '*') {
      star = p;
      resume = t;
      p += 1;
    } else if (p < pattern.length && isSame(pattern[p], text[t])) {
      p += 1;
      t += 1;
    } else if (star >= 0) {
      p = star + 1;
      resume += 1;
      t = resume;
    } else {
      return false;
    }
  }
  while (pattern[p] === '*') p += 1;
  return p === pattern.length;
}

function isSame(pattern: string | undefined, character: string | undefined): boolean {
  return pattern === character || (pattern === '?' && character !== ANY_RUN);
}

/** What follows the last star must match the end of the text: checked first, it rejects most long texts early. */
function endsAlike(pattern: string, text: string): boolean {
  for (let back = 1; back <= pattern.length; back += 1) {
    const character = pattern[pattern.length - back];
    if (character === '*') return true;
    if (back > text.length || !isSame(character, text[text.length - back])) return false;
  }
  return text.length === pattern.length;
}

/** False for no patterns. */
export function matchesAny(patterns: readonly string[], text: string): boolean {
  return patterns.some((pattern) => matchesGlob(pattern, text));
}

/** Whether it has a wildcard. */
export function isGlob(text: string): boolean {
  return text.includes('*') || text.includes('?');
}

/** Whether everything that `narrow` matches is matched by one of `wide`. May be false if it takes several together. */
export function isWithin(wide: readonly string[], narrow: string): boolean {
  return matchesAny(wide, narrow.replaceAll('*', ANY_RUN));
}

/** Whether some text matches both. */
export function globsOverlap(one: string, other: string): boolean {
  if (!isGlob(one)) return matchesGlob(other, one);
  if (!isGlob(other)) return matchesGlob(one, other);
  // From the ends: whether the rest of `one` (from i) and of `other` (from j) can match a common text.
  let below: boolean[] = [];
  for (let i = one.length; i >= 0; i -= 1) {
    const row: boolean[] = [];
    for (let j = other.length; j >= 0; j -= 1) row[j] = canMeet(one[i], other[j], below, row, j);
    below = row;
  }
  return below[0] === true;
}

function canMeet(
  a: string | undefined,
  b: string | undefined,
  below: readonly boolean[],
  row: readonly boolean[],
  j: number,
): boolean {
  if (a === undefined && b === undefined) return true;
  // A star matches nothing (the other side stays), or one more of the other side.
  if (a === '*') return below[j] === true || (b !== undefined && row[j + 1] === true);
  if (b === '*') return row[j + 1] === true || (a !== undefined && below[j] === true);
  if (a === undefined || b === undefined) return false;
  return (a === '?' || b === '?' || a === b) && below[j + 1] === true;
}
