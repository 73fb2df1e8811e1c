import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { expect } from 'chai';
import { jobKey } from '../../dispatcher/jobs/facts.ts';
import type { Ledger, UnreadableRow } from '../../dispatcher/ledger/ledger.ts';
import { problemsOf } from '../../dispatcher/observability/problems.ts';
import { ulid } from '../../time/clock.ts';
import { breaker } from '../failures/examples.ts';
import { keyOf } from '../ledger/examples.ts';
import { DISPATCHER, type EngineFixture, MINUTE, openEngineFixture, registration, told } from './engine-fixture.ts';

describe('an engine whose ledger holds a row that cannot be read', () => {
  const registrations = [
    registration('acme'),
    registration('other', { claim: { kind: 'organization', organization: 'other' } }),
  ];
  let folder: string;
  let fixture: EngineFixture;
  /** For the first job, held and due. */
  let looks = 0;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-bad-rows-'));
    fixture = await open();
    await fixture.tell(
      told(fixture, { jobId: 1 }),
      told(fixture, { jobId: 2, owner: 'other', labels: ['other-runner'] }),
    );
    await fixture.advance(10_000);
    expect(await fixture.ledger.runners({ states: ['starting'] }, 'reject')).to.have.length(2);
  });
  afterEach(async () => {
    await fixture.close();
    await rm(folder, { recursive: true });
  });

  async function open(before?: EngineFixture): Promise<EngineFixture> {
    const ledgerPath = join(folder, 'ledger.db');
    const startMs = before?.clock.now() ?? Date.UTC(2026, 10, 1, 8);
    const through = (ledger: Ledger): Ledger => ({
      ...ledger,
      unseenJobs: async (...asked) => {
        const due = await ledger.unseenJobs(...asked);
        looks += due.filter(({ key }) => key === keyOf(1)).length;
        return due;
      },
    });
    const opened = await openEngineFixture({ registrations, ledgerPath, startMs, through });
    for (const [name, instance] of before?.instances ?? []) opened.instances.set(name, instance);
    for (const [name, runner] of before?.runners ?? []) opened.runners.set(name, runner);
    await opened.engine.start();
    await opened.advance(1_000);
    return opened;
  }

  /** Restarts on a ledger that was changed in between. */
  async function damage(sql: string): Promise<void> {
    await fixture.close();
    const database = new Sqlite(join(folder, 'ledger.db'));
    database.exec(sql);
    database.close();
    fixture = await open(fixture);
  }

  const linesOf = (event: string) => fixture.logged.filter((line) => line.split(' ')[1] === event);

  async function othersAreServed(): Promise<void> {
    await fixture.tell(told(fixture, { jobId: 3, owner: 'other', labels: ['other-runner'] }));
    await fixture.advance(10_000);
    const own = await fixture.ledger.runners({ registrations: ['other'] }, 'reject');
    expect(own.map(({ state }) => state)).to.deep.equal(['starting', 'starting']);
    for (const runner of fixture.runners.values()) runner.online = true;
    await fixture.advance(MINUTE);
    const visited = await fixture.ledger.runners({ registrations: ['other'] }, 'reject');
    expect(visited.map(({ state }) => state)).to.deep.equal(['online', 'online']);
  }

  it('serves all others where it is a runner’s, logs it once, and shows it', async () => {
    await damage("update runners set labels = '{' where registration = 'acme'");
    await fixture.tell(told(fixture, { jobId: 4 }));
    await fixture.advance(10_000);
    const launched = fixture.calls.filter((call) => call.startsWith('launch '));
    expect(launched, 'another job of its own registration').to.have.length(1);
    await othersAreServed();
    await fixture.advance(20 * MINUTE);
    expect(linesOf('visit-failed')).to.have.length(1);
    expect(linesOf('visit-failed')[0]).to.include('registration=acme').and.include('column labels');
    expect(linesOf('cycle-failed')).to.deep.equal([]);
    const [rest, ...more] = fixture.engine.resting('acme');
    expect(more).to.deep.equal([]);
    const shown = problemsOf({ ...nothingElse, resting: rest === undefined ? [] : [rest] });
    expect(shown.map(({ kind, about }) => [kind, about])).to.deep.equal([['work', rest?.about]]);
    expect(shown[0]?.message).to.include('cannot be read');
    expect(fixture.engine.resting('other')).to.deep.equal([]);
  });

  it('serves all others where it is of the timeline of a runner whose job failed, and logs it once', async () => {
    await damage("update runnerTimeline set state = 'nonsense' where runner in (select name from runners)");
    const [runner] = await fixture.ledger.runners({ registrations: ['acme'] }, 'reject');
    const of = { jobId: 1, runnerName: runner?.name ?? '', runnerId: runner?.githubRunnerId ?? 0 };
    await fixture.tell(told(fixture, { ...of, status: 'in_progress' }));
    await fixture.advance(1_000);
    await fixture.tell(told(fixture, { ...of, status: 'completed', conclusion: 'failure' }));
    await othersAreServed();
    expect(await fixture.ledger.job(keyOf(1))).to.include({ status: 'completed', reasonCode: null });
    expect(linesOf('refusal-not-told')).to.have.length(1);
    expect(linesOf('cycle-failed')).to.deep.equal([]);
  });

  it('tells why a job waits where the timeline of a runner that failed cannot be read', async () => {
    fixture.jobs.set(keyOf(1), told(fixture, { jobId: 1 }));
    for (const [name, instance] of fixture.instances) {
      const reason = { kind: 'exited', message: 'no such file', exitCode: 127 } as const;
      fixture.instances.set(name, { ...instance, state: 'failed', reason });
    }
    await fixture.advance(15_000);
    const reason = async () => {
      const job = await fixture.ledger.job(keyOf(1));
      return job === undefined ? undefined : await fixture.engine.jobReason(job);
    };
    expect(await reason()).to.include('an earlier start failed');
    await damage("update runnerTimeline set state = 'nonsense' where runner in (select name from runners)");
    expect(await reason())
      .to.be.a('string')
      .and.not.include('an earlier start failed');
  });

  it('serves all others where it is a job’s, and launches nothing for that one', async () => {
    await damage(
      "update jobs set labels = '{', planned = 0, launches = 0 where jobId = 1; delete from runners where registration = 'acme'",
    );
    await othersAreServed();
    const launched = fixture.calls.filter((call) => call.startsWith('launch '));
    expect(launched, 'for the other registration’s job').to.have.length(1);
    expect(linesOf('job-not-settled')).to.have.length(1);
    expect(linesOf('cycle-failed')).to.deep.equal([]);
    expect(fixture.engine.resting('acme').map(({ about }) => about)).to.deep.equal([keyOf(1)]);
  });

  it('serves all others where it is a lane’s, logs it once, and shows it', async () => {
    await damage("update lanes set spec = '{' where registration = 'acme'; delete from jobs where jobId = 1");
    await othersAreServed();
    const [rest, ...more] = fixture.engine.resting('acme');
    expect(more).to.deep.equal([]);
    expect(rest?.failure.message).to.include('cannot be read');
    const [runner] = await fixture.ledger.runners({ registrations: ['acme'] }, 'reject');
    const reason = await fixture.engine.laneReason(runner?.laneKey ?? '');
    expect(reason).to.include('not planned').and.include('column spec');
    await fixture.advance(3 * MINUTE);
    expect(linesOf('lane-not-planned')).to.have.length(1);
    expect(linesOf('lane-not-planned')[0]).to.include('registration=acme').and.include('column spec');
    expect(linesOf('cycle-failed')).to.deep.equal([]);
    expect(fixture.engine.resting('other')).to.deep.equal([]);
    await fixture.advance(20 * MINUTE);
    expect(fixture.engine.resting('acme'), 'its last runner is gone').to.deep.equal([]);
  });

  it('plans the lane again as soon as a job of it is admitted, which writes its row anew', async () => {
    await damage("update lanes set spec = '{' where registration = 'acme'; delete from jobs where jobId = 1");
    await fixture.advance(MINUTE);
    expect(fixture.engine.resting('acme')).to.have.length(1);
    await fixture.tell(told(fixture, { jobId: 4 }), told(fixture, { jobId: 5 }));
    await fixture.advance(10_000);
    expect(fixture.calls.filter((call) => call.startsWith('launch '))).to.have.length(1);
    expect(fixture.engine.resting('acme')).to.deep.equal([]);
  });

  it('lets the other tenant’s held job try again where one is a held job’s, and shows that one', async () => {
    await damage(`
      delete from runners;
      update jobs set hold = 'unserved', heldSinceMs = 1, heldUntilMs = 1, passedOver = 3, planned = 0, launches = 0, demand = 0;
      update jobs set labels = '{' where jobId = 1`);
    await fixture.advance(MINUTE);
    const launched = fixture.calls.filter((call) => call.startsWith('launch '));
    expect(launched, 'for the other registration’s job').to.have.length(1);
    const own = await fixture.ledger.runners({ registrations: ['other'] }, 'reject');
    expect(own.filter(({ forJobKey }) => forJobKey !== null)).to.have.length(1);
    await fixture.advance(10 * MINUTE);
    expect(linesOf('cycle-failed')).to.deep.equal([]);
    expect(linesOf('job-not-settled')).to.have.length(1);
    expect(fixture.engine.resting('acme').map(({ about }) => about)).to.deep.equal([keyOf(1)]);
  });

  it('asks less and less often about a job that GitHub did not show and whose row cannot be read', async () => {
    looks = 0;
    await damage("update jobs set labels = '{', hold = 'unseen', heldSinceMs = 1, heldUntilMs = 1 where jobId = 1");
    await fixture.advance(20 * MINUTE);
    expect(linesOf('verify-failed')).to.have.length(1);
    expect(looks, 'it is not due again at once').to.be.lessThan(40);
    expect(linesOf('cycle-failed')).to.deep.equal([]);
  });

  it('serves a job under its new name where the row under the old one cannot be read, and reads it as often as others', async () => {
    await damage("update jobs set labels = '{' where jobId = 1");
    const renamed = { ...told(fixture, { jobId: 1 }), repository: 'site', observedAtMs: fixture.clock.now() };
    fixture.jobs.set(jobKey(renamed), renamed);
    await fixture.tell(renamed);
    await fixture.advance(20 * MINUTE);
    const key = jobKey(renamed);
    expect((await fixture.ledger.job(key))?.verifiedAtMs).to.be.a('number');
    const reads = fixture.calls.filter((call) => call.startsWith(`read ${key}`));
    expect(reads.length).to.be.within(1, 10);
    expect(linesOf('verify-failed')).to.deep.equal([]);
  });

  it('starts, and deletes the row, where one is a breaker’s', async () => {
    const key = 'acme/main';
    await fixture.ledger.putBreaker(
      breaker({ key, registration: 'acme', closedUntilMs: fixture.clock.now() + MINUTE }),
    );
    await fixture.ledger.putBreaker(breaker({ key: 'none/main', registration: 'none' }));
    await damage(`update breakers set rule = 'of tomorrow' where key = '${key}'`);
    expect(linesOf('breaker-unreadable')).to.have.length(1);
    expect(linesOf('breaker-unreadable')[0]).to.include(key).and.include('column rule');
    expect(linesOf('breaker-obsolete'), 'the others were looked at').to.have.length(1);
    expect(await fixture.ledger.breakers()).to.deep.equal([]);
    await othersAreServed();
  });

  it('sweeps the rest of a scope at GitHub where one is a runner’s', async () => {
    await damage("update runners set labels = '{' where registration = 'acme'");
    const stray = `${DISPATCHER}-${ulid(fixture.clock.now() - 60 * MINUTE, () => 0.5)}`;
    fixture.runners.set(stray, { id: 7_000, name: stray, scope: 'orgs/acme', online: false, busy: false });
    const [kept] = fixture.runners.keys();
    await fixture.advance(40 * MINUTE);
    expect(fixture.calls).to.include(`delete ${stray}`).and.not.include(`delete ${kept}`);
    expect(linesOf('sweep-broken')).to.deep.equal([]);
  });

  it('lists all others where one is a job’s or a runner’s, and names that one', async () => {
    await damage(
      "update jobs set labels = '{' where jobId = 1; update runners set labels = '{' where registration = 'acme'",
    );
    const unreadable: UnreadableRow[] = [];
    const note = (row: UnreadableRow) => void unreadable.push(row);
    expect((await fixture.ledger.jobs({}, note)).map(({ key }) => key)).to.have.length(1);
    expect((await fixture.ledger.runners({}, note)).map(({ registration: whose }) => whose)).to.deep.equal(['other']);
    expect(unreadable.map(({ registration: whose }) => whose)).to.deep.equal(['acme', 'acme']);
    expect(unreadable[0]).to.include({ key: keyOf(1) });
  });

  it('serves the runner again once its row can be read', async () => {
    await damage("update runners set labels = '{' where registration = 'acme'");
    await fixture.advance(MINUTE);
    await damage("update runners set labels = '[]' where registration = 'acme'");
    await fixture.advance(6 * MINUTE);
    const [runner] = await fixture.ledger.runners({ registrations: ['acme'] }, 'reject');
    expect(runner?.state).to.not.equal('creating');
    expect(linesOf('visit-failed')).to.deep.equal([]);
  });

  const nothingElse = { configuration: [], poll: [], sweep: [], skew: undefined, others: [] } as const;
});
