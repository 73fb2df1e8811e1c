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
const PAGE = 50;
/** Pages of so few would be many where somebody else has made more than we. */
const SMALL_PAGE = 5;
/** So long the last look is good enough. */
const FRESH_MS = 5000;
/** After two executions of one name were seen, every run is looked after for so long. */
const CAREFUL_MS = 600_000;
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
  /** What this process has run and no look has borne out yet: id by name. */
  readonly #unverified = new Map<string, string>();
  readonly #onRival: (name: string, id: string) => void;
  /** Of those that a look has seen: an answer to RunJob says nothing of what was made before it. */
  #newest: CreatedAt | undefined;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #verifiedAtMs = Number.NEGATIVE_INFINITY;
  #carefulUntilMs = Number.NEGATIVE_INFINITY;
  #forgotAtMs = Number.NEGATIVE_INFINITY;
  #running: Look | undefined;
  #next: Look | undefined;

  /** `onRival`: a later look has found that an execution of ours was not the only one of its name. */
  constructor(service: CloudRun, host: ProviderHost, onRival: (name: string, id: string) => void) {
    this.#service = service;
    this.#host = host;
    this.#onRival = onRival;
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
   * The same before a run. From memory where the last look is a few seconds old: what this process has made since is
   * known, except where an answer was lost.
   */
  async beforeRun(name: string): Promise<readonly Sighting[]> {
    if (this.#doubtful.has(name)) await this.#look('deep');
    else if (this.#isDue(this.#lookedAtMs)) await this.#look('shallow');
    return this.#known(name);
  }

  /**
   * The same after a run: was ours the only one of its name? One look every few seconds answers it for all that ran
   * meanwhile; those that did not wait for it hear of it by `onRival`.
   */
  async afterRun(name: string, made: ExecutionAnswer): Promise<readonly Sighting[]> {
    this.add([made]);
    const id = sighting(made)?.id;
    if (id !== undefined) this.#unverified.set(name, id);
    if (this.#doubtful.has(name) || this.#isDue(this.#verifiedAtMs)) {
      this.#verifiedAtMs = this.#host.now();
      this.#unverified.delete(name);
      await this.#look('shallow');
      if (this.#known(name).length > 1) this.#beCareful();
    }
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

  #isDue(atMs: number): boolean {
    const nowMs = this.#host.now();
    return nowMs >= atMs + FRESH_MS || nowMs < this.#carefulUntilMs;
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
    // What is run while the look is under way needs the next one.
    const ran = new Map(this.#unverified);
    const executions = await this.#list(depth);
    this.add(executions);
    for (const execution of executions) {
      const createdAt = createdAtOf(execution);
      if (this.#newest === undefined || createdAt > this.#newest) this.#newest = createdAt;
    }
    this.#lookedAtMs = startedAtMs;
    this.#verify(ran);
    this.#forgetOld();
  }

  #verify(ran: ReadonlyMap<string, string>): void {
    for (const [name, id] of ran) {
      if (this.#unverified.get(name) === id) this.#unverified.delete(name);
      if (this.#known(name).length < 2) continue;
      this.#beCareful();
      this.#onRival(name, id);
    }
  }

  #beCareful(): void {
    this.#carefulUntilMs = this.#host.now() + CAREFUL_MS;
  }

  async #list(depth: Depth): Promise<ExecutionAnswer[]> {
    const newest = this.#newest;
    if (newest === undefined) return this.#service.listExecutions();
    const from = depth === 'deep' ? before(newest, DEEP_S) : newest;
    const reaches = (seen: readonly ExecutionAnswer[]): boolean =>
      seen.some((execution) => createdAtOf(execution) <= from);
    if (depth === 'deep') return this.#service.listExecutions(PAGE, reaches);
    // As a rule there is our own since the last look, and the one to stop at; each execution weighs five kilobytes.
    const size = Math.min(PAGE, this.#countAfter(newest) + 1);
    if (size > SMALL_PAGE) return this.#service.listExecutions(size, reaches);
    const few = await this.#service.listExecutions(size, () => true);
    return reaches(few) ? few : this.#service.listExecutions(PAGE, reaches);
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
