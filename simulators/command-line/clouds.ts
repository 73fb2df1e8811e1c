/** Starts a cloud's simulator, whose containers are local processes that run the demo runner. */
import path from 'node:path';
import { demoOptions as aliEciOptions, startAliEciSimulator } from '../ali-eci/index.ts';
import { demoOptions as azureAciOptions, startAzureAciSimulator } from '../azure-aci/index.ts';
import type { ContainerHostOptions } from '../containers/host.ts';
import { demoOptions as gcpBatchOptions, startGcpBatchSimulator } from '../gcp-batch/index.ts';
import { demoOptions as cloudRunOptions, startCloudRunSimulator } from '../gcp-cloud-run/index.ts';
import type { Started } from './started.ts';

const RUNNER = path.join(import.meta.dirname, '..', 'github', 'runner.mjs');

export interface CloudFlags {
  readonly port: number;
  readonly httpPort: number;
  readonly host: string;
  readonly project: string;
  readonly region: string;
  readonly image: string;
}

export interface Cloud {
  readonly description: string;
  /** Distinct default ports, so that all can run side by side. */
  readonly port: number;
  /** Google's second port: for tokens, Cloud Logging and control. */
  readonly httpPort?: number;
  readonly region: string;
  start(flags: CloudFlags): Promise<Started>;
}

export const clouds: Readonly<Record<string, Cloud>> = {
  'ali-eci': {
    description: 'An Alibaba Cloud Elastic Container Instance whose containers are local processes.',
    port: 4020,
    region: 'cn-hangzhou',
    start: async ({ port, host, region, image }) => {
      const simulator = await startAliEciSimulator({ port, host, region, ...machine(image) });
      return {
        name: 'ali-eci',
        facts: [
          ['url', simulator.url],
          ['faults', `curl --data '{"kind":"no-stock","times":1}' ${simulator.url}/_simulator/faults`],
        ],
        backend: { kind: 'ali-eci', region, image, options: aliEciOptions(simulator) },
        close: () => simulator.close(),
      };
    },
  },
  'azure-aci': {
    description: 'Azure Container Instances and the sign-in to it, over https, with local processes for containers.',
    port: 4030,
    region: 'westeurope',
    start: async ({ port, host, region, image }) => {
      const simulator = await startAzureAciSimulator({ port, host, location: region, ...machine(image) });
      return {
        name: 'azure-aci',
        facts: [
          ['url', simulator.url],
          // Its certificate is self-signed, and new at every start.
          ['faults', `curl --insecure --data '{"kind":"no-stock","times":1}' ${simulator.url}/_simulator/faults`],
        ],
        backend: { kind: 'azure-aci', region, image, options: azureAciOptions(simulator) },
        close: () => simulator.close(),
      };
    },
  },
  'gcp-cloud-run': {
    description: "Cloud Run's jobs, with local processes for containers.",
    port: 4040,
    httpPort: 4041,
    region: 'europe-west1',
    start: async ({ port, httpPort, host, project, region, image }) => {
      const simulator = await startCloudRunSimulator({
        grpcPort: port,
        httpPort,
        host,
        project,
        region,
        ...machine(image),
      });
      return {
        name: 'gcp-cloud-run',
        facts: [
          ['grpc', simulator.endpoint],
          ['faults', `curl --data '{"next":["no-capacity"]}' ${simulator.httpUrl}/_simulator/doom`],
        ],
        backend: { kind: 'gcp-cloud-run', region, image, options: cloudRunOptions(simulator) },
        close: () => simulator.close(),
      };
    },
  },
  'gcp-batch': {
    description: 'A Google Batch whose machines are local processes.',
    port: 4050,
    httpPort: 4051,
    region: 'europe-west4',
    start: async ({ port, httpPort, host, project, region, image }) => {
      const simulator = await startGcpBatchSimulator({
        port,
        httpPort,
        host,
        project,
        regions: [region],
        ...machine(image),
      });
      return {
        name: 'gcp-batch',
        facts: [
          ['grpc', simulator.endpoint],
          ['faults', `curl --data '{"noStock":"all"}' ${simulator.httpUrl}/_simulator/conditions`],
        ],
        backend: { kind: 'gcp-batch', region, image, options: gcpBatchOptions(simulator) },
        close: () => simulator.close(),
      };
    },
  },
};

function machine(image: string): ContainerHostOptions {
  return {
    images: { [image]: [process.execPath, RUNNER] },
    // The command of the official runner image.
    substitutions: { '/home/runner/run.sh': RUNNER },
  };
}
