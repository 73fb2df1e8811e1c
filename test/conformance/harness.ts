/** What a provider supplies so that the conformance suite can judge it, on its service or a simulator of it on the wire. */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { LaunchRequest, Provider, ProviderHost } from '../../providers/provider.ts';

/** What an instance does. `programs` has them as shell scripts, for services that really run something. */
export type Program =
  /** Runs until it is stopped, and ends at SIGTERM. */
  | 'sleeps'
  | 'exits-zero'
  | 'exits-three'
  /** Prints `hello from inside` on standard output and `and a warning` on standard error, then sleeps. */
  | 'prints-and-sleeps'
  /** The same, then exits with 0. */
  | 'prints-and-ends'
  /** Prints 60,000 numbered lines, `the very last line`, and exits with 0. */
  | 'prints-much'
  /** Prints `PLAIN=<value>` and `SECRET has <n> characters`, and exits with 0. */
  | 'shows-environment'
  /** Sleeps, and ignores SIGTERM. */
  | 'ignores-sigterm'
  /** Starts children, one of them in a session of its own, and sleeps. */
  | 'has-children'
  /** The same, and exits with 0. */
  | 'leaves-children'
  /** Takes more memory than it has. */
  | 'takes-all-memory'
  /** Its image (or program) does not exist. */
  | 'is-missing';

export const programs: Readonly<Record<Exclude<Program, 'is-missing'>, string>> = {
  sleeps: 'trap "exit 143" TERM; sleep 600 & wait',
  'exits-zero': 'exit 0',
  'exits-three': 'exit 3',
  'prints-and-sleeps': 'trap "exit 143" TERM; echo hello from inside; echo and a warning >&2; sleep 600 & wait',
  'prints-and-ends': 'echo hello from inside; echo and a warning >&2',
  'prints-much': 'seq -f "line %08.0f" 1 60000 2>/dev/null || seq 100000 160000; echo the very last line',
  'shows-environment': 'echo "PLAIN=$PLAIN"; echo "SECRET has ${#SECRET} characters"',
  'ignores-sigterm': "trap '' TERM; while :; do sleep 1; done",
  'has-children': 'trap "exit 143" TERM; (sleep 601; :) & setsid sleep 602 & sleep 600 & wait',
  'leaves-children': 'sleep 601 & setsid sleep 602 & exit 0',
  'takes-all-memory': 'a=0123456789abcdef; while :; do a=$a$a; done',
};

/** What a service or its adapter may lack. A case that needs it is then skipped, with the harness's reason in its title. */
export type Ability =
  | 'exit-codes'
  | 'logs'
  | 'logs-while-running'
  /** 128 KB of the output at the least can still be read when it has ended. */
  | 'long-logs-after-the-end'
  /** `loseNextAnswer` */
  | 'lost-answers'
  /** `halfLaunch`: the service needs more than one call for a launch. */
  | 'half-launches'
  /** `foreign` */
  | 'foreign-names'
  /** `confuse` */
  | 'unknown-states'
  /** `processesOf` */
  | 'process-tree'
  | 'memory-limit'
  /** `check` asks the registry for an image, whatever the service has already. */
  | 'looks-up-images'
  /** `publicTraces` */
  | 'public-traces'
  /** `silent`, `refuses`, `intercepted`: there is a service that answers over a network. */
  | 'a-service';

/** A provider in front of a service that misbehaves until `end`. */
export interface Misbehaving {
  readonly provider: Provider;
  end(): Promise<void>;
}

/** Each ability that is missing, with the reason. */
export type Lacks = Partial<Readonly<Record<Ability, string>>>;

export interface Harness {
  /** The service's page size; for one without pages a handful. */
  readonly pageSize: number;
  /** How long a change may take until it is seen. */
  readonly patienceMs: number;

  /** A provider whose instances run `program`. Every call makes a new object, as a dispatcher does after a restart. */
  backend(program: Program): Promise<{ readonly provider: Provider; readonly image: string }>;
  /** One whose service does not answer at all. */
  unreachable(): Promise<Provider>;
  /** One whose service takes the connection and says nothing. Its options set a time limit of 2 s at the most. */
  silent(): Promise<Misbehaving>;
  /**
   * One whose service answers every call with this status, in its own form: 403 as it says that a permission is missing,
   * 400 as it says that the request is wrong, 500 with a code that no table has. `says` is its message.
   */
  refuses(status: 400 | 403 | 500, says: string): Promise<Misbehaving>;
  /** One that meets something else on the way, which answers with this status and a page of HTML. */
  intercepted(status: number): Promise<Misbehaving>;

  /** The next launch takes effect, but its answer never arrives. The returned function ends the fault. */
  loseNextAnswer(): Promise<() => Promise<void>>;
  /** Does the first step of this launch, as a dispatcher that then died. */
  halfLaunch(program: Program, request: LaunchRequest): Promise<void>;
  /** Puts something with this name there that is not ours, and tells afterwards whether it still is. */
  foreign(name: string): Promise<{ isIntact(): Promise<boolean>; remove(): Promise<void> }>;
  /** From now on the service says a state of this instance that nobody knows. The returned function ends that. */
  confuse(name: string): Promise<() => Promise<void>>;
  /** Process ids on this machine. */
  processesOf(name: string): Promise<readonly number[]>;
  /**
   * All that others can read without being let in: the service's raw list, command lines, tags, URLs that were called.
   * The id that the service gave the instance is in it.
   */
  publicTraces(name: string): Promise<string>;
  /** What there is with this prefix in its name, read from the service without the provider. */
  remains(prefix: string): Promise<readonly string[]>;
  /** Removes what the harness itself made. */
  close(): Promise<void>;
}

/**
 * Real time. `hurry` makes every sleep and timer end at once, and the timers that run already: for faults that no real
 * service shows on request.
 */
export function testHost(): ProviderHost & { hurry: boolean } {
  const running = new Set<() => void>();
  let isHurried = false;
  const host = {
    get hurry() {
      return isHurried;
    },
    set hurry(hurry) {
      isHurried = hurry;
      if (hurry) for (const end of running) setImmediate(end);
    },
    now: () => Date.now(),
    after(ms: number, action: () => void) {
      const end = () => {
        clearTimeout(timer);
        if (running.delete(end)) action();
      };
      running.add(end);
      const timer = setTimeout(end, isHurried ? 0 : ms);
      return () => {
        clearTimeout(timer);
        running.delete(end);
      };
    },
    sleep: async (ms: number) => {
      if (!isHurried) await delay(ms);
    },
    random: () => Math.random(),
  };
  return host;
}

/** A zombie has ended: PID 1 of this machine may be slow to look after orphans. */
export function isProcessAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}
