/** Which files a command means by the folder it was given. */
import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

export interface ConfigurationFiles {
  readonly dispatcherFile: string;
  readonly registrationsFolder: string;
}

/**
 * A folder with dispatcher.yaml or registrations/ in it is the whole configuration's. Any other is taken as the
 * registrations themselves: dispatcher.yaml then stands beside it, or, in a tenants' repository, nowhere.
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
