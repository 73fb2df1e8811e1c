// T6, T11
import { expect } from 'chai';
import type { Github, GithubRunner } from '../../dispatcher/github/github.ts';
import type { Instance, InstanceState } from '../../providers/provider.ts';
import { ulid } from '../../time/clock.ts';
import { runnerRow } from './runner-fixture.ts';
import { honestProvider, openSmallFixture, type SmallFixture } from './small-fixture.ts';

const MINUTE = 60_000;

describe('a sweep', () => {
  let fixture: SmallFixture;
  let listed: Instance[];
  let runners: GithubRunner[];
  let stopped: string[];
  let deleted: string[];

  const named = (id: string, ageMs: number): string => `${id}-${ulid(fixture.clock.now() - ageMs, () => 0.5)}`;

  beforeEach(async () => {
    listed = [];
    runners = [];
    stopped = [];
    deleted = [];
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
      readRun: async () => ({ completed: false, attempt: 1 }),
      seesRepository: async () => true,
    };
    fixture = await openSmallFixture(
      {
        docker: honestProvider({
          list: async () => listed,
          inspect: async ({ name }) => listed.find(({ ref }) => ref.name === name),
          stop: async ({ name }) => {
            stopped.push(name);
            listed = listed.filter(({ ref }) => ref.name !== name);
          },
        }),
      },
      { github: () => github },
    );
  });

  afterEach(() => fixture.close());

  /** The container of a runner that the ledger calls gone since `goneForMs`. */
  async function ofGone(state: InstanceState, goneForMs: number): Promise<string> {
    const name = named('acme', 2 * 3_600_000);
    const nowMs = fixture.clock.now();
    const row = runnerRow({
      name,
      state: 'gone',
      stateSinceMs: nowMs - goneForMs,
      createdAtMs: nowMs - 2 * 3_600_000,
      nextCheckAtMs: null,
      backend: 'docker',
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
