import { expect } from 'chai';
import type { Clock } from '../../dispatcher/clock.ts';
import { Budget, githubLimits, RegistrationWindows } from '../../dispatcher/github/budget.ts';
import { BudgetGate, BudgetRefusal } from '../../dispatcher/github/budget-gate.ts';
import { type CallPurpose, type Github, GithubError } from '../../dispatcher/github/github.ts';
import { scopePath } from '../../dispatcher/github/scope.ts';
import { type EngineHouse, openEngineHouse, registration, told } from './engine-house.ts';

// X3
describe('a burst of jobs', () => {
  const JOBS = 40;
  let house: EngineHouse;
  afterEach(() => house.close());

  it('costs no DELETE for runners that GitHub has removed itself', async () => {
    house = await openEngineHouse({ registrations: [registration('acme')] });
    await house.engine.start();
    await house.advance(1_000);
    const ids = Array.from({ length: JOBS }, (_, index) => index + 1);
    await house.tell(...ids.map((jobId) => told(house, { jobId })));
    await house.advance(5_000);
    const names = [...house.runners.keys()];
    expect(names).to.have.length(JOBS);
    for (const [index, runnerName] of names.entries()) {
      const jobId = ids[index] ?? 0;
      await house.tell(told(house, { jobId, status: 'in_progress', runnerName, startedAtMs: house.clock.now() }));
    }
    await house.advance(10_000);
    for (const [index, runnerName] of names.entries()) {
      const jobId = ids[index] ?? 0;
      // As GitHub does: an ephemeral runner is removed with the end of its job, and its container exits.
      house.runners.delete(runnerName);
      const instance = house.instances.get(runnerName);
      if (instance !== undefined) house.instances.set(runnerName, { ...instance, state: 'succeeded' });
      const done = told(house, { jobId, status: 'completed', conclusion: 'success', runnerName });
      house.jobs.set(`github.com/acme/web/${jobId}`, done);
      await house.tell(done);
    }
    const before = house.calls.length;
    await house.advance(60_000);
    expect(await house.ledger.runners({ states: ['gone'] })).to.have.length(JOBS);
    const calls = house.calls.slice(before);
    expect(calls.filter((call) => call.startsWith('delete'))).to.deep.equal([]);
    expect(house.listings()).to.be.at.most(30);
  });

  it('deletes what remains of one that GitHub did not remove', async () => {
    house = await openEngineHouse({ registrations: [registration('acme')] });
    await house.engine.start();
    await house.advance(1_000);
    await house.tell(told(house, { jobId: 1 }));
    await house.advance(5_000);
    const [runnerName = ''] = house.runners.keys();
    await house.tell(told(house, { jobId: 1, status: 'in_progress', runnerName, startedAtMs: house.clock.now() }));
    const instance = house.instances.get(runnerName);
    if (instance !== undefined) house.instances.set(runnerName, { ...instance, state: 'succeeded' });
    const done = told(house, { jobId: 1, status: 'completed', conclusion: 'success', runnerName });
    house.jobs.set('github.com/acme/web/1', done);
    await house.tell(done);
    await house.advance(60_000);
    expect(house.calls.filter((call) => call.startsWith('delete'))).to.deep.equal([`delete ${runnerName}`]);
    expect(await house.ledger.runners({ states: ['gone'] })).to.have.length(1);
  });

  it('is served as fast as our own budget for GitHub allows, without a gap, while others end', async function () {
    this.timeout(180_000);
    const many = 500;
    // The house's own, which is there when the first call is made.
    const clock: Clock = { now: () => house.clock.now(), after: (ms, action) => house.clock.after(ms, action) };
    const limits = { ...githubLimits, registrationsPer5Minutes: 100_000 };
    house = await openEngineHouse({
      registrations: [
        registration('acme', {
          maxRunners: 2_000,
          backends: [{ name: 'main', kind: 'simulated', region: undefined, options: {}, maxRunners: 2_000 }],
        }),
      ],
      maxRunners: 2_000,
      github: (honest) =>
        budgeted(honest, new BudgetGate(new Budget(limits, new RegistrationWindows()), limits, clock)),
    });
    await house.engine.start();
    await house.advance(1_000);
    const queued = Array.from({ length: many }, (_, index) => told(house, { jobId: index + 1 }));
    for (const job of queued) house.jobs.set(`github.com/acme/web/${job.jobId}`, job);
    await house.tell(...queued);
    const startsMs: number[] = [];
    const running = new Map<string, { readonly jobId: number; readonly endMs: number }>();
    // GitHub hands out jobs of one moment in an order of its own; here it is the ledger's, by key.
    const order = queued.map(({ jobId }) => String(jobId)).sort();
    let next = 0;
    for (let passed = 0; passed < 300_000 && startsMs.length < many; passed += 1_000) {
      await house.advance(1_000);
      const now = house.clock.now();
      for (const name of house.instances.keys()) {
        const waits = !running.has(name) && house.instances.get(name)?.state === 'running' && next < many;
        if (!waits) continue;
        const jobId = Number(order[next]);
        next += 1;
        running.set(name, { jobId, endMs: now + 20_000 });
        startsMs.push(now);
        const runner = house.runners.get(name);
        if (runner !== undefined) Object.assign(runner, { online: true, busy: true });
        const started = told(house, { jobId, status: 'in_progress', runnerName: name, startedAtMs: now });
        house.jobs.set(`github.com/acme/web/${jobId}`, started);
        await house.tell(started);
      }
      for (const [name, { jobId, endMs }] of running) {
        const instance = house.instances.get(name);
        if (endMs > now || instance === undefined || instance.state !== 'running') continue;
        house.runners.delete(name);
        house.instances.set(name, { ...instance, state: 'succeeded' });
        const done = told(house, { jobId, status: 'completed', conclusion: 'success', runnerName: name });
        house.jobs.set(`github.com/acme/web/${jobId}`, done);
        await house.tell(done);
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
    };
  }
});
