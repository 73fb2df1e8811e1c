/** A registration that goes beyond its tenant's grant: the words, and the line that would grant it. */
import { cureOf, type Ungranted } from '../admission/grants.ts';
import { quote } from '../labels/values.ts';
import type { Path } from '../model/problem.ts';
import type { Grant } from '../model/registration.ts';
import type { Reading } from './reading.ts';

export const ON_SHARED = ' on shared backends';

export function refuse(reading: Reading, path: Path, grant: Grant, what: Ungranted, where = ''): void {
  if (!reading.unresolved(path)) reading.problem(path, messageOf(grant, what, where), cureOf(grant, what));
}

export function messageOf(grant: Grant, { what, field }: Ungranted, where: string): string {
  const verb = field.startsWith('limits.') && where === '' ? 'may not have' : 'was not granted';
  return `tenant ${quote(grant.tenant)} ${verb} ${what}${where}`;
}
