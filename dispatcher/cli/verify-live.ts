/** `shr verify-live`: launches, inspects and removes one small container in the user's own account. */
import { Command } from 'commander';
import { loadProvider } from '../../providers/index.ts';
import type { LaunchRequest, Provider, ProviderModule } from '../../providers/provider.ts';
import { sizeInWords } from '../../providers/shape-words.ts';
import { systemClock, systemRandom } from '../../time/clock.ts';
import { createProviderPool, type ProviderPool } from '../backends/pool.ts';
import type { Backend, Registration } from '../model/registration.ts';
import { loadedRegistration } from './loaded-configuration.ts';
import { printable, printJson } from './output.ts';
import { showProgress } from './progress.ts';
import { type CommandModule, collect, type Terminal } from './terminal.ts';
import { LIFE_MINUTES, makeProbe, type Probe, runnerRequest, smallestShape, withProgram } from './verify-live/probe.ts';
import { linesOf } from './verify-live/steps.ts';
import { clearEarlier, type Step, type Verified, verify } from './verify-live/verify.ts';

interface VerifyOptions {
  readonly registration: string;
  readonly backend?: readonly string[];
  readonly image?: string;
  readonly config?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
}

/** One backend and what will be launched there. */
interface Plan {
  readonly backend: Backend;
  readonly module: ProviderModule;
  readonly provider: Provider;
  readonly probe: Probe;
  readonly runner: { readonly provider: Provider; readonly request: LaunchRequest };
  readonly note: string | undefined;
}

interface Outcome extends Verified {
  readonly backend: string;
  readonly kind: string;
  readonly module: ProviderModule;
  readonly name: string;
}

const OUTPUT_MS = 180_000;
const GONE_MS = 300_000;

export const createCommand: CommandModule['createCommand'] = (terminal) => {
  const command = new Command()
    .argument('[folder]', 'the folder with dispatcher.yaml and registrations/', '.')
    .requiredOption('--registration <name>', 'the registration whose backends to use')
    .option('--backend <name>', 'only this one; may be repeated', collect)
    .option('--image <reference>', "the image to use in place of the registration's default; /bin/sh must be in it")
    .option('--config <file>', 'a dispatcher.yaml outside that folder')
    .option('--yes', 'launch without asking')
    .option('--json', 'print { ok, backends }')
    .addHelpText(
      'after',
      '\nIt launches two containers on each backend, one after the other, which costs money. Each step names the assumptions in docs/assumptions.md that it confirms.\n',
    );
  return command.action(async (folder: string, options: VerifyOptions) => {
    const registration = await loadedRegistration(folder, options, command, terminal);
    if (registration === undefined) return;
    const unknown = options.backend?.find((name) => !registration.backends.some((one) => one.name === name));
    if (unknown !== undefined) {
      const names = registration.backends.map(({ name }) => name).join(', ');
      return command.error(`error: ${registration.name} has no backend '${unknown}'; there are ${names}`);
    }
    if (options.yes !== true && terminal.ask === undefined) {
      return command.error('error: it launches a container, and there is no terminal to ask at: say --yes');
    }
    const wanted = registration.backends.filter(({ name }) => options.backend?.includes(name) ?? true);
    const backends = createProviderPool({ clock: systemClock, random: systemRandom });
    try {
      await run(registration, wanted, backends, options, terminal);
    } finally {
      await backends.close();
    }
  });
};

async function run(
  registration: Registration,
  wanted: readonly Backend[],
  backends: ProviderPool,
  options: VerifyOptions,
  terminal: Terminal,
): Promise<void> {
  const plans: Plan[] = [];
  for (const backend of wanted) {
    const plan = await planFor(registration, backend, backends, options.image);
    if (typeof plan === 'string') {
      terminal.error(`shr: ${printable(`backend ${backend.name}: ${plan}`)}\n`);
      terminal.exit(1);
      return;
    }
    plans.push(plan);
  }
  for (const plan of plans) terminal.error(`${printable(costOf(plan))}\n`);
  if (options.yes !== true && !/^y(es)?$/i.test((await terminal.ask?.('Launch? [y/N] ')) ?? '')) {
    terminal.error('Nothing was launched.\n');
    terminal.exit(1);
    return;
  }
  const outcomes: Outcome[] = [];
  for (const plan of plans) {
    const outcome = await verifyPlan(registration, plan, options.json === true, terminal);
    outcomes.push(outcome);
    if (outcome.interrupted) break;
  }
  report(outcomes, plans.length, options.json === true, terminal);
}

/** Or the reason why not. */
async function planFor(
  registration: Registration,
  backend: Backend,
  backends: ProviderPool,
  image: string | undefined,
): Promise<Plan | string> {
  try {
    const module = await loadProvider(backend.kind, backend.from);
    const ours = { ...backend, options: withProgram(module, backend.options) };
    const provider = await backends.of(
      { name: `${registration.name} with our program`, backends: [ours] },
      backend.name,
    );
    const real = await backends.of(registration, backend.name);
    const smallest = smallestShape(provider, registration, image);
    if (!smallest.ok) return smallest.reason;
    const probe = makeProbe(registration, smallest.shape, systemClock, systemRandom);
    const request = runnerRequest(probe, registration, systemClock, systemRandom);
    return { backend, module, provider, probe, runner: { provider: real, request }, note: smallest.note };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function costOf({ backend, probe, note }: Plan): string {
  const { cpu, memoryGiB, architecture, image } = probe.request.shape;
  const place = `${backend.kind}${backend.region === undefined ? '' : `, ${backend.region}`}`;
  return [
    `${backend.name} (${place}): one container of ${sizeInWords({ cpu, memoryGiB }).join(' and ')},`,
    `${architecture}, image ${image}, for about a minute; at the latest it ends by itself after ${LIFE_MINUTES} minutes; then one with the command of real runners`,
    ...(note === undefined ? [] : [`(${note})`]),
  ].join(' ');
}

async function verifyPlan(
  registration: Registration,
  { backend, module, provider, probe, runner }: Plan,
  json: boolean,
  terminal: Terminal,
): Promise<Outcome> {
  const { name } = probe.request;
  const progress = showProgress(terminal);
  const interruption = new AbortController();
  const onSignal = (): void => {
    if (interruption.signal.aborted) {
      terminal.error(`\nLeft behind, perhaps: ${name} on ${backend.name}.\n`);
      process.exit(1);
    }
    terminal.error(`\nInterrupted: removing ${name}. Ctrl-C again quits at once, and may leave it behind.\n`);
    interruption.abort(new Error('interrupted'));
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  try {
    if (!json) terminal.out(`${printable(`${backend.name} (${backend.kind}): ${name}`)}\n`);
    await clearEarlier(provider, systemClock).then(
      (count) => {
        if (count > 0) terminal.error(`Took away ${count} that an earlier check had left.\n`);
      },
      // The same failure is reported again, as a step.
      () => undefined,
    );
    const verified = await verify({
      provider,
      probe,
      runner,
      clock: systemClock,
      patience: { runMs: registration.timeouts.launchMs, outputMs: OUTPUT_MS, goneMs: GONE_MS },
      signal: interruption.signal,
      onStep: (step) => {
        progress.end();
        if (!json) terminal.out(`${printable(lineOf(step, module))}\n`);
      },
      onWait: (text) => progress.show(text),
    });
    return { ...verified, backend: backend.name, kind: backend.kind, module, name };
  } finally {
    progress.end();
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

const MARKS: Readonly<Record<Step['outcome'], string>> = { confirmed: '✓', failed: '✗', skipped: '–' };
const STEP_WIDTH = 'launch-again'.length;

function lineOf({ name, outcome, ms, message }: Step, module: ProviderModule): string {
  const seconds = outcome === 'skipped' ? '' : `${(ms / 1000).toFixed(1)} s`;
  return `${MARKS[outcome]} ${seconds.padStart(7)}  ${name.padEnd(STEP_WIDTH)}  ${message} [${linesOf(name, module).join(', ')}]`;
}

function report(outcomes: readonly Outcome[], planned: number, json: boolean, terminal: Terminal): void {
  const ok =
    outcomes.length === planned &&
    outcomes.every(
      ({ steps, interrupted, left }) =>
        !interrupted && left === undefined && steps.every(({ outcome }) => outcome !== 'failed'),
    );
  if (json) {
    const backends = outcomes.map(({ steps, left, module, ...outcome }) => ({
      ...outcome,
      left: left ?? null,
      steps: steps.map((step) => ({ ...step, confirms: linesOf(step.name, module) })),
    }));
    printJson(terminal, { ok, backends });
  } else {
    for (const { backend, left } of outcomes) {
      if (left !== undefined) terminal.out(`${printable(`LEFT BEHIND on ${backend}: ${left}`)}\n`);
    }
    const steps = outcomes.flatMap((outcome) => outcome.steps);
    const count = (outcome: Step['outcome']): number => steps.filter((step) => step.outcome === outcome).length;
    const left = outcomes.filter((outcome) => outcome.left !== undefined).length;
    terminal.out(
      `${outcomes.length === 1 ? '1 backend' : `${outcomes.length} backends`}: ${count('confirmed')} confirmed, ${count('failed')} failed, ${count('skipped')} skipped; ${left === 0 ? 'nothing' : left} left behind\n`,
    );
  }
  terminal.exit(ok ? 0 : 1);
}
