import { expect } from 'chai';
import type { JobFact } from '../../dispatcher/jobs/facts.ts';
import { keyOf } from '../ledger/examples.ts';
import { type EngineFixture, MINUTE, openEngineFixture, registration, told } from './engine-fixture.ts';

const SECOND = 1000;

/** Facts that arrive after the runner is gone, in this order. */
const ORDERS: readonly (readonly JobFact['status'][])[] = [
  [],
  ['queued'],
  ['in_progress'],
  ['completed'],
  ['in_progress', 'completed'],
  ['completed', 'in_progress'],
  ['queued', 'completed'],
  ['completed', 'queued'],
  ['in_progress', 'queued'],
  ['queued', 'in_progress', 'completed'],
];

describe('a job that ran unseen on a runner that is gone', () => {
  let fixture: EngineFixture;
  afterEach(() => fixture.close());

  const launches = () => fixture.calls.filter((call) => call.startsWith('launch '));

  async function open(): Promise<string> {
    fixture = await openEngineFixture({ registrations: [registration('acme')] });
    await fixture.engine.start();
    const job = told(fixture, { jobId: 1 });
    fixture.jobs.set(keyOf(1), job);
    await fixture.tell(job);
    await fixture.advance(SECOND);
    const [name] = fixture.instances.keys();
    if (name === undefined) throw new Error('no runner');
    return name;
  }

  /** GitHub gave it the job, and the container ended with it. */
  function run(name: string, jobId: number): JobFact {
    const runnerId = fixture.runners.get(name)?.id ?? 0;
    const ended = told(fixture, { jobId, status: 'completed', conclusion: 'success', runnerName: name, runnerId });
    fixture.jobs.set(keyOf(jobId), ended);
    fixture.runners.delete(name);
    const instance = fixture.instances.get(name);
    if (instance === undefined) throw new Error('no container');
    const reason = { kind: 'exited', message: 'exited with 0', exitCode: 0 } as const;
    fixture.instances.set(name, { ...instance, state: 'succeeded', reason });
    return ended;
  }

  /** Webhooks, one after the other, long after. */
  async function tellLate(ended: JobFact, order: readonly JobFact['status'][]): Promise<void> {
    for (const status of order) {
      const conclusion = status === 'completed' ? 'success' : null;
      const runner = status === 'queued' ? { runnerName: null, runnerId: null } : {};
      await fixture.tell({ ...ended, ...runner, status, conclusion, observedAtMs: fixture.clock.now() - 1 });
      await fixture.advance(2 * SECOND);
    }
  }

  for (const order of ORDERS) {
    const words = order.length === 0 ? 'nothing is told of it' : `a webhook calls it ${order.join(', then ')}`;

    it(`costs no second runner where ${words}`, async () => {
      const ended = run(await open(), 1);
      await fixture.advance(10 * MINUTE);
      expect((await fixture.ledger.runners({}, 'reject')).map(({ state }) => state)).to.deep.equal(['gone']);
      await tellLate(ended, order);
      await fixture.advance(30 * MINUTE);
      expect(launches()).to.have.length(1);
      expect(await fixture.ledger.job(keyOf(1))).to.include({ status: 'completed' });
    });

    // One that is first heard of as queued looks like any other that waits.
    if (order.length === 0 || order[0] === 'queued') continue;
    it(`is read to its end where another was expected on it, and ${words}`, async () => {
      const ended = run(await open(), 2);
      fixture.jobs.set(keyOf(1), told(fixture, { jobId: 1, status: 'completed', conclusion: 'cancelled' }));
      await fixture.advance(10 * MINUTE);
      await tellLate(ended, order);
      await fixture.advance(30 * MINUTE);
      expect(launches()).to.have.length(1);
      expect(await fixture.ledger.job(keyOf(2))).to.include({ status: 'completed' });
      expect(await fixture.ledger.runner(ended.runnerName ?? ''), 'it stays as it ended').to.include({ jobKey: null });
    });
  }
});
