/** `shr lanes`: who waits, for what, and why. */
import type { Command } from 'commander';
import { type LaneView, laneListSchema } from '../http/admin-shapes.ts';
import { type AdminTerminal, adminCommand, answering, filters } from './admin-client.ts';
import { age, more, table } from './admin-text.ts';

export function lanesCommand(terminal: AdminTerminal): Command {
  return adminCommand('lanes', 'demand and supply of each lane, and why it waits; the longest wait first')
    .option('--registration <name>', 'only of this registration')
    .option('--waiting', 'only those with jobs that wait')
    .option('--limit <count>', 'at most so many (100; at most 500)')
    .action(async (options: { readonly waiting?: true }, command: Command) =>
      answering(command, terminal, async (client) => {
        const query = {
          ...filters(command, ['registration', 'limit']),
          waiting: options.waiting ? 'true' : undefined,
        };
        const answer = await client.get(['lanes'], query, laneListSchema);
        return { json: answer, text: listText(answer.lanes, terminal.clock.now()) + more(answer.more, 'lanes') };
      }),
    );
}

function listText(lanes: readonly LaneView[], nowMs: number): string {
  if (lanes.length === 0) return 'No lanes: nothing waits and nothing runs.\n';
  return table(
    ['LANE', 'REGISTRATION', 'SCOPE', 'LABELS', 'WAITING', 'OLDEST', 'CREATING', 'STARTING', 'ONLINE', 'WHY'],
    lanes.map((lane) => [
      lane.key,
      lane.registration,
      lane.scope,
      lane.labels.join(','),
      String(lane.demand),
      age(lane.oldestQueuedAt, nowMs),
      String(lane.supply.creating),
      String(lane.supply.starting),
      String(lane.supply.online),
      lane.waitReason ?? '',
    ]),
  );
}
