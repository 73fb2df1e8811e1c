/**
 * Images whose runners run jobs and never call back: they lack our hooks, or cannot reach `listen.public.url` from where
 * they run. GitHub says that a runner ran a job, and only the container can call, so that neither can be claimed by others.
 * In memory: only runners that this process has launched are counted, because it knows of all their calls.
 */
import type { Clock } from '../../time/clock.ts';
import { DAY } from '../../time/units.ts';
import type { RunnerRow } from '../ledger/ledger.ts';
import { SharedMemory } from './shared-memory.ts';

export interface SilentImage {
  readonly image: string;
  readonly backend: string;
  /** Undefined: the backend's own. */
  readonly subnet: string | undefined;
  /** Runners that ran a job and never called, one after the other. */
  readonly runners: number;
  readonly sinceMs: number;
}

export interface LaunchedRunner {
  readonly runner: string;
  readonly registration: string;
  readonly backend: string;
  readonly image: string;
  readonly subnet: string | undefined;
}

/** Fewer may be chance: a container that ended before its first call. */
const MIN_RUNNERS = 3;
/** Of one registration; live runners have a cap of their own. */
const MAX_LIVE = 10_000;
const MAX_IMAGES = 100;
/** No runner of it has ended since: it is not in use any more. */
const FORGOTTEN_MS = DAY;

interface Live extends LaunchedRunner {
  hasCalled: boolean;
}

interface Silence extends LaunchedRunner {
  readonly runners: number;
  readonly sinceMs: number;
  readonly lastAtMs: number;
}

export class SilentImages {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #live = new SharedMemory<Live>(MAX_LIVE);
  /** By registration, the one that was counted last at the end. */
  readonly #silent = new Map<string, Map<string, Silence>>();

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  /** It was told where to call. Again, where another backend is tried. */
  launched(launched: LaunchedRunner): void {
    const hasCalled = this.#live.get(launched.runner)?.hasCalled ?? false;
    this.#live.set(launched.registration, launched.runner, { ...launched, hasCalled });
  }

  /** A call came with its token. */
  called(runner: string): void {
    const live = this.#live.get(runner);
    if (live === undefined || live.hasCalled) return;
    live.hasCalled = true;
    this.#drop(live.registration, keyOf(live));
  }

  /** It is gone: no call of it is taken any more. */
  ended({ name, jobKey }: Pick<RunnerRow, 'name' | 'jobKey'>): void {
    const live = this.#live.get(name);
    if (live === undefined) return;
    this.#live.delete(name);
    if (live.hasCalled || jobKey === null) return;
    const key = keyOf(live);
    const now = this.#clock.now();
    const images = this.#silent.get(live.registration) ?? new Map<string, Silence>();
    const before = images.get(key);
    const [oldest] = images.keys();
    images.delete(key);
    if (before === undefined && oldest !== undefined && images.size >= MAX_IMAGES) images.delete(oldest);
    const runners = (before?.runners ?? 0) + 1;
    images.set(key, { ...live, runners, sinceMs: before?.sinceMs ?? now, lastAtMs: now });
    this.#silent.set(live.registration, images);
  }

  /** The registration is gone. */
  forget(registration: string): void {
    this.#silent.delete(registration);
    for (const [runner, live] of [...this.#live.entries()]) {
      if (live.registration === registration) this.#live.delete(runner);
    }
  }

  of(registration: string): readonly SilentImage[] {
    const now = this.#clock.now();
    const found: SilentImage[] = [];
    for (const [key, { image, backend, subnet, runners, sinceMs, lastAtMs }] of this.#silent.get(registration) ?? []) {
      if (now - lastAtMs > FORGOTTEN_MS) this.#drop(registration, key);
      else if (runners >= MIN_RUNNERS) found.push({ image, backend, subnet, runners, sinceMs });
    }
    return found;
  }

  #drop(registration: string, key: string): void {
    const images = this.#silent.get(registration);
    images?.delete(key);
    if (images?.size === 0) this.#silent.delete(registration);
  }
}

export function silenceWords({ backend, image, runners, subnet }: SilentImage, url: string): string {
  const where = subnet === undefined ? `the network of backend ${backend}` : `subnet ${subnet} of backend ${backend}`;
  return (
    `the last ${runners} runners of image ${image} on backend ${backend} ran jobs and never called: the image lacks our hooks, or ` +
    `${url} cannot be reached from ${where}. Jobs are not asked about before their first step there, unless requireHook stops them. ` +
    'Build the image from ours (docs/runner-image.md), or let that network reach the address; the first call ends this'
  );
}

function keyOf({ registration, image, backend, subnet }: LaunchedRunner): string {
  return JSON.stringify([registration, image, backend, subnet ?? null]);
}
