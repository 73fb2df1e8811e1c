/**
 * Resolves a job's labels against the policy. Pure. An override is granted as far as the registration's policy allows;
 * anything beyond that is a refusal, never a silently smaller runner. Asking for what the job would get anyway is
 * always granted.
 */
import type { ShapeWish } from '../../providers/provider.ts';
import { coresInWords } from '../../providers/shape-words.ts';
import { formatDuration } from '../labels/duration.ts';
import { matchesAny } from '../labels/glob.ts';
import {
  describe,
  type Override,
  type OverrideKey,
  type OverrideOf,
  override,
  quote,
  WORD_OF,
} from '../labels/grammar.ts';
import { nearest } from '../labels/nearest.ts';
import { defined } from '../model/defined.ts';
import type { Policy, Registration, ShapeDefaults } from '../model/registration.ts';

/** A bounded set: metrics are labelled with it. */
export type RefusalCode =
  | 'too-many-labels'
  | 'label-too-long'
  | 'malformed-label'
  | 'contradicting-labels'
  | 'ambiguous-registration'
  | 'registration-set-aside'
  | 'public-repository'
  | 'unknown-visibility'
  | 'over-limit'
  | 'not-allowed'
  | 'not-granted'
  | 'unknown-name'
  | 'no-image'
  | 'no-backend';

export interface Objection {
  readonly code: RefusalCode;
  readonly reason: string;
  readonly cure: string;
  /** The line of dispatcher.yaml that decided, if a tenant's grant did: `dispatcher.yaml:12:3`. */
  readonly place?: string;
}

export interface Granted {
  readonly wish: ShapeWish;
  /** What the labels changed, for checking what a service rounds up to. */
  readonly overridden: ReadonlySet<OverrideKey>;
}

export type PolicyAnswer =
  | { readonly granted: true; readonly grant: Granted }
  | { readonly granted: false; readonly objections: readonly Objection[] };

/** Where the cure for a denied override applies. */
function ask(registration: Registration, field: string): string {
  return `or ask the owner of registration ${quote(registration.name)} to set ${quote(`policy.${field}`)}`;
}

/**
 * An unknown visibility counts as public: untrusted code on a trusted network is worse than a job that waits until a
 * delivery or a GET tells. A registration that allows public repositories loses nothing.
 */
export function judgeVisibility(
  registration: Registration,
  visibility: 'public' | 'private' | 'internal' | undefined,
  repository: string,
): Objection | undefined {
  if (visibility === 'private' || visibility === 'internal' || registration.policy.publicRepositories) return undefined;
  const cure =
    `Make the repository private, ${ask(registration, 'publicRepositories')}, knowing that a pull request from ` +
    'anyone can then run code on its runners.';
  if (visibility === 'public') {
    const reason = `${repository} is public, and registration ${quote(registration.name)} serves no public repositories`;
    return { code: 'public-repository', reason, cure };
  }
  const reason = `GitHub has not said yet whether ${repository} is public, and registration ${quote(registration.name)} serves no public repositories`;
  return { code: 'unknown-visibility', reason, cure: `It is looked at again with the next delivery. ${cure}` };
}

export function applyPolicy(registration: Registration, overrides: readonly Override[]): PolicyAnswer {
  const objections: Objection[] = [];
  const base = baseShape(registration, overrides, objections);
  for (const asked of overrides) {
    const objection = judge(asked, registration, base);
    if (objection !== undefined) objections.push(objection);
  }
  const image = resolveImage(registration, override(overrides, 'image'), base, objections);
  if (objections.length > 0 || image === undefined) return { granted: false, objections };
  return {
    granted: true,
    grant: {
      wish: wishOf(base, overrides, image),
      overridden: new Set(overrides.map(({ key }) => key).filter((key) => key !== 'unique')),
    },
  };
}

/** The registration's defaults, under the named shape if requested. The platform named it, so it needs no grant. */
function baseShape(registration: Registration, overrides: readonly Override[], objections: Objection[]): ShapeDefaults {
  const asked = override(overrides, 'shape');
  if (asked === undefined) return registration.defaults;
  const shape = lookUp(registration.shapes, asked.value);
  if (shape !== undefined) return { ...registration.defaults, ...shape };
  objections.push(unknownName(asked, Object.keys(registration.shapes), 'shape', registration));
  return registration.defaults;
}

function judge(asked: Override, registration: Registration, base: ShapeDefaults): Objection | undefined {
  const { policy } = registration;
  switch (asked.key) {
    case 'cpu':
      return upTo(asked, policy.maxCpu, base.cpu, registration, 'maxCpu', coresInWords);
    case 'memory':
      return upTo(asked, policy.maxMemoryGiB, base.memoryGiB, registration, 'maxMemoryGiB', (most) => `${most} GiB`);
    case 'disk':
      return upTo(asked, policy.maxDiskGiB, base.diskGiB, registration, 'maxDiskGiB', (most) => `${most} GiB`);
    case 'timeout':
      return upTo(asked, policy.maxTimeLimitMs, base.timeLimitMs, registration, 'maxTimeout', formatDuration);
    case 'subnet':
      return among(asked, policy.subnets, base.subnet, registration, 'subnets');
    case 'securityGroup':
      return among(asked, policy.securityGroups, base.securityGroup, registration, 'securityGroups');
    case 'bucket':
      return among(asked, policy.buckets, base.bucket, registration, 'buckets');
    case 'region':
      return among(asked, policy.regions, undefined, registration, 'regions', true);
    case 'backend':
      return judgeBackend(asked, registration);
    case 'architecture': {
      const usual = base.architecture ?? 'x64';
      return among(asked, policy.architectures, usual, registration, 'architectures');
    }
    case 'spot':
      return permitted(asked, policy.spot || base.spot === true, registration, 'spot');
    case 'dind':
      return permitted(asked, policy.dockerInDocker || base.dockerInDocker === true, registration, 'dockerInDocker');
    // The image is resolved first; the shape is the base itself; a unique label has no effect.
    case 'image':
    case 'shape':
    case 'unique':
      return undefined;
  }
}

function upTo(
  asked: OverrideOf<'cpu' | 'memory' | 'disk' | 'timeout'>,
  most: number | undefined,
  usual: number | undefined,
  registration: Registration,
  field: keyof PolicyFields,
  inWords: (most: number) => string,
): Objection | undefined {
  if (asked.value === usual) return undefined;
  if (most === undefined) {
    return {
      code: 'not-allowed',
      reason: `${quote(asked.label)} asks for ${describe(asked)}, and registration ${quote(registration.name)} lets labels set no ${asked.key === 'timeout' ? 'time limit' : asked.key}`,
      cure: `Remove ${partOf(asked)}, ${ask(registration, field)}.`,
    };
  }
  if (asked.value <= most) return undefined;
  const inMiB = asked.key === 'memory' && asked.value >= 512 && asked.value / 1024 <= most;
  const unit = inMiB ? ` Memory is in GiB: ${asked.value} MiB are ${quote(`memory-${asked.value / 1024}`)}.` : '';
  return {
    code: 'over-limit',
    reason: `${quote(asked.label)} asks for ${describe(asked)}, and registration ${quote(registration.name)} allows at most ${inWords(most)}`,
    cure: `Ask for ${inWords(most)} or less, ${ask(registration, field)} higher.${unit}`,
  };
}

function among(
  asked: OverrideOf<'subnet' | 'securityGroup' | 'bucket' | 'region' | 'architecture'>,
  allowed: readonly string[],
  usual: string | undefined,
  registration: Registration,
  field: keyof PolicyFields,
  folded = false,
): Objection | undefined {
  if (asked.value === usual) return undefined;
  const value = folded ? asked.value.toLowerCase() : asked.value;
  const patterns = folded ? allowed.map((pattern) => pattern.toLowerCase()) : allowed;
  if (matchesAny(patterns, value)) return undefined;
  return notAmong(asked, asked.label, describe(asked), allowed, registration, field);
}

function notAmong(
  asked: Override,
  label: string,
  what: string,
  allowed: readonly string[],
  registration: Registration,
  field: keyof PolicyFields,
): Objection {
  const list = allowed.length === 0 ? 'none' : allowed.slice(0, 10).map(quote).join(', ');
  return {
    code: 'not-allowed',
    reason: `${quote(label)} asks for ${what}, and registration ${quote(registration.name)} allows labels ${list}`,
    cure: `${allowed.length === 0 ? `Remove ${partOf(asked)}` : 'Take an allowed one'}, ${ask(registration, field)}.`,
  };
}

function permitted(
  asked: OverrideOf<'spot' | 'dind'>,
  allowed: boolean,
  registration: Registration,
  field: keyof PolicyFields,
): Objection | undefined {
  if (allowed) return undefined;
  return {
    code: 'not-allowed',
    reason: `${quote(asked.label)} asks for ${describe(asked)}, and registration ${quote(registration.name)} does not allow it`,
    cure: `Remove ${partOf(asked)}, ${ask(registration, field)}.`,
  };
}

function judgeBackend(asked: OverrideOf<'backend'>, registration: Registration): Objection | undefined {
  const wanted = asked.value.toLowerCase();
  const backend = registration.backends.find(({ name }) => name.toLowerCase() === wanted);
  const selectable = registration.backends
    .map(({ name }) => name)
    .filter((name) => matchesAny(registration.policy.backends, name));
  if (backend === undefined)
    return unknownName(asked, selectable, 'backend', registration, registration.backends.length);
  if (selectable.includes(backend.name)) return undefined;
  return notAmong(asked, asked.label, describe(asked), registration.policy.backends, registration, 'backends');
}

function unknownName(
  asked: OverrideOf<'shape' | 'backend'>,
  known: readonly string[],
  what: 'shape' | 'backend',
  registration: Registration,
  had = known.length,
): Objection {
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
      reason: `${quote(asked.label)} names a ${what} that registration ${quote(registration.name)} does not have; ${list}`,
      cure: `Remove ${partOf(asked)}, ${ask(registration, 'backends')}.`,
    };
  }
  return {
    code: 'unknown-name',
    reason: `${quote(asked.label)} names a ${what} that registration ${quote(registration.name)} does not have; ${list}`,
    cure:
      guess === undefined
        ? `Name one of them or remove ${partOf(asked)}, or ask the owner of registration ${quote(registration.name)} for a ${what} of that name.`
        : `Did you mean ${quote(spelled(asked, guess))}?`,
  };
}

/** As a label, or as a part of the one-label form, whichever the job wrote. */
function spelled(asked: OverrideOf<'shape' | 'backend' | 'image'>, value: string): string {
  if (asked.label.toLowerCase().startsWith('shr=')) return `${asked.key}=${value}`;
  return `${WORD_OF[asked.key]}-${value}`;
}

// ── the image ────────────────────────────────────────────────────────────────────────────────────────────────────────

const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;

/**
 * A named image first: the registration chose those itself. Then, with `/`, `:` or `@` in it, a full reference; else a
 * tag of the registration's repository. Both of these must be on the allow-list.
 */
function resolveImage(
  registration: Registration,
  asked: OverrideOf<'image'> | undefined,
  base: ShapeDefaults,
  objections: Objection[],
): string | undefined {
  if (asked === undefined) {
    if (base.image !== undefined) return base.image;
    objections.push({
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
    const list = known.length === 0 ? 'none' : known.slice(0, 10).map(quote).join(', ');
    objections.push({
      code: 'unknown-name',
      reason: `${quote(asked.label)} names no image of registration ${quote(registration.name)} (named images: ${list}), and it has no repository that ${quote(asked.value)} could be a tag of`,
      cure:
        guess === undefined
          ? `Name one of its images, or ask the owner of the registration to set ${quote('imageRepository')} or ${quote('images')}.`
          : `Did you mean ${quote(spelled(asked, guess))}?`,
    });
    return undefined;
  }
  if (reference === base.image || matchesAny(registration.policy.images, reference)) return reference;
  const what = `the image ${quote(reference)}`;
  objections.push(notAmong(asked, asked.label, what, registration.policy.images, registration, 'images'));
  return undefined;
}

function fullReference(registration: Registration, value: string): string | undefined {
  if (/[/:@]/.test(value)) return value;
  if (registration.imageRepository === undefined || !TAG.test(value)) return undefined;
  return `${registration.imageRepository}:${value}`;
}

// ── the wish ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function wishOf(base: ShapeDefaults, overrides: readonly Override[], image: string): ShapeWish {
  const disk = override(overrides, 'disk')?.value;
  const asked = override(overrides, 'bucket')?.value;
  // "disk or bucket": whichever the label chose replaces the one in the defaults.
  const bucket = asked ?? (disk === undefined ? base.bucket : undefined);
  const diskGiB = disk ?? (asked === undefined ? base.diskGiB : undefined);
  const always = {
    architecture: override(overrides, 'architecture')?.value ?? base.architecture ?? 'x64',
    image,
    spot: override(overrides, 'spot')?.value ?? base.spot ?? false,
    dockerInDocker: override(overrides, 'dind')?.value ?? base.dockerInDocker ?? false,
  };
  return {
    ...always,
    ...defined<Omit<ShapeWish, keyof typeof always>>({
      cpu: override(overrides, 'cpu')?.value ?? base.cpu,
      memoryGiB: override(overrides, 'memory')?.value ?? base.memoryGiB,
      diskGiB,
      bucket,
      // Admission adds it: it follows from the repository.
      bucketPrefix: undefined,
      subnet: override(overrides, 'subnet')?.value ?? base.subnet,
      securityGroup: override(overrides, 'securityGroup')?.value ?? base.securityGroup,
      region: override(overrides, 'region')?.value,
      timeLimitMs: override(overrides, 'timeout')?.value ?? base.timeLimitMs,
    }),
  };
}

/** The policy's fields as they are named in the file. */
type PolicyFields = Omit<Policy, 'maxTimeLimitMs'> & { readonly maxTimeout: unknown };

function partOf(asked: Override): string {
  return quote(asked.label);
}

/** By name without case: GitHub itself treats labels so. */
function lookUp<T>(named: Readonly<Record<string, T>>, name: string): T | undefined {
  if (Object.hasOwn(named, name)) return named[name];
  const folded = name.toLowerCase();
  const key = Object.keys(named).find((candidate) => candidate.toLowerCase() === folded);
  return key === undefined ? undefined : named[key];
}
