import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { type Canary, found, keyCanaries, piecesOf, watchCommandLines } from './canary.ts';
import { ADMIN_TOKEN, eventually, type Service, startService, WEBHOOK_SECRET } from './service-fixture.ts';

const RUNNER = join(import.meta.dirname, '..', '..', 'simulators', 'github', 'runner.mjs');

/** An image that shows its whole environment, as `set -x` and `env` in an entrypoint do, and keeps its secrets for the test. */
const KEEPING = `printf '%s' "$ACTIONS_RUNNER_INPUT_JITCONFIG" > "$CANARIES/$$"; printf '%s' "$SHR_CALLBACK_TOKEN" > "$CANARIES/$$.token"`;
const TALKATIVE = `env; ${KEEPING}; exec "$NODE" "$RUNNER"`;
const BROKEN = `env; ${KEEPING}; exit 3`;

// W9
describe('secrets in a whole run', function () {
  this.timeout(180_000);
  let service: Service;

  afterEach(() => service.close());

  async function admin(path: string): Promise<string> {
    const response = await fetch(`${service.adminUrl}${path}`, { headers: { authorization: `Bearer ${ADMIN_TOKEN}` } });
    expect(response.status, path).to.equal(200);
    return await response.text();
  }

  async function blobs(): Promise<readonly Canary[]> {
    const folder = join(service.folder, 'canaries');
    const files = await readdir(folder);
    const texts = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')));
    return texts
      .filter((text) => text !== '')
      .flatMap((text) => piecesOf(text.length > 100 ? 'a JIT configuration' : "a call-back's token", text));
  }

  it('are in no log, ledger, command line, answer, metric, tag or delivery, whatever an image prints', async () => {
    service = await startService({
      // Nobody calls: containers get their tokens.
      dispatcher: { listen: { public: { address: '127.0.0.1:0', url: 'http://127.0.0.1:9' }, admin: '127.0.0.1:0' } },
      registration: ({ folder }) => {
        const environment = (script: string) => [
          '/bin/sh',
          '-c',
          `mkdir -p "${join(folder, 'canaries')}"; export CANARIES="${join(folder, 'canaries')}" NODE="${process.execPath}" RUNNER="${RUNNER}"; ${script}`,
        ];
        const root = join(folder, 'instances');
        return {
          backends: [
            { name: 'process', kind: 'process', options: { command: environment(TALKATIVE), root } },
            { name: 'broken', kind: 'process', options: { command: environment(BROKEN), root } },
          ],
          policy: { maxCpu: 4, maxMemoryGiB: 8, backends: ['*'] },
        };
      },
    });
    const key = await readFile(join(service.folder, 'app.pem'), 'utf8');
    const known: readonly Canary[] = [
      { name: 'the webhook secret', text: WEBHOOK_SECRET },
      { name: 'the admin token', text: ADMIN_TOKEN },
      ...keyCanaries("the App's key", key),
    ];
    const ended = watchCommandLines(async () => [...known, ...(await blobs().catch(() => []))]);

    const work = (labels: string) =>
      `{ on: push, jobs: { work: { runs-on: ${labels}, steps: [{ run: "echo done; sleep 1" }] } } }`;
    service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml: work('[e2e]') });
    service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml: work('[e2e, backend-broken]') });
    await eventually('one job succeeded', 60_000, () =>
      service.github.jobs().some(({ conclusion }) => conclusion === 'success') ? true : undefined,
    );
    const runners = z.object({ runners: z.array(z.object({ name: z.string() }).loose()) });
    const outputs = await eventually('a runner of each backend has a kept output', 90_000, async () => {
      const { runners: list } = runners.parse(JSON.parse(await admin('/api/runners?limit=100&state=gone')));
      const shown = await Promise.all(list.map(({ name }) => admin(`/api/runners/${name}?output=true`)));
      const withOutput = shown.filter((text) => text.includes('ACTIONS_RUNNER_INPUT_JITCONFIG='));
      const backends = new Set(withOutput.map((text) => /"backend":"(\w+)"/.exec(text)?.[1]));
      return backends.size === 2 ? shown : undefined;
    });
    await fetch(`${service.adminUrl}/api/jobs`, { headers: { authorization: `Bearer wrong-${ADMIN_TOKEN}` } });
    const jobs = z.object({ jobs: z.array(z.object({ key: z.string() }).loose()) });
    const listed = await admin('/api/jobs');
    const answers = [
      listed,
      ...(await Promise.all(jobs.parse(JSON.parse(listed)).jobs.map(({ key: job }) => admin(`/api/jobs/${job}`)))),
      ...outputs,
      await admin('/api/registrations'),
      await admin('/api/lanes'),
      await admin('/api/runners?limit=100'),
      await admin('/api/explain?repository=acme/web&labels=e2e'),
      await admin('/metrics'),
      await admin('/readyz'),
    ];
    const onCommandLines = await ended();
    const tags = JSON.stringify(await service.instances());
    const deliveries = JSON.stringify(service.github.deliveries());
    await service.end('SIGTERM');
    const canaries = [...known, ...(await blobs())];
    expect(canaries.length).to.be.greaterThan(known.length + 9);
    expect(canaries.map(({ name }) => name)).to.include("a call-back's token from 0");

    const ledger = (await readdir(service.folder)).filter((name) => name.startsWith('ledger.db'));
    expect(ledger).to.include('ledger.db');
    const findings = [...onCommandLines, ...found(canaries, 'the log', service.output())];
    for (const name of ledger) {
      findings.push(...found(canaries, name, await readFile(join(service.folder, name), 'latin1')));
    }
    for (const [index, text] of answers.entries()) findings.push(...found(canaries, `answer ${index}`, text));
    findings.push(...found(canaries, 'tags', tags), ...found(canaries, 'deliveries', deliveries));
    expect([...new Set(findings)]).to.deep.equal([]);
    expect(service.output()).to.include('"event":"runner"');
    expect(service.output()).to.include('"level":"debug"');
  });

  it('goes on after SIGHUP, and reads the configuration again', async () => {
    service = await startService();
    service.process.kill('SIGHUP');
    await eventually('it says so', 60_000, () => (service.output().includes('"signal":"SIGHUP"') ? true : undefined));
    const yaml = '{ on: push, jobs: { work: { runs-on: e2e, steps: [{ run: "true" }] } } }';
    service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml });
    await eventually('the job succeeded', 60_000, () =>
      service.github.jobs().every(({ conclusion }) => conclusion === 'success') ? true : undefined,
    );
    expect(service.process.exitCode).to.equal(null);
    expect((await service.end('SIGTERM')).code).to.equal(0);
  });
});
