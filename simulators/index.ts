/** Every simulated container service by its provider's kind, loaded on first use. */
import type { ContainerHostOptions } from './containers/host.ts';

export interface SimulatedService {
  /** Options of a backend that uses it. */
  readonly options: Readonly<Record<string, unknown>>;
  close(): Promise<void>;
}

const services: Readonly<Record<string, (host: ContainerHostOptions) => Promise<SimulatedService>>> = {
  'ali-eci': async (host) => {
    const { demoOptions, startAliEciSimulator } = await import('./ali-eci/index.ts');
    const simulator = await startAliEciSimulator(host);
    return { options: demoOptions(simulator), close: () => simulator.close() };
  },
  'azure-aci': async (host) => {
    const { demoOptions, startAzureAciSimulator } = await import('./azure-aci/index.ts');
    const simulator = await startAzureAciSimulator(host);
    return { options: demoOptions(simulator), close: () => simulator.close() };
  },
  'gcp-cloud-run': async (host) => {
    const { demoOptions, startCloudRunSimulator } = await import('./gcp-cloud-run/index.ts');
    const simulator = await startCloudRunSimulator(host);
    return { options: demoOptions(simulator), close: () => simulator.close() };
  },
  'gcp-batch': async (host) => {
    const { demoOptions, startGcpBatchSimulator } = await import('./gcp-batch/index.ts');
    const simulator = await startGcpBatchSimulator(host);
    return { options: demoOptions(simulator), close: () => simulator.close() };
  },
};

/** Rejects if there is no simulator of this kind. */
export async function startSimulatedService(kind: string, host: ContainerHostOptions): Promise<SimulatedService> {
  const start = Object.hasOwn(services, kind) ? services[kind] : undefined;
  if (start === undefined) throw new Error(`there is no simulator of kind ${kind}: add it to simulators/index.ts`);
  return await start(host);
}
