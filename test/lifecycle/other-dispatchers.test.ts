// J15
import { expect } from 'chai';
import { OtherDispatchers } from '../../dispatcher/lifecycle/other-dispatchers.ts';
import { problemsOf } from '../../dispatcher/observability/problems.ts';
import type { Instance } from '../../providers/provider.ts';
import { NOW } from '../http/admin-fixture.ts';
import { VirtualClock } from '../simulation/virtual-clock.ts';
import { type FixtureOptions, honestProvider, openSmallFixture, type SmallFixture } from './small-fixture.ts';

const MINUTE = 60_000;

describe('another dispatcher with our id', () => {
  let clock: VirtualClock;
  let houses: SmallFixture[];

  beforeEach(() => {
    clock = new VirtualClock(NOW);
    houses = [];
  });
  afterEach(async () => {
    for (const fixture of houses) await fixture.close();
  });

  async function open(
    providers: Parameters<typeof openSmallFixture>[0],
    options: FixtureOptions,
  ): Promise<SmallFixture> {
    const fixture = await openSmallFixture(providers, { clock, ...options });
    houses.push(fixture);
    await fixture.engine.start();
    await clock.advance(2_000);
    return fixture;
  }

  const told = (fixture: SmallFixture, event: string) => fixture.log.filter((line) => line.event === event);
  const running = async (fixture: SmallFixture) =>
    (await fixture.ledger.runners({ limit: 100 }, 'reject')).filter(({ state }) => state !== 'gone');

  it('and another ledger raises an alarm, and nothing more is launched where it was seen', async () => {
    const service = honestProvider();
    const first = await open({ main: service }, { incarnation: 'first', seed: 1 });
    const second = await open({ main: service }, { incarnation: 'second', seed: 2 });
    await clock.advance(5 * MINUTE);
    await first.queueJob(1);
    await clock.advance(7 * MINUTE);
    expect(await running(first)).to.have.length(1);

    expect(told(second, 'other-dispatcher').map(({ fields }) => fields['incarnation'])).to.deep.equal(['first']);
    expect(second.engine.otherDispatchers().map(({ incarnation }) => incarnation)).to.deep.equal(['first']);
    await second.queueJob(1);
    await clock.advance(MINUTE);
    expect(await running(second), 'runners of the second').to.deep.equal([]);
    const [job] = await second.ledger.jobs({ limit: 1 }, 'reject');
    expect(await second.engine.laneReason(job?.laneKey ?? '')).to.match(/another dispatcher with our id/);
    // Nor does it take the other's runner down, or for its own.
    expect((await service.list({ dispatcher: 'acme' })).map(({ ref }) => ref.name)).to.deep.equal(
      (await running(first)).map(({ name }) => name),
    );
  });

  it('is over when it has launched nothing for half an hour', async () => {
    const service = honestProvider();
    const first = await open({ main: service }, { incarnation: 'first', seed: 1 });
    const second = await open({ main: service }, { incarnation: 'second', seed: 2 });
    await clock.advance(5 * MINUTE);
    await first.queueJob(1);
    await clock.advance(7 * MINUTE);
    expect(second.engine.otherDispatchers()).to.have.length(1);
    await first.engine.stop(0);
    await second.queueJob(1);
    await clock.advance(40 * MINUTE);
    expect(second.engine.otherDispatchers()).to.deep.equal([]);
    expect(told(second, 'other-dispatcher-over')).to.have.length(1);
    expect(await running(second)).to.not.deep.equal([]);
  });

  it('is not what we were before a restart: our ledger knows our incarnations', async () => {
    const service = honestProvider();
    const first = await open({ main: service }, { incarnation: 'life-1', seed: 1 });
    await first.queueJob(1);
    await clock.advance(MINUTE);
    await first.engine.stop(0);
    // Its clock was ahead: what it launched looks younger than the restart.
    const [instance] = await service.list({ dispatcher: 'acme' });
    if (instance?.tags === undefined) throw new Error('nothing was launched');
    const { tags } = instance;
    const early = honestProvider({
      list: async () => [{ ...instance, tags: { ...tags, createdAtMs: tags.createdAtMs + 10 * MINUTE } }],
    });
    const again = await open({ main: early }, { incarnation: 'life-2', seed: 2, ledger: first.ledger });
    await clock.advance(15 * MINUTE);
    expect(told(again, 'other-dispatcher')).to.deep.equal([]);
  });

  it('is not what ran before our ledger was lost: that is adopted, without an alarm', async () => {
    const service = honestProvider();
    const first = await open({ main: service }, { incarnation: 'life-1', seed: 1 });
    await first.queueJob(1);
    await clock.advance(MINUTE);
    await first.engine.stop(0);
    await clock.advance(2 * MINUTE);
    const again = await open({ main: service }, { incarnation: 'life-2', seed: 2 });
    await clock.advance(MINUTE);
    expect(told(again, 'other-dispatcher')).to.deep.equal([]);
    expect((await running(again)).map(({ specHash }) => specHash)).to.deep.equal(['adopted']);
  });

  it('raises no alarm where an older version launched, without an incarnation in the tags', async () => {
    const others = new OtherDispatchers(memory(), 'us', clock, quiet);
    await others.load();
    await clock.advance(10 * MINUTE);
    others.look(place(true), [instanceOf({ createdAtMs: clock.now() })]);
    expect(others.alarms()).to.deep.equal([]);
  });

  for (const [ownedByPlatform, elsewhere] of [
    [true, 'stops launches everywhere'],
    [false, 'stops launches there alone: a tenant may write what it likes into its own account'],
  ] as const) {
    it(`on a backend of ${ownedByPlatform ? 'the platform' : 'a tenant'} ${elsewhere}`, async () => {
      const others = new OtherDispatchers(memory(), 'us', clock, quiet);
      await others.load();
      await clock.advance(10 * MINUTE);
      others.look(place(ownedByPlatform), [instanceOf({ createdAtMs: clock.now(), incarnation: 'them' })]);
      expect(others.obstacle('acme', 'main')).to.match(/another dispatcher/);
      expect(others.obstacle('acme', 'second') !== undefined).to.equal(ownedByPlatform);
      expect(others.obstacle('other', 'main') !== undefined).to.equal(ownedByPlatform);
    });
  }

  it('is a problem of the registration that saw it: in the API, the readiness and the metrics', async () => {
    const others = new OtherDispatchers(memory(), 'us', clock, quiet);
    await others.load();
    await clock.advance(10 * MINUTE);
    others.look(place(true), [instanceOf({ createdAtMs: clock.now(), incarnation: 'them' })]);
    const problems = problemsOf({
      configuration: [],
      poll: [],
      sweep: [],
      resting: [],
      skew: undefined,
      others: others.alarms(),
    });
    expect(problems.map(({ kind, about }) => [kind, about])).to.deep.equal([['dispatcher', 'main']]);
    expect(problems[0]?.message).to.match(/another dispatcher with our id launched acme-1 on main/);
  });

  it('that launches nothing any more holds no launch back after half an hour, and its alarm ends', async () => {
    const lines: string[] = [];
    const say = (event: string) => void lines.push(event);
    const others = new OtherDispatchers(memory(), 'us', clock, { debug: say, info: say, warn: say, error: say });
    await others.load();
    await clock.advance(10 * MINUTE);
    const seen = [instanceOf({ createdAtMs: clock.now(), incarnation: 'them' })];
    for (let sweep = 0; sweep < 3; sweep += 1) others.look(place(false), seen);
    await clock.advance(30 * MINUTE - 1);
    others.look(place(false), []);
    expect(others.obstacle('acme', 'main')).to.match(/another dispatcher/);
    await clock.advance(1);
    expect(others.obstacle('acme', 'main')).to.equal(undefined);
    others.look(place(false), seen);
    others.look(place(false), []);
    expect(lines).to.deep.equal(['other-dispatcher', 'other-dispatcher-over']);
  });

  it('is reported by its newest instance, not by instances from before this start', async () => {
    const others = new OtherDispatchers(memory(), 'us', clock, quiet);
    await others.load();
    const startMs = clock.now();
    await clock.advance(10 * MINUTE);
    const at = (ms: number, incarnation: string) => instanceOf({ createdAtMs: startMs + ms, incarnation });
    others.look(place(true), [at(MINUTE, 'before')]);
    expect(others.alarms()).to.deep.equal([]);
    others.look(place(true), [at(2 * MINUTE, 'old'), at(5 * MINUTE, 'new'), at(3 * MINUTE, 'old')]);
    expect(others.alarms().map(({ incarnation }) => incarnation)).to.deep.equal(['new']);
  });

  it('whose tags are false is logged once for each instance', () => {
    const lines: string[] = [];
    const say = (_event: string, fields?: Readonly<Record<string, unknown>>) =>
      void lines.push(`${String(fields?.['backend'])} ${String(fields?.['instance'])}`);
    const others = new OtherDispatchers(memory(), 'us', clock, { ...quiet, warn: say });
    for (let sweep = 0; sweep < 3; sweep += 1) {
      for (const id of ['i-1', 'i-2']) others.doubt(place(false), { name: 'acme-1', id }, 'why');
    }
    others.doubt({ ...place(false), backend: 'second' }, { name: 'acme-1', id: 'i-1' }, 'why');
    expect(lines).to.deep.equal(['main i-1', 'main i-2', 'second i-1']);
  });

  it('that lists new false instances each time does not fill the log, nor hide other backends', () => {
    const lines: unknown[] = [];
    const say = (_event: string, fields?: Readonly<Record<string, unknown>>) =>
      void lines.push(fields?.['instance'] ?? fields?.['reason']);
    const others = new OtherDispatchers(memory(), 'us', clock, { ...quiet, warn: say });
    for (let id = 1; id <= 1000; id += 1) others.doubt(place(false), { name: 'acme-1', id: `i-${id}` }, 'why');
    others.doubt({ ...place(false), backend: 'second' }, { name: 'acme-1', id: 'i-1' }, 'why');
    expect(lines.slice(98)).to.deep.equal([
      'i-99',
      'i-100',
      'more than 100 instances so far: no more of them are told of',
      'i-1',
    ]);
  });

  it('is not one of our own hundred starts before, as the ledger remembers them', async () => {
    const ledger = memory();
    for (let start = 0; start <= 100; start += 1)
      await new OtherDispatchers(ledger, `life-${start}`, clock, quiet).load();
    const others = new OtherDispatchers(ledger, 'life-100', clock, quiet);
    await others.load();
    await clock.advance(10 * MINUTE);
    const isTheirs = (incarnation: string) => {
      const { tags } = instanceOf({ createdAtMs: clock.now(), incarnation });
      return tags !== undefined && others.isTheirs(tags);
    };
    expect([0, 1, 99, 100].map((start) => isTheirs(`life-${start}`))).to.deep.equal([true, false, false, false]);
  });

  const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const place = (ownedByPlatform: boolean) => ({ registration: 'acme', backend: 'main', ownedByPlatform });

  function memory() {
    const cursors = new Map<string, string>();
    return {
      cursor: async (name: string) => cursors.get(name),
      putCursor: async (name: string, value: string) => void cursors.set(name, value),
    };
  }

  function instanceOf(tags: { readonly createdAtMs: number; readonly incarnation?: string }): Instance {
    return {
      ref: { name: 'acme-1', id: '1' },
      state: 'running',
      tags: {
        dispatcher: 'acme',
        registration: 'acme',
        lane: 'lane1',
        scope: 'orgs/acme',
        runner: 'acme-1',
        deadlineAtMs: NOW * 2,
        charge: {},
        ...tags,
      },
    };
  }
});
