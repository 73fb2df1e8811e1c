import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { stringify } from 'yaml';
import { systemFiles } from '../../dispatcher/config/files.ts';
import { loadConfiguration } from '../../dispatcher/config/load.ts';
import { type Dispatcher, startDispatcher } from '../../dispatcher/main.ts';
import { formatProblem } from '../../dispatcher/model/problem.ts';
import { createLog } from '../../dispatcher/observability/log.ts';
import { loadProvider } from '../../providers/index.ts';
import { type GithubSimulator, startGithubSimulator } from '../../simulators/github/index.ts';
import { type Clock, systemClock, systemRandom } from '../../time/clock.ts';
import { eventually, WEBHOOK_SECRET } from './service-fixture.ts';

const RUNNER = join(import.meta.dirname, '..', '..', 'simulators', 'github', 'runner.mjs');
const HOUR = 3_600_000;

// X1
describe('a dispatcher on a machine whose clock is set', function () {
  this.timeout(180_000);
  let folder: string;
  let github: GithubSimulator;
  let dispatcher: Dispatcher | undefined;
  let aheadMs: number;
  let logged: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-clock-'));
    aheadMs = 0;
    logged = '';
    github = await startGithubSimulator({
      owners: [{ login: 'acme', repositories: [{ name: 'web' }] }],
      apps: [{ name: 'clock', installations: [{ account: 'acme' }] }],
      limits: { pointsPerMinute: 1e5, requestsPerHour: 1e5, contentPerMinute: 1e5, contentPerHour: 1e5 },
    });
  });

  afterEach(async () => {
    await dispatcher?.stop();
    dispatcher = undefined;
    await github.close();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  });

  /** Time passes as it does; what the clock says of it can be set. */
  const clock: Clock = { ...systemClock, now: () => systemClock.now() + aheadMs };

  async function start(): Promise<void> {
    const [app] = github.apps;
    await mkdir(join(folder, 'registrations'), { recursive: true });
    await writeFile(join(folder, 'app.pem'), app?.privateKey ?? '', { mode: 0o600 });
    await writeFile(
      join(folder, 'dispatcher.yaml'),
      stringify({
        id: 'clock',
        ledger: 'ledger.db',
        listen: { public: '127.0.0.1:0', admin: '127.0.0.1:0' },
        adminToken: '${env:ADMIN}',
        unsafeProcessBackend: true,
      }),
    );
    await writeFile(
      join(folder, 'registrations', 'acme.yaml'),
      stringify({
        organization: 'acme',
        apiUrl: github.url,
        credentials: { app: { id: app?.id, privateKey: '${file:app.pem}' } },
        webhook: { secrets: ['${env:SECRET}'] },
        labels: ['clock'],
        defaults: { image: 'clock:1', cpu: 1, memoryGiB: 1 },
        policy: { maxCpu: 1, maxMemoryGiB: 1 },
        backends: [
          {
            name: 'process',
            kind: 'process',
            options: { command: [process.execPath, RUNNER], root: join(folder, 'instances') },
          },
        ],
        maxRunners: 10,
        poll: { interval: '2s' },
      }),
    );
    const loaded = await loadConfiguration({
      dispatcherFile: join(folder, 'dispatcher.yaml'),
      registrationsFolder: join(folder, 'registrations'),
      environment: { ADMIN: 'an-admin-token-of-the-test', SECRET: WEBHOOK_SECRET },
      files: systemFiles,
      provider: loadProvider,
    });
    if (!loaded.ok) throw new Error(loaded.problems.map(formatProblem).join('\n'));
    const log = createLog({
      level: 'info',
      clock: systemClock,
      write: (line) => {
        logged += line;
      },
    });
    dispatcher = await startDispatcher({ configuration: loaded.configuration, clock, random: systemRandom, log });
    const url = `http://127.0.0.1:${dispatcher.publicPort}/webhooks/github/acme`;
    github.addHook({ on: 'acme', url, secret: WEBHOOK_SECRET });
  }

  function push(count: number): void {
    const numbers = Array.from({ length: count }, (_, index) => index).join(', ');
    const yaml = `{ on: push, jobs: { work: { strategy: { matrix: { n: [${numbers}] } }, runs-on: clock, steps: [{ run: "sleep 0.2" }] } } }`;
    github.pushWorkflow({ owner: 'acme', repository: 'web', yaml });
  }

  const allDone = (count: number) => () => {
    const done = github.jobs().filter(({ conclusion }) => conclusion === 'success');
    return done.length === count && github.runners().length === 0 ? true : undefined;
  };

  const kills = () => github.jobs().filter(({ conclusion }) => conclusion !== null && conclusion !== 'success');

  it('runs all jobs while it is an hour ahead, and right after, ends none, and says so', async () => {
    await start();
    push(10);
    await eventually('some jobs run', 60_000, () =>
      github.jobs().some(({ status }) => status === 'in_progress') ? true : undefined,
    );
    aheadMs = HOUR;
    push(10);
    await eventually('it is noticed', 30_000, () => (logged.includes('"event":"clock-set"') ? true : undefined));
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    aheadMs = 0;
    push(10);
    await eventually('30 jobs are done, and nothing is left', 120_000, allDone(30));
    expect(kills()).to.deep.equal([]);
    expect(logged.match(/"event":"clock-set"/g)).to.have.length(2);
  });

  it('goes on at once after a start with the right clock, with a ledger from an hour ahead', async () => {
    aheadMs = HOUR;
    await start();
    push(5);
    await eventually('the first jobs run', 60_000, () =>
      github.jobs().some(({ status }) => status !== 'queued') ? true : undefined,
    );
    await dispatcher?.stop();
    aheadMs = 0;
    await start();
    push(5);
    await eventually('10 jobs are done, and nothing is left', 120_000, allDone(10));
    expect(kills()).to.deep.equal([]);
  });
});
