/** Leases: one holder at a time. */
import * as leaseQueries from '../queries/leases.ts';
import type { Context, Step } from './step.ts';

export function* acquireLease(
  context: Context,
  name: string,
  holder: string,
  nowMs: number,
  ttlMs: number,
): Step<boolean> {
  const taken = yield leaseQueries.takeLease(context.builder, { name, holder, untilMs: nowMs + ttlMs }, nowMs);
  return taken.changed > 0;
}
