/** What `/readyz` reports: whether jobs are served, and what is wrong all the same. */
import type { Clock } from '../../time/clock.ts';
import { absentAmong } from '../config/absent.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Engine } from '../lifecycle/engine.ts';
import { NOT_LISTED } from '../lifecycle/sweep-schedule.ts';
import type { Configuration } from '../model/registration.ts';
import { absentLines, problemLines, type RegistrationProblem, setAsideLines } from '../observability/problems.ts';
import type { Readiness } from './admin-app.ts';

export interface ReadinessOptions {
  readonly configuration: Pick<Configuration, 'registrations' | 'quarantined'>;
  readonly ledger: Pick<Ledger, 'putCursor' | 'liveCounts'>;
  readonly clock: Pick<Clock, 'now'>;
  readonly engine: Pick<Engine, 'unlisted'>;
  /** Why requests are turned away at present, and how many were. */
  readonly shedding: () => readonly { readonly name: string; readonly count: number }[];
  readonly problems: (registration: string) => readonly RegistrationProblem[];
}

/** Writes to the ledger, and rejects if that fails: a dispatcher that cannot record is not ready. */
export async function readinessOf(options: ReadinessOptions): Promise<Readiness> {
  const { configuration, ledger, clock, engine, shedding, problems } = options;
  const { registrations, quarantined } = configuration;
  const reasons = [...engine.unlisted()]
    .filter(([, failures]) => failures.includes(NOT_LISTED))
    .map(([registration]) => `${registration}: what runs on its backends has not been listed yet`);
  await ledger.putCursor('ready', 'asked', clock.now());
  const absent = absentAmong(await ledger.liveCounts(), registrations, quarantined);
  return {
    ready: reasons.length === 0,
    reasons,
    problems: [
      // Does not affect readiness: otherwise an unauthenticated sender could take the service down.
      ...shedding().map(({ name, count }) => `requests are turned away: ${name} (${count} so far)`),
      ...setAsideLines(quarantined),
    ],
    details: [...absentLines(absent), ...problemLines(registrations, problems)],
  };
}
