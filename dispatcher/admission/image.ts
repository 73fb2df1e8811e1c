/** Which image a job gets. Pure. */
import { matchesAny } from '../labels/glob.ts';
import { nearest } from '../labels/nearest.ts';
import { type OverrideOf, quote } from '../labels/values.ts';
import type { Registration, ShapeDefaults } from '../model/registration.ts';
import { ofPreset, presetImage, presetNames, ungrantedPreset } from './presets.ts';
import { lookUp, notAmong, type Refusal, removable, spelled } from './refusal.ts';

const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;

/**
 * A named image first: the registration chose those itself, and the presets that its policy names. Then, with `/`, `:` or
 * `@` in it, a full reference; else a tag of the registration's repository; without one, a preset. These must be on the
 * allow-list. A preset comes last, so that one more of them never changes what a label means.
 */
export function resolveImage(
  registration: Registration,
  asked: OverrideOf<'image'> | undefined,
  { base, usual }: { readonly base: ShapeDefaults; readonly usual: ShapeDefaults },
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
  const { images, presetImages = {} } = registration;
  const named = lookUp(images, asked.value);
  if (named !== undefined) return named;
  const preset = presetImage(registration, asked.value);
  const ungranted = preset === undefined ? undefined : ungrantedPreset(registration, preset);
  const whole = ungranted === undefined ? lookUp(presetImages, asked.value) : undefined;
  if (whole !== undefined) return whole;
  const reference = fullReference(registration, asked.value);
  if (reference === undefined && preset !== undefined) {
    const refusal = judgeReference(registration, asked, preset.value, usual);
    if (ungranted === undefined && refusal.length === 0) return preset.value;
    refusals.push(...(ungranted === undefined ? ofPreset(refusal, preset, 'imagePresets') : [ungranted]));
    return undefined;
  }
  if (reference === undefined) {
    const known = [...new Set([...Object.keys(images), ...presetNames(registration, 'images')])];
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
  const refusal = judgeReference(registration, asked, reference, usual);
  if (refusal.length === 0) return reference;
  refusals.push(...refusal);
  return undefined;
}

/** Whether labels may ask for a full reference. `usual`: what a job gets that does not ask. */
export function judgeReference(
  registration: Registration,
  asked: OverrideOf<'image'>,
  reference: string,
  usual: ShapeDefaults,
): readonly Refusal[] {
  if (reference === usual.image || matchesAny(registration.policy.images, reference)) return [];
  const allowed = { field: 'images', values: registration.policy.images } as const;
  return [notAmong(asked, { what: `the image ${quote(reference)}`, value: reference }, allowed, registration)];
}

function fullReference(registration: Registration, value: string): string | undefined {
  if (/[/:@]/.test(value)) return value;
  if (registration.imageRepository === undefined || !TAG.test(value)) return undefined;
  return `${registration.imageRepository}:${value}`;
}
