/** What the dispatcher that runs with this configuration knows, and only it: what its runners do. Nothing where none runs here. */
import type { Clock } from '../../../time/clock.ts';
import { isUnresolved } from '../../config/references.ts';
import { type RegistrationView, registrationListSchema } from '../../http/admin-shapes.ts';
import type { DispatcherConfig } from '../../model/registration.ts';
import { AdminClient } from '../admin-client.ts';
import { AdminClientError } from '../admin-client-error.ts';
import { localUrl } from '../admin-target.ts';
import { bad, type DoctorFinding, note } from './finding.ts';

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
    const problems = new Map(registrations.map(({ name, problems }) => [name, problems]));
    return {
      dispatcher: [
        ...(publicAddress?.amiss === true
          ? [bad('listener', 'running', `the running dispatcher says: ${publicAddress.message}`, CURE)]
          : []),
        ...webhookProblems.map(({ about, message }) => webhookNote('listener', about, message)),
      ],
      of: (registration) => (problems.get(registration) ?? []).flatMap(findingOf),
    };
  } catch (error) {
    // It does not run, or not here.
    if (error instanceof AdminClientError) return NOTHING;
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
