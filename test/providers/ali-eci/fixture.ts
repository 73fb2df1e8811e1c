/** A provider on a simulator of its own, for tests of what only this service has. */
import { setTimeout as delay } from 'node:timers/promises';
import aliEciModule from '../../../providers/ali-eci/index.ts';
import { type AliEciOptions, aliEciOptions } from '../../../providers/ali-eci/options.ts';
import type { LaunchRequest, Provider, ShapeWish } from '../../../providers/provider.ts';
import {
  type AliEciSimulator,
  type AliEciSimulatorOptions,
  type Call,
  demoOptions,
  startAliEciSimulator,
} from '../../../simulators/ali-eci/index.ts';
import { testHost } from '../../conformance/harness.ts';

export const IMAGE = 'registry.example/runner:1';
export const SECRET = `s3cr3t-${'A1b2/+='.repeat(600)}`;

export interface Fixture {
  readonly simulator: AliEciSimulator;
  readonly calls: readonly Call[];
  provider(options?: Readonly<Record<string, unknown>>): Provider;
  options(options?: Readonly<Record<string, unknown>>): AliEciOptions;
  close(): Promise<void>;
}

export async function openFixture(more: Partial<AliEciSimulatorOptions> = {}): Promise<Fixture> {
  const calls: Call[] = [];
  const simulator = await startAliEciSimulator({
    images: { [IMAGE]: ['sh', '-c', 'sleep 600'] },
    onCall: (call) => calls.push(call),
    ...more,
  });
  const options = (over: Readonly<Record<string, unknown>> = {}) =>
    aliEciOptions.parse({
      ...demoOptions(simulator),
      command: ['sh', '-c', 'trap "exit 143" TERM; sleep 600 & wait'],
      stopGraceS: 1,
      timeoutMs: 5000,
      ...over,
    });
  return {
    simulator,
    calls,
    options,
    provider: (over) => aliEciModule.create(options(over), testHost()),
    close: () => simulator.close(),
  };
}

export function requestFor(provider: Provider, name: string, wish: Partial<ShapeWish> = {}): LaunchRequest {
  const fit = provider.fit({
    architecture: 'x64',
    image: IMAGE,
    spot: false,
    dockerInDocker: false,
    cpu: 0.5,
    ...wish,
  });
  if (!fit.fits) throw new Error(fit.reason);
  return {
    name,
    shape: fit.shape,
    tags: {
      dispatcher: 'fixture',
      registration: 'acme',
      lane: 'fedcba9876543210',
      scope: 'orgs/acme',
      runner: name,
      createdAtMs: 1_790_000_000_000,
      deadlineAtMs: 1_790_000_600_000,
      charge: { 'cost-centre': '4711' },
    },
    environment: {},
    secretEnvironment: { ACTIONS_RUNNER_INPUT_JITCONFIG: SECRET },
  };
}

export async function eventually<T>(read: () => Promise<T>, done: (value: T) => boolean): Promise<T> {
  const giveUpAt = Date.now() + 10_000;
  for (;;) {
    const value = await read();
    if (done(value)) return value;
    if (Date.now() > giveUpAt) throw new Error(`did not come to pass; last seen: ${JSON.stringify(value)}`);
    await delay(20);
  }
}

export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  throw new Error(`should have been refused, but gave ${JSON.stringify(value)}`);
}
