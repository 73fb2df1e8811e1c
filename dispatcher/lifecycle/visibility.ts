/**
 * Asks GitHub whether repositories are public where a tenant's grant depends on it and only the tenant's own webhook
 * has told: it can sign that a public repository is private.
 */
import type { Visibility } from '../jobs/facts.ts';
import type { JobRow, Ledger } from '../ledger/ledger.ts';
import type { Registration } from '../model/registration.ts';
import { GithubQuestions, type GithubQuestionsOptions, type Subject } from './github-questions.ts';

export interface VisibilitiesOptions extends GithubQuestionsOptions {
  readonly ledger: Pick<Ledger, 'tellVisibility'>;
}

export class Visibilities extends GithubQuestions<Subject, Visibility> {
  constructor(options: VisibilitiesOptions) {
    super(options, {
      notRead: 'visibility-not-read',
      notFound: 'repository-not-found',
      read: (github, { owner, repository }) => github.readVisibility(owner, repository),
      tell: (repository, visibility) => options.ledger.tellVisibility(repository, visibility),
    });
  }

  ask({ host, owner, repository }: Pick<JobRow, 'host' | 'owner' | 'repository'>, registration: Registration) {
    return this.askAbout({ registration: registration.name, host, owner, repository }, registration);
  }
}
