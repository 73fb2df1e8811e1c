import { expect } from 'chai';
import type { AreStrangers } from '../../dispatcher/jobs/facts.ts';
import { createEngine } from '../../dispatcher/lifecycle/engine.ts';
import * as broken from './broken-engines.ts';
import type { EngineFactory } from './dispatcher.ts';
import { FAULTS, type Fault, type FaultRates } from './faults.ts';
import type { Rule } from './invariants.ts';
import { type Outcome, runSeed } from './run.ts';

/** Many more by name: `npm run sim`. */
const SEEDS = 100;
const A_BLOCK = 25;
/** All faults of some worlds together; the bound of a single world has to allow for the worst luck. */
const MAX_LAUNCHES_A_JOB = 1.5;
/** A small world: one tenant, a handful of jobs. */
const CRASH_SEED = 60;

function expectPeace(outcome: Outcome, how = `npm run sim -- --seed ${outcome.seed} --trace`): void {
  const told = outcome.violations.flatMap(({ rule, what, story }) => [
    `${rule}: ${what}`,
    ...story.slice(-15).map((line) => `    ${outcome.history.format(line)}`),
  ]);
  expect(told, `replay: ${how}`).to.deep.equal([]);
}

describe('a faulty world', function () {
  // What is counted is not time: a machine that is busy with other things takes several times as long.
  this.timeout(600_000);

  /** What the seeds told that have run: they need not run twice. */
  const told = new Map<number, Pick<Outcome, 'fingerprint' | 'faults'>>();
  const first = async (seed: number): Promise<Outcome> => {
    const outcome = await runSeed(seed);
    told.set(seed, { fingerprint: outcome.fingerprint, faults: outcome.faults });
    return outcome;
  };

  for (let from = 1; from <= SEEDS; from += A_BLOCK) {
    it(`ends well with each of the seeds ${from} to ${from + A_BLOCK - 1}`, async () => {
      let [launched, served] = [0, 0];
      for (let seed = from; seed < from + A_BLOCK; seed += 1) {
        const outcome = await first(seed);
        expectPeace(outcome);
        launched += outcome.counts.launched;
        served += outcome.counts.served;
      }
      expect(launched / served, `${launched} instances for ${served} jobs`).to.be.at.most(MAX_LAUNCHES_A_JOB);
    });
  }

  it('tells the same history twice when the seed is the same', async () => {
    for (const seed of [3, 10, 41, 77]) {
      const once = told.get(seed) ?? (await first(seed));
      const again = await runSeed(seed);
      expect(again.history.lines.length).to.be.greaterThan(50);
      expect(again.fingerprint).to.equal(once.fingerprint);
    }
    const [three, four] = [told.get(3) ?? (await first(3)), told.get(4) ?? (await first(4))];
    expect(three.fingerprint).to.not.equal(four.fingerprint);
  });

  it('is one in which every fault happens, within 150 seeds', async () => {
    const missing = new Set<Fault>(FAULTS);
    for (let seed = 1; seed <= 150 && missing.size > 0; seed += 1) {
      for (const fault of (told.get(seed) ?? (await first(seed))).faults.keys()) missing.delete(fault);
    }
    expect([...missing]).to.deep.equal([]);
  });

  it('makes one instance a job when nothing goes wrong, nobody steals and no gate holds', async () => {
    let peaceful = 0;
    for (let seed = 10; seed <= 300 && peaceful < 2; seed += 10) {
      const outcome = await runSeed(seed, { calm: true });
      expectPeace(outcome);
      const jobs = outcome.scenario.tenants.flatMap((tenant) => tenant.jobs);
      const heldBack = jobs.some((job) => job.parallel !== undefined || job.expectation === 'unserved');
      const odd = jobs.some((job) => job.gateMs !== undefined || ['doomed', 'ended'].includes(job.expectation));
      // What waits registered may take the job of a runner that was launched for it.
      const ahead = outcome.scenario.tenants.some(({ registration }) =>
        registration.standby?.some(({ mode }) => mode === 'registered'),
      );
      if (outcome.counts.steals > 0 || heldBack || odd || ahead) {
        continue;
      }
      peaceful += 1;
      expect(outcome.counts.instances).to.equal(jobs.filter((job) => job.expectation === 'runs').length);
    }
    expect(peaceful, 'worlds in which it can be counted').to.be.greaterThan(0);
  });

  it('survives a crash at any call of a port', async () => {
    const seed = CRASH_SEED;
    const calls = (await runSeed(seed, { calm: true })).counts.calls;
    const points = 60;
    for (let point = 0; point < points; point += 1) {
      // The first calls are the start and the first launch: one by one. Then further and further apart.
      const call = point < 30 ? point + 1 : Math.round(30 + ((calls - 30) * (point - 29)) / (points - 29));
      const outcome = await runSeed(seed, { calm: true, firstCrashAtCall: call });
      expect(outcome.counts.crashes, `crash at call ${call} of ${calls}`).to.equal(1);
      expectPeace(outcome, `npm run sim -- --seed ${seed} --calm --crash-at ${call} --trace`);
    }
  });

  it('counts no start of a broken candidate image against a job that GitHub gave up', async () => {
    expectPeace(await runSeed(8118100));
  });

  it('in which a registration only observes, calls none of its services and registers nothing for it', async () => {
    let observed = 0;
    for (let seed = 401; seed <= 408; seed += 1) {
      const outcome = await runSeed(seed, { observes: true });
      observed += outcome.scenario.tenants[0]?.jobs.length ?? 0;
      expectPeace(outcome, `npm run sim -- --seed ${seed} --observe --trace`);
    }
    expect(observed).to.be.greaterThan(50);
  });

  it('in which runs come from forks, launches nothing for them, and serves the others', async () => {
    let forks = 0;
    for (let seed = 501; seed <= 506; seed += 1) {
      const outcome = await runSeed(seed, { forks: true });
      forks += outcome.scenario.tenants.flatMap(({ jobs }) => jobs.filter(({ isFork }) => isFork === true)).length;
      expectPeace(outcome, `npm run sim -- --seed ${seed} --forks --trace`);
    }
    expect(forks).to.be.greaterThan(15);
  });

  it('in which most of the runners are reserved for one registration', async () => {
    // In the first two, containers of a standby pool stood where only reserved places were left beside them.
    for (const seed of [922002, 922010, 501, 502]) {
      const outcome = await runSeed(seed, { reserves: true });
      expectPeace(outcome, `npm run sim -- --seed ${seed} --reserve --trace`);
    }
  });

  it('survives losses of power, with what had not reached the disk', async () => {
    let losses = 0;
    for (let seed = 301; seed <= 306; seed += 1) {
      const outcome = await runSeed(seed, { losesPower: true });
      losses += outcome.counts.powerLosses;
      expectPeace(outcome, `npm run sim -- --seed ${seed} --lose-power --trace`);
    }
    expect(losses).to.be.greaterThan(0);
  });
});

/** GitHub calls busy runners idle and grants their DELETE, nothing tells of a start, and no job can be read. */
const UNREADABLE: Partial<FaultRates> = { staleBusy: 1, webhookLost: 0.9, pollFails: 0.95, jobUnread: 0.95 };

describe('the world notices', function () {
  this.timeout(600_000);

  it('when each job gets two containers, also where everything goes wrong', async () => {
    let [launched, served] = [0, 0];
    for (let seed = 1; seed <= 5; seed += 1) {
      const { counts } = await runSeed(seed, { noCrashes: true, createEngine: broken.lavish });
      launched += counts.launched;
      served += counts.served;
    }
    expect(launched / served).to.be.greaterThan(MAX_LAUNCHES_A_JOB);
  });

  it('when a delivery is answered before it is on the disk', async () => {
    const found = new Set<Rule>();
    const rule = 'a delivery that was answered is kept';
    for (let seed = 1; seed <= 24 && !found.has(rule); seed += 1) {
      const outcome = await runSeed(seed, { losesPower: true, tamperLedger: broken.hastyLedger });
      for (const violation of outcome.violations) found.add(violation.rule);
    }
    expect([...found]).to.include(rule);
  });

  interface Case {
    readonly what: string;
    readonly engine: EngineFactory;
    readonly rule: Rule;
    readonly rates?: Partial<FaultRates>;
    readonly calm?: true;
    readonly areStrangers?: AreStrangers;
    readonly observes?: true;
    readonly forks?: true;
    readonly reserves?: true;
    /** The first of 24 seeds; default 1. */
    readonly from?: number;
  }
  const cases: readonly Case[] = [
    { what: 'a job is overlooked', engine: broken.blindTo('cpu-2'), rule: 'a job that stays queued runs' },
    {
      what: 'a busy container is stopped',
      engine: broken.impatient,
      rule: 'no instance is stopped while its job runs',
    },
    {
      what: 'a granted DELETE is taken for a proof of idleness',
      engine: broken.trusting,
      rule: 'no instance is stopped while its job runs',
      rates: { staleBusy: 1, webhookLost: 0.95, pollFails: 0.8 },
    },
    {
      what: 'a registration that is to observe is served',
      engine: broken.eager,
      rule: 'a registration that only observes calls no service',
      observes: true,
    },
    { what: 'containers are left', engine: broken.careless, rule: 'nothing is left' },
    { what: 'registrations are left at GitHub', engine: broken.untidy, rule: 'nothing is left' },
    { what: 'caps are ignored', engine: broken.greedy, rule: 'no cap is exceeded' },
    {
      what: 'what is reserved is given to others',
      engine: broken.heedless,
      rule: 'no cap is exceeded',
      reserves: true,
    },
    { what: 'a name is used again', engine: broken.restless, rule: 'no name is used twice' },
    {
      what: 'a repeated launch is called the first',
      engine: broken.forgetful,
      rule: 'a name that is said to be new is new',
    },
    {
      what: 'a stop is not marked before it is sent',
      engine: broken.unmarked,
      rule: 'a container that we stopped is marked',
    },
    { what: 'a secret is logged', engine: broken.talkative, rule: 'secrets stay secret' },
    {
      what: 'a refused job gets a runner',
      engine: broken.permissive,
      rule: 'a job that is refused or not ours gets no runner',
    },
    {
      what: 'the job of a fork gets a runner',
      engine: broken.forkBlind,
      rule: 'a job that is refused or not ours gets no runner',
      calm: true,
      forks: true,
    },
    {
      what: 'more containers are made than needed',
      engine: broken.lavish,
      rule: 'launches are bounded',
      calm: true,
      from: 18,
    },
    { what: 'a foreign runner is deleted', engine: broken.hostile, rule: 'a foreign runner is left alone' },
    {
      what: 'a new job waits for minutes', // T4
      engine: broken.slow,
      rule: 'a job that GitHub would give out starts soon',
      calm: true,
    },
    {
      what: 'one refused lane holds its whole registration', // folder 01
      engine: broken.grudging,
      rule: 'a job that GitHub would give out starts soon',
      calm: true,
    },
    {
      what: 'GitHub is asked again and again in an outage', // T5
      engine: broken.hasty,
      rule: 'GitHub is asked with measure',
      from: 14,
    },
    {
      what: 'a job that GitHub gave up gets a runner', // folder 04
      engine: broken.gullible,
      rule: 'a job that GitHub gives to no runner gets few',
    },
    {
      what: 'nothing is learned from runners that idle beside a job', // folder 05
      engine: broken.stubborn,
      rule: 'a job that GitHub gives to no runner gets few',
      calm: true,
    },
    {
      what: 'one 404 ends a job', // folder 07
      engine: broken.credulous,
      rule: 'a job is given up only after proof',
      rates: { job404: 0.5, webhookLost: 0.5 },
    },
    {
      what: 'a made-up fact binds a runner',
      engine: broken.deceived,
      rule: 'no fact moves what its source cannot speak of',
      rates: { forged: 1 },
    },
    {
      what: 'a made-up job gets a runner',
      engine: createEngine,
      areStrangers: () => false,
      rule: 'no fact moves what its source cannot speak of',
      rates: { forged: 1 },
    },
    {
      what: 'a time limit is not used', // T1
      engine: broken.endless,
      rule: 'a time limit is enforced and said',
      calm: true,
    },
    {
      what: 'a job is ended at its limit without a word', // T1
      engine: broken.mute,
      rule: 'a time limit is enforced and said',
      calm: true,
    },
    {
      what: 'the last proof before a silent container is stopped is skipped', // T3
      engine: broken.confident,
      rule: 'no instance is stopped while its job runs',
      rates: UNREADABLE,
      from: 50,
    },
    {
      what: 'a job that could not be read is taken for one that waits', // T3
      engine: broken.wishful,
      rule: 'no instance is stopped while its job runs',
      rates: UNREADABLE,
    },
    {
      what: 'an online runner without a row is swept', // T6
      engine: broken.jealous,
      rule: 'a foreign runner is left alone',
    },
    {
      what: 'a runner of another dispatcher is swept', // T6
      engine: broken.imperial,
      rule: 'a foreign runner is left alone',
    },
    {
      what: 'a new registration is swept', // T6
      engine: broken.rash,
      rule: 'a foreign runner is left alone',
    },
    {
      what: 'a runner is looked at without pause', // T8
      engine: broken.restive,
      rule: 'a runner is looked at with measure',
    },
    { what: 'the engine does not start', engine: broken.deaf, rule: 'the engine keeps its own contract' },
  ];
  for (const { areStrangers, calm, engine, forks, from = 1, observes, rates, reserves, rule, what } of cases) {
    it(`when ${what}`, async () => {
      const found = new Set<Rule>();
      for (let seed = from; seed < from + 24 && !found.has(rule); seed += 1) {
        const outcome = await runSeed(seed, {
          noCrashes: true,
          createEngine: engine,
          rates: rates ?? {},
          ...(calm === undefined ? {} : { calm }),
          ...(areStrangers === undefined ? {} : { areStrangers }),
          ...(observes === undefined ? {} : { observes }),
          ...(forks === undefined ? {} : { forks }),
          ...(reserves === undefined ? {} : { reserves }),
        });
        for (const violation of outcome.violations) found.add(violation.rule);
      }
      expect([...found]).to.include(rule);
    });
  }
});
