/** `shr runners`: the runners, their history, and the operator's last resort. */
import { type Command, InvalidArgumentError } from 'commander';
import type { z } from 'zod';
import { type Clock, systemClock } from '../../time/clock.ts';
import { placedWords } from '../failures/failure.ts';
import {
  forgetSchema,
  type RunnerView,
  runnerDetailSchema,
  runnerListSchema,
  runnerStateSchema,
  type TimelineView,
} from '../http/admin-shapes.ts';
import { AdminClientError, adminCommand, answering, filters } from './admin-client.ts';
import { age, leftOut, more, notWritten, printableLines, told } from './admin-text.ts';
import { printable, printFields, printTable } from './output.ts';
import type { Terminal } from './terminal.ts';

const LIVE = 'creating,parked,starting,online,busy,finishing,draining';

export function createCommand(terminal: Terminal, clock: Clock = systemClock): Command {
  const runners = adminCommand('runners', 'the runners, newest first; those that are gone by --state gone', terminal)
    .option('--registration <name>', 'only of this registration')
    .option('--state <states>', `${runnerStateSchema.options.join(', ')}; several with commas`, runnerStates)
    .option('--lane <key>', 'only of this lane')
    .option('--limit <count>', 'how many to list (default 100, at most 500)')
    .action(async (_options: unknown, command: Command) =>
      answering(
        { command, terminal, clock },
        (client) => {
          const query = { state: LIVE, ...filters(command, ['registration', 'state', 'lane', 'limit']) };
          return client.get(['runners'], query, runnerListSchema);
        },
        (answer) => {
          printRunners(terminal, answer.runners, clock.now());
          terminal.out(more(answer.more, 'runners'));
          terminal.out(leftOut(answer.unreadable));
          terminal.out(notWritten(answer.ledgerProblem, clock.now()));
        },
      ),
    );
  runners.addCommand(
    adminCommand('show', 'one runner with its timeline', terminal)
      .argument('<name>', 'the name, as `shr runners` shows it')
      .option('--output', "the container's output too: live while it runs, else the end of it that was kept")
      .action(async (name: string, options: { readonly output?: true }, command: Command) =>
        answering(
          { command, terminal, clock },
          (client) => client.get(['runners', name], options.output ? { output: 'true' } : {}, runnerDetailSchema),
          (answer) => {
            printRunner(terminal, answer.runner, clock.now());
            printTimeline(terminal, answer.timeline);
            if (options.output) printOutput(terminal, answer);
          },
        ),
      ),
  );
  runners.addCommand(
    adminCommand('forget', 'give a runner up: drain it by force, even while a job runs on it', terminal)
      .argument('<name>', 'the name, as `shr runners` shows it')
      .option('--yes', 'do not ask first')
      .action(async (name: string, options: { readonly yes?: true }, command: Command) =>
        answering(
          { command, terminal, clock },
          async (client) => {
            const { runner } = await client.get(['runners', name], {}, runnerDetailSchema);
            if (options.yes !== true) await confirmForget(terminal, runner, clock.now());
            return await client.post(['runners', name, 'forget'], forgetSchema);
          },
          (answer) => terminal.out(`${answer.runner.name} is ${answer.runner.state}: ${answer.message}\n`),
        ),
      ),
  );
  return runners;
}

function runnerStates(text: string): string {
  const known: ReadonlySet<string> = new Set(runnerStateSchema.options);
  const unknown = text.split(',').find((state) => !known.has(state));
  if (unknown === undefined) return text;
  throw new InvalidArgumentError(`'${unknown}' is not a state. Allowed are ${runnerStateSchema.options.join(', ')}.`);
}

/** Throws if the answer is not yes, and without a terminal to ask at. */
async function confirmForget(terminal: Terminal, runner: RunnerView, nowMs: number): Promise<void> {
  const consequence = consequenceOf(runner, nowMs);
  if (terminal.ask === undefined) {
    throw new AdminClientError(2, consequence, 'This is not a terminal that can be asked: add --yes to do it anyway.');
  }
  const answer = await terminal.ask(`${consequence}. Go on? [y/N] `);
  if (!/^y(es)?$/i.test(answer)) {
    throw new AdminClientError(1, `${runner.name} stays as it is`, 'Answer y to give it up.');
  }
}

function consequenceOf(runner: RunnerView, nowMs: number): string {
  const since = `${runner.name} is ${runner.state} for ${age(runner.stateSince, nowMs)}`;
  if (runner.state === 'gone') return `${since}: nothing of it is left to give up`;
  if (runner.state === 'draining' && runner.forced) {
    return `${since} and was given up before: this drops it without further cleanup, and leaves behind what still exists of it`;
  }
  return runner.job === null
    ? `${since}: its registration is deleted and its container stopped, even if a job has just come to it`
    : `${since} with job ${runner.job}: the job is ended with its container`;
}

function printRunners(terminal: Terminal, runners: readonly RunnerView[], nowMs: number): void {
  if (runners.length === 0) {
    terminal.out('No such runners now; `shr runners --state gone` lists those that have ended.\n');
    return;
  }
  printTable(terminal, runners, [
    { title: 'runner', value: (runner) => runner.name },
    { title: 'registration', value: (runner) => runner.registration },
    { title: 'backend', value: (runner) => runner.backend },
    { title: 'state', value: (runner) => runner.state },
    { title: 'for', value: (runner) => age(runner.stateSince, nowMs) },
    { title: 'age', value: (runner) => age(runner.createdAt, nowMs) },
    { title: 'job', value: (runner) => runner.job },
    {
      title: 'why',
      value: (runner) =>
        runner.absent?.reason ?? (runner.failure === null ? (runner.drainReason ?? '') : placedWords(runner.failure)),
    },
  ]);
}

function printRunner(terminal: Terminal, runner: RunnerView, nowMs: number): void {
  printFields(
    terminal,
    told([
      ['runner', runner.name],
      ['registration', `${runner.registration}, ${runner.host}/${runner.scope}`],
      ['not in force', runner.absent === null ? null : `${runner.absent.reason}. ${runner.absent.cure}`],
      ['labels', runner.labels.join(', ')],
      ['lane', runner.lane],
      ['state', `${runner.state}${runner.forced ? ' (forced)' : ''} for ${age(runner.stateSince, nowMs)}`],
      ['deadline', runner.deadlineAt],
      ['backend', runner.backend],
      ['instance', runner.instance === null ? runner.instanceState : `${runner.instance} (${runner.instanceState})`],
      ['GitHub runner', runner.githubRunner === null ? null : String(runner.githubRunner)],
      ['job', runner.job],
      ['launched for', runner.launchedFor],
      ['candidate image', runner.candidate],
      ['draining', runner.drainReason],
      ['failure', runner.failure === null ? null : `${runner.failure.kind}: ${placedWords(runner.failure)}`],
    ]),
  );
}

function printTimeline(terminal: Terminal, timeline: readonly TimelineView[]): void {
  const [first] = timeline;
  if (first === undefined) return;
  terminal.out('\n');
  printTable(terminal, timeline, [
    { title: 'time', value: (entry) => entry.at },
    { title: 'after', value: (entry) => age(first.at, Date.parse(entry.at)) },
    { title: 'state', value: (entry) => entry.state },
    {
      title: 'reason',
      value: ({ reason, details, failure }) => {
        const told = failure === null ? details : placedWords(failure);
        return told === null ? reason : `${reason}: ${told}`;
      },
    },
  ]);
}

function printOutput(terminal: Terminal, answer: z.infer<typeof runnerDetailSchema>): void {
  const { output, outputIs, outputProblem } = answer;
  if (outputProblem !== undefined) terminal.out(`\nIts live output cannot be read: ${printable(outputProblem)}\n`);
  if (typeof output !== 'string') {
    terminal.out('\nNo output was kept.\n');
    return;
  }
  const heading = outputIs === 'live' ? 'Output until now:' : 'The end of its output:';
  terminal.out(`\n${heading}\n${printableLines(output).trimEnd()}\n`);
}
