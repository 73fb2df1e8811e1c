/**
 * Which executions carry which runner's name. The service cannot be asked for a name, so all executions are listed once,
 * and after that only the new ones: that an execution was made with a name never changes. What has become of it is asked
 * of the service each time.
 */
import type { ProviderHost } from '../provider.ts';
import type { CloudRun } from './calls.ts';
import { before, type CreatedAt, createdAtOf, type ExecutionAnswer, type Sighting, sighting } from './state.ts';

/** An execution whose creation took so long may first be seen below others that were made later. */
const LATE_S = 60;
const PAGE = 50;
/** The service itself forgets an execution that ended a week ago, and none runs for longer than one. */
const KEPT_S = 15 * 86_400;
const FORGET_EVERY_MS = 3_600_000;

export class Sightings {
  readonly #service: CloudRun;
  readonly #host: ProviderHost;
  readonly #byName = new Map<string, Map<string, Sighting>>();
  /** Of those that a look has seen: an answer to RunJob says nothing of what was made before it. */
  #newest: CreatedAt | undefined;
  #forgotAtMs = Number.NEGATIVE_INFINITY;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(service: CloudRun, host: ProviderHost) {
    this.#service = service;
    this.#host = host;
  }

  /** In the order of their creation, those that are gone by now included. From a look that began after this call. */
  async of(name: string): Promise<readonly Sighting[]> {
    await this.#look();
    const all = [...(this.#byName.get(name)?.values() ?? [])];
    return all.sort((a, b) => (`${a.createdAt} ${a.id}` < `${b.createdAt} ${b.id}` ? -1 : 1));
  }

  /** From an answer that came for another reason. Undefined for what has nothing to do with runners. */
  add(execution: ExecutionAnswer): Sighting | undefined {
    const seen = sighting(execution);
    if (seen === undefined) return undefined;
    const ofName = this.#byName.get(seen.name) ?? new Map<string, Sighting>();
    this.#byName.set(seen.name, ofName.set(seen.id, seen));
    return seen;
  }

  /** All that there were, or all since the last look. */
  addAll(executions: readonly ExecutionAnswer[]): void {
    for (const execution of executions) {
      this.add(execution);
      const createdAt = createdAtOf(execution);
      if (this.#newest === undefined || createdAt > this.#newest) this.#newest = createdAt;
    }
    this.#forgetOld();
  }

  forget({ name, id }: Sighting): void {
    const ofName = this.#byName.get(name);
    ofName?.delete(id);
    if (ofName?.size === 0) this.#byName.delete(name);
  }

  /** Many ask at once: those that came too late for the look under way share the next one. */
  #look(): Promise<void> {
    if (this.#running === undefined) return this.#start();
    if (this.#next === undefined) {
      const start = (): Promise<void> => {
        this.#next = undefined;
        return this.#start();
      };
      this.#next = this.#running.then(start, start);
    }
    return this.#next;
  }

  #start(): Promise<void> {
    const look = this.#read().finally(() => {
      if (this.#running === look) this.#running = undefined;
    });
    this.#running = look;
    return look;
  }

  async #read(): Promise<void> {
    const newest = this.#newest;
    if (newest === undefined) {
      this.addAll(await this.#service.listExecutions());
      return;
    }
    const from = before(newest, LATE_S);
    const reaches = (seen: readonly ExecutionAnswer[]): boolean =>
      seen.some((execution) => createdAtOf(execution) <= from);
    this.addAll(await this.#service.listExecutions(PAGE, reaches));
  }

  /** Now and then: it goes through everything. */
  #forgetOld(): void {
    if (this.#newest === undefined || this.#host.now() < this.#forgotAtMs + FORGET_EVERY_MS) return;
    this.#forgotAtMs = this.#host.now();
    const oldest = before(this.#newest, KEPT_S);
    for (const ofName of this.#byName.values()) {
      for (const seen of ofName.values()) if (seen.createdAt < oldest) this.forget(seen);
    }
  }
}
