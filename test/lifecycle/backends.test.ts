import { expect } from 'chai';
import type { FailureKind } from '../../dispatcher/failures/failure.ts';
import type { LaneSpec } from '../../dispatcher/jobs/lane.ts';
import type { Breaker } from '../../dispatcher/ledger/ledger.ts';
import { Backends } from '../../dispatcher/lifecycle/backends.ts';
import type { Log } from '../../dispatcher/log.ts';
import { failure } from '../failures/examples.ts';
import { manualClock } from './manual-clock.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const quiet: Log = { debug() {}, info() {}, warn() {}, error() {} };

function lane(specHash = 'spec1', key = `lane-${specHash}`): LaneSpec {
  return {
    key,
    registration: 'acme',
    host: 'github.com',
    scope: { kind: 'organization', organization: 'acme' },
    runnerGroup: 'default',
    labels: ['acme-runner'],
    wish: { architecture: 'x64', image: 'runner:1', spot: false, dockerInDocker: false },
    backends: ['first', 'second'],
    specHash,
  };
}

interface World {
  readonly kept?: readonly Breaker[];
  readonly livedAgoMs?: number | null;
  readonly listed?: readonly string[];
  /** What `first` is made of. */
  readonly hash?: string;
  /** Another dispatcher under our id. */
  readonly obstacle?: (registration: string, backend: string) => string | undefined;
  readonly closed?: ReadonlyMap<string, string>;
}

async function setUp({
  kept = [],
  livedAgoMs = 0,
  listed = ['first', 'second'],
  hash = 'h1',
  obstacle = () => undefined,
  closed = new Map(),
}: World = {}) {
  const clock = manualClock();
  const cursors = new Map<string, string>();
  if (livedAgoMs !== null) cursors.set('engine/lived-at-ms', String(clock.now() - livedAgoMs));
  const rows = new Map(kept.map((breaker) => [breaker.key, breaker]));
  const backends = new Backends({
    ledger: {
      breakers: async () => [...rows.values()],
      putBreaker: async (breaker) => void rows.set(breaker.key, breaker),
      deleteBreaker: async (key) => void rows.delete(key),
      cursor: async (name) => cursors.get(name),
      putCursor: async (name, value) => void cursors.set(name, value),
    },
    clock,
    log: quiet,
    maxLaunches: 8,
    others: { obstacle },
    closed,
    registrations: new Map([
      [
        'acme',
        new Map([
          ['first', hash],
          ['second', 'h2'],
        ]),
      ],
      ['globex', new Map([['first', 'h3']])],
    ]),
  });
  await backends.load();
  for (const backend of listed) backends.recordListing('acme', backend);
  const at = (backend = 'first', specHash = 'spec1', runner = 'r-1') => ({
    registration: 'acme',
    backend,
    specHash,
    runner,
  });
  const fail = (kind: FailureKind, retryAfterMs?: number, place = at()) =>
    backends.recordFailure(
      place,
      failure({ source: `acme/${place.backend}`, kind, message: `${kind}!` }),
      retryAfterMs,
    );
  /** One launch after another that the service refuses, each as soon as it may be tried, until the time is up. */
  const refuseFor = async (ms: number, place = at()) => {
    const tries: number[] = [];
    const startMs = clock.now();
    const target = { ...lane(place.specHash), backends: [place.backend] };
    while (clock.now() - startMs <= ms) {
      if (backends.claim(target, target.backends, place.runner).length > 0) {
        tries.push((clock.now() - startMs) / MINUTE);
        await fail('invalid', undefined, place);
      }
      clock.move(SECOND);
    }
    return tries;
  };
  return { clock, rows, cursors, backends, at, fail, refuseFor, open: (spec = lane()) => backends.usable(spec).open };
}

describe('the breakers of backends', () => {
  it('offers no backend before what runs there was listed, and the others meanwhile', async () => {
    const { open } = await setUp({ listed: ['second'] });
    expect(open()).to.deep.equal(['second']);
  });

  it('offers none before all were listed when the ledger is new or old: caps count what it does not know', async () => {
    for (const livedAgoMs of [null, 15 * MINUTE]) {
      const { backends, open } = await setUp({ livedAgoMs, listed: ['second'] });
      expect(open()).to.deep.equal([]);
      expect(backends.usable(lane()).closed[0]?.reason).to.include('first');
      backends.recordListing('acme', 'first');
      expect(open()).to.deep.equal(['first', 'second']);
    }
  });

  it('does not wait for a backend whose provider could not be loaded, which is never listed', async () => {
    const closed = new Map([['acme/first', 'the package is not installed']]);
    for (const livedAgoMs of [null, 0]) {
      const { backends, open } = await setUp({ livedAgoMs, listed: ['second'], closed });
      expect(open()).to.deep.equal(['second']);
      const reasons = backends.usable(lane()).closed.map(({ backend, reason }) => [backend, reason]);
      expect(reasons).to.deep.equal([['first', 'the package is not installed']]);
      const unlisted = failure({ source: 'acme/first', kind: 'unauthorized', message: 'the package is not installed' });
      backends.recordListingFailure('acme', 'first', unlisted);
      const status = backends
        .status()
        .find(({ registration, backend }) => registration === 'acme' && backend === 'first');
      expect(status).to.deep.include({ listed: false, notListed: unlisted });
    }
  });

  it('tells why a backend could not be listed, until it was', async () => {
    const unlisted = failure({ source: 'acme/first', kind: 'unauthorized', message: 'no permission to list' });
    for (const livedAgoMs of [null, 0]) {
      const { backends } = await setUp({ livedAgoMs, listed: ['second'] });
      backends.recordListingFailure('acme', 'first', unlisted);
      expect(backends.usable(lane()).closed[0]?.reason).to.include('has not been listed yet: no permission to list');
      expect(backends.status().map(({ notListed }) => notListed)).to.deep.equal([unlisted, null, null]);
      backends.recordListing('acme', 'first');
      backends.recordListingFailure('acme', 'first', unlisted);
      expect(backends.usable(lane()).closed).to.deep.equal([]);
      expect(backends.status().map(({ notListed }) => notListed)).to.deep.equal([null, null, null]);
    }
  });

  it('skips a backend without stock for 30 s, then for twice as long', async () => {
    const { clock, fail, open } = await setUp();
    await fail('capacity');
    expect(open()).to.deep.equal(['second']);
    clock.move(30 * SECOND);
    expect(open()).to.deep.equal(['first', 'second']);
    await fail('capacity');
    clock.move(30 * SECOND);
    expect(open()).to.deep.equal(['second']);
    clock.move(30 * SECOND);
    expect(open()).to.deep.equal(['first', 'second']);
  });

  it('takes a container that never got its place for a lack of stock too', async () => {
    const { clock, fail, open } = await setUp();
    await fail('no-stock');
    expect(open()).to.deep.equal(['second']);
    clock.move(30 * SECOND);
    expect(open()).to.deep.equal(['first', 'second']);
  });

  it('never backs off longer than the rule allows', async () => {
    const { clock, fail, open } = await setUp();
    for (let times = 0; times < 20; times += 1) {
      await fail('capacity');
      clock.move(10 * MINUTE);
      expect(open()).to.include('first');
    }
  });

  it('counts the failures of launches that were under way as one', async () => {
    const { clock, fail, open } = await setUp();
    await Promise.all([fail('capacity'), fail('capacity'), fail('capacity')]);
    clock.move(30 * SECOND);
    expect(open()).to.include('first');
  });

  it('holds a lack of stock against the shape, a quota against the backend', async () => {
    const shape = await setUp();
    await shape.fail('capacity');
    expect(shape.open(lane('spec2'))).to.include('first');
    const quota = await setUp();
    await quota.fail('quota');
    expect(quota.open(lane('spec2'))).to.not.include('first');
  });

  it('waits as long as a throttling service asks, and halves what may be in flight', async () => {
    const { clock, backends, at, fail, open } = await setUp();
    await fail('throttled', 42 * SECOND);
    expect(backends.launchRoom('acme', 'first')).to.equal(4);
    clock.move(41 * SECOND);
    expect(open()).to.not.include('first');
    clock.move(SECOND);
    expect(open()).to.include('first');
    await backends.recordAcceptance(at());
    expect(backends.launchRoom('acme', 'first')).to.equal(5);
  });

  it('has room for what may be in flight less what is, and none where more is than may be', async () => {
    const { backends, fail } = await setUp();
    for (let launch = 0; launch < 6; launch += 1) backends.beginLaunch('acme', 'first');
    expect(backends.launchRoom('acme', 'first')).to.equal(2);
    expect(backends.launchRoom('acme', 'second')).to.equal(8);
    await fail('throttled');
    expect(backends.launchRoom('acme', 'first')).to.equal(0);
    for (let launch = 0; launch < 3; launch += 1) backends.endLaunch('acme', 'first');
    expect(backends.launchRoom('acme', 'first')).to.equal(1);
  });

  it('says nothing of a backend where GitHub, or the dispatcher itself, failed', async () => {
    const { backends, at, fail, open, rows } = await setUp();
    await backends.recordFailure(at(), failure({ source: 'github', kind: 'unauthorized' }));
    for (const kind of ['defect', 'interrupted', 'no-place', 'conflict'] as const) await fail(kind);
    expect(open()).to.include('first');
    expect(rows.size).to.equal(0);
  });

  it('names why a backend is closed, and until when', async () => {
    const { clock, backends, fail } = await setUp();
    await fail('unauthorized');
    const [closed] = backends.usable(lane()).closed;
    expect(closed).to.include({ backend: 'first', untilMs: clock.now() + 5 * MINUTE });
    expect(closed?.reason).to.match(/^unauthorized!; tried again at \d\d:\d\d:\d\d UTC$/);
    expect(closed?.failure).to.include({ source: 'acme/first', kind: 'unauthorized' });
    expect(backends.nextOpeningMs()).to.equal(clock.now() + 5 * MINUTE);
  });

  it('keeps breakers over a restart', async () => {
    const before = await setUp();
    await before.fail('quota');
    await before.fail('invalid', undefined, before.at('first', 'spec2'));
    const after = await setUp({ kept: [...before.rows.values()] });
    expect(after.open()).to.not.include('first');
    after.clock.move(MINUTE);
    expect(after.open()).to.include('first');
    await after.fail('invalid', undefined, after.at('first', 'spec2'));
    after.clock.move(MINUTE);
    expect(after.open(lane('spec2')), 'the second refusal in a row, not the first').to.not.include('first');
  });

  // J13
  it('forgets what closed a backend whose options or credentials have changed since', async () => {
    const before = await setUp();
    await before.fail('unauthorized');
    await before.fail('exited');
    await before.refuseFor(40 * MINUTE, before.at('first', 'spec2'));
    const same = await setUp({ kept: [...before.rows.values()] });
    expect(same.backends.refusal({ ...lane('spec2'), backends: ['first'] })).to.have.length(1);
    const after = await setUp({ kept: [...before.rows.values()], hash: 'mended' });
    expect(after.open()).to.deep.equal(['first', 'second']);
    expect(after.open(lane('spec2'))).to.deep.equal(['first', 'second']);
    expect(after.backends.refusal({ ...lane('spec2'), backends: ['first'] })).to.equal(undefined);
    expect(after.rows.size, 'gone from the ledger, so that nothing shows it any more').to.equal(0);
  });

  describe('that are due', () => {
    it('let one launch try, and the others wait for what becomes of it', async () => {
      for (const kind of ['quota', 'throttled', 'transient', 'unauthorized', 'capacity', 'invalid'] as const) {
        const { clock, backends, at, fail, open } = await setUp();
        await fail(kind);
        clock.move(5 * MINUTE);
        expect(backends.claim(lane(), ['first', 'second'], 'r-1'), kind).to.deep.equal(['first', 'second']);
        expect(backends.claim(lane(), ['first', 'second'], 'r-2'), kind).to.deep.equal(['second']);
        expect(open(), kind).to.deep.equal(['second']);
        const [closed] = backends.usable(lane()).closed;
        expect(closed?.reason, kind).to.equal(`${kind}!; one launch tries it again now`);
        await backends.recordAcceptance(at());
        expect(open(), kind).to.deep.equal(['first', 'second']);
      }
    });

    it('let the next one try when the first was given up without a verdict', async () => {
      const { clock, backends, fail } = await setUp();
      await fail('quota');
      clock.move(MINUTE);
      backends.claim(lane(), ['first'], 'r-1');
      expect(backends.claim(lane(), ['first'], 'r-2')).to.deep.equal([]);
      backends.release('r-1');
      expect(backends.claim(lane(), ['first'], 'r-2')).to.deep.equal(['first']);
    });

    it('let the next one try when the first was served by another backend', async () => {
      const { clock, backends, at, fail } = await setUp();
      await fail('quota');
      await fail('quota', undefined, at('second'));
      clock.move(MINUTE);
      expect(backends.claim(lane(), ['first', 'second'], 'r-1')).to.deep.equal(['first', 'second']);
      await backends.recordAcceptance(at('first', 'spec1', 'r-1'));
      expect(backends.claim(lane(), ['second'], 'r-2')).to.deep.equal(['second']);
    });
  });

  // X8
  describe('of failed starts', () => {
    it('close after the third in a row', async () => {
      const { fail, open } = await setUp();
      await fail('exited');
      await fail('launch-timeout');
      expect(open()).to.include('first');
      await fail('out-of-memory');
      expect(open()).to.not.include('first');
    });

    it('forget once a container came online', async () => {
      const { backends, at, fail, open } = await setUp();
      await fail('exited');
      await fail('exited');
      await backends.recordOnline(at());
      await fail('exited');
      expect(open()).to.include('first');
    });

    it('let one container try when they are due: the launch being taken proves nothing', async () => {
      const { clock, backends, at, fail, open } = await setUp();
      for (let times = 0; times < 3; times += 1) await fail('exited');
      clock.move(MINUTE);
      expect(backends.claim(lane(), ['first'], 'r-1')).to.deep.equal(['first']);
      await backends.recordAcceptance(at());
      expect(open(lane('spec1', 'another lane of that image'))).to.deep.equal(['second']);
      await fail('exited');
      clock.move(MINUTE);
      expect(open(), 'twice as long').to.deep.equal(['second']);
      clock.move(MINUTE);
      expect(backends.claim(lane(), ['first'], 'r-2')).to.deep.equal(['first']);
      await backends.recordAcceptance(at('first', 'spec1', 'r-2'));
      await backends.recordOnline(at('first', 'spec1', 'r-2'));
      expect(open()).to.deep.equal(['first', 'second']);
    });
  });

  // Case 02
  describe('of refused images and shapes', () => {
    it('close for 1, 2, 5, 15 and again 15 minutes, with a try at half an hour', async () => {
      const { refuseFor } = await setUp();
      const tries = await refuseFor(61 * MINUTE);
      expect(tries).to.deep.equal([0, 1, 3, 8, 23, 30, 45, 60]);
    });

    it('refuse no job before that has lasted for half an hour, and then with the services’ words', async () => {
      const { backends, at, refuseFor } = await setUp();
      const alone = { ...lane(), backends: ['first'] };
      await refuseFor(29 * MINUTE);
      expect(backends.refusal(alone)).to.equal(undefined);
      expect(backends.usable(alone).closed[0]?.reason, 'the words stand all the while').to.match(
        /^invalid!; tried again at /,
      );
      await refuseFor(2 * MINUTE);
      expect(backends.refusal(alone)?.map(({ message }) => message)).to.deep.equal(['invalid!']);
      expect(backends.takeTurned()).to.deep.equal({ stood: ['acme'], healed: [] });
      expect(backends.refusal(lane()), 'the second backend has not spoken').to.equal(undefined);
      await refuseFor(31 * MINUTE, at('second'));
      expect(backends.refusal(lane())).to.have.length(2);
      expect(backends.refusal(lane('spec2'))).to.equal(undefined);
    });

    it('are not proven by two tries far apart', async () => {
      const { clock, backends, fail } = await setUp();
      await fail('invalid');
      clock.move(5 * HOUR);
      await fail('invalid');
      expect(backends.refusal({ ...lane(), backends: ['first'] })).to.equal(undefined);
    });

    it('are over as soon as the service takes the image, and it is said whose jobs come back', async () => {
      const { clock, backends, at, refuseFor, open } = await setUp();
      await refuseFor(31 * MINUTE);
      backends.takeTurned();
      clock.move(15 * MINUTE);
      expect(backends.refusalsDue()).to.deep.equal(['acme']);
      backends.claim(lane(), ['first'], 'r-9');
      expect(backends.refusalsDue(), 'it is being tried').to.deep.equal([]);
      await backends.recordAcceptance(at('first', 'spec1', 'r-9'));
      expect(open()).to.deep.equal(['first', 'second']);
      expect(backends.takeTurned()).to.deep.equal({ stood: [], healed: ['acme'] });
    });

    it('go on where the service takes the launch and cannot pull the image', async () => {
      const { clock, backends, at, fail, open } = await setUp();
      await fail('image-pull-failed');
      expect(open()).to.deep.equal(['second']);
      clock.move(MINUTE);
      backends.claim(lane(), ['first'], 'r-1');
      await backends.recordAcceptance(at());
      expect(open(), 'accepted is not pulled').to.deep.equal(['second']);
      await backends.recordOnline(at());
      expect(open()).to.deep.equal(['first', 'second']);
    });

    it('are certain at once where the adapter itself says that its service never runs the shape', async () => {
      const { clock, backends, at, fail, open } = await setUp();
      await fail('unfit');
      await fail('unfit', undefined, at('second'));
      expect(backends.refusal(lane())?.map(({ kind }) => kind)).to.deep.equal(['unfit', 'unfit']);
      expect(backends.takeTurned().stood).to.deep.equal(['acme']);
      clock.move(HOUR);
      expect(open(), 'time changes nothing').to.deep.equal([]);
    });

    it('are not forgotten for those of another registration, however many shapes that has', async () => {
      const { backends, at, fail } = await setUp();
      await fail('unfit');
      await fail('unfit', undefined, at('second'));
      for (let index = 0; index < 10_000; index += 1) {
        await fail('unfit', undefined, { ...at('first', `${index}`), registration: 'evil' });
      }
      expect(backends.refusal(lane())).to.have.length(2);
    });
  });

  it('launches nowhere where another dispatcher is seen, and says so', async () => {
    const obstacle = (registration: string, backend: string) =>
      registration === 'acme' && backend === 'first' ? 'another dispatcher launches here' : undefined;
    const { backends, open } = await setUp({ obstacle });
    expect(open()).to.deep.equal(['second']);
    expect(backends.usable(lane()).closed).to.deep.equal([
      { backend: 'first', reason: 'another dispatcher launches here', untilMs: null, failure: null },
    ]);
  });

  describe('after a restart', () => {
    const livedAt = ({ cursors }: { readonly cursors: ReadonlyMap<string, string> }) =>
      Number(cursors.get('engine/lived-at-ms'));

    it('launch where all is listed alone, unless the ledger was written within the last 15 minutes', async () => {
      const recent = await setUp({ livedAgoMs: 15 * MINUTE - 1, listed: ['second'] });
      expect(recent.open()).to.deep.equal(['second']);
      const old = await setUp({ livedAgoMs: 15 * MINUTE, listed: ['second'] });
      expect(old.open()).to.deep.equal([]);
    });

    it('have a memory from the time when everything of every registration was listed, and not before', async () => {
      const world = await setUp({ livedAgoMs: null });
      await world.backends.keepMemory();
      expect(livedAt(world), 'globex is not listed').to.be.NaN;
      world.backends.recordListing('globex', 'first');
      await world.backends.keepMemory();
      expect(livedAt(world)).to.equal(world.clock.now());
    });

    it('keep the memory that they have, whatever has not been listed again yet', async () => {
      const world = await setUp({ livedAgoMs: MINUTE, listed: [] });
      await world.backends.keepMemory();
      expect(livedAt(world)).to.equal(world.clock.now());
    });

    it('launch again on what is listed once there was a memory', async () => {
      const world = await setUp({ livedAgoMs: null });
      world.backends.recordListing('globex', 'first');
      await world.backends.keepMemory();
      world.clock.move(MINUTE);
      await world.backends.keepMemory();
      expect(livedAt(world)).to.equal(world.clock.now());
    });
  });

  describe('as an operator sees them', () => {
    it('are listed or not, and have so many launches under way of so many', async () => {
      const { clock, backends, at, fail } = await setUp({ listed: ['second'] });
      backends.beginLaunch('acme', 'first');
      await backends.recordAcceptance(at('second'));
      for (const kind of ['throttled', 'throttled', 'throttled', 'throttled'] as const) await fail(kind);
      const shown = backends.status().map(({ registration, backend, listed, launching, window, lastSuccessMs }) => {
        return [registration, backend, listed, launching, window, lastSuccessMs];
      });
      expect(shown).to.deep.equal([
        ['acme', 'first', false, 1, 1, null],
        ['acme', 'second', true, 0, 8, clock.now()],
        ['globex', 'first', false, 0, 8, null],
      ]);
    });

    it('take whole launches alone, however often the service throttles', async () => {
      const { backends, at, fail } = await setUp();
      await fail('throttled');
      await backends.recordAcceptance(at());
      await fail('throttled');
      expect(backends.status()[0]?.window).to.equal(2);
      expect(backends.launchRoom('acme', 'first')).to.equal(2);
      await fail('exited');
      expect(backends.launchRoom('acme', 'first'), 'no other failure narrows it').to.equal(2);
    });

    it('have everything told that is closed there, and what it is about', async () => {
      const { clock, backends, at, fail } = await setUp();
      backends.claim(lane(), ['first'], 'r-1');
      await fail('quota');
      await fail('capacity');
      await fail('unfit');
      await fail('exited', undefined, at('second'));
      const nowMs = clock.now();
      const [first, second] = backends.status();
      const shown = first?.closures.map(({ rule, about, state, failures, untilMs }) => ({
        ...{ rule, state, failures },
        ...{ about: about?.includes('runner:1') ?? null, forMs: untilMs === null ? null : untilMs - nowMs },
      }));
      expect(shown).to.deep.equal([
        { rule: 'account', state: 'closed', failures: 1, about: null, forMs: MINUTE },
        { rule: 'capacity', state: 'closed', failures: 1, about: true, forMs: 30 * SECOND },
        { rule: 'unfit', state: 'closed', failures: 1, about: true, forMs: null },
      ]);
      expect(second?.closures, 'one failed start closes nothing').to.deep.equal([]);
      expect(backends.nextOpeningMs()).to.equal(nowMs + 30 * SECOND);
      clock.move(30 * SECOND);
      expect(backends.nextOpeningMs(), 'the next one').to.equal(nowMs + MINUTE);
      clock.move(30 * SECOND);
      expect(backends.nextOpeningMs()).to.equal(undefined);
    });

    it('are tried at once after a reset, which answers what was closed', async () => {
      const { backends, at, fail, open, refuseFor } = await setUp();
      await refuseFor(31 * MINUTE);
      backends.takeTurned();
      await fail('throttled');
      await fail('unfit');
      await fail('quota', undefined, at('second'));
      await backends.recordFailure(
        { ...at(), registration: 'globex' },
        failure({ source: 'globex/first', kind: 'unfit' }),
      );
      backends.takeTurned();
      expect((await backends.reset('acme', 'first'))?.map(({ rule }) => rule)).to.have.members([
        ...['account', 'refused', 'unfit'],
      ]);
      expect(open(), 'the second one was not reset').to.deep.equal(['first']);
      expect(backends.launchRoom('acme', 'first')).to.equal(8);
      expect(backends.takeTurned()).to.deep.equal({ stood: [], healed: ['acme'] });
      expect(backends.takeTurned(), 'told once').to.deep.equal({ stood: [], healed: [] });
      const [, , globex] = backends.status();
      expect(globex?.closures, 'nor was that of another registration').to.have.length(1);
      expect((await backends.reset('acme', undefined))?.map(({ rule }) => rule)).to.deep.equal(['account']);
      expect(open()).to.deep.equal(['first', 'second']);
    });

    it('that do not exist cannot be reset', async () => {
      const { backends, fail, open } = await setUp();
      await fail('quota');
      expect(await backends.reset('acme', 'third')).to.equal(undefined);
      expect(await backends.reset('emca', undefined)).to.equal(undefined);
      expect(open()).to.deep.equal(['second']);
    });
  });

  it('forget that a shape gets no work once a runner of it was given a job', async () => {
    const { clock, backends, at, rows } = await setUp();
    const idle = failure({ source: 'acme/first', kind: 'no-work', message: 'it idled' });
    for (let times = 0; times < 5; times += 1) {
      await backends.recordFailure(at(), idle);
      clock.move(MINUTE);
    }
    expect(rows.size).to.equal(1);
    await backends.recordOnline(at());
    expect(rows.size, 'coming online proves nothing').to.equal(1);
    await backends.recordWork(at());
    expect(rows.size).to.equal(0);
  });

  it('try nothing more by a runner that came online', async () => {
    const { clock, backends, at, fail } = await setUp();
    await fail('quota');
    await fail('quota', undefined, at('second'));
    clock.move(MINUTE);
    backends.claim(lane(), ['first', 'second'], 'r-1');
    await backends.recordOnline(at('first', 'spec1', 'r-1'));
    expect(backends.claim(lane(), ['first', 'second'], 'r-2')).to.deep.equal(['first', 'second']);
  });

  it('turn nothing about jobs by troubles that pass', async () => {
    const { backends, at, fail } = await setUp();
    await fail('capacity');
    await backends.recordAcceptance(at());
    expect(backends.takeTurned()).to.deep.equal({ stood: [], healed: [] });
  });

  it('take up the jobs of a shape again that was unfit at one of the backends that are reset', async () => {
    const { backends, fail, open } = await setUp();
    await fail('unfit');
    backends.takeTurned();
    await backends.reset('acme', undefined);
    expect(backends.takeTurned().healed).to.deep.equal(['acme']);
    expect(open()).to.deep.equal(['first', 'second']);
  });

  it('name each shape in words, however many are launched', async () => {
    const { backends, at, fail } = await setUp();
    for (const spec of ['spec1', 'spec2']) backends.claim(lane(spec), ['first'], 'r-1');
    for (const spec of ['spec1', 'spec2']) await fail('capacity', undefined, at('first', spec));
    expect(backends.status()[0]?.closures.map(({ about }) => about)).to.not.include(null);
  });
});
