/** Which deliveries were recorded. */
import type { Tables } from '../tables.ts';
import { wholeRow } from './fixed.ts';

export const insertDelivery = wholeRow<Tables['deliveries']>(
  ['endpoint', 'guid', 'event', 'action', 'receivedAtMs'],
  (builder, values) =>
    builder
      .insertInto('deliveries')
      .columns(['endpoint', 'guid', 'event', 'action', 'receivedAtMs'])
      .expression(values)
      .onConflict((conflict) => conflict.columns(['endpoint', 'guid']).doNothing()),
);
