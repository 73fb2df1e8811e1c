/** `shr validate [folder]`: reports every problem of the configuration, with its place and cure. */
import { basename, extname, resolve } from 'node:path';
import { Command } from 'commander';
import { loadProvider } from '../../providers/index.ts';
import { applyPolicy } from '../admission/policy.ts';
import { systemFiles } from '../config/files.ts';
import { type Inspection, inspectConfiguration } from '../config/load.ts';
import { formatProblem, type Problem } from '../model/problem.ts';
import { configurationFiles } from './configuration-files.ts';
import { loadFits } from './fits.ts';
import { counted, printable, printJson } from './output.ts';
import { shownPath } from './shown-path.ts';
import type { CommandModule, Terminal } from './terminal.ts';

interface ValidateOptions {
  readonly config?: string;
  readonly secrets?: boolean;
  readonly json?: boolean;
}

export const createCommand: CommandModule['createCommand'] = (terminal) =>
  new Command()
    .argument('[folder]', 'the folder with dispatcher.yaml and registrations/, or registrations/ itself', '.')
    .option('--config <file>', 'a dispatcher.yaml outside that folder')
    .option('--secrets', 'report missing secrets as problems, as `shr serve` does')
    .option('--json', 'print { ok, files, problems, notes }')
    .action((folder: string, options: ValidateOptions) => validate(folder, options, terminal));

async function validate(folder: string, options: ValidateOptions, terminal: Terminal): Promise<void> {
  const at = (path: string): string => resolve(terminal.workingFolder, path);
  const files = await configurationFiles(at(folder), options.config === undefined ? undefined : at(options.config));
  const inspection = await inspectConfiguration(
    {
      ...files,
      environment: terminal.environment,
      files: systemFiles,
      provider: loadProvider,
      secrets: options.secrets === true ? 'required' : 'optional',
    },
    options.config === undefined ? 'optional' : 'required',
  );
  const sizes = await sizesOf(inspection);
  const shown = (problem: Problem): Problem => ({ ...problem, file: shownPath(terminal.workingFolder, problem.file) });
  const problems = [...inspection.problems, ...sizes.problems].map(shown);
  const notes = [...inspection.notes, ...sizes.notes].map(shown);
  const read = inspection.files.map((file) => shownPath(terminal.workingFolder, file));
  if (options.json === true) {
    printJson(terminal, { ok: problems.length === 0, files: read, problems, notes });
  } else {
    for (const problem of problems) terminal.out(`${printable(formatProblem(problem))}\n`);
    for (const note of notes) terminal.out(`note: ${printable(formatProblem(note))}\n`);
    terminal.out(
      `${counted(read.length, 'file')}, ${counted(problems.length, 'problem')}, ${counted(notes.length, 'note')}\n`,
    );
  }
  terminal.exit(problems.length === 0 ? 0 : 1);
}

/** Whether the backends offer the shape that a runner has by default: a problem if none does. */
async function sizesOf({
  registrations,
  quarantined,
  files,
}: Inspection): Promise<{ problems: Problem[]; notes: Problem[] }> {
  const problems: Problem[] = [];
  const notes: Problem[] = [];
  const wrong = new Set(quarantined.map(({ name }) => name));
  for (const registration of registrations) {
    if (wrong.has(registration.name)) continue;
    const answer = applyPolicy(registration, []);
    if (!answer.granted) continue;
    const fits = await loadFits(registration);
    const refusals = [...fits.providers].flatMap(([backend, provider]) => {
      const fit = provider.fit(answer.grant.wish);
      return fit.fits ? [] : [`${backend}: ${fit.reason}`];
    });
    await fits.close();
    if (refusals.length === 0) continue;
    const none = refusals.length === registration.backends.length;
    (none ? problems : notes).push({
      file: files.find((file) => basename(file, extname(file)) === registration.name) ?? registration.name,
      line: 0,
      column: 0,
      path: 'defaults',
      message: `${none ? 'no backend has' : 'not every backend has'} what a runner gets without labels (${refusals.join('; ')})`,
      cure: none ? 'Change `defaults`, or add a backend that has it.' : 'The others serve such jobs.',
    });
  }
  return { problems, notes };
}
