/**
 * One failure, in one form all the way from the adapter or the GitHub client to the ledger, the log and the screen.
 * Failures are built only here, so that each message is scrubbed and truncated before it is stored. Decisions depend
 * on the kind, never on the message; `failureWords` formats failures for display.
 */
import type { EndKind, InstanceReason, ProviderError, ProviderErrorKind } from '../../providers/provider.ts';
import { withoutPage } from './html-page.ts';
import { scrub } from './scrub.ts';

/** Where it went wrong: GitHub, a backend as `<registration>/<backend>`, or this program itself. */
export type FailureSource = 'github' | 'dispatcher' | `${string}/${string}`;

/**
 * - `launch-timeout`: the provider did not answer, or the container did not come online, in time.
 * - `interrupted`: the dispatcher stopped in the middle of the launch.
 * - `unfit`: the adapter says that its service never runs this shape.
 * - `no-place`: every backend was at its cap of runners.
 * - `no-work`: runners of the image came online, and GitHub gave them no job.
 * - `runner-outdated`: the container says that GitHub no longer accepts its version of the runner.
 * - `no-registration`: the runner's registration has left the configuration, and its credentials with it.
 * - `ledger`: the ledger could not be read or written.
 * - `defect`: an error in the dispatcher or in an adapter, not in what they talk to.
 */
export type OwnFailureKind =
  | 'launch-timeout'
  | 'interrupted'
  | 'unfit'
  | 'no-place'
  | 'no-work'
  | 'runner-outdated'
  | 'no-registration'
  | 'ledger'
  | 'defect';

/**
 * - `conflict`: the runner name exists (409), for example because an earlier call that timed out took effect.
 * - `rate-limited`: not before `retryAfterMs`. Our own budget raises it too, before GitHub has to.
 * - `transient`: 5xx, timeout, reset; the call may have taken effect.
 */
export type GithubErrorKind =
  | 'unauthorized'
  | 'forbidden'
  | 'not-found'
  | 'conflict'
  | 'invalid'
  | 'rate-limited'
  | 'transient';

/** Every kind that the ledger stores: the provider contract's, GitHub's, and the dispatcher's own. */
export type FailureKind = ProviderErrorKind | EndKind | GithubErrorKind | OwnFailureKind;

/** One thing that went wrong. Made by the functions of this file alone. */
export interface Failure {
  readonly source: FailureSource;
  readonly kind: FailureKind;
  /** The service's own code (`InaccessibleImage`), GitHub's HTTP status, or a container's exit code. */
  readonly code: string | null;
  /** For a support ticket with the service. */
  readonly requestId: string | null;
  /** The service's own words, scrubbed of secrets. */
  readonly message: string;
  readonly atMs: number;
}

/** Every kind, once: the ledger accepts no others. */
const KINDS: Readonly<Record<FailureKind, true>> = {
  capacity: true,
  quota: true,
  throttled: true,
  transient: true,
  unauthorized: true,
  invalid: true,
  conflict: true,
  exited: true,
  'out-of-memory': true,
  'spot-reclaimed': true,
  'image-pull-failed': true,
  'no-stock': true,
  'time-limit': true,
  stopped: true,
  unknown: true,
  forbidden: true,
  'not-found': true,
  'rate-limited': true,
  'launch-timeout': true,
  interrupted: true,
  unfit: true,
  'no-place': true,
  'no-work': true,
  'runner-outdated': true,
  'no-registration': true,
  ledger: true,
  defect: true,
};

/** A few sentences: the clouds' longest messages repeat the whole request. */
const MESSAGE_CHARACTERS = 1500;
const CODE_CHARACTERS = 120;

/** `backendSource('acme', 'aci')` is `acme/aci`. */
export function backendSource(registration: string, backend: string): FailureSource {
  return `${registration}/${backend}`;
}

/** From what an adapter threw. */
export function providerFailure(error: ProviderError, source: FailureSource, atMs: number): Failure {
  return failure(source, error, atMs);
}

/** The parts of a `GithubError`. */
export interface GithubErrorParts {
  readonly kind: GithubErrorKind;
  readonly message: string;
  readonly status: number | undefined;
  readonly requestId: string | undefined;
}

/** From what the GitHub client threw. The code is the HTTP status. */
export function githubFailure(error: GithubErrorParts, atMs: number): Failure {
  const code = error.status === undefined ? undefined : String(error.status);
  return failure('github', { kind: error.kind, code, requestId: error.requestId, message: error.message }, atMs);
}

/** Of the runner's listener, where it is asked to tell (`ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE`). */
const OUTDATED_EXIT = 7;

/** From why an instance ended or does not start. The code is the exit code. */
export function instanceFailure(reason: InstanceReason, source: FailureSource, atMs: number): Failure {
  if (reason.kind === 'exited' && reason.exitCode === OUTDATED_EXIT) {
    const message =
      'it exited with 7, by which a runner says that GitHub no longer accepts its version: build the image with a newer one';
    return failure(source, { kind: 'runner-outdated', code: String(OUTDATED_EXIT), message }, atMs);
  }
  const code = reason.exitCode === undefined ? undefined : String(reason.exitCode);
  return failure(source, { kind: reason.kind, code, message: reason.message }, atMs);
}

/** What the dispatcher found out by itself. `message`: a sentence for the operator. */
export function ownFailure(
  kind: OwnFailureKind | 'time-limit',
  message: string,
  atMs: number,
  source: FailureSource = 'dispatcher',
): Failure {
  return failure(source, { kind, message }, atMs);
}

/** `error`: a `LedgerError`. */
export function ledgerFailure(error: { readonly kind: string; readonly message: string }, atMs: number): Failure {
  return failure('dispatcher', { kind: 'ledger', code: error.kind, message: error.message }, atMs);
}

/** An error that should be impossible. The log has its stack; users are told that it is there. */
export function defectFailure(error: unknown, atMs: number, source: FailureSource = 'dispatcher'): Failure {
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return failure(source, { kind: 'defect', message: `an error of the dispatcher (see its log): ${message}` }, atMs);
}

/** The same failure, with its consequence added to the message. */
export function withContext(failure: Failure, context: string, atMs: number): Failure {
  return { ...failure, message: clean(`${context}: ${failure.message}`, MESSAGE_CHARACTERS), atMs };
}

/** A failure, here or as the admin API shows it. */
type Told = Pick<Failure, 'code' | 'message' | 'requestId'> & { readonly source: string };

/** For display: the message, and in brackets what a support ticket with the service needs. */
export function failureWords({ code, message, requestId }: Omit<Told, 'source'>): string {
  const notes = [
    ...(code === null || message.includes(code) ? [] : [code]),
    ...(requestId === null || message.includes(requestId) ? [] : [`request ${requestId}`]),
  ];
  return notes.length === 0 ? message : `${message} (${notes.join(', ')})`;
}

/** The same with the source, for places that do not show it anyway: `GitHub: …`, `aci: …`. */
export function placedWords(told: Told): string {
  const { source } = told;
  if (source === 'dispatcher') return failureWords(told);
  return `${source === 'github' ? 'GitHub' : backendIn(source)}: ${failureWords(told)}`;
}

/** What a service says then names the account: its quotas, its subscription or project. */
export function isOfTheAccount(kind: FailureKind): boolean {
  return kind === 'unauthorized' || kind === 'quota';
}

/** For a line in the log. */
export function failureFields(told: Failure): Readonly<Record<string, unknown>> {
  const { source, kind, code, requestId, message } = told;
  return {
    source,
    kind,
    ...(code === null ? {} : { code }),
    ...(requestId === null ? {} : { requestId }),
    reason: message,
  };
}

/** For what is read from the ledger. */
export function isFailureKind(text: string): text is FailureKind {
  return Object.hasOwn(KINDS, text);
}

/** For what is read from the ledger. */
export function isFailureSource(text: string): text is FailureSource {
  return text === 'github' || text === 'dispatcher' || /^[^/]+\/.+$/.test(text);
}

function backendIn(source: string): string {
  return source.slice(source.indexOf('/') + 1);
}

interface Raw {
  readonly kind: FailureKind;
  readonly message: string;
  readonly code?: string | undefined;
  readonly requestId?: string | undefined;
}

function failure(source: FailureSource, { kind, message, code, requestId }: Raw, atMs: number): Failure {
  return {
    source,
    kind,
    code: code === undefined ? null : clean(code, CODE_CHARACTERS),
    requestId: requestId === undefined ? null : clean(requestId, CODE_CHARACTERS),
    message: clean(message, MESSAGE_CHARACTERS),
    atMs,
  };
}

/** Without NUL, which PostgreSQL does not store, and without a proxy's HTML page. */
function clean(text: string, characters: number): string {
  return scrub(withoutPage(text.replaceAll('\0', '')), characters);
}
