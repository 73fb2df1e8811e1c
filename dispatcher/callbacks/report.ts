/** What is printed at the end of the job's own log: what its runner asked for, used, and waited for. Pure. */
import { coresInWords } from '../../providers/shape-words.ts';
import { SECOND } from '../../time/units.ts';
import type { LaneSpec } from '../jobs/lane.ts';
import { formatDuration } from '../labels/duration.ts';
import type { JobRow, RunnerRow } from '../ledger/ledger.ts';
import { estimatedCost, moneyWords } from '../model/price.ts';
import type { Price } from '../model/registration.ts';
import type { CompletedForm } from './form.ts';

export interface Reported {
  readonly runner: Pick<RunnerRow, 'name' | 'registration' | 'backend' | 'createdAtMs' | 'onlineAtMs' | 'busyAtMs'>;
  /** Undefined: it is not known yet which job the runner has. */
  readonly job: Pick<JobRow, 'createdAtMs' | 'startedAtMs'> | undefined;
  readonly wish: Pick<LaneSpec['wish'], 'cpu' | 'memoryGiB'> | undefined;
  readonly used: CompletedForm;
  /** Of its backend; undefined: it is not known. */
  readonly price: Price | undefined;
  readonly nowMs: number;
}

/** From here on the next larger size is worth a word. */
const NEARLY_FULL = 0.9;
const GIB = 2 ** 30;

export function reportOf({ runner, job, wish, used, price, nowMs }: Reported): readonly string[] {
  const lines = [
    `runner ${runner.name}${runner.backend === null ? '' : ` on ${runner.backend}`} (registration ${runner.registration})`,
    askedLine(wish, used),
    memoryLine(used),
    cpuLine(used, runner, nowMs),
    used.diskBytes === null ? undefined : `disk: ${size(used.diskBytes)} in the work folder`,
    timesLine(runner, job, nowMs),
    costLine(price, wish, runner, nowMs),
    outOfMemoryLine(used),
  ];
  return lines.filter((line) => line !== undefined).map((line) => `shr: ${line}`);
}

function askedLine(wish: Reported['wish'], { memoryLimitBytes }: CompletedForm): string | undefined {
  const asked = [
    ...(wish?.cpu === undefined ? [] : [coresInWords(wish.cpu)]),
    ...(wish?.memoryGiB === undefined ? [] : [`${wish.memoryGiB} GiB`]),
  ].join(', ');
  const given = memoryLimitBytes === null ? undefined : `the container has ${size(memoryLimitBytes)} of memory`;
  const parts = [...(asked === '' ? [] : [`asked for ${asked}`]), ...(given === undefined ? [] : [given])];
  return parts.length === 0 ? undefined : parts.join('; ');
}

function memoryLine({ memoryPeakBytes, memoryLimitBytes }: CompletedForm): string | undefined {
  if (memoryPeakBytes === null) return undefined;
  if (memoryLimitBytes === null || memoryLimitBytes === 0) return `memory: ${size(memoryPeakBytes)} at its peak`;
  const share = Math.round((memoryPeakBytes / memoryLimitBytes) * 100);
  return `memory: ${size(memoryPeakBytes)} at its peak, ${share} % of ${size(memoryLimitBytes)}`;
}

function cpuLine({ cpuSeconds }: CompletedForm, { busyAtMs }: Reported['runner'], nowMs: number): string | undefined {
  if (cpuSeconds === null) return undefined;
  const total = `cpu: ${formatDuration(Math.round(cpuSeconds) * SECOND)}`;
  const ranMs = busyAtMs === null ? 0 : nowMs - busyAtMs;
  if (ranMs < SECOND) return total;
  return `${total}, ${coresInWords(Math.round((cpuSeconds * SECOND * 10) / ranMs) / 10)} on average`;
}

function timesLine(runner: Reported['runner'], job: Reported['job'], nowMs: number): string | undefined {
  const startedAtMs = job?.startedAtMs ?? runner.busyAtMs;
  const times = [
    part('waited', job?.createdAtMs, runner.createdAtMs),
    part('ready in', runner.createdAtMs, runner.onlineAtMs ?? runner.busyAtMs),
    part('ran for', startedAtMs, nowMs),
  ].filter((words) => words !== undefined);
  return times.length === 0 ? undefined : `time: ${times.join(', ')}`;
}

function part(words: string, fromMs: number | null | undefined, toMs: number | null | undefined): string | undefined {
  if (fromMs === null || fromMs === undefined || toMs === null || toMs === undefined) return undefined;
  return `${words} ${formatDuration(Math.max(0, Math.round((toMs - fromMs) / SECOND)) * SECOND)}`;
}

/** From its launch to now: services count from a little later to a little later. */
function costLine(
  price: Price | undefined,
  wish: Reported['wish'],
  { createdAtMs }: Reported['runner'],
  nowMs: number,
): string | undefined {
  const ranMs = Math.max(0, nowMs - createdAtMs);
  const cost = estimatedCost(price, wish, ranMs);
  if (cost === undefined || price === undefined || wish?.cpu === undefined) return undefined;
  const lasted = formatDuration(Math.round(ranMs / SECOND) * SECOND);
  const size = `${coresInWords(wish.cpu)} and ${wish.memoryGiB} GiB for ${lasted}`;
  return `cost: about ${moneyWords(cost)} ${price.currency}, an estimate (${size})`;
}

function outOfMemoryLine({ memoryPeakBytes, memoryLimitBytes, oomKills }: CompletedForm): string | undefined {
  if (memoryLimitBytes === null) return undefined;
  const label = `memory-${Math.ceil((memoryLimitBytes / GIB) * 2)}`;
  if (oomKills !== null && oomKills > 0) {
    const times = oomKills === 1 ? 'once' : `${oomKills} times`;
    return `out of memory: the system killed a process ${times}. Ask for more with the label ${label}`;
  }
  const full = memoryPeakBytes !== null && memoryPeakBytes > NEARLY_FULL * memoryLimitBytes;
  return full ? `memory was nearly full: the label ${label} gives more` : undefined;
}

function size(bytes: number): string {
  return bytes >= GIB ? `${round(bytes / GIB)} GiB` : `${round(bytes / 2 ** 20)} MiB`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
