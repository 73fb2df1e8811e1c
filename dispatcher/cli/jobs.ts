/** `shr jobs`: what became of each job, and why. */
import type { Command } from 'commander';
import { type Clock, systemClock } from '../clock.ts';
import { type JobView, jobDetailSchema, jobListSchema } from '../http/admin-shapes.ts';
import { AdminClientError, adminCommand, answering, filters } from './admin-client.ts';
import { age, more, told } from './admin-text.ts';
import { printFields, printTable } from './output.ts';
import type { Terminal } from './terminal.ts';

export function createCommand(terminal: Terminal, clock: Clock = systemClock): Command {
  const jobs = adminCommand('jobs', 'the jobs that the dispatcher knows, newest first', terminal)
    .option('--registration <name>', 'only of this registration')
    .option('--status <status>', 'queued, waiting, pending, requested, in_progress or completed')
    .option('--admission <admission>', 'pending, lane, refused, not-ours or expired')
    .option('--lane <key>', 'only of this lane')
    .option('--limit <count>', 'at most so many (100; at most 500)')
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
        },
      ),
    );
  jobs.addCommand(
    adminCommand('show', 'one job, and what it waits for', terminal)
      .argument('<job>', 'its id (on github.com), HOST/ID, or its whole key as in github.com/acme/web/4321')
      .action(async (job: string, _options: unknown, command: Command) =>
        answering(
          { command, terminal, clock },
          (client) => client.get(['jobs', ...jobPath(job)], {}, jobDetailSchema),
          (answer) => printJob(terminal, answer.job, answer.waitReason, clock.now()),
        ),
      ),
  );
  return jobs;
}

function jobPath(job: string): readonly string[] {
  const [, host = 'github.com', owner, repository, id] =
    /^(?:([^/\s]+)\/)?(?:([^/\s]+)\/([^/\s]+)\/)?([0-9]+)$/.exec(job) ?? [];
  if (id === undefined) {
    throw new AdminClientError(
      2,
      'this is not a job',
      'write the id of the job, HOST/ID, or HOST/OWNER/REPOSITORY/ID, as `shr jobs` shows it',
    );
  }
  return owner === undefined || repository === undefined ? [host, id] : [host, owner, repository, id];
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
    { title: 'admission', value: (job) => [job.admission, job.registration].filter(Boolean).join(' ') },
    { title: 'runner', value: (job) => job.runner },
    { title: 'why', value: (job) => job.reason ?? '' },
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
      ['admission', job.registration === null ? job.admission : `${job.admission}, registration ${job.registration}`],
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

function statusOf(job: JobView): string {
  return job.conclusion === null ? job.status : `${job.status} (${job.conclusion})`;
}
