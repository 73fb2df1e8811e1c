/** One line of `shr doctor`. */

import { withoutPage } from '../../failures/html-page.ts';
import { scrub } from '../../failures/scrub.ts';
import { GithubError } from '../../github/github.ts';

export interface DoctorFinding {
  /** `network`, `ledger`, `listener`, `github`, `webhook`, `runners`, `launches`, `oidc`, `source NAME`, or `backend NAME`. */
  readonly about: string;
  /** The part of it that was checked: a row of the table in docs/operations.md. */
  readonly subject: string;
  readonly ok: boolean;
  /** Worth knowing, although nothing has to be done for `ok`: a limitation, or what could not be checked. */
  readonly note?: true;
  readonly message: string;
  /** What to do; present when `ok` is false. */
  readonly cure?: string;
}

/** A service may repeat a secret, or a whole request, in its message. */
const MESSAGE_CHARACTERS = 600;

export function good(about: string, subject: string, message: string): DoctorFinding {
  return { about, subject, ok: true, message: scrub(withoutPage(message), MESSAGE_CHARACTERS) };
}

export function note(about: string, subject: string, message: string, cure?: string): DoctorFinding {
  const finding = { ...good(about, subject, message), note: true } as const;
  return cure === undefined ? finding : { ...finding, cure: scrub(cure, MESSAGE_CHARACTERS) };
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
  if (error instanceof GithubError) return `${error.operation}: ${githubWords(error)}`;
  return error instanceof Error ? error.message : String(error);
}

/** Without the cure that GitHub's errors end with: a finding has its own place for it. */
export function githubWords({ words, cure }: GithubError): string {
  return cure === undefined ? words : words.replace(` (${cure})`, '');
}

/** What to do about an unexpected answer from GitHub. */
export function githubCure(error: unknown): string {
  if (!(error instanceof GithubError)) return 'read the message, and try again';
  switch (error.kind) {
    case 'unauthorized':
      return error.cure ?? 'install the App there, or renew the key or token';
    case 'forbidden':
      return error.cure ?? 'do what the message says; the permissions that are needed are in step 2 of README.md';
    case 'not-found':
      return 'check the spelling of owner and repository, and let the credentials see them';
    case 'rate-limited':
      return "the hour's requests are used up: try again later";
    case 'transient':
      return "try again; then look at GitHub's status page";
    case 'conflict':
    case 'invalid':
      return 'compare the message with the registration';
  }
}
