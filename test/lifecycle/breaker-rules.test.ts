import { expect } from 'chai';
import { type Failure, type FailureKind, ownFailure } from '../../dispatcher/failures/failure.ts';
import type { Breaker } from '../../dispatcher/ledger/ledger.ts';
import {
  afterFailure,
  isTripped,
  type Rule,
  ruleFor,
  type Subject,
  shapeWords,
  stands,
} from '../../dispatcher/lifecycle/breaker-rules.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;

const subject: Subject = {
  key: 'acme/main',
  registration: 'acme',
  backend: 'main',
  rule: 'account',
  shape: null,
  subject: null,
  configuration: 'one',
};
const words: Failure = ownFailure('no-work', 'in its own words', 0);

function requiredRule(kind: FailureKind): Rule {
  const rule = ruleFor(kind);
  if (rule === undefined) throw new Error(`${kind} closes nothing`);
  return rule;
}

/** Seconds for which each of so many failures in a row closes it, when it is tried again as soon as it is due. */
function pauses(kind: FailureKind, count: number): readonly number[] {
  const rule = requiredRule(kind);
  const found: number[] = [];
  let nowMs = 0;
  let breaker: Breaker | undefined;
  for (let failure = 0; failure < count; failure += 1) {
    breaker = afterFailure(
      { subject: { ...subject, rule: rule.name }, rule, failure: words, retryAfterMs: undefined },
      breaker,
      nowMs,
    );
    found.push((breaker.closedUntilMs - nowMs) / SECOND);
    nowMs = breaker.closedUntilMs;
  }
  return found;
}

describe('the rules of a backend that fails', () => {
  const rhythms: readonly (readonly [what: string, kinds: readonly FailureKind[], seconds: readonly number[]])[] = [
    ['without stock', ['capacity', 'no-stock'], [30, 60, 120, 240, 480, 600, 600]],
    ['at its quota', ['quota'], [60, 120, 240, 480, 900, 900]],
    ['that throttles', ['throttled'], [5, 10, 20, 40, 60, 60]],
    ['that does not answer', ['transient'], [5, 10, 20, 40, 80, 160, 300, 300]],
    ['that refuses the credentials', ['unauthorized'], [300, 300, 300]],
    ['whose runner GitHub no longer accepts', ['runner-outdated'], [900, 3600, 3600]],
    ['whose runners get no job', ['no-work'], [300, 600, 1200, 1200]],
    ['whose containers end before they are online', ['exited', 'launch-timeout'], [0, 0, 60, 120, 240, 480, 600, 600]],
  ];
  for (const [what, kinds, seconds] of rhythms) {
    it(`try one ${what} again after ${seconds.slice(0, 3).join(', ')} … seconds`, () => {
      for (const kind of kinds) expect(pauses(kind, seconds.length), kind).to.deep.equal(seconds);
    });
  }

  it('try a refused image at growing intervals, the last time just before its jobs are refused', () => {
    for (const kind of ['invalid', 'image-pull-failed'] as const) {
      const seconds = pauses(kind, 7);
      expect(seconds, kind).to.deep.equal([60, 120, 300, 900, 420, 900, 900]);
      const untilVerdict = seconds.slice(0, 5).reduce((sum, one) => sum + one, 0);
      expect(untilVerdict).to.equal(30 * 60);
    }
  });

  it('let a refusal stand when a try after half an hour failed too, and let no other failure stand', () => {
    const refused = {
      ...afterFailure(
        { subject, rule: requiredRule('invalid'), failure: words, retryAfterMs: undefined },
        undefined,
        0,
      ),
      sinceMs: 5 * MINUTE,
    };
    const isTrueAfter = (ms: number, rule: Breaker['rule']) =>
      stands({ ...refused, rule, changedAtMs: 5 * MINUTE + ms });
    expect(isTrueAfter(30 * MINUTE - 1, 'refused')).to.equal(false);
    expect(isTrueAfter(30 * MINUTE, 'refused')).to.equal(true);
    expect(isTrueAfter(24 * 60 * MINUTE, 'capacity')).to.equal(false);
  });

  it('wait at least as long as the service asks for', () => {
    const closedMs = (askedMs: number) =>
      afterFailure({ subject, rule: requiredRule('throttled'), failure: words, retryAfterMs: askedMs }, undefined, 0)
        .closedUntilMs;
    expect(closedMs(90 * SECOND)).to.equal(90 * SECOND);
    expect(closedMs(SECOND)).to.equal(5 * SECOND);
  });

  it('begin anew when the last failure lies more than half an hour behind its pause', () => {
    const rule = requiredRule('quota');
    const first = afterFailure({ subject, rule, failure: words, retryAfterMs: undefined }, undefined, 0);
    const soon = afterFailure(
      { subject, rule, failure: words, retryAfterMs: undefined },
      first,
      first.closedUntilMs + 30 * MINUTE - 1,
    );
    expect(soon).to.include({ failures: 2, sinceMs: 0 });
    const lateMs = first.closedUntilMs + 30 * MINUTE;
    expect(afterFailure({ subject, rule, failure: words, retryAfterMs: undefined }, first, lateMs)).to.include({
      failures: 1,
      sinceMs: lateMs,
    });
  });

  it('count the first containers that end, and close nothing yet', () => {
    const rule = requiredRule('exited');
    const one = afterFailure({ subject, rule, failure: words, retryAfterMs: undefined }, undefined, 0);
    const two = afterFailure({ subject, rule, failure: words, retryAfterMs: undefined }, one, SECOND);
    const three = afterFailure({ subject, rule, failure: words, retryAfterMs: undefined }, two, 2 * SECOND);
    expect([one, two, three].map(isTripped)).to.deep.equal([false, false, true]);
  });

  it('do not count failures of GitHub, the dispatcher or the job against the backend', () => {
    const innocent = ['conflict', 'forbidden', 'not-found', 'rate-limited', 'interrupted', 'ledger', 'defect'] as const;
    for (const kind of innocent) expect(ruleFor(kind), kind).to.equal(undefined);
  });
});

describe('the words for a shape', () => {
  it('name everything that was asked for', () => {
    expect(
      shapeWords({
        image: 'runner:2',
        cpu: 2,
        memoryGiB: 4,
        architecture: 'arm64',
        spot: true,
        dockerInDocker: true,
        diskGiB: 50,
        bucket: 'cache',
        subnet: 'vsw-1',
        securityGroup: 'sg-1',
        region: 'eu-central-1',
      }),
    ).to.equal(
      'image runner:2, 2 cores, 4 GiB, arm64, spot, Docker in Docker, disk 50 GiB, bucket cache, subnet vsw-1, security group sg-1, region eu-central-1',
    );
  });

  it('leave out what was not asked for', () => {
    const wish = { image: 'runner:2', architecture: 'x64', spot: false, dockerInDocker: false } as const;
    expect(shapeWords(wish)).to.equal('image runner:2');
    expect(shapeWords({ ...wish, cpu: 1 })).to.equal('image runner:2, 1 core');
  });

  it('tell shapes apart that differ in their time limit', () => {
    const wish = { image: 'runner:2', architecture: 'x64', spot: false, dockerInDocker: false } as const;
    expect(shapeWords({ ...wish, timeLimitMs: 90 * 60_000 })).to.equal('image runner:2, time limit 1h30m');
  });
});
