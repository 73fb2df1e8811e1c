/** What keeps a registration from launching on somebody's order, whether or not a job waits: pauses, and a maintenance window. */
import type { Pause } from './pauses.ts';

export interface LaunchHold {
  readonly cause: 'pause' | 'maintenance';
  /** The name of the token; null: a window of the configuration. */
  readonly by: string | null;
  readonly byPlatform: boolean;
  readonly reason: string | null;
  readonly sinceMs: number | null;
  /** A pause has no end that is known. */
  readonly untilMs: number | null;
}

/** All that hold, and the pause of all registrations first: each has to end. */
export function launchesHeld(
  registration: string,
  pauses: readonly Pause[],
  maintenanceUntilMs: number | undefined,
): readonly LaunchHold[] {
  const ofAll = pauses.filter((pause) => pause.registration === null);
  const ofOne = pauses.filter((pause) => pause.registration === registration);
  const held = [...ofAll, ...ofOne].flatMap((pause) => (pause.own === undefined ? [pause] : [pause, pause.own]));
  return [
    ...held.map(({ by, byPlatform, reason, sinceMs }) => ({
      ...{ cause: 'pause' as const, by, byPlatform, reason, sinceMs, untilMs: null },
    })),
    ...(maintenanceUntilMs === undefined
      ? []
      : [
          {
            ...{ cause: 'maintenance' as const, by: null, byPlatform: false, reason: null, sinceMs: null },
            untilMs: maintenanceUntilMs,
          },
        ]),
  ];
}
