/** One line of `shr doctor`. */
import { withoutPage } from '../../observability/html-page.ts';
import { scrub } from '../../observability/scrub.ts';

export interface DoctorFinding {
  /** `github`, `webhook`, or `backend NAME`. */
  readonly about: string;
  readonly subject: string;
  readonly ok: boolean;
  readonly message: string;
  /** What to do; present when `ok` is false. */
  readonly cure?: string;
}

/** A service may repeat a secret in what it says, or a whole request. */
const MESSAGE_CHARACTERS = 600;

export function good(about: string, subject: string, message: string): DoctorFinding {
  return { about, subject, ok: true, message: scrub(withoutPage(message), MESSAGE_CHARACTERS) };
}

export function bad(about: string, subject: string, message: string, cure: string): DoctorFinding {
  return {
    about,
    subject,
    ok: false,
    message: scrub(withoutPage(message), MESSAGE_CHARACTERS),
    cure: scrub(cure, MESSAGE_CHARACTERS),
  };
}

export function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
