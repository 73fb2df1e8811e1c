import { expect } from 'chai';
import type { RunnerRow, TimelineEntry } from '../../dispatcher/ledger/ledger.ts';
import { failedStart } from '../../dispatcher/lifecycle/failed-start.ts';
import { ENDED_EARLY, ENDED_SOON, VANISHED } from '../../dispatcher/lifecycle/machine/last-word.ts';
import { LAUNCH_FAILED } from '../../dispatcher/lifecycle/machine/launch.ts';
import { failure } from '../failures/examples.ts';
import { runnerRow } from './runner-fixture.ts';

const FAILURE = failure({ source: 'acme/docker', kind: 'exited', code: '127' });
const AHEAD = { forJobKey: null, jobKey: null, idleLimitMs: 60_000, onlineAtMs: 5_000 } as const;

function isFailed(fields: Partial<RunnerRow>, reason: string, told: TimelineEntry['failure'] = FAILURE): boolean {
  const defaults = {
    state: 'gone',
    registration: 'acme',
    backend: 'docker',
    instanceId: 'i-1',
    failure: FAILURE,
  } as const;
  const entry = (state: RunnerRow['state'], why: string, of: TimelineEntry['failure']): TimelineEntry => {
    return { atMs: 7_000, state, reason: why, details: null, failure: of };
  };
  const timeline = [
    entry('starting', 'its container reports a failure', FAILURE),
    entry('draining', reason, told),
    entry('draining', 'its container ended', FAILURE),
  ];
  return failedStart(runnerRow({ ...defaults, ...fields }), timeline) !== undefined;
}

describe('a start that failed, as it is told afterwards', () => {
  it('is one whose end has the failure of its backend', () => {
    expect(isFailed({}, ENDED_EARLY)).to.equal(true);
    expect(isFailed({ standby: 'ready' }, ENDED_EARLY), 'one that got its job when it was ready').to.equal(true);
    expect(isFailed({}, 'no job needs it any more', null)).to.equal(false);
    expect(isFailed({ state: 'starting' }, ENDED_EARLY)).to.equal(false);
    expect(isFailed({ specHash: 'adopted' }, ENDED_EARLY)).to.equal(false);
    const github = failure({ source: 'github', kind: 'transient' });
    expect(isFailed({ failure: github }, 'it did not come online in time', github)).to.equal(false);
  });

  it('is none that came online, unless it was registered ahead of its job and ended soon', () => {
    expect(isFailed({ onlineAtMs: 5_000 }, ENDED_EARLY)).to.equal(false);
    expect(isFailed(AHEAD, ENDED_SOON)).to.equal(true);
    expect(isFailed(AHEAD, VANISHED)).to.equal(true);
    expect(isFailed(AHEAD, 'its container ended without a job that we know of')).to.equal(false);
  });

  it('is a launch that backends refused, of whichever had its place, and none for which all were full', () => {
    const refused = failure({ source: 'acme/second', kind: 'quota' });
    expect(isFailed({ instanceId: null, failure: refused }, LAUNCH_FAILED, refused)).to.equal(true);
    const full = failure({ source: 'acme/second', kind: 'no-place' });
    expect(isFailed({ instanceId: null, failure: full }, LAUNCH_FAILED, full)).to.equal(false);
    expect(isFailed({ instanceId: null }, 'the launch took too long')).to.equal(false);
  });
});
