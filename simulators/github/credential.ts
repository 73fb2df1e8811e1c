/** What a request authenticates with. */
import type { App, Installation } from './model.ts';
import type { PersonalToken } from './world.ts';

export type Credential =
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'app'; readonly app: App }
  | { readonly kind: 'installation'; readonly token: InstallationToken }
  | { readonly kind: 'personal'; readonly token: PersonalToken };

export interface InstallationToken {
  readonly token: string;
  readonly installation: Installation;
  readonly permissions: Readonly<Record<string, string>>;
  /** Undefined: everything that the installation can access. */
  readonly repositoryIds: ReadonlySet<number> | undefined;
  readonly expiresAtMs: number;
}

/** The account that a rate limit applies to. */
export function limitKey(credential: Credential): string {
  switch (credential.kind) {
    case 'anonymous':
      return 'anonymous';
    case 'app':
      return `app ${credential.app.id}`;
    case 'installation':
      return `installation ${credential.token.installation.id}`;
    case 'personal':
      return `user ${credential.token.account.login}`;
  }
}

/** The text after "API rate limit exceeded for". */
export function limitSubject(credential: Credential): string {
  switch (credential.kind) {
    case 'anonymous':
      return "127.0.0.1. (But here's the good news: Authenticated requests get a higher rate limit.)";
    case 'app':
      return `app ID ${credential.app.id}.`;
    case 'installation':
      return `installation ID ${credential.token.installation.id}.`;
    case 'personal':
      return `user ID ${credential.token.account.id}.`;
  }
}
