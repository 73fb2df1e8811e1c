/**
 * Why something waits, in words: the present reason, of the scope, backend or cap that it is about. Pure.
 *
 * Several things can keep one lane waiting. The one that is said is the first in the order of `waitReason`: what would
 * still hold the lane if all that follows were well.
 */

export interface Filled {
  /** Runners that may have a container. */
  readonly count: number;
  /** Those of them that are being taken down. */
  readonly draining: number;
  readonly max: number;
}

export interface Obstacles {
  /** Its registration is in the configuration. */
  readonly configured: boolean;
  /** Its registration is in a maintenance window. */
  readonly maintenance?: string;
  /** GitHub refuses to register runners: for the lane, its scope, its owner or its registration. */
  readonly github: string | undefined;
  /** Where no backend can be tried now: each with its reason. */
  readonly closed: readonly { readonly backend: string; readonly reason: string }[] | undefined;
  /** Something of the lane's own, such as the pause after many launches. */
  readonly own: string | undefined;
  readonly registration: Filled;
  /** Its registration or tenant has launched as many in this minute as it may. */
  readonly rate?: string;
  readonly dispatcher: Filled;
  /** How many of the dispatcher's runners are reserved for others, where only those are left. Absent: 0. */
  readonly kept?: number;
  /** Those that could be tried. `launching`: as many launches are under way there as it takes at once. */
  readonly backends: readonly (Filled & { readonly name: string; readonly launching: boolean })[];
  readonly launches: { readonly count: number; readonly max: number };
}

/** Nothing is in the way. */
export const NEXT = 'next in line';

/** `placeFreeAt`: when the first runner that is being taken down is expected to be gone, such as `10:41:05 UTC`. */
export function waitReason(obstacles: Obstacles, placeFreeAt?: string): string {
  const { backends, closed, configured, dispatcher, github, launches, maintenance, own, rate, registration } =
    obstacles;
  const { kept = 0 } = obstacles;
  if (!configured) return 'its registration is not in the configuration';
  if (maintenance !== undefined) return maintenance;
  if (github !== undefined) return github;
  if (closed !== undefined) return closedWords(closed);
  if (own !== undefined) return own;
  if (isFull(registration)) return `the registration is at its cap of ${filled(registration, placeFreeAt)}`;
  if (rate !== undefined) return rate;
  if (isFull(dispatcher)) return `the dispatcher is at its cap of ${filled(dispatcher, placeFreeAt)}`;
  if (kept > 0) {
    return `the dispatcher keeps ${kept} of its ${dispatcher.max} runners for others, and the rest is taken${endingWords(dispatcher, placeFreeAt)}`;
  }
  if (launches.count >= launches.max) return `${launches.max} launches are under way, the limit`;
  if (backends.every((backend) => isFull(backend) || backend.launching)) {
    const words = backends.map((backend) =>
      isFull(backend)
        ? `${backend.name} is at its cap of ${filled(backend, placeFreeAt)}`
        : `${backend.name} takes no more launches at once`,
    );
    return words.join('; ');
  }
  return NEXT;
}

export function closedWords(closed: NonNullable<Obstacles['closed']>): string {
  const alike = new Map<string, string[]>();
  for (const { backend, reason } of closed) alike.set(reason, [...(alike.get(reason) ?? []), backend]);
  const words = [...alike].map(([reason, backends]) => `${backends.join(', ')}: ${reason}`).join('; ');
  return closed.length === 0 ? 'no backend serves it' : `no backend can be tried now (${words})`;
}

function isFull({ count, max }: Filled): boolean {
  return count >= max;
}

function filled({ draining, max }: Filled, placeFreeAt: string | undefined): string {
  return `${max} ${max === 1 ? 'runner' : 'runners'}${endingWords({ draining }, placeFreeAt)}`;
}

function endingWords({ draining }: Pick<Filled, 'draining'>, placeFreeAt: string | undefined): string {
  if (draining === 0) return '';
  const free = placeFreeAt === undefined ? '' : `, the first of them is expected to be gone by ${placeFreeAt}`;
  return `: ${draining} of them ${draining === 1 ? 'is' : 'are'} being taken down${free}`;
}
