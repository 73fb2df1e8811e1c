/** Messages as returned by the service. */
import type { Packed } from '../google/operations.ts';
import type { Execution, Job } from './model.ts';

const RUN = 'type.googleapis.com/google.cloud.run.v2';

export function jobView(job: Job): object {
  const { outcome, latest } = job;
  const state =
    outcome === undefined ? 'CONDITION_RECONCILING' : outcome === 'ready' ? 'CONDITION_SUCCEEDED' : 'CONDITION_FAILED';
  const condition = {
    type: 'Ready',
    state,
    ...(typeof outcome === 'object' ? { message: outcome.message, severity: 'ERROR' } : {}),
    ...(typeof outcome === 'object' && outcome.reason !== undefined ? { reason: outcome.reason } : {}),
    lastTransitionTime: job.createTime,
  };
  return {
    ...job.message,
    name: job.name,
    uid: job.uid,
    generation: 1,
    observedGeneration: 1,
    createTime: job.createTime,
    updateTime: job.createTime,
    launchStage: 'GA',
    terminalCondition: condition,
    conditions: [condition],
    executionCount: job.executionCount,
    ...(latest === undefined
      ? {}
      : {
          latestCreatedExecution: {
            name: latest.name.slice(latest.name.lastIndexOf('/') + 1),
            createTime: latest.createTime,
            ...(latest.end === undefined ? {} : { completionTime: latest.end.time }),
            ...(latest.deleteTime === undefined ? {} : { deleteTime: latest.deleteTime }),
            completionStatus: completionStatus(latest),
          },
        }),
    reconciling: outcome === undefined,
    etag: etagOf(job),
  };
}

export function etagOf(job: Job): string {
  return `"${Buffer.from(`${job.uid}-1`).toString('base64')}"`;
}

export function executionView(execution: Execution): object {
  const { end, startTime, deleteTime, container } = execution;
  const running = container !== undefined && end === undefined;
  return {
    name: execution.name,
    uid: execution.uid,
    generation: 1,
    observedGeneration: 1,
    labels: execution.labels,
    createTime: execution.createTime,
    ...(startTime === undefined ? {} : { startTime }),
    ...(end === undefined ? {} : { completionTime: end.time }),
    updateTime: end?.time ?? startTime ?? execution.createTime,
    ...(deleteTime === undefined ? {} : { deleteTime }),
    launchStage: 'GA',
    job: execution.job.slice(execution.job.lastIndexOf('/') + 1),
    parallelism: 1,
    taskCount: 1,
    template: execution.template,
    reconciling: end === undefined,
    conditions: conditionsOf(execution),
    runningCount: running ? 1 : 0,
    succeededCount: end?.kind === 'succeeded' ? 1 : 0,
    failedCount: end?.kind === 'failed' ? 1 : 0,
    cancelledCount: end?.kind === 'cancelled' ? 1 : 0,
    logUri: 'https://console.cloud.google.com/logs/viewer',
    etag: `"${Buffer.from(execution.uid).toString('base64')}"`,
  };
}

export function taskView(execution: Execution): object {
  const { end, startTime } = execution;
  const short = execution.name.slice(execution.name.lastIndexOf('/') + 1);
  return {
    name: `${execution.name}/tasks/${short}-task0`,
    uid: execution.uid,
    createTime: execution.createTime,
    ...(startTime === undefined ? {} : { startTime }),
    ...(end === undefined ? {} : { completionTime: end.time }),
    job: execution.job.slice(execution.job.lastIndexOf('/') + 1),
    execution: short,
    containers: execution.template.containers,
    maxRetries: execution.template.maxRetries,
    timeout: execution.template.timeout,
    index: 0,
    ...(end === undefined
      ? {}
      : {
          lastAttemptResult: {
            ...(end.kind === 'succeeded' ? {} : { status: { code: 2, message: end.message } }),
            ...(end.exitCode === undefined ? {} : { exitCode: end.exitCode }),
            ...(end.termSignal === undefined ? {} : { termSignal: end.termSignal }),
          },
        }),
  };
}

export function packedJob(job: Job): Packed {
  return { '@type': `${RUN}.Job`, ...jobView(job) };
}

export function packedExecution(execution: Execution): Packed {
  return { '@type': `${RUN}.Execution`, ...executionView(execution) };
}

function conditionsOf(execution: Execution): object[] {
  const { end, container, odd } = execution;
  const short = execution.name.slice(execution.name.lastIndexOf('/') + 1);
  // 99: a state from a future version.
  if (odd) return [{ type: 'Completed', state: 99 }];
  const started = { type: 'Started', state: container === undefined ? 'CONDITION_PENDING' : 'CONDITION_SUCCEEDED' };
  if (end === undefined) return [{ type: 'Completed', state: 'CONDITION_RECONCILING' }, started];
  if (end.kind === 'succeeded') {
    return [{ type: 'Completed', state: 'CONDITION_SUCCEEDED', message: 'Execution completed successfully.' }, started];
  }
  const executionReason = end.kind === 'cancelled' ? 'CANCELLED' : 'NON_ZERO_EXIT_CODE';
  const ran = end.exitCode !== undefined || end.termSignal !== undefined;
  return [
    {
      type: 'Completed',
      state: 'CONDITION_FAILED',
      message:
        end.kind === 'failed' && ran
          ? `Task ${short}-task0 failed with exit code: ${end.exitCode ?? 0} and message: ${end.message}`
          : end.message,
      ...(end.reason === undefined
        ? ran || end.kind === 'cancelled'
          ? { executionReason }
          : {}
        : { reason: end.reason }),
    },
    started,
  ];
}

function completionStatus(execution: Execution): string {
  switch (execution.end?.kind) {
    case undefined:
      return execution.container === undefined ? 'EXECUTION_PENDING' : 'EXECUTION_RUNNING';
    case 'succeeded':
      return 'EXECUTION_SUCCEEDED';
    case 'cancelled':
      return 'EXECUTION_CANCELLED';
    default:
      return 'EXECUTION_FAILED';
  }
}
