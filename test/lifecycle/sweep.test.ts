// T6, T11
import { expect } from 'chai';
import type { Github, GithubRunner } from '../../dispatcher/github/github.ts';
import { type Instance, type InstanceState, ProviderError } from '../../providers/provider.ts';
import { ulid } from '../../time/clock.ts';
import { runnerRow } from './runner-fixture.ts';
import { honestProvider, openSmallFixture, type SmallFixture } from './small-fixture.ts';

const MINUTE = 60_000;

describe('a sweep', () => {
  const backend = (name: string) => ({ name, kind: name, region: undefined, options: {}, maxRunners: 5 });
  let fixture: SmallFixture;
  let listed: Instance[];
  let runners: GithubRunner[];
  let stopped: string[];
  let deleted: string[];
  /** Names of containers that the service refuses to remove. */
  let kept: Set<string>;

  const named = (id: string, ageMs: number): string => `${id}-${ulid(fixture.clock.now() - ageMs, () => 0.5)}`;

  beforeEach(() => open());

  async function open(...backends: readonly string[]): Promise<void> {
    listed = [];
    runners = [];
    stopped = [];
    deleted = [];
    kept = new Set();
    const github: Github = {
      createJitRunner: async () => ({ runnerId: 1, encodedJitConfig: 'eyIuZmFrZSI6IjAifQ==' }),
      deleteRunner: async (_scope, id) => {
        deleted.push(runners.find((runner) => runner.id === id)?.name ?? `${id}`);
        runners = runners.filter((runner) => runner.id !== id);
        return 'deleted';
      },
      getRunner: async (_scope, id) => runners.find((runner) => runner.id === id),
      findRunner: async (_scope, name) => runners.find((runner) => runner.name === name),
      listRunners: async () => runners,
      readJob: async () => undefined,
      readRun: async () => ({ completed: false, attempt: 1, isFork: false }),
      seesRepository: async () => true,
      readVisibility: async () => 'private',
    };
    fixture = await openSmallFixture(
      {
        docker: honestProvider({
          list: async () => listed,
          inspect: async ({ name }) => listed.find(({ ref }) => ref.name === name),
          stop: async ({ name }) => {
            if (kept.has(name)) throw new ProviderError('unauthorized', 'docker remove', 'no right to remove');
            stopped.push(name);
            listed = listed.filter(({ ref }) => ref.name !== name);
          },
        }),
      },
      { github: () => github, registration: { backends: ['docker', ...backends].map(backend) } },
    );
  }

  afterEach(() => fixture.close());

  /** The container of a runner that the ledger calls gone since `goneForMs`. */
  async function ofGone(state: InstanceState, goneForMs: number, backend = 'docker'): Promise<string> {
    const name = named('acme', 2 * 3_600_000 + goneForMs);
    const nowMs = fixture.clock.now();
    const row = runnerRow({
      name,
      state: 'gone',
      stateSinceMs: nowMs - goneForMs,
      createdAtMs: nowMs - 2 * 3_600_000,
      nextCheckAtMs: null,
      backend,
      instanceState: 'absent',
      instanceDeadlineAtMs: nowMs + 3_600_000,
      onlineAtMs: nowMs - 3_600_000,
      scope: 'orgs/acme',
    });
    await fixture.ledger.createRunner(row, 'it was here');
    const tags = {
      dispatcher: 'acme',
      registration: 'acme',
      lane: row.laneKey,
      scope: row.scope,
      runner: name,
      incarnation: 'life-1',
      createdAtMs: row.createdAtMs,
      deadlineAtMs: row.instanceDeadlineAtMs,
      charge: {},
    };
    listed.push({ ref: { name, id: `id-${name}` }, state, tags });
    return name;
  }

  for (const state of ['succeeded', 'failed'] as const) {
    it(`removes what is left of a gone runner whose container ${state}`, async () => {
      const name = await ofGone(state, MINUTE);
      await fixture.engine.start();
      await fixture.clock.advance(MINUTE);
      expect(stopped).to.deep.equal([name]);
      expect(await fixture.ledger.runner(name)).to.include({ state: 'gone' });
    });
  }

  it('goes on where one container cannot be removed, reports it, and launches on its backend', async () => {
    const first = await ofGone('failed', MINUTE);
    kept.add(first);
    const second = await ofGone('failed', 2 * MINUTE);
    await fixture.engine.start();
    await fixture.clock.advance(10_000);
    expect(stopped).to.deep.equal([second]);
    expect(fixture.engine.backends().map(({ listed }) => listed)).to.deep.equal([true]);
    expect([...fixture.engine.unlisted()], 'everything was listed').to.deep.equal([]);
    const [trouble, ...more] = fixture.engine.sweepTroubles('acme');
    expect(more).to.deep.equal([]);
    expect(trouble).to.deep.include({ about: 'docker' });
    expect(trouble?.failure).to.include({ kind: 'unauthorized' });
    expect(trouble?.failure.message).to.include('no right to remove').and.include(first);
    await fixture.queueJob(1);
    await fixture.clock.advance(20_000);
    expect(await fixture.ledger.runners({ states: ['starting'] }, 'reject')).to.have.length(1);
    kept.clear();
    await fixture.clock.advance(10 * MINUTE);
    expect(stopped).to.include(first);
    expect(fixture.engine.sweepTroubles('acme')).to.deep.equal([]);
  });

  it('counts a backend as listed where the other backend of one of its runners has no provider', async () => {
    await fixture.close();
    await open('unconfigured');
    const elsewhere = await ofGone('failed', MINUTE, 'unconfigured');
    const here = await ofGone('failed', 2 * MINUTE);
    await fixture.engine.start();
    await fixture.clock.advance(10_000);
    expect(stopped, 'whose container it is is not known').to.deep.equal([here]).and.not.include(elsewhere);
    expect(fixture.engine.backends().map(({ backend, listed }) => [backend, listed])).to.deep.equal([
      ['docker', true],
      ['unconfigured', false],
    ]);
    expect(fixture.engine.sweepTroubles('acme').map(({ about }) => about)).to.deep.equal(['unconfigured']);
  });

  it('takes a gone runner whose container runs down by the rules, and stops nothing at once', async () => {
    const name = await ofGone('running', MINUTE);
    await fixture.engine.start();
    await fixture.clock.advance(MINUTE);
    expect(stopped).to.deep.equal([]);
    expect(await fixture.ledger.runner(name)).to.include({ state: 'draining' });
  });

  it('leaves alone what was verified to be gone after the list was asked for', async () => {
    const name = await ofGone('running', 0);
    await fixture.engine.start();
    await fixture.clock.advance(1_000);
    expect(await fixture.ledger.runner(name)).to.include({ state: 'gone' });
  });

  it('deletes old offline runners of our name that no row accounts for, and no others', async () => {
    const runner = (name: string, some: Partial<GithubRunner> = {}): string => {
      runners.push({ id: runners.length + 1, name, status: 'offline', busy: false, labels: [], ...some });
      return name;
    };
    const hour = 60 * MINUTE;
    const stray = runner(named('acme', hour));
    const lefts = [
      runner(named('acme', 10), {}),
      runner(named('acme', 9 * MINUTE)),
      runner(named('acme', hour + 1), { status: 'online' }),
      runner(named('acme', hour + 2), { busy: true }),
      runner(named('acme-b', hour)),
      runner(named('emca', hour)),
      runner('acme-machine-1'),
      runner('tenants-own-machine'),
    ];
    await fixture.engine.start();
    await fixture.clock.advance(10_000);
    expect(deleted).to.deep.equal([stray]);
    expect(runners.map(({ name }) => name)).to.deep.equal(lefts);
  });
});
