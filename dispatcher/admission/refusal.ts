/** Why a job is refused, and what its author can do. Pure. */

import { isGlob } from '../labels/glob.ts';
import { nearest } from '../labels/nearest.ts';
import { type Override, type OverrideOf, quote, WORD_OF } from '../labels/values.ts';
import type { Policy, Registration } from '../model/registration.ts';

/** A bounded set: metrics are labelled with it. */
export type RefusalCode =
  | 'too-many-labels'
  | 'label-too-long'
  | 'malformed-label'
  | 'contradicting-labels'
  | 'ambiguous-registration'
  | 'registration-set-aside'
  | 'organization-unknown'
  | 'public-repository'
  | 'unknown-visibility'
  | 'origin-not-allowed'
  | 'unknown-origin'
  | 'fork'
  | 'unknown-fork'
  | 'over-limit'
  | 'not-allowed'
  | 'not-granted'
  | 'not-supported'
  | 'unknown-name'
  | 'no-image'
  | 'no-backend';

/** One reason why a job is refused, with what its author, or the owner of the registration, can do. */
export interface Refusal {
  readonly code: RefusalCode;
  readonly reason: string;
  readonly cure: string;
  /** The line of dispatcher.yaml that decided, if a tenant's grant did: `dispatcher.yaml:12:3`. */
  readonly place?: string;
  /** The field of the registration's file that decided, if that did: `policy.maxCpu`. */
  readonly field?: string;
}

/** The policy's fields as they are named in the file. */
export type PolicyFields = Omit<Policy, 'maxTimeLimitMs'> & { readonly maxTimeout: unknown };

/** Where the cure for a denied override applies. `how`: the least that the owner would have to do. */
export function ask(registration: Registration, field: string, how = `set ${quote(`policy.${field}`)}`): string {
  const place = registration.organization?.decided[`policy.${field}`];
  if (place !== undefined)
    return `or ask those who keep the defaults of the organization to take \`${field}\` out (${place})`;
  return `or ask the owner of registration ${quote(registration.name)} to ${how}`;
}

/** The values, or globs, that a policy allows labels to ask for. */
export interface Allowed {
  /** As in the file. */
  readonly field: keyof PolicyFields;
  readonly values: readonly string[];
}

/** `what`: what the label asks for, in words. `value`: what the list would have to contain. */
export function notAmong(
  asked: Override,
  { what, value }: { readonly what: string; readonly value: string },
  allowed: Allowed,
  registration: Registration,
): Refusal {
  const { values, field } = allowed;
  const list =
    values.length === 0 ? 'does not let labels choose one' : `allows only ${values.slice(0, 10).map(quote).join(', ')}`;
  return {
    code: 'not-allowed',
    field: `policy.${field}`,
    reason: `${quote(asked.label)} asks for ${what}, and registration ${quote(registration.name)} ${list}`,
    cure: `${values.length === 0 ? `Remove ${removable(asked)}` : 'Take an allowed one'}, ${ask(registration, field, adding(value, field))}.`,
  };
}

/** To a list of globs: the value is a name, in which the grammar of labels has no `*` and no `?`. */
function adding(value: string, field: keyof PolicyFields): string {
  return isGlob(value)
    ? `let ${quote(`policy.${field}`)} include it`
    : `add ${quote(value)} to ${quote(`policy.${field}`)}`;
}

/**
 * `known`: those that labels may choose. `had`: how many the registration has, whether or not labels may choose them.
 */
export function unknownName(
  asked: OverrideOf<'shape' | 'backend'>,
  known: readonly string[],
  what: 'shape' | 'backend',
  registration: Registration,
  had = known.length,
): Refusal {
  const guess = nearest(asked.value, known);
  const list =
    known.length > 0
      ? `it has ${known.slice(0, 10).map(quote).join(', ')}`
      : had > 0
        ? `labels may not choose among its backends`
        : 'it has none';
  if (known.length === 0 && had > 0) {
    return {
      code: 'unknown-name',
      field: 'policy.backends',
      reason: `${quote(asked.label)} names a ${what} that registration ${quote(registration.name)} does not have; ${list}`,
      cure: `Remove ${removable(asked)}, or ask the owner of registration ${quote(registration.name)} for a ${what} of that name, and to add it to ${quote('policy.backends')}.`,
    };
  }
  return {
    code: 'unknown-name',
    reason: `${quote(asked.label)} names a ${what} that registration ${quote(registration.name)} does not have; ${list}`,
    cure:
      guess === undefined
        ? `${known.length === 0 ? 'Remove' : 'Name one of them or remove'} ${removable(asked)}, or ask the owner of registration ${quote(registration.name)} for a ${what} of that name.`
        : `Did you mean ${quote(spelled(asked, guess))}?`,
  };
}

/** What to remove. Of a `shr=` label only the part: the label itself may be what brings the job here. */
export function removable({ label, part }: Override): string {
  return part === undefined ? quote(label) : `${quote(part)} from ${quote(label)}`;
}

/** As a label, or as a part of the one-label form, whichever the job wrote. */
export function spelled(asked: OverrideOf<'shape' | 'backend' | 'image' | 'memory'>, value: string): string {
  if (asked.part !== undefined) return `${asked.key}=${value}`;
  return `${WORD_OF[asked.key]}-${value}`;
}

/** By name without case: GitHub itself treats labels so. */
export function lookUp<T>(named: Readonly<Record<string, T>>, name: string): T | undefined {
  const key = keyIn(named, name);
  return key === undefined ? undefined : named[key];
}

/** The key under which `lookUp` finds a name. */
export function keyIn(named: Readonly<Record<string, unknown>>, name: string): string | undefined {
  if (Object.hasOwn(named, name)) return name;
  const folded = name.toLowerCase();
  return Object.keys(named).find((candidate) => candidate.toLowerCase() === folded);
}
