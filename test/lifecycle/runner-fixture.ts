import type { JobRow, RunnerRow, RunnerState } from '../../dispatcher/ledger/ledger.ts';
import { mergeFact } from '../../dispatcher/ledger/merge.ts';
import { newRunner } from '../../dispatcher/ledger/new-runner.ts';
import { fact } from '../ledger/examples.ts';

export const HOUR = 3_600_000;

/** A runner in the middle of its life, with every field that a test does not speak of at its plainest. */
export function runnerRow(fields: Partial<RunnerRow> = {}): RunnerRow {
  return newRunner({
    name: 'd1-01jd7z0000aaaaaaaaaaaaaaaa',
    registration: 'acme',
    host: 'github.com',
    scope: 'orgs/acme',
    runnerGroup: 'default',
    laneKey: 'lane1',
    labels: ['acme-runner'],
    specHash: 'spec1',
    state: 'creating',
    createdAtMs: 0,
    deadlineAtMs: null,
    nextCheckAtMs: 0,
    incarnation: 'inc1',
    backend: 'docker',
    instanceDeadlineAtMs: 121 * HOUR,
    instanceState: 'maybe',
    githubRunnerId: 7,
    forJobKey: 'github.com/acme/web/1',
    ...fields,
  });
}

/** A queued job of acme/web, as the ledger keeps it. */
export function jobRow(fields: Partial<JobRow> = {}): JobRow {
  return { ...mergeFact(undefined, fact({ jobId: 1, owner: 'acme' })).row, ...fields };
}

export const STATES: readonly RunnerState[] = [
  'creating',
  'parked',
  'starting',
  'online',
  'busy',
  'finishing',
  'draining',
  'gone',
];
