import { expect } from 'chai';
import { type EngineFixture, MINUTE, openEngineFixture, registration, told } from './engine-fixture.ts';

const SECOND = 1000;

describe('a look at a runner', () => {
  let fixture: EngineFixture;
  afterEach(() => fixture.close());

  async function open(): Promise<void> {
    fixture = await openEngineFixture({ registrations: [registration('acme')] });
    await fixture.engine.start();
    await fixture.advance(SECOND);
  }

  /** The name of the runner that the job got. */
  async function queue(jobId: number): Promise<string> {
    const before = new Set(fixture.instances.keys());
    const job = told(fixture, { jobId, labels: ['acme-runner', `sid-${jobId}`] });
    fixture.jobs.set(`github.com/acme/web/${jobId}`, job);
    await fixture.tell(job);
    await fixture.advance(SECOND);
    const name = [...fixture.instances.keys()].find((one) => !before.has(one));
    if (name === undefined) throw new Error(`no runner for job ${jobId}`);
    return name;
  }

  function atGithub(name: string, is: { readonly online?: boolean; readonly busy?: boolean }): void {
    const runner = fixture.runners.get(name);
    if (runner === undefined) throw new Error(`GitHub does not know ${name}`);
    Object.assign(runner, is);
  }

  const state = async (name: string) => (await fixture.ledger.runner(name))?.state;

  it('that starts uses a list of runners that is at most a few seconds old', async () => {
    await open();
    const name = await queue(1);
    // Until a list has it, GitHub is asked for it alone.
    await fixture.advance(90 * SECOND);
    expect(await state(name)).to.equal('starting');
    for (let listings = fixture.listings(); listings === fixture.listings(); ) await fixture.advance(100);
    atGithub(name, { online: true });
    await fixture.advance(15 * SECOND);
    expect(await state(name)).to.equal('online');
  });

  it('whose time is over asks GitHub anew: a list from before its job began would end it', async () => {
    await open();
    const name = await queue(1);
    atGithub(name, { online: true });
    await fixture.advance(20 * SECOND);
    const { deadlineAtMs } = (await fixture.ledger.runner(name)) ?? {};
    if (deadlineAtMs === undefined || deadlineAtMs === null) throw new Error('an idle runner without a deadline');
    // The looks at another one keep the list fresh.
    await fixture.advance(deadlineAtMs - fixture.clock.now() - 10 * SECOND);
    await queue(2);
    await fixture.advance(deadlineAtMs - fixture.clock.now() - SECOND);
    const listings = fixture.listings();
    atGithub(name, { busy: true });
    await fixture.advance(2 * SECOND);
    expect(fixture.listings(), 'a list of its own').to.be.greaterThan(listings);
    expect(await state(name)).to.equal('busy');
    await fixture.advance(MINUTE);
    expect(fixture.calls).to.not.include(`delete ${name}`).and.not.include(`stop ${name}`);
  });
});
