/**
 * Engines that are broken on purpose, each in one way: the real one behind a port that cheats. A world that does not
 * notice them proves nothing.
 */

import {
  type CallPurpose,
  type Github,
  GithubError,
  type GithubRunner,
  type JitRequest,
} from '../../dispatcher/github/github.ts';
import { jobKey } from '../../dispatcher/jobs/facts.ts';
import type { GithubScope } from '../../dispatcher/jobs/scope.ts';
import type { JobRow, Ledger } from '../../dispatcher/ledger/ledger.ts';
import type { EngineOptions, Tenant } from '../../dispatcher/lifecycle/engine.ts';
import { createEngine } from '../../dispatcher/lifecycle/engine.ts';
import type { Registration } from '../../dispatcher/model/registration.ts';
import type { InstanceRef, LaunchRequest, Provider } from '../../providers/provider.ts';
import { ulidTime } from '../../time/clock.ts';
import type { EngineFactory } from './dispatcher.ts';

/** The same object, with some of its methods replaced. */
function replaced<T extends object>(target: T, replacements: Partial<T>): T {
  return new Proxy(target, {
    get: (object, property) => {
      const own: unknown = Reflect.get(replacements, property);
      if (own !== undefined) return own;
      const value: unknown = Reflect.get(object, property);
      return typeof value === 'function' ? value.bind(object) : value;
    },
  });
}

function tampered(
  options: EngineOptions,
  change: {
    github?: (github: Github, tenant: Tenant) => Partial<Github>;
    provider?: (provider: Provider) => Partial<Provider>;
  },
): EngineOptions {
  const tenants = new Map<string, Tenant>();
  for (const [name, tenant] of options.tenants) {
    tenants.set(name, {
      registration: tenant.registration,
      github: replaced(tenant.github, change.github?.(tenant.github, tenant) ?? {}),
      provider: async (backend) => {
        const provider = await tenant.provider(backend);
        return replaced(provider, change.provider?.(provider) ?? {});
      },
    });
  }
  return { ...options, tenants };
}

/** Serves a registration that is to observe. */
export const eager: EngineFactory = (options) => {
  const { tenants } = tampered(options, {});
  const serving = [...tenants].map(([name, { registration, ...tenant }]) => {
    const { observe: _, ...served } = registration;
    return [name, { ...tenant, registration: served }] as const;
  });
  return createEngine({ ...options, tenants: new Map(serving) });
};

/** Takes a container down as soon as it is seen running. */
export const impatient: EngineFactory = (options) =>
  createEngine(
    tampered(options, {
      provider: (provider) => ({
        inspect: async (ref: InstanceRef) => {
          const seen = await provider.inspect(ref);
          if (seen?.state === 'running') await provider.stop(ref);
          return seen;
        },
      }),
    }),
  );

/** Takes a granted DELETE for a proof that the runner is idle. */
export const trusting: EngineFactory = (options) => {
  const names = new Map<number, string>();
  return createEngine(
    tampered(options, {
      github: (github, tenant) => ({
        createJitRunner: async (request: JitRequest) => {
          const jit = await github.createJitRunner(request);
          names.set(jit.runnerId, request.name);
          return jit;
        },
        deleteRunner: async (scope: GithubScope, runnerId: number) => {
          const outcome = await github.deleteRunner(scope, runnerId);
          const name = names.get(runnerId);
          if (outcome !== 'deleted' || name === undefined) return outcome;
          for (const backend of tenant.registration.backends) {
            const provider = await tenant.provider(backend.name);
            await provider.stop({ name }).catch(() => {});
          }
          return outcome;
        },
      }),
    }),
  );
};

/** Believes that every stop has done its work. */
export const careless: EngineFactory = (options) =>
  createEngine(tampered(options, { provider: () => ({ stop: async () => {}, inspect: async () => undefined }) }));

/** Believes that every runner was deleted. */
export const untidy: EngineFactory = (options) =>
  createEngine(
    tampered(options, {
      github: () => ({
        deleteRunner: async () => 'deleted' as const,
        getRunner: async () => undefined,
        findRunner: async () => undefined,
        listRunners: async () => [],
      }),
    }),
  );

/** Does not see jobs with this label. */
export function blindTo(label: string): EngineFactory {
  return (options) =>
    createEngine({
      ...options,
      admit: (job) => (job.labels.includes(label) ? { outcome: 'not-ours', reason: 'overlooked' } : options.admit(job)),
    });
}

/** Runs what the policy refuses. */
export const permissive: EngineFactory = (options) =>
  createEngine({
    ...options,
    admit: (job) => {
      const answer = options.admit(job);
      if (answer.outcome !== 'refused') return answer;
      const lenient = options.admit({ ...job, labels: job.labels.filter((label) => !label.startsWith('cpu-')) });
      return lenient.outcome === 'lane'
        ? { outcome: 'lane', lane: { ...lenient.lane, key: 'f'.repeat(16), labels: job.labels } }
        : answer;
    },
  });

/** Takes every run for one of the repository itself. */
export const forkBlind: EngineFactory = (options) =>
  createEngine({ ...options, admit: (job) => options.admit({ ...job, isFork: false }) });

/** Keeps nothing of what is reserved. */
export const heedless: EngineFactory = (options) => {
  const tenants = new Map(
    [...options.tenants].map(([name, { registration, ...tenant }]) => {
      const { reservedRunners: _, ...open } = registration;
      return [name, { ...tenant, registration: open }];
    }),
  );
  return createEngine({ ...options, tenants });
};

/** Knows no limits. */
export const greedy: EngineFactory = (options) => {
  const generous = (registration: Registration): Registration => ({
    ...registration,
    maxRunners: 1000,
    backends: registration.backends.map((backend) => ({ ...backend, maxRunners: 1000 })),
  });
  const tenants = new Map(
    [...options.tenants].map(([name, tenant]) => [
      name,
      { ...tenant, registration: generous(tenant.registration), provider: tenant.provider },
    ]),
  );
  return createEngine({ ...options, tenants, maxRunners: 1000, maxLaunches: 1000 });
};

/** Tells the log what it hands to the runner. */
export const talkative: EngineFactory = (options) =>
  createEngine(
    tampered(options, {
      provider: (provider) => ({
        launch: (request: LaunchRequest) => {
          options.log.info('launching', { environment: request.secretEnvironment });
          return provider.launch(request);
        },
      }),
    }),
  );

/** Says of every name that it is new. */
export const forgetful: EngineFactory = (options) =>
  createEngine(
    tampered(options, {
      provider: (provider) => ({
        launch: (request: LaunchRequest) => provider.launch({ ...request, nameIsNew: true }),
      }),
    }),
  );

/** Does not write down that it stops a container. */
export const unmarked: EngineFactory = (options) => {
  const { ledger } = options;
  return createEngine({
    ...options,
    ledger: replaced(ledger, {
      stepRunner: (name, decide) =>
        ledger.stepRunner(name, (row) => {
          const step = decide(row);
          if (step?.patch.stopAskedAtMs === undefined) return step;
          return { ...step, patch: { ...step.patch, stopAskedAtMs: row.stopAskedAtMs } };
        }),
    }),
  });
};

/** Starts a container anew after it has been stopped. */
export const restless: EngineFactory = (options) => {
  const requests = new Map<string, LaunchRequest>();
  return createEngine(
    tampered(options, {
      provider: (provider) => ({
        launch: (request: LaunchRequest) => {
          requests.set(request.name, request);
          return provider.launch(request);
        },
        stop: async (ref: InstanceRef) => {
          await provider.stop(ref);
          const request = requests.get(ref.name);
          requests.delete(ref.name);
          if (request !== undefined) await provider.launch(request);
        },
      }),
    }),
  );
};

/** Makes two containers where one would do. */
export const lavish: EngineFactory = (options) =>
  createEngine(
    tampered(options, {
      provider: (provider) => ({
        launch: async (request: LaunchRequest) => {
          await provider.launch({ ...request, name: `${request.name}-2` });
          return provider.launch(request);
        },
      }),
    }),
  );

/** Deletes whatever runner it finds at GitHub. */
export const hostile: EngineFactory = (options) =>
  createEngine(
    tampered(options, {
      github: (github) => ({
        createJitRunner: async (request: JitRequest) => {
          const runners = await github.listRunners(request.scope, 'sweep');
          for (const runner of runners) {
            if (!runner.name.startsWith(`${options.dispatcherId}-`))
              await github.deleteRunner(request.scope, runner.id);
          }
          return github.createJitRunner(request);
        },
      }),
    }),
  );

/** Does not start. */
export const deaf: EngineFactory = (options) =>
  Object.assign(createEngine(options), {
    start: async () => {
      throw new Error('not today');
    },
  });

/** Sweeps whatever this picks, as soon as GitHub lists it. */
function sweeping(isStray: (runner: GithubRunner, options: EngineOptions) => boolean): EngineFactory {
  return (options) =>
    createEngine(
      tampered(options, {
        github: (github) => ({
          listRunners: async (scope: GithubScope, purpose: CallPurpose) => {
            const runners = await github.listRunners(scope, purpose);
            for (const runner of runners) {
              const known = await options.ledger.runner(runner.name);
              if (known === undefined && isStray(runner, options)) await github.deleteRunner(scope, runner.id);
            }
            return runners;
          },
        }),
      }),
    );
}

function ageMs({ name }: GithubRunner, { clock, dispatcherId }: EngineOptions): number {
  return clock.now() - (ulidTime(name.slice(dispatcherId.length + 1)) ?? clock.now());
}

/** Deletes online runners that bear our name and have no row. */
export const jealous = sweeping((runner, options) => runner.status === 'online' && ageMs(runner, options) > 600_000);

/** Deletes the offline runners of other dispatchers. */
export const imperial = sweeping(
  (runner, { dispatcherId }) => runner.status === 'offline' && !runner.name.startsWith(`${dispatcherId}-`),
);

/** Deletes registrations that are milliseconds old. */
export const rash = sweeping((runner, options) => {
  const own = runner.status === 'offline' && runner.name.startsWith(`${options.dispatcherId}-0`);
  return own && ageMs(runner, options) > 10;
});

/** Admits jobs without their time limits. */
export const endless: EngineFactory = (options) =>
  createEngine({
    ...options,
    admit: (job) => {
      const answer = options.admit(job);
      if (answer.outcome !== 'lane') return answer;
      return { ...answer, lane: { ...answer.lane, wish: { ...answer.lane.wish, timeLimitMs: 6 * 3_600_000 } } };
    },
  });

/** Looks at an instance again and again. */
export const restive: EngineFactory = (options) =>
  createEngine(
    tampered(options, {
      provider: (provider) => ({
        inspect: async (ref: InstanceRef) => {
          for (let look = 1; look < 20; look += 1) await provider.inspect(ref).catch(() => {});
          return await provider.inspect(ref);
        },
      }),
    }),
  );

/** The same engine on a ledger that cheats. */
function onLedger(change: (ledger: Ledger, options: EngineOptions) => Partial<Ledger>): EngineFactory {
  return (options) => createEngine({ ...options, ledger: replaced(options.ledger, change(options.ledger, options)) });
}

/** Looks at a new job when it has waited for nine minutes. */
export const slow = onLedger((ledger, { clock }) => ({
  unsettledJobs: async (limit) =>
    (await ledger.unsettledJobs(limit, 'reject')).filter(
      ({ firstSeenAtMs }) => clock.now() - firstSeenAtMs >= 9 * 60_000,
    ),
}));

/** Holds a whole registration when GitHub refuses one of its lanes. */
export const grudging: EngineFactory = (options) => {
  const until = new Map<string, number>();
  return createEngine(
    tampered(options, {
      github: (github, { registration }) => ({
        createJitRunner: async (request: JitRequest) => {
          const leftMs = (until.get(registration.name) ?? 0) - options.clock.now();
          if (leftMs > 0) throw new GithubError('rate-limited', 'POST', 'still offended', { retryAfterMs: leftMs });
          try {
            return await github.createJitRunner(request);
          } catch (error) {
            until.set(registration.name, options.clock.now() + 5 * 60_000);
            throw error;
          }
        },
      }),
    }),
  );
};

/** Asks again and again in an outage. */
export const hasty: EngineFactory = (options) =>
  createEngine(
    tampered(options, {
      github: (github) => ({
        createJitRunner: async (request: JitRequest) => {
          for (let attempt = 1; ; attempt += 1) {
            try {
              return await github.createJitRunner(request);
            } catch (error) {
              if (attempt >= 15) throw error;
            }
          }
        },
      }),
    }),
  );

/** Does not look at when a job was created. */
export const gullible = onLedger((ledger) => ({
  unsettledJobs: async (limit) =>
    (await ledger.unsettledJobs(limit, 'reject')).map((job) => ({ ...job, createdAtMs: null })),
  expireJobs: async () => [],
}));

/** Learns nothing from runners that idle beside a waiting job. */
export const stubborn = onLedger(() => ({ passOver: async () => ({ passed: 0, held: [] }) }));

/** Ends jobs at their limit without a word. */
export const mute = onLedger(() => ({ explainJob: async () => {} }));

/** Stops a silent container without a last look at what may run in it. */
export const confident = onLedger((ledger) => ({
  jobs: async (query) => (query.laneKey === undefined ? await ledger.jobs(query, 'reject') : []),
  runner: async (name) => {
    const row = await ledger.runner(name);
    return row?.state === 'draining' ? { ...row, forJobKey: null } : row;
  },
  runnersDue: async (nowMs, limit) =>
    (await ledger.runnersDue(nowMs, limit, 'reject')).map((row) =>
      row.state === 'draining' ? { ...row, forJobKey: null } : row,
    ),
}));

/** Takes a job that could not be read for one that still waits. */
export const wishful: EngineFactory = (options) => {
  const { ledger } = options;
  return createEngine(
    tampered(options, {
      github: (github, { registration }) => ({
        readJob: async (owner: string, repository: string, jobId: number) => {
          try {
            return await github.readJob(owner, repository, jobId);
          } catch (error) {
            const row = await ledger.job(jobKey({ host: registration.host, owner, repository, jobId }));
            if (row === undefined) throw error;
            return {
              ...row,
              visibility: row.visibility ?? undefined,
              source: 'read' as const,
              toldBy: registration.name,
              observedAtMs: row.statusObservedAtMs,
            };
          }
        },
      }),
    }),
  );
};

/** Believes every 404. */
export const credulous = onLedger((ledger) => ({
  holdUnseen: (key, _words, _untilMs, nowMs) => ledger.dropJob(key, 'it is gone', nowMs),
}));

/** Takes whatever names a runner for a fact about one of its own jobs. */
export const deceived: EngineFactory = (options) => {
  const { ledger } = options;
  const unsettledJobs = async (limit: number): Promise<readonly JobRow[]> => {
    const believed: JobRow[] = [];
    for (const job of await ledger.unsettledJobs(limit, 'reject')) {
      const runner = job.runnerName === null ? undefined : await ledger.runner(job.runnerName);
      if (runner === undefined) believed.push(job);
      else believed.push({ ...job, ...placeWithin(runner.scope), runnerId: runner.githubRunnerId, statusToldBy: null });
    }
    return believed;
  };
  return createEngine({ ...options, ledger: replaced(ledger, { unsettledJobs }) });
};

function placeWithin(scope: string): { readonly owner: string; readonly repository: string } | object {
  const [kind, owner = '', repository = 'web'] = scope.split('/');
  return kind === 'enterprises' ? {} : { owner, repository };
}

/** Answers a delivery when it has committed: on the disk it is half a second later. */
export function hastyLedger(ledger: Ledger): Ledger {
  return {
    ...ledger,
    recordDeliveries: async (batch, committed = () => {}) => {
      await ledger.recordFacts(batch.flatMap(({ fact }) => fact ?? []));
      const results = batch.map(() => 'recorded' as const);
      committed(results);
      return results;
    },
  };
}
