/** What the containers of a standby pool are: the same as a job with its labels would get. Pure. */
import type { LaneSpec } from '../jobs/lane.ts';
import { readLabels } from '../labels/grammar.ts';
import { collectOverrides, override } from '../labels/overrides.ts';
import { quote } from '../labels/values.ts';
import { onlyScopeOf, ownersOf, type Registration, type StandbyPool } from '../model/registration.ts';
import { selectBackends } from './backend-choice.ts';
import { standbyLaneOf } from './lane-of.ts';
import { applyPolicy } from './policy.ts';
import { whyWithheld } from './tenant-grant.ts';

export interface StandbyRefusal {
  readonly reason: string;
  readonly cure: string;
}

export type StandbyAnswer =
  | { readonly kind: 'lane'; readonly lane: LaneSpec }
  | { readonly kind: 'refused'; readonly refusals: readonly StandbyRefusal[] };

/** `configurations`: of the backends, by name. With another one of them, the lane has another key. */
export function standbyLane(
  registration: Registration,
  pool: Pick<StandbyPool, 'labels'>,
  configurations: Pick<ReadonlyMap<string, string>, 'get'> = new Map(),
): StandbyAnswer {
  const scope = onlyScopeOf(registration.claim);
  if (scope === undefined) {
    return refused(
      'its runners register at each repository, and the tags of a container name one place',
      'Claim one repository, an organization or an enterprise, or remove `standby`.',
    );
  }
  const labels = readLabels(pool.labels);
  const plain = labels.find(({ reading }) => reading.kind === 'plain');
  if (plain !== undefined) {
    return refused(
      `${quote(plain.text)} changes nothing about a container`,
      'Keep only overrides such as `cpu-4`: a container gets the labels of its job when the job comes.',
    );
  }
  const { overrides, mistakes } = collectOverrides(labels);
  if (mistakes.length > 0) {
    return {
      kind: 'refused',
      refusals: mistakes.map(({ label, problem, cure }) => ({ reason: `${quote(label)}: ${problem}`, cure })),
    };
  }
  const answer = applyPolicy(registration, overrides);
  if (!answer.granted) return { kind: 'refused', refusals: answer.refusals };
  const { wish } = answer.grant;
  if (wish.bucket !== undefined) {
    return refused(
      'a bucket is mounted under the folder of a repository, which is not known before the job',
      'Remove the bucket from its shape: jobs with a bucket start a container of their own.',
    );
  }
  // As a job of a private repository: what a lane of public ones may not use is not among its backends.
  const [owner = ''] = ownersOf(registration.claim);
  const job = { host: registration.host, owner, repository: '', labels: [], visibility: 'private' } as const;
  const selected = selectBackends(registration, override(overrides, 'backend')?.value, wish.region);
  const backends = selected.backends.filter(
    ({ kind, name }) => kind !== 'process' && whyWithheld(registration, name, job, wish) === undefined,
  );
  if (backends.length === 0) {
    return refused(
      selected.reason ?? 'none of its backends supports standby containers',
      'Use a backend that runs a runner image, and that its tenant may use for this.',
    );
  }
  return {
    kind: 'lane',
    lane: standbyLaneOf(
      registration,
      scope,
      wish,
      backends.map(({ name }) => [name, configurations.get(name)]),
    ),
  };
}

function refused(reason: string, cure: string): StandbyAnswer {
  return { kind: 'refused', refusals: [{ reason, cure }] };
}
