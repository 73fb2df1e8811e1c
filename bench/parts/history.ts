/** A ledger with a long history: one completed job, copied with different keys by SQLite itself. */
import Sqlite from 'better-sqlite3';
import { z } from 'zod';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import { systemClock } from '../../time/clock.ts';

const HOUR_MS = 3_600_000;
const columns = z.array(z.object({ name: z.string() }));

export async function fillHistory(path: string, jobs: number): Promise<void> {
  const nowMs = systemClock.now();
  const ledger = await openSqliteLedger({ path, now: systemClock.now });
  await ledger.recordFacts([
    {
      ...{ host: 'github.com', owner: 'Codertocat', repository: 'Hello-World', repositoryId: 1, visibility: 'public' },
      ...{
        jobId: 1,
        runId: 1,
        runAttempt: 1,
        jobName: 'build',
        workflowName: 'CI',
        headBranch: 'main',
        headSha: 'a'.repeat(40),
      },
      ...{ htmlUrl: 'https://github.com/Codertocat/Hello-World/actions/runs/1', labels: ['bench'] },
      ...{ status: 'completed', conclusion: 'success', runnerId: 1, runnerName: 'bench-1' },
      ...{ createdAtMs: nowMs - HOUR_MS, startedAtMs: nowMs - HOUR_MS, completedAtMs: nowMs - HOUR_MS },
      ...{ source: 'webhook', toldBy: null, observedAtMs: nowMs - HOUR_MS },
    },
  ]);
  const [job] = await ledger.unsettledJobs(1, 'reject');
  if (job === undefined) throw new Error('the first job is not in the ledger');
  await ledger.settleJobs([
    {
      key: job.key,
      version: job.version,
      admission: { state: 'not-ours', registration: null, lane: null, reasonCode: null, reason: null, cure: null },
    },
  ]);
  await ledger.close();

  const database = new Sqlite(path);
  database.pragma('synchronous = OFF');
  const names = columns.parse(database.pragma('table_info(jobs)')).map(({ name }) => name);
  const copied = names.map((name) => {
    if (name === 'key') return `'github.com/codertocat/hello-world/' || number`;
    if (name === 'jobId' || name === 'runId') return 'number';
    return name === 'statusSinceMs' || name === 'firstSeenAtMs' ? `"${name}" - number` : `"${name}"`;
  });
  database.exec(`
    with recursive numbers(number) as (select 2 union all select number + 1 from numbers where number < ${jobs})
    insert into jobs (${names.map((name) => `"${name}"`).join(', ')})
    select ${copied.join(', ')} from numbers cross join (select * from jobs limit 1)
  `);
  database.exec(`update shares set ended = ${jobs}`);
  database.close();
}
