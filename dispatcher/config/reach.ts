/** Who may refer to what, and what a reference turns out to be. Types. */
import type { Path } from '../model/problem.ts';
import type { Grant } from '../model/registration.ts';

export type Reach = (
  | { readonly kind: 'platform' }
  | {
      readonly kind: 'tenant';
      readonly alias: string;
      /** Every tenant's. */
      readonly aliases: readonly string[];
      readonly grant?: Grant;
    }
) & {
  /** Absent in dispatcher.yaml, for which nothing can be sealed. */
  readonly sealed?: SealedReach;
};

/** What opens the sealed values of one registration. */
export interface SealedReach {
  /** `text`: without `${sealed:` and `}`. */
  open(text: string, path: Path): Resolution;
}

export type Resolution =
  | { readonly outcome: 'none' }
  | {
      readonly outcome: 'value';
      readonly value: string;
      /** For a file: which users besides its owner can read it. */
      readonly exposed?: { readonly file: string; readonly to: 'everybody' | 'group' };
      /** It was read before, and could not be read now. */
      readonly stale?: { readonly message: string; readonly cure: string };
    }
  /** In a store that this command does not ask. */
  | { readonly outcome: 'unread'; readonly message: string; readonly cure: string }
  /** Valid but missing: a problem to `serve`, a note to `validate`. */
  | {
      readonly outcome: 'absent';
      readonly message: string;
      readonly cure: string;
      /** In the place of both, where it is no more than a note. */
      readonly asNote?: { readonly message: string; readonly cure: string };
    }
  | { readonly outcome: 'wrong'; readonly message: string; readonly cure: string };
