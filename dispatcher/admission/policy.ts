/**
 * Resolves a job's labels against the policy. Pure. An override is granted as far as the registration's policy allows;
 * anything beyond that is a refusal, never a silently smaller runner. Asking for what the job would get anyway is
 * always granted.
 */
import type { ShapeWish } from '../../providers/provider.ts';
import { coresInWords } from '../../providers/shape-words.ts';
import { formatDuration } from '../labels/duration.ts';
import { matchesAny } from '../labels/glob.ts';
import { describe, override } from '../labels/overrides.ts';
import { allowsSpotMode, CARRIED_OUT, isCarriedOut, spotModeOf } from '../labels/spot-mode.ts';
import { unreachable } from '../labels/unreachable.ts';
import { type Override, type OverrideKey, type OverrideOf, quote } from '../labels/values.ts';
import type { Registration, ShapeDefaults } from '../model/registration.ts';
import { judgeReference, resolveImage } from './image.ts';
import { expansionOf, ofPreset, presetNames, presetShape, ungrantedPreset, withoutOverridden } from './presets.ts';
import {
  type Allowed,
  ask,
  lookUp,
  notAmong,
  type PolicyFields,
  type Refusal,
  removable,
  spelled,
  unknownName,
} from './refusal.ts';
import { wishOf } from './wish.ts';

/** What a job gets. */
export interface Granted {
  readonly wish: ShapeWish;
  /** What the labels changed, for checking what a service rounds up to. */
  readonly overridden: ReadonlySet<OverrideKey>;
}

/** All refusals at once, so that fixing the first does not reveal a second. */
export type PolicyAnswer =
  | { readonly granted: true; readonly grant: Granted }
  | { readonly granted: false; readonly refusals: readonly Refusal[] };

/**
 * An unknown visibility counts as public: untrusted code on a trusted network is worse than a job that waits until a
 * delivery or a GET tells. A registration that allows public repositories loses nothing.
 */
export function judgeVisibility(
  registration: Registration,
  visibility: 'public' | 'private' | 'internal' | undefined,
  repository: string,
): Refusal | undefined {
  if (visibility === 'private' || visibility === 'internal' || registration.policy.publicRepositories) return undefined;
  const cure =
    `Make the repository private, ${ask(registration, 'publicRepositories')}, knowing that a pull request from ` +
    'anyone can then run code on its runners.';
  if (visibility === 'public') {
    const reason = `${repository} is public, and registration ${quote(registration.name)} does not serve public repositories`;
    return { code: 'public-repository', field: 'policy.publicRepositories', reason, cure };
  }
  const reason = `GitHub has not said yet whether ${repository} is public, and registration ${quote(registration.name)} does not serve public repositories`;
  return {
    code: 'unknown-visibility',
    field: 'policy.publicRepositories',
    reason,
    cure: `It is looked at again with the next delivery. ${cure}`,
  };
}

/** The wish of these overrides over the defaults, or why they are refused. */
export function applyPolicy(registration: Registration, overrides: readonly Override[]): PolicyAnswer {
  const refusals: Refusal[] = [];
  const { base, usual, parts } = baseShape(registration, overrides, refusals);
  for (const asked of overrides) {
    const refusal = judgeOverride(asked, registration, usual);
    if (refusal !== undefined) refusals.push(refusal);
  }
  const image = resolveImage(registration, override(overrides, 'image'), { base, usual }, refusals);
  if (refusals.length > 0 || image === undefined) return { granted: false, refusals };
  const keys = [...overrides, ...parts].map(({ key }) => key);
  return {
    granted: true,
    grant: {
      wish: wishOf(base, overrides, image),
      overridden: new Set(keys.filter((key) => key !== 'unique')),
    },
  };
}

interface Base {
  /** The registration's defaults, under the named shape if requested. */
  readonly base: ShapeDefaults;
  /** What needs no permission, because a job gets it without asking. */
  readonly usual: ShapeDefaults;
  /** Of a shape that is judged as if the job had written what it stands for. */
  readonly parts: readonly Override[];
}

/** A shape that the policy names is allowed as it is; any other preset grants no more than its parts would be. */
function baseShape(registration: Registration, overrides: readonly Override[], refusals: Refusal[]): Base {
  const { defaults, shapes } = registration;
  const asked = override(overrides, 'shape');
  if (asked === undefined) return { base: defaults, usual: defaults, parts: [] };
  const whole = lookUp(shapes, asked.value);
  const preset = presetShape(registration, asked.value);
  const ungranted = preset === undefined ? undefined : ungrantedPreset(registration, preset);
  if (whole !== undefined) {
    if (ungranted !== undefined) refusals.push(ungranted);
    const base = { ...defaults, ...whole };
    return { base, usual: base, parts: [] };
  }
  if (preset === undefined) {
    const known = [...new Set([...Object.keys(shapes), ...presetNames(registration, 'shapes')])];
    refusals.push(unknownName(asked, known, 'shape', registration));
    return { base: defaults, usual: defaults, parts: [] };
  }
  const parts = withoutOverridden(expansionOf(asked, preset.value), overrides);
  const refused = parts.flatMap((part) =>
    part.key === 'image'
      ? judgeReference(registration, part, part.value, defaults)
      : (judgeOverride(part, registration, defaults) ?? []),
  );
  refusals.push(...(ungranted === undefined ? ofPreset(refused, preset, 'shapes') : [ungranted]));
  return { base: { ...defaults, ...preset.value }, usual: defaults, parts };
}

/** `base`: what a job gets that does not ask. Not of the image: see `resolveImage`. */
export function judgeOverride(asked: Override, registration: Registration, base: ShapeDefaults): Refusal | undefined {
  const { policy } = registration;
  const gib = (most: number) => `${most} GiB`;
  switch (asked.key) {
    case 'cpu': {
      const limit = { most: policy.maxCpu, usual: base.cpu, field: 'maxCpu', inWords: coresInWords } as const;
      return upTo(asked, limit, registration);
    }
    case 'memory': {
      const limit = { most: policy.maxMemoryGiB, usual: base.memoryGiB, field: 'maxMemoryGiB', inWords: gib } as const;
      return upTo(asked, limit, registration);
    }
    case 'disk': {
      const limit = { most: policy.maxDiskGiB, usual: base.diskGiB, field: 'maxDiskGiB', inWords: gib } as const;
      return upTo(asked, limit, registration);
    }
    case 'timeout': {
      const usual = base.timeLimitMs;
      const limit = { most: policy.maxTimeLimitMs, usual, field: 'maxTimeout', inWords: formatDuration } as const;
      return upTo(asked, limit, registration);
    }
    case 'subnet':
      return among(asked, { field: 'subnets', values: policy.subnets, usual: base.subnet }, registration);
    case 'securityGroup': {
      const allowed = { field: 'securityGroups', values: policy.securityGroups, usual: base.securityGroup } as const;
      return among(asked, allowed, registration);
    }
    case 'bucket':
      return among(asked, { field: 'buckets', values: policy.buckets, usual: base.bucket }, registration);
    case 'region':
      return among(asked, { field: 'regions', values: policy.regions, usual: undefined, folded: true }, registration);
    case 'backend':
      return judgeBackend(asked, registration);
    case 'architecture': {
      const usual = base.architecture ?? 'x64';
      return among(asked, { field: 'architectures', values: policy.architectures, usual }, registration);
    }
    case 'spot':
      return judgeSpot(asked, registration, base);
    case 'dind':
      return permitted(asked, policy.dockerInDocker || base.dockerInDocker === true, registration, {
        field: 'dockerInDocker',
        how: `set ${quote('policy.dockerInDocker')}`,
      });
    // The image is resolved first; the shape is the base itself; a unique label has no effect.
    case 'image':
    case 'shape':
    case 'unique':
      return undefined;
    default:
      return unreachable(asked);
  }
}

/** A policy's limit on a number, and how it is said. */
interface Limit {
  /** As in the file. */
  readonly field: keyof PolicyFields;
  /** Undefined: labels may not set it. */
  readonly most: number | undefined;
  /** What a job gets that does not ask. */
  readonly usual: number | undefined;
  readonly inWords: (most: number) => string;
}

/** What the label sets, in words. */
const SETTING = { cpu: 'the cores', memory: 'the memory', disk: 'the disk', timeout: 'the time limit' } as const;

function upTo(
  asked: OverrideOf<'cpu' | 'memory' | 'disk' | 'timeout'>,
  { field, most, usual, inWords }: Limit,
  registration: Registration,
): Refusal | undefined {
  if (asked.value === usual) return undefined;
  const value = asked.key === 'timeout' ? formatDuration(asked.value) : asked.value;
  if (most === undefined) {
    return {
      code: 'not-allowed',
      field: `policy.${field}`,
      reason: `${quote(asked.label)} asks for ${describe(asked)}, and registration ${quote(registration.name)} does not let labels set ${SETTING[asked.key]}`,
      cure: `Remove ${removable(asked)}, ${ask(registration, field, `set ${quote(`policy.${field}`)} to ${value}`)}.`,
    };
  }
  if (asked.value <= most) return undefined;
  const unit =
    asked.key === 'memory' && asked.value >= 512 && asked.value / 1024 <= most
      ? ` Memory is in GiB: ${asked.value} MiB are ${quote(spelled(asked, String(asked.value / 1024)))}.`
      : '';
  return {
    code: 'over-limit',
    field: `policy.${field}`,
    reason: `${quote(asked.label)} asks for ${describe(asked)}, and registration ${quote(registration.name)} allows at most ${inWords(most)}`,
    cure: `Ask for ${inWords(most)} or less, ${ask(registration, field, `raise ${quote(`policy.${field}`)} to ${value}`)}.${unit}`,
  };
}

/** The values, or globs, that a policy allows. */
interface Choice extends Allowed {
  readonly usual: string | undefined;
  /** Compared without case. */
  readonly folded?: boolean;
}

function among(
  asked: OverrideOf<'subnet' | 'securityGroup' | 'bucket' | 'region' | 'architecture'>,
  choice: Choice,
  registration: Registration,
): Refusal | undefined {
  const { values, usual, folded = false } = choice;
  if (asked.value === usual) return undefined;
  const value = folded ? asked.value.toLowerCase() : asked.value;
  const patterns = folded ? values.map((pattern) => pattern.toLowerCase()) : values;
  if (matchesAny(patterns, value)) return undefined;
  return notAmong(asked, { what: describe(asked), value: asked.value }, choice, registration);
}

function permitted(
  asked: OverrideOf<'spot' | 'dind'>,
  allowed: boolean,
  registration: Registration,
  { field, how }: { readonly field: keyof PolicyFields; readonly how: string },
): Refusal | undefined {
  if (allowed) return undefined;
  return {
    code: 'not-allowed',
    field: `policy.${field}`,
    reason: `${quote(asked.label)} asks for ${describe(asked)}, and registration ${quote(registration.name)} does not allow it`,
    cure: `Remove ${removable(asked)}, ${ask(registration, field, how)}.`,
  };
}

/** A mode that nothing carries out must not become another one, whatever the policy says. */
function judgeSpot(asked: OverrideOf<'spot'>, registration: Registration, base: ShapeDefaults): Refusal | undefined {
  const { label, value: mode } = asked;
  if (!isCarriedOut(mode)) {
    const [never, only] = CARRIED_OUT.map((one) => quote(asked.part === undefined ? `spot-${one}` : `spot=${one}`));
    return {
      code: 'not-supported',
      reason: `${quote(label)} asks for ${describe(asked)}, and this version of the dispatcher does not fall back from spot to on-demand capacity`,
      cure: `Write ${only} for spot capacity however long that takes, or ${never} for on-demand capacity.`,
    };
  }
  const isUsual = mode === spotModeOf(base.spot ?? false);
  const { spot } = registration.policy;
  const how =
    typeof spot === 'boolean'
      ? `set ${quote('policy.spot')} to ${quote(`[${mode}]`)}`
      : `add ${quote(mode)} to ${quote('policy.spot')}`;
  return permitted(asked, isUsual || allowsSpotMode(spot, mode), registration, { field: 'spot', how });
}

function judgeBackend(asked: OverrideOf<'backend'>, registration: Registration): Refusal | undefined {
  const wanted = asked.value.toLowerCase();
  const backend = registration.backends.find(({ name }) => name.toLowerCase() === wanted);
  const selectable = registration.backends
    .map(({ name }) => name)
    .filter((name) => matchesAny(registration.policy.backends, name));
  if (backend === undefined)
    return unknownName(asked, selectable, 'backend', registration, registration.backends.length);
  if (selectable.includes(backend.name)) return undefined;
  const allowed = { field: 'backends', values: registration.policy.backends } as const;
  return notAmong(asked, { what: describe(asked), value: backend.name }, allowed, registration);
}
