import { expect } from 'chai';
import type { Ledger, RunnerRow } from '../../dispatcher/ledger/ledger.ts';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import type { EngineOptions, Tenant } from '../../dispatcher/lifecycle/ports.ts';
import { absenceOf, type RunnerContext } from '../../dispatcher/lifecycle/runner-context.ts';
import { clientOf } from '../github/github-fixture.ts';
import { registration } from '../registration-fixture.ts';
import { manualClock } from './manual-clock.ts';
import { openRunnerContext, silent } from './runner-context-fixture.ts';
import { runnerRow } from './runner-fixture.ts';

const MINUTE = 60_000;

describe('what reaches a runner', () => {
  let clock: ReturnType<typeof manualClock>;
  let ledger: Ledger;
  beforeEach(async () => {
    clock = manualClock();
    ledger = await openSqliteLedger({ path: ':memory:', now: () => clock.now() });
  });
  afterEach(() => ledger.close());

  const tenant = (change: Parameters<typeof registration>[0] = {}): Tenant => ({
    registration: registration(change),
    github: clientOf('http://127.0.0.1:9').github,
    provider: () => Promise.reject(new Error('no backend is asked')),
  });

  async function launched(context: RunnerContext): Promise<RunnerRow> {
    const row = runnerRow({ state: 'creating', createdAtMs: clock.now(), stateSinceMs: clock.now() });
    await ledger.createRunner(row, 'a job waits');
    const after = await context.tell(row.name, { kind: 'accepted', backend: 'docker', instanceId: 'i-1' });
    if (after === undefined) throw new Error('the ledger does not know it');
    return after;
  }

  it('has ten minutes to come online, or as long as its registration says', async () => {
    const of = async (options: Partial<EngineOptions>) => {
      const { deadlineAtMs } = await launched(openRunnerContext(ledger, clock, options));
      await ledger.close();
      ledger = await openSqliteLedger({ path: ':memory:', now: () => clock.now() });
      return (deadlineAtMs ?? 0) - clock.now();
    };
    expect(await of({ tenants: new Map() }), 'its registration is gone').to.equal(10 * MINUTE);
    const patient = tenant({ timeouts: { launchMs: 33 * MINUTE, idleMs: MINUTE } });
    expect(await of({ tenants: new Map([['acme', patient]]) })).to.equal(33 * MINUTE);
  });

  it('marks the lane and is logged, and what changes nothing does neither', async () => {
    const lanes: string[] = [];
    const lines: string[] = [];
    const info = (event: string, fields: Readonly<Record<string, unknown>> = {}) =>
      void lines.push(`${event} ${String(fields['runner'])} ${String(fields['state'])}`);
    const log = { ...silent, info };
    const context = openRunnerContext(ledger, clock, { log }, { laneChanged: (lane) => void lanes.push(lane) });
    const { name, laneKey } = await launched(context);
    expect(lines).to.deep.equal([`runner ${name} starting`]);
    expect(lanes).to.deep.equal([laneKey]);
    expect(await context.tell('unknown', { kind: 'stop-sent' })).to.equal(undefined);
    expect(lanes).to.deep.equal([laneKey]);
  });

  it('is measured from the begin of a drain to its end', async () => {
    const torn: string[] = [];
    const nothing = () => undefined;
    const metrics = {
      jobAdmitted: nothing,
      queueToStart: nothing,
      launched: nothing,
      launchFailed: nothing,
      imageStart: nothing,
      tornDown: (name: string, backend: string, ms: number) => void torn.push(`${name} ${backend} ${ms}`),
    };
    const context = openRunnerContext(ledger, clock, { metrics });
    const { name } = await launched(context);
    await context.tell(name, { kind: 'drain', reason: 'surplus' });
    clock.move(MINUTE);
    await context.tell(name, { kind: 'deregistered' });
    expect(torn).to.deep.equal([]);
    await context.tell(name, { kind: 'forget' });
    await context.tell(name, { kind: 'forget' });
    expect((await ledger.runner(name))?.state).to.equal('gone');
    expect(torn).to.deep.equal(['acme docker 60000']);
  });

  it('asks GitHub first about what a stranger says of it', async () => {
    const doubted: string[] = [];
    const context = openRunnerContext(
      ledger,
      clock,
      {},
      { doubted: ({ name }, jobs) => void doubted.push(`${name} ${jobs}`) },
    );
    const { name } = await launched(context);
    const jobKey = 'github.com/acme/web/9';
    await context.tell(name, { kind: 'job-started', jobKey, word: 'stranger', refuted: null });
    expect(doubted).to.deep.equal([`${name} ${jobKey}`]);
    await context.tell(name, { kind: 'job-started', jobKey, word: 'read', refuted: null });
    expect(doubted).to.have.length(1);
  });

  it('tells the registration that is set aside from the one that was removed', () => {
    const tenants = new Map([['acme', tenant()]]);
    const options = { tenants, setAside: (name: string) => name === 'odd' };
    expect(absenceOf(options, 'acme')).to.equal(undefined);
    expect(absenceOf(options, 'odd')).to.equal('set-aside');
    expect(absenceOf(options, 'other')).to.equal('removed');
    expect(absenceOf({ tenants }, 'odd')).to.equal('removed');
  });
});
