/** What the dispatcher that runs with this configuration knows, and only it: what its runners do. Nothing where none runs here. */
import type { Clock } from '../../../time/clock.ts';
import { isUnresolved } from '../../config/references.ts';
import {
  type PauseView,
  pauseListSchema,
  type RegistrationView,
  registrationListSchema,
} from '../../http/admin-shapes.ts';
import type { DispatcherConfig } from '../../model/registration.ts';
import { AdminClient } from '../admin-client.ts';
import { AdminClientError } from '../admin-client-error.ts';
import { localUrl } from '../admin-target.ts';
import { bad, type DoctorFinding, note } from './finding.ts';
import { maintenanceNotes, pauseNote } from './launches-held.ts';

export interface Running {
  readonly dispatcher: readonly DoctorFinding[];
  of(registration: string): readonly DoctorFinding[];
}

const NOTHING: Running = { dispatcher: [], of: () => [] };
const MOST = '500';
const CURE = 'do what the message says; `shr registrations` shows when it is over';

export async function askRunning(
  { adminListen, adminToken }: Pick<DispatcherConfig, 'adminListen' | 'adminToken'>,
  clock: Clock,
): Promise<Running> {
  const url = localUrl(adminListen);
  if (url === undefined || isUnresolved(adminToken)) return NOTHING;
  const client = new AdminClient(url, adminToken, clock);
  try {
    const { publicAddress, registrations, webhookProblems } = await client.get(
      ['registrations'],
      { limit: MOST },
      registrationListSchema,
    );
    const known = new Map(registrations.map((one) => [one.name, one]));
    const pauses = await pausesOf(client);
    // Of one that was removed while it was paused, nothing else would tell; beyond the first page it may be there.
    const isElsewhere = ({ registration }: PauseView) =>
      registration === null || (registrations.length < Number(MOST) && !known.has(registration));
    return {
      dispatcher: [
        ...(publicAddress?.amiss === true
          ? [bad('listener', 'running', `the running dispatcher says: ${publicAddress.message}`, CURE)]
          : []),
        ...webhookProblems.map(({ about, message }) => webhookNote('listener', about, message)),
        ...pauses.filter(isElsewhere).map(pauseNote),
      ],
      of: (registration) => {
        const one = known.get(registration);
        return [
          ...(one?.problems ?? []).flatMap(findingOf),
          ...pauses.filter((pause) => pause.registration === registration && !isElsewhere(pause)).map(pauseNote),
          ...(one === undefined ? [] : maintenanceNotes(one)),
        ];
      },
    };
  } catch (error) {
    // It does not run, or not here.
    if (error instanceof AdminClientError) return NOTHING;
    throw error;
  }
}

/** One of an earlier version has none. */
async function pausesOf(client: AdminClient): Promise<readonly PauseView[]> {
  try {
    return (await client.get(['pauses'], {}, pauseListSchema)).pauses;
  } catch (error) {
    if (error instanceof AdminClientError) return [];
    throw error;
  }
}

/** The rest doctor finds out by itself. */
function findingOf({ kind, about, message }: RegistrationView['problems'][number]): readonly DoctorFinding[] {
  if (kind === 'webhook') return [webhookNote('webhook', about, message)];
  return kind === 'runner' ? [bad('runners', 'running', `the running dispatcher says: ${message}`, CURE)] : [];
}

/** Anyone can send such requests: no reason to fail. */
function webhookNote(about: string, endpoint: string | null, message: string): DoctorFinding {
  return note(about, 'running', `the running dispatcher says: ${endpoint ?? 'webhook'}: ${message}`, CURE);
}
