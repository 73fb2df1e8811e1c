/** Jobs, the runs they belong to, and what admission would decide about one. */

import { grantedBy } from '../admission/granted.ts';
import { jobKey } from '../jobs/facts.ts';
import type { Admission } from '../jobs/lane.ts';
import type { JobRow, UnreadableRow } from '../ledger/ledger.ts';
import { AdminProblem } from './admin-problem.ts';
import { explainQuery, fullJobPath, jobPath, jobPlace, jobsQuery, noQuery } from './admin-query.ts';
import { explanationSchema, jobDetailSchema, jobListSchema, runDetailSchema } from './admin-shapes.ts';
import type { AdminSources } from './admin-sources.ts';
import { explanation, jobView, ledgerProblemView } from './admin-views.ts';
import { type Endpoint, endpoint } from './endpoint.ts';
import { cursorOf, placeOf } from './page.ts';
import { seenNames } from './seen-names.ts';
import type { Sight } from './sight.ts';
import { readable, refuseUnreadable } from './unreadable.ts';
import { askedOnce, toldText } from './withheld.ts';

type Backends = AdminSources['backends'];

export function jobEndpoints(sources: AdminSources): readonly Endpoint[] {
  const { ledger } = sources;
  const onceBackends = () => askedOnce(() => sources.backends());

  async function reasonFor(job: JobRow, sight: Sight, backends: Backends): Promise<string | undefined> {
    return toldText(sight, job.registration, await sources.jobReason(job), backends);
  }

  async function answerFor(job: JobRow | undefined, asked: string, sight: Sight, backends = onceBackends()) {
    if (job === undefined) {
      throw new AdminProblem(
        404,
        `no job ${asked}`,
        'it was never seen, or its history was pruned; `shr jobs` lists those that are known',
      );
    }
    const waitReason = await reasonFor(job, sight, backends);
    return { job: jobView(job, waitReason), waitReason: waitReason ?? null };
  }

  /**
   * Those of the host, or of any host if no registration uses it. A page's host need not be the one that a registration
   * names: then matches the jobs whose links have that host, and all of them if their links are unknown.
   */
  function ofHost(jobs: readonly JobRow[], host: string, sight: Sight): readonly JobRow[] {
    const seen = jobs.filter(({ registration }) => sight.sees(registration));
    const own = seen.filter((job) => job.host === host);
    if (own.length > 0 || sight.registrations.some((one) => one.host.toLowerCase() === host)) return own;
    const shown = seen.filter(({ htmlUrl }) => htmlUrl !== null && hostOf(htmlUrl) === host);
    return shown.length > 0 ? shown : seen;
  }

  const reading = { method: 'GET', role: 'viewer', scope: 'tenants' } as const;

  return [
    endpoint({
      ...reading,
      path: '/api/jobs',
      summary: 'The jobs, newest first: what happened to each, and why',
      params: noQuery,
      query: jobsQuery,
      answer: jobListSchema,
      async handle({ sight, query }) {
        const backends = onceBackends();
        const unreadable: UnreadableRow[] = [];
        const after = placeOf(query.cursor, jobPlace);
        const registrations = await seenNames(sources, sight, query.registration);
        const filter = {
          ...(registrations === undefined ? {} : { registrations }),
          ...(query.lane === undefined ? {} : { laneKey: query.lane }),
          ...(query.status === undefined ? {} : { status: query.status }),
          ...(query.admission === undefined ? {} : { admission: query.admission }),
          ...(after === undefined ? {} : { after: { firstSeenAtMs: after[0], key: after[1] } }),
          limit: query.limit + 1,
        };
        const jobs = await ledger.jobs(filter, (row) => {
          if (sight.sees(row.registration)) unreadable.push(row);
        });
        const shown = jobs.slice(0, query.limit);
        const more = jobs.length + unreadable.length > query.limit;
        const last = shown.at(-1);
        return {
          body: {
            jobs: await Promise.all(shown.map(async (job) => jobView(job, await reasonFor(job, sight, backends)))),
            more,
            next: more && last !== undefined ? cursorOf([last.firstSeenAtMs, last.key]) : null,
            unreadable,
            ledgerProblem: ledgerProblemView(sources.ledgerClosed?.()),
          },
        };
      },
    }),

    endpoint({
      ...reading,
      path: '/api/jobs/:host/:id',
      summary: 'One job by its id',
      params: jobPath,
      query: noQuery,
      answer: jobDetailSchema,
      async handle({ sight, params: { host, id } }) {
        const unreadable: UnreadableRow[] = [];
        const found = await ledger.jobsWithId(id, (row) => void unreadable.push(row));
        const namesakes = ofHost(found, host, sight);
        if (namesakes.length > 1) throw ambiguous(`${host}/${id}`, namesakes);
        if (namesakes.length === 0) refuseUnreadable(unreadable.filter(({ registration }) => sight.sees(registration)));
        return { body: await answerFor(namesakes[0], `${host}/${id}`, sight) };
      },
    }),

    endpoint({
      ...reading,
      path: '/api/jobs/:host/:owner/:repository/:id',
      summary: 'One job by its repository and id',
      params: fullJobPath,
      query: noQuery,
      answer: jobDetailSchema,
      async handle({ sight, params: { id, ...place } }) {
        const key = jobKey({ ...place, jobId: id });
        const known = await seenJob(key, sight);
        const unreadable: UnreadableRow[] = [];
        const others = async () => await ledger.jobsWithId(id, (row) => void unreadable.push(row));
        const namesakes =
          known === undefined ? ofHost((await others()).filter(inRepository(place)), place.host, sight) : [known];
        if (namesakes.length > 1) throw ambiguous(key, namesakes);
        if (namesakes.length === 0) refuseUnreadable(unreadable.filter(({ registration }) => sight.sees(registration)));
        return { body: await answerFor(namesakes[0], key, sight) };
      },
    }),

    endpoint({
      ...reading,
      path: '/api/runs/:host/:owner/:repository/:id',
      summary: 'The jobs of one workflow run',
      params: fullJobPath,
      query: noQuery,
      answer: runDetailSchema,
      async handle({ sight, params: { host, owner, repository, id } }) {
        const place = `${host}/${owner}/${repository}`.toLowerCase();
        const unreadable: UnreadableRow[] = [];
        const found = await ledger.jobsOfRun({ runId: id }, (row) => {
          if (sight.sees(row.registration)) unreadable.push(row);
        });
        const jobs = ofHost(found.filter(inRepository({ owner, repository })), host, sight);
        if (new Set(jobs.map((job) => job.host)).size > 1) throw ambiguous(`run ${id} in ${place}`, jobs);
        if (jobs.length === 0) {
          refuseUnreadable(unreadable);
          throw new AdminProblem(
            404,
            `no job of run ${id} in ${place}`,
            'none was ever seen, or their history was pruned; `shr jobs` lists the jobs that are known',
          );
        }
        const backends = onceBackends();
        const told = await Promise.all(jobs.map((job) => answerFor(job, job.key, sight, backends)));
        return { body: { jobs: told, unreadable } };
      },
    }),

    endpoint({
      ...reading,
      path: '/api/explain',
      summary: 'What admission would decide about a job',
      params: noQuery,
      query: explainQuery,
      answer: explanationSchema,
      handle({ sight, query: { repository, workflow = null, branch = null, event = null, actor, ...query } }) {
        if (sources.admit === undefined) {
          throw new AdminProblem(
            404,
            'nothing is explained here',
            'Run `shr explain` in the folder of dispatcher.yaml.',
          );
        }
        const { host, visibility, fork: isFork } = query;
        const labels = [...query.labels, ...query.label];
        const actors = actor === undefined ? null : [actor];
        const job = { host, ...repository, labels, visibility, workflow, branch, event, actors, isFork };
        const admission = toldAdmission(sources.admit(job), sight);
        if (admission.outcome !== 'lane') return { body: explanation(admission) };
        const { lane } = admission;
        const observes = sources
          .registrations()
          .some(({ name, observe }) => name === lane.registration && observe === true);
        const granted = grantedBy(lane, job, sources.registrations(), sources.tenants?.());
        return { body: explanation(admission, { granted, observes }) };
      },
    }),
  ];

  /** A row of another tenant is not looked at further: that it cannot be read is not told either. */
  async function seenJob(key: string, sight: Sight): Promise<JobRow | undefined> {
    const job = await readable(`job ${key}`, ledger.job(key)).catch((error: unknown) => {
      if (sight.tenants === null) throw error;
      return undefined;
    });
    return job !== undefined && sight.sees(job.registration) ? job : undefined;
  }
}

/** Who else would take the job, and on what terms, is not told. */
function toldAdmission(admission: Admission, sight: Sight): Admission {
  if (sight.tenants === null) return admission;
  const registration = admission.outcome === 'lane' ? admission.lane.registration : registrationIn(admission);
  if (registration !== undefined && sight.sees(registration)) return admission;
  return { outcome: 'not-ours', reason: 'none of your registrations takes this job: see their claims and labels' };
}

function registrationIn(admission: Admission): string | undefined {
  return admission.outcome === 'refused' ? admission.registration : undefined;
}

function inRepository(place: { readonly owner: string; readonly repository: string }): (job: JobRow) => boolean {
  const [owner, repository] = [place.owner.toLowerCase(), place.repository.toLowerCase()];
  return (job) => job.owner.toLowerCase() === owner && job.repository.toLowerCase() === repository;
}

function hostOf(address: string): string | undefined {
  return URL.canParse(address) ? new URL(address).host : undefined;
}

/** Repositories of one host never share a job id, but a forged delivery may claim so. */
function ambiguous(asked: string, jobs: readonly JobRow[]): AdminProblem {
  return new AdminProblem(
    409,
    `${asked} stands for jobs of several ${new Set(jobs.map(({ host }) => host)).size > 1 ? 'hosts' : 'repositories'}`,
    `ask for one of them: ${jobs.map(({ key }) => key).join(', ')}`,
  );
}
