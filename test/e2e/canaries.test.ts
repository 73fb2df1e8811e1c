import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { ADMIN_TOKEN, eventually, type Service, startService, WEBHOOK_SECRET } from './service-fixture.ts';

const RUNNER = join(import.meta.dirname, '..', '..', 'simulators', 'github', 'runner.mjs');

/** An image that shows its whole environment, as `set -x` and `env` in an entrypoint do, and keeps the blob for the test. */
const TALKATIVE = `env; printf '%s' "$ACTIONS_RUNNER_INPUT_JITCONFIG" > "$CANARIES/$$"; exec "$NODE" "$RUNNER"`;
const BROKEN = `env; printf '%s' "$ACTIONS_RUNNER_INPUT_JITCONFIG" > "$CANARIES/$$"; exit 3`;

interface Canary {
  readonly name: string;
  readonly text: string;
}

function found(canaries: readonly Canary[], place: string, text: string): readonly string[] {
  const names = canaries.filter((canary) => text.includes(canary.text)).map(({ name }) => name);
  // Installation tokens live in the dispatcher's memory alone: any is one too many.
  if (/gh[oprsu]_[A-Za-z0-9]{16,}/.test(text)) names.push('a token of GitHub');
  return names.map((name) => `${name} in ${place}`);
}

/** Every command line of the machine that can be read now. */
async function commandLines(): Promise<string> {
  const processes = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = processes.map((id) => readFile(`/proc/${id}/cmdline`, 'latin1').catch(() => ''));
  return (await Promise.all(lines)).join('\n');
}

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
    // Pieces, so that a cut is found as well.
    return texts.flatMap((text) =>
      [0, 0.3, 0.6].map((at) => {
        const start = Math.floor(at * text.length);
        return { name: `a JIT configuration from ${start}`, text: text.slice(start, start + 32) };
      }),
    );
  }

  it('are in no log, ledger, command line, answer, metric, tag or delivery, whatever an image prints', async () => {
    service = await startService({
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
      ...key
        .split('\n')
        .filter((line) => line.length >= 60)
        .map((line) => ({ name: "the App's key", text: line })),
    ];
    const onCommandLines: string[] = [];
    let watching = true;
    const watch = (async () => {
      while (watching) {
        const lines = await commandLines();
        onCommandLines.push(...found([...known, ...(await blobs().catch(() => []))], 'a command line', lines));
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    })();

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
    watching = false;
    await watch;
    const tags = JSON.stringify(await service.instances());
    const deliveries = JSON.stringify(service.github.deliveries());
    await service.end('SIGTERM');
    const canaries = [...known, ...(await blobs())];
    expect(canaries.length).to.be.greaterThan(known.length + 3);

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

  it('goes on after SIGHUP, and says that the configuration is read at the start', async () => {
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
