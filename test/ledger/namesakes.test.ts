import { expect } from 'chai';
import { type JobFact, jobKey } from '../../dispatcher/jobs/facts.ts';
import type { JobRow, Ledger } from '../../dispatcher/ledger/ledger.ts';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import { admitted, fact, notOurs } from './examples.ts';

describe('a job that has the id of an open one in another repository', () => {
  let ledger: Ledger;

  beforeEach(async () => {
    ledger = await openSqliteLedger({ path: ':memory:', now: () => 50_000 });
    await admittedAs('web');
  });

  afterEach(() => ledger.close());

  /** Recorded under that name of its repository, admitted, and read back. */
  async function admittedAs(repository: string, some: Partial<JobFact> = {}, admit = admitted): Promise<JobRow> {
    const told = fact({ jobId: 1, repository, ...some });
    await ledger.recordFacts([told]);
    const row = await known(told);
    await ledger.settleJobs([admit(row)]);
    return await known(told);
  }

  async function known(told: JobFact): Promise<JobRow> {
    const row = await ledger.job(jobKey(told));
    if (row === undefined) throw new Error(`no job ${jobKey(told)}`);
    return row;
  }

  it('is in doubt, as its repository may have been renamed', async () => {
    expect(await admittedAs('site')).to.include({ admission: 'lane', disputed: true });
  });

  it('is not in doubt where GitHub has shown it already', async () => {
    expect(await admittedAs('site', { source: 'read' })).to.include({ admission: 'lane', disputed: false });
  });

  it('is not in doubt where it is over', async () => {
    const over = { status: 'completed', conclusion: 'success' } as const;
    expect(await admittedAs('site', over)).to.include({ admission: 'lane', disputed: false });
  });

  it('is not in doubt where it is not ours', async () => {
    expect(await admittedAs('site', {}, notOurs)).to.include({ admission: 'not-ours', disputed: false });
  });

  it('is not in doubt where it belongs to another registration, or is on another host', async () => {
    const other = (row: Pick<JobRow, 'key' | 'version'>) => {
      const { admission, ...rest } = admitted(row);
      if (admission === undefined) throw new Error('no admission');
      return { ...rest, admission: { ...admission, registration: 'globex' } };
    };
    expect(await admittedAs('site', {}, other)).to.include({ registration: 'globex', disputed: false });
    expect(await admittedAs('site', { host: 'ghe.example' })).to.include({ admission: 'lane', disputed: false });
  });
});
