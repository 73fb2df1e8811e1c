/**
 * Asks GitHub what started the run of a job, who, and whether its code comes from a fork, where policy or grant depends on
 * it: no delivery tells.
 */

import { MINUTE } from '../../time/units.ts';
import type { RunWord } from '../jobs/facts.ts';
import type { JobRow, Ledger } from '../ledger/ledger.ts';
import type { Registration } from '../model/registration.ts';
import { GithubQuestions, type GithubQuestionsOptions, type Subject } from './github-questions.ts';

export interface RunOriginsOptions extends GithubQuestionsOptions {
  readonly ledger: Pick<Ledger, 'tellRun'>;
}

/** What a job of it waits for. */
export interface RunNeeds {
  readonly origin: boolean;
  readonly fork: boolean;
}

/** An attempt: another may be started by somebody else. */
interface Attempt extends Subject {
  readonly runId: number;
  readonly attempt: number;
  readonly needs: RunNeeds;
}

/** Many runs may begin at once, and each costs one call beside those of its runners. */
const READS = { most: 1200, spanMs: 10 * MINUTE };

export class RunOrigins extends GithubQuestions<Attempt, RunWord> {
  constructor(options: RunOriginsOptions) {
    super(options, {
      notRead: 'run-not-read',
      notFound: 'run-not-found',
      reads: READS,
      key: ({ runId, attempt, needs }) => `${runId}/${attempt} ${needs.origin} ${needs.fork}`,
      read: async (github, { owner, repository, runId, attempt, needs }) => {
        const run = await github.readRun(owner, repository, runId);
        if (run === undefined) return undefined;
        // GitHub's answers can be older than the delivery of a later attempt's job.
        const origin = run.attempt < attempt ? undefined : run.origin;
        const lacks = (needs.origin && origin === undefined) || (needs.fork && run.isFork === undefined);
        return lacks ? undefined : { origin, isFork: run.isFork };
      },
      tell: (run, word) => options.ledger.tellRun(run, word),
    });
  }

  ask(
    job: Pick<JobRow, 'host' | 'owner' | 'repository' | 'runId' | 'runAttempt'>,
    registration: Registration,
    needs: RunNeeds,
  ): 'asked' | 'unknown' {
    const { host, owner, repository, runId, runAttempt: attempt } = job;
    const run = { host, owner, repository, runId, attempt, needs };
    return this.askAbout({ registration: registration.name, ...run }, registration);
  }
}
