/** The gRPC services google.cloud.run.v2.Jobs, Executions and Tasks, limited to what runners need. */
import { z } from 'zod';
import type { Method } from '../google/grpc.ts';
import type { Operations } from '../google/operations.ts';
import { GoogleRefusal } from '../google/status.ts';
import { type Execution, type Job, jobMessage, overrides, type Time } from './model.ts';
import type { CloudRunSimulatorOptions } from './options.ts';
import type { Region } from './region.ts';
import { validateJob } from './validation.ts';
import { etagOf, executionView, jobView, packedExecution, packedJob, taskView } from './views.ts';

const named = z.looseObject({
  name: z.string().min(1),
  etag: z.string().default(''),
  validateOnly: z.boolean().default(false),
});
const listing = z.looseObject({
  parent: z.string().min(1),
  pageSize: z.number().default(0),
  pageToken: z.string().default(''),
});
const creation = z.looseObject({
  parent: z.string().min(1),
  jobId: z.string().default(''),
  job: jobMessage,
  validateOnly: z.boolean().default(false),
});
const run = named.extend({ overrides: overrides.prefault({}) });

/** Page size limit: larger requests get this many. */
const MAX_ON_A_PAGE = 100;

export function cloudRunMethods(
  region: Region,
  options: CloudRunSimulatorOptions,
  operations: Operations,
): Readonly<Record<string, Readonly<Record<string, Method>>>> {
  const job = (name: string): Job => {
    inRegion(region, name);
    const found = region.jobs.get(name);
    if (found === undefined) throw notFound('Job', name);
    return found;
  };
  const execution = (name: string): Execution => {
    inRegion(region, name);
    const found = region.executions.get(name);
    if (found === undefined) throw notFound('Execution', name);
    return found;
  };
  const begun = (target: Job, ended: () => boolean): object =>
    operations.begin({
      parent: region.name,
      metadata: () => packedJob(target),
      result: () => (ended() ? { response: packedJob(target) } : undefined),
    });
  const executionBegun = (target: Execution, ended: () => boolean): object =>
    operations.begin({
      parent: region.name,
      metadata: () => packedExecution(target),
      result: () => (ended() ? { response: packedExecution(target) } : undefined),
    });
  const page = <T extends { readonly createTime: Time; readonly uid: string }>(
    all: readonly T[],
    pageSize: number,
    pageToken: string,
  ): { items: T[]; nextPageToken: string } => {
    const key = ({ createTime, uid }: T): string =>
      `${String(createTime.seconds).padStart(12, '0')}${String(createTime.nanos).padStart(9, '0')}${uid}`;
    const size = Math.min(pageSize > 0 ? pageSize : MAX_ON_A_PAGE, options.pageSize ?? MAX_ON_A_PAGE);
    // Newest first; an execution created between two pages appears on neither.
    const sorted = [...all].sort((a, b) => (key(a) < key(b) ? 1 : -1));
    const from = pageToken === '' ? 0 : sorted.findIndex((one) => key(one) < fromToken(pageToken));
    const items = from < 0 ? [] : sorted.slice(from, from + size);
    const last = items.at(-1);
    const more = last !== undefined && from + size < sorted.length;
    return { items, nextPageToken: more ? Buffer.from(key(last)).toString('base64url') : '' };
  };

  return {
    'google.cloud.run.v2.Jobs': {
      CreateJob: (request) => {
        const { parent, jobId, job: message, validateOnly } = read(creation, request);
        inRegion(region, `${parent}/`);
        region.count('writes');
        validateJob(jobId, message, options);
        if (validateOnly)
          return { name: '', done: true, response: { '@type': 'type.googleapis.com/google.cloud.run.v2.Job' } };
        const made = region.createJob(jobId, message);
        return begun(made, () => made.outcome !== undefined);
      },
      GetJob: (request) => jobView(job(read(named, request).name)),
      ListJobs: (request) => {
        const { parent, pageSize, pageToken } = read(listing, request);
        inRegion(region, `${parent}/`);
        const { items, nextPageToken } = page([...region.jobs.values()], pageSize, pageToken);
        return { jobs: items.map(jobView), nextPageToken };
      },
      DeleteJob: (request) => {
        const { name, etag } = read(named, request);
        region.count('writes');
        const found = job(name);
        if (etag !== '' && etag !== etagOf(found)) throw new GoogleRefusal('ABORTED', 'The etag does not match.');
        region.deleteJob(found);
        return begun(found, () => true);
      },
      RunJob: (request) => {
        const { name, overrides: changes } = read(run, request);
        region.count('runs');
        const made = region.runJob(job(name), changes);
        return executionBegun(made, () => made.end !== undefined);
      },
    },
    'google.cloud.run.v2.Executions': {
      GetExecution: (request) => executionView(execution(read(named, request).name)),
      ListExecutions: (request) => {
        const { parent, pageSize, pageToken } = read(listing, request);
        inRegion(region, `${parent}/`);
        const all = [...region.executions.values()].filter((one) => parent.endsWith('/jobs/-') || one.job === parent);
        const { items, nextPageToken } = page(all, pageSize, pageToken);
        return { executions: items.map(executionView), nextPageToken };
      },
      CancelExecution: (request) => {
        region.count('writes');
        const found = execution(read(named, request).name);
        region.cancel(found);
        return executionBegun(found, () => found.end !== undefined);
      },
      DeleteExecution: (request) => {
        region.count('writes');
        const found = execution(read(named, request).name);
        region.delete(found);
        return executionBegun(found, () => true);
      },
    },
    'google.cloud.run.v2.Tasks': {
      ListTasks: (request) => ({ tasks: [taskView(execution(read(listing, request).parent))] }),
    },
  };
}

function read<T extends z.ZodType>(schema: T, request: object): z.infer<T> {
  const parsed = schema.safeParse(request);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new GoogleRefusal('INVALID_ARGUMENT', `Violation in ${issue?.path.join('.')}: ${issue?.message}`);
}

function inRegion(region: Region, name: string): void {
  if (name.startsWith(`${region.name}/`)) return;
  const place = name.split('/').slice(2, 4).join('/');
  throw new GoogleRefusal('PERMISSION_DENIED', `Permission denied on '${place}' (or it may not exist).`, {
    reason: 'LOCATION_POLICY_VIOLATED',
  });
}

function fromToken(token: string): string {
  const key = Buffer.from(token, 'base64url').toString();
  if (!/^\d{21}[0-9a-f-]{36}$/.test(key)) throw new GoogleRefusal('INVALID_ARGUMENT', 'page_token is invalid');
  return key;
}

function notFound(what: string, name: string): GoogleRefusal {
  return new GoogleRefusal(
    'NOT_FOUND',
    `${what} '${name.slice(name.lastIndexOf('/') + 1)}' of kind '${what.toUpperCase()}' in region '${name.split('/')[3]}' in project '${name.split('/')[1]}' does not exist`,
  );
}
