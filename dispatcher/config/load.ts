/**
 * The whole configuration from its files and the environment: either all of it, validated, or every problem at once
 * with file, line and what to do.
 */
import { dirname, join, resolve } from 'node:path';
import { Territory } from '../admission/territory.ts';
import { type Platform, readDispatcher, unknownPlatform } from './dispatcher.ts';
import { readYaml } from './document.ts';
import { errorCode, type Files, fileTrouble } from './files.ts';
import type { Configuration, Registration, TenantEntry } from './model.ts';
import { findOverlaps, findTravellers } from './overlaps.ts';
import { inReadingOrder, type Problem } from './problem.ts';
import { Reading } from './reading.ts';
import type { Reach } from './reference.ts';
import { readRegistration } from './registration.ts';
import { NAME } from './schema.ts';
import type { ProviderLookup } from './shared-sections.ts';
import { type TenantLookup, tenantLookup } from './tenants.ts';
import { findTies } from './ties.ts';

export interface ConfigurationSources {
  readonly dispatcherFile: string;
  /** Every `<name>.yaml` in it is a registration; `*.example.yaml` and other files are left alone. */
  readonly registrationsFolder: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** `systemFiles` of files.ts. */
  readonly files: Files;
  /** `loadProvider` of providers/index.ts. */
  readonly provider: ProviderLookup;
  /** `optional`: a secret that is not there is a note, for `shr validate` on machines without them. Default: required. */
  readonly secrets?: 'required' | 'optional';
}

export type Loaded =
  | { readonly ok: true; readonly configuration: Configuration; readonly notes: readonly Problem[] }
  | { readonly ok: false; readonly problems: readonly Problem[]; readonly notes: readonly Problem[] };

/** What `shr validate` and `shr explain` work on, where there may be no dispatcher.yaml. */
export interface Inspection {
  readonly platform: Platform;
  readonly registrations: readonly Registration[];
  readonly problems: readonly Problem[];
  readonly notes: readonly Problem[];
  /** The files that were read. */
  readonly files: readonly string[];
}

const MOST_REGISTRATIONS = 20_000;

export async function loadConfiguration(sources: ConfigurationSources): Promise<Loaded> {
  const { platform, registrations, problems, notes } = await inspectConfiguration(sources, 'required');
  if (problems.length > 0 || platform.config === undefined) return { ok: false, problems, notes };
  return { ok: true, configuration: { dispatcher: platform.config, registrations }, notes };
}

/** With `dispatcher: 'optional'` a missing dispatcher.yaml is a note: a tenants' repository has none. */
export async function inspectConfiguration(
  sources: ConfigurationSources,
  dispatcher: 'required' | 'optional',
): Promise<Inspection> {
  const found = new Findings();
  const platform = await readPlatform(sources, dispatcher, found);
  const registrations: { readonly registration: Registration; readonly reading: Reading }[] = [];
  const tenants = platform.tenants === undefined ? undefined : tenantLookup(platform.tenants);
  for (const { name, file } of await registrationFiles(sources, found)) {
    const reading = await readOne(name, file, platform, tenants, sources, found);
    if (reading !== undefined) registrations.push(reading);
  }
  const readings = new Map(registrations.map(({ registration, reading }) => [registration, reading]));
  for (const { first, second, label } of findTies([...readings.keys()])) {
    readings
      .get(second)
      ?.problem(
        readings.get(second)?.has(['labels']) === true ? ['labels'] : [],
        `it claims jobs with the label \`${label}\` with the same right as registration \`${first.name}\``,
        'Give one of them another label, or a higher `priority`.',
      );
  }
  const all = [...readings.keys()];
  const overlaps = [...findOverlaps(new Territory(platform.tenants, all), all), ...findTravellers(all)];
  for (const { registration, path, message, cure } of overlaps)
    readings.get(registration)?.problem(path, message, cure);
  for (const reading of readings.values()) found.take(reading);
  return {
    platform,
    registrations: [...readings.keys()],
    problems: inReadingOrder(found.problems),
    notes: inReadingOrder(found.notes),
    files: found.files,
  };
}

class Findings {
  readonly problems: Problem[] = [];
  readonly notes: Problem[] = [];
  readonly files: string[] = [];

  take(reading: Reading): void {
    this.problems.push(...reading.problems);
    this.notes.push(...reading.notes);
  }

  file(file: string, message: string, cure: string, list: Problem[] = this.problems): void {
    list.push({ file, line: 0, column: 0, path: '', message, cure });
  }
}

async function readPlatform(
  sources: ConfigurationSources,
  dispatcher: 'required' | 'optional',
  found: Findings,
): Promise<Platform> {
  const file = sources.dispatcherFile;
  let text: string;
  try {
    text = await sources.files.read(file);
  } catch (error) {
    if (dispatcher === 'optional' && errorCode(error) === 'ENOENT') {
      found.file(
        file,
        'there is no such file: tenants, shared backends and limits were not checked',
        'Name it with `--config`.',
        found.notes,
      );
      return unknownPlatform;
    }
    const { message, cure } = fileTrouble(error);
    found.file(
      file,
      message,
      errorCode(error) === 'ENOENT' ? 'Run `shr init`, or name the file with `--config`.' : cure,
    );
    return { ...unknownPlatform, known: true };
  }
  found.files.push(file);
  const reading = await Reading.start(
    readYaml(file, text),
    { kind: 'platform' },
    referenceSources(sources),
    secretsOf(sources),
  );
  const platform = await readDispatcher(reading, { folder: dirname(resolve(file)), provider: sources.provider });
  found.take(reading);
  return platform;
}

async function registrationFiles(
  sources: ConfigurationSources,
  found: Findings,
): Promise<readonly { readonly name: string; readonly file: string }[]> {
  const folder = sources.registrationsFolder;
  let names: readonly string[];
  try {
    names = await sources.files.list(folder);
  } catch (error) {
    const { message, cure } = fileTrouble(error);
    found.file(
      folder,
      message.replace('file', 'folder'),
      errorCode(error) === 'ENOENT' ? 'Run `shr init`, or name the folder.' : cure,
    );
    return [];
  }
  const files: { readonly name: string; readonly file: string }[] = [];
  for (const entry of [...names].sort()) {
    const file = join(folder, entry);
    if (entry.endsWith('.example.yaml') || entry.startsWith('.')) continue;
    if (entry.endsWith('.yml')) {
      found.file(
        file,
        'registrations end in .yaml',
        `Rename it to ${entry.slice(0, -'.yml'.length)}.yaml, or move it elsewhere.`,
      );
      continue;
    }
    if (!entry.endsWith('.yaml')) continue;
    const name = entry.slice(0, -'.yaml'.length);
    if (NAME.test(name)) files.push({ name, file });
    else
      found.file(
        file,
        'the name of the file is the name of the registration, and not a valid one',
        'Use 1 to 32 lower-case letters, digits and inner hyphens.',
      );
  }
  if (files.length > MOST_REGISTRATIONS) {
    found.file(
      folder,
      `there are ${files.length} registrations, and ${MOST_REGISTRATIONS} are the most`,
      'Split them between dispatchers.',
    );
    return [];
  }
  if (files.length === 0)
    found.file(folder, 'there is no registration yet', 'Run `shr init` for an example.', found.notes);
  return files;
}

async function readOne(
  name: string,
  file: string,
  platform: Platform,
  tenants: TenantLookup | undefined,
  sources: ConfigurationSources,
  found: Findings,
): Promise<{ readonly registration: Registration; readonly reading: Reading } | undefined> {
  let text: string;
  try {
    text = await sources.files.read(file);
  } catch (error) {
    const { message, cure } = fileTrouble(error);
    found.file(file, message, cure);
    return undefined;
  }
  found.files.push(file);
  const [tenant, rival] = tenants?.(name) ?? [];
  if (tenants !== undefined && tenant === undefined) {
    found.file(
      file,
      'dispatcher.yaml says of no tenant that this registration is its',
      `Add \`tenants.${name}\` there, or \`${name}\` to the \`registrations\` of a tenant (one with \`trusted: true\` for a registration of the platform itself).`,
    );
    return undefined;
  }
  if (tenant !== undefined && rival !== undefined) {
    found.file(
      file,
      `dispatcher.yaml gives this registration to two tenants, \`${tenant.name}\` and \`${rival.name}\``,
      `Name \`${name}\` in the \`registrations\` of one of them.`,
    );
    return undefined;
  }
  const reading = await Reading.start(
    readYaml(file, text),
    reachOf(platform, tenant),
    referenceSources(sources),
    secretsOf(sources),
  );
  const registration = await readRegistration(reading, {
    name,
    platform,
    grant: tenant?.grant,
    provider: sources.provider,
  });
  if (registration !== undefined) return { registration, reading };
  found.take(reading);
  return undefined;
}

function reachOf(platform: Platform, tenant: TenantEntry | undefined): Reach {
  if (tenant?.grant === undefined) return { kind: 'platform' };
  return { kind: 'tenant', alias: tenant.name, aliases: (platform.tenants ?? []).map(({ name }) => name) };
}

function referenceSources(sources: ConfigurationSources) {
  return { environment: sources.environment, files: sources.files, folder: dirname(resolve(sources.dispatcherFile)) };
}

function secretsOf(sources: ConfigurationSources): 'required' | 'optional' {
  return sources.secrets ?? 'required';
}
