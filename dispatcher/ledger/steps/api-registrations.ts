/** Registrations that the admin API was given. */
import type { ApiRegistration, ApiRegistrationEntry, ExpectedVersion } from '../ledger.ts';
import * as queries from '../queries/api-registrations.ts';
import * as rows from '../rows.ts';
import { type Context, firstOf, type Step } from './step.ts';

export function* put(
  context: Context,
  registration: ApiRegistration,
  expected: ExpectedVersion,
): Step<'put' | 'other'> {
  const present = yield* one(context, registration.name);
  if (!isExpected(present, expected)) return 'other';
  yield queries.putApiRegistration(context.builder, registration);
  return 'put';
}

export function* remove(
  context: Context,
  name: string,
  expected: ExpectedVersion,
): Step<'deleted' | 'other' | 'absent'> {
  const present = yield* one(context, name);
  if (present === undefined) return 'absent';
  if (!isExpected(present, expected)) return 'other';
  yield queries.deleteApiRegistration(context.builder, name);
  return 'deleted';
}

export function* one({ builder }: Context, name: string): Step<ApiRegistration | undefined> {
  return firstOf(yield queries.apiRegistrationOf(builder, name), rows.apiRegistration);
}

export function* all({ builder }: Context): Step<readonly ApiRegistrationEntry[]> {
  const { rows: found } = yield queries.apiRegistrations(builder);
  return found.map(rows.apiRegistrationEntry);
}

function isExpected(present: ApiRegistration | undefined, expected: ExpectedVersion): boolean {
  return expected === undefined || expected === (present?.hash ?? null);
}
