/** Finds registrations with equal claims to a job: a configuration error, found before a job runs into it. */
import { placesOf } from '../admission/match.ts';
import { foldLabel } from '../labels/values.ts';
import type { JobClaims } from '../model/registration.ts';

export interface Tie {
  /** By name; the problem is reported at the second. */
  readonly first: JobClaims;
  readonly second: JobClaims;
  readonly label: string;
}

/**
 * At most one per pair, within one tenant or the platform: between tenants, grants decide. A job with a single label
 * is enough for a tie: equal place, label and priority.
 */
export function findTies(registrations: readonly JobClaims[]): readonly Tie[] {
  const ties = new Map<string, Tie>();
  const owners = new Map<string, JobClaims>();
  for (const second of [...registrations].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    for (const place of new Set(placesOf(second.host, second.claim))) {
      for (const label of second.labels) {
        const key = `${second.priority} ${place} ${foldLabel(label)}`;
        const first = owners.get(key);
        if (first === undefined) owners.set(key, second);
        else if (first !== second && first.grant?.tenant === second.grant?.tenant) {
          const pair = `${first.name} ${second.name}`;
          if (!ties.has(pair)) ties.set(pair, { first, second, label });
        }
      }
    }
  }
  return [...ties.values()];
}
