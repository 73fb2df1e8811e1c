import { expect } from 'chai';
import { GithubError } from '../../dispatcher/github/github.ts';
import type { JobFact } from '../../dispatcher/jobs/facts.ts';
import { type JobRow, type Ledger, UnreadableRowError } from '../../dispatcher/ledger/ledger.ts';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import { Verifier } from '../../dispatcher/lifecycle/verify.ts';
import type { Registration } from '../../dispatcher/model/registration.ts';
import { eventLoopTurn } from '../../time/clock.ts';
import { clientOf } from '../github/github-fixture.ts';
import { admitted, fact, keyOf } from '../ledger/examples.ts';
import { registration } from '../registration-fixture.ts';
import { type EngineParts, laneOf, openEngineParts } from './engine-parts.ts';
import { manualClock } from './manual-clock.ts';
import { openRunnerContextParts } from './runner-context-fixture.ts';
import { runnerRow } from './runner-fixture.ts';

describe('the reading of single jobs', () => {
  let clock: ReturnType<typeof manualClock>;
  let ledger: Ledger;
  let asked: number;

  beforeEach(async () => {
    clock = manualClock();
    asked = 0;
    ledger = await openSqliteLedger({ path: ':memory:', now: () => clock.now() });
    await ledger.recordFacts([fact({ jobId: 1 })]);
    await ledger.settleJobs((await ledger.unsettledJobs(1, 'reject')).map((row) => admitted(row)));
  });
  afterEach(() => ledger.close());

  /** `evil/any/N` are jobs as well, all alike, so that ten thousand of them cost nothing. */
  async function open(answer: () => Promise<undefined>): Promise<Verifier> {
    const row = await ledger.job(keyOf(1));
    if (row === undefined) throw new Error('the ledger does not know it');
    const evil = (key: string): JobRow => ({ ...row, key, owner: 'evil', registration: 'evil' });
    const github = {
      ...clientOf('http://127.0.0.1:9').github,
      async readJob(owner: string) {
        if (owner !== 'evil') asked += 1;
        return await answer();
      },
    };
    const provider = () => Promise.reject(new Error('no backend is asked'));
    const parts = openRunnerContextParts(
      {
        ...ledger,
        job: async (key) => (key.includes('/evil/') ? evil(key) : await ledger.job(key)),
        holdUnseen: async () => {},
      },
      { now: clock.now, after: () => () => {} },
      {
        tenants: new Map(
          ['acme', 'evil'].map((name) => [name, { registration: registration({ name }), github, provider }]),
        ),
      },
    );
    return new Verifier(parts);
  }

  async function readAll(verifier: Verifier, keys: readonly string[], name: string): Promise<void> {
    for (const key of keys) verifier.ask(key, name);
    for (let turn = 0; turn < 10; turn += 1) {
      await eventLoopTurn();
      await verifier.whenSettled();
    }
  }

  const flood = Array.from({ length: 10_000 }, (_, index) => `github.com/evil/any/${index}`);

  for (const [what, answer] of [
    ['that GitHub does not show', async () => undefined],
    [
      'that cannot be read',
      async () => {
        throw new GithubError('transient', 'GET job', 'not done within 30 s');
      },
    ],
  ] as const) {
    it(`pauses for a job ${what}, however many such jobs another tenant has`, async () => {
      const verifier = await open(answer);
      await readAll(verifier, [keyOf(1)], 'acme');
      await readAll(verifier, flood, 'evil');
      await readAll(verifier, [keyOf(1)], 'acme');
      expect(asked).to.equal(1);
      clock.move(3 * 60_000);
      await readAll(verifier, [keyOf(1)], 'acme');
      expect(asked, 'the pause is over').to.equal(2);
    });
  }

  describe('of one tenant', () => {
    const SECOND = 1_000;
    const MINUTE = 60 * SECOND;
    let parts: EngineParts;
    let verifier: Verifier;
    let reads: string[];
    let read: (jobId: number) => Promise<JobFact | undefined>;
    let seesRepository: boolean;
    let waiting: (() => void)[];

    async function open(registrations: readonly Registration[] = [registration()]): Promise<void> {
      reads = [];
      waiting = [];
      seesRepository = true;
      read = async () => undefined;
      parts = await openEngineParts({
        registrations,
        github: {
          readJob: (_owner, _repository, jobId, purpose) => {
            reads.push(`${jobId} for ${purpose}`);
            return read(jobId);
          },
          readRun: async () => ({ completed: false, attempt: 1, isFork: false }),
          seesRepository: async () => seesRepository,
        },
      });
      verifier = new Verifier(parts);
    }
    const hang = () => new Promise<undefined>((resolve) => waiting.push(() => resolve(undefined)));
    const seen = async (jobId: number) => fact({ jobId, source: 'read', observedAtMs: parts.clock.now() });
    const failing = (retryAfterMs?: number) => () =>
      Promise.reject(
        new GithubError('transient', 'GET job', '503', retryAfterMs === undefined ? {} : { retryAfterMs }),
      );

    async function ask(jobId: number, name = 'acme', purpose: 'verify' | 'launch' = 'verify'): Promise<number> {
      verifier.ask(keyOf(jobId), name, purpose);
      await parts.clock.advance(0);
      return reads.length;
    }
    const jobs = (from: number, count: number) => Array.from({ length: count }, (_, index) => from + index);
    const queue = (...jobIds: readonly number[]) => parts.queue(laneOf(), ...jobIds);

    beforeEach(() => open());
    afterEach(() => parts.close());

    it('goes on eight at a time', async () => {
      await queue(...jobs(1, 9));
      read = hang;
      for (const jobId of jobs(1, 9)) await ask(jobId);
      expect(reads).to.have.length(8);
      waiting.shift()?.();
      await parts.clock.advance(0);
      expect(reads).to.have.length(9);
    });

    it('goes on 256 at a time together with all others', async () => {
      await parts.close();
      const names = Array.from({ length: 33 }, (_, index) => `r${index}`);
      await open([...names, 'acme'].map((name) => registration({ name })));
      await queue(...jobs(1, 264));
      read = hang;
      for (const jobId of jobs(1, 264)) verifier.ask(keyOf(jobId), `r${jobId % 33}`);
      await parts.clock.advance(0);
      expect(reads).to.have.length(256);
    });

    it('reads first what a launch waits for, and with a launch’s share of the budget', async () => {
      await queue(...jobs(1, 11));
      read = hang;
      for (const jobId of jobs(1, 10)) await ask(jobId);
      await ask(11, 'acme', 'launch');
      for (const end of waiting.splice(0, 2)) end();
      await parts.clock.advance(0);
      expect(reads.slice(8)).to.deep.equal(['11 for launch', '9 for verify']);
    });

    it('reads a job once, however often it is asked for, and again when it is five seconds old', async () => {
      await queue(1);
      read = seen;
      verifier.ask(keyOf(1), 'acme');
      expect(await ask(1)).to.equal(1);
      await parts.clock.advance(5 * SECOND - 1);
      expect(await ask(1)).to.equal(1);
      await parts.clock.advance(1);
      expect(await ask(1)).to.equal(2);
    });

    it('lets an unseen job rest for longer each time that it cannot be read', async () => {
      await queue(1);
      const dueIn = async () => ((await parts.ledger.job(keyOf(1)))?.heldUntilMs ?? 0) - parts.clock.now();
      const words = { reasonCode: 'unseen', reason: 'GitHub answers 404', cure: null };
      await parts.ledger.holdUnseen(keyOf(1), words, parts.clock.now(), parts.clock.now());
      read = failing();
      const rests: number[] = [];
      for (let tries = 1; tries <= 8; tries += 1) {
        expect(await ask(1)).to.equal(tries);
        rests.push((await dueIn()) / SECOND);
        expect(await parts.ledger.unseenJobs(parts.clock.now(), 9), 'it is not due').to.deep.equal([]);
        await parts.clock.advance(await dueIn());
      }
      expect(rests[0]).to.be.within(1, 3);
      expect(rests.at(-1)).to.be.within(90, 150);
      expect(await parts.ledger.job(keyOf(1))).to.include({ hold: 'unseen', reason: 'GitHub answers 404' });
    });

    it('lets an unseen job rest longer and longer whose read breaks', async () => {
      await queue(1);
      await parts.ledger.holdUnseen(keyOf(1), null, parts.clock.now(), parts.clock.now());
      read = () => Promise.reject(new TypeError('a defect'));
      const rests: number[] = [];
      for (let tries = 1; tries <= 3; tries += 1) {
        expect(await ask(1)).to.equal(tries);
        const dueAtMs = (await parts.ledger.job(keyOf(1)))?.heldUntilMs ?? 0;
        rests.push(dueAtMs - parts.clock.now());
        expect(await parts.ledger.unseenJobs(parts.clock.now(), 9), 'it is not due').to.deep.equal([]);
        await parts.clock.advance(dueAtMs - parts.clock.now());
      }
      expect(rests).to.deep.equal(rests.toSorted((a, b) => a - b));
      expect(rests[2]).to.be.within(6_000, 10_000);
    });

    it('lets an unseen job rest whose registration is not in force', async () => {
      await queue(1);
      await parts.ledger.settleJobs(
        (await parts.ledger.jobs({}, 'reject')).map((job) => admitted(job, laneOf({ registration: 'removed' }))),
      );
      await parts.ledger.holdUnseen(keyOf(1), null, parts.clock.now(), parts.clock.now());
      expect(await ask(1, 'removed')).to.equal(0);
      expect(await parts.ledger.unseenJobs(parts.clock.now() + 299 * SECOND, 9)).to.deep.equal([]);
    });

    it('reads nothing of jobs that are over or not known, nor once the engine stops', async () => {
      await queue(1, 2);
      await parts.ledger.dropJob(keyOf(1), 'over', parts.clock.now());
      await ask(1);
      await ask(99);
      parts.stop();
      expect(await ask(2)).to.equal(0);
    });

    it('tries again two seconds after a failure and wakes the engine then, later each time, and for as long as GitHub asks', async () => {
      await queue(1);
      read = failing();
      await ask(1);
      const wakes = parts.wakes();
      const pauses: number[] = [];
      for (let tries = 1; tries < 9; tries += 1) {
        const sinceMs = parts.clock.now();
        while ((await ask(1)) === tries) await parts.clock.advance(100);
        pauses.push(Math.round((parts.clock.now() - sinceMs) / SECOND));
      }
      expect(pauses[0]).to.equal(2);
      expect(pauses[1]).to.be.within(3, 5);
      expect(pauses.at(-1)).to.be.within(100, 133);
      expect(parts.wakes()).to.be.above(wakes + 8);
      read = failing(10 * MINUTE);
      const known = reads.length;
      await parts.clock.advance(3 * MINUTE);
      await ask(1);
      await parts.clock.advance(10 * MINUTE - 1);
      expect(await ask(1)).to.equal(known + 1);
      await parts.clock.advance(1);
      expect(await ask(1)).to.equal(known + 2);
    });

    it('counts failures anew once a read has succeeded', async () => {
      await queue(1);
      read = failing();
      await ask(1);
      read = seen;
      await parts.clock.advance(3 * SECOND);
      await ask(1);
      read = failing();
      await parts.clock.advance(6 * SECOND);
      expect(await ask(1)).to.equal(3);
      await parts.clock.advance(2.3 * SECOND);
      expect(await ask(1), 'two seconds again').to.equal(4);
    });

    it('asks again by itself for what it does not find, after 5, 35 and 185 seconds', async () => {
      await queue(1);
      expect(await ask(1)).to.equal(1);
      await parts.clock.advance(5 * SECOND - 1);
      expect(reads).to.have.length(1);
      await parts.clock.advance(1);
      expect(reads).to.have.length(2);
      await parts.clock.advance(30 * SECOND);
      expect(reads).to.have.length(3);
      expect(await parts.ledger.job(keyOf(1)), 'three misses in 35 s prove nothing').to.include({ status: 'queued' });
      await parts.clock.advance(150 * SECOND);
      expect(reads).to.have.length(4);
      expect(await parts.ledger.job(keyOf(1))).to.include({ status: 'completed' });
    });

    it('takes what it did not find for three minutes for what a runner does not run', async () => {
      await queue(1);
      const runner = runnerRow({ laneKey: laneOf().key, forJobKey: keyOf(1) });
      expect(await verifier.confirmSilence(runner), 'one miss').to.equal(false);
      await parts.clock.advance(35 * SECOND);
      expect(await verifier.confirmSilence(runner)).to.equal(false);
      await parts.clock.advance(3 * MINUTE);
      expect(await verifier.confirmSilence(runner)).to.equal(true);
    });

    it('holds a job whose repository it does not see, says so once, and looks for it every five minutes', async () => {
      seesRepository = false;
      await queue(1);
      const runner = runnerRow({ laneKey: laneOf().key, forJobKey: keyOf(1) });
      await ask(1);
      await parts.clock.advance(185 * SECOND);
      const known = reads.length;
      expect(await parts.ledger.job(keyOf(1))).to.include({ hold: 'unseen', reasonCode: 'unseen' });
      expect(await verifier.confirmSilence(runner), 'it runs nothing that is known').to.equal(true);
      await parts.clock.advance(5 * MINUTE - 1);
      expect(reads).to.have.length(known);
      await parts.clock.advance(1);
      expect(reads).to.have.length(known + 1);
      expect(parts.logged.filter((event) => event === 'repository-not-seen')).to.have.length(1);
    });

    it('calls a runner busy by a job that GitHub shows on it, and silent by one that it shows elsewhere', async () => {
      await queue(1);
      const runner = runnerRow({ laneKey: laneOf().key, forJobKey: keyOf(1) });
      const shown = (runnerName: string) => async (jobId: number) => ({
        ...(await seen(jobId)),
        ...{ status: 'in_progress' as const, runnerName, runnerId: 7 },
      });
      await parts.clock.advance(SECOND);
      read = shown(runner.name);
      expect(await verifier.confirmSilence(runner)).to.equal(false);
      await parts.clock.advance(MINUTE);
      read = shown('another');
      expect(await verifier.confirmSilence(runner)).to.equal(true);
    });

    it('reads twenty jobs before it calls a runner silent, those that only another tenant reported last', async () => {
      await queue(...jobs(1, 21));
      const told = (await parts.ledger.jobs({ laneKey: laneOf().key, limit: 100 }, 'reject')).map((job) => ({
        ...job,
        statusToldBy: job.jobId === 1 ? 'acme' : 'emca',
      }));
      parts.ledger.jobs = async () => told;
      read = seen;
      expect(await verifier.confirmSilence(runnerRow({ forJobKey: null }))).to.equal(true);
      expect(reads[0]).to.equal('1 for verify');
      expect(reads).to.have.length(20);
    });

    it('asks about the job that the runner was launched for, whatever else waits', async () => {
      await queue(1);
      read = seen;
      parts.ledger.jobs = async () => [];
      expect(await verifier.confirmSilence(runnerRow({ forJobKey: null }))).to.equal(true);
      expect(reads).to.deep.equal([]);
      expect(await verifier.confirmSilence(runnerRow({ forJobKey: keyOf(1) }))).to.equal(true);
      expect(reads).to.deep.equal(['1 for verify']);
    });

    it('is waited for by who asks whether all reads have ended', async () => {
      await queue(1);
      read = hang;
      await ask(1);
      let ended = false;
      const waited = verifier.whenSettled().then(() => {
        ended = true;
      });
      await parts.clock.advance(0);
      expect(ended).to.equal(false);
      waiting.shift()?.();
      await waited;
    });

    it('asks GitHub alone about a job of the lane whose row cannot be read', async () => {
      await queue(1);
      const bad = { key: keyOf(1), registration: 'acme', fault: 'column labels: Invalid input' };
      parts.ledger.jobs = async (_filter, unreadable) => {
        if (unreadable === 'reject') throw new UnreadableRowError(bad.fault);
        unreadable(bad);
        return [];
      };
      parts.ledger.job = () => Promise.reject(new UnreadableRowError(bad.fault));
      const runner = runnerRow({ laneKey: laneOf().key, forJobKey: null });
      const shown = (runnerName: string) => async (jobId: number) => ({
        ...(await seen(jobId)),
        ...{ status: 'in_progress' as const, runnerName, runnerId: 7 },
      });
      read = shown('another');
      expect(await verifier.confirmSilence(runner)).to.equal(true);
      read = shown(runner.name);
      expect(await verifier.confirmSilence(runner), 'it runs there').to.equal(false);
      read = failing();
      expect(await verifier.confirmSilence(runner), 'it is not known').to.equal(false);
      expect(reads).to.deep.equal(['1 for verify', '1 for verify', '1 for verify']);
    });

    it('cannot call a runner silent while its job belongs to a registration that is not in force', async () => {
      await queue(1);
      await parts.ledger.settleJobs(
        (await parts.ledger.jobs({}, 'reject')).map((job) => admitted(job, laneOf({ registration: 'removed' }))),
      );
      const runner = runnerRow({ laneKey: laneOf().key, forJobKey: keyOf(1) });
      expect(await verifier.confirmSilence(runner)).to.equal(false);
      expect(reads, 'without credentials').to.deep.equal([]);
      await parts.ledger.dropJob(keyOf(1), 'over', parts.clock.now());
      expect(await verifier.confirmSilence(runner), 'it is over').to.equal(true);
    });

    it('cannot call a runner silent while a job cannot be read', async () => {
      await queue(1);
      read = failing();
      const runner = runnerRow({ laneKey: laneOf().key, forJobKey: null });
      expect(await verifier.confirmSilence(runner)).to.equal(false);
    });
  });
});
