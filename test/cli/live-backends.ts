/** Each kind of backend that `shr verify-live` is tried on, as a user would configure it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadProvider } from '../../providers/index.ts';
import type { Provider } from '../../providers/provider.ts';
import { demoOptions as eciOptions, startAliEciSimulator } from '../../simulators/ali-eci/index.ts';
import { demoKey } from '../../simulators/ali-eci/options.ts';
import { demoOptions as aciOptions, startAzureAciSimulator } from '../../simulators/azure-aci/index.ts';
import { demo as azureDemo } from '../../simulators/azure-aci/options.ts';
import { demoOptions as batchOptions, startGcpBatchSimulator } from '../../simulators/gcp-batch/index.ts';
import { demoOptions as cloudRunOptions, startCloudRunSimulator } from '../../simulators/gcp-cloud-run/index.ts';
import { testHost } from '../conformance/harness.ts';
import { engineProblem, testImage } from '../docker/engine.ts';

export interface LiveBackend {
  readonly kind: string;
  readonly image: string;
  readonly options: Readonly<Record<string, unknown>>;
  /** Values that a registration may only refer to. */
  readonly secrets?: readonly string[];
  close(): Promise<void>;
}

/** Where there is nothing to try it on; the message says why. */
export class NotHere extends Error {}

const IMAGE = 'docker.io/acme/runner:1';
/** What the image itself would run: it ends at once, so that a forgotten command shows. */
const images = { [IMAGE]: ['sh', '-c', 'exit 9'] };

/** What real runners say of a configuration that they cannot use. */
const command = ['sh', '-c', 'echo "An error occurred: Not configured"; exit 1'];

export const liveBackends: Readonly<Record<string, () => Promise<LiveBackend>>> = {
  async process() {
    const root = await mkdtemp(join(tmpdir(), 'shr-live-'));
    return {
      kind: 'process',
      image: 'unused:1',
      options: { command, root },
      close: () => rm(root, { recursive: true }),
    };
  },

  async docker() {
    const problem = await engineProblem();
    if (problem !== undefined) throw new NotHere(problem);
    return {
      kind: 'docker',
      image: await testImage(),
      options: { pull: 'never', stopGraceS: 1, command },
      close: async () => {},
    };
  },

  async 'ali-eci'() {
    const simulator = await startAliEciSimulator({ images });
    return {
      kind: 'ali-eci',
      image: IMAGE,
      options: { ...eciOptions(simulator), stopGraceS: 1, command },
      secrets: [demoKey.secret],
      close: () => simulator.close(),
    };
  },

  async 'azure-aci'() {
    const simulator = await startAzureAciSimulator({ images });
    return {
      kind: 'azure-aci',
      image: IMAGE,
      options: { ...aciOptions(simulator), command },
      secrets: [azureDemo.clientSecret],
      close: () => simulator.close(),
    };
  },

  async 'gcp-cloud-run'() {
    const simulator = await startCloudRunSimulator({ images });
    return {
      kind: 'gcp-cloud-run',
      image: IMAGE,
      options: { ...cloudRunOptions(simulator), command },
      close: () => simulator.close(),
    };
  },

  async 'gcp-batch'() {
    const simulator = await startGcpBatchSimulator({ images });
    return {
      kind: 'gcp-batch',
      image: IMAGE,
      options: { ...batchOptions(simulator), command },
      close: () => simulator.close(),
    };
  },
};

/** Its entry in a registration, and the environment that this refers to. */
export function entryOf(backend: LiveBackend, name: string) {
  const secrets = backend.secrets ?? [];
  const hidden = JSON.stringify(backend.options, (_, value: unknown) => {
    const index = typeof value === 'string' ? secrets.indexOf(value) : -1;
    return index === -1 ? value : `\${env:LIVE_SECRET_${index}}`;
  });
  const options: unknown = JSON.parse(hidden);
  return {
    entry: { name, kind: backend.kind, options },
    environment: Object.fromEntries(secrets.map((secret, index) => [`LIVE_SECRET_${index}`, secret])),
  };
}

/** A provider of our own to look at the service with, beside that of the command. */
export async function onlooker(backend: LiveBackend): Promise<Provider> {
  const module = await loadProvider(backend.kind);
  return module.create(module.options.parse(backend.options), testHost());
}
