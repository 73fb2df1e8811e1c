/** Registrations, their backends and their lanes. */
import { type AbsentRegistration, absentAmong } from '../config/absent.ts';
import type { LaneCounts, Ledger, UnreadableRow } from '../ledger/ledger.ts';
import type { CanaryState } from '../lifecycle/canary-rules.ts';
import { launchesHeld } from '../lifecycle/launches-held.ts';
import { breakerProblems, closedBreakers, unreadableBreakerProblems } from '../observability/problems.ts';
import { AdminProblem } from './admin-problem.ts';
import { backendPath, lanesQuery, noQuery, registrationPath, registrationsQuery } from './admin-query.ts';
import { backendListSchema, backendResetSchema, laneListSchema, registrationListSchema } from './admin-shapes.ts';
import type { AdminSources } from './admin-sources.ts';
import {
  backendView,
  closureView,
  laneView,
  launchHoldView,
  problemView,
  publicAddressView,
  quarantinedView,
  registrationView,
  sourceView,
} from './admin-views.ts';
import { type Asked, type Endpoint, endpoint } from './endpoint.ts';
import { cursorOf, pageOf } from './page.ts';
import type { Sight } from './sight.ts';
import { askedOnce, toldFailure, toldProblem, toldText, withheldFailure } from './withheld.ts';

/** With `sid-…` labels each job has its own lane: those beyond this are counted in the metrics, but not listed. */
const MAX_LANES = 20_000;
const LANES_A_QUERY = 500;

type LiveCounts = Awaited<ReturnType<Ledger['liveCounts']>>;

export function registrationEndpoints(sources: AdminSources): readonly Endpoint[] {
  const { ledger } = sources;

  async function reset({
    viewer,
    sight,
    params: { registration, backend },
  }: Asked<{ readonly registration: string; readonly backend?: string | undefined }, unknown>) {
    const closures = sight.sees(registration) ? await sources.resetBackends(registration, backend) : undefined;
    const name = backend === undefined ? registration : `${registration}/${backend}`;
    if (closures === undefined) {
      throw new AdminProblem(404, `no backend ${name}`, '`shr backends` lists those that are configured');
    }
    const by = viewer.name;
    sources.log.warn('admin.backends.reset', { registration, backend: backend ?? null, closed: closures.length, by });
    const shown = closures.map((one) => closureView({ ...one, failure: toldFailure(sight, one.failure) }));
    return { body: { registration, backend: backend ?? null, reset: shown } };
  }
  const resetTarget = ({
    params: { registration, backend },
  }: Asked<{ readonly registration: string; readonly backend?: string | undefined }, unknown>) => ({
    subject: backend === undefined ? `registration ${registration}` : `backend ${registration}/${backend}`,
    registration,
  });
  const resetting = {
    method: 'POST',
    role: 'operator',
    scope: 'tenants',
    action: 'backends.reset',
    query: noQuery,
    answer: backendResetSchema,
    target: resetTarget,
    handle: reset,
  } as const;

  return [
    endpoint({
      method: 'GET',
      path: '/api/registrations',
      summary: 'The registrations, what runs for each, and what is wrong with it',
      role: 'viewer',
      scope: 'tenants',
      params: noQuery,
      query: registrationsQuery,
      answer: registrationListSchema,
      async handle({ sight, query }) {
        const isWanted = ({ name }: { readonly name: string }) => name === (query.registration ?? name);
        const backends = askedOnce(() => sources.backends());
        const counts = await ledger.liveCounts();
        const live = liveByRegistration(counts);
        const unreadable: UnreadableRow[] = [];
        const all = await ledger.breakers((row) => void unreadable.push(row));
        const breakers = closedBreakers(all, sources.clock.now());
        const page = pageOfBoth(sight.registrations.filter(isWanted), sight.quarantined.filter(isWanted), query);
        const pauses = sources.pausing.pauses();
        const windows = new Map(
          await Promise.all(
            page.registrations.map(async ({ name }) => [name, await sources.maintenanceUntilMs?.(name)] as const),
          ),
        );
        return {
          body: {
            registrations: page.registrations.map((registration) => {
              const closed = (breakers.get(registration.name) ?? []).map((one) => ({
                ...one,
                failure: toldFailure(sight, one.failure),
              }));
              const problems = (sources.problems?.(registration.name) ?? []).map((problem) =>
                toldProblem(sight, registration.name, problem, backends),
              );
              return registrationView({
                registration,
                poll: sources.pollStatus?.(registration.name),
                live: live.get(registration.name) ?? new Map(),
                origin: originOf(registration.name),
                organization: sources.organizationOf?.(registration.name),
                versions: sources.runnerVersions?.(registration.name) ?? [],
                canary: sources.canary?.(registration.name),
                breakers: closed,
                notes: sources.notes?.(registration) ?? [],
                held: launchesHeld(registration.name, pauses, windows.get(registration.name)).map((one) =>
                  launchHoldView(one, sight.tenants !== null),
                ),
                problems: [
                  ...problems,
                  ...breakerProblems(closed),
                  ...unreadableBreakerProblems(registration.name, unreadable),
                ],
              });
            }),
            quarantined: page.quarantined.map(quarantinedView),
            // They speak of everyone's files.
            platformProblems: sight.tenants === null ? (sources.platformProblems?.() ?? []) : [],
            // Anyone's requests to the platform's endpoint.
            webhookProblems: sight.tenants === null ? (sources.webhookProblems?.() ?? []).map(problemView) : [],
            publicAddress: sight.tenants === null ? publicAddressView(sources.publicAddress?.()) : null,
            // So do their commits.
            sources: sight.tenants === null ? (sources.repositories?.() ?? []).map(sourceView) : [],
            absent: absentOf(counts, sight, query.registration),
            more: page.next !== null,
            next: page.next,
          },
        };
      },
    }),

    endpoint({
      method: 'GET',
      path: '/api/backends',
      summary: 'The backends of each registration, and what is closed on them',
      role: 'viewer',
      scope: 'tenants',
      params: noQuery,
      query: registrationsQuery,
      answer: backendListSchema,
      async handle({ sight, query }) {
        const live = liveByRegistration(await ledger.liveCounts());
        const kinds = new Map(
          sight.registrations.flatMap(({ name, backends }) => backends.map((one) => [`${name}/${one.name}`, one])),
        );
        const wanted = sources
          .backends()
          .filter(({ registration }) => registration === (query.registration ?? registration))
          .filter(({ registration }) => sight.sees(registration))
          .toSorted((one, other) => compareTexts(placeOfBackend(one), placeOfBackend(other)));
        const { rows, next } = pageOf(wanted, (one) => [placeOfBackend(one)], query);
        return {
          body: {
            backends: rows.map((status) => {
              const { registration, backend } = status;
              const runners = live.get(registration)?.get(backend) ?? 0;
              const notListed = status.notListed;
              const told = {
                ...status,
                closures: status.closures.map((one) => ({ ...one, failure: toldFailure(sight, one.failure) })),
                notListed:
                  notListed === null || sight.seesBackend(registration, backend)
                    ? notListed
                    : withheldFailure(notListed),
              };
              return backendView(told, kinds.get(placeOfBackend(status)), runners);
            }),
            more: next !== null,
            next,
          },
        };
      },
    }),

    endpoint({
      ...resetting,
      path: '/api/backends/:registration/reset',
      summary: 'Open all closed backends of a registration, so that they are tried now',
      params: registrationPath,
    }),
    endpoint({
      ...resetting,
      path: '/api/backends/:registration/:backend/reset',
      summary: 'Open one closed backend, so that it is tried now',
      params: backendPath,
    }),

    endpoint({
      method: 'GET',
      path: '/api/lanes',
      summary: 'The lanes: demand, supply, and what their jobs wait for; the longest wait first',
      role: 'viewer',
      scope: 'tenants',
      params: noQuery,
      query: lanesQuery,
      answer: laneListSchema,
      async handle({ sight, query }) {
        const backends = askedOnce(() => sources.backends());
        const lanes = (await lanesOf(ledger))
          .filter(({ lane }) => lane.registration === (query.registration ?? lane.registration))
          .filter(({ lane }) => sight.sees(lane.registration))
          .filter((counts) => !query.waiting || counts.demand + counts.held > 0)
          .sort(longestWaitFirst);
        const { rows, next } = pageOf(lanes, (counts) => [waitsSince(counts), counts.lane.key], query);
        const pools = query.cursor === undefined && !query.waiting ? ((await sources.standby?.()) ?? []) : [];
        return {
          body: {
            pools: pools
              .filter(({ registration }) => registration === (query.registration ?? registration))
              .filter(({ registration }) => sight.sees(registration))
              .map((pool) => ({
                ...pool,
                labels: [...pool.labels],
                notFilled: toldText(sight, pool.registration, pool.notFilled ?? undefined, backends) ?? null,
              })),
            lanes: await Promise.all(
              rows.map(async (counts) => {
                const reason = await sources.laneReason(counts.lane.key);
                return laneView(
                  counts,
                  toldText(sight, counts.lane.registration, reason, backends),
                  canaryOf(sight, counts),
                );
              }),
            ),
            more: next !== null,
            next,
            forsaken: absentOf(await ledger.liveCounts(), sight, query.registration),
          },
        };
      },
    }),
  ];

  /** Jobs of the lane get the image that it is a candidate for. */
  function canaryOf(sight: Sight, { lane }: LaneCounts): CanaryState | undefined {
    const found = sight.registrations.find(({ name }) => name === lane.registration);
    return found?.defaults.image === lane.wish.image ? sources.canary?.(lane.registration) : undefined;
  }

  function originOf(registration: string) {
    const origin = sources.originOf?.(registration);
    const kept = sources.repositories?.().find(({ name }) => name === origin?.source);
    return origin === undefined ? undefined : { ...origin, commit: kept?.commit ?? null };
  }

  function absentOf(live: LiveCounts, sight: Sight, registration: string | undefined): readonly AbsentRegistration[] {
    const absent = absentAmong(live, sources.registrations(), sources.quarantined?.() ?? [], sources.leaving?.());
    return absent.filter(
      (one) => one.registration === (registration ?? one.registration) && sight.sees(one.registration),
    );
  }
}

interface Named {
  readonly name: string;
}

/** By name: both end where the first of them is cut. */
function pageOfBoth<One extends Named, Other extends Named>(
  registrations: readonly One[],
  quarantined: readonly Other[],
  query: { readonly cursor?: string | undefined; readonly limit: number },
): { readonly registrations: readonly One[]; readonly quarantined: readonly Other[]; readonly next: string | null } {
  const place = ({ name }: Named) => [name];
  const byName = (one: Named, other: Named) => compareTexts(one.name, other.name);
  const first = pageOf(registrations.toSorted(byName), place, query);
  const second = pageOf(quarantined.toSorted(byName), place, query);
  const ends = [first, second].flatMap(({ rows, next }) => (next === null ? [] : [rows.at(-1)?.name ?? '']));
  const [end] = ends.toSorted(compareTexts);
  if (end === undefined) return { registrations: first.rows, quarantined: second.rows, next: null };
  return {
    registrations: first.rows.filter(({ name }) => name <= end),
    quarantined: second.rows.filter(({ name }) => name <= end),
    next: cursorOf([end]),
  };
}

function compareTexts(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

function placeOfBackend({
  registration,
  backend,
}: {
  readonly registration: string;
  readonly backend: string;
}): string {
  return `${registration}/${backend}`;
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

function waitsSince(counts: LaneCounts): number {
  return counts.oldestQueuedSinceMs ?? Number.MAX_SAFE_INTEGER;
}

function longestWaitFirst(one: LaneCounts, other: LaneCounts): number {
  return waitsSince(one) - waitsSince(other) || compareTexts(one.lane.key, other.lane.key);
}

function liveByRegistration(counts: LiveCounts): ReadonlyMap<string, ReadonlyMap<string, number>> {
  const live = new Map<string, Map<string, number>>();
  for (const { registration, backend, count } of counts) {
    const byBackend = live.get(registration) ?? new Map<string, number>();
    byBackend.set(backend ?? '', (byBackend.get(backend ?? '') ?? 0) + count);
    live.set(registration, byBackend);
  }
  return live;
}
