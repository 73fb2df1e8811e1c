import { expect } from 'chai';
import { GithubError } from '../../dispatcher/github/github.ts';
import type { LaneSpec } from '../../dispatcher/jobs/lane.ts';
import type { LaneCounts, Ledger } from '../../dispatcher/ledger/ledger.ts';
import type { Backend } from '../../dispatcher/model/registration.ts';
import { failure } from '../failures/examples.ts';
import { registration } from '../registration-fixture.ts';
import { type EngineParts, laneOf, openEngineParts, type PartsOptions } from './engine-parts.ts';

type Live = Awaited<ReturnType<Ledger['liveCounts']>>[number];

function backend(name: string, maxRunners: number, weight?: number): Backend {
  const plain = { name, kind: 'docker', region: undefined, options: {}, maxRunners };
  return weight === undefined ? plain : { ...plain, weight };
}

describe('permits', () => {
  let parts: EngineParts;
  let counts: Map<string, LaneCounts>;
  let live: Live[];
  let counted: number;

  async function open(options: PartsOptions = {}): Promise<void> {
    counts = new Map();
    live = [];
    counted = 0;
    parts = await openEngineParts({
      ...options,
      through: () => ({
        laneCounts: async (keys) => keys.flatMap((key) => counts.get(key) ?? []),
        liveCounts: async () => {
          counted += 1;
          return live;
        },
      }),
    });
  }
  afterEach(() => parts.close());

  async function need(demand: number, ...lanes: readonly LaneSpec[]): Promise<void> {
    for (const lane of lanes) {
      const none = { held: 0, oldestQueuedSinceMs: null, creating: 0, starting: 0, online: 0, outdated: 0 };
      counts.set(lane.key, { lane, demand, ...none });
      parts.board.mark(lane.key);
    }
    await parts.board.refresh(parts.clock.now());
  }

  const running = (name: string, count: number, draining = 0, registrationName = 'acme'): void =>
    void live.push({ registration: registrationName, backend: name, count, draining, parked: 0 });

  /** `LANE on BACKEND, BACKEND` for each permit. */
  async function granted(blocked: ReadonlySet<string> = new Set()): Promise<readonly string[]> {
    return (await parts.permits.grant(blocked)).map(({ lane, backends }) => `${lane.key} on ${backends.join(', ')}`);
  }

  const lane = (key: string, some: Partial<LaneSpec> = {}) => laneOf({ key, labels: [key], ...some });

  it('count nothing where no lane needs a runner', async () => {
    await open();
    expect(await granted()).to.deep.equal([]);
    expect(counted).to.equal(0);
  });

  it('are as many as the lane needs', async () => {
    await open();
    await need(3, lane('x'));
    expect(await granted()).to.deep.equal(['x on main', 'x on main', 'x on main']);
  });

  describe('end', () => {
    it('at the cap of the registration, which counts its live runners', async () => {
      await open({ registrations: [registration({ maxRunners: 4, backends: [backend('main', 10)] })] });
      running('main', 2);
      running('gone', 1);
      running('main', 3, 0, 'emca');
      await need(3, lane('x'));
      expect(await granted()).to.have.length(1);
      running('main', 1);
      expect(await granted()).to.have.length(0);
    });

    it('at a cap of one with the first', async () => {
      await open({ registrations: [registration({ maxRunners: 1, backends: [backend('main', 1)] })] });
      await need(2, lane('x'));
      expect(await granted()).to.have.length(1);
    });

    it('at the cap of the backend', async () => {
      await open({ registrations: [registration({ backends: [backend('one', 3), backend('two', 1)] })] });
      running('one', 2);
      await need(3, lane('x', { backends: ['one', 'two'] }));
      expect(await granted()).to.deep.equal(['x on one, two', 'x on two']);
    });

    it('at the cap of the dispatcher', async () => {
      await open({ maxRunners: 5 });
      running('main', 1);
      running('main', 2, 0, 'emca');
      await need(9, lane('x'));
      expect(await granted()).to.have.length(2);
      running('main', 2);
      expect(await granted()).to.deep.equal([]);
    });

    it('at the launches that may be under way, of all and of one tenant', async () => {
      await open({ maxLaunches: 3, registrations: [registration(), registration({ name: 'emca' })] });
      await need(9, lane('x'));
      parts.places.take('r1', 'acme');
      parts.places.take('r2', 'emca');
      expect(await granted()).to.have.length(1);
      await parts.clock.advance(5_000);
      expect(await granted(), 'a slow launch counts for its tenant alone').to.have.length(2);
    });

    it('at the launches that a backend takes at once', async () => {
      await open({ maxLaunches: 3 });
      await need(9, lane('x'));
      parts.backends.beginLaunch('acme', 'main');
      expect(await granted()).to.have.length(2);
    });

    it('where the backend has more launches under way than it takes', async () => {
      await open({
        maxLaunches: 1,
        registrations: [registration({ backends: [backend('one', 9), backend('two', 9)] })],
      });
      parts.backends.beginLaunch('acme', 'one');
      parts.backends.beginLaunch('acme', 'one');
      await need(1, lane('x', { backends: ['one', 'two'] }));
      expect(await granted()).to.deep.equal(['x on two']);
    });

    it('at a thousand lanes of one registration in a pass', async () => {
      await open({
        ...{ maxRunners: 2_000, maxLaunches: 2_000 },
        registrations: [registration({ maxRunners: 2_000, backends: [backend('main', 2_000)] })],
      });
      await need(1, ...Array.from({ length: 1_001 }, (_, index) => lane(`x${index}`)));
      expect(await granted()).to.have.length(1_000);
    });
  });

  it('pass over lanes that wait for something of their own, and those whose backends have no room', async () => {
    await open({ registrations: [registration({ backends: [backend('one', 1), backend('two', 1)] })] });
    running('one', 1);
    await need(1, lane('x', { backends: ['two'] }), lane('y', { backends: ['one'] }), lane('z', { backends: ['two'] }));
    expect(await granted(new Set(['x']))).to.deep.equal(['z on two']);
  });

  it('go on behind lanes whose backends have no room, however much these need', async () => {
    await open({ registrations: [registration({ maxRunners: 3, backends: [backend('one', 1), backend('two', 9)] })] });
    running('one', 1);
    await need(5, lane('y', { backends: ['one'] }), lane('z', { backends: ['one', 'two'] }));
    expect(await granted()).to.deep.equal(['z on two', 'z on two']);
  });

  it('are given to tenants in turn, the one that was served last at the end', async () => {
    await open({ maxRunners: 1, registrations: [registration(), registration({ name: 'emca' })] });
    await need(2, lane('a'), lane('e', { registration: 'emca' }));
    for (const turn of ['a', 'e', 'a', 'e']) expect(await granted()).to.deep.equal([`${turn} on main`]);
  });

  it('name no backend that is closed', async () => {
    await open({ registrations: [registration({ backends: [backend('one', 9), backend('two', 9)] })] });
    const shape = lane('x', { backends: ['one', 'two'] });
    const at = { registration: 'acme', backend: 'one', specHash: shape.specHash, runner: 'r1' };
    await parts.backends.recordFailure(at, failure({ kind: 'unfit', message: 'too large' }));
    await need(1, shape);
    expect(await granted()).to.deep.equal(['x on two']);
  });

  it('draw the first backend by weight where there are weights', async () => {
    await open({
      registrations: [registration({ backends: [backend('one', 99, 1), backend('two', 99, 1_000_000)] })],
    });
    await need(1, lane('x', { backends: ['one', 'two'] }));
    expect(await granted()).to.deep.equal(['x on two, one']);
  });

  it('are none for a registration that is not configured', async () => {
    await open();
    await need(1, lane('x', { registration: 'gone' }));
    expect(await granted()).to.deep.equal([]);
  });

  describe('while GitHub refuses registrations', () => {
    const outage = new GithubError('transient', 'POST jitconfig', 'unavailable', { status: 503 });

    it('are none, and one when the wait is over, for all lanes that it keeps', async () => {
      await open();
      await need(3, lane('x'), lane('y'));
      parts.holds.recordRefusal(lane('x'), outage);
      expect(await granted()).to.deep.equal([]);
      await parts.clock.advance(60_000);
      expect(await granted()).to.deep.equal(['x on main']);
      expect((await parts.permits.obstacles(lane('x'))).github).to.equal(undefined);
    });

    it('are one where a lane on trial waits for more than that, whatever else is in its way', async () => {
      await open();
      await need(1, lane('x'), lane('y'));
      parts.holds.recordRefusal(lane('y'), new GithubError('invalid', 'POST jitconfig', 'no such label'));
      parts.holds.recordRefusal(lane('x'), outage);
      await parts.clock.advance(10 * 60_000);
      expect(await granted()).to.deep.equal(['x on main']);
    });

    it('leave the room that a lane on trial does not need to the lanes behind it', async () => {
      await open({ registrations: [registration({ maxRunners: 3 })] });
      await need(5, lane('x'));
      await need(2, lane('y'));
      parts.holds.recordRefusal(lane('x'), new GithubError('invalid', 'POST jitconfig', 'no such label'));
      await parts.clock.advance(10 * 60_000);
      expect(await granted()).to.have.members(['x on main', 'y on main', 'y on main']);
    });

    it('are as many as ever for another registration', async () => {
      await open({ registrations: [registration(), registration({ name: 'emca' })] });
      await need(2, lane('x'), lane('e', { registration: 'emca' }));
      parts.holds.recordRefusal(lane('x'), outage);
      expect(await granted()).to.deep.equal(['e on main', 'e on main']);
      const { closed, github } = await parts.permits.obstacles(lane('x'));
      expect(github).to.include('answers 503');
      expect(closed).to.equal(undefined);
    });
  });

  describe('whose backend has changed by the time of the launch', () => {
    const place = (chosen: readonly string[], reserved: string, taken: Readonly<Record<string, number>> = {}) =>
      parts.permits.withPlace('acme', chosen, reserved, new Map(Object.entries(taken)));

    beforeEach(async () => {
      await open({ registrations: [registration({ backends: [backend('one', 2), backend('two', 2)] })] });
    });

    it('keep the place that is reserved for them, without another look', async () => {
      expect(await place(['one', 'two'], 'one', { one: 9 })).to.deep.equal(['one', 'two']);
      expect(counted).to.equal(0);
    });

    it('take the first with a place, what runs there and what the pass has taken counted', async () => {
      running('one', 1);
      expect(await place(['one', 'two'], 'zero', { one: 0 })).to.deep.equal(['one', 'two']);
      expect(await place(['one', 'two'], 'zero', { one: 1 })).to.deep.equal(['two']);
      expect(await place(['one', 'two'], 'zero', { one: 1, two: 2 })).to.deep.equal([]);
      expect(await place(['two'], 'zero', { two: 1 })).to.deep.equal(['two']);
      expect(await place([], 'zero')).to.deep.equal([]);
      expect(await place(['unknown'], 'zero')).to.deep.equal([]);
    });

    it('trust no reservation any more in that pass, because one of them has taken another’s', async () => {
      running('two', 1);
      expect(await place(['two'], 'one')).to.deep.equal(['two']);
      expect(await place(['two'], 'two', { two: 1 })).to.deep.equal([]);
      await parts.permits.grant(new Set());
      expect(await place(['two'], 'two', { two: 1 }), 'in the next pass').to.deep.equal(['two']);
    });
  });

  describe('that are not given', () => {
    it('have their obstacles told as they are now', async () => {
      await open({
        ...{ maxRunners: 50, maxLaunches: 2 },
        registrations: [registration({ maxRunners: 7, backends: [backend('one', 3), backend('two', 4)] })],
      });
      running('one', 2, 1);
      running('one', 1, 1);
      running('two', 5, 2, 'emca');
      parts.backends.beginLaunch('acme', 'two');
      parts.backends.beginLaunch('acme', 'two');
      parts.places.take('r1', 'acme');
      const shown = await parts.permits.obstacles(lane('x', { backends: ['one', 'two'] }));
      expect(shown).to.deep.equal({
        configured: true,
        github: undefined,
        closed: undefined,
        registration: { count: 3, draining: 2, max: 7 },
        dispatcher: { count: 8, draining: 4, max: 50 },
        backends: [
          { name: 'one', count: 3, draining: 2, max: 3, launching: false },
          { name: 'two', count: 0, draining: 0, max: 4, launching: true },
        ],
        launches: { count: 1, max: 2 },
      });
      await parts.clock.advance(5_000);
      expect((await parts.permits.obstacles(lane('x'))).launches, 'slow').to.deep.equal({ count: 1, max: 2 });
    });

    it('say why the backends are closed where all of them are', async () => {
      await open();
      const shape = lane('x');
      const at = { registration: 'acme', backend: 'main', specHash: shape.specHash, runner: 'r1' };
      await parts.backends.recordFailure(at, failure({ kind: 'unfit', message: 'too large' }));
      const { backends, closed } = await parts.permits.obstacles(shape);
      expect(backends).to.deep.equal([]);
      expect(closed?.map(({ reason }) => reason)).to.deep.equal(['too large']);
    });

    it('say that the registration is not configured', async () => {
      await open();
      const { configured, registration: own } = await parts.permits.obstacles(lane('x', { registration: 'gone' }));
      expect(configured).to.equal(false);
      expect(own).to.deep.equal({ count: 0, draining: 0, max: 0 });
    });
  });
});
