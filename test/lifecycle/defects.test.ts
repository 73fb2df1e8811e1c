// J12
import { expect } from 'chai';
import type { Provider } from '../../providers/provider.ts';
import { honestProvider, openSmallFixture, type SmallFixture } from './small-fixture.ts';

const MINUTE = 60_000;

describe('an adapter with a defect', () => {
  let fixture: SmallFixture;
  afterEach(() => fixture.close());

  async function start(providers: Readonly<Record<string, Provider>>): Promise<void> {
    fixture = await openSmallFixture(providers);
    await fixture.engine.start();
    await fixture.clock.advance(1_000);
  }

  /** Of each kind of defect of a launch; the first backend has it, the second one is well. */
  const defects: Readonly<Record<string, Partial<Provider>>> = {
    'throws a TypeError in launch': {
      launch: () => Promise.reject(new TypeError("Cannot read properties of undefined (reading 'id')")),
    },
    'throws at once, without a promise': {
      launch: () => {
        throw new TypeError('this.#client is undefined');
      },
    },
    'answers undefined from launch': { launch: () => Promise.resolve(JSON.parse('{"ref":{}}')) },
    'throws in fit': {
      fit: () => {
        throw new RangeError('Invalid array length');
      },
    },
    'never answers a launch': { launch: () => new Promise(() => {}) },
  };

  for (const [what, defect] of Object.entries(defects)) {
    it(`that ${what} leaves no runner in creating: the job goes to the next backend`, async () => {
      await start({ broken: honestProvider(defect), well: honestProvider() });
      await fixture.queueJob(1);
      await fixture.clock.advance(8 * MINUTE);
      const runners = await fixture.ledger.runners({ limit: 100 }, 'reject');
      expect(runners.filter(({ state }) => state === 'creating')).to.deep.equal([]);
      const served = runners.filter(({ backend, instanceId }) => backend === 'well' && instanceId !== null);
      expect(served.map(({ state }) => state)).to.deep.equal(['starting']);
    });
  }

  it('is logged once with its cause, not at each try', async () => {
    await start({ broken: honestProvider({ launch: () => Promise.reject(new TypeError('x is not a function')) }) });
    await fixture.queueJob(1);
    await fixture.clock.advance(30 * MINUTE);
    const told = fixture.log.filter(({ event }) => event === 'provider-defect');
    expect(told.map(({ fields }) => [fields['backend'], fields['operation'], fields['message']])).to.deep.equal([
      ['acme/broken', 'broken launch', 'TypeError: x is not a function'],
    ]);
    expect(told[0]?.fields['stack']).to.match(/defects\.test\.ts/);
    expect(fixture.log.filter(({ event }) => event === 'launch-broken')).to.deep.equal([]);
  });
});

describe('a backend that takes a container and has no stock for it', () => {
  it('counts as full after its patience, and the next backend gets the job', async () => {
    const waiting = honestProvider({
      inspect: async ({ name }) => ({
        ref: { name, id: `id-${name}` },
        state: 'pending',
        reason: { kind: 'no-stock', message: 'zone full' },
      }),
    });
    const fixture = await openSmallFixture({ full: waiting, well: honestProvider() });
    try {
      await fixture.engine.start();
      await fixture.clock.advance(1_000);
      await fixture.queueJob(1);
      await fixture.clock.advance(4 * MINUTE);
      const runners = await fixture.ledger.runners({ limit: 100 }, 'reject');
      expect(runners.filter(({ backend, state }) => backend === 'well' && state === 'starting')).to.have.length(1);
      const breakers = await fixture.ledger.breakers();
      expect(
        breakers.map(({ backend, rule, failure }) => [backend, rule, failure.kind, failure.message]),
      ).to.deep.equal([['full', 'capacity', 'no-stock', 'no stock for 120 s: zone full']]);
    } finally {
      await fixture.close();
    }
  });
});
