/** What a container says of itself. It proves nothing, so no state follows from it. Pure. */
import type { RunnerRow } from '../../ledger/ledger.ts';
import type { Answer, MachineContext, RunnerUsage } from './event.ts';
import { ignored, note } from './step.ts';

export function onHeard(
  runner: RunnerRow,
  event: { readonly what: string; readonly usage?: RunnerUsage },
  context: MachineContext,
): Answer {
  switch (runner.state) {
    case 'creating':
    case 'parked':
    case 'starting':
    case 'online':
    case 'busy':
    case 'finishing':
      return note(runner, event.what, context, { ...event.usage, nextCheckAtMs: context.nowMs });
    case 'draining':
      // Its checks are spaced by what the service and GitHub answer.
      return note(runner, event.what, context, event.usage ?? {});
    case 'gone':
      return ignored('it is gone');
  }
}
