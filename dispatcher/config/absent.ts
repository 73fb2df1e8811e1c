/** Describes a registration that is not in force but still has runners or jobs. Pure. */

/** `removed`: no configuration file defines it. `set-aside`: its file has problems. */
export type Absence = 'removed' | 'set-aside';

export interface AbsentRegistration {
  readonly registration: string;
  readonly absence: Absence;
  /** Its live runners. */
  readonly runners: number;
}

/** The registrations not in force that still have live runners, each once. */
export function absentAmong(
  live: readonly { readonly registration: string; readonly count: number }[],
  inForce: readonly { readonly name: string }[],
  setAside: readonly { readonly name: string }[],
): readonly AbsentRegistration[] {
  const serving = new Set(inForce.map(({ name }) => name));
  const known = new Set(setAside.map(({ name }) => name));
  return [...Map.groupBy(live, ({ registration }) => registration)]
    .filter(([registration]) => !serving.has(registration))
    .map(([registration, counts]) => ({
      registration,
      absence: known.has(registration) ? ('set-aside' as const) : ('removed' as const),
      runners: counts.reduce((sum, { count }) => sum + count, 0),
    }));
}

/** What happened to its runners and jobs, and what to do. Without the registration its credentials are unknown. */
export function absenceWords(absence: Absence): { readonly reason: string; readonly cure: string } {
  const runners =
    'no runner is launched for it, and those that live finish their jobs but cannot be watched or taken down';
  switch (absence) {
    case 'removed':
      return {
        reason: `its registration is no longer in the configuration: ${runners}`,
        cure: 'Put the registration back until its runners are gone, and restart the dispatcher.',
      };
    case 'set-aside':
      return {
        reason: `its registration is set aside, as its configuration has problems: ${runners}`,
        cure: 'Fix the problems that `shr validate` reports, and restart the dispatcher.',
      };
  }
}
