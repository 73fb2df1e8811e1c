/** A ledger in a place of its own, for the tests that every store has to pass. */
import type { Ledger } from '../../dispatcher/ledger/ledger.ts';
import { admitted, fact, keyOf, lane } from './examples.ts';

/** A place where one ledger lives: it can be opened, closed and opened again, and finds what it left. */
export interface Place {
  open(now: () => number): Promise<Ledger>;
  discard(): Promise<void>;
}

export class OpenedLedger {
  readonly #newPlace: () => Promise<Place>;
  #place: Place | undefined;
  #ledger: Ledger | undefined;
  nowMs = 0;

  constructor(newPlace: () => Promise<Place>) {
    this.#newPlace = newPlace;
  }

  get ledger(): Ledger {
    if (this.#ledger === undefined) throw new Error('it is open while a test runs');
    return this.#ledger;
  }

  async begin(): Promise<void> {
    this.nowMs = 50_000;
    this.#place = await this.#newPlace();
    await this.reopen();
  }

  async end(): Promise<void> {
    await this.ledger.close();
    await this.#place?.discard();
  }

  async restart(): Promise<void> {
    await this.ledger.close();
    await this.reopen();
  }

  /** After it was closed. */
  async reopen(): Promise<void> {
    this.#ledger = await this.#place?.open(() => this.nowMs);
  }

  async known(key: string) {
    const row = await this.ledger.job(key);
    if (row === undefined) throw new Error(`no job ${key}`);
    return row;
  }

  /** Queued jobs in the lane, in the order of their ids. */
  async queue(ids: readonly number[], spec = lane()): Promise<void> {
    await this.ledger.recordFacts(ids.map((jobId) => fact({ jobId, observedAtMs: 10_000 + jobId })));
    for (const jobId of ids) await this.ledger.settleJobs([admitted(await this.known(keyOf(jobId)), spec)]);
  }
}

export const names = (rows: readonly { readonly name: string }[]) => rows.map((row) => row.name);
export const keys = (rows: readonly { readonly key: string }[]) => rows.map((row) => row.key);

/** The error that the promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('it did not reject');
}
