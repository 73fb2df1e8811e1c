/** A parked runner has a job: GitHub registers it, and its container gets the JIT configuration. */
import { ProviderError } from '../../../providers/provider.ts';
import { backendSource, providerFailure } from '../../failures/failure.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import { createJit, type Launch, type LaunchOptions } from '../launch.ts';
import type { Tenant } from '../ports.ts';
import type { HandOver } from './hand-over.ts';

export interface DeliverOptions
  extends Pick<LaunchOptions, 'backends' | 'context' | 'holds' | 'hookProofs' | 'metrics'> {
  readonly ledger: Pick<Ledger, 'persist'>;
  readonly handOver: HandOver;
}

/** Its row says already that it has the job. */
export async function deliverJit(options: DeliverOptions, tenant: Tenant, launch: Launch): Promise<void> {
  const { context, handOver, ledger } = options;
  const { runner } = launch;
  try {
    if (!(await isProven(options, tenant, launch))) return;
    const jit = await createJit(options, tenant, launch);
    if (jit === undefined) return;
    const row = await context.tell(runner, { kind: 'registered', runnerId: jit.runnerId });
    if (row?.state !== 'starting') return;
    // A machine that loses its power now must not take it for one that waits for a job.
    await ledger.persist();
    const isFetched = await handOver.give(runner, jit.encodedJitConfig);
    const fetched = { kind: 'heard', what: 'its container has fetched the JIT configuration' } as const;
    const lost = { kind: 'drain', reason: 'its container did not come for its JIT configuration' } as const;
    await context.tell(runner, isFetched ? fetched : lost);
  } finally {
    handOver.end(runner);
  }
}

/** As at a launch: what the image was then says nothing about a demand of now. */
async function isProven(options: DeliverOptions, tenant: Tenant, { backends, lane, runner }: Launch): Promise<boolean> {
  const { context, hookProofs, metrics } = options;
  const { registration, specHash } = lane;
  for (const backend of backends) {
    const unproven = await hookProofs.whyUnproven(tenant, backend, lane.wish);
    if (unproven === undefined) continue;
    const refused = new ProviderError('invalid', 'image', unproven);
    const failure = providerFailure(refused, backendSource(registration, backend), context.now());
    const launched = { registration, backend, specHash, runner };
    metrics.launchFailed(registration, backend, failure.kind);
    context.startFailed(launched, failure);
    await options.backends.recordFailure(launched, failure);
    await context.tell(runner, { kind: 'launch-refused', failure });
    await context.tell(runner, { kind: 'deregistered' });
    return false;
  }
  return true;
}
