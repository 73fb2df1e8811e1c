/** A tenant whose own backends take calls and answer none: what they keep waiting is its own alone. */
import { expect } from 'chai';
import { jobKey } from '../../dispatcher/jobs/facts.ts';
import { ProviderError } from '../../providers/provider.ts';
import { grantOf } from '../registration-fixture.ts';
import { type EngineFixture, MINUTE, openEngineFixture, registration, told } from './engine-fixture.ts';

const SECOND = 1000;
const victim = registration('acme', { grant: grantOf('acme') });
const names = ['evil-1', 'evil-2', 'evil-3', 'evil-4', 'evil-5', 'evil-6'];
const evil = names.map((name) =>
  registration(name, {
    claim: { kind: 'organization', organization: name },
    grant: grantOf('evil', { owners: names, labels: ['evil-*'] }),
    policy: { ...victim.policy, backends: ['*'] },
    backends: ['a', 'b', 'c'].map((backend) => ({
      ...{ name: `evil-${backend}`, kind: 'simulated', region: undefined, options: {}, maxRunners: 50 },
    })),
  }),
);

describe('a tenant whose backends answer nothing', () => {
  let fixture: EngineFixture;
  let hung: readonly ('launch' | 'look')[] = [];

  afterEach(() => fixture.close());

  async function hangs(call: 'launch' | 'look', backend: string): Promise<void> {
    if (!hung.includes(call) || !backend.startsWith('evil')) return;
    // As dispatcher/backends/contained-provider.ts ends what does not answer.
    await new Promise<void>((resolve) => void fixture.clock.after(30 * SECOND, resolve));
    throw new ProviderError('transient', call, 'not done within 30 s');
  }

  async function open(): Promise<void> {
    fixture = await openEngineFixture({
      registrations: [victim, ...evil],
      maxRunners: 1000,
      provider: (backend, honest) => ({
        async launch(...request) {
          await hangs('launch', backend);
          return await honest.launch(...request);
        },
        async inspect(...request) {
          await hangs('look', backend);
          return await honest.inspect(...request);
        },
      }),
    });
    await fixture.engine.start();
    await fixture.advance(SECOND);
    await fixture.tell(
      ...names.flatMap((owner, index) =>
        Array.from({ length: 60 }, (_, id) =>
          told(fixture, { owner, jobId: 1000 * index + id + 1, labels: [`${owner}-runner`], toldBy: owner }),
        ),
      ),
    );
    await fixture.advance(2 * SECOND);
    expect((await fixture.ledger.runners({ registrations: names }, 'reject')).length).to.be.at.least(20);
  }

  async function demand(jobId: number): Promise<void> {
    const fact = told(fixture, { owner: 'acme', jobId });
    fixture.jobs.set(jobKey(fact), fact);
    await fixture.tell(fact);
  }

  const own = async () => await fixture.ledger.runners({ registrations: ['acme'] }, 'reject');

  it('keeps no launch of another waiting for more than a few seconds, again and again', async () => {
    hung = ['launch'];
    await open();
    for (let round = 1; round <= 4; round += 1) {
      await demand(90_000 + round);
      await fixture.advance(6 * SECOND);
      expect((await own()).length, `round ${round}`).to.equal(round);
    }
  });

  it('keeps no runner of another from being looked at, however many of its own are due', async () => {
    hung = [];
    await open();
    await fixture.advance(MINUTE);
    hung = ['look'];
    await fixture.advance(MINUTE);
    for (let round = 1; round <= 4; round += 1) {
      await demand(90_000 + round);
      await fixture.advance(SECOND);
      const runner = (await own()).find(({ state }) => state === 'starting');
      const listed = fixture.runners.get(runner?.name ?? '');
      if (listed !== undefined) listed.online = true;
      await fixture.advance(15 * SECOND);
      expect((await fixture.ledger.runner(runner?.name ?? ''))?.state, `round ${round}`).to.equal('online');
    }
  });
});
