/**
 * The dispatcher of the dispatch benchmark: the real listener, intake, ledger on disk and engine, beside a GitHub and a
 * provider that answer at once. Each runner works for half a second, so that bindings, drains and sweeps go on beside
 * the launches. Reports when each provider call left.
 */
import { z } from 'zod';
import { createAdmit } from '../../dispatcher/admission/admit.ts';
import { systemClock, systemRandom, ulid } from '../../dispatcher/clock.ts';
import { Secret } from '../../dispatcher/config/model.ts';
import type { Github } from '../../dispatcher/github/github.ts';
import { createPublicListener } from '../../dispatcher/http/public.ts';
import { createIntake } from '../../dispatcher/intake/webhook.ts';
import type { JobFact } from '../../dispatcher/ledger/facts.ts';
import type { Ledger } from '../../dispatcher/ledger/ledger.ts';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import { createEngine } from '../../dispatcher/lifecycle/engine.ts';
import { createLog } from '../../dispatcher/observability/log.ts';
import { createMetrics } from '../../dispatcher/observability/metrics.ts';
import type { Instance, Provider } from '../../providers/provider.ts';
import { closedPolicy, registration } from '../../test/registration.ts';
import { serveParent } from './child.ts';
import { benchmarkSecret } from './deliveries.ts';

export const launchReport = z.object({
  port: z.int(),
  /** Job id and the time of the provider's create call, in ms since the epoch with fractions. */
  launches: z.array(z.object({ jobId: z.number(), atMs: z.number() })),
});

const STARTS_AFTER_MS = 100;
const WORKS_MS = 400;
/** The unique label that tells which job a runner was launched for. */
const OWN_LABEL = 'sid-';

export function preciseNow(): number {
  return performance.timeOrigin + performance.now();
}

const bench = registration({
  name: 'bench',
  claim: { kind: 'user', user: 'Codertocat' },
  labels: ['bench'],
  policy: { ...closedPolicy, publicRepositories: true },
  backends: [{ name: 'instant', kind: 'instant', region: undefined, options: {}, maxRunners: 100_000 }],
  maxRunners: 100_000,
});

async function start(path: string) {
  const ledger = await openSqliteLedger({ path, now: systemClock.now });
  const world = new InstantWorld(ledger, () => engine.wake());
  const log = createLog({ level: 'warn', write: (line) => process.stderr.write(line), clock: systemClock });
  const metrics = createMetrics({ sources: { ledger, clock: systemClock, registrations: () => [bench] } });
  const engine = createEngine({
    dispatcherId: 'bench',
    incarnation: ulid(systemClock.now(), systemRandom),
    ledger,
    clock: systemClock,
    random: systemRandom,
    log,
    metrics,
    admit: createAdmit([bench]),
    tenants: new Map([['bench', { registration: bench, github: world.github, provider: async () => world.provider }]]),
    maxRunners: 100_000,
    maxLaunches: 200,
  });
  await engine.start();
  const endpoints = [{ host: 'github.com', appId: undefined, secrets: [new Secret(benchmarkSecret)], owners: ['*'] }];
  const registrations = [bench];
  const intake = createIntake({
    ledger,
    clock: systemClock,
    log,
    metrics,
    endpoints: () => endpoints,
    registrations: () => registrations,
    onRecorded: () => engine.wake(),
  });
  const port = await createPublicListener({ intake, clock: systemClock, metrics }).listen('127.0.0.1', 0);
  return { port, world };
}

class InstantWorld {
  readonly launches: { readonly jobId: number; readonly atMs: number }[] = [];
  readonly #ledger: Ledger;
  readonly #wake: () => void;
  readonly #jobs = new Map<string, number>();
  readonly #instances = new Map<string, Instance>();
  #runners = 0;

  constructor(ledger: Ledger, wake: () => void) {
    this.#ledger = ledger;
    this.#wake = wake;
  }

  readonly github: Github = {
    createJitRunner: async ({ name, labels }) => {
      const own = labels.find((label) => label.startsWith(OWN_LABEL));
      this.#jobs.set(name, Number(own?.slice(OWN_LABEL.length)));
      this.#runners += 1;
      return { runnerId: this.#runners, encodedJitConfig: 'none' };
    },
    deleteRunner: async () => 'absent',
    getRunner: async () => undefined,
    findRunner: async () => undefined,
    listRunners: async () => [],
    readJob: async () => undefined,
    readRun: async () => undefined,
    seesRepository: async () => true,
  };

  readonly provider: Provider = {
    capabilities: {
      architectures: ['x64'],
      spot: false,
      dockerInDocker: false,
      disk: false,
      bucket: false,
      subnet: false,
      securityGroup: false,
      logs: false,
      secretEnvironment: true,
    },
    fit: (wish) => ({ fits: true, shape: { ...wish, cpu: wish.cpu ?? 1, memoryGiB: wish.memoryGiB ?? 1 } }),
    launch: async ({ name, tags }) => {
      const jobId = this.#jobs.get(name) ?? 0;
      this.launches.push({ jobId, atMs: preciseNow() });
      const instance: Instance = { ref: { name, id: name }, state: 'running', tags };
      this.#instances.set(name, instance);
      systemClock.after(STARTS_AFTER_MS, () => this.#happen(jobId, name, 'in_progress'));
      systemClock.after(STARTS_AFTER_MS + WORKS_MS, () => {
        this.#instances.set(name, { ...instance, state: 'succeeded' });
        this.#happen(jobId, name, 'completed');
      });
      return instance;
    },
    inspect: async ({ name }) => this.#instances.get(name),
    list: async () => [...this.#instances.values()],
    stop: async ({ name }) => {
      this.#instances.delete(name);
    },
    logs: async () => undefined,
    check: async () => [],
    close: async () => {},
  };

  #happen(jobId: number, runnerName: string, status: 'in_progress' | 'completed'): void {
    void this.#record(jobId, runnerName, status);
  }

  async #record(jobId: number, runnerName: string, status: 'in_progress' | 'completed'): Promise<void> {
    const job = await this.#ledger.job(`github.com/${jobId}`);
    if (job === undefined) return;
    const fact: JobFact = {
      ...job,
      visibility: job.visibility ?? undefined,
      status,
      conclusion: status === 'completed' ? 'success' : null,
      runnerId: 1,
      runnerName,
      source: 'webhook',
      toldBy: null,
      observedAtMs: systemClock.now(),
    };
    await this.#ledger.recordFacts([fact]);
    this.#wake();
  }
}

const [path] = process.argv.slice(2);
if (process.send !== undefined && path !== undefined) {
  const { port, world } = await start(path);
  serveParent(async () => ({ port, launches: world.launches.splice(0) }) satisfies z.input<typeof launchReport>);
}
