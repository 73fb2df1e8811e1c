/** Runners, on every store. */
import { expect } from 'chai';
import type { Ledger, RunnerState, RunnerStep, RunnersLeftOut } from '../../dispatcher/ledger/ledger.ts';
import { LOG_BYTES } from '../../providers/provider.ts';
import { failure } from '../failures/examples.ts';
import { fact, keyOf, lane, runner } from './examples.ts';
import { names, type OpenedLedger, rejection } from './opened-ledger.ts';

export function describeRunners(at: OpenedLedger): void {
  describe('runners', () => {
    it('are kept as they were made, with their first entry', async () => {
      const made = runner({
        name: 'd-1',
        backend: 'eci',
        forced: true,
        failure: failure({ code: 'NoStock', requestId: 'r-1', atMs: 20_000 }),
        githubRunnerId: 4_294_967_296,
        instanceState: 'maybe',
      });
      await at.ledger.createRunner(made, 'for github.com/1');
      expect(await at.ledger.runner('d-1')).to.deep.equal(made);
      expect(await at.ledger.timeline('d-1')).to.deep.equal([
        { atMs: made.createdAtMs, state: 'creating', reason: 'for github.com/1', details: null, failure: null },
      ]);
      expect(await at.ledger.runner('d-2')).to.equal(undefined);
    });

    it('are made once', async () => {
      await at.ledger.createRunner(runner({ name: 'd-1' }), 'first');
      expect(await rejection(at.ledger.createRunner(runner({ name: 'd-1', backend: 'other' }), 'second'))).to.be.an(
        'error',
      );
      expect(await at.ledger.runner('d-1')).to.include({ backend: null });
      expect(await at.ledger.timeline('d-1')).to.have.length(1);
    });

    it('count on the job they are made for what becomes of them, which need not be settled for that', async () => {
      await at.queue([1]);
      const before = await at.known(keyOf(1));
      await at.ledger.createRunner(runner({ name: 'd-1', forJobKey: keyOf(1), createdAtMs: 31_000 }), 'launch');
      expect(await at.ledger.job(keyOf(1))).to.deep.equal({ ...before, planned: 1 });
      const step = (launch: NonNullable<RunnerStep['launch']>) =>
        at.ledger.stepRunner('d-1', () => ({ patch: {}, entries: [], launch }));
      await step('called');
      const calledAtMs = (await at.known(keyOf(1))).lastLaunchAtMs;
      expect(await at.ledger.job(keyOf(1))).to.include({ planned: 1, launches: 1 });
      expect(calledAtMs).to.be.a('number');
      await step('stolen');
      await step('called');
      await step('refused');
      expect(await at.ledger.job(keyOf(1))).to.include({ planned: 0, launches: 1 });
      await at.ledger.createRunner(runner({ name: 'd-2', forJobKey: keyOf(1), createdAtMs: 31_000 }), 'launch');
      await step('given-back');
      expect(await at.ledger.unsettledJobs(10, 'reject')).to.deep.equal([]);
      await at.ledger.recordFacts([fact({ jobId: 1, status: 'in_progress', observedAtMs: 32_000 })]);
      const counted = { planned: 0, launches: 1, stolen: 1, lastLaunchAtMs: calledAtMs };
      expect(await at.ledger.job(keyOf(1))).to.include(counted);
    });

    it('count no launch on the job when the only one was refused', async () => {
      await at.queue([1]);
      await at.ledger.createRunner(runner({ name: 'd-1', forJobKey: keyOf(1) }), 'launch');
      for (const launch of ['called', 'refused'] as const) {
        await at.ledger.stepRunner('d-1', () => ({ patch: {}, entries: [], launch }));
      }
      expect(await at.ledger.job(keyOf(1))).to.include({ planned: 0, launches: 0 });
    });

    it('stay planned on the job, and count as no launch, when they are forgiven', async () => {
      await at.queue([1]);
      await at.ledger.createRunner(runner({ name: 'd-1', forJobKey: keyOf(1) }), 'launch');
      for (const launch of ['called', 'forgiven', 'forgiven'] as const) {
        await at.ledger.stepRunner('d-1', () => ({ patch: { candidate: 'runner:2' }, entries: [], launch }));
      }
      expect(await at.ledger.job(keyOf(1))).to.include({ planned: 1, launches: 0 });
      expect(await at.ledger.runner('d-1')).to.include({ candidate: 'runner:2' });
    });

    it('take a step, and tell how they were before and after', async () => {
      const made = runner({ name: 'd-1' });
      await at.ledger.createRunner(made, 'launch');
      const stepped = await at.ledger.stepRunner('d-1', (before) => ({
        patch: { state: 'busy', jobKey: keyOf(before.version), busyAtMs: 22_000, nextCheckAtMs: null, forced: true },
        entries: [
          { atMs: 22_000, state: 'busy', reason: 'in_progress', details: 'took github.com/1', failure: null },
          {
            atMs: 22_000,
            state: 'busy',
            reason: 'forced',
            details: null,
            failure: failure({ source: 'github', kind: 'forbidden' }),
          },
        ],
      }));
      const after = {
        ...made,
        state: 'busy',
        jobKey: keyOf(1),
        busyAtMs: 22_000,
        nextCheckAtMs: null,
        forced: true,
        version: 2,
      };
      expect(stepped).to.deep.equal({ before: made, after });
      expect(await at.ledger.runner('d-1')).to.deep.equal(after);
      expect((await at.ledger.timeline('d-1')).map((entry) => entry.reason)).to.deep.equal([
        'launch',
        'in_progress',
        'forced',
      ]);
    });

    it('change nothing when the decision is undefined or the runner is unknown', async () => {
      const made = runner({ name: 'd-1' });
      await at.ledger.createRunner(made, 'launch');
      expect(await at.ledger.stepRunner('d-1', () => undefined)).to.deep.equal({ before: made, after: made });
      expect(await at.ledger.runner('d-1')).to.deep.equal(made);
      expect(await at.ledger.stepRunner('d-2', () => ({ patch: {}, entries: [] }))).to.equal(undefined);
    });

    it('are as before when the decision throws', async () => {
      const made = runner({ name: 'd-1' });
      await at.ledger.createRunner(made, 'launch');
      const thrown = new Error('an illegal command');
      const decide = () => {
        throw thrown;
      };
      expect(await rejection(at.ledger.stepRunner('d-1', decide))).to.equal(thrown);
      expect(await at.ledger.runner('d-1')).to.deep.equal(made);
    });

    it('are as before when an entry of the step cannot be kept', async () => {
      const made = runner({ name: 'd-1' });
      await at.ledger.createRunner(made, 'launch');
      const step = {
        patch: { state: 'busy' as const },
        entries: [{ atMs: 0.5, state: 'busy' as const, reason: 'r', details: null, failure: null }],
      };
      expect(await rejection(at.ledger.stepRunner('d-1', () => step))).to.be.instanceOf(TypeError);
      expect(await at.ledger.runner('d-1')).to.deep.equal(made);
    });

    it('lose no step of many at once', async () => {
      await at.ledger.createRunner(runner({ name: 'd-1' }), 'launch');
      await Promise.all(
        Array.from({ length: 50 }, () =>
          at.ledger.stepRunner('d-1', (before) => ({ patch: { attempts: before.attempts + 1 }, entries: [] })),
        ),
      );
      expect(await at.ledger.runner('d-1')).to.include({ attempts: 50, version: 51 });
    });

    it('keep the first and the latest of a very long timeline', async () => {
      await at.ledger.createRunner(runner({ name: 'd-1' }), 'step 1');
      for (let version = 2; version <= 900; version += 1) {
        await at.ledger.stepRunner('d-1', () => ({
          patch: {},
          entries: [{ atMs: version, state: 'draining', reason: `step ${version}`, details: null, failure: null }],
        }));
      }
      const reasons = (await at.ledger.timeline('d-1')).map((entry) => entry.reason);
      expect(reasons.slice(0, 100)).to.deep.equal(Array.from({ length: 100 }, (_, index) => `step ${index + 1}`));
      expect(reasons.at(-1)).to.equal('step 900');
      expect(reasons.length).to.be.within(500, 560);
    });

    it('are listed newest first, by registration, state and lane', async () => {
      const made: [string, RunnerState, string, string, number][] = [
        ['d-1', 'busy', 'acme', 'lane-a', 5],
        ['d-2', 'gone', 'acme', 'lane-a', 3],
        ['d-3', 'creating', 'other', 'lane-b', 4],
        ['d-4', 'creating', 'acme', 'lane-b', 5],
      ];
      for (const [name, state, registration, laneKey, createdAtMs] of made) {
        await at.ledger.createRunner(runner({ name, state, registration, laneKey, createdAtMs }), 'launch');
      }
      const listed = async (filter: Parameters<Ledger['runners']>[0]) =>
        names(await at.ledger.runners(filter, 'reject'));
      expect(await listed({})).to.deep.equal(['d-4', 'd-1', 'd-3', 'd-2']);
      expect(await listed({ limit: 1 })).to.deep.equal(['d-4']);
      expect(await listed({ states: ['creating', 'busy'] })).to.deep.equal(['d-4', 'd-1', 'd-3']);
      expect(await listed({ states: ['gone', 'busy'] })).to.deep.equal(['d-1', 'd-2']);
      expect(await listed({ states: [] })).to.deep.equal([]);
      expect(await listed({ registrations: ['acme'] })).to.deep.equal(['d-4', 'd-1', 'd-2']);
      expect(await listed({ registrations: ['acme', 'other'], states: ['creating'] })).to.deep.equal(['d-4', 'd-3']);
      expect(await listed({ registrations: ['acme', 'other'], limit: 1 })).to.deep.equal(['d-4']);
      expect(await listed({ laneKey: 'lane-a' })).to.deep.equal(['d-1', 'd-2']);
      expect(await listed({ laneKey: 'lane-a', states: ['busy'] })).to.deep.equal(['d-1']);
    });

    it('come due without those of the registrations and backends that are left out', async () => {
      const due = { nextCheckAtMs: 200 };
      await at.ledger.createRunner(runner({ name: 'd-1', ...due, registration: 'acme', backend: 'main' }), 'launch');
      await at.ledger.createRunner(runner({ name: 'd-2', ...due, registration: 'acme', backend: 'spare' }), 'launch');
      await at.ledger.createRunner(runner({ name: 'd-3', ...due, registration: 'acme', backend: null }), 'launch');
      await at.ledger.createRunner(runner({ name: 'd-4', ...due, registration: 'other', backend: 'main' }), 'launch');
      const without = async (leftOut: RunnersLeftOut) => names(await at.ledger.runnersDue(300, 10, 'reject', leftOut));
      expect(await without({ registrations: ['acme', 'none'] })).to.deep.equal(['d-4']);
      const main = { registration: 'acme', backend: 'main' };
      expect(await without({ places: [main] })).to.deep.equal(['d-2', 'd-3', 'd-4']);
      const nowhere = { registration: 'acme', backend: null };
      expect(await without({ places: [main, nowhere] })).to.deep.equal(['d-2', 'd-4']);
      expect(await without({ registrations: ['other'], places: [main] })).to.deep.equal(['d-2', 'd-3']);
    });

    it('come due in the order of their checks, unless they are gone', async () => {
      await at.ledger.createRunner(runner({ name: 'd-1', nextCheckAtMs: 300 }), 'launch');
      await at.ledger.createRunner(runner({ name: 'd-2', nextCheckAtMs: 200 }), 'launch');
      await at.ledger.createRunner(runner({ name: 'd-3', nextCheckAtMs: 100, state: 'gone' }), 'launch');
      await at.ledger.createRunner(runner({ name: 'd-4', nextCheckAtMs: null }), 'launch');
      await at.ledger.createRunner(runner({ name: 'd-5', nextCheckAtMs: 301 }), 'launch');
      expect(names(await at.ledger.runnersDue(300, 10, 'reject'))).to.deep.equal(['d-2', 'd-1']);
      expect(names(await at.ledger.runnersDue(300, 1, 'reject'))).to.deep.equal(['d-2']);
      expect(await at.ledger.nextCheckAt()).to.equal(200);
    });

    it('have no next check when no runner is live', async () => {
      expect(await at.ledger.nextCheckAt()).to.equal(null);
      expect(await at.ledger.liveCounts()).to.deep.equal([]);
    });

    it('take the lane of a job when a parked one gets it, which counts for the job as planned and launched', async () => {
      await at.ledger.recordFacts([fact({ jobId: 1 })]);
      const key = 'github.com/acme/web/1';
      await at.ledger.createRunner(
        runner({ name: 'd-1', laneKey: 'pool', labels: [], state: 'parked', standby: 'ready', forJobKey: null }),
        'ahead',
      );
      const lane = {
        laneKey: 'lane-9',
        labels: ['x', 'sid-1'],
        scope: 'repos/acme/web',
        runnerGroup: 'g',
        specHash: 's9',
      };
      await at.ledger.stepRunner('d-1', () => ({
        patch: { ...lane, state: 'starting', forJobKey: key },
        entries: [],
        launch: 'claimed',
      }));
      expect(await at.ledger.runner('d-1')).to.deep.include({
        ...lane,
        state: 'starting',
        standby: 'ready',
        forJobKey: key,
      });
      expect(await at.ledger.job(key)).to.include({ planned: 1, launches: 1 });
    });

    // X5
    it('count while an instance may run, draining ones included and told apart', async () => {
      await at.ledger.createRunner(runner({ name: 'd-1' }), 'launch');
      await at.ledger.createRunner(runner({ name: 'd-2', backend: 'eci', instanceState: 'running' }), 'launch');
      await at.ledger.createRunner(
        runner({ name: 'd-3', backend: 'eci', state: 'draining', instanceState: 'ended' }),
        'launch',
      );
      await at.ledger.createRunner(
        runner({ name: 'd-4', backend: 'eci', state: 'draining', instanceState: 'absent' }),
        'launch',
      );
      await at.ledger.createRunner(runner({ name: 'd-5', backend: 'eci', state: 'gone' }), 'launch');
      await at.ledger.createRunner(runner({ name: 'd-6', backend: 'eci', registration: 'other' }), 'launch');
      await at.ledger.createRunner(
        runner({ name: 'd-7', backend: 'eci', state: 'draining', instanceState: 'running' }),
        'launch',
      );
      await at.ledger.createRunner(
        runner({ name: 'd-8', backend: 'eci', state: 'draining', instanceState: 'none' }),
        'GitHub refused it',
      );
      await at.ledger.createRunner(
        runner({ name: 'd-9', backend: 'eci', state: 'parked', instanceState: 'running', standby: 'ready' }),
        'ahead of its job',
      );
      expect(await at.ledger.liveCounts()).to.have.deep.members([
        { registration: 'acme', backend: null, count: 1, draining: 0, parked: 0 },
        { registration: 'acme', backend: 'eci', count: 3, draining: 1, parked: 1 },
        { registration: 'other', backend: 'eci', count: 1, draining: 0, parked: 0 },
      ]);
    });

    it('tell their registrations and scopes until they are gone, busy ones included', async () => {
      await at.ledger.createRunner(runner({ name: 'd-1', scope: 'repos/acme/web', state: 'busy' }), 'launch');
      await at.ledger.createRunner(runner({ name: 'd-2', scope: 'repos/acme/web', state: 'draining' }), 'launch');
      await at.ledger.createRunner(runner({ name: 'd-3', scope: 'orgs/acme', state: 'online' }), 'launch');
      await at.ledger.createRunner(runner({ name: 'd-4', registration: 'other', scope: 'orgs/other' }), 'launch');
      await at.ledger.createRunner(runner({ name: 'd-5', registration: 'third', state: 'gone' }), 'launch');
      await at.ledger.createRunner(runner({ name: 'd-6', scope: 'repos/acme/gone', state: 'gone' }), 'launch');
      expect(await at.ledger.registrationsWithRunners()).to.deep.equal(['acme', 'other']);
      expect(await at.ledger.scopesWithRunners('acme')).to.deep.equal(['orgs/acme', 'repos/acme/web']);
      expect(await at.ledger.scopesWithRunners('third')).to.deep.equal([]);
    });

    it('are surplus from the youngest state and the youngest runner on', async () => {
      const made: [string, RunnerState, number, string | null][] = [
        ['online-old', 'online', 1, null],
        ['online-young', 'online', 2, null],
        ['online-bound', 'online', 9, keyOf(1)],
        ['starting', 'starting', 1, null],
        ['creating-old', 'creating', 1, null],
        ['creating-young', 'creating', 3, null],
        ['busy', 'busy', 9, keyOf(2)],
        ['draining', 'draining', 9, null],
      ];
      for (const [name, state, createdAtMs, jobKey] of made) {
        await at.ledger.createRunner(runner({ name, state, createdAtMs, jobKey }), 'launch');
      }
      await at.ledger.createRunner(runner({ name: 'elsewhere', laneKey: 'lane-b' }), 'launch');
      const order = ['creating-young', 'creating-old', 'starting', 'online-young', 'online-old'];
      expect(names(await at.ledger.surplusRunners(lane().key, 10, 'reject'))).to.deep.equal(order);
      expect(names(await at.ledger.surplusRunners(lane().key, 3, 'reject'))).to.deep.equal(order.slice(0, 3));
    });

    it('keep the end of their output', async () => {
      await at.ledger.createRunner(runner({ name: 'd-1' }), 'launch');
      expect(await at.ledger.output('d-1')).to.equal(undefined);
      await at.ledger.keepOutput('d-1', 'Listening for Jobs\0\n', 60_000);
      expect(await at.ledger.output('d-1')).to.equal('Listening for Jobs\n');
      const long = `first ${'ü'.repeat(LOG_BYTES / 2)}!`;
      await at.ledger.keepOutput('d-1', long, 61_000);
      const kept = (await at.ledger.output('d-1')) ?? '';
      expect(Buffer.byteLength(kept)).to.be.within(LOG_BYTES - 3, LOG_BYTES);
      expect(long.endsWith(kept)).to.equal(true);
      await at.ledger.keepOutput('never made', 'nothing to keep it with', 61_000);
    });
  });
}
