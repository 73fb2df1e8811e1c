/**
 * What a container is told besides its secrets: the limits that it keeps by itself, whether or not a dispatcher lives,
 * and where to call back. docs/runner-image.md describes each variable.
 */
import { MINUTE, SECOND } from '../../time/units.ts';
import { type Registration, requiresHook } from '../model/registration.ts';

/** A container gives up later than the dispatcher would have: normally it never has to. */
const LATER_MS = 10 * MINUTE;

export function runnerEnvironment({
  registration,
  lifeMs,
  idleMs = registration.timeouts.idleMs,
  callbackUrl,
}: {
  readonly registration: Pick<Registration, 'requireHook' | 'grant' | 'timeouts'>;
  /** From now to the instance's own deadline. */
  readonly lifeMs: number;
  /** How long it may wait for a job. Default: as the registration says. */
  readonly idleMs?: number;
  /** The runner's own. */
  readonly callbackUrl?: string;
}): Readonly<Record<string, string>> {
  const { launchMs } = registration.timeouts;
  return {
    SHR_LIFE_SECONDS: seconds(lifeMs),
    SHR_ONLINE_SECONDS: seconds(launchMs),
    SHR_IDLE_SECONDS: seconds(idleMs + LATER_MS),
    ...(callbackUrl === undefined ? {} : { SHR_CALLBACK_URL: callbackUrl }),
    ...(requiresHook(registration) ? { SHR_HOOK_SILENCE: 'deny' } : {}),
  };
}

function seconds(ms: number): string {
  return String(Math.ceil(ms / SECOND));
}
