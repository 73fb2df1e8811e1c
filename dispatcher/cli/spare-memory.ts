/**
 * Gives memory back to the system. V8 lets the heap of a process grow with what it does, to 128 MB for young objects
 * alone, and takes its time to shrink it: a service at rest would keep what reading thousands of registrations took.
 */
import { getHeapStatistics } from 'node:v8';
import type { Clock } from '../../time/clock.ts';
import { MINUTE, SECOND } from '../../time/units.ts';

export interface SpareMemoryOptions {
  readonly clock: Pick<Clock, 'after'>;
  /** CPU of the process since its start. */
  readonly cpuMs: () => number;
  /** What the heap takes from the system. */
  readonly heapBytes: () => number;
  /** Collects all garbage, and makes the heap as small as it can be. Stops everything else for about 1 ms a MB. */
  readonly collect: () => Promise<void>;
  /** It could not be collected, and is not tried again: the service only takes more memory. Must not throw. */
  readonly failed: (error: unknown) => void;
}

/** Until it was done once: the start has the most to give back. */
const FIRST_MS = 5 * SECOND;
/** Once more, for what the start left to do: the first listings. */
const SECOND_MS = MINUTE;
const EVERY_MS = 5 * MINUTE;
/** Less than this share of a core is rest. */
const REST_SHARE = 0.1;
/** Less is not worth it. */
const WORTH_BYTES = 8 * 1024 * 1024;

/** Looks now and then whether the process rests and has grown. Returns what ends it. */
export function spareMemory({ clock, cpuMs, heapBytes, collect, failed }: SpareMemoryOptions): () => void {
  let smallest = 0;
  let nextMs = FIRST_MS;
  let cancel = () => {};
  let stopped = false;

  async function look(sinceMs: number, hadMs: number): Promise<void> {
    const rests = cpuMs() - hadMs < REST_SHARE * sinceMs;
    if (rests && heapBytes() - smallest >= WORTH_BYTES) {
      await collect();
      smallest = heapBytes();
    }
    if (smallest > 0) nextMs = nextMs === FIRST_MS ? SECOND_MS : EVERY_MS;
    if (!stopped) wait();
  }

  function wait(): void {
    const ms = nextMs;
    const hadMs = cpuMs();
    cancel = clock.after(ms, () => void look(ms, hadMs).catch(failed));
  }

  wait();
  return () => {
    stopped = true;
    cancel();
  };
}

export function systemMemory(): Omit<SpareMemoryOptions, 'clock' | 'failed'> {
  return {
    cpuMs() {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1000;
    },
    heapBytes: () => getHeapStatistics().total_physical_size,
    async collect() {
      const { Session } = await import('node:inspector/promises');
      const session = new Session();
      session.connect();
      try {
        // The only call of Node's that also shrinks the heap; `gc()` of --expose-gc collects alone.
        await session.post('HeapProfiler.collectGarbage');
      } finally {
        session.disconnect();
      }
    },
  };
}
