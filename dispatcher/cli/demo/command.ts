/** `shr demo`: real workflow_job events become runners that finish and vanish, all on this machine. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { z } from 'zod';
import { loadProvider, providerKinds } from '../../../providers/index.ts';
import { type DemoBackend, isProviderError } from '../../../providers/provider.ts';
import { type Clock, sleep, systemClock, systemRandom } from '../../../time/clock.ts';
import { counted, printable } from '../output.ts';
import type { Terminal } from '../terminal.ts';
import { createScreen } from './screen.ts';
import { createStage, DemoProblem, ImageProblem } from './stage.ts';
import { type JobStory, Storyteller } from './story.ts';
import { type DemoWorld, startWorld } from './world.ts';

const WORKFLOW = join(import.meta.dirname, '..', '..', '..', 'demo', 'workflow.yaml');
const INTERRUPTED = 'demo: interrupted; everything that ran was removed\n';
const LOOK_MS = 150;
const APPROVE_AFTER_MS = 3_000;
/** A story in this state has not ended yet. */
const UNFINISHED: ReadonlySet<string> = new Set([
  ...['creating', 'parked', 'starting', 'online', 'busy', 'finishing', 'draining'],
]);

/** Of `WORKFLOW`. */
const REFUSED = 'greedy';

const flagsSchema = z.object({
  backend: z.string(),
  workflow: z.string(),
  within: z.number(),
  keep: z.boolean().default(false),
});

export function createCommand(terminal: Terminal, clock: Clock = systemClock): Command {
  return new Command('demo')
    .option('--backend <kind>', `where the runners run: ${providerKinds.join(', ')}`, 'process')
    .addOption(new Option('--workflow <file>', 'the workflow to push').default(WORKFLOW, 'demo/workflow.yaml'))
    .option('--within <seconds>', 'give up after this', parseSeconds, 60)
    .option('--keep', 'keep the folder with ledger, log and configuration')
    .addHelpText('after', '\nCtrl-C stops it and removes what is running; press it again to quit at once.\n')
    .action(async (options: unknown) => {
      const flags = flagsSchema.parse(options);
      const { backend: kind } = flags;
      if (!providerKinds.includes(kind)) {
        terminal.error(`shr: there is no demo for the backend ${kind}; there are ${providerKinds.join(', ')}\n`);
        terminal.exit(2);
        return;
      }
      const folder = await mkdtemp(join(tmpdir(), 'shr-demo-'));
      const interruption = new AbortController();
      let backend: DemoBackend | undefined;
      let world: DemoWorld | undefined;
      const onSignal = (): void => {
        if (interruption.signal.aborted) {
          terminal.error(`\n${leftBehind(folder, backend, world)}`);
          process.exit(1);
        }
        terminal.error('\nInterrupted: removing what is running. Ctrl-C again quits now, and may leave it behind.\n');
        interruption.abort();
      };
      process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
      try {
        const workflow = await readWorkflow(flags.workflow);
        backend = await (await loadProvider(kind)).demo(
          createStage(kind, folder, (line) => terminal.out(`${printable(line)}\n`)),
        );
        world = await startWorld({ folder, kind, backend, clock, random: systemRandom });
        try {
          const withinMs = flags.within * 1000;
          const interrupted = interruption.signal;
          const went = await play({ world, workflow, withinMs, interrupted, terminal, clock, isKept: flags.keep });
          terminal.exit(went ? 0 : 1);
        } finally {
          await world.close();
        }
        if (interruption.signal.aborted) terminal.out(INTERRUPTED);
      } catch (error) {
        // Ctrl-C ends what makes an image too, and what that says of it is no mistake to correct.
        if (interruption.signal.aborted && error instanceof ImageProblem) {
          terminal.out(INTERRUPTED);
          terminal.exit(1);
          return;
        }
        if (!(error instanceof DemoProblem) && !isProviderError(error)) throw error;
        terminal.error(`shr: ${error.message}\n`);
        terminal.exit(1);
      } finally {
        process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
        if (flags.keep) terminal.error(`kept: ${folder}\n`);
        else await rm(folder, { recursive: true, force: true });
      }
    });
}

/** Of a second Ctrl-C. */
function leftBehind(folder: string, backend: DemoBackend | undefined, world: DemoWorld | undefined): string {
  const command = world === undefined ? undefined : backend?.removal?.(`${world.id}-`);
  const lines = ['demo: quit at once. What it leaves is removed by:', ...(command === undefined ? [] : [command])];
  return [...lines, `rm -r ${folder}`].map((line) => `${printable(line)}\n`).join('');
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (text.trim() !== '' && Number.isFinite(seconds) && seconds > 0) return seconds;
  throw new InvalidArgumentError('Write a number of seconds above 0.');
}

async function readWorkflow(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new DemoProblem(
      `the workflow cannot be read (${error instanceof Error ? error.message : String(error)}); --workflow names a file`,
    );
  }
}

interface Demo {
  readonly world: DemoWorld;
  readonly workflow: string;
  readonly withinMs: number;
  readonly interrupted: AbortSignal;
  readonly terminal: Terminal;
  readonly clock: Clock;
  readonly isKept: boolean;
}

/** Returns whether everything went as expected, with nothing left behind. An interrupted one says nothing more. */
async function play({ world, workflow, withinMs, interrupted, terminal, clock, isKept }: Demo): Promise<boolean> {
  const startedAtMs = clock.now();
  const teller = new Storyteller(world.admin, startedAtMs);
  const screen = createScreen(terminal);
  terminal.out(`A simulated GitHub at ${world.github.url}; the dispatcher's admin API at ${world.adminUrl}\n\n`);
  world.push(workflow);
  let approveAtMs: number | undefined;
  let stories: readonly JobStory[] = [];
  let done = false;
  while (!done && !interrupted.aborted && clock.now() - startedAtMs < withinMs) {
    await sleep(clock, LOOK_MS);
    const now = clock.now();
    if (!world.github.jobs().some(({ status }) => status === 'waiting')) approveAtMs = undefined;
    else if (approveAtMs === undefined) approveAtMs = now + APPROVE_AFTER_MS;
    else if (now >= approveAtMs) world.approve();
    stories = await teller.tell(world.github.jobs(), now);
    screen.show(stories, (now - startedAtMs) / 1000);
    done = await isOver(world, stories);
  }
  screen.end(stories, (clock.now() - startedAtMs) / 1000);
  if (interrupted.aborted) return false;
  const tally = await count(world, stories);
  if (!done) {
    const log = isKept ? `The log: ${world.logFile}` : "With --keep the dispatcher's log stays for you to read.";
    terminal.error(`${gaveUp(withinMs, stories)}\n${log}\n`);
  }
  if (done && world.stays !== undefined) terminal.out(`${printable(world.stays)}\n`);
  if (stories.some(({ name, refusal }) => name === REFUSED && refusal !== undefined)) {
    terminal.out(`That ${REFUSED} is refused is part of the demo: it asks for more than its registration grants.\n`);
  }
  terminal.out(`demo: ${tally.text}\n`);
  return done && tally.clean;
}

/** What it timed out waiting for. */
function gaveUp(withinMs: number, stories: readonly JobStory[]): string {
  const waiting = stories.filter(({ waits }) => waits !== undefined);
  const told = waiting.map(({ name, waits }) => `${name} waits: ${waits}`);
  return [`Not done within ${withinMs / 1000} s.`, ...told].map(printable).join('\n');
}

/** Every job has finished, or was refused and has no runner; and neither side has anything left. */
async function isOver(world: DemoWorld, stories: readonly JobStory[]): Promise<boolean> {
  const refused = new Set(stories.filter(({ refusal }) => refusal !== undefined).map(({ id }) => id));
  const jobs = world.github.jobs();
  const ended = jobs.every(({ id, status }) => status === 'completed' || refused.has(id));
  const moreToCome = world.github
    .runs()
    .some(({ jobs: own, status }) => status !== 'completed' && own.every((job) => job.status === 'completed'));
  const told =
    stories.length === jobs.length && stories.every(({ stages }) => !UNFINISHED.has(stages.at(-1)?.stage ?? ''));
  if (!ended || moreToCome || !told || world.github.pendingDeliveries > 0) return false;
  return world.github.runners().length === 0 && (await world.instances()) === 0;
}

/** From GitHub's and the provider's side, not from the dispatcher's ledger. */
async function count(
  world: DemoWorld,
  stories: readonly JobStory[],
): Promise<{ readonly text: string; readonly clean: boolean }> {
  const jobs = world.github.jobs();
  const refusedByUs = new Set(stories.filter(({ refusal }) => refusal !== undefined).map(({ id }) => id));
  const ours = jobs.filter(({ runnerName }) => runnerName?.startsWith(`${world.id}-`));
  const completed = ours.filter(({ conclusion }) => conclusion === 'success').length;
  const failed = ours.filter(({ conclusion }) => conclusion !== null && conclusion !== 'success').length;
  const refused = jobs.filter(({ id, runnerName }) => refusedByUs.has(id) && runnerName === null).length;
  const foreign = jobs.filter(
    (job) => job.status === 'completed' && job.runnerName !== null && !ours.includes(job),
  ).length;
  const runners = world.github.runners().length;
  // If it cannot be asked, assume that something is left.
  const instances = await world.instances().catch(() => undefined);
  return {
    text: `${counted(jobs.length, 'job')}: ${completed} completed, ${failed === 0 ? '' : `${failed} failed, `}${refused} refused, ${foreign} not ours; ${counted(runners, 'runner')} left, ${instances === undefined ? 'an unknown number of instances' : counted(instances, 'instance')} left`,
    clean: completed + refused + foreign === jobs.length && runners === 0 && instances === 0,
  };
}
