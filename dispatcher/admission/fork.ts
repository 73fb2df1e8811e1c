/**
 * Jobs whose code comes from another repository than the one that they run in: a pull request from a fork. In a private
 * repository its author can read the code, and need not be allowed to write it. Pure.
 */
import type { Visibility } from '../jobs/facts.ts';
import type { JobSubject } from '../jobs/lane.ts';
import { quote } from '../labels/values.ts';
import type { Registration } from '../model/registration.ts';
import { cureOf, missingForks, placeOf } from './grants.ts';
import { ask, type Refusal } from './refusal.ts';

export interface ForkSubject {
  /** `owner/name` */
  readonly repository: string;
  readonly visibility: Visibility | undefined;
  /** Undefined: it is not known yet. */
  readonly isFork: boolean | undefined;
}

export interface ForkRefusal {
  /** False: it is refused if it is one, and something has to be asked first. */
  readonly isCertain: boolean;
  readonly reason: string;
  readonly cure: string;
}

/** `backend`: where the runner runs. Undefined: nothing refuses it. */
export function judgeFork(
  registration: Registration,
  backend: string | null,
  { repository, visibility, isFork }: ForkSubject,
): ForkRefusal | undefined {
  if (isFork === false) return undefined;
  const against = ofPolicy(registration, visibility) ?? ofGrant(registration, backend, visibility);
  if (against === undefined) return undefined;
  const { why, cure } = against;
  // Of a public repository another rule may hold.
  const isCertain = isFork === true && visibility !== undefined;
  const what = isCertain
    ? `the code of this job in ${repository} comes from a fork`
    : `it is not known yet whether ${isFork === true ? `${repository} is public` : `the code of this job in ${repository} comes from a fork`}`;
  return { isCertain, reason: `${what}, and ${why}`, cure };
}

/** By the policy alone; on shared backends the grant is asked where they are chosen. Undefined: nothing refuses it. */
export function judgeForkByPolicy(registration: Registration, job: JobSubject): Refusal | undefined {
  if (job.isFork === undefined) return undefined;
  const repository = `${job.owner}/${job.repository}`;
  const refusal = judgeFork(registration, null, {
    ...{ repository, visibility: job.visibility },
    isFork: job.isFork ?? undefined,
  });
  if (refusal === undefined) return undefined;
  const { isCertain, reason, cure } = refusal;
  return isCertain
    ? { code: 'fork', field: 'policy.forks', reason, cure }
    : { code: 'unknown-fork', field: 'policy.forks', reason, cure: `GitHub is asked for its run. ${cure}` };
}

/** Whether what becomes of a job of such a repository depends on where its code comes from. */
export function dependsOnFork(
  registration: Registration,
  repository: string,
  visibility: Visibility | undefined,
): boolean {
  const subject = { repository, visibility, isFork: undefined };
  const places = [null, ...registration.backends.map(({ name }) => name)];
  return places.some((backend) => judgeFork(registration, backend, subject) !== undefined);
}

interface Against {
  readonly why: string;
  readonly cure: string;
}

/** Of a public repository `publicRepositories` decides, unless the policy names forks by themselves. */
function ofPolicy(registration: Registration, visibility: Visibility | undefined): Against | undefined {
  if (registration.policy.forks ?? visibility === 'public') return undefined;
  return {
    why: `registration ${quote(registration.name)} does not serve forks`,
    cure: `Run it from a branch of the repository itself, ${ask(registration, 'forks')}, knowing that everyone who can read the repository can then run code on its runners.`,
  };
}

function ofGrant(
  { grant, backends }: Registration,
  backend: string | null,
  visibility: Visibility | undefined,
): Against | undefined {
  if (grant === undefined || visibility === 'public') return undefined;
  const [missing] = missingForks(grant, true);
  if (missing === undefined) return undefined;
  if (backends.find(({ name }) => name === backend)?.shared !== true) return undefined;
  const place = placeOf(grant, missing.field);
  return {
    why: `tenant ${quote(grant.tenant)} was not granted ${missing.what} on shared backends (${place})`,
    cure: cureOf(grant, missing),
  };
}
