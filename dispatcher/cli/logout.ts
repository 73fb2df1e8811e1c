/** `shr logout`: forgets what `shr login` kept. */

import { createLogout } from './login.ts';
import type { CommandModule } from './terminal.ts';

export const createCommand: CommandModule['createCommand'] = (terminal) => createLogout(terminal);
