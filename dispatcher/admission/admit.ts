/**
 * Admission: maps a job to a lane and a wish, to a refusal with its reason and cure, or to "not ours". Pure.
 * The order: match, read the labels, the registration's policy, the shape, the backends.
 */
import type { Admission, Admit, JobSubject } from '../jobs/lane.ts';
import { readLabels } from '../labels/grammar.ts';
import { collectOverrides, override } from '../labels/overrides.ts';
import type { JobLabel } from '../labels/reading.ts';
import { quote } from '../labels/values.ts';
import type { JobClaims, Registration, TenantEntry } from '../model/registration.ts';
import { type BackendFits, noBackend, selectBackends, whyUnfit } from './backend-choice.ts';
import { judgeForkByPolicy } from './fork.ts';
import { laneOf, withBucketPrefix } from './lane-of.ts';
import { indexRegistrations, match } from './match.ts';
import { judgeOrganization, unknownOrganization } from './organization.ts';
import { judgeOrigin } from './origin.ts';
import { applyPolicy, judgeVisibility } from './policy.ts';
import { fromMistake, judgeSize, refused, setAside, tied } from './refused.ts';
import { judgeGrant, whyWithheld } from './tenant-grant.ts';
import { unreadClaims } from './unread.ts';

/** What admission knows besides the registrations in force. */
export interface AdmitOptions {
  /** From dispatcher.yaml: a grant reserves labels for its tenant even where none of its registrations is in force. */
  readonly tenants?: readonly TenantEntry[] | undefined;
  /** What registrations that are set aside claim: those jobs, and only those, are refused in the meantime. */
  readonly setAside?: readonly JobClaims[];
  /** Registrations that are set aside and whose files do not say what they claim: any job may be theirs. */
  readonly unread?: readonly string[];
  readonly backendFit?: BackendFits;
}

/** Indexes the registrations once; the function it returns is pure. */
export function createAdmit(registrations: readonly Registration[], options: AdmitOptions = {}): Admit {
  const index = indexRegistrations(registrations, options.tenants, options.setAside);
  const { tenants, unread = [] } = options;
  const notOurs = (reason: string, { host, owner, repository }: JobSubject): string => {
    if (unread.length === 0) return reason;
    const more = unreadClaims(unread, tenants, index.territory.whose(host, owner, repository));
    return more === undefined ? reason : `${reason}; ${more}`;
  };
  return (job) => {
    const labels = readLabels(job.labels);
    const found = match(index, job, labels);
    switch (found.outcome) {
      case 'none':
        return { outcome: 'not-ours', reason: notOurs(found.reason, job) };
      case 'tie':
        return tied(found.registrations, job);
      case 'set-aside':
        return setAside(found.registration);
      case 'withheld':
        return refused(found.registration, [{ code: 'not-granted', ...found.withheld }]);
      case 'matched':
        return admitTo(found.registration, job, labels, found.rest, options);
    }
  };
}

function admitTo(
  registration: Registration,
  job: JobSubject,
  labels: readonly JobLabel[],
  rest: readonly JobLabel[],
  options: AdmitOptions,
): Admission {
  const oversized = judgeSize(labels);
  if (oversized !== undefined) return refused(registration, [oversized]);

  const unknown = unknownOrganization(registration);
  if (unknown !== undefined) return refused(registration, [unknown]);

  const { overrides, mistakes } = collectOverrides(rest);
  if (mistakes.length > 0) return refused(registration, mistakes.map(fromMistake));

  const exposed = judgeVisibility(registration, job.visibility, `${job.owner}/${job.repository}`);
  if (exposed !== undefined) return refused(registration, [exposed]);

  const origin = judgeOrigin(registration, job);
  if (origin.length > 0) return refused(registration, origin);

  const fork = judgeForkByPolicy(registration, job);
  if (fork !== undefined) return refused(registration, [fork]);

  const answer = applyPolicy(registration, overrides);
  if (!answer.granted) return refused(registration, answer.refusals);

  const wish = withBucketPrefix(answer.grant.wish, job);
  const selected = selectBackends(registration, override(overrides, 'backend')?.value, wish.region);
  const ungranted = [
    ...judgeGrant(registration, job, wish, selected.backends),
    ...judgeOrganization(registration, wish),
  ];
  if (ungranted.length > 0) return refused(registration, ungranted);
  const backends: string[] = [];
  const unfit: string[] = [];
  for (const backend of selected.backends) {
    const reason =
      whyWithheld(registration, backend.name, job, wish) ??
      whyUnfit(registration, backend, { ...answer.grant, wish }, options.backendFit);
    if (reason === undefined) backends.push(backend.name);
    else unfit.push(`${quote(backend.name)}: ${reason}`);
  }
  if (backends.length === 0) return refused(registration, [noBackend(registration, wish, selected.reason, unfit)]);
  return { outcome: 'lane', lane: laneOf({ registration, job, labels, wish, backends, selected: selected.backends }) };
}
