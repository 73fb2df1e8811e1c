import { expect } from 'chai';
import { openPostgresLedger } from '../../dispatcher/ledger/postgres/store.ts';
import { delivery, fact, keyOf, lane, runner } from './examples.ts';
import { PgBouncer, pgbouncerProblem } from './pgbouncer.ts';
import { PostgresPlaces } from './postgres-place.ts';
import { postgresProblem } from './postgres-server.ts';

const problem = postgresProblem() ?? pgbouncerProblem();

describe(`the ledger on PostgreSQL behind PgBouncer${problem === undefined ? '' : ` (${problem})`}`, () => {
  const places = new PostgresPlaces();
  let bouncer: PgBouncer | undefined;
  before(async function () {
    if (problem !== undefined) this.skip();
    await places.start();
    bouncer = new PgBouncer(places.server);
    await bouncer.start(2);
  });
  after(async () => {
    await bouncer?.stop();
    await places.stop();
  });

  it('needs nothing of a session: each transaction may have another one, and other programs use them too', async () => {
    const address = bouncer?.address(await places.server.createDatabase());
    if (address === undefined) throw new Error('it runs while tests do');
    const options = { address, now: () => 50_000, mostConnections: 8 };
    const one = await openPostgresLedger({ ...options, schema: 'one' });
    const two = await openPostgresLedger({ ...options, schema: 'two' });
    const use = async (ledger: typeof one, jobId: number) => {
      await ledger.recordDeliveries([{ delivery: delivery(`guid-${jobId}`), fact: fact({ jobId }) }]);
      const job = await ledger.job(keyOf(jobId));
      if (job === undefined) throw new Error('it was recorded');
      const admission = { registration: 'acme', lane: lane(), reasonCode: null, reason: null, cure: null };
      await ledger.settleJobs([{ key: job.key, version: job.version, admission: { state: 'lane', ...admission } }]);
      await ledger.createRunner(runner({ name: `d-${jobId}`, forJobKey: job.key }), 'launch');
      await ledger.stepRunner(`d-${jobId}`, () => ({ patch: { forced: true }, entries: [], launch: 'called' }));
      await ledger.laneCounts([lane().key], 'reject');
    };
    try {
      const ids = Array.from({ length: 30 }, (_, index) => index + 1);
      await Promise.all([one, two].flatMap((ledger) => ids.map((jobId) => use(ledger, jobId))));
      for (const ledger of [one, two]) {
        const jobs = await ledger.jobs({}, 'reject');
        expect(jobs.map(({ launches, planned }) => launches + planned)).to.deep.equal(ids.map(() => 2));
        const [counts] = await ledger.laneCounts([lane().key], 'reject');
        expect(counts).to.include({ demand: 30, creating: 30 });
        await ledger.persist();
        await ledger.verifyStorage();
      }
    } finally {
      await one.close();
      await two.close();
    }
  });
});
