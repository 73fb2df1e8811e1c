import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { PostgresServer, postgresProblem } from '../ledger/postgres-server.ts';
import { ADMIN_TOKEN, eventually, type Service, startService, WEBHOOK_SECRET } from './service-fixture.ts';

const SHR = join(import.meta.dirname, '..', '..', 'dispatcher', 'cli', 'shr.mjs');

const problem = postgresProblem();
const PASSWORD = 'a-password-of-the-test';

const workflow = (jobs: number) => `
on: push
jobs:
${Array.from({ length: jobs }, (_, index) => `  work${index}:\n    runs-on: e2e\n    steps: [{ run: "echo hello" }]`).join('\n')}
`;

describe(`a dispatcher with its ledger on PostgreSQL${problem === undefined ? '' : ` (${problem})`}`, function () {
  this.timeout(120_000);
  let server: PostgresServer;
  let service: Service;

  before(async function () {
    if (problem !== undefined) this.skip();
    server = new PostgresServer();
    await server.start();
  });
  after(() => server?.discard());
  afterEach(() => service.close());

  const jobsIn = (status: string) => service.github.jobs().filter((job) => job.status === status).length;
  const push = (jobs: number) =>
    service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml: workflow(jobs) });

  it('runs jobs to their end, through a restart and an outage of its server, and says its password nowhere', async () => {
    const url = `postgresql://shr:${PASSWORD}@local/postgres?host=${encodeURIComponent(server.folder)}`;
    service = await startService({
      dispatcher: { ledger: { postgres: { url: '${env:E2E_POSTGRES}' }, folder: '.' } },
      environment: { E2E_POSTGRES: url },
    });
    push(4);
    await eventually('four end', 60_000, () => (jobsIn('completed') === 4 ? true : undefined));
    expect((await service.end('SIGTERM')).code).to.equal(0);
    await service.restart();
    const known = await server.sql('postgres', 'select count(*)::int as count from e2e.jobs');
    expect(known).to.deep.equal([{ count: 4 }]);

    await server.stop('SIGQUIT');
    const before = service.output().length;
    const delivered = service.github.deliveries().length;
    push(2);
    const refused = await eventually('its webhooks are answered', 20_000, () => {
      const answered = service.github.deliveries().slice(delivered);
      return answered.length > 0 && answered.every(({ status }) => status !== 'pending') ? answered : undefined;
    });
    for (const { statusCode } of refused) expect(statusCode).to.equal(503);
    await eventually('it is not ready', 30_000, async () => ((await ready()) === 503 ? true : undefined));
    await server.start();
    await eventually('it is ready again', 30_000, async () => ((await ready()) === 200 ? true : undefined));
    for (const { id } of refused) service.github.redeliver(id);
    await eventually('the two end', 60_000, () => (jobsIn('completed') === 6 ? true : undefined));
    expect(service.github.jobs().map(({ conclusion }) => conclusion)).to.deep.equal(Array(6).fill('success'));
    expect(service.output().slice(before)).to.include('ledger');
    expect(service.output()).to.not.include(PASSWORD);

    const metrics = await fetch(`${service.adminUrl}/metrics`, { headers: { authorization: `Bearer ${ADMIN_TOKEN}` } });
    expect(Number(/^shr_ledger_bytes (\S+)$/m.exec(await metrics.text())?.[1])).to.be.above(100_000);
    expect(await readFile(join(service.folder, 'ledger.db')).catch(() => 'none')).to.equal('none');
  });

  it('goes on where it was killed', async () => {
    const url = `postgresql://shr@local/postgres?host=${encodeURIComponent(server.folder)}`;
    service = await startService({
      dispatcher: { ledger: { postgres: { url: '${env:E2E_POSTGRES}', schema: 'killed' }, folder: '.' } },
      environment: { E2E_POSTGRES: url },
    });
    push(12);
    for (const atLeast of [2, 6]) {
      await eventually('some end', 60_000, () => (jobsIn('completed') >= atLeast ? true : undefined));
      await service.end('SIGKILL');
      await service.restart();
    }
    await eventually('all end', 60_000, () => (jobsIn('completed') === 12 ? true : undefined));
    expect(service.github.jobs().map(({ conclusion }) => conclusion)).to.deep.equal(Array(12).fill('success'));
    await eventually('nothing is left', 60_000, async () =>
      (await service.instances()).length === 0 ? true : undefined,
    );
  });

  for (const why of ['its configuration is broken', 'its port is taken'] as const) {
    it(`goes on where a second one does not start because ${why}`, async () => {
      const url = `postgresql://shr@local/postgres?host=${encodeURIComponent(server.folder)}`;
      const schema = why === 'its port is taken' ? 'beside_port' : 'beside_broken';
      service = await startService({
        dispatcher: { ledger: { postgres: { url: '${env:E2E_POSTGRES}', schema }, folder: '.' } },
        environment: { E2E_POSTGRES: url },
      });
      push(1);
      await eventually('it ends', 60_000, () => (jobsIn('completed') === 1 ? true : undefined));
      const second = join(service.folder, 'second');
      await mkdir(second);
      const copied = ['app.pem', 'registrations'];
      for (const name of copied) await cp(join(service.folder, name), join(second, name), { recursive: true });
      const yaml = await readFile(join(service.folder, 'dispatcher.yaml'), 'utf8');
      await writeFile(
        join(second, 'dispatcher.yaml'),
        why === 'its port is taken'
          ? yaml.replace(/admin: .*/, `admin: ${new URL(service.adminUrl).host}`)
          : `${yaml}nonsense: 1\n`,
      );
      const environment = { E2E_ADMIN_TOKEN: ADMIN_TOKEN, E2E_WEBHOOK_SECRET: WEBHOOK_SECRET, E2E_POSTGRES: url };
      const child = spawn(process.execPath, [SHR, 'serve', second], {
        env: { PATH: process.env['PATH'] ?? '', ...environment },
        stdio: 'ignore',
      });
      try {
        await once(child, 'exit', { signal: AbortSignal.timeout(60_000) });
      } finally {
        child.kill('SIGKILL');
      }
      expect(child.exitCode).to.equal(1);
      push(1);
      await eventually('another one ends', 60_000, () => (jobsIn('completed') === 2 ? true : undefined));
    });
  }

  async function ready(): Promise<number> {
    const response = await fetch(`${service.adminUrl}/readyz`);
    await response.arrayBuffer();
    return response.status;
  }
});
