/** `shr runners`: what runs, how it came to be so, and the operator's last resort. */
import type { Command } from 'commander';
import {
  forgetSchema,
  type RunnerView,
  runnerDetailSchema,
  runnerListSchema,
  type TimelineView,
} from '../http/admin-shapes.ts';
import { type AdminTerminal, adminCommand, answering, filters } from './admin-client.ts';
import { age, facts, more, printableLines, table } from './admin-text.ts';

export function runnersCommand(terminal: AdminTerminal): Command {
  const runners = adminCommand('runners', 'the runners, newest first; those that are gone only with --state gone')
    .option('--registration <name>', 'only of this registration')
    .option('--state <states>', 'creating, starting, online, busy, finishing, draining, gone; several with commas')
    .option('--lane <key>', 'only of this lane')
    .option('--limit <count>', 'at most so many (100; at most 500)')
    .action(async (_options: unknown, command: Command) =>
      answering(command, terminal, async (client) => {
        const query = { state: LIVE, ...filters(command, ['registration', 'state', 'lane', 'limit']) };
        const answer = await client.get(['runners'], query, runnerListSchema);
        return { json: answer, text: listText(answer.runners, terminal.clock.now()) + more(answer.more, 'runners') };
      }),
    );
  runners.addCommand(
    adminCommand('show', 'one runner with its timeline')
      .argument('<name>', 'the name, as `shr runners` shows it')
      .option('--output', "the container's last output too, where it was kept")
      .action(async (name: string, options: { readonly output?: true }, command: Command) =>
        answering(command, terminal, async (client) => {
          const query = options.output ? { output: 'true' } : {};
          const answer = await client.get(['runners', name], query, runnerDetailSchema);
          const output = options.output ? outputText(answer.output ?? null) : '';
          const now = terminal.clock.now();
          return { json: answer, text: runnerText(answer.runner, now) + timelineText(answer.timeline) + output };
        }),
      ),
  );
  runners.addCommand(
    adminCommand('forget', 'gives a runner up: deregisters it and stops its instance, even while a job runs on it')
      .argument('<name>', 'the name, as `shr runners` shows it')
      .action(async (name: string, _options: unknown, command: Command) =>
        answering(command, terminal, async (client) => {
          const answer = await client.post(['runners', name, 'forget'], forgetSchema);
          return { json: answer, text: `${answer.runner.name} is ${answer.runner.state}: ${answer.message}\n` };
        }),
      ),
  );
  return runners;
}

const LIVE = 'creating,starting,online,busy,finishing,draining';

function listText(runners: readonly RunnerView[], nowMs: number): string {
  if (runners.length === 0) return 'No runners.\n';
  return table(
    ['RUNNER', 'REGISTRATION', 'BACKEND', 'STATE', 'FOR', 'AGE', 'JOB', 'WHY'],
    runners.map((runner) => [
      runner.name,
      runner.registration,
      runner.backend ?? '-',
      runner.state,
      age(runner.stateSince, nowMs),
      age(runner.createdAt, nowMs),
      runner.job ?? '-',
      runner.failure ?? runner.drainReason ?? '',
    ]),
  );
}

function runnerText(runner: RunnerView, nowMs: number): string {
  return facts([
    ['runner', runner.name],
    ['registration', `${runner.registration}, ${runner.host}/${runner.scope}`],
    ['labels', runner.labels.join(', ')],
    ['lane', runner.lane],
    ['state', `${runner.state}${runner.forced ? ' (forced)' : ''} for ${age(runner.stateSince, nowMs)}`],
    ['deadline', runner.deadlineAt],
    ['backend', runner.backend],
    ['instance', runner.instance === null ? runner.instanceState : `${runner.instance} (${runner.instanceState})`],
    ['GitHub runner', runner.githubRunner === null ? null : String(runner.githubRunner)],
    ['job', runner.job],
    ['launched for', runner.launchedFor],
    ['draining', runner.drainReason],
    ['failure', runner.failure === null ? null : `${runner.failureKind ?? 'unknown'}: ${runner.failure}`],
  ]);
}

function timelineText(timeline: readonly TimelineView[]): string {
  const [first] = timeline;
  if (first === undefined) return '';
  return `\n${table(
    ['TIME', '+', 'STATE', 'REASON'],
    timeline.map((entry) => [
      entry.at,
      age(first.at, Date.parse(entry.at)),
      entry.state,
      entry.details === null ? entry.reason : `${entry.reason}: ${entry.details}`,
    ]),
  )}`;
}

function outputText(output: string | null): string {
  return output === null ? '\nNo output was kept.\n' : `\n${printableLines(output).trimEnd()}\n`;
}
