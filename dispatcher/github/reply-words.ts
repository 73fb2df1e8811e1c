/** Extracts the message of a GitHub refusal from its body, on one line. Pure. */
import { z } from 'zod';
import { pageOf } from '../failures/html-page.ts';

/** GitHub's longest messages name each invalid field. */
const MESSAGE_CHARACTERS = 500;
const SEARCHED_CHARACTERS = 8_000;
const MAX_ERRORS = 5;

const fieldError = z.object({
  message: z.string().optional(),
  resource: z.string().optional(),
  field: z.string().optional(),
  code: z.string().optional(),
});
/** `errors` is a list of texts or of fields for GitHub's API, and a plain text from the Actions endpoints. */
const refusal = z.object({
  message: z.string().optional().catch(undefined),
  error: z.string().optional().catch(undefined),
  errors: z
    .union([z.string(), z.array(z.union([z.string(), fieldError, z.unknown().transform(() => null)]))])
    .optional()
    .catch(undefined),
});

/** `data`: the body as parsed JSON, or else as text. An HTML page is reduced to its title. */
export function wordsOfBody(data: unknown): string {
  if (typeof data === 'string') return wordsOfText(data);
  const parsed = refusal.safeParse(data);
  if (!parsed.success) return 'no message';
  const { message, error, errors } = parsed.data;
  const details = (typeof errors === 'string' ? [errors] : (errors ?? []).slice(0, MAX_ERRORS).map(wordsOfError))
    .filter((text) => text !== '')
    .join(', ');
  const first = message?.trim() || error?.trim() || '';
  const words = first === '' ? details : details === '' ? first : `${first.replace(/[.:]$/, '')}: ${details}`;
  return words === '' ? 'no message' : wordsOfText(words);
}

/** The text on one line, or the description of an HTML page. */
export function wordsOfText(text: string): string {
  const head = text.slice(0, SEARCHED_CHARACTERS);
  const page = pageOf(head);
  if (page !== undefined) return page;
  const line = head.replace(/\s+/g, ' ').trim();
  return line === '' ? 'no message' : shorten(line);
}

export function shorten(text: string, characters: number = MESSAGE_CHARACTERS): string {
  return text.length > characters ? `${text.slice(0, characters)}…` : text;
}

function wordsOfError(error: string | z.infer<typeof fieldError> | null): string {
  if (error === null) return '';
  if (typeof error === 'string') return error;
  if (error.message !== undefined) return error.message;
  return [error.resource, error.field, error.code].filter((part) => part !== undefined).join(' ');
}

/** `fetch failed` says nothing; its cause does. */
export function deepestWords(error: unknown): string {
  let last = error;
  for (let depth = 0; depth < 5 && last instanceof Error && last.cause !== undefined; depth += 1) last = last.cause;
  if (!(last instanceof Error)) return String(last);
  return last.message === '' && 'code' in last ? String(last.code) : last.message;
}
