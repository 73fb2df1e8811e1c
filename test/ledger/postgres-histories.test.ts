import { describeHistories } from './describe-histories.ts';
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

  describeHistories('PostgreSQL', places.newPlace, 3);
});
