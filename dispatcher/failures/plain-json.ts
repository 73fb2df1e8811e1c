/**
 * JSON escapes the first half of the control characters alone. The second half (C1, one of which begins a command to a
 * terminal as ESC [ does) and those that turn or hide text would reach whoever looks at it. To a program it is the same JSON.
 */
export function plainJson(json: string): string {
  return json.replace(/[\u007f-\u009f\p{Cf}\u2028\u2029]/gu, (character) =>
    Array.from({ length: character.length }, (_, index) => escaped(character.charCodeAt(index))).join(''),
  );
}

function escaped(unit: number): string {
  return `\\u${unit.toString(16).padStart(4, '0')}`;
}
