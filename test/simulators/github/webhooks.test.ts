import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Ajv, type ValidateFunction } from 'ajv';
import formats from 'ajv-formats';
import { expect } from 'chai';
import { type GithubSimulator, type SimulatorOptions, startGithubSimulator } from '../../../simulators/github/index.ts';
import { asApp, asPerson, bare, refusal } from './client.ts';
import { ManualClock } from './manual-clock.ts';
import { type Receiver, startReceiver } from './receiver.ts';
import { WireRunner } from './wire-runner.ts';

const secret = "It's a Secret to Everybody";

const compiled = new Map<string, ValidateFunction>();
const ajv = new Ajv({ strict: false, validateSchema: false, inlineRefs: false });

/** The octokit community's schema of webhook bodies. */
function schemaOf(definition: string): ValidateFunction {
  if (compiled.size === 0) {
    formats.default(ajv);
    const file = createRequire(import.meta.url).resolve('@octokit/webhooks-schemas/schema.json');
    const schema: unknown = JSON.parse(readFileSync(file, 'utf8'));
    ajv.addSchema({ $id: 'webhooks', ...Object.fromEntries(Object.entries(schema ?? {})) });
  }
  const validate = compiled.get(definition) ?? ajv.compile({ $ref: `webhooks#/definitions/${definition}` });
  compiled.set(definition, validate);
  return validate;
}

describe('GitHub simulator: webhooks', () => {
  let simulator: GithubSimulator;
  let receiver: Receiver;
  const target = { owner: 'acme', repository: 'web' };
  const yaml = 'jobs: { only: { runs-on: [a], steps: [{ run: "true" }, { run: "true" }] } }';

  async function start(options: SimulatorOptions = {}): Promise<void> {
    simulator = await startGithubSimulator({
      apps: [{ webhook: { url: receiver.url, secret, events: ['workflow_job', 'workflow_run'] } }],
      tokens: [{ login: 'root', owners: ['*'], access: 'admin' }],
      ...options,
    });
  }
  beforeEach(async () => {
    receiver = await startReceiver(secret);
    await start();
  });
  afterEach(async () => {
    await simulator.close();
    await receiver.close();
  });

  const jobEvents = () => receiver.received.filter(({ event }) => event === 'workflow_job');
  const settled = () => simulator.waitFor(() => simulator.pendingDeliveries === 0);

  async function runOne(): Promise<void> {
    simulator.pushWorkflow({ ...target, yaml });
    const runner = await WireRunner.connect(simulator, { name: 'r', labels: ['a'] });
    await runner.take();
    await runner.finish();
    await settled();
  }

  it("signs every delivery and sends GitHub's headers", async () => {
    await runOne();
    const [first] = jobEvents();
    expect(receiver.received.every(({ signed }) => signed)).to.equal(true);
    expect(first?.headers).to.include({
      'content-type': 'application/json',
      'x-github-event': 'workflow_job',
      'x-github-hook-installation-target-type': 'integration',
      'x-github-hook-installation-target-id': String(simulator.apps[0]?.id),
    });
    expect(first?.headers['user-agent']).to.match(/^GitHub-Hookshot\//);
    expect(first?.headers['x-github-hook-id']).to.match(/^\d+$/);
    expect(first?.guid).to.match(/^[0-9a-f-]{36}$/);
    expect(new Set(receiver.received.map(({ guid }) => guid)).size).to.equal(receiver.received.length);
  });

  it('tells the way of a job in workflow_job events of the right shape', async () => {
    await runOne();
    expect(
      jobEvents()
        .map(({ action }) => action)
        .sort(),
    ).to.deep.equal(['completed', 'in_progress', 'queued']);
    for (const { action, payload } of jobEvents()) {
      const validate = schemaOf(`workflow_job$${action}`);
      validate(payload);
      expect(validate.errors ?? [], action).to.deep.equal([]);
    }
    const completed = jobEvents().find(({ action }) => action === 'completed')?.payload['workflow_job'];
    expect(completed).to.include({ runner_name: 'r', conclusion: 'success', runner_group_name: 'Default' });
  });

  it('tells the way of a run in workflow_run events of the right shape', async () => {
    await runOne();
    const events = receiver.received.filter(({ event }) => event === 'workflow_run');
    expect(events.map(({ action }) => action).sort()).to.deep.equal(['completed', 'in_progress', 'requested']);
    for (const { action, payload } of events) {
      const validate = schemaOf(`workflow_run$${action}`);
      validate(payload);
      expect(validate.errors ?? [], action).to.deep.equal([]);
    }
  });

  it('goes queued (waiting) → waiting → queued behind an environment, the first with the deployment', async () => {
    const gated = 'jobs: { deploy: { runs-on: [a], environment: production, steps: [{ run: x }] } }';
    simulator.pushWorkflow({ ...target, yaml: gated });
    await settled();
    simulator.approve(target);
    await settled();
    const seen = jobEvents().map(({ action, payload }) => {
      const job = payload['workflow_job'];
      const status = typeof job === 'object' && job !== null && 'status' in job ? job.status : undefined;
      return `${action}/${String(status)}/${'deployment' in payload ? 'deployment' : '-'}`;
    });
    expect(seen.slice(0, 2).sort()).to.deep.equal(['queued/waiting/deployment', 'waiting/waiting/-']);
    expect(seen.slice(2)).to.deep.equal(['queued/queued/-']);
    for (const { action, payload } of jobEvents()) {
      const validate = schemaOf(`workflow_job$${action}`);
      validate(payload);
      expect(validate.errors ?? [], action).to.deep.equal([]);
    }
  });

  it('completes a cancelled job without a runner', async () => {
    const { id } = simulator.pushWorkflow({ ...target, yaml });
    simulator.cancel({ runId: id });
    await settled();
    const completed = jobEvents().find(({ action }) => action === 'completed');
    expect(completed?.payload['workflow_job']).to.deep.include({
      conclusion: 'cancelled',
      runner_id: 0,
      runner_name: '',
      steps: [],
    });
    expect(schemaOf('workflow_job$completed')(completed?.payload)).to.equal(true);
  });

  it('serves hooks of organizations and repositories, and greets them with a ping', async () => {
    const octokit = asPerson(simulator);
    const other = await startReceiver('another');
    const config = { url: `${other.url}/repo`, content_type: 'json', secret: 'another' };
    const made = await octokit.repos.createWebhook({ owner: 'acme', repo: 'web', config, events: ['workflow_job'] });
    await octokit.orgs.createWebhook({
      org: 'acme',
      name: 'web',
      config: { ...config, url: other.url },
      events: ['workflow_job'],
    });
    expect(made.data.config.secret).to.equal('********');
    simulator.pushWorkflow({ ...target, yaml });
    await settled();
    const seen = other.received.map(
      ({ event, headers }) => `${event} ${String(headers['x-github-hook-installation-target-type'])}`,
    );
    expect(seen.sort()).to.deep.equal([
      'ping organization',
      'ping repository',
      'workflow_job organization',
      'workflow_job repository',
    ]);
    expect(other.received.every(({ signed }) => signed)).to.equal(true);
    const ping = other.received.find(({ event }) => event === 'ping');
    const validate = schemaOf('ping$event');
    validate(ping?.payload);
    expect(validate.errors ?? []).to.deep.equal([]);
    const hooks = await octokit.repos.listWebhooks({ owner: 'acme', repo: 'web' });
    expect(hooks.data.map(({ id }) => id)).to.deep.equal([made.data.id]);
    const deliveries = await octokit.repos.listWebhookDeliveries({ owner: 'acme', repo: 'web', hook_id: made.data.id });
    expect(deliveries.data.map(({ event }) => event).sort()).to.deep.equal(['ping', 'workflow_job']);
    await other.close();
  });

  it('keeps a log of deliveries, and redelivers with the same GUID', async () => {
    receiver.answerWith(500);
    simulator.pushWorkflow({ ...target, yaml });
    await settled();
    receiver.answerWith(202);
    const octokit = asApp(simulator);
    const { data } = await octokit.apps.listWebhookDeliveries({ per_page: 100 });
    const failed = data.find(({ event }) => event === 'workflow_job');
    expect(failed).to.include({ status_code: 500, action: 'queued', redelivery: false });
    const delivery_id = failed?.id ?? 0;
    const { data: whole } = await octokit.apps.getWebhookDelivery({ delivery_id });
    expect(whole.request.payload).to.have.property('action', 'queued');
    expect(whole.response.payload).to.equal('seen');
    await octokit.apps.redeliverWebhookDelivery({ delivery_id });
    await settled();
    const [first, second] = jobEvents();
    expect(second?.guid).to.equal(first?.guid);
    expect(second?.body).to.equal(first?.body);
    const after = await octokit.apps.listWebhookDeliveries({ per_page: 1 });
    expect(after.data[0]).to.include({ redelivery: true, status: 'OK', guid: failed?.guid });
  });

  it('pages through the log with a cursor', async () => {
    await runOne();
    const octokit = asApp(simulator);
    const all = await octokit.paginate(octokit.apps.listWebhookDeliveries, { per_page: 2 });
    expect(all).to.have.length(6);
    expect(new Set(all.map(({ id }) => id)).size).to.equal(6);
  });

  it('lists those that failed, or those that did not, and nothing older than three days', async () => {
    await simulator.close();
    const clock = new ManualClock();
    await start({ clock });
    receiver.answerWith(503);
    simulator.pushWorkflow({ ...target, yaml });
    await settled();
    receiver.answerWith(302);
    simulator.pushWorkflow({ ...target, yaml });
    await settled();
    const octokit = asApp(simulator);
    const listed = async (status?: 'success' | 'failure') => {
      const { data } = await octokit.request('GET /app/hook/deliveries', status === undefined ? {} : { status });
      return data.map(({ status_code }) => status_code);
    };
    expect(await listed('failure')).to.deep.equal([503, 503]);
    expect(await listed('success')).to.deep.equal([302, 302]);
    const unknown = await bare(simulator, 'GET /app/hook/deliveries?status=lost', { token: simulator.tokens[0] });
    expect(unknown.status, 'only the App itself').to.equal(401);
    const [oldest] = simulator.deliveries();
    clock.advance(3 * 24 * 3_600_000);
    // What is left was sent since, as the jobs were cancelled after a day in the queue.
    expect(await listed('success')).to.deep.equal([]);
    const again = octokit.apps.redeliverWebhookDelivery({ delivery_id: oldest?.id ?? 0 });
    expect(await refusal(again)).to.equal(404);
  });

  it('gives an event one GUID, whichever hooks it goes to', async () => {
    const other = await startReceiver('another');
    simulator.addHook({ on: 'acme', url: other.url, secret: 'another' });
    simulator.pushWorkflow({ ...target, yaml });
    await settled();
    const [first] = jobEvents();
    expect(first).to.not.equal(undefined);
    expect(other.received.map(({ event, guid }) => `${event} ${guid}`)).to.include(`workflow_job ${first?.guid}`);
    await other.close();
  });

  it('gives a receiver ten seconds, and never tries again by itself', async () => {
    await simulator.close();
    const clock = new ManualClock();
    await start({ clock });
    receiver.answerWith(undefined);
    simulator.pushWorkflow({ ...target, yaml });
    await receiver.until(2);
    clock.advance(10_000);
    await settled();
    expect(simulator.deliveries().map(({ status }) => status)).to.deep.equal(['timed out', 'timed out']);
    clock.advance(3_600_000);
    expect(receiver.received).to.have.length(2);
  });

  it('loses a delivery but leaves it in the log', async () => {
    simulator.faults.set({ webhooks: { lose: 1 } });
    simulator.pushWorkflow({ ...target, yaml });
    await settled();
    expect(receiver.received).to.have.length(0);
    const lost = simulator.deliveries().find(({ event }) => event === 'workflow_job');
    expect(lost?.status).to.equal('failed to connect to host');
    simulator.faults.clear();
    simulator.redeliver(lost?.id ?? 0);
    await settled();
    expect(jobEvents().map(({ guid }) => guid)).to.deep.equal([lost?.guid]);
  });

  it('lets a delivery vanish without a trace', async () => {
    simulator.faults.set({ webhooks: { vanish: 1 } });
    simulator.pushWorkflow({ ...target, yaml });
    await settled();
    expect([receiver.received.length, simulator.deliveries().length]).to.deep.equal([0, 0]);
  });

  it('doubles a delivery under one GUID', async () => {
    simulator.faults.set({ webhooks: { double: 1 } });
    simulator.pushWorkflow({ ...target, yaml });
    await settled();
    const [first, second] = jobEvents();
    expect(jobEvents()).to.have.length(2);
    expect(second?.guid).to.equal(first?.guid);
  });

  it('sends a delivery late, and out of order', async () => {
    await simulator.close();
    const clock = new ManualClock();
    await start({ clock, apps: [{ webhook: { url: receiver.url, secret } }] });
    simulator.faults.set({ webhooks: { late: 1, lateMs: [5_000, 5_000] } });
    simulator.pushWorkflow({ ...target, yaml });
    expect(simulator.pendingDeliveries).to.equal(1);
    simulator.faults.set({ webhooks: { reorder: 1 } });
    const { id } = simulator.pushWorkflow({ ...target, yaml });
    simulator.faults.clear();
    simulator.cancel({ runId: id });
    await simulator.waitFor(() => receiver.received.length === 2);
    expect(simulator.deliveries().filter(({ status }) => status === 'OK').length).to.be.greaterThan(0);
    clock.advance(5_000);
    await settled();
    expect(receiver.received).to.have.length(3);
  });
});
