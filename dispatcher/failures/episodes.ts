/**
 * Conditions that are logged when they begin, while they last and when they end, not each time they occur: a thousand
 * refusals in a second become one line, and the last line has the count.
 */
import type { Clock } from '../../time/clock.ts';
import type { Log } from '../log.ts';

/** A condition that lasts: since when, and how often it occurred. */
export interface Episode {
  readonly name: string;
  readonly sinceMs: number;
  readonly count: number;
}

/** One set of conditions with one event in the log. */
export interface EpisodesOptions {
  readonly clock: Clock;
  readonly log: Pick<Log, 'warn' | 'info'>;
  /** The event of every line; its field `state` is `begins`, `lasts` or `ends`. */
  readonly event: string;
  /** A condition has ended when it has not occurred for this long. */
  readonly quietMs?: number;
  readonly lastsMs?: number;
  /** For one episode, after it has ended. */
  readonly onEnd?: (name: string) => void;
}

const QUIET_MS = 30_000;
const LASTS_MS = 600_000;
/** Names come from our own code and configuration; the limit guards against a careless new caller. */
const MAX_EPISODES = 1_000;
const MAX_SENDERS = 64;

interface Running {
  readonly name: string;
  readonly sinceMs: number;
  count: number;
  metSinceLook: boolean;
  quietLooks: number;
  looks: number;
  readonly senders: Map<string, number>;
}

/**
 * The conditions of one event. `met` may be called thousands of times a second: it writes one line as a condition
 * begins.
 */
export class Episodes {
  readonly #options: EpisodesOptions;
  readonly #running = new Map<string, Running>();
  #cancel: (() => void) | undefined;
  readonly #lookMs: number;

  constructor(options: EpisodesOptions) {
    this.#options = options;
    this.#lookMs = Math.max(1, Math.round((options.quietMs ?? QUIET_MS) / 3));
  }

  /** `from`: the cause, such as an address. The most frequent one is reported. */
  met(name: string, from?: string): void {
    const episode = this.#running.get(name) ?? this.#begin(name, from);
    if (episode === undefined) return;
    episode.count += 1;
    episode.metSinceLook = true;
    if (from === undefined) return;
    const times = episode.senders.get(from);
    if (times !== undefined || episode.senders.size < MAX_SENDERS) episode.senders.set(from, (times ?? 0) + 1);
  }

  /** Those that last, in the order in which they began. */
  current(): readonly Episode[] {
    return [...this.#running.values()].map(({ name, sinceMs, count }) => ({ name, sinceMs, count }));
  }

  /** Ends all of them, logging their last lines. */
  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    for (const episode of this.#running.values()) this.#end(episode);
  }

  #begin(name: string, from: string | undefined): Running | undefined {
    if (this.#running.size >= MAX_EPISODES) return undefined;
    const { clock, log, event } = this.#options;
    const episode: Running = {
      ...{ name, sinceMs: clock.now(), count: 0, metSinceLook: true, quietLooks: 0, looks: 0 },
      senders: new Map(),
    };
    this.#running.set(name, episode);
    log.warn(event, { cause: name, state: 'begins', ...(from === undefined ? {} : { from }) });
    this.#cancel ??= this.#options.clock.after(this.#lookMs, () => this.#look());
    return episode;
  }

  /** Counts ticks instead of clock time, which may jump. */
  #look(): void {
    for (const episode of this.#running.values()) {
      episode.looks += 1;
      episode.quietLooks = episode.metSinceLook ? 0 : episode.quietLooks + 1;
      episode.metSinceLook = false;
      if (episode.quietLooks >= 3) this.#end(episode);
      else if (episode.looks * this.#lookMs >= (this.#options.lastsMs ?? LASTS_MS)) {
        episode.looks = 0;
        this.#options.log.warn(this.#options.event, { cause: episode.name, state: 'lasts', ...summary(episode) });
      }
    }
    this.#cancel = this.#running.size === 0 ? undefined : this.#options.clock.after(this.#lookMs, () => this.#look());
  }

  #end(episode: Running): void {
    const { clock, log, event, onEnd } = this.#options;
    this.#running.delete(episode.name);
    const forMs = Math.max(0, clock.now() - episode.sinceMs);
    log.info(event, { cause: episode.name, state: 'ends', forMs, ...summary(episode) });
    onEnd?.(episode.name);
  }
}

function summary(episode: Running) {
  const [most] = [...episode.senders].sort(([, one], [, other]) => other - one);
  return { count: episode.count, ...(most === undefined ? {} : { mostFrom: most[0] }) };
}
