/**
 * Everything that is wrong with a registration, in one place and with names: for the admin API, the command line, the
 * metrics and the readiness. What was mended is gone from it.
 */
import { type AbsentRegistration, absenceWords } from '../config/absent.ts';
import type { KeptValue } from '../config/secret-values.ts';
import { type Failure, failureWords } from '../failures/failure.ts';
import { problemLine } from '../failures/problem-line.ts';
import { scrub } from '../failures/scrub.ts';
import { type ClockSkew, skewInWords } from '../github/github-time.ts';
import type { PollProblem } from '../intake/poller.ts';
import type { RedeliveryStatus } from '../intake/redelivery/holders.ts';
import type { Breaker, UnreadableRow } from '../ledger/ledger.ts';
import { stoppedWords } from '../lifecycle/canaries.ts';
import type { CanaryState } from '../lifecycle/canary-rules.ts';
import { closureWords, type LedgerClosure } from '../lifecycle/ledger-gate.ts';
import { type OtherDispatcher, otherDispatcherWords } from '../lifecycle/other-dispatchers.ts';
import type { Rest } from '../lifecycle/resting.ts';
import { type SilentImage, silenceWords } from '../lifecycle/silent-images.ts';
import type { SweepTrouble } from '../lifecycle/sweep-troubles.ts';
import { formatProblem, type Problem } from '../model/problem.ts';
import { type OldVersion, oldVersionWords } from '../versions/runner-versions.ts';

/**
 * - `configuration`: another registration has the same right to some of its jobs, or the defaults of its organization
 *   cannot be read. One whose file is wrong is set aside.
 * - `webhook`: deliveries to its endpoint have a wrong signature, or none; anyone can send such.
 * - `poll`: GitHub does not tell all of its open jobs.
 * - `sweep`: what exists at GitHub or at a backend could not be listed, or what is left of a runner there not be removed.
 * - `work`: a job or a runner that the dispatcher fails on, and leaves alone for a while.
 * - `backend`: a backend, or an image and shape on it, is left alone for now.
 * - `dispatcher`: another one works under our id.
 * - `ledger`: nothing can be written down, and nothing is done: the same of all registrations.
 * - `runner`: its runners have a version that GitHub will refuse, or never call back.
 * - `canary`: its candidate image is stopped.
 * - `clock`: this machine's clock and GitHub's differ.
 */
export const problemKinds = [
  'configuration',
  'webhook',
  'poll',
  'sweep',
  'work',
  'backend',
  'dispatcher',
  'ledger',
  'runner',
  'canary',
  'clock',
] as const;
export type ProblemKind = (typeof problemKinds)[number];

export interface RegistrationProblem {
  readonly kind: ProblemKind;
  /** A repository, an owner, a scope, a backend, an API; null where it is about the whole registration. */
  readonly about: string | null;
  readonly message: string;
  readonly sinceMs: number | null;
  /** What the message says, where it repeats a service: some of that is not for everyone. */
  readonly failure?: Failure;
}

/** Worth knowing, and nothing that keeps jobs waiting: not a problem, and no reason for an alarm. */
export interface RegistrationNote {
  /**
   * - `secret`: its store is away, and the value from before is in force.
   * - `redelivery`: deliveries that it misses cannot be found at GitHub, or not be asked for again.
   */
  readonly kind: 'secret' | 'redelivery';
  /** The secret; `webhook`. */
  readonly about: string;
  readonly message: string;
  readonly sinceMs: number;
}

export function secretNotes(kept: readonly KeptValue[]): readonly RegistrationNote[] {
  return kept.slice(0, MAX_NOTES).map(({ cure, reason, secret, sinceMs }) => ({
    ...{ kind: 'secret', about: secret, sinceMs },
    message: `its store is away, and its value from before stays in force: ${reason}. ${cure} Keep the former value valid, and do not restart the dispatcher until then: a start needs the store`,
  }));
}

/** Undefined: there is no webhook, or nothing is known yet. */
export function redeliveryNotes(status: RedeliveryStatus | undefined): readonly RegistrationNote[] {
  if (status === undefined || status.state === 'watched') return [];
  const { cure, message, sinceMs } = status;
  const why = `missed deliveries are not asked for again: ${message}`;
  const words = scrub(cure === undefined ? why : `${why} (${cure})`, MAX_NOTE_CHARACTERS);
  return [{ kind: 'redelivery', about: 'webhook', message: words, sinceMs }];
}

const MAX_NOTES = 20;
const MAX_NOTE_CHARACTERS = 600;

export interface ProblemSources {
  /** Of one that is served all the same, in words with their place. */
  readonly configuration: readonly string[];
  readonly webhook?: readonly RegistrationProblem[];
  readonly poll: readonly PollProblem[];
  readonly sweep: readonly SweepTrouble[];
  readonly resting: readonly Rest[];
  readonly skew: ClockSkew | undefined;
  readonly others: readonly OtherDispatcher[];
  readonly oldVersion?: OldVersion | undefined;
  readonly organization?: { readonly message: string; readonly sinceMs: number } | undefined;
  readonly ledger?: LedgerClosure | undefined;
  readonly silent?: readonly SilentImage[];
  /** Of the registration with this name. */
  readonly canary?: { readonly registration: string; readonly state: CanaryState | undefined };
  /** Where runners are told to call. */
  readonly callbackUrl?: string;
}

/** Without what only the ledger knows: see `breakerProblems`. */
export function problemsOf({
  configuration,
  webhook = [],
  poll,
  sweep,
  resting,
  skew,
  others,
  ledger,
  organization,
  oldVersion,
  silent = [],
  canary,
  callbackUrl = '',
}: ProblemSources): readonly RegistrationProblem[] {
  return [
    ...(ledger === undefined
      ? []
      : [{ kind: 'ledger' as const, about: null, message: closureWords(ledger), sinceMs: ledger.sinceMs }]),
    ...others.map((other) => ({
      kind: 'dispatcher' as const,
      about: other.backend,
      message: otherDispatcherWords(other),
      sinceMs: other.createdAtMs,
    })),
    ...configuration.map((message) => ({ kind: 'configuration' as const, about: null, message, sinceMs: null })),
    ...(organization === undefined ? [] : [{ kind: 'configuration' as const, about: null, ...organization }]),
    ...webhook,
    ...poll.map(({ about, message, sinceMs }) => ({ kind: 'poll' as const, about, message, sinceMs })),
    ...sweep.map(({ about, failure, sinceMs }) => ({
      kind: 'sweep' as const,
      about,
      message: failureWords(failure),
      sinceMs,
      failure,
    })),
    ...resting.map(({ about, failure, sinceMs }) => ({
      kind: 'work' as const,
      about,
      message: failureWords(failure),
      sinceMs,
      failure,
    })),
    ...(oldVersion === undefined
      ? []
      : [
          {
            kind: 'runner' as const,
            about: oldVersion.version,
            message: oldVersionWords(oldVersion),
            sinceMs: oldVersion.sinceMs,
          },
        ]),
    ...silent.map((image) => ({
      kind: 'runner' as const,
      about: image.image,
      message: silenceWords(image, callbackUrl),
      sinceMs: image.sinceMs,
    })),
    ...(canary === undefined ? [] : canaryProblems(canary.registration, canary.state)),
    ...(skew === undefined
      ? []
      : [{ kind: 'clock' as const, about: skew.api, message: skewInWords(skew.aheadMs), sinceMs: skew.sinceMs }]),
  ];
}

function canaryProblems(registration: string, state: CanaryState | undefined): readonly RegistrationProblem[] {
  if (state === undefined || state.stopped === null) return [];
  const message = stoppedWords(registration, state);
  return [{ kind: 'canary', about: state.image, message, sinceMs: state.stopped.atMs }];
}

/** By registration: the backends that are left alone at `nowMs`. */
export function closedBreakers(breakers: readonly Breaker[], nowMs: number): ReadonlyMap<string, readonly Breaker[]> {
  const closed = breakers.filter(({ closedUntilMs }) => closedUntilMs > nowMs);
  return Map.groupBy(closed, ({ registration }) => registration);
}

/** Of the closed backends of one registration. */
export function breakerProblems(breakers: readonly Breaker[]): readonly RegistrationProblem[] {
  return breakers.map(({ backend, registration, subject, failure, sinceMs }) => ({
    kind: 'backend',
    about: subject === null ? backend : `${backend} (${subject})`,
    message: [failureWords(failure), ...backendCure(failure.kind, `${registration}/${backend}`)].join('. '),
    sinceMs,
  }));
}

/** None for what passes by itself, nor for what is of the account: who may mend that depends on whose it is. */
function backendCure(kind: Failure['kind'], place: string): readonly string[] {
  const reset = `then \`shr backends reset ${place}\` tries it at once`;
  switch (kind) {
    case 'invalid':
      return [`Correct the image, shape or option that it names (\`shr doctor\` checks them): ${reset}`];
    case 'conflict':
      return [`Remove or rename what holds the name and is not the dispatcher's: ${reset}`];
    default:
      return [];
  }
}

/** Of those of its breakers whose rows cannot be read: whether they keep launches away is not known. */
export function unreadableBreakerProblems(
  registration: string,
  rows: readonly UnreadableRow[],
): readonly RegistrationProblem[] {
  return rows
    .filter((row) => row.registration === registration)
    .map(({ key, fault }) => ({
      kind: 'backend',
      about: key,
      message: `its breaker's row in the ledger cannot be read (${fault}). Restart the dispatcher: it deletes the row and tries the backend again`,
      sinceMs: null,
    }));
}

/** Readiness only shows that something is wrong, and with which registration; the command line shows the rest. */
const MAX_LINES = 20;
const MAX_OF_ONE = 3;
const LINE_CHARACTERS = 300;

/** Of a registration whose file has these problems, and whose last version without them is in force. */
export function keptWords(problems: readonly Problem[]): readonly string[] {
  const rest = problems.length - MAX_OF_ONE;
  return [
    ...problems
      .slice(0, MAX_OF_ONE)
      .map((problem) => `${formatProblem(problem)} Until then its last version without problems is in force`),
    ...(rest > 0 ? [`its file has ${rest} more problems: see shr validate`] : []),
  ];
}

/** `acme: its configuration has 2 problems, …`. Names and counts alone, as below. */
export function keptLines(
  kept: readonly { readonly name: string; readonly problems: readonly unknown[] }[],
): readonly string[] {
  const lines = kept.slice(0, MAX_LINES).map(({ name, problems }) => {
    const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`;
    return `${scrub(name, LINE_CHARACTERS)}: its configuration has ${count}, and its last version without them is in force`;
  });
  const unsaid = kept.length - lines.length;
  return unsaid === 0 ? lines : [...lines, `${unsaid} more registrations are in their last versions without problems`];
}

/** `acme: set aside, its configuration has 2 problems`. Names and counts alone: `/readyz` asks for no token. */
export function setAsideLines(
  quarantined: readonly { readonly name: string; readonly problems: readonly unknown[] }[],
): readonly string[] {
  const lines = quarantined.slice(0, MAX_LINES).map(({ name, problems }) => {
    const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`;
    return `${scrub(name, LINE_CHARACTERS)}: set aside, its configuration has ${count}`;
  });
  const unsaid = quarantined.length - lines.length;
  return unsaid === 0 ? lines : [...lines, `${unsaid} more registrations are set aside: see shr registrations`];
}

/** A count alone, for the same reason. */
export function platformLines(problems: readonly unknown[]): readonly string[] {
  if (problems.length === 0) return [];
  const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`;
  // The file that is wrong may be the one that says where this dispatcher is, and its token.
  const whole = 'shr registrations --url http://HOST:PORT --token-file FILE';
  return [`the platform's configuration has ${count}, and what was read before stays in force: see ${whole}`];
}

/** `acme: 3 runners live, and its registration is no longer in the configuration: …`, for those who may read names. */
export function absentLines(absent: readonly AbsentRegistration[]): readonly string[] {
  const lines = absent.slice(0, MAX_LINES).map(({ absence, registration, runners, served }) => {
    const { reason, cure } = absenceWords(absence, served);
    const live = runners === 1 ? '1 runner lives' : `${runners} runners live`;
    return `${scrub(registration, LINE_CHARACTERS)}: ${live}, and ${reason}. ${cure}`;
  });
  const unsaid = absent.length - lines.length;
  return unsaid === 0
    ? lines
    : [...lines, `${unsaid} more registrations with live runners are not in force: see shr registrations`];
}

/** `acme: poll: acme/web: moved to other/web …`: a line for each of the first problems of each registration. */
export function problemLines(
  registrations: readonly { readonly name: string }[],
  problems: (registration: string) => readonly RegistrationProblem[],
): readonly string[] {
  const lines: string[] = [];
  let unsaid = 0;
  for (const { name } of registrations) {
    const all = problems(name);
    const said = all.slice(0, Math.min(MAX_OF_ONE, MAX_LINES - lines.length));
    lines.push(...said.map((one) => `${name}: ${one.kind}: ${scrub(problemLine(one), LINE_CHARACTERS)}`));
    unsaid += all.length - said.length;
  }
  return unsaid === 0 ? lines : [...lines, `${unsaid} more problems: see shr registrations`];
}
