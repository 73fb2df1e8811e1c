/**
 * "Did you mean": the word with the smallest edit distance. Not fastest-levenshtein: there two swapped letters are two
 * mistakes, and a tenant's many words are each compared in full.
 */

const MAX_LENGTH = 64;

/** Undefined when no word is close: a far-fetched guess confuses more than none. Ignores case. */
export function nearest(written: string, known: Iterable<string>): string | undefined {
  const word = written.toLowerCase();
  if (word.length > MAX_LENGTH) return undefined;
  const furthest = word.length <= 4 ? 1 : 2;
  let best: string | undefined;
  let least = furthest + 1;
  for (const candidate of known) {
    if (Math.abs(candidate.length - word.length) >= least) continue;
    const distance = editDistance(word, candidate.toLowerCase(), furthest);
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

/** The same for names that count: a different number is not a typo, `gpu-1` was not meant as `gpu-2`. */
export function nearestName(written: string, known: Iterable<string>): string | undefined {
  const numbers = numbersIn(written);
  return nearest(
    written,
    [...known].filter((name) => numbersIn(name) === numbers && name.length > 2),
  );
}

function numbersIn(text: string): string {
  return (text.match(/\d+/g) ?? []).join(' ');
}

const FAR = Number.POSITIVE_INFINITY;

/**
 * Insertions, deletions, replacements, and transpositions (the most common typo). Above `most` returns any larger
 * number: only candidates below it are computed, since a tenant chooses both the words and their number.
 */
function editDistance(a: string, b: string, most: number): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: most + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const row: number[] = i <= most ? [i] : [];
    for (let j = Math.max(1, i - most); j <= Math.min(b.length, i + most); j += 1) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = Math.min((last[j] ?? FAR) + 1, (row[j - 1] ?? FAR) + 1, (last[j - 1] ?? FAR) + same);
      if (a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, (beforeLast[j - 2] ?? FAR) + 1);
      }
      row[j] = cost;
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? FAR;
}
