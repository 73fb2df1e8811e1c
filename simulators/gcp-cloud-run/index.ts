/**
 * Cloud Run's Jobs on the wire (gRPC, google.cloud.run.v2), with local processes as containers. Usable with Google's
 * own SDK. See README.md.
 */
import { createRequire } from 'node:module';
import { z } from 'zod';
import { type Google, startGoogle } from '../google/index.ts';
import { cloudRunMethods } from './methods.ts';
import type { CloudRunSimulatorOptions } from './options.ts';
import { type Fate, fates, Region } from './region.ts';
import { Secrets } from './secrets.ts';
import { type ServiceMessage, Services, serviceMethods } from './services.ts';

export type { CloudRunSimulatorOptions } from './options.ts';
export type { Fate } from './region.ts';

export interface SimulatedExecution {
  /** `projects/P/locations/R/jobs/J/executions/E` */
  readonly name: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Undefined before the start and after the end. */
  readonly pid: number | undefined;
  readonly ended: boolean;
}

export interface CloudRunSimulator extends Google {
  readonly project: string;
  readonly region: string;
  /** The JSON key of an account of this project. */
  readonly serviceAccountKey: string;
  executions(): readonly SimulatedExecution[];
  jobs(): readonly string[];
  services(): readonly { readonly name: string; readonly message: ServiceMessage }[];
  /** Of Secret Manager. */
  secrets(): readonly string[];
  /** Sets the outcome of the next executions. */
  doom(...next: Fate[]): void;
  /** From now on this execution reports a state unknown to clients. The returned function ends that. */
  confuse(executionName: string): () => void;
}

const require = createRequire(import.meta.url);
const doomed = z.strictObject({ next: z.array(z.enum(fates)).min(1) });

export async function startCloudRunSimulator(options: CloudRunSimulatorOptions): Promise<CloudRunSimulator> {
  const project = options.project ?? 'demo-project';
  const location = options.region ?? 'europe-west1';
  let region: Region | undefined;
  let services: Services | undefined;
  const secrets = new Secrets(project);
  const executions = (): SimulatedExecution[] =>
    [...(region?.executions.values() ?? [])].map(({ name, template, container, end }) => ({
      name,
      environment: Object.fromEntries((template.containers[0]?.env ?? []).map((one) => [one.name, one.value])),
      pid: end === undefined ? container?.pid : undefined,
      ended: end !== undefined,
    }));
  const jobs = (): string[] => [...(region?.jobs.keys() ?? [])];
  const google = await startGoogle({
    protos: require('@google-cloud/run/build/protos/protos.json'),
    services: (foundation) => {
      region = new Region(options, project, location, foundation.logs);
      services = new Services({ options, project, location, logs: foundation.logs, secrets });
      return {
        ...cloudRunMethods(region, options, foundation.operations),
        ...serviceMethods(services, foundation.operations),
      };
    },
    rest: (method, path, body, query) => secrets.rest(method, path, body, query),
    ...(options.host === undefined ? {} : { host: options.host }),
    ...(options.grpcPort === undefined ? {} : { grpcPort: options.grpcPort }),
    ...(options.httpPort === undefined ? {} : { httpPort: options.httpPort }),
    // Without the environment, which contains the JIT configurations.
    state: () => ({ jobs: jobs(), executions: executions().map(({ name, pid, ended }) => ({ name, pid, ended })) }),
    control: (name, body) => {
      if (name !== 'doom') return undefined;
      region?.doom(...doomed.parse(body).next);
      return {};
    },
  });
  return {
    ...google,
    project,
    region: location,
    serviceAccountKey: google.identity.createKey(`dispatcher@${project}.iam.gserviceaccount.com`, project),
    executions,
    jobs,
    services: () => [...(services?.all.values() ?? [])].map(({ name, message }) => ({ name, message })),
    secrets: () => secrets.names(),
    doom: (...next) => region?.doom(...next),
    confuse: (executionName) => {
      const execution = region?.executions.get(executionName);
      if (execution === undefined) throw new TypeError(`no execution ${executionName}`);
      execution.odd = true;
      return () => {
        execution.odd = false;
      };
    },
    close: async () => {
      await google.close();
      await region?.close();
      await services?.close();
    },
  };
}

/** The `options` of a backend that uses this simulator. */
export function demoOptions(simulator: CloudRunSimulator): Readonly<Record<string, unknown>> {
  return {
    project: simulator.project,
    region: simulator.region,
    credentials: simulator.serviceAccountKey,
    serviceAccount: `runner@${simulator.project}.iam.gserviceaccount.com`,
    endpoint: simulator.endpoint,
    loggingEndpoint: simulator.httpUrl,
    secretsEndpoint: simulator.httpUrl,
    // The simulator is fast, and its quotas are generous.
    pollMs: 50,
    jobRunsPerMinute: 10_000,
    writesPerMinute: 10_000,
    logReadsPerMinute: 10_000,
  };
}
