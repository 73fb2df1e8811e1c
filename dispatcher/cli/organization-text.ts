/** What is in force of the defaults of a registration's organization, and since when. */
import type { OrganizationView } from '../http/admin-shapes.ts';
import { age } from './admin-text.ts';

const SHOWN_OF_BLOB = 12;

export function organizationText(organization: OrganizationView | null, nowMs: number): string | null {
  if (organization === null) return null;
  const { blob, file, mode, problem, readAt, since, unused } = organization;
  // An earlier version tells no state.
  const state = organization.state ?? (readAt === null ? 'unread' : file === null ? 'absent' : 'read');
  const lasting = (what: string): string => (since === null ? what : `${what} since ${since}`);
  const read = `read ${age(readAt, nowMs)} ago`;
  const failed = problem === null ? '' : ` (for ${age(problem.since, nowMs)}): ${problem.reason}`;
  switch (state) {
    case 'unread': {
      const until =
        mode === 'forced' ? 'no job is admitted before it was read' : 'the registration alone counts until then';
      if (problem === null)
        return `${mode}, not read yet${since === null ? '' : `, asked for since ${since}`}: ${until}`;
      return `${mode}, nothing in force: ${until}. It could not be read${failed}`;
    }
    case 'absent': {
      const now = `${mode}, no shr.yaml in .github-private or .github that its credentials see, ${read}: ${lasting('nothing is limited')}`;
      return problem === null ? now : `${now}. It cannot be read now${failed}`;
    }
    case 'read': {
      const version = blob === null ? '' : ` (blob ${blob.slice(0, SHOWN_OF_BLOB)})`;
      const left = unused.length === 0 ? '' : `; not used, because it is not allowed: ${unused.join(', ')}`;
      const now = `${mode}, of ${file}${version}, ${lasting('in force')}, ${read}${left}`;
      return problem === null ? now : `${now}. It cannot be read now${failed}`;
    }
  }
}
