import { expect } from 'chai';
import type { RunnerRow, RunnersLeftOut } from '../../dispatcher/ledger/ledger.ts';
import { Ghosts } from '../../dispatcher/lifecycle/ghosts.ts';
import { GithubView } from '../../dispatcher/lifecycle/github-view.ts';
import { VisitLoop } from '../../dispatcher/lifecycle/visit-loop.ts';
import type { Provider } from '../../providers/provider.ts';
import { settled } from '../github/virtual-clock.ts';
import { runner as rowOf } from '../ledger/examples.ts';
import { registration } from '../registration-fixture.ts';
import { type EngineParts, openEngineParts, type PartsOptions } from './engine-parts.ts';
import { honestProvider } from './small-fixture.ts';

const SECOND = 1000;

describe('the loop of visits', () => {
  let parts: EngineParts;
  let loop: VisitLoop;
  let calls: string[];
  /** What the ledger says to be due; undefined: what really is. */
  let due: readonly RunnerRow[] | undefined;
  let looks: { readonly limit: number; readonly without: RunnersLeftOut | undefined }[];
  let nextCheckAtMs: number | null | undefined;
  let provider: () => Promise<Provider>;

  async function open(options: PartsOptions = {}): Promise<void> {
    calls = [];
    looks = [];
    due = undefined;
    nextCheckAtMs = undefined;
    provider = async () =>
      honestProvider({
        inspect: async ({ name }) => {
          calls.push(`inspect ${name}`);
          return undefined;
        },
        stop: async ({ name }) => void calls.push(`stop ${name}`),
      });
    parts = await openEngineParts({
      ...options,
      provider: () => provider(),
      github: { listRunners: async () => [] },
      through: (ledger) => ({
        runnersDue: (nowMs, limit, unreadable, without) => {
          looks.push({ limit, without });
          return due === undefined ? ledger.runnersDue(nowMs, limit, unreadable, without) : Promise.resolve(due);
        },
        nextCheckAt: async () => (nextCheckAtMs === undefined ? await ledger.nextCheckAt() : nextCheckAtMs),
        ...options.through?.(ledger),
      }),
    });
    const { backends, context } = parts;
    loop = new VisitLoop({
      ...parts,
      ...{ view: new GithubView(context), ghosts: new Ghosts(backends) },
    });
  }
  afterEach(() => parts.close());

  const never = (): Promise<never> => new Promise(() => {});

  function row(name: string, some: Partial<RunnerRow> = {}): RunnerRow {
    const nowMs = parts.clock.now();
    return rowOf({
      ...{ name, state: 'starting', backend: 'main', instanceState: 'running', instanceId: `i-${name}` },
      ...{ createdAtMs: nowMs, stateSinceMs: nowMs, deadlineAtMs: nowMs + 3_600_000, nextCheckAtMs: nowMs },
      instanceDeadlineAtMs: nowMs + 7_200_000,
      ...some,
    });
  }

  async function add(name: string, some: Partial<RunnerRow> = {}): Promise<void> {
    await parts.ledger.createRunner(row(name, some), 'it was there');
  }

  async function visited(): Promise<void> {
    await loop.run();
    await Promise.all(loop.underWay);
  }

  it('looks at the runners whose time has come, and takes a draining one a step further', async () => {
    await open();
    const nowMs = parts.clock.now();
    await add('starting');
    await add('later', { nextCheckAtMs: nowMs + 1 });
    await add('draining', { state: 'draining', deregisteredAtMs: nowMs, forced: true, drainReason: 'it is over' });
    await visited();
    expect(calls).to.include.members(['inspect starting', 'stop draining']);
    expect(calls.join()).to.not.include('later').and.not.include('stop starting');
  });

  it('looks for what a launch of an earlier start left behind, and again after ten seconds', async () => {
    await open();
    const nowMs = parts.clock.now();
    const launch = { state: 'creating', instanceId: null, instanceState: 'maybe' } as const;
    await add('interrupted', { ...launch, incarnation: 'before' });
    await add('under-way', { ...launch, incarnation: 'here' });
    await add('uncalled', { ...launch, instanceState: 'none', incarnation: 'before' });
    await visited();
    expect(calls).to.deep.equal(['inspect interrupted']);
    expect(await parts.ledger.runner('interrupted')).to.include({
      ...{ state: 'creating', misses: 1, nextCheckAtMs: nowMs + 10 * SECOND },
    });
    expect(await parts.ledger.runner('uncalled')).to.not.include({ state: 'creating' });
    const underWay = await parts.ledger.runner('under-way');
    expect(underWay?.nextCheckAtMs, 'not again in the same moment').to.equal(nowMs + 5 * SECOND);
  });

  it('leaves the next look at the time that what it saw asks for', async () => {
    await open();
    await add('one', { state: 'online' });
    await visited();
    expect((await parts.ledger.runner('one'))?.nextCheckAtMs).to.equal(parts.clock.now() + 30 * SECOND);
  });

  it('does not wait for its visits, and looks at each runner once at a time', async () => {
    await open();
    provider = never;
    await add('one');
    await loop.run();
    await loop.run();
    expect(loop.visiting).to.equal(1);
    expect([...loop.underWay]).to.have.length(1);
    expect(
      looks.map(({ limit }) => limit),
      'what is under visit stays due',
    ).to.deep.equal([64, 128]);
  });

  it('has the next pass begin when a visit has ended, and gives its place back', async () => {
    await open();
    let answer = (): void => {};
    provider = () =>
      new Promise((_resolve, reject) => {
        answer = () => reject(new TypeError('x is not a function'));
      });
    due = Array.from({ length: 16 }, (_, index) => row(`r${index}`));
    await loop.run();
    due = [row('r16')];
    await loop.run();
    expect(loop.visiting, 'sixteen at one backend').to.equal(16);
    expect(looks.at(-1)?.without?.places).to.deep.equal([{ registration: 'acme', backend: 'main', count: 16 }]);
    const wakes = parts.wakes();
    answer();
    await settled();
    expect(loop.visiting).to.equal(15);
    expect(parts.wakes()).to.equal(wakes + 1);
    await loop.run();
    expect(loop.visiting).to.equal(16);
  });

  it('looks at those behind a backend that has no place left', async () => {
    await open();
    provider = never;
    due = [...Array.from({ length: 17 }, (_, index) => row(`r${index}`)), row('elsewhere', { backend: 'other' })];
    await loop.run();
    expect(loop.visiting).to.equal(17);
  });

  it('goes on at once where there may be more than it took', async () => {
    await open({ registrations: Array.from({ length: 4 }, (_, index) => registration({ name: `r${index}` })) });
    provider = never;
    due = Array.from({ length: 64 }, (_, index) => row(`r${index}`, { registration: `r${index % 4}` }));
    await loop.run();
    expect(loop.visiting).to.equal(64);
    expect(parts.wakes()).to.equal(1);
    // Now all that is due is under visit: nothing would be started.
    due = [...due, ...due];
    await loop.run();
    expect(parts.wakes()).to.equal(1);
  });

  it('waits for its time where it took all that was due', async () => {
    await open();
    provider = never;
    due = [row('one')];
    await loop.run();
    expect(parts.wakes()).to.equal(0);
  });

  it('looks at no more than 512 runners, and asks the ledger for no more', async () => {
    const names = Array.from({ length: 40 }, (_, index) => `r${index}`);
    await open({ registrations: names.map((name) => registration({ name })) });
    provider = never;
    due = Array.from({ length: 520 }, (_, index) => row(`runner-${index}`, { registration: `r${index % 40}` }));
    for (let pass = 0; pass < 8; pass += 1) await loop.run();
    expect(loop.visiting).to.equal(512);
    nextCheckAtMs = parts.clock.now();
    expect(await loop.nextMs()).to.equal(null);
    await loop.run();
    expect(looks).to.have.length(8);
  });

  it('starts 64 in a pass, however many are due', async () => {
    await open();
    provider = never;
    due = Array.from({ length: 200 }, (_, index) => row(`d1-${index}`, { registration: `r${index}` }));
    await loop.run();
    expect(loop.visiting).to.equal(64);
    expect(parts.wakes()).to.equal(1);
    await loop.run();
    expect(loop.visiting).to.equal(128);
  });

  it('starts none once the engine stops', async () => {
    await open();
    parts.stop();
    await add('one');
    await visited();
    expect(calls).to.deep.equal([]);
  });

  it('runs again at the time of the next look, and in a second where that is overdue because of a visit', async () => {
    await open();
    const nowMs = parts.clock.now();
    expect(await loop.nextMs()).to.equal(null);
    await add('one');
    expect(await loop.nextMs()).to.equal(nowMs);
    provider = never;
    await loop.run();
    expect(await loop.nextMs()).to.equal(nowMs + SECOND);
    nextCheckAtMs = nowMs + 1;
    expect(await loop.nextMs()).to.equal(nowMs + 1);
    nextCheckAtMs = null;
    expect(await loop.nextMs()).to.equal(null);
  });

  describe('where a visit breaks', () => {
    const broken = () => Promise.reject(new TypeError('x is not a function'));

    it('says so once, comes back to that runner later, and says when it is over', async () => {
      await open();
      await add('one');
      const works = provider;
      provider = broken;
      await visited();
      const runner = await parts.ledger.runner('one');
      expect(runner).to.include({ attempts: 1, state: 'starting' });
      expect(runner?.nextCheckAtMs).to.be.above(parts.clock.now());
      expect(parts.logged.filter((event) => event === 'visit-failed')).to.have.length(1);
      provider = works;
      await parts.clock.advance(60 * SECOND);
      const before = parts.logged.length;
      await visited();
      expect(parts.logged.slice(before).filter((event) => event.startsWith('visit-failed'))).to.have.length(1);
    });

    it('looks again in a minute where the state machine itself fails, not at once', async () => {
      let steps = 0;
      await open({
        through: (ledger) => ({
          stepRunner: (name, decide) => {
            steps += 1;
            return steps === 1 ? Promise.reject(new TypeError('no such state')) : ledger.stepRunner(name, decide);
          },
        }),
      });
      await add('one');
      provider = broken;
      await visited();
      expect(parts.logged).to.include('visit-not-recorded');
      expect((await parts.ledger.runner('one'))?.nextCheckAtMs).to.equal(parts.clock.now() + 60 * SECOND);
    });

    it('says also when that cannot be written down', async () => {
      await open({ through: () => ({ stepRunner: () => Promise.reject(new Error('no step')) }) });
      await add('one');
      provider = broken;
      await visited();
      expect(parts.logged).to.include('visit-not-recorded');
      expect(loop.visiting).to.equal(0);
    });

    it('leaves what the ledger failed at to the ledger’s own line', async () => {
      const full = new Error('the disk is full');
      await open({
        isOfLedger: (error) => error === full,
        through: () => ({ stepRunner: () => Promise.reject(full) }),
      });
      await add('one');
      await visited();
      expect(parts.logged).to.deep.equal([]);
      provider = broken;
      await visited();
      expect(parts.logged).to.deep.equal(['visit-failed']);
    });
  });
});
