import { expect } from 'chai';
import type { JobFact } from '../../dispatcher/jobs/facts.ts';
import { restJobSchema } from '../../dispatcher/jobs/workflow-job.ts';
import type { JobRow, JobSettlement, Ledger, Retention } from '../../dispatcher/ledger/ledger.ts';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import { delivery, fact, refused, runner } from './examples.ts';

const MAX = 10;

// W11
describe('the ledger’s room, shared by two tenants', () => {
  let ledger: Ledger;
  let guids = 0;

  beforeEach(async () => {
    ledger = await openSqliteLedger({ path: ':memory:', now: () => 1_000_000, mostOpenJobs: MAX });
  });

  afterEach(() => ledger.close());

  const forged = (jobId: number, some: Partial<JobFact> = {}) =>
    fact({ jobId, owner: 'evil', toldBy: 'evil', observedAtMs: 10_000 + jobId, ...some });
  const honest = (jobId: number, some: Partial<JobFact> = {}) => fact({ jobId, toldBy: 'acme', ...some });

  async function deliver(...facts: readonly JobFact[]): Promise<readonly string[]> {
    return await ledger.recordDeliveries(
      facts.map((one) => {
        guids += 1;
        return { delivery: delivery(`guid-${guids}`), fact: one };
      }),
    );
  }

  async function keysOf(owner: string): Promise<readonly string[]> {
    return (await ledger.jobs({ limit: 1000 }, 'reject')).filter((job) => job.owner === owner).map(({ key }) => key);
  }

  it('takes no more open jobs of one than it may have, and all of the other', async () => {
    const answers = await deliver(...Array.from({ length: 25 }, (_, index) => forged(index + 1)));
    expect(answers.filter((answer) => answer === 'recorded')).to.have.length(MAX);
    expect(answers.filter((answer) => answer === 'full')).to.have.length(15);
    expect(await keysOf('evil')).to.have.length(MAX);
    expect(await deliver(honest(1), honest(2))).to.deep.equal(['recorded', 'recorded']);
    expect(await deliver(forged(99))).to.deep.equal(['full']);
  });

  it('takes what is told of jobs that it knows, and new ones again when some have ended', async () => {
    await deliver(...Array.from({ length: MAX }, (_, index) => forged(index + 1)));
    const ended = { status: 'completed', conclusion: 'success' } as const;
    expect(await deliver(forged(1, ended), forged(2, ended), forged(50))).to.deep.equal([
      'recorded',
      'recorded',
      'full',
    ]);
    expect(await deliver(forged(51), forged(52), forged(53))).to.deep.equal(['recorded', 'recorded', 'full']);
  });

  it('takes what is told of an open job that it knows, however full it is', async () => {
    await deliver(...Array.from({ length: MAX }, (_, index) => forged(index + 1)));
    expect(await deliver(forged(1, { status: 'in_progress', runnerName: 'd-1' }))).to.deep.equal(['recorded']);
    expect(await ledger.job('github.com/evil/web/1')).to.include({ status: 'in_progress', runnerName: 'd-1' });
    expect(await deliver(forged(51)), 'it takes no more room than before').to.deep.equal(['full']);
  });

  it('takes a delivery that was refused once, when it is sent again later', async () => {
    await deliver(...Array.from({ length: MAX }, (_, index) => forged(index + 1)));
    const again = [{ delivery: delivery('again'), fact: forged(60) }];
    expect(await ledger.recordDeliveries(again)).to.deep.equal(['full']);
    await deliver(forged(1, { status: 'completed' }));
    expect(await ledger.recordDeliveries(again)).to.deep.equal(['recorded']);
  });

  it('counts by whose word it is, and by the owner where it is the platform’s', async () => {
    const platforms = (owner: string, jobId: number) => fact({ jobId, owner, toldBy: null });
    await ledger.recordFacts(Array.from({ length: 20 }, (_, index) => platforms('busy', index + 1)));
    expect(await keysOf('busy')).to.have.length(MAX);
    expect(await deliver(platforms('Quiet', 1))).to.deep.equal(['recorded']);
    expect(await deliver(platforms('BUSY', 90))).to.deep.equal(['full']);
  });

  it('prunes the longest history first, so that a flood of ended jobs costs nobody else theirs', async () => {
    const ended = { status: 'completed', conclusion: 'success' } as const;
    await deliver(...Array.from({ length: 5 }, (_, index) => honest(index + 1, { ...ended, observedAtMs: 1 })));
    for (let jobId = 1; jobId <= 200; jobId += 1) await deliver(forged(jobId, ended));
    for (const job of await ledger.unsettledJobs(1000, 'reject')) {
      await ledger.settleJobs([{ key: job.key, version: job.version }]);
    }
    const retention = {
      deliveriesMs: 1e9,
      jobsMs: 1e9,
      runnersMs: 1e9,
      maxDeliveries: 1000,
      maxJobs: 50,
      maxRunners: 50,
    };
    while ((await ledger.prune(1_000_000, retention, 30)) > 0);
    expect(await keysOf('Acme')).to.have.length(5);
    const left = await keysOf('evil');
    expect(left).to.have.length(45);
    expect(left, 'the newest').to.include('github.com/evil/web/200');
  });

  const ENDED = { status: 'completed', conclusion: 'success' } as const;
  const LATER = 40 * 24 * 3_600_000;
  const retention = {
    deliveriesMs: 1e12,
    jobsMs: 1e12,
    runnersMs: 1e12,
    maxDeliveries: 1000,
    maxJobs: 50,
    maxRunners: 50,
  };

  async function settleAll(settlement = (job: JobRow): JobSettlement => ({ key: job.key, version: job.version })) {
    await ledger.settleJobs((await ledger.unsettledJobs(1000, 'reject')).map(settlement));
  }

  async function prune(some: Partial<Retention>): Promise<void> {
    while ((await ledger.prune(LATER, { ...retention, ...some }, 30)) > 0);
  }

  async function fillsUp(): Promise<number> {
    const answers = await deliver(...Array.from({ length: 2 * MAX }, (_, index) => forged(1000 + index)));
    return answers.filter((answer) => answer === 'recorded').length;
  }

  it('takes from two long histories alike', async () => {
    for (let jobId = 1; jobId <= 12; jobId += 1) await deliver(forged(jobId, ENDED));
    for (let jobId = 1; jobId <= 10; jobId += 1) await deliver(honest(jobId, ENDED));
    await settleAll();
    await prune({ maxJobs: 10 });
    expect([(await keysOf('evil')).length, (await keysOf('Acme')).length]).to.deep.equal([5, 5]);
  });

  it('forgets the last job of a history too', async () => {
    await deliver(forged(1, ENDED), forged(2, ENDED));
    await settleAll();
    await prune({ maxJobs: 1 });
    expect(await keysOf('evil')).to.have.length(1);
    await prune({ maxJobs: 0 });
    expect(await keysOf('evil')).to.deep.equal([]);
  });

  it('makes no room for open jobs of what has ended already, nor of history that is pruned', async () => {
    await deliver(forged(1), ...[2, 3, 4, 5].map((jobId) => forged(jobId, ENDED)));
    await settleAll();
    await prune({ maxJobs: 0 });
    expect(await keysOf('evil')).to.have.length(1);
    expect(await fillsUp()).to.equal(MAX - 1);
  });

  it('makes room of open jobs that are forgotten, and still knows the length of the history', async () => {
    await deliver(...Array.from({ length: MAX }, (_, index) => forged(index + 1)));
    await settleAll(refused);
    await deliver(...[91, 92, 93].map((jobId) => forged(jobId, { ...ENDED, observedAtMs: LATER })));
    await settleAll();
    await prune({ jobsMs: 1000 });
    expect(await keysOf('evil'), 'what ended just now').to.have.length(3);
    await prune({ maxJobs: 1 });
    expect(await keysOf('evil')).to.have.length(1);
    expect(await fillsUp()).to.equal(MAX);
  });

  async function gone(registration: string, from: number, to: number): Promise<void> {
    for (let id = from; id <= to; id += 1) {
      const row = runner({ name: `${registration}-${id}`, registration, state: 'gone', stateSinceMs: id });
      await ledger.createRunner(row, 'launch');
    }
  }

  async function runnersOf(registration: string): Promise<readonly string[]> {
    return (await ledger.runners({ registrations: [registration] }, 'reject')).map(({ name }) => name);
  }

  it('keeps the runners of one, however many of another come and go', async () => {
    await gone('acme', 1, 5);
    await gone('evil', 6, 205);
    await prune({ maxRunners: 50 });
    expect(await runnersOf('acme')).to.have.length(5);
    const left = await runnersOf('evil');
    expect(left).to.have.length(45);
    expect(left, 'the newest').to.include.members(['evil-205', 'evil-161']);
  });

  it('takes from long histories of runners alike', async () => {
    await gone('acme', 1, 12);
    await gone('evil', 13, 22);
    await gone('other', 23, 25);
    await prune({ maxRunners: 10 });
    const left = await Promise.all(['acme', 'evil', 'other'].map(runnersOf));
    expect(left.map(({ length }) => length)).to.have.members([4, 3, 3]);
    await prune({ maxRunners: 0 });
    expect(await ledger.runners({}, 'reject')).to.deep.equal([]);
  });

  it('keeps runners that are not gone, whatever their number', async () => {
    for (let id = 1; id <= 5; id += 1)
      await ledger.createRunner(runner({ name: `r-${id}`, registration: 'acme' }), 'launch');
    await prune({ maxRunners: 0 });
    expect(await runnersOf('acme')).to.have.length(5);
  });

  it('keeps a job in less than 32 KB, and one with normal labels in less than 6', async () => {
    const text = (length: number) => '\u{1F600}'.repeat(length / 2);
    const job = (labels: readonly string[]) => ({
      id: 1,
      run_id: 1,
      status: 'queued',
      labels,
      name: text(2000),
      workflow_name: text(2000),
    });
    const many = Array.from({ length: 200 }, () => 'x'.repeat(512));
    expect(restJobSchema.safeParse(job(many)).success).to.equal(false);
    expect(restJobSchema.safeParse(job(Array.from({ length: 16 }, () => text(512)))).success).to.equal(true);
    expect(8_192 * 3 + 2 * 250 * 3 + 2_000 + 1_500, 'labels, names, link, the rest').to.be.below(32 * 1024);
  });
});
