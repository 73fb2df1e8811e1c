/** Asks GitHub what started the run of a job, and who, where policy or grant depends on it: no delivery tells. */
import type { RunOrigin } from '../jobs/facts.ts';
import type { JobRow, Ledger } from '../ledger/ledger.ts';
import type { Registration } from '../model/registration.ts';
import { GithubQuestions, type GithubQuestionsOptions, type Subject } from './github-questions.ts';

export interface RunOriginsOptions extends GithubQuestionsOptions {
  readonly ledger: Pick<Ledger, 'tellRun'>;
}

/** An attempt: another may be started by somebody else. */
interface Attempt extends Subject {
  readonly runId: number;
  readonly attempt: number;
}

export class RunOrigins extends GithubQuestions<Attempt, RunOrigin> {
  constructor(options: RunOriginsOptions) {
    super(options, {
      notRead: 'run-not-read',
      notFound: 'run-not-found',
      key: ({ runId, attempt }) => `${runId}/${attempt}`,
      read: async (github, { owner, repository, runId, attempt }) => {
        const run = await github.readRun(owner, repository, runId);
        // GitHub's answers can be older than the delivery of a later attempt's job.
        return run === undefined || run.attempt < attempt ? undefined : run.origin;
      },
      tell: (run, origin) => options.ledger.tellRun(run, origin),
    });
  }

  ask(
    job: Pick<JobRow, 'host' | 'owner' | 'repository' | 'runId' | 'runAttempt'>,
    registration: Registration,
  ): 'asked' | 'unknown' {
    const { host, owner, repository, runId, runAttempt: attempt } = job;
    return this.askAbout({ registration: registration.name, host, owner, repository, runId, attempt }, registration);
  }
}
