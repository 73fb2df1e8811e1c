import { expect } from 'chai';
import fc from 'fast-check';
import { type BudgetLimits, type Cost, type Ending, githubLimits, purposes } from '../../dispatcher/github/budget.ts';
import { BudgetRefusal, type Turn } from '../../dispatcher/github/budget-gate.ts';
import { BudgetPool } from '../../dispatcher/github/budget-pool.ts';
import type { CallPurpose } from '../../dispatcher/github/github.ts';
import { settled, VirtualClock } from './virtual-clock.ts';

const API = 'https://api.github.com';
const read: Cost = { points: 1 };
const jit: Cost = { points: 5, registersAt: 'orgs/acme' };
const fine: Ending = { status: 200, report: undefined, brake: undefined };
const [hurried, patient] = [{ longestWaitMs: 0 }, { longestWaitMs: 600_000 }];

function gateOf(limits: Partial<BudgetLimits> = {}) {
  const clock = new VirtualClock();
  // Without pauses within a minute, but where they are the matter: these tests look at the limits themselves.
  const pool = new BudgetPool(clock, { atOnceShare: 1, ...limits });
  return { clock, pool, gate: pool.gate({ name: 'token 1', proof: undefined }, API) };
}

async function refusalOf(work: Promise<Turn>): Promise<BudgetRefusal> {
  let outcome: unknown;
  try {
    outcome = await work;
  } catch (error) {
    outcome = error;
  }
  if (!(outcome instanceof BudgetRefusal)) throw new Error(`expected a refusal, got ${String(outcome)}`);
  return outcome;
}

/** As many calls as go at once, each ended at once. */
async function burst(gate: ReturnType<typeof gateOf>['gate'], cost: Cost, purpose: CallPurpose, ending = fine) {
  for (let made = 0; ; made += 1) {
    try {
      const turn = await gate.turn(cost, purpose);
      turn.end(ending);
    } catch (error) {
      if (error instanceof BudgetRefusal) return { made, retryAfterMs: error.retryAfterMs };
      throw error;
    }
  }
}

interface Made {
  readonly purpose: CallPurpose;
  readonly cost: Cost;
  readonly atMs: number;
}

describe('the budget', () => {
  it('makes 180 JIT calls a minute, and says when the next may go', async () => {
    const { gate, clock } = gateOf(hurried);
    expect((await burst(gate, jit, 'launch')).made).to.equal(180);
    await clock.advance(59_000);
    const { made, retryAfterMs } = await burst(gate, jit, 'launch');
    expect(made).to.equal(0);
    expect(retryAfterMs).to.be.within(1_000, 3_000);
    await clock.advance(retryAfterMs);
    expect((await burst(gate, jit, 'launch')).made).to.equal(180);
  });

  // X3
  it('lets a small burst go at once, and spreads the rest: a minute without a gap, the next ones too', async () => {
    const { gate, clock } = gateOf({ longestWaitMs: 600_000, atOnceShare: githubLimits.atOnceShare });
    const startMs = clock.now();
    const goneMs: number[] = [];
    const calls = Array.from({ length: 900 }, () =>
      gate.turn(jit, 'launch').then((turn) => {
        goneMs.push(clock.now() - startMs);
        turn.end(fine);
      }),
    );
    await settled();
    expect(goneMs).to.have.length(90);
    await clock.advance(310_000);
    await Promise.all(calls);
    const gaps = goneMs.map((atMs, index) => atMs - (goneMs[index - 1] ?? 0));
    expect(Math.max(...gaps)).to.be.at.most(2_000);
    for (const [index, atMs] of goneMs.entries()) {
      // 180 registrations are a minute's points: the 181st comes after it.
      expect((goneMs[index + 180] ?? Number.POSITIVE_INFINITY) - atMs).to.be.above(60_000);
    }
    expect(goneMs.at(-1)).to.be.at.most(308_000);
  });

  it('gives a sweep a fifth, and leaves launches a fifth whatever the others do', async () => {
    const { gate } = gateOf(hurried);
    expect((await burst(gate, read, 'sweep')).made).to.equal(180);
    expect((await burst(gate, read, 'verify')).made).to.equal(270);
    expect((await burst(gate, read, 'drain')).made).to.equal(270);
    expect((await burst(gate, read, 'launch')).made).to.equal(180);
  });

  it('counts the registrations of a scope over all credentials', async () => {
    const { pool, gate } = gateOf({ ...hurried, pointsPerMinute: 1_000_000 });
    expect((await burst(gate, jit, 'launch')).made).to.equal(1_500);
    expect((await burst(pool.gate({ name: 'token 2', proof: undefined }, API), jit, 'launch')).made).to.equal(0);
    const elsewhere = { points: 5, registersAt: 'orgs/other' };
    expect((await burst(gate, elsewhere, 'launch')).made).to.equal(1_500);
    expect(
      (await burst(pool.gate({ name: 'token 3', proof: undefined }, 'https://ghes.example/api/v3'), jit, 'launch'))
        .made,
    ).to.equal(1_500);
  });

  it('makes 80 content-creating calls a minute and 500 an hour', async () => {
    const { gate, clock } = gateOf(hurried);
    const checkRun = { points: 5, createsContent: true };
    let sum = 0;
    for (let minute = 0; minute < 20; minute += 1) {
      const { made } = await burst(gate, checkRun, 'launch');
      expect(made).to.be.at.most(80);
      sum += made;
      await clock.advance(62_000);
    }
    expect(sum).to.equal(500);
  });

  it('refuses at once what would have to wait too long, and lets the rest wait', async () => {
    const { gate, clock } = gateOf();
    for (let index = 0; index < 180; index += 1) (await gate.turn(jit, 'launch')).end(fine);
    expect((await refusalOf(gate.turn(jit, 'launch'))).retryAfterMs).to.be.above(githubLimits.longestWaitMs);
    await clock.advance(55_000);
    const waiting = gate.turn(jit, 'launch');
    expect(gate.waiting).to.equal(1);
    await clock.advance(7_000);
    (await waiting).end(fine);
  });

  it('refuses a call that has waited for 10 s behind others', async () => {
    const { gate, clock } = gateOf({ concurrentRequests: 1 });
    const first = await gate.turn(read, 'launch');
    const refused = refusalOf(gate.turn(read, 'launch'));
    await clock.advance(10_000);
    expect((await refused).retryAfterMs).to.be.above(0);
    first.end(fine);
    expect(clock.timers).to.equal(0);
  });

  it('lets the urgent go first, however late they came', async () => {
    const { gate } = gateOf({ concurrentRequests: 1 });
    const first = await gate.turn(read, 'sweep');
    const order: CallPurpose[] = [];
    const waiting = purposes.toReversed().map(async (purpose) => {
      const turn = await gate.turn(purpose === 'launch' ? jit : read, purpose);
      order.push(purpose);
      turn.end(fine);
    });
    first.end(fine);
    await Promise.all(waiting);
    expect(order).to.deep.equal(['launch', 'drain', 'verify', 'sweep']);
  });

  it('lets the tenants of one credential take turns, however many calls of one wait', async () => {
    const { gate, clock } = gateOf({ ...patient, concurrentRequests: 1 });
    const first = await gate.turn(read, 'sweep', undefined, 'tenant busy');
    const order: string[] = [];
    const waiting = (line: string, name: string) =>
      gate.turn(read, 'sweep', undefined, line).then((turn) => {
        order.push(name);
        turn.end(fine);
      });
    const calls = Array.from({ length: 20 }, (_, index) => waiting('tenant busy', `busy ${index + 1}`));
    calls.push(waiting('tenant quiet', 'quiet 1'), waiting('tenant quiet', 'quiet 2'), waiting('tenant new', 'new 1'));
    first.end(fine);
    await clock.advance(60_000);
    await Promise.all(calls);
    expect(order.slice(0, 6)).to.deep.equal(['quiet 1', 'new 1', 'busy 1', 'quiet 2', 'busy 2', 'busy 3']);
    expect(order).to.have.length(23);
  });

  it('refuses no tenant of one credential because calls of another fill the queue', async () => {
    const { gate, clock } = gateOf({ ...patient, concurrentRequests: 1, waitingCalls: 10 });
    const first = await gate.turn(read, 'sweep', undefined, 'tenant busy');
    const busy = Array.from({ length: 10 }, () => gate.turn(read, 'sweep', undefined, 'tenant busy'));
    const last = refusalOf(busy[9] ?? gate.turn(read, 'sweep'));
    const quiet = gate.turn(read, 'sweep', undefined, 'tenant quiet');
    expect((await last).message).to.include('gave way');
    expect((await refusalOf(gate.turn(read, 'sweep', undefined, 'tenant busy'))).message).to.include('too many');
    first.end(fine);
    await clock.advance(1_000);
    (await quiet).end(fine);
    for (const call of busy.slice(0, 9)) (await call).end(fine);
  });

  it('does not let a cheap call pass an expensive one that is more urgent', async () => {
    const { gate, clock } = gateOf(patient);
    // 898 points are spent: two are left, too few for a launch.
    for (let index = 0; index < 179; index += 1) (await gate.turn(jit, 'launch')).end(fine);
    for (let index = 0; index < 3; index += 1) (await gate.turn(read, 'launch')).end(fine);
    const order: string[] = [];
    const launch = gate.turn(jit, 'launch').then(() => order.push('launch'));
    const verify = gate.turn(read, 'verify').then(() => order.push('verify'));
    await clock.advance(120_000);
    await Promise.all([launch, verify]);
    expect(order).to.deep.equal(['launch', 'verify']);
  });

  it("does not let one scope's registrations hold up another's", async () => {
    const { gate, clock } = gateOf({ ...patient, registrationsPer5Minutes: 1 });
    (await gate.turn(jit, 'launch')).end(fine);
    const held = gate.turn(jit, 'launch');
    (await gate.turn({ points: 5, registersAt: 'orgs/other' }, 'launch')).end(fine);
    expect(gate.waiting).to.equal(1);
    await clock.advance(301_000);
    (await held).end(fine);
  });

  it('keeps no more callers waiting than its bound, and the urgent ones rather', async () => {
    const { gate } = gateOf({ concurrentRequests: 1, waitingCalls: 2 });
    const first = await gate.turn(read, 'launch');
    const earlier = gate.turn(read, 'sweep');
    const later = refusalOf(gate.turn(read, 'sweep'));
    const urgent = gate.turn(jit, 'launch');
    await later;
    await refusalOf(gate.turn(read, 'sweep'));
    expect(gate.waiting).to.equal(2);
    first.end(fine);
    (await urgent).end(fine);
    (await earlier).end(fine);
  });

  it('forgets a caller that has gone away', async () => {
    const { gate, clock } = gateOf({ concurrentRequests: 1 });
    const first = await gate.turn(read, 'launch');
    const leaving = new AbortController();
    const gone = gate.turn(read, 'launch', leaving.signal).catch((error: unknown) => error);
    leaving.abort(new Error('no matter'));
    expect(String(await gone)).to.include('no matter');
    expect(gate.waiting).to.equal(0);
    first.end(fine);
    expect(clock.timers).to.equal(0);
  });

  it('obeys retry-after for everybody', async () => {
    const { gate, clock } = gateOf(hurried);
    const turn = await gate.turn(read, 'sweep');
    turn.end({ status: 429, report: undefined, brake: { kind: 'wait', ms: 30_000 } });
    expect((await refusalOf(gate.turn(jit, 'launch'))).retryAfterMs).to.equal(30_000);
    await clock.advance(30_000);
    (await gate.turn(jit, 'launch')).end(fine);
  });

  it('takes forty calls refused together for one strike', async () => {
    const { gate, clock } = gateOf();
    const turns = await Promise.all(Array.from({ length: 40 }, () => gate.turn(read, 'launch')));
    const waits = turns.map((turn) => turn.end({ status: 403, report: undefined, brake: { kind: 'secondary' } }));
    expect(new Set(waits)).to.deep.equal(new Set([60_000]));
    await clock.advance(60_000);
    (await gate.turn(read, 'launch')).end(fine);
    const after = await gate.turn(read, 'launch');
    expect(after.end({ status: 403, report: undefined, brake: { kind: 'secondary' } })).to.equal(60_000);
  });

  it('keeps the hours of two classes of endpoints apart', async () => {
    const { gate, clock, pool } = gateOf(hurried);
    const resetAtMs = clock.now() + 1_000_000;
    const report = { resource: 'core', limit: 5_000, remaining: 0, resetAtMs };
    (await gate.turn(read, 'launch')).end({ status: 200, report, brake: undefined });
    expect((await refusalOf(gate.turn(read, 'launch'))).retryAfterMs).to.equal(1_000_000);
    (await gate.turn(jit, 'launch')).end(fine);
    expect(pool.snapshot().find((level) => level.class === 'core')?.remaining).to.equal(0);
    await clock.advance(1_000_000);
    (await gate.turn(read, 'launch')).end(fine);
  });

  // X7
  it('believes the newest answer about the hour, also when its reset comes earlier', async () => {
    const { gate, clock } = gateOf(hurried);
    const report = (remaining: number, inMs: number) => ({
      resource: 'core',
      limit: 5_000,
      remaining,
      resetAtMs: clock.now() + inMs,
    });
    (await gate.turn(read, 'launch')).end({ status: 200, report: report(4_000, 3_600_000), brake: undefined });
    const refused = await gate.turn(read, 'launch');
    expect(refused.end({ status: 403, report: report(0, 600_000), brake: { kind: 'exhausted' } })).to.equal(600_000);
    expect((await refusalOf(gate.turn(read, 'launch'))).retryAfterMs).to.equal(600_000);
    await clock.advance(600_000);
    (await gate.turn(read, 'launch')).end(fine);
  });

  it('lets no answer that was overtaken bring an old hour back', async () => {
    const { gate, clock, pool } = gateOf(hurried);
    const hour = (remaining: number, resetAtMs: number) => ({ resource: 'core', limit: 5_000, remaining, resetAtMs });
    const [soon, later] = [clock.now() + 60_000, clock.now() + 3_660_000];
    const slow = await gate.turn(read, 'launch');
    (await gate.turn(read, 'launch')).end({ status: 200, report: hour(4_999, later), brake: undefined });
    slow.end({ status: 200, report: hour(0, soon), brake: undefined });
    expect(pool.snapshot().find((level) => level.class === 'core')).to.include({ remaining: 4_998, resetAtMs: later });
  });

  it('counts the calls under way against what is left of the hour', async () => {
    const { gate, clock } = gateOf(hurried);
    const report = { resource: 'core', limit: 100, remaining: 3, resetAtMs: clock.now() + 1_000_000 };
    (await gate.turn(read, 'launch')).end({ status: 200, report, brake: undefined });
    for (let index = 0; index < 3; index += 1) await gate.turn(read, 'launch');
    expect((await refusalOf(gate.turn(read, 'launch'))).retryAfterMs).to.equal(1_000_000);
  });

  it('counts an unchanged answer against no hour', async () => {
    const { gate, clock, pool } = gateOf(hurried);
    const report = { resource: 'core', limit: 100, remaining: 90, resetAtMs: clock.now() + 3_600_000 };
    // A sweep may use 20 of the hour's 100.
    for (let index = 0; index < 120; index += 1) {
      (await gate.turn(read, 'sweep')).end({ status: 304, report, brake: undefined });
    }
    const core = () => pool.snapshot().find((level) => level.class === 'core');
    expect(core()?.remaining).to.equal(90);
    (await gate.turn(read, 'sweep')).end({ status: 304, report: { ...report, remaining: 95 }, brake: undefined });
    expect(core()?.remaining, 'an older answer gives nothing back').to.equal(90);
    (await gate.turn(read, 'sweep')).end({ status: 200, report: { ...report, remaining: 95 }, brake: undefined });
    expect(core()?.remaining, 'a changed answer counts until the next report').to.equal(90);
    (await gate.turn(read, 'sweep')).end({ status: 200, report: undefined, brake: undefined });
    expect(core()?.remaining, 'a changed answer without a report').to.equal(89);
  });

  it('never exceeds a limit in any window, and keeps every share, whatever is asked', async function () {
    this.timeout(60_000);
    const limits: Partial<BudgetLimits> = {
      pointsPerMinute: 60,
      concurrentRequests: 10,
      registrationsPer5Minutes: 20,
      contentPerMinute: 4,
      contentPerHour: 15,
      waitingCalls: 30,
    };
    const call = fc.record({
      purpose: fc.constantFrom(...purposes),
      cost: fc.constantFrom<Cost>(
        read,
        jit,
        { points: 5, registersAt: 'orgs/other' },
        { points: 5, createsContent: true },
      ),
      pauseMs: fc.constantFrom(0, 0, 0, 50, 1_000, 20_000),
      takesMs: fc.constantFrom(10, 500, 3_000),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(call, { minLength: 100, maxLength: 300 }), async (calls) => {
        const { gate, clock } = gateOf(limits);
        const made: Made[] = [];
        const hour = new HourOfGithub(clock, 150);
        let inFlight = 0;
        let sweepsInFlight = 0;
        let [mostInFlight, mostSweeps] = [0, 0];
        for (const { purpose, cost, pauseMs, takesMs } of calls) {
          void gate.turn(cost, purpose).then(
            (turn) => {
              made.push({ purpose, cost, atMs: clock.now() });
              inFlight += 1;
              if (purpose === 'sweep') sweepsInFlight += 1;
              mostInFlight = Math.max(mostInFlight, inFlight);
              mostSweeps = Math.max(mostSweeps, sweepsInFlight);
              const ending = hour.serve();
              clock.after(takesMs, () => {
                inFlight -= 1;
                if (purpose === 'sweep') sweepsInFlight -= 1;
                turn.end(ending);
              });
            },
            () => {},
          );
          await (pauseMs === 0 ? settled() : clock.advance(pauseMs));
        }
        await clock.advance(60_000);

        const pointsOf = (one: Made) => one.cost.points;
        const one = () => 1;
        const sweeps = made.filter((call) => call.purpose === 'sweep');
        const content = made.filter((call) => call.cost.createsContent);
        expect(most(made, 60_000, pointsOf), 'points').to.be.at.most(60);
        expect(most(sweeps, 60_000, pointsOf), 'points of sweeps').to.be.at.most(12);
        expect(most(content, 60_000, one), 'content a minute').to.be.at.most(4);
        expect(most(content, 3_600_000, one), 'content an hour').to.be.at.most(15);
        for (const scope of ['orgs/acme', 'orgs/other']) {
          const registrations = made.filter((call) => call.cost.registersAt === scope);
          expect(most(registrations, 300_000, one), scope).to.be.at.most(20);
        }
        expect(mostInFlight, 'in flight').to.be.at.most(10);
        expect(mostSweeps, 'sweeps in flight').to.be.at.most(2);
        expect(hour.refused, 'refused by GitHub').to.equal(0);
        expect(clock.timers).to.equal(0);
        // None of it by standing still.
        expect(made.length, 'made').to.be.at.least(20);
      }),
      { numRuns: 100 },
    );
  });

  it('sweeps no more than a fifth of the hour, and never runs into its end, however long it goes on', async () => {
    const { gate, clock } = gateOf(hurried);
    const hour = new HourOfGithub(clock, 5_000);
    let swept = 0;
    // The first answer tells the limit.
    (await gate.turn(read, 'launch')).end(hour.serve());
    for (let minute = 0; minute < 59; minute += 1) {
      swept += (await burstServed(gate, hour)).made;
      await clock.advance(61_000 - 1_500);
    }
    expect(swept).to.equal(1_000);
    expect(hour.refused).to.equal(0);
  });
});

/** The most that was spent within any span of that length. */
function most(made: readonly Made[], spanMs: number, amountOf: (one: Made) => number): number {
  let highest = 0;
  for (const [index, first] of made.entries()) {
    let sum = 0;
    for (const later of made.slice(index)) {
      if (later.atMs - first.atMs >= spanMs) break;
      sum += amountOf(later);
    }
    highest = Math.max(highest, sum);
  }
  return highest;
}

/** What GitHub counts: one class, a fixed hour, its answers telling how much is left. */
class HourOfGithub {
  readonly #clock: VirtualClock;
  readonly #limit: number;
  #used = 0;
  #resetAtMs: number;
  refused = 0;

  constructor(clock: VirtualClock, limit: number) {
    this.#clock = clock;
    this.#limit = limit;
    this.#resetAtMs = clock.now() + 3_600_000;
  }

  serve(): Ending {
    if (this.#clock.now() >= this.#resetAtMs) {
      this.#used = 0;
      this.#resetAtMs = this.#clock.now() + 3_600_000;
    }
    this.#used += 1;
    const over = this.#used > this.#limit;
    if (over) this.refused += 1;
    const remaining = Math.max(0, this.#limit - this.#used);
    return {
      status: over ? 403 : 200,
      report: { resource: 'core', limit: this.#limit, remaining, resetAtMs: this.#resetAtMs },
      brake: over ? { kind: 'exhausted' } : undefined,
    };
  }
}

async function burstServed(gate: ReturnType<typeof gateOf>['gate'], hour: HourOfGithub) {
  for (let made = 0; ; made += 1) {
    try {
      const turn = await gate.turn(read, 'sweep');
      turn.end(hour.serve());
    } catch (error) {
      if (error instanceof BudgetRefusal) return { made };
      throw error;
    }
  }
}
