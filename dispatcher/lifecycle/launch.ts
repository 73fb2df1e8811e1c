/**
 * One runner's launch: its row exists already; then the JIT configuration, then the provider. The blob lives in this
 * function's memory alone. A definite refusal moves on to the next backend; "maybe created" never does.
 */
import { type Instance, type Provider, ProviderError, type Shape } from '../../providers/provider.ts';
import type { LaneSpec } from '../admission/lane.ts';
import { jitter, sleep } from '../clock.ts';
import { GithubError, type JitRunner } from '../github/github.ts';
import type { Backends } from './backends.ts';
import type { Floor } from './floor.ts';
import type { Holds } from './holds.ts';
import type { Tenant } from './ports.ts';

export interface Launch {
  readonly runner: string;
  readonly createdAtMs: number;
  readonly lane: LaneSpec;
  /** In order of preference, each with room. */
  readonly backends: readonly string[];
}

/** The life of an instance that nobody limited: GitHub's own limit for a job (5 days), and an hour around it. */
export const LONGEST_LIFE_MS = (5 * 24 + 1) * 3_600_000;
const TRANSIENT_TRIES = 5;
const TRANSIENT_FIRST_MS = 1000;
const TRANSIENT_MOST_MS = 60_000;

export async function launchRunner(
  floor: Floor,
  tenant: Tenant,
  backends: Backends,
  holds: Holds,
  launch: Launch,
): Promise<void> {
  const { options } = floor;
  const startedAtMs = floor.now();
  const jit = await createJit(floor, tenant, holds, launch);
  if (jit === undefined) return;

  const refusals: { readonly backend: string; readonly kind: string; readonly message: string }[] = [];
  for (const backend of launch.backends) {
    const registration = launch.lane.registration;
    const refused = async (kind: ProviderError['kind'], message: string, retryAfterMs?: number) => {
      refusals.push({ backend, kind, message });
      options.metrics.launchFailed(registration, backend, kind);
      await backends.failed(registration, backend, launch.lane.specHash, kind, message, retryAfterMs);
    };

    backends.entered(registration, backend);
    try {
      const provider = await tenant.provider(backend);
      const fit = provider.fit(launch.lane.wish);
      if (!fit.fits) {
        await refused('invalid', fit.reason);
        continue;
      }
      const lifeMs = fit.shape.timeLimitMs ?? provider.capabilities.longestLifeMs ?? LONGEST_LIFE_MS;
      const called = await floor.tell(launch.runner, {
        kind: 'calling',
        backend,
        runnerId: jit.runnerId,
        instanceDeadlineAtMs: floor.now() + lifeMs,
      });
      if (called?.state !== 'creating') return;

      const outcome = await tryBackend(floor, provider, launch, backend, fit.shape, jit, floor.now() + lifeMs);
      switch (outcome.kind) {
        case 'accepted':
          await floor.tell(launch.runner, { kind: 'accepted', backend, instanceId: outcome.instance.ref.id });
          options.metrics.launched(registration, backend, floor.now() - startedAtMs);
          await backends.accepted(registration, backend, launch.lane.specHash);
          return;
        case 'refused':
          await refused(outcome.error.kind, outcome.error.message, outcome.error.retryAfterMs);
          continue;
        case 'uncertain':
          await refused('transient', outcome.error.message);
          await floor.tell(launch.runner, {
            kind: 'launch-abandoned',
            failureKind: 'transient',
            message: outcome.error.message,
          });
          return;
      }
    } finally {
      backends.left(registration, backend);
      floor.wake();
    }
  }
  await floor.tell(launch.runner, {
    kind: 'launch-refused',
    failureKind: refusals.at(-1)?.kind ?? 'no-backend',
    message: refusals.map(({ backend, message }) => `${backend}: ${message}`).join('; '),
  });
}

type Outcome =
  | { readonly kind: 'accepted'; readonly instance: Instance }
  | { readonly kind: 'refused'; readonly error: ProviderError }
  | { readonly kind: 'uncertain'; readonly error: ProviderError };

async function tryBackend(
  floor: Floor,
  provider: Provider,
  launch: Launch,
  backend: string,
  shape: Shape,
  jit: JitRunner,
  deadlineAtMs: number,
): Promise<Outcome> {
  const { clock, random, dispatcherId, log, tenants } = floor.options;
  const request = {
    name: launch.runner,
    shape,
    tags: {
      dispatcher: dispatcherId,
      registration: launch.lane.registration,
      lane: launch.lane.key,
      runner: launch.runner,
      createdAtMs: launch.createdAtMs,
      deadlineAtMs,
      charge: tenants.get(launch.lane.registration)?.registration.chargeLabels ?? {},
    },
    environment: {},
    secretEnvironment: { ACTIONS_RUNNER_INPUT_JITCONFIG: jit.encodedJitConfig },
  };
  let uncertain = false;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return { kind: 'accepted', instance: await provider.launch(request) };
    } catch (error) {
      if (!(error instanceof ProviderError)) throw error;
      // After a "maybe created", a refusal of the repetition says nothing about the first call.
      if (error.kind !== 'transient') return { kind: uncertain ? 'uncertain' : 'refused', error };
      uncertain = true;
      log.warn('launch-retry', { runner: launch.runner, backend, attempt, reason: error.message });
      if (attempt >= TRANSIENT_TRIES || !floor.working()) return { kind: 'uncertain', error };
      await sleep(clock, jitter(Math.min(TRANSIENT_MOST_MS, TRANSIENT_FIRST_MS * 2 ** (attempt - 1)), random));
      const found = await look(provider, launch.runner);
      if (found !== undefined) return { kind: 'accepted', instance: found };
    }
  }
}

async function look(provider: Provider, name: string): Promise<Instance | undefined> {
  try {
    return await provider.inspect({ name });
  } catch (error) {
    if (error instanceof ProviderError) return undefined;
    throw error;
  }
}

async function createJit(floor: Floor, tenant: Tenant, holds: Holds, launch: Launch): Promise<JitRunner | undefined> {
  const { lane } = launch;
  try {
    const jit = await tenant.github.createJitRunner({
      scope: lane.scope,
      name: launch.runner,
      runnerGroup: lane.runnerGroup,
      labels: lane.labels,
    });
    holds.release(lane.registration);
    return jit;
  } catch (error) {
    if (!(error instanceof GithubError)) throw error;
    floor.options.metrics.launchFailed(lane.registration, 'github', error.kind);
    // Our own runner of that name, from a call that timed out, is found by name and deleted by the drain.
    if (error.kind !== 'conflict') holds.hold(lane.registration, error);
    await floor.tell(launch.runner, {
      kind: 'launch-refused',
      failureKind: `github-${error.kind}`,
      message: error.message,
    });
    const nothingRegistered = error.kind !== 'conflict' && error.kind !== 'transient';
    if (nothingRegistered) await floor.tell(launch.runner, { kind: 'deregistered' });
    return undefined;
  }
}
