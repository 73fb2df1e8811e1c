/** Launches through our adapter or with the SDK alone, and reports what that cost this process. */
import { z } from 'zod';
import { loadProvider } from '../../providers/index.ts';
import type { LaunchRequest } from '../../providers/provider.ts';
import { systemClock, systemRandom } from '../../time/clock.ts';
import { serveParent } from './child.ts';
import { LAUNCH_IMAGE } from './cloud-simulator.ts';
import { directLaunches } from './direct-launches/index.ts';

const order = z.object({
  kind: z.string(),
  way: z.enum(['adapter', 'sdk']),
  options: z.record(z.string(), z.unknown()),
  series: z.int(),
  count: z.int(),
});

export const launched = z.object({ cpuMs: z.number() });

/** As long as a real JIT configuration with its RSA key. */
const blob = Buffer.alloc(3093, 'a JIT configuration ').toString('base64');
const ways = new Map<string, Promise<(request: LaunchRequest) => Promise<unknown>>>();

if (process.send !== undefined) {
  serveParent(async (received) => {
    const { kind, way, options, series, count } = order.parse(received);
    const key = `${kind} ${way}`;
    const making = ways.get(key) ?? make(kind, way, options);
    ways.set(key, making);
    const launch = await making;
    const before = process.cpuUsage();
    for (let index = 0; index < count; index += 1) await launch(requestOf(`${way}-${series}-${index}`));
    const { user, system } = process.cpuUsage(before);
    return { cpuMs: (user + system) / 1000 / count } satisfies z.input<typeof launched>;
  });
}

async function make(kind: string, way: 'adapter' | 'sdk', options: unknown) {
  if (way === 'sdk') {
    const direct = directLaunches[kind];
    if (direct === undefined) throw new Error(`no direct launch for ${kind}`);
    return (await direct()).directLaunch(options);
  }
  const module = await loadProvider(kind);
  const provider = module.create(module.options.parse(options), {
    // A fast clock prevents the per-minute budgets from delaying the measured calls.
    now: () => Date.now() * 1000,
    after: systemClock.after,
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    random: systemRandom,
  });
  return (request: LaunchRequest) => provider.launch(request);
}

function requestOf(suffix: string): LaunchRequest {
  const name = `bench-${suffix}`;
  return {
    name,
    nameIsNew: true,
    shape: {
      cpu: 2,
      memoryGiB: 4,
      architecture: 'x64',
      image: LAUNCH_IMAGE,
      spot: false,
      dockerInDocker: false,
      timeLimitMs: 3_600_000,
    },
    tags: {
      dispatcher: 'bench',
      registration: 'acme',
      lane: 'abcdefghij234567',
      scope: 'orgs/acme',
      runner: name,
      createdAtMs: 1_790_000_000_000,
      deadlineAtMs: 1_790_003_600_000,
      charge: { 'cost-centre': 'r-and-d' },
    },
    environment: {},
    secretEnvironment: { ACTIONS_RUNNER_INPUT_JITCONFIG: blob },
  };
}
