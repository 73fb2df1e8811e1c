/** What deliveries and facts say is recorded. */
import { type Delivery, type JobFact, jobKey } from '../../jobs/facts.ts';
import type { DeliveryResult, JobRow, OnUnreadable } from '../ledger.ts';
import { mergeFact } from '../merge.ts';
import * as deliveryQueries from '../queries/deliveries.ts';
import type { Query } from '../queries/fixed.ts';
import * as jobCheckQueries from '../queries/job-checks.ts';
import * as jobQueries from '../queries/jobs.ts';
import * as rows from '../rows.ts';
import { dropJob, jobWritten, putJob } from './jobs.ts';
import { compare, sortedByKey } from './order.ts';
import { hasRoom, type OpenCounts } from './shares.ts';
import { all, type Context, type Step } from './step.ts';

export function* recordDeliveries(
  context: Context,
  batch: readonly { readonly delivery: Delivery; readonly fact: JobFact | null }[],
): Step<readonly DeliveryResult[]> {
  const answers = batch.map((): DeliveryResult => 'duplicate');
  const counts: OpenCounts = new Map();
  const fresh: JobFact[] = [];
  const inOrder = batch
    .map((entry, index) => ({ ...entry, index }))
    .sort((a, b) => compare(a.delivery.endpoint, b.delivery.endpoint) || compare(a.delivery.guid, b.delivery.guid));
  const inserts: { readonly index: number; readonly query: Query }[] = [];
  for (const { delivery, fact, index } of inOrder) {
    if (fact !== null && !(yield* hasRoom(context, fact, counts, batch.length))) {
      answers[index] = 'full';
      continue;
    }
    const { endpoint, guid, event, action, receivedAtMs } = delivery;
    const row = { endpoint, guid, event, action, receivedAtMs };
    inserts.push({ index, query: deliveryQueries.insertDelivery(context.builder, row) });
  }
  const inserted = yield* all(inserts.map(({ query }) => query));
  inserts.forEach(({ index }, position) => {
    if ((inserted[position]?.changed ?? 0) > 0) answers[index] = 'recorded';
  });
  batch.forEach(({ fact }, index) => {
    if (fact !== null && answers[index] === 'recorded') fresh.push(fact);
  });
  yield* recordFacts(context, fresh, 'reject');
  return answers;
}

export function* recordFacts(context: Context, facts: readonly JobFact[], unreadable: OnUnreadable): Step<number> {
  const byJob = new Map<string, JobFact[]>();
  for (const fact of facts) {
    const key = jobKey(fact);
    const others = byJob.get(key);
    if (others) others.push(fact);
    else byJob.set(key, [fact]);
  }
  // A read may end another job, which must not have been read by then.
  const mayEndOthers = facts.some(({ source }) => source === 'read');
  const jobs = sortedByKey(byJob);
  const known = mayEndOthers ? [] : yield* all(jobs.map(([key]) => jobQueries.jobByKey(context.builder, key)));
  const writes: Query[] = [];
  let changedJobs = 0;
  const counts: OpenCounts = new Map();
  for (const [index, [key, factsOfJob]] of jobs.entries()) {
    const found = (known[index] ?? (yield jobQueries.jobByKey(context.builder, key))).rows;
    const [before] = rows.readable(found, rows.jobRow, unreadable);
    if (before === undefined && found.length > 0) continue;
    let row = before;
    for (const fact of factsOfJob) row = mergeFact(row, fact, context.areStrangers).row;
    if (row === undefined || row === before) continue;
    const [first] = factsOfJob;
    if (before === undefined && first && !(yield* hasRoom(context, first, counts, byJob.size))) continue;
    if (mayEndOthers) yield* putJob(context, row, before);
    else writes.push(...(yield* jobWritten(context, row, before)));
    if (factsOfJob.some(({ source }) => source === 'read')) yield* endNamesakes(context, row, unreadable);
    changedJobs += 1;
  }
  yield* all(writes);
  return changedJobs;
}

/**
 * A repository was renamed or transferred while the job was open: GitHub knows it by its new name, and an id identifies
 * one job on a host. The job under the old name ends, and its runners move to the new one.
 */
function* endNamesakes(context: Context, row: JobRow, unreadable: OnUnreadable): Step<void> {
  if (row.registration === null) return;
  const old = (yield jobCheckQueries.namesakes(context.builder, { ...row, registration: row.registration })).rows;
  for (const found of old) {
    const [namesake] = rows.readable([found], rows.namesake, unreadable);
    if (namesake === undefined) continue;
    if (namesake.runId !== row.runId || (namesake.verifiedAtMs ?? 0) > (row.verifiedAtMs ?? 0)) continue;
    yield jobCheckQueries.renameJob(context.builder, 'jobKey', namesake.key, row.key);
    yield jobCheckQueries.renameJob(context.builder, 'forJobKey', namesake.key, row.key);
    const reason = `its repository is called ${row.owner}/${row.repository} now`;
    const [whole] = rows.readable([found], rows.jobRow, unreadable);
    if (whole !== undefined) yield* dropJob(context, whole.key, reason, context.nowMs);
    // It cannot be completed without being read, and must not ask for a runner beside the new one.
    else yield jobCheckQueries.expireJob(context.builder, namesake.key, { reasonCode: 'dropped', reason, cure: null });
  }
}
