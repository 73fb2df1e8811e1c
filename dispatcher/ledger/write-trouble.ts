/** Why writes fail, as it is shown. */
import { SECOND } from '../../time/units.ts';
import { LedgerError, UnreadableRowError, type WriteTrouble } from './ledger.ts';

/** On a disk that is full, what changes a row may succeed between two writes that need more room. */
const WELL_AFTER_MS = 10 * SECOND;

/** It is over with the next write that succeeds. On a full disk none may have failed for a while too, or it would come and go. */
export class LastingTrouble {
  readonly #now: () => number;
  #last: (WriteTrouble & { readonly atMs: number }) | undefined;
  #succeeds = false;

  constructor(now: () => number) {
    this.#now = now;
  }

  get now(): WriteTrouble | undefined {
    if (this.#last === undefined) return undefined;
    const { atMs, error, sinceMs } = this.#last;
    // Longer than that in either direction: the clock may have been set back.
    const hasRested = error.kind !== 'full' || Math.abs(this.#now() - atMs) >= WELL_AFTER_MS;
    const isOver = this.#succeeds && hasRested;
    return isOver ? undefined : { error, sinceMs };
  }

  /** A row that cannot be read is none: others can be written. */
  failed(error: unknown): void {
    if (!(error instanceof LedgerError) || error instanceof UnreadableRowError) return;
    const atMs = this.#now();
    this.#last = { error, sinceMs: this.now?.sinceMs ?? atMs, atMs };
    this.#succeeds = false;
  }

  succeeded(): void {
    this.#succeeds = true;
    if (this.now === undefined) this.#last = undefined;
  }
}
