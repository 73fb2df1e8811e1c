/** A backend on a simulator of its own, and what its tests ask for. */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import azureAciModule from '../../../providers/azure-aci/index.ts';
import { type AzureAciOptions, azureAciOptions } from '../../../providers/azure-aci/options.ts';
import { type InstanceTags, type LaunchRequest, type Provider, ProviderError } from '../../../providers/provider.ts';
import {
  type AzureAciSimulator,
  type AzureAciSimulatorOptions,
  type Call,
  demoOptions,
  startAzureAciSimulator,
} from '../../../simulators/azure-aci/index.ts';
import { testHost } from '../../conformance/harness.ts';

export const IMAGE = 'ghcr.io/acme/runner:2.335';
export const SLEEPS = ['sh', '-c', 'trap "exit 143" TERM; sleep 600 & wait'];

export interface Fixture {
  readonly simulator: AzureAciSimulator;
  /** Every call so far, answered or not. */
  readonly calls: readonly Call[];
  backend(options?: Readonly<Record<string, unknown>>): Provider;
  /** One that signs in as this machine. A registration could not turn its tokens to an address like the simulator's. */
  ownBackend(credentials: AzureAciOptions['credentials'], options?: Readonly<Record<string, unknown>>): Provider;
  close(): Promise<void>;
}

export async function openFixture(options: Partial<AzureAciSimulatorOptions> = {}): Promise<Fixture> {
  const calls: Call[] = [];
  const simulator = await startAzureAciSimulator({
    images: { [IMAGE]: SLEEPS },
    ...options,
    onCall: (call) => calls.push(call),
  });
  const opened: Provider[] = [];
  return {
    simulator,
    calls,
    backend: (more = {}) => {
      const given = { ...demoOptions(simulator), command: SLEEPS, timeoutMs: 5000, ...more };
      const provider = azureAciModule.create(azureAciModule.options.parse(given), testHost());
      opened.push(provider);
      return provider;
    },
    ownBackend: (credentials, more = {}) => {
      const { subscriptionId, resourceGroup, location, url, ca } = simulator;
      const place = { subscriptionId, resourceGroup, location };
      const options = azureAciOptions.parse({ ...place, credentials, command: SLEEPS, timeoutMs: 5000, ...more });
      const provider = azureAciModule.create({ ...options, endpoint: url, authorityHost: url, ca }, testHost());
      opened.push(provider);
      return provider;
    },
    close: async () => {
      await Promise.all(opened.map((provider) => provider.close()));
      await simulator.close();
    },
  };
}

export const plainTags: Omit<InstanceTags, 'runner'> = {
  dispatcher: 'fixture',
  registration: 'acme-web',
  lane: '0123456789abcdef',
  scope: 'orgs/acme',
  createdAtMs: 1_790_000_000_123,
  deadlineAtMs: 1_790_432_000_456,
  charge: {},
};

export function launchOf(name: string, changes: Partial<LaunchRequest> = {}): LaunchRequest {
  return {
    name,
    shape: { cpu: 1, memoryGiB: 2, architecture: 'x64', image: IMAGE, spot: false, dockerInDocker: false },
    tags: { ...plainTags, runner: name },
    environment: {},
    secretEnvironment: { ACTIONS_RUNNER_INPUT_JITCONFIG: `jit-${randomBytes(20).toString('hex')}` },
    ...changes,
  };
}

export async function eventually<T>(read: () => Promise<T> | T, done: (value: T) => boolean): Promise<T> {
  const giveUpAt = Date.now() + 10_000;
  for (;;) {
    const value = await read();
    if (done(value)) return value;
    if (Date.now() > giveUpAt) throw new Error(`did not come to pass; last seen: ${JSON.stringify(value)}`);
    await delay(10);
  }
}

export async function refusal(promise: Promise<unknown>): Promise<ProviderError> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    if (error instanceof ProviderError) return error;
    throw error;
  }
  throw new Error(`should have been refused, but gave ${JSON.stringify(value)}`);
}
