/**
 * Runners that GitHub shows online but gives no job, of one image over several lanes: a runner version that GitHub
 * refuses looks like this from outside. One lane alone proves nothing about its image: its job may be held back.
 */
import { ownFailure } from '../failures/failure.ts';
import type { RunnerRow } from '../ledger/ledger.ts';
import type { Backends } from './backends.ts';
import { SharedMemory } from './shared-memory.ts';

/** Lanes, each with a runner that idled beside a waiting job, before their image and shape are taken for the cause. */
const ENOUGH_LANES = 3;
/** Of one registration. */
const MAX_REMEMBERED = 10_000;

export class Ghosts {
  readonly #backends: Pick<Backends, 'recordFailure' | 'recordWork'>;
  /** Lanes whose runners idled since one of the image last got a job, by registration, backend, image and shape. */
  readonly #lanes = new SharedMemory<Set<string>>(MAX_REMEMBERED);

  constructor(backends: Pick<Backends, 'recordFailure' | 'recordWork'>) {
    this.#backends = backends;
  }

  /** A runner idled for its whole time although a matching job waited. */
  async recordIdle(runner: RunnerRow, nowMs: number): Promise<void> {
    const { backend, name, registration, specHash } = runner;
    if (backend === null) return;
    const key = keyOf(runner);
    const lanes = this.#lanes.get(key) ?? new Set<string>();
    this.#lanes.set(registration, key, lanes.add(runner.laneKey));
    if (lanes.size < ENOUGH_LANES) return;
    const words = `its runners were online in ${lanes.size} lanes, and GitHub gave none of them a job: it may refuse their runner version (shr runners show ${name} --output)`;
    await this.#backends.recordFailure(
      { registration, backend, specHash, runner: name },
      ownFailure('no-work', words, nowMs, `${registration}/${backend}`),
    );
  }

  /** A runner was given a job. */
  async recordWork(runner: RunnerRow): Promise<void> {
    const { backend, name, registration, specHash } = runner;
    if (backend === null) return;
    this.#lanes.delete(keyOf(runner));
    await this.#backends.recordWork({ registration, backend, specHash, runner: name });
  }
}

function keyOf({ backend, registration, specHash }: RunnerRow): string {
  return `${registration}/${backend}/${specHash}`;
}
