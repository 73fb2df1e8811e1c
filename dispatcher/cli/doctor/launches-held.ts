/** By what the launches of a dispatcher that runs are held although nothing is wrong: each a note, with what ends it. */
import type { PauseView, RegistrationView } from '../../http/admin-shapes.ts';
import { type DoctorFinding, note } from './finding.ts';

const ABOUT = 'launches';

export function pauseNote(pause: PauseView): DoctorFinding {
  const { own, registration } = pause;
  const held = `nothing is launched for ${registration ?? 'any registration'}: paused ${oneOf(pause)}`;
  const command = `\`shr resume ${registration ?? '--all'}\``;
  return own === null
    ? note(ABOUT, 'pause', held, `${command} ends it`)
    : note(ABOUT, 'pause', `${held}, and ${oneOf(own)}: each has to end`, `${command} ends one at a time`);
}

function oneOf({ by, reason, since }: Pick<PauseView, 'by' | 'reason' | 'since'>): string {
  return `by ${by} since ${since}, until it is resumed${reason === null ? '' : ` (${reason})`}`;
}

/** Pauses are told by the list of them, which has more of each. */
export function maintenanceNotes({ launchesHeld, name }: RegistrationView): readonly DoctorFinding[] {
  return launchesHeld
    .filter(({ cause }) => cause === 'maintenance')
    .map(({ until }) =>
      note(
        ABOUT,
        'maintenance',
        `nothing is launched for ${name}: it is in a maintenance window${until === null ? '' : ` until ${until}`}`,
      ),
    );
}
