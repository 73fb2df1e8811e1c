/**
 * One runner's launch: its row exists already; then the JIT configuration, then the provider. The blob lives in this
 * function's memory alone. A definite refusal moves on to the next backend; "maybe created" never does.
 */
import {
  type Fit,
  type Instance,
  type Provider,
  ProviderError,
  type Shape,
  type ShapeWish,
} from '../../providers/provider.ts';
import { backoffMs } from '../../time/backoff.ts';
import { jitter, sleep } from '../../time/clock.ts';
import { backendSource, type Failure, githubFailure, ownFailure, providerFailure } from '../failures/failure.ts';
import { GithubError, type JitRunner } from '../github/github.ts';
import type { LaneSpec } from '../jobs/lane.ts';
import { scopePath } from '../jobs/scope.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Backends } from './backends.ts';
import { type CallbackToken, newCallbackToken } from './callback-token.ts';
import { isOfImage } from './canary-rules.ts';
import type { Holds } from './holds.ts';
import type { HookProofs } from './hook-proofs.ts';
import { CREATING_MS } from './machine/step.ts';
import type { EngineOptions, LifecycleMetrics, Tenant } from './ports.ts';
import type { RunnerContext } from './runner-context.ts';
import { runnerEnvironment } from './runner-environment.ts';

export interface LaunchOptions
  extends Pick<EngineOptions, 'callbackUrl' | 'clock' | 'dispatcherId' | 'incarnation' | 'random'> {
  readonly context: RunnerContext;
  readonly ledger: Pick<Ledger, 'liveCounts' | 'runner'>;
  readonly metrics: Pick<LifecycleMetrics, 'launched' | 'launchFailed'>;
  readonly backends: Backends;
  readonly holds: Holds;
  readonly hookProofs: Pick<HookProofs, 'whyUnproven'>;
}

export interface Launch {
  readonly runner: string;
  readonly createdAtMs: number;
  readonly lane: LaneSpec;
  /** In order of preference, each with room. */
  readonly backends: readonly string[];
  /** The image to try before the lane's own. */
  readonly candidate?: string;
  /** Ahead of its job: how long it may wait for one. */
  readonly aheadMs?: number;
  /** Ahead of its job, and without a registration at GitHub until that comes. */
  readonly isParked?: true;
}

/** One launch at one of its backends. */
interface Attempt {
  readonly launch: Launch;
  readonly backend: string;
  readonly shape: Shape;
  /** Null: it fetches one when its job comes. */
  readonly jit: JitRunner | null;
  readonly deadlineAtMs: number;
  /** For its call-backs; undefined: it makes none. */
  readonly token: CallbackToken | undefined;
  readonly candidate: string | undefined;
  /** The runner has its place there already. */
  readonly hasPlace: boolean;
}

/** The life of an instance without a limit of its own: GitHub's own limit for a job (5 days), and an hour around it. */
export const MAX_LIFE_MS = (5 * 24 + 1) * 3_600_000;
const TRANSIENT_TRIES = 5;
const TRANSIENT_FIRST_MS = 1000;
const MAX_TRANSIENT_MS = 60_000;

export async function launchRunner(options: LaunchOptions, tenant: Tenant, launch: Launch): Promise<void> {
  const { backends, context, metrics } = options;
  const startedAtMs = context.now();
  const jit = launch.isParked === true ? null : await createJit(options, tenant, launch);
  if (jit === undefined) return;

  // One for all backends: what the first one may have started could be running.
  const token = options.callbackUrl === undefined ? undefined : newCallbackToken(options.random, options.callbackUrl);
  const refusals: Failure[] = [];
  const next = [...launch.backends];
  let [placeAt] = next;
  let candidate = launch.candidate;
  for (let backend = next.shift(); backend !== undefined; backend = next.shift()) {
    const at = backend;
    const image = candidate;
    const { registration, specHash } = launch.lane;
    const launched = { registration, backend, specHash, runner: launch.runner };
    const source = backendSource(registration, backend);
    const recordFailure = async (failure: Failure, retryAfterMs?: number) => {
      metrics.launchFailed(registration, at, failure.kind);
      context.startFailed(launched, failure, image);
      if (image === undefined || !isOfImage(failure)) {
        await backends.recordFailure(launched, failure, retryAfterMs);
        return;
      }
      // It says nothing of the stable image, which is tried there at once.
      await backends.canaries.recordFailure({ registration, image, runner: launch.runner }, failure);
      candidate = undefined;
    };
    const recordRefusal = async (failure: Failure, retryAfterMs?: number) => {
      refusals.push(failure);
      await recordFailure(failure, retryAfterMs);
      await context.tell(launch.runner, { kind: 'backend-refused', backend: at, failure });
      if (image !== candidate) next.unshift(at);
    };

    backends.beginLaunch(registration, backend);
    try {
      const ready = await prepare(tenant, backend, wishOf(launch, image));
      if (ready instanceof ProviderError) {
        // Nothing was called: another backend may have the runner.
        await recordRefusal(providerFailure(ready, source, context.now()), ready.retryAfterMs);
        continue;
      }
      const { provider, fit } = ready;
      if (!fit.fits) {
        await recordRefusal(ownFailure('unfit', fit.reason, context.now(), source));
        continue;
      }
      const unproven = await options.hookProofs.whyUnproven(tenant, backend, wishOf(launch, image));
      if (unproven !== undefined) {
        // As an image that the service refuses: it is tried again, because it may be replaced.
        const refused = new ProviderError('invalid', 'image', unproven);
        await recordRefusal(providerFailure(refused, source, context.now()));
        continue;
      }
      const lifeMs =
        fit.shape.timeLimitMs ?? provider.capabilities.longestLifeMs ?? MAX_LIFE_MS + (launch.aheadMs ?? 0);
      const deadlineAtMs = context.now() + lifeMs;
      const given = { launch, backend, shape: fit.shape, jit, deadlineAtMs, token };
      const attempt: Attempt = { ...given, candidate: image, hasPlace: backend === placeAt };
      const turn = await takePlace(options, tenant, attempt);
      if (turn === 'over') return;
      if (turn === 'full') {
        refusals.push(ownFailure('no-place', 'it is at its cap of runners', context.now(), source));
        continue;
      }

      placeAt = backend;
      if (token !== undefined) {
        const { image: used, subnet } = wishOf(launch, image);
        context.silentImages.launched({ runner: launch.runner, registration, backend, image: used, subnet });
      }
      // The name was taken at a backend before this one: it may be the same account.
      const nameIsNew = refusals.every(({ kind }) => kind !== 'conflict');
      const outcome = await tryBackend(options, tenant, provider, attempt, nameIsNew);
      switch (outcome.kind) {
        case 'over':
          return;
        case 'accepted':
          await context.tell(launch.runner, { kind: 'accepted', backend, instanceId: outcome.instance.ref.id });
          metrics.launched(registration, backend, context.now() - startedAtMs);
          await backends.recordAcceptance(launched);
          context.states.well('launch-retry', { backend: source });
          return;
        case 'refused':
          await recordRefusal(providerFailure(outcome.error, source, context.now()), outcome.error.retryAfterMs);
          continue;
        case 'uncertain': {
          const failure = providerFailure(outcome.error, source, context.now());
          await recordFailure(failure, outcome.error.retryAfterMs);
          await context.tell(launch.runner, { kind: 'launch-abandoned', failure });
          return;
        }
      }
    } finally {
      backends.endLaunch(registration, backend);
      context.wake();
    }
  }
  await context.tell(launch.runner, {
    kind: 'launch-refused',
    failure: refusals.at(-1) ?? ownFailure('no-place', 'no backend had room', context.now()),
  });
}

/** The time limit is the job's: what it waited for the job comes on top. */
function wishOf({ aheadMs, lane }: Launch, image = lane.wish.image): ShapeWish {
  const wish = { ...lane.wish, image };
  if (aheadMs === undefined || wish.timeLimitMs === undefined) return wish;
  return { ...wish, timeLimitMs: wish.timeLimitMs + aheadMs };
}

/** The error of an adapter that cannot be loaded, made or asked. */
async function prepare(
  tenant: Tenant,
  backend: string,
  wish: ShapeWish,
): Promise<{ readonly provider: Provider; readonly fit: Fit } | ProviderError> {
  try {
    const provider = await tenant.provider(backend);
    return { provider, fit: provider.fit(wish) };
  } catch (error) {
    if (error instanceof ProviderError) return error;
    throw error;
  }
}

/**
 * Writes down that `backend` is about to be called. The first backend's place was taken with the runner's row; a further
 * one may have filled up meanwhile.
 */
async function takePlace(
  { context, ledger }: LaunchOptions,
  tenant: Tenant,
  { launch, backend, candidate, hasPlace, jit, deadlineAtMs, token }: Attempt,
): Promise<'taken' | 'full' | 'over'> {
  const { registration } = tenant;
  return await context.counting.hold(async () => {
    if (!hasPlace) {
      const counts = await ledger.liveCounts();
      const live = counts.find((count) => count.registration === registration.name && count.backend === backend);
      const cap = registration.backends.find(({ name }) => name === backend)?.maxRunners ?? 0;
      if ((live?.count ?? 0) >= cap) return 'full';
    }
    const row = await context.tell(launch.runner, {
      kind: 'calling',
      backend,
      runnerId: jit?.runnerId ?? null,
      instanceDeadlineAtMs: deadlineAtMs,
      ...(token === undefined ? {} : { callbackHash: token.hash }),
      ...(candidate === undefined ? {} : { candidate }),
    });
    return row?.state === 'creating' ? 'taken' : 'over';
  });
}

type Outcome =
  | { readonly kind: 'accepted'; readonly instance: Instance }
  | { readonly kind: 'refused'; readonly error: ProviderError }
  | { readonly kind: 'uncertain'; readonly error: ProviderError }
  /** The runner has moved on while its launch was in doubt: it may even have run its job and be gone. */
  | { readonly kind: 'over' };

async function tryBackend(
  { callbackUrl, clock, context, dispatcherId, incarnation, ledger, random }: LaunchOptions,
  { registration }: Tenant,
  provider: Provider,
  { launch, backend, shape, jit, deadlineAtMs, token }: Attempt,
  nameIsNew: boolean,
): Promise<Outcome> {
  const request = {
    name: launch.runner,
    shape,
    tags: {
      dispatcher: dispatcherId,
      registration: launch.lane.registration,
      lane: launch.lane.key,
      scope: scopePath(launch.lane.scope),
      runner: launch.runner,
      incarnation,
      createdAtMs: launch.createdAtMs,
      deadlineAtMs,
      charge: registration.chargeLabels,
    },
    environment: runnerEnvironment({
      registration,
      lifeMs: deadlineAtMs - context.now(),
      // A parked one waits before it registers, not after.
      ...(launch.aheadMs === undefined || launch.isParked === true ? {} : { idleMs: launch.aheadMs }),
      ...(callbackUrl === undefined ? {} : { callbackUrl: `${callbackUrl}/runners/${launch.runner}` }),
    }),
    secretEnvironment: {
      ...(jit === null ? {} : { ACTIONS_RUNNER_INPUT_JITCONFIG: jit.encodedJitConfig }),
      ...(token === undefined ? {} : { SHR_CALLBACK_TOKEN: token.token }),
    },
  };
  let doubt: ProviderError | undefined;
  for (let attempt = 1; ; attempt += 1) {
    try {
      if (doubt === undefined) {
        // The name was made up with the runner's row; backends before this one have refused it for certain.
        return { kind: 'accepted', instance: await provider.launch({ ...request, nameIsNew }) };
      }
      const found = await provider.inspect({ name: launch.runner });
      return { kind: 'accepted', instance: found ?? (await provider.launch(request)) };
    } catch (error) {
      if (!(error instanceof ProviderError)) throw error;
      if (error.kind !== 'transient' && doubt === undefined) return { kind: 'refused', error };
      // After a "maybe created", a refusal of the repetition says nothing about the first call: one that comes too often
      // for the service is made again later.
      if (error.kind !== 'transient' && error.kind !== 'throttled') return { kind: 'uncertain', error };
      doubt = error;
      const source = backendSource(launch.lane.registration, backend);
      const failure = providerFailure(error, source, clock.now());
      context.states.failed('launch-retry', { backend: source }, failure, { runner: launch.runner });
      // An adapter's own defect is not a mood of the network: it comes again, and other backends wait for their turn.
      const last = error.code === 'defect' || attempt >= TRANSIENT_TRIES;
      if (last || !context.working()) return { kind: 'uncertain', error };
      const pauseMs = jitter(backoffMs(TRANSIENT_FIRST_MS, MAX_TRANSIENT_MS, attempt - 1), random);
      // By then the runner is no longer being created, however much longer the service asks to be left alone.
      await sleep(clock, Math.min(Math.max(pauseMs, error.retryAfterMs ?? 0), CREATING_MS));
      const row = await ledger.runner(launch.runner);
      if (row?.state !== 'creating') return { kind: 'over' };
    }
  }
}

export async function createJit(
  { context, holds, metrics }: Pick<LaunchOptions, 'context' | 'holds' | 'metrics'>,
  tenant: Tenant,
  launch: Launch,
): Promise<JitRunner | undefined> {
  const { lane } = launch;
  const about = { registration: lane.registration, lane: lane.key };
  const end = holds.begin(lane);
  try {
    const jit = await tenant.github.createJitRunner({
      scope: lane.scope,
      name: launch.runner,
      runnerGroup: lane.runnerGroup,
      labels: lane.labels,
    });
    holds.recordSuccess(lane);
    context.states.well('start-failed', about);
    return jit;
  } catch (error) {
    if (!(error instanceof GithubError)) throw error;
    const failure = githubFailure(error, context.now());
    metrics.launchFailed(lane.registration, 'github', error.kind);
    // Tried again and again while GitHub refuses or is down.
    const more = { backend: launch.backends[0], runner: launch.runner };
    context.states.failed('start-failed', about, failure, more);
    // Our own runner of that name, from a call that timed out, is found by name and deleted by the drain.
    if (error.kind !== 'conflict') holds.recordRefusal(lane, error);
    await context.tell(launch.runner, { kind: 'launch-refused', failure });
    const nothingRegistered = error.kind !== 'conflict' && error.kind !== 'transient';
    if (nothingRegistered) await context.tell(launch.runner, { kind: 'deregistered' });
    return undefined;
  } finally {
    end();
  }
}
