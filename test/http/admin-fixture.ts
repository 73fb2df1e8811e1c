/** A ledger with a few things in it, and an admin listener before it, on a real socket. */

import { createAdminListener } from '../../dispatcher/http/admin.ts';
import type { AdminListenerOptions } from '../../dispatcher/http/admin-app.ts';
import { type JobFact, jobKey } from '../../dispatcher/jobs/facts.ts';
import type { LaneSpec } from '../../dispatcher/jobs/lane.ts';
import type { Ledger, RunnerRow } from '../../dispatcher/ledger/ledger.ts';
import { newRunner } from '../../dispatcher/ledger/new-runner.ts';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import type { BackendStatus } from '../../dispatcher/lifecycle/backends.ts';
import { Pauses } from '../../dispatcher/lifecycle/pauses.ts';
import { type Registration, Secret } from '../../dispatcher/model/registration.ts';
import { createLog } from '../../dispatcher/observability/log.ts';
import { createMetrics } from '../../dispatcher/observability/metrics.ts';
import { systemClock, systemRandom } from '../../time/clock.ts';
import { failure } from '../failures/examples.ts';
import { closedPolicy, registration as plain } from '../registration-fixture.ts';

export const NOW = Date.parse('2026-03-04T12:00:00.000Z');
export const TOKEN = 'correct-horse-battery-staple';
export const MINUTE = 60_000;

export function registration(name: string, change: Partial<Registration> = {}): Registration {
  return plain({
    name,
    claim: { kind: 'organization', organization: name },
    credentials: { kind: 'token', token: new Secret(`credential-of-${name}`) },
    webhookSecrets: [new Secret(`webhook-secret-of-${name}`)],
    labels: [`${name}-runner`],
    policy: { ...closedPolicy, architectures: ['x64'] },
    backends: [
      {
        name: 'main',
        kind: 'docker',
        region: undefined,
        options: { password: `backend-secret-of-${name}` },
        maxRunners: 5,
      },
    ],
    poll: { intervalMs: 60_000, repositories: [] },
    ...change,
  });
}

export function lane(key: string, owner: string): LaneSpec {
  return {
    key,
    registration: owner,
    host: 'github.com',
    scope: { kind: 'organization', organization: owner },
    runnerGroup: 'Default',
    labels: [`${owner}-runner`],
    wish: { architecture: 'x64', image: 'runner:1', spot: false, dockerInDocker: false },
    backends: ['main'],
    specHash: 'spec1',
  };
}

export function fact(jobId: number, owner: string, change: Partial<JobFact> = {}): JobFact {
  return {
    host: 'github.com',
    jobId,
    runId: 100 + jobId,
    runAttempt: 1,
    owner,
    repository: 'web',
    repositoryId: null,
    visibility: 'private',
    jobName: `job ${jobId}`,
    workflowName: 'CI',
    headBranch: 'main',
    headSha: 'f'.repeat(40),
    htmlUrl: `https://github.com/${owner}/web/actions/runs/1/job/${jobId}`,
    labels: [`${owner}-runner`],
    status: 'queued',
    conclusion: null,
    runnerId: null,
    runnerName: null,
    createdAtMs: NOW - 5 * MINUTE,
    startedAtMs: null,
    completedAtMs: null,
    source: 'webhook',
    toldBy: null,
    observedAtMs: NOW - 5 * MINUTE + jobId,
    ...change,
  };
}

export function runner(name: string, spec: LaneSpec, change: Partial<RunnerRow> = {}): RunnerRow {
  return newRunner({
    name,
    registration: spec.registration,
    host: spec.host,
    scope: `orgs/${spec.registration}`,
    runnerGroup: spec.runnerGroup,
    laneKey: spec.key,
    labels: spec.labels,
    specHash: spec.specHash,
    state: 'creating',
    stateSinceMs: NOW - MINUTE,
    createdAtMs: NOW - MINUTE,
    deadlineAtMs: NOW + MINUTE,
    nextCheckAtMs: NOW + MINUTE,
    incarnation: 'one',
    backend: 'main',
    instanceDeadlineAtMs: NOW + 60 * MINUTE,
    instanceId: 'c0ffee',
    instanceState: 'running',
    githubRunnerId: 7,
    ...change,
  });
}

/** Writes the jobs and settles each into a lane, or as refused. */
export async function admit(ledger: Ledger, facts: readonly JobFact[], laneOf: (job: JobFact) => LaneSpec | undefined) {
  await ledger.recordFacts(facts);
  const byKey = new Map(facts.map((one) => [jobKey(one), one]));
  const rows = await ledger.unsettledJobs(1000, 'reject');
  await ledger.settleJobs(
    rows.flatMap((row) => {
      const job = byKey.get(row.key);
      if (job === undefined) return [];
      const spec = laneOf(job);
      return [
        {
          key: row.key,
          version: row.version,
          admission: {
            state: spec === undefined ? ('refused' as const) : ('lane' as const),
            registration: spec?.registration ?? job.owner,
            lane: spec ?? null,
            reasonCode: spec === undefined ? 'cpu-above-limit' : null,
            reason: spec === undefined ? 'cpu-64 is more than the 8 cores that acme allows' : null,
            cure: spec === undefined ? 'ask for cpu-8 or less' : null,
          },
        },
      ];
    }),
  );
}

export interface Fixture {
  readonly ledger: Ledger;
  readonly url: string;
  readonly logged: string[];
  readonly forgotten: string[];
  readonly resets: string[];
  /** Changes what the listener is told, while it runs. */
  readonly say: { ready: boolean; reasons: string[] };
  ask(path: string, init?: RequestInit): Promise<Response>;
  close(): Promise<void>;
}

const pulled = failure({
  kind: 'invalid',
  code: 'InaccessibleImage',
  requestId: 'r-1',
  message: 'the image runner:2 is not accessible',
  atMs: NOW - MINUTE,
});
const common = { listed: true, notListed: null, launching: 0, window: 8, lastSuccessMs: null, closures: [] };

/** `acme/main` refuses an image, and `globex/main` is closed as a whole. */
export const backends: readonly BackendStatus[] = [
  {
    ...common,
    registration: 'acme',
    backend: 'main',
    launching: 1,
    lastSuccessMs: NOW - 2 * MINUTE,
    closures: [
      {
        rule: 'refused',
        about: 'image runner:2, 2 cores',
        state: 'closed',
        failure: pulled,
        failures: 4,
        sinceMs: NOW - 9 * MINUTE,
        untilMs: NOW + 14 * MINUTE,
      },
    ],
  },
  {
    ...common,
    registration: 'globex',
    backend: 'main',
    window: 4,
    closures: [
      {
        rule: 'account',
        about: null,
        state: 'probing',
        failure: failure({ source: 'globex/main', kind: 'quota', message: 'too many containers' }),
        failures: 1,
        sinceMs: NOW - MINUTE,
        untilMs: NOW,
      },
    ],
  },
];

/** What the engine does with them. */
function fixturePauses(ledger: Ledger): AdminListenerOptions['pausing'] {
  const pauses = new Pauses(ledger);
  return {
    pause: (pause) => pauses.pause({ ...pause, sinceMs: NOW }),
    resume: (registration, by) => pauses.resume(registration, NOW, by),
    pauses: () => pauses.all(),
  };
}

export const noPauses: AdminListenerOptions['pausing'] = {
  pause: async (pause) => ({ ...pause, sinceMs: NOW }),
  resume: async () => undefined,
  pauses: () => [],
};

export const acmeLane = lane('lane0acme0000001', 'acme');
export const globexLane = lane('lane0globex00001', 'globex');

export async function openFixture(change: Partial<AdminListenerOptions> = {}): Promise<Fixture> {
  const ledger = await openSqliteLedger({ path: ':memory:', now: () => NOW });
  const registrations = [registration('acme'), registration('globex')];
  const logged: string[] = [];
  const log = createLog({ level: 'debug', write: (line) => logged.push(line), clock: { now: () => NOW } });
  const clock = { now: () => NOW, after: systemClock.after };
  const forgotten: string[] = [];
  const resets: string[] = [];
  const say = { ready: true, reasons: [] };
  const listener = createAdminListener({
    ledger,
    clock,
    log,
    random: systemRandom,
    token: new Secret(TOKEN),
    registrations: () => registrations,
    pollStatus: (name) =>
      name === 'acme'
        ? { lastAtMs: NOW - 30_000, nextAtMs: NOW + 30_000, repositories: 12, problems: ['acme/vault: forbidden'] }
        : undefined,
    standby: async () =>
      registrations.map(({ name }) => ({
        ...{ registration: name, mode: 'registered' as const, labels: [`${name}-runner`], lane: acmeLane.key },
        ...{ size: 3, waiting: 2, why: `at most 3 jobs of ${name} started` },
        notFilled: `the registration is at its cap of 2 runners`,
      })),
    laneReason: async (key) => (key === acmeLane.key ? 'acme has its 10 runners' : undefined),
    jobReason: async ({ laneKey, status }) =>
      laneKey === acmeLane.key && status === 'queued' ? 'acme has its 10 runners' : undefined,
    backends: () => backends,
    pausing: fixturePauses(ledger),
    async resetBackends(name, backend) {
      const chosen = backends.filter((one) => one.registration === name && one.backend === (backend ?? one.backend));
      if (chosen.length === 0) return undefined;
      resets.push(backend === undefined ? name : `${name}/${backend}`);
      return chosen.flatMap(({ closures }) => closures);
    },
    async forgetRunner(name) {
      const before = await ledger.runner(name);
      if (before === undefined) return undefined;
      forgotten.push(name);
      const after = await ledger.stepRunner(name, () => ({
        patch: { state: 'draining', forced: true, drainReason: 'given up by an operator', stateSinceMs: NOW },
        entries: [{ atMs: NOW, state: 'draining', reason: 'given up by an operator', details: null, failure: null }],
      }));
      return after?.after;
    },
    readiness: async () => say,
    metrics: createMetrics({
      sources: { ledger, clock, registrations: () => registrations },
      processMetrics: false,
    }),
    ...change,
  });
  const port = await listener.listen('127.0.0.1', 0);
  const url = `http://127.0.0.1:${port}`;
  return {
    ledger,
    url,
    logged,
    forgotten,
    resets,
    say,
    ask: (path, init = {}) => fetch(`${url}${path}`, { headers: { authorization: `Bearer ${TOKEN}` }, ...init }),
    async close() {
      await listener.close(1_000);
      await ledger.close();
    },
  };
}
