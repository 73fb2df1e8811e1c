import { expect } from 'chai';
import { eventLoopTurn } from '../../dispatcher/clock.ts';
import { GithubError } from '../../dispatcher/github/github.ts';
import type { JobRow, Ledger } from '../../dispatcher/ledger/ledger.ts';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import { Verifier } from '../../dispatcher/lifecycle/verify.ts';
import { clientOf } from '../github/github-fixture.ts';
import { admitted, fact, keyOf } from '../ledger/examples.ts';
import { registration } from '../registration.ts';
import { openFloor } from './floor-fixture.ts';
import { manualClock } from './manual-clock.ts';

describe('the reading of single jobs', () => {
  let clock: ReturnType<typeof manualClock>;
  let ledger: Ledger;
  let asked: number;

  beforeEach(async () => {
    clock = manualClock();
    asked = 0;
    ledger = await openSqliteLedger({ path: ':memory:', now: () => clock.now() });
    await ledger.recordFacts([fact({ jobId: 1 })]);
    await ledger.settleJobs((await ledger.unsettledJobs(1)).map((row) => admitted(row)));
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
    const floor = openFloor(
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
    return new Verifier(floor);
  }

  async function readAll(verifier: Verifier, keys: readonly string[], name: string): Promise<void> {
    for (const key of keys) verifier.ask(key, name);
    for (let turn = 0; turn < 10; turn += 1) {
      await eventLoopTurn();
      await verifier.settled();
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
});
