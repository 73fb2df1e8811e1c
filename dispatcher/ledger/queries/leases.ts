/** Leases: one holder at a time. */
import type { Tables } from '../tables.ts';
import type { Builder, Query } from './fixed.ts';

/** Changes a row only for its holder, or once the lease has expired. */
export function takeLease(builder: Builder, lease: Tables['leases'], nowMs: number): Query {
  const { name, holder, untilMs } = lease;
  return builder
    .insertInto('leases')
    .values({ name, holder, untilMs })
    .onConflict((conflict) =>
      conflict
        .column('name')
        .doUpdateSet({ holder, untilMs })
        .where(({ eb, or }) => or([eb('leases.holder', '=', holder), eb('leases.untilMs', '<=', nowMs)])),
    )
    .compile();
}
