import type { GithubDenial } from './denial.ts';
import type { CallPurpose } from './github.ts';

/** The value of the `authorization` header. */
export interface Bearer {
  readonly header: string;
}

/** How one credential authenticates to GitHub. */
export interface Authorization {
  bearer(purpose: CallPurpose, signal: AbortSignal): Promise<Bearer>;
  /**
   * GitHub answered 401. Milliseconds after which the call may be repeated (with a new bearer), or undefined
   * when that would be useless.
   */
  refused(bearer: Bearer, denial: GithubDenial | undefined): number | undefined;
}
