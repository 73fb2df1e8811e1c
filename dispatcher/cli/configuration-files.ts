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

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
}
