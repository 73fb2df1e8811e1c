import { expect } from 'chai';
import type { GithubErrorKind } from '../../dispatcher/failures/failure.ts';
import { GithubError } from '../../dispatcher/github/github.ts';
import type { LaneSpec } from '../../dispatcher/jobs/lane.ts';
import { Holds, MAX_HOLDS } from '../../dispatcher/lifecycle/holds.ts';
import { lane } from '../ledger/examples.ts';
import { manualClock } from './manual-clock.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
/** 2026-11-28 10:00 UTC. */
const TEN = Date.UTC(2026, 10, 28, 10);

function error(kind: GithubErrorKind, details: { status?: number; retryAfterMs?: number } = {}): GithubError {
  return new GithubError(kind, 'POST generate-jitconfig', 'in its own words', details);
}

const inRepository = (repository: string, some: Partial<LaneSpec> = {}): LaneSpec =>
  lane({ key: `lane of ${repository}`, scope: { kind: 'repository', owner: 'acme', repository }, ...some });
const web = inRepository('web');
const api = inRepository('api');

// J folder 01, 06; T5
describe('holds after registrations that GitHub refused', () => {
  let clock: ReturnType<typeof manualClock>;
  let holds: Holds;

  beforeEach(() => {
    clock = manualClock(TEN);
    holds = new Holds(clock);
  });

  const kindOf = (of: LaneSpec) => holds.admittance(of).kind;
  const reasonOf = (of: LaneSpec): string => {
    const admittance = holds.admittance(of);
    return admittance.kind === 'held' ? admittance.reason : admittance.kind;
  };
  /** Milliseconds until the lane may try again. */
  const waits = (of: LaneSpec): number => {
    const admittance = holds.admittance(of);
    return admittance.kind === 'held' ? admittance.untilMs - clock.now() : 0;
  };

  it('hold one repository that GitHub refuses, and no other of the registration', () => {
    for (const kind of ['invalid', 'not-found', 'forbidden'] as const) {
      holds = new Holds(clock);
      holds.recordRefusal(web, error(kind, { status: 422 }));
      expect(kindOf(web), kind).to.equal('held');
      expect(kindOf(api), kind).to.equal('free');
      expect(reasonOf(web)).to.include('acme/web').and.to.include('in its own words');
    }
  });

  it('hold one label set that GitHub refuses, and no other of the organization', () => {
    const odd = lane({ key: 'odd', labels: ['acme-runner', 'odd label'] });
    holds.recordRefusal(odd, error('invalid', { status: 422 }));
    expect(reasonOf(odd)).to.include('odd label').and.to.include('the organization acme');
    expect(kindOf(lane())).to.equal('free');
  });

  it('hold the scope where the runner group is not there, and name the group', () => {
    holds.recordRefusal(lane({ runnerGroup: 'ci' }), error('not-found'));
    expect(reasonOf(lane({ key: 'other', runnerGroup: 'ci' }))).to.include("runner group 'ci'");
    expect(kindOf(lane({ key: 'other', runnerGroup: 'Default' }))).to.equal('free');
  });

  it('hold all lanes of an owner whose credentials are refused, and no other owner', () => {
    holds.recordRefusal(web, error('unauthorized', { status: 401 }));
    expect(reasonOf(api)).to.include('the credentials for acme');
    const elsewhere = lane({ key: 'x', scope: { kind: 'repository', owner: 'globex', repository: 'web' } });
    expect(kindOf(elsewhere)).to.equal('free');
  });

  it('hold the whole registration in an outage and at a limit, and no other registration', () => {
    for (const kind of ['transient', 'rate-limited'] as const) {
      holds = new Holds(clock);
      holds.recordRefusal(web, error(kind, { status: 503 }));
      expect(kindOf(api), kind).to.equal('held');
      expect(kindOf(inRepository('web', { registration: 'globex' })), kind).to.equal('free');
    }
  });

  it('ask again after a minute what people have to mend, and then every five minutes', () => {
    const pauses = [1, 2, 3].map(() => {
      holds.recordRefusal(web, error('not-found'));
      const pause = waits(web);
      clock.move(pause);
      return pause;
    });
    expect(pauses).to.deep.equal([MINUTE, 5 * MINUTE, 5 * MINUTE]);
  });

  it('never hold longer than a minute in an outage', () => {
    const pauses = Array.from({ length: 12 }, () => {
      holds.recordRefusal(web, error('transient', { status: 502 }));
      const pause = waits(web);
      clock.move(pause);
      return pause;
    });
    expect(pauses.slice(0, 7)).to.deep.equal([1, 2, 4, 8, 16, 32, 60].map((seconds) => seconds * SECOND));
    expect(Math.max(...pauses)).to.equal(MINUTE);
  });

  it('wait as long as a limit says, and a minute where it says nothing', () => {
    holds.recordRefusal(web, error('rate-limited', { retryAfterMs: 17 * SECOND }));
    expect(waits(web)).to.equal(17 * SECOND);
    holds = new Holds(clock);
    holds.recordRefusal(web, error('rate-limited'));
    expect(waits(web)).to.equal(MINUTE);
  });

  it('say since when, how often it was tried, and when the next try is', () => {
    holds.recordRefusal(web, error('transient', { status: 503 }));
    expect(reasonOf(api)).to.equal('GitHub answers 503 since 10:00:00 UTC, 1 try; the next at 10:00:01 UTC');
    clock.move(2 * MINUTE);
    holds.recordRefusal(web, error('transient', { status: 503 }));
    expect(reasonOf(api)).to.equal('GitHub answers 503 since 10:00:00 UTC, 2 tries; the next at 10:02:02 UTC');
  });

  it('let one launch try when the time is over, and the others once it has succeeded', () => {
    holds.recordRefusal(web, error('transient', { status: 503 }));
    clock.move(SECOND);
    expect(kindOf(web)).to.equal('trial');
    const end = holds.begin(web);
    expect(reasonOf(api)).to.include('one launch tries again');
    holds.recordSuccess(web);
    end();
    expect(kindOf(api)).to.equal('free');
  });

  it('share their keys while on trial, so that one of a registration tries and not one a lane', () => {
    holds.recordRefusal(web, error('transient', { status: 503 }));
    clock.move(SECOND);
    const of = holds.admittance(web);
    const other = holds.admittance(api);
    expect(of.kind === 'trial' && other.kind === 'trial' && other.keys.some((key) => of.keys.includes(key))).to.equal(
      true,
    );
  });

  it('count calls that were under way when the wait began as one failure', () => {
    for (let call = 0; call < 20; call += 1) holds.recordRefusal(web, error('transient', { status: 503 }));
    expect(waits(web)).to.equal(SECOND);
  });

  it('end the wait of every registration of the host with one success, once', () => {
    const other = inRepository('web', { registration: 'globex' });
    const elsewhere = inRepository('web', { registration: 'ghes', host: 'ghes.example' });
    for (let outage = 0; outage < 7; outage += 1) {
      for (const held of [other, elsewhere]) holds.recordRefusal(held, error('transient', { status: 503 }));
      if (outage < 6) clock.move(MINUTE);
    }
    holds.recordSuccess(web);
    expect(kindOf(other)).to.equal('trial');
    expect(kindOf(elsewhere)).to.equal('held');
    holds.recordRefusal(other, error('transient', { status: 503 }));
    holds.recordSuccess(web);
    expect(kindOf(other), 'its trouble is its own').to.equal('held');
  });

  describe('of refused credentials', () => {
    const refused = error('unauthorized', { status: 401 });
    const worked = (owner = 'acme', registration = web.registration, startedAtMs = clock.now()) =>
      holds.recordAuthorized(registration, owner, startedAtMs);

    it('end at once when another call with them for the same owner, in whatever case, succeeds', () => {
      holds.recordRefusal(web, refused);
      clock.move(SECOND);
      expect(worked('Acme'), 'something may be launched').to.equal(true);
      expect(kindOf(api)).to.equal('trial');
      expect(worked(), 'nothing is held any more').to.equal(false);
    });

    it('stay when the call was for another owner or registration, or began before the refusal', () => {
      clock.move(SECOND);
      holds.recordRefusal(web, refused);
      expect([worked('globex'), worked('acme', 'globex'), worked('acme', web.registration, TEN)]).to.deep.equal([
        false,
        false,
        false,
      ]);
      expect(waits(api)).to.equal(MINUTE);
    });

    it('end so once a minute, where GitHub refuses only the launches', () => {
      holds.recordRefusal(web, refused);
      worked();
      holds.recordRefusal(web, refused);
      clock.move(MINUTE - 1);
      expect(worked()).to.equal(false);
      clock.move(1);
      expect(worked()).to.equal(true);
    });

    it('end by no such call when GitHub refused something else', () => {
      holds.recordRefusal(web, error('forbidden', { status: 403 }));
      holds.recordRefusal(api, error('transient', { status: 503 }));
      expect(worked()).to.equal(false);
      expect([kindOf(web), kindOf(api)]).to.deep.equal(['held', 'held']);
    });
  });

  it('try one after the other in a scope where many lanes are refused', () => {
    for (let index = 0; index < 5; index += 1) holds.recordRefusal(lane({ key: `sid-${index}` }), error('invalid'));
    expect(kindOf(lane({ key: 'next' }))).to.equal('held');
    expect(waits(lane({ key: 'next' }))).to.equal(10 * SECOND);
    expect(kindOf(web), 'another scope').to.equal('free');
  });

  // X1
  it('do not last longer when the clock is set back', () => {
    holds.recordRefusal(web, error('not-found'));
    clock.move(-60 * MINUTE);
    expect(kindOf(web)).to.not.equal('held');
  });

  it('tell when the next wait is over', () => {
    expect(holds.nextReleaseMs()).to.equal(undefined);
    holds.recordRefusal(web, error('not-found'));
    holds.recordRefusal(api, error('rate-limited', { retryAfterMs: 5 * SECOND }));
    expect(holds.nextReleaseMs()).to.equal(TEN + 5 * SECOND);
  });

  it('forget what was refused to a lane an hour after its wait, and keep what is younger', () => {
    holds.recordRefusal(lane({ key: 'gone' }), error('invalid'));
    clock.move(MINUTE + 60 * MINUTE);
    holds.tidy();
    expect(kindOf(lane({ key: 'gone' })), 'not yet').to.equal('trial');
    clock.move(1);
    holds.tidy();
    expect(kindOf(lane({ key: 'gone' }))).to.equal('free');
  });

  it('are bounded for a registration, however many repositories its jobs name, and forget those that are gone', () => {
    const victim = inRepository('web', { registration: 'victim' });
    holds.recordRefusal(victim, error('not-found', { status: 404 }));
    const forged = Array.from({ length: 2 * MAX_HOLDS }, (_, index) => inRepository(`forged-${index}`));
    for (const one of forged) holds.recordRefusal(one, error('not-found', { status: 404 }));
    expect(forged.filter((one) => kindOf(one) === 'held')).to.have.length(MAX_HOLDS);
    expect(kindOf(victim)).to.equal('held');
    clock.move(62 * MINUTE);
    holds.tidy();
    expect(forged.filter((one) => kindOf(one) !== 'free')).to.deep.equal([]);
  });

  it('do not forget a whole registration that waits', () => {
    holds.recordRefusal(web, error('unauthorized'));
    clock.move(24 * 60 * MINUTE);
    holds.tidy();
    expect(kindOf(web)).to.equal('trial');
  });

  it('count refusals of another scope or host, and those that are over, for no other scope', () => {
    for (let index = 0; index < 2; index += 1) holds.recordRefusal(lane({ key: `old-${index}` }), error('invalid'));
    clock.move(MINUTE);
    for (let index = 0; index < 2; index += 1) {
      holds.recordRefusal(lane({ key: `api-${index}`, scope: api.scope }), error('invalid'));
      holds.recordRefusal(lane({ key: `ghes-${index}`, host: 'ghes.example' }), error('invalid'));
    }
    for (let index = 0; index < 4; index += 1) holds.recordRefusal(lane({ key: `new-${index}` }), error('invalid'));
    expect(kindOf(lane({ key: 'next' }))).to.equal('free');
    holds.recordRefusal(lane({ key: 'new-4' }), error('invalid'));
    expect(kindOf(lane({ key: 'next' }))).to.equal('held');
  });

  it('take no launch that began before the trouble for the one that tries again', () => {
    holds.begin(web);
    holds.recordRefusal(web, error('transient', { status: 503 }));
    clock.move(SECOND);
    expect(kindOf(web)).to.equal('trial');
  });

  it('let the next one try when the launch that tried has ended without success, and not while another still tries', () => {
    holds.recordRefusal(web, error('transient', { status: 503 }));
    clock.move(SECOND);
    const [one, other] = [holds.begin(web), holds.begin(api)];
    one();
    expect(kindOf(web)).to.equal('held');
    other();
    expect(kindOf(web)).to.equal('trial');
  });
});
