/** What `shr platform export` writes: see exported-platform.ts, which reads it. */
import { dirname, resolve } from 'node:path';
import type { Problem } from '../model/problem.ts';
import { type Platform, readDispatcher } from './dispatcher.ts';
import { readYaml } from './document.ts';
import { type ExportedPlatform, isExported, VERSION } from './exported-platform.ts';
import { fileProblem } from './files.ts';
import { type ConfigurationSources, DISPATCHER_BOUNDS, NOT_A_DISPATCHER, wholeFile } from './load.ts';
import { Reading } from './reading.ts';
import { References } from './reference.ts';
import { dispatcherFile } from './schema.ts';
import { publicKeyText } from './sealing.ts';
import { PrivateKeys } from './shared-sections.ts';

export type PlatformExport =
  | { readonly ok: true; readonly exported: ExportedPlatform }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Needs none of the secrets that dispatcher.yaml refers to. */
export async function exportPlatform(
  sources: Pick<ConfigurationSources, 'dispatcherFile' | 'environment' | 'files' | 'provider'>,
): Promise<PlatformExport> {
  const { dispatcherFile: file, environment, files, provider } = sources;
  let text: string;
  try {
    ({ text } = await files.read(file, { mostBytes: DISPATCHER_BOUNDS.bytes }));
  } catch (error) {
    const { message, cure } = fileProblem(error);
    return { ok: false, problems: [wholeFile(file, message, cure)] };
  }
  const folder = dirname(resolve(file));
  const yaml = readYaml(file, text, DISPATCHER_BOUNDS.bytes);
  if (isExported(yaml.value)) {
    const { cure, message } = NOT_A_DISPATCHER;
    return { ok: false, problems: [wholeFile(file, message, cure)] };
  }
  const references = new References({ environment, files, folder });
  const reading = await Reading.start(yaml, { kind: 'platform' }, references, 'optional', DISPATCHER_BOUNDS);
  const platform = await readDispatcher(reading, { folder, provider, keys: new PrivateKeys() });
  // What tenants may use is shown to all of them: a value from elsewhere may be secret.
  for (const section of ['tenants', 'shapes', 'presets'] as const) {
    for (const path of reading.referencesIn(section)) {
      reading.problem(path, 'it is a reference, and this value is for all tenants to see', 'Write the value itself.');
    }
  }
  if (reading.problemCount > 0) return { ok: false, problems: reading.problems };
  return { ok: true, exported: exportedFrom(reading, platform) };
}

function basePlacesOf(reading: Reading): Record<string, string> | undefined {
  const places = [...reading.placesOfKeys(['bases'])].filter(([key]) => !key.includes('.'));
  return places.length === 0 ? undefined : Object.fromEntries(places);
}

/** `reading`: of a dispatcher.yaml without problems. */
function exportedFrom(reading: Reading, platform: Platform): ExportedPlatform {
  const { tenants, credentials, backends, packages, presets, webhooks, publicUrl, unsafeProcessBackend } = platform;
  return {
    version: VERSION,
    tenants: reading.has(['tenants']) ? reading.section(['tenants'], dispatcherFile.shape.tenants) : undefined,
    places: Object.fromEntries(
      (tenants ?? []).flatMap(({ name: tenant, grant }) => (grant === undefined ? [] : [[tenant, grant.places]])),
    ),
    shapes: reading.section(['shapes'], dispatcherFile.shape.shapes),
    presets: reading.section(['presets'], dispatcherFile.shape.presets),
    bases: reading.section(['bases'], dispatcherFile.shape.bases),
    basePlaces: basePlacesOf(reading),
    presetPlaces: Object.keys(presets.places).length === 0 ? undefined : presets.places,
    credentials: Object.fromEntries(
      [...credentials].map(([key, { credentials: one, place }]) => [key, { kind: one.kind, host: one.host, place }]),
    ),
    backends: Object.fromEntries(
      [...backends].map(([key, { kind, region, maxRunners }]) => [key, { kind, region, maxRunners }]),
    ),
    providers:
      packages.size === 0
        ? undefined
        : Object.fromEntries([...packages].map(([kind, { from }]) => [kind, `${from.name}@${from.version}`])),
    webhooks: webhooks.map(({ host, owners, tenants: named }) => ({
      host,
      owners: [...owners],
      tenants: named === undefined ? undefined : [...named],
    })),
    sealing: (platform.sealing ?? []).map(publicKeyText),
    callbacks: publicUrl !== undefined,
    unsafeProcessBackend,
  };
}
