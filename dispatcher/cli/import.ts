/** `shr import`: registrations from the configuration of another system, with a list of what has no equivalent. */
import { basename, dirname, extname, join, resolve } from 'node:path';
import { Command } from 'commander';
import { stringify } from 'yaml';
import { fileProblem, systemFiles } from '../config/files.ts';
import { importDocuments } from './import/documents.ts';
import type { Draft, Imported } from './import/draft.ts';
import { importMakefiles } from './import/older.ts';
import { writeNew } from './init/new-file.ts';
import { folderProblem } from './make-folder.ts';
import { counted, printable, printJson } from './output.ts';
import { shownPath } from './shown-path.ts';
import type { CommandModule, Terminal } from './terminal.ts';

const HELP = `
Reads: the makefiles of the older dispatcher (Registration.mk, registration/Registration_NAME.mk); the values of ARC's chart
gha-runner-scale-set, or its AutoscalingRunnerSet; \`garm-cli pool list --format json\`; the files of a multi_runner_config of
terraform-aws-github-runner, in YAML or JSON. Nothing in them is run. Secrets become references, and are not copied.
`;

const MAX_BYTES = 1024 * 1024;

interface ImportOptions {
  readonly out: string;
  readonly organization?: string;
  readonly json?: boolean;
}

export const createCommand: CommandModule['createCommand'] = (terminal) =>
  new Command()
    .argument('<files...>', 'the files to read')
    .option('--out <folder>', 'where the registrations are written', 'registrations')
    .option('--organization <name>', 'whose jobs they serve, where the files do not say it')
    .option('--json', 'print { written, problems }')
    .addHelpText('after', HELP)
    .action((files: readonly string[], options: ImportOptions) => importAll(files, options, terminal));

async function importAll(files: readonly string[], options: ImportOptions, terminal: Terminal): Promise<void> {
  const at = (path: string): string => resolve(terminal.workingFolder, path);
  const taken = new Set<string>();
  const written: (Omit<Draft, 'registration'> & { readonly file: string; readonly kept: boolean })[] = [];
  const problems: string[] = [];
  for (const file of files) {
    const { drafts, problems: found } = await importOne(at(file), options, taken);
    problems.push(...found.map((problem) => `${file}: ${problem}`));
    for (const { name, registration, secrets, left } of drafts) {
      const path = join(at(options.out), `${name}.yaml`);
      try {
        const isNew = await writeNew({ path, text: textOf(registration, file, left), mode: 0o644, git: 'always' });
        written.push({ file: shownPath(terminal.workingFolder, path), kept: !isNew, name, secrets, left });
      } catch (error) {
        const problem = await folderProblem(at(options.out), error);
        if (problem === undefined) throw error;
        problems.push(`${problem.message}. ${problem.cure}`);
      }
    }
  }
  terminal.exit(written.some(({ kept }) => !kept) ? 0 : 1);
  if (options.json === true) {
    printJson(terminal, { written, problems });
    return;
  }
  for (const { file, kept, secrets, left } of written) {
    terminal.out(kept ? `kept ${printable(file)}, it was there\n` : `wrote ${printable(file)}\n`);
    for (const { variable, holds } of secrets) terminal.out(`  secret: set ${printable(`${variable} to ${holds}`)}\n`);
    for (const one of left) terminal.out(`  left: ${printable(one)}\n`);
  }
  for (const problem of problems) terminal.error(`shr: ${printable(problem)}\n`);
  terminal.out(
    `${counted(written.filter(({ kept }) => !kept).length, 'registration')} written. Check them with \`shr validate\`.\n`,
  );
}

async function importOne(path: string, options: ImportOptions, taken: Set<string>): Promise<Imported> {
  const text = await textIn(path);
  if (typeof text !== 'string') return { drafts: [], problems: [text.problem] };
  const stem = basename(path, extname(path));
  if (extname(path) !== '.mk') {
    return importDocuments(stem, { file: path, text, mostBytes: MAX_BYTES, organization: options.organization }, taken);
  }
  const alias = stem.replace(/^Registration_?/, '') || 'imported';
  const common = await commonOf(path);
  return importMakefiles(alias, common, text, taken);
}

/** `Registration.mk` beside it or above, which holds what all have in common. */
async function commonOf(path: string): Promise<string | undefined> {
  for (const folder of [dirname(path), dirname(dirname(path))]) {
    const candidate = join(folder, 'Registration.mk');
    if (candidate === path) return undefined;
    const text = await textIn(candidate);
    if (typeof text === 'string') return text;
  }
  return undefined;
}

async function textIn(path: string): Promise<string | { readonly problem: string }> {
  try {
    return (await systemFiles.read(path, { mostBytes: MAX_BYTES })).text;
  } catch (error) {
    const { message, cure } = fileProblem(error);
    return { problem: `${message}. ${cure}` };
  }
}

function textOf(registration: Draft['registration'], from: string, left: readonly string[]): string {
  const notes = [`Imported from ${from}. What is left to do:`, ...left.map((one) => `- ${one}`)];
  return `${notes.map((line) => `# ${printable(line)}\n`).join('')}\n${stringify(registration, { aliasDuplicateObjects: false })}`;
}
