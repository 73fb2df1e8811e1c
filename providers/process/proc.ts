/** Linux process information: only /proc can tell a living process from a reused pid. */
import { readdir, readFile } from 'node:fs/promises';
import { mapLimited } from '../../time/workers.ts';

/** Identifies one process permanently: a pid alone is reused later. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat, in clock ticks since boot. */
  readonly startTicks: string;
  /** /proc/sys/kernel/random/boot_id: ticks restart at each boot. */
  readonly bootId: string;
}

/** `PID-TICKS-BOOTID`, as the supervisor writes it. */
export function parseIdentity(text: string): ProcessIdentity | undefined {
  const match = /^(\d+)-(\d+)-([0-9a-f-]{36})$/.exec(text);
  const [, pid, startTicks, bootId] = match ?? [];
  if (pid === undefined || startTicks === undefined || bootId === undefined) return undefined;
  return { pid: Number(pid), startTicks, bootId };
}

/** Undefined if /proc is usable, else what is wrong. */
export async function procProblem(): Promise<string | undefined> {
  try {
    await readFile('/proc/self/stat');
    await readFile('/proc/sys/kernel/random/boot_id');
    return undefined;
  } catch (error) {
    return `/proc cannot be read (${error instanceof Error ? error.message : String(error)})`;
  }
}

/** Rejects if /proc itself is missing: that says nothing about the process. */
export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  const bootId = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  if (bootId !== identity.bootId) return false;
  try {
    const stat = await readFile(`/proc/${identity.pid}/stat`, 'utf8');
    // The second field is the program's name in parentheses and may itself contain spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie has ended; a parent that never waits (PID 1 of many containers) leaves it in the table.
    return fields[19] === identity.startTicks && fields[0] !== 'Z' && fields[0] !== 'X';
  } catch {
    return false;
  }
}

/** The processes with `key` in their environment, by its value. Those of other users are not visible. */
async function scanEnvironments(key: string): Promise<ReadonlyMap<string, readonly number[]>> {
  const found = new Map<string, number[]>();
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const prefix = `${key}=`;
  await mapLimited(pids, 16, async (pid) => {
    let environment: string;
    try {
      environment = await readFile(`/proc/${pid}/environ`, 'utf8');
    } catch {
      return; // ended meanwhile, or another user's
    }
    const entry = environment.split('\0').find((line) => line.startsWith(prefix));
    if (entry === undefined) return;
    const value = entry.slice(prefix.length);
    found.set(value, [...(found.get(value) ?? []), pid]);
  });
  return found;
}

/** Callers that ask before a walk through /proc begins share it: many instances end at once. */
export class EnvironmentScanner {
  readonly #key: string;
  #running: Promise<unknown> = Promise.resolve();
  #next: Promise<ReadonlyMap<string, readonly number[]>> | undefined;

  constructor(key: string) {
    this.#key = key;
  }

  async pidsOf(value: string): Promise<readonly number[]> {
    this.#next ??= this.#running.then(() => {
      this.#next = undefined;
      const scan = scanEnvironments(this.#key);
      this.#running = scan.catch(() => undefined);
      return scan;
    });
    return (await this.#next).get(value) ?? [];
  }
}
