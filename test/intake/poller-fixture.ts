/** A GitHub of a few repositories, a real client and a real ledger, for the tests of the poller. */
import { createHash } from 'node:crypto';
import type { BudgetLimits } from '../../dispatcher/github/budget.ts';
import type { BudgetPool } from '../../dispatcher/github/budget-pool.ts';
import { createPoller, type Poller } from '../../dispatcher/intake/poller.ts';
import type { JobStatus } from '../../dispatcher/jobs/facts.ts';
import type { Ledger } from '../../dispatcher/ledger/ledger.ts';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import type { Claim, Credentials } from '../../dispatcher/model/registration.ts';
import { clientOf } from '../github/github-fixture.ts';
import { type Asked, type Says, type ScriptedGithub, scriptedGithub } from '../github/scripted-github.ts';
import { VirtualClock } from '../github/virtual-clock.ts';

export interface PolledJob {
  readonly id: number;
  status: string;
}

export interface PolledRun {
  readonly id: number;
  status: string;
  readonly jobs: PolledJob[];
}

export interface Fixture {
  readonly clock: VirtualClock;
  readonly server: ScriptedGithub;
  readonly ledger: Ledger;
  /** By repository of acme. */
  readonly runs: Map<string, PolledRun[]>;
  readonly warnings: string[];
  /** How often somebody was told to look. */
  readonly wakes: number;
  /** Answers before the fixture does. */
  answerWith(script: (asked: Asked) => Says | 'hang' | 'reset' | undefined): void;
  /** Answers carry ETags from now on, and 304 to those who know them. */
  tag(): void;
  poller(options?: PollerWish): Poller;
  /** No request is under way. */
  idle(): boolean;
  /** A pass, with its pauses. */
  pass(poller: Poller): Promise<boolean>;
  statusOf(jobId: number): Promise<JobStatus | undefined>;
  close(): Promise<void>;
}

export interface PollerWish {
  readonly intervalMs?: number | null;
  readonly claim?: Claim;
  readonly credentials?: Credentials;
  readonly only?: readonly string[];
  readonly limits?: Partial<BudgetLimits>;
  readonly apiUrl?: string;
}

export async function openFixture(ledgerPath = ':memory:'): Promise<Fixture> {
  const clock = new VirtualClock();
  const runs = new Map<string, PolledRun[]>();
  const warnings: string[] = [];
  const pollers: Poller[] = [];
  const pools: BudgetPool[] = [];
  let wakes = 0;
  let tags = false;
  let first: (asked: Asked) => Says | 'hang' | 'reset' | undefined = () => undefined;
  const server = await scriptedGithub((asked) => {
    const says = first(asked) ?? answer(runs, asked);
    return tags && says !== 'hang' && says !== 'reset' ? tagged(asked, says) : says;
  });
  const ledger = await openSqliteLedger({ path: ledgerPath, now: () => clock.now() });
  return {
    clock,
    server,
    ledger,
    runs,
    warnings,
    get wakes() {
      return wakes;
    },
    answerWith: (script) => {
      first = script;
    },
    tag: () => {
      tags = true;
    },
    poller: (wish = {}) => {
      const { intervalMs = 60_000, apiUrl = server.apiUrl, ...client } = wish;
      const { github, budgets } = clientOf(apiUrl, { clock, ...client });
      pools.push(budgets);
      const poller = createPoller({
        tenants: [
          { registration: { name: 'acme', poll: { intervalMs, repositories: wish.only ?? [] } }, source: github },
        ],
        ledger,
        clock,
        random: () => 0.5,
        log: {
          debug: () => {},
          info: () => {},
          warn: (event, fields) => warnings.push(`${event} ${String(fields?.['about'] ?? fields?.['job'] ?? '')}`),
        },
        onRecorded: () => {
          wakes += 1;
        },
      });
      pollers.push(poller);
      return poller;
    },
    idle: () =>
      pools.every((pool) =>
        pool.snapshot().every((level) => level.class !== 'concurrency' || level.remaining === level.limit),
      ),
    pass: (poller) => clock.during(poller.pollNow('acme')),
    statusOf: async (jobId) => (await ledger.jobsWithId(jobId, 'reject'))[0]?.status,
    close: async () => {
      await Promise.all(pollers.map((poller) => poller.stop()));
      await ledger.close();
      await server.close();
    },
  };
}

function answer(runs: ReadonlyMap<string, readonly PolledRun[]>, { path, query }: Asked): Says {
  if (path === '/orgs/acme/repos') {
    return { body: [...runs.keys()].map(repositoryReply) };
  }
  const [, , owner, name = '', , kind, runId] = path.split('/');
  const repository = runs.get(name);
  if (owner !== 'acme' || repository === undefined) return { status: 404, body: { message: 'Not Found' } };
  if (kind === undefined) return { body: repositoryReply(name) };
  if (runId === undefined) {
    const open = repository.filter((run) => run.status === query.get('status'));
    return paged(
      open.map(({ id }) => ({ id })),
      'workflow_runs',
      query,
    );
  }
  const run = repository.find(({ id }) => String(id) === runId);
  if (run === undefined) return { status: 404, body: { message: 'Not Found' } };
  return paged(
    run.jobs.map((job) => jobReply(run.id, job)),
    'jobs',
    query,
  );
}

function tagged(asked: Asked, says: Says): Says {
  const etag = `W/"${createHash('sha256')
    .update(JSON.stringify(says.body ?? null))
    .digest('hex')}"`;
  if (asked.headers['if-none-match'] === etag) return { status: 304, headers: { etag } };
  return { ...says, headers: { ...says.headers, etag } };
}

function paged(items: readonly unknown[], name: string, query: URLSearchParams): Says {
  const [size, page] = [Number(query.get('per_page')), Number(query.get('page'))];
  return { body: { total_count: items.length, [name]: items.slice((page - 1) * size, page * size) } };
}

function repositoryReply(name: string) {
  return { name, owner: { login: 'acme' }, private: true, visibility: 'internal', archived: false, disabled: false };
}

function jobReply(runId: number, job: PolledJob) {
  return {
    id: job.id,
    run_id: runId,
    run_attempt: 1,
    name: `job ${job.id}`,
    workflow_name: 'CI',
    head_sha: 'abc',
    html_url: `https://github.com/acme/web/actions/runs/${runId}/job/${job.id}`,
    status: job.status,
    conclusion: job.status === 'completed' ? 'success' : null,
    labels: ['acme-runner'],
    runner_id: 0,
    runner_name: '',
    created_at: '2026-01-05T11:59:00Z',
    started_at: null,
    completed_at: null,
  };
}
