import { expect } from 'chai';
import type { Waiting } from '../../dispatcher/ledger/ledger.ts';
import { MAX_LAUNCHES, turnOf } from '../../dispatcher/lifecycle/replacement.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;

function waiting(fields: Partial<Waiting>): Waiting {
  return {
    key: 'github.com/acme/web/1',
    host: 'github.com',
    owner: 'acme',
    repository: 'web',
    jobId: 1,
    runId: 1,
    planned: 0,
    launches: 0,
    lastLaunchAtMs: null,
    stolen: 0,
    passedOver: 0,
    probing: false,
    verifiedAtMs: null,
    statusSinceMs: 0,
    disputed: false,
    createdAtMs: null,
    firstSeenAtMs: 0,
    statusSource: 'webhook',
    ...fields,
  };
}

describe('the turn of a waiting job', () => {
  it('launches at once for a job that has had no runner yet', () => {
    expect(turnOf(waiting({}), 5).kind).to.equal('launch');
  });

  it('reads the job before a second runner is launched for it', () => {
    const once = { launches: 1, lastLaunchAtMs: MINUTE };
    expect(turnOf(waiting(once), MINUTE).kind, 'the first ones follow without a pause').to.equal('verify');
    expect(turnOf(waiting(once), 2 * MINUTE).kind).to.equal('verify');
    expect(turnOf(waiting({ ...once, verifiedAtMs: 2 * MINUTE }), 2 * MINUTE).kind).to.equal('launch');
  });

  it('does not rely on a reading from before the last launch, or one that has grown old', () => {
    const once = { launches: 1, lastLaunchAtMs: 5 * MINUTE };
    expect(turnOf(waiting({ ...once, verifiedAtMs: 4 * MINUTE }), 6 * MINUTE).kind).to.equal('verify');
    expect(turnOf(waiting({ ...once, verifiedAtMs: 6 * MINUTE }), 7 * MINUTE).kind).to.equal('verify');
  });

  it('reads a disputed job before the first runner', () => {
    expect(turnOf(waiting({ disputed: true }), 5).kind).to.equal('verify');
  });

  describe('of which a webhook told long after GitHub had created it', () => {
    const createdAtMs = Date.UTC(2026, 0, 1);
    const firstSeenAtMs = createdAtMs + 60 * MINUTE;
    const late = { createdAtMs, firstSeenAtMs } as const;

    it('is to be read before the first runner: it may have ended since', () => {
      expect(turnOf(waiting(late), firstSeenAtMs).kind).to.equal('verify');
      expect(turnOf(waiting({ ...late, verifiedAtMs: firstSeenAtMs + 1 }), firstSeenAtMs + 10 * MINUTE).kind).to.equal(
        'launch',
      );
    });

    it('gets no second runner for the others of its lane that are not read yet', () => {
      const read = { ...late, verifiedAtMs: firstSeenAtMs + 1 };
      expect(turnOf(waiting({ ...read, planned: 1 }), firstSeenAtMs + 2).kind).to.equal('verify');
    });

    it('is a launch where GitHub itself listed it, it was told in time, or its age is none', () => {
      expect(turnOf(waiting({ ...late, statusSource: 'poll' }), firstSeenAtMs).kind).to.equal('launch');
      const inTime = { createdAtMs, firstSeenAtMs: createdAtMs + MINUTE };
      expect(turnOf(waiting(inTime), firstSeenAtMs).kind, 'however long it waits here').to.equal('launch');
      expect(turnOf(waiting({ ...late, createdAtMs: 0 }), firstSeenAtMs).kind).to.equal('launch');
    });
  });

  it('lets the fourth and later runners wait longer and longer, and says why', () => {
    const turns = [3, 4, 5, 20].map((launches) => turnOf(waiting({ launches, lastLaunchAtMs: 0 }), 0));
    expect(turns.map((turn) => (turn.kind === 'wait' ? turn.untilMs : turn.kind))).to.deep.equal([
      30 * SECOND,
      MINUTE,
      2 * MINUTE,
      10 * MINUTE,
    ]);
    expect(turns.every((turn) => turn.kind === 'wait' && turn.reason.includes('launched'))).to.equal(true);
    expect(turns[0]).to.include({
      reason: '3 runners were launched for its oldest job (3 did not come to it): the next follows at 00:00:30 UTC',
    });
  });

  it('stops at a cap, and names the cure', () => {
    const turn = turnOf(waiting({ launches: MAX_LAUNCHES, stolen: 9, lastLaunchAtMs: 0 }), 100 * MINUTE);
    expect(turn.kind === 'wait' && turn.reason).to.include('sid-');
  });

  it('says only what is known to have become of the runners before', () => {
    const reason = (fields: Partial<Waiting>) => {
      const turn = turnOf(waiting({ lastLaunchAtMs: 0, ...fields }), 0);
      return turn.kind === 'wait' ? turn.reason : turn.kind;
    };
    expect(reason({ launches: 6, stolen: 2, passedOver: 3 })).to.include(
      '(2 ran another job, 3 idled beside it, 1 did not come to it)',
    );
    expect(reason({ launches: 3, stolen: 3 })).to.include('(3 ran another job)');
    expect(reason({ launches: 3, stolen: 1, passedOver: 1 })).to.include(
      '(1 ran another job, 1 idled beside it, 1 did',
    );
    expect(reason({ launches: MAX_LAUNCHES, stolen: 1 })).to.include('sid-');
    expect(reason({ launches: MAX_LAUNCHES })).to.match(/no more are launched for it$/);
  });

  it('lets a held job that tries again wait no longer than half a minute, even beyond the cap', () => {
    const probing = { probing: true, lastLaunchAtMs: 0 };
    for (const launches of [10, MAX_LAUNCHES]) {
      expect(turnOf(waiting({ ...probing, launches }), 0)).to.include({ kind: 'wait', untilMs: 30 * SECOND });
      expect(turnOf(waiting({ ...probing, launches }), 30 * SECOND).kind).to.equal('verify');
    }
  });

  it('counts the pause from the last launch', () => {
    const turn = turnOf(waiting({ launches: 3, lastLaunchAtMs: 10 * MINUTE }), 10 * MINUTE);
    expect(turn).to.include({ kind: 'wait', untilMs: 10 * MINUTE + 30 * SECOND });
  });

  it('relies on a reading for half a minute, and on none of a job that was never read', () => {
    const once = { launches: 1, lastLaunchAtMs: MINUTE, verifiedAtMs: 2 * MINUTE };
    expect(turnOf(waiting(once), 2 * MINUTE + 30 * SECOND).kind).to.equal('launch');
    expect(turnOf(waiting(once), 2 * MINUTE + 30 * SECOND + 1).kind).to.equal('verify');
    expect(turnOf(waiting({ planned: 1 }), 10 * SECOND).kind).to.equal('verify');
  });
});
