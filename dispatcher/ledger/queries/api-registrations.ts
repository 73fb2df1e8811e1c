/** Registrations that the admin API was given. */
import type { ApiRegistration } from '../ledger.ts';
import type { Builder, Query } from './fixed.ts';

export function putApiRegistration(builder: Builder, registration: ApiRegistration): Query {
  const { name: _, ...rest } = registration;
  return builder
    .insertInto('apiRegistrations')
    .values(registration)
    .onConflict((conflict) => conflict.column('name').doUpdateSet(rest))
    .compile();
}

export function apiRegistrationOf(builder: Builder, name: string): Query {
  return builder.selectFrom('apiRegistrations').selectAll().where('name', '=', name).compile();
}

export function apiRegistrations(builder: Builder): Query {
  return builder
    .selectFrom('apiRegistrations')
    .select(['name', 'hash', 'tenant', 'putBy', 'putAtMs'])
    .orderBy('name')
    .compile();
}

export function deleteApiRegistration(builder: Builder, name: string): Query {
  return builder.deleteFrom('apiRegistrations').where('name', '=', name).compile();
}
