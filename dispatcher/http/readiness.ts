/** What `/readyz` reports: whether jobs are served, and what is wrong all the same. */
import type { Clock } from '../../time/clock.ts';
import { type AddressStatus, isAmiss } from '../callbacks/own-address.ts';
import { absentAmong } from '../config/absent.ts';
import { ledgerFailure } from '../failures/failure.ts';
import { type Ledger, LedgerError, type UnreadableRow } from '../ledger/ledger.ts';
import type { Engine } from '../lifecycle/engine.ts';
import { closureWords } from '../lifecycle/ledger-gate.ts';
import { type Pause, pauseWords } from '../lifecycle/pauses.ts';
import { NOT_LISTED } from '../lifecycle/sweep-schedule.ts';
import type { Configuration } from '../model/registration.ts';
import {
  absentLines,
  breakerProblems,
  closedBreakers,
  keptLines,
  platformLines,
  problemLines,
  type RegistrationProblem,
  setAsideLines,
  unreadableBreakerProblems,
} from '../observability/problems.ts';
import type { Readiness } from './admin-app.ts';

export interface ReadinessOptions {
  readonly configuration: Pick<Configuration, 'registrations' | 'quarantined' | 'platformProblems' | 'kept'>;
  /** Registrations that are not in force any more, and whose runners are served to their end. */
  readonly leaving?: readonly string[];
  readonly ledger: Pick<Ledger, 'putCursor' | 'liveCounts' | 'breakers'>;
  readonly clock: Pick<Clock, 'now'>;
  readonly engine: Pick<Engine, 'pauses' | 'unlisted'>;
  /** Why requests are turned away at present, and how many were. */
  readonly shedding: () => readonly { readonly name: string; readonly count: number }[];
  readonly problems: (registration: string) => readonly RegistrationProblem[];
  /** Of the shared endpoint. */
  readonly webhookProblems?: readonly RegistrationProblem[];
  readonly publicAddress?: AddressStatus | undefined;
}

/** There may be as many as registrations. */
const MAX_PAUSE_LINES = 20;
/** Without the address, and what answered there: anyone may read it. */
const ADDRESS_LINE =
  'listen.public.url does not lead to this dispatcher: call-backs of runners do not arrive. See shr registrations';

/**
 * Writes to the ledger: a dispatcher that cannot record is not ready. A ledger that fails is a reason, not an error: what
 * else is wrong is told all the same.
 */
export async function readinessOf(options: ReadinessOptions): Promise<Readiness> {
  const { configuration, clock, engine, publicAddress, shedding } = options;
  const { registrations, quarantined } = configuration;
  const unlisted = [...engine.unlisted()]
    .filter(([, failures]) => failures.includes(NOT_LISTED))
    .map(([registration]) => `${registration}: what runs on its backends has not been listed yet`);
  const recorded = await recordedOf(options).catch((error: unknown) => {
    if (error instanceof LedgerError) return error;
    throw error;
  });
  const reasons =
    recorded instanceof LedgerError
      ? [closureWords({ failure: ledgerFailure(recorded, clock.now()) }), ...unlisted]
      : unlisted;
  return {
    ready: reasons.length === 0,
    reasons,
    problems: [
      // Does not affect readiness: otherwise an unauthenticated sender could take the service down.
      ...shedding().map(({ name, count }) => `requests are turned away: ${name} (${count} so far)`),
      ...(publicAddress !== undefined && isAmiss(publicAddress) ? [ADDRESS_LINE] : []),
      ...platformLines(configuration.platformProblems ?? []),
      ...setAsideLines(quarantined),
      ...keptLines(configuration.kept ?? []),
    ],
    details: [
      ...problemLines([{ name: 'the platform' }], () => options.webhookProblems ?? []),
      ...(recorded instanceof LedgerError
        ? // Already the reason: not once more for each registration.
          problemLines(registrations, (name) => options.problems(name).filter(({ kind }) => kind !== 'ledger'))
        : recorded),
    ],
    notes: pauseLines(engine.pauses()),
  };
}

/** What was asked for is no problem; one that was forgotten keeps jobs waiting. The pause of all comes first. */
function pauseLines(pauses: readonly Pause[]): readonly string[] {
  const allFirst = [...pauses].sort((a, b) => Number(b.registration === null) - Number(a.registration === null));
  const lines = allFirst
    .slice(0, MAX_PAUSE_LINES)
    .map((pause) => (pause.registration === null ? pauseWords(pause) : `${pause.registration}: ${pauseWords(pause)}`));
  const more = pauses.length - lines.length;
  return more === 0 ? lines : [...lines, `${more} more pauses: see shr pause`];
}

/** What is wrong with registrations, with what only the ledger knows. Rejects with a LedgerError. */
async function recordedOf({
  configuration,
  ledger,
  clock,
  leaving,
  problems,
}: ReadinessOptions): Promise<readonly string[]> {
  const { registrations, quarantined } = configuration;
  await ledger.putCursor('ready', 'asked', clock.now());
  const absent = absentAmong(await ledger.liveCounts(), registrations, quarantined, leaving);
  const unreadable: UnreadableRow[] = [];
  const closed = closedBreakers(await ledger.breakers((row) => void unreadable.push(row)), clock.now());
  return [
    ...absentLines(absent),
    ...problemLines(registrations, (name) => [
      ...problems(name),
      ...breakerProblems(closed.get(name) ?? []),
      ...unreadableBreakerProblems(name, unreadable),
    ]),
  ];
}
