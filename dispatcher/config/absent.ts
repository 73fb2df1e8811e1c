/** Words for a registration that runners or jobs still belong to, and that the dispatcher does not run with. Pure. */

/** `removed`: no file of the configuration has it. `set-aside`: its file has problems. */
export type Absence = 'removed' | 'set-aside';

export interface AbsentRegistration {
  readonly registration: string;
  readonly absence: Absence;
  /** Those of it that live. */
  readonly runners: number;
}

/** Of the registrations that live runners belong to, those that are not in force, each once. */
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

/** What became of its runners and jobs, and what to do. Without the registration its credentials are not known. */
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
        cure: 'Correct what `shr validate` names, and restart the dispatcher.',
      };
  }
}
