/**
 * Loads the whole configuration from files and environment, and reports every problem at once: file, line, cure. A
 * mistake in dispatcher.yaml affects everything; one in a registration sets aside only that registration.
 */
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { eventLoopTurn } from '../../time/clock.ts';
import { mapLimited } from '../../time/workers.ts';
import { cureOf } from '../admission/grants.ts';
import { Territory } from '../admission/territory.ts';
import { formatProblem, inReadingOrder, type Path, type Problem } from '../model/problem.ts';
import type {
  Configuration,
  Conflict,
  DispatcherConfig,
  Double,
  Grant,
  JobClaims,
  KeptRegistration,
  Quarantined,
  Registration,
  TenantEntry,
} from '../model/registration.ts';
import { type Platform, readDispatcher, unknownPlatform } from './dispatcher.ts';
import { readYaml, type YamlFile } from './document.ts';
import { isExported, readExportedPlatform } from './exported-platform.ts';
import { errorCode, FileRefused, type Files, fileProblem, type Within } from './files.ts';
import { fingerprint } from './fingerprint.ts';
import type { KnownValues } from './kept-values.ts';
import { extendedYaml, memberYaml, SEVERAL } from './layers.ts';
import { findOverlaps, findOverRunners, findTravellers, type Overlap } from './overlaps.ts';
import type { Reach } from './reach.ts';
import { Reading } from './reading.ts';
import type { PlatformRead, ReadingMemory } from './reading-memory.ts';
import { References } from './reference.ts';
import type { FileBounds } from './references.ts';
import { readRegistration } from './registration.ts';
import { type FileContents, RegistrationFiles, type Several } from './registration-files.ts';
import {
  doubleOf,
  type Gathered,
  gather,
  isBase,
  isMisnamed,
  type NamedFile,
  type RegistrationSource,
  stateOf,
} from './registration-source.ts';
import { findOverReserved } from './reservations.ts';
import { NAME } from './schema.ts';
import { sealedReach } from './sealed-values.ts';
import type { SecretValues } from './secret-values.ts';
import { PrivateKeys, type ProviderLookup } from './shared-sections.ts';
import { type TenantLookup, tenantLookup } from './tenants.ts';
import { findTies } from './ties.ts';

/** Registrations read side by side: most of the time goes by while the system opens files. */
const READ_AT_ONCE = 32;
const FILES_A_TURN = 500;

export interface ConfigurationSources {
  readonly dispatcherFile: string;
  /**
   * Every `<name>.yaml` in it is a registration, or holds several; `<name>.base.yaml` is there to be extended;
   * `*.example.yaml` and other files are ignored.
   */
  readonly registrationsFolder: string;
  /** A platform.json in the place of dispatcher.yaml: enough to check registrations, not to serve them. */
  readonly exportedPlatform?: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** `systemFiles` of files.ts. */
  readonly files: Files;
  /** `loadProvider` of providers/index.ts. */
  readonly provider: ProviderLookup;
  /** What files of registrations held before, so that they need not be parsed again. Default: nothing is known. */
  readonly knownValues?: (dispatcher: DispatcherConfig) => Promise<KnownValues | undefined>;
  /** What was read before: what has not changed since is not read again. Default: everything is read. */
  readonly memory?: ReadingMemory;
  /**
   * The text of a registration's last version without problems, which is in force as long as its file has some. Asked for
   * when a file has, for the tenant whose it is now. Default: such a registration is set aside.
   */
  readonly lastGood?: (dispatcher: DispatcherConfig, name: string, tenant?: string) => Promise<string | undefined>;
  /**
   * Names of those that were not in force when an earlier process read them last: their last version gives them no precedence
   * over others. Asked for where a tenant has not enough for all of its own. Default: it is not known of any.
   */
  readonly asideBefore?: (dispatcher: DispatcherConfig) => Promise<ReadonlySet<string>>;
  /**
   * Names of the registrations that each file of several held when an earlier process read it, by file: where it is broken now,
   * it may not say them. Default: it is not known of any.
   */
  readonly severalBefore?: (dispatcher: DispatcherConfig) => Promise<ReadonlyMap<string, readonly string[]>>;
  /** Where registrations are kept beside the folder, as dispatcher.yaml says. Default: nowhere. */
  readonly elsewhere?: (dispatcher: DispatcherConfig) => Promise<readonly RegistrationSource[]>;
  /** What is in the clouds' own stores. Default: it is not read, which is a note. */
  readonly secretValues?: SecretValues;
  /** How long they are waited for. Default: as at a start. */
  readonly secretWaitMs?: number;
  /** `optional`: a missing secret is a note, for `shr validate` on machines without them. Default: required. */
  readonly secrets?: 'required' | 'optional';
}

export type Loaded =
  | {
      readonly ok: true;
      readonly configuration: Configuration;
      /** Of the registrations that are set aside, of those that conflict with each other, and of closed kinds. */
      readonly problems: readonly Problem[];
      readonly notes: readonly Problem[];
      /** See `Inspection`. */
      readonly good: Inspection['good'];
      /** False: a source could not be read yet, and has registrations that are not known. */
      readonly isComplete: boolean;
      /** Names, by the file of several that holds them; none of a file that is one registration. */
      readonly several: ReadonlyMap<string, readonly string[]>;
    }
  | { readonly ok: false; readonly problems: readonly Problem[]; readonly notes: readonly Problem[] };

/** The input of `shr validate` and `shr explain`, which may have no dispatcher.yaml. */
export interface Inspection {
  readonly platform: Platform;
  /** All that could be parsed, including those with problems. */
  readonly registrations: readonly Registration[];
  readonly quarantined: readonly Quarantined[];
  readonly conflicts: readonly Conflict[];
  readonly kept: readonly KeptRegistration[];
  /** Texts of registrations that were read, have no problem and are in force: their last good versions. */
  readonly good: readonly { readonly name: string; readonly text: string; readonly tenant?: string | undefined }[];
  /** Problems of dispatcher.yaml and of the registrations folder: nothing can be served with them. */
  readonly platformProblems: readonly Problem[];
  /** The folder of registrations could be listed, and holds no more than it may. */
  readonly isListed: boolean;
  /** Every source was read, now or earlier. */
  readonly isComplete: boolean;
  /** Names, by the file of several that holds them; none of a file that is one registration. */
  readonly several: ReadonlyMap<string, readonly string[]>;
  /** Of sources beside the folder: registrations are served all the same. */
  readonly sourceProblems: readonly Problem[];
  readonly origins: Pick<Configuration, 'doubles' | 'origins' | 'sources'>;
  /** All of them. */
  readonly problems: readonly Problem[];
  readonly notes: readonly Problem[];
  /** The files that were read. */
  readonly files: readonly string[];
  /** The one of them that says what the platform is. Undefined: there is none, or it could not be read. */
  readonly platformFile: { readonly file: string; readonly isExport: boolean } | undefined;
  /** Where a value of a registration is written. */
  readonly placeOf: (registration: string, path: Path) => Promise<Problem | undefined>;
}

/** For values in the clouds' own stores, all of them together: what has not come by then comes as a change. */
const START_WAIT_MS = 15_000;
const RELOAD_WAIT_MS = 500;
const CHECK_WAIT_MS = 5_000;

const MAX_REGISTRATIONS = 20_000;
/** Enough for tens of thousands of tenants. */
export const DISPATCHER_BOUNDS: FileBounds = { bytes: 16 * 1024 * 1024, values: 2_000_000, references: 20_000 };
/** Enough for 10,000 repositories by name; takes a third of a second to read. */
export const REGISTRATION_BOUNDS: FileBounds = { bytes: 256 * 1024, values: 50_000, references: 200 };

/**
 * Not ok when dispatcher.yaml has a problem, or when every registration is set aside: a problem that affects all of
 * them is the platform's to fix, and an earlier dispatcher that still serves should go on.
 */
export async function loadConfiguration(sources: ConfigurationSources): Promise<Loaded> {
  const inspection = await inspectConfiguration(sources, 'required');
  const { platform, quarantined, conflicts, problems, notes, kept, good, isComplete, several, sourceProblems } =
    inspection;
  const setAside = new Set(quarantined.map(({ name }) => name));
  const registrations = inspection.registrations.filter(({ name }) => !setAside.has(name));
  const useless = registrations.length === 0 && quarantined.length > 0;
  if (inspection.platformProblems.length > 0 || platform.config === undefined || useless) {
    return { ok: false, problems, notes };
  }
  const configuration = {
    ...{ dispatcher: platform.config, registrations, quarantined, conflicts, kept },
    ...(sourceProblems.length === 0 ? {} : { platformProblems: sourceProblems }),
    ...inspection.origins,
  };
  return { ok: true, configuration, problems, notes, good, isComplete, several };
}

/**
 * While a dispatcher serves. With a problem in dispatcher.yaml its last version without one stays in force. Not ok where it
 * is not known which registrations there are.
 */
export async function reloadConfiguration(
  sources: ConfigurationSources & { readonly memory: ReadingMemory },
): Promise<Loaded> {
  const inspection = await inspectConfiguration({ secretWaitMs: RELOAD_WAIT_MS, ...sources }, 'required');
  const { platform, quarantined, conflicts, problems, notes, kept, good, isComplete, several } = inspection;
  const platformProblems = [...inspection.platformProblems, ...inspection.sourceProblems];
  const dispatcher = platform.config;
  if (dispatcher === undefined || !inspection.isListed) return { ok: false, problems: platformProblems, notes };
  const setAside = new Set(quarantined.map(({ name }) => name));
  const registrations = inspection.registrations.filter(({ name }) => !setAside.has(name));
  const configuration = {
    ...{ dispatcher, registrations, quarantined, conflicts, kept, platformProblems },
    ...inspection.origins,
  };
  return { ok: true, configuration, problems, notes, good, isComplete, several };
}

export interface CheckedDocument {
  /** Empty: it could be in force. */
  readonly problems: readonly Problem[];
  readonly notes: readonly Problem[];
}

/**
 * What a registration would be like with this text, beside those in force. By the dispatcher.yaml that was read last; nothing
 * changes.
 */
export async function checkDocument(
  sources: ConfigurationSources & { readonly memory: ReadingMemory },
  { name, file, text }: { readonly name: string; readonly file: string; readonly text: string },
  present: Pick<Configuration, 'quarantined' | 'registrations'>,
): Promise<CheckedDocument> {
  const platform = sources.memory.platform()?.platform ?? sources.memory.goodPlatform;
  if (platform === undefined) return { problems: [wholeFile(file, 'nothing was read yet', 'Try again.')], notes: [] };
  const tenants = platform.tenants === undefined ? undefined : tenantLookup(platform.tenants);
  const others = present.registrations.filter((one) => one.name !== name);
  // What cannot be a registration, such as a name in a file of several that is another tenant's, has a name that is none.
  const asideOthers = present.quarantined.filter((one) => one.name !== name && NAME.test(one.name));
  // Last: it takes nobody's place.
  const names = [...others, ...asideOthers, { name }].map((one) => ({ name: one.name, file }));
  const inForce = new Set(present.registrations.map((one) => one.name));
  const beyond = beyondLimits(names, tenants, (one) => inForce.has(one.name)).get(name);
  if (beyond !== undefined) return { problems: beyond.problems, notes: [] };
  // Its author waits for it, and nobody else.
  const shared = sharedBy({ secretWaitMs: CHECK_WAIT_MS, ...sources });
  const files = new RegistrationFiles({
    ...{ folder: sources.registrationsFolder, files: sources.files, bounds: REGISTRATION_BOUNDS },
    ...{ platform, tenants, known: undefined, sourceOf: new Map() },
  });
  const several = files.several(file, text);
  if (several !== undefined && several.isBroken !== true) {
    const { column, line } = files.yaml(file, text).placeOfKey([], SEVERAL);
    const message = 'what is put is one registration, and this holds several by their names';
    const cure = 'Put what stands below each name by itself, under that name.';
    return { problems: [{ file, line, column, path: SEVERAL, message, cure }], notes: [] };
  }
  const parts = { platform, tenants, shared, found: new Findings(), known: undefined, files };
  const read = await readContained({ name, file }, parts, text);
  if (read.registration === undefined || read.problems.length > 0)
    return { problems: inReadingOrder(read.problems), notes: read.notes };
  const own = read.registration;
  const claims = [...others, ...asideOthers.flatMap((one) => one.claims ?? []), own];
  const overlaps = [
    ...findOverlaps(new Territory(platform.tenants, claims), [...others, own]),
    ...findTravellers([...others, own]),
    ...findOverRunners([...others, own]),
    ...findOverReserved([...others, own], platform.tenants, platform.config?.maxRunners),
  ];
  const found = overlaps.filter(({ registration }) => registration === own);
  const ties = findTies(claims).filter(({ first, second }) => first.name === name || second.name === name);
  return {
    problems: found.map(
      ({ cure, message, path }) => read.reading?.finding(path, message, cure) ?? wholeFile(file, message, cure),
    ),
    notes: [
      ...read.notes,
      ...ties.map(({ first, label, second }) => tieNote(file, label, first.name === name ? second.name : first.name)),
    ],
  };
}

function tieNote(file: string, label: string, other: string): Problem {
  const message = `registration \`${other}\` claims jobs with the label \`${label}\` at the same priority: those jobs are refused`;
  return wholeFile(file, message, 'Give one of them another label, or a higher `priority`.');
}

/** Only a dispatcher that runs fetches repositories, and has what its API was given. */
export function unreadSources(file: string, config: Pick<DispatcherConfig, 'sources'> | undefined): readonly Problem[] {
  const names = (config?.sources ?? []).map(({ name }) => `\`${name}\``);
  if (names.length === 0) return [];
  const of = names.length === 1 ? `source ${names[0]}` : `sources ${names.join(', ')}`;
  const message = `the registrations of ${of} (git) and of the API are not read here`;
  const cure = 'Ask the dispatcher: `shr explain` and `shr registrations` with --url.';
  return [{ ...wholeFile(file, message, cure), path: 'sources' }];
}

/** With `dispatcher: 'optional'` a missing dispatcher.yaml is a note: a tenants' repository has none. */
export async function inspectConfiguration(
  sources: ConfigurationSources,
  dispatcher: 'required' | 'optional',
): Promise<Inspection> {
  const found = new Findings();
  const shared = sharedBy(sources);
  const { platform } = await platformOf(shared, dispatcher, found);
  const listedFrom = found.problems.length;
  const elsewhere = platform.config === undefined ? [] : ((await sources.elsewhere?.(platform.config)) ?? []);
  if (sources.elsewhere === undefined) found.notes.push(...unreadSources(sources.dispatcherFile, platform.config));
  const areElsewhere =
    sources.elsewhere === undefined
      ? (platform.config?.sources ?? []).length > 0
      : elsewhere.some(({ files, state }) => state !== undefined || files.length > 0);
  sources.memory?.versionsOf(elsewhere.map(stateOf));
  const entries = await registrationFiles(sources, found, platform, areElsewhere);
  const areListed = found.problems.length === listedFrom && !found.lacksRegistrations;
  found.missing(sources);
  const tenants = platform.tenants === undefined ? undefined : tenantLookup(platform.tenants);
  const known = platform.config === undefined ? undefined : await sources.knownValues?.(platform.config);
  const gathered = gather(entries.files, elsewhere, tenants);
  const boundedFrom = found.problems.length;
  const firsts = gathered.files.filter((one) => !('first' in one));
  const { sourceOf } = gathered;
  const files = new RegistrationFiles({
    ...{ folder: sources.registrationsFolder, files: sources.files, bounds: REGISTRATION_BOUNDS },
    ...{ platform, tenants, known, sourceOf },
  });
  const parts = { platform, tenants, shared, found, known, files };
  const named = boundedFiles(firsts, parts, wasFile(parts));
  const inFiles = await registrationsIn(named, gathered, parts);
  const { doubles, refused } = inFiles;
  const all = boundedFiles(inFiles.registrations, parts, wasInForce(parts));
  const areBounded = found.problems.length === boundedFrom;
  const beyond = await beyondThoseBefore(all, parts, wasInForce(parts));
  // What cannot be listed is not gone, and nothing of such a reading comes into force.
  const isListed = areListed && areBounded;
  if (isListed)
    sources.memory?.keepOnly(new Set(all.map(({ name }) => name)), new Set(inFiles.files.map(({ file }) => file)));
  let looked = 0;
  const asWritten = await mapLimited(all, READ_AT_ONCE, async (entry) => {
    looked += 1;
    // What is remembered takes no time by the clock of the system: others have their turn all the same.
    if (looked % FILES_A_TURN === 0) await eventLoopTurn();
    return beyond.get(entry.name) ?? entry.beyond ?? (await remembered(entry, parts));
  });
  sources.memory?.watchNoOthers();
  const places = new Places(asWritten, all, parts);
  const { found: fallenBack, settled } = await withoutOverlaps(asWritten, places, parts);
  const read = fallenBack === asWritten ? asWritten : await inForceAgain(asWritten, fallenBack, platform, settled);
  if (read !== asWritten) await tellOverlaps(read, settled, places, platform);
  const conflicts = await conflictsAmong(read, places);
  for (const one of isListed ? read : []) {
    const { besides, claims, problems, registration } = one;
    if (registration === undefined || problems.length + besides.length > 0) sources.memory?.putAside(one.name);
    else sources.memory?.putInForce(one.name, { registration, claims }, platform);
  }
  const quarantined: readonly Quarantined[] = [...entries.quarantined, ...refused, ...read.flatMap(setAside)];
  const platformProblems = inReadingOrder(found.problems);
  const sourceProblems = [...elsewhere.flatMap(({ state }) => state?.problem ?? []), ...gathered.strays];
  const others = [
    ...sourceProblems,
    ...doubles.map(({ problem }) => problem),
    ...platform.closedKinds,
    ...quarantined.flatMap(({ problems }) => problems),
    ...read.flatMap(({ instead }) => instead),
    ...conflicts.map(({ problem }) => problem),
  ];
  const platformFile = sources.exportedPlatform ?? sources.dispatcherFile;
  return {
    platform,
    platformFile: found.files.has(platformFile)
      ? { file: platformFile, isExport: sources.exportedPlatform !== undefined }
      : undefined,
    registrations: read.flatMap(({ registration }) => (registration === undefined ? [] : [registration])),
    quarantined,
    conflicts,
    kept: read.flatMap(({ name, file, instead, problems, besides }) =>
      instead.length === 0 || problems.length + besides.length > 0 ? [] : [{ name, file, problems: instead }],
    ),
    good: read.flatMap(({ name, text, instead, problems, besides, registration }) =>
      text === undefined || registration === undefined || instead.length + problems.length + besides.length > 0
        ? []
        : [{ name, text, tenant: registration.grant?.tenant }],
    ),
    platformProblems,
    isListed,
    isComplete: elsewhere.every(({ isKnown }) => isKnown),
    several: severalAmong(inFiles.registrations),
    sourceProblems,
    origins: originsOf(elsewhere, doubles, sourceOf, all),
    // What is wrong with a base, all that extend it have.
    problems: distinct(inReadingOrder([...platformProblems, ...others])),
    placeOf: async (name, path) => (await places.of(name))?.finding(path, '', ''),
    notes: inReadingOrder([...found.notes, ...read.flatMap(({ notes }) => notes)]),
    files: [platformFile, ...new Set(all.map(({ file }) => file))].filter((file) => found.files.has(file)),
  };
}

function severalAmong(registrations: readonly RegistrationEntry[]): Inspection['several'] {
  const files = new Map<string, string[]>();
  for (const { among, file, name } of registrations) {
    const names = files.get(file) ?? [];
    if (among !== undefined) names.push(name);
    files.set(file, names);
  }
  return files;
}

function originsOf(
  elsewhere: readonly RegistrationSource[],
  doubles: readonly Double[],
  sourceOf: Gathered['sourceOf'],
  registrations: readonly NamedFile[],
): Inspection['origins'] {
  if (elsewhere.length === 0) return {};
  const origins = new Map(
    registrations.flatMap(({ name, file }) => {
      const source = sourceOf.get(file);
      return source === undefined ? [] : [[name, { source: source.name, file }] as const];
    }),
  );
  return { origins, doubles, sources: elsewhere.flatMap(({ state }) => state ?? []) };
}

/** One registration's file, whether or not it could be read. */
interface RegistrationFound {
  readonly name: string;
  readonly file: string;
  readonly registration: Registration | undefined;
  readonly claims: JobClaims | undefined;
  /** Undefined: it could not be read, or was not read anew. */
  readonly reading: Reading | undefined;
  readonly problems: readonly Problem[];
  readonly notes: readonly Problem[];
  /** What only shows beside the other files. */
  readonly besides: Problem[];
  /** Of the file as it is: its last version without problems is in force. */
  readonly instead: readonly Problem[];
  /** As it was read anew. */
  readonly text?: string;
  /** What dispatcher.yaml says of the file: no earlier version of it is right either. */
  readonly isRefused?: true;
  /** What it extends, whether or not that could be read. */
  readonly bases?: readonly string[];
  /** Undefined: it was not read anew. */
  readonly entry?: RegistrationEntry;
}

/** Where a registration stands. */
interface RegistrationEntry {
  readonly name: string;
  readonly file: string;
  /** Of the file, if that was read for it already. */
  readonly text?: string;
  /** It stands in a file of several. */
  readonly among?: { readonly stem: string; readonly problems: readonly Problem[] };
  /** Its file is not read: it is more than its tenant may have. */
  readonly beyond?: RegistrationFound;
}

function setAside({ name, file, claims, problems, besides }: RegistrationFound): readonly Quarantined[] {
  const all = inReadingOrder([...problems, ...besides]);
  return all.length === 0 ? [] : [{ name, file, problems: all, claims }];
}

/** Each looks at all registrations once more. Enough where nobody makes them collide one after the other. */
const MAX_ROUNDS = 8;

/**
 * Those that overlap with others as their files are, by their last versions that did not. What one falls back to may leave no
 * room for another one's file: then that falls back as well.
 */
async function withoutOverlaps(
  asWritten: readonly RegistrationFound[],
  places: Places,
  parts: Parts,
): Promise<{ readonly found: readonly RegistrationFound[]; readonly settled: Settled }> {
  let found = asWritten;
  let settled: Settled | undefined;
  for (let round = 1; ; round += 1) {
    settled = await settledAmong(found, parts, settled);
    await tellOverlaps(found, settled, places, parts.platform);
    const fallenBack = await fallBack(found, round >= MAX_ROUNDS, parts);
    if (fallenBack === undefined) {
      const isAsWritten = found === asWritten;
      return { found: isAsWritten ? found : found.map((one) => ({ ...one, besides: [] })), settled };
    }
    found = fallenBack;
  }
}

/**
 * Those that collide. Undefined: none has another version that it could fall back to. `together`: with all that the tenants
 * of those that do fall back have, since all of that was in force together.
 */
async function fallBack(
  found: readonly RegistrationFound[],
  together: boolean,
  parts: Parts,
): Promise<readonly RegistrationFound[] | undefined> {
  const moved = new Set<RegistrationFound>();
  const earlier = async (one: RegistrationFound, why: readonly Problem[]): Promise<RegistrationFound | undefined> => {
    const { instead, registration } = one;
    if (registration === undefined || instead.length > 0) return undefined;
    const kept = await lastGoodOf({ ...one, problems: why }, parts);
    return kept?.registration === registration ? undefined : kept;
  };
  const fallenBack = await mapLimited(found, READ_AT_ONCE, async (one) => {
    if (one.besides.length === 0) return one;
    const kept = await earlier(one, inReadingOrder(one.besides));
    if (kept === undefined) return one;
    moved.add(kept);
    return kept;
  });
  if (moved.size === 0) return undefined;
  const tenants = new Set([...moved].map(({ registration }) => registration?.grant?.tenant));
  return await mapLimited(fallenBack, READ_AT_ONCE, async (one) => {
    const tenant = one.registration?.grant?.tenant;
    const isOther = !moved.has(one) && one.besides.length === 0 && one.problems.length === 0;
    const kept =
      together && isOther && tenants.has(tenant) ? await earlier(one, [withOthers(one.file, tenant)]) : undefined;
    return { ...(kept ?? one), besides: [] };
  });
}

function withOthers(file: string, tenant: string | undefined): Problem {
  const whose = tenant === undefined ? 'the platform itself' : `tenant \`${tenant}\``;
  const message = `it is not in force beside the last versions of others, as too many registrations of ${whose} collide with each other`;
  return wholeFile(file, message, 'Correct the others first.');
}

/** For each reading: each looks at all registrations once more. */
const MAX_TRIED_AGAIN = 16;

/**
 * What a file collided with may itself have fallen back: beside what is then in force, the file as it is may be right. In the
 * order of their names, each only where it makes nothing worse; tenants take turns, so that one with many leaves room.
 */
async function inForceAgain(
  asWritten: readonly RegistrationFound[],
  fallenBack: readonly RegistrationFound[],
  platform: Platform,
  settled: Settled,
): Promise<readonly RegistrationFound[]> {
  const turns = new Map<string | undefined, number>();
  const candidates = asWritten
    .flatMap((one, index) => {
      if (one.registration === undefined || fallenBack[index]?.registration === one.registration) return [];
      const tenant = one.registration.grant?.tenant;
      const turn = turns.get(tenant) ?? 0;
      turns.set(tenant, turn + 1);
      return [{ one, index, turn }];
    })
    .sort((a, b) => a.turn - b.turn || a.index - b.index)
    .slice(0, MAX_TRIED_AGAIN);
  // Where all of them collide with what is in force, as a single one does, there is nothing to gain.
  if (candidates.length < 2) return fallenBack;
  let inForce = fallenBack;
  const before = new Set(overlapsAmong(fallenBack, platform, settled).map(({ registration }) => registration.name));
  for (const { one, index } of candidates) {
    const tried = inForce.with(index, { ...one, besides: [] });
    const isWorse = overlapsAmong(tried, platform, settled).some(
      ({ registration }) => registration === one.registration || !before.has(registration.name),
    );
    if (!isWorse) inForce = tried;
    await eventLoopTurn();
  }
  return inForce;
}

/** Where something is written. A file that was not read anew is read for it: few files have such findings. */
class Places {
  readonly #found: ReadonlyMap<string, RegistrationFound>;
  readonly #parts: Parts;
  readonly #entries: ReadonlyMap<string, RegistrationEntry>;
  readonly #again = new Map<string, Reading | undefined>();

  constructor(found: readonly RegistrationFound[], entries: readonly RegistrationEntry[], parts: Parts) {
    this.#found = new Map(found.map((one) => [one.name, one]));
    this.#entries = new Map(entries.map((one) => [one.name, one]));
    this.#parts = parts;
  }

  async of(name: string): Promise<Reading | undefined> {
    const known = this.#found.get(name);
    if (known === undefined || known.reading !== undefined) return known?.reading;
    if (known.registration === undefined && known.claims === undefined) return undefined;
    const entry = known.entry ?? this.#entries.get(name) ?? { name, file: known.file };
    if (!this.#again.has(name)) this.#again.set(name, (await readContained(entry, this.#parts)).reading);
    return this.#again.get(name);
  }
}

type Held = Pick<Registration, 'maxRunners' | 'reservedRunners'>;

interface Settled {
  /** By name, what was in force before. */
  readonly held: ReadonlyMap<string, Held>;
  /** They hold nothing until they are in force again, by whichever version. */
  readonly aside: ReadonlySet<string>;
}

/** `before`: of an earlier look, with other versions. Tenants that have enough for all of theirs need nobody to come first. */
async function settledAmong(
  found: readonly RegistrationFound[],
  parts: Parts,
  before: Settled = { held: new Map(), aside: new Set() },
): Promise<Settled> {
  const { platform, shared } = parts;
  const { config } = platform;
  const { lastGood, memory } = shared.sources;
  const crowded = new Set(
    beyondRunners(found, platform, { held: new Map(), aside: new Set() }).map(
      ({ registration }) => registration.grant?.tenant,
    ),
  );
  if (crowded.size === 0) return before;
  const held = new Map(before.held);
  const isAsideNow = await isAside(parts);
  const aside = new Set(found.flatMap(({ name }) => (isAsideNow(name) ? [name] : [])));
  await mapLimited(found, READ_AT_ONCE, async ({ name, file, registration, text }) => {
    const tenant = registration?.grant?.tenant;
    if (registration === undefined || !crowded.has(tenant) || aside.has(name) || held.has(name)) return;
    const earlier = memory?.earlier(name);
    if (earlier !== undefined) {
      if (earlier.grant?.tenant === tenant) held.set(name, earlier);
      return;
    }
    // At a start it is not known what was in force, but which texts were.
    if (config === undefined || text === undefined) return;
    const good = await lastGood?.(config, name, tenant);
    if (good === undefined) return;
    const read = good === text ? registration : (await readContained({ name, file }, parts, good)).registration;
    if (read !== undefined) held.set(name, read);
  });
  return { held, aside };
}

/** More than a tenant may have, or than may be reserved, all of its registrations together. */
function beyondRunners(
  found: readonly RegistrationFound[],
  platform: Platform,
  { aside, held }: Settled,
): readonly Overlap[] {
  const fallenBack = new Set(found.flatMap(({ instead, name }) => (instead.length === 0 ? [] : [name])));
  const heldBefore = (registration: Registration): Partial<Held> => {
    const { name } = registration;
    if (aside.has(name)) return {};
    return fallenBack.has(name) ? registration : (held.get(name) ?? {});
  };
  // Those that cannot be in force ask last.
  const inOrder = [
    ...found.filter(({ problems }) => problems.length === 0),
    ...found.filter(({ problems }) => problems.length > 0),
  ].flatMap(({ registration }) => registration ?? []);
  return [
    ...findOverRunners(inOrder, (one) => heldBefore(one).maxRunners ?? 0),
    ...findOverReserved(
      inOrder,
      platform.tenants,
      platform.config?.maxRunners,
      (one) => heldBefore(one).reservedRunners ?? 0,
    ),
  ];
}

function overlapsAmong(found: readonly RegistrationFound[], platform: Platform, settled: Settled): readonly Overlap[] {
  const all = found.flatMap(({ registration }) => registration ?? []);
  // Whatever a broken file of the platform claims remains its own.
  const claims = found.flatMap(({ registration, claims: salvaged }) => registration ?? salvaged ?? []);
  return [
    ...findOverlaps(new Territory(platform.tenants, claims), all),
    ...findTravellers(all),
    ...beyondRunners(found, platform, settled),
  ];
}

async function tellOverlaps(
  found: readonly RegistrationFound[],
  settled: Settled,
  places: Places,
  platform: Platform,
): Promise<void> {
  const byRegistration = new Map(found.map((one) => [one.registration, one]));
  const overlaps = overlapsAmong(found, platform, settled);
  for (const { registration, path, message, cure } of overlaps) {
    const one = byRegistration.get(registration);
    if (one === undefined) continue;
    const reading = await places.of(one.name);
    one.besides.push(reading?.finding(path, message, cure) ?? wholeFile(one.file, message, cure));
  }
}

/** Reported at the second of the two; neither is set aside: the jobs in question are refused when they arrive. */
async function conflictsAmong(found: readonly RegistrationFound[], places: Places): Promise<readonly Conflict[]> {
  const claims = found.flatMap((one) => (one.claims === undefined ? [] : [one.claims]));
  const conflicts: Conflict[] = [];
  for (const { first, second, label } of findTies(claims)) {
    const reading = await places.of(second.name);
    if (reading === undefined) continue;
    const problem = reading.finding(
      reading.has(['labels']) ? ['labels'] : [],
      `it conflicts with registration \`${first.name}\`: both claim jobs with the label \`${label}\` at the same priority, so those jobs are refused`,
      'Give one of them another label, or a higher `priority`.',
    );
    conflicts.push({ registrations: [first.name, second.name], problem });
  }
  return conflicts;
}

class Findings {
  readonly problems: Problem[] = [];
  readonly notes: Problem[] = [];
  /** Those that could be read. */
  readonly files = new Set<string>();
  /** Reports dispatcher.yaml and the registrations folder where they are missing: one of them, or both. */
  #noDispatcher: (() => void) | undefined;
  #noRegistrations: { readonly exists: boolean; readonly tell: () => void } | undefined;

  noDispatcher(tell: () => void): void {
    this.#noDispatcher = tell;
  }

  /** There is not even a folder for them. */
  get lacksRegistrations(): boolean {
    return this.#noRegistrations?.exists === false;
  }

  noRegistrations(exists: boolean, tell: () => void): void {
    this.#noRegistrations = { exists, tell };
  }

  /** If both are missing, there is one problem: the folder. */
  missing({ dispatcherFile, registrationsFolder }: ConfigurationSources): void {
    // Elsewhere only if its path was given.
    const usual = join(dirname(registrationsFolder), 'dispatcher.yaml') === dispatcherFile;
    const none = this.#noRegistrations;
    if (!usual || this.#noDispatcher === undefined || none === undefined) {
      this.#noDispatcher?.();
      none?.tell();
    } else if (none.exists) {
      const message = 'there is neither dispatcher.yaml nor a registration';
      this.file(registrationsFolder, message, 'Name another folder, or run `shr init`.');
    } else none.tell();
  }

  file(file: string, message: string, cure: string, list: Problem[] = this.problems): void {
    list.push(wholeFile(file, message, cure));
  }
}

function distinct(problems: readonly Problem[]): readonly Problem[] {
  return [...new Map(problems.map((problem) => [formatProblem(problem), problem])).values()];
}

export function wholeFile(file: string, message: string, cure: string): Problem {
  return { file, line: 0, column: 0, path: '', message, cure };
}

/** As it was read before, if nothing in it has changed. */
async function platformOf(shared: Shared, dispatcher: 'required' | 'optional', found: Findings): Promise<PlatformRead> {
  const { memory } = shared.sources;
  const known = memory?.platform();
  if (known !== undefined) {
    found.files.add(shared.sources.dispatcherFile);
    found.problems.push(...known.problems);
    found.notes.push(...known.notes);
    return known;
  }
  const own = memory?.versionsOf([shared.sources.dispatcherFile]);
  const { platform, files } = await readPlatform(shared, dispatcher, found);
  const former = memory?.goodPlatform?.tenants ?? [];
  if (former.length > 0 && platform.config !== undefined && (platform.tenants ?? []).length === 0) {
    // Without tenants every registration is the platform's own, and may refer to its secrets: a slip must not do that.
    found.file(
      shared.sources.dispatcherFile,
      'no tenants are left in `tenants`: those that were there stay in force, with the rest of the file as it was',
      'Put it back; or, if there are to be no tenants any more, restart the dispatcher.',
    );
  }
  const good = found.problems.length > 0 || platform.config === undefined ? memory?.goodPlatform : undefined;
  const read = { platform: good ?? platform, problems: [...found.problems], notes: [...found.notes] };
  if (memory !== undefined && own !== undefined) {
    memory.putPlatform(read, new Map([...own, ...memory.versionsOf(files, () => null)]));
  }
  return read;
}

async function readPlatform(
  shared: Shared,
  dispatcher: 'required' | 'optional',
  found: Findings,
): Promise<{ readonly platform: Platform; readonly files: readonly string[] }> {
  const { sources, references, secrets, keys } = shared;
  if (sources.exportedPlatform !== undefined) {
    return { platform: await readExported(sources.exportedPlatform, sources, found), files: [] };
  }
  const file = sources.dispatcherFile;
  let text: string;
  try {
    ({ text } = await sources.files.read(file, { mostBytes: DISPATCHER_BOUNDS.bytes }));
  } catch (error) {
    if (dispatcher === 'optional' && errorCode(error) === 'ENOENT') {
      found.noDispatcher(() =>
        found.file(
          file,
          'there is no such file: tenants, shared backends and limits were not checked',
          'Name it with `--config`, or an export of it with `--platform`.',
          found.notes,
        ),
      );
      return { platform: unknownPlatform, files: [] };
    }
    const { message, cure } = fileProblem(error);
    if (errorCode(error) === 'ENOENT') {
      const write = 'Name the file with `--config`, or write one: dispatcher.example.yaml shows every key.';
      found.noDispatcher(() => found.file(file, message, write));
    } else found.file(file, message, cure);
    return { platform: { ...unknownPlatform, known: true }, files: [] };
  }
  found.files.add(file);
  const yaml = readYaml(file, text, DISPATCHER_BOUNDS.bytes);
  if (isExported(yaml.value)) {
    const { cure, message } = NOT_A_DISPATCHER;
    found.file(file, message, cure);
    return { platform: { ...unknownPlatform, known: true }, files: [] };
  }
  const reading = await Reading.start(yaml, { kind: 'platform' }, references, secrets, DISPATCHER_BOUNDS);
  const started = sources.memory?.startedPlatform;
  const folder = dirname(resolve(file));
  const platform = await readDispatcher(reading, { folder, provider: sources.provider, keys, started });
  found.problems.push(...reading.problems);
  found.notes.push(...reading.notes);
  return { platform, files: reading.files };
}

export const NOT_A_DISPATCHER = {
  message: 'it is an export of a dispatcher.yaml, such as platform.json, and not that file itself',
  cure: 'Name the dispatcher.yaml. To check registrations with an export, name it with `--platform`.',
};

async function readExported(file: string, { files }: ConfigurationSources, found: Findings): Promise<Platform> {
  let text: string;
  try {
    ({ text } = await files.read(file, { mostBytes: DISPATCHER_BOUNDS.bytes }));
  } catch (error) {
    const { message, cure } = fileProblem(error);
    found.file(file, message, cure);
    return { ...unknownPlatform, known: true };
  }
  found.files.add(file);
  const { platform, reading } = await readExportedPlatform(file, text, DISPATCHER_BOUNDS);
  found.problems.push(...reading.problems);
  return platform;
}

interface FolderEntries {
  readonly files: readonly { readonly name: string; readonly file: string }[];
  /** Files whose names suggest registrations but cannot be any. */
  readonly quarantined: readonly Quarantined[];
}

/** Whoever may write into the folder must not fill lists with them. */
const MAX_MISNAMED = 100;

const NO_ENTRIES: FolderEntries = { files: [], quarantined: [] };

async function registrationFiles(
  sources: ConfigurationSources,
  found: Findings,
  platform: Platform,
  areElsewhere: boolean,
): Promise<FolderEntries> {
  const folder = sources.registrationsFolder;
  let names: readonly string[];
  try {
    names = await (sources.memory?.names() ?? sources.files.list(folder));
  } catch (error) {
    const { message, cure } = folderProblem(error);
    if (errorCode(error) === 'ENOENT' && areElsewhere) {
      // Somebody meant to have them here as well.
      if (error instanceof FileRefused) found.file(folder, message, cure, found.notes);
      return NO_ENTRIES;
    }
    if (errorCode(error) === 'ENOENT') found.noRegistrations(false, () => found.file(folder, message, cure));
    else found.file(folder, message, cure);
    return NO_ENTRIES;
  }
  const files: { readonly name: string; readonly file: string }[] = [];
  const quarantined: Quarantined[] = [];
  let more = 0;
  const refuse = (name: string, file: string, message: string, cure: string): void => {
    if (quarantined.length < MAX_MISNAMED) {
      quarantined.push({ name, file, problems: [wholeFile(file, message, cure)], claims: undefined });
    } else more += 1;
  };
  for (const entry of [...names].sort()) {
    const file = join(folder, entry);
    if (entry.endsWith('.example.yaml') || entry.startsWith('.')) continue;
    if (isBase(entry)) continue;
    if (isMisnamed(entry)) {
      const name = entry.slice(0, entry.lastIndexOf('.'));
      // Under its full name: `acme.yml` is not the registration `acme`, and must not set that one aside.
      refuse(entry, file, 'registrations end in .yaml', `Rename it to ${name}.yaml, or move it elsewhere.`);
      continue;
    }
    if (!entry.endsWith('.yaml')) continue;
    const name = entry.slice(0, -'.yaml'.length);
    if (NAME.test(name)) files.push({ name, file });
    else {
      const message = 'the file name is not a valid registration name';
      refuse(name, file, message, 'Rename it to 1 to 32 lower-case letters, digits and inner hyphens, and `.yaml`.');
    }
  }
  if (more > 0) {
    const problem = wholeFile(folder, `there are ${more} more files with wrong names`, 'Correct the others first.');
    quarantined.push({ name: '*.yaml', file: folder, problems: [problem], claims: undefined });
  }
  if (files.length === 0 && quarantined.length === 0 && !areElsewhere)
    found.noRegistrations(true, () =>
      names.includes('registrations')
        ? found.file(folder, 'there is no registration in it, but `registrations`', ONE_TOO_HIGH, found.notes)
        : found.file(folder, 'there is no registration yet', firstRegistrationCure(sources, platform), found.notes),
    );
  return { files, quarantined };
}

const ONE_TOO_HIGH =
  'If that is the folder with the registrations, name it, or let the link lead to it: none is looked for below.';

function firstRegistrationCure({ exportedPlatform }: ConfigurationSources, { tenants = [] }: Platform): string {
  if (exportedPlatform !== undefined) {
    return 'Write NAME.yaml in it, by the name that the platform granted; an example may be there.';
  }
  return tenants.some(({ grant }) => grant !== undefined)
    ? 'Nothing has to be done here until a tenant writes one.'
    : 'Copy an example of the folder, or run `shr init` in an empty one.';
}

/** Of a tenant, beyond what it may have: those are told of, and the others do not count, whatever it writes. */
const MAX_BEYOND = 100;

function boundedFiles<File extends NamedFile>(
  files: readonly File[],
  { found, shared, tenants }: Parts,
  was: WasThere,
): readonly File[] {
  if (files.length <= MAX_BEYOND) return files;
  const taken = new Map<Grant, number>();
  const counting = files.filter((one) => {
    const grant = onlyGrant(one.name, tenants);
    if (grant === undefined) return true;
    const place = (taken.get(grant) ?? 0) + 1;
    taken.set(grant, place);
    return was(one) || place <= grant.limits.maxRegistrations + MAX_BEYOND;
  });
  if (counting.length <= MAX_REGISTRATIONS) return counting;
  const message = `there are ${counting.length} registrations, and ${MAX_REGISTRATIONS} is the limit`;
  found.file(shared.sources.registrationsFolder, message, 'Split them between dispatchers.');
  return [];
}

/** Undefined: it is the platform's own, or nobody's alone. */
function onlyGrant(name: string, tenants: TenantLookup | undefined): Grant | undefined {
  const [tenant, ...rivals] = tenants?.(name) ?? [];
  return rivals.length > 0 ? undefined : tenant?.grant;
}

function folderProblem(error: unknown): { readonly message: string; readonly cure: string } {
  if (error instanceof FileRefused) return fileProblem(error);
  switch (errorCode(error)) {
    case 'ENOENT':
      return { message: 'there is no such folder', cure: 'Run `shr init`, or name the folder.' };
    case 'ENOTDIR':
      return { message: 'it is not a folder', cure: 'Name a folder.' };
    default:
      return fileProblem(error);
  }
}

/** What a registration is read with. */
interface Parts {
  readonly platform: Platform;
  readonly tenants: TenantLookup | undefined;
  readonly shared: Shared;
  readonly found: Findings;
  readonly known: KnownValues | undefined;
  readonly files: RegistrationFiles;
}

/** Those take the places that their tenant has before any new one. */
type WasThere = (entry: NamedFile) => boolean;

function wasInForce({ shared, tenants }: Parts): WasThere {
  const { memory } = shared.sources;
  return ({ name }) => {
    const before = memory?.earlier(name);
    if (before === undefined || memory?.isSetAside(name) === true) return false;
    return before.grant?.tenant === onlyGrant(name, tenants)?.tenant;
  };
}

/** What no earlier reading of this process says, one of an earlier process may. */
async function isAside({ platform, shared }: Parts): Promise<(name: string) => boolean> {
  const { asideBefore, memory } = shared.sources;
  const before = platform.config === undefined ? undefined : await asideBefore?.(platform.config);
  return (name) =>
    memory?.isSetAside(name) === true || (memory?.earlier(name) === undefined && before?.has(name) === true);
}

/** The same of files, which may hold several. */
function wasFile(parts: Parts): WasThere {
  const was = wasInForce(parts);
  const { memory } = parts.shared.sources;
  return (one) => was(one) || memory?.earlierContents(one.file)?.several !== undefined;
}

/** At a start it is not known what was in force, but which have a last good version. */
async function beyondThoseBefore(
  files: readonly RegistrationEntry[],
  parts: Parts,
  was: WasThere,
): Promise<ReadonlyMap<string, RegistrationFound>> {
  const { platform, shared, tenants } = parts;
  const { config } = platform;
  const { lastGood } = shared.sources;
  const beyond = beyondLimits(files, tenants);
  if (beyond.size === 0) return beyond;
  const isAsideNow = await isAside(parts);
  const crowded = new Set([...beyond.keys()].map((name) => onlyGrant(name, tenants)));
  const there = new Set<string>();
  await mapLimited(files, READ_AT_ONCE, async (one) => {
    const { name } = one;
    const grant = onlyGrant(name, tenants);
    if (grant === undefined || !crowded.has(grant)) return;
    if (was(one)) there.add(name);
    else if (config === undefined || isAsideNow(name)) return;
    else if ((await lastGood?.(config, name, grant.tenant)) !== undefined) there.add(name);
  });
  return beyondLimits(files, tenants, ({ name }) => there.has(name));
}

/**
 * Registrations that are more than their tenant may have, by name: the last in the alphabet of those that were not there
 * before. Their files are not read.
 */
function beyondLimits(
  files: readonly RegistrationEntry[],
  tenants: TenantLookup | undefined,
  was: WasThere = () => false,
): ReadonlyMap<string, RegistrationFound> {
  const counts = new Map<Grant, number>();
  const inOrder = [...files.filter(was), ...files.filter((one) => !was(one))];
  const ofGrants = inOrder.flatMap(({ name, file }) => {
    const grant = onlyGrant(name, tenants);
    return grant === undefined ? [] : [{ name, file, grant }];
  });
  for (const { grant } of ofGrants) counts.set(grant, (counts.get(grant) ?? 0) + 1);
  const taken = new Map<Grant, number>();
  const beyond = new Map<string, RegistrationFound>();
  for (const { name, file, grant } of ofGrants) {
    const place = (taken.get(grant) ?? 0) + 1;
    taken.set(grant, place);
    if (place <= grant.limits.maxRegistrations) continue;
    const all = counts.get(grant) ?? 0;
    const message = `tenant \`${grant.tenant}\` has ${all} registrations, and the limit is ${grant.limits.maxRegistrations}`;
    const missing = { field: 'limits.maxRegistrations', what: `${all} registrations`, value: all } as const;
    beyond.set(name, unread(name, file, message, `Remove this file or another of its. ${cureOf(grant, missing)}`));
  }
  return beyond;
}

/** Of one file: whoever may write it must not fill lists with what it may not have. */
const MAX_REFUSED = 20;

interface RegistrationsFound {
  /** One of each name. */
  readonly registrations: readonly RegistrationEntry[];
  /** Those that were looked into. */
  readonly files: readonly NamedFile[];
  /** Files whose name has a registration of an earlier source. */
  readonly doubles: readonly Double[];
  /** What cannot be one: under a name that is none, so that it sets no other aside. */
  readonly refused: readonly Quarantined[];
}

/**
 * What is in the files, which are in the order of their sources: whatever is in one comes before what is in the next. Those of
 * tenants that have too many are not read.
 */
async function registrationsIn(
  firsts: readonly NamedFile[],
  gathered: Pick<Gathered, 'files' | 'sourceOf'>,
  parts: Parts,
): Promise<RegistrationsFound> {
  const memory = parts.shared.sources.memory;
  const contents = new Map<string, InFile>();
  let looked = 0;
  const lookInto = (some: readonly NamedFile[], beyond: ReadonlyMap<string, RegistrationFound>): Promise<unknown> =>
    mapLimited(some, READ_AT_ONCE, async (one) => {
      const { file, name } = one;
      looked += 1;
      if (looked % FILES_A_TURN === 0) await eventLoopTurn();
      const isBeyond = beyond.get(name);
      if (isBeyond !== undefined) contents.set(file, { alone: { ...one, beyond: isBeyond } });
      else contents.set(file, memory?.contents(file, parts.platform) ?? (await contentsOf(one, parts)));
    });
  const counting: NamedFile[] = [];
  const displaced: NamedFile[] = [];
  const held = new Set<string>();
  for (const ofOne of Map.groupBy(firsts, ({ file }) => gathered.sourceOf.get(file)).values()) {
    // What stands in a file of several of an earlier source displaces them. They may hold other names, and are bounded, too.
    for (const one of ofOne) (held.has(one.name) ? displaced : counting).push(one);
    const beyond = new Map<string, RegistrationFound>();
    for (const some of [counting, displaced]) {
      for (const [name, one] of await beyondThoseBefore(some, parts, wasFile(parts))) beyond.set(name, one);
    }
    await lookInto(ofOne, beyond);
    for (const { file, name: stem } of ofOne) {
      for (const { name } of contents.get(file)?.several?.names ?? [])
        if (whyNotIn(stem, name, parts.tenants) === undefined) held.add(name);
    }
  }
  const doubles: Double[] = [];
  const later = gathered.files.filter((one) => {
    if (!('first' in one)) return false;
    const several = contents.get(one.first)?.several;
    const isDouble = !lacks(several, one.name);
    if (isDouble) doubles.push(doubleOf(one, one.first, several !== undefined));
    return !isDouble;
  });
  await lookInto(later, new Map());
  const files = gathered.files.filter(({ file }) => contents.has(file));
  const byName = new Map<string, RegistrationEntry>();
  const refused: Quarantined[] = [];
  const takeAlone = (entry: RegistrationEntry): void => {
    const first = byName.get(entry.name);
    if (first === undefined) byName.set(entry.name, entry);
    else doubles.push(doubleOf(entry, first.file, first.among !== undefined));
  };
  const takeSeveral = ({ file, name: stem }: NamedFile, several: Several): void => {
    const inFile: Quarantined[] = [];
    const refuse = (key: string, problem: Problem): void => {
      const name = `${stem}.yaml ${key.slice(0, 64)}`.trim();
      inFile.push({ name, file, problems: [problem], claims: undefined });
    };
    for (const { key, problem } of several.wrong) refuse(key, problem);
    if (several.names.length === 0 && several.wrong.length === 0) {
      const [problem = wholeFile(file, 'it holds no registration', 'Write one, or remove the file.')] =
        several.problems;
      refuse('', problem);
    }
    for (const { name, line, column } of several.names) {
      const tell = (message: string, cure: string): void =>
        refuse(name, { file, line, column, path: `registrations.${name}`, message, cure });
      const told = whyNotIn(stem, name, parts.tenants);
      const other = byName.get(name);
      if (told !== undefined) tell(told.message, told.cure);
      else if (other !== undefined) {
        tell(`${basename(other.file)} has a registration of that name as well`, 'Give one of them another name.');
      } else byName.set(name, { name, file, among: { stem, problems: several.problems } });
    }
    refused.push(...inFile.slice(0, MAX_REFUSED));
    const more = inFile.length - MAX_REFUSED;
    if (more <= 0) return;
    const message = `${more} more names in this file cannot be its registrations`;
    const problems = [wholeFile(file, message, 'Correct the others first.')];
    refused.push({ name: `${stem}.yaml`, file, problems, claims: undefined });
  };
  for (const ofOne of Map.groupBy(files, ({ file }) => gathered.sourceOf.get(file)).values()) {
    // First those that have a file of their name.
    for (const { file, name } of ofOne) {
      const { alone = { file, name }, several } = contents.get(file) ?? {};
      if (several === undefined) takeAlone(alone);
    }
    for (const entry of ofOne) {
      const several = contents.get(entry.file)?.several;
      if (several !== undefined) takeSeveral(entry, several);
    }
  }
  const order = new Map(files.map(({ file }, index) => [file, index]));
  const at = ({ file }: NamedFile) => order.get(file) ?? 0;
  for (const one of files) {
    const { isUnread, several } = contents.get(one.file) ?? {};
    if (isUnread !== true && several?.isBroken !== true) continue;
    const later = [...byName.values()].filter(
      (other) =>
        gathered.sourceOf.get(other.file) !== gathered.sourceOf.get(one.file) &&
        at(other) > at(one) &&
        whyNotIn(one.name, other.name, parts.tenants) === undefined,
    );
    if (later.length > 0) refused.push(mayBeIn(one, later));
  }
  const registrations = [...byName.values()].sort(
    (one, other) => at(one) - at(other) || (one.name < other.name ? -1 : 1),
  );
  return { registrations, files, refused, doubles };
}

const MAX_NAMED = 3;

/** A broken file that was never read says not for sure what is in it: what may take the place of its own is told. */
function mayBeIn({ file, name }: NamedFile, later: readonly NamedFile[]): Quarantined {
  const some = later.slice(0, MAX_NAMED).map((one) => `\`${one.name}\` of ${one.file}`);
  const more = later.length - some.length;
  const message = `not all that it holds is known: if these are in it, others are read in their place: ${some.join(', ')}${more > 0 ? `, and ${more} more` : ''}`;
  const problems = [wholeFile(file, message, 'Correct the file: then what it holds comes first.')];
  return { name: `${name}.yaml`, file, problems, claims: undefined };
}

/** It is a file of several, and the registration of its own name is not among them. */
function lacks(several: Several | undefined, name: string): boolean {
  if (several === undefined) return false;
  return !several.names.some((one) => one.name === name) && !several.wrong.some(({ key }) => key === name);
}

/** `alone`: what was read for it at once. */
type InFile = FileContents & { readonly alone?: RegistrationEntry };

async function contentsOf({ name, file }: NamedFile, parts: Parts): Promise<InFile> {
  const { memory } = parts.shared.sources;
  const versions = memory?.versionsOf([file]);
  const read = await parts.files.text(file, parts.tenants?.(name) ?? []);
  const several = read.failed === undefined ? parts.files.several(file, read.text) : undefined;
  const before = memory?.earlierContents(file)?.several ?? (await severalBefore(file, parts));
  if (before !== undefined && (several === undefined || several.isBroken === true)) {
    const { failed } = read;
    const problems =
      failed === undefined ? parts.files.broken(file, read.text) : [wholeFile(file, failed.message, failed.cure)];
    // What cannot be read does not say what is in it: those that were there keep their last versions.
    if (problems.length > 0) {
      const contents = { several: { ...before, wrong: [], problems } };
      if (memory?.earlierContents(file) === undefined && versions !== undefined)
        memory?.putContents(file, contents, { versions, platform: parts.platform });
      return contents;
    }
  }
  const contents: FileContents = {
    ...(several === undefined ? {} : { several }),
    ...(read.failed !== undefined && !read.isAbsent ? { isUnread: true } : {}),
  };
  if (versions !== undefined) memory?.putContents(file, contents, { versions, platform: parts.platform });
  if (several !== undefined || read.failed !== undefined) return contents;
  return { alone: { name, file, text: read.text } };
}

/** As an earlier process has read it. */
async function severalBefore(file: string, { platform, shared }: Parts): Promise<Several | undefined> {
  const names = platform.config && (await shared.sources.severalBefore?.(platform.config))?.get(file);
  return names && { names: names.map((name) => ({ name, line: 0, column: 0 })), wrong: [], problems: [] };
}

/** Whose a registration in a file of several is: the file decides, and its name has to be granted like that of a file. */
function whyNotIn(
  stem: string,
  name: string,
  tenants: TenantLookup | undefined,
): { readonly message: string; readonly cure: string } | undefined {
  const [owner, ...rivals] = tenants?.(stem) ?? [];
  if (tenants === undefined) return undefined;
  // Whoever may write into a file that is nobody's is not the tenant whose name it holds.
  if (owner === undefined) {
    return {
      message: `dispatcher.yaml does not assign this file to a tenant, as it would a registration \`${stem}\``,
      cure: `Rename the file to a name of its tenant; or add \`${stem}\` to the \`registrations\` of a tenant there; ${withOwnName(stem)}.`,
    };
  }
  if (rivals.length > 0) {
    return {
      message: `dispatcher.yaml gives this file to ${rivals.length + 1} tenants, as it would a registration \`${stem}\``,
      cure: `Name \`${stem}\` in the \`registrations\` of one of them.`,
    };
  }
  const owners = tenants(name);
  if (owners.length === 1 && owners[0]?.name === owner.name) return undefined;
  if (owner.grant === undefined && owners.length === 1 && owners[0]?.grant === undefined) return undefined;
  return {
    message: `dispatcher.yaml does not assign a registration \`${name}\` to tenant \`${owner.name}\`, whose file this is`,
    cure: `${addTo(owner, name)}, or take a name that it has.`,
  };
}

function addTo({ name: tenant, registrations }: TenantEntry, name: string): string {
  return registrations.length === 1 && registrations[0] === tenant
    ? `Write \`tenants.${tenant}.registrations: [${tenant}, ${name}]\` there`
    : `Add \`${name}\` to \`tenants.${tenant}.registrations\` there`;
}

/** A list that is begun for it takes the place of the name that the tenant had without one. */
function withOwnName(name: string): string {
  return `where a tenant has no such list yet, its own name goes into it too: \`registrations: [TENANT, ${name}]\``;
}

/** As it was read before, if nothing in it has changed. */
async function remembered(entry: RegistrationEntry, parts: Parts): Promise<RegistrationFound> {
  const { name, file } = entry;
  const { memory } = parts.shared.sources;
  if (memory === undefined) {
    const once = await readContained(entry, parts);
    return (await lastGoodOf(once, parts)) ?? once;
  }
  const known = memory.registration(entry, parts.platform);
  if (known !== undefined) {
    parts.found.files.add(file);
    return { name, file, reading: undefined, besides: [], ...known };
  }
  const withinOf = confinement(name, parts);
  const own = memory.versionsOf([file], withinOf);
  const asWritten = await readContained(entry, parts);
  const read = (await lastGoodOf(asWritten, parts)) ?? asWritten;
  const { claims, instead, notes, problems } = read;
  const registration = unchanged(read.registration, memory.earlier(name));
  const files = [...(asWritten.reading?.files ?? []), ...(read.reading?.files ?? []), ...(asWritten.bases ?? [])];
  const versions = new Map([...own, ...memory.versionsOf(files, withinOf)]);
  const value = { registration, claims, problems, notes, instead };
  memory.putRegistration(name, value, { versions, platform: parts.platform });
  return { ...read, registration };
}

/** What a registration's file, and those that it refers to, may be links to: of the platform's own to anything. */
function confinement(name: string, { shared, tenants }: Parts): (path: string) => Within | null {
  if (isOurs(tenants?.(name))) return () => null;
  const { dispatcherFile, registrationsFolder } = shared.sources;
  const secrets = join(dirname(resolve(dispatcherFile)), 'secrets');
  return (path) => {
    const [alias = ''] = relative(secrets, path).split(sep);
    // What it extends may be the platform's.
    if (alias === '..' && isOurs(tenants?.(basename(path, '.yaml')))) return null;
    return alias === '..' ? { around: registrationsFolder, name: '' } : { around: secrets, name: alias };
  };
}

/** Undefined: there are no tenants. */
function isOurs(owners: readonly TenantEntry[] | undefined): boolean {
  return owners === undefined || (owners.length > 0 && owners.every(({ grant }) => grant === undefined));
}

/**
 * The registration by its last version without problems; undefined if it has none now, or none is known. What dispatcher.yaml
 * grants is that of today: under another one than before, the version is read again.
 */
async function lastGoodOf(found: RegistrationFound, parts: Parts): Promise<RegistrationFound | undefined> {
  const { name, file, problems } = found;
  if (problems.length === 0 || found.isRefused === true) return undefined;
  const { lastGood, memory } = parts.shared.sources;
  const inForce = memory?.inForce(name, parts.platform);
  const common = { name, file, problems: [], notes: [], besides: [], instead: problems };
  if (inForce !== undefined) return { ...common, ...inForce, reading: undefined };
  const { config } = parts.platform;
  const text =
    config === undefined ? undefined : await lastGood?.(config, name, onlyGrant(name, parts.tenants)?.tenant);
  if (text === undefined || text === found.text) return undefined;
  const again = await readContained({ name, file }, parts, text);
  return again.registration === undefined || again.problems.length > 0
    ? undefined
    : { ...common, registration: again.registration, claims: again.claims, reading: again.reading };
}

/** The object that it was before, if it says the same: nothing has to be done for it. */
function unchanged(now: Registration | undefined, before: Registration | undefined): Registration | undefined {
  if (now === undefined || before === undefined) return now;
  return fingerprint(now, 'with places') === fingerprint(before, 'with places') ? before : now;
}

/** A failure while reading one file must not affect the others. */
async function readContained(entry: RegistrationEntry, parts: Parts, text?: string): Promise<RegistrationFound> {
  const { name, file } = entry;
  try {
    return await readOne(entry, parts, text);
  } catch (error) {
    // Not its message, which may repeat a secret.
    const kind = error instanceof Error ? error.name : typeof error;
    const message = `a bug in the program (${kind}) prevented reading it`;
    return unread(name, file, message, 'Report it with the file, secrets left out.');
  }
}

function unread(name: string, file: string, message: string, cure: string): RegistrationFound {
  const problems = [wholeFile(file, message, cure)];
  return {
    ...{ name, file, problems, registration: undefined, claims: undefined, reading: undefined },
    ...{ notes: [], besides: [], instead: [] },
  };
}

/** `earlier`: another text than that of the file. */
async function readOne(entry: RegistrationEntry, parts: Parts, earlier?: string): Promise<RegistrationFound> {
  const { name, file, among } = entry;
  const { platform, tenants, shared, found, known, files } = parts;
  const { sources, references, secrets, keys } = shared;
  const owners = tenants?.(name) ?? [];
  const written = await asWrittenIn(entry, parts, earlier);
  if ('failed' in written) {
    const { message, cure } = written.failed;
    return { ...unread(name, file, message, cure), ...(isOwned(owners, tenants) ? {} : { isRefused: true as const }) };
  }
  found.files.add(file);
  const [tenant, rival] = owners;
  if (tenants !== undefined && tenant === undefined) {
    const cure = `Rename it to what a tenant was granted there, or add \`tenants.${name}\`, or \`${name}\` to the \`registrations\` of a tenant (one with \`trusted: true\` for a registration of the platform itself); ${withOwnName(name)}.`;
    const message = 'dispatcher.yaml does not assign this registration to a tenant';
    return { ...unread(name, file, message, cure), isRefused: true };
  }
  if (tenant !== undefined && rival !== undefined) {
    const message = `dispatcher.yaml gives this registration to two tenants, \`${tenant.name}\` and \`${rival.name}\``;
    const cure = `Name \`${name}\` in the \`registrations\` of one of them.`;
    return { ...unread(name, file, message, cure), isRefused: true };
  }
  if (among !== undefined && earlier === undefined && among.problems.length > 0) {
    return { ...unread(name, file, '', ''), problems: among.problems, entry };
  }
  const bases = new Set<string>();
  const own = written.yaml;
  const yaml = await extendedYaml(own, written.bytes, files.basesFor(tenant, file, bases));
  const reading = await Reading.start(yaml, reachOf(name, platform, tenant), references, secrets, REGISTRATION_BOUNDS);
  const context = { name, platform, grant: tenant?.grant, provider: sources.provider, keys };
  const { registration, claims } = await readRegistration(reading, context);
  const { text } = written;
  if (text !== undefined && reading.problemCount === 0 && own === yaml) known?.keep(text, own.value);
  const { problems, notes } = reading;
  // Of several, or with bases: a text that says it alone, so that the last good version needs no other file.
  const alone = text !== undefined && own === yaml ? text : problems.length > 0 ? undefined : textOf(yaml.value);
  reading.release();
  return {
    ...{ name, file, registration, claims, reading, problems, notes, besides: [], instead: [] },
    ...(alone === undefined ? {} : { text: alone }),
    ...{ bases: [...bases], entry: withoutText(entry) },
  };
}

/** Undefined: it is too long to be kept. A hundred aliases in a file can stand for a hundred times its size. */
function textOf(value: unknown): string | undefined {
  return sizeWithin(value, 2 * REGISTRATION_BOUNDS.bytes) >= 0 ? JSON.stringify(value) : undefined;
}

/** What is left of so many characters; less than 0: it has more. */
function sizeWithin(value: unknown, most: number): number {
  let left = most - (typeof value === 'string' ? value.length : 1);
  if (typeof value !== 'object' || value === null) return left;
  for (const [key, item] of Object.entries(value)) {
    if (left < 0) break;
    left = sizeWithin(item, left - key.length);
  }
  return left;
}

function withoutText({ text: _text, ...entry }: RegistrationEntry): RegistrationEntry {
  return entry;
}

type Written =
  | {
      readonly yaml: YamlFile;
      readonly bytes: number /** If it is that of this registration alone. */;
      readonly text: string | undefined;
    }
  | { readonly failed: { readonly message: string; readonly cure: string } };

async function asWrittenIn(entry: RegistrationEntry, { files, tenants }: Parts, earlier?: string): Promise<Written> {
  const { name, file, among } = entry;
  if (among !== undefined && earlier === undefined) {
    const whole = await files.whole(file, tenants?.(among.stem) ?? []);
    if ('failed' in whole && whole.failed !== undefined) return { failed: whole.failed };
    if (!('value' in whole)) return { failed: { message: 'it is not a file of several', cure: 'Look again.' } };
    const yaml = memberYaml(whole, name);
    const most = REGISTRATION_BOUNDS.bytes;
    return { yaml, bytes: most - Math.max(-1, sizeWithin(yaml.value, most)), text: undefined };
  }
  const read = earlier ?? entry.text;
  const found = read === undefined ? await files.text(file, tenants?.(name) ?? []) : { text: read };
  if ('failed' in found && found.failed !== undefined) return { failed: found.failed };
  const text = found.text ?? '';
  return { yaml: files.yaml(file, text), bytes: Buffer.byteLength(text), text };
}

function isOwned(owners: readonly TenantEntry[], tenants: TenantLookup | undefined): boolean {
  return tenants === undefined || owners.length === 1;
}

function reachOf(registration: string, platform: Platform, tenant: TenantEntry | undefined): Reach {
  const sealed = sealedReach(registration, platform);
  if (tenant?.grant === undefined) return { kind: 'platform', sealed };
  const aliases = (platform.tenants ?? []).map(({ name }) => name);
  return { kind: 'tenant', alias: tenant.name, aliases, grant: tenant.grant, sealed };
}

/** What all files of one configuration have in common. */
interface Shared {
  readonly sources: ConfigurationSources;
  readonly references: References;
  readonly secrets: 'required' | 'optional';
  readonly keys: PrivateKeys;
}

function sharedBy(sources: ConfigurationSources): Shared {
  const { environment, files, dispatcherFile, secretValues, secrets = 'required' } = sources;
  const secretsUntilMs = secretValues?.until(sources.secretWaitMs ?? START_WAIT_MS);
  const folder = dirname(resolve(dispatcherFile));
  const references = new References({ environment, files, secretValues, secretsUntilMs, folder });
  return { sources, references, secrets, keys: new PrivateKeys() };
}
