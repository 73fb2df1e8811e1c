/**
 * The consequence of a failure at a backend: what it closes, after how many failures, and for how long. Pure.
 *
 * The verdicts are those of DESIGN, "Provider contract". Closed means: no launches. When the time is up, one launch
 * tests it, and the others wait for the outcome.
 */
import type { ShapeWish } from '../../providers/provider.ts';
import { coresInWords } from '../../providers/shape-words.ts';
import { MINUTE, SECOND } from '../../time/units.ts';
import type { Failure, FailureKind } from '../failures/failure.ts';
import { formatDuration } from '../labels/duration.ts';
import type { Breaker, BreakerRule } from '../ledger/ledger.ts';

/**
 * - `account`: the service refuses the whole backend (its account, its limits), or does not answer.
 * - `capacity`: no stock of this shape.
 * - `refused`: the service refuses this image or shape, or cannot pull the image. It may recover by itself.
 * - `start`: containers of this image and shape end, or never come online.
 * - `idle`: they come online, and GitHub assigns them no job.
 */
export type RuleName = BreakerRule;

export interface Rule {
  readonly name: RuleName;
  /** Consecutive failures before it closes. */
  readonly patience: number;
  /** From the first failure that closes it on; the last one repeats. */
  readonly pausesMs: readonly number[];
  /** What proves recovery: the service accepted a launch, a container came online, or GitHub assigned it a job. */
  readonly healedBy: 'accepted' | 'online' | 'work';
}

/** A refusal that has lasted this long is considered final: the jobs are refused. */
export const REFUSAL_STANDS_MS = 30 * MINUTE;
/** A failure not retried for this long, beyond its pause, is no longer counted together with the next one. */
const FORGOTTEN_MS = 30 * MINUTE;

const doubling = (firstMs: number, mostMs: number): readonly number[] => {
  const pauses: number[] = [];
  for (let pause = firstMs; pause < mostMs; pause *= 2) pauses.push(pause);
  return [...pauses, mostMs];
};

const CAPACITY: Rule = {
  name: 'capacity',
  patience: 1,
  pausesMs: doubling(30 * SECOND, 10 * MINUTE),
  healedBy: 'accepted',
};
const QUOTA: Rule = { name: 'account', patience: 1, pausesMs: doubling(MINUTE, 15 * MINUTE), healedBy: 'accepted' };
const THROTTLED: Rule = { name: 'account', patience: 1, pausesMs: doubling(5 * SECOND, MINUTE), healedBy: 'accepted' };
const TRANSIENT: Rule = {
  name: 'account',
  patience: 1,
  pausesMs: doubling(5 * SECOND, 5 * MINUTE),
  healedBy: 'accepted',
};
const UNAUTHORIZED: Rule = { name: 'account', patience: 1, pausesMs: [5 * MINUTE], healedBy: 'accepted' };
const START: Rule = { name: 'start', patience: 3, pausesMs: doubling(MINUTE, 10 * MINUTE), healedBy: 'online' };
/** Every launch of the image would end the same way. One an hour finds out whether the image was replaced. */
const OUTDATED: Rule = { name: 'start', patience: 1, pausesMs: [15 * MINUTE, 60 * MINUTE], healedBy: 'online' };
const IDLE: Rule = { name: 'idle', patience: 1, pausesMs: doubling(5 * MINUTE, 20 * MINUTE), healedBy: 'work' };
const REFUSAL_PAUSES = [MINUTE, 2 * MINUTE, 5 * MINUTE, 15 * MINUTE];
const REFUSED: Rule = { name: 'refused', patience: 1, pausesMs: REFUSAL_PAUSES, healedBy: 'accepted' };
/** The service takes the launch, and finds out later that it cannot pull the image. */
const UNPULLED: Rule = { name: 'refused', patience: 1, pausesMs: REFUSAL_PAUSES, healedBy: 'online' };

/** Undefined if the failure says nothing about the backend. `unfit` is certain and needs no rule: see Backends. */
export function ruleFor(kind: FailureKind): Rule | undefined {
  switch (kind) {
    case 'capacity':
    case 'no-stock':
      return CAPACITY;
    case 'quota':
      return QUOTA;
    case 'throttled':
      return THROTTLED;
    case 'transient':
      return TRANSIENT;
    case 'unauthorized':
      return UNAUTHORIZED;
    case 'invalid':
      return REFUSED;
    case 'image-pull-failed':
      return UNPULLED;
    case 'exited':
    case 'out-of-memory':
    case 'spot-reclaimed':
    case 'time-limit':
    case 'stopped':
    case 'unknown':
    case 'launch-timeout':
      return START;
    case 'runner-outdated':
      return OUTDATED;
    case 'no-work':
      return IDLE;
    case 'conflict':
    case 'forbidden':
    case 'not-found':
    case 'rate-limited':
    case 'interrupted':
    case 'unfit':
    case 'no-place':
    case 'no-registration':
    case 'ledger':
    case 'defect':
      return undefined;
  }
}

export type Subject = Pick<
  Breaker,
  'key' | 'registration' | 'backend' | 'rule' | 'shape' | 'subject' | 'configuration'
>;

/** A launch that failed, and what it counts against. */
export interface LaunchFailure {
  readonly subject: Subject;
  readonly rule: Rule;
  readonly failure: Failure;
  /** As long as the service asked for. */
  readonly retryAfterMs: number | undefined;
}

/** The breaker after this failure; `before` is the previous one. */
export function afterFailure(
  { subject, rule, failure, retryAfterMs }: LaunchFailure,
  before: Breaker | undefined,
  nowMs: number,
): Breaker {
  const goesOn = before !== undefined && nowMs - before.closedUntilMs < FORGOTTEN_MS;
  const failures = (goesOn ? before.failures : 0) + 1;
  const sinceMs = goesOn ? before.sinceMs : nowMs;
  const closedUntilMs =
    failures < rule.patience ? nowMs : nowMs + Math.max(retryAfterMs ?? 0, pauseMs(rule, failures, sinceMs, nowMs));
  return { ...subject, failure, failures, sinceMs, closedUntilMs, changedAtMs: nowMs };
}

function pauseMs(rule: Rule, failures: number, sinceMs: number, nowMs: number): number {
  const place = Math.min(failures - rule.patience, rule.pausesMs.length - 1);
  const pause = rule.pausesMs[place] ?? 0;
  if (rule.name !== 'refused') return pause;
  // Tested when the jobs are due to be refused, not long after.
  const untilVerdictMs = sinceMs + REFUSAL_STANDS_MS - nowMs;
  return untilVerdictMs > 0 ? Math.min(pause, untilVerdictMs) : pause;
}

/** It has closed; one launch tests it when its time is up. */
export function isTripped(breaker: Breaker): boolean {
  return breaker.closedUntilMs > breaker.changedAtMs;
}

/** Refused for so long, and tested in between, that the jobs are refused. */
export function stands(breaker: Breaker): boolean {
  return breaker.rule === 'refused' && breaker.changedAtMs - breaker.sinceMs >= REFUSAL_STANDS_MS;
}

/** What a service may refuse a launch for: `image ghcr.io/acme/runner:2, 2 cores, 4 GiB, arm64, spot`. */
export function shapeWords(wish: ShapeWish): string {
  const parts: Readonly<Record<keyof ShapeWish, string | undefined>> = {
    image: `image ${wish.image}`,
    cpu: wish.cpu === undefined ? undefined : coresInWords(wish.cpu),
    memoryGiB: wish.memoryGiB === undefined ? undefined : `${wish.memoryGiB} GiB`,
    architecture: wish.architecture === 'arm64' ? 'arm64' : undefined,
    spot: wish.spot ? 'spot' : undefined,
    dockerInDocker: wish.dockerInDocker ? 'Docker in Docker' : undefined,
    diskGiB: wish.diskGiB === undefined ? undefined : `disk ${wish.diskGiB} GiB`,
    bucket: wish.bucket === undefined ? undefined : `bucket ${wish.bucket}`,
    // Follows from the repository.
    bucketPrefix: undefined,
    subnet: wish.subnet === undefined ? undefined : `subnet ${wish.subnet}`,
    securityGroup: wish.securityGroup === undefined ? undefined : `security group ${wish.securityGroup}`,
    region: wish.region === undefined ? undefined : `region ${wish.region}`,
    timeLimitMs: wish.timeLimitMs === undefined ? undefined : `time limit ${formatDuration(wish.timeLimitMs)}`,
  };
  return Object.values(parts)
    .filter((part) => part !== undefined)
    .join(', ');
}
