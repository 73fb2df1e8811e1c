/** `shr doctor`: checks that GitHub, the backends and the network between are as the configuration needs them. */
import { Command } from 'commander';
import { systemClock, systemRandom } from '../../time/clock.ts';
import { mapLimited } from '../../time/workers.ts';
import { createProviderPool } from '../backends/pool.ts';
import { addressCaller } from '../callbacks/address-call.ts';
import { formatProblem, type Problem } from '../model/problem.ts';
import type { Configuration, Registration } from '../model/registration.ts';
import { examine, examineDispatcher } from './doctor/examine.ts';
import { type DoctorFinding, note } from './doctor/finding.ts';
import { askRunning } from './doctor/running.ts';
import { type LoadedConfiguration, loadedConfiguration, unknownRegistration } from './loaded-configuration.ts';
import { counted, printable, printJson } from './output.ts';
import { showProgress } from './progress.ts';
import { type CommandModule, collect, type Terminal } from './terminal.ts';

interface DoctorOptions {
  readonly registration?: readonly string[];
  readonly config?: string;
  readonly json?: boolean;
}

interface Examined {
  readonly name: string;
  readonly findings: readonly DoctorFinding[];
}

interface Report {
  /** About the dispatcher itself. */
  readonly dispatcher: readonly DoctorFinding[];
  readonly registrations: readonly Examined[];
}

const AT_ONCE = 4;

const NONE_ASKED = note(
  'github, backends',
  'registrations',
  'not checked: no registration is in force, and GitHub and the backends, also those of dispatcher.yaml, are asked as registrations use them',
);

export const createCommand: CommandModule['createCommand'] = (terminal) => {
  const command = new Command()
    .argument('[folder]', 'the folder with dispatcher.yaml and registrations/', '.')
    .option('--registration <name>', 'only this one; may be repeated', collect)
    .option('--config <file>', 'a dispatcher.yaml outside that folder')
    .option('--json', 'print { ok, dispatcher, registrations, problems, notes }')
    .addHelpText(
      'after',
      '\nIt only reads: it registers no runner and starts no container. A note does not change the exit code.\n',
    );
  return command.action(async (folder: string, options: DoctorOptions) => {
    const served = await loadedConfiguration(folder, options.config, terminal);
    // What does not need a missing secret is checked all the same.
    const loaded = isWhole(served)
      ? served
      : await loadedConfiguration(folder, options.config, terminal, { secrets: 'optional' });
    if (!loaded.ok) {
      report({ dispatcher: [], registrations: [] }, served, options, terminal);
      return;
    }
    const { registrations: inForce, quarantined } = loaded.configuration;
    const known = new Set([...inForce, ...quarantined].map(({ name }) => name));
    const unknown = options.registration?.find((name) => !known.has(name));
    if (unknown !== undefined) command.error(`error: ${unknownRegistration(unknown, inForce)}`);
    const wanted = inForce.filter(({ name }) => options.registration?.includes(name) ?? true);
    const running = await askRunning(loaded.configuration.dispatcher, systemClock);
    const examinedDispatcher = await examineDispatcher({
      dispatcher: loaded.configuration.dispatcher,
      clock: systemClock,
      environment: terminal.environment,
      proxy: terminal.proxy,
      asking: { random: systemRandom, call: addressCaller(systemClock) },
    });
    const examined = await examineAll(loaded.configuration, wanted, terminal);
    const dispatcher = [...examinedDispatcher, ...running.dispatcher, ...(inForce.length === 0 ? [NONE_ASKED] : [])];
    const registrations = examined.map(({ name, findings }) => ({
      name,
      findings: [...findings, ...running.of(name)],
    }));
    report({ dispatcher, registrations }, served, options, terminal);
  });
};

function isWhole({ ok, problems }: LoadedConfiguration): boolean {
  return ok && problems.length === 0;
}

async function examineAll(
  { dispatcher }: Configuration,
  registrations: readonly Registration[],
  terminal: Terminal,
): Promise<readonly Examined[]> {
  const backends = createProviderPool({ clock: systemClock, random: systemRandom });
  const tools = { dispatcher, backends, clock: systemClock, random: systemRandom };
  const findings = new Map<string, readonly DoctorFinding[]>();
  const progress = showProgress(terminal);
  try {
    await mapLimited(registrations, AT_ONCE, async (registration) => {
      progress.show(`${findings.size} of ${registrations.length} examined; now ${registration.name}`);
      findings.set(registration.name, await examine(registration, tools));
    });
  } finally {
    progress.end();
    await backends.close();
  }
  return registrations.map(({ name }) => ({ name, findings: findings.get(name) ?? [] }));
}

function report(
  { dispatcher, registrations }: Report,
  { problems, notes }: { readonly problems: readonly Problem[]; readonly notes: readonly Problem[] },
  options: DoctorOptions,
  terminal: Terminal,
): void {
  const findings = [...dispatcher, ...registrations.flatMap((registration) => registration.findings)];
  const lines = findings.length + problems.length + notes.length;
  const notOk = findings.filter(({ ok }) => !ok).length;
  const noted = findings.filter(({ note }) => note === true).length;
  const ok = notOk === 0 && problems.length === 0;
  if (options.json === true) {
    printJson(terminal, { ok, dispatcher, registrations, problems, notes });
  } else {
    for (const problem of problems) terminal.out(`${printable(`not ok  ${formatProblem(problem)}`)}\n`);
    for (const note of notes) terminal.out(`${printable(`note    ${formatProblem(note)}`)}\n`);
    for (const finding of dispatcher) terminal.out(`${lineOf('dispatcher', finding)}\n`);
    for (const registration of registrations) {
      for (const finding of registration.findings) terminal.out(`${lineOf(registration.name, finding)}\n`);
    }
    terminal.out(
      registrations.length === 0 && problems.length > 0
        ? `${counted(problems.length, 'problem')} in the configuration; nothing else was checked\n`
        : `${counted(registrations.length, 'registration')}, ${counted(lines, 'finding')}, ${notOk + problems.length} not ok, ${counted(noted + notes.length, 'note')}\n`,
    );
  }
  terminal.exit(ok ? 0 : 1);
}

/** One line per finding, never truncated: the cure is at its end. */
function lineOf(whose: string, { about, subject, ok, note, message, cure }: DoctorFinding): string {
  const head = `${ok ? (note === true ? 'note  ' : 'ok    ') : 'not ok'}  ${whose}  ${about}  ${subject}: ${message}`;
  // Services end their sentences with a full stop; our own messages do not.
  return printable(cure === undefined ? head : `${head.replace(/\.+$/, '')}. Cure: ${cure}`);
}
