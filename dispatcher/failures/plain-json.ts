/**
 * JSON escapes only the first range of control characters (C0). The second (C1, one of which starts a terminal command
 * as ESC [ does) and those that reorder or hide text would reach the reader's terminal. It remains the same JSON.
 */
export function plainJson(json: string): string {
  return json.replace(/[\u007f-\u009f\p{Cf}\u2028\u2029]/gu, (character) =>
    Array.from({ length: character.length }, (_, index) => escaped(character.charCodeAt(index))).join(''),
  );
}

function escaped(unit: number): string {
  return `\\u${unit.toString(16).padStart(4, '0')}`;
}
