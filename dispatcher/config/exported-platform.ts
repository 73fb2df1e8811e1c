/**
 * `platform.json`: what dispatcher.yaml offers to tenants, without secrets and addresses, so that a tenants' repository can
 * be checked without that file. Written by `shr platform export`, and read in the place of dispatcher.yaml.
 */
import { z } from 'zod';
import type { Credentials, TenantEntry } from '../model/registration.ts';
import { basesOf } from './bases.ts';
import { type Platform, unknownPlatform } from './dispatcher.ts';
import { knownYaml } from './document.ts';
import { presetsOf } from './presets.ts';
import { Reading } from './reading.ts';
import { References } from './reference.ts';
import { type FileBounds, unresolvedSecret } from './references.ts';
import { isRecord } from './salvage.ts';
import { dispatcherFile } from './schema.ts';
import { parsePublicKey } from './sealing.ts';
import { readTenants } from './tenants.ts';

export const VERSION = 1;

const name = z.string().min(1).max(64);
const form = z.strictObject({
  version: z.literal(VERSION, `this is not version ${VERSION} of the format`),
  /** As in dispatcher.yaml; absent: there are none. */
  tenants: dispatcherFile.shape.tenants,
  /** By tenant and field: where the field stands in dispatcher.yaml. */
  places: z.record(name, z.record(name, z.string().max(256))),
  shapes: dispatcherFile.shape.shapes,
  bases: dispatcherFile.shape.bases,
  basePlaces: z.record(name, z.string().max(256)).optional(),
  presets: dispatcherFile.shape.presets,
  /** By `shapes.NAME` and `images.NAME`: where the preset stands in dispatcher.yaml. */
  presetPlaces: z.record(z.string().max(128), z.string().max(256)).optional(),
  credentials: z.record(
    name,
    z.strictObject({
      kind: z.enum(['app', 'token']),
      host: z.string().max(260).optional(),
      place: z.string().max(256),
    }),
  ),
  backends: z.record(
    name,
    z.strictObject({
      kind: name,
      region: name.optional(),
      maxRunners: z.int().min(1).optional(),
    }),
  ),
  /** Kinds that packages bring, with their packages. */
  providers: dispatcherFile.shape.providers,
  webhooks: z.array(
    z.strictObject({
      host: z.string().max(260),
      owners: z.array(z.string().max(256)),
      tenants: z.array(z.string().max(256)).optional(),
    }),
  ),
  /** Public keys for `shr seal`, as `x25519:…`; the first one seals. */
  sealing: z.array(z.string().max(256)).max(2),
  /** Whether runners can reach the dispatcher. */
  callbacks: z.boolean(),
  unsafeProcessBackend: z.boolean(),
});

export type ExportedPlatform = z.input<typeof form>;

/** A file in this form resolves nothing: what looks like a reference in it has no value. */
export const noReferences = new References({
  environment: {},
  files: { read: () => Promise.reject(Object.assign(new Error('no files'), { code: 'ENOENT' })) },
  folder: '/',
});

export async function readExportedPlatform(
  file: string,
  text: string,
  bounds: FileBounds,
): Promise<{ readonly platform: Platform; readonly reading: Reading }> {
  const parsed = parseJson(text);
  const yaml = knownYaml(file, text, bounds.bytes, parsed?.value);
  const reading = await Reading.start(yaml, { kind: 'platform' }, noReferences, 'required', bounds);
  const broken = { platform: { ...unknownPlatform, unsafeProcessBackend: false, known: true }, reading };
  if (parsed === undefined) {
    reading.problem(
      [],
      'it is not JSON',
      'Write it again with `shr platform export`; name a dispatcher.yaml with `--config`.',
    );
    return broken;
  }
  const exported = reading.section([], form);
  if (exported === undefined || reading.problemCount > 0) return broken;
  const credentials = new Map(
    Object.entries(exported.credentials).map(([key, { kind, host, place }]) => [
      key,
      { credentials: { ...withoutSecret(kind), ...(host === undefined ? {} : { host }) }, place },
    ]),
  );
  const backends = new Map(
    Object.entries(exported.backends).map(([key, { kind, region, maxRunners }]) => [
      key,
      { name: key, kind, region, maxRunners, options: undefined },
    ]),
  );
  const publicUrl = exported.callbacks ? 'https://the-dispatcher.invalid' : undefined;
  const tenants = readTenants(
    reading,
    { credentials, backends, callbackUrl: publicUrl },
    Number.POSITIVE_INFINITY,
  )?.map((entry) => atHome(entry, exported.places));
  const platform: Platform = {
    config: undefined,
    complete: reading.problemCount === 0,
    publicUrl,
    tenants,
    credentials,
    backends,
    presets: presetsOf(exported, exported.presetPlaces ?? {}),
    bases: basesOf(exported.bases ?? {}, exported.basePlaces ?? {}),
    webhooks: exported.webhooks.map(({ host, owners, tenants: named }) => ({
      host,
      appId: undefined,
      secrets: [],
      owners,
      ...(named === undefined ? {} : { tenants: named }),
    })),
    unsafeProcessBackend: exported.unsafeProcessBackend,
    packages: new Map(
      Object.entries(exported.providers ?? {}).map(([kind, text]) => {
        const at = text.lastIndexOf('@');
        const from = { name: text.slice(0, at), version: text.slice(at + 1), folder: '/' };
        return [kind, { from, closed: 'its package is with the platform' }];
      }),
    ),
    sealing: exported.sealing.flatMap((text) => {
      const key = parsePublicKey(text);
      return key === undefined ? [] : [{ ...key, privateKey: undefined }];
    }),
    closedKinds: [],
    known: true,
  };
  return { platform, reading };
}

/** Whether what was read as a dispatcher.yaml is an export of one, which has neither its secrets nor its addresses. */
export function isExported(value: unknown): boolean {
  return isRecord(value) && ['version', 'places', 'callbacks'].every((key) => Object.hasOwn(value, key));
}

function parseJson(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

function withoutSecret(kind: 'app' | 'token'): Credentials {
  if (kind === 'token') return { kind, token: unresolvedSecret() };
  return { kind, appId: '', privateKey: unresolvedSecret() };
}

/** Cures name the line of dispatcher.yaml, which is what has to be changed. */
function atHome(entry: TenantEntry, places: Readonly<Record<string, Readonly<Record<string, string>>>>): TenantEntry {
  const known = places[entry.name];
  if (entry.grant === undefined || known === undefined) return entry;
  return { ...entry, grant: { ...entry.grant, places: known } };
}
