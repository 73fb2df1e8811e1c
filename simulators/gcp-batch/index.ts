/** A simulator of Google Batch on the wire. Its scope and limits are described in README.md. */
import { createRequire } from 'node:module';
import { z } from 'zod';
import { systemClock } from '../../time/clock.ts';
import { ContainerHost } from '../containers/host.ts';
import { type Google, type GoogleOptions, startGoogle } from '../google/index.ts';
import { Kms } from './kms.ts';
import {
  type Conditions,
  type ConditionsInput,
  conditions,
  type GcpBatchSimulatorOptions,
  usualTimings,
} from './options.ts';
import { BatchService } from './service.ts';

export interface GcpBatchSimulator extends Google {
  readonly project: string;
  readonly region: string;
  /** The JSON key of an account with all permissions here. */
  readonly credentials: string;
  /** The service account that machines may run as. */
  readonly serviceAccount: string;
  /** An existing Cloud KMS key. */
  readonly kms: Kms;
  readonly service: BatchService;
  /** Replaces all conditions. */
  setConditions(input: ConditionsInput): Conditions;
  /** Reclaims the spot machine of a running job. False if there is none. */
  reclaim(id: string): boolean;
}

const reclaiming = z.strictObject({ job: z.string().min(1) });

export async function startGcpBatchSimulator(options: GcpBatchSimulatorOptions): Promise<GcpBatchSimulator> {
  const project = options.project ?? 'demo-project';
  const regions = options.regions ?? ['europe-west4'];
  const nowMs = options.nowMs ?? (() => systemClock.now());
  const containers = new ContainerHost(options);
  const kms = new Kms(project, regions[0] ?? '');
  let current = conditions.parse({});
  const setConditions = (input: unknown): Conditions => {
    current = conditions.parse(input);
    return current;
  };
  let service: BatchService | undefined;
  const started = await startGoogle({
    protos: batchProtos(),
    services: (google) => {
      service = new BatchService(
        {
          containers,
          kms,
          project,
          regions,
          serviceAccounts: options.serviceAccounts,
          timings: { ...usualTimings, ...options.timings },
          largestPage: options.largestPage ?? 1000,
          nowMs,
          conditions: () => current,
        },
        google,
      );
      return { 'google.cloud.batch.v1.BatchService': service.methods };
    },
    nowMs,
    ...(options.random === undefined ? {} : { random: options.random }),
    ...(options.host === undefined ? {} : { host: options.host }),
    ...(options.port === undefined ? {} : { grpcPort: options.port }),
    ...(options.httpPort === undefined ? {} : { httpPort: options.httpPort }),
    rest: (method, path, body) => {
      if (method === 'GET') return service?.compute(path);
      return method === 'POST' ? kms.encrypt(path, body) : undefined;
    },
    state: () => ({
      jobs: service?.jobs.map(({ name, uid, state, pid }) => ({ name, uid, state, pid })) ?? [],
      conditions: current,
    }),
    control: (name, body) => {
      if (name === 'conditions') return setConditions(body);
      if (name === 'reclaim') return { reclaimed: service?.job(reclaiming.parse(body).job)?.reclaim() ?? false };
      return undefined;
    },
  });
  if (service === undefined) throw new TypeError('the service was not set up');
  const made = service;
  return {
    ...started,
    project,
    region: regions[0] ?? '',
    credentials: started.identity.createKey(`dispatcher@${project}.iam.gserviceaccount.com`, project),
    serviceAccount: options.serviceAccounts?.[0] ?? `runner@${project}.iam.gserviceaccount.com`,
    kms,
    service: made,
    setConditions,
    reclaim: (id) => made.job(id)?.reclaim() ?? false,
    close: async () => {
      made.close();
      await containers.close();
      await started.close();
    },
  };
}

/** The options of a backend that uses this simulator. */
export function demoOptions(simulator: GcpBatchSimulator) {
  return {
    project: simulator.project,
    region: simulator.region,
    credentials: simulator.credentials,
    serviceAccount: simulator.serviceAccount,
    endpoint: simulator.endpoint,
    loggingEndpoint: simulator.httpUrl,
    computeEndpoint: simulator.httpUrl,
    kmsEndpoint: simulator.httpUrl,
    // Local processes start and end in milliseconds, and a demo reads their logs often.
    logReadsPerMinute: 6000,
  };
}

/** The SDK's own definitions, so that both sides use the same version. */
function batchProtos(): GoogleOptions['protos'] {
  const load: (path: string) => GoogleOptions['protos'] = createRequire(import.meta.url);
  return load('@google-cloud/batch/build/protos/protos.json');
}
