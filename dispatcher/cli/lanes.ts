/** `shr lanes`: which lanes wait, for what, and why. */
import type { Command } from 'commander';
import { type Clock, systemClock } from '../../time/clock.ts';
import { type LaneView, laneListSchema, type PoolView } from '../http/admin-shapes.ts';
import { canaryWords } from '../lifecycle/canaries.ts';
import { adminCommand, answering, filters } from './admin-client.ts';
import { absentLine, age, more } from './admin-text.ts';
import { printTable } from './output.ts';
import type { Terminal } from './terminal.ts';

export function createCommand(terminal: Terminal, clock: Clock = systemClock): Command {
  return adminCommand('lanes', 'demand and supply of each lane, and why it waits; the longest wait first', terminal)
    .option('--registration <name>', 'only of this registration')
    .option('--waiting', 'only those with jobs that wait')
    .option('--limit <count>', 'how many to list (default 100, at most 500)')
    .action(async (options: { readonly waiting?: true }, command: Command) =>
      answering(
        { command, terminal, clock },
        (client) => {
          const waiting = options.waiting ? 'true' : undefined;
          return client.get(['lanes'], { ...filters(command, ['registration', 'limit']), waiting }, laneListSchema);
        },
        (answer) => {
          printLanes(terminal, answer.lanes, answer.forsaken.length > 0, clock.now());
          printPools(terminal, answer.pools);
          for (const absent of answer.forsaken) terminal.out(absentLine(absent));
          terminal.out(more(answer.more, 'lanes'));
        },
      ),
    );
}

function printLanes(terminal: Terminal, lanes: readonly LaneView[], somethingRuns: boolean, nowMs: number): void {
  if (lanes.length === 0) {
    terminal.out(somethingRuns ? 'No lanes.\n' : 'No lanes: nothing waits and nothing runs.\n');
    return;
  }
  printTable(terminal, lanes, [
    { title: 'lane', value: (lane) => lane.key },
    { title: 'registration', value: (lane) => lane.registration },
    { title: 'scope', value: (lane) => lane.scope },
    { title: 'labels', value: (lane) => lane.labels.join(',') },
    { title: 'waiting', value: (lane) => lane.demand, align: 'right' },
    { title: 'held', value: (lane) => lane.held, align: 'right' },
    { title: 'oldest', value: (lane) => age(lane.oldestQueuedAt, nowMs) },
    { title: 'creating', value: (lane) => lane.supply.creating, align: 'right' },
    { title: 'starting', value: (lane) => lane.supply.starting, align: 'right' },
    { title: 'online', value: (lane) => lane.supply.online, align: 'right' },
    ...(lanes.some(({ canary }) => canary !== null)
      ? [{ title: 'canary', value: ({ canary }: LaneView) => canary && canaryWords(canary, canary.stopped) }]
      : []),
    { title: 'why', value: (lane) => lane.waitReason ?? '' },
  ]);
}

function printPools(terminal: Terminal, pools: readonly PoolView[]): void {
  if (pools.length === 0) return;
  terminal.out('\n');
  printTable(terminal, pools, [
    { title: 'standby of', value: (pool) => pool.registration },
    { title: 'mode', value: (pool) => pool.mode },
    { title: 'labels', value: (pool) => pool.labels.join(',') },
    { title: 'size', value: (pool) => pool.size, align: 'right' },
    { title: 'waiting', value: (pool) => pool.waiting, align: 'right' },
    { title: 'why', value: ({ notFilled, why }) => (notFilled === null ? why : `${why}; not filled: ${notFilled}`) },
  ]);
}
