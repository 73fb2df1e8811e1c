/** `shr resume`: ends a pause. */
import type { Command } from 'commander';
import { type Clock, systemClock } from '../../time/clock.ts';
import { createResume } from './pause.ts';
import type { Terminal } from './terminal.ts';

export function createCommand(terminal: Terminal, clock: Clock = systemClock): Command {
  return createResume(terminal, clock);
}
