/** What happened to each job, read from the dispatcher's admin API, one line per job. */
import type { JobView as GithubJob } from '../../../simulators/github/index.ts';
import {
  jobListSchema,
  type RunnerView,
  runnerDetailSchema,
  runnerListSchema,
  type TimelineView,
} from '../../http/admin-shapes.ts';
import type { AdminClient } from '../admin-client.ts';

export interface JobStory {
  readonly id: number;
  readonly name: string;
  /** Stages in their order, in seconds since the demo began. */
  readonly stages: readonly { readonly stage: string; readonly atS: number }[];
  readonly refusal: { readonly reason: string; readonly cure: string } | undefined;
  readonly note: string | undefined;
  /** Why it waits; undefined if it does not, or started waiting only a moment ago. */
  readonly waits: string | undefined;
}

/** Returns the stories in the order in which GitHub created the jobs. Reads timelines of finished runners once. */
export class Storyteller {
  readonly #admin: AdminClient;
  readonly #startedAtMs: number;
  readonly #finished = new Map<string, readonly TimelineView[]>();
  /** When jobs that waited for an approval were seen to be queued; undefined: they wait still. */
  readonly #approvals = new Map<number, number | undefined>();

  constructor(admin: AdminClient, startedAtMs: number) {
    this.#admin = admin;
    this.#startedAtMs = startedAtMs;
  }

  async tell(jobs: readonly GithubJob[], nowMs: number): Promise<readonly JobStory[]> {
    const { jobs: known } = await this.#admin.get(['jobs'], { limit: '100' }, jobListSchema);
    const { runners } = await this.#admin.get(['runners'], { limit: '100' }, runnerListSchema);
    const stories: JobStory[] = [];
    for (const job of jobs) {
      const seen = known.find(({ id }) => id === job.id);
      const runner = runners.find(({ job: bound, name }) => bound === seen?.key || name === job.runnerName);
      // GitHub gives a runner to whichever job comes first with its labels.
      const launched = runner ?? runners.find((one) => seen !== undefined && one.launchedFor === seen.key && !one.job);
      const isAnothers = runner !== undefined && seen !== undefined && runner.launchedFor !== seen.key;
      stories.push({
        id: job.id,
        name: job.name,
        stages: told(
          this.#beginning(job, nowMs),
          launched === undefined ? [] : await this.#stages(launched),
          isAnothers,
        ),
        refusal:
          seen?.admission === 'refused'
            ? { reason: seen.reason ?? 'refused', cure: seen.cure ?? 'see the log' }
            : undefined,
        note:
          seen?.admission === 'not-ours'
            ? `not ours${job.runnerName === null ? '' : `: ${job.runnerName} runs it`}`
            : endOf(job),
        // Until the dispatcher has heard that the job is queued, its reason is that of the status before.
        waits:
          seen?.admission === 'refused' || seen?.status !== job.status
            ? undefined
            : this.#waits(seen.waitReason ?? undefined, launched),
      });
    }
    return stories;
  }

  #beginning({ id, status, createdAtMs }: GithubJob, nowMs: number): JobStory['stages'] {
    if (status === 'waiting') this.#approvals.set(id, undefined);
    else if (this.#approvals.has(id)) this.#approvals.set(id, this.#approvals.get(id) ?? nowMs);
    const created = this.#seconds(createdAtMs);
    if (!this.#approvals.has(id)) return [{ stage: 'queued', atS: created }];
    const approvedAtMs = this.#approvals.get(id);
    return [
      { stage: APPROVAL, atS: created },
      ...(approvedAtMs === undefined ? [] : [{ stage: 'queued', atS: this.#seconds(approvedAtMs) }]),
    ];
  }

  /** What the job waits for, together with why its last runner failed. */
  #waits(reason: string | undefined, runner: RunnerView | undefined): string | undefined {
    const failure = runner?.failure?.message;
    if (reason === undefined) return undefined;
    return failure === undefined || reason.includes(failure) ? reason : `${reason}; the last runner: ${failure}`;
  }

  async #stages(runner: RunnerView): Promise<JobStory['stages']> {
    const stages: { stage: string; atS: number }[] = [];
    for (const { at, state } of await this.#timeline(runner)) {
      if (stages.at(-1)?.stage !== state) stages.push({ stage: state, atS: this.#seconds(Date.parse(at)) });
    }
    return stages;
  }

  async #timeline(runner: RunnerView): Promise<readonly TimelineView[]> {
    const finished = this.#finished.get(runner.name);
    if (finished !== undefined) return finished;
    const { timeline } = await this.#admin.get(['runners', runner.name], {}, runnerDetailSchema);
    if (runner.state === 'gone') this.#finished.set(runner.name, timeline);
    return timeline;
  }

  #seconds(atMs: number): number {
    return Math.max(0, (atMs - this.#startedAtMs) / 1000);
  }
}

/** Undefined while it runs, and where nothing else is to be expected. */
function endOf({ conclusion }: GithubJob): string | undefined {
  return conclusion === null || conclusion === 'success' ? undefined : `ended with ${conclusion}`;
}

/** Of a runner that was launched for another job, what came before this one was there is not its story. */
function told(
  beginning: JobStory['stages'],
  stages: JobStory['stages'],
  isAnothers: boolean,
): readonly { readonly stage: string; readonly atS: number }[] {
  const fromS = beginning.at(-1)?.atS ?? 0;
  const later = isAnothers ? stages.filter(({ atS }) => atS >= fromS) : stages;
  const taken =
    isAnothers && later.length < stages.length ? [{ stage: 'took a runner that was there', atS: fromS }] : [];
  return [...beginning, ...taken, ...later];
}

/** A stage that is its own reason. */
const APPROVAL = 'waiting for approval';
/** A reason is shown only when it persists until the next look: every job waits for a moment. */
const REASON_AFTER_S = 3;

export function storyLine(story: JobStory, nameWidth: number, nowS: number): string {
  const { name, stages, refusal, note, waits } = story;
  const told = stages.map(({ stage, atS }) => `${stage} ${atS.toFixed(1)}s`).join(' → ');
  const end = refusal === undefined ? (note === undefined ? '' : ` → ${note}`) : ' → refused';
  const { stage, atS = 0 } = stages.at(-1) ?? {};
  const isTold = stage === APPROVAL || nowS - atS < REASON_AFTER_S;
  const why = waits === undefined || isTold ? '' : ` (waits: ${waits})`;
  return `${name.padEnd(nameWidth)}  ${told}${end}${why}`;
}
