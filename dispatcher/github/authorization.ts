import type { CallPurpose } from './github.ts';
import type { GithubTrouble } from './trouble.ts';

/** What goes into the `authorization` header. */
export interface Bearer {
  readonly header: string;
}

/** How one credential speaks to GitHub. */
export interface Authorization {
  bearer(purpose: CallPurpose, signal: AbortSignal): Promise<Bearer>;
  /**
   * GitHub answered 401. Milliseconds after which the call may be made once more (with a new bearer), or undefined
   * when that would be no use.
   */
  refused(bearer: Bearer, trouble: GithubTrouble | undefined): number | undefined;
}
