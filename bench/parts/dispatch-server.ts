/**
 * The dispatcher of the benchmarks `dispatch` and `burst`: the real listener, intake, ledger on disk and engine, with a
 * GitHub that answers at once and a provider that answers after `createMs`. Reports when each provider call was sent.
 *
 * Arguments: the ledger file, `createMs` (0), maximum launches in flight (200), further registrations (0).
 */

import { z } from 'zod';
import { createAdmit } from '../../dispatcher/admission/admit.ts';
import { createPublicListener } from '../../dispatcher/http/public.ts';
import { createIntake } from '../../dispatcher/intake/webhook.ts';
import { neverStrangers } from '../../dispatcher/jobs/facts.ts';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import { createEngine } from '../../dispatcher/lifecycle/engine.ts';
import { Secret } from '../../dispatcher/model/registration.ts';
import { createLog } from '../../dispatcher/observability/log.ts';
import { createMetrics } from '../../dispatcher/observability/metrics.ts';
import { closedPolicy, registration } from '../../test/registration-fixture.ts';
import { systemClock, systemRandom, ulid } from '../../time/clock.ts';
import { serveParent } from './child.ts';
import { benchmarkSecret } from './deliveries.ts';
import { InstantWorld } from './instant-world.ts';

export const launchReport = z.object({
  port: z.int(),
  /** Job id and the time of the provider's create call, in ms since the epoch with fractions. */
  launches: z.array(z.object({ jobId: z.number(), atMs: z.number() })),
  /** CPU of the process since its start. */
  cpuMs: z.number(),
});

export function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

const bench = registration({
  name: 'bench',
  claim: { kind: 'user', user: 'Codertocat' },
  labels: ['bench'],
  policy: { ...closedPolicy, publicRepositories: true },
  backends: [{ name: 'instant', kind: 'instant', region: undefined, options: {}, maxRunners: 100_000 }],
  maxRunners: 100_000,
});

/** For an owner that sends no deliveries. */
function other(index: number) {
  return registration({
    name: `other-${index}`,
    claim: { kind: 'organization', organization: `org-${index}` },
    labels: ['bench'],
    backends: [{ name: 'instant', kind: 'instant', region: undefined, options: {}, maxRunners: 10 }],
  });
}

async function start(path: string, createMs: number, maxLaunches: number, others: number) {
  const registrations = [bench, ...Array.from({ length: others }, (_, index) => other(index))];
  const ledger = await openSqliteLedger({ path, now: systemClock.now, gather: setImmediate });
  const world = new InstantWorld({ ledger, createMs, wake: () => engine.wake() });
  const log = createLog({ level: 'warn', write: (line) => process.stderr.write(line), clock: systemClock });
  const metrics = createMetrics({ sources: { ledger, clock: systemClock, registrations: () => registrations } });
  const engine = createEngine({
    dispatcherId: 'bench',
    incarnation: ulid(systemClock.now(), systemRandom),
    ledger,
    clock: systemClock,
    random: systemRandom,
    log,
    metrics,
    admit: createAdmit(registrations),
    tenants: new Map(
      registrations.map((one) => [
        one.name,
        { registration: one, github: world.github, provider: async () => world.provider },
      ]),
    ),
    areStrangers: neverStrangers,
    maxRunners: 100_000,
    maxLaunches,
  });
  await engine.start();
  const endpoints = [{ host: 'github.com', appId: undefined, secrets: [new Secret(benchmarkSecret)], owners: ['*'] }];
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

const [path, createMs = '0', maxLaunches = '200', others = '0'] = process.argv.slice(2);
if (process.send !== undefined && path !== undefined) {
  const { port, world } = await start(path, Number(createMs), Number(maxLaunches), Number(others));
  serveParent(
    async () => ({ port, launches: world.launches.splice(0), cpuMs: cpuMs() }) satisfies z.input<typeof launchReport>,
  );
}
