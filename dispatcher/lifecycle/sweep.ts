/**
 * Compares what exists outside with the ledger: the instances that carry our tags, and GitHub's runners that carry our
 * name. What the ledger does not know is adopted; nothing unknown is stopped before its own deadline.
 */
import { type Instance, type Provider, ProviderError } from '../../providers/provider.ts';
import { ulidTime } from '../../time/clock.ts';
import { MINUTE } from '../../time/units.ts';
import { backendSource, type Failure, githubFailure, providerFailure, withContext } from '../failures/failure.ts';
import { GithubError, type GithubRunner } from '../github/github.ts';
import { parseScopePath, scopePath } from '../jobs/scope.ts';
import { type Ledger, type RunnerRow, UnreadableRowError } from '../ledger/ledger.ts';
import { newRunner } from '../ledger/new-runner.ts';
import type { Backends } from './backends.ts';
import { believeKnown, believeUnknown } from './belief.ts';
import type { GithubView } from './github-view.ts';
import type { InstanceView } from './instance-view.ts';
import { ADOPTED } from './machine/step.ts';
import { instanceEvent } from './observe.ts';
import type { OtherDispatchers } from './other-dispatchers.ts';
import type { EngineOptions, Tenant } from './ports.ts';
import type { RunnerContext } from './runner-context.ts';

/** An offline runner of ours at GitHub without a row is deleted when its name says that it is older than this. */
const STRAY_AGE_MS = 10 * MINUTE;

export interface SweepFailure {
  /** A backend, or a scope such as `orgs/acme`. */
  readonly about: string;
  readonly failure: Failure;
}

export interface SweepResult {
  readonly failures: readonly SweepFailure[];
}

export interface InstanceSweepResult extends SweepResult {
  /** Of the failures, those of backends that could not be listed. */
  readonly unlisted: readonly SweepFailure[];
}

export interface InstanceSweepOptions extends Pick<EngineOptions, 'dispatcherId' | 'incarnation'> {
  readonly context: RunnerContext;
  readonly ledger: Pick<Ledger, 'createRunner' | 'liveCounts' | 'runner'>;
  readonly backends: Backends;
  readonly instances: InstanceView;
  readonly others: OtherDispatchers;
}

export interface GithubSweepOptions extends Pick<EngineOptions, 'dispatcherId' | 'log'> {
  readonly context: RunnerContext;
  readonly ledger: Pick<Ledger, 'runner'>;
  readonly view: GithubView;
}

/**
 * One pass over a registration's backends. A backend that cannot be listed is not launched on until it can; one of whose
 * instances cannot be dealt with is listed all the same.
 */
export async function sweepInstances(options: InstanceSweepOptions, tenant: Tenant): Promise<InstanceSweepResult> {
  const { backends, context, instances: view, others } = options;
  const unlisted: SweepFailure[] = [];
  const failures: SweepFailure[] = [];
  const { registration } = tenant;
  const adopted: Adopted = { runners: new Set(), live: undefined };
  await Promise.all(
    registration.backends.map(async (backend) => {
      try {
        const provider = await tenant.provider(backend.name);
        const { atMs, instances } = await view.list(provider);
        const ownedByPlatform = backend.shared === true || registration.grant === undefined;
        others.look({ registration: registration.name, backend: backend.name, ownedByPlatform }, instances);
        for (const instance of instances) {
          const listing = { options, tenant, backend: backend.name, provider, adopted, failures };
          await reconcile(listing, instance, atMs);
        }
        backends.recordListing(registration.name, backend.name);
      } catch (error) {
        if (!(error instanceof ProviderError)) throw error;
        const failure = providerFailure(error, backendSource(registration.name, backend.name), context.now());
        backends.recordListingFailure(registration.name, backend.name, failure);
        unlisted.push({ about: backend.name, failure });
      }
    }),
  );
  context.wake();
  return { failures: [...failures, ...unlisted], unlisted };
}

interface Listing {
  readonly options: InstanceSweepOptions;
  readonly tenant: Tenant;
  readonly backend: string;
  readonly provider: Provider;
  readonly adopted: Adopted;
  /** What failed about single instances: the first of each backend. */
  readonly failures: SweepFailure[];
}

/** What a sweep has adopted of one registration. */
interface Adopted {
  /** Two backends of one account both list each instance. */
  readonly runners: Set<string>;
  /** The registration's live runners in the ledger when the first was adopted. */
  live: Promise<number> | undefined;
}

async function reconcile(listing: Listing, instance: Instance, listedAtMs: number): Promise<void> {
  const { options, tenant, backend } = listing;
  const { context, dispatcherId, ledger, others } = options;
  const { registration } = tenant;
  const { tags } = instance;
  if (tags === undefined) return;
  const row = tags.registration === registration.name ? await readRow(ledger, tags.runner) : undefined;
  if (row === 'unreadable') return;
  const isHere = row !== undefined && (await isPlacedHere(listing, row));
  if (isHere === 'unknown') return;
  const belief =
    row === undefined
      ? believeUnknown(dispatcherId, registration.name, registration.claim, instance)
      : believeKnown(registration.name, instance, row, isHere);
  if (belief.kind === 'not-asked') return;
  if (belief.kind === 'doubted') {
    others.doubt({ registration: registration.name, backend }, instance.ref, belief.why);
    return;
  }
  // One that another dispatcher has just launched is looked after there.
  if (row === undefined && !others.isTheirs(tags)) await adoptOnce(listing, instance, tags);
  // What was verified after the list was asked for is newer.
  if (row?.state !== 'gone' || row.stateSinceMs >= listedAtMs) return;
  const event = instanceEvent(tenant.registration.name, backend, instance, context.now());
  // What ended needs no second drain. What runs was given up too early, and is taken down by the rules again.
  if (event.kind === 'instance' && event.state === 'ended') await remove(listing, instance);
  else await context.tell(row.name, event);
}

/** Where one cannot be removed, the sweep goes on with the others; the next one tries again. */
async function remove(listing: Listing, { ref }: Instance): Promise<void> {
  try {
    await listing.provider.stop(ref);
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error;
    recordFailure(listing, listing.backend, error, `${ref.name}, which has ended, cannot be removed`);
  }
}

function recordFailure(
  { failures, options, tenant }: Listing,
  backend: string,
  error: ProviderError,
  context: string,
): void {
  if (failures.some(({ about }) => about === backend)) return;
  const nowMs = options.context.now();
  const failure = providerFailure(error, backendSource(tenant.registration.name, backend), nowMs);
  failures.push({ about: backend, failure: withContext(failure, context, nowMs) });
}

/** One whose row cannot be read is left alone, as its visits say; the sweep goes on with the others. */
async function readRow(ledger: Pick<Ledger, 'runner'>, name: string): Promise<RunnerRow | 'unreadable' | undefined> {
  try {
    return await ledger.runner(name);
  } catch (error) {
    if (error instanceof UnreadableRowError) return 'unreadable';
    throw error;
  }
}

/** As many as the registration may have: its runners count for all, and made-up ones must not take others' places. */
async function adoptOnce(listing: Listing, instance: Instance, tags: NonNullable<Instance['tags']>): Promise<void> {
  const { adopted, options, tenant, backend } = listing;
  const { maxRunners, name } = tenant.registration;
  adopted.live ??= liveRunners(options, name);
  const live = await adopted.live;
  if (adopted.runners.has(tags.runner)) return;
  if (live + adopted.runners.size >= maxRunners) {
    const why = `its registration has the ${maxRunners} runners that it may have`;
    options.others.doubt({ registration: name, backend }, instance.ref, why);
    return;
  }
  adopted.runners.add(tags.runner);
  await adopt(options, tenant, backend, instance, tags);
}

async function liveRunners({ ledger }: InstanceSweepOptions, registration: string): Promise<number> {
  let live = 0;
  for (const counted of await ledger.liveCounts()) if (counted.registration === registration) live += counted.count;
  return live;
}

/**
 * The runner's own backend, or one of the same account by another name. Unknown where that one has no provider: nothing
 * is concluded then.
 */
async function isPlacedHere(listing: Listing, row: RunnerRow): Promise<boolean | 'unknown'> {
  const { tenant, backend, provider } = listing;
  if (row.registration !== tenant.registration.name || row.backend === null) return false;
  if (row.backend === backend) return true;
  if (!tenant.registration.backends.some(({ name }) => name === row.backend)) return false;
  try {
    return (await tenant.provider(row.backend)) === provider;
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error;
    recordFailure(listing, row.backend, error, `it is not known whether ${row.name} is there`);
    return 'unknown';
  }
}

/** The ledger is empty or old: the instance's own tags say what it is. Observing it finds out the rest. */
async function adopt(
  { context, incarnation, ledger }: InstanceSweepOptions,
  tenant: Tenant,
  backend: string,
  instance: Instance,
  tags: NonNullable<Instance['tags']>,
): Promise<void> {
  const now = context.now();
  const { registration } = tenant;
  const found = await findIn(tenant, tags.scope, tags.runner);
  const row = newRunner({
    name: tags.runner,
    registration: registration.name,
    host: registration.host,
    scope: tags.scope,
    runnerGroup: registration.runnerGroup,
    laneKey: tags.lane,
    labels: found?.labels ?? [],
    specHash: ADOPTED,
    state: 'starting',
    stateSinceMs: now,
    createdAtMs: tags.createdAtMs,
    deadlineAtMs: now + registration.timeouts.launchMs,
    nextCheckAtMs: now,
    incarnation,
    backend,
    instanceDeadlineAtMs: tags.deadlineAtMs,
    instanceId: instance.ref.id,
    instanceState: instance.state === 'running' ? 'running' : 'pending',
    githubRunnerId: found?.id ?? null,
    // Whether it runs a job is not known: only its own end, its job's, or its deadline may end it.
    busyAtMs: found === undefined ? now : null,
  });
  await ledger.createRunner(row, `adopted from ${backend}: the ledger did not know it`);
  context.replanLane(row.laneKey);
}

/** GitHub's side: runners with our name that no row accounts for, left by a call that timed out after its effect. */
export async function sweepGithub(
  options: GithubSweepOptions,
  tenant: Tenant,
  scopes: Iterable<string>,
): Promise<SweepResult> {
  const { context, ledger, log, view } = options;
  const failures: SweepFailure[] = [];
  for (const scope of scopes) {
    try {
      const listed = await view.list(tenant, scope, 0, 'sweep');
      const odd = [...listed.values()].filter(({ unreadable }) => unreadable !== undefined).length;
      if (odd > 0) failures.push({ about: scope, failure: unreadableRunners(odd, scope, context.now()) });
      for (const runner of listed.values()) {
        if (!isStray(options, runner)) continue;
        const row = await readRow(ledger, runner.name);
        if (row === 'unreadable' || (row !== undefined && row.state !== 'gone')) continue;
        const outcome = await tenant.github.deleteRunner(parseScopePath(scope), runner.id);
        log.info('stray-registration', { runner: runner.name, registration: tenant.registration.name, outcome });
      }
    } catch (error) {
      if (!(error instanceof GithubError)) throw error;
      // Our own budget puts a sweep off; that is how it should be.
      const putOff = error.kind === 'rate-limited' && error.status === undefined;
      if (!putOff) failures.push({ about: scope, failure: githubFailure(error, context.now()) });
    }
  }
  return { failures };
}

function unreadableRunners(count: number, scope: string, nowMs: number): Failure {
  const words = `${count} of its entries cannot be read; the others are`;
  return githubFailure(new GithubError('invalid', `the runners of ${scope}`, words), nowMs);
}

function isStray({ context, dispatcherId }: GithubSweepOptions, runner: GithubRunner): boolean {
  const prefix = `${dispatcherId}-`;
  if (runner.unreadable !== undefined || runner.status !== 'offline' || runner.busy) return false;
  if (!runner.name.startsWith(prefix)) return false;
  const bornMs = ulidTime(runner.name.slice(prefix.length));
  return bornMs !== undefined && context.now() - bornMs > STRAY_AGE_MS;
}

/** Undefined also when GitHub cannot be asked: observing the runner asks again. */
async function findIn(tenant: Tenant, scope: string, name: string): Promise<GithubRunner | undefined> {
  try {
    return await tenant.github.findRunner(parseScopePath(scope), name, 'sweep');
  } catch (error) {
    if (error instanceof GithubError) return undefined;
    throw error;
  }
}

/** The scopes that the claim itself names; those of a user account's repositories are known from lanes and runners. */
export function claimScopes(tenant: Tenant): readonly string[] {
  const { claim } = tenant.registration;
  switch (claim.kind) {
    case 'enterprise':
      return [scopePath({ kind: 'enterprise', enterprise: claim.enterprise })];
    case 'organization':
      return [scopePath({ kind: 'organization', organization: claim.organization })];
    case 'user':
      return [];
    case 'repositories':
      return claim.repositories.map(({ owner, repository }) =>
        scopePath({ kind: 'repository', owner: owner.toLowerCase(), repository: repository.toLowerCase() }),
      );
  }
}
