/**
 * Which executions carry which runner's name. The service cannot be asked for a name, so all executions are listed once,
 * and after that only the new ones: that an execution was made with a name never changes. What has become of it is asked
 * of the service each time.
 */
import type { ProviderHost } from '../provider.ts';
import type { CloudRun } from './service.ts';
import { before, type CreatedAt, createdAtOf, type ExecutionAnswer, type Sighting, sighting } from './state.ts';

/** An execution whose creation took so long may first be seen below others that were made later. */
const DEEP_S = 60;
const DEEP_PAGE = 20;
/** So long what was seen is good enough before a run; what another process makes meanwhile is found after it. */
const FRESH_MS = 60_000;
/** The service itself forgets an execution that ended a week ago, and none runs for longer than one. */
const KEPT_S = 15 * 86_400;
const MOST_DOUBTFUL = 1000;

type Depth = 'shallow' | 'deep';

interface Look {
  readonly depth: Depth;
  readonly done: Promise<void>;
}

export class Sightings {
  readonly #service: CloudRun;
  readonly #host: ProviderHost;
  readonly #byName = new Map<string, Map<string, Sighting>>();
  /** Names that may have been run without an answer. */
  readonly #doubtful = new Set<string>();
  /** Of those that a look has seen: an answer to RunJob says nothing of what was made before it. */
  #newest: CreatedAt | undefined;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #forgotAtMs = Number.NEGATIVE_INFINITY;
  #running: Look | undefined;
  #next: Look | undefined;

  constructor(service: CloudRun, host: ProviderHost) {
    this.#service = service;
    this.#host = host;
  }

  /**
   * In the order of their creation, those that are gone by now included. From a look that began after this call:
   * `shallow` sees what was made since the last look, `deep` also what turned up late.
   */
  async of(name: string, depth: Depth): Promise<readonly Sighting[]> {
    await this.#look(depth);
    return this.#known(name);
  }

  /**
   * The same before a run, without asking where that is not needed: all that there was at the last look is known, all
   * that this process has made since is known, except where an answer was lost.
   */
  async beforeRun(name: string): Promise<readonly Sighting[]> {
    if (this.#doubtful.has(name) || this.#host.now() > this.#lookedAtMs + FRESH_MS) await this.#look('deep');
    return this.#known(name);
  }

  /** From answers that came for other reasons. */
  add(executions: readonly ExecutionAnswer[]): void {
    for (const execution of executions) {
      const seen = sighting(execution);
      if (seen === undefined) continue;
      const ofName = this.#byName.get(seen.name) ?? new Map<string, Sighting>();
      this.#byName.set(seen.name, ofName.set(seen.id, seen));
    }
  }

  doubt(name: string): void {
    this.#doubtful.add(name);
    for (const oldest of this.#doubtful) {
      if (this.#doubtful.size <= MOST_DOUBTFUL) break;
      this.#doubtful.delete(oldest);
    }
  }

  forget({ name, id }: Sighting): void {
    const ofName = this.#byName.get(name);
    ofName?.delete(id);
    if (ofName?.size === 0) this.#byName.delete(name);
  }

  #known(name: string): readonly Sighting[] {
    const all = [...(this.#byName.get(name)?.values() ?? [])];
    return all.sort((a, b) => (`${a.createdAt} ${a.id}` < `${b.createdAt} ${b.id}` ? -1 : 1));
  }

  /** Many ask at once: those that came too late for the look under way share the next one. */
  #look(depth: Depth): Promise<void> {
    if (this.#running === undefined) return this.#start(depth);
    if (this.#next === undefined || (this.#next.depth === 'shallow' && depth === 'deep')) {
      const start = (): Promise<void> => this.#startNext();
      const done = this.#next?.done ?? this.#running.done.then(start, start);
      this.#next = { depth, done };
    }
    return this.#next.done;
  }

  #startNext(): Promise<void> {
    const depth = this.#next?.depth ?? 'deep';
    this.#next = undefined;
    return this.#start(depth);
  }

  #start(depth: Depth): Promise<void> {
    const done = this.#read(depth).finally(() => {
      if (this.#running?.done === done) this.#running = undefined;
    });
    this.#running = { depth, done };
    return done;
  }

  async #read(depth: Depth): Promise<void> {
    const startedAtMs = this.#host.now();
    const executions = await this.#list(depth);
    this.add(executions);
    for (const execution of executions) {
      const createdAt = createdAtOf(execution);
      if (this.#newest === undefined || createdAt > this.#newest) this.#newest = createdAt;
    }
    this.#lookedAtMs = startedAtMs;
    this.#forgetOld();
  }

  #list(depth: Depth): Promise<ExecutionAnswer[]> {
    const newest = this.#newest;
    if (newest === undefined) return this.#service.listExecutions();
    const from = depth === 'deep' ? before(newest, DEEP_S) : newest;
    // Room for our own that no look has seen yet, and for the one to stop at.
    const page = depth === 'deep' ? DEEP_PAGE : Math.min(100, this.#countAfter(newest) + 1);
    return this.#service.listExecutions(page, (seen) => seen.some((execution) => createdAtOf(execution) <= from));
  }

  #countAfter(newest: CreatedAt): number {
    let count = 0;
    // The latest names come last.
    for (const ofName of [...this.#byName.values()].reverse()) {
      const after = [...ofName.values()].filter((seen) => seen.createdAt > newest).length;
      if (after === 0) break;
      count += after;
    }
    return count;
  }

  /** Once an hour: it goes through everything. */
  #forgetOld(): void {
    if (this.#newest === undefined || this.#host.now() < this.#forgotAtMs + 3_600_000) return;
    this.#forgotAtMs = this.#host.now();
    const oldest = before(this.#newest, KEPT_S);
    for (const ofName of this.#byName.values()) {
      for (const seen of ofName.values()) if (seen.createdAt < oldest) this.forget(seen);
    }
  }
}
