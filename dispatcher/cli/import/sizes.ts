/**
 * Whether the service that a registration names sells the size that it asks for. `shr validate` cannot tell before the
 * secrets are there, as it asks the backend itself; a size depends on none of them.
 */
import { loadProvider, providerKinds } from '../../../providers/index.ts';
import type { Provider, ShapeWish } from '../../../providers/provider.ts';
import { roundingInWords, sizeInWords } from '../../../providers/shape-words.ts';
import { systemClock, systemRandom } from '../../../time/clock.ts';
import { providerHost } from '../../backends/pool.ts';
import { isRecord } from '../../config/salvage.ts';
import type { Draft } from './draft.ts';

const NO_ID = '00000000-0000-0000-0000-000000000000';
const GOOGLE = { project: 'acme-ci', region: 'europe-west4', serviceAccount: 'runner@acme-ci.iam.gserviceaccount.com' };

/** Options that decide what is sold. */
const SIZING = ['sku', 'mostCpu', 'mostMemoryGiB', 'machineSeries', 'armMachineSeries', 'machineType', 'privileged'];

/** Options with which a provider can be made, to ask nothing but what it sells. */
const STAND_INS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  'ali-eci': {
    ...{ region: 'cn-hangzhou', accessKeyId: 'none', accessKeySecret: 'none' },
    ...{ vSwitchIds: ['vsw-none'], securityGroupId: 'sg-none' },
  },
  'azure-aci': {
    ...{ subscriptionId: NO_ID, resourceGroup: 'runners', location: 'westeurope' },
    credentials: { kind: 'secret', tenantId: NO_ID, clientId: NO_ID, clientSecret: 'none' },
  },
  'gcp-batch': GOOGLE,
  'gcp-cloud-run': GOOGLE,
};

interface Place {
  /** In words. */
  readonly name: string;
  readonly backend: unknown;
}

/**
 * What to do about the size in `defaults`, for each backend: nothing where the service sells exactly that. `shared`: the
 * backends of dispatcher.yaml.
 */
export async function sizeToDos(
  { defaults, backends }: Draft['registration'],
  shared: Readonly<Record<string, unknown>>,
): Promise<readonly string[]> {
  if (!isRecord(defaults) || !Array.isArray(backends)) return [];
  const { cpu, memoryGiB, architecture, dockerInDocker } = defaults;
  const wish: ShapeWish = {
    architecture: architecture === 'arm64' ? 'arm64' : 'x64',
    // Which registries a service pulls from is another question.
    image: 'docker.io/acme/runner:latest',
    spot: false,
    dockerInDocker: dockerInDocker === true,
    ...(typeof cpu === 'number' ? { cpu } : {}),
    ...(typeof memoryGiB === 'number' ? { memoryGiB } : {}),
  };
  if (wish.cpu === undefined && wish.memoryGiB === undefined) return [];
  const places = backends.map((backend: unknown, index): Place => {
    const use = isRecord(backend) && typeof backend['use'] === 'string' ? backend['use'] : undefined;
    if (use === undefined) return { name: `backends[${index}]`, backend };
    return { name: `the backend \`${use}\``, backend: Object.hasOwn(shared, use) ? shared[use] : undefined };
  });
  const found: string[] = [];
  for (const { name, backend } of places) {
    const provider = isRecord(backend) ? await providerFor(backend) : undefined;
    if (provider === undefined) continue;
    found.push(...toDoOf(provider, wish, name));
    await provider.close();
  }
  return found;
}

async function providerFor(backend: Readonly<Record<string, unknown>>): Promise<Provider | undefined> {
  const { kind, options } = backend;
  if (typeof kind !== 'string' || !providerKinds.includes(kind)) return undefined;
  const standIns = STAND_INS[kind];
  if (standIns === undefined) return undefined;
  const module = await loadProvider(kind);
  const given = isRecord(options) ? options : {};
  const said = Object.fromEntries(Object.entries(given).filter(([name]) => SIZING.includes(name)));
  const parsed = module.options.safeParse({ ...standIns, ...said });
  return parsed.success ? module.create(parsed.data, providerHost(systemClock, systemRandom)) : undefined;
}

function toDoOf(provider: Provider, wish: ShapeWish, where: string): readonly string[] {
  const fit = provider.fit(wish);
  if (fit.fits) {
    const changes = roundingInWords(wish, fit.shape);
    return changes.length === 0 ? [] : [`defaults: ${changes.join(', ')} at ${where}, which is billed`];
  }
  const nearest = nearestSize(provider, wish);
  if (nearest === undefined) return [`defaults: ${where} cannot run it: ${fit.reason}`];
  const { cpu, memoryGiB } = nearest;
  return [
    `defaults: ${where} does not sell ${sizeInWords(wish).join(' with ')} (${fit.reason}); the nearest that it has: \`cpu: ${cpu}\`, \`memoryGiB: ${memoryGiB}\``,
  ];
}

const STEPS = [1, 2, 3, 4, 6, 7, 8, 12, 16, 24, 30, 31, 32, 48, 52, 64, 96, 128, 180, 192, 224, 240, 256, 384, 512];

/**
 * Of what is sold, the one that differs least, counted in doublings; what falls short counts twice. Undefined: it is not
 * the size that keeps it out.
 */
function nearestSize(provider: Provider, wish: ShapeWish): { cpu: number; memoryGiB: number } | undefined {
  const stepsFor = (wished: number | undefined): readonly (number | undefined)[] =>
    wished === undefined ? [undefined] : [wished, ...STEPS];
  const far = (wished: number | undefined, sold: number): number =>
    wished === undefined ? 0 : Math.max(Math.log2(sold / wished), 2 * Math.log2(wished / sold));
  let nearest: { cpu: number; memoryGiB: number; away: number } | undefined;
  for (const cpu of stepsFor(wish.cpu)) {
    for (const memoryGiB of stepsFor(wish.memoryGiB)) {
      const fit = provider.fit({
        ...wish,
        ...(cpu === undefined ? {} : { cpu }),
        ...(memoryGiB === undefined ? {} : { memoryGiB }),
      });
      if (!fit.fits) continue;
      const { shape } = fit;
      const away = far(wish.cpu, shape.cpu) + far(wish.memoryGiB, shape.memoryGiB);
      if (nearest === undefined || away < nearest.away) nearest = { cpu: shape.cpu, memoryGiB: shape.memoryGiB, away };
    }
  }
  return nearest;
}
