/** A simulated Batch with a provider before it, as most tests here want it. */
import { setTimeout as delay } from 'node:timers/promises';
import gcpBatchModule from '../../../providers/gcp-batch/index.ts';
import { type Provider, ProviderError, type ProviderHost } from '../../../providers/provider.ts';
import { type GcpBatchSimulator, startGcpBatchSimulator } from '../../../simulators/gcp-batch/index.ts';
import type { GcpBatchSimulatorOptions } from '../../../simulators/gcp-batch/options.ts';
import { testHost } from '../../conformance/harness.ts';
import { account, IMAGE } from './requests.ts';

export interface Fixture {
  readonly simulator: GcpBatchSimulator;
  /** A new one at each call. */
  open(options?: object, host?: ProviderHost): Provider;
  close(): Promise<void>;
}

export async function openFixture(options: Partial<GcpBatchSimulatorOptions> = {}): Promise<Fixture> {
  const simulator = await startGcpBatchSimulator({
    images: { [IMAGE]: ['sleep', '600'] },
    project: 'acme-ci',
    serviceAccounts: [account],
    ...options,
  });
  const opened: Provider[] = [];
  return {
    simulator,
    open: (more = {}, host = testHost()) => {
      const provider = gcpBatchModule.create(
        gcpBatchModule.options.parse({
          project: simulator.project,
          region: simulator.region,
          credentials: simulator.credentials,
          serviceAccount: account,
          endpoint: simulator.endpoint,
          loggingEndpoint: simulator.httpUrl,
          computeEndpoint: simulator.httpUrl,
          kmsEndpoint: simulator.httpUrl,
          logReadsPerMinute: 60_000,
          command: ['sleep', '600'],
          ...more,
        }),
        host,
      );
      opened.push(provider);
      return provider;
    },
    close: async () => {
      await Promise.all(opened.map((provider) => provider.close()));
      await simulator.close();
    },
  };
}

export async function eventually<T>(what: string, read: () => Promise<T>, done: (value: T) => boolean): Promise<T> {
  const giveUpAt = Date.now() + 10_000;
  for (;;) {
    const value = await read();
    if (done(value)) return value;
    if (Date.now() > giveUpAt) throw new Error(`${what} did not come to pass; last seen: ${JSON.stringify(value)}`);
    await delay(10);
  }
}

export async function rejection(promise: Promise<unknown>): Promise<ProviderError> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    if (error instanceof ProviderError) return error;
    throw new Error('rejected with something else than a ProviderError', { cause: error });
  }
  throw new Error(`should have been refused, but gave ${JSON.stringify(value)}`);
}
