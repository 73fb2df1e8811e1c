/** What registrations that only observe would have run, beside what really happened. */
import type { JobRow, UnreadableRow } from '../ledger/ledger.ts';
import { PLACES_MODEL } from '../observability/observed-places.ts';
import { type ObservedJob, observedReport, type Waits } from '../observability/observed-report.ts';
import { AdminProblem } from './admin-problem.ts';
import { jobPlace, observedQuery, registrationPath } from './admin-query.ts';
import { type ObservedView, observedSchema } from './admin-shapes.ts';
import type { AdminSources } from './admin-sources.ts';
import { iso } from './admin-views.ts';
import { type Endpoint, endpoint } from './endpoint.ts';
import { cursorOf, placeOf } from './page.ts';

const MAX_REFUSED = 1000;
/** A tenant may make up any number of groups. */
const MAX_GROUPS = 20;

export function observedEndpoints({ clock, ledger }: AdminSources): readonly Endpoint[] {
  return [
    endpoint({
      method: 'GET',
      path: '/api/registrations/:registration/observed',
      summary: 'What a registration that only observes would have run, and what really happened',
      role: 'viewer',
      scope: 'tenants',
      params: registrationPath,
      query: observedQuery,
      answer: observedSchema,
      async handle({ sight, params, query }) {
        const registration = sight.registrations.find(({ name }) => name === params.registration);
        if (registration === undefined) {
          const cure = '`shr registrations` lists those that there are';
          throw new AdminProblem(404, `no registration ${params.registration}`, cure);
        }
        const { name } = registration;
        const sinceMs = clock.now() - query.since;
        const unreadable: UnreadableRow[] = [];
        const left = (row: UnreadableRow) => void unreadable.push(row);
        const observed = await ledger.observedJobs(name, sinceMs, left);
        const refused = await ledger.jobs({ registrations: [name], admission: 'refused', limit: MAX_REFUSED }, left);
        const { jobs, total } = observedReport(observed, registration);
        const after = placeOf(query.cursor, jobPlace);
        const behind = after === undefined ? jobs : jobs.filter(({ job }) => isBehind(job, after));
        const shown = behind.slice(0, query.limit);
        const last = shown.at(-1);
        const more = behind.length > query.limit;
        const { states, wouldWait, reallyWaited, mostAtOnce, costUnknown } = total;
        const body: ObservedView = {
          registration: name,
          observes: registration.observe === true,
          since: new Date(sinceMs).toISOString(),
          model: PLACES_MODEL,
          total: {
            jobs: total.jobs,
            cut: observed.more,
            ...{ waits: states.waits, runs: states.runs, ran: states.ran, neverRan: states['never-ran'] },
            ...{ mostAtOnce, wouldWait: waitsView(wouldWait), reallyWaited: waitsView(reallyWaited), costUnknown },
            costs: [...total.costs].map(([currency, amount]) => ({ amount: rounded(amount), currency })),
            backends: [...total.backends].map(([backend, count]) => ({ name: backend, jobs: count })),
            takenBy: takers(total.takenBy),
          },
          refused: refusals(refused.filter(({ firstSeenAtMs }) => firstSeenAtMs >= sinceMs)),
          jobs: shown.map(observedView),
          more,
          next: more && last !== undefined ? cursorOf([last.job.firstSeenAtMs, last.job.key]) : null,
          unreadable,
        };
        return { body };
      },
    }),
  ];
}

/** In the order of the list: the newest first. */
function isBehind({ firstSeenAtMs, key }: JobRow, [atMs, afterKey]: readonly [number, string]): boolean {
  return firstSeenAtMs < atMs || (firstSeenAtMs === atMs && key < afterKey);
}

function takers(groups: ReadonlyMap<string, number>): ObservedView['total']['takenBy'] {
  const sorted = [...groups].sort(([, a], [, b]) => b - a);
  const first = sorted
    .slice(0, MAX_GROUPS)
    .map(([group, jobs]) => ({ runnerGroup: group === '' ? null : group, jobs }));
  const rest = sorted.slice(MAX_GROUPS).reduce((sum, [, jobs]) => sum + jobs, 0);
  return rest === 0 ? first : [...first, { runnerGroup: 'others', jobs: rest }];
}

/** The codes are our own: there are not many. */
function refusals(jobs: readonly JobRow[]): ObservedView['refused'] {
  const byCode = new Map<string, { code: string; jobs: number; latest: string }>();
  for (const { key, reasonCode } of jobs) {
    const code = reasonCode ?? 'refused';
    const known = byCode.get(code) ?? { code, jobs: 0, latest: key };
    byCode.set(code, { ...known, jobs: known.jobs + 1 });
  }
  return [...byCode.values()].sort((a, b) => b.jobs - a.jobs);
}

function observedView({ job, wish, ...one }: ObservedJob): ObservedView['jobs'][number] {
  return {
    key: job.key,
    repository: `${job.owner}/${job.repository}`,
    workflow: job.workflowName,
    name: job.jobName,
    url: job.htmlUrl,
    labels: [...job.labels],
    state: one.state,
    conclusion: job.conclusion,
    would: {
      backend: one.backend,
      cpu: wish?.cpu ?? null,
      memoryGiB: wish?.memoryGiB ?? null,
      image: wish?.image ?? null,
      waitSeconds: seconds(one.wouldWaitMs),
      cost: one.wouldCost === null ? null : { ...one.wouldCost, amount: rounded(one.wouldCost.amount) },
    },
    really: {
      queuedAt: iso(job.createdAtMs),
      startedAt: one.state === 'never-ran' || one.state === 'waits' ? null : iso(job.startedAtMs),
      completedAt: iso(job.completedAtMs),
      waitSeconds: seconds(one.reallyWaitedMs),
      runSeconds: seconds(one.reallyRanMs),
      runner: job.runnerName,
      runnerGroup: job.runnerGroup,
    },
  };
}

function waitsView({ known, longestMs, medianMs, p95Ms }: Waits): ObservedView['total']['wouldWait'] {
  return {
    known,
    medianSeconds: seconds(medianMs),
    p95Seconds: seconds(p95Ms),
    longestSeconds: seconds(longestMs),
  };
}

function seconds(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms) / 1000;
}

/** To a millionth: sums of binary fractions have many digits that say nothing. */
function rounded(amount: number): number {
  return Number(amount.toFixed(6));
}
