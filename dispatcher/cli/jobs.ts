/** `shr jobs`: what became of each job, and why. */
import type { Command } from 'commander';
import { type JobView, jobDetailSchema, jobListSchema } from '../http/admin-shapes.ts';
import { AdminClientError, type AdminTerminal, adminCommand, answering, filters } from './admin-client.ts';
import { age, facts, more, table } from './admin-text.ts';

export function jobsCommand(terminal: AdminTerminal): Command {
  const jobs = adminCommand('jobs', 'the jobs that the dispatcher knows, newest first')
    .option('--registration <name>', 'only of this registration')
    .option('--status <status>', 'queued, waiting, pending, requested, in_progress or completed')
    .option('--admission <admission>', 'pending, lane, refused, not-ours or expired')
    .option('--lane <key>', 'only of this lane')
    .option('--limit <count>', 'at most so many (100; at most 500)')
    .action(async (_options: unknown, command: Command) =>
      answering(command, terminal, async (client) => {
        const query = filters(command, ['registration', 'status', 'admission', 'lane', 'limit']);
        const answer = await client.get(['jobs'], query, jobListSchema);
        return { json: answer, text: listText(answer.jobs, terminal.clock.now()) + more(answer.more, 'jobs') };
      }),
    );
  jobs.addCommand(
    adminCommand('show', 'one job, by its id or as HOST/ID, and what it waits for')
      .argument('<job>', 'such as 4321 (on github.com) or ghes.acme.example/4321')
      .action(async (job: string, _options: unknown, command: Command) =>
        answering(command, terminal, async (client) => {
          const answer = await client.get(['jobs', ...jobPath(job)], {}, jobDetailSchema);
          return { json: answer, text: jobText(answer.job, answer.waitReason, terminal.clock.now()) };
        }),
      ),
  );
  return jobs;
}

function jobPath(job: string): readonly [host: string, id: string] {
  const [, host = 'github.com', id] = /^(?:([^/\s]+)\/)?([0-9]+)$/.exec(job) ?? [];
  if (id === undefined) {
    throw new AdminClientError(2, 'this names no job', 'write the id of the job, or HOST/ID, as `shr jobs` shows it');
  }
  return [host, id];
}

function listText(jobs: readonly JobView[], nowMs: number): string {
  if (jobs.length === 0) return 'No jobs.\n';
  return table(
    ['JOB', 'REPOSITORY', 'NAME', 'STATUS', 'FOR', 'ADMISSION', 'RUNNER', 'WHY'],
    jobs.map((job) => [
      job.host === 'github.com' ? String(job.id) : job.key,
      job.repository,
      job.name,
      job.conclusion === null ? job.status : `${job.status} (${job.conclusion})`,
      age(job.statusSince, nowMs),
      job.registration === null ? job.admission : `${job.admission} ${job.registration}`,
      job.runner ?? '-',
      job.reason ?? '',
    ]),
  );
}

function jobText(job: JobView, waitReason: string | null, nowMs: number): string {
  return facts([
    ['job', `${job.key}, ${job.repository}: ${job.name}`],
    ['workflow', job.workflow],
    ['url', job.url],
    ['labels', job.labels.join(', ')],
    [
      'status',
      `${job.status}${job.conclusion === null ? '' : ` (${job.conclusion})`} for ${age(job.statusSince, nowMs)}`,
    ],
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
  ]);
}
