/**
 * Asks GitHub whether repositories are public where a tenant's grant depends on it and only the tenant's own webhook
 * has told: it can sign that a public repository is private.
 */

import { backoffMs } from '../../time/backoff.ts';
import { RateWindow } from '../../time/rate-window.ts';
import { MINUTE } from '../../time/units.ts';
import { defectFailure, githubFailure } from '../failures/failure.ts';
import { GithubError } from '../github/github.ts';
import type { Visibility } from '../jobs/facts.ts';
import type { JobRow, Ledger } from '../ledger/ledger.ts';
import { QUEUE_LIMIT_MS } from '../ledger/queue-age.ts';
import { lineOf, type Registration } from '../model/registration.ts';
import type { EngineOptions } from './ports.ts';
import type { RunnerContext } from './runner-context.ts';
import { SharedMemory } from './shared-memory.ts';

/** How long GitHub's answer about a repository holds for further jobs of it. */
const FRESH_MS = 60 * MINUTE;
/** Of one tenant. */
const READS_A_MINUTE = 60;
/** Repositories of one tenant that wait, and that are remembered. */
const MAX_REPOSITORIES = 10_000;
const PAUSE_FIRST_MS = MINUTE;
const MAX_PAUSE_MS = 10 * MINUTE;

interface Repository {
  readonly registration: string;
  readonly host: string;
  readonly owner: string;
  readonly repository: string;
}

interface Known {
  readonly wanted: Repository;
  readonly line: string;
  /** Undefined: GitHub could not be asked, or answered 404. */
  readonly visibility: Visibility | undefined;
  /** Until then it is not asked for again. */
  readonly untilMs: number;
  /** In a row. */
  readonly failures: number;
  /** When a job last needed it. */
  readonly wantedAtMs: number;
}

/** The repositories that one tenant waits for, read one after another. */
interface Line {
  /** By repository, with the time at which a job last needed it. */
  readonly waiting: Map<string, { readonly wanted: Repository; readonly atMs: number }>;
  readonly reads: RateWindow;
  working: boolean;
}

export interface VisibilitiesOptions extends Pick<EngineOptions, 'log' | 'tenants'> {
  readonly context: RunnerContext;
  readonly ledger: Pick<Ledger, 'tellVisibility'>;
}

export class Visibilities {
  readonly #options: VisibilitiesOptions;
  readonly #lines = new Map<string, Line>();
  readonly #known = new SharedMemory<Known>(MAX_REPOSITORIES);
  readonly #working = new Set<Promise<void>>();

  constructor(options: VisibilitiesOptions) {
    this.#options = options;
  }

  /**
   * `asked`: the job is settled again when GitHub has answered, or could not. `unknown`: it could not lately; it is asked
   * again by itself.
   */
  ask({ host, owner, repository }: Pick<JobRow, 'host' | 'owner' | 'repository'>, registration: Registration) {
    const wanted: Repository = { registration: registration.name, host, owner, repository };
    const key = keyOf(wanted);
    const name = lineOf(registration);
    const known = this.#known.get(key);
    const now = this.#options.context.now();
    if (known !== undefined && known.visibility === undefined && known.untilMs > now) {
      this.#known.set(name, key, { ...known, wantedAtMs: now });
      return 'unknown';
    }
    return this.#take(name, key, { wanted, atMs: now }) ? 'asked' : 'unknown';
  }

  /** Once a minute: what could not be read is due again, and the minute has room for more reads. */
  resume(): void {
    const now = this.#options.context.now();
    for (const [key, { line, wanted, visibility, untilMs, wantedAtMs }] of [...this.#known.entries()]) {
      if (untilMs > now) continue;
      const isWanted = visibility === undefined && now - wantedAtMs < QUEUE_LIMIT_MS;
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
  #take(name: string, key: string, request: { readonly wanted: Repository; readonly atMs: number }): boolean {
    const line = this.#lines.get(name) ?? {
      waiting: new Map(),
      reads: new RateWindow(MINUTE, READS_A_MINUTE),
      working: false,
    };
    if (line.waiting.size >= MAX_REPOSITORIES && !line.waiting.has(key)) return false;
    this.#lines.set(name, line);
    line.waiting.set(key, request);
    this.#work(name, line);
    return true;
  }

  #work(name: string, line: Line): void {
    if (line.working) return;
    line.working = true;
    const { context, log } = this.#options;
    const work = this.#readAll(name, line)
      .catch((error: unknown) => {
        if (!context.ledgerFailed(error)) log.error('visibility-broken', { line: name, error });
      })
      .finally(() => {
        line.working = false;
        this.#working.delete(work);
      });
    this.#working.add(work);
  }

  async #readAll(name: string, line: Line): Promise<void> {
    const { context, ledger } = this.#options;
    for (const [key, { wanted, atMs }] of line.waiting) {
      if (!context.working()) return;
      let known = this.#known.get(key);
      if (known?.visibility === undefined || known.untilMs <= context.now()) {
        if (line.reads.fitsAt(context.now()) > context.now()) return;
        line.reads.spend(context.now());
        known = await this.#read(name, wanted, { failures: known?.failures ?? 0, wantedAtMs: atMs });
        this.#known.set(name, key, known);
      }
      // From here on who asks is told anew.
      line.waiting.delete(key);
      try {
        await ledger.tellVisibility(wanted, known.visibility);
      } catch (error) {
        // Its jobs wait for it: they are told when the ledger takes it.
        if (!line.waiting.has(key)) line.waiting.set(key, { wanted, atMs });
        throw error;
      }
      context.wake();
    }
  }

  async #read(line: string, wanted: Repository, before: Pick<Known, 'failures' | 'wantedAtMs'>): Promise<Known> {
    const { context, log, tenants } = this.#options;
    const { registration, owner, repository } = wanted;
    const about = { registration, repository: `${owner}/${repository}` };
    const { wantedAtMs } = before;
    try {
      const visibility = await tenants.get(registration)?.github.readVisibility(owner, repository);
      context.states.well('visibility-not-read', about);
      return { wanted, line, visibility, untilMs: context.now() + FRESH_MS, failures: 0, wantedAtMs };
    } catch (error) {
      const isAnswer = error instanceof GithubError;
      // Names are a tenant's to invent, and must not fill the log.
      if (isAnswer && error.kind === 'not-found') log.debug('repository-not-found', about);
      else if (isAnswer) context.states.failed('visibility-not-read', about, githubFailure(error, context.now()));
      // A defect: the tenant's other repositories must not wait behind it.
      else context.states.failed('visibility-not-read', about, defectFailure(error, context.now()), { error });
      const retryAfterMs = isAnswer ? (error.retryAfterMs ?? 0) : 0;
      const pauseMs = Math.max(backoffMs(PAUSE_FIRST_MS, MAX_PAUSE_MS, before.failures), retryAfterMs);
      const untilMs = context.now() + pauseMs;
      return { wanted, line, visibility: undefined, untilMs, failures: before.failures + 1, wantedAtMs };
    }
  }
}

/** Each registration asks for itself: another's credentials may see a repository that its own do not. */
function keyOf({ registration, host, owner, repository }: Repository): string {
  return `${registration} ${host}/${owner}/${repository}`.toLowerCase();
}
