/** `shr validate [folder]`: reports every problem of the configuration, with its place and cure. */
import { appendFile, stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { Command, Option } from 'commander';
import { loadProvider } from '../../providers/index.ts';
import { systemFiles } from '../config/files.ts';
import { type Inspection, inspectConfiguration, wholeFile } from '../config/load.ts';
import { CertificateError, readKeyPair } from '../http/certificate.ts';
import { formatProblem, type Problem } from '../model/problem.ts';
import { configurationFiles, exportedPlatform, inForceBeside, unusedExport } from './configuration-files.ts';
import { counted, printable, printJson } from './output.ts';
import { shownPath } from './shown-path.ts';
import type { CommandModule, Terminal } from './terminal.ts';
import { changeLines, markdownReport, proposalText } from './validate/change-text.ts';
import { type Changes, changesBetween } from './validate/changes.ts';
import { inspectAsText, type PlatformText, type Proposal, problemsOf, proposalOf } from './validate/proposal.ts';
import { sarifLog } from './validate/sarif.ts';
import { unfitSizes } from './validate/sizes.ts';
import { harmless, workflowCommand } from './validate/workflow-commands.ts';

const FORMATS = ['text', 'json', 'github', 'sarif'] as const;

interface ValidateOptions {
  readonly config?: string;
  readonly platform?: string;
  readonly secrets?: boolean;
  readonly format?: (typeof FORMATS)[number];
  readonly json?: boolean;
  readonly base?: string;
  readonly proposed?: string;
  readonly summary?: string;
}

export const createCommand: CommandModule['createCommand'] = (terminal) => {
  const command = new Command()
    .argument('[folder]', 'the folder with dispatcher.yaml and registrations/, or registrations/ itself', '.')
    .option('--config <file>', 'a dispatcher.yaml outside that folder')
    .addOption(
      new Option(
        '--platform <file>',
        'a platform.json of `shr platform export` in the place of dispatcher.yaml (default: the one beside the registrations)',
      ).conflicts('config'),
    )
    .option('--secrets', 'report missing secrets as problems, as `shr serve` does')
    .addOption(
      new Option(
        '--format <format>',
        'text; json; github: annotations of a workflow; sarif: for code scanning (default: text)',
      ).choices(FORMATS),
    )
    .addOption(
      new Option('--json', 'the same as --format json: { ok, platform, files, problems, notes }').conflicts('format'),
    )
    .option('--base <folder>', 'tell what changes for whom, compared with the configuration in this folder')
    .option(
      '--proposed <file>',
      'a dispatcher.yaml or platform.json that is not in force: its problems, and what it would change for whom; read as text, and the registrations are judged by it only where nothing else is: no --config, no --platform, no other file beside them',
    )
    .option('--summary <file>', 'append a report in Markdown to this file, such as $GITHUB_STEP_SUMMARY')
    .addHelpText(
      'after',
      '\nRegistrations of git sources and of the admin API are not read: `shr registrations` shows those that a dispatcher has.\n',
    );
  return command.action((folder: string, options: ValidateOptions) => validate(folder, options, { command, terminal }));
};

async function validate(
  folder: string,
  written: ValidateOptions,
  { command, terminal }: { readonly command: Command; readonly terminal: Terminal },
): Promise<void> {
  const { base, summary } = written;
  const at = (path: string): string => resolve(terminal.workingFolder, path);
  const options = { ...written, ...(await inForce(folder, written, at)) };
  if (base !== undefined && !(await isFolder(at(base)))) command.error(`error: there is no folder ${printable(base)}`);
  const proposed = options.proposed === undefined ? undefined : platformText(at(options.proposed));
  const { registrationsFolder } = await configurationFiles(at(folder), undefined);
  const asProposed = proposed && (await inspectAsText(proposed, registrationsFolder));
  const judge = judgeOf(options, at);
  const isApart = judge !== undefined || asProposed === undefined;
  // Where nothing else says what the platform is, the proposed file does.
  const inspection = isApart ? await inspect(folder, options, terminal) : asProposed;
  const before = base === undefined ? undefined : await inspect(base, options, terminal);
  const sizes = await unfitSizes(inspection);
  const certificate = options.secrets === true ? await certificateProblems(inspection) : [];
  const near = (file: string): string => shownPath(terminal.workingFolder, file);
  const shown = (problem: Problem): Problem => ({ ...problem, file: near(problem.file) });
  const apart = isApart && proposed && asProposed ? problemsOf(asProposed, proposed) : [];
  const changes = before && changesBetween(before, inspection);
  const unused = isApart ? await unusedNote(folder, options, at) : [];
  const former = isApart ? inspection.platform : before?.platform;
  const found: Found = {
    problems: [...apart, ...inspection.problems, ...certificate, ...sizes.problems].map(shown),
    notes: [...unused, ...inspection.notes, ...sizes.notes].map(shown),
    platform: inspection.platformFile && { ...inspection.platformFile, file: near(inspection.platformFile.file) },
    files: [...new Set([...inspection.files, ...(proposed ? [proposed.file] : [])])].map(near),
    // What the proposed file grants is told with it.
    changes: changes && !isApart ? { ...changes, grants: [] } : changes,
    proposal:
      proposed && asProposed && former
        ? proposalOf(proposed, asProposed, {
            ...{ former, shown },
            present: judge && (await inspectAsText(judge, registrationsFolder)),
          })
        : undefined,
  };
  print(options.json === true ? 'json' : (options.format ?? 'text'), found, terminal);
  if (summary !== undefined) {
    const { problems, notes, files } = found;
    const outcome = { problems: problems.map(formatProblem), notes: notes.length, files: files.length };
    await appendFile(at(summary), markdownReport(outcome, found.changes, found.proposal));
  }
  terminal.exit(found.problems.length === 0 ? 0 : 1);
}

function platformText(file: string): PlatformText {
  return { file, kind: file.endsWith('.json') ? 'platform.json' : 'dispatcher.yaml' };
}

/** What a proposed file is compared with where nothing else was named. */
async function inForce(
  folder: string,
  { base, config, platform, proposed }: ValidateOptions,
  at: (path: string) => string,
): Promise<Pick<ValidateOptions, 'config' | 'platform'> | undefined> {
  const isNamed = base !== undefined || config !== undefined || platform !== undefined;
  if (proposed === undefined || isNamed) return undefined;
  return await inForceBeside(await configurationFiles(at(folder), undefined), at(proposed));
}

/** The file that judges the registrations. */
function judgeOf({ config, platform }: ValidateOptions, at: (path: string) => string): PlatformText | undefined {
  if (platform !== undefined) return { file: at(platform), kind: 'platform.json' };
  return config === undefined ? undefined : { file: at(config), kind: 'dispatcher.yaml' };
}

/** Which of the two counts is easily missed: the workflows take platform.json where both are there. */
async function unusedNote(
  folder: string,
  { config, platform }: ValidateOptions,
  at: (path: string) => string,
): Promise<readonly Problem[]> {
  const unused = await unusedExport(await configurationFiles(at(folder), undefined), { config, platform });
  if (unused === undefined) return [];
  const message = 'it was not used: dispatcher.yaml is beside it, and counts';
  const cure =
    'In a tenants’ repository, remove dispatcher.yaml, or name this file with --platform; with the platform, keep it elsewhere.';
  return [wholeFile(unused, message, cure)];
}

async function inspect(folder: string, options: ValidateOptions, terminal: Terminal): Promise<Inspection> {
  const at = (path: string): string => resolve(terminal.workingFolder, path);
  const config = options.config === undefined ? undefined : at(options.config);
  const platform = options.platform === undefined ? undefined : at(options.platform);
  const files = await configurationFiles(at(folder), config);
  return inspectConfiguration(
    {
      ...files,
      exportedPlatform: await exportedPlatform(files, { config, platform }),
      environment: terminal.environment,
      files: systemFiles,
      provider: loadProvider,
      secrets: options.secrets === true ? 'required' : 'optional',
    },
    options.config === undefined ? 'optional' : 'required',
  );
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

interface Found {
  readonly problems: readonly Problem[];
  readonly notes: readonly Problem[];
  /** What the registrations were checked by. */
  readonly platform: Inspection['platformFile'];
  /** The files that were read. */
  readonly files: readonly string[];
  /** Undefined without `--base`. */
  readonly changes: Changes | undefined;
  /** Undefined without `--proposed`, or with nothing to compare it with. */
  readonly proposal: Proposal | undefined;
}

function print(format: (typeof FORMATS)[number], found: Found, terminal: Terminal): void {
  const { problems, notes, platform, files, changes, proposal } = found;
  const count = `${counted(files.length, 'file')}, ${counted(problems.length, 'problem')}, ${counted(notes.length, 'note')}`;
  const changed = changes === undefined ? [] : changeLines(changes);
  const heading = changed.length === 0 ? 'Nothing changes.' : 'What changes:';
  const lines = [
    ...(changes === undefined ? [] : [heading, ...changed.map((line) => `  ${line}`)]),
    ...(proposal === undefined ? [] : proposalText(proposal)),
    ...(platform === undefined ? [] : [`The platform: ${printable(platformWords(platform))}`]),
  ];
  switch (format) {
    case 'json':
      printJson(terminal, {
        ok: problems.length === 0,
        platform: platform ?? null,
        files,
        problems,
        notes,
        ...(changes && { changes }),
        ...(proposal && { proposal }),
      });
      return;
    case 'sarif':
      printJson(terminal, sarifLog(problems, notes));
      return;
    case 'github':
      for (const problem of problems) terminal.out(`${workflowCommand('error', problem)}\n`);
      for (const note of notes) terminal.out(`${workflowCommand('notice', note)}\n`);
      for (const line of [...lines, count]) terminal.out(`${harmless(line)}\n`);
      return;
    case 'text':
      for (const problem of problems) terminal.out(`${printable(formatProblem(problem))}\n`);
      for (const note of notes) terminal.out(`note: ${printable(formatProblem(note))}\n`);
      for (const line of [...lines, count]) terminal.out(`${line}\n`);
  }
}

function platformWords({ file, isExport }: NonNullable<Inspection['platformFile']>): string {
  return isExport ? `${file}, exported from the dispatcher.yaml of the platform team` : file;
}

/** The files of `listen.public.tls` are secrets as well: without them the service does not start. */
async function certificateProblems({ platform, files }: Inspection): Promise<readonly Problem[]> {
  const tls = platform.config?.publicListen.tls;
  if (tls === undefined) return [];
  try {
    await readKeyPair(tls);
    return [];
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error;
    const file = files.find((path) => basename(path) === 'dispatcher.yaml') ?? 'dispatcher.yaml';
    const cure = 'Correct `listen.public.tls`, or the files.';
    return [{ file, line: 0, column: 0, path: 'listen.public.tls', message: error.message, cure }];
  }
}
