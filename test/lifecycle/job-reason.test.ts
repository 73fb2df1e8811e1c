import { expect } from 'chai';
import { ownFailure } from '../../dispatcher/failures/failure.ts';
import type { RunnerRow } from '../../dispatcher/ledger/ledger.ts';
import { heldReason, supplyReason } from '../../dispatcher/lifecycle/job-reason.ts';
import { jobRow, runnerRow } from './runner-fixture.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const TEN = Date.UTC(2026, 10, 28, 10);

const runner = (name: string, fields: Partial<RunnerRow>) => runnerRow({ name, stateSinceMs: TEN, ...fields });

describe('the reason why a job waits beside runners that it fits', () => {
  it('is the runner that is furthest, and the youngest of those', () => {
    const states = ['creating', 'starting', 'online', 'busy'] as const;
    const runners = states.flatMap((state) => [runner(`old-${state}`, { state }), runner(`new-${state}`, { state })]);
    const reasons = [8, 6, 4, 2].map((count) => supplyReason(runners.slice(0, count), TEN));
    expect(reasons).to.deep.equal([
      'its runner new-busy is busy with a job that GitHub has not named yet, for 0 s',
      'its runner new-online has been online for 0 s, and GitHub has not given it the job yet',
      'its runner new-starting has been starting on docker for 0 s',
      'its runner new-creating is being launched on docker, for 0 s',
    ]);
    expect(supplyReason([], TEN)).to.include('a runner of another lane');
  });

  it('says for how long, in seconds at first and then in minutes, and never less than nothing', () => {
    const lasting = (ms: number) => supplyReason([runner('r', { state: 'creating', backend: null })], TEN + ms);
    expect(lasting(2 * MINUTE - SECOND)).to.equal('its runner r is being launched, for 119 s');
    expect(lasting(2 * MINUTE)).to.equal('its runner r is being launched, for 2 min');
    expect(lasting(-MINUTE), 'the clock was set back').to.equal('its runner r is being launched, for 0 s');
  });

  it('says of one that starts what went wrong there, and until when it is waited for', () => {
    const failure = ownFailure('launch-timeout', 'no stock of this shape', TEN);
    const starting = runner('r', { state: 'starting', failure, deadlineAtMs: TEN + 10 * MINUTE });
    expect(supplyReason([starting], TEN)).to.equal(
      'its runner r has been starting on docker for 0 s (no stock of this shape); it is given up at 10:10:00 UTC',
    );
  });

  it('does not say of one whose container ended that its start failed, before that is known', () => {
    const failure = ownFailure('launch-timeout', 'exited with 0', TEN);
    const ended = runner('r', { state: 'starting', instanceState: 'ended', failure, deadlineAtMs: TEN });
    expect(supplyReason([ended], TEN)).to.equal(
      'the container of its runner r has ended on docker: GitHub is asked whether it ran a job',
    );
  });
});

describe('the reason why a job is held', () => {
  const unserved = {
    hold: 'unserved',
    heldUntilMs: TEN + 5 * MINUTE,
    passedOver: 3,
    passedOverBy: 'd1-r',
  } as const;

  it('names the likely causes, and when one more is tried', () => {
    expect(heldReason(jobRow(unserved), 'Default', undefined)).to.equal(
      "3 runners with its labels were online for their whole idle time while it waited, and GitHub did not give it to them. Likely causes: (1) runs-on names a group, or the runner group 'Default' does not admit acme/web or this workflow; (2) max-parallel or a concurrency group holds it back; (3) GitHub refuses this runner version. For its run one more runner is tried at 10:05:00 UTC, or when a job of its run or lane starts or ends, or one of its repository ends",
    );
    expect(heldReason(jobRow({ ...unserved, probing: true }), 'Default', undefined)).to.match(
      /one more runner is tried now$/,
    );
  });

  it('shows the last two lines of the runner that idled, shortened', () => {
    const output = `Connected\r\n\n  Runner version 2.1 is deprecated  \n${'x'.repeat(201)}\n\n`;
    expect(heldReason(jobRow(unserved), 'Default', output)).to.include(
      `(the output of d1-r ends with "Runner version 2.1 is deprecated", "${'x'.repeat(200)}…")`,
    );
  });

  it('says of one that GitHub does not show that nothing is given up before it is proven', () => {
    const unseen = { hold: 'unseen', heldUntilMs: TEN + MINUTE } as const;
    expect(heldReason(jobRow(unseen), 'Default', undefined)).to.equal(
      'GitHub answered 404 for it, which may be a slip: nothing is given up before it is proven; asked again at 10:01:00 UTC',
    );
    const told = { ...unseen, reasonCode: 'unseen', reason: 'the App no longer sees acme/web' } as const;
    expect(heldReason(jobRow(told), 'Default', undefined)).to.equal(
      'the App no longer sees acme/web; asked again at 10:01:00 UTC',
    );
  });

  it('is undefined for a job that is not held', () => {
    expect(heldReason(jobRow({ hold: null }), 'Default', undefined)).to.equal(undefined);
  });
});
