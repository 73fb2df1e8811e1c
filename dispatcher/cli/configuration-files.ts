/** Resolves the folder given to a command to configuration files. */
import { stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

const DISPATCHER = 'dispatcher.yaml';
const EXPORT = 'platform.json';

export interface ConfigurationFiles {
  readonly dispatcherFile: string;
  readonly registrationsFolder: string;
}

/**
 * A folder that contains dispatcher.yaml or registrations/ is a whole configuration. Any other is taken as the
 * registrations folder itself: dispatcher.yaml is then next to it or, in a tenants' repository, absent.
 */
export async function configurationFiles(folder: string, config: string | undefined): Promise<ConfigurationFiles> {
  const whole = (await exists(join(folder, DISPATCHER))) || (await exists(join(folder, 'registrations')));
  return {
    dispatcherFile: config ?? join(whole ? folder : dirname(folder), DISPATCHER),
    registrationsFolder: whole ? join(folder, 'registrations') : folder,
  };
}

/** A file that was named by an option. */
interface Named {
  readonly config: string | undefined;
  readonly platform: string | undefined;
}

/**
 * The platform.json to check registrations with: the one that was named, or, where there is no dispatcher.yaml, one in its
 * place. Undefined: there is none.
 */
export async function exportedPlatform(
  { dispatcherFile }: ConfigurationFiles,
  named: Named,
): Promise<string | undefined> {
  if (named.platform !== undefined || named.config !== undefined) return named.platform;
  const usual = join(dirname(dispatcherFile), EXPORT);
  return !(await exists(dispatcherFile)) && (await exists(usual)) ? usual : undefined;
}

/**
 * What is in force beside the registrations, where another file is proposed in its place: dispatcher.yaml, or else a
 * platform.json. Undefined where the proposed one is one of these two: it may be a stranger's, and so may the other.
 */
export async function inForceBeside(
  { dispatcherFile }: ConfigurationFiles,
  proposed: string,
): Promise<{ readonly config: string } | { readonly platform: string } | undefined> {
  const usual = join(dirname(dispatcherFile), EXPORT);
  if (proposed === dispatcherFile || proposed === usual) return undefined;
  if (await exists(dispatcherFile)) return { config: dispatcherFile };
  return (await exists(usual)) ? { platform: usual } : undefined;
}

/** A platform.json that nothing is checked with, as a dispatcher.yaml is beside it and neither was named. */
export async function unusedExport({ dispatcherFile }: ConfigurationFiles, named: Named): Promise<string | undefined> {
  if (named.platform !== undefined || named.config !== undefined) return undefined;
  const usual = join(dirname(dispatcherFile), EXPORT);
  return (await exists(dispatcherFile)) && (await exists(usual)) ? usual : undefined;
}

/** The platform.json whose place a new dispatcher.yaml in this folder would take: it is a tenants' repository. */
export async function replacedExport(folder: string): Promise<string | undefined> {
  // Registrations are also checked where their folder is named.
  for (const root of basename(folder) === 'registrations' ? [folder, dirname(folder)] : [folder]) {
    const usual = join(root, EXPORT);
    if (!(await exists(join(root, DISPATCHER))) && (await exists(usual))) return usual;
  }
  return undefined;
}

export function hasDispatcherFile(folder: string): Promise<boolean> {
  return exists(join(folder, DISPATCHER));
}

export function hasExport(folder: string): Promise<boolean> {
  return exists(join(folder, EXPORT));
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
}
