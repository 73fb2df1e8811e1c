import { expect } from 'chai';
import { type GithubSimulator, type SimulatorOptions, startGithubSimulator } from '../../../simulators/github/index.ts';
import { asInstallation, asPerson, bare, refusal } from './client.ts';
import { ManualClock } from './manual-clock.ts';
import { register } from './wire-runner.ts';

describe('GitHub simulator: the wire', () => {
  let simulator: GithubSimulator;
  let clock: ManualClock;
  const yaml = 'jobs: { only: { runs-on: [a], steps: [{ run: "true" }] } }';
  const target = { owner: 'acme', repository: 'web' };
  const jit = { name: 'r', runner_group_id: 1, labels: ['a'] };
  const jitPath = '/orgs/acme/actions/runners/generate-jitconfig';

  async function start(options: SimulatorOptions = {}): Promise<void> {
    clock = new ManualClock();
    simulator = await startGithubSimulator({
      clock,
      tokens: [{ login: 'root', owners: ['*'], access: 'admin' }],
      ...options,
    });
  }
  beforeEach(() => start());
  afterEach(() => simulator.close());

  const token = () => simulator.tokens[0];
  const send = (call: string, wish: { body?: unknown; headers?: Record<string, string> } = {}) =>
    bare(simulator, call, { token: token(), ...wish });
  const used = async () => Number((await send('GET /rate_limit')).headers.get('x-ratelimit-used'));

  it('puts a request id and the rate limit on every reply', async () => {
    const replies = [
      await send('GET /repos/acme/web'),
      await send('GET /repos/acme/nothing'),
      await send('GET /no/such/route'),
    ];
    expect(replies.map(({ status }) => status)).to.deep.equal([200, 404, 404]);
    const ids = replies.map(({ headers }) => headers.get('x-github-request-id'));
    expect(new Set(ids).size).to.equal(3);
    expect(ids[0]).to.match(/^[0-9A-F]{4}(:[0-9A-F]+){4}$/);
    expect(replies[0]?.headers.get('x-ratelimit-limit')).to.equal('5000');
    expect(replies[1]?.body).to.deep.include({ message: 'Not Found', status: '404' });
    expect(replies[1]?.body).to.have.property('documentation_url');
  });

  it('answers under /api/v3 as GHES does, and pages within it', async () => {
    for (let index = 0; index < 3; index += 1) await register(simulator, { name: `r-${index}`, labels: ['a'] });
    const reply = await send('GET /api/v3/orgs/acme/actions/runners?per_page=1');
    expect(reply.status).to.equal(200);
    expect(reply.headers.get('link')).to.include(
      `<${simulator.url}/api/v3/orgs/acme/actions/runners?per_page=1&page=2>; rel="next"`,
    );
  });

  it('has files, as they are and as GitHub describes them, and answers 304 to an unchanged one', async () => {
    const path = 'GET /repos/acme/web/contents/shr.yaml';
    const raw = { headers: { accept: 'application/vnd.github.raw+json' } };
    expect((await send(path)).status).to.equal(404);
    const text = 'policy: { maxCpu: 8 }\n'.repeat(5);
    simulator.putFile({ ...target, path: 'shr.yaml', text });
    const described = await send(path);
    expect(described.body).to.include({ type: 'file', encoding: 'base64', size: text.length, path: 'shr.yaml' });
    expect(described.body).to.have.property('sha').with.length(40);
    const answer = async (etag: string) => {
      const headers = { ...raw.headers, authorization: `Bearer ${token()}`, 'if-none-match': etag };
      return await fetch(`${simulator.url}/repos/acme/web/contents/shr.yaml`, { headers });
    };
    const first = await answer('');
    expect(first.headers.get('content-type')).to.equal('application/vnd.github.raw+json; charset=utf-8');
    expect(await first.text()).to.equal(text);
    const before = await used();
    expect((await answer(first.headers.get('etag') ?? '')).status).to.equal(304);
    expect(await used()).to.equal(before);
    simulator.putFile({ ...target, path: 'shr.yaml', text: undefined });
    expect((await answer(first.headers.get('etag') ?? '')).status).to.equal(404);
  });

  it('answers 304 to an unchanged list, at no cost', async () => {
    simulator.pushWorkflow({ ...target, yaml });
    const path = 'GET /repos/acme/web/actions/runs?status=queued';
    const first = await send(path);
    const etag = first.headers.get('etag') ?? '';
    const before = await used();
    const second = await send(path, { headers: { 'if-none-match': etag } });
    expect([second.status, second.body]).to.deep.equal([304, undefined]);
    expect(await used()).to.equal(before);
    simulator.pushWorkflow({ ...target, yaml });
    expect((await send(path, { headers: { 'if-none-match': etag } })).status).to.equal(200);
    expect(await used()).to.equal(before + 1);
  });

  it('gives different credentials different ETags', async () => {
    const path = 'GET /repos/acme/web/actions/runs';
    const etag = (await send(path)).headers.get('etag') ?? '';
    const installation = await asInstallation(simulator).request('GET /repos/{owner}/{repo}/actions/runs', {
      owner: 'acme',
      repo: 'web',
    });
    expect(installation.headers.etag).to.not.equal(etag);
  });

  it('shows at most 1,000 results of a filtered search', async () => {
    for (let index = 0; index < 1_003; index += 1) simulator.pushWorkflow({ ...target, yaml });
    const octokit = asPerson(simulator);
    const wish = { owner: 'acme', repo: 'web', status: 'queued', per_page: 100 } as const;
    const runs = await octokit.paginate(octokit.actions.listWorkflowRunsForRepo, wish);
    expect(runs).to.have.length(1_000);
    const page = await octokit.actions.listWorkflowRunsForRepo({ ...wish, page: 11 });
    expect([page.data.total_count, page.data.workflow_runs.length]).to.deep.equal([1_003, 0]);
  });

  it('refuses with 403 once the hour is spent, and says when to come back', async () => {
    await simulator.close();
    await start({ limits: { requestsPerHour: 3 } });
    for (let index = 0; index < 3; index += 1) expect((await send('GET /repos/acme/web')).status).to.equal(200);
    const refused = await send('GET /repos/acme/web');
    expect(refused.status).to.equal(403);
    expect(refused.body)
      .to.have.property('message')
      .that.matches(/^API rate limit exceeded for user ID/);
    expect(refused.headers.get('x-ratelimit-remaining')).to.equal('0');
    const resetMs = Number(refused.headers.get('x-ratelimit-reset')) * 1_000;
    expect((await send('GET /rate_limit')).status).to.equal(200);
    clock.advance(resetMs - clock.now());
    expect((await send('GET /repos/acme/web')).status).to.equal(200);
  });

  it('counts each credential for itself', async () => {
    await simulator.close();
    await start({ limits: { requestsPerHour: 1 } });
    expect((await send('GET /repos/acme/web')).status).to.equal(200);
    expect((await send('GET /repos/acme/web')).status).to.equal(403);
    await asInstallation(simulator).repos.get({ owner: 'acme', repo: 'web' });
  });

  it('refuses more than 900 points a minute: a read is 1, a write 5', async () => {
    await simulator.close();
    await start({ limits: { pointsPerMinute: 12 } });
    expect((await send(`POST ${jitPath}`, { body: { ...jit, name: 'r-1' } })).status).to.equal(201);
    expect((await send(`POST ${jitPath}`, { body: { ...jit, name: 'r-2' } })).status).to.equal(201);
    expect((await send('GET /repos/acme/web')).status).to.equal(200);
    const refused = await send(`POST ${jitPath}`, { body: { ...jit, name: 'r-3' } });
    expect(refused.status).to.equal(403);
    expect(refused.body).to.have.property('message').that.includes('secondary rate limit');
    expect(refused.body).to.have.property('documentation_url').that.includes('about-secondary-rate-limits');
    const afterS = Number(refused.headers.get('retry-after'));
    expect(afterS).to.be.within(1, 60);
    clock.advance(afterS * 1_000);
    expect((await send(`POST ${jitPath}`, { body: { ...jit, name: 'r-3' } })).status).to.equal(201);
  });

  it('limits what creates content, and registrations of runners, on top', async () => {
    await simulator.close();
    await start({ limits: { contentPerMinute: 1, registrationsPer5Minutes: 1 } });
    const octokit = asInstallation(simulator);
    const check = { owner: 'acme', repo: 'web', name: 'refused', head_sha: 'a'.repeat(40) };
    const made = await octokit.checks.create({
      ...check,
      conclusion: 'action_required',
      output: { title: 't', summary: 's' },
    });
    expect(made.data).to.include({ status: 'completed', conclusion: 'action_required' });
    expect(await refusal(octokit.checks.create(check))).to.equal(403);
    clock.advance(60_000);
    await octokit.checks.update({ owner: 'acme', repo: 'web', check_run_id: made.data.id, status: 'in_progress' });
    expect((await octokit.checks.get({ owner: 'acme', repo: 'web', check_run_id: made.data.id })).data.name).to.equal(
      'refused',
    );
    await register(simulator, { name: 'one', labels: ['a'] });
    expect(await refusal(register(simulator, { name: 'two', labels: ['a'] }))).to.equal(429);
    await register(simulator, { name: 'elsewhere', labels: ['a'], scope: { owner: 'acme', repo: 'web' } });
  });

  it('plays an exhausted limit on request', async () => {
    await bare(simulator, 'POST /_simulator/faults', {
      body: { rateLimit: { kind: 'secondary', retryAfterSeconds: 7 } },
    });
    const secondary = await send('GET /repos/acme/web');
    expect([secondary.status, secondary.headers.get('retry-after')]).to.deep.equal([403, '7']);
    simulator.faults.set({ rateLimit: { kind: 'primary', retryAfterSeconds: 9 } });
    const primary = await send('GET /repos/acme/web');
    expect([primary.status, primary.headers.get('x-ratelimit-remaining')]).to.deep.equal([403, '0']);
    await bare(simulator, 'DELETE /_simulator/faults');
    expect((await send('GET /repos/acme/web')).status).to.equal(200);
  });

  it('breaks a route for as many times as it is told, without an effect', async () => {
    const rule = { method: 'POST', route: 'generate-jitconfig', status: 503, times: 2 };
    expect((await bare(simulator, 'POST /_simulator/faults', { body: { responses: [rule] } })).status).to.equal(200);
    const statuses: number[] = [];
    for (let index = 0; index < 3; index += 1) statuses.push((await send(`POST ${jitPath}`, { body: jit })).status);
    expect(statuses).to.deep.equal([503, 503, 201]);
    expect(simulator.runners()).to.have.length(1);
  });

  it('resets a connection after the effect, so that the retry meets 409', async () => {
    simulator.faults.set({ timeouts: [{ route: 'generate-jitconfig', effect: 'after', how: 'reset', times: 1 }] });
    const failure = await send(`POST ${jitPath}`, { body: jit }).then(
      () => 'answered',
      () => 'reset',
    );
    expect(failure).to.equal('reset');
    expect((await send(`POST ${jitPath}`, { body: jit })).status).to.equal(409);
  });

  it('hangs before the effect, if told so, until the client gives up', async () => {
    simulator.faults.set({ timeouts: [{ route: 'generate-jitconfig', effect: 'before', how: 'hang', times: 1 }] });
    const signal = AbortSignal.timeout(100);
    const headers = { authorization: `Bearer ${token()}` };
    const hung = fetch(`${simulator.url}${jitPath}`, { method: 'POST', headers, body: JSON.stringify(jit), signal });
    expect(
      await hung.then(
        () => 'answered',
        (error: unknown) => (error instanceof Error ? error.name : ''),
      ),
    ).to.equal('TimeoutError');
    expect((await send(`POST ${jitPath}`, { body: jit })).status).to.equal(201);
  });

  it('does the same under the same seed', async () => {
    const play = async (seed: number): Promise<number[]> => {
      await simulator.close();
      await start({ seed, faults: { responses: [{ route: '/repos/:owner/:repo', probability: 0.5, status: 502 }] } });
      const statuses: number[] = [];
      for (let index = 0; index < 12; index += 1) statuses.push((await send('GET /repos/acme/web')).status);
      return statuses;
    };
    const one = await play(7);
    expect(new Set(one)).to.deep.equal(new Set([200, 502]));
    expect(await play(7)).to.deep.equal(one);
    expect(await play(8)).to.not.deep.equal(one);
  });

  it('refuses unknown faults, and bodies that are not JSON or too large', async () => {
    expect((await bare(simulator, 'POST /_simulator/faults', { body: { gremlins: 1 } })).status).to.equal(422);
    expect((await send(`POST ${jitPath}`, { body: '{' })).status).to.equal(400);
    expect((await send(`POST ${jitPath}`, { body: 'x'.repeat(2 * 1024 * 1024) })).status).to.equal(413);
  });

  it('lists the repositories of owners, and its own state', async () => {
    const octokit = asPerson(simulator);
    const { data } = await octokit.repos.listForOrg({ org: 'acme', per_page: 2 });
    expect(data.map(({ name }) => name)).to.deep.equal(['web', 'api']);
    await bare(simulator, 'POST /_simulator/owners/acme/repos', { body: { name: 'new' } });
    await octokit.repos.get({ owner: 'acme', repo: 'new' });
    simulator.pushWorkflow({ ...target, yaml });
    const state = await bare(simulator, 'GET /_simulator/state');
    expect(state.body).to.have.nested.property('jobs[0].repository', 'acme/web');
    expect((await send('GET /meta')).status).to.equal(200);
  });
});
