/** Describes a registration that is not in force but still has runners or jobs. Pure. */

/** `removed`: no configuration file defines it. `set-aside`: its file has problems. */
export type Absence = 'removed' | 'set-aside';

export interface AbsentRegistration {
  readonly registration: string;
  readonly absence: Absence;
  /** Its live runners. */
  readonly runners: number;
  /** It was in force since the start: they are served to their end. Absent: without its credentials, nothing can be. */
  readonly served?: true;
}

/** The registrations not in force that still have live runners, each once. */
export function absentAmong(
  live: readonly { readonly registration: string; readonly count: number }[],
  inForce: readonly { readonly name: string }[],
  setAside: readonly { readonly name: string }[],
  leaving: readonly string[] = [],
): readonly AbsentRegistration[] {
  const serving = new Set(inForce.map(({ name }) => name));
  const known = new Set(setAside.map(({ name }) => name));
  return [...Map.groupBy(live, ({ registration }) => registration)]
    .filter(([registration]) => !serving.has(registration))
    .map(([registration, counts]) => ({
      registration,
      absence: known.has(registration) ? ('set-aside' as const) : ('removed' as const),
      runners: counts.reduce((sum, { count }) => sum + count, 0),
      ...(leaving.includes(registration) ? { served: true as const } : {}),
    }));
}

/** What happened to its runners and jobs, and what to do. Unless they are `served`, its credentials are unknown. */
export function absenceWords(absence: Absence, served = false): { readonly reason: string; readonly cure: string } {
  const runners = served
    ? 'no runner is launched for it, and those that live finish their jobs and are removed'
    : 'no runner is launched for it, and those that live finish their jobs but cannot be watched or taken down';
  switch (absence) {
    case 'removed':
      return {
        reason: `its registration is no longer in the configuration: ${runners}`,
        cure: served
          ? 'Put the registration back if more of its jobs are to run.'
          : 'Put the registration back until its runners are gone.',
      };
    case 'set-aside':
      return {
        reason: `its registration is set aside, as its configuration has problems: ${runners}`,
        cure: 'Fix the problems that `shr validate` reports.',
      };
  }
}
