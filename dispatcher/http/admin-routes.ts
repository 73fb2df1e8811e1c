/** The routes of the admin API. Each reads a bounded number of rows. */
import { Router } from 'express';
import type { z } from 'zod';
import { ProviderError } from '../../providers/provider.ts';
import type { Clock } from '../../time/clock.ts';
import { type Absence, type AbsentRegistration, absentAmong } from '../config/absent.ts';
import { scrubOutput } from '../failures/scrub.ts';
import { jobKey } from '../jobs/facts.ts';
import type { Admit } from '../jobs/lane.ts';
import {
  type JobRow,
  type LaneCounts,
  type Ledger,
  type RunnerRow,
  type UnreadableRow,
  UnreadableRowError,
} from '../ledger/ledger.ts';
import type { BackendStatus, Closure } from '../lifecycle/backends.ts';
import type { LedgerClosure } from '../lifecycle/ledger-gate.ts';
import type { Log } from '../log.ts';
import type { Problem } from '../model/problem.ts';
import type { Quarantined, Registration } from '../model/registration.ts';
import {
  breakerProblems,
  closedBreakers,
  type RegistrationProblem,
  unreadableBreakerProblems,
} from '../observability/problems.ts';
import type { SeenVersion } from '../versions/runner-versions.ts';
import { AdminProblem } from './admin-problem.ts';
import {
  backendPath,
  explainQuery,
  fullJobPath,
  jobPath,
  jobsQuery,
  lanesQuery,
  noQuery,
  registrationsQuery,
  runnerPath,
  runnerQuery,
  runnersQuery,
} from './admin-query.ts';
import {
  backendView,
  closureView,
  explanation,
  jobView,
  laneView,
  ledgerProblemView,
  type PollStatus,
  quarantinedView,
  registrationView,
  runnerView,
  timelineView,
} from './admin-views.ts';

export interface AdminSources {
  readonly ledger: Pick<
    Ledger,
    | 'lanesInUse'
    | 'laneCounts'
    | 'jobs'
    | 'job'
    | 'jobsWithId'
    | 'jobsOfRun'
    | 'runners'
    | 'runner'
    | 'timeline'
    | 'output'
    | 'breakers'
    | 'liveCounts'
  >;
  readonly clock: Pick<Clock, 'now'>;
  readonly log: Log;
  registrations(): readonly Registration[];
  /** Those that are set aside. */
  quarantined?(): readonly Quarantined[];
  /** Of dispatcher.yaml and the folder of registrations. */
  platformProblems?(): readonly Problem[];
  /** Those that are not in force any more, and whose runners are served to their end. */
  leaving?(): readonly string[];
  /** Undefined for a registration that is not polled. */
  pollStatus?(registration: string): PollStatus | undefined;
  /** Its problems except its breakers, which are read from the ledger. */
  problems?(registration: string): readonly RegistrationProblem[];
  /** Why the ledger takes no writes; undefined while it does. */
  ledgerClosed?(): LedgerClosure | undefined;
  /** `engine.laneReason` and `engine.jobReason`. */
  laneReason(laneKey: string): Promise<string | undefined>;
  jobReason(job: JobRow): Promise<string | undefined>;
  /** An operator gives the runner up. Returns the row afterwards, or undefined if the runner does not exist. */
  forgetRunner(name: string): Promise<RunnerRow | undefined>;
  /** `engine.backends` and `engine.resetBackends`. */
  backends(): readonly BackendStatus[];
  resetBackends(registration: string, backend: string | undefined): Promise<readonly Closure[] | undefined>;
  /** The output, from the service, of a container that has not been removed. Rejects with ProviderError. */
  liveOutput?(runner: RunnerRow): Promise<string | undefined>;
  /** What containers of the registration have reported since the start. */
  runnerVersions?(registration: string): readonly SeenVersion[];
  /** For `/api/explain`. */
  admit?: Admit;
}

/** With `sid-…` labels each job has its own lane: those beyond this are counted in the metrics, but not listed. */
const MAX_LANES = 20_000;
const LANES_A_QUERY = 500;

export function adminRoutes(sources: AdminSources): Router {
  const { ledger } = sources;
  const router = Router({ caseSensitive: true, strict: true });

  router.get('/registrations', async (request, response) => {
    const query = parse(registrationsQuery, request.query);
    const wanted = sources.registrations().filter(({ name }) => name === (query.registration ?? name));
    const setAside = (sources.quarantined?.() ?? []).filter(({ name }) => name === (query.registration ?? name));
    const counts = await ledger.liveCounts();
    const live = liveByRegistration(counts);
    const unreadable: UnreadableRow[] = [];
    const all = await ledger.breakers((row) => void unreadable.push(row));
    const breakers = closedBreakers(all, sources.clock.now());
    response.json({
      registrations: wanted.slice(0, query.limit).map((registration) =>
        registrationView({
          registration,
          poll: sources.pollStatus?.(registration.name),
          live: live.get(registration.name) ?? new Map(),
          versions: sources.runnerVersions?.(registration.name) ?? [],
          breakers: breakers.get(registration.name) ?? [],
          problems: [
            ...(sources.problems?.(registration.name) ?? []),
            ...breakerProblems(breakers.get(registration.name) ?? []),
            ...unreadableBreakerProblems(registration.name, unreadable),
          ],
        }),
      ),
      quarantined: setAside.slice(0, query.limit).map(quarantinedView),
      platformProblems: sources.platformProblems?.() ?? [],
      absent: absentOf(counts, query.registration),
      more: wanted.length > query.limit || setAside.length > query.limit,
    });
  });

  router.get('/backends', async (request, response) => {
    const query = parse(registrationsQuery, request.query);
    const live = liveByRegistration(await ledger.liveCounts());
    const kinds = new Map(
      sources.registrations().flatMap(({ name, backends }) => backends.map((one) => [`${name}/${one.name}`, one])),
    );
    const wanted = sources
      .backends()
      .filter(({ registration }) => registration === (query.registration ?? registration));
    response.json({
      backends: wanted.slice(0, query.limit).map((status) => {
        const runners = live.get(status.registration)?.get(status.backend) ?? 0;
        return backendView(status, kinds.get(`${status.registration}/${status.backend}`), runners);
      }),
      more: wanted.length > query.limit,
    });
  });

  router.post(
    ['/backends/:registration/reset', '/backends/:registration/:backend/reset'],
    async (request, response) => {
      const { registration, backend } = parse(backendPath, request.params);
      parse(noQuery, request.query);
      const closures = await sources.resetBackends(registration, backend);
      const name = backend === undefined ? registration : `${registration}/${backend}`;
      if (closures === undefined) {
        throw new AdminProblem(404, `no backend ${name}`, '`shr backends` lists those that are configured');
      }
      sources.log.warn('admin.backends.reset', { registration, backend: backend ?? null, closed: closures.length });
      response.json({ registration, backend: backend ?? null, reset: closures.map(closureView) });
    },
  );

  router.get('/lanes', async (request, response) => {
    const query = parse(lanesQuery, request.query);
    const lanes = (await lanesOf(ledger))
      .filter((counts) => counts.lane.registration === (query.registration ?? counts.lane.registration))
      .filter((counts) => !query.waiting || counts.demand + counts.held > 0)
      .sort(longestWaitFirst);
    response.json({
      lanes: await Promise.all(
        lanes.slice(0, query.limit).map(async (counts) => laneView(counts, await sources.laneReason(counts.lane.key))),
      ),
      more: lanes.length > query.limit,
      forsaken: absentOf(await ledger.liveCounts(), query.registration),
    });
  });

  function absentOf(
    live: Awaited<ReturnType<Ledger['liveCounts']>>,
    registration: string | undefined,
  ): readonly AbsentRegistration[] {
    const absent = absentAmong(live, sources.registrations(), sources.quarantined?.() ?? [], sources.leaving?.());
    return absent.filter((one) => one.registration === (registration ?? one.registration));
  }

  /** For a registration that runners belong to. */
  function absenceNow(): (registration: string) => Pick<AbsentRegistration, 'absence' | 'served'> | undefined {
    const inForce = new Set(sources.registrations().map(({ name }) => name));
    const setAside = new Set((sources.quarantined?.() ?? []).map(({ name }) => name));
    const leaving = new Set(sources.leaving?.());
    return (name) => {
      if (inForce.has(name)) return undefined;
      const absence: Absence = setAside.has(name) ? 'set-aside' : 'removed';
      return leaving.has(name) ? { absence, served: true } : { absence };
    };
  }

  router.get('/jobs', async (request, response) => {
    const query = parse(jobsQuery, request.query);
    const unreadable: UnreadableRow[] = [];
    const filter = {
      ...(query.registration === undefined ? {} : { registrations: [query.registration] }),
      ...(query.lane === undefined ? {} : { laneKey: query.lane }),
      ...(query.status === undefined ? {} : { status: query.status }),
      ...(query.admission === undefined ? {} : { admission: query.admission }),
      limit: query.limit + 1,
    };
    const jobs = await ledger.jobs(filter, (row) => void unreadable.push(row));
    response.json({
      jobs: await Promise.all(
        jobs.slice(0, query.limit).map(async (job) => jobView(job, await sources.jobReason(job))),
      ),
      more: jobs.length + unreadable.length > query.limit,
      unreadable,
      ledgerProblem: ledgerProblemView(sources.ledgerClosed?.()),
    });
  });

  router.get('/jobs/:host/:id', async (request, response) => {
    const { host, id } = parse(jobPath, request.params);
    parse(noQuery, request.query);
    const unreadable: UnreadableRow[] = [];
    const namesakes = ofHost(await ledger.jobsWithId(id, (row) => void unreadable.push(row)), host);
    if (namesakes.length > 1) throw ambiguous(`${host}/${id}`, namesakes);
    if (namesakes.length === 0) refuseUnreadable(unreadable);
    response.json(await answerFor(namesakes[0], `${host}/${id}`));
  });

  router.get('/jobs/:host/:owner/:repository/:id', async (request, response) => {
    const { id, ...place } = parse(fullJobPath, request.params);
    parse(noQuery, request.query);
    const key = jobKey({ ...place, jobId: id });
    const known = await readable(`job ${key}`, ledger.job(key));
    const unreadable: UnreadableRow[] = [];
    const namesakes =
      known === undefined
        ? ofHost(
            (await ledger.jobsWithId(id, (row) => void unreadable.push(row))).filter(inRepository(place)),
            place.host,
          )
        : [known];
    if (namesakes.length > 1) throw ambiguous(key, namesakes);
    if (namesakes.length === 0) refuseUnreadable(unreadable);
    response.json(await answerFor(namesakes[0], key));
  });

  router.get('/runs/:host/:owner/:repository/:id', async (request, response) => {
    const { host, owner, repository, id } = parse(fullJobPath, request.params);
    parse(noQuery, request.query);
    const place = `${host}/${owner}/${repository}`.toLowerCase();
    const unreadable: UnreadableRow[] = [];
    const found = await ledger.jobsOfRun({ runId: id }, (row) => void unreadable.push(row));
    const jobs = ofHost(found.filter(inRepository({ owner, repository })), host);
    if (new Set(jobs.map((job) => job.host)).size > 1) throw ambiguous(`run ${id} in ${place}`, jobs);
    if (jobs.length === 0) {
      refuseUnreadable(unreadable);
      throw new AdminProblem(
        404,
        `no job of run ${id} in ${place}`,
        'none was ever seen, or their history was pruned; `shr jobs` lists the jobs that are known',
      );
    }
    response.json({ jobs: await Promise.all(jobs.map((job) => answerFor(job, job.key))), unreadable });
  });

  /**
   * Those of the host, or of any host if no registration uses it. A page's host need not be the one that a registration
   * names: then matches the jobs whose links have that host, and all of them if their links are unknown.
   */
  function ofHost(jobs: readonly JobRow[], host: string): readonly JobRow[] {
    const own = jobs.filter((job) => job.host === host);
    if (own.length > 0 || sources.registrations().some((one) => one.host.toLowerCase() === host)) return own;
    const shown = jobs.filter(({ htmlUrl }) => htmlUrl !== null && hostOf(htmlUrl) === host);
    return shown.length > 0 ? shown : jobs;
  }

  async function answerFor(job: JobRow | undefined, asked: string) {
    if (job === undefined) {
      throw new AdminProblem(
        404,
        `no job ${asked}`,
        'it was never seen, or its history was pruned; `shr jobs` lists those that are known',
      );
    }
    const waitReason = await sources.jobReason(job);
    return { job: jobView(job, waitReason), waitReason: waitReason ?? null };
  }

  router.get('/runners', async (request, response) => {
    const query = parse(runnersQuery, request.query);
    const unreadable: UnreadableRow[] = [];
    const filter = {
      ...(query.registration === undefined ? {} : { registrations: [query.registration] }),
      ...(query.lane === undefined ? {} : { laneKey: query.lane }),
      ...(query.state === undefined ? {} : { states: query.state }),
      limit: query.limit + 1,
    };
    const runners = await ledger.runners(filter, (row) => void unreadable.push(row));
    const absence = absenceNow();
    response.json({
      runners: runners.slice(0, query.limit).map((runner) => runnerView(runner, absence(runner.registration))),
      more: runners.length + unreadable.length > query.limit,
      unreadable,
      ledgerProblem: ledgerProblemView(sources.ledgerClosed?.()),
    });
  });

  router.get('/runners/:name', async (request, response) => {
    const { name } = parse(runnerPath, request.params);
    const query = parse(runnerQuery, request.query);
    const runner = await readable(`runner ${name}`, ledger.runner(name));
    if (runner === undefined) throw noSuchRunner(name);
    response.json({
      runner: runnerView(runner, absenceNow()(runner.registration)),
      timeline: (await readable(`the timeline of runner ${name}`, ledger.timeline(name))).map(timelineView),
      ...(query.output ? await outputOf(sources, runner) : {}),
    });
  });

  router.post('/runners/:name/forget', async (request, response) => {
    const { name } = parse(runnerPath, request.params);
    parse(noQuery, request.query);
    const runner = await readable(`runner ${name}`, sources.forgetRunner(name));
    if (runner === undefined) throw noSuchRunner(name);
    sources.log.warn('admin.runner.forgotten', { runner: name, state: runner.state });
    response.status(runner.state === 'gone' ? 200 : 202).json({
      runner: runnerView(runner, absenceNow()(runner.registration)),
      message:
        runner.state === 'gone'
          ? 'it is no longer watched'
          : 'force-draining it, even if a job is running; repeat to drop it without further cleanup',
    });
  });

  router.get('/explain', (request, response) => {
    const { host, repository, labels, visibility } = parse(explainQuery, request.query);
    if (sources.admit === undefined) {
      throw new AdminProblem(404, 'nothing is explained here', 'Run `shr explain` in the folder of dispatcher.yaml.');
    }
    response.json(explanation(sources.admit({ host, ...repository, labels, visibility })));
  });

  return router;
}

/** Live while there is a container to ask; otherwise, or if the service does not answer, what was kept. */
async function outputOf(
  { ledger, liveOutput }: Pick<AdminSources, 'ledger' | 'liveOutput'>,
  runner: RunnerRow,
): Promise<{ readonly output: string | null; readonly outputIs?: 'live' | 'kept'; readonly outputProblem?: string }> {
  const kept = await ledger.output(runner.name);
  const there = runner.state !== 'gone' && runner.instanceState !== 'none' && runner.instanceState !== 'absent';
  let problem: string | undefined;
  if (there && liveOutput !== undefined) {
    try {
      const live = await liveOutput(runner);
      if (live !== undefined) return { output: scrubOutput(live), outputIs: 'live' };
    } catch (error) {
      if (!(error instanceof ProviderError)) throw error;
      problem = error.message;
    }
  }
  return {
    output: kept ?? null,
    ...(kept === undefined ? {} : { outputIs: 'kept' }),
    ...(problem === undefined ? {} : { outputProblem: problem }),
  };
}

/** Names the parameter and its valid values; never repeats the input. */
function parse<Schema extends z.ZodType>(schema: Schema, given: unknown): z.infer<Schema> {
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = issue?.path.join('.') ?? '';
  throw new AdminProblem(
    400,
    where === '' ? 'a parameter is not known or given twice' : `the parameter ${where} is not valid`,
    issue?.message ?? 'see docs/observability.md',
  );
}

async function lanesOf(ledger: AdminSources['ledger']): Promise<LaneCounts[]> {
  const keys = (await ledger.lanesInUse()).slice(0, MAX_LANES);
  const lanes: LaneCounts[] = [];
  for (let start = 0; start < keys.length; start += LANES_A_QUERY) {
    // One that cannot be read is left out; its registration shows it.
    lanes.push(...(await ledger.laneCounts(keys.slice(start, start + LANES_A_QUERY), () => {})));
  }
  return lanes;
}

function longestWaitFirst(one: LaneCounts, other: LaneCounts): number {
  const since = (counts: LaneCounts) => counts.oldestQueuedSinceMs ?? Number.MAX_SAFE_INTEGER;
  return since(one) - since(other) || one.lane.key.localeCompare(other.lane.key);
}

function liveByRegistration(
  counts: Awaited<ReturnType<Ledger['liveCounts']>>,
): ReadonlyMap<string, ReadonlyMap<string, number>> {
  const live = new Map<string, Map<string, number>>();
  for (const { registration, backend, count } of counts) {
    const byBackend = live.get(registration) ?? new Map<string, number>();
    byBackend.set(backend ?? '', (byBackend.get(backend ?? '') ?? 0) + count);
    live.set(registration, byBackend);
  }
  return live;
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

/** What was asked for may be one of these: that it does not exist would be wrong. */
function refuseUnreadable(rows: readonly UnreadableRow[]): void {
  const [row] = rows;
  if (row === undefined) return;
  const keys = rows.map(({ key, fault }) => `${key} (${fault})`).join(', ');
  throw new AdminProblem(
    500,
    `the ledger cannot read ${keys}`,
    `Stop the dispatcher and correct or delete the ${rows.length === 1 ? 'row' : 'rows'}: a queued job is found again by polling.`,
  );
}

/** Names the row that could not be read: the ledger's own message says only what is wrong with it. */
async function readable<Found>(what: string, looked: Promise<Found>): Promise<Found> {
  try {
    return await looked;
  } catch (error) {
    if (!(error instanceof UnreadableRowError)) throw error;
    throw new AdminProblem(500, `the ledger cannot read ${what}`, error.message);
  }
}

function noSuchRunner(name: string): AdminProblem {
  return new AdminProblem(
    404,
    `no runner ${name}`,
    'it was never ours, or its history was pruned; `shr runners` lists those that are known',
  );
}
