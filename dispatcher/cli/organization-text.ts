/** What is in force of the defaults of a registration's organization, and since when as far as the dispatcher has seen. */
import type { OrganizationView } from '../http/admin-shapes.ts';
import { age } from './admin-text.ts';

const SHOWN_OF_BLOB = 12;

export function organizationText(organization: OrganizationView | null, nowMs: number): string | null {
  if (organization === null) return null;
  const { blob, file, mode, problem, readAt, since, unused } = organization;
  // An earlier version tells no state.
  const state = organization.state ?? (readAt === null ? 'unread' : file === null ? 'absent' : 'read');
  const lasting = (what: string): string => (since === null ? what : `${what} since at least ${since}`);
  const read = `read ${age(readAt, nowMs)} ago`;
  const failed = problem === null ? '' : ` (for ${age(problem.since, nowMs)}): ${problem.reason}`;
  const unusable = `it has problems, and is not in force${failed}`;
  const there = problem?.file ?? null;
  switch (state) {
    case 'unread': {
      const until =
        mode === 'forced' ? 'no job is admitted before it was read' : 'the registration alone counts until then';
      if (problem === null)
        return `${mode}, not read yet${since === null ? '' : `, ${lasting('asked for')}`}: ${until}`;
      const now = `${mode}, nothing in force: ${until}`;
      return there === null
        ? `${now}. It could not be read${failed}`
        : `${now}. ${there} is there, ${read}: ${unusable}`;
    }
    case 'absent': {
      const free = lasting('nothing is limited');
      if (there !== null)
        return `${mode}, ${free}, because there was no shr.yaml. ${there} is there now, ${read}: ${unusable}`;
      const now = `${mode}, no shr.yaml in .github-private or .github that its credentials see, ${read}: ${free}`;
      return problem === null ? now : `${now}. It cannot be read now${failed}`;
    }
    case 'read': {
      const version = blob === null ? '' : ` (blob ${blob.slice(0, SHOWN_OF_BLOB)})`;
      const left = unused.length === 0 ? '' : `; not used, because it is not allowed: ${unused.join(', ')}`;
      const inForce = `${mode}, of ${file}${version}, ${lasting('in force')}`;
      if (there !== null) {
        const place = there === file ? 'As it is now' : `${there} takes its place`;
        return `${inForce}${left}. ${place}, ${read}, ${unusable}`;
      }
      const now = `${inForce}, ${read}${left}`;
      return problem === null ? now : `${now}. It cannot be read now${failed}`;
    }
  }
}
