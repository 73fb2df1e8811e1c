import { expect } from 'chai';
import { Secret } from '../../dispatcher/model/registration.ts';
import { type GithubSimulator, startGithubSimulator } from '../../simulators/github/index.ts';
import { acme, type ClientOptions, clientOf, failureOf } from './github-fixture.ts';
import { VirtualClock } from './virtual-clock.ts';

const WORKFLOW = `
on: push
jobs:
  build:
    runs-on: [acme-runner]
    strategy: { matrix: { n: [1, 2] } }
    steps: [{ run: 'true' }]
  deploy:
    runs-on: acme-runner
    environment: production
    steps: [{ run: 'true' }]
`;

describe('the GitHub client against the simulator', () => {
  let simulator: GithubSimulator;

  beforeEach(async () => {
    simulator = await startGithubSimulator({
      owners: [
        { login: 'acme', repositories: [{ name: 'web' }, { name: 'api' }], runnerGroups: [{ name: 'builders' }] },
        { login: 'ada', type: 'User', repositories: [{ name: 'dotfiles' }] },
      ],
      enterprises: [{ slug: 'big', organizations: ['acme'] }],
      tokens: [{ login: 'root', owners: ['*'], access: 'admin' }],
    });
  });
  afterEach(() => simulator.close());

  const asApp = (options: ClientOptions = {}) => {
    const [app] = simulator.apps;
    if (app === undefined) throw new Error('the simulator has an App');
    const credentials = { kind: 'app', appId: String(app.id), privateKey: new Secret(app.privateKey) } as const;
    // Its JWTs and tokens are judged by the simulator's own clock.
    return clientOf(simulator.url, { clock: new VirtualClock(Date.now()), credentials, ...options });
  };
  const asPerson = (options: ClientOptions = {}) =>
    clientOf(simulator.url, {
      clock: new VirtualClock(Date.now()),
      credentials: { kind: 'token', token: new Secret(simulator.tokens[0] ?? '') },
      ...options,
    });
  const request = { scope: acme, name: 'shr-1', runnerGroup: 'default', labels: ['acme-runner', 'Cpu-4'] };

  for (const [who, connect] of [
    ['an App', asApp],
    ['a personal access token', asPerson],
  ] as const) {
    it(`registers, finds and removes a runner as ${who}`, async () => {
      const { github } = connect();
      const { runnerId } = await github.createJitRunner(request);
      const found = await github.findRunner(acme, 'shr-1', 'verify');
      expect(found).to.deep.include({ id: runnerId, name: 'shr-1', status: 'offline', busy: false });
      expect(found?.labels).to.have.members(['acme-runner', 'Cpu-4']);
      expect(await github.getRunner(acme, runnerId, 'verify')).to.deep.equal(found);
      expect(await github.listRunners(acme, 'sweep')).to.deep.equal([found]);
      expect(await github.deleteRunner(acme, runnerId)).to.equal('deleted');
      expect(await github.deleteRunner(acme, runnerId)).to.equal('absent');
      expect(simulator.runners()).to.deep.equal([]);
    });
  }

  it('gets a conflict for a name that exists', async () => {
    const { github } = asApp();
    await github.createJitRunner(request);
    await failureOf(github.createJitRunner(request), 'conflict');
  });

  it('registers in a runner group by name', async () => {
    await asApp().github.createJitRunner({ ...request, runnerGroup: 'builders' });
    expect(simulator.runners()[0]?.group).to.equal('builders');
  });

  it('registers for a repository of a user, and for an enterprise', async () => {
    const user = asApp({ claim: { kind: 'user', user: 'ada' } });
    const repository = { kind: 'repository', owner: 'ada', repository: 'dotfiles' } as const;
    await user.github.createJitRunner({ ...request, scope: repository });
    const enterprise = asPerson({ claim: { kind: 'enterprise', enterprise: 'big', organizations: ['acme'] } });
    await enterprise.github.createJitRunner({ ...request, scope: { kind: 'enterprise', enterprise: 'big' } });
    expect(simulator.runners().map((runner) => runner.scope)).to.have.members([
      'repos/ada/dotfiles',
      'enterprises/big',
    ]);
  });

  it('goes on after GitHub has forgotten its token', async () => {
    const { github, clock } = asApp();
    await github.listRunners(acme, 'sweep');
    await clock.advance(60_000);
    simulator.revokeTokens();
    expect(await github.listRunners(acme, 'sweep')).to.deep.equal([]);
  });

  it('says what a GHES without JIT answers', async () => {
    await simulator.close();
    simulator = await startGithubSimulator({ jit: false });
    await failureOf(asApp().github.createJitRunner(request), 'not-found');
  });

  it('reads repositories, open runs and their jobs', async () => {
    const { id } = simulator.pushWorkflow({ owner: 'acme', repository: 'web', yaml: WORKFLOW });
    const { github } = asApp();
    const signal = new AbortController().signal;
    const { repositories } = await github.listRepositories(signal);
    expect(repositories.map((one) => one.repository)).to.have.members(['web', 'api']);
    const web = repositories.find((one) => one.repository === 'web');
    if (web === undefined) throw new Error('web is listed');
    const open = await Promise.all(
      (['queued', 'in_progress', 'waiting'] as const).map((status) => github.listRuns(web, status, signal)),
    );
    expect(open.flatMap((list) => list.runIds)).to.deep.equal([id]);
    const jobs = await github.listJobs(web, id, signal);
    expect(jobs?.facts.map((fact) => fact.status)).to.have.members(['queued', 'queued', 'waiting']);
    expect(jobs?.facts[0]).to.include({ visibility: 'private', source: 'poll', runId: id });
    const [job] = jobs?.facts ?? [];
    const read = await github.readJob('acme', 'web', job?.jobId ?? 0);
    expect(read).to.deep.equal({
      ...job,
      repositoryId: null,
      visibility: undefined,
      source: 'read',
      observedAtMs: read?.observedAtMs,
    });
  });

  it('learns from GitHub how much of the hour is left, and that an unchanged answer costs nothing', async () => {
    const { github, budgets } = asPerson();
    const left = () => budgets.snapshot().find((level) => level.class === 'core')?.remaining;
    await github.listRunners(acme, 'sweep');
    const before = left();
    expect(before).to.be.below(5_000);
    await github.listRunners(acme, 'sweep');
    expect(left()).to.equal(before);
  });

  it('keeps out of reach of GitHub’s own refusals, whatever is asked of it', async () => {
    await simulator.close();
    simulator = await startGithubSimulator({
      owners: [{ login: 'acme', repositories: [{ name: 'web' }] }],
      tokens: [{ login: 'root', owners: ['*'], access: 'admin' }],
      limits: { pointsPerMinute: 100, concurrentRequests: 5 },
    });
    const { github } = asPerson({
      limits: { pointsPerMinute: 100, atOnceShare: 1, concurrentRequests: 5, longestWaitMs: 1_000 },
    });
    const outcomes = await Promise.allSettled(
      Array.from({ length: 60 }, (_, index) => github.createJitRunner({ ...request, name: `shr-${index}` })),
    );
    const refusals = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
    expect(outcomes.length - refusals.length).to.equal(20);
    expect(simulator.runners()).to.have.length(20);
    // Without a status: our own budget, not GitHub's.
    for (const refusal of refusals) expect(refusal).to.include({ kind: 'rate-limited', status: undefined });
  });
});
