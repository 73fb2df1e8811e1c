/**
 * A dispatcher.yaml, or platform.json, that is proposed and not in force: read as text alone. No package that it names is
 * imported, no file and no variable that it refers to is read, no link is followed: it may be a stranger's.
 */
import { dirname, relative, resolve } from 'node:path';
import { loadProvider } from '../../../providers/index.ts';
import { PackageProblem } from '../../../providers/package.ts';
import { type Files, systemFiles } from '../../config/files.ts';
import { type ConfigurationSources, type Inspection, inspectConfiguration, wholeFile } from '../../config/load.ts';
import type { ProviderLookup } from '../../config/shared-sections.ts';
import { formatProblem, type Problem } from '../../model/problem.ts';
import { type GrantChange, grantChanges } from './grant-changes.ts';

export interface Proposal {
  readonly file: string;
  /** False: it has problems, and what it would change is not known. */
  readonly isComparable: boolean;
  /** Whether there are tenants at all, where that would be otherwise. */
  readonly tenancy?: 'begins' | 'ends';
  readonly grants: readonly GrantChange[];
  readonly refused: readonly RefusedRegistration[];
  /** Refused as it is, admitted then. */
  readonly admitted: readonly AdmittedRegistration[];
}

export interface RefusedRegistration {
  readonly registration: string;
  readonly tenant: string | undefined;
  readonly reasons: readonly string[];
}

export type AdmittedRegistration = Omit<RefusedRegistration, 'reasons'>;

/** For each registration; beyond it they are not listed. */
const MAX_REASONS = 5;

export interface PlatformText {
  readonly file: string;
  readonly kind: 'dispatcher.yaml' | 'platform.json';
}

/** The registrations as this file would judge them. */
export async function inspectAsText(platform: PlatformText, registrationsFolder: string): Promise<Inspection> {
  const sources: ConfigurationSources = {
    dispatcherFile: platform.file,
    registrationsFolder,
    exportedPlatform: platform.kind === 'platform.json' ? platform.file : undefined,
    environment: {},
    files: confinedTo(platform.file, registrationsFolder),
    provider: withoutPackages,
    secrets: 'optional',
  };
  const inspection = await inspectConfiguration(sources, 'required');
  // A package that is not imported is no mistake of the file.
  const closed = new Set(inspection.platform.closedKinds.map(formatProblem));
  return {
    ...inspection,
    problems: inspection.problems.filter((problem) => !closed.has(formatProblem(problem))),
    notes: inspection.notes.filter(({ message }) => !UNSEEN.test(message)),
  };
}

/** Of the variables and files that it refers to. None is looked at, so that none can be said to be missing. */
const UNSEEN = /^the variable \S+ is not set$|: there is no such file$/;

export function problemsOf({ platformProblems }: Inspection, { file }: PlatformText): readonly Problem[] {
  return platformProblems.filter((problem) => problem.file === file);
}

export function proposalOf(
  platform: PlatformText,
  proposed: Inspection,
  {
    former,
    present,
    shown,
  }: {
    readonly former: Inspection['platform'];
    /** The same registrations by the platform in force; undefined: there is none to compare with. */
    readonly present: Inspection | undefined;
    readonly shown: (problem: Problem) => Problem;
  },
): Proposal {
  const { file } = shown(wholeFile(platform.file, '', ''));
  const isComparable = problemsOf(proposed, platform).length === 0;
  if (!isComparable) return { file, isComparable, grants: [], refused: [], admitted: [] };
  const { tenants } = proposed.platform;
  const had = (former.tenants ?? []).length > 0;
  const has = (tenants ?? []).length > 0;
  const tenancy = had === has ? {} : ({ tenancy: has ? 'begins' : 'ends' } as const);
  const then = setAsideIn(proposed);
  const now = present === undefined ? undefined : setAsideIn(present);
  const tenantOf = (one: Inspection | undefined, name: string): string | undefined =>
    one?.registrations.find((registration) => registration.name === name)?.grant?.tenant;
  return {
    ...{ file, isComparable, ...tenancy, grants: grantChanges(former.tenants, tenants) },
    refused: [...then].flatMap(([registration, problems]) =>
      now === undefined || now.has(registration)
        ? []
        : [
            {
              ...{ registration, tenant: tenantOf(present, registration) },
              reasons: problems.slice(0, MAX_REASONS).map((problem) => formatProblem(shown(problem))),
            },
          ],
    ),
    admitted: [...(now?.keys() ?? [])].flatMap((registration) =>
      then.has(registration) ? [] : [{ registration, tenant: tenantOf(proposed, registration) }],
    ),
  };
}

function setAsideIn({ quarantined }: Inspection): ReadonlyMap<string, readonly Problem[]> {
  return new Map(quarantined.map(({ name, problems }) => [name, problems]));
}

/** That file and those of the folder, and no links out of where they are; all else is as if it were not there. */
function confinedTo(file: string, folder: string): Files {
  return {
    read: (path, { mostBytes }) => {
      if (resolve(path) === resolve(file))
        return systemFiles.read(path, { mostBytes, within: { around: dirname(resolve(file)), name: '' } });
      const inside = relative(resolve(folder), resolve(path));
      if (inside !== '' && !inside.startsWith('..'))
        return systemFiles.read(path, { mostBytes, within: { around: resolve(folder), name: '' } });
      return Promise.reject(Object.assign(new Error('not read'), { code: 'ENOENT' }));
    },
    list: (path) => systemFiles.list(path),
  };
}

const withoutPackages: ProviderLookup = async (kind, from) => {
  if (from === undefined) return await loadProvider(kind);
  throw new PackageProblem('its package is with the platform', 'It is imported where the dispatcher runs.');
};
