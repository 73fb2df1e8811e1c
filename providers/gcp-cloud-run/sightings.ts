/**
 * Which executions carry which runner's name. The service cannot be asked for a name, so all executions are listed once,
 * and after that only the new ones: that an execution was made with a name never changes. What has become of it is asked
 * of the service each time.
 */
import type { CloudRun } from './service.ts';
import { before, type CreatedAt, createdAtOf, type ExecutionAnswer, type Sighting, sighting } from './state.ts';

/** Executions that were made at the same moment may be seen one after the other. */
const OVERLAP_S = 2;
const PAGE = 10;
/** The service itself forgets an execution that ended a week ago, and none runs for longer than one. */
const KEPT_S = 15 * 86_400;

export class Sightings {
  readonly #service: CloudRun;
  readonly #byName = new Map<string, Map<string, Sighting>>();
  #newest: CreatedAt | undefined;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(service: CloudRun) {
    this.#service = service;
  }

  /** In the order of their creation, those that are gone by now included. From a look that began after this call. */
  async of(name: string): Promise<readonly Sighting[]> {
    await this.#look();
    return this.known(name);
  }

  /** Without a look. */
  known(name: string): readonly Sighting[] {
    const all = [...(this.#byName.get(name)?.values() ?? [])];
    return all.sort((a, b) => (`${a.createdAt} ${a.id}` < `${b.createdAt} ${b.id}` ? -1 : 1));
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

  forget({ name, id }: Sighting): void {
    const ofName = this.#byName.get(name);
    ofName?.delete(id);
    if (ofName?.size === 0) this.#byName.delete(name);
  }

  /** Many ask at once: those that came too late for the look under way share the next one. */
  #look(): Promise<void> {
    if (this.#running === undefined) return this.#start();
    this.#next ??= this.#running.then(
      () => this.#start(),
      () => this.#start(),
    );
    return this.#next;
  }

  #start(): Promise<void> {
    this.#next = undefined;
    const look = this.#read().finally(() => {
      if (this.#running === look) this.#running = undefined;
    });
    this.#running = look;
    return look;
  }

  async #read(): Promise<void> {
    const from = this.#newest === undefined ? undefined : before(this.#newest, OVERLAP_S);
    const executions =
      from === undefined
        ? await this.#service.listExecutions()
        : await this.#service.listExecutions(PAGE, (page) => page.some((execution) => createdAtOf(execution) < from));
    this.add(executions);
    // Only what a look has seen counts: an answer to RunJob says nothing of what was made before it.
    for (const execution of executions) {
      const createdAt = createdAtOf(execution);
      if (this.#newest === undefined || createdAt > this.#newest) this.#newest = createdAt;
    }
    this.#forgetOld();
  }

  #forgetOld(): void {
    if (this.#newest === undefined) return;
    const oldest = before(this.#newest, KEPT_S);
    for (const ofName of this.#byName.values()) {
      for (const seen of ofName.values()) if (seen.createdAt < oldest) this.forget(seen);
    }
  }
}
