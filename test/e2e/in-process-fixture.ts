/** The real service in the process of the test, on a clock of the test's own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemFiles } from '../../dispatcher/config/files.ts';
import { loadConfiguration } from '../../dispatcher/config/load.ts';
import { startDispatcher } from '../../dispatcher/main.ts';
import { formatProblem } from '../../dispatcher/model/problem.ts';
import { createLog } from '../../dispatcher/observability/log.ts';
import { loadProvider } from '../../providers/index.ts';
import { type Clock, systemClock, systemRandom } from '../../time/clock.ts';
import {
  ADMIN_TOKEN,
  type Service,
  type ServiceOptions,
  startGithub,
  WEBHOOK_SECRET,
  writeConfiguration,
} from './service-fixture.ts';

export type ServiceHere = Pick<Service, 'adminUrl' | 'github' | 'output' | 'close'>;

/** Time that passes `rate` times as fast as it does, from now on. */
export function fastClock(rate: number): Clock {
  const startMs = systemClock.now();
  const elapsed = (): number => (performance.now() - startedAt) * rate;
  const startedAt = performance.now();
  return {
    now: () => Math.round(startMs + elapsed()),
    after: (ms, action) => systemClock.after(ms / rate, action),
    elapsed,
  };
}

export async function startServiceHere(clock: Clock, options: ServiceOptions): Promise<ServiceHere> {
  const folder = await mkdtemp(join(tmpdir(), 'shr-e2e-'));
  const github = await startGithub(options);
  await writeConfiguration(folder, github, options, {});
  const loaded = await loadConfiguration({
    dispatcherFile: join(folder, 'dispatcher.yaml'),
    registrationsFolder: join(folder, 'registrations'),
    environment: { E2E_WEBHOOK_SECRET: WEBHOOK_SECRET, E2E_ADMIN_TOKEN: ADMIN_TOKEN, ...options.environment },
    files: systemFiles,
    provider: loadProvider,
  });
  if (!loaded.ok) throw new Error(loaded.problems.map(formatProblem).join('\n'));
  let output = '';
  const log = createLog({
    level: 'debug',
    clock,
    write: (line) => {
      output += line;
    },
  });
  const dispatcher = await startDispatcher({ configuration: loaded.configuration, clock, random: systemRandom, log });
  const url = `http://127.0.0.1:${dispatcher.publicPort}/webhooks/github/e2e`;
  github.addHook({ on: 'acme', url, secret: WEBHOOK_SECRET });
  return {
    adminUrl: `http://127.0.0.1:${dispatcher.adminPort}`,
    github,
    output: () => output,
    async close() {
      await dispatcher.stop();
      await github.close();
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
