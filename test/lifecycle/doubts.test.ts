import { expect } from 'chai';
import { GithubError } from '../../dispatcher/github/github.ts';
import type { JobFact } from '../../dispatcher/jobs/facts.ts';
import type { JobRow, Ledger } from '../../dispatcher/ledger/ledger.ts';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import { Doubts } from '../../dispatcher/lifecycle/doubts.ts';
import { eventLoopTurn } from '../../time/clock.ts';
import { clientOf } from '../github/github-fixture.ts';
import { fact, keyOf } from '../ledger/examples.ts';
import { registration } from '../registration-fixture.ts';
import { manualClock } from './manual-clock.ts';
import { openRunnerContextParts } from './runner-context-fixture.ts';
import { runnerRow } from './runner-fixture.ts';

const MINUTE = 60_000;

describe('doubts about facts from other tenants', () => {
  let clock: ReturnType<typeof manualClock>;
  let ledger: Ledger;
  let doubts: Doubts;
  let asked: number[];
  let lines: string[];
  /** What GitHub answers. */
  let answer: (jobId: number) => Promise<JobFact | undefined>;
  let working: boolean;

  beforeEach(async () => {
    clock = manualClock();
    ledger = await openSqliteLedger({ path: ':memory:', now: () => clock.now() });
    asked = [];
    lines = [];
    working = true;
    answer = async () => undefined;
    const say = (event: string, fields: Readonly<Record<string, unknown>> = {}) =>
      void lines.push(`${event} ${String(fields['kind'] ?? fields['about'] ?? fields['repository'])}`);
    const github = {
      ...clientOf('http://127.0.0.1:9').github,
      async readJob(_owner: string, _repository: string, jobId: number) {
        asked.push(jobId);
        return await answer(jobId);
      },
    };
    const provider = () => Promise.reject(new Error('no backend is asked'));
    const parts = openRunnerContextParts(
      ledger,
      clock,
      {
        tenants: new Map([['acme', { registration: registration(), github, provider }]]),
        log: { debug: say, info: say, warn: say, error: say },
      },
      { working: () => working },
    );
    doubts = new Doubts(parts);
  });
  afterEach(() => ledger.close());

  const runner = (name: string) => runnerRow({ name });

  async function jobs(count: number, some: Partial<JobFact> = {}): Promise<readonly string[]> {
    await ledger.recordFacts(Array.from({ length: count }, (_, index) => fact({ jobId: index + 1, ...some })));
    return Array.from({ length: count }, (_, index) => keyOf(index + 1));
  }

  async function job(jobId: number): Promise<JobRow> {
    const row = await ledger.job(keyOf(jobId));
    if (row === undefined) throw new Error('the ledger does not know it');
    return row;
  }

  /** Lets what is under way go as far as it can. */
  async function rest(): Promise<void> {
    for (let turn = 0; turn < 20; turn += 1) await eventLoopTurn();
  }

  it('ask GitHub about the jobs in their order, and write down what it says', async () => {
    const keys = await jobs(2);
    answer = async (jobId) => fact({ jobId, status: 'in_progress', source: 'read', observedAtMs: clock.now() });
    doubts.ask(runner('one'), keys);
    await rest();
    expect(asked).to.deep.equal([1, 2]);
    expect((await job(2)).status).to.equal('in_progress');
  });

  it('about one runner are asked once in fifteen seconds, then in thirty, up to ten minutes', async () => {
    const [key = ''] = await jobs(1);
    const startMs = clock.now();
    const times: number[] = [];
    for (let second = 0; second < 3_600; second += 1) {
      doubts.ask(runner('one'), [key]);
      await eventLoopTurn();
      if (asked.length > times.length) times.push((clock.now() - startMs) / 1_000);
      clock.move(1_000);
    }
    const pauses = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    expect(pauses.slice(0, 8)).to.deep.equal([15, 30, 60, 120, 240, 480, 600, 600]);
  });

  it('cost a registration twenty GETs a minute, and those beyond come later', async () => {
    const keys = await jobs(25);
    for (const [index, key] of keys.entries()) doubts.ask(runner(`r${index}`), [key]);
    await rest();
    expect(asked).to.have.length(20);
    expect(lines).to.include('doubt-postponed r20').and.not.include('doubt-postponed r19');
    clock.move(MINUTE);
    doubts.ask(runner('r20'), [keys[20] ?? '']);
    await rest();
    expect(asked).to.have.length(21);
  });

  it('of one tenant are read four at a time, and the fifth when one of them has ended', async () => {
    const keys = await jobs(6);
    const ends: (() => void)[] = [];
    answer = () => new Promise((resolve) => ends.push(() => resolve(undefined)));
    for (const [index, key] of keys.entries()) doubts.ask(runner(`r${index}`), [key]);
    await rest();
    expect(asked).to.have.length(4);
    ends[0]?.();
    await rest();
    expect(asked).to.have.length(5);
    working = false;
    for (const end of ends) end();
    await rest();
    expect(asked, 'the engine stops').to.have.length(5);
  });

  it('about a job that GitHub does not know end in `not ours`, with the reason', async () => {
    await jobs(1);
    doubts.confirm({ key: keyOf(1), registration: 'acme' });
    doubts.confirm({ key: keyOf(1), registration: null });
    await rest();
    expect(await job(1)).to.include({ admission: 'not-ours', reasonCode: 'unconfirmed' });
    expect(asked).to.deep.equal([1]);
  });

  it('leave a job that only a runner was doubted for as it is', async () => {
    const keys = await jobs(1);
    doubts.ask(runner('one'), keys);
    await rest();
    expect((await job(1)).admission).to.equal('pending');
  });

  it('are logged once when GitHub does not answer, and when it does again; the jobs behind wait', async () => {
    const keys = await jobs(2);
    answer = async () => {
      throw new GithubError('transient', 'GET job', 'not done within 30 s');
    };
    doubts.ask(runner('one'), keys);
    await rest();
    clock.move(15_000);
    doubts.ask(runner('one'), keys);
    await rest();
    expect(asked).to.deep.equal([1, 1]);
    answer = async () => undefined;
    clock.move(30_000);
    doubts.ask(runner('one'), keys);
    await rest();
    expect(asked).to.deep.equal([1, 1, 1, 2]);
    expect(lines).to.deep.equal(['job-not-read transient', 'job-not-read-over Acme/web']);
  });

  it('are not asked at a GitHub host that the job is not on', async () => {
    await ledger.recordFacts([fact({ jobId: 1, host: 'ghes.example' })]);
    doubts.ask(runner('one'), [keyOf(1), 'ghes.example/acme/web/1', 'github.com/acme/web/77']);
    await rest();
    expect(asked).to.deep.equal([]);
  });
});
