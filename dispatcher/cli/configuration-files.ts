/** Resolves the folder given to a command to configuration files. */
import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

export interface ConfigurationFiles {
  readonly dispatcherFile: string;
  readonly registrationsFolder: string;
}

/**
 * A folder that contains dispatcher.yaml or registrations/ is a whole configuration. Any other is taken as the
 * registrations folder itself: dispatcher.yaml is then next to it or, in a tenants' repository, absent.
 */
export async function configurationFiles(folder: string, config: string | undefined): Promise<ConfigurationFiles> {
  const whole = (await exists(join(folder, 'dispatcher.yaml'))) || (await exists(join(folder, 'registrations')));
  return {
    dispatcherFile: config ?? join(whole ? folder : dirname(folder), 'dispatcher.yaml'),
    registrationsFolder: whole ? join(folder, 'registrations') : folder,
  };
}

/**
 * The platform.json to check registrations with: the one that was named, or, where there is no dispatcher.yaml, one in its
 * place. Undefined: there is none.
 */
export async function exportedPlatform(
  { dispatcherFile }: ConfigurationFiles,
  named: { readonly config: string | undefined; readonly platform: string | undefined },
): Promise<string | undefined> {
  if (named.platform !== undefined || named.config !== undefined) return named.platform;
  const usual = join(dirname(dispatcherFile), 'platform.json');
  return !(await exists(dispatcherFile)) && (await exists(usual)) ? usual : undefined;
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
}
