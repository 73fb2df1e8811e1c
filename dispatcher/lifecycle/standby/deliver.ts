/** A parked runner has a job: GitHub registers it, and its container gets the JIT configuration. */
import type { Ledger } from '../../ledger/ledger.ts';
import { createJit, type Launch, type LaunchOptions } from '../launch.ts';
import type { Tenant } from '../ports.ts';
import type { HandOver } from './hand-over.ts';

export interface DeliverOptions extends Pick<LaunchOptions, 'context' | 'holds' | 'metrics'> {
  readonly ledger: Pick<Ledger, 'persist'>;
  readonly handOver: HandOver;
}

/** Its row says already that it has the job. */
export async function deliverJit(options: DeliverOptions, tenant: Tenant, launch: Launch): Promise<void> {
  const { context, handOver, ledger } = options;
  const { runner } = launch;
  try {
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
