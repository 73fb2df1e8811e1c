/** What a start says about the configuration that it was given. */
import type { Log } from '../log.ts';
import { formatProblem } from '../model/problem.ts';
import type { Configuration, KeptRegistration } from '../model/registration.ts';

/** Of one registration: `shr validate` shows the rest. */
const MAX_TOLD = 10;

/** One line for each registration that is not served, and for each conflict between two that are. */
export function logSetAside({ quarantined, conflicts }: Configuration, log: Pick<Log, 'error'>): void {
  for (const { name, file, problems } of quarantined) {
    const told = problems.slice(0, MAX_TOLD).map(formatProblem);
    log.error('registration-set-aside', { registration: name, file, problems: told, of: problems.length });
  }
  for (const { registrations, problem } of conflicts) {
    log.error('registrations-conflict', { registrations, problem: formatProblem(problem) });
  }
}

/** One line for each registration whose last version without problems is in force instead of its file. */
export function logKept(kept: readonly KeptRegistration[], log: Pick<Log, 'error'>): void {
  for (const { name, file, problems } of kept) {
    const told = problems.slice(0, MAX_TOLD).map(formatProblem);
    log.error('registration-kept', { registration: name, file, problems: told, of: problems.length });
  }
}
