/**
 * The clouds, simulated: the vendor's own SDK speaks to a stand-in of its service on the loopback, whose containers are
 * local processes that run the demo's runner.
 */
import { join } from 'node:path';
import type { ContainerHostOptions } from '../../../simulators/containers/host.ts';
import type { DemoBackend } from './backend.ts';

const RUNNER = join(import.meta.dirname, '..', '..', '..', 'simulators', 'github', 'runner.mjs');
const IMAGE = 'demo/runner:latest';
/** What the official runner's image starts; here it is the demo's runner. */
const OFFICIAL_COMMAND = '/home/runner/run.sh';

/** A simulator that runs, and the `options` of a backend that uses it. */
interface SimulatedCloud {
  readonly options: Readonly<Record<string, unknown>>;
  close(): Promise<void>;
}

const clouds: Readonly<Record<string, (host: ContainerHostOptions) => Promise<SimulatedCloud>>> = {
  'ali-eci': async (host) => {
    const { demoOptions, startAliEciSimulator } = await import('../../../simulators/ali-eci/index.ts');
    const simulator = await startAliEciSimulator(host);
    return { options: demoOptions(simulator), close: () => simulator.close() };
  },
  'azure-aci': async (host) => {
    const { demoOptions, startAzureAciSimulator } = await import('../../../simulators/azure-aci/index.ts');
    const simulator = await startAzureAciSimulator(host);
    return { options: demoOptions(simulator), close: () => simulator.close() };
  },
  'gcp-cloud-run': async (host) => {
    const { demoOptions, startCloudRunSimulator } = await import('../../../simulators/gcp-cloud-run/index.ts');
    const simulator = await startCloudRunSimulator(host);
    return { options: demoOptions(simulator), close: () => simulator.close() };
  },
  'gcp-batch': async (host) => {
    const { demoOptions, startGcpBatchSimulator } = await import('../../../simulators/gcp-batch/index.ts');
    const simulator = await startGcpBatchSimulator(host);
    return { options: demoOptions(simulator), close: () => simulator.close() };
  },
};

export const cloudKinds: readonly string[] = Object.keys(clouds);

export async function cloudBackend(kind: string): Promise<DemoBackend> {
  const start = Object.hasOwn(clouds, kind) ? clouds[kind] : undefined;
  if (start === undefined) throw new Error(`no simulated cloud of kind ${kind}`);
  const cloud = await start({
    images: { [IMAGE]: [process.execPath, RUNNER] },
    substitutions: { [OFFICIAL_COMMAND]: RUNNER },
  });
  return {
    kind,
    options: cloud.options,
    image: IMAGE,
    runnerUrl: (port) => `http://127.0.0.1:${port}`,
    open: async () => {},
    close: () => cloud.close(),
  };
}
