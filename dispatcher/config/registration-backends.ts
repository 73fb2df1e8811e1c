/** `backends` of a registration: its own ones, and those it takes from dispatcher.yaml. */

import { placeOf } from '../admission/grants.ts';
import { quote } from '../labels/values.ts';
import type { Path } from '../model/problem.ts';
import type { Backend, Grant } from '../model/registration.ts';
import type { Platform } from './dispatcher.ts';
import { holdNamed, offeredBackend } from './held-claim.ts';
import type { Reading } from './reading.ts';
import type { RegistrationContext } from './registration-context.ts';
import { durationMs, type RegistrationFile, registrationFile } from './schema.ts';
import { readBackend } from './shared-sections.ts';

const form = registrationFile.shape;

/** `maxRunners` of the registration bounds a backend without its own limit. */
export async function readBackends(
  reading: Reading,
  context: RegistrationContext,
  maxRunners: number,
): Promise<readonly Backend[]> {
  const { grant, platform } = context;
  if (grant !== undefined && !reading.mentions(['backends'])) {
    reading.problem(['backends'], 'it is missing', missingCure(grant, platform));
    return [];
  }
  const files = reading.section(['backends'], form.backends) ?? [];
  const backends: Backend[] = [];
  const names = new Map<string, number>();
  for (const [index, file] of files.entries()) {
    const path: Path = ['backends', index];
    const named = file.name ?? file.use ?? file.kind;
    const name = named ?? `backend-${index}`;
    const earlier = named === undefined ? undefined : names.get(named);
    if (earlier !== undefined) {
      reading.problem(
        [...path, 'name'],
        `backends[${earlier}] is called \`${name}\` too`,
        'Give each backend a `name` of its own.',
      );
    }
    names.set(name, index);
    const backend =
      file.use === undefined
        ? await readOwnBackend({ reading, path, name, file, maxRunners }, context)
        : takeSharedBackend({ reading, path, name, file, maxRunners }, context);
    if (backend === undefined) continue;
    backends.push({
      ...backend,
      ...(file.weight === undefined ? {} : { weight: file.weight }),
      ...(file.price === undefined ? {} : { price: file.price }),
      ...(file.patience === undefined ? {} : { stockPatienceMs: durationMs(file.patience, 0) }),
    });
  }
  const unweighted = files.findIndex((_, index) => !reading.mentions(['backends', index, 'weight']));
  if (unweighted >= 0 && files.some(({ weight }) => weight !== undefined)) {
    reading.problem(
      ['backends', unweighted],
      'it has no `weight`, and another backend has one',
      'Give every backend a `weight`, or none: then they are tried in their order.',
    );
  }
  return backends;
}

/** One that the tenant may use: any other example would be its next problem. */
function missingCure(grant: Grant, { backends }: Pick<Platform, 'backends'>): string {
  const offer = offeredBackend(grant, [...backends.keys()]);
  if (offer === undefined) {
    const place = placeOf(grant, 'backends');
    return `Tenant ${quote(grant.tenant)} was not granted any yet: it needs \`tenants.${grant.tenant}.backends\` or \`backendKinds\` (${place}).`;
  }
  const entry = offer.use === undefined ? `kind: ${offer.kind}` : `use: ${offer.use}`;
  return `Add it, such as \`backends: [{ ${entry} }]\`.`;
}

type BackendEntry = RegistrationFile['backends'][number];

interface BackendPlace {
  readonly reading: Reading;
  readonly path: Path;
  readonly name: string;
  readonly file: BackendEntry;
  /** Of the registration. */
  readonly maxRunners: number;
}

async function readOwnBackend(
  { reading, path, name, file, maxRunners: defaultMaxRunners }: BackendPlace,
  { platform, grant, provider }: RegistrationContext,
): Promise<Backend | undefined> {
  const { kind } = file;
  if (kind === undefined) {
    if (reading.mentions([...path, 'kind']) || reading.mentions([...path, 'use'])) return undefined;
    reading.problem(
      path,
      'the backend has neither `kind` nor `use`',
      'Add `kind: docker` or another kind, or `use: NAME` of dispatcher.yaml.',
    );
    return undefined;
  }
  if (!holdNamed(reading, [...path, 'kind'], grant, 'backendKinds', kind)) return undefined;
  const { unsafeProcessBackend, packages } = platform;
  const ofTenant = grant !== undefined;
  const own = { ...file, kind };
  return readBackend(reading, path, name, own, {
    provider,
    packages,
    unsafeProcessBackend,
    defaultMaxRunners,
    ofTenant,
  });
}

function takeSharedBackend(
  { reading, path, name, file, maxRunners: defaultMaxRunners }: BackendPlace,
  { platform, grant }: RegistrationContext,
): Backend | undefined {
  const use = file.use ?? '';
  const usePath = [...path, 'use'];
  for (const key of ['kind', 'region', 'options'] as const) {
    if (file[key] !== undefined)
      reading.problem([...path, key], `\`${key}\` comes from dispatcher.yaml when \`use\` is set`, 'Remove it here.');
  }
  if (!holdNamed(reading, usePath, grant, 'backends', use)) return undefined;
  const shared = platform.backends.get(use);
  if (shared === undefined) {
    if (!platform.known)
      reading.problem(usePath, 'there is no dispatcher.yaml to take it from', 'Name the file with `--config`.');
    else if (platform.complete)
      reading.problem(usePath, `dispatcher.yaml has no backend \`${use}\``, 'Correct the name, or add it there.');
    return undefined;
  }
  const most = shared.maxRunners ?? Number.POSITIVE_INFINITY;
  if (file.maxRunners !== undefined && file.maxRunners > most) {
    reading.problem(
      [...path, 'maxRunners'],
      `it is more than the ${most} of the backend \`${use}\``,
      `Write ${most} or less.`,
    );
  }
  return { ...shared, name, maxRunners: file.maxRunners ?? Math.min(most, defaultMaxRunners), shared: true };
}
