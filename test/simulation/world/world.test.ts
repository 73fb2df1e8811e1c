import { expect } from 'chai';
import type { GithubScope } from '../../../dispatcher/jobs/scope.ts';
import type { LaunchRequest } from '../../../providers/provider.ts';
import { Dice, type FaultRates, NO_FAULTS } from '../faults.ts';
import { Invariants } from '../invariants.ts';
import { streamsOf } from '../random.ts';
import { History } from '../trace.ts';
import { VirtualClock } from '../virtual-clock.ts';
import { GithubWorld } from './github.ts';
import { GithubPort } from './github-port.ts';
import type { JobPlan, ToldFact } from './jobs.ts';
import { Account } from './provider.ts';
import { ProviderPort } from './provider-port.ts';

const SCOPE: GithubScope = { kind: 'organization', organization: 'acme' };
const MINUTE = 60_000;

function plan(change: Partial<JobPlan> = {}): JobPlan {
  return {
    id: 1,
    runId: 1,
    owner: 'acme',
    repository: 'web',
    labels: ['acme-runner'],
    expectation: 'runs',
    afterMs: 0,
    needs: undefined,
    gateMs: undefined,
    durationMs: 5 * MINUTE,
    patienceMs: undefined,
    timeLimitMs: undefined,
    hosted: false,
    parallel: undefined,
    ...change,
  };
}

/** One GitHub, one account, one way to each. */
function worldWith(rates: Partial<FaultRates> = {}) {
  const clock = new VirtualClock(0);
  const dice = new Dice({ ...NO_FAULTS, ...rates }, streamsOf(1));
  const history = new History(() => clock.now());
  const invariants = new Invariants({
    now: () => clock.now(),
    history,
    caps: [],
    forbiddenLabels: [],
    registeredFor: () => undefined,
  });
  const announced: ToldFact[] = [];
  const github = new GithubWorld({
    host: 'github.com',
    clock,
    dice,
    history,
    witness: invariants,
    enterprises: new Map(),
    announce: (fact) => announced.push(fact),
  });
  const account = new Account({
    name: 'account',
    clock,
    dice,
    history,
    witness: invariants,
    githubOf: () => github,
    jitFor: async () => undefined,
    brokenImage: 'broken',
  });
  const common = { clock, dice, history, outages: [] };
  const port = new GithubPort({ ...common, world: github, registration: 'acme', blind: () => false });
  const provider = new ProviderPort({ ...common, account, backend: 'acme/cloud', unknownImage: 'unknown' });

  /** Lets time pass until the call has settled. */
  async function settled<T>(call: Promise<T>): Promise<T> {
    await clock.advance(MINUTE);
    return await call;
  }

  async function launch(name: string, labels: readonly string[]): Promise<number> {
    const jit = await settled(port.createJitRunner({ scope: SCOPE, name, runnerGroup: 'Default', labels }));
    await settled(provider.launch(request(name, jit.encodedJitConfig)));
    await clock.advance(2 * MINUTE);
    return jit.runnerId;
  }

  return { clock, github, account, port, provider, invariants, announced, settled, launch };
}

function request(name: string, jit: string): LaunchRequest {
  return {
    name,
    shape: { cpu: 1, memoryGiB: 2, architecture: 'x64', image: 'good', spot: false, dockerInDocker: false },
    tags: {
      dispatcher: 'sim',
      registration: 'acme',
      lane: 'lane',
      scope: 'orgs/acme',
      runner: name,
      createdAtMs: 0,
      deadlineAtMs: Number.MAX_SAFE_INTEGER,
      charge: {},
    },
    environment: {},
    secretEnvironment: { ACTIONS_RUNNER_INPUT_JITCONFIG: jit },
  };
}

describe("the world's GitHub", () => {
  it('gives a job to any idle runner whose labels contain its own, and forgets the runner afterwards', async () => {
    const world = worldWith();
    await world.launch('sim-big', ['acme-runner', 'cpu-2']);
    world.github.schedule([plan()]);
    await world.clock.advance(MINUTE);
    expect(world.github.jobs.get(1)).to.include({ status: 'in_progress', runnerName: 'sim-big' });
    await world.clock.advance(6 * MINUTE);
    expect(world.announced.map((fact) => fact.status)).to.deep.equal(['queued', 'in_progress', 'completed']);
    expect(world.github.ourRunners).to.deep.equal([]);
    expect(world.account.present.map((instance) => instance.state)).to.deep.equal(['succeeded']);
    expect(world.invariants.steals).to.equal(1);
  });

  it('keeps a job from a runner that lacks one of its labels', async () => {
    const world = worldWith();
    await world.launch('sim-small', ['acme-runner']);
    world.github.schedule([plan({ labels: ['acme-runner', 'cpu-2'] })]);
    await world.clock.advance(5 * MINUTE);
    expect(world.github.jobs.get(1)?.status).to.equal('queued');
  });

  it('refuses to delete a runner that runs a job', async () => {
    const world = worldWith();
    const id = await world.launch('sim-1', ['acme-runner']);
    world.github.schedule([plan()]);
    await world.clock.advance(MINUTE);
    expect(await world.settled(world.port.deleteRunner(SCOPE, id))).to.equal('busy');
  });

  it('with stale busy: calls it idle, grants its DELETE, and lets the job run on', async () => {
    const world = worldWith({ staleBusy: 1 });
    const id = await world.launch('sim-1', ['acme-runner']);
    world.github.schedule([plan()]);
    await world.clock.advance(10_000);
    expect(await world.settled(world.port.getRunner(SCOPE, id, 'drain'))).to.include({ busy: false, status: 'online' });
    expect(await world.settled(world.port.deleteRunner(SCOPE, id))).to.equal('deleted');
    await world.clock.advance(10 * MINUTE);
    expect(world.github.jobs.get(1)).to.include({ status: 'completed', conclusion: 'success' });
  });

  it('answers 409 to a name that exists, also when the first answer was lost', async () => {
    const world = worldWith({ githubTimeoutAfter: 1 });
    const jit = { scope: SCOPE, name: 'sim-1', runnerGroup: 'Default', labels: ['acme-runner'] };
    const first = world.port.createJitRunner(jit).catch((error: unknown) => error);
    await world.clock.advance(MINUTE);
    expect(await first).to.include({ kind: 'transient' });
    expect(world.github.ourRunners).to.deep.equal(['sim-1']);
    expect(() => world.github.registerJit(jit, 'again')).to.throw('name already exists');
  });

  it('gives an assignment that nobody picked up back to the queue after a minute', async () => {
    const world = worldWith({ pickUpFails: 1 });
    await world.launch('sim-1', ['acme-runner']);
    world.github.schedule([plan()]);
    await world.clock.advance(50_000);
    expect(world.github.jobs.get(1)?.assignedTo).to.be.a('number');
    expect(world.github.jobs.get(1)?.status).to.equal('queued');
    await world.clock.advance(11_500);
    expect(world.github.jobs.get(1)?.status).to.equal('queued');
    expect(world.invariants.instances[0]?.job).to.equal(undefined);
  });

  it('fails, or gives back, the job of a runner whose container died', async () => {
    for (const requeues of [0, 1]) {
      const world = worldWith({ requeues });
      await world.launch('sim-1', ['acme-runner']);
      world.github.schedule([plan({ timeLimitMs: 0 })]);
      await world.clock.advance(MINUTE);
      await world.settled(world.provider.stop({ name: 'sim-1' }));
      await world.clock.advance(11 * MINUTE);
      const expected =
        requeues === 0 ? { status: 'completed', conclusion: 'failure' } : { status: 'queued', requeues: 1 };
      expect(world.github.jobs.get(1)).to.include(expected);
    }
  });

  it('holds a job behind its gate: queued, waiting, queued', async () => {
    const world = worldWith();
    await world.launch('sim-1', ['acme-runner']);
    world.github.schedule([plan({ gateMs: 5 * MINUTE })]);
    await world.clock.advance(4 * MINUTE);
    expect(world.announced.map((fact) => fact.status)).to.deep.equal(['queued', 'waiting']);
    await world.clock.advance(2 * MINUTE);
    expect(world.announced.map((fact) => fact.status)).to.deep.equal(['queued', 'waiting', 'queued', 'in_progress']);
  });

  it('shows a poll the completed jobs of open runs, and nothing of completed ones', async () => {
    const world = worldWith();
    world.github.schedule([
      plan({ id: 1, runId: 1, hosted: true, durationMs: 1000 }),
      plan({ id: 2, runId: 1 }),
      plan({ id: 3, runId: 2, hosted: true, durationMs: 1000 }),
    ]);
    await world.clock.advance(MINUTE);
    const facts = await world.settled(world.port.pollJobs(() => true));
    expect(facts.map((fact) => `${fact.jobId} ${fact.status}`)).to.deep.equal(['1 completed', '2 queued']);
  });
});

describe("the world's provider", () => {
  it('makes one instance of two launches with one name', async () => {
    const world = worldWith();
    const jit = world.github.registerJit(
      { scope: SCOPE, name: 'sim-1', runnerGroup: 'Default', labels: ['a'] },
      'test',
    );
    const [one, two] = await world.settled(
      Promise.all([
        world.provider.launch(request('sim-1', jit.encodedJitConfig)),
        world.provider.launch(request('sim-1', jit.encodedJitConfig)),
      ]),
    );
    expect(one.ref.id).to.equal(two.ref.id);
    expect(world.account.present).to.have.length(1);
  });

  it('creates it all the same when the answer is lost, or later', async () => {
    for (const rates of [{ providerTimeoutAfter: 1 }, { providerTimeoutLate: 1 }]) {
      const world = worldWith(rates);
      const answer = world.provider.launch(request('sim-1', 'jit')).catch((error: unknown) => error);
      await world.clock.advance(5 * MINUTE);
      expect(await answer).to.include({ kind: 'transient' });
      expect(world.invariants.instances.map(({ name }) => name)).to.deep.equal(['sim-1']);
    }
  });

  it('leaves nothing behind when it refuses', async () => {
    const world = worldWith({ providerCapacity: 1 });
    const answer = world.provider.launch(request('sim-1', 'jit')).catch((error: unknown) => error);
    await world.clock.advance(5 * MINUTE);
    expect(await answer).to.include({ kind: 'capacity' });
    expect(world.account.present).to.deep.equal([]);
  });

  it('lets a container exit whose runner is not registered', async () => {
    const world = worldWith();
    await world.settled(world.provider.launch(request('sim-1', 'jit-secret-github.com/999')));
    await world.clock.advance(3 * MINUTE);
    expect(await world.settled(world.provider.inspect({ name: 'sim-1' }))).to.include({ state: 'failed' });
  });

  it('says that the absent one is absent, and that its stop is done', async () => {
    const world = worldWith();
    expect(await world.settled(world.provider.inspect({ name: 'sim-9' }))).to.equal(undefined);
    await world.settled(world.provider.stop({ name: 'sim-9' }));
  });
});
