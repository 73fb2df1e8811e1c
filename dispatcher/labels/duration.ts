/**
 * Durations as people write them: `90m`, `2h`, `1h30m`, `45s`, `2d`, `500ms`. Not the package ms, which takes `-2m`,
 * `1.5 h` and `5`.
 */

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
] as const;

const PATTERN = /^(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?(?:(\d{1,9})ms)?$/i;

/** Milliseconds, or undefined when the text is not a duration. Units go from large to small, each at most once. */
export function parseDuration(text: string): number | undefined {
  if (text === '') return undefined;
  const match = PATTERN.exec(text);
  if (!match) return undefined;
  let total = 0;
  for (const [index, [, ms]] of UNITS.entries()) total += Number(match[index + 1] ?? 0) * ms;
  return total;
}

/** The shortest notation; `0s` for zero. */
export function formatDuration(ms: number): string {
  let rest = ms;
  let text = '';
  for (const [unit, size] of UNITS) {
    const count = Math.floor(rest / size);
    if (count === 0) continue;
    text += `${count}${unit}`;
    rest -= count * size;
  }
  return text === '' ? '0s' : text;
}
