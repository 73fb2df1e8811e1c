/**
 * The `shr.yaml` of organizations whose registrations ask for it: read with their own credentials, every few minutes, and put
 * into force. What was read last without a problem stays until something else was.
 */
import { type Clock, jitter, type Random } from '../../time/clock.ts';
import { MINUTE, SECOND } from '../../time/units.ts';
import { narrowedBy } from '../admission/organization.ts';
import { ORGANIZATION_FILE_BYTES, readOrganizationFile } from '../config/organization-file.ts';
import { GithubError } from '../github/github.ts';
import { type OrganizationFiles, organizationFileCure } from '../github/organization-file.ts';
import type { Log } from '../log.ts';
import { formatProblem } from '../model/problem.ts';
import type { Configuration, OrganizationFile, Registration } from '../model/registration.ts';

export interface OrganizationDefaultsOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>;
  /** Undefined: the registration is not in force. */
  readonly files: (registration: string) => OrganizationFiles | undefined;
  /** What `narrowed` makes of the configuration is another. Must not throw. */
  readonly onChange: () => void;
}

export interface OrganizationStatus {
  readonly mode: 'default' | 'forced';
  /** Null: there is none. Undefined: nothing was read yet. */
  readonly file: OrganizationFile | null | undefined;
  /** Of the last answer of GitHub. */
  readonly readAtMs: number | null;
  /**
   * Since when `file` is what it is, as far as this process has seen: it may have been so before its first read. Of what was not
   * read yet, since when this process asks for it.
   */
  readonly sinceMs: number;
  /** Why it cannot be read now, or as it is now. */
  readonly problem: Unusable | undefined;
  /** Defaults of it that no label could ask for: `defaults.cpu`. */
  readonly unused: readonly string[];
}

export interface Unusable {
  readonly reason: string;
  readonly sinceMs: number;
  /** The file that is there and has problems; null: GitHub did not give it. */
  readonly file: string | null;
}

export interface OrganizationProblem {
  readonly message: string;
  readonly sinceMs: number;
}

type Asking = Pick<Registration, 'name' | 'host' | 'apiUrl' | 'claim' | 'organizationDefaults'>;

/** What is known for one registration. Another place is another state: nothing of an earlier organization stays. */
interface State {
  readonly place: string;
  readonly organization: string;
  readonly mode: OrganizationStatus['mode'];
  file: OrganizationFile | null | undefined;
  readAtMs: number | null;
  sinceMs: number;
  problem: (OrganizationProblem & Unusable) | undefined;
  failures: number;
  cancel: (() => void) | undefined;
}

const INTERVAL_MS = 5 * MINUTE;
/** After the first failure before the first answer: jobs may wait for it. Then twice as long each time. */
const FIRST_RETRY_MS = 15 * SECOND;
/** At once: thousands of registrations may be due at a start. */
const AT_ONCE = 8;
/** Of a file with many. */
const SHOWN_PROBLEMS = 3;

export class OrganizationDefaults {
  readonly #options: OrganizationDefaultsOptions;
  readonly #states = new Map<string, State>();
  readonly #due = new Set<string>();
  #running = 0;
  /** One object for the same two: a comparison of pointers tells that nothing has changed. */
  readonly #made = new WeakMap<
    Registration,
    { readonly of: State['file']; readonly unknown: string | undefined; readonly made: Registration }
  >();
  readonly #unused = new Map<string, readonly string[]>();
  #started = false;
  #stopped = false;

  constructor(options: OrganizationDefaultsOptions) {
    this.#options = options;
  }

  /** From now on it reads for these, at once for those of which nothing is known. */
  follow(registrations: readonly Asking[]): void {
    const wanted = new Map(registrations.flatMap((one) => (placeOf(one) === undefined ? [] : [[one.name, one]])));
    for (const [name, state] of this.#states) {
      const one = wanted.get(name);
      if (one !== undefined && placeOf(one) === state.place) continue;
      state.cancel?.();
      this.#states.delete(name);
      this.#unused.delete(name);
      this.#due.delete(name);
    }
    for (const [name, one] of wanted) {
      const place = placeOf(one);
      if (place === undefined || this.#states.has(name) || one.claim.kind !== 'organization') continue;
      const { organization } = one.claim;
      this.#states.set(name, {
        ...{
          place,
          organization,
          file: undefined,
          mode: one.organizationDefaults ?? 'default',
          readAtMs: null,
          sinceMs: this.#options.clock.now(),
          problem: undefined,
          failures: 0,
          cancel: undefined,
        },
      });
      this.#due.add(name);
    }
    this.#next();
  }

  start(): void {
    this.#started = true;
    this.#next();
  }

  /** What is being read is not waited for, and comes to nothing. */
  stop(): void {
    this.#stopped = true;
    for (const { cancel } of this.#states.values()) cancel?.();
  }

  /** Read again soon: its credentials may be others. */
  again(registration: string): void {
    const state = this.#states.get(registration);
    // Of one that was never read, a reading is due or under way.
    if (state === undefined || (state.readAtMs === null && state.problem === undefined)) return;
    state.cancel?.();
    this.#due.add(registration);
    this.#next();
  }

  /** As the organizations have it. The same configuration where none is asked. */
  narrowed(configuration: Configuration): Configuration {
    if (!configuration.registrations.some(({ organizationDefaults }) => organizationDefaults !== undefined)) {
      return configuration;
    }
    return { ...configuration, registrations: configuration.registrations.map((one) => this.#narrowed(one)) };
  }

  /** Undefined: the registration does not ask. */
  statusOf(registration: string): OrganizationStatus | undefined {
    const state = this.#states.get(registration);
    if (state === undefined) return undefined;
    const { file, mode, problem, readAtMs, sinceMs } = state;
    return { mode, file, readAtMs, sinceMs, problem, unused: this.#unused.get(registration) ?? [] };
  }

  problemOf(registration: string): OrganizationProblem | undefined {
    return this.#states.get(registration)?.problem;
  }

  #narrowed(registration: Registration): Registration {
    const mode = registration.organizationDefaults;
    if (mode === undefined) return registration;
    const state = this.#states.get(registration.name);
    const file = state?.place === placeOf(registration) ? state?.file : undefined;
    const isUnknown = file === undefined && mode === 'forced';
    const unknown = isUnknown ? (state?.problem?.reason ?? 'they were not read yet') : undefined;
    const before = this.#made.get(registration);
    if (before !== undefined && before.of === file && before.unknown === unknown) return before.made;
    const narrowed = narrowedBy(registration, file ?? undefined);
    this.#unused.set(registration.name, narrowed.unused);
    const made = unknown === undefined ? narrowed.registration : { ...registration, organizationUnknown: unknown };
    this.#made.set(registration, { of: file, unknown, made });
    return made;
  }

  #next(): void {
    if (!this.#started || this.#stopped) return;
    for (const name of this.#due) {
      if (this.#running >= AT_ONCE) return;
      this.#due.delete(name);
      const state = this.#states.get(name);
      if (state === undefined) continue;
      this.#running += 1;
      void this.#read(name, state)
        .catch((error: unknown) =>
          this.#options.log.error('organization-defaults-failed', { registration: name, error }),
        )
        .finally(() => {
          this.#running -= 1;
          this.#later(name, state);
          this.#next();
        });
    }
  }

  #later(name: string, state: State): void {
    if (this.#stopped || this.#states.get(name) !== state) return;
    const { clock, random } = this.#options;
    const soon = FIRST_RETRY_MS * 2 ** Math.max(0, state.failures - 1);
    const ms = state.file === undefined ? Math.min(soon, INTERVAL_MS) : INTERVAL_MS;
    state.cancel?.();
    state.cancel = clock.after(jitter(ms, random, 0.1), () => {
      this.#due.add(name);
      this.#next();
    });
  }

  async #read(name: string, state: State): Promise<void> {
    const files = this.#options.files(name);
    if (files === undefined) return;
    try {
      const found = await files.readOrganizationFile(state.organization, ORGANIZATION_FILE_BYTES);
      const read = found === undefined ? undefined : await readOrganizationFile(found.file, found.text);
      // Meanwhile it may be another organization's, or nobody's.
      if (this.#stopped || this.#states.get(name) !== state) return;
      state.readAtMs = this.#options.clock.now();
      if (read === undefined) this.#put(name, state, null);
      else if (read.ok) this.#put(name, state, read.file);
      else this.#fail(name, state, problemsInWords(read.problems.map(formatProblem)), found?.file);
    } catch (error) {
      if (!(error instanceof GithubError)) throw error;
      if (this.#stopped || this.#states.get(name) !== state) return;
      this.#fail(name, state, `${error.message}. ${organizationFileCure(error)}`);
    }
  }

  #put(name: string, state: State, file: OrganizationFile | null): void {
    state.problem = undefined;
    const isSame =
      file === null ? state.file === null : state.file?.blob === file.blob && state.file.file === file.file;
    if (isSame) return;
    state.file = file;
    state.sinceMs = this.#options.clock.now();
    this.#options.log.info('organization-defaults', {
      registration: name,
      file: file?.file ?? null,
      blob: file?.blob ?? null,
    });
    this.#options.onChange();
  }

  #fail(name: string, state: State, reason: string, file: string | null = null): void {
    state.failures += 1;
    const message = `the defaults of its organization cannot be read: ${reason}; ${heldUntilThen(state.file, file)}`;
    if (state.problem?.message === message) return;
    state.problem = { reason, message, file, sinceMs: state.problem?.sinceMs ?? this.#options.clock.now() };
    this.#options.log.warn('organization-defaults-unread', { registration: name, reason: message });
    // Why jobs are refused is another reason now.
    if (state.file === undefined && state.mode === 'forced') this.#options.onChange();
  }
}

/** `broken`: the file that is there. */
function heldUntilThen(file: State['file'], broken: string | null): string {
  if (file === undefined) return 'nothing of them was read yet';
  if (file !== null) return 'until then what was read last without a problem holds';
  return `until then nothing is limited, ${broken === null ? 'because there was no file' : 'as before it was there'}`;
}

/** Undefined: it does not ask. */
function placeOf({ apiUrl, claim, host, organizationDefaults }: Asking): string | undefined {
  if (organizationDefaults === undefined || claim.kind !== 'organization') return undefined;
  return JSON.stringify([host, apiUrl, claim.organization.toLowerCase(), organizationDefaults]);
}

function problemsInWords(problems: readonly string[]): string {
  const more = problems.length - SHOWN_PROBLEMS;
  return `${problems.slice(0, SHOWN_PROBLEMS).join(' ')}${more > 0 ? ` (and ${more} more)` : ''}`;
}
