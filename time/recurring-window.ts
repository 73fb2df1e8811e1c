/**
 * Windows of time that come again, such as Saturdays from two to six: a cron expression says when one begins. Times are
 * arguments; node-cron only reads the expression. Resolution: a minute.
 */
import type { ScheduledTask } from 'node-cron';
import { MINUTE } from './units.ts';

export interface RecurringWindow {
  /** Five fields, of node-cron: minute, hour, day of the month, month, day of the week. */
  readonly cron: string;
  readonly durationMs: number;
  /** Of IANA: `Europe/Berlin`. */
  readonly timeZone: string;
}

/** All zones are whole quarters of an hour from UTC: within one, the local hour does not change, nor the minute's step. */
const QUARTER = 15 * MINUTE;

interface Expression {
  readonly minutes: ReadonlySet<number>;
  readonly hours: ReadonlySet<number>;
  /** Of a local day, whatever the time of day. */
  readonly isDay: (atMs: number) => boolean;
  readonly local: Intl.DateTimeFormat;
}

export class RecurringWindows {
  readonly #createTask: typeof import('node-cron').createTask;
  readonly #parse: typeof import('node-cron').parse;
  readonly #validate: typeof import('node-cron').validateDetailed;
  /** By window: a configuration that was replaced takes its windows with it. */
  readonly #known = new WeakMap<RecurringWindow, { read: Expression; lookedMs: number; beganMs: number | undefined }>();

  private constructor({ createTask, parse, validateDetailed }: typeof import('node-cron')) {
    this.#createTask = createTask;
    this.#parse = parse;
    this.#validate = validateDetailed;
  }

  /** Loads node-cron: a start without windows does not wait for it. */
  static async load(): Promise<RecurringWindows> {
    return new RecurringWindows(await import('node-cron'));
  }

  /** What is wrong with an expression; undefined if it is right. */
  problemOf(cron: string): string | undefined {
    if (cron.split(' ').length !== 5)
      return 'it has five fields: minute, hour, day of the month, month, day of the week';
    const { valid, errors } = this.#validate(cron);
    if (valid) return undefined;
    const [first] = errors;
    return `${first?.field ?? 'a field'} \`${first?.value ?? ''}\` is not valid`;
  }

  /** When the window that is open now ends; undefined: none is. Looks once at each minute, however often it is asked. */
  openUntilMs(window: RecurringWindow, nowMs: number): number | undefined {
    const { durationMs } = window;
    const minute = Math.floor(nowMs / MINUTE) * MINUTE;
    const known = this.#known.get(window);
    // A clock that was set back looks anew.
    const since = known === undefined || known.lookedMs > minute ? Number.NEGATIVE_INFINITY : known.lookedMs;
    const read = known?.read ?? this.#read(window);
    const last = since === minute ? undefined : lastBeginning(read, Math.max(since, minute - durationMs), minute);
    const beganMs = last ?? (since === Number.NEGATIVE_INFINITY ? undefined : known?.beganMs);
    this.#known.set(window, { read, lookedMs: minute, beganMs });
    return beganMs !== undefined && nowMs < beganMs + durationMs ? beganMs + durationMs : undefined;
  }

  #read({ cron, timeZone }: RecurringWindow): Expression {
    const { minute, hour } = this.#parse(cron);
    const [, , ...day] = cron.split(' ');
    const task: ScheduledTask = this.#createTask(`* * ${day.join(' ')}`, () => {}, { timezone: timeZone });
    // It is never started: only its calendar is asked. Destroyed, it leaves node-cron's list of tasks.
    void task.destroy();
    const local = new Intl.DateTimeFormat('en-US', {
      timeZone,
      hourCycle: 'h23',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
    });
    return { minutes: new Set(minute), hours: new Set(hour), isDay: (atMs) => task.match(new Date(atMs)), local };
  }
}

/** The last minute after `afterMs`, up to `untilMs`, at which a window begins. */
function lastBeginning(
  { minutes, hours, isDay, local }: Expression,
  afterMs: number,
  untilMs: number,
): number | undefined {
  const days = new Map<number, boolean>();
  for (let quarter = Math.floor(untilMs / QUARTER) * QUARTER; quarter + QUARTER > afterMs; quarter -= QUARTER) {
    const part = new Map(local.formatToParts(quarter).map(({ type, value }) => [type, Number(value)]));
    if (!hours.has(part.get('hour') ?? -1)) continue;
    const day = part.get('day') ?? 0;
    const isRight = days.get(day) ?? isDay(quarter);
    days.set(day, isRight);
    if (!isRight) continue;
    const first = part.get('minute') ?? 0;
    for (let at = Math.min(quarter + QUARTER - MINUTE, untilMs); at >= quarter && at > afterMs; at -= MINUTE) {
      if (minutes.has(first + (at - quarter) / MINUTE)) return at;
    }
  }
  return undefined;
}
