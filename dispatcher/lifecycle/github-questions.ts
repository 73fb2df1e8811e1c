/**
 * What only GitHub can say about a job that waits for it, such as whether its repository is public. Asked tenant by
 * tenant, each with a bound of its own, remembered for a while, and asked again where GitHub could not answer.
 */
import { backoffMs } from '../../time/backoff.ts';
import { RateWindow } from '../../time/rate-window.ts';
import { MINUTE } from '../../time/units.ts';
import { defectFailure, githubFailure } from '../failures/failure.ts';
import { type Github, GithubError } from '../github/github.ts';
import { QUEUE_LIMIT_MS } from '../ledger/queue-age.ts';
import { lineOf, type Registration } from '../model/registration.ts';
import type { EngineOptions } from './ports.ts';
import type { RunnerContext } from './runner-context.ts';
import { SharedMemory } from './shared-memory.ts';

/** How long GitHub's answer holds for further jobs. */
const FRESH_MS = 60 * MINUTE;
/** Of one tenant. */
const READS: Reads = { most: 60, spanMs: MINUTE };
/** What waits of one tenant, and what is remembered. */
const MAX_SUBJECTS = 10_000;
const PAUSE_FIRST_MS = MINUTE;
const MAX_PAUSE_MS = 10 * MINUTE;

/** What is asked about. Each registration asks for itself: another's credentials may see what its own do not. */
export interface Subject {
  readonly registration: string;
  readonly host: string;
  readonly owner: string;
  readonly repository: string;
}

export interface Reads {
  readonly most: number;
  readonly spanMs: number;
}

export interface Question<S extends Subject, Answer> {
  /** In the log, where GitHub cannot answer: `visibility-not-read`. */
  readonly notRead: string;
  /** Likewise where it answers 404, or does not say; at debug level. */
  readonly notFound: string;
  /** How many one tenant may have. Default: 60 a minute. */
  readonly reads?: Reads;
  /** Of a subject, besides its repository: which run, for example. */
  readonly key?: (subject: S) => string;
  /** Undefined: GitHub does not know it, or does not say. Rejects with GithubError. */
  readonly read: (github: Github, subject: S) => Promise<Answer | undefined>;
  /** Settles its jobs again, with the answer or without one. */
  readonly tell: (subject: S, answer: Answer | undefined) => Promise<unknown>;
}

interface Known<S, Answer> {
  readonly wanted: S;
  readonly line: string;
  /** Undefined: GitHub could not be asked, or did not say. */
  readonly answer: Answer | undefined;
  /** Until then it is not asked for again. */
  readonly untilMs: number;
  /** In a row. */
  readonly failures: number;
  /** When a job last needed it. */
  readonly wantedAtMs: number;
}

/** What one tenant waits for, read one after another. */
interface Line<S> {
  /** By key, with the time at which a job last needed it. */
  readonly waiting: Map<string, { readonly wanted: S; readonly atMs: number }>;
  readonly reads: RateWindow;
  working: boolean;
}

export interface GithubQuestionsOptions extends Pick<EngineOptions, 'log' | 'tenants'> {
  readonly context: RunnerContext;
}

export class GithubQuestions<S extends Subject, Answer> {
  readonly #options: GithubQuestionsOptions;
  readonly #question: Question<S, Answer>;
  readonly #lines = new Map<string, Line<S>>();
  readonly #known = new SharedMemory<Known<S, Answer>>(MAX_SUBJECTS);
  readonly #working = new Set<Promise<void>>();

  constructor(options: GithubQuestionsOptions, question: Question<S, Answer>) {
    this.#options = options;
    this.#question = question;
  }

  /**
   * `asked`: the job is settled again when GitHub has answered, or could not. `unknown`: it could not lately; it is asked
   * again by itself.
   */
  protected askAbout(wanted: S, registration: Registration): 'asked' | 'unknown' {
    const key = this.#keyOf(wanted);
    const name = lineOf(registration);
    const known = this.#known.get(key);
    const now = this.#options.context.now();
    if (known !== undefined && known.answer === undefined && known.untilMs > now) {
      this.#known.set(name, key, { ...known, wantedAtMs: now });
      return 'unknown';
    }
    return this.#take(name, key, { wanted, atMs: now }) ? 'asked' : 'unknown';
  }

  /** Once a minute: what could not be read is due again, and the minute has room for more reads. */
  resume(): void {
    const now = this.#options.context.now();
    for (const [key, { line, wanted, answer, untilMs, wantedAtMs }] of [...this.#known.entries()]) {
      if (untilMs > now) continue;
      const isWanted = answer === undefined && now - wantedAtMs < QUEUE_LIMIT_MS;
      if (isWanted) this.#take(line, key, { wanted, atMs: wantedAtMs });
      else this.#known.delete(key);
    }
    for (const [name, line] of [...this.#lines]) {
      if (line.waiting.size > 0) this.#work(name, line);
      else if (!line.working && line.reads.used(now) === 0) this.#lines.delete(name);
    }
  }

  /** Resolves when the reads under way have ended. */
  async whenSettled(): Promise<void> {
    await Promise.allSettled(this.#working);
  }

  /** False: too many wait already. */
  #take(name: string, key: string, request: { readonly wanted: S; readonly atMs: number }): boolean {
    const { most, spanMs } = this.#question.reads ?? READS;
    const line = this.#lines.get(name) ?? {
      waiting: new Map(),
      reads: new RateWindow(spanMs, most),
      working: false,
    };
    if (line.waiting.size >= MAX_SUBJECTS && !line.waiting.has(key)) return false;
    this.#lines.set(name, line);
    line.waiting.set(key, request);
    this.#work(name, line);
    return true;
  }

  #work(name: string, line: Line<S>): void {
    if (line.working) return;
    line.working = true;
    const { context, log } = this.#options;
    const work = this.#readAll(name, line)
      .catch((error: unknown) => {
        if (!context.ledgerFailed(error))
          log.error('question-broken', { question: this.#question.notRead, line: name, error });
      })
      .finally(() => {
        line.working = false;
        this.#working.delete(work);
      });
    this.#working.add(work);
  }

  async #readAll(name: string, line: Line<S>): Promise<void> {
    const { context } = this.#options;
    for (const [key, { wanted, atMs }] of line.waiting) {
      if (!context.working()) return;
      let known = this.#known.get(key);
      if (known?.answer === undefined || known.untilMs <= context.now()) {
        if (line.reads.fitsAt(context.now()) > context.now()) return;
        line.reads.spend(context.now());
        known = await this.#read(name, wanted, { failures: known?.failures ?? 0, wantedAtMs: atMs });
        this.#known.set(name, key, known);
      }
      // From here on who asks is told anew.
      line.waiting.delete(key);
      try {
        await this.#question.tell(wanted, known.answer);
      } catch (error) {
        // Its jobs wait for it: they are told when the ledger takes it.
        if (!line.waiting.has(key)) line.waiting.set(key, { wanted, atMs });
        throw error;
      }
      context.wake();
    }
  }

  async #read(
    line: string,
    wanted: S,
    before: Pick<Known<S, Answer>, 'failures' | 'wantedAtMs'>,
  ): Promise<Known<S, Answer>> {
    const { context, log, tenants } = this.#options;
    const { notFound, notRead, read } = this.#question;
    const { registration, owner, repository } = wanted;
    const about = { registration, repository: `${owner}/${repository}` };
    const { wantedAtMs } = before;
    const without = (retryAfterMs: number): Known<S, Answer> => {
      const pauseMs = Math.max(backoffMs(PAUSE_FIRST_MS, MAX_PAUSE_MS, before.failures), retryAfterMs);
      const untilMs = context.now() + pauseMs;
      return { wanted, line, answer: undefined, untilMs, failures: before.failures + 1, wantedAtMs };
    };
    try {
      const github = tenants.get(registration)?.github;
      const answer = github === undefined ? undefined : await read(github, wanted);
      context.states.well(notRead, about);
      if (answer !== undefined) {
        return { wanted, line, answer, untilMs: context.now() + FRESH_MS, failures: 0, wantedAtMs };
      }
      log.debug(notFound, about);
      return without(0);
    } catch (error) {
      const isAnswer = error instanceof GithubError;
      // Names are a tenant's to invent, and must not fill the log.
      if (isAnswer && error.kind === 'not-found') log.debug(notFound, about);
      else if (isAnswer) context.states.failed(notRead, about, githubFailure(error, context.now()));
      // A defect: the tenant's other jobs must not wait behind it.
      else context.states.failed(notRead, about, defectFailure(error, context.now()), { error });
      return without(isAnswer ? (error.retryAfterMs ?? 0) : 0);
    }
  }

  #keyOf(subject: S): string {
    const { registration, host, owner, repository } = subject;
    return `${registration} ${host}/${owner}/${repository} ${this.#question.key?.(subject) ?? ''}`.toLowerCase();
  }
}
