/** Shapes and images that the platform named for labels: who may use one, and what it stands for. Pure. */

import { matchesAny } from '../labels/glob.ts';
import { override } from '../labels/overrides.ts';
import { spotModeOf } from '../labels/spot-mode.ts';
import { type Override, type OverrideKey, type OverrideOf, quote } from '../labels/values.ts';
import { defined } from '../model/defined.ts';
import type { Grant, Registration, ShapeDefaults } from '../model/registration.ts';
import { cureOf, placeOf, type Ungranted } from './grants.ts';
import { keyIn, lookUp, type Refusal } from './refusal.ts';

export type PresetKind = 'shapes' | 'images';

/** A preset as dispatcher.yaml names it. */
export interface Preset<Value> {
  readonly name: string;
  readonly value: Value;
  /** `dispatcher.yaml:12:3` */
  readonly place: string;
}

/** `name`: as a label wrote it. */
export function presetShape(registration: Registration, name: string): Preset<ShapeDefaults> | undefined {
  return presetIn(registration, 'shapes', registration.presets?.shapes ?? {}, name);
}

export function presetImage(registration: Registration, name: string): Preset<string> | undefined {
  return presetIn(registration, 'images', registration.presets?.images ?? {}, name);
}

function presetIn<Value>(
  { presets }: Registration,
  kind: PresetKind,
  named: Readonly<Record<string, Value>>,
  name: string,
): Preset<Value> | undefined {
  const key = keyIn(named, name);
  const value = key === undefined ? undefined : named[key];
  if (key === undefined || value === undefined) return undefined;
  return { name: key, value, place: presets?.places[`${kind}.${key}`] ?? 'dispatcher.yaml' };
}

/** Where the grant says nothing of presets, its tenant may name all: what they stand for needs a grant all the same. */
export function missingPreset({ presets }: Grant, name: string): readonly Ungranted[] {
  if (presets === undefined || matchesAny(presets, name)) return [];
  return [{ field: 'presets', what: `the preset ${quote(name)}`, value: name }];
}

/** Undefined: its tenant may name it. */
export function ungrantedPreset({ grant }: Registration, { name }: Preset<unknown>): Refusal | undefined {
  if (grant === undefined) return undefined;
  const [missing] = missingPreset(grant, name);
  if (missing === undefined) return undefined;
  const place = placeOf(grant, missing.field);
  const reason = `tenant ${quote(grant.tenant)} was not granted ${missing.what} (${place})`;
  return { code: 'not-granted', reason, cure: cureOf(grant, missing), place };
}

/** Those that labels may name, for "did you mean". */
export function presetNames({ grant, presets }: Registration, kind: PresetKind): readonly string[] {
  const names = Object.keys(presets?.[kind] ?? {});
  return grant === undefined ? names : names.filter((name) => missingPreset(grant, name).length === 0);
}

/** What labels would ask for the same: each is judged as if the job had written it. */
export function expansionOf({ label, part }: OverrideOf<'shape'>, shape: ShapeDefaults): readonly Override[] {
  const from = { label, ...defined<{ readonly part?: string }>({ part }) };
  const { cpu, memoryGiB, architecture, image, diskGiB, bucket, subnet, securityGroup, timeLimitMs } = shape;
  const asked: readonly (Override | undefined)[] = [
    cpu === undefined ? undefined : { key: 'cpu', value: cpu, ...from },
    memoryGiB === undefined ? undefined : { key: 'memory', value: memoryGiB, ...from },
    architecture === undefined ? undefined : { key: 'architecture', value: architecture, ...from },
    image === undefined ? undefined : { key: 'image', value: image, ...from },
    diskGiB === undefined ? undefined : { key: 'disk', value: diskGiB, ...from },
    bucket === undefined ? undefined : { key: 'bucket', value: bucket, ...from },
    subnet === undefined ? undefined : { key: 'subnet', value: subnet, ...from },
    securityGroup === undefined ? undefined : { key: 'securityGroup', value: securityGroup, ...from },
    timeLimitMs === undefined ? undefined : { key: 'timeout', value: timeLimitMs, ...from },
    shape.spot === undefined ? undefined : { key: 'spot', value: spotModeOf(shape.spot), ...from },
    shape.dockerInDocker === true ? { key: 'dind', value: true, ...from } : undefined,
  ];
  return asked.filter((one) => one !== undefined);
}

/** Without what the job's other labels put in the place of a part: a disk in that of a bucket, too. */
export function withoutOverridden(expansion: readonly Override[], overrides: readonly Override[]): readonly Override[] {
  const keys = new Set<OverrideKey>(overrides.map(({ key }) => key));
  if (keys.has('disk') || keys.has('bucket')) keys.add('disk').add('bucket');
  return expansion.filter(({ key }) => !keys.has(key));
}

/** The refusal of a part of a preset, in words that say so. `field`: of the policy, which allows presets as they are. */
export function ofPreset(
  refusals: readonly Refusal[],
  { name, place }: Preset<unknown>,
  field: 'shapes' | 'imagePresets',
): readonly Refusal[] {
  return refusals.map((refusal, index) => ({
    ...refusal,
    reason: `${refusal.reason} (by the preset ${quote(name)}, ${place})`,
    cure:
      index < refusals.length - 1
        ? refusal.cure
        : `${refusal.cure} Or let the registration name ${quote(name)} in ${quote(`policy.${field}`)}, which allows the preset as it is.`,
  }));
}

/** A preset that a job's labels name, for `shr explain`. */
export interface UsedPreset {
  readonly label: string;
  readonly name: string;
  readonly place: string;
  /** The field of the policy that allows it as it is. Absent: it was judged as its parts. */
  readonly allowedBy?: string;
}

/** Of a job that was admitted. */
export function presetsUsed(registration: Registration, overrides: readonly Override[]): readonly UsedPreset[] {
  const { images, imageRepository, presetImages = {}, shapes } = registration;
  const used: UsedPreset[] = [];
  const shape = override(overrides, 'shape');
  const ofShape = shape === undefined ? undefined : presetShape(registration, shape.value);
  if (shape !== undefined && ofShape !== undefined) {
    const isWhole = lookUp(shapes, shape.value) !== undefined;
    used.push(told(shape, ofShape, isWhole ? 'policy.shapes' : undefined));
  }
  const image = override(overrides, 'image');
  const ofImage = image === undefined ? undefined : presetImage(registration, image.value);
  if (image === undefined || ofImage === undefined || lookUp(images, image.value) !== undefined) return used;
  const isWhole = lookUp(presetImages, image.value) !== undefined;
  if (isWhole || imageRepository === undefined) {
    used.push(told(image, ofImage, isWhole ? 'policy.imagePresets' : undefined));
  }
  return used;
}

function told({ label, part }: Override, { name, place }: Preset<unknown>, allowedBy: string | undefined): UsedPreset {
  return { label: part ?? label, name, place, ...defined<{ readonly allowedBy?: string }>({ allowedBy }) };
}
