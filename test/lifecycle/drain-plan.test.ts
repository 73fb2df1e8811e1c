import { expect } from 'chai';
import {
  expectedEndMs,
  githubStep,
  instanceStep,
  mayStop,
  nextVisitMs,
  restsOnSilence,
} from '../../dispatcher/lifecycle/drain-plan.ts';
import { HOUR, runnerRow } from './runner-fixture.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;

const draining = { state: 'draining', instanceState: 'running', instanceId: 'i-1', stateSinceMs: 0 } as const;
const wasOnline = { ...draining, onlineAtMs: 0 } as const;
const readIdleTwice = { ...wasOnline, firstIdleAtMs: 0, lastIdleAtMs: 2 * MINUTE } as const;

describe('the plan of a drain', () => {
  it('reads a runner that was online twice before it deletes it', () => {
    expect(githubStep(runnerRow(wasOnline), 0)).to.equal('read');
    expect(githubStep(runnerRow({ ...wasOnline, firstIdleAtMs: 0, lastIdleAtMs: MINUTE }), 0)).to.equal('read');
    expect(githubStep(runnerRow(readIdleTwice), 0)).to.equal('deregister');
  });

  it('deletes at once what never came online, has ended, is done, or is forced', () => {
    for (const fields of [
      {},
      { onlineAtMs: 0, instanceState: 'ended' as const },
      { onlineAtMs: 0, finishedAtMs: 1 },
      { onlineAtMs: 0, forced: true },
    ]) {
      expect(githubStep(runnerRow({ ...draining, ...fields }), 0)).to.equal('deregister');
    }
  });

  it('deletes a runner that lost its connection after five minutes, and leaves its container alone for thirty', () => {
    expect(githubStep(runnerRow(wasOnline), 5 * MINUTE - 1)).to.equal('read');
    expect(githubStep(runnerRow(wasOnline), 5 * MINUTE)).to.equal('deregister');
    const deleted = runnerRow({ ...wasOnline, deregisteredAtMs: 5 * MINUTE });
    expect(mayStop(deleted, 30 * MINUTE - 1)).to.equal(false);
    expect(mayStop(deleted, 30 * MINUTE)).to.equal(true);
  });

  it('leaves a runner that was online alone for ten minutes, however idle GitHub calls it', () => {
    const runner = runnerRow({ ...readIdleTwice, deregisteredAtMs: 2 * MINUTE });
    expect(mayStop(runner, 10 * MINUTE - 1)).to.equal(false);
    expect(mayStop(runner, 10 * MINUTE)).to.equal(true);
  });

  it('does not stop what was read idle once', () => {
    const once = runnerRow({ ...wasOnline, firstIdleAtMs: 0, lastIdleAtMs: 0, deregisteredAtMs: MINUTE });
    expect(mayStop(once, 11 * MINUTE)).to.equal(false);
  });

  it('does not stop what GitHub still knows', () => {
    expect(mayStop(runnerRow(readIdleTwice), HOUR)).to.equal(false);
  });

  it('never stops what a job names, until the job is done', () => {
    const named = { ...readIdleTwice, deregisteredAtMs: 2 * MINUTE, jobKey: 'github.com/acme/web/1' };
    expect(mayStop(runnerRow(named), 100 * HOUR)).to.equal(false);
    expect(mayStop(runnerRow({ ...named, finishedAtMs: HOUR }), HOUR + MINUTE)).to.equal(true);
  });

  it('stops at the instance’s own deadline, and when forced', () => {
    const named = { ...draining, jobKey: 'github.com/acme/web/1', instanceDeadlineAtMs: HOUR };
    expect(mayStop(runnerRow(named), HOUR - 1)).to.equal(false);
    expect(mayStop(runnerRow(named), HOUR)).to.equal(true);
    expect(mayStop(runnerRow({ ...named, forced: true }), 0)).to.equal(true);
  });

  it('stops a container that never came online a moment after its registration is gone', () => {
    const never = { ...draining, deregisteredAtMs: MINUTE };
    expect(mayStop(runnerRow({ ...draining }), HOUR)).to.equal(false);
    expect(mayStop(runnerRow(never), MINUTE + 29 * SECOND)).to.equal(false);
    expect(mayStop(runnerRow(never), MINUTE + 30 * SECOND)).to.equal(true);
    expect(mayStop(runnerRow({ ...never, instanceState: 'pending' }), MINUTE)).to.equal(true);
  });

  it('removes what has ended, and repeats a stop that brought nothing', () => {
    expect(instanceStep(runnerRow({ ...draining, instanceState: 'ended' }), 0)).to.equal('stop');
    const sent = runnerRow({ ...draining, instanceState: 'ended', stopSentAtMs: HOUR });
    expect(instanceStep(sent, HOUR + 59 * SECOND)).to.equal('inspect');
    expect(instanceStep(sent, HOUR + MINUTE)).to.equal('stop');
    const forced = runnerRow({ ...draining, forced: true, stopSentAtMs: null });
    expect(instanceStep(forced, 0), 'no stop was sent yet').to.equal('stop');
  });

  it('has nothing to do on the provider’s side once nothing is there', () => {
    for (const instanceState of ['none', 'absent'] as const) {
      expect(instanceStep(runnerRow({ ...draining, instanceState }), 0)).to.equal('none');
    }
  });

  it('reads its possible jobs before a stop that only silence justifies, not where there is a reason', () => {
    const silent = { ...wasOnline, instanceDeadlineAtMs: HOUR };
    expect(restsOnSilence(runnerRow(silent), HOUR - 1)).to.equal(true);
    expect(restsOnSilence(runnerRow(silent), HOUR), 'its deadline').to.equal(false);
    for (const ground of [{ forced: true }, { finishedAtMs: 1 }, { instanceState: 'ended' as const }]) {
      expect(restsOnSilence(runnerRow({ ...silent, ...ground }), 0), JSON.stringify(ground)).to.equal(false);
    }
  });

  it('looks often at first and soon after a stop, then more rarely', () => {
    expect(nextVisitMs(runnerRow(wasOnline), 2 * MINUTE - 1)).to.equal(15 * SECOND);
    expect(nextVisitMs(runnerRow(wasOnline), 2 * MINUTE)).to.equal(30 * SECOND);
    for (const fields of [{ stopSentAtMs: 0 }, { instanceState: 'ended' as const }]) {
      expect(nextVisitMs(runnerRow({ ...wasOnline, ...fields }), HOUR)).to.equal(2 * SECOND);
    }
  });

  it('tells when the container is expected to be gone, whatever the ground', () => {
    expect(expectedEndMs(runnerRow({ ...wasOnline, forced: true }), MINUTE)).to.equal(MINUTE);
    expect(expectedEndMs(runnerRow({ ...wasOnline, instanceState: 'ended' }), MINUTE)).to.equal(MINUTE);
    expect(expectedEndMs(runnerRow(draining), MINUTE), 'never online').to.equal(MINUTE);
    expect(expectedEndMs(runnerRow({ ...wasOnline, finishedAtMs: MINUTE }), 0)).to.equal(2 * MINUTE);
    expect(expectedEndMs(runnerRow(wasOnline), 0)).to.equal(30 * MINUTE);
    expect(expectedEndMs(runnerRow(readIdleTwice), 0)).to.equal(10 * MINUTE);
    expect(expectedEndMs(runnerRow({ ...wasOnline, instanceDeadlineAtMs: MINUTE }), 0)).to.equal(MINUTE);
  });

  it('leaves a container alone for two minutes after its registration is gone, however long it idled before', () => {
    const late = runnerRow({ ...readIdleTwice, deregisteredAtMs: 20 * MINUTE });
    expect(mayStop(late, 22 * MINUTE - 1)).to.equal(false);
    expect(mayStop(late, 22 * MINUTE)).to.equal(true);
  });

  it('visits one whose credentials are refused when its patience is over, and at least every minute', () => {
    const refused = { ...wasOnline, instanceState: 'absent', refusedSinceMs: 0 } as const;
    expect(nextVisitMs(runnerRow(refused), 0)).to.equal(MINUTE);
    expect(nextVisitMs(runnerRow(refused), 14 * MINUTE + 50 * SECOND)).to.equal(10 * SECOND);
    expect(nextVisitMs(runnerRow(refused), 15 * MINUTE)).to.equal(SECOND);
    expect(nextVisitMs(runnerRow({ ...refused, refusedSinceMs: null }), 0)).to.equal(15 * SECOND);
  });
});
