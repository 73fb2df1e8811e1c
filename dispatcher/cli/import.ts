/** `shr import`: registrations from the configuration of another system, with a list of what has no equivalent. */
import { basename, dirname, extname, join, resolve } from 'node:path';
import { Command } from 'commander';
import { stringify } from 'yaml';
import { readYaml } from '../config/document.ts';
import { fileProblem, systemFiles } from '../config/files.ts';
import { isRecord } from '../config/salvage.ts';
import { NAME } from '../config/schema.ts';
import { formatProblem, type Problem } from '../model/problem.ts';
import { importDocuments } from './import/documents.ts';
import { type Draft, EACH, type Imported, Names, type Variable, variablesIn } from './import/draft.ts';
import { fateLines, type Verdict } from './import/fields.ts';
import { type Granting, grantsFor, ofTenant, onShared } from './import/grants.ts';
import { isNothing, missingIn, wrongThen } from './import/in-force.ts';
import { importMakefiles } from './import/older.ts';
import { sizeToDos } from './import/sizes.ts';
import { writeNew } from './init/new-file.ts';
import { folderProblem } from './make-folder.ts';
import { counted, printable, printJson } from './output.ts';
import { shownPath } from './shown-path.ts';
import type { CommandModule, Terminal } from './terminal.ts';

const HELP = `
Reads: the makefiles of the older dispatcher (Registration.mk, registration/Registration_NAME.mk); the values of ARC's chart
gha-runner-scale-set, its AutoscalingRunnerSet, or its older RunnerDeployment, RunnerSet and Runner with their autoscalers;
\`garm-cli pool list --format json\` and \`garm-cli scaleset list --format json\`; the multi_runner_config of terraform-aws-github-runner
in YAML or JSON: a file for each entry, one with all of them, or a tfvars.json. Nothing in them is run. Secrets become references, and are not copied.

Each field is told once: taken over and where it is now, to do and what, or without an equivalent and why.
`;

const MAX_BYTES = 1024 * 1024;
const MOST_TO_DO = 'maxRunners: at most 10 run at once, until it says more';

interface ImportOptions {
  readonly out: string;
  readonly organization?: string;
  readonly tenant?: string;
  readonly backend?: string;
  readonly observe?: boolean;
  readonly json?: boolean;
}

export const createCommand: CommandModule['createCommand'] = (terminal) => {
  const command = new Command()
    .argument('<files...>', 'the files to read')
    .option('--out <folder>', 'where the registrations are written', 'registrations')
    .option('--organization <name>', 'whose jobs they serve, where the files do not say it')
    .option(
      '--tenant <name>',
      'whose they are: variables are named as this tenant has them, and what dispatcher.yaml has to grant is printed (default, where it has tenants: one tenant for each owner)',
    )
    .option(
      '--backend <name>',
      'a backend of dispatcher.yaml that they use, where the files do not say where runners run',
    )
    .option('--observe', 'they only observe: nothing is launched, and the other system goes on (docs/migrate.md)')
    .option('--json', 'print { written, problems, dispatcher, wrongThen }')
    .addHelpText('after', HELP);
  return command.action(async (files: readonly string[], options: ImportOptions) => {
    for (const [option, name] of Object.entries({ tenant: options.tenant, backend: options.backend }))
      if (name !== undefined && !NAME.test(name))
        command.error(`error: --${option}: a name has 1 to 32 lower-case letters, digits and inner hyphens`);
    await importAll(files, options, terminal);
  });
};

interface Written extends Omit<Draft, 'registration' | 'isBackendOpen'> {
  readonly file: string;
  readonly kept: boolean;
  readonly variables: readonly Variable[];
}

async function importAll(files: readonly string[], options: ImportOptions, terminal: Terminal): Promise<void> {
  const at = (path: string): string => resolve(terminal.workingFolder, path);
  const platform = await platformIn(join(at(options.out), '..', 'dispatcher.yaml'));
  const isTenants = options.tenant !== undefined || platform.hasTenants;
  const names = new Names(options.tenant ?? (isTenants ? EACH : undefined));
  const before: Draft[] = [];
  const drafts: Draft[] = [];
  const written: Written[] = [];
  const problems: string[] = [];
  const { backend } = options;
  if (backend !== undefined && platform.isThere && !Object.hasOwn(platform.backends, backend))
    problems.push(`dispatcher.yaml has no backend \`${backend}\`: add it below \`backends\`, or correct the name`);
  for (const file of files) {
    const { drafts: read, problems: found } = await importOne(at(file), options, names);
    problems.push(...found.map((problem) => `${file}: ${problem}`));
    for (const one of read) {
      const draft = await completed(one, { options, isTenants, platform });
      before.push(one);
      drafts.push(draft);
      const { name, tenant, secrets, left, fates } = draft;
      const path = join(at(options.out), `${name}.yaml`);
      try {
        const isNew = await writeNew({ path, text: textOf(draft, file), mode: 0o644, git: 'always' });
        const shown = { file: shownPath(terminal.workingFolder, path), kept: !isNew };
        written.push({ ...shown, name, tenant, secrets, variables: variablesIn(draft), left, fates });
      } catch (error) {
        const problem = await folderProblem(at(options.out), error);
        if (problem === undefined) throw error;
        problems.push(`${problem.message}. ${problem.cure}`);
      }
    }
  }
  const grants =
    isTenants && drafts.length > 0 ? grantsFor(drafts, backend === undefined ? before : undefined) : undefined;
  problems.push(...(grants?.left ?? []));
  const granting = grants && missingIn(platform.sections, grants.granting);
  const wrong =
    granting === undefined || !platform.isThere || written.length === 0
      ? []
      : await wrongThen(
          { file: platform.file, folder: at(options.out), dispatcher: platform.sections },
          granting,
          written.map(({ name }) => join(at(options.out), `${name}.yaml`)),
          terminal.environment,
        );
  const still = wrong.map((problem) => ({ ...problem, file: shownPath(terminal.workingFolder, problem.file) }));
  terminal.exit(written.some(({ kept }) => !kept) ? 0 : 1);
  if (options.json === true) {
    const each = written.map(({ left, fates, ...one }) => ({ ...one, toDo: left, fields: fates.each }));
    printJson(terminal, { written: each, problems, ...(granting && { dispatcher: granting, wrongThen: still }) });
    return;
  }
  const folder = shownPath(terminal.workingFolder, at(join(options.out, '..')));
  print(terminal, { written, problems, folder, isObserving: options.observe === true });
  if (written.length > 0) printGrants(terminal, granting, platform, still);
}

interface Surroundings {
  readonly options: ImportOptions;
  readonly isTenants: boolean;
  readonly platform: Platform;
}

/** With all that has to be said of it, and as a tenant may have it. */
async function completed(draft: Draft, { options, isTenants, platform }: Surroundings): Promise<Draft> {
  const { backend, observe } = options;
  const placed = isTenants || backend !== undefined ? onShared(draft, backend) : draft;
  const whose = isTenants ? ofTenant(placed) : placed;
  const { registration, left } = whose;
  const sizes = await sizeToDos(registration, platform.backends);
  const more = registration['maxRunners'] === undefined ? [MOST_TO_DO] : [];
  return {
    ...whose,
    left: [...left, ...more, ...sizes],
    registration: observe === true ? { ...registration, observe: true } : registration,
  };
}

interface Outcome {
  readonly written: readonly Written[];
  readonly problems: readonly string[];
  /** With dispatcher.yaml and the registrations. */
  readonly folder: string;
  readonly isObserving: boolean;
}

const BOTH =
  'They do not only observe: once they are in force, runners are launched for their jobs, also while the other system takes the same jobs. Before that, take it away, give them a label of their own, or write `observe: true` into them (docs/migrate.md).\n';

function print(terminal: Terminal, { written, problems, folder, isObserving }: Outcome): void {
  for (const { file, kept, secrets, variables, ...draft } of written) {
    terminal.out(kept ? `kept ${printable(file)}, it was there\n` : `wrote ${printable(file)}\n`);
    for (const { variable, holds } of secrets) terminal.out(`  secret: set ${printable(`${variable} to ${holds}`)}\n`);
    for (const { variable, field } of variables)
      terminal.out(`  variable: set ${printable(`${variable}, for \`${field}\``)}\n`);
    for (const [verdict, lines] of verdicts(draft))
      for (const line of lines) terminal.out(`  ${verdict}: ${printable(line)}\n`);
  }
  for (const problem of problems) terminal.error(`shr: ${printable(problem)}\n`);
  const count = counted(written.filter(({ kept }) => !kept).length, 'registration');
  const check = ['shr validate', folder].filter((word) => word !== '' && word !== '.').join(' ');
  terminal.out(`${count} written. Check them with \`${printable(check)}\`.\n`);
  if (!isObserving && written.some(({ kept }) => !kept)) terminal.out(BOTH);
}

function printGrants(
  terminal: Terminal,
  granting: Granting | undefined,
  platform: Platform,
  wrong: readonly Problem[],
): void {
  if (granting === undefined) {
    terminal.out(
      platform.isThere
        ? 'dispatcher.yaml has no tenants, so nothing has to be granted.\n'
        : 'There is no dispatcher.yaml beside them: `shr init` writes one. Nothing has to be granted, unless it has tenants: then import with --tenant NAME.\n',
    );
    return;
  }
  if (wrong.length > 0) {
    terminal.out('What has to be put right before they are in force, beside what dispatcher.yaml has to say:\n\n');
    for (const problem of wrong) terminal.out(`  ${printable(formatProblem(problem))}\n`);
    terminal.out('\n');
  }
  if (isNothing(granting)) {
    terminal.out('dispatcher.yaml grants all that they need.\n');
    return;
  }
  const text = stringify(granting, { aliasDuplicateObjects: false, lineWidth: 0, blockQuote: false });
  if (platform.hasTenants) terminal.out('Each list takes the place of the one that is there, and has all of it.\n');
  terminal.out('What dispatcher.yaml has to say, for them to be in force:\n\n');
  for (const line of text.trimEnd().split('\n')) terminal.out(`${printable(line)}\n`);
}

/** What dispatcher.yaml says so far. */
interface Platform {
  readonly file: string;
  readonly isThere: boolean;
  /** Empty where it cannot be read. */
  readonly sections: Readonly<Record<string, unknown>>;
  readonly hasTenants: boolean;
  readonly backends: Readonly<Record<string, unknown>>;
}

/** Of one that cannot be read, `shr validate` tells more. */
async function platformIn(path: string): Promise<Platform> {
  const text = await textIn(path);
  const value = typeof text === 'string' ? readYaml(path, text, MAX_BYTES).value : undefined;
  const { backends } = isRecord(value) ? value : { backends: undefined };
  return {
    file: path,
    isThere: typeof text === 'string',
    sections: isRecord(value) ? value : {},
    hasTenants: isRecord(value) && Object.hasOwn(value, 'tenants'),
    backends: isRecord(backends) ? backends : {},
  };
}

const HCL =
  "it is HCL, which is not read. Let Terraform print it as JSON, and import that: `echo 'jsonencode(local.multi_runner_config)' | terraform console > runners.json` (or `var.multi_runner_config`)";

async function importOne(path: string, options: ImportOptions, names: Names): Promise<Imported> {
  const text = await textIn(path);
  if (typeof text !== 'string') return { drafts: [], problems: [text.problem] };
  const stem = basename(path, extname(path)).replace(/\.(?:auto\.)?tfvars$/, '');
  if (/^\.(?:tf|tfvars|hcl)$/.test(extname(path))) return { drafts: [], problems: [HCL] };
  if (extname(path) !== '.mk') {
    return importDocuments(stem, { file: path, text, mostBytes: MAX_BYTES, organization: options.organization }, names);
  }
  const alias = stem.replace(/^Registration_?/, '') || 'imported';
  const common = await commonOf(path);
  return importMakefiles(alias, common, text, names);
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

/** What is said of each field of the other system, and of none in particular. */
function verdicts({ left, fates }: Pick<Draft, 'left' | 'fates'>): readonly (readonly [Verdict, readonly string[]])[] {
  return [
    ['to do', [...left, ...fateLines(fates, 'to do')]],
    ['no equivalent', fateLines(fates, 'no equivalent')],
    ['taken over', fateLines(fates, 'taken over')],
  ];
}

const HEADINGS: Readonly<Record<Verdict, string>> = {
  'to do': 'What is left to do:',
  'no equivalent': 'What has no equivalent here, and why:',
  'taken over': 'What was taken over, and where it is now:',
};

function textOf(draft: Draft, from: string): string {
  const notes = [
    `Imported from ${from}.`,
    ...verdicts(draft).flatMap(([verdict, lines]) =>
      lines.length === 0 ? [] : [HEADINGS[verdict], ...lines.map((line) => `- ${line}`)],
    ),
  ];
  const comment = notes.map((line) => `# ${printable(line)}\n`).join('');
  return `${comment}\n${stringify(draft.registration, { aliasDuplicateObjects: false, blockQuote: false })}`;
}
