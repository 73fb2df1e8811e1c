/** What a label says, read by itself. Pure. */

import type { Override, OverrideOf } from './values.ts';

/** A label that looks like an override but cannot be parsed. */
export interface Mistake {
  readonly kind: 'malformed' | 'contradiction';
  /** The whole label. */
  readonly label: string;
  /** Where in the label the problem starts, counted from 1. */
  readonly position: number;
  /** What is wrong. */
  readonly problem: string;
  /** What to write instead. */
  readonly cure: string;
  /** The intended label, if there is one that can be parsed. */
  readonly meant?: string;
}

/** `position` counts from 1. */
export function malformed(label: string, position: number, problem: string, cure: string): Mistake {
  return { kind: 'malformed', label, position, problem, cure };
}

/** What a label is, before registrations are looked at. */
export type Reading =
  /** GitHub's own: `self-hosted`, `linux`, `x64`, `arm64`. */
  | { readonly kind: 'built-in'; readonly override: OverrideOf<'architecture'> | undefined }
  | { readonly kind: 'override'; readonly override: Override }
  /** `shr=<unique>/key=value/…` */
  | { readonly kind: 'one-label'; readonly overrides: readonly Override[]; readonly mistakes: readonly Mistake[] }
  | { readonly kind: 'malformed'; readonly mistake: Mistake }
  /** Neither: it can only be a registration's own label. */
  | { readonly kind: 'plain' };

/** One label of `runs-on`. */
export interface JobLabel {
  readonly text: string;
  /** Labels are compared case-insensitively. */
  readonly folded: string;
  readonly reading: Reading;
}
