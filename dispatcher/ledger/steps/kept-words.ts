import { scrub } from '../../failures/scrub.ts';

/** As much of a displayed text as fits. */
const KEPT_CHARACTERS = 4_000;

/** As it is stored: without anything shaped like a secret. */
export function kept(text: string): string {
  return scrub(text, KEPT_CHARACTERS);
}
