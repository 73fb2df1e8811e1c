import { describeAccess } from './describe-access.ts';
import { describeHeldJobs } from './describe-held-jobs.ts';
import { describeLedger } from './describe-ledger.ts';
import { describeObservedJobs } from './describe-observed-jobs.ts';
import { PostgresPlaces } from './postgres-place.ts';
import { postgresProblem } from './postgres-server.ts';

const problem = postgresProblem();

describe(problem === undefined ? 'PostgreSQL' : `PostgreSQL (${problem})`, () => {
  const places = new PostgresPlaces();
  before(async function () {
    if (problem !== undefined) this.skip();
    await places.start();
  });
  after(() => places.stop());

  const open = () =>
    places.openOnce(
      () => 400_000,
      (_one, other) => other === 'mallory',
    );

  describeLedger('PostgreSQL', places.newPlace);
  describeAccess('PostgreSQL', places.newPlace);
  describeObservedJobs('PostgreSQL', open);
  describeHeldJobs(open);
});
