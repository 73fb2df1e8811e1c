import { expect } from 'chai';
import { Budget, githubLimits, RegistrationWindows } from '../../dispatcher/github/budget.ts';
import { BudgetGate, BudgetRefusal } from '../../dispatcher/github/budget-gate.ts';
import { type CallPurpose, type Github, GithubError } from '../../dispatcher/github/github.ts';
import { scopePath } from '../../dispatcher/jobs/scope.ts';
import type { Clock } from '../../time/clock.ts';
import { type EngineFixture, openEngineFixture, registration, told } from './engine-fixture.ts';

// X3
describe('a burst of jobs', () => {
  const JOBS = 40;
  let fixture: EngineFixture;
  afterEach(() => fixture.close());

  it('costs no DELETE for runners that GitHub has removed itself', async () => {
    fixture = await openEngineFixture({ registrations: [registration('acme')] });
    await fixture.engine.start();
    await fixture.advance(1_000);
    const ids = Array.from({ length: JOBS }, (_, index) => index + 1);
    await fixture.tell(...ids.map((jobId) => told(fixture, { jobId })));
    await fixture.advance(5_000);
    const names = [...fixture.runners.keys()];
    expect(names).to.have.length(JOBS);
    for (const [index, runnerName] of names.entries()) {
      const jobId = ids[index] ?? 0;
      await fixture.tell(told(fixture, { jobId, status: 'in_progress', runnerName, startedAtMs: fixture.clock.now() }));
    }
    await fixture.advance(10_000);
    for (const [index, runnerName] of names.entries()) {
      const jobId = ids[index] ?? 0;
      // As GitHub does: an ephemeral runner is removed with the end of its job, and its container exits.
      fixture.runners.delete(runnerName);
      const instance = fixture.instances.get(runnerName);
      if (instance !== undefined) fixture.instances.set(runnerName, { ...instance, state: 'succeeded' });
      const done = told(fixture, { jobId, status: 'completed', conclusion: 'success', runnerName });
      fixture.jobs.set(`github.com/acme/web/${jobId}`, done);
      await fixture.tell(done);
    }
    const before = fixture.calls.length;
    await fixture.advance(60_000);
    expect(await fixture.ledger.runners({ states: ['gone'] }, 'reject')).to.have.length(JOBS);
    const calls = fixture.calls.slice(before);
    expect(calls.filter((call) => call.startsWith('delete'))).to.deep.equal([]);
    expect(fixture.listings()).to.be.at.most(30);
  });

  it('deletes what remains of one that GitHub did not remove', async () => {
    fixture = await openEngineFixture({ registrations: [registration('acme')] });
    await fixture.engine.start();
    await fixture.advance(1_000);
    await fixture.tell(told(fixture, { jobId: 1 }));
    await fixture.advance(5_000);
    const [runnerName = ''] = fixture.runners.keys();
    await fixture.tell(
      told(fixture, { jobId: 1, status: 'in_progress', runnerName, startedAtMs: fixture.clock.now() }),
    );
    const instance = fixture.instances.get(runnerName);
    if (instance !== undefined) fixture.instances.set(runnerName, { ...instance, state: 'succeeded' });
    const done = told(fixture, { jobId: 1, status: 'completed', conclusion: 'success', runnerName });
    fixture.jobs.set('github.com/acme/web/1', done);
    await fixture.tell(done);
    await fixture.advance(60_000);
    expect(fixture.calls.filter((call) => call.startsWith('delete'))).to.deep.equal([`delete ${runnerName}`]);
    expect(await fixture.ledger.runners({ states: ['gone'] }, 'reject')).to.have.length(1);
  });

  it('is served as fast as our own budget for GitHub allows, without a gap, while others end', async function () {
    this.timeout(180_000);
    const many = 500;
    // The fixture's own, which is there when the first call is made.
    const clock: Clock = { now: () => fixture.clock.now(), after: (ms, action) => fixture.clock.after(ms, action) };
    const limits = { ...githubLimits, registrationsPer5Minutes: 100_000 };
    fixture = await openEngineFixture({
      registrations: [
        registration('acme', {
          maxRunners: 2_000,
          backends: [{ name: 'main', kind: 'simulated', region: undefined, options: {}, maxRunners: 2_000 }],
        }),
      ],
      maxRunners: 2_000,
      github: (honest) =>
        budgeted(
          honest,
          new BudgetGate(new Budget(limits, new RegistrationWindows(limits.registrationsPer5Minutes)), limits, clock),
        ),
    });
    await fixture.engine.start();
    await fixture.advance(1_000);
    const queued = Array.from({ length: many }, (_, index) => told(fixture, { jobId: index + 1 }));
    for (const job of queued) fixture.jobs.set(`github.com/acme/web/${job.jobId}`, job);
    await fixture.tell(...queued);
    const startsMs: number[] = [];
    const running = new Map<string, { readonly jobId: number; readonly endMs: number }>();
    // GitHub hands out jobs of one moment in an order of its own; here it is the ledger's, by key.
    const order = queued.map(({ jobId }) => String(jobId)).sort();
    let next = 0;
    for (let passed = 0; passed < 300_000 && startsMs.length < many; passed += 1_000) {
      await fixture.advance(1_000);
      const now = fixture.clock.now();
      for (const name of fixture.instances.keys()) {
        const waits = !running.has(name) && fixture.instances.get(name)?.state === 'running' && next < many;
        if (!waits) continue;
        const jobId = Number(order[next]);
        next += 1;
        running.set(name, { jobId, endMs: now + 20_000 });
        startsMs.push(now);
        const runner = fixture.runners.get(name);
        if (runner !== undefined) Object.assign(runner, { online: true, busy: true });
        const started = told(fixture, { jobId, status: 'in_progress', runnerName: name, startedAtMs: now });
        fixture.jobs.set(`github.com/acme/web/${jobId}`, started);
        await fixture.tell(started);
      }
      for (const [name, { jobId, endMs }] of running) {
        const instance = fixture.instances.get(name);
        if (endMs > now || instance === undefined || instance.state !== 'running') continue;
        fixture.runners.delete(name);
        fixture.instances.set(name, { ...instance, state: 'succeeded' });
        const done = told(fixture, { jobId, status: 'completed', conclusion: 'success', runnerName: name });
        fixture.jobs.set(`github.com/acme/web/${jobId}`, done);
        await fixture.tell(done);
      }
    }
    const allowedAMinute = limits.pointsPerMinute / 5;
    // The first minute's budget may be spent at once: what counts is what comes after it.
    const [firstMs = 0] = startsMs;
    const later = startsMs.filter((atMs) => atMs > firstMs + 61_000);
    const lastMs = startsMs.at(-1) ?? 0;
    const minutes = (lastMs - firstMs - 61_000) / 60_000;
    expect(startsMs).to.have.length(many);
    expect(later.length / (minutes * allowedAMinute)).to.be.at.least(0.9);
    const gaps = startsMs.map((atMs, index) => atMs - (startsMs[index - 1] ?? atMs));
    expect(Math.max(...gaps)).to.be.at.most(5_000);
  });

  /** The honest GitHub behind the budget that the real client has: instant answers, and nothing for free. */
  function budgeted(github: Github, gate: BudgetGate): Github {
    async function paid<T>(
      points: number,
      purpose: CallPurpose,
      work: () => Promise<T>,
      registersAt?: string,
    ): Promise<T> {
      try {
        const turn = await gate.turn({ points, ...(registersAt === undefined ? {} : { registersAt }) }, purpose);
        try {
          return await work();
        } finally {
          turn.end({ status: 200, report: undefined, brake: undefined });
        }
      } catch (error) {
        if (!(error instanceof BudgetRefusal)) throw error;
        throw new GithubError('rate-limited', 'a call', error.message, { retryAfterMs: error.retryAfterMs });
      }
    }
    return {
      createJitRunner: (request) => paid(5, 'launch', () => github.createJitRunner(request), scopePath(request.scope)),
      deleteRunner: (scope, id) => paid(5, 'drain', () => github.deleteRunner(scope, id)),
      getRunner: (scope, id, purpose) => paid(1, purpose, () => github.getRunner(scope, id, purpose)),
      findRunner: (scope, name, purpose) => paid(1, purpose, () => github.findRunner(scope, name, purpose)),
      listRunners: async (scope, purpose) => {
        const list = await github.listRunners(scope, purpose);
        return paid(Math.max(1, Math.ceil(list.length / 100)), purpose, async () => list);
      },
      readJob: (owner, repository, id, purpose = 'verify') =>
        paid(1, purpose, () => github.readJob(owner, repository, id, purpose)),
      readRun: (owner, repository, id, purpose = 'verify') =>
        paid(1, purpose, () => github.readRun(owner, repository, id, purpose)),
      seesRepository: (owner, repository) => paid(1, 'verify', () => github.seesRepository(owner, repository)),
      readVisibility: (owner, repository) => paid(1, 'verify', () => github.readVisibility(owner, repository)),
    };
  }
});
