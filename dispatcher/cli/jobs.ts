/** `shr jobs`: what happened to each job, and why. */
import { type Command, Option } from 'commander';
import { type Clock, systemClock } from '../../time/clock.ts';
import {
  admissionStateSchema,
  type JobView,
  jobDetailSchema,
  jobListSchema,
  jobStatusSchema,
  runDetailSchema,
} from '../http/admin-shapes.ts';
import { AdminClientError, adminCommand, answering, filters } from './admin-client.ts';
import { age, leftOut, more, notWritten, told } from './admin-text.ts';
import { printFields, printTable } from './output.ts';
import type { Terminal } from './terminal.ts';

export function createCommand(terminal: Terminal, clock: Clock = systemClock): Command {
  const jobs = adminCommand('jobs', 'the jobs that the dispatcher knows, newest first', terminal)
    .option('--registration <name>', 'only of this registration')
    .addOption(new Option('--status <status>', 'only in this status').choices(jobStatusSchema.options))
    .addOption(
      new Option('--admission <admission>', 'only those with this decision; lane means admitted').choices(
        admissionStateSchema.options,
      ),
    )
    .option('--lane <key>', 'only of this lane')
    .option('--limit <count>', 'how many to list (default 100, at most 500)')
    .action(async (_options: unknown, command: Command) =>
      answering(
        { command, terminal, clock },
        (client) =>
          client.get(
            ['jobs'],
            filters(command, ['registration', 'status', 'admission', 'lane', 'limit']),
            jobListSchema,
          ),
        (answer) => {
          printJobs(terminal, answer.jobs, clock.now());
          terminal.out(more(answer.more, 'jobs'));
          terminal.out(leftOut(answer.unreadable));
          terminal.out(notWritten(answer.ledgerProblem, clock.now()));
        },
      ),
    );
  jobs.addCommand(
    adminCommand('show', 'one job, or all of a run, and what each waits for', terminal)
      .argument(
        '<job>',
        'its id (on github.com), HOST/OWNER/REPOSITORY/ID, or the address of the job or run in the browser',
      )
      .action(async (job: string, _options: unknown, command: Command) =>
        answering(
          { command, terminal, clock },
          async (client) => {
            const { kind, path } = placeOf(job);
            return kind === 'job'
              ? { kind, ...(await client.get(['jobs', ...path], {}, jobDetailSchema)) }
              : { kind, ...(await client.get(['runs', ...path], {}, runDetailSchema)) };
          },
          (answer) => {
            for (const [index, one] of (answer.kind === 'job' ? [answer] : answer.jobs).entries()) {
              if (index > 0) terminal.out('\n');
              printJob(terminal, one.job, one.waitReason, clock.now());
            }
            if (answer.kind === 'run') terminal.out(leftOut(answer.unreadable));
          },
        ),
      ),
  );
  return jobs;
}

/** The admin API's path for it: below `jobs` or below `runs`. */
function placeOf(job: string): { readonly kind: 'job' | 'run'; readonly path: readonly string[] } {
  const pasted = URL.canParse(job) ? pastedPlace(new URL(job)) : undefined;
  if (pasted !== undefined) return pasted;
  const [, host = 'github.com', owner, repository, id] =
    /^(?:([^/\s]+)\/)?(?:([^/\s]+)\/([^/\s]+)\/)?([0-9]+)$/.exec(job) ?? [];
  if (id === undefined) {
    throw new AdminClientError(
      2,
      'this is not a job',
      'write the id of the job, HOST/OWNER/REPOSITORY/ID as `shr jobs` shows it, or paste the address of the job or run from the browser',
    );
  }
  return {
    kind: 'job',
    path: owner === undefined || repository === undefined ? [host, id] : [host, owner, repository, id],
  };
}

/**
 * What a browser shows: `…/actions/runs/RUN/job/JOB` of a job, `…/actions/runs/RUN` (with or without `/attempts/N`) of a
 * run, and the older `…/runs/JOB`, where the id is that of the job's check run, which is the job's own.
 */
function pastedPlace({ protocol, host, pathname }: URL): ReturnType<typeof placeOf> | undefined {
  if (protocol !== 'https:' && protocol !== 'http:') return undefined;
  const found =
    /^\/([^/]+)\/([^/]+)\/(?:actions\/runs\/(?<run>\d+)(?:\/attempts\/\d+)?(?:\/job\/(?<job>\d+))?|runs\/(?<check>\d+))\/?$/.exec(
      pathname,
    );
  const [, owner, repository] = found ?? [];
  if (owner === undefined || repository === undefined) return undefined;
  const { run, job = found?.groups?.['check'] } = found?.groups ?? {};
  if (job !== undefined) return { kind: 'job', path: [host, owner, repository, job] };
  return run === undefined ? undefined : { kind: 'run', path: [host, owner, repository, run] };
}

function printJobs(terminal: Terminal, jobs: readonly JobView[], nowMs: number): void {
  if (jobs.length === 0) {
    terminal.out('No jobs.\n');
    return;
  }
  printTable(terminal, jobs, [
    { title: 'job', value: (job) => (job.host === 'github.com' ? job.id : `${job.host}/${job.id}`) },
    { title: 'repository', value: (job) => job.repository },
    { title: 'name', value: (job) => job.name },
    { title: 'status', value: statusOf },
    { title: 'for', value: (job) => age(job.statusSince, nowMs) },
    { title: 'admission', value: admissionOf },
    { title: 'runner', value: (job) => job.runner },
    { title: 'why', value: (job) => job.waitReason ?? job.reason ?? '' },
  ]);
}

function printJob(terminal: Terminal, job: JobView, waitReason: string | null, nowMs: number): void {
  printFields(
    terminal,
    told([
      ['job', `${job.key}: ${job.name}`],
      ['workflow', job.workflow],
      ['url', job.url],
      ['labels', job.labels.join(', ')],
      ['status', `${statusOf(job)} for ${age(job.statusSince, nowMs)}`],
      ['admission', admissionOf(job)],
      ['lane', job.lane],
      ['reason', job.reason],
      ['cure', job.cure],
      ['waits for', waitReason],
      ['runner', job.runner],
      ['launches', String(job.launches)],
      ['disputed', job.disputed ? 'yes: two facts conflict, GitHub will be asked' : null],
      ['first seen', job.firstSeenAt],
      ['created', job.createdAt],
      ['started', job.startedAt],
      ['completed', job.completedAt],
    ]),
  );
}

/** `lane` of the API means admitted: the table has no column for the lane. */
function admissionOf({ admission, registration }: JobView): string {
  const decision = admission === 'lane' ? 'admitted' : admission;
  if (registration === null) return decision;
  return admission === 'lane' || admission === 'refused'
    ? `${decision} by ${registration}`
    : `${decision}, ${registration}`;
}

function statusOf(job: JobView): string {
  return job.conclusion === null ? job.status : `${job.status} (${job.conclusion})`;
}
