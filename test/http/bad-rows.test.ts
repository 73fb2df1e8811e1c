import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { expect } from 'chai';
import { z } from 'zod';
import { runDetailSchema } from '../../dispatcher/http/admin-shapes.ts';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import { acmeLane, type Fixture, fact, NOW, openFixture, runner } from './admin-fixture.ts';

const problemSchema = z.object({ error: z.string(), cure: z.string() });

describe('the admin API, asked for what has a row that cannot be read', () => {
  let folder: string;
  let fixture: Fixture;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'admin-rows-'));
    const path = join(folder, 'ledger.db');
    const whole = await openSqliteLedger({ path, now: () => NOW });
    await whole.recordFacts([
      fact(1, 'acme', { runId: 7 }),
      fact(2, 'acme', { runId: 7 }),
      fact(3, 'acme', { runId: 8 }),
    ]);
    await whole.createRunner(runner('shr-bad', acmeLane), 'launch');
    await whole.close();
    const database = new Sqlite(path);
    database.exec("update jobs set labels = '{' where jobId in (2, 3); update runners set labels = '{'");
    database.close();
    const ledger = await openSqliteLedger({ path, now: () => NOW });
    fixture = await openFixture({ ledger, forgetRunner: (name) => ledger.runner(name) });
    const { close } = fixture;
    fixture = { ...fixture, close: () => close().then(() => ledger.close()) };
  });
  after(async () => {
    await fixture.close();
    await rm(folder, { recursive: true });
  });

  for (const [path, method, named] of [
    ['/api/jobs/github.com/2', 'GET', 'github.com/acme/web/2 (column labels'],
    ['/api/jobs/github.com/acme/web/2', 'GET', 'job github.com/acme/web/2'],
    ['/api/runs/github.com/acme/web/8', 'GET', 'github.com/acme/web/3 (column labels'],
    ['/api/runners/shr-bad', 'GET', 'runner shr-bad'],
    ['/api/runners/shr-bad/forget', 'POST', 'runner shr-bad'],
  ] as const) {
    it(`names it and says what to do at ${method} ${path}`, async () => {
      const headers = { authorization: 'Bearer correct-horse-battery-staple' };
      const answer = await fixture.ask(path, { method, headers });
      expect(answer.status).to.equal(500);
      const { error, cure } = problemSchema.parse(await answer.json());
      expect(error).to.include(`the ledger cannot read ${named}`);
      expect(cure).to.include('correct or delete the row');
    });
  }

  it('shows the other jobs of a run, and names that one', async () => {
    const answer = await fixture.ask('/api/runs/github.com/acme/web/7');
    expect(answer.status).to.equal(200);
    const { jobs, unreadable } = runDetailSchema.parse(await answer.json());
    expect(jobs.map(({ job }) => job.id)).to.deep.equal([1]);
    expect(unreadable.map(({ key }) => key)).to.deep.equal(['github.com/acme/web/2']);
  });

  it('still says of a job that there never was one', async () => {
    expect((await fixture.ask('/api/jobs/github.com/99')).status).to.equal(404);
  });
});
