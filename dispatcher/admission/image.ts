/** Which image a job gets. Pure. */
import { matchesAny } from '../labels/glob.ts';
import { nearest } from '../labels/nearest.ts';
import { type OverrideOf, quote } from '../labels/values.ts';
import type { Registration, ShapeDefaults } from '../model/registration.ts';
import { lookUp, notAmong, type Refusal, removable, spelled } from './refusal.ts';

const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;

/**
 * A named image first: the registration chose those itself. Then, with `/`, `:` or `@` in it, a full reference; else a
 * tag of the registration's repository. Both of these must be on the allow-list.
 */
export function resolveImage(
  registration: Registration,
  asked: OverrideOf<'image'> | undefined,
  base: ShapeDefaults,
  refusals: Refusal[],
): string | undefined {
  if (asked === undefined) {
    if (base.image !== undefined) return base.image;
    refusals.push({
      code: 'no-image',
      reason: `registration ${quote(registration.name)} has no default image, and the job names none`,
      cure: `Add a label such as ${quote('img-NAME')}, or ask the owner of the registration to set ${quote('defaults.image')}.`,
    });
    return undefined;
  }
  const named = lookUp(registration.images, asked.value);
  if (named !== undefined) return named;
  const reference = fullReference(registration, asked.value);
  if (reference === undefined) {
    const known = Object.keys(registration.images);
    const guess = nearest(asked.value, known);
    const instead =
      known.length > 0
        ? 'Name one of its images, or ask '
        : base.image === undefined
          ? 'Ask '
          : `Remove ${removable(asked)}, or ask `;
    const list = known.length === 0 ? 'none' : known.slice(0, 10).map(quote).join(', ');
    refusals.push({
      code: 'unknown-name',
      reason: `${quote(asked.label)} is not an image of registration ${quote(registration.name)} (named images: ${list}), and it has no \`imageRepository\` that ${quote(asked.value)} could be a tag of`,
      cure:
        guess === undefined
          ? `${instead}the owner of the registration to set ${quote('imageRepository')} or ${quote('images')}.`
          : `Did you mean ${quote(spelled(asked, guess))}?`,
    });
    return undefined;
  }
  if (reference === base.image || matchesAny(registration.policy.images, reference)) return reference;
  const what = `the image ${quote(reference)}`;
  const allowed = { field: 'images', values: registration.policy.images } as const;
  refusals.push(notAmong(asked, what, allowed, registration));
  return undefined;
}

function fullReference(registration: Registration, value: string): string | undefined {
  if (/[/:@]/.test(value)) return value;
  if (registration.imageRepository === undefined || !TAG.test(value)) return undefined;
  return `${registration.imageRepository}:${value}`;
}
