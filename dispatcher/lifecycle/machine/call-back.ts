/** What a container says of itself. It proves nothing, so no state follows from it. Pure. */
import type { RunnerRow } from '../../ledger/ledger.ts';
import type { Answer, MachineContext, RunnerUsage } from './event.ts';
import { ignored, note } from './step.ts';

export function onHeard(
  runner: RunnerRow,
  event: { readonly what: string; readonly details?: string; readonly usage?: RunnerUsage },
  context: MachineContext,
): Answer {
  const { details = null, usage, what } = event;
  switch (runner.state) {
    case 'creating':
    case 'parked':
    case 'starting':
    case 'online':
    case 'busy':
    case 'finishing':
      return note(runner, what, context, { ...usage, nextCheckAtMs: context.nowMs }, details);
    case 'draining':
      // Its checks are spaced by what the service and GitHub answer.
      return note(runner, what, context, usage ?? {}, details);
    case 'gone':
      return ignored('it is gone');
  }
}
