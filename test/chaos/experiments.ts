import type { Experiments } from './arguments.ts';
import { clock } from './clock.ts';
import { credential } from './credential.ts';
import { disk } from './disk.ts';
import { gap } from './gap.ts';
import { kill } from './kill.ts';
import { registrations } from './registrations.ts';

/** In the order in which they run. */
export const experiments: Experiments = { registrations, credential, clock, disk, gap, kill };
