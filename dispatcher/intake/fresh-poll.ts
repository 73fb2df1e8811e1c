import type { Clock } from '../../time/clock.ts';
import type { Haste, Poller, PollStatus } from './poller.ts';

/** What is needed of a `Poller`. */
export interface FreshPoller extends Pick<Poller, 'pollNow'> {
  statusOf(registration: string): Pick<PollStatus, 'lastStartedAtMs'> | undefined;
}

/**
 * Polls the registration with a pass that begins after the call: one that was under way may have looked at the place in
 * question before. Resolves with whether GitHub was listed completely.
 */
export async function pollAfresh(
  { poller, clock }: { readonly poller: FreshPoller; readonly clock: Pick<Clock, 'now'> },
  registration: string,
  haste: Haste,
): Promise<boolean> {
  // It is gone from the configuration: nothing of it has to be listed.
  if (poller.statusOf(registration) === undefined) return true;
  const askedAtMs = clock.now();
  const complete = await poller.pollNow(registration, haste);
  const startedAtMs = poller.statusOf(registration)?.lastStartedAtMs ?? askedAtMs;
  return startedAtMs >= askedAtMs || poller.statusOf(registration) === undefined
    ? complete
    : await poller.pollNow(registration, haste);
}
