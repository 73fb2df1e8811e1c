/** `shr init tenant FOLDER`: a repository in which tenants register by pull request. Never overwrites anything. */
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { readExportedPlatform } from '../../config/exported-platform.ts';
import { fileProblem } from '../../config/files.ts';
import { DISPATCHER_BOUNDS } from '../../config/load.ts';
import { hasDispatcherFile, hasExport } from '../configuration-files.ts';
import { folderProblem, makeFolder } from '../make-folder.ts';
import { printable, printJson } from '../output.ts';
import { shownPath } from '../shown-path.ts';
import type { Terminal } from '../terminal.ts';
import { parseName, parseOrganization, parseRepository } from './names.ts';
import { gitWarnings, type NewFile, schemaText, writeNew } from './new-file.ts';
import { type Example, grantedExamples, usualExample } from './tenant-example.ts';
import { readmeText } from './tenant-readme.ts';
import { type Sources, workflowTexts } from './tenant-workflows.ts';

interface TenantOptions {
  readonly name?: string;
  readonly organization: string;
  readonly sources: string;
  readonly ref: string;
  readonly platform?: string;
  readonly json?: boolean;
}

/** Stand for what was not given, and are told in what comes next. */
const USUAL_NAME = 'acme';
const NO_SOURCES = 'OWNER/serverless-hosted-runner';
const NO_REF = 'COMMIT';

export function tenantCommand(terminal: Terminal): Command {
  return new Command('tenant')
    .description(
      'write a repository in which tenants register by pull request: README, CODEOWNERS, workflows, an example',
    )
    .argument('<folder>', 'where to write')
    .addOption(
      new Option(
        '--name <name>',
        'name of the example (default: one for each tenant of platform.json, or acme)',
      ).argParser(parseName),
    )
    .addOption(
      new Option('--organization <name>', 'whose jobs the example serves').default('acme').argParser(parseOrganization),
    )
    .addOption(
      new Option('--sources <owner/name>', 'the repository of serverless-hosted-runner whose workflows are called')
        .default(NO_SOURCES)
        .argParser(parseRepository),
    )
    .addOption(new Option('--ref <commit>', 'the commit of it, in full').default(NO_REF).argParser(parseCommit))
    .option('--platform <file>', 'a platform.json of `shr platform export`, which is copied')
    .option('--json', 'print { written, kept, warnings }')
    .action((folder: string, options: TenantOptions) => initTenant(folder, options, terminal));
}

function parseCommit(text: string): string {
  if (/^[0-9a-f]{40}$/.test(text)) return text;
  throw new InvalidArgumentError('Write its 40 hexadecimal digits: a branch or tag can come to mean other code.');
}

async function initTenant(folder: string, options: TenantOptions, terminal: Terminal): Promise<void> {
  const root = resolve(terminal.workingFolder, folder);
  let platform: string | undefined;
  if (options.platform !== undefined) {
    if (await hasDispatcherFile(root)) {
      const message = `${shownPath(terminal.workingFolder, join(root, 'dispatcher.yaml'))} is there: registrations would be checked by it, and not by platform.json`;
      terminal.error(`shr: ${printable(`${message}. Name another folder, for a repository of the tenants' own.`)}\n`);
      terminal.exit(1);
      return;
    }
    try {
      platform = await readFile(resolve(terminal.workingFolder, options.platform), 'utf8');
    } catch (error) {
      const { message, cure } = fileProblem(error);
      terminal.error(`shr: ${printable(`${options.platform}: ${message}. ${cure}`)}\n`);
      terminal.exit(1);
      return;
    }
  }
  // One that is there stays: see below.
  const hasPlatform = platform !== undefined || (await hasExport(root));
  const examples = await examplesOf(root, options, { platform, hasPlatform });
  const files = filesOf(root, options, { platform, hasPlatform, examples });
  const written: string[] = [];
  const kept: string[] = [];
  try {
    await makeFolder(root);
    for (const file of files) {
      ((await writeNew(file)) ? written : kept).push(shownPath(terminal.workingFolder, file.path));
    }
  } catch (error) {
    const problem = await folderProblem(root, error);
    if (problem === undefined) throw error;
    terminal.error(`shr: ${printable(`${problem.message}. ${problem.cure}`)}\n`);
    terminal.exit(1);
    return;
  }
  const warnings = await gitWarnings(root, files);
  if (warnings.length > 0) terminal.exit(1);
  if (options.json === true) {
    printJson(terminal, { written, kept, warnings });
    return;
  }
  for (const path of written) terminal.out(`wrote ${printable(path)}\n`);
  for (const path of kept) terminal.out(`kept ${printable(path)}, it was there\n`);
  terminal.out(next(options, hasPlatform));
  for (const warning of warnings) terminal.error(`shr: ${printable(warning)}\n`);
}

/** Of the platform.json that is or will be there: others' tenants are no example. What cannot be read is told by `validate`. */
async function examplesOf(
  root: string,
  { name, organization }: TenantOptions,
  { platform, hasPlatform }: { readonly platform: string | undefined; readonly hasPlatform: boolean },
): Promise<readonly Example[]> {
  const called = name ?? USUAL_NAME;
  const usual = [{ name: called, text: usualExample(called, organization) }];
  if (!hasPlatform) return usual;
  const text = await readFile(join(root, 'platform.json'), 'utf8').catch(() => platform);
  if (text === undefined) return usual;
  const { platform: offered, reading } = await readExportedPlatform('platform.json', text, DISPATCHER_BOUNDS);
  if (reading.problemCount > 0) return usual;
  const examples = grantedExamples({ ...offered, tenants: offered.tenants ?? [] }, name, organization);
  return examples.length > 0 ? examples : usual;
}

interface Content {
  readonly platform: string | undefined;
  readonly hasPlatform: boolean;
  readonly examples: readonly Example[];
}

function filesOf(
  root: string,
  options: TenantOptions,
  { platform, hasPlatform, examples }: Content,
): readonly NewFile[] {
  const sources: Sources = { repository: options.sources, ref: options.ref };
  const shared = { mode: 0o644, git: 'always' } as const;
  const file = (path: string, text: string): NewFile => ({ path: join(root, path), text, ...shared });
  const names = examples.map(({ name }) => name);
  // Tenants write their own files: where a grant is known, an example is only shown, and not read.
  const ending = hasPlatform ? '.example.yaml' : '.yaml';
  return [
    file('README.md', readmeText(names[0] ?? USUAL_NAME, sources)),
    file('.github/CODEOWNERS', codeOwners(options, names)),
    ...Object.entries(workflowTexts(sources)).map(([name, text]) => file(`.github/workflows/${name}`, text)),
    ...examples.map(({ name, text }) => file(`registrations/${name}${ending}`, text)),
    file('registrations/registration.schema.json', schemaText('registration')),
    file('.gitignore', 'secrets/\n*.pem\n.env\n'),
    ...(platform === undefined ? [] : [file('platform.json', platform)]),
  ];
}

function codeOwners({ organization }: TenantOptions, names: readonly string[]): string {
  return `# Who has to approve what; the last matching line counts. Protect the branch with "Require review from Code Owners".
*                              @${organization}/platform
/registrations/                @${organization}/platform
# One line for each tenant, so that its own team approves its own file:
${names.map((name) => `# /registrations/${name}.yaml  @${organization}/${name} @${organization}/platform`).join('\n')}
`;
}

function next({ sources, ref }: TenantOptions, hasPlatform: boolean): string {
  const steps = [
    ...(sources === NO_SOURCES || ref === NO_REF
      ? [
          `In .github/workflows/ and README.md, write the repository and the commit of serverless-hosted-runner for ${NO_SOURCES} and ${NO_REF}.`,
        ]
      : []),
    'In .github/CODEOWNERS, write your teams.',
    ...(!hasPlatform
      ? ['Where dispatcher.yaml is, run `shr platform export --out platform.json`, and add that file here.']
      : []),
    'Commit, push, and protect the branch main: a pull request, the check `validate / validate`, a review of code owners.',
  ];
  return `\nWhat next:\n${steps.map((step) => `  ${step}\n`).join('')}`;
}
