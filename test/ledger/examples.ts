/** Values to tell stories with: everything that a test does not care about is filled in. */

import { type Delivery, type JobFact, jobKey } from '../../dispatcher/jobs/facts.ts';
import type { LaneSpec } from '../../dispatcher/jobs/lane.ts';
import type { JobRow, JobSettlement, RunnerRow } from '../../dispatcher/ledger/ledger.ts';
import { newRunner } from '../../dispatcher/ledger/new-runner.ts';

export const HOST = 'github.com';

export function fact(some: Partial<JobFact> & { readonly jobId: number }): JobFact {
  return {
    host: HOST,
    runId: 7_000_000_000 + some.jobId,
    runAttempt: 1,
    owner: 'Acme',
    repository: 'web',
    repositoryId: 31,
    visibility: 'private',
    jobName: 'build',
    workflowName: 'CI',
    headBranch: 'main',
    headSha: '5d41402abc4b2a76b9719d911017c592aaaaaaaa',
    htmlUrl: `https://github.com/Acme/web/actions/runs/1/job/${some.jobId}`,
    labels: ['acme-runner', 'cpu-4'],
    status: 'queued',
    conclusion: null,
    runnerId: null,
    runnerName: null,
    createdAtMs: 1_000,
    startedAtMs: null,
    completedAtMs: null,
    source: 'webhook',
    toldBy: null,
    observedAtMs: 10_000,
    ...some,
  };
}

export function delivery(guid: string, some: Partial<Delivery> = {}): Delivery {
  return {
    endpoint: 'github.com/shared',
    guid,
    event: 'workflow_job',
    action: 'queued',
    receivedAtMs: 10_000,
    ...some,
  };
}

export function lane(some: Partial<LaneSpec> = {}): LaneSpec {
  return {
    key: 'lane000000000001',
    registration: 'acme',
    host: HOST,
    scope: { kind: 'organization', organization: 'acme' },
    runnerGroup: 'Default',
    labels: ['acme-runner', 'cpu-4'],
    wish: { cpu: 4, architecture: 'x64', image: 'ghcr.io/acme/runner:2', spot: false, dockerInDocker: false },
    backends: ['docker'],
    specHash: 'spec-1',
    ...some,
  };
}

export function runner(some: Partial<RunnerRow> & { readonly name: string }): RunnerRow {
  return newRunner({
    registration: 'acme',
    host: HOST,
    scope: 'orgs/acme',
    runnerGroup: 'Default',
    laneKey: 'lane000000000001',
    labels: ['acme-runner', 'cpu-4'],
    specHash: 'spec-1',
    state: 'creating',
    stateSinceMs: 20_000,
    createdAtMs: 20_000,
    deadlineAtMs: 320_000,
    nextCheckAtMs: 21_000,
    incarnation: 'first',
    backend: null,
    instanceDeadlineAtMs: 90_000_000,
    version: 1,
    ...some,
  });
}

export function keyOf(jobId: number): string {
  return jobKey(fact({ jobId }));
}

export function admitted(job: Pick<JobRow, 'key' | 'version'>, spec: LaneSpec = lane()): JobSettlement {
  return {
    key: job.key,
    version: job.version,
    admission: {
      state: 'lane',
      registration: spec.registration,
      lane: spec,
      reasonCode: null,
      reason: null,
      cure: null,
    },
  };
}

export function notOurs(job: Pick<JobRow, 'key' | 'version'>): JobSettlement {
  return {
    key: job.key,
    version: job.version,
    admission: {
      state: 'not-ours',
      registration: null,
      lane: null,
      reasonCode: null,
      reason: 'no registration asks for ubuntu-latest',
      cure: null,
    },
  };
}

export function refused(job: Pick<JobRow, 'key' | 'version'>): JobSettlement {
  return {
    key: job.key,
    version: job.version,
    admission: {
      state: 'refused',
      registration: 'acme',
      lane: null,
      reasonCode: 'cpu-above-maximum',
      reason: 'cpu-64 is more than the 8 that acme allows',
      cure: 'ask for at most cpu-8',
    },
  };
}
