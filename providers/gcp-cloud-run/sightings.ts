/**
 * Which executions carry which runner's name. The service cannot filter by name, so all executions are listed once, and
 * after that only the new ones: the name that an execution was created with never changes. Its current state is fetched
 * from the service each time.
 */
import type { ProviderHost } from '../provider.ts';
import type { CloudRun } from './calls.ts';
import { before, type CreatedAt, createdAtOf, type ExecutionAnswer, type Sighting, sighting } from './state.ts';

/** An execution that takes this long to create may first appear below others that were created later. */
const LATE_S = 60;
const PAGE = 50;
/** The service itself forgets an execution a week after its end, and none runs longer than that. */
const KEPT_S = 15 * 86_400;
const FORGET_EVERY_MS = 3_600_000;

export class Sightings {
  readonly #service: CloudRun;
  readonly #host: ProviderHost;
  readonly #byName = new Map<string, Map<string, Sighting>>();
  /** The newest seen in a list: an answer to RunJob says nothing about executions created before it. */
  #newest: CreatedAt | undefined;
  #forgotAtMs = Number.NEGATIVE_INFINITY;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(service: CloudRun, host: ProviderHost) {
    this.#service = service;
    this.#host = host;
  }

  /** In order of creation, including those that are gone by now. Based on a look that began after this call. */
  async of(name: string): Promise<readonly Sighting[]> {
    await this.#look();
    const all = [...(this.#byName.get(name)?.values() ?? [])];
    return all.sort((a, b) => (`${a.createdAt} ${a.id}` < `${b.createdAt} ${b.id}` ? -1 : 1));
  }

  /** From an answer to another call. Undefined if the execution is unrelated to runners. */
  add(execution: ExecutionAnswer): Sighting | undefined {
    const seen = sighting(execution);
    if (seen === undefined) return undefined;
    const ofName = this.#byName.get(seen.name) ?? new Map<string, Sighting>();
    this.#byName.set(seen.name, ofName.set(seen.id, seen));
    return seen;
  }

  /** All executions, or all since the last look. */
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

  /** Shared by concurrent callers: those that came too late for the look in progress share the next one. */
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

  /** Only occasionally, as it goes through everything. */
  #forgetOld(): void {
    if (this.#newest === undefined || this.#host.now() < this.#forgotAtMs + FORGET_EVERY_MS) return;
    this.#forgotAtMs = this.#host.now();
    const oldest = before(this.#newest, KEPT_S);
    for (const ofName of this.#byName.values()) {
      for (const seen of ofName.values()) if (seen.createdAt < oldest) this.forget(seen);
    }
  }
}
