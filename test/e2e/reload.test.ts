import { appendFile, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { registrationListSchema } from '../../dispatcher/http/admin-shapes.ts';
import { ADMIN_TOKEN, eventually, type Service, startService } from './service-fixture.ts';

const workflow = (label: string, jobs: number, script: string) => `
on: push
jobs:
${Array.from({ length: jobs }, (_, index) => `  work${index}:\n    runs-on: ${label}\n    steps: [{ run: "${script}" }]`).join('\n')}
`;

const LIVE_MS = 2_000;
/** What a busy machine may need beside that. */
const SLACK_MS = 8_000;

describe('a dispatcher whose configuration changes', function () {
  this.timeout(120_000);
  let service: Service;

  afterEach(() => service.close());

  async function ask(path: string): Promise<unknown> {
    const response = await fetch(`${service.adminUrl}${path}`, { headers: { authorization: `Bearer ${ADMIN_TOKEN}` } });
    expect(response.status).to.equal(200);
    return response.json();
  }

  const list = async () => registrationListSchema.parse(await ask('/api/registrations'));
  const file = (name: string) => join(service.folder, 'registrations', name);
  const jobsIn = (status: string) => service.github.jobs().filter((job) => job.status === status).length;
  const events = (event: string) =>
    service
      .output()
      .split('\n')
      .filter((line) => line.includes(`"event":"${event}"`));

  async function change(name: string, edit: (registration: Record<string, unknown>) => unknown): Promise<void> {
    const before = z.record(z.string(), z.unknown()).parse(parse(await readFile(file('e2e.yaml'), 'utf8')));
    await writeFile(`${file(name)}.draft`, stringify(edit(before)));
    await rename(`${file(name)}.draft`, file(name));
  }

  /** Until the dispatcher says that a version is in force. */
  async function live(action: () => Promise<void>): Promise<void> {
    const before = events('configuration').length;
    await action();
    const startedAt = performance.now();
    await eventually('the change is in force', LIVE_MS + SLACK_MS, () =>
      events('configuration').length > before ? true : undefined,
    );
    const ms = performance.now() - startedAt;
    expect(ms, 'until it was in force').to.be.lessThan(LIVE_MS + SLACK_MS);
  }

  it('raises a cap while jobs run, without a restart and without touching them', async () => {
    service = await startService({ maxRunners: 2 });
    service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml: workflow('e2e', 6, 'sleep 15') });
    await eventually('two run', 40_000, () => (jobsIn('in_progress') === 2 ? true : undefined));
    await live(() => change('e2e.yaml', (before) => ({ ...before, maxRunners: 6 })));
    await eventually('all six run', 40_000, () => (jobsIn('in_progress') === 6 ? true : undefined));
    await eventually('all end', 60_000, () => (jobsIn('completed') === 6 ? true : undefined));
    expect(service.github.jobs().map(({ conclusion }) => conclusion)).to.deep.equal(Array(6).fill('success'));
    expect(events('started')).to.have.length(1);
  });

  it('takes the waiting job of a registration that is added, and drains one that is removed', async () => {
    service = await startService();
    service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml: workflow('second', 1, 'sleep 10') });
    await live(() => change('second.yaml', (before) => ({ ...before, labels: ['second'], webhook: undefined })));
    await eventually('the job runs', 40_000, () => (jobsIn('in_progress') === 1 ? true : undefined));

    await live(() => rm(file('second.yaml')));
    service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml: workflow('second', 1, 'echo never') });
    const { absent, registrations } = await list();
    expect(registrations.map(({ name }) => name)).to.deep.equal(['e2e']);
    expect(absent).to.deep.equal([{ registration: 'second', absence: 'removed', runners: 1, served: true }]);
    await eventually('the first job ends', 40_000, () => (jobsIn('completed') === 1 ? true : undefined));
    expect(service.github.jobs().find(({ status }) => status === 'completed')?.conclusion).to.equal('success');
    await eventually('its runner is gone, and it with it', 60_000, () =>
      events('registration-gone').length === 1 ? true : undefined,
    );
    expect((await list()).absent).to.deep.equal([]);
    expect(jobsIn('queued')).to.equal(1);
  });

  it('accepts deliveries by the new webhook secret alone, once it is there', async () => {
    service = await startService({ environment: { OTHER_SECRET: 'another-secret-of-the-webhook' } });
    const before = await deliver('another-secret-of-the-webhook');
    expect(before).to.equal(401);
    await live(() => change('e2e.yaml', (was) => ({ ...was, webhook: { secrets: [`\${env:OTHER_SECRET}`] } })));
    expect(await deliver('another-secret-of-the-webhook')).to.be.within(200, 299);
    expect(await deliver(service.webhookSecret)).to.equal(401);
  });

  it('keeps the last version without problems of a broken file, over a restart too, and says so', async () => {
    service = await startService();
    await live(async () => appendFile(file('e2e.yaml'), 'nonsense: 1\n'));
    const kept = async () => {
      const { quarantined, registrations } = await list();
      expect(quarantined).to.deep.equal([]);
      expect(registrations).to.have.length(1);
      expect(registrations[0]?.problems.map(({ kind }) => kind)).to.deep.equal(['configuration']);
      expect(registrations[0]?.problems[0]?.message).to.match(/e2e\.yaml:\d+:1: nonsense: unknown key.*last version/);
    };
    await kept();
    await service.end('SIGTERM');
    await service.restart();
    await kept();
    expect(service.output()).to.include('shr: e2e: its file has 1 problem, and its last version');
    service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml: workflow('e2e', 1, 'echo done') });
    await eventually('the job ends', 60_000, () => (jobsIn('completed') === 1 ? true : undefined));
    await live(() => change('e2e.yaml', ({ nonsense: _, ...right }) => right));
    expect((await list()).registrations[0]?.problems).to.deep.equal([]);
  });

  it('reads everything again when it receives SIGHUP, and says so', async () => {
    service = await startService();
    await live(async () => {
      await change('third.yaml', (before) => ({ ...before, labels: ['third'], webhook: undefined }));
      service.process.kill('SIGHUP');
    });
    expect((await list()).registrations.map(({ name }) => name)).to.deep.equal(['e2e', 'third']);
    expect(events('signal-ignored')).to.deep.equal([]);
    expect(service.process.exitCode).to.equal(null);
  });

  async function deliver(secret: string): Promise<number> {
    const { createHmac, randomUUID } = await import('node:crypto');
    const body = JSON.stringify({ zen: 'x', repository: { name: 'web', owner: { login: 'acme' } } });
    const response = await fetch(`${service.publicUrl}/webhooks/github/e2e`, {
      method: 'POST',
      body,
      headers: {
        'content-type': 'application/json',
        'x-github-event': 'ping',
        'x-github-delivery': randomUUID(),
        'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
      },
    });
    return response.status;
  }
});
