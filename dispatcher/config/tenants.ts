/** `tenants` in dispatcher.yaml: what the platform grants each tenant, and which registrations belong to it. */
import { isGlob, matchesGlob } from '../labels/glob.ts';
import { nearest } from '../labels/nearest.ts';
import { foldLabel } from '../labels/values.ts';
import { defined } from '../model/defined.ts';
import type { Grant, Limits, Powers, TenantEntry } from '../model/registration.ts';
import type { Reading } from './reading.ts';
import { checkReservations } from './reservations.ts';
import { dispatcherFile, durationMs, type TenantFile, tenantFile, tenantLimits, tenantPowers } from './schema.ts';
import { spotModesOf } from './shared-sections.ts';

/** The names from the rest of dispatcher.yaml that a grant may refer to. */
export interface SharedNames {
  /** Where runners reach the dispatcher. Undefined: it is not said, or wrong. */
  readonly callbackUrl?: string | undefined;
  /** The file says another one, which takes effect after a restart. */
  readonly isPublicUrlLater?: true;
  readonly credentials: ReadonlyMap<string, unknown>;
  readonly backends: ReadonlyMap<string, unknown>;
}

/** Undefined: the section is missing, and every registration is the platform's own. */
export function readTenants(
  reading: Reading,
  shared: SharedNames,
  maxRunners: number,
): readonly TenantEntry[] | undefined {
  if (!reading.has(['tenants'])) return undefined;
  const files = reading.section(['tenants'], dispatcherFile.shape.tenants);
  // A broken section must not turn tenants into the platform itself: treat it as a list without tenants.
  if (files === undefined) return [];
  const places = reading.placesOfKeys(['tenants']);
  checkReservations(reading, files, maxRunners);
  return Object.entries(files).map(([name, file]) => {
    checkNames(reading, name, file, shared);
    const registrations = file.registrations ?? [name];
    return { name, registrations, grant: file.trusted === true ? undefined : grantOf(reading, name, file, places) };
  });
}

function checkNames(reading: Reading, name: string, file: TenantFile, shared: SharedNames): void {
  const demands = file.requireHook !== undefined && file.requireHook !== false;
  if (demands && shared.callbackUrl === undefined && !reading.isWrong('listen')) {
    reading.problem(
      ['tenants', name, 'requireHook'],
      `runners cannot ask: \`listen.public.url\` ${shared.isPublicUrlLater ? 'takes effect after a restart' : 'does not say where they reach the dispatcher'}`,
      shared.isPublicUrlLater ? 'Restart the dispatcher, or remove this until then.' : 'Add it, or remove this.',
    );
  }
  if (file.hookImages !== undefined && !demands) {
    reading.problem(
      ['tenants', name, 'hookImages'],
      'nothing demands the hook: this list has no effect',
      'Add `requireHook: true` or `requireHook: listed`, or remove it.',
    );
  }
  for (const [index, used] of (file.credentials ?? []).entries()) {
    if (shared.credentials.has(used) || reading.mentions(['credentials', used])) continue;
    reading.problem(
      ['tenants', name, 'credentials', index],
      `there are no credentials \`${used}\` in this file`,
      guessed(used, shared.credentials.keys()) ?? 'Add them under `credentials`, or correct the name.',
    );
  }
  checkBackends(reading, name, file.backends ?? [], shared.backends);
}

function guessed(written: string, known: Iterable<string>): string | undefined {
  const guess = nearest(written, known);
  return guess === undefined ? undefined : `Did you mean \`${guess}\`?`;
}

function checkBackends(
  reading: Reading,
  tenant: string,
  backends: readonly string[],
  shared: SharedNames['backends'],
): void {
  for (const [index, used] of backends.entries()) {
    const path = ['tenants', tenant, 'backends', index];
    if (!isGlob(used)) {
      if (shared.has(used) || reading.mentions(['backends', used])) continue;
      const cure = guessed(used, shared.keys()) ?? 'Add it under `backends`, or correct the name.';
      reading.problem(path, `there is no backend \`${used}\` in this file`, cure);
      continue;
    }
    // A backend with a problem is not in `shared`, and counts all the same.
    const written = [...reading.placesOfKeys(['backends']).keys()].filter((key) => !key.includes('.'));
    if ([...shared.keys(), ...written].some((name) => matchesGlob(used, name))) continue;
    const known =
      shared.size === 0 ? 'This file has none' : `This file has: ${[...shared.keys()].slice(0, 10).join(', ')}`;
    reading.note(
      path,
      `it matches no backend of this file, and grants nothing until one is added`,
      `${known}. Correct it, or leave it for backends to come.`,
    );
  }
}

const REGISTRATIONS_OF_A_TENANT = 100;

function grantOf(reading: Reading, tenant: string, file: TenantFile, places: ReadonlyMap<string, string>): Grant {
  const { limits = {}, powers = {} } = file;
  return {
    tenant,
    hosts: folded(file.hosts),
    owners: folded(file.owners),
    enterprises: folded(file.enterprises),
    repositories: folded(file.repositories),
    labels: (file.labels ?? []).map(foldLabel),
    maxPriority: file.priority ?? 0,
    runnerGroups: file.runnerGroups ?? [],
    credentials: file.credentials ?? [],
    backends: file.backends ?? [],
    backendKinds: file.backendKinds ?? [],
    ...defined<Pick<Grant, 'reservedRunners' | 'weight'>>({
      reservedRunners: file.reservedRunners,
      weight: file.weight,
    }),
    limits: {
      maxRegistrations: limits.maxRegistrations ?? REGISTRATIONS_OF_A_TENANT,
      maxRunners: limits.maxRunners,
      maxCpu: limits.maxCpu,
      maxMemoryGiB: limits.maxMemoryGiB,
      maxDiskGiB: limits.maxDiskGiB,
      maxTimeLimitMs: limits.maxTimeout === undefined ? undefined : durationMs(limits.maxTimeout, 0),
      ...defined<
        Pick<Limits, 'maxLaunchesPerMinute' | 'maxRunnersPerRun' | 'workflows' | 'branches' | 'events' | 'actors'>
      >({
        maxLaunchesPerMinute: limits.maxLaunchesPerMinute,
        maxRunnersPerRun: limits.maxRunnersPerRun,
        workflows: limits.workflows,
        branches: limits.branches,
        events: limits.events,
        actors: limits.actors,
      }),
    },
    powers: {
      images: powers.images ?? [],
      buckets: powers.buckets ?? [],
      subnets: powers.subnets ?? [],
      securityGroups: powers.securityGroups ?? [],
      regions: folded(powers.regions),
      publicRepositories: powers.publicRepositories ?? false,
      ...defined<Pick<Powers, 'forks'>>({ forks: powers.forks }),
      dockerInDocker: powers.dockerInDocker ?? false,
      spot: spotModesOf(reading, ['tenants', tenant, 'powers', 'spot'], powers.spot),
    },
    ...defined<Pick<Grant, 'secretStores'>>({ secretStores: secretGlobs(file.secretStores) }),
    ...hookOf(file),
    ...defined<Pick<Grant, 'bases' | 'presets'>>({ bases: file.bases, presets: file.presets }),
    places: placesOf(tenant, places),
  };
}

/** Vaults and their secrets know no upper case. */
function secretGlobs(globs: readonly string[] | undefined): readonly string[] | undefined {
  return globs?.map((glob) => (glob.startsWith('azure-key-vault:') ? glob.toLowerCase() : glob));
}

function hookOf({ requireHook = false, hookImages }: TenantFile): Pick<Grant, 'requireHook'> {
  if (requireHook === false) return {};
  return { requireHook: { labels: requireHook === true, images: hookImages ?? [] } };
}

function folded(texts: readonly string[] | undefined): readonly string[] {
  return (texts ?? []).map((text) => text.toLowerCase());
}

const FIELDS: readonly string[] = [
  ...Object.keys(tenantFile.shape),
  ...Object.keys(tenantLimits.shape).map((key) => `limits.${key}`),
  ...Object.keys(tenantPowers.shape).map((key) => `powers.${key}`),
];

function placesOf(tenant: string, places: ReadonlyMap<string, string>): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const field of FIELDS) {
    const section = field.slice(0, Math.max(0, field.indexOf('.')));
    const place =
      places.get(`${tenant}.${field}`) ?? places.get(`${tenant}.${section}`) ?? places.get(tenant) ?? 'dispatcher.yaml';
    found[field] = place;
  }
  return found;
}

/**
 * Which tenant owns a registration: a literal name takes precedence over globs. More than one match is an error in
 * dispatcher.yaml; no match means a registration that it does not know.
 */
export type TenantLookup = (registration: string) => readonly TenantEntry[];

export function tenantLookup(tenants: readonly TenantEntry[]): TenantLookup {
  const byName = new Map<string, TenantEntry[]>();
  const globs: { readonly glob: string; readonly tenant: TenantEntry }[] = [];
  for (const tenant of tenants) {
    for (const registration of tenant.registrations) {
      if (isGlob(registration)) globs.push({ glob: registration, tenant });
      else byName.set(registration, [...(byName.get(registration) ?? []), tenant]);
    }
  }
  return (registration) => {
    const named = byName.get(registration);
    if (named !== undefined) return named;
    const matching = globs.filter(({ glob }) => matchesGlob(glob, registration)).map(({ tenant }) => tenant);
    return [...new Set(matching)];
  };
}
