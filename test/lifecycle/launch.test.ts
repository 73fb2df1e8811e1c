import { expect } from 'chai';
import { GithubError } from '../../dispatcher/github/github.ts';
import type { RunnerRow } from '../../dispatcher/ledger/ledger.ts';
import { newRunner } from '../../dispatcher/ledger/new-runner.ts';
import { launchRunner } from '../../dispatcher/lifecycle/launch.ts';
import { CREATING_MS } from '../../dispatcher/lifecycle/machine/step.ts';
import type { LifecycleMetrics } from '../../dispatcher/lifecycle/ports.ts';
import type { Log } from '../../dispatcher/log.ts';
import { type Instance, type LaunchRequest, type Provider, ProviderError } from '../../providers/provider.ts';
import { registration } from '../registration-fixture.ts';
import { type EngineParts, laneOf, openEngineParts } from './engine-parts.ts';
import { silent } from './runner-context-fixture.ts';
import { honestProvider } from './small-fixture.ts';

const NAME = 'd1-00000000000000000000000001';
const LANE = laneOf({ backends: ['first', 'second'] });
const backend = (name: string, maxRunners = 10) => ({
  ...{ name, kind: 'docker', region: undefined, options: {}, maxRunners },
});
const CAPACITY = new ProviderError('capacity', 'launch', 'no stock');

describe('one launch', () => {
  let parts: EngineParts;
  let requests: (LaunchRequest & { readonly backend: string })[];
  let launch: (backend: string, request: LaunchRequest) => Promise<Instance>;
  let jit: () => Promise<{ readonly runnerId: number; readonly encodedJitConfig: string }>;
  let metrics: string[];
  let lines: { readonly event: string; readonly fields: Readonly<Record<string, unknown>> | undefined }[];

  const running = ({ name, tags }: LaunchRequest): Instance => ({
    ref: { name, id: `i-${name}` },
    state: 'running',
    tags,
  });

  async function open(second = backend('second')): Promise<void> {
    requests = [];
    metrics = [];
    lines = [];
    launch = async (_backend, request) => running(request);
    jit = async () => ({ runnerId: 7, encodedJitConfig: 'the blob' });
    const write: Log['warn'] = (event, fields) => void lines.push({ event, fields });
    const told: LifecycleMetrics = {
      jobAdmitted: () => {},
      queueToStart: () => {},
      launched: (_registration, where, ms) => void metrics.push(`launched on ${where} in ${ms} ms`),
      launchFailed: (_registration, where, kind) => void metrics.push(`${kind} on ${where}`),
      imageStart: () => {},
      tornDown: () => {},
    };
    parts = await openEngineParts({
      registrations: [registration({ backends: [backend('first'), second] })],
      github: { createJitRunner: () => jit() },
      provider: async (name): Promise<Provider> => ({
        ...honestProvider(),
        launch: (request) => {
          requests.push({ ...request, backend: name });
          return launch(name, request);
        },
      }),
      options: { metrics: told, log: { ...silent, info: write, warn: write } },
    });
    await parts.ledger.createRunner(row(NAME, 'first'), 'launch');
  }
  afterEach(() => parts.close());

  function row(name: string, where: string): RunnerRow {
    const nowMs = parts.clock.now();
    return newRunner({
      ...{ name, registration: 'acme', host: LANE.host, scope: 'orgs/acme', runnerGroup: LANE.runnerGroup },
      ...{ laneKey: LANE.key, labels: LANE.labels, specHash: LANE.specHash, state: 'creating', createdAtMs: nowMs },
      ...{ deadlineAtMs: nowMs + CREATING_MS, nextCheckAtMs: nowMs + CREATING_MS, incarnation: 'here', backend: where },
      ...{ instanceDeadlineAtMs: nowMs + CREATING_MS, forJobKey: null },
    });
  }

  async function run(): Promise<RunnerRow> {
    const { clock, ledger, tenants } = parts;
    const tenant = tenants.get('acme');
    if (tenant === undefined) throw new Error('no tenant');
    const { backends: order } = LANE;
    await launchRunner(parts, tenant, {
      ...{ runner: NAME, createdAtMs: clock.now(), lane: LANE, backends: order },
    });
    const after = await ledger.runner(NAME);
    if (after === undefined) throw new Error('no runner');
    return after;
  }

  it('starts nothing of an image that is not proven to carry the hook which the grant demands', async () => {
    await open();
    const whyUnproven = async (_: unknown, where: string) => (where === 'first' ? 'image x is not proven' : undefined);
    parts = { ...parts, hookProofs: { whyUnproven } as unknown as EngineParts['hookProofs'] };
    expect(await run()).to.include({ state: 'starting', backend: 'second' });
    expect(requests.map((request) => request.backend)).to.deep.equal(['second']);
    expect(metrics[0]).to.equal('invalid on first');
    const refusal = parts.backends.status().find(({ backend: name }) => name === 'first')?.closures[0];
    expect(refusal?.rule).to.equal('refused');
    expect(refusal?.failure.message).to.include('image x is not proven');
  });

  it('goes on to the next backend, with the same name and the same secret, where one has no stock', async () => {
    await open();
    launch = async (where, request) => {
      if (where === 'first') throw CAPACITY;
      return running(request);
    };
    expect(await run()).to.include({ state: 'starting', backend: 'second', instanceId: `i-${NAME}` });
    expect(requests.map((request) => [request.backend, request.name])).to.deep.equal([
      ['first', NAME],
      ['second', NAME],
    ]);
    const secrets = requests.map(({ secretEnvironment }) => secretEnvironment['ACTIONS_RUNNER_INPUT_JITCONFIG']);
    expect(secrets).to.deep.equal(['the blob', 'the blob']);
    expect(metrics).to.deep.equal(['capacity on first', 'launched on second in 0 ms']);
  });

  it('is logged for each backend where it failed, and once for GitHub until that registers a runner again', async () => {
    await open();
    const starts = () => lines.filter(({ event }) => event.startsWith('start-failed')).map((line) => line.fields);
    launch = () => Promise.reject(CAPACITY);
    await run();
    const failed = { registration: 'acme', runner: NAME, kind: 'capacity', reason: 'launch: no stock' };
    expect(starts()).to.deep.equal([
      { ...failed, backend: 'first', source: 'acme/first' },
      { ...failed, backend: 'second', source: 'acme/second' },
    ]);
    lines = [];
    const refused = new GithubError('forbidden', 'POST /x', 'not accessible', { status: 403 });
    jit = () => Promise.reject(refused);
    await run();
    await run();
    expect(starts()).to.have.length(1);
    expect(starts()[0]).to.include({ registration: 'acme', lane: LANE.key, backend: 'first', runner: NAME });
    expect(starts()[0]).to.include({ source: 'github', kind: 'forbidden', code: '403' });
    jit = async () => ({ runnerId: 8, encodedJitConfig: 'the blob' });
    await run();
    expect(lines.map(({ event }) => event)).to.include('start-failed-over');
  });

  it('passes by a next backend that has filled up meanwhile', async () => {
    await open(backend('second', 1));
    await parts.ledger.createRunner(row('d1-00000000000000000000000002', 'second'), 'launch');
    launch = () => Promise.reject(CAPACITY);
    const after = await run();
    expect(requests.map((request) => request.backend)).to.deep.equal(['first']);
    expect(after.state).to.equal('draining');
    expect(after.failure).to.include({ kind: 'no-place', message: 'it is at its cap of runners' });
  });

  it('takes the last place of a next backend', async () => {
    await open(backend('second', 1));
    launch = async (where, request) => {
      if (where === 'first') throw CAPACITY;
      return running(request);
    };
    expect(await run()).to.include({ state: 'starting', backend: 'second' });
  });

  it('tells how long it took, from asking GitHub to the service’s answer', async () => {
    await open();
    launch = async (_where, request) => {
      await parts.clock.advance(3_000);
      return running(request);
    };
    jit = async () => {
      await parts.clock.advance(500);
      return { runnerId: 7, encodedJitConfig: 'the blob' };
    };
    await run();
    expect(metrics).to.deep.equal(['launched on first in 3500 ms']);
  });

  it('calls a name new until a service has said that it exists: the next backend may be the same account', async () => {
    await open();
    launch = async (where, request) => {
      if (where === 'first') throw new ProviderError('conflict', 'launch', 'it exists');
      return running(request);
    };
    await run();
    expect(requests.map(({ nameIsNew }) => nameIsNew)).to.deep.equal([true, false]);
  });

  for (const [kind, registered] of [
    ['invalid', false],
    ['forbidden', false],
    ['conflict', true],
    ['transient', true],
  ] as const) {
    it(`${registered ? 'has to look for' : 'need not look for'} a runner at GitHub that it refused as ${kind}`, async () => {
      await open();
      jit = () => Promise.reject(new GithubError(kind, 'POST generate-jitconfig', 'refused'));
      const after = await run();
      expect(after.state).to.equal(registered ? 'draining' : 'gone');
      expect(after.deregisteredAtMs === null).to.equal(registered);
      expect(requests).to.deep.equal([]);
      expect(metrics).to.deep.equal([`${kind} on github`]);
    });
  }
});
