import { writeFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { readinessSchema, registrationListSchema } from '../../dispatcher/http/admin-shapes.ts';
import { ADMIN_TOKEN, eventually, type Service, startService, WEBHOOK_SECRET } from './service-fixture.ts';

const job = (label: string, script = 'echo done') => `
on: push
jobs:
  work:
    runs-on: ${label}
    steps: [{ run: "${script}" }]
`;

const other = (label: string) => `
organization: acme
apiUrl: http://127.0.0.1:9
credentials: { token: "\${env:NOT_SET}" }
webhook: { secrets: ["\${env:E2E_WEBHOOK_SECRET}"] }
labels: [${label}]
defaults: { image: x }
backends: [{ kind: process, options: { command: [x] } }]
`;

// W10
describe('a dispatcher with broken registrations', function () {
  this.timeout(120_000);
  let service: Service;

  afterEach(() => service.close());

  async function ask(path: string): Promise<unknown> {
    const response = await fetch(`${service.adminUrl}${path}`, { headers: { authorization: `Bearer ${ADMIN_TOKEN}` } });
    expect(response.status).to.equal(200);
    return response.json();
  }

  async function ended(count: number): Promise<void> {
    await eventually(`${count} jobs ended, nothing left`, 60_000, async () => {
      const done = service.github.jobs().filter(({ status }) => status === 'completed').length;
      return done >= count && service.github.runners().length === 0 ? true : undefined;
    });
  }

  it('serves the others, and says at the start, in the API and in readiness what is set aside and why', async () => {
    service = await startService({
      others: { 'broken.yaml': 'organization: [acme\n', 'nosecret.yaml': other('nosecret'), 'Bad.yaml': 'x' },
    });
    service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml: job('e2e') });
    await ended(1);
    expect(service.github.jobs()[0]?.conclusion).to.equal('success');

    const output = service.output();
    expect(output).to.match(/broken\.yaml:1:15: the `\[` is never closed\. Close it with `\]`\./);
    expect(output).to.match(/nosecret\.yaml:4:23: credentials\.token: the variable NOT_SET is not set\./);
    expect(output).to.include('shr: set aside until their problems are corrected: Bad, broken, nosecret\n');
    expect(output).to.include('shr: serving 1 of 4\n');
    expect(output.match(/"event":"registration-set-aside"/g)).to.have.length(3);

    const { registrations, quarantined } = registrationListSchema.parse(await ask('/api/registrations'));
    expect(registrations.map(({ name }) => name)).to.deep.equal(['e2e']);
    expect(quarantined.map(({ name }) => name)).to.deep.equal(['Bad', 'broken', 'nosecret']);
    expect(quarantined[1]?.problems[0]).to.include({ line: 1, column: 15, message: 'the `[` is never closed' });
    const ready = await eventually('ready', 20_000, async () => {
      const answer = readinessSchema.parse(await (await fetch(`${service.adminUrl}/readyz`)).json());
      return answer.ready ? answer : undefined;
    });
    expect(ready.problems).to.deep.equal([
      'Bad: set aside, its configuration has a problem',
      'broken: set aside, its configuration has a problem',
      'nosecret: set aside, its configuration has a problem',
    ]);
    expect(
      String(
        await (
          await fetch(`${service.adminUrl}/metrics`, { headers: { authorization: `Bearer ${ADMIN_TOKEN}` } })
        ).text(),
      ),
    ).to.match(/^shr_registrations_set_aside 3$/m);
  });

  it('refuses the jobs of one that is set aside with the reason, and tells GitHub so', async () => {
    service = await startService({ others: { 'nosecret.yaml': other('nosecret') } });
    service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml: job('nosecret') });
    await eventually('the job is refused', 30_000, async () => {
      const { jobs } = Object(await ask('/api/jobs'));
      return jobs[0]?.reasonCode === 'registration-set-aside' ? true : undefined;
    });
    const line = /"publicPort":(\d+)/.exec(service.output())?.[1];
    const answer = await fetch(`http://127.0.0.1:${line}/webhooks/github/nosecret`, { method: 'POST', body: '{}' });
    expect(answer.status).to.equal(503);
    expect(await answer.json()).to.include({ outcome: 'set-aside' });
  });

  it('leaves the busy runner of a registration alone that is set aside at a restart, and takes it up again after the cure', async () => {
    service = await startService({
      others: { 'second.yaml': other('second').replace('NOT_SET', 'E2E_WEBHOOK_SECRET') },
      registration: ({ folder }) => {
        writeFileSync(join(folder, 'hook.secret'), WEBHOOK_SECRET, { mode: 0o600 });
        return { poll: { interval: '2s' }, webhook: { secrets: [`\${file:hook.secret}`] } };
      },
    });
    service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml: job('e2e', 'sleep 12; echo done') });
    await eventually('the job runs', 40_000, () =>
      service.github.jobs()[0]?.status === 'in_progress' ? true : undefined,
    );
    await service.end('SIGTERM');

    // Its file is what it was: there is no earlier version to fall back on.
    const secret = join(service.folder, 'hook.secret');
    await rm(secret);
    await service.restart();
    const open = await eventually('ready', 20_000, async () => {
      const answer = readinessSchema.parse(await (await fetch(`${service.adminUrl}/readyz`)).json());
      return answer.ready ? answer : undefined;
    });
    expect(open.problems?.join('\n')).to.match(/problems? of registrations: the admin token shows what they are/);
    expect(open.problems?.join('\n')).to.not.include('runner lives');
    const whole = readinessSchema.parse(await ask('/readyz')).problems ?? [];
    expect(whole.join('\n')).to.match(/^e2e: 1 runner lives, and its registration is set aside.*Fix the problems/m);
    expect(registrationListSchema.parse(await ask('/api/registrations')).absent).to.deep.equal([
      { registration: 'e2e', absence: 'set-aside', runners: 1 },
    ]);
    await eventually('the job ends', 40_000, () =>
      service.github.jobs()[0]?.status === 'completed' ? true : undefined,
    );
    expect(service.github.jobs()[0]?.conclusion).to.equal('success');
    await service.end('SIGTERM');

    await writeFile(secret, WEBHOOK_SECRET, { mode: 0o600 });
    await service.restart();
    await eventually('nothing is left', 60_000, async () => {
      const { runners } = Object(await ask('/api/runners?state=creating,starting,online,busy,finishing,draining'));
      return runners.length === 0 && (await service.instances()).length === 0 ? true : undefined;
    });
    expect(service.github.executions()).to.have.length(1);
  });
});
