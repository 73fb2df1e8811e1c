/** A refusal in the words that its author reads. Pure. */
import type { Admission, JobSubject } from '../jobs/lane.ts';
import { MAX_LABEL_LENGTH, MAX_LABELS } from '../labels/grammar.ts';
import type { JobLabel, Mistake } from '../labels/reading.ts';
import { quote } from '../labels/values.ts';
import type { JobClaims, Registration } from '../model/registration.ts';
import type { Refusal, RefusalCode } from './refusal.ts';

/** GitHub registers a runner with so many labels of such a length; undefined if the job keeps to it. */
export function judgeSize(labels: readonly JobLabel[]): Refusal | undefined {
  if (labels.length > MAX_LABELS) {
    return {
      code: 'too-many-labels',
      reason: `the job has ${labels.length} labels, and GitHub registers a runner with at most ${MAX_LABELS}`,
      cure: 'Use fewer labels, or the one-label form `shr=<unique>/cpu=4/…`.',
    };
  }
  const long = labels.find(({ text }) => text.length > MAX_LABEL_LENGTH);
  if (long === undefined) return undefined;
  return {
    code: 'label-too-long',
    reason: `the label ${quote(long.text)} has ${long.text.length} characters, more than ${MAX_LABEL_LENGTH}`,
    cure: 'Shorten it: a long image reference can become a named image of the registration or a preset of the platform, several parts a preset.',
  };
}

/** A label that cannot be read, as a refusal. */
export function fromMistake(mistake: Mistake): Refusal {
  const at = mistake.position > 1 ? ` (at character ${mistake.position})` : '';
  return {
    code: mistake.kind === 'malformed' ? 'malformed-label' : 'contradicting-labels',
    reason: `the label ${quote(mistake.label)}${at}: ${mistake.problem}`,
    cure: mistake.cure,
  };
}

/** Refused, because several registrations have an equal right to it. */
export function tied(registrations: readonly JobClaims[], job: JobSubject): Admission {
  const [first] = registrations;
  const names = registrations.map(({ name }) => quote(name)).join(' and ');
  return {
    outcome: 'refused',
    registration: first?.name ?? '',
    code: 'ambiguous-registration' satisfies RefusalCode,
    reason: `${names} both claim the jobs of ${job.owner}/${job.repository} with these labels at the same priority`,
    cure: 'Ask the operator of the dispatcher to give one of them a higher `priority`, or other labels; `shr validate` names such ties.',
  };
}

/** Refused for now: the configuration of its registration has problems. */
export function setAside({ name }: JobClaims): Admission {
  return {
    outcome: 'refused',
    registration: name,
    code: 'registration-set-aside' satisfies RefusalCode,
    reason: `registration ${quote(name)} is set aside: its configuration has problems`,
    cure: 'Fix the problems that `shr validate` reports: jobs that still wait are taken within seconds of the file being right.',
  };
}

/** All of them at once, so that fixing the first does not reveal a second. */
export function refused(
  registration: Pick<Registration, 'name' | 'organization'>,
  refusals: readonly Refusal[],
): Admission {
  const [first] = refusals;
  const place = first?.place ?? registration.organization?.decided[first?.field ?? ''];
  return {
    outcome: 'refused',
    registration: registration.name,
    code: first?.code ?? ('not-allowed' satisfies RefusalCode),
    reason: refusals.map(({ reason }) => reason).join('; '),
    cure: [...new Set(refusals.map(({ cure }) => cure))].join(' '),
    ...(place === undefined ? {} : { place }),
    ...(first?.field === undefined ? {} : { field: first.field }),
  };
}
