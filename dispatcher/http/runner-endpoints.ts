/** Runners, their timelines and outputs. */
import { ProviderError } from '../../providers/provider.ts';
import type { Absence, AbsentRegistration } from '../config/absent.ts';
import { scrubOutput } from '../failures/scrub.ts';
import type { RunnerRow, UnreadableRow } from '../ledger/ledger.ts';
import { AdminProblem } from './admin-problem.ts';
import { noQuery, runnerPath, runnerPlace, runnerQuery, runnersQuery } from './admin-query.ts';
import { forgetSchema, runnerDetailSchema, runnerListSchema } from './admin-shapes.ts';
import type { AdminSources } from './admin-sources.ts';
import { ledgerProblemView, runnerView, timelineView } from './admin-views.ts';
import { type Endpoint, endpoint } from './endpoint.ts';
import { OutputReads, TooManyReads } from './output-reads.ts';
import { cursorOf, placeOf } from './page.ts';
import { seenNames } from './seen-names.ts';
import type { Sight } from './sight.ts';
import { readable } from './unreadable.ts';
import { toldFailure, WITHHELD } from './withheld.ts';

export function runnerEndpoints(sources: AdminSources): readonly Endpoint[] {
  const { ledger } = sources;
  const reads = new OutputReads(sources.clock);

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

  const told = (sight: Sight, runner: RunnerRow): RunnerRow =>
    runner.failure === null ? runner : { ...runner, failure: toldFailure(sight, runner.failure) };

  /** A row of another tenant is not looked at further: that it cannot be read is not told either. */
  async function seenRunner(name: string, sight: Sight): Promise<RunnerRow> {
    const runner = await readable(`runner ${name}`, ledger.runner(name)).catch((error: unknown) => {
      if (sight.tenants === null) throw error;
      return undefined;
    });
    if (runner === undefined || !sight.sees(runner.registration)) throw noSuchRunner(name);
    return runner;
  }

  return [
    endpoint({
      method: 'GET',
      path: '/api/runners',
      summary: 'The runners, newest first',
      role: 'viewer',
      scope: 'tenants',
      params: noQuery,
      query: runnersQuery,
      answer: runnerListSchema,
      async handle({ sight, query }) {
        const unreadable: UnreadableRow[] = [];
        const after = placeOf(query.cursor, runnerPlace);
        const registrations = await seenNames(sources, sight, query.registration);
        const filter = {
          ...(registrations === undefined ? {} : { registrations }),
          ...(query.lane === undefined ? {} : { laneKey: query.lane }),
          ...(query.state === undefined ? {} : { states: query.state }),
          ...(after === undefined ? {} : { after: { createdAtMs: after[0], name: after[1] } }),
          limit: query.limit + 1,
        };
        const runners = await ledger.runners(filter, (row) => {
          if (sight.sees(row.registration)) unreadable.push(row);
        });
        const absence = absenceNow();
        const shown = runners.slice(0, query.limit);
        const more = runners.length + unreadable.length > query.limit;
        const last = shown.at(-1);
        return {
          body: {
            runners: shown.map((runner) => runnerView(told(sight, runner), absence(runner.registration))),
            more,
            next: more && last !== undefined ? cursorOf([last.createdAtMs, last.name]) : null,
            unreadable,
            ledgerProblem: ledgerProblemView(sources.ledgerClosed?.()),
          },
        };
      },
    }),

    endpoint({
      method: 'GET',
      path: '/api/runners/:name',
      summary: 'One runner with its timeline and, if asked for, its output',
      role: 'viewer',
      scope: 'tenants',
      params: runnerPath,
      query: runnerQuery,
      answer: runnerDetailSchema,
      async handle({ sight, params: { name }, query }) {
        const runner = await seenRunner(name, sight);
        const timeline = await readable(`the timeline of runner ${name}`, ledger.timeline(name));
        return {
          body: {
            runner: runnerView(told(sight, runner), absenceNow()(runner.registration)),
            timeline: timeline.map((entry) =>
              timelineView(entry.failure === null ? entry : { ...entry, failure: toldFailure(sight, entry.failure) }),
            ),
            ...(query.output ? await outputOf({ ...sources, reads }, runner, sight) : {}),
          },
        };
      },
    }),

    endpoint({
      method: 'POST',
      path: '/api/runners/:name/forget',
      summary: 'Give a runner up: it is drained by force, and the second time no longer watched',
      role: 'operator',
      scope: 'tenants',
      action: 'runner.forget',
      params: runnerPath,
      query: noQuery,
      answer: forgetSchema,
      statuses: [200, 202],
      async target({ params: { name } }) {
        const runner = await ledger.runner(name).catch(() => undefined);
        return { subject: `runner ${name}`, registration: runner?.registration ?? null };
      },
      async handle({ viewer, sight, params: { name } }) {
        if (sight.tenants !== null) await seenRunner(name, sight);
        const runner = await readable(`runner ${name}`, sources.forgetRunner(name));
        if (runner === undefined) throw noSuchRunner(name);
        sources.log.warn('admin.runner.forgotten', { runner: name, state: runner.state, by: viewer.name });
        return {
          status: runner.state === 'gone' ? 200 : 202,
          body: {
            runner: runnerView(told(sight, runner), absenceNow()(runner.registration)),
            message:
              runner.state === 'gone'
                ? 'it is no longer watched'
                : 'force-draining it, even if a job is running; repeat to drop it without further cleanup',
          },
        };
      },
    }),
  ];
}

/** Live while there is a container to ask; otherwise, or if the service does not answer, what was kept. */
async function outputOf(
  { ledger, liveOutput, reads }: Pick<AdminSources, 'ledger' | 'liveOutput'> & { readonly reads: OutputReads },
  runner: RunnerRow,
  sight: Sight,
): Promise<{ readonly output: string | null; readonly outputIs?: 'live' | 'kept'; readonly outputProblem?: string }> {
  const kept = await ledger.output(runner.name);
  const there = runner.state !== 'gone' && runner.instanceState !== 'none' && runner.instanceState !== 'absent';
  let problem: string | undefined;
  if (there && liveOutput !== undefined) {
    try {
      const { registration } = runner;
      const isOwn = runner.backend === null || sight.seesBackend(registration, runner.backend);
      const live = isOwn
        ? await liveOutput(runner)
        : await reads.of(sight.tenantOf(registration) ?? registration, runner.name, () => liveOutput(runner));
      if (live !== undefined) return { output: scrubOutput(live), outputIs: 'live' };
    } catch (error) {
      if (!(error instanceof ProviderError) && !(error instanceof TooManyReads)) throw error;
      // What a service says here it says to the account of the backend.
      problem =
        error instanceof TooManyReads ||
        runner.backend === null ||
        sight.seesBackend(runner.registration, runner.backend)
          ? error.message
          : WITHHELD;
    }
  }
  return {
    output: kept ?? null,
    ...(kept === undefined ? {} : { outputIs: 'kept' }),
    ...(problem === undefined ? {} : { outputProblem: problem }),
  };
}

function noSuchRunner(name: string): AdminProblem {
  return new AdminProblem(
    404,
    `no runner ${name}`,
    'it was never ours, or its history was pruned; `shr runners` lists those that are known',
  );
}
